"""Runtime clients of AWS as they are published, in the place of our own."""

import importlib.metadata
import json
import sys

import pytest

from harness.code import package
from harness.runtimes import table

# Started instead of our bootstrap, with our bootstrap's command line, which it passes over.
WRAPPER = """#!{interpreter}
import os, sys
os.execv(sys.executable, [sys.executable, "-m", "awslambdaric", os.environ["_HANDLER"]])
"""

HANDLER = """
import sys, time

def handler(event, context):
    if event == "raise":
        raise ValueError("no such thing")
    if event == "exit":
        sys.exit(1)
    if event == "slow":
        time.sleep(60)
    print("a line of", context.aws_request_id)
    return {
        "client": "awslambdaric" in sys.modules,
        "event": event,
        "function": context.function_name,
        "version": context.function_version,
        "memory": context.memory_limit_in_mb,
        "arn": context.invoked_function_arn,
        "left": 0 < context.get_remaining_time_in_millis() <= 5000,
    }
"""


def files_of(*names):
    """The files of installed distributions, by their place in a package."""
    files = {}
    for name in names:
        distribution = importlib.metadata.distribution(name)
        for file in distribution.files:
            if ".." not in file.parts and file.suffix != ".pyc":
                files[str(file)] = file.locate().read_bytes()
    return files


@pytest.fixture(scope="module")
def ric(aws):
    """A function that awslambdaric runs."""
    runtime = f"python3.{sys.version_info.minor}"
    if table().get(runtime) != "exact":
        pytest.skip(f"awslambdaric is installed for {runtime}, which is no runtime of this machine")
    code = "import sys, os\ndef handler(event, context): return os.path.realpath(sys.executable)\n"
    interpreter = aws.invoke(aws.create("interpreter", code, runtime)).payload
    files = files_of("awslambdaric", "simplejson", "snapshot-restore-py")
    files |= {"app.py": HANDLER, "wrapper": WRAPPER.format(interpreter=interpreter)}
    variables = {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"}
    return aws.create(
        "ric", package(files), runtime, Timeout=5, Environment={"Variables": variables}
    )


def test_awslambdaric_runs_a_function(aws, ric):
    for event in ({"a": ["ü", 1.5, None]}, "text"):
        answer = aws.invoke(ric, event)
        assert answer.error is None, answer
        assert answer.payload == {
            "client": True,
            "event": event,
            "function": "ric",
            "version": "$LATEST",
            "memory": "128",
            "arn": "arn:aws:lambda:us-east-1:000000000000:function:ric",
            "left": True,
        }
        assert f"a line of {answer.request_id}\n" in answer.log


def test_awslambdaric_reports_an_exception(aws, ric):
    answer = aws.invoke(ric, "raise")
    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] == "ValueError"
    assert answer.payload["errorMessage"] == "no such thing"
    assert answer.payload["requestId"] == answer.request_id
    assert "[ERROR] ValueError: no such thing" in answer.log


def test_awslambdaric_that_exits_or_takes_too_long_is_started_anew(aws, ric):
    assert aws.invoke(ric, "exit").error == "Unhandled"
    assert aws.invoke(ric, 1).payload["event"] == 1
    late = aws.invoke(ric, "slow")
    assert late.payload["errorType"] == "Sandbox.Timedout"
    assert aws.invoke(ric, 2).payload["event"] == 2


def test_awslambdaric_that_does_not_find_its_handler_fails_init(aws, ric):
    aws.functions.update_function_configuration(FunctionName=ric, Handler="app.nothing")
    aws.settled(ric)
    answer = aws.invoke(ric, {})
    assert answer.error == "Unhandled"
    assert answer.payload["errorType"] == "Runtime.HandlerNotFound"
    assert json.loads(answer.body)["errorMessage"] == "Handler 'nothing' missing on module 'app'"
