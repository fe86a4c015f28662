"""S3 by boto3, the CLI and plain HTTP: buckets, objects, versions, uploads in parts, and what survives."""

import base64
import concurrent.futures
import hashlib
import http.client
import io
import os
import urllib.parse
import urllib.request
import zlib

import boto3
import botocore
import botocore.exceptions
import pytest
from boto3.s3.transfer import TransferConfig

from harness.clients import Aws
from harness.code import ECHO, ROLE, package
from harness.waiting import eventually

MIB = 1024 * 1024
IPV = "InvalidParameterValueException"
SOURCE = "Error occurred while GetObject. S3 Error Code: "


@pytest.fixture
def s3(aws):
    return aws.client("s3", s3={"addressing_style": "path"})


@pytest.fixture
def bucket(s3, request):
    """An empty bucket of this test's own."""
    name = "b-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:20]
    s3.create_bucket(Bucket=name)
    return name


def status(answer):
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def refused(aws, operation, **arguments):
    """Status and code of a refusal."""
    return aws.refused("s3", operation, **arguments)[:2]


def keys(page):
    return [entry["Key"] for entry in page.get("Contents", [])]


def body(s3, bucket, key, **more):
    return s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


def plain(server, method, path, sent=None, **headers):
    """A request of no SDK: its status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=sent, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def scope(service="s3", region="us-east-1", key="test"):
    return (
        f"AWS4-HMAC-SHA256 Credential={key}/20260102/{region}/{service}/aws4_request, "
        "SignedHeaders=host, Signature=0"
    )


SIGNED = {"authorization": scope(), "x-amz-date": "20260102T030405Z"}


def test_a_bucket_and_an_object_make_the_round_trip(aws, s3, bucket):
    assert bucket in [it["Name"] for it in s3.list_buckets()["Buckets"]]
    assert status(s3.head_bucket(Bucket=bucket)) == 200
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    put = s3.put_object(
        Bucket=bucket, Key="a/ü b+&%.txt", Body=b"hello", ContentType="text/plain",
        Metadata={"One": "1", "two": "zwei"}, CacheControl="no-cache", Tagging="t=v",
    )
    assert put["ETag"] == '"5d41402abc4b2a76b9719d911017c592"'
    assert put["ChecksumCRC32"] and put["ChecksumType"] == "FULL_OBJECT"
    got = s3.get_object(Bucket=bucket, Key="a/ü b+&%.txt")
    assert got["Body"].read() == b"hello"
    assert (got["ContentType"], got["ContentLength"], got["CacheControl"]) == ("text/plain", 5, "no-cache")
    assert got["Metadata"] == {"one": "1", "two": "zwei"}
    assert got["TagCount"] == 1 and "VersionId" not in got
    head = s3.head_object(Bucket=bucket, Key="a/ü b+&%.txt", ChecksumMode="ENABLED")
    assert head["ContentLength"] == 5 and head["ChecksumCRC32"] == put["ChecksumCRC32"]
    assert head["LastModified"] == got["LastModified"]
    assert keys(s3.list_objects_v2(Bucket=bucket)) == ["a/ü b+&%.txt"]
    assert refused(aws, "delete_bucket", Bucket=bucket) == (409, "BucketNotEmpty")
    assert status(s3.delete_object(Bucket=bucket, Key="a/ü b+&%.txt")) == 204
    assert status(s3.delete_object(Bucket=bucket, Key="a/ü b+&%.txt")) == 204
    assert refused(aws, "get_object", Bucket=bucket, Key="a/ü b+&%.txt") == (404, "NoSuchKey")
    assert refused(aws, "head_object", Bucket=bucket, Key="a/ü b+&%.txt") == (404, "404")
    assert status(s3.delete_bucket(Bucket=bucket)) == 204
    assert refused(aws, "list_objects_v2", Bucket=bucket) == (404, "NoSuchBucket")
    assert refused(aws, "head_bucket", Bucket=bucket) == (404, "404")


def test_code_comes_from_a_bucket_by_the_cli(aws, s3, bucket, python, tmp_path):
    zipped = tmp_path / "code.zip"
    zipped.write_bytes(package({"app.py": ECHO}))
    aws.cli("s3", "cp", str(zipped), f"s3://{bucket}/dir/code.zip")
    code = f"S3Bucket={bucket},S3Key=dir/code.zip"
    made = aws.cli(
        "lambda", "create-function", "--function-name", "from-s3", "--runtime", python,
        "--handler", "app.handler", "--role", ROLE, "--code", code,
    )
    assert made["CodeSize"] == zipped.stat().st_size
    assert made["CodeSha256"] == base64.b64encode(hashlib.sha256(zipped.read_bytes()).digest()).decode()
    aws.settled("from-s3")
    assert aws.invoke("from-s3", {"a": 1}).payload == {"a": 1}
    # The function goes on without the object.
    s3.delete_object(Bucket=bucket, Key="dir/code.zip")
    assert aws.invoke("from-s3", {"a": 2}).payload == {"a": 2}
    s3.put_object(Bucket=bucket, Key="new.zip", Body=package({"app.py": "def handler(e, c): return 'new'"}))
    aws.functions.update_function_code(FunctionName="from-s3", S3Bucket=bucket, S3Key="new.zip")
    aws.settled("from-s3")
    assert aws.invoke("from-s3").payload == "new"
    layer = aws.functions.publish_layer_version(
        LayerName="from-s3", Content={"S3Bucket": bucket, "S3Key": "new.zip"}
    )
    with urllib.request.urlopen(layer["Content"]["Location"]) as got:
        assert got.read() == body(s3, bucket, "new.zip")


def test_a_version_of_an_object_is_code(aws, s3, bucket, python):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    versions = [
        s3.put_object(Bucket=bucket, Key="code", Body=package({"app.py": f"def handler(e, c): return {n}"}))
        for n in range(2)
    ]
    code = {"S3Bucket": bucket, "S3Key": "code", "S3ObjectVersion": versions[0]["VersionId"]}
    aws.functions.create_function(
        FunctionName="of-version", Runtime=python, Handler="app.handler", Role=ROLE, Code=code
    )
    aws.settled("of-version")
    assert aws.invoke("of-version").payload == 0


def test_code_that_is_not_there_is_refused_with_lambdas_words(aws, s3, bucket, python):
    def create(bucket, key="key", **more):
        return aws.refused(
            "lambda", "create_function", FunctionName="nowhere", Runtime=python, Handler="app.handler",
            Role=ROLE, Code={"S3Bucket": bucket, "S3Key": key, **more},
        )

    text = SOURCE + "NoSuchBucket. S3 Error Message: The specified bucket does not exist"
    assert create("no-such-bucket-here") == (400, IPV, text)
    assert create("No_Bucket") == (400, IPV, text)
    text = SOURCE + "NoSuchKey. S3 Error Message: The specified key does not exist."
    assert create(bucket) == (400, IPV, text)
    s3.put_object(Bucket=bucket, Key="text", Body=b"no zip")
    assert create(bucket, "text", S3ObjectVersion="x")[2].startswith(SOURCE + "NoSuchVersion")
    text = "Could not unzip uploaded file. Please check your file, then try to upload again."
    assert create(bucket, "text") == (400, IPV, text)
    s3.create_bucket(
        Bucket="far-away-bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    text = (
        "PermanentRedirect. S3 Error Message: The bucket is in this region: eu-west-1. Please use this "
        "region to retry the request"
    )
    assert create("far-away-bucket") == (400, IPV, SOURCE + text)
