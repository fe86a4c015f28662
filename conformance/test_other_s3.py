"""Code from an S3 beside this one: a second server, and one that holds every signature against botocore."""

import datetime
import http.server
import threading
from urllib.parse import unquote

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from harness.clients import Aws
from harness.code import ROLE, package

KEY, SECRET = "AKIDOTHER", "secret/of+the=other"
SAYS = "def handler(event, context): return '{}'\n"
IPV = "InvalidParameterValueException"


def create(aws, python, name, **code):
    aws.functions.create_function(FunctionName=name, Runtime=python, Handler="app.handler", Role=ROLE, Code=code)
    aws.settled(name)
    return aws.invoke(name).payload


def refused(aws, python, **code):
    more = {"FunctionName": "wrong", "Runtime": python, "Handler": "app.handler", "Role": ROLE}
    return aws.refused("lambda", "create_function", Code=code, **more)


def test_a_bucket_that_is_not_here_is_asked_for_at_the_other(servers, python):
    other = servers().start()
    there = Aws(other).client("s3")
    there.create_bucket(Bucket="elsewhere")
    there.put_bucket_versioning(Bucket="elsewhere", VersioningConfiguration={"Status": "Enabled"})
    key = "builds/a b+ü/app.zip"
    first = there.put_object(Bucket="elsewhere", Key=key, Body=package({"app.py": SAYS.format("first")}))
    there.put_object(Bucket="elsewhere", Key=key, Body=package({"app.py": SAYS.format("second")}))
    key_flags = ("--s3-access-key-id", "test", "--s3-secret-access-key", "test")
    aws = Aws(servers("--s3-endpoint", other.url, *key_flags).start())
    assert create(aws, python, "newest", S3Bucket="elsewhere", S3Key=key) == "second"
    old = {"S3Bucket": "elsewhere", "S3Key": key, "S3ObjectVersion": first["VersionId"]}
    assert create(aws, python, "older", **old) == "first"
    # What is here counts first.
    here = aws.client("s3")
    here.create_bucket(Bucket="elsewhere")
    here.put_object(Bucket="elsewhere", Key=key, Body=package({"app.py": SAYS.format("here")}))
    assert create(aws, python, "near", S3Bucket="elsewhere", S3Key=key) == "here"
    got = refused(aws, python, S3Bucket="nowhere", S3Key=key)
    assert got[:2] == (400, IPV) and "S3 Error Code: NoSuchBucket" in got[2], got
    there.create_bucket(Bucket="empty-one")
    got = refused(aws, python, S3Bucket="empty-one", S3Key=key)
    assert got[:2] == (400, IPV) and "S3 Error Code: NoSuchKey" in got[2], got
    other.stop()
    got = refused(aws, python, S3Bucket="nowhere", S3Key=key)
    assert got[:2] == (400, IPV) and "cannot be reached" in got[2], got


class Checking(http.server.BaseHTTPRequestHandler):
    """Gives one package to whoever signs as botocore would."""

    body = package({"app.py": SAYS.format("signed")})

    def do_GET(self):
        signed = self.headers["Authorization"]
        expected = AWSRequest("GET", f"http://{self.headers['Host']}{self.path}")
        expected.headers["X-Amz-Content-SHA256"] = self.headers["X-Amz-Content-SHA256"]
        expected.context["timestamp"] = self.headers["X-Amz-Date"]
        auth = S3SigV4Auth(Credentials(KEY, SECRET), "s3", "us-east-1")
        expected.headers["X-Amz-Date"] = self.headers["X-Amz-Date"]
        canonical = auth.canonical_request(expected)
        signature = auth.signature(auth.string_to_sign(expected, canonical), expected)
        fresh = datetime.datetime.strptime(self.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
        skew = abs(datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - fresh)
        right = signed.endswith("Signature=" + signature) and skew < datetime.timedelta(minutes=5)
        assert unquote(self.path).startswith("/bucket/")
        body = self.body if right else b"<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>"
        self.send_response(200 if right else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def checking():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Checking)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_requests_are_signed_with_the_operators_key(servers, python, checking):
    named = {"S3Bucket": "bucket", "S3Key": "a b/ü+(1).zip", "S3ObjectVersion": "v/1+="}
    key = ("--s3-access-key-id", KEY, "--s3-secret-access-key")
    right = Aws(servers("--s3-endpoint", checking, *key, SECRET).start())
    assert create(right, python, "signed", **named) == "signed"
    wrong = Aws(servers("--s3-endpoint", checking, *key, "another").start())
    got = refused(wrong, python, **named)
    assert got[:2] == (400, IPV) and "S3 Error Code: SignatureDoesNotMatch" in got[2], got


def test_a_half_of_a_key_is_refused_at_the_start(servers):
    status, said = servers().refusal("--s3-endpoint", "http://127.0.0.1:1", "--s3-access-key-id", KEY)
    assert status != 0 and "belong together" in said
