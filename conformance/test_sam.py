"""The SAM CLI as it is published: `sam remote invoke` and `sam logs`, pointed here by AWS_ENDPOINT_URL."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness.waiting import eventually

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
# It loads a lot of Python before it asks anything.
SAM_S = 120
TALKS = """
def handler(event, context):
    print("told", event["n"])
    if event["n"] < 0:
        raise ValueError("below")
    return {"got": event}
"""
STREAMS = """
export const handler = awslambda.streamifyResponse(async (event, out) => {
  for (const n of [1, 2, 3]) out.write(`part ${n}\\n`);
  out.end();
});
"""


def sam_program():
    """The SAM CLI: of `.venv-sam`, which `make test` makes, or of the machine."""
    ours = Path(__file__).resolve().parent.parent / ".venv-sam" / "bin" / "sam"
    found = os.environ.get("SAM_CLI") or (str(ours) if ours.exists() else shutil.which("sam"))
    if not found:
        pytest.skip("no `sam`: install requirements-sam.txt in .venv-sam, or set SAM_CLI")
    return found


@pytest.fixture(scope="module")
def sam(aws, tmp_path_factory):
    """Starts the SAM CLI; its settings are in a home of its own."""
    program, home = sam_program(), tmp_path_factory.mktemp("home")

    def start(*arguments):
        return subprocess.Popen(
            [program, *arguments],
            cwd=home,
            env=aws.environment() | {"HOME": str(home), "SAM_CLI_TELEMETRY": "0", "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture(scope="module")
def run(sam):
    """Runs the SAM CLI to its end: exit status, output, errors."""

    def run(*arguments):
        process = sam(*arguments)
        output, errors = process.communicate(timeout=SAM_S)
        return process.returncode, output, errors

    return run


@pytest.fixture(scope="module")
def talks(aws, python):
    return aws.create("talks", TALKS, python)


def test_remote_invoke_shows_the_answer_and_the_log(run, talks):
    status, output, errors = run("remote", "invoke", ARN + talks, "--event", '{"n": 1}')
    assert (status, json.loads(output)) == (0, {"got": {"n": 1}}), errors
    lines = errors.splitlines()
    assert "told 1" in lines
    assert any(line.startswith("REPORT RequestId: ") for line in lines)


def test_remote_invoke_tells_a_failure_of_the_function(run, talks):
    status, output, errors = run("remote", "invoke", ARN + talks, "--event", '{"n": -1}')
    assert status == 0 and json.loads(output)["errorType"] == "ValueError", errors
    assert "[ERROR] ValueError: below" in errors


def test_remote_invoke_passes_parameters_on(aws, run, talks):
    version = aws.functions.publish_version(FunctionName=talks)["Version"]
    parameters = ("--parameter", f"Qualifier={version}", "--parameter", "LogType=None")
    status, output, errors = run(
        "remote", "invoke", ARN + talks, "--event", '{"n": 2}', "--output", "json", *parameters
    )
    answer = json.loads(output)
    assert status == 0 and answer["ExecutedVersion"] == version, errors
    assert json.loads(answer["Payload"]) == {"got": {"n": 2}} and "LogResult" not in answer
    dry = run("remote", "invoke", ARN + talks, "--output", "json", "--parameter", "InvocationType=DryRun")
    assert dry[0] == 0 and json.loads(dry[1])["StatusCode"] == 204


def test_remote_invoke_streams_what_a_streaming_function_writes(aws, run, node):
    aws.create("streams", {"index.mjs": STREAMS}, node, handler="index.handler")
    # The SAM CLI knows a streaming function by its URL.
    aws.functions.create_function_url_config(FunctionName="streams", AuthType="NONE", InvokeMode="RESPONSE_STREAM")
    status, output, errors = run("remote", "invoke", ARN + "streams")
    assert (status, output.strip()) == (0, "part 1\npart 2\npart 3"), errors
    status, output, errors = run("remote", "invoke", ARN + "streams", "--output", "json")
    told = json.loads(output)["EventStream"]
    chunks = "".join(event["PayloadChunk"]["Payload"] for event in told if "PayloadChunk" in event)
    assert status == 0 and chunks == "part 1\npart 2\npart 3\n", errors
    assert "InvokeComplete" in told[-1]


def test_remote_invoke_tells_what_is_not_there(run):
    status, output, errors = run("remote", "invoke", ARN + "absent", "--event", "{}")
    assert status != 0 and output == ""
    assert f"Function not found: {ARN}absent" in errors
    # A name alone is looked for among stacks, of which there are none: SAM's own words on AWS, too.
    status, _, errors = run("remote", "invoke", "absent")
    assert status != 0 and "Please provide full resource ARN or --stack-name" in errors


def test_logs_are_shown_and_filtered(aws, run, talks):
    for number in (31, 32):
        aws.invoke(talks, {"n": number})
    aws.wait_for_log(talks, "told 32")
    group = ("--cw-log-group", f"/aws/lambda/{talks}")
    status, output, errors = run("logs", *group)
    assert status == 0 and output.index("told 31") < output.index("told 32"), errors
    status, output, errors = run("logs", *group, "--filter", '"told 32"', "--output", "json")
    assert status == 0 and [json.loads(line)["message"].strip() for line in output.splitlines()] == ["told 32"], errors
    status, output, errors = run("logs", *group, "--start-time", "tomorrow")
    assert status == 0 and "told" not in output, errors


def test_logs_are_followed_as_they_come(aws, sam, talks, tmp_path):
    seen = tmp_path / "seen"
    process = sam("logs", "--cw-log-group", f"/aws/lambda/{talks}", "--tail")
    try:
        with seen.open("w") as target:
            copy = subprocess.Popen(["cat"], stdin=process.stdout, stdout=target)
        for number in (41, 42):
            aws.invoke(talks, {"n": number})
            eventually(lambda: f"told {number}" in seen.read_text(), f"told {number} is followed", SAM_S)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(SAM_S)
        copy.wait(SAM_S)
