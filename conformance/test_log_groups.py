"""Log groups as Terraform, SAM and people at a terminal keep them: classes, tags, retention."""

import sqlite3

import pytest

from harness.clients import Aws
from harness.waiting import eventually

DAYS = [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653]
NO_GROUP = "The specified log group does not exist."


def described(aws, name):
    found = aws.logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return next((group for group in found if group["logGroupName"] == name), None)


def arn(name):
    return f"arn:aws:logs:us-east-1:000000000000:log-group:{name}"


def test_the_calls_of_terraforms_log_group(aws):
    name = "/aws/lambda/terraformed"
    aws.logs.create_log_group(logGroupName=name, logGroupClass="STANDARD", tags={"env": "test"})
    aws.logs.put_retention_policy(logGroupName=name, retentionInDays=14)
    group = described(aws, name)
    assert group["creationTime"] > 1_600_000_000_000
    assert {key: group[key] for key in group if key != "creationTime"} == {
        "logGroupName": name,
        "retentionInDays": 14,
        "metricFilterCount": 0,
        "arn": arn(name) + ":*",
        "logGroupArn": arn(name),
        "storedBytes": 0,
        "logGroupClass": "STANDARD",
    }
    assert aws.logs.list_tags_for_resource(resourceArn=arn(name))["tags"] == {"env": "test"}
    aws.logs.tag_resource(resourceArn=arn(name), tags={"env": "prod", "team": "grün"})
    aws.logs.untag_resource(resourceArn=arn(name), tagKeys=["team", "absent"])
    assert aws.logs.list_tags_for_resource(resourceArn=arn(name))["tags"] == {"env": "prod"}
    aws.logs.delete_retention_policy(logGroupName=name)
    assert "retentionInDays" not in described(aws, name)
    aws.logs.delete_log_group(logGroupName=name)
    assert described(aws, name) is None


def test_the_older_operations_for_tags_and_the_cli(aws):
    aws.cli("logs", "create-log-group", "--log-group-name", "older", "--tags", "a=1,b=2")
    aws.logs.tag_log_group(logGroupName="older", tags={"c": "3"})
    aws.logs.untag_log_group(logGroupName="older", tags=["a"])
    assert aws.logs.list_tags_log_group(logGroupName="older")["tags"] == {"b": "2", "c": "3"}
    listed = aws.cli("logs", "list-tags-for-resource", "--resource-arn", arn("older"))
    assert listed["tags"] == {"b": "2", "c": "3"}
    aws.cli("logs", "put-retention-policy", "--log-group-name", "older", "--retention-in-days", "7")
    assert described(aws, "older")["retentionInDays"] == 7


def test_retention_takes_exactly_the_days_aws_offers(aws):
    aws.logs.create_log_group(logGroupName="days")
    for days in DAYS:
        aws.logs.put_retention_policy(logGroupName="days", retentionInDays=days)
        assert described(aws, "days")["retentionInDays"] == days
    for days in (0, 2, 366, 3654, -1):
        status, code, text = aws.refused("logs", "put_retention_policy", logGroupName="days", retentionInDays=days)
        assert (status, code) == (400, "InvalidParameterException"), days
        assert f"Value '{days}' at 'retentionInDays'" in text


def test_groups_are_found_by_prefix_pattern_and_class_in_pages(aws):
    for number in range(7):
        aws.logs.create_log_group(
            logGroupName=f"many/{number}/{'odd' if number % 2 else 'even'}",
            logGroupClass="INFREQUENT_ACCESS" if number == 3 else "STANDARD",
        )
    names = lambda pages: [[group["logGroupName"] for group in page["logGroups"]] for page in pages]
    paginator = aws.logs.get_paginator("describe_log_groups")
    by_prefix = names(paginator.paginate(logGroupNamePrefix="many/", PaginationConfig={"PageSize": 3}))
    assert [len(page) for page in by_prefix] == [3, 3, 1]
    by_pattern = names(paginator.paginate(logGroupNamePattern="/even", PaginationConfig={"PageSize": 2}))
    assert sum(by_pattern, []) == [f"many/{number}/even" for number in (0, 2, 4, 6)]
    assert names([aws.logs.describe_log_groups(logGroupNamePattern="/EVEN")]) == [[]]
    found = aws.logs.describe_log_groups(logGroupNamePrefix="many/", logGroupClass="INFREQUENT_ACCESS")
    assert names([found]) == [["many/3/odd"]]


ERRORS = {
    "retention of no group": (
        *("put_retention_policy", {"logGroupName": "absent", "retentionInDays": 7}),
        *("ResourceNotFoundException", NO_GROUP),
    ),
    "no retention of no group": (
        *("delete_retention_policy", {"logGroupName": "absent"}),
        *("ResourceNotFoundException", NO_GROUP),
    ),
    "tags of no group": (
        *("list_tags_for_resource", {"resourceArn": arn("absent")}),
        *("ResourceNotFoundException", NO_GROUP),
    ),
    "tagging no group": (
        *("tag_resource", {"resourceArn": arn("absent"), "tags": {"a": "b"}}),
        *("ResourceNotFoundException", NO_GROUP),
    ),
    "no class": (
        *("create_log_group", {"logGroupName": "x", "logGroupClass": "COLD"}),
        "InvalidParameterException",
        "1 validation error detected: Value 'COLD' at 'logGroupClass' failed to satisfy constraint: "
        "Member must satisfy enum value set: [STANDARD, INFREQUENT_ACCESS, DELIVERY]",
    ),
    "a second one": (
        *("create_log_group", {"logGroupName": "taken"}),
        *("ResourceAlreadyExistsException", "The specified log group already exists"),
    ),
    "more than fifty tags": (
        *("tag_resource", {"resourceArn": arn("taken"), "tags": {f"k{number}": "" for number in range(50)}}),
        *("TooManyTagsException", "A resource can have at most 50 tags."),
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_wrong_requests_get_the_services_own_words(aws, case):
    if described(aws, "taken") is None:
        aws.logs.create_log_group(logGroupName="taken", tags={"first": ""})
    operation, arguments, *expected = ERRORS[case]
    assert aws.refused("logs", operation, **arguments) == (400, *expected)
    assert described(aws, "x") is None


def test_what_is_past_its_retention_is_deleted_and_the_rest_survives_a_kill(servers, python):
    server = servers().start()
    aws = Aws(server)
    for name in ("old", "kept"):
        aws.create(name, "def handler(event, context):\n    print('said')\n", python)
        aws.invoke(name)
        aws.wait_for_log(name, "REPORT ")
    aws.logs.put_retention_policy(logGroupName="/aws/lambda/old", retentionInDays=1)
    aws.logs.tag_log_group(logGroupName="/aws/lambda/old", tags={"kept": "yes"})
    server.kill()
    # Nobody waits for days: what was said becomes as old as that while nobody looks.
    with sqlite3.connect(server.data_dir / "logs.db") as database:
        database.execute("UPDATE log_events SET timestamp_ms = timestamp_ms - 2 * 86400000")
    database.close()
    server.start()
    aws = Aws(server)
    gone = lambda: described(aws, "/aws/lambda/old")["storedBytes"] == 0
    eventually(gone, "the events of two days ago to be gone")
    assert aws.logs.filter_log_events(logGroupName="/aws/lambda/old")["events"] == []
    assert described(aws, "/aws/lambda/kept")["storedBytes"] > 0
    assert "said\n" in [event["message"] for event in aws.logs.filter_log_events(logGroupName="/aws/lambda/kept")["events"]]
    assert aws.logs.list_tags_log_group(logGroupName="/aws/lambda/old")["tags"] == {"kept": "yes"}
    assert described(aws, "/aws/lambda/old")["retentionInDays"] == 1
