"""The AWS CLI and boto3 as a user has them: pointed at a server by AWS_ENDPOINT_URL alone.

Nothing here retries, so that no failure is hidden."""

import base64
import concurrent.futures
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import botocore.config

from harness.code import ROLE, package
from harness.server import environment
from harness.waiting import eventually

REGION = "us-east-1"
ACCOUNT = "000000000000"

# No client leaves this machine, whatever it makes of the endpoint: version 1 of the CLI overlooks
# AWS_ENDPOINT_URL for sqs, rds and a few more (overridesslcommonname.py) and would ask AWS itself.
# Port 1 of loopback has no proxy, so what is not for loopback ends there.
FENCE = {
    "BOTO_DISABLE_COMMONNAME": "true",
    "HTTP_PROXY": "http://127.0.0.1:1",
    "HTTPS_PROXY": "http://127.0.0.1:1",
    "http_proxy": "http://127.0.0.1:1",
    "https_proxy": "http://127.0.0.1:1",
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}


def variables(server):
    """What a user exports."""
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_PAGER": "",
        # Nothing of the machine's own account is read.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        **FENCE,
    }


def aws_program():
    """The CLI that was installed beside this Python."""
    beside = Path(sys.executable).parent / "aws"
    found = str(beside) if beside.exists() else shutil.which("aws")
    if not found:
        raise RuntimeError("no `aws`: pip install -r requirements.txt")
    return found


@dataclasses.dataclass(frozen=True)
class Invoked:
    """What an invocation was answered with."""

    status: int
    error: str | None
    body: bytes
    log: str
    request_id: str
    version: str | None

    @property
    def payload(self):
        return json.loads(self.body)


class Aws:
    """A user of one server."""

    def __init__(self, server):
        self.server = server
        self.clients = {}

    def client(self, service, **config):
        """A boto3 client that learns its endpoint from the environment, as a user's does."""
        settings = {
            "retries": {"total_max_attempts": 1, "mode": "standard"},
            "max_pool_connections": 64,
            "read_timeout": 120,
        }
        key = service, repr(config), self.server.url
        if key not in self.clients:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                del os.environ[name]
            os.environ.update(variables(self.server))
            made = botocore.config.Config(**(settings | config))
            self.clients[key] = boto3.Session().client(service, config=made)
        return self.clients[key]

    @property
    def functions(self):
        return self.client("lambda")

    @property
    def logs(self):
        return self.client("logs")

    def environment(self):
        return environment(**variables(self.server))

    def cli_process(self, *arguments, **options):
        """The CLI, started and not waited for."""
        return subprocess.Popen(
            [aws_program(), *arguments],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def cli_raw(self, *arguments):
        """The CLI's end: exit status, output, errors."""
        process = self.cli_process(*arguments)
        output, errors = process.communicate(timeout=120)
        return process.returncode, output, errors

    def cli(self, *arguments):
        """The CLI's answer; it must succeed."""
        status, output, errors = self.cli_raw(*arguments)
        assert status == 0, f"aws {' '.join(arguments)}: {status}\n{output}{errors}"
        return json.loads(output) if output.strip().startswith(("{", "[")) else output

    def create(self, name, files, runtime, handler="app.handler", **more):
        """Creates a function and waits until it is active."""
        files = {"app.py": files} if isinstance(files, str) else files
        zipped = files if isinstance(files, bytes) else package(files)
        self.functions.create_function(
            FunctionName=name,
            Runtime=runtime,
            Handler=handler,
            Role=ROLE,
            Code={"ZipFile": zipped},
            **more,
        )
        self.settled(name)
        return name

    def settled(self, name):
        """Waits until a function is active and no update runs; its configuration."""

        def look():
            found = self.functions.get_function_configuration(FunctionName=name)
            assert found["State"] != "Failed", found
            assert found.get("LastUpdateStatus") != "Failed", found
            active = found["State"] == "Active" and found["LastUpdateStatus"] == "Successful"
            return found if active else None

        return eventually(look, f"{name} is active")

    def update_code(self, name, files):
        files = {"app.py": files} if isinstance(files, str) else files
        self.functions.update_function_code(FunctionName=name, ZipFile=package(files))
        return self.settled(name)

    def invoke(self, name, event=None, body=None, tail=True, **more):
        """Invokes and waits for the answer."""
        if body is None:
            body = b"" if event is None else json.dumps(event).encode()
        answer = self.functions.invoke(
            FunctionName=name, Payload=body, LogType="Tail" if tail else "None", **more
        )
        return Invoked(
            status=answer["StatusCode"],
            error=answer.get("FunctionError"),
            body=answer["Payload"].read(),
            log=base64.b64decode(answer.get("LogResult", "")).decode(),
            request_id=answer["ResponseMetadata"]["RequestId"],
            version=answer.get("ExecutedVersion"),
        )

    def invoke_many(self, name, events, **more):
        """As many invocations at once as there are events; the answers in the same order."""
        with concurrent.futures.ThreadPoolExecutor(len(events)) as pool:
            return list(pool.map(lambda event: self.invoke(name, event, **more), events))

    def refused(self, service, operation, **arguments):
        """The answer to a wrong request: (status, code, message)."""
        client = self.client(service, parameter_validation=False)
        try:
            answer = getattr(client, operation)(**arguments)
        except client.exceptions.ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return status, error.response["Error"]["Code"], error.response["Error"]["Message"]
        raise AssertionError(f"{operation} was not refused: {answer}")

    def log_events(self, function):
        """Every event of a function's log, as (stream, message)."""
        group = f"/aws/lambda/{function}"
        try:
            pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName=group)
            return [
                (event["logStreamName"], event["message"])
                for page in pages
                for event in page["events"]
            ]
        except self.logs.exceptions.ResourceNotFoundException:
            return []

    def wait_for_log(self, function, part, deadline_s=20):
        """Waits until a function's log holds a text; the whole log as one text."""

        def look():
            text = "".join(message for _, message in self.log_events(function))
            return text if part in text else None

        return eventually(look, f"{part!r} in the log of {function}", deadline_s)
