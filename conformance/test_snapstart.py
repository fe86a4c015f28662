"""SnapStart: a published version is initialised once, and what runs in it goes on from there.

Whether this machine can take snapshots makes no difference to what a user is promised; which of the two was
seen is told at the end."""

import json
import re
import time
import warnings

import pytest
from test_scrape import scrape, total

from harness.clients import Aws
from harness.code import package
from harness.waiting import eventually

IPV = "InvalidParameterValueException"
NOT_READY = (
    409,
    "SnapStartNotReadyException",
    "Lambda is initializing your function. It will be ready to invoke once your function state becomes ACTIVE.",
)
ON = {"ApplyOn": "PublishedVersions"}

KIT = """
import json, os, time, urllib.request, uuid
import snapshot_restore_py

MADE = uuid.uuid4().hex
RAN = []
MODE = os.environ.get("MODE", "")
if MODE == "broken" and os.environ["AWS_LAMBDA_FUNCTION_VERSION"] != "$LATEST":
    raise RuntimeError("on purpose")
if MODE == "slow" and os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"] == "snap-start":
    time.sleep(3)

snapshot_restore_py.register_before_snapshot(RAN.append, "before 1")

@snapshot_restore_py.register_before_snapshot
def before():
    RAN.append("before 2")
    if MODE == "before":
        raise ValueError("before on purpose")

@snapshot_restore_py.register_after_restore
def after():
    RAN.append("after 1")
    if MODE == "after":
        raise ValueError("after on purpose")
    if MODE == "late":
        time.sleep(60)

snapshot_restore_py.register_after_restore(RAN.append, "after 2")

def credentials():
    token = os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
    asked = urllib.request.Request(
        os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], headers={"Authorization": token}
    )
    with urllib.request.urlopen(asked, timeout=5) as answer:
        return sorted(json.load(answer))

def handler(event, context):
    event = event or {}
    if "sleep" in event:
        time.sleep(event["sleep"])
    if "exit" in event:
        os._exit(event["exit"])
    told = {
        "made": MADE,
        "ran": RAN,
        "version": context.function_version,
        "names": sorted(name for name in os.environ if name.startswith("AWS_")),
        "type": os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"],
        "random": os.urandom(8).hex(),
    }
    if "credentials" in event:
        told["credentials"] = credentials()
    return told
"""


@pytest.fixture(scope="module")
def able(python):
    """A Python runtime that has SnapStart."""
    minor = int(python.removeprefix("python3."))
    if minor < 12:
        pytest.skip(f"SnapStart needs Python 3.12 or later, this machine has {python}")
    return python


def created(aws, runtime, name, mode="", **more):
    """A function with SnapStart, not published."""
    settings = {"Timeout": 30, "SnapStart": ON, "Environment": {"Variables": {"MODE": mode}}}
    return aws.create(name, KIT, runtime, **(settings | more))


def configuration(aws, name, version="1"):
    return aws.functions.get_function_configuration(FunctionName=name, Qualifier=version)


def settled(aws, name, version="1", deadline_s=60):
    """Waits until a version is not pending any more; its configuration."""

    def look():
        found = configuration(aws, name, version)
        return found if found["State"] != "Pending" else None

    return eventually(look, f"{name}:{version} is initialised", deadline_s)


def published(aws, runtime, name, mode="", **more):
    """A function with one version that serves."""
    created(aws, runtime, name, mode, **more)
    aws.functions.publish_version(FunctionName=name)
    found = settled(aws, name)
    assert found["State"] == "Active", found
    return name


def lines(aws, name, *patterns):
    """The lines of all environments of a function; waits until each pattern is in some."""
    group = f"/aws/lambda/{name}"

    def look():
        events = aws.logs.filter_log_events(logGroupName=group)["events"]
        found = [event["message"] for event in events]
        return found if all(any(re.search(it, line) for line in found) for it in patterns) else None

    return eventually(look, f"{patterns} in the log of {name}")


def environments(aws, name, version="1", cold=None):
    """The lives of a version's environments."""
    lives = [life for life in aws.server.lives(name) if life["version"] == version]
    return [life for life in lives if cold is None or life["coldReason"] == cold]


def snapshots(server):
    """The snapshots that a server has, complete ones."""
    return [label.parent for label in server.data_dir.glob("snapshots/*/label")]


def refused_invoke(aws, name, **more):
    return aws.refused("lambda", "invoke", FunctionName=name, **more)


def test_a_version_is_pending_until_it_is_initialised(aws, able):
    name = created(aws, able, "states", "slow")
    shown = aws.functions.get_function_configuration(FunctionName=name)
    assert shown["SnapStart"] == ON | {"OptimizationStatus": "Off"}
    answer = aws.functions.publish_version(FunctionName=name)
    assert (answer["Version"], answer["State"], answer["StateReasonCode"]) == ("1", "Pending", "Creating")
    assert answer["SnapStart"] == ON | {"OptimizationStatus": "Off"}
    assert refused_invoke(aws, f"{name}:1") == NOT_READY
    aws.functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert refused_invoke(aws, name, Qualifier="live") == NOT_READY
    # The same again is the same version, pending or not.
    assert aws.functions.publish_version(FunctionName=name)["Version"] == "1"
    # $LATEST is of no snapshot.
    latest = aws.invoke(name).payload
    assert (latest["type"], latest["ran"]) == ("on-demand", [])
    assert "AWS_LAMBDA_LOG_STREAM_NAME" in latest["names"]
    aws.functions.get_waiter("published_version_active").wait(
        FunctionName=name, Qualifier="1", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    active = configuration(aws, name)
    assert active["SnapStart"] == ON | {"OptimizationStatus": "On"}
    assert "StateReasonCode" not in active
    assert active["RevisionId"] == answer["RevisionId"]
    assert aws.invoke(name, Qualifier="live").version == "1"
    shown = aws.functions.get_function_configuration(FunctionName=name)
    assert shown["SnapStart"]["OptimizationStatus"] == "Off"


def test_hooks_run_in_their_order_and_the_log_tells_of_the_restore(aws, able):
    name = published(aws, able, "hooks")
    first = aws.invoke(f"{name}:1", {"credentials": True})
    told = first.payload
    assert told["ran"] == ["before 2", "before 1", "after 1", "after 2"]
    assert (told["version"], told["type"]) == ("1", "snap-start")
    assert told["credentials"] == ["AccessKeyId", "Expiration", "SecretAccessKey", "Token"]
    missing = {"AWS_ACCESS_KEY_ID", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME"}
    assert not missing & set(told["names"])
    # The hooks are the restore's: once for each environment, not for each invocation.
    second = aws.invoke(f"{name}:1")
    assert second.payload["ran"] == told["ran"]
    restored = r"\tRestore Duration: [\d.]+ ms\tBilled Restore Duration: \d+ ms\t\n"
    assert re.search(restored, first.log) and "Init Duration" not in first.log
    assert "Restore Duration" not in second.log
    figures = re.search(
        r"\tDuration: ([\d.]+) ms\tBilled Duration: (\d+) ms\t.*Billed Restore Duration: (\d+) ms", first.log
    )
    duration, billed, restore = figures.groups()
    assert int(billed) == -(-float(duration) // 1) + int(restore)
    found = lines(
        aws,
        name,
        r"^INIT_REPORT Init Duration: [\d.]+ ms\tPhase: snap-start\tStatus: success\n",
        r"^RESTORE_START Runtime Version: python:3\.\d+\.\w+\tRuntime Version ARN: arn:",
        r"^RESTORE_REPORT Restore Duration: [\d.]+ ms\n",
    )
    assert not any("RESTORE_" in line for line in found if "INIT_" in line)


def test_each_environment_is_restored_and_none_is_another(aws, able):
    name = published(aws, able, "many")
    told = [answer.payload for answer in aws.invoke_many(f"{name}:1", [{"sleep": 1}] * 3)]
    assert all(it["ran"] == ["before 2", "before 1", "after 1", "after 2"] for it in told)
    assert len({it["random"] for it in told}) == 3
    serving = [life for life in environments(aws, name) if life["coldReason"] != "snapshot"]
    assert len(serving) == 3 and all(life["initializationType"] == "snap-start" for life in serving)


def test_with_publish_it_is_initialised_when_the_function_is_ready(aws, able):
    name = created(aws, able, "created", Publish=True)
    assert settled(aws, name)["State"] == "Active"
    assert aws.invoke(f"{name}:1").payload["version"] == "1"
    changed = package({"app.py": KIT + "# another\n"})
    aws.functions.update_function_code(FunctionName=name, ZipFile=changed, Publish=True)
    assert settled(aws, name, "2")["State"] == "Active"
    assert aws.invoke(f"{name}:2").payload["ran"] == ["before 2", "before 1", "after 1", "after 2"]


def test_a_version_that_cannot_initialise_has_failed_and_says_why(aws, able):
    for name, mode in (("broken", "broken"), ("before", "before")):
        created(aws, able, name, mode)
        aws.functions.publish_version(FunctionName=name)
        found = settled(aws, name)
        assert (found["State"], found["StateReasonCode"]) == ("Failed", "FunctionError.RuntimeInitError")
        assert found["SnapStart"]["OptimizationStatus"] == "Off"
        status, code, message = refused_invoke(aws, f"{name}:1")
        assert (status, code) == (409, "ResourceConflictException") and "Failed" in message
        lines(aws, name, r"^INIT_REPORT .*Phase: snap-start\tStatus: error\tError Type: ")
    # What is published again is tried again.
    aws.functions.update_function_configuration(FunctionName="before", Environment={"Variables": {"MODE": ""}})
    aws.settled("before")
    assert aws.functions.publish_version(FunctionName="before")["Version"] == "2"
    assert settled(aws, "before", "2")["State"] == "Active"


def test_hooks_that_fail_after_a_restore_are_told_by_an_exception(aws, able):
    name = published(aws, able, "after", "after")
    status, code, message = refused_invoke(aws, f"{name}:1")
    assert (status, code) == (400, "SnapStartException") and "afterRestore()" in message
    lines(
        aws,
        name,
        r"after on purpose",
        r"^RESTORE_REPORT Restore Duration: [\d.]+ ms\tStatus: error\tError Type: Runtime.AfterRestoreError\n",
    )


def test_hooks_that_take_too_long_are_told_by_another(aws, able):
    name = published(aws, able, "late", "late")
    begun = time.monotonic()
    status, code, message = refused_invoke(aws, f"{name}:1")
    assert (status, code) == (408, "SnapStartTimeoutException")
    assert message == "Lambda couldn't restore the snapshot within the timeout limit."
    assert 10 <= time.monotonic() - begun < 30
    lines(aws, name, r"^RESTORE_REPORT Restore Duration: 10\d\d\d\.\d\d ms\tStatus: timeout\n")


def test_one_that_crashes_is_followed_by_one_that_is_restored(aws, able):
    name = published(aws, able, "crash")
    crashed = aws.invoke(f"{name}:1", {"exit": 3})
    assert crashed.error and crashed.payload["errorType"] == "Runtime.ExitError"
    told = aws.invoke(f"{name}:1")
    assert told.payload["ran"] == ["before 2", "before 1", "after 1", "after 2"]
    assert "Restore Duration" in told.log

    def counted():
        _, _, body = aws.server.request("GET", "/metrics")
        counts = r'^dormouse_restore_duration_seconds_count\{.*function="crash".*\} (\d+)'
        return re.findall(counts, body.decode(), re.MULTILINE) == ["2"]

    eventually(counted, "both restores are in the metrics")


def test_it_is_not_provisioned_besides(aws, able):
    name = published(aws, able, "provisioned")
    status, code, _ = aws.refused(
        "lambda",
        "put_provisioned_concurrency_config",
        FunctionName=name,
        Qualifier="1",
        ProvisionedConcurrentExecutions=1,
    )
    assert (status, code) == (400, IPV)
    # Nor can an alias that keeps another version ready be moved to it.
    aws.functions.update_function_configuration(FunctionName=name, SnapStart={"ApplyOn": "None"})
    aws.settled(name)
    assert aws.functions.publish_version(FunctionName=name)["Version"] == "2"
    aws.functions.create_alias(FunctionName=name, Name="live", FunctionVersion="2")
    aws.functions.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier="live", ProvisionedConcurrentExecutions=1
    )
    for moved in (
        {"FunctionVersion": "1"},
        {"RoutingConfig": {"AdditionalVersionWeights": {"1": 0.5}}},
    ):
        status, code, _ = aws.refused("lambda", "update_alias", FunctionName=name, Name="live", **moved)
        assert (status, code) == (400, IPV), moved
    aws.functions.update_alias(FunctionName=name, Name="live", Description="the same version")
    aws.functions.delete_provisioned_concurrency_config(FunctionName=name, Qualifier="live")
    moved = aws.functions.update_alias(FunctionName=name, Name="live", FunctionVersion="1")
    assert moved["FunctionVersion"] == "1"


def test_a_large_tmp_is_refused(aws, able):
    created(aws, able, "roomy", "")
    for asked in ({"EphemeralStorage": {"Size": 1024}}, {"EphemeralStorage": {"Size": 513}}):
        status, code, _ = aws.refused(
            "lambda", "update_function_configuration", FunctionName="roomy", **asked
        )
        assert (status, code) == (400, IPV)


def test_a_pending_version_goes_on_after_a_kill(servers, able):
    server = servers().start()
    aws = Aws(server)
    name = created(aws, able, "killed", "slow")
    aws.functions.publish_version(FunctionName=name)
    eventually(lambda: environments(aws, name), "it is being initialised")
    server.kill()
    server.restart()
    aws = Aws(server)
    assert settled(aws, name)["State"] == "Active"
    before = aws.invoke(f"{name}:1").payload
    assert before["ran"] == ["before 2", "before 1", "after 1", "after 2"]
    # One that served serves at once, from the same snapshot if there is one.
    server.kill()
    server.restart()
    aws = Aws(server)
    assert configuration(aws, name)["State"] == "Active"
    after = aws.invoke(f"{name}:1").payload
    assert after["version"] == "1"
    if snapshots(server):
        assert after["made"] == before["made"]


def test_what_is_restored_finds_a_sandbox_that_stood_by(servers, able):
    server = servers("--standby", "2").start()
    aws = Aws(server)
    name = published(aws, able, "stood-by")
    if not snapshots(server):
        pytest.skip("this machine takes no snapshots")
    first = aws.invoke(f"{name}:1").payload
    kind = f"{able}/restored"
    eventually(
        lambda: total(scrape(server), "dormouse_standby_sandboxes", kind=kind, state="standing") == 2,
        "two sandboxes stand by",
    )
    before = {life["id"] for life in environments(aws, name)}
    told = [answer.payload for answer in aws.invoke_many(f"{name}:1", [{"sleep": 1}] * 2)]
    assert all((it["made"], it["ran"]) == (first["made"], first["ran"]) for it in told)
    fresh = [life for life in environments(aws, name) if life["id"] not in before]
    assert fresh and all(life["sandboxId"] != life["id"] for life in fresh)


def test_a_snapshot_that_is_spoilt_costs_no_caller_his_answer(servers, able):
    server = servers().start()
    aws = Aws(server)
    name = published(aws, able, "spoilt")
    kept = snapshots(server)
    if not kept:
        pytest.skip("this machine takes no snapshots")
    before = aws.invoke(f"{name}:1").payload
    server.kill()
    for image in kept[0].glob("content/**/*"):
        if image.is_file():
            image.write_bytes(b"spoilt")
    server.restart()
    aws = Aws(server)
    served = aws.invoke(f"{name}:1").payload
    assert served["ran"] == ["before 2", "before 1", "after 1", "after 2"]
    assert served["made"] != before["made"]
    # Meanwhile another is made.
    eventually(lambda: set(snapshots(server)) - set(kept), "another snapshot is there")
    # They go with their version.
    aws.functions.delete_function(FunctionName=name, Qualifier="1")
    eventually(lambda: not snapshots(server), "no snapshot is left")


def test_extensions_hear_of_the_restore(aws, able, extended):
    program = """
import http.server, threading

class Listener(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        for event in json.loads(self.rfile.read(int(self.headers["Content-Length"]))):
            print("heard", event["type"], json.dumps(event["record"], sort_keys=True), flush=True)
        self.send_response(200)
        self.end_headers()
    def log_message(self, *args): pass

threading.Thread(target=http.server.HTTPServer(("0.0.0.0", 4243), Listener).serve_forever, daemon=True).start()
me = register("INVOKE", "SHUTDOWN")
wanted = {"schemaVersion": "2022-12-13", "types": ["platform"],
          "buffering": {"timeoutMs": 25}, "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:4243"}}
api = http.client.HTTPConnection(API)
api.request("PUT", "/2022-07-01/telemetry", json.dumps(wanted), {"Lambda-Extension-Identifier": me})
assert api.getresponse().status == 200
while next_event(me)["eventType"] != "SHUTDOWN":
    pass
"""
    name = extended("heard", {"listener": program}, KIT, SnapStart=ON)
    aws.functions.publish_version(FunctionName=name)
    assert settled(aws, name)["State"] == "Active"
    told = aws.invoke(f"{name}:1")
    assert told.payload["ran"] == ["before 2", "before 1", "after 1", "after 2"]
    found = lines(
        aws,
        name,
        r'^heard platform\.initStart .*"initializationType": "snap-start".*"phase": "snap-start"',
        r'^heard platform\.restoreStart .*"functionVersion": "1"',
        r'^heard platform\.restoreRuntimeDone .*"status": "success"',
        r'^heard platform\.restoreReport .*"durationMs": [\d.]+.*"status": "success"',
        r'^heard platform\.report .*"billedRestoreDurationMs": \d+.*"restoreDurationMs": [\d.]+',
    )
    heard = [line.split()[1] for line in found if line.startswith("heard platform.restore")]
    order = ["platform.restoreStart", "platform.restoreRuntimeDone", "platform.restoreReport"]
    assert [kind for kind in heard if kind in order] == order


def test_a_deleted_version_is_not_initialised_any_more(aws, able):
    name = created(aws, able, "deleted", "slow")
    aws.functions.publish_version(FunctionName=name)
    eventually(lambda: environments(aws, name), "it is being initialised")
    aws.functions.delete_function(FunctionName=name, Qualifier="1")
    ended = lambda: all(life["ended"] for life in environments(aws, name))
    eventually(ended, "its environment has ended")
    lives = environments(aws, name)
    assert [life["ended"]["cause"] for life in lives] == ["update"], json.dumps(lives)


def test_which_of_the_two_was_seen(aws, able):
    name = published(aws, able, "seen")
    made = {answer.payload["made"] for answer in aws.invoke_many(f"{name}:1", [{"sleep": 0.5}] * 2)}
    seen = "snapshots" if len(made) == 1 else "no snapshots: each environment was initialised"
    warnings.warn(f"SnapStart on this machine: {seen}", stacklevel=1)
