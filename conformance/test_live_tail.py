"""StartLiveTail: lines of invocations as they are written, by boto3 and by hand."""

import http.client
import json
import queue
import struct
import threading

import pytest

from harness.clients import Aws
from harness.waiting import eventually

# The endpoint of these tests is an address: what botocore would put before it is no name of it.
PLAIN = {"inject_host_prefix": False}
CODE = """
def handler(event, context):
    for line in event["lines"]:
        print(line)
    return context.log_stream_name
"""


def arn(name, region="us-east-1", account="000000000000"):
    return f"arn:aws:logs:{region}:{account}:log-group:/aws/lambda/{name}"


class Session:
    """A session that is read beside the test."""

    def __init__(self, logs, **asked):
        answer = logs.start_live_tail(**asked)
        self.stream = answer["responseStream"]
        self.events = queue.Queue()
        self.updates = []
        self.results = []
        self.end = None
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            for event in self.stream:
                self.events.put(event)
        except Exception as error:
            self.end = error
        self.events.put(None)

    def gather(self):
        """Takes what has come; every event is one of the two kinds."""
        while True:
            try:
                event = self.events.get_nowait()
            except queue.Empty:
                return
            if event and "sessionUpdate" in event:
                self.updates.append(event["sessionUpdate"])
                self.results += event["sessionUpdate"]["sessionResults"]

    def start(self):
        return self.events.get(timeout=10)["sessionStart"]

    def messages(self):
        self.gather()
        return [result["message"].rstrip("\n") for result in self.results]

    def wait_for(self, text):
        eventually(lambda: any(text in message for message in self.messages()), f"{text!r} is told")
        return self.messages()

    def close(self):
        self.stream.close()
        self.thread.join(10)


@pytest.fixture
def logs(aws):
    return aws.client("logs", **PLAIN)


@pytest.fixture
def tail(logs):
    """Starts sessions and ends them with the test."""
    sessions = []

    def start(**asked):
        sessions.append(Session(logs, **asked))
        return sessions[-1]

    yield start
    for session in sessions:
        session.close()


@pytest.fixture(scope="module")
def function(aws, python):
    aws.create("tailed", CODE, python)
    aws.invoke("tailed", {"lines": ["before"]})
    aws.wait_for_log("tailed", "before")
    return "tailed"


def test_lines_are_told_as_they_are_written(aws, tail, function):
    session = tail(logGroupIdentifiers=[arn(function)])
    start = session.start()
    assert start["logGroupIdentifiers"] == [arn(function)]
    assert start["requestId"] and start["sessionId"] and "logEventFilterPattern" not in start
    stream = aws.invoke(function, {"lines": ["one", "two"]}).payload
    messages = session.wait_for("REPORT")
    assert "before" not in messages
    assert [message for message in messages if message in ("one", "two")] == ["one", "two"]
    assert messages[0].startswith("START RequestId") and messages[-1].startswith("REPORT")
    for result in session.results:
        assert result["logStreamName"] == stream
        assert result["logGroupIdentifier"] == arn(function)
        assert 0 <= result["ingestionTime"] - result["timestamp"] < 10_000
    assert not any(update["sessionMetadata"]["sampled"] for update in session.updates)
    stored = [message for _, message in aws.log_events(function)][-len(messages):]
    assert [message.rstrip("\n") for message in stored] == messages


def test_a_pattern_lets_only_some_lines_through(aws, tail, function):
    terms = tail(logGroupIdentifiers=[arn(function)], logEventFilterPattern="ERROR -harmless")
    fields = tail(logGroupIdentifiers=[arn(function)], logEventFilterPattern='{ $.level = "warn" }')
    assert terms.start()["logEventFilterPattern"] == "ERROR -harmless"
    fields.start()
    lines = ["all is well", "ERROR one", "ERROR harmless", json.dumps({"level": "warn"})]
    aws.invoke(function, {"lines": [*lines, "ERROR last"]})
    assert terms.wait_for("last") == ["ERROR one", "ERROR last"]
    assert fields.wait_for("warn") == [json.dumps({"level": "warn"})]


def test_streams_are_chosen_by_name_or_prefix(aws, tail, function):
    stream = aws.invoke(function, {"lines": []}).payload
    group = {"logGroupIdentifiers": [arn(function)]}
    named = tail(**group, logStreamNames=[stream])
    prefixed = tail(**group, logStreamNamePrefixes=[stream[:10], "x"])
    others = tail(**group, logStreamNames=["another"], logEventFilterPattern="chosen")
    for session in (named, prefixed, others):
        session.start()
    aws.invoke(function, {"lines": ["chosen"]})
    named.wait_for("chosen")
    prefixed.wait_for("chosen")
    assert others.messages() == []


def test_several_groups_are_followed_at_once(aws, tail, function, python):
    aws.create("tailed-too", CODE, python)
    aws.invoke("tailed-too", {"lines": ["before"]})
    aws.wait_for_log("tailed-too", "before")
    both = [arn(function), arn("tailed-too")]
    session = tail(logGroupIdentifiers=both, logEventFilterPattern="here")
    session.start()
    aws.invoke(function, {"lines": ["here 1"]})
    aws.invoke("tailed-too", {"lines": ["here 2"]})
    session.wait_for("here 1")
    session.wait_for("here 2")
    told = {result["message"].strip(): result["logGroupIdentifier"] for result in session.results}
    assert told == {"here 1": both[0], "here 2": both[1]}


def test_more_than_500_lines_a_second_are_sampled(aws, tail, function):
    session = tail(logGroupIdentifiers=[arn(function)], logEventFilterPattern="many")
    session.start()
    aws.invoke(function, {"lines": [f"many {number}" for number in range(3_000)]})
    sampled = lambda: session.gather() or any(  # noqa: E731
        update["sessionMetadata"]["sampled"] for update in session.updates
    )
    eventually(sampled, "an update says that it is a sample")
    assert all(len(update["sessionResults"]) <= 500 for update in session.updates)
    aws.invoke(function, {"lines": ["many at the end"]})
    session.wait_for("at the end")


def test_a_session_without_lines_still_beats(tail, function):
    session = tail(logGroupIdentifiers=[arn(function)], logEventFilterPattern="never")
    session.start()
    eventually(lambda: session.gather() or len(session.updates) >= 2, "two empty updates")
    assert session.results == []


def test_wrong_sessions_are_refused(aws, function):
    plain = aws.client("logs", parameter_validation=False, **PLAIN)

    def check(expected, **asked):
        status, code, _ = aws_refused(plain, **asked)
        assert (status, code) == (400, expected), asked

    group = {"logGroupIdentifiers": [arn(function)]}
    check("InvalidParameterException", logGroupIdentifiers=[])
    check("InvalidParameterException", logGroupIdentifiers=["/aws/lambda/tailed"])
    check("InvalidParameterException", logGroupIdentifiers=[arn(function) + ":*"])
    check("InvalidParameterException", **group, logStreamNames=["a"], logStreamNamePrefixes=["b"])
    check("InvalidParameterException", **group, logEventFilterPattern="{ $.a = ")
    check("ResourceNotFoundException", logGroupIdentifiers=[arn("missing")])
    check("ResourceNotFoundException", logGroupIdentifiers=[arn(function, region="eu-west-1")])
    aws.logs.create_log_group(logGroupName="/aws/lambda/seldom", logGroupClass="INFREQUENT_ACCESS")
    check("InvalidOperationException", logGroupIdentifiers=[arn("seldom")])


def aws_refused(logs, **asked):
    try:
        answer = logs.start_live_tail(**asked)
    except logs.exceptions.ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return status, error.response["Error"]["Code"], error.response["Error"]["Message"]
    answer["responseStream"].close()
    raise AssertionError(f"not refused: {asked}")


def by_hand(server, function, host):
    """The head of the answer to a request for a session, and its connection."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    headers = {
        "Host": host,
        "X-Amz-Target": "Logs_20140328.StartLiveTail",
        "Content-Type": "application/x-amz-json-1.1",
    }
    body = json.dumps({"logGroupIdentifiers": [arn(function)]})
    connection.request("POST", "/", body, headers)
    return connection, connection.getresponse()


def test_the_prefixed_host_is_accepted_and_frames_come_at_once(server, function):
    connection, answer = by_hand(server, function, "stream-logs.localhost")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
    assert answer.headers["transfer-encoding"] == "chunked"
    total, headers = struct.unpack(">II", answer.read(8))
    rest = answer.read(total - 8)
    assert b"initial-response" in rest[4 : 4 + headers]
    assert rest[4 + headers : -4] == b"{}"
    connection.close()


def test_sessions_are_bounded_and_end_with_their_clients(server, function):
    open_ones = []
    while True:
        connection, answer = by_hand(server, function, "localhost")
        if answer.status != 200:
            break
        open_ones.append((connection, answer))
        assert len(open_ones) <= 64
    assert json.loads(answer.read())["__type"] == "LimitExceededException"
    connection.close()
    assert len(open_ones) == 64
    for connection, answer in open_ones:
        answer.close()
        connection.close()

    def free():
        connection, answer = by_hand(server, function, "localhost")
        status = answer.status
        answer.close()
        connection.close()
        return status == 200

    eventually(free, "a session is free again")


def test_a_session_ends_with_the_server(servers, python):
    server = servers().start()
    aws = Aws(server)
    aws.create("ending", CODE, python)
    aws.invoke("ending", {"lines": ["before"]})
    aws.wait_for_log("ending", "before")
    session = Session(aws.client("logs", **PLAIN), logGroupIdentifiers=[arn("ending")])
    session.start()
    server.stop()
    session.thread.join(20)
    assert not session.thread.is_alive()
    assert "SessionStreamingException" in str(session.end), session.end


def test_events_that_a_client_puts_are_told(aws, tail):
    named = {"logGroupName": "put-live", "logStreamName": "s"}
    aws.logs.create_log_group(logGroupName="put-live")
    aws.logs.create_log_stream(**named)
    session = tail(logGroupIdentifiers=["arn:aws:logs:us-east-1:000000000000:log-group:put-live"])
    session.start()
    now = aws.logs.describe_log_groups(logGroupNamePrefix="put-live")["logGroups"][0]["creationTime"]
    aws.logs.put_log_events(**named, logEvents=[{"timestamp": now, "message": "of a client"}])
    assert session.wait_for("of a client") == ["of a client"]
