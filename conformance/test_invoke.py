"""Invocations: what goes in, what comes out, what goes wrong, and which environment runs them."""

import base64
import concurrent.futures
import glob
import http.client
import json
import os
import re
import time
from pathlib import Path

import pytest

from harness.clients import Aws
from harness.code import ECHO, package
from harness.waiting import eventually, holds_for

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# One program for many tests: what it does is in the event. It remembers in memory and in /tmp.
KIT = """
import ctypes, os, sys, threading, time

MEMORY = {"calls": 0}
FILE = "/tmp/kept"

def handler(event, context):
    MEMORY["calls"] += 1
    do = event.get("do")
    if do == "remember":
        with open(FILE, "a") as file:
            file.write(event["text"])
    elif do == "sleep":
        begun = time.time()
        print("begun", event.get("tag", ""), flush=True)
        time.sleep(event["seconds"])
        print("done", event.get("tag", ""), flush=True)
        return {"stream": context.log_stream_name, "begun": begun, "ended": time.time()}
    elif do == "exit":
        os._exit(event["code"])
    elif do == "sys-exit":
        sys.exit(event["code"])
    elif do == "segfault":
        ctypes.string_at(0)
    elif do == "eat":
        eaten = []
        while True:
            eaten.append(b"x" * (1 << 20))
    elif do == "fail":
        raise ValueError(event["text"])
    elif do == "unmarshallable":
        return object()
    elif do == "fill":
        return "x" * (event["bytes"] - 2)
    return {
        "calls": MEMORY["calls"],
        "file": open(FILE).read() if os.path.exists(FILE) else None,
        "stream": context.log_stream_name,
    }
"""


@pytest.fixture(scope="module")
def kit(aws, python):
    """The function every test that needs nothing special shares."""
    return aws.create("kit", KIT, python, Timeout=20)


def test_the_answer_carries_the_headers_of_lambda(aws, server, kit):
    # A well-formed signature of nobody's: any is accepted on loopback.
    headers = {
        "X-Amz-Log-Type": "Tail",
        "X-Amzn-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
    }
    path = "/2015-03-31/functions/kit/invocations"
    status, headers, body = server.request("POST", path, b"{}", headers)
    headers = {name.lower(): value for name, value in headers.items()}
    assert status == 200 and json.loads(body)["calls"] >= 1
    assert UUID.fullmatch(headers["x-amzn-requestid"])
    assert headers["x-amz-executed-version"] == "$LATEST"
    assert headers["x-amzn-remapped-content-length"] == "0"
    assert headers["x-amzn-trace-id"].startswith("Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700")
    assert headers["content-type"] == "application/json"
    assert "x-amz-function-error" not in headers
    log = base64.b64decode(headers["x-amz-log-result"]).decode()
    assert log.startswith(f"START RequestId: {headers['x-amzn-requestid']} Version: $LATEST\n")
    _, headers, _ = server.request("POST", path, b"{}")
    assert "x-amz-log-result" not in {name.lower() for name in headers}


@pytest.mark.parametrize(
    ("mode", "asked", "sampled"),
    [
        ("PassThrough", None, "0"),
        ("Active", None, "1"),
        ("Active", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0", "0"),
        ("PassThrough", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=1", "1"),
    ],
)
def test_a_trace_is_made_or_forwarded_and_the_function_told(aws, server, python, mode, asked, sampled):
    name = f"traced-{mode}-{bool(asked)}"
    code = "import os\ndef handler(event, context): return os.environ['_X_AMZN_TRACE_ID']\n"
    aws.create(name, code, python, TracingConfig={"Mode": mode})
    path = f"/2015-03-31/functions/{name}/invocations"
    headers = {"X-Amz-Log-Type": "Tail"} | ({"X-Amzn-Trace-Id": asked} if asked else {})
    _, headers, body = server.request("POST", path, b"{}", headers)
    headers = {name.lower(): value for name, value in headers.items()}
    told = json.loads(body)
    assert told == headers["x-amzn-trace-id"]
    fields = dict(field.split("=") for field in told.split(";"))
    assert fields["Sampled"] == sampled and re.fullmatch(r"[0-9a-f]{16}", fields["Parent"])
    assert re.fullmatch(r"1-[0-9a-f]{8}-[0-9a-f]{24}", fields["Root"])
    if asked:
        assert fields["Root"] == "1-5bef4de7-ad49b0e87f6ef6c87fc2e700"
    log = base64.b64decode(headers["x-amz-log-result"]).decode()
    xray = f"XRAY TraceId: {fields['Root']}\tSegmentId: {fields['Parent']}\tSampled: true\t\n"
    assert log.endswith(xray) == (sampled == "1")


def test_the_tail_is_this_invocations_log_and_at_most_4096_bytes(aws, python):
    code = "def handler(event, context):\n    for n in range(event):\n        print('line', n)\n"
    aws.create("talking", code, python)
    short = aws.invoke("talking", 2)
    lines = short.log.splitlines()
    assert lines[0] == f"START RequestId: {short.request_id} Version: $LATEST"
    assert lines[1:3] == ["line 0", "line 1"]
    assert lines[3] == f"END RequestId: {short.request_id}"
    assert lines[4].startswith(f"REPORT RequestId: {short.request_id}\t")
    long = aws.invoke("talking", 5000)
    assert len(long.log.encode()) == 4096
    assert "line 4999" in long.log and "START" not in long.log and "REPORT" in long.log
    again = aws.invoke("talking", 1)
    assert again.log.startswith("START") and "line 4999" not in again.log


def test_python_gets_a_complete_context(aws, python):
    code = """
def handler(event, context):
    return {
        "name": context.function_name,
        "version": context.function_version,
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "request": context.aws_request_id,
        "group": context.log_group_name,
        "stream": context.log_stream_name,
        "remaining": context.get_remaining_time_in_millis(),
        "identity": context.identity and context.identity.cognito_identity_id,
        "custom": context.client_context and context.client_context.custom,
        "app": context.client_context and context.client_context.client.app_title,
    }
"""
    aws.create("context", code, python, MemorySize=192, Timeout=9)
    client_context = {"custom": {"k": "v"}, "client": {"app_title": "t"}, "env": {}}
    encoded = base64.b64encode(json.dumps(client_context).encode()).decode()
    got = aws.invoke("context", ClientContext=encoded)
    context = got.payload
    assert context["name"] == "context" and context["version"] == "$LATEST"
    assert context["arn"] == ARN + "context"
    assert context["memory"] == "192"
    assert context["request"] == got.request_id
    assert context["group"] == "/aws/lambda/context"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", context["stream"])
    assert 7000 < context["remaining"] <= 9000
    assert (context["custom"], context["app"]) == ({"k": "v"}, "t")
    plain = aws.invoke(ARN + "context:$LATEST").payload
    assert plain["arn"] == ARN + "context:$LATEST"
    assert (plain["custom"], plain["identity"]) == (None, None)


def test_a_dry_run_runs_nothing(aws, python):
    aws.create("dry", KIT, python)
    answer = aws.functions.invoke(FunctionName="dry", InvocationType="DryRun", Payload=b"{}")
    assert answer["StatusCode"] == 204
    assert answer["Payload"].read() == b""
    assert "ExecutedVersion" not in answer
    assert aws.server.lives("dry") == []


def test_an_empty_payload_is_an_empty_object_and_nothing_returned_is_null(aws, python):
    aws.create("echo", ECHO, python)
    assert aws.invoke("echo", body=b"").payload == {}
    silent = aws.create("silent", "def handler(event, context):\n    pass\n", python)
    assert aws.invoke(silent).body == b"null"


@pytest.mark.parametrize(
    "event",
    [
        None,
        0,
        -1.5e300,
        "text",
        True,
        [],
        {"": {"nested": [1, [2, [3]]]}},
        "grüße 😀 \u2028 \u0000 \\ \" \ud7ff",
        {"long": "ü" * 100_000},
    ],
    ids=lambda event: json.dumps(event)[:20],
)
def test_every_json_value_comes_back_as_it_went_in(aws, event):
    body = json.dumps(event).encode()
    assert aws.invoke("echo", body=body).payload == event
    raw = json.dumps(event, ensure_ascii=False).encode()
    assert aws.invoke("echo", body=raw).payload == event


def test_deeply_nested_json_is_no_problem(aws):
    depth = 400
    body = b"[" * depth + b"]" * depth
    assert aws.invoke("echo", body=body).body.replace(b" ", b"") == body


def test_a_payload_of_6291456_bytes_passes_and_one_more_does_not(aws, python):
    count = "def handler(event, context):\n    return len(event)\n"
    aws.create("counting", count, python, MemorySize=512, Timeout=30)
    limit = 6_291_456
    body = b'"' + b"x" * (limit - 2) + b'"'
    assert aws.invoke("counting", body=body).payload == limit - 2
    status, code, message = aws.refused("lambda", "invoke", FunctionName="counting", Payload=body + b" ")
    assert (status, code) == (413, "RequestTooLargeException")
    assert str(limit) in message


def test_a_response_of_6291556_bytes_passes_and_one_more_does_not(aws, python):
    aws.create("filling", KIT, python, MemorySize=512, Timeout=30)
    limit = 6_291_556
    largest = aws.invoke("filling", {"do": "fill", "bytes": limit})
    assert (len(largest.body), largest.error) == (limit, None)
    over = aws.invoke("filling", {"do": "fill", "bytes": limit + 1})
    assert over.error == "Unhandled"
    assert over.payload == {
        "errorMessage": f"Response payload size exceeded maximum allowed payload size ({limit} bytes).",
        "errorType": "Function.ResponseSizeTooLarge",
    }
    assert aws.invoke("filling", {"do": None}).error is None


def test_an_exception_comes_back_with_type_message_and_stack(aws, kit):
    failed = aws.invoke(kit, {"do": "fail", "text": "no such colour ✗"})
    assert (failed.status, failed.error, failed.version) == (200, "Unhandled", "$LATEST")
    payload = failed.payload
    assert payload["errorType"] == "ValueError"
    assert payload["errorMessage"] == "no such colour ✗"
    assert payload["requestId"] == failed.request_id
    assert len(payload["stackTrace"]) == 1
    assert 'File "/var/task/app.py"' in payload["stackTrace"][0]
    assert "[ERROR] ValueError: no such colour ✗" in failed.log


def test_a_result_that_is_no_json_is_a_marshal_error(aws, kit):
    failed = aws.invoke(kit, {"do": "unmarshallable"})
    assert failed.error == "Unhandled"
    assert failed.payload["errorType"] == "Runtime.MarshalError"


ENDINGS = {
    "exit-0": (
        {"do": "exit", "code": 0},
        "Runtime.ExitError",
        "Runtime exited without providing a reason",
        "Runtime.ExitError",
    ),
    "exit-3": (
        {"do": "exit", "code": 3},
        "Runtime.ExitError",
        "Runtime exited with error: exit status 3",
        "Runtime.ExitError",
    ),
    "sys-exit-7": (
        {"do": "sys-exit", "code": 7},
        "Runtime.ExitError",
        "Runtime exited with error: exit status 7",
        "Runtime.ExitError",
    ),
    "segfault": (
        {"do": "segfault"},
        "Runtime.ExitError",
        "Runtime exited with error: signal: segmentation fault",
        "Runtime.ExitError",
    ),
    "out-of-memory": (
        {"do": "eat"},
        "Runtime.ExitError",
        "Runtime exited with error: signal: killed",
        "Runtime.OutOfMemory",
    ),
    "timeout": (
        {"do": "sleep", "seconds": 60},
        "Sandbox.Timedout",
        "Task timed out after 2.00 seconds",
        None,
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_runtime_that_ends_is_told_exactly_and_the_next_invocation_works(aws, python, ending):
    event, error_type, message, reported = ENDINGS[ending]
    # Only who is to run into it has a short one: a busy machine is slow.
    name = aws.create(f"ends-{ending}", KIT, python, Timeout=2 if reported is None else 30)
    before = aws.invoke(name, {"do": "remember", "text": "mark"}).payload
    assert (before["calls"], before["file"]) == (1, "mark")
    failed = aws.invoke(name, event)
    assert (failed.status, failed.error) == (200, "Unhandled")
    assert failed.payload == {
        "errorType": error_type,
        "errorMessage": f"RequestId: {failed.request_id} Error: {message}",
    }
    report = failed.log.splitlines()[-1]
    assert report.startswith(f"REPORT RequestId: {failed.request_id}\t")
    if reported:
        assert f"\tStatus: error\tError Type: {reported}" in report
    else:
        assert "\tStatus: timeout" in report
        duration = float(re.search(r"\tDuration: ([\d.]+) ms", report).group(1))
        assert 2000 <= duration < 2500
    # The environment is kept with its /tmp; its memory is new.
    after = aws.invoke(name, {"do": None})
    assert after.error is None
    assert after.payload == {"calls": 1, "file": "mark", "stream": before["stream"]}
    assert aws.invoke(name, {"do": None}).payload["calls"] == 2


INIT_ERRORS = {
    "raises": ("raise KeyError('at import')\n", "app.handler", "KeyError"),
    "handler-missing": ("x = 1\n", "app.handler", "Runtime.HandlerNotFound"),
    "module-missing": (ECHO, "nothere.handler", "Runtime.ImportModuleError"),
    "import-missing": ("import nothere\n" + ECHO, "app.handler", "Runtime.ImportModuleError"),
    "syntax-error": ("def handler(:\n", "app.handler", "Runtime.UserCodeSyntaxError"),
    "no-dot": (ECHO, "app", "Runtime.MalformedHandlerName"),
}


@pytest.mark.parametrize("case", INIT_ERRORS)
def test_an_init_error_is_the_answer_and_corrected_code_works(aws, python, case):
    code, handler, error_type = INIT_ERRORS[case]
    name = aws.create(f"init-{case}", code, python, handler=handler)
    for _ in range(2):
        failed = aws.invoke(name)
        assert (failed.status, failed.error) == (200, "Unhandled")
        assert failed.payload["errorType"] == error_type
        assert failed.payload["errorMessage"]
    text = aws.wait_for_log(name, "REPORT RequestId")
    assert re.search(r"INIT_REPORT Init Duration: [\d.]+ ms\tPhase: init\tStatus: error\tError Type: \S+\t?\n", text)
    aws.functions.update_function_configuration(FunctionName=name, Handler="app.handler")
    aws.settled(name)
    aws.update_code(name, ECHO)
    assert aws.invoke(name, {"a": 1}).payload == {"a": 1}


def test_an_init_that_exits_is_told(aws, python):
    name = aws.create("init-exits", "import os\nos._exit(5)\n", python)
    failed = aws.invoke(name)
    assert failed.error == "Unhandled"
    assert failed.payload == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {failed.request_id} Error: Runtime exited with error: exit status 5",
    }


def test_many_requests_at_once_have_an_environment_each(aws, python):
    name = aws.create("spread", KIT, python, Timeout=30)
    count = 6
    answers = aws.invoke_many(name, [{"do": "sleep", "seconds": 1.5}] * count)
    assert [a.error for a in answers] == [None] * count
    assert len({a.payload["stream"] for a in answers}) == count


def test_thirty_at_once_are_answered_and_no_environment_runs_two(aws, python):
    name = aws.create("crowd", KIT, python, Timeout=60)
    for _ in range(2):
        answers = aws.invoke_many(name, [{"do": "sleep", "seconds": 0.2}] * 30)
        assert [a.error for a in answers] == [None] * 30
        spans = {}
        for answer in answers:
            span = answer.payload["begun"], answer.payload["ended"]
            spans.setdefault(answer.payload["stream"], []).append(span)
        for of_one in spans.values():
            of_one.sort()
            for (_, ended), (begun, _) in zip(of_one, of_one[1:]):
                assert ended <= begun, "one environment ran two invocations at once"
        assert len({a.request_id for a in answers}) == 30


def test_the_most_recently_used_environment_is_used_first(aws, python):
    name = aws.create("recent", KIT, python, Timeout=30)
    events = [{"do": "sleep", "seconds": seconds} for seconds in (0.6, 1.8, 1.2)]
    last = aws.invoke_many(name, events)[1].payload["stream"]
    eventually(
        lambda: all(life["events"][-1]["what"] == "frozen" for life in aws.server.lives(name)),
        "all three are frozen",
    )
    assert [aws.invoke(name, {}).payload["stream"] for _ in range(4)] == [last] * 4


def test_idle_environments_end_and_the_next_invocation_is_cold(servers, python):
    server = servers("--idle-timeout", "1").start()
    aws = Aws(server)
    name = aws.create("idle", KIT, python)
    first = aws.invoke(name, {"do": "remember", "text": "x"})
    assert "Init Duration" in first.log
    eventually(lambda: all(life["ended"] for life in server.lives(name)), "the environment ended")
    second = aws.invoke(name, {})
    assert "Init Duration" in second.log
    assert second.payload["stream"] != first.payload["stream"]
    assert second.payload["file"] is None, "/tmp of an ended environment was seen again"


def test_an_old_environment_is_replaced_after_its_invocation(servers, python):
    server = servers("--max-life", "0").start()
    aws = Aws(server)
    name = aws.create("old", KIT, python)
    streams = {aws.invoke(name, {}).payload["stream"] for _ in range(3)}
    assert len(streams) == 3
    reasons = [life["coldReason"] for life in server.lives(name)]
    assert reasons[0] == "first" and "recycled" in reasons[1:]


BACKGROUND = """
import threading, time
COUNT = [0]

def count():
    while True:
        COUNT[0] += 1
        if PAUSE:
            time.sleep(PAUSE)

def handler(event, context):
    global PAUSE
    if event == "start":
        PAUSE = 0.005
        threading.Thread(target=count, daemon=True).start()
    if event == "spin":
        PAUSE = 0
        threading.Thread(target=count, daemon=True).start()
    if event == "work":
        time.sleep(0.5)
    return {"count": COUNT[0], "time": time.time(), "stream": context.log_stream_name}
"""


def test_a_background_thread_stands_still_between_invocations(aws, python):
    name = aws.create("counter", BACKGROUND, python, MemorySize=512)
    aws.invoke(name, "start")
    running = aws.invoke(name, "work").payload
    assert running["count"] > 20, "the thread does not run during an invocation"
    pause = time.monotonic() + 1.5
    eventually(lambda: time.monotonic() > pause, "a while")
    later = aws.invoke(name, "look").payload
    assert later["stream"] == running["stream"]
    passed = later["time"] - running["time"]
    assert passed > 1.4
    # Awake it would have counted up to 200 times a second.
    assert later["count"] - running["count"] < 40, (running, later)
    assert aws.invoke(name, "work").payload["count"] > later["count"] + 20, "not thawed"


def cpu_ticks(mark):
    """CPU used so far by every process in a control group whose path holds a text."""
    ticks = []
    for group in glob.glob("/proc/[0-9]*/cgroup"):
        try:
            if mark not in Path(group).read_text():
                continue
            fields = Path(group).with_name("stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks.append(int(fields[11]) + int(fields[12]))
    return ticks


def test_a_frozen_environment_uses_no_cpu(aws, python):
    name = aws.create("spinner", BACKGROUND, python, MemorySize=1769)
    aws.invoke(name, "spin")
    aws.invoke(name, "work")
    environment = aws.server.lives(name)[0]["sandboxId"]
    eventually(lambda: aws.server.lives(name)[0]["events"][-1]["what"] == "frozen", "frozen")
    before = cpu_ticks(environment)
    assert before and sum(before) >= 20, f"no processes of {environment} with CPU use: {before}"
    holds_for(lambda: cpu_ticks(environment) == before, 1.0, "CPU was used while frozen")


def test_a_client_that_goes_away_does_not_cancel_its_invocation(aws, server, python):
    name = aws.create("abandoned", KIT, python, Timeout=20)
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    event = json.dumps({"do": "sleep", "seconds": 1, "tag": "tagged"})
    connection.request("POST", f"/2015-03-31/functions/{name}/invocations", event)
    aws.wait_for_log(name, "begun tagged")
    connection.close()
    text = aws.wait_for_log(name, "REPORT")
    assert "done tagged" in text and "Status:" not in text
    assert aws.invoke(name, {}).payload["calls"] == 2


# --- Node -------------------------------------------------------------------------------------

NODE = {
    "async-cjs": ("index.js", "exports.handler = async (event, context) => ({ got: event });"),
    "callback-cjs": (
        "index.js",
        "exports.handler = (event, context, callback) => {"
        " setTimeout(() => callback(null, { got: event }), 20); };",
    ),
    "async-esm": ("index.mjs", "export const handler = async (event) => ({ got: event });"),
    "esm-with-top-level-await": (
        "index.mjs",
        "const value = await Promise.resolve(1);\n"
        "export const handler = async (event) => ({ got: event });",
    ),
    "promise": (
        "index.cjs",
        "exports.handler = (event) => new Promise((done) => setTimeout(done, 5, { got: event }));",
    ),
}


@pytest.mark.parametrize("style", NODE)
def test_node_handlers_of_every_style_answer(aws, node, style):
    file, code = NODE[style]
    name = aws.create(f"node-{style}", {file: code}, node, handler="index.handler", MemorySize=256)
    for number in range(2):
        answer = aws.invoke(name, {"n": number, "ü": "✓"})
        assert (answer.error, answer.payload) == (None, {"got": {"n": number, "ü": "✓"}})


def test_node_gets_a_complete_context(aws, node):
    code = """
exports.handler = async (event, context) => ({
  name: context.functionName, version: context.functionVersion, arn: context.invokedFunctionArn,
  memory: context.memoryLimitInMB, request: context.awsRequestId, group: context.logGroupName,
  stream: context.logStreamName, remaining: context.getRemainingTimeInMillis(),
  custom: context.clientContext && context.clientContext.custom,
});
"""
    aws.create("node-context", {"index.js": code}, node, handler="index.handler", MemorySize=256, Timeout=9)
    encoded = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    got = aws.invoke("node-context", ClientContext=encoded)
    context = got.payload
    assert (context["name"], context["version"]) == ("node-context", "$LATEST")
    assert context["arn"] == ARN + "node-context"
    assert context["memory"] == "256"
    assert context["request"] == got.request_id
    assert context["group"] == "/aws/lambda/node-context"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", context["stream"])
    assert 7000 < context["remaining"] <= 9000
    assert context["custom"] == {"k": "v"}


NODE_FAILURES = {
    "throws": (
        "exports.handler = async () => { throw new TypeError('bad'); };",
        {"errorType": "TypeError", "errorMessage": "bad"},
    ),
    "calls-back-with-an-error": (
        "exports.handler = (e, c, callback) => callback(new Error('worse'));",
        {"errorType": "Error", "errorMessage": "worse"},
    ),
    "rejects-unheard": (
        "exports.handler = () => new Promise(() => { Promise.reject(new Error('lost')); });",
        {"errorType": "Runtime.UnhandledPromiseRejection", "errorMessage": "Error: lost"},
    ),
    "exits": (
        "exports.handler = async () => { process.exit(4); };",
        {"errorType": "Runtime.ExitError"},
    ),
    "syntax-error": (
        "exports.handler = async ( => {};",
        {"errorType": "Runtime.UserCodeSyntaxError"},
    ),
    "handler-missing": ("exports.other = 1;", {"errorType": "Runtime.HandlerNotFound"}),
    "import-missing": ("require('./nothere');", {"errorType": "Runtime.ImportModuleError"}),
}


@pytest.mark.parametrize("case", NODE_FAILURES)
def test_node_failures_have_lambdas_types_and_the_next_invocation_works(aws, node, case):
    code, expected = NODE_FAILURES[case]
    files = {"index.js": code}
    name = aws.create(f"node-{case}", files, node, handler="index.handler", MemorySize=256)
    for _ in range(2):
        failed = aws.invoke(name)
        assert (failed.status, failed.error) == (200, "Unhandled")
        assert {key: failed.payload.get(key) for key in expected} == expected
        if case in ("throws", "calls-back-with-an-error"):
            assert isinstance(failed.payload["trace"], list) and len(failed.payload["trace"]) >= 2


def test_node_console_lines_carry_time_request_and_level(aws, node):
    code = "exports.handler = async () => { console.log('plain'); console.error('loud'); return 1; };"
    name = aws.create("node-console", {"index.js": code}, node, handler="index.handler", MemorySize=256)
    got = aws.invoke(name)
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.search(rf"^{stamp}\t{got.request_id}\tINFO\tplain$", got.log, re.MULTILINE)
    assert re.search(rf"^{stamp}\t{got.request_id}\tERROR\tloud$", got.log, re.MULTILINE)


# --- Custom runtimes --------------------------------------------------------------------------

BOOTSTRAP = r"""#!/bin/bash
export LC_ALL=C
host=${AWS_LAMBDA_RUNTIME_API%:*} port=${AWS_LAMBDA_RUNTIME_API#*:}
base=/2018-06-01/runtime/invocation
echo "bootstrap began"
while true; do
  exec 3<>"/dev/tcp/$host/$port"
  printf 'GET %s/next HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$base" "$host" >&3
  id='' length=0
  while IFS= read -r line <&3; do
    line=${line%$'\r'}
    [ -z "$line" ] && break
    case ${line,,} in
      lambda-runtime-aws-request-id:*) id=${line#*: } ;;
      content-length:*) length=${line#*: } ;;
    esac
  done
  IFS= read -r -N "$length" event <&3
  exec 3>&-
  kind=response type='X-Nothing: 1'
  file=/tmp/answer
  case $event in
    '"binary"') cp bytes.bin $file ;;
    '"error"') kind=error type='Lambda-Runtime-Function-Error-Type: Function.Mine'
               printf '{"errorType":"Mine","errorMessage":"from bash"}' > $file ;;
    '"exit"') exit 9 ;;
    *) printf '{"event":%s,"handler":"%s","trace":"%s","env":"%s"}' \
         "$event" "$_HANDLER" "${_X_AMZN_TRACE_ID-unset}" "${AWS_EXECUTION_ENV-unset}" > $file ;;
  esac
  size=$(stat -c %s $file)
  exec 3<>"/dev/tcp/$host/$port"
  printf 'POST %s/%s/%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\nContent-Length: %d\r\n\r\n' \
    "$base" "$id" "$kind" "$host" "$type" "$size" >&3
  cat $file >&3
  cat <&3 >/dev/null
  exec 3>&-
done
"""


@pytest.fixture(scope="module")
def bash_function(aws):
    files = {"bootstrap": BOOTSTRAP, "bytes.bin": bytes(range(256)) * 3}
    return aws.create("bash", files, "provided.al2023", handler="any.thing")


def test_a_shell_script_is_a_runtime(aws, bash_function):
    for number in range(3):
        answer = aws.invoke(bash_function, {"n": number})
        assert answer.error is None, answer
        payload = answer.payload
        assert payload["event"] == {"n": number}
        assert payload["handler"] == "any.thing"
        assert (payload["trace"], payload["env"]) == ("unset", "unset")
    assert "bootstrap began" in aws.wait_for_log(bash_function, "bootstrap began")


def test_a_custom_runtime_may_answer_any_bytes(aws, bash_function):
    answer = aws.invoke(bash_function, "binary")
    assert (answer.error, answer.body) == (None, bytes(range(256)) * 3)


def test_a_custom_runtimes_error_is_passed_on_unchanged(aws, bash_function):
    failed = aws.invoke(bash_function, "error")
    assert failed.error == "Unhandled"
    assert failed.body == b'{"errorType":"Mine","errorMessage":"from bash"}'


def test_a_custom_runtime_that_exits_is_started_again(aws, bash_function):
    failed = aws.invoke(bash_function, "exit")
    assert failed.payload["errorMessage"].endswith("Error: Runtime exited with error: exit status 9")
    assert aws.invoke(bash_function, 1).payload["event"] == 1


@pytest.mark.parametrize("mode", ["missing", "not-executable"])
def test_a_package_without_a_program_is_an_invalid_entrypoint(aws, mode):
    files = {"readme": "x"} if mode == "missing" else {"bootstrap": "exit 1\n"}
    name = aws.create(f"bootstrap-{mode}", files, "provided.al2023", handler="x")
    failed = aws.invoke(name)
    assert failed.error == "Unhandled"
    assert failed.payload["errorType"] == "Runtime.InvalidEntrypoint"
    assert "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]" in failed.payload["errorMessage"]


def rust_example():
    """The Rust example as a static program, if somebody has built it."""
    given = os.environ.get("DORMOUSE_RUST_EXAMPLE")
    root = Path(__file__).resolve().parent.parent
    built = [given] if given else glob.glob(f"{root}/examples/*/target/*-musl/release/bootstrap")
    return next((Path(path) for path in built if Path(path).is_file()), None)


def test_the_rust_example_answers(aws):
    program = rust_example()
    if program is None:
        pytest.skip("the Rust example is not built: `make demo` builds it, or set DORMOUSE_RUST_EXAMPLE")
    zipped = package({"bootstrap": program.read_bytes()})
    name = aws.create("rust", zipped, "provided.al2023", handler="bootstrap")
    for _ in range(2):
        answer = aws.invoke(name, {"name": "dormouse"})
        assert (answer.status, answer.error) == (200, None), answer
        assert answer.payload is not None


def test_handlers_in_sub_directories_are_found(aws, python, node):
    name = aws.create("deep-python", {"src/deep/app.py": ECHO}, python, handler="src.deep.app.handler")
    assert aws.invoke(name, 1).payload == 1
    slashed = aws.create("slash-python", {"src/app.py": ECHO}, python, handler="src/app.handler")
    assert aws.invoke(slashed, 2).payload == 2
    files = {"lib/src/index.js": "exports.handler = async (event) => event;"}
    name = aws.create("deep-node", files, node, handler="lib/src/index.handler", MemorySize=256)
    assert aws.invoke(name, 3).payload == 3


def test_executable_bits_of_a_package_are_kept(aws, python):
    code = (
        "import subprocess\n"
        "def handler(event, context):\n"
        "    return subprocess.run(['/var/task/tool'], capture_output=True, text=True).stdout\n"
    )
    name = aws.create("tool", {"app.py": code, "tool": "#!/bin/sh\necho works\n"}, python)
    assert aws.invoke(name).payload == "works\n"


def test_answers_of_many_functions_at_once_are_never_mixed_up(aws, python):
    names = [aws.create(f"own-{n}", f"def handler(e, c):\n    return [{n}, e]\n", python) for n in range(4)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        jobs = [(n, k, pool.submit(aws.invoke, names[n], k)) for k in range(25) for n in range(4)]
        for n, k, job in jobs:
            assert job.result().payload == [n, k]
