"""Aliases: made, changed, listed, invoked with and without weights, and kept whatever happens."""

import collections
import re

import pytest

from harness.clients import Aws
from harness.waiting import eventually

RNF = "ResourceNotFoundException"
CONFLICT = "ResourceConflictException"
IPV = "InvalidParameterValueException"
VALIDATION = "ValidationException"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LOOK = """
import os
def handler(event, context):
    return [{mark!r}, context.function_version, context.invoked_function_arn, context.log_stream_name]
"""


def arn(name, qualifier=None):
    unqualified = f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    return unqualified if qualifier is None else f"{unqualified}:{qualifier}"


def published(aws, name, runtime, versions=2):
    """A function with versions 1 to `versions`, each answering its own number."""
    aws.create(name, LOOK.format(mark="1"), runtime)
    aws.functions.publish_version(FunctionName=name)
    for number in range(2, versions + 1):
        aws.update_code(name, LOOK.format(mark=str(number)))
        aws.functions.publish_version(FunctionName=name)
    return name


def weights(**numbers):
    return {"AdditionalVersionWeights": {number.strip("v"): weight for number, weight in numbers.items()}}


def plain(answer):
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


@pytest.fixture(scope="module")
def there(aws, python):
    """A function with two versions and an alias, for what is refused."""
    published(aws, "there", python)
    aws.functions.create_alias(FunctionName="there", Name="live", FunctionVersion="1")
    return "there"


def test_the_life_of_an_alias_by_the_cli(aws, python):
    published(aws, "life", python)
    named = ("--function-name", "life", "--name", "live")
    created = aws.cli("lambda", "create-alias", *named, "--function-version", "1")
    assert UUID.fullmatch(created["RevisionId"])
    assert created == {
        "AliasArn": arn("life", "live"),
        "Name": "live",
        "FunctionVersion": "1",
        "Description": "",
        "RevisionId": created["RevisionId"],
    }
    assert aws.cli("lambda", "get-alias", *named) == created
    changed = aws.cli(
        *("lambda", "update-alias", *named, "--description", "both"),
        *("--routing-config", "AdditionalVersionWeights={2=0.05}"),
    )
    assert changed["RevisionId"] != created["RevisionId"]
    assert changed == created | {
        "Description": "both",
        "RoutingConfig": {"AdditionalVersionWeights": {"2": 0.05}},
        "RevisionId": changed["RevisionId"],
    }
    cleared = aws.cli("lambda", "update-alias", *named, "--routing-config", "AdditionalVersionWeights={}")
    assert "RoutingConfig" not in cleared and cleared["Description"] == "both"
    aws.cli("lambda", "delete-alias", *named)
    status, _, errors = aws.cli_raw("lambda", "get-alias", *named)
    assert status != 0 and f"(ResourceNotFoundException) when calling the GetAlias operation: Cannot find alias arn: {arn('life', 'live')}" in errors
    # Once more is no error.
    aws.cli("lambda", "delete-alias", *named)


def test_an_alias_is_a_qualifier_wherever_one_is_taken(aws, python):
    published(aws, "used", python)
    aws.functions.create_alias(FunctionName="used", Name="live", FunctionVersion="1")
    version = plain(aws.functions.get_function_configuration(FunctionName="used", Qualifier="1"))
    expected = version | {"FunctionArn": arn("used", "live")}
    for name, more in (("used", {"Qualifier": "live"}), ("used:live", {}), (arn("used", "live"), {})):
        assert plain(aws.functions.get_function_configuration(FunctionName=name, **more)) == expected
        assert aws.functions.get_function(FunctionName=name, **more)["Configuration"] == expected
        answer = aws.invoke(name, **more)
        mark, context, invoked, stream = answer.payload
        assert (answer.version, mark, context, invoked) == ("1", "1", "1", arn("used", "live"))
        assert "[1]" in stream
    # The same environment whoever asks for it.
    assert aws.invoke("used", Qualifier="1").payload[3] == stream
    aws.functions.update_alias(FunctionName="used", Name="live", FunctionVersion="2")
    answer = aws.invoke("used:live")
    assert (answer.version, answer.payload[0]) == ("2", "2")
    aws.functions.update_alias(FunctionName="used", Name="live", FunctionVersion="$LATEST")
    answer = aws.invoke("used:live")
    assert (answer.version, answer.payload[1:3]) == ("$LATEST", ["$LATEST", arn("used", "live")])
    streamed = aws.functions.invoke_with_response_stream(FunctionName="used", Qualifier="live")
    assert streamed["ExecutedVersion"] == "$LATEST"
    list(streamed["EventStream"])
    aws.functions.delete_alias(FunctionName="used", Name="live")
    missing = 404, RNF, f"Function not found: {arn('used', 'live')}"
    for operation in ("invoke", "get_function", "get_function_configuration"):
        assert aws.refused("lambda", operation, FunctionName="used:live") == missing


def test_two_hundred_invocations_are_split_by_the_weights(aws, python):
    published(aws, "split", python)
    aws.functions.create_alias(
        FunctionName="split", Name="live", FunctionVersion="1", RoutingConfig=weights(v2=0.5)
    )
    answers = []
    for _ in range(20):
        answers += aws.invoke_many("split:live", [None] * 10)
    for answer in answers:
        assert answer.payload[:3] == [answer.version, answer.version, arn("split", "live")]
    ran = collections.Counter(answer.version for answer in answers)
    # Six standard deviations: it fails by chance once in some hundred million runs.
    assert ran["1"] + ran["2"] == 200 and 57 <= ran["2"] <= 143, ran
    for weight, only in ((0.0, "1"), (1.0, "2")):
        aws.functions.update_alias(FunctionName="split", Name="live", RoutingConfig=weights(v2=weight))
        assert {aws.invoke("split:live").version for _ in range(10)} == {only}


def test_aliases_are_listed_in_pages_and_by_version(aws, python):
    published(aws, "listed", python)
    for name, version, more in (("b", "1", {}), ("a", "2", {}), ("c", "1", {"RoutingConfig": weights(v2=0.1)})):
        aws.functions.create_alias(FunctionName="listed", Name=name, FunctionVersion=version, **more)

    def names(**more):
        pages = aws.functions.get_paginator("list_aliases")
        pages = pages.paginate(FunctionName="listed", PaginationConfig={"PageSize": 2}, **more)
        return [found["Name"] for page in pages for found in page["Aliases"]]

    assert names() == ["a", "b", "c"]
    assert names(FunctionVersion="1") == ["b", "c"]
    assert names(FunctionVersion="2") == ["a", "c"]
    assert names(FunctionVersion="7") == []
    found = aws.functions.list_aliases(FunctionName="listed", MaxItems=1)["Aliases"]
    assert found == [plain(aws.functions.get_alias(FunctionName="listed", Name="a"))]


def test_a_version_that_an_alias_runs_is_not_deleted(aws, python):
    published(aws, "held", python)
    aws.functions.create_alias(
        FunctionName="held", Name="live", FunctionVersion="1", RoutingConfig=weights(v2=0.1)
    )
    for version in ("1", "2"):
        got = aws.refused("lambda", "delete_function", FunctionName="held", Qualifier=version)
        text = "Unable to delete version because the following aliases reference it: [live]"
        assert got == (409, CONFLICT, text)
    got = aws.refused("lambda", "delete_function", FunctionName="held", Qualifier="live")
    assert got == (400, IPV, "Deletion of aliases is not currently supported.")
    aws.functions.update_alias(FunctionName="held", Name="live", RoutingConfig=weights())
    aws.functions.delete_function(FunctionName="held", Qualifier="2")
    aws.functions.delete_function(FunctionName="held")
    got = aws.refused("lambda", "get_alias", FunctionName="held", Name="live")
    assert got[:2] == (404, RNF)
    published(aws, "held", python, versions=1)
    assert aws.functions.list_aliases(FunctionName="held")["Aliases"] == []
    assert aws.refused("lambda", "invoke", FunctionName="held:live")[:2] == (404, RNF)


MEMBER = "routingConfig.additionalVersionWeights"
REFUSED = {
    "a version that is not there": ({"FunctionVersion": "7"}, 404, RNF, f"Function not found: {arn('there', 7)}"),
    "another version that is not there": (
        {"RoutingConfig": weights(v7=0.1)},
        *(404, RNF, f"Function not found: {arn('there', 7)}"),
    ),
    "three versions": (
        {"RoutingConfig": weights(v2=0.1, v3=0.1)},
        *(400, IPV, "Number of items in AdditionalVersionWeights cannot be greater than 1"),
    ),
    "the same version twice": (
        {"RoutingConfig": weights(v1=0.1)},
        *(400, IPV, "Invalid function version 1. Function version 1 is already included in routing configuration."),
    ),
    "two versions and one is $LATEST": (
        {"FunctionVersion": "$LATEST", "RoutingConfig": weights(v1=0.1)},
        *(400, IPV, "$LATEST is not supported for an alias pointing to more than 1 version"),
    ),
    "a weight over one": ({"RoutingConfig": weights(v2=1.1)}, 400, VALIDATION, re.compile(MEMBER)),
    "a weight below zero": ({"RoutingConfig": weights(v2=-0.1)}, 400, VALIDATION, re.compile(MEMBER)),
    "a weight of $LATEST": (
        {"RoutingConfig": {"AdditionalVersionWeights": {"$LATEST": 0.1}}},
        *(400, VALIDATION, re.compile(MEMBER)),
    ),
    "a version that is none": ({"FunctionVersion": "live"}, 400, VALIDATION, re.compile("'functionVersion'")),
    "a long description": ({"Description": "x" * 257}, 400, VALIDATION, re.compile("'description'")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_alias_is_refused_in_lambdas_words_when_made_and_when_changed(aws, there, case):
    changes, *expected = REFUSED[case]
    before = plain(aws.functions.get_alias(FunctionName=there, Name="live"))
    for operation, name in (("create_alias", "new"), ("update_alias", "live")):
        arguments = {"FunctionName": there, "Name": name, "FunctionVersion": "1"} | changes
        status, code, text = aws.refused("lambda", operation, **arguments)
        assert [status, code] == expected[:2], text
        if isinstance(expected[2], str):
            assert text == expected[2]
        else:
            assert expected[2].search(text), text
    assert plain(aws.functions.get_alias(FunctionName=there, Name="live")) == before
    assert aws.refused("lambda", "get_alias", FunctionName=there, Name="new")[:2] == (404, RNF)


def test_what_is_not_there_or_there_already_is_told(aws, there):
    def refused(operation, **arguments):
        return aws.refused("lambda", operation, **arguments)

    got = refused("create_alias", FunctionName=there, Name="live", FunctionVersion="2")
    assert got == (409, CONFLICT, f"Alias already exists: {arn(there, 'live')}")
    got = refused("update_alias", FunctionName=there, Name="none")
    assert got == (404, RNF, f"Alias not found: {arn(there, 'none')}")
    got = refused("create_alias", FunctionName="absent", Name="live", FunctionVersion="1")
    assert got == (404, RNF, f"Function not found: {arn('absent')}")
    assert refused("list_aliases", FunctionName="absent") == (404, RNF, f"Function not found: {arn('absent')}")
    for name in ("12", "a b", "x" * 129):
        for operation in ("create_alias", "get_alias"):
            more = {"FunctionVersion": "1"} if operation == "create_alias" else {}
            status, code, text = refused(operation, FunctionName=there, Name=name, **more)
            assert (status, code) == (400, VALIDATION) and "at 'name'" in text
    revision = "00000000-0000-4000-8000-000000000000"
    status, code, _ = refused("update_alias", FunctionName=there, Name="live", RevisionId=revision)
    assert (status, code) == (412, "PreconditionFailedException")
    latest = aws.functions.get_alias(FunctionName=there, Name="live")["RevisionId"]
    aws.functions.update_alias(FunctionName=there, Name="live", RevisionId=latest)


def test_aliases_survive_a_kill_and_serve_at_once(servers, python):
    server = servers().start()
    aws = Aws(server)
    published(aws, "kept", python)
    aws.functions.create_alias(FunctionName="kept", Name="live", FunctionVersion="1")
    aws.functions.create_alias(FunctionName="kept", Name="gone", FunctionVersion="1")
    changed = aws.functions.update_alias(
        FunctionName="kept", Name="live", Description="grün", RoutingConfig=weights(v2=0.5)
    )
    aws.functions.delete_alias(FunctionName="kept", Name="gone")
    server.kill()
    server.restart()
    aws = Aws(server)
    assert aws.functions.list_aliases(FunctionName="kept")["Aliases"] == [plain(changed)]
    seen = set()
    eventually(lambda: seen.add(aws.invoke("kept:live").version) or seen == {"1", "2"}, "both versions run")
    assert aws.refused("lambda", "invoke", FunctionName="kept:gone")[:2] == (404, RNF)
