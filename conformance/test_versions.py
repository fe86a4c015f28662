"""Published versions: made, found, listed, invoked, deleted, and kept whatever happens."""

import pytest

from harness.clients import Aws
from harness.code import ROLE, digest, package
from harness.waiting import eventually

RNF = "ResourceNotFoundException"
CONFLICT = "ResourceConflictException"
IPV = "InvalidParameterValueException"
LOOK = """
import os
STARTED = os.urandom(8).hex()
def handler(event, context):
    return {{
        "code": {mark!r},
        "colour": os.environ.get("COLOUR"),
        "version": os.environ["AWS_LAMBDA_FUNCTION_VERSION"],
        "context": context.function_version,
        "arn": context.invoked_function_arn,
        "stream": context.log_stream_name,
        "started": STARTED,
    }}
"""


def arn(name, version=None):
    unqualified = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    return unqualified if version is None else f"{unqualified}:{version}"


def look(mark):
    return LOOK.format(mark=mark)


def publish(aws, name, **more):
    return aws.functions.publish_version(FunctionName=name, **more)


def numbers(aws, name):
    """The versions of a function as they are listed, over all pages of two."""
    pages = aws.functions.get_paginator("list_versions_by_function")
    pages = pages.paginate(FunctionName=name, PaginationConfig={"PageSize": 2})
    return [found["Version"] for page in pages for found in page["Versions"]]


def test_a_version_is_published_by_the_cli_and_found_under_its_number(aws, python):
    aws.create("shown", look("one"), python, Description="mine", Tags={"k": "v"})
    latest = aws.functions.get_function_configuration(FunctionName="shown")
    published = aws.cli("lambda", "publish-version", "--function-name", "shown", "--description", "first")
    expected = latest | {
        "FunctionArn": arn("shown", 1),
        "Version": "1",
        "Description": "first",
        "RevisionId": published["RevisionId"],
    }
    expected.pop("ResponseMetadata")
    assert published == expected
    assert published["RevisionId"] != latest["RevisionId"]
    now = aws.functions.get_function_configuration(FunctionName="shown")
    assert now["RevisionId"] not in (latest["RevisionId"], published["RevisionId"])
    assert (now["Version"], now["Description"]) == ("$LATEST", "mine")
    aws.cli("lambda", "wait", "published-version-active", "--function-name", "shown", "--qualifier", "1")
    for found in (
        aws.functions.get_function(FunctionName="shown", Qualifier="1"),
        aws.functions.get_function(FunctionName="shown:1"),
        aws.functions.get_function(FunctionName=arn("shown", 1)),
    ):
        assert found["Configuration"] == published
        assert found["Tags"] == {"k": "v"} and found["Code"]["Location"]


def test_nothing_is_published_when_nothing_changed(aws, python):
    aws.create("same", look("one"), python)
    first = publish(aws, "same", Description="first")
    before = aws.functions.get_function_configuration(FunctionName="same")["RevisionId"]
    again = publish(aws, "same", Description="another")
    assert (again["Version"], again["Description"]) == ("1", "first")
    assert again["RevisionId"] == first["RevisionId"]
    assert aws.functions.get_function_configuration(FunctionName="same")["RevisionId"] == before
    aws.functions.update_function_configuration(FunctionName="same", Timeout=9)
    aws.settled("same")
    assert publish(aws, "same")["Version"] == "2"
    aws.update_code("same", look("two"))
    assert publish(aws, "same")["Version"] == "3"
    # The same code again is a change of the function, not of what it would be published as.
    aws.update_code("same", look("two"))
    assert publish(aws, "same")["Version"] == "3"
    assert numbers(aws, "same") == ["$LATEST", "1", "2", "3"]


def test_a_version_runs_what_was_published_and_latest_goes_on(aws, python):
    aws.create("runs", look("one"), python, Environment={"Variables": {"COLOUR": "red"}})
    publish(aws, "runs")
    first = aws.invoke("runs", Qualifier="1")
    assert first.version == "1"
    aws.functions.update_function_configuration(
        FunctionName="runs", Environment={"Variables": {"COLOUR": "blue"}}
    )
    aws.settled("runs")
    aws.update_code("runs", look("two"))
    latest = aws.invoke("runs")
    assert (latest.version, latest.payload["code"], latest.payload["colour"]) == ("$LATEST", "two", "blue")
    assert latest.payload["arn"] == arn("runs") and "[$LATEST]" in latest.payload["stream"]
    for name, more in (("runs", {"Qualifier": "1"}), ("runs:1", {}), (arn("runs", 1), {})):
        answer = aws.invoke(name, **more)
        assert answer.version == "1"
        # The same environment: changes of $LATEST end none of a version.
        assert answer.payload == {
            "code": "one",
            "colour": "red",
            "version": "1",
            "context": "1",
            "arn": arn("runs", 1),
            "stream": first.payload["stream"],
            "started": first.payload["started"],
        }
    assert "[1]" in first.payload["stream"]
    assert "Version: 1" in first.log
    streams = aws.logs.describe_log_streams(logGroupName="/aws/lambda/runs")["logStreams"]
    assert first.payload["stream"] in [stream["logStreamName"] for stream in streams]
    streamed = aws.functions.invoke_with_response_stream(FunctionName="runs", Qualifier="1")
    assert streamed["ExecutedVersion"] == "1"
    chunks = [event["PayloadChunk"]["Payload"] for event in streamed["EventStream"] if "PayloadChunk" in event]
    assert b'"code": "one"' in b"".join(chunks)


def test_preconditions_are_checked_and_refused_in_lambdas_words(aws, python):
    zipped = package({"app.py": look("one")})
    aws.create("checked", zipped, python)
    revision = aws.functions.get_function_configuration(FunctionName="checked")["RevisionId"]

    def refused(**more):
        return aws.refused("lambda", "publish_version", FunctionName="checked", **more)

    other = digest(b"other")
    assert refused(CodeSha256=other) == (
        *(400, IPV),
        f"CodeSHA256 ({other}) is different from current CodeSHA256 in $LATEST ({digest(zipped)}). "
        "Please try again with the CodeSHA256 in $LATEST.",
    )
    stale = (
        *(412, "PreconditionFailedException"),
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
    )
    assert refused(RevisionId="00000000-0000-4000-8000-000000000000") == stale
    status, code, text = refused(Description="x" * 257)
    assert (status, code) == (400, "ValidationException") and "at 'description'" in text
    assert refused(PublishTo="LATEST_PUBLISHED")[:2] == (400, IPV)
    published = publish(aws, "checked", CodeSha256=digest(zipped), RevisionId=revision)
    assert published["Version"] == "1"
    assert refused(RevisionId=revision) == stale
    missing = 404, RNF, f"Function not found: {arn('checked', 1)}"
    assert aws.refused("lambda", "publish_version", FunctionName="checked:1") == missing
    assert aws.refused("lambda", "update_function_code", FunctionName="checked:1", ZipFile=zipped) == missing


def test_nothing_is_published_while_something_is_under_way(aws, python):
    aws.functions.create_function(
        FunctionName="busy",
        Runtime=python,
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": package({"app.py": look("one"), "pad": b"x" * 30_000_000})},
    )
    got = aws.refused("lambda", "publish_version", FunctionName="busy")
    # It may be ready before we ask.
    if got is not None:
        text = "The operation cannot be performed at this time. The function is currently in the following state: Pending"
        assert got == (409, CONFLICT, text)
    aws.settled("busy")
    aws.functions.update_function_code(
        FunctionName="busy", ZipFile=package({"app.py": look("two"), "pad": b"y" * 30_000_000})
    )
    got = aws.refused("lambda", "publish_version", FunctionName="busy")
    if got is not None:
        text = f"The operation cannot be performed at this time. An update is in progress for resource: {arn('busy')}"
        assert got == (409, CONFLICT, text)
    aws.settled("busy")


def test_a_function_is_created_and_updated_together_with_a_version(aws, python):
    created = aws.functions.create_function(
        FunctionName="together",
        Runtime=python,
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": package({"app.py": look("one")})},
        Publish=True,
    )
    assert (created["FunctionArn"], created["Version"]) == (arn("together"), "1")
    assert created["State"] == "Pending"
    aws.functions.get_waiter("published_version_active").wait(
        FunctionName="together", Qualifier="1", WaiterConfig={"Delay": 1}
    )
    assert aws.invoke("together", Qualifier="1").payload["code"] == "one"
    assert publish(aws, "together")["Version"] == "1"
    updated = aws.functions.update_function_code(
        FunctionName="together", ZipFile=package({"app.py": look("two")}), Publish=True
    )
    assert (updated["FunctionArn"], updated["Version"]) == (arn("together", 2), "2")
    aws.settled("together")
    assert aws.invoke("together", Qualifier="2").payload["code"] == "two"
    assert aws.invoke("together", Qualifier="1").payload["code"] == "one"
    again = aws.functions.update_function_code(
        FunctionName="together", ZipFile=package({"app.py": look("two")}), Publish=True
    )
    assert again["Version"] == "2"
    aws.settled("together")
    dry = aws.functions.update_function_code(
        FunctionName="together", ZipFile=package({"app.py": look("three")}), Publish=True, DryRun=True
    )
    assert dry["Version"] == "$LATEST"
    assert numbers(aws, "together") == ["$LATEST", "1", "2"]


def test_versions_are_listed_with_their_function_and_among_all(aws, python):
    for name in ("listed-a", "listed-b"):
        aws.create(name, look("one"), python)
        publish(aws, name)
    versions = aws.functions.list_versions_by_function(FunctionName="listed-a")["Versions"]
    assert [found["FunctionArn"] for found in versions] == [arn("listed-a", "$LATEST"), arn("listed-a", 1)]
    for found in versions:
        assert "State" not in found and "LastUpdateStatus" not in found and found["CodeSha256"]
    pages = aws.functions.get_paginator("list_functions")
    pages = pages.paginate(FunctionVersion="ALL", PaginationConfig={"PageSize": 3})
    every = [found["FunctionArn"] for page in pages for found in page["Functions"]]
    assert [found for found in every if ":listed-" in found] == [
        *(arn("listed-a", "$LATEST"), arn("listed-a", 1)),
        *(arn("listed-b", "$LATEST"), arn("listed-b", 1)),
    ]
    pages = aws.functions.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 3})
    every = [found["FunctionArn"] for page in pages for found in page["Functions"]]
    assert [found for found in every if ":listed-" in found] == [arn("listed-a"), arn("listed-b")]
    got = aws.refused("lambda", "list_versions_by_function", FunctionName="listed-a", Marker="x y")
    assert got == (400, IPV, "Invalid marker.")


def test_one_version_is_deleted_and_its_number_is_never_given_out_again(aws, python):
    aws.create("deleted", look("one"), python)
    publish(aws, "deleted")
    aws.update_code("deleted", look("two"))
    publish(aws, "deleted")
    assert aws.invoke("deleted", Qualifier="2").payload["code"] == "two"
    answer = aws.functions.delete_function(FunctionName="deleted", Qualifier="2")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    missing = 404, RNF, f"Function not found: {arn('deleted', 2)}"
    for operation in ("get_function", "get_function_configuration", "invoke", "delete_function"):
        assert aws.refused("lambda", operation, FunctionName="deleted", Qualifier="2") == missing
    assert aws.invoke("deleted", Qualifier="1").payload["code"] == "one"
    assert publish(aws, "deleted")["Version"] == "3"
    aws.functions.delete_function(FunctionName="deleted")
    for version in (1, 3):
        missing = 404, RNF, f"Function not found: {arn('deleted', version)}"
        assert aws.refused("lambda", "invoke", FunctionName=f"deleted:{version}") == missing
    aws.create("deleted", look("four"), python)
    assert numbers(aws, "deleted") == ["$LATEST"]
    assert publish(aws, "deleted")["Version"] == "4"
    assert aws.invoke("deleted", Qualifier="4").payload["code"] == "four"


def test_a_version_keeps_its_layers_when_latest_and_the_layer_are_gone(aws, python):
    layer = aws.functions.publish_layer_version(
        LayerName="kept", Content={"ZipFile": package({"python/part.py": "TEXT = 'layer'\n"})}
    )
    code = "def handler(event, context):\n    import part\n    return part.TEXT\n"
    aws.create("layered", code, python, Layers=[layer["LayerVersionArn"]])
    publish(aws, "layered")
    aws.functions.update_function_configuration(FunctionName="layered", Layers=[])
    aws.settled("layered")
    aws.functions.delete_layer_version(LayerName="kept", VersionNumber=1)
    assert aws.invoke("layered", Qualifier="1").payload == "layer"
    assert aws.invoke("layered").error == "Unhandled"


def test_versions_survive_a_kill_and_a_clean_start(servers, python):
    server = servers().start()
    aws = Aws(server)
    layer = aws.functions.publish_layer_version(
        LayerName="kept", Content={"ZipFile": package({"lib/text": "layer"})}
    )
    aws.create("kept", look("one"), python, Layers=[layer["LayerVersionArn"]])
    for mark in ("two", "three"):
        publish(aws, "kept")
        aws.functions.update_function_code(FunctionName="kept", ZipFile=package({"app.py": look(mark)}))
        aws.settled("kept")
    aws.functions.delete_function(FunctionName="kept", Qualifier="2")
    aws.functions.update_function_configuration(FunctionName="kept", Layers=[])
    aws.settled("kept")
    aws.functions.delete_layer_version(LayerName="kept", VersionNumber=1)
    before = aws.functions.get_function(FunctionName="kept", Qualifier="1")["Configuration"]
    server.kill()
    server.restart()
    aws = Aws(server)
    assert aws.functions.get_function(FunctionName="kept", Qualifier="1")["Configuration"] == before
    assert aws.invoke("kept", Qualifier="1").payload["code"] == "one"
    assert aws.invoke("kept").payload["code"] == "three"
    assert numbers(aws, "kept") == ["$LATEST", "1"]
    assert publish(aws, "kept")["Version"] == "3"
    # A version that was acknowledged with an update is ready however the server ends.
    aws.functions.update_function_code(
        FunctionName="kept", ZipFile=package({"app.py": look("four")}), Publish=True
    )
    server.kill()
    server.restart()
    aws = Aws(server)
    eventually(
        lambda: aws.functions.get_function_configuration(FunctionName="kept", Qualifier="4")["State"] == "Active",
        "the version is ready",
    )
    assert aws.invoke("kept", Qualifier="4").payload["code"] == "four"
