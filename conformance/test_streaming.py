"""InvokeWithResponseStream: pieces arrive as the function writes them, and every stream ends with a
word on how it went."""

import base64
import concurrent.futures
import dataclasses
import http.client
import json
import re
import signal
import time

import pytest

from harness.clients import Aws
from harness.waiting import eventually

MIB = 1 << 20
PATH = "/2021-11-15/functions/{}/response-streaming-invocations"

# One program for many tests: the event is a list of steps. A gate is a log group: the function waits
# until the test has made it, and the test makes it when it has read what was written before.
KIT = """
const http = require('http');
let calls = 0;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

const ask = (body) => new Promise((done, failed) => {
  const headers = { 'X-Amz-Target': 'Logs_20140328.DescribeLogGroups', 'Content-Type': 'application/x-amz-json-1.1' };
  const request = http.request(process.env.AWS_ENDPOINT_URL, { method: 'POST', headers }, (answer) => {
    let text = '';
    answer.on('data', (piece) => { text += piece; });
    answer.on('end', () => done(JSON.parse(text)));
  });
  request.on('error', failed);
  request.end(JSON.stringify(body));
});

const opened = async (gate) => {
  while ((await ask({ logGroupNamePrefix: gate })).logGroups.length === 0) await pause(10);
};

const fill = async (stream, bytes) => {
  for (let left = bytes; left > 0; left -= 65536) {
    if (!stream.write(Buffer.alloc(Math.min(left, 65536), 'x'))) {
      await new Promise((done) => stream.once('drain', done));
    }
  }
};

exports.handler = awslambda.streamifyResponse(async (steps, stream, context) => {
  calls += 1;
  for (const [what, value] of steps) {
    if (what === 'write') stream.write(value);
    if (what === 'tell') stream.write(JSON.stringify({ calls, stream: context.logStreamName }));
    if (what === 'gate') await opened(value);
    if (what === 'log') console.log(value);
    if (what === 'fill') await fill(stream, value);
    if (what === 'pause') await pause(value);
    if (what === 'throw') throw new TypeError(value);
    if (what === 'exit') process.exit(value);
    if (what === 'kill') process.kill(process.pid, value);
    if (what === 'prelude') stream = awslambda.HttpResponseStream.from(stream, value);
  }
  stream.end();
});
"""


@dataclasses.dataclass(frozen=True)
class Streamed:
    """A stream that has been read to its end."""

    chunks: list
    complete: dict

    @property
    def body(self):
        return b"".join(self.chunks)

    @property
    def error(self):
        return self.complete.get("ErrorCode")

    @property
    def details(self):
        return json.loads(self.complete["ErrorDetails"])

    @property
    def log(self):
        return base64.b64decode(self.complete["LogResult"]).decode()


def begin(aws, name, event=None, **more):
    """An answer whose stream has not been read."""
    body = b"" if event is None else json.dumps(event).encode()
    return aws.functions.invoke_with_response_stream(FunctionName=name, Payload=body, **more)


def end(events):
    """Reads the rest of a stream: any number of chunks, then one end, then nothing."""
    *chunks, last = list(events)
    assert all(list(chunk) == ["PayloadChunk"] for chunk in chunks), chunks
    assert list(last) == ["InvokeComplete"], last
    return Streamed([chunk["PayloadChunk"]["Payload"] for chunk in chunks], last["InvokeComplete"])


def stream(aws, name, event=None, **more):
    return end(begin(aws, name, event, **more)["EventStream"])


def first(answer, expected):
    """Reads one chunk; the iterator of the rest."""
    events = iter(answer["EventStream"])
    assert next(events) == {"PayloadChunk": {"Payload": expected}}
    return events


def tell(aws, name):
    """Which environment answers, and how often its process has been called.

    The tail makes it wait for the report: whoever comes next then finds this environment free."""
    told = stream(aws, name, [["tell"]], LogType="Tail")
    assert told.error is None, told
    return json.loads(told.body)


@pytest.fixture(scope="module")
def kit(aws, node):
    return aws.create("kit", {"index.js": KIT}, node, handler="index.handler", Timeout=30, MemorySize=256)


@pytest.fixture
def gate(aws, request):
    """A gate's name, and what opens it."""
    name = f"/gate/{request.node.name}"
    return name, lambda: aws.logs.create_log_group(logGroupName=name)


# --- Pieces -----------------------------------------------------------------------------------


def test_each_chunk_arrives_before_the_next_is_written(aws, kit, gate):
    name, open_gate = gate
    answer = begin(aws, kit, [["write", "o"], ["gate", name], ["write", "pen"], ["tell"]])
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
    events = first(answer, b"o")
    open_gate()
    rest = end(events)
    assert rest.body.startswith(b'pen{"calls":') and rest.error is None


def test_the_answer_is_chunked_and_has_the_headers_of_lambda(server, kit):
    trace = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700"
    headers = {"X-Amzn-Trace-Id": trace}
    body = json.dumps([["write", "hello"]])
    status, headers, body = server.request("POST", PATH.format(kit), body, headers)
    headers = {name.lower(): value for name, value in headers.items()}
    assert status == 200
    assert headers["content-type"] == "application/vnd.amazon.eventstream"
    assert headers["transfer-encoding"] == "chunked" and "content-length" not in headers
    assert headers["x-amz-executed-version"] == "$LATEST"
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", headers["x-amzn-requestid"])
    assert headers["x-amzn-trace-id"].startswith(trace)
    assert "x-amz-function-error" not in headers
    assert b":event-type\x07\x00\x0cPayloadChunk" in body
    assert b":content-type\x07\x00\x18application/octet-stream" in body
    assert b":event-type\x07\x00\x0eInvokeComplete" in body
    assert b":content-type\x07\x00\x10application/json" in body


def test_streams_of_many_callers_are_never_mixed_up(aws, node, gate):
    name, open_gate = gate
    crowd = aws.create("crowd", {"index.js": KIT}, node, handler="index.handler", Timeout=30, MemorySize=256)
    callers = [f"caller {number} " for number in range(4)]
    with concurrent.futures.ThreadPoolExecutor(len(callers)) as pool:
        begun = pool.map(lambda me: begin(aws, crowd, [["write", me], ["gate", name], ["write", me]]), callers)
        streams = [first(answer, me.encode()) for me, answer in zip(callers, begun, strict=True)]
    # All are in the middle now, each in an environment of its own.
    open_gate()
    for me, events in zip(callers, streams, strict=True):
        assert end(events).body == me.encode()


def test_a_response_may_be_larger_than_a_buffered_one_but_not_faster_than_the_bandwidth(aws, kit):
    burst, size = 6 * MIB, 10 * MIB
    answer = begin(aws, kit, [["fill", size]])
    received, burst_s, began = 0, 0.0, time.monotonic()
    for event in answer["EventStream"]:
        chunk = event.get("PayloadChunk", {}).get("Payload", b"")
        received += len(chunk)
        if received <= burst:
            burst_s = time.monotonic() - began
    took_s = time.monotonic() - began
    assert list(event) == ["InvokeComplete"] and event["InvokeComplete"] == {}
    assert received == size
    # 6 MiB at once, the other four at 2 MiB a second.
    assert took_s >= 1.9
    assert burst_s < took_s / 2


def test_http_integration_is_passed_through(aws, kit):
    prelude = {"statusCode": 418, "headers": {"X-Tea": "yes"}, "cookies": ["a=b"]}
    got = stream(aws, kit, [["prelude", prelude], ["write", "short and stout"]])
    head, body = got.body.split(b"\0" * 8)
    assert json.loads(head) == prelude
    assert body == b"short and stout"


# --- Ends -------------------------------------------------------------------------------------


def test_an_error_behind_the_first_byte_comes_at_the_end(aws, kit):
    got = stream(aws, kit, [["write", "so far"], ["throw", "so bad"]])
    assert got.chunks == [b"so far"]
    assert got.error == "TypeError"
    assert (got.details["errorType"], got.details["errorMessage"]) == ("TypeError", "so bad")
    assert tell(aws, kit)["calls"] > 1, "the process lives on"


def test_an_error_before_the_first_byte_is_an_end_without_chunks(aws, kit):
    got = stream(aws, kit, [["throw", "at once"]])
    assert got.chunks == []
    assert got.error == "TypeError" and got.details["errorMessage"] == "at once"


def until(aws, function, phase):
    """Waits until its one environment is there: who calls before may get another one."""
    is_so = lambda: [life["phase"] for life in aws.server.lives(function)] == [phase]
    eventually(is_so, f"the environment of {function} is {phase}")


def test_an_exit_in_the_middle_is_named(aws, node, gate):
    function = aws.create("exits", {"index.js": KIT}, node, handler="index.handler", Timeout=30)
    before = tell(aws, function)
    until(aws, function, "frozen")
    name, open_gate = gate
    steps = [["write", "a"], ["gate", name], ["exit", 3]]
    events = first(begin(aws, function, steps, LogType="Tail"), b"a")
    open_gate()
    got = end(events)
    assert got.error == "Runtime.ExitError"
    assert got.details["errorType"] == "Runtime.ExitError"
    assert got.details["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")
    assert "Error Type: Runtime.ExitError" in got.log
    # The same environment, with a new process.
    until(aws, function, "cold")
    assert tell(aws, function) == {"calls": 1, "stream": before["stream"]}


def test_a_process_that_is_killed_in_the_middle_is_named(aws, node, gate):
    function = aws.create("killed", {"index.js": KIT}, node, handler="index.handler", Timeout=30)
    name, open_gate = gate
    steps = [["write", "a"], ["gate", name], ["kill", "SIGKILL"], ["pause", 9999]]
    events = first(begin(aws, function, steps, LogType="Tail"), b"a")
    open_gate()
    got = end(events)
    assert got.error == "Runtime.ExitError"
    assert got.details["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
    until(aws, function, "cold")
    assert tell(aws, function)["calls"] == 1


def test_a_timeout_in_the_middle_is_named(aws, node):
    name = aws.create("late", {"index.js": KIT}, node, handler="index.handler", Timeout=1, MemorySize=512)
    before = tell(aws, name)
    until(aws, name, "frozen")
    got = stream(aws, name, [["write", "in time"], ["pause", 9999]], LogType="Tail")
    assert got.chunks == [b"in time"]
    assert got.error == "Sandbox.Timedout"
    assert got.details["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert "Status: timeout" in got.log
    until(aws, name, "cold")
    assert tell(aws, name) == {"calls": 1, "stream": before["stream"]}


def test_the_tail_comes_with_the_end_if_it_was_asked_for(aws, kit):
    answer = begin(aws, kit, [["write", "a"], ["log", "a line of mine"]], LogType="Tail")
    request = answer["ResponseMetadata"]["RequestId"]
    got = end(answer["EventStream"])
    lines = got.log.splitlines()
    assert lines[0] == f"START RequestId: {request} Version: $LATEST"
    assert "a line of mine" in lines[1]
    assert lines[-1].startswith(f"REPORT RequestId: {request}\t")
    assert stream(aws, kit, [["write", "a"]], LogType="None").complete == {}


def test_a_client_that_hangs_up_in_the_middle_does_not_end_the_function(aws, server, node, gate):
    kit = aws.create("alone", {"index.js": KIT}, node, handler="index.handler", Timeout=30, MemorySize=256)
    before = tell(aws, kit)
    name, open_gate = gate
    steps = [["write", "first"], ["gate", name], ["fill", 20 * MIB], ["log", "nobody listened"]]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", PATH.format(kit), json.dumps(steps))
    answer = connection.getresponse()
    request = answer.headers["x-amzn-requestid"]
    assert b"first" in answer.read1(4096)
    answer.close()
    connection.close()
    open_gate()
    log = aws.wait_for_log(kit, f"REPORT RequestId: {request}")
    report = next(line for line in log.splitlines() if line.startswith(f"REPORT RequestId: {request}"))
    assert "nobody listened" in log
    assert "Status:" not in report, report
    assert tell(aws, kit) == {"calls": before["calls"] + 2, "stream": before["stream"]}


# --- Who streams and who does not -------------------------------------------------------------

BUFFERED = """
def handler(event, context):
    if event == "fail":
        raise ValueError("not today")
    if event == "exit":
        import os
        os._exit(4)
    return "x" * (event["bytes"] - 2) if event and "bytes" in event else event
"""


@pytest.fixture(scope="module")
def buffered(aws, python):
    return aws.create("buffered", BUFFERED, python)


def test_a_function_that_does_not_stream_is_one_chunk(aws, buffered):
    assert stream(aws, buffered, [1, 2]) == Streamed([b"[1, 2]"], {})
    assert stream(aws, buffered) == Streamed([b"{}"], {}), "nothing sent stands for {}"
    large = stream(aws, buffered, {"bytes": 6 * MIB})
    assert [len(chunk) for chunk in large.chunks] == [6 * MIB] and large.complete == {}
    tail = stream(aws, buffered, [], LogType="Tail")
    assert tail.log.startswith("START RequestId: ") and "REPORT" in tail.log


def test_a_failure_of_a_function_that_does_not_stream_is_unhandled(aws, buffered):
    failed = stream(aws, buffered, "fail")
    assert (failed.chunks, failed.error) == ([], "Unhandled")
    assert (failed.details["errorType"], failed.details["errorMessage"]) == ("ValueError", "not today")
    exited = stream(aws, buffered, "exit")
    assert (exited.chunks, exited.error) == ([], "Unhandled")
    assert exited.details["errorType"] == "Runtime.ExitError"
    large = stream(aws, buffered, {"bytes": 7 * MIB})
    assert (large.chunks, large.error) == ([], "Unhandled")
    assert large.details["errorType"] == "Function.ResponseSizeTooLarge"


def test_invoke_gets_whole_what_a_function_streams(aws, kit):
    got = aws.invoke(kit, [["write", "one"], ["write", "two"]])
    assert (got.status, got.error, got.body) == (200, None, b"onetwo")
    exact = aws.invoke(kit, [["fill", 6 * MIB]])
    assert exact.error is None and len(exact.body) == 6 * MIB
    large = aws.invoke(kit, [["fill", 7 * MIB]])
    assert large.error == "Unhandled"
    assert large.payload["errorType"] == "Function.ResponseSizeTooLarge"
    assert tell(aws, kit)["calls"] > 1


# --- A runtime of one's own -------------------------------------------------------------------

BOOTSTRAP = r"""#!/bin/bash
export LC_ALL=C
host=${AWS_LAMBDA_RUNTIME_API%:*} port=${AWS_LAMBDA_RUNTIME_API#*:}
base=/2018-06-01/runtime/invocation
open() { exec 3<>"/dev/tcp/$host/$port"; }
head() { printf 'POST %s/%s/response HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%b\r\n' "$base" "$id" "$host" "$1" >&3; }
streaming='Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n'
chunk() { printf '%x\r\n%s\r\n' "${#1}" "$1" >&3; }
while true; do
  open
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
  # Its last answer is not over yet.
  [ -z "$id" ] && continue
  open
  case $event in
    '"trailers"')
      head "${streaming}Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n"
      chunk 'some'
      printf '0\r\nLambda-Runtime-Function-Error-Type: Function.Mine\r\n' >&3
      printf 'Lambda-Runtime-Function-Error-Body: eyJlcnJvclR5cGUiOiJNaW5lIn0=\r\n\r\n' >&3 ;;
    '"truncated"')
      head "$streaming"
      chunk 'some'
      exec 3>&-
      continue ;;
    '"nothing streamed"') head "$streaming"; printf '0\r\n\r\n' >&3 ;;
    '"nothing"') head 'Content-Length: 0\r\n' ;;
    '"mode"') head 'Lambda-Runtime-Function-Response-Mode: drip\r\nContent-Length: 2\r\n'; printf '{}' >&3 ;;
    *)
      head "$streaming"
      chunk 'echo '
      chunk "$event"
      printf '0\r\n\r\n' >&3 ;;
  esac
  cat <&3 >/dev/null
  exec 3>&-
done
"""


@pytest.fixture(scope="module")
def bash(aws):
    return aws.create("bash", {"bootstrap": BOOTSTRAP}, "provided.al2023", handler="any.thing")


def test_a_shell_script_streams(aws, bash):
    got = stream(aws, bash, {"a": 1})
    assert (got.body, got.complete) == (b'echo {"a": 1}', {})


def test_error_trailers_of_a_custom_runtime_are_passed_on(aws, bash):
    got = stream(aws, bash, "trailers")
    assert got.body == b"some"
    assert got.complete == {"ErrorCode": "Function.Mine", "ErrorDetails": '{"errorType":"Mine"}'}


def test_a_stream_that_breaks_off_is_truncated(aws, bash):
    got = stream(aws, bash, "truncated")
    assert got.error == "Runtime.TruncatedResponse"
    assert got.details["errorType"] == "Runtime.TruncatedResponse"
    assert got.body == b"some"
    assert stream(aws, bash, 1).body == b"echo 1"


def test_an_empty_response_has_no_chunk(aws, bash):
    for event in ("nothing", "nothing streamed"):
        assert stream(aws, bash, event) == Streamed([], {}), event


def test_a_mode_that_does_not_exist_is_an_error(aws, bash):
    got = stream(aws, bash, "mode")
    assert (got.chunks, got.error) == ([], "Unhandled")
    assert got.details["errorType"] == "Runtime.InvalidResponseModeHeader"


# --- Requests ---------------------------------------------------------------------------------


def test_a_dry_run_runs_nothing(aws, server, node):
    name = aws.create("dry", {"index.js": KIT}, node, handler="index.handler")
    answer = begin(aws, name, [], InvocationType="DryRun")
    assert answer["StatusCode"] == 204
    assert list(answer["EventStream"]) == []
    assert server.lives(name) == []


def test_wrong_requests_are_refused_as_for_invoke(aws, kit):
    def refused(**arguments):
        return aws.refused("lambda", "invoke_with_response_stream", **({"FunctionName": kit} | arguments))

    arn = "arn:aws:lambda:us-east-1:000000000000:function:"
    status, code, text = refused(FunctionName="nobody")
    assert (status, code, text) == (404, "ResourceNotFoundException", f"Function not found: {arn}nobody")
    status, code, text = refused(InvocationType="Event")
    assert (status, code) == (400, "ValidationException")
    assert text.endswith("Member must satisfy enum value set: [RequestResponse, DryRun]")
    status, code, _ = refused(LogType="Head")
    assert (status, code) == (400, "ValidationException")
    status, code, text = refused(Payload=b"{")
    assert (status, code) == (400, "InvalidRequestContentException")
    assert text.startswith("Could not parse request body into json")
    status, code, text = refused(Payload=b" " * (6 * MIB + 1))
    assert (status, code) == (413, "RequestTooLargeException")
    status, code, _ = refused(ClientContext="*")
    assert (status, code) == (400, "InvalidRequestContentException")
    status, code, _ = refused(Qualifier="7")
    assert (status, code) == (404, "ResourceNotFoundException")


# --- The end of the server --------------------------------------------------------------------


def streaming_server(servers, node, *flags):
    server = servers(*flags).start()
    aws = Aws(server)
    aws.create("kit", {"index.js": KIT}, node, handler="index.handler", Timeout=300, MemorySize=256)
    return server, aws


def test_a_stopping_server_lets_a_stream_finish(servers, node):
    server, aws = streaming_server(servers, node)
    events = first(begin(aws, "kit", [["write", "a"], ["pause", 1000], ["write", "b"]]), b"a")
    server.signal(signal.SIGTERM)
    assert end(events) == Streamed([b"b"], {})
    assert server.wait() == 0


def test_a_stream_that_a_stopping_server_cannot_wait_for_ends_with_a_word(servers, node):
    server, aws = streaming_server(servers, node)
    events = first(begin(aws, "kit", [["write", "a"], ["pause", 200_000]]), b"a")
    server.signal(signal.SIGTERM)
    eventually(lambda: "stopping" in server.log(), "the first signal was heard")
    server.signal(signal.SIGTERM)
    got = end(events)
    assert (got.chunks, got.error) == ([], "Sandbox.Failure")
    assert got.details["errorMessage"].endswith("Error: The server is shutting down")
    assert server.wait(15) == 0


def test_a_client_that_does_not_read_does_not_keep_the_server(servers, node):
    server, aws = streaming_server(servers, node, "--drain-timeout", "1")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", PATH.format("kit"), json.dumps([["fill", 100 * MIB]]))
    connection.getresponse()
    server.signal(signal.SIGTERM)
    assert server.wait(15) == 0
    connection.close()
