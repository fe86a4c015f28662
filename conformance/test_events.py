"""Events: queued, run at least once, retried, dropped for the right reason, and kept whatever happens.

The waits before retries are AWS's one and two minutes unless a server is started with
`--async-retry-base`. What a function did is read from its log."""

import concurrent.futures
import json
import re
import signal
import sqlite3
import time
import uuid

import botocore.exceptions
import pytest

from harness.clients import Aws
from harness.waiting import eventually, holds_for

RNF = "ResourceNotFoundException"
TELL = """
import json, time
def handler(event, context):
    print("run", event.get("n"), context.aws_request_id, context.function_version, context.invoked_function_arn, int(time.time() * 1000))
    time.sleep(event.get("sleep", 0))
    if event.get("fail"):
        raise ValueError("as asked")
    print("done", event.get("n"))
    return event
"""
RUN = re.compile(r"run (\S+) (\S+) (\S+) (\S+) (\d+)")
# Quick enough for a test, slow enough to be told from no wait at all.
BASE_MS = 500
QUICK = ("--async-retry-base", str(BASE_MS))


@pytest.fixture(scope="module")
def server_flags():
    return QUICK


@pytest.fixture(scope="module")
def teller(aws, python):
    return aws.create("teller", TELL, python, Timeout=60)


def queue(aws, name, event, **more):
    """Queues an event; its request id."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    answer = aws.functions.invoke(FunctionName=name, InvocationType="Event", Payload=body, **more)
    assert answer["StatusCode"] == 202 and answer["Payload"].read() == b""
    assert "ExecutedVersion" not in answer and "FunctionError" not in answer and "LogResult" not in answer
    return answer["ResponseMetadata"]["RequestId"]


def runs(aws, name, n=None):
    """Each run of a function, or of one event: (n, request, version, invoked ARN, milliseconds)."""
    found = [RUN.match(message) for _, message in aws.log_events(name)]
    rows = [(*run.groups()[:4], int(run[5])) for run in found if run]
    return sorted((row for row in rows if n is None or row[0] == str(n)), key=lambda row: row[4])


def done(aws, name):
    return [message.split()[1] for _, message in aws.log_events(name) if message.startswith("done ")]


def ran(aws, name, n, times=1, deadline_s=30):
    return eventually(
        lambda: len(found := runs(aws, name, n)) >= times and found, f"event {n} ran {times} times", deadline_s
    )


def finished(aws, name, n, deadline_s=30):
    eventually(lambda: str(n) in done(aws, name), f"event {n} is done", deadline_s)


def dropped(server, request):
    """The condition under which the server says that it dropped an event."""
    lines = [line for line in server.log().splitlines() if request in line and "event dropped" in line]
    return json.loads(lines[-1])["condition"] if lines else None


def test_an_event_is_answered_at_once_and_runs_once(aws, teller):
    request = queue(aws, teller, {"n": "once"}, LogType="Tail", ClientContext="e30=")
    finished(aws, teller, "once")
    assert holds_for(lambda: len(runs(aws, teller, "once")) == 1, 1, "it runs once") is None
    [(_, seen, version, arn, _)] = runs(aws, teller, "once")
    assert (seen, version) == (request, "$LATEST")
    assert arn == "arn:aws:lambda:us-east-1:000000000000:function:teller"
    log = aws.wait_for_log(teller, f"REPORT RequestId: {request}")
    assert f"START RequestId: {request}" in log and f"END RequestId: {request}" in log


def test_the_answer_does_not_wait_for_the_function(aws, teller):
    began = time.monotonic()
    queue(aws, teller, {"n": "slow", "sleep": 5})
    assert time.monotonic() - began < 4
    ran(aws, teller, "slow")


def test_the_cli_queues_an_event(aws, teller, tmp_path):
    target = tmp_path / "answer"
    (tmp_path / "event.json").write_text('{"n": "cli"}')
    answer = aws.cli(
        *("lambda", "invoke", "--function-name", teller, "--invocation-type", "Event"),
        *("--payload", f"fileb://{tmp_path / 'event.json'}", str(target)),
    )
    assert answer == {"StatusCode": 202} and target.read_bytes() == b""
    finished(aws, teller, "cli")


def test_invoke_async_queues_an_event(aws, teller, tmp_path):
    answer = aws.functions.invoke_async(FunctionName=teller, InvokeArgs=b'{"n": "async"}')
    assert answer["Status"] == 202
    finished(aws, teller, "async")
    (tmp_path / "args.json").write_text('{"n": "async-cli"}')
    said = aws.cli("lambda", "invoke-async", "--function-name", teller, "--invoke-args", str(tmp_path / "args.json"))
    assert said == {"Status": 202}
    finished(aws, teller, "async-cli")
    refused = aws.refused("lambda", "invoke_async", FunctionName=teller, InvokeArgs=b"{")
    assert refused[:2] == (400, "InvalidRequestContentException")
    refused = aws.refused("lambda", "invoke_async", FunctionName="absent", InvokeArgs=b"{}")
    assert refused == (404, RNF, "Function not found: arn:aws:lambda:us-east-1:000000000000:function:absent")
    large = json.dumps("x" * (262_144 - 1)).encode()
    assert aws.refused("lambda", "invoke_async", FunctionName=teller, InvokeArgs=large)[0] == 413


def test_a_failed_event_is_tried_twice_more_under_its_id_after_the_wait_and_after_twice_the_wait(
    server, aws, teller
):
    request = queue(aws, teller, {"n": "fails", "fail": True})
    rows = ran(aws, teller, "fails", 3)
    eventually(lambda: dropped(server, request) == "RetriesExhausted", "it is dropped")
    assert {row[1] for row in rows} == {request}
    times = [row[4] for row in rows]
    assert times[1] - times[0] >= BASE_MS and times[2] - times[1] >= 2 * BASE_MS, times
    holds_for(lambda: len(runs(aws, teller, "fails")) == 3, 1, "it is not tried a fourth time")


@pytest.mark.parametrize("retries", [0, 1])
def test_the_configured_number_of_retries_is_what_happens(server, aws, python, retries):
    name = aws.create(f"retries{retries}", TELL, python)
    aws.functions.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=retries)
    request = queue(aws, name, {"n": "x", "fail": True})
    eventually(lambda: dropped(server, request) == "RetriesExhausted", "it is dropped")
    ran(aws, name, "x", retries + 1)
    holds_for(lambda: len(runs(aws, name, "x")) == retries + 1, 1, "no more tries than configured")


def test_what_was_accepted_and_what_was_dropped_is_counted(server, aws, python):
    name = aws.create("counted", TELL, python)
    aws.functions.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    for n in range(3):
        queue(aws, name, {"n": n})
    queue(aws, name, {"n": "fails", "fail": True})

    def counted(what):
        lines = server.request("GET", "/metrics")[2].decode().splitlines()
        counts = [line for line in lines if line.startswith(f"dormouse_{what}_total{{") and f'function="{name}"' in line]
        return sum(float(line.rpartition(" ")[2]) for line in counts)

    eventually(lambda: (counted("async_events_received"), counted("async_events_dropped")) == (4, 1), "four and one")
    eventually(lambda: counted("invocations") == 4, "four ran")


def test_how_old_events_were_when_they_ran_is_told(aws, python):
    name = aws.create("aged", TELL, python)
    queue(aws, name, {"n": "aged", "fail": True})
    ran(aws, name, "aged", 3)
    now = time.time()

    def ages():
        points = aws.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName="AsyncEventAge",
            Dimensions=[{"Name": "FunctionName", "Value": name}],
            StartTime=now - 3600,
            EndTime=now + 3600,
            Period=60,
            Statistics=["SampleCount", "Minimum", "Maximum"],
        )["Datapoints"]
        return points if sum(point["SampleCount"] for point in points) == 3 else None

    points = eventually(ages, "three tries are told")
    assert max(point["Maximum"] for point in points) >= 3 * BASE_MS > min(point["Minimum"] for point in points)


def test_what_is_configured_for_latest_does_not_hold_for_an_alias(server, aws, python):
    name = aws.create("inherits", TELL, python)
    aws.functions.publish_version(FunctionName=name)
    aws.functions.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    aws.functions.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    latest = queue(aws, name, {"n": "latest", "fail": True})
    eventually(lambda: dropped(server, latest), "it is dropped")
    assert len(ran(aws, name, "latest")) == 1
    queue(aws, name, {"n": "alias", "fail": True}, Qualifier="live")
    rows = ran(aws, name, "alias", 3)
    assert {row[2:4] for row in rows} == {("1", "arn:aws:lambda:us-east-1:000000000000:function:inherits:live")}


def test_a_retry_runs_the_code_that_is_there_by_then(aws, python):
    code = "def handler(event, context):\n    print('old')\n    raise ValueError\n"
    name = aws.create("mended", code, python)
    request = queue(aws, name, {})
    aws.wait_for_log(name, "old")
    aws.update_code(name, "def handler(event, context):\n    print('new', context.aws_request_id)\n")
    assert aws.wait_for_log(name, "new").count(f"new {request}") == 1


def test_each_event_for_an_alias_rolls_by_the_weights(aws, python):
    name = aws.create("rolls", TELL, python)
    aws.functions.publish_version(FunctionName=name)
    aws.update_code(name, TELL + "# another\n")
    aws.functions.publish_version(FunctionName=name)
    aws.functions.create_alias(
        FunctionName=name,
        Name="live",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}},
    )
    for n in range(60):
        queue(aws, f"{name}:live", {"n": n})
    rows = eventually(lambda: len(found := runs(aws, name)) == 60 and found, "all ran")
    versions = [row[2] for row in rows]
    # A fair coin gives fewer than 12 heads of 60 less often than once in a million times.
    assert min(versions.count("1"), versions.count("2")) >= 12, versions


def test_an_event_that_would_be_too_old_for_its_retry_is_dropped(servers, python):
    # With AWS's own wait of one minute, as the server has it by default.
    server = servers().start()
    aws = Aws(server)
    name = aws.create("old", TELL, python)
    aws.functions.put_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=60)
    request = queue(aws, name, {"n": "old", "fail": True})
    eventually(lambda: dropped(server, request) == "EventAgeExceeded", "it is dropped")
    assert len(runs(aws, name)) == 1


def test_the_default_wait_is_a_minute(servers, python):
    server = servers().start()
    aws = Aws(server)
    name = aws.create("minute", TELL, python)
    request = queue(aws, name, {"n": "minute", "fail": True})
    ran(aws, name, "minute")
    holds_for(lambda: len(runs(aws, name)) == 1 and not dropped(server, request), 3, "it waits")


def test_a_function_that_is_switched_off_gets_no_event(server, aws, python):
    name = aws.create("off", TELL, python)
    aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    request = queue(aws, name, {"n": "off"})
    eventually(lambda: dropped(server, request) == "ZeroReservedConcurrency", "it is dropped")
    aws.functions.delete_function_concurrency(FunctionName=name)
    queue(aws, name, {"n": "on"})
    finished(aws, name, "on")
    assert [row[0] for row in runs(aws, name)] == ["on"]


def test_events_that_find_no_place_wait_and_keep_nobody_else_waiting(aws, python, teller):
    name = aws.create("throttled", TELL, python, Timeout=60)
    aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        holder = pool.submit(aws.invoke, name, {"n": "holder", "sleep": 15})
        ran(aws, name, "holder")
        for n in range(5):
            queue(aws, name, {"n": n})
        queue(aws, teller, {"n": "other"})
        finished(aws, teller, "other", 10)
        assert [row[0] for row in runs(aws, name)] == ["holder"]
        # More places are used at once, not after what is left of the wait.
        aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=3)
        eventually(lambda: len(done(aws, name)) == 5, "all ran", 12)
        assert holder.result().error is None
    assert sorted(row[0] for row in runs(aws, name)) == ["0", "1", "2", "3", "4", "holder"]


def test_one_place_is_enough_for_many_events(aws, python):
    name = aws.create("narrow", TELL, python, Timeout=60)
    aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    for n in range(40):
        queue(aws, name, {"n": n})
    eventually(lambda: len(done(aws, name)) == 40, "all ran")
    assert sorted(int(row[0]) for row in runs(aws, name)) == list(range(40))
    assert len({stream for stream, _ in aws.log_events(name)}) == 1, "they ran one after the other"


def test_a_payload_of_1048576_bytes_passes_and_one_more_does_not(aws, python):
    name = aws.create("large", "def handler(event, context):\n    print('got', len(event))\n", python)
    whole = json.dumps("x" * (1_048_576 - 2)).encode()
    assert len(whole) == 1_048_576
    queue(aws, name, whole)
    aws.wait_for_log(name, "got 1048574")
    status, code, text = aws.refused(
        "lambda", "invoke", FunctionName=name, InvocationType="Event", Payload=whole + b" "
    )
    assert (status, code) == (413, "RequestTooLargeException")
    assert text == "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)"


def test_what_cannot_be_run_is_refused_and_not_queued(aws, teller):
    def refused(name=teller, payload=b"{}", **more):
        return aws.refused("lambda", "invoke", FunctionName=name, InvocationType="Event", Payload=payload, **more)

    missing = "Function not found: arn:aws:lambda:us-east-1:000000000000:function:"
    assert refused("absent") == (404, RNF, missing + "absent")
    assert refused(Qualifier="absent") == (404, RNF, missing + "teller:absent")
    assert refused(Qualifier="7") == (404, RNF, missing + "teller:7")
    status, code, text = refused(payload=b'{"n": ')
    assert (status, code) == (400, "InvalidRequestContentException")
    assert text.startswith("Could not parse request body into json: Could not parse payload into json: ")
    assert refused(payload=b'{"n": "\xff"}')[:2] == (400, "InvalidRequestContentException")
    before = len(runs(aws, teller))
    queue(aws, teller, {"n": "sentinel"})
    finished(aws, teller, "sentinel")
    assert len(runs(aws, teller)) == before + 1


def test_an_event_without_payload_is_an_empty_object(aws, teller):
    aws.functions.invoke(FunctionName=teller, InvocationType="Event")
    ran(aws, teller, None)


def test_a_deleted_functions_events_go_with_it(server, aws, python):
    name = aws.create("deleted", TELL, python)
    aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    queue(aws, name, {"n": "waits", "fail": True})
    ran(aws, name, "waits")
    aws.functions.delete_function(FunctionName=name)
    aws.create(name, TELL, python)
    queue(aws, name, {"n": "new"})
    finished(aws, name, "new")
    holds_for(lambda: len(runs(aws, name, "waits")) == 1, 2, "the old function's event is not for the new one")


def test_accounts_and_regions_have_their_own_events(server, aws, python, teller):
    refused = aws.refused("lambda", "invoke", FunctionName="arn:aws:lambda:eu-west-1:000000000000:function:teller", InvocationType="Event")
    assert refused[:2] == (404, RNF)


def test_an_event_survives_a_kill_between_its_acceptance_and_its_run(servers, python):
    server = servers(*QUICK).start()
    aws = Aws(server)
    name = aws.create("kept", TELL, python)
    # There is no place for it before the kill.
    aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        holder = pool.submit(aws.invoke, name, {"n": "holder", "sleep": 60})
        ran(aws, name, "holder")
        request = queue(aws, name, {"n": "kept"})
        server.kill()
        with pytest.raises((botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError)):
            holder.result()
    server.restart()
    [row] = ran(Aws(server), name, "kept")
    assert row[1] == request


def test_an_event_that_runs_when_the_server_is_killed_runs_again(servers, python):
    server = servers(*QUICK).start()
    aws = Aws(server)
    name = aws.create("twice", TELL, python, Timeout=60)
    request = queue(aws, name, {"n": "twice", "sleep": 3})
    ran(aws, name, "twice")
    server.kill()
    server.restart()
    aws = Aws(server)
    finished(aws, name, "twice")
    # What a killed server had not stored of the log yet is lost; the event is not.
    assert {row[1] for row in runs(aws, name, "twice")} == {request}


def test_a_retry_is_not_forgotten_by_a_kill(servers, python):
    server = servers("--async-retry-base", "4000").start()
    aws = Aws(server)
    name = aws.create("later", TELL, python)
    request = queue(aws, name, {"n": "later", "fail": True})
    aws.wait_for_log(name, f"REPORT RequestId: {request}")
    server.kill()
    server.restart()
    aws = Aws(server)
    eventually(lambda: dropped(server, request) == "RetriesExhausted", "all tries are over", 60)
    # The first may be written as over, or be run again: it is three or four.
    assert {row[1] for row in runs(aws, name)} == {request} and len(runs(aws, name)) >= 3


# Writes each event down in a queue of the same server before it answers: what is there was run, whatever
# became of the log's last lines.
RECORD = """
import http.client, json, os
def handler(event, context):
    api = http.client.HTTPConnection(os.environ["AWS_ENDPOINT_URL"].partition("//")[2], timeout=10)
    headers = {"X-Amz-Target": "AmazonSQS.SendMessage", "Content-Type": "application/x-amz-json-1.0"}
    body = {"QueueUrl": "http://localhost/000000000000/record", "MessageBody": event["n"]}
    api.request("POST", "/", json.dumps(body), headers)
    answer = api.getresponse()
    assert answer.status == 200, answer.read()
"""


def recorded(aws):
    """Takes everything out of the queue."""
    sqs, url, found = aws.client("sqs"), "http://localhost/000000000000/record", []
    while batch := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [message["Body"] for message in batch]
    return found


def waiting(server):
    """How many events the server still has on disk."""
    with sqlite3.connect(f"file:{server.data_dir / 'queues.db'}?mode=ro", uri=True) as database:
        return database.execute("SELECT COUNT(*) FROM events").fetchone()[0]


@pytest.mark.timeout(300)
def test_nothing_that_was_acknowledged_is_lost_over_many_events_and_kills(servers, python):
    server = servers(*QUICK).start()
    aws = Aws(server)
    name = aws.create("many", RECORD, python, Timeout=30)
    aws.client("sqs").create_queue(QueueName="record", Attributes={"VisibilityTimeout": "3600"})
    acknowledged = []

    def send(aws):
        while True:
            n = str(uuid.uuid4())
            try:
                queue(aws, name, {"n": n})
            except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError):
                return
            acknowledged.append(n)

    for _ in range(5):
        aws = Aws(server)
        aws.client("lambda")
        wanted = len(acknowledged) + 40
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            senders = [pool.submit(send, aws) for _ in range(4)]
            eventually(lambda: len(acknowledged) >= wanted, "some are acknowledged")
            server.kill()
            for sender in senders:
                sender.result()
        server.restart()
    eventually(lambda: waiting(server) == 0, "no event is left", 90)
    found = recorded(Aws(server))
    assert len(acknowledged) >= 200 and set(acknowledged) <= set(found)
    # What runs more than once was in flight at a kill.
    assert len(found) <= len(acknowledged) + 5 * (64 + 4), (len(found), len(acknowledged))


def test_a_stopping_server_lets_what_runs_finish_and_keeps_what_waits(servers, python):
    server = servers(*QUICK).start()
    aws = Aws(server)
    name = aws.create("stopping", TELL, python, Timeout=60)
    aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    running = queue(aws, name, {"n": "runs", "sleep": 2})
    ran(aws, name, "runs")
    queue(aws, name, {"n": "waits"})
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    server.check_nothing_left()
    server.start()
    aws = Aws(server)
    finished(aws, name, "waits")
    assert [row[1] for row in runs(aws, name, "runs")] == [running], "what had finished is not run again"
    assert done(aws, name).count("runs") == 1


def test_what_is_cut_off_by_the_end_of_a_drain_runs_again_and_counts_as_no_try(servers, python):
    server = servers(*QUICK, "--drain-timeout", "1").start()
    aws = Aws(server)
    name = aws.create("cut", TELL, python, Timeout=60)
    aws.functions.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=0)
    queue(aws, name, {"n": "cut", "sleep": 5})
    ran(aws, name, "cut")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    server.start()
    finished(Aws(server), name, "cut")
