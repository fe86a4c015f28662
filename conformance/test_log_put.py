"""Streams and events that clients write themselves, as agents, extensions and the CLI do."""

import json
import time

import pytest

from harness.clients import Aws

NO_GROUP = 400, "ResourceNotFoundException", "The specified log group does not exist."
NO_STREAM = 400, "ResourceNotFoundException", "The specified log stream does not exist."
DAY_MS = 86_400_000


def now_ms():
    return int(time.time() * 1000)


def event(message, ago_ms=0):
    return {"timestamp": now_ms() - ago_ms, "message": message}


@pytest.fixture
def stream(aws, request):
    """A stream in a group of the test's own; both by name."""
    name = request.node.name.split("[")[0]
    aws.logs.create_log_group(logGroupName=name)
    aws.logs.create_log_stream(logGroupName=name, logStreamName="s")
    return {"logGroupName": name, "logStreamName": "s"}


def messages(aws, stream):
    got = aws.logs.get_log_events(**stream, startFromHead=True)
    return [it["message"] for it in got["events"]]


def test_events_are_put_read_filtered_and_counted(aws, stream):
    first = event("GET /a", 1000)
    answer = aws.logs.put_log_events(**stream, logEvents=[first, event("POST /b ✓")])
    assert len(answer["nextSequenceToken"]) == 56 and "rejectedLogEventsInfo" not in answer
    aws.logs.put_log_events(**stream, logEvents=[event("GET /c")], sequenceToken="ignored")
    assert messages(aws, stream) == ["GET /a", "POST /b ✓", "GET /c"]
    found = aws.logs.filter_log_events(logGroupName=stream["logGroupName"], filterPattern="GET")["events"]
    assert [it["message"] for it in found] == ["GET /a", "GET /c"] and found[0]["logStreamName"] == "s"
    told = aws.logs.describe_log_streams(logGroupName=stream["logGroupName"])["logStreams"][0]
    assert told["firstEventTimestamp"] == first["timestamp"]
    assert abs(told["lastIngestionTime"] - now_ms()) < 60_000


def test_the_cli_makes_fills_and_deletes_a_stream(aws):
    aws.cli("logs", "create-log-group", "--log-group-name", "cli")
    named = ("--log-group-name", "cli", "--log-stream-name", "a/b[$LATEST]")
    aws.cli("logs", "create-log-stream", *named)
    aws.cli("logs", "put-log-events", *named, "--log-events", json.dumps([event("by the cli")]))
    assert aws.cli("logs", "get-log-events", *named)["events"][0]["message"] == "by the cli"
    aws.cli("logs", "delete-log-stream", *named)
    assert aws.logs.describe_log_streams(logGroupName="cli")["logStreams"] == []


def test_what_is_too_old_or_too_new_stays_out_and_is_told(aws, stream):
    aws.logs.put_retention_policy(logGroupName=stream["logGroupName"], retentionInDays=3)
    day_three = [event("expired", 3 * DAY_MS + 60_000), event("kept", 3 * DAY_MS - 60_000)]
    answer = aws.logs.put_log_events(**stream, logEvents=day_three)
    assert answer["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}
    answer = aws.logs.put_log_events(**stream, logEvents=[event("old", 15 * DAY_MS)])
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1, "expiredLogEventEndIndex": 1}
    answer = aws.logs.put_log_events(**stream, logEvents=[event("now"), event("ahead", -3 * 3_600_000)])
    assert answer["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
    assert messages(aws, stream) == ["kept", "now"]


def test_the_largest_batch_comes_in_whole(aws, stream):
    many = [event(f"{number}", 10_000) for number in range(10_000)]
    same = many[0]["timestamp"]
    aws.logs.put_log_events(**stream, logEvents=[it | {"timestamp": same} for it in many])
    # As JSON six times as many bytes as it counts.
    aws.logs.put_log_events(**stream, logEvents=[event("\x01" * (1_048_576 - 26))])
    pages = aws.logs.get_paginator("filter_log_events").paginate(logGroupName=stream["logGroupName"])
    found = [it["message"] for page in pages for it in page["events"]]
    assert found[:10_000] == [str(number) for number in range(10_000)]
    assert len(found) == 10_001 and len(found[-1]) == 1_048_550


def test_a_function_and_a_client_share_a_group(aws, python):
    aws.create("shared", "def handler(event, context):\n    print('of the function')\n", python)
    aws.invoke("shared")
    aws.wait_for_log("shared", "of the function")
    named = {"logGroupName": "/aws/lambda/shared", "logStreamName": "extra"}
    aws.logs.create_log_stream(**named)
    aws.logs.put_log_events(**named, logEvents=[event("of the client")])
    text = aws.wait_for_log("shared", "of the client")
    assert "of the function" in text


def test_a_deleted_stream_is_gone_also_after_a_kill(servers):
    server = servers().start()
    aws = Aws(server)
    aws.logs.create_log_group(logGroupName="g")
    for name in ("kept", "gone"):
        aws.logs.create_log_stream(logGroupName="g", logStreamName=name)
        aws.logs.put_log_events(logGroupName="g", logStreamName=name, logEvents=[event(f"in {name}")])
    aws.logs.delete_log_stream(logGroupName="g", logStreamName="gone")
    server.kill()
    server.restart()
    aws = Aws(server)
    found = aws.logs.filter_log_events(logGroupName="g")["events"]
    assert [it["message"] for it in found] == ["in kept"]
    assert aws.refused("logs", "get_log_events", logGroupName="g", logStreamName="gone") == NO_STREAM


def test_wrong_requests_get_the_words_of_aws(aws, stream):
    def refused(operation="put_log_events", **more):
        return aws.refused("logs", operation, **(stream | more))

    exists = 400, "ResourceAlreadyExistsException", "The specified log stream already exists"
    assert refused("create_log_stream") == exists
    for operation in ("create_log_stream", "delete_log_stream"):
        assert refused(operation, logGroupName="absent") == NO_GROUP
    assert refused("delete_log_stream", logStreamName="absent") == NO_STREAM
    events = {"logEvents": [event("m")]}
    assert refused(**events, logGroupName="absent") == NO_GROUP
    assert refused(**events, logStreamName="absent") == NO_STREAM
    invalid = 400, "InvalidParameterException"
    disorder = "Log events in a single PutLogEvents request must be in chronological order."
    assert refused(logEvents=[event("b"), event("a", 1000)]) == (*invalid, disorder)
    span = "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
    assert refused(logEvents=[event("a", DAY_MS + 1000), event("b")]) == (*invalid, span)
    large = "Upload too large: 1048577 bytes exceeds limit of 1048576"
    assert refused(logEvents=[event("x" * (1_048_577 - 26))]) == (*invalid, large)
    status, code, text = refused("create_log_stream", logStreamName="a:b")
    assert (status, code) == invalid and "failed to satisfy constraint" in text
    assert refused(logEvents=[])[:2] == invalid
    assert messages(aws, stream) == []
