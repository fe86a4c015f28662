"""Functions and extensions made with AWS's crates for Rust: `lambda_runtime`, `lambda_http` and
`lambda-extension` (`clients/rust`)."""

import base64
import json
import re

import pytest

from harness.code import package
from harness.runtime_clients import rust
from harness.waiting import eventually

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


@pytest.fixture(scope="module")
def function(aws):
    """Creates a function of a program, with the extensions that are named."""

    def create(name, program="function", extensions=(), **more):
        for extension in extensions:
            zipped = package({f"extensions/{extension}": rust(extension)})
            layer = aws.functions.publish_layer_version(
                LayerName=f"{name}-{extension}", Content={"ZipFile": zipped}
            )
            more.setdefault("Layers", []).append(layer["LayerVersionArn"])
        zipped = package({"bootstrap": rust(program)})
        return aws.create(name, zipped, "provided.al2023", "any.thing", Timeout=9, **more)

    return create


def test_lambda_runtime_gives_a_complete_context(aws, function):
    name = function("echo")
    # The crate ends at a client that lacks one of these.
    fields = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")
    client = {"custom": {"k": "v"}, "client": {field: f"its {field}" for field in fields}, "env": {}}
    encoded = base64.b64encode(json.dumps(client).encode()).decode()
    answer = aws.invoke(name, {"a": ["ü", 1.5, None]}, ClientContext=encoded)
    assert answer.error is None, answer
    assert answer.payload["event"] == {"a": ["ü", 1.5, None]}
    context = answer.payload["context"]
    assert context["request_id"] == answer.request_id
    assert context["invoked_function_arn"] == ARN + name
    assert context["client_context"]["custom"] == {"k": "v"}
    assert context["client_context"]["client"]["appTitle"] == "its app_title"
    assert context["env_config"] | {"log_stream": ""} == {
        "function_name": name,
        "memory": 128,
        "version": "$LATEST",
        "log_group": f"/aws/lambda/{name}",
        "log_stream": "",
    }
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", context["env_config"]["log_stream"])
    assert context["deadline"] > 0
    assert f"a line of {answer.request_id}\n" in answer.log
    assert aws.invoke(name, "text").payload["context"]["client_context"] is None


FAILURES = {
    "error": {"errorType": "NoSuchThing", "errorMessage": "there is no such thing"},
    "panic": {"errorMessage": "Lambda panicked: out of luck"},
    "exit": {"errorType": "Runtime.ExitError"},
}


@pytest.mark.parametrize("end", FAILURES)
def test_lambda_runtime_that_fails_is_told_and_the_next_invocation_works(aws, function, end):
    name = function(f"fails-{end}")
    for _ in range(2):
        failed = aws.invoke(name, {"end": end})
        assert (failed.status, failed.error) == (200, "Unhandled")
        assert failed.payload == failed.payload | FAILURES[end]
        assert aws.invoke(name, 1).payload["event"] == 1


def test_lambda_runtime_streams_and_invoke_answers_the_whole_body(aws, function):
    name = function("streams")
    for _ in range(2):
        answer = aws.invoke(name, {"end": "stream"})
        prelude, _, body = answer.body.partition(bytes(8))
        assert (answer.error, body) == (None, b"one two three")
        assert json.loads(prelude)["statusCode"] == 200
    assert aws.invoke(name, 1).payload["event"] == 1


def request_of_api_gateway():
    """The event of an HTTP API, payload format 2.0."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/beds/7",
        "rawQueryString": "name=dormouse",
        "queryStringParameters": {"name": "dormouse"},
        "headers": {"user-agent": "teapot", "content-type": "text/plain", "host": "api.example"},
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "api",
            "domainName": "api.example",
            "domainPrefix": "api",
            "http": {
                "method": "POST",
                "path": "/beds/7",
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "teapot",
            },
            "requestId": "id",
            "routeKey": "$default",
            "stage": "$default",
            "time": "12/Mar/2026:19:03:58 +0000",
            "timeEpoch": 1773342238000,
        },
        "body": base64.b64encode("gute Nacht, Bärchen".encode()).decode(),
        "isBase64Encoded": True,
    }


def test_lambda_http_answers_a_request_of_api_gateway(aws, function):
    name = function("http", "http")
    for _ in range(2):
        answer = aws.invoke(name, request_of_api_gateway())
        assert answer.error is None, answer
        told = answer.payload
        assert (told["statusCode"], told["isBase64Encoded"]) == (201, False)
        assert told["headers"]["x-dormouse"] == "asleep"
        assert json.loads(told["body"]) == {
            "method": "POST",
            "path": "/beds/7",
            "name": "dormouse",
            "agent": "teapot",
            "body": "gute Nacht, Bärchen",
            "request": answer.request_id,
        }


def test_lambda_extension_hears_every_invocation_and_the_end(aws, function):
    name = function("watched", extensions=["events"])
    first, second = aws.invoke(name, 1), aws.invoke(name, 2)
    aws.functions.update_function_configuration(FunctionName=name, MemorySize=256)
    text = aws.wait_for_log(name, "events heard SHUTDOWN spindown")
    lines = text.split("\n")
    assert f"events registered with {name} $LATEST any.thing" in lines
    for answer in (first, second):
        assert f"events heard INVOKE {answer.request_id} {ARN}{name}" in lines


def heard(aws, name, prefix, request_id, last):
    """What an extension printed of what was delivered to it, once it printed the last of a request.

    An environment stands still between its invocations: the next one lets a delivery arrive."""

    def look():
        aws.invoke(name, {}, tail=False)
        text = "".join(message for _, message in aws.log_events(name))
        found = [line.removeprefix(prefix) for line in text.split("\n") if line.startswith(prefix)]
        return found if any(last in line and request_id in line for line in found) else None

    return eventually(look, f"{last} of {request_id}, heard by {prefix!r}", step_s=0.2)


def in_order(wanted, found):
    """Each of the parts is in a line of its own, one after the other."""
    rest = iter(found)
    return all(any(part in line for line in rest) for part in wanted)


def test_the_logs_processor_of_lambda_extension_gets_every_record(aws, function):
    name = function("logs", extensions=["logs"])
    request = aws.invoke(name, 1).request_id
    found = heard(aws, name, "logs heard ", request, "PlatformReport")
    assert 'PlatformLogsSubscription { name: "logs", state: "Subscribed"' in "\n".join(found)
    assert any(line.startswith('PlatformExtension { name: "logs", state: "Ready"') for line in found)
    wanted = (
        f'PlatformStart {{ request_id: "{request}" }}',
        f'Function("a line of {request}\\n")',
        f'PlatformRuntimeDone {{ request_id: "{request}", status: "success" }}',
        f'PlatformEnd {{ request_id: "{request}" }}',
        f'PlatformReport {{ request_id: "{request}", metrics: LogPlatformReportMetrics',
    )
    assert in_order(wanted, found), found
    assert not any("Dropped" in line for line in found), found


def test_the_telemetry_processor_of_lambda_extension_gets_every_event(aws, function):
    name = function("telemetry", extensions=["telemetry"])
    request = aws.invoke(name, 1).request_id
    found = heard(aws, name, "telemetry heard ", request, "platform.report")
    events = [json.loads(line) for line in found]
    kinds = {event["type"] for event in events}
    of_init = {"initStart", "telemetrySubscription", "extension", "initRuntimeDone", "initReport"}
    assert {f"platform.{kind}" for kind in of_init} <= kinds, kinds
    assert "platform.logsDropped" not in kinds, events
    of_request = [event for event in events if request in json.dumps(event)]
    assert [event["type"] for event in of_request] == [
        "platform.start", "function", "platform.runtimeDone", "platform.report",
    ]
    start, line, done, report = (event["record"] for event in of_request)
    assert start["version"] == "$LATEST"
    assert line == f"a line of {request}\n"
    assert (done["status"], report["status"]) == ("success", "success")
    assert report["metrics"]["memorySizeMB"] == 128
