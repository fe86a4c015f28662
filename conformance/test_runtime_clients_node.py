"""AWS's runtime client for Node, npm's `aws-lambda-ric`: in the place of our own in a managed runtime,
and as the program of a custom one."""

import base64
import json
import re

import pytest

from harness.code import package
from harness.runtime_clients import node_modules

# The first test installs the client, which compiles curl.
pytestmark = pytest.mark.timeout(900)

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
PLACES = ("managed", "custom")
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"

# As the wrapper of a managed runtime it passes over the command line of our own client.
PROGRAM = """#!/bin/sh
exec {node} /var/task/node_modules/aws-lambda-ric/index.mjs "$_HANDLER"
"""

HANDLERS = """
let count = 0;

exports.echo = async (event, context) => ({
  event, count: ++count, name: context.functionName, version: context.functionVersion,
  arn: context.invokedFunctionArn, memory: context.memoryLimitInMB, request: context.awsRequestId,
  group: context.logGroupName, stream: context.logStreamName, client: context.clientContext,
  remaining: context.getRemainingTimeInMillis(),
});
exports.plain = (event) => ({ plain: event });
exports.nothing = async () => undefined;
exports.later = (event) => new Promise((resolve) => setImmediate(() => resolve({ later: event })));
exports.circle = async () => { const it = {}; it.it = it; return it; };
exports.throws = async () => { throw new TypeError("no such thing"); };
exports.throwsText = async () => { throw "just text"; };
exports.exits = async (event) => (event.exit ? process.exit(7) : exports.echo(event, {
  getRemainingTimeInMillis: () => 0, logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
}));
exports.logs = async (event, context) => {
  console.log("two\\nlines of %s", context.awsRequestId);
  console.error(new RangeError("too far"));
  console.debug({ deep: [1] });
};
exports.stream = awslambda.streamifyResponse(async (event, stream) => {
  for (const piece of ["one ", "two ", "three"]) stream.write(piece);
  stream.end();
  await new Promise((resolve) => stream.on("finish", resolve));
});
exports.http = awslambda.streamifyResponse(async (event, stream) => {
  const http = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { a: "b" } });
  http.write("a body");
  http.end();
});
exports.broken = awslambda.streamifyResponse(async (event, stream) => {
  stream.write("half of");
  throw new Error("in the middle");
});
"""

# Fails on its first start in an environment; `/tmp` outlives the second.
FAILS_ONCE = """
const fs = require("node:fs");
if (!fs.existsSync("/tmp/started")) {
  fs.writeFileSync("/tmp/started", "");
  throw new Error("not yet");
}
exports.handler = async () => "at last";
"""


@pytest.fixture(scope="module")
def interpreter(aws, node):
    """Where Node is, as functions see it."""
    code = "exports.handler = async () => process.execPath;\n"
    return aws.invoke(aws.create("interpreter", {"app.js": code}, node)).payload


@pytest.fixture(scope="module")
def function(aws, node, interpreter):
    """Creates functions that aws-lambda-ric runs, in the managed runtime unless it is said."""

    def create(name, handler, code=HANDLERS, place="managed", **more):
        settings = {"Timeout": 9, "MemorySize": 256, **more}
        program = {"bootstrap": PROGRAM.format(node=interpreter)}
        zipped = package(node_modules() | program | {"app.js": code})
        if place == "managed":
            variables = {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/bootstrap"}
            settings |= {"Environment": {"Variables": variables}}
            return aws.create(name, zipped, node, handler=handler, **settings)
        if not interpreter.startswith("/usr/"):
            pytest.skip(f"a custom runtime does not see {interpreter}, only a Node below /usr")
        return aws.create(name, zipped, "provided.al2023", handler=handler, **settings)

    return create


@pytest.mark.parametrize("place", PLACES)
def test_aws_lambda_ric_gives_a_complete_context(aws, function, place):
    name = function(f"echo-{place}", "app.echo", place=place)
    client = {"custom": {"k": "v"}, "client": {"app_title": "t"}, "env": {}}
    encoded = base64.b64encode(json.dumps(client).encode()).decode()
    answer = aws.invoke(name, {"a": ["ü", 1.5, None]}, ClientContext=encoded)
    assert answer.error is None, answer
    told = answer.payload
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", told.pop("stream"))
    assert 7000 < told.pop("remaining") <= 9000
    assert told == {
        "event": {"a": ["ü", 1.5, None]},
        "count": 1,
        "name": name,
        "version": "$LATEST",
        "arn": ARN + name,
        "memory": "256",
        "request": answer.request_id,
        "group": f"/aws/lambda/{name}",
        "client": client,
    }
    again = aws.invoke(name, "text").payload
    assert (again["event"], again["count"], "client" in again) == ("text", 2, False)


ANSWERS = {
    "plain": ({"n": 1}, {"plain": {"n": 1}}),
    "nothing": ({}, None),
    "later": ([1, 2], {"later": [1, 2]}),
}


@pytest.mark.parametrize("style", ANSWERS)
def test_aws_lambda_ric_runs_handlers_of_every_style(aws, function, style):
    event, expected = ANSWERS[style]
    name = function(f"style-{style}", f"app.{style}")
    for _ in range(2):
        answer = aws.invoke(name, event)
        assert (answer.error, answer.payload) == (None, expected)


FAILURES = {
    "throws": {"errorType": "TypeError", "errorMessage": "no such thing"},
    "throwsText": {"errorType": "string", "errorMessage": "just text", "trace": []},
    "circle": {
        "errorType": "Runtime.JSONStringifyError",
        "errorMessage": "Unable to stringify response body",
    },
}


@pytest.mark.parametrize("how", FAILURES)
def test_aws_lambda_ric_reports_what_is_thrown(aws, function, how):
    name = function(f"fails-{how.lower()}", f"app.{how}")
    answer = aws.invoke(name, {})
    assert (answer.status, answer.error) == (200, "Unhandled")
    told = answer.payload
    assert set(told) == {"errorType", "errorMessage", "trace"}
    assert told == told | FAILURES[how]
    assert f"\t{answer.request_id}\tERROR\tInvoke Error \t{{" in answer.log


def test_aws_lambda_ric_that_exits_is_started_anew_in_its_environment(aws, function):
    name = function("exits", "app.exits")
    first = aws.invoke(name, {}).payload
    gone = aws.invoke(name, {"exit": True})
    assert (gone.error, gone.payload["errorType"]) == ("Unhandled", "Runtime.ExitError")
    assert "exit status 7" in gone.payload["errorMessage"]
    second = aws.invoke(name, {})
    assert (first["count"], second.payload["count"]) == (1, 1)
    assert second.payload["stream"] == first["stream"]


STREAMS = {
    "stream": b"one two three",
    "http": b'{"statusCode":201,"headers":{"a":"b"}}' + bytes(8) + b"a body",
}


@pytest.mark.parametrize("handler", STREAMS)
def test_aws_lambda_ric_streams_and_invoke_answers_the_whole_body(aws, function, handler):
    name = function(f"streams-{handler}", f"app.{handler}")
    for _ in range(2):
        answer = aws.invoke(name, {})
        assert (answer.error, answer.body) == (None, STREAMS[handler])


def test_aws_lambda_ric_that_fails_in_the_middle_of_a_stream_goes_on(aws, function):
    name = function("breaks", "app.broken")
    for _ in range(2):
        answer = aws.invoke(name, {})
        assert answer.body == b"half of"
        assert "\tERROR\tInvoke Error \t{" in answer.log and "in the middle" in answer.log


INIT_ERRORS = {
    "nowhere.handler": ("Runtime.ImportModuleError", "Cannot find module 'nowhere'"),
    "app.missing": ("Runtime.HandlerNotFound", "app.missing is undefined or not exported"),
    "app": ("Runtime.MalformedHandlerName", "Bad handler"),
}


@pytest.mark.parametrize("handler", INIT_ERRORS)
def test_aws_lambda_ric_that_cannot_load_its_handler_fails_init(aws, function, handler):
    error_type, message = INIT_ERRORS[handler]
    name = function(f"init-{handler.replace('.', '-')}", handler)
    answer = aws.invoke(name, {})
    assert (answer.status, answer.error) == (200, "Unhandled")
    assert answer.payload["errorType"] == error_type
    assert message in answer.payload["errorMessage"]
    text = aws.wait_for_log(name, "Phase: invoke")
    reports = re.findall(r"INIT_REPORT Init Duration: [\d.]+ ms\t(Phase: \w+)\tStatus: error", text)
    assert reports == ["Phase: init", "Phase: invoke"]


def test_aws_lambda_ric_that_fails_its_first_init_answers_after_the_second(aws, function):
    name = function("fails-once", "app.handler", FAILS_ONCE)
    answer = aws.invoke(name, {})
    assert (answer.error, answer.payload) == (None, "at last")
    assert "Init Duration" not in answer.log
    text = aws.wait_for_log(name, "Phase: init")
    assert re.search(rf"{TIME}\t(undefined|-)\tERROR\tInit Error \t{{.*not yet", text)


@pytest.mark.parametrize("place", PLACES)
def test_aws_lambda_ric_writes_its_lines_of_text(aws, function, place):
    name = function(f"logs-{place}", "app.logs", place=place)
    answer = aws.invoke(name, {})
    request = answer.request_id
    # A record of many lines has them apart by \n where it is framed, and by \r where it is not.
    for level, message in (
        ("INFO", rf"two[\r\n]lines of {request}"),
        ("ERROR", r"RangeError: too far[\r\n]    at .*"),
        ("DEBUG", r"\{ deep: \[ 1 \] \}"),
    ):
        wanted = rf"(?m)^{TIME}\t{request}\t{level}\t{message}$"
        assert re.search(wanted, answer.log), (wanted, answer.log)


def test_aws_lambda_ric_writes_its_records_of_json(aws, function):
    logging = {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG"}
    name = function("logs-json", "app.logs", LoggingConfig=logging)
    answer = aws.invoke(name, {})
    text = aws.wait_for_log(name, '"DEBUG"')
    records = [json.loads(line) for line in text.split("\n") if '"level"' in line]
    request = {"requestId": answer.request_id}
    told = [{key: value for key, value in it.items() if key != "timestamp"} for it in records]
    assert told[0] == {"level": "INFO", "message": f"two\nlines of {answer.request_id}", **request}
    assert told[1]["message"]["errorType"] == "RangeError"
    assert told[2] == {"level": "DEBUG", "message": {"deep": [1]}, **request}
