"""External and internal extensions: registered before the runtime, told of every invocation and of
the end, frozen with it, and why an environment fails when one of them does."""

import pytest

from harness.clients import Aws
from harness.code import package
from harness.extensions import CALLS, lines, logged
from harness.waiting import eventually, holds_for

# Says what it hears.
WATCH = """
me = register("INVOKE", "SHUTDOWN")
while True:
    event = next_event(me)
    left = event["deadlineMs"] / 1000 - time.time()
    print(NAME, event["eventType"], event.get("requestId"), event.get("shutdownReason"),
          event.get("invokedFunctionArn"), 0 < left < 60, flush=True)
    if event["eventType"] == "SHUTDOWN":
        break
"""

COUNT = """
count = 0
def handler(event, context):
    global count
    count += 1
    if event.get("crash"):
        import os
        os._exit(3)
    return {"count": count, "environment": context.log_stream_name}
"""


@pytest.fixture
def function(extended):
    """A function with extensions that counts unless it is given other code."""

    def create(name, programs, code=COUNT, **more):
        return extended(name, programs, code, **more)

    return create


def test_an_extension_is_up_before_the_runtime_and_told_of_each_invocation(aws, function):
    code = "import time\nprint('the runtime is up', time.time_ns(), flush=True)\n" + COUNT
    name = function("watched", {"watch": "print('watch asks', time.time_ns(), flush=True)\n" + WATCH}, code)
    first, second = aws.invoke(name, {}), aws.invoke(name, {})
    assert (first.payload["count"], second.payload["count"]) == (1, 2)
    found = logged(aws, name, f"watch INVOKE {second.request_id}")
    order = [
        next(i for i, line in enumerate(found) if line.startswith(start))
        for start in ("watch asks", "the runtime is up", "EXTENSION\t", "START ")
    ]
    assert order == sorted(order), found
    # What it prints when it has registered may come after the first words of a quick runtime.
    asked, up = (next(int(line.split()[-1]) for line in found if line.startswith(start)) for start in ("watch asks", "the runtime is up"))
    assert asked < up, found
    assert "EXTENSION\tName: watch\tState: Ready\tEvents: [INVOKE, SHUTDOWN]" in found
    registered = next(line for line in found if line.startswith("watch registered"))
    for part in (
        '"accountId": "000000000000"',
        '"functionName": "watched"',
        '"functionVersion": "$LATEST"',
        '"handler": "app.handler"',
    ):
        assert part in registered
    arn = "arn:aws:lambda:us-east-1:000000000000:function:watched"
    for answer in (first, second):
        assert f"watch INVOKE {answer.request_id} None {arn} True" in found


def test_an_extension_hears_of_the_end_and_its_last_words_are_kept(aws, function):
    name = function("ended", {"watch": WATCH})
    aws.invoke(name, {})
    # New code ends the environments of the old one.
    aws.update_code(name, COUNT + "# new\n")
    found = logged(aws, name, "watch SHUTDOWN")
    assert "watch SHUTDOWN None spindown None True" in found


def test_an_extension_hears_of_a_crash_and_starts_anew_with_the_runtime(aws, function):
    name = function("crashing", {"watch": WATCH})
    assert aws.invoke(name, {}).payload["count"] == 1
    assert aws.invoke(name, {"crash": True}).error == "Unhandled"
    assert aws.invoke(name, {}).payload["count"] == 1
    found = logged(aws, name, "watch SHUTDOWN")
    assert "watch SHUTDOWN None failure None True" in found

    def registered():
        return sum(line.startswith("watch registered 200") for line in lines(aws, name))

    # Twice, or more often where a slow machine made another environment meanwhile.
    eventually(lambda: registered() >= 2, "the extension registered again")


def test_the_caller_has_the_answer_before_a_slow_extension_is_done(aws, function):
    slow = """
me = register("INVOKE")
while True:
    event = next_event(me)
    time.sleep(1)
    print(NAME, "done with", event["requestId"], flush=True)
"""
    name = function("slow", {"slow": slow})
    first = aws.invoke(name, {}, tail=False)
    assert f"slow done with {first.request_id}" not in lines(aws, name)
    second = aws.invoke(name, {}, tail=False)
    # The first environment is busy until its extension is done: the second call got another one.
    assert second.payload["count"] == 1
    found = logged(aws, name, f"REPORT RequestId: {first.request_id}")
    assert f"slow done with {first.request_id}" in found


def test_an_extension_that_is_never_done_runs_into_the_timeout(aws, function):
    stuck = """
me = register("INVOKE")
next_event(me)
time.sleep(600)
"""
    name = function("stuck", {"stuck": stuck}, Timeout=2)
    # The answer was there in time; the environment was not.
    first = aws.invoke(name, {}, tail=False)
    assert first.payload["count"] == 1
    found = logged(aws, name, f"REPORT RequestId: {first.request_id}")
    report = next(line for line in found if line.startswith("REPORT"))
    assert "Status: timeout" in report, report


def test_an_extension_that_ends_fails_the_invocation(aws, function):
    name = function(
        "ending", {"ending": 'me = register("INVOKE")\nnext_event(me)\nsys.exit(0)\n'},
        code="import time\ndef handler(event, context):\n    time.sleep(20)\n",
    )
    answer = aws.invoke(name, {})
    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] == "Extension.Crash"
    assert "exit code 0" in answer.payload["errorMessage"]


def test_an_extension_that_cannot_start_fails_init(aws, function):
    broken = """
me = register("INVOKE")
call("POST", "init/error", b"{}", Identifier=me, Function_Error_Type="Extension.NoConfig")
sys.exit(7)
"""
    name = function("broken", {"broken": broken})
    answer = aws.invoke(name, {})
    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] == "Extension.InitError"
    assert answer.payload["errorMessage"].endswith(" Error: exit code 7")


def test_a_file_that_cannot_be_run_fails_init(aws, python):
    layer = aws.functions.publish_layer_version(
        LayerName="text", Content={"ZipFile": package({"extensions/text": "no program"})}
    )
    name = aws.create("text", COUNT, python, Layers=[layer["LayerVersionArn"]])
    answer = aws.invoke(name, {})
    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] == "Extension.LaunchError"


def test_wrong_requests_of_an_extension_get_lambdas_words(aws, function):
    wrong = """
nobody = "00000000-0000-4000-8000-000000000000"
for what, answer in {
    "no name": call("POST", "register", '{"events":[]}'),
    "stranger": call("GET", "event/next", Identifier=nobody),
    "nameless": call("GET", "event/next"),
    "event": call("POST", "register", '{"events":["LUNCH"]}', Name=NAME),
}.items():
    print(what, answer[0], answer[2]["errorType"], flush=True)
me = register("INVOKE")
status, _, answer = call("POST", "register", '{"events":["INVOKE"]}', Name=NAME)
print("twice", status, answer["errorType"], flush=True)
while True:
    next_event(me)
"""
    name = function("wrong", {"wrong": wrong})
    assert aws.invoke(name, {}).payload["count"] == 1
    found = logged(aws, name, "^REPORT ")
    assert "no name 403 Extension.InvalidExtensionName" in found
    assert "stranger 403 Extension.UnknownExtensionIdentifier" in found
    assert "nameless 403 Extension.MissingExtensionIdentifier" in found
    assert "event 403 Extension.InvalidEventType" in found
    assert "twice 403 Extension.InvalidExtensionState" in found


def test_an_extension_is_frozen_with_its_environment(aws, function):
    ticking = """
import threading
me = register("INVOKE")
def tick():
    while True:
        print("tick", flush=True)
        time.sleep(0.05)
threading.Thread(target=tick, daemon=True).start()
while True:
    next_event(me)
"""
    name = function("frozen", {"ticking": ticking})
    aws.invoke(name, {})
    logged(aws, name, "^REPORT ")

    def ticks():
        return sum(line == "tick" for line in lines(aws, name))

    last = {"seen": eventually(ticks, "the first ticks")}

    def quiet():
        before, last["seen"] = last["seen"], ticks()
        return before == last["seen"]

    eventually(quiet, "the ticks stop")
    holds_for(quiet, 0.5, "a frozen extension went on")


def test_an_internal_extension_registers_from_the_runtimes_process(aws, python):
    code = """
import http.client, json, os, threading
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
def ask(method, path, body=None, **headers):
    api.request(method, "/2020-01-01/extension/" + path, body,
                {"Lambda-Extension-" + k: v for k, v in headers.items()})
    answer = api.getresponse()
    return answer.status, answer.headers, json.loads(answer.read())
refused = ask("POST", "register", '{"events":["SHUTDOWN"]}', Name="inner")[0]
status, headers, _ = ask("POST", "register", '{"events":["INVOKE"]}', Name="inner")
heard = []
def listen():
    while True:
        heard.append(ask("GET", "event/next", Identifier=headers["Lambda-Extension-Identifier"])[2])
threading.Thread(target=listen, daemon=True).start()
def handler(event, context):
    return [refused, status, [it["requestId"] for it in heard]]
"""
    name = aws.create("inner", code, python)
    first = aws.invoke(name)
    second = aws.invoke(name)
    assert first.payload[1] == 200
    assert first.payload[0] == 403
    assert first.request_id in second.payload[2]
    found = logged(aws, name, "^EXTENSION\t")
    assert "EXTENSION\tName: inner\tState: Ready\tEvents: [INVOKE]" in found


def test_nothing_is_left_of_extensions_when_the_server_stops(servers, python):
    server = servers().start()
    aws = Aws(server)
    code = "import sys, os\ndef handler(event, context): return os.path.realpath(sys.executable)\n"
    interpreter = aws.invoke(aws.create("interpreter", code, python)).payload
    files = {"extensions/deaf": f"#!{interpreter}\n{CALLS}me = register()\nnext_event(me)\n"}
    layer = aws.functions.publish_layer_version(
        LayerName="deaf", Content={"ZipFile": package(files)}
    )
    name = aws.create("deaf", COUNT, python, Layers=[layer["LayerVersionArn"]])
    assert aws.invoke(name, {}).payload["count"] == 1
    server.stop()
