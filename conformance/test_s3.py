"""S3 by boto3, the CLI and plain HTTP: buckets, objects, versions, uploads in parts, and what survives."""

import base64
import concurrent.futures
import hashlib
import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib

import boto3
import botocore
import botocore.exceptions
import pytest
from boto3.s3.transfer import TransferConfig

from harness.clients import Aws
from harness.code import ECHO, ROLE, package
from harness.leftovers import everything_in
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


def test_the_cli_makes_copies_lists_syncs_and_removes(aws, tmp_path):
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "one.txt").write_text("one")
    (source / "deep" / "two & ü.txt").write_text("two")
    # Version 1 of the CLI takes path style from an IP address by itself.
    aws.cli("s3", "mb", "s3://by-the-cli")
    aws.cli("s3", "sync", str(source), "s3://by-the-cli/dir")
    listed = aws.cli("s3", "ls", "--recursive", "s3://by-the-cli")
    assert "dir/one.txt" in listed and "dir/deep/two & ü.txt" in listed
    assert "PRE deep/" in aws.cli("s3", "ls", "s3://by-the-cli/dir/")
    # Nothing changed, so nothing is sent.
    assert "upload" not in aws.cli("s3", "sync", str(source), "s3://by-the-cli/dir")
    aws.cli("s3", "cp", "s3://by-the-cli/dir/one.txt", "s3://by-the-cli/copy.txt")
    aws.cli("s3", "mv", "s3://by-the-cli/copy.txt", "s3://by-the-cli/moved.txt")
    aws.cli("s3", "cp", "s3://by-the-cli/moved.txt", str(tmp_path / "moved.txt"))
    assert (tmp_path / "moved.txt").read_text() == "one"
    aws.cli("s3", "sync", "s3://by-the-cli/dir", str(tmp_path / "back"))
    assert (tmp_path / "back" / "deep" / "two & ü.txt").read_text() == "two"
    large = tmp_path / "large"
    large.write_bytes(os.urandom(9 * MIB))
    aws.cli("s3", "cp", str(large), "s3://by-the-cli/large")
    aws.cli("s3", "cp", "s3://by-the-cli/large", str(tmp_path / "large2"))
    assert (tmp_path / "large2").read_bytes() == large.read_bytes()
    assert aws.cli_raw("s3", "rb", "s3://by-the-cli")[0] != 0
    aws.cli("s3", "rb", "--force", "s3://by-the-cli")
    assert "by-the-cli" not in aws.cli("s3", "ls")


def test_names_of_buckets_and_regions_are_judged_as_by_aws(aws, s3, bucket):
    for name in ("ab", "Upper", "under_score", "192.168.1.1", "a..b", "xn--abc", "abc-s3alias"):
        assert refused(aws, "create_bucket", Bucket=name) == (400, "InvalidBucketName"), name
    # In the oldest region one may make what one has.
    assert status(s3.create_bucket(Bucket=bucket)) == 200
    got = refused(aws, "create_bucket", Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    assert got == (409, "BucketAlreadyOwnedByYou")
    west = aws.client("s3", region_name="eu-west-1")
    with pytest.raises(west.exceptions.ClientError) as error:
        west.create_bucket(Bucket="nowhere-in-particular")
    assert error.value.response["Error"]["Code"] == "IllegalLocationConstraintException"
    west.create_bucket(Bucket="in-the-west", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    assert west.get_bucket_location(Bucket="in-the-west")["LocationConstraint"] == "eu-west-1"
    west.put_object(Bucket="in-the-west", Key="k", Body=b"west")
    # boto3 follows the redirect to the bucket's region by itself.
    assert body(s3, "in-the-west", "k") == b"west"
    code, headers, text = plain(aws.server, "GET", "/in-the-west/k", **SIGNED)
    assert code == 301 and headers["x-amz-bucket-region"] == "eu-west-1" and b"PermanentRedirect" in text
    code, headers, text = plain(aws.server, "HEAD", "/in-the-west", **SIGNED)
    assert code == 301 and headers["x-amz-bucket-region"] == "eu-west-1" and text == b""
    listed = {it["Name"]: it["BucketRegion"] for it in s3.list_buckets()["Buckets"]}
    assert listed["in-the-west"] == "eu-west-1" and listed[bucket] == "us-east-1"


def test_accounts_are_separate_worlds(aws, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"mine")
    other = {"authorization": scope(key="111111111111"), "x-amz-date": "20260102T030405Z"}
    code, _, text = plain(aws.server, "GET", f"/{bucket}/k", **other)
    assert code == 404 and b"<Code>NoSuchBucket</Code>" in text
    assert plain(aws.server, "PUT", f"/{bucket}", **other)[0] == 200
    assert plain(aws.server, "PUT", f"/{bucket}/k", b"theirs", **other)[0] == 200
    assert plain(aws.server, "GET", f"/{bucket}/k", **other)[2] == b"theirs"
    assert body(s3, bucket, "k") == b"mine"
    assert body(s3, bucket, "k", ExpectedBucketOwner="000000000000") == b"mine"
    got = refused(aws, "get_object", Bucket=bucket, Key="k", ExpectedBucketOwner="111111111111")
    assert got == (403, "AccessDenied")


def test_lists_are_paged_rolled_up_and_begin_where_asked(s3, bucket):
    names = [f"{part}/{n:02}" for part in "abc" for n in range(7)] + ["top", "ü +&%", "z"]
    for name in names:
        s3.put_object(Bucket=bucket, Key=name, Body=name.encode())
    names.sort(key=str.encode)
    for operation, kind in (("list_objects_v2", {"PageSize": 4}), ("list_objects", {"PageSize": 4})):
        pages = s3.get_paginator(operation).paginate(Bucket=bucket, PaginationConfig=kind)
        pages = list(pages)
        assert [key for page in pages for key in keys(page)] == names
        assert all(len(keys(page)) == 4 for page in pages[:-1])
        found = s3.get_paginator(operation).paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2})
        prefixes = [it["Prefix"] for page in found for it in page.get("CommonPrefixes", [])]
        assert prefixes == ["a/", "b/", "c/"]
        found = s3.get_paginator(operation).paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2})
        assert [key for page in found for key in keys(page)] == ["top", "z", "ü +&%"]
    page = s3.list_objects_v2(Bucket=bucket, Prefix="b/", StartAfter="b/03", MaxKeys=2, FetchOwner=True)
    assert keys(page) == ["b/04", "b/05"] and page["IsTruncated"] and page["KeyCount"] == 2
    assert page["StartAfter"] == "b/03" and page["Contents"][0]["Owner"]["ID"]
    assert page["Contents"][0]["Size"] == 4 and page["Contents"][0]["StorageClass"] == "STANDARD"
    page = s3.list_objects_v2(Bucket=bucket, ContinuationToken=page["NextContinuationToken"], Prefix="b/")
    assert keys(page) == ["b/06"] and not page["IsTruncated"]
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=0)["KeyCount"] == 0
    page = s3.list_objects(Bucket=bucket, Marker="c/05", Prefix="c/")
    assert keys(page) == ["c/06"] and "NextMarker" not in page


def test_ranges_conditions_and_overrides(aws, server, s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789", ContentType="text/plain")
    etag = put["ETag"]
    part = s3.get_object(Bucket=bucket, Key="k", Range="bytes=2-4")
    assert part["Body"].read() == b"234" and part["ContentRange"] == "bytes 2-4/10" and status(part) == 206
    assert body(s3, bucket, "k", Range="bytes=-3") == b"789"
    assert body(s3, bucket, "k", Range="bytes=7-") == b"789"
    assert refused(aws, "get_object", Bucket=bucket, Key="k", Range="bytes=10-") == (416, "InvalidRange")
    assert s3.head_object(Bucket=bucket, Key="k", Range="bytes=0-1")["ContentLength"] == 2
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    assert refused(aws, "get_object", Bucket=bucket, Key="k", IfNoneMatch=etag) == (304, "304")
    assert refused(aws, "get_object", Bucket=bucket, Key="k", IfModifiedSince=modified) == (304, "304")
    assert refused(aws, "get_object", Bucket=bucket, Key="k", IfMatch='"x"') == (412, "PreconditionFailed")
    assert body(s3, bucket, "k", IfMatch=etag, IfUnmodifiedSince=modified) == b"0123456789"
    got = s3.get_object(
        Bucket=bucket, Key="k", ResponseContentType="text/html", ResponseContentDisposition="attachment",
        ResponseCacheControl="no-store",
    )
    assert (got["ContentType"], got["ContentDisposition"], got["CacheControl"]) == ("text/html", "attachment", "no-store")
    assert refused(aws, "put_object", Bucket=bucket, Key="k", Body=b"x", IfNoneMatch="*") == (412, "PreconditionFailed")
    assert refused(aws, "put_object", Bucket=bucket, Key="k", Body=b"x", IfMatch='"x"') == (412, "PreconditionFailed")
    assert refused(aws, "put_object", Bucket=bucket, Key="new", Body=b"x", IfMatch=etag) == (404, "NoSuchKey")
    assert body(s3, bucket, "k") == b"0123456789"
    s3.put_object(Bucket=bucket, Key="k", Body=b"next", IfMatch=etag)
    s3.put_object(Bucket=bucket, Key="new", Body=b"new", IfNoneMatch="*")
    assert body(s3, bucket, "k") + body(s3, bucket, "new") == b"nextnew"


def test_one_of_many_writers_that_demand_nothing_there_wins(s3, bucket):
    def put(n):
        try:
            s3.put_object(Bucket=bucket, Key="lock", Body=str(n).encode(), IfNoneMatch="*")
        except s3.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "PreconditionFailed"
            return None
        return n

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        winners = [n for n in pool.map(put, range(16)) if n is not None]
    assert len(winners) == 1 and body(s3, bucket, "lock") == str(winners[0]).encode()


ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "MD5")
# Of b"hello world", as botocore's own tests have them.
SUMS = {
    "CRC32": "DUoRhQ==",
    "CRC32C": "yZRlqg==",
    "CRC64NVME": "jSnVw/bqjr4=",
    "SHA1": "Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
    "SHA256": "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=",
    "SHA512": base64.b64encode(hashlib.sha512(b"hello world").digest()).decode(),
    "MD5": base64.b64encode(hashlib.md5(b"hello world").digest()).decode(),
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_checksums_are_checked_kept_and_shown(aws, s3, bucket, algorithm):
    name = f"Checksum{algorithm}"
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"hello world", **{name: SUMS[algorithm]})
    assert put[name] == SUMS[algorithm]
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got[name] == SUMS[algorithm] and got["Body"].read() == b"hello world"
    # Of a part of the bytes the checksum would be another.
    assert name not in s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED", Range="bytes=0-1")
    found = s3.get_object_attributes(
        Bucket=bucket, Key="k", ObjectAttributes=["Checksum", "ETag", "ObjectSize", "StorageClass"]
    )
    assert found["Checksum"][name] == SUMS[algorithm] and found["ObjectSize"] == 11
    wrong = {name: SUMS[algorithm][::-1].lstrip("=") + "=" * SUMS[algorithm].count("=")}
    got = refused(aws, "put_object", Bucket=bucket, Key="bad", Body=b"hello world", **wrong)
    assert got[0] == 400 and got[1] in ("BadDigest", "InvalidRequest")
    assert refused(aws, "head_object", Bucket=bucket, Key="bad")[0] == 404


def framed(*chunks, trailers="", signed=False):
    extension = ";chunk-signature=" + "0" * 64 if signed else ""
    framed = b"".join(
        f"{len(chunk):x}{extension}\r\n".encode() + chunk + b"\r\n" for chunk in chunks
    )
    return framed + f"0{extension}\r\n{trailers}\r\n".encode()


def stream(sent, length, kind="STREAMING-UNSIGNED-PAYLOAD-TRAILER", **more):
    return SIGNED | {
        "content-encoding": "aws-chunked",
        "x-amz-content-sha256": kind,
        "x-amz-decoded-content-length": str(length),
        "content-length": str(len(sent)),
    } | {name.replace("_", "-"): value for name, value in more.items()}


def test_chunked_bodies_are_unframed_and_their_trailers_checked(server, s3, bucket):
    path = f"/{bucket}/stream"
    for algorithm, value in SUMS.items():
        name = f"x-amz-checksum-{algorithm.lower()}"
        sent = framed(b"hello ", b"world", trailers=f"{name}:{value}\r\n")
        code, headers, text = plain(server, "PUT", path, sent, **stream(sent, 11, x_amz_trailer=name))
        assert (code, headers[name]) == (200, value), text
        assert body(s3, bucket, "stream") == b"hello world"
        head = s3.head_object(Bucket=bucket, Key="stream")
        assert "ContentEncoding" not in head and head["ContentLength"] == 11
    sent = framed(b"a" * 70_000, b"b" * 10, signed=True)
    headers = stream(sent, 70_010, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", content_encoding="aws-chunked,gzip")
    assert plain(server, "PUT", path, sent, **headers)[0] == 200
    assert body(s3, bucket, "stream") == b"a" * 70_000 + b"b" * 10
    assert s3.head_object(Bucket=bucket, Key="stream")["ContentEncoding"] == "gzip"
    signed = framed(
        b"hello world", signed=True,
        trailers=f"x-amz-checksum-crc32:{SUMS['CRC32']}\r\nx-amz-trailer-signature:{'0' * 64}\r\n",
    )
    kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    headers = stream(signed, 11, kind, x_amz_trailer="x-amz-checksum-crc32")
    assert plain(server, "PUT", path, signed, **headers)[0] == 200
    assert body(s3, bucket, "stream") == b"hello world"


def test_a_body_that_does_not_add_up_stores_nothing(server, s3, bucket):
    path = f"/{bucket}/bad"

    def put(sent, code, **headers):
        answered, _, text = plain(server, "PUT", path, sent, **headers)
        assert answered == (411 if code == "MissingContentLength" else 400), text
        assert f"<Code>{code}</Code>".encode() in text, text

    trailer = "x-amz-checksum-crc32"
    wrong = framed(b"hello", trailers=f"{trailer}:AAAAAA==\r\n")
    put(wrong, "BadDigest", **stream(wrong, 5, x_amz_trailer=trailer))
    none = framed(b"hello")
    put(none, "MalformedTrailerError", **stream(none, 5, x_amz_trailer=trailer))
    put(none, "IncompleteBody", **stream(none, 6))
    put(none, "IncompleteBody", **stream(none, 4))
    half = framed(b"hello")[:-7]
    put(half, "IncompleteBody", **stream(half, 5))
    put(b"zz\r\nhello", "IncompleteBody", **stream(b"zz\r\nhello", 5))
    put(none, "MissingContentLength", **(SIGNED | {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}))
    put(b"hello", "BadDigest", content_md5=base64.b64encode(bytes(16)).decode(), **SIGNED)
    put(b"hello", "InvalidDigest", content_md5="AAAA", **SIGNED)
    put(b"hello", "XAmzContentSHA256Mismatch", **(SIGNED | {"x-amz-content-sha256": "0" * 64}))
    assert keys(s3.list_objects_v2(Bucket=bucket)) == []
    good = base64.b64encode(hashlib.md5(b"hello").digest()).decode()
    assert plain(server, "PUT", path, b"hello", content_md5=good, **SIGNED)[0] == 200


def test_expect_100_continue_is_answered_before_the_body(server, bucket):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.connect()
    head = f"PUT /{bucket}/k HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in SIGNED.items()) + "\r\n"
    connection.sock.sendall(head.encode())
    assert connection.sock.recv(100).startswith(b"HTTP/1.1 100 ")
    connection.sock.sendall(b"hello")
    assert connection.sock.recv(1_000).startswith(b"HTTP/1.1 200 ")
    connection.close()
    # Who is refused is told so at once and need not send anything.
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.connect()
    connection.sock.sendall(head.replace(bucket, "no-such-bucket-here").encode())
    answer = http.client.HTTPResponse(connection.sock)
    answer.begin()
    # And that the connection ends here, or its next request would be sent to one that is being closed.
    assert (answer.status, answer.headers["connection"]) == (404, "close")
    connection.close()


def test_links_work_for_who_has_them_until_they_expire(aws, server, s3, bucket):
    for version in ("s3v4", "s3"):
        signer = aws.client("s3", signature_version=version, s3={"addressing_style": "path"})

        def link(operation, lasts=60, **more):
            parameters = {"Bucket": bucket, "Key": "linked ü", **more}
            return signer.generate_presigned_url(operation, Params=parameters, ExpiresIn=lasts)

        put = urllib.request.Request(link("put_object"), data=version.encode(), method="PUT")
        with urllib.request.urlopen(put) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(link("get_object", ResponseContentType="text/x")) as answer:
            assert answer.read() == version.encode() and answer.headers["content-type"] == "text/x"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(link("get_object", lasts=-10) if version == "s3" else expired(link("get_object")))
        assert refused.value.code == 403 and b"Request has expired" in refused.value.read()


def expired(url):
    """A link as it was given out long ago."""
    parts = urllib.parse.urlsplit(url)
    query = dict(urllib.parse.parse_qsl(parts.query)) | {"X-Amz-Date": "20200102T030405Z"}
    return urllib.parse.urlunsplit(parts._replace(query=urllib.parse.urlencode(query)))


def test_a_host_names_a_bucket(aws, server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="healthz", Body=b"an object")
    s3.put_object(Bucket=bucket, Key="2015-03-31/functions", Body=b"another")
    hosts = [f"{bucket}.s3.localhost", f"{bucket}.localhost", f"{bucket}.127.0.0.1", f"{bucket}.s3.us-east-1.localhost"]
    for host in hosts:
        host = f"{host}:{server.port}"
        for headers in (SIGNED, {}):
            assert plain(server, "GET", "/healthz", host=host, **headers)[2] == b"an object", host
        code, _, text = plain(server, "GET", "/?list-type=2", host=host, **SIGNED)
        assert code == 200 and b"<Key>healthz</Key>" in text
    assert plain(server, "GET", "/2015-03-31/functions", host=hosts[0])[2] == b"another"
    # boto3 with names instead of addresses; the server is its proxy, so that no resolver has to know them.
    config = botocore.config.Config(s3={"addressing_style": "virtual"}, proxies={"http": server.url})
    place = f"http://localhost:{server.port}"
    virtual = boto3.Session().client("s3", endpoint_url=place, config=config)
    seen = []
    virtual.meta.events.register("before-send.s3", lambda request, **_: seen.append(request.url))
    virtual.put_object(Bucket=bucket, Key="virtual", Body=b"by host")
    assert seen[0].startswith(f"http://{bucket}.localhost:")
    assert body(virtual, bucket, "virtual") == body(s3, bucket, "virtual") == b"by host"


def test_nothing_falls_through_to_s3_and_s3_to_nobody(aws, server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="2015-03-31/functions", Body=b"an object")
    # A signature for another service is never answered by S3.
    for service in ("lambda", "apigateway", "events", "sqs"):
        signed = {"authorization": scope(service), "x-amz-date": "20260102T030405Z"}
        code, _, text = plain(server, "GET", f"/{bucket}/2015-03-31/functions", **signed)
        assert code != 200 and text != b"an object", service
    # Nobody's request is for a bucket only where there is one.
    assert plain(server, "GET", f"/{bucket}/2015-03-31/functions")[2] == b"an object"
    code, headers, text = plain(server, "GET", "/no-such-bucket-here/key")
    assert code == 404 and b"UnknownOperation" in headers["x-amzn-errortype"].encode()
    assert plain(server, "GET", "/healthz")[2] == b"ok\n"
    for method, path in (("PATCH", f"/{bucket}/k"), ("DELETE", "/")):
        code, _, text = plain(server, method, path, **SIGNED)
        assert code == 405 and b"<Code>MethodNotAllowed</Code>" in text
    code, headers, text = plain(server, "GET", f"/{bucket}/k?torrent", **SIGNED)
    assert code == 501 and b"<Code>NotImplemented</Code>" in text and headers["x-amz-request-id"]
    anonymous = aws.client("s3", signature_version=botocore.UNSIGNED)
    assert body(anonymous, bucket, "2015-03-31/functions") == b"an object"


def test_versions_are_kept_listed_restored_and_deleted(aws, s3, bucket):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"first")["VersionId"]
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"second")["VersionId"]
    assert len({first, second, "null"}) == 3
    assert body(s3, bucket, "k", VersionId=first) == b"first"
    assert body(s3, bucket, "k", VersionId="null") == b"before"
    assert s3.get_object(Bucket=bucket, Key="k")["VersionId"] == second
    gone = s3.delete_object(Bucket=bucket, Key="k")
    assert gone["DeleteMarker"] is True
    marker = gone["VersionId"]
    with pytest.raises(s3.exceptions.ClientError) as refused_get:
        s3.get_object(Bucket=bucket, Key="k")
    answer = refused_get.value.response
    assert answer["Error"]["Code"] == "NoSuchKey"
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"] == "true"
    assert refused(aws, "get_object", Bucket=bucket, Key="k", VersionId=marker) == (405, "MethodNotAllowed")
    assert refused(aws, "get_object", Bucket=bucket, Key="k", VersionId="none") == (404, "NoSuchVersion")
    assert keys(s3.list_objects_v2(Bucket=bucket)) == []
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1})
    pages = list(pages)
    assert [it["VersionId"] for page in pages for it in page.get("Versions", [])] == [second, first, "null"]
    assert [it["VersionId"] for page in pages for it in page.get("DeleteMarkers", [])] == [marker]
    assert pages[0]["DeleteMarkers"][0]["IsLatest"] is True
    undone = s3.delete_object(Bucket=bucket, Key="k", VersionId=marker)
    assert undone["DeleteMarker"] is True and undone["VersionId"] == marker
    assert body(s3, bucket, "k") == b"second"
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert s3.put_object(Bucket=bucket, Key="k", Body=b"after")["VersionId"] == "null"
    assert body(s3, bucket, "k", VersionId="null") == b"after"
    assert body(s3, bucket, "k", VersionId=first) == b"first"
    # As the resource of boto3 empties a bucket: each page is deleted before the next one is asked for.
    boto3.Session().resource("s3", config=botocore.config.Config(s3={"addressing_style": "path"})).Bucket(bucket).object_versions.limit(1_000).delete()
    s3.delete_bucket(Bucket=bucket)


def test_many_objects_are_deleted_at_once(s3, bucket):
    for n in range(5):
        s3.put_object(Bucket=bucket, Key=f"k{n}", Body=b"x")
    listed = [{"Key": f"k{n}"} for n in range(3)] + [{"Key": "never there"}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": listed})
    assert [it["Key"] for it in answer["Deleted"]] == ["k0", "k1", "k2", "never there"]
    assert "Errors" not in answer
    assert keys(s3.list_objects_v2(Bucket=bucket)) == ["k3", "k4"]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k3"}], "Quiet": True})
    assert "Deleted" not in answer
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k4"}]})
    assert answer["Deleted"][0]["DeleteMarker"] is True
    marker = answer["Deleted"][0]["DeleteMarkerVersionId"]
    versions = [{"Key": "k4", "VersionId": "null"}, {"Key": "k4", "VersionId": marker}]
    s3.delete_objects(Bucket=bucket, Delete={"Objects": versions})
    assert "Versions" not in s3.list_object_versions(Bucket=bucket)


def test_copies_take_everything_along_or_what_they_are_told(aws, s3, bucket):
    s3.put_object(
        Bucket=bucket, Key="a b/ü", Body=b"text", ContentType="text/plain", Metadata={"m": "1"}, Tagging="t=1"
    )
    source = {"Bucket": bucket, "Key": "a b/ü"}
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)["CopyObjectResult"]
    assert copied["ETag"] == s3.head_object(Bucket=bucket, Key="a b/ü")["ETag"]
    s3.delete_object(Bucket=bucket, Key="a b/ü")
    got = s3.get_object(Bucket=bucket, Key="copy")
    assert (got["Body"].read(), got["ContentType"], got["Metadata"], got["TagCount"]) == (b"text", "text/plain", {"m": "1"}, 1)
    source = {"Bucket": bucket, "Key": "copy"}
    s3.copy_object(
        Bucket=bucket, Key="other", CopySource=source, MetadataDirective="REPLACE", Metadata={"n": "2"},
        TaggingDirective="REPLACE", Tagging="", ContentType="text/x",
    )
    got = s3.head_object(Bucket=bucket, Key="other")
    assert (got["ContentType"], got["Metadata"]) == ("text/x", {"n": "2"}) and "TagCount" not in got
    assert refused(aws, "copy_object", Bucket=bucket, Key="copy", CopySource=source) == (400, "InvalidRequest")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, MetadataDirective="REPLACE", Metadata={"self": "1"})
    assert s3.head_object(Bucket=bucket, Key="copy")["Metadata"] == {"self": "1"}
    assert body(s3, bucket, "copy") == b"text"
    for more in ({"CopySourceIfMatch": '"x"'}, {"CopySourceIfNoneMatch": copied["ETag"]}):
        got = refused(aws, "copy_object", Bucket=bucket, Key="never", CopySource=source, **more)
        assert got == (412, "PreconditionFailed")
    nowhere = {"Bucket": bucket, "Key": "not there"}
    assert refused(aws, "copy_object", Bucket=bucket, Key="never", CopySource=nowhere) == (404, "NoSuchKey")
    nowhere = {"Bucket": "no-such-bucket-here", "Key": "k"}
    assert refused(aws, "copy_object", Bucket=bucket, Key="never", CopySource=nowhere) == (404, "NoSuchBucket")
    assert refused(aws, "head_object", Bucket=bucket, Key="never")[0] == 404


def test_tags_of_objects_come_and_go(aws, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b c", "Value": "ü&<"}]
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tags
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 1
    many = [{"Key": str(n), "Value": ""} for n in range(11)]
    got = refused(aws, "put_object_tagging", Bucket=bucket, Key="k", Tagging={"TagSet": many})
    assert got == (400, "BadRequest")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tags
    assert status(s3.delete_object_tagging(Bucket=bucket, Key="k")) == 204
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    assert refused(aws, "get_object_tagging", Bucket=bucket, Key="none") == (404, "NoSuchKey")


def test_large_files_go_up_and_down_in_parts(s3, bucket, tmp_path):
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(os.urandom(17 * MIB + 5))
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
    s3.upload_file(str(source), bucket, "large", Config=config, ExtraArgs={"Metadata": {"m": "1"}})
    head = s3.head_object(Bucket=bucket, Key="large", ChecksumMode="ENABLED")
    assert head["ContentLength"] == 17 * MIB + 5 and head["Metadata"] == {"m": "1"}
    sums = [hashlib.md5(piece).digest() for piece in pieces(source.read_bytes(), 5 * MIB)]
    assert head["ETag"] == f'"{hashlib.md5(b"".join(sums)).hexdigest()}-4"'
    s3.download_file(bucket, "large", str(back), Config=config)
    assert back.read_bytes() == source.read_bytes()
    part = s3.get_object(Bucket=bucket, Key="large", PartNumber=4)
    assert part["PartsCount"] == 4 and part["Body"].read() == source.read_bytes()[15 * MIB :]
    found = s3.get_object_attributes(Bucket=bucket, Key="large", ObjectAttributes=["ObjectParts", "Checksum"])
    assert found["ObjectParts"]["TotalPartsCount"] == 4
    # A copy is one object: its tag is that of its bytes.
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "large"})
    etag = s3.head_object(Bucket=bucket, Key="copy")["ETag"]
    assert etag == f'"{hashlib.md5(source.read_bytes()).hexdigest()}"'
    # And s3transfer copies in parts.
    s3.copy({"Bucket": bucket, "Key": "large"}, bucket, "in-parts", Config=config)
    assert body(s3, bucket, "in-parts") == source.read_bytes()


def pieces(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("algorithm, kind", [("CRC32", "FULL_OBJECT"), ("CRC64NVME", "FULL_OBJECT"), ("SHA256", "COMPOSITE"), (None, None)])
def test_an_upload_in_parts_by_hand(aws, s3, bucket, algorithm, kind):
    chosen = {"ChecksumAlgorithm": algorithm, "ChecksumType": kind} if algorithm else {}
    # Without a choice of the caller's, boto3 chooses: this one does not.
    client = aws.client("s3", request_checksum_calculation="when_required", s3={"addressing_style": "path"})
    upload = client.create_multipart_upload(Bucket=bucket, Key="k", ContentType="text/plain", **chosen)
    of = {"Bucket": bucket, "Key": "k", "UploadId": upload["UploadId"]}
    first, second = b"a" * (5 * MIB), b"the end"
    # Without its C library boto3 cannot compute every checksum: then the server does.
    sent = {"ChecksumAlgorithm": algorithm} if algorithm not in (None, "CRC64NVME") else {}
    parts = []
    for number, data in ((2, second), (1, b"replaced"), (1, first)):
        part = client.upload_part(PartNumber=number, Body=data, **of, **sent)
        named = {"PartNumber": number, "ETag": part["ETag"]}
        if algorithm:
            named[f"Checksum{algorithm}"] = part[f"Checksum{algorithm}"]
        parts.append(named)
    listed = client.list_parts(**of)
    assert [(it["PartNumber"], it["Size"]) for it in listed["Parts"]] == [(1, 5 * MIB), (2, 7)]
    page = client.list_parts(MaxParts=1, **of)
    assert page["IsTruncated"] and page["NextPartNumberMarker"] == 1
    assert [it["UploadId"] for it in client.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload["UploadId"]]
    assert refused(aws, "head_object", Bucket=bucket, Key="k")[0] == 404

    def complete(*parts, **more):
        return refused(aws, "complete_multipart_upload", MultipartUpload={"Parts": list(parts)}, **of, **more)

    assert complete(parts[0], parts[2]) == (400, "InvalidPartOrder")
    assert complete(parts[1], parts[0]) == (400, "InvalidPart")
    assert complete(parts[2], parts[0] | {"ETag": '"x"'}) == (400, "InvalidPart")
    assert complete(parts[2], IfMatch='"x"') == (404, "NoSuchKey")
    done = client.complete_multipart_upload(MultipartUpload={"Parts": [parts[2], parts[0]]}, **of)
    assert done["ETag"].endswith('-2"')
    got = client.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == first + second and got["ContentType"] == "text/plain"
    if algorithm == "CRC32":
        assert base64.b64decode(got["ChecksumCRC32"]) == zlib.crc32(first + second).to_bytes(4, "big")
    if kind:
        assert got["ChecksumType"] == kind
    assert complete(parts[2]) == (404, "NoSuchUpload")
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)


def test_small_parts_and_unknown_uploads_are_refused(aws, s3, bucket):
    of = {"Bucket": bucket, "Key": "k"}
    of["UploadId"] = s3.create_multipart_upload(**of)["UploadId"]
    parts = [
        {"PartNumber": n, "ETag": s3.upload_part(PartNumber=n, Body=b"small", **of)["ETag"]} for n in (1, 2)
    ]
    got = refused(aws, "complete_multipart_upload", MultipartUpload={"Parts": parts}, **of)
    assert got == (400, "EntityTooSmall")
    assert refused(aws, "upload_part", PartNumber=10_001, Body=b"x", **of) == (400, "InvalidArgument")
    assert status(s3.abort_multipart_upload(**of)) == 204
    unknown = 404, "NoSuchUpload"
    assert refused(aws, "abort_multipart_upload", **of) == unknown
    assert refused(aws, "upload_part", PartNumber=1, Body=b"x", **of) == unknown
    assert refused(aws, "list_parts", **of) == unknown
    assert refused(aws, "complete_multipart_upload", MultipartUpload={"Parts": parts}, **of) == unknown
    s3.delete_bucket(Bucket=bucket)


def test_what_terraform_and_cdk_read_of_a_bucket_is_answered(aws, s3, bucket):
    unset = {
        "get_bucket_policy": "NoSuchBucketPolicy",
        "get_bucket_policy_status": "NoSuchBucketPolicy",
        "get_bucket_tagging": "NoSuchTagSet",
        "get_bucket_encryption": "ServerSideEncryptionConfigurationNotFoundError",
        "get_public_access_block": "NoSuchPublicAccessBlockConfiguration",
        "get_bucket_ownership_controls": "OwnershipControlsNotFoundError",
        "get_bucket_lifecycle_configuration": "NoSuchLifecycleConfiguration",
        "get_bucket_cors": "NoSuchCORSConfiguration",
        "get_bucket_website": "NoSuchWebsiteConfiguration",
        "get_bucket_replication": "ReplicationConfigurationNotFoundError",
        "get_object_lock_configuration": "ObjectLockConfigurationNotFoundError",
    }
    for operation, code in unset.items():
        assert refused(aws, operation, Bucket=bucket) == (404, code), operation
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    for operation in ("logging", "notification_configuration", "accelerate_configuration", "versioning"):
        assert status(getattr(s3, f"get_bucket_{operation}")(Bucket=bucket)) == 200
    grants = s3.get_bucket_acl(Bucket=bucket)["Grants"]
    assert [grant["Permission"] for grant in grants] == ["FULL_CONTROL"]


def test_settings_of_a_bucket_are_kept_shown_and_removed(aws, s3, bucket):
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}]}'
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == policy
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"] is False
    assert refused(aws, "put_bucket_policy", Bucket=bucket, Policy="nonsense") == (400, "MalformedPolicy")
    tags = {"TagSet": [{"Key": "a", "Value": "1"}]}
    s3.put_bucket_tagging(Bucket=bucket, Tagging=tags)
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags["TagSet"]
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    found = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert found[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    block = {name: True for name in ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")}
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == block
    rules = [{"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}}]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    found = s3.get_bucket_lifecycle_configuration(Bucket=bucket)
    assert found["Rules"] == rules
    assert found["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    got = refused(aws, "put_bucket_acl", Bucket=bucket, ACL="public-read")
    assert got == (400, "AccessControlListNotSupported")
    owned = {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=owned)
    assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == owned
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    assert "READ" in [grant["Permission"] for grant in s3.get_bucket_acl(Bucket=bucket)["Grants"]]
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    assert len(s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]) == 2
    s3.put_object_acl(Bucket=bucket, Key="k", ACL="private")
    assert len(s3.get_object_acl(Bucket=bucket, Key="k")["Grants"]) == 1
    for name in ("bucket_policy", "bucket_tagging", "bucket_encryption", "public_access_block", "bucket_lifecycle", "bucket_ownership_controls"):
        assert status(getattr(s3, f"delete_{name}")(Bucket=bucket)) == 204, name
    assert refused(aws, "get_bucket_policy", Bucket=bucket) == (404, "NoSuchBucketPolicy")
    # What would have to act and does not is refused.
    queue = {"QueueConfigurations": [{"QueueArn": "arn:aws:sqs:us-east-1:000000000000:q", "Events": ["s3:ObjectCreated:*"]}]}
    got = refused(aws, "put_bucket_notification_configuration", Bucket=bucket, NotificationConfiguration=queue)
    assert got == (501, "NotImplemented")
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    got = refused(aws, "put_object", Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms")
    assert got == (501, "NotImplemented")


def resident_bytes(server):
    """The most memory the server ever had."""
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as lines:
        line = next(line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def test_a_large_object_passes_through_little_memory(servers):
    server = servers().start()
    s3 = Aws(server).client("s3", s3={"addressing_style": "path"})
    s3.create_bucket(Bucket="large-objects")
    s3.put_object(Bucket="large-objects", Key="small", Body=b"x" * MIB)
    body(s3, "large-objects", "small")
    before = resident_bytes(server)
    data = os.urandom(MIB) * 100
    s3.put_object(Bucket="large-objects", Key="large", Body=data)
    hashed = hashlib.sha256()
    for piece in s3.get_object(Bucket="large-objects", Key="large")["Body"].iter_chunks(MIB):
        hashed.update(piece)
    assert hashed.digest() == hashlib.sha256(data).digest()
    assert resident_bytes(server) - before < 24 * MIB


def stored_files(server):
    return [path for path in everything_in(server.data_dir / "objects") if path.is_file()]


def test_a_kill_during_uploads_loses_nothing_acknowledged_and_leaves_nothing_half(servers):
    server = servers().start()
    s3 = Aws(server).client("s3", s3={"addressing_style": "path"})
    s3.create_bucket(Bucket="kept-objects")
    acknowledged, ended = {}, []

    def put(thread):
        n = 0
        while not ended:
            key = f"{thread}/{n:04}"
            data = os.urandom(1 + n * 1_000 % 300_000)
            try:
                s3.put_object(Bucket="kept-objects", Key=key, Body=data)
            except botocore.exceptions.BotoCoreError:
                return
            except s3.exceptions.ClientError:
                return
            acknowledged[key] = hashlib.md5(data).hexdigest()
            n += 1

    half = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    half.putrequest("PUT", "/kept-objects/half")
    for name, value in (SIGNED | {"content-length": str(MIB)}).items():
        half.putheader(name, value)
    half.endheaders(b"x" * (MIB - 1))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for thread in range(4):
            pool.submit(put, thread)
        eventually(lambda: len(acknowledged) > 60, "sixty objects are written")
        server.kill()
        ended.append(True)
    half.close()
    server.restart()
    s3 = Aws(server).client("s3", s3={"addressing_style": "path"})
    found = {
        it["Key"]: it for page in s3.get_paginator("list_objects_v2").paginate(Bucket="kept-objects")
        for it in page["Contents"]
    }
    assert set(acknowledged) <= set(found) and "half" not in found
    # What was written and not acknowledged any more is whole, too.
    for key, it in found.items():
        data = body(s3, "kept-objects", key)
        etag = hashlib.md5(data).hexdigest()
        assert it["ETag"] == f'"{etag}"' and acknowledged.get(key, etag) == etag
    # The files of what was never recorded are removed beside everything else.
    eventually(lambda: len(stored_files(server)) == len(found), "orphans are gone")
    s3.delete_objects(Bucket="kept-objects", Delete={"Objects": [{"Key": key} for key in found]})
    eventually(lambda: not stored_files(server), "files of deleted objects are gone")


def test_settings_versions_and_uploads_survive_a_kill(servers):
    server = servers().start()
    s3 = Aws(server).client("s3", s3={"addressing_style": "path"})
    s3.create_bucket(Bucket="survivor", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_bucket_versioning(Bucket="survivor", VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_tagging(Bucket="survivor", Tagging={"TagSet": [{"Key": "a", "Value": "1"}]})
    versions = [s3.put_object(Bucket="survivor", Key="k", Body=str(n).encode())["VersionId"] for n in range(2)]
    s3.put_object_tagging(Bucket="survivor", Key="k", Tagging={"TagSet": [{"Key": "t", "Value": "2"}]})
    of = {"Bucket": "survivor", "Key": "parts"}
    of["UploadId"] = s3.create_multipart_upload(**of)["UploadId"]
    part = s3.upload_part(PartNumber=1, Body=b"a part", **of)
    gone = s3.delete_object(Bucket="survivor", Key="gone")["VersionId"]
    server.kill()
    server.restart()
    s3 = Aws(server).client("s3", s3={"addressing_style": "path"})
    assert s3.get_bucket_location(Bucket="survivor")["LocationConstraint"] == "eu-west-1"
    assert s3.get_bucket_versioning(Bucket="survivor")["Status"] == "Enabled"
    assert s3.get_bucket_tagging(Bucket="survivor")["TagSet"] == [{"Key": "a", "Value": "1"}]
    assert [body(s3, "survivor", "k", VersionId=version) for version in versions] == [b"0", b"1"]
    assert s3.get_object_tagging(Bucket="survivor", Key="k")["TagSet"] == [{"Key": "t", "Value": "2"}]
    assert s3.list_object_versions(Bucket="survivor", Prefix="gone")["DeleteMarkers"][0]["VersionId"] == gone
    parts = [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}]
    s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **of)
    assert body(s3, "survivor", "parts") == b"a part"


def test_a_package_from_a_bucket_may_be_larger_than_one_sent_directly(aws, s3, bucket, python):
    large = package({"app.py": ECHO, "ballast": os.urandom(MIB) * 51}, compression=zipfile.ZIP_STORED)
    assert len(large) > 52_428_800
    s3.put_object(Bucket=bucket, Key="large.zip", Body=large)
    made = aws.functions.create_function(
        FunctionName="large-from-s3", Runtime=python, Handler="app.handler", Role=ROLE,
        Code={"S3Bucket": bucket, "S3Key": "large.zip"},
    )
    assert made["CodeSize"] == len(large)
    aws.settled("large-from-s3")
    assert aws.invoke("large-from-s3", {"a": 1}).payload == {"a": 1}
    link = aws.functions.get_function(FunctionName="large-from-s3")["Code"]["Location"]
    with urllib.request.urlopen(link) as got:
        assert int(got.headers["content-length"]) == len(large)
        assert hashlib.sha256(got.read()).digest() == hashlib.sha256(large).digest()
    s3.put_object(Bucket=bucket, Key="too-large.zip", Body=package({"app.py": ECHO, "zeros": bytes(250 * MIB)}))
    got = aws.refused(
        "lambda", "update_function_code", FunctionName="large-from-s3", S3Bucket=bucket, S3Key="too-large.zip"
    )
    assert got == (400, IPV, "Unzipped size must be smaller than 262144000 bytes")


def test_hostile_requests_get_an_error_and_store_nothing(server, s3, bucket):
    deep = b"<Delete>" + b"<a>" * 100_000
    bomb = b'<!DOCTYPE a [<!ENTITY b "cccc">]><Delete><Object><Key>&b;</Key></Object></Delete>'
    for sent in (b"", b"\xff\xfe", b"<Delete>", deep, bomb, b"{}", b"<Delete><Object><Key>a\x00</Object></Delete>"):
        code, _, text = plain(server, "POST", f"/{bucket}?delete", sent, **SIGNED)
        assert code == 400 and b"<Code>MalformedXML</Code>" in text, (sent[:50], text)
    code, _, text = plain(server, "POST", f"/{bucket}?delete", b"x" * (2 * MIB + 1), **SIGNED)
    assert code == 400 and b"<Code>MaxMessageLengthExceeded</Code>" in text
    for path, code in ((f"/{bucket}/%ff", "InvalidURI"), (f"/{bucket}/{'k' * 1_025}", "KeyTooLongError"), ("/%2e%2e/k", "InvalidBucketName")):
        answered, _, text = plain(server, "PUT", path, b"x", **SIGNED)
        assert answered == 400 and f"<Code>{code}</Code>".encode() in text, text
    headers = SIGNED | {"content-length": str(5 * 1024 * MIB + 1)}
    code, _, text = plain(server, "PUT", f"/{bucket}/k", b"", **headers)
    assert code == 400 and b"<Code>EntityTooLarge</Code>" in text
    # A sender of much that nobody wants hears why, though it did not wait for leave.
    code, _, text = plain(server, "PUT", "/no-such-bucket-here/k", b"x" * (8 * MIB), **SIGNED)
    assert code == 404 and b"<Code>NoSuchBucket</Code>" in text
    code, _, text = plain(server, "GET", f"/{bucket}", authorization="Bearer x", host="s3.localhost")
    assert code == 400 and b"<Code>AuthorizationHeaderMalformed</Code>" in text
    # A key is a name and no path.
    strange = ["../../etc/passwd", "..", ".", "//", "a\x00b", "\u202e", "%2e%2e", "k" * 1_024]
    for key in strange:
        path = f"/{bucket}/{urllib.parse.quote(key, safe='')}"
        assert plain(server, "PUT", path, key.encode(), **SIGNED)[0] == 200
        assert plain(server, "GET", path, **SIGNED)[2] == key.encode()
    assert keys(s3.list_objects_v2(Bucket=bucket)) == sorted(strange, key=str.encode)
