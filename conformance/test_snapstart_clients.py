"""boto3 as it is published, inside a function with SnapStart: it has its credentials from the container
endpoint, since those in variables would be another environment's after a restore."""

from harness.code import package
from test_runtime_clients import files_of

RUNTIME = "python3.12"

CREDENTIALS = """
import os, urllib.error, urllib.request
import boto3

session = boto3.Session()
EARLY = session.get_credentials().get_frozen_credentials()
PRESENT = sorted(name for name in os.environ if name.startswith(("AWS_LAMBDA_LOG_", "AWS_S", "AWS_ACCESS", "AWS_CONTAINER")))

def asked(token):
    request = urllib.request.Request(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], headers=token)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code

def handler(event, context):
    credentials = session.get_credentials()
    fresh = boto3.Session().get_credentials().get_frozen_credentials()
    return {
        "method": credentials.method,
        "keys": [EARLY.access_key, fresh.access_key],
        "whole": all((EARLY.secret_key, EARLY.token, fresh.secret_key, fresh.token)),
        "account": session.client("sts").get_caller_identity()["Account"],
        "present": PRESENT,
        "log": [context.log_group_name, context.log_stream_name],
        "refused": [asked({}), asked({"Authorization": "another"})],
    }
"""


def sdk():
    """boto3 and what it needs, with the data of one service."""
    names = ("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "six", "urllib3")
    data = "botocore/data/"
    # Data of a service is in a directory of its own.
    return {
        name: content
        for name, content in files_of(*names).items()
        if not name.startswith(data) or name.count("/") == 2 or name.startswith(data + "sts/")
    }


def published(aws, name, files):
    """A version with SnapStart that may be invoked."""
    snap_start = {"ApplyOn": "PublishedVersions"}
    aws.create(name, package(files), RUNTIME, SnapStart=snap_start, Timeout=20, MemorySize=512)
    version = aws.functions.publish_version(FunctionName=name)["Version"]
    waiter = aws.functions.get_waiter("published_version_active")
    waiter.wait(FunctionName=name, Qualifier=version, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    return version


def test_boto3_has_the_roles_credentials_from_the_container_endpoint(aws, python):
    version = published(aws, "credentials", sdk() | {"app.py": CREDENTIALS})
    for _ in range(2):
        answer = aws.invoke("credentials", Qualifier=version)
        assert answer.error is None, answer
        assert answer.payload == {
            "method": "container-role",
            "keys": ["000000000000", "000000000000"],
            "whole": True,
            "account": "000000000000",
            "present": ["AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_CREDENTIALS_FULL_URI"],
            "log": [None, None],
            "refused": [404, 404],
        }


def test_latest_has_its_credentials_in_its_variables(aws, python):
    code = "import os\ndef handler(event, context): return [n in os.environ for n in event]\n"
    aws.create("latest", code, RUNTIME, SnapStart={"ApplyOn": "PublishedVersions"})
    names = ["AWS_SECRET_ACCESS_KEY", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    assert aws.invoke("latest", names).payload == [True, True, False]
