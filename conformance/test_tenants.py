"""Functions that keep tenants apart: an environment serves one tenant, and its function, its log and its
caller hear which."""

import concurrent.futures
import json

import pytest

IPV = "InvalidParameterValueException"
TENANCY = {"TenantIsolationMode": "PER_TENANT"}
# What an environment remembers would tell one tenant of another.
REMEMBERS = (
    "SEEN = []\n"
    "def handler(event, context):\n"
    "    SEEN.append(context.tenant_id)\n"
    "    return SEEN\n"
)


@pytest.fixture(scope="module")
def apart(aws, python):
    return aws.create("apart", REMEMBERS, python, TenancyConfig=TENANCY, LoggingConfig={"LogFormat": "JSON"})


def test_an_environment_serves_one_tenant_only(aws, apart):
    answers = [aws.invoke(apart, TenantId=tenant).payload for tenant in ("blue", "red", "blue", "red", "blue")]
    assert answers == [["blue"], ["red"], ["blue"] * 2, ["red"] * 2, ["blue"] * 3]


def test_the_log_says_whose_invocation_it_was(aws, apart):
    log = aws.invoke(apart, TenantId="green:1").log
    told = {record["type"]: record["record"] for record in map(json.loads, log.splitlines()) if "type" in record}
    assert {told[kind]["tenantId"] for kind in ("platform.start", "platform.report")} == {"green:1"}


def test_many_tenants_at_once_do_not_meet(aws, apart):
    tenants = [f"tenant-{number % 5}" for number in range(20)]
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda tenant: aws.invoke(apart, TenantId=tenant).payload, tenants))
    assert [set(seen) for seen in answers] == [{tenant} for tenant in tenants]


def test_a_caller_names_a_tenant_just_where_tenants_are_apart(aws, apart, python):
    def refused(name, **more):
        return aws.refused("lambda", "invoke", FunctionName=name, **more)

    for more in ({}, {"InvocationType": "Event"}, {"InvocationType": "DryRun"}):
        got = refused(apart, **more)
        assert got[:2] == (400, IPV) and "is enabled with tenancy configuration" in got[2], got
    aws.create("together", REMEMBERS, python)
    got = refused("together", TenantId="blue")
    assert got[:2] == (400, IPV) and "is not enabled with tenancy configuration" in got[2], got
    got = refused(apart, TenantId="a!")
    assert got[:2] == (400, "ValidationException"), got


def test_isolation_is_shown_published_and_never_changed(aws, apart):
    def shown(**which):
        return aws.functions.get_function_configuration(FunctionName=apart, **which).get("TenancyConfig")

    assert shown() == TENANCY
    aws.functions.update_function_configuration(FunctionName=apart, Timeout=7)
    aws.settled(apart)
    version = aws.functions.publish_version(FunctionName=apart)["Version"]
    assert shown(Qualifier=version) == shown() == TENANCY
    assert aws.invoke(apart, TenantId="blue", Qualifier=version).payload == ["blue"]


def test_what_tenants_cannot_have_is_refused(aws, apart, python):
    got = aws.refused("lambda", "create_function_url_config", FunctionName=apart, AuthType="NONE")
    assert got[:2] == (400, IPV) and "tenant isolation" in got[2], got
    got = aws.refused(
        "lambda", "update_function_configuration", FunctionName=apart, SnapStart={"ApplyOn": "PublishedVersions"}
    )
    assert got[:2] == (400, IPV), got
