"""The Telemetry and Logs APIs: what subscribers get, when, in which shape; and that the log says the
same."""

import json
import re

import pytest

from harness.extensions import lines, logged
from harness.waiting import eventually

# Subscribes before it asks for its first event and keeps what comes in a file: printing it would be
# telemetry, too.
SUBSCRIBE = """
import http.server, socket, socketserver, threading

KEPT = "/tmp/telemetry.jsonl"
batches = []
arrived = threading.Condition()

def keep(events):
    with arrived:
        batches.append(events)
        with open(KEPT, "a") as file:
            file.writelines(json.dumps(event) + "\\n" for event in events)
        arrived.notify_all()

def events(kind=None):
    return [e for batch in batches for e in batch if kind in (None, e["type"])]

def wait_for(holds):
    with arrived:
        assert arrived.wait_for(holds, timeout=20), batches

class Listener(http.server.BaseHTTPRequestHandler):
    statuses = []
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            keep(json.loads(body))
        self.send_response(status)
        self.end_headers()
    do_PUT = do_POST
    def log_message(self, *args):
        pass

def listen(port=4243):
    server = http.server.ThreadingHTTPServer(("sandbox.localdomain", port), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()

def listen_tcp(port=4243):
    class Lines(socketserver.StreamRequestHandler):
        def handle(self):
            for line in self.rfile:
                keep([json.loads(line)])
    server = socketserver.ThreadingTCPServer(("sandbox.localdomain", port), Lines)
    threading.Thread(target=server.serve_forever, daemon=True).start()

def subscribe(me, types, path="2022-07-01/telemetry", schema="2022-12-13", buffering=None,
              destination=None):
    api = http.client.HTTPConnection(API)
    body = {"schemaVersion": schema, "types": types,
            "buffering": {"timeoutMs": 25, **(buffering or {})},
            "destination": destination or {"protocol": "HTTP",
                                           "URI": "http://sandbox.localdomain:4243/events"}}
    api.request("PUT", "/" + path, json.dumps(body), {"Lambda-Extension-Identifier": me})
    answer = api.getresponse()
    return answer.status, json.loads(answer.read())
"""

# Comes back only when it has heard that the runtime is done, as extensions of vendors do.
WAIT_FOR_RUNTIME_DONE = """
me = register("INVOKE", "SHUTDOWN")
listen()
print("subscribed", *subscribe(me, ["platform", "function"]), flush=True)
while True:
    event = next_event(me)
    if event["eventType"] == "SHUTDOWN":
        # What was under way when the environment was frozen comes with the end.
        wait_for(lambda: len(events("platform.start")) == len(events("platform.report")))
        print("heard", json.dumps(events()), flush=True)
        break
    wait_for(lambda: any(e["record"]["requestId"] == event["requestId"]
                         for e in events("platform.runtimeDone")))
"""

SAY = """
import json, os
print("loading")
def handler(event, context):
    print("hello", event.get("n"))
    if event.get("crash"):
        os._exit(3)
    for i in range(event.get("lines", 0)):
        print("x" * 1000)
    return "ok"
"""


def heard(aws, name):
    """What the subscriber had got when it was told of the end."""
    found = logged(aws, name, "^heard ")
    return json.loads(next(line for line in found if line.startswith("heard "))[6:])


def ends(aws, name):
    """Ends the function's environments; their extensions say what they heard."""
    aws.update_code(name, SAY + "# new\n")
    return heard(aws, name)


def kinds(events):
    return [event["type"] for event in events]


def of(events, kind):
    return [event["record"] for event in events if event["type"] == kind]


def test_every_event_of_init_and_of_each_invocation_is_heard_in_its_order(aws, extended):
    name = extended("heard", {"watch": SUBSCRIBE + WAIT_FOR_RUNTIME_DONE}, SAY)
    answers = [aws.invoke(name, {"n": n}) for n in (1, 2)]
    events = ends(aws, name)
    invocation = ["platform.start", "function", "platform.runtimeDone", "platform.report"]
    assert kinds(events) == [
        "platform.initStart",
        "platform.telemetrySubscription",
        "function",
        "platform.initRuntimeDone",
        "platform.extension",
        "platform.initReport",
        *invocation,
        *invocation,
    ]
    assert "subscribed 200 OK" in lines(aws, name)
    assert of(events, "function") == ["loading\n", "hello 1\n", "hello 2\n"]
    times = [event["time"] for event in events]
    assert times == sorted(times)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time) for time in times)
    asked = [answer.request_id for answer in answers]
    for kind in ("platform.start", "platform.runtimeDone", "platform.report"):
        assert [record["requestId"] for record in of(events, kind)] == asked
    (start,) = of(events, "platform.initStart")
    assert start["functionName"] == name and start["functionVersion"] == "$LATEST"
    assert start["initializationType"] == "on-demand" and start["phase"] == "init"
    done = of(events, "platform.runtimeDone")[0]
    assert done["status"] == "success" and done["metrics"]["producedBytes"] == len('"ok"')
    spans = ["responseLatency", "responseDuration", "runtimeOverhead"]
    assert [span["name"] for span in done["spans"]] == spans
    (extension,) = of(events, "platform.extension")
    assert extension == {"name": "watch", "state": "Ready", "events": ["INVOKE", "SHUTDOWN"]}


def test_the_log_says_what_telemetry_says(aws, extended):
    name = extended("agreed", {"watch": SUBSCRIBE + WAIT_FOR_RUNTIME_DONE}, SAY)
    aws.invoke(name, {"n": 1})
    reports = of(ends(aws, name), "platform.report")
    (line,) = [line for line in lines(aws, name) if line.startswith("REPORT ")]
    fields = dict(field.split(": ", 1) for field in line.split("\t")[1:] if field)
    (metrics,) = [report["metrics"] for report in reports]
    assert float(fields["Duration"].split()[0]) == pytest.approx(metrics["durationMs"], abs=0.006)
    assert fields["Billed Duration"] == f"{metrics['billedDurationMs']} ms"
    assert fields["Memory Size"] == f"{metrics['memorySizeMB']} MB"
    assert fields["Max Memory Used"] == f"{metrics['maxMemoryUsedMB']} MB"
    init = float(fields["Init Duration"].split()[0])
    assert init == pytest.approx(metrics["initDurationMs"], abs=0.006)
    assert "TELEMETRY\tName: watch\tState: Subscribed\tTypes: [Platform, Function]" in lines(aws, name)


def test_tcp_subscribers_get_lines(aws, extended):
    program = SUBSCRIBE + WAIT_FOR_RUNTIME_DONE.replace("listen()", "listen_tcp()").replace(
        '["platform", "function"]',
        '["platform"], destination={"protocol": "TCP", "port": 4243}',
    )
    name = extended("tcp", {"watch": program}, SAY)
    aws.invoke(name, {"n": 1})
    aws.invoke(name, {"n": 2})
    found = kinds(ends(aws, name))
    assert found[0] == "platform.initStart" and "function" not in found
    assert found.count("platform.runtimeDone") == found.count("platform.report") == 2


LOGS_API = """
me = register("INVOKE", "SHUTDOWN")
listen()
print("subscribed", *subscribe(me, ["platform"], "2020-08-15/logs", SCHEMA), flush=True)
asked = []
while True:
    event = next_event(me)
    if event["eventType"] == "SHUTDOWN":
        wait_for(lambda: len(events("platform.report")) == len(asked))
        print("heard", json.dumps(events()), flush=True)
        break
    asked.append(event["requestId"])
"""


@pytest.mark.parametrize("schema", ["2020-08-15", "2021-03-18"])
def test_the_logs_api_has_its_own_events(aws, extended, schema):
    program = SUBSCRIBE + LOGS_API.replace("SCHEMA", repr(schema))
    name = extended(f"logs-{schema}", {"watch": program}, SAY)
    aws.invoke(name, {"n": 1})
    events = ends(aws, name)
    done = ["platform.runtimeDone"] if schema == "2021-03-18" else []
    assert kinds(events) == [
        "platform.logsSubscription",
        "platform.extension",
        "platform.start",
        *done,
        "platform.end",
        "platform.report",
    ]
    assert set(of(events, "platform.report")[0]) == {"requestId", "metrics"}


def test_a_crash_is_told_before_the_end(aws, extended):
    name = extended("crashed", {"watch": SUBSCRIBE + WAIT_FOR_RUNTIME_DONE}, SAY)
    aws.invoke(name, {"crash": True, "n": 1})
    events = heard(aws, name)
    (done,) = of(events, "platform.runtimeDone")
    assert (done["status"], done["errorType"]) == ("error", "Runtime.ExitError")


def test_who_does_not_listen_yet_is_offered_everything_again(aws, extended):
    late = WAIT_FOR_RUNTIME_DONE.replace("listen()\n", "").replace(
        "    wait_for(lambda: any", "    if not batches: listen()\n    wait_for(lambda: any"
    )
    name = extended("late", {"watch": SUBSCRIBE + late}, SAY)
    aws.invoke(name, {"n": 1})
    found = kinds(ends(aws, name))
    assert found[0] == "platform.initStart" and found.count("platform.runtimeDone") == 1


def test_what_was_refused_is_offered_again_once(aws, extended):
    refusing = WAIT_FOR_RUNTIME_DONE.replace("listen()", "Listener.statuses[:] = [500, 404, 302]; listen()")
    name = extended("refused", {"watch": SUBSCRIBE + refusing}, SAY)
    aws.invoke(name, {"n": 1})
    found = kinds(ends(aws, name))
    assert found.count("platform.initStart") == found.count("platform.runtimeDone") == 1


BEHIND = """
go = threading.Event()
plain = keep
def keep(events):
    go.wait()
    plain(events)
me = register("INVOKE", "SHUTDOWN")
listen()
subscribe(me, ["platform", "function"])
while True:
    event = next_event(me)
    if event["eventType"] == "SHUTDOWN":
        go.set()
        wait_for(lambda: events("platform.logsDropped"))
        print("heard", json.dumps([e for e in events() if e["type"] != "function"]), flush=True)
        break
"""


def test_who_falls_behind_is_told_how_much_it_lost(aws, extended):
    name = extended("behind", {"watch": SUBSCRIBE + BEHIND}, SAY)
    aws.invoke(name, {"n": 1, "lines": 2000})
    dropped = of(ends(aws, name), "platform.logsDropped")
    assert sum(record["droppedRecords"] for record in dropped) > 0
    assert sum(record["droppedBytes"] for record in dropped) > 0
    assert "fallen behind" in dropped[0]["reason"]


TOO_LATE = """
me = register("INVOKE")
second = subscribe(me, ["platform"]), subscribe(me, ["function"]), subscribe(
    me, ["platform"], "2020-08-15/logs", "2020-08-15")
print("during", json.dumps(second), flush=True)
while True:
    next_event(me)
    print("after", json.dumps([subscribe(me, ["platform"]), subscribe(me, ["platform"], "2020-08-15/logs", "2020-08-15")]), flush=True)
"""


def test_subscriptions_end_with_init_and_are_one_per_extension(aws, extended):
    name = extended("closed", {"watch": SUBSCRIBE + TOO_LATE}, SAY)
    aws.invoke(name, {})
    found = logged(aws, name, "^after ")
    first, second, other = json.loads(next(x for x in found if x.startswith("during "))[7:])
    assert first == [200, "OK"] and second == [200, "OK"]
    assert other[0] == 400 and other[1]["errorType"] == "Logs.ValidationError"
    telemetry, logs = json.loads(next(x for x in found if x.startswith("after "))[6:])
    assert (telemetry[0], telemetry[1]["errorType"]) == (403, "Telemetry.SubscriptionClosed")
    assert (logs[0], logs[1]["errorType"]) == (403, "Logs.SubscriptionClosed")
    assert "TELEMETRY\tName: watch\tState: Already subscribed\tTypes: [Function]" in found


def test_an_extension_hears_what_extensions_say(aws, extended):
    program = SUBSCRIBE + WAIT_FOR_RUNTIME_DONE.replace('"function"]', '"extension"]')
    talk = 'me = register("INVOKE")\nwhile True:\n    print("tick", next_event(me)["requestId"], flush=True)\n'
    name = extended("talk", {"watch": program, "talk": talk}, SAY)
    first = aws.invoke(name, {})
    logged(aws, name, f"tick {first.request_id}")
    said = of(ends(aws, name), "extension")
    assert f"tick {first.request_id}\n" in said


def test_a_subscriber_that_never_answers_does_not_keep_the_environment(aws, extended):
    deaf = """
me = register("INVOKE")
hold = socket.create_server(("127.0.0.1", 4243))
subscribe(me, ["platform", "function"])
while True:
    next_event(me)
"""
    name = extended("silent", {"watch": SUBSCRIBE + deaf}, SAY)
    for n in range(3):
        assert aws.invoke(name, {"n": n}).payload == "ok"

    def frozen():
        life = next(it for it in aws.server.lives(name))
        return life["events"][-1]["what"] == "frozen"

    eventually(frozen, "the environment is frozen")
