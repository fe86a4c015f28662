"""LoggingConfig: both formats, the levels of both kinds of lines, and records of many lines."""

import json

import pytest

from harness.extensions import lines
from harness.waiting import eventually


def events(aws, name, group=None):
    """The messages of a function's log once its last report is there."""

    def look():
        try:
            found = aws.logs.filter_log_events(logGroupName=group or f"/aws/lambda/{name}")
        except aws.logs.exceptions.ResourceNotFoundException:
            return None
        messages = [event["message"] for event in found["events"]]
        done = any("REPORT " in text or '"platform.report"' in text for text in messages)
        return messages if done else None

    return eventually(look, f"a report of {name}")


def objects(messages):
    return [json.loads(text) for text in messages if text.startswith("{")]


def kinds(messages):
    return [entry["type"] for entry in objects(messages) if "type" in entry]


TALK = """
import logging
log = logging.getLogger()
def handler(event, context):
    for level in ("debug", "info", "warning", "error"):
        getattr(log, level)("said %s\\nin two lines", level)
    print("plain")
    if event.get("fail"):
        raise ValueError("x")
    return "ok"
"""


def test_the_platform_speaks_json_when_asked(aws, python):
    name = aws.create("json", TALK, python, LoggingConfig={"LogFormat": "JSON"})
    answer = aws.invoke(name, {})
    messages = events(aws, name)
    assert kinds(messages) == ["platform.initStart", "platform.start", "platform.report"]
    report = objects(messages)[-1]["record"]
    assert report["requestId"] == answer.request_id and report["status"] == "success"
    assert {"durationMs", "billedDurationMs", "memorySizeMB", "maxMemoryUsedMB", "initDurationMs"} == set(
        report["metrics"]
    )
    assert not any(text.startswith(("START", "END", "REPORT", "INIT_START")) for text in messages)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (
            "DEBUG",
            ["initStart", "initRuntimeDone", "initReport", "start", "runtimeDone", "report"],
        ),
        ("INFO", ["initStart", "start", "report"]),
        ("WARN", []),
    ],
)
def test_system_levels_choose_among_the_platform_s_lines(aws, python, level, expected):
    config = {"LogFormat": "JSON", "SystemLogLevel": level}
    name = aws.create(f"system-{level.lower()}", TALK, python, LoggingConfig=config)
    answer = aws.invoke(name, {})
    # What is kept of an invocation is in its tail, too, where nothing has to be waited for.
    tail = [json.loads(line) for line in answer.log.splitlines() if line.startswith('{"time"')]
    kept = {f"platform.{kind}" for kind in expected if not kind.startswith("init")}
    assert {entry["type"] for entry in tail} == kept
    if expected:
        assert kinds(events(aws, name)) == [f"platform.{kind}" for kind in expected]


def test_failures_are_told_at_the_level_of_warnings(aws, python):
    config = {"LogFormat": "JSON", "SystemLogLevel": "WARN"}
    code = "import os\ndef handler(event, context): os._exit(2)\n"
    name = aws.create("warned", code, python, LoggingConfig=config)
    answer = aws.invoke(name, {})
    assert answer.error == "Unhandled"
    found = {entry["type"]: entry["record"] for entry in objects(events(aws, name))}
    done, report = found["platform.runtimeDone"], found["platform.report"]
    assert (done["status"], done["errorType"]) == ("error", "Runtime.ExitError")
    assert (report["status"], report["errorType"]) == ("error", "Runtime.ExitError")
    assert "platform.start" not in found


@pytest.mark.parametrize(
    ("level", "expected"),
    [("DEBUG", "debug info warning error"), ("WARN", "warning error"), ("ERROR", "error")],
)
def test_application_levels_choose_among_the_function_s_lines(aws, python, level, expected):
    config = {"LogFormat": "JSON", "ApplicationLogLevel": level}
    name = aws.create(f"application-{level.lower()}", TALK, python, LoggingConfig=config)
    aws.invoke(name, {})
    said = [entry for entry in objects(events(aws, name)) if "message" in entry]
    assert [entry["message"].split()[1] for entry in said] == expected.split()
    assert all(entry["message"].endswith("in two lines") for entry in said)


def test_lines_of_custom_runtimes_are_chosen_by_their_own_level(aws):
    bootstrap = """#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
while true; do
  id=$(curl -sD - -o /dev/null "$api/invocation/next" | tr -d '\\r' | sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: //p')
  echo '{"level":"DEBUG","message":"quiet"}'
  echo '{"level":"ERROR","message":"loud"}'
  echo 'no object'
  echo "format $AWS_LAMBDA_LOG_FORMAT level $AWS_LAMBDA_LOG_LEVEL fd $_LAMBDA_TELEMETRY_LOG_FD"
  curl -s -d '"ok"' "$api/invocation/$id/response"
done
"""
    config = {"LogFormat": "JSON", "ApplicationLogLevel": "INFO"}
    name = aws.create(
        "custom", {"bootstrap": bootstrap}, "provided.al2023", "x.y", LoggingConfig=config
    )
    assert aws.invoke(name, {}).payload == "ok"
    messages = events(aws, name)
    assert '{"level":"ERROR","message":"loud"}\n' in messages and "no object\n" in messages
    assert not any("quiet" in text for text in messages)
    assert "format JSON level INFO fd \n" in messages


def test_a_record_of_many_lines_is_one_event_in_text_too(aws, python, node):
    name = aws.create("lines", TALK, python)
    aws.invoke(name, {})
    messages = events(aws, name)
    (warning,) = [text for text in messages if "said warning" in text]
    assert warning.startswith("[WARNING]") and warning.rstrip("\n").endswith("in two lines")
    script = "exports.handler = async () => { console.error('a\\nb'); return 'ok'; };"
    other = aws.create("node-lines", {"index.js": script}, node, "index.handler")
    aws.invoke(other, {})
    (error,) = [text for text in events(aws, other) if "\tERROR\t" in text]
    assert error.rstrip("\n").endswith("a\nb")


def test_a_traceback_is_one_event(aws, python):
    name = aws.create("traceback", TALK, python)
    assert aws.invoke(name, {"fail": True}).error == "Unhandled"
    (text,) = [text for text in events(aws, name) if "Traceback" in text]
    assert text.startswith("[ERROR] ValueError: x") and "app.py" in text


def test_a_group_of_the_user_s_own(aws, python):
    config = {"LogFormat": "JSON", "LogGroup": "/mine/all"}
    name = aws.create("grouped", TALK, python, LoggingConfig=config)
    aws.invoke(name, {})
    assert "platform.report" in kinds(events(aws, name, "/mine/all"))
    assert lines(aws, name) == []
