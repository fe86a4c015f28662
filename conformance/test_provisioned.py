"""Provisioned concurrency: what is said of it is so, and invocations find what was made for them."""

import concurrent.futures
import datetime
import time

import pytest

from harness.clients import Aws
from harness.waiting import eventually, holds_for

IPV = "InvalidParameterValueException"
RC = "ResourceConflictException"
RNF = "ResourceNotFoundException"
PCNF = "ProvisionedConcurrencyConfigNotFoundException"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
NONE = 404, PCNF, "No Provisioned Concurrency Config found for this function"
UNPUBLISHED = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
NOT_LATEST = "The function resource provided must be an alias or a published version."

KIT = """
import os, time

BORN = time.time()
TYPE = os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
if os.environ["AWS_LAMBDA_FUNCTION_VERSION"] in os.environ.get("BROKEN", ""):
    raise RuntimeError("on purpose")
if TYPE == "provisioned-concurrency":
    time.sleep(float(os.environ.get("SLOW", "0")))

def handler(event, context):
    event = event or {}
    if "sleep" in event:
        time.sleep(event["sleep"])
    if "exit" in event:
        os._exit(event["exit"])
    return {"type": TYPE, "born": BORN, "version": context.function_version, "log": context.log_stream_name}
"""


def published(aws, python, name, **more):
    """A function with one version."""
    aws.create(name, KIT, python, **({"Timeout": 30} | more))
    aws.functions.publish_version(FunctionName=name)
    return name


def another(aws, name):
    """Publishes another version of it."""
    changed = {"FunctionName": name, "Description": f"at {time.time()}"}
    aws.functions.update_function_configuration(**changed)
    aws.settled(name)
    return aws.functions.publish_version(FunctionName=name)["Version"]


def aliased(aws, name, alias="live", version="1"):
    aws.functions.create_alias(FunctionName=name, Name=alias, FunctionVersion=version)
    return alias


def put(aws, name, qualifier, places):
    return aws.functions.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=places
    )


def told(aws, name, qualifier):
    asked = {"FunctionName": name, "Qualifier": qualifier}
    return without_metadata(aws.functions.get_provisioned_concurrency_config(**asked))


def delete(aws, name, qualifier):
    asked = {"FunctionName": name, "Qualifier": qualifier}
    return aws.functions.delete_provisioned_concurrency_config(**asked)


def ready(aws, name, qualifier, deadline_s=30):
    """As a waiter does: asks until it is ready, and fails when it has failed."""

    def look():
        found = told(aws, name, qualifier)
        assert found["Status"] != "FAILED", found
        return found if found["Status"] == "READY" else None

    return eventually(look, f"{name}:{qualifier} is ready", deadline_s)


def without_metadata(answer):
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def refused(aws, operation, name, qualifier, **more):
    asked = {"FunctionName": name, "Qualifier": qualifier} | more
    return aws.refused("lambda", f"{operation}_provisioned_concurrency_config", **asked)


def refused_put(aws, name, qualifier, places):
    return refused(aws, "put", name, qualifier, ProvisionedConcurrentExecutions=places)


def unreserved(aws):
    return aws.functions.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]


def living(aws, name, version=None):
    """The environments of a function that live, by what they were made for."""
    lives = [life for life in aws.server.lives(name) if life["ended"] is None]
    return sorted(
        life["initializationType"] for life in lives if version in (None, life["version"])
    )


@pytest.fixture(scope="module")
def there(aws, python):
    """A function with one version, the alias `live` of it, and the alias `latest`."""
    name = published(aws, python, "there")
    aliased(aws, name)
    aliased(aws, name, "latest", "$LATEST")
    return name


def test_environments_are_ready_before_the_first_invocation(aws, python):
    name = published(aws, python, "warm")
    answer = put(aws, name, "1", 2)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    begun = without_metadata(answer)
    modified = begun.pop("LastModified")
    assert begun == {
        "RequestedProvisionedConcurrentExecutions": 2,
        "AllocatedProvisionedConcurrentExecutions": 0,
        "AvailableProvisionedConcurrentExecutions": 0,
        "Status": "IN_PROGRESS",
    }
    assert ready(aws, name, "1") == {
        "RequestedProvisionedConcurrentExecutions": 2,
        "AllocatedProvisionedConcurrentExecutions": 2,
        "AvailableProvisionedConcurrentExecutions": 2,
        "Status": "READY",
        "LastModified": modified,
    }
    assert living(aws, name) == ["provisioned-concurrency"] * 2
    asked = time.time()
    first = aws.invoke(name, Qualifier="1")
    assert first.payload["type"] == "provisioned-concurrency"
    assert first.payload["born"] < asked
    # Its report has the Init's duration, which nobody waited for and nobody pays again.
    report = next(line for line in first.log.splitlines() if line.startswith("REPORT"))
    assert "Init Duration: " in report
    fields = dict(field.split(": ") for field in report.split("\t")[1:] if field)
    assert int(fields["Billed Duration"].split()[0]) <= float(fields["Duration"].split()[0]) + 1
    assert "Init Duration" not in aws.invoke(name, Qualifier="1").log
    assert living(aws, name) == ["provisioned-concurrency"] * 2
    log = aws.wait_for_log(name, "INIT_REPORT")
    assert "\tPhase: init\tStatus: success\n" in log, log


def test_what_is_not_provisioned_is_initialised_on_demand(aws, python):
    name = published(aws, python, "both")
    put(aws, name, "1", 1)
    ready(aws, name, "1")
    assert aws.invoke(name).payload["type"] == "on-demand"
    assert aws.invoke(name, Qualifier="1").payload["type"] == "provisioned-concurrency"


def test_invocations_beyond_it_spill_over(aws, python):
    name = published(aws, python, "spilling")
    put(aws, name, aliased(aws, name), 2)
    ready(aws, name, "live")
    answers = aws.invoke_many(name, [{"sleep": 1}] * 3, Qualifier="live")
    types = sorted(answer.payload["type"] for answer in answers)
    assert types == ["on-demand", *["provisioned-concurrency"] * 2]
    assert all("Init Duration" in answer.log for answer in answers)
    # The next ones find what is kept ready.
    answers = aws.invoke_many(name, [{"sleep": 0.5}] * 2, Qualifier="live")
    assert {answer.payload["type"] for answer in answers} == {"provisioned-concurrency"}
    of = [{"Name": "FunctionName", "Value": name}, {"Name": "Resource", "Value": f"{name}:live"}]
    now = datetime.datetime.now(datetime.UTC)
    hour = datetime.timedelta(hours=1)

    def metric(what, statistic):
        found = aws.client("cloudwatch").get_metric_statistics(
            **{"Namespace": "AWS/Lambda", "MetricName": what, "Dimensions": of},
            **{"StartTime": now - hour, "EndTime": now + hour, "Period": 86_400},
            Statistics=[statistic],
        )
        return sum(point[statistic] for point in found["Datapoints"])

    eventually(lambda: metric("ProvisionedConcurrencyInvocations", "Sum") == 4, "four are counted")
    assert metric("ProvisionedConcurrencySpilloverInvocations", "Sum") == 1
    assert metric("ProvisionedConcurrentExecutions", "Maximum") == 2
    assert metric("ProvisionedConcurrencyUtilization", "Maximum") == 1


def test_all_that_is_reserved_may_be_provisioned_and_starves_the_rest(aws, python):
    name = published(aws, python, "starving")
    aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    put(aws, name, "1", 1)
    ready(aws, name, "1")
    used_up = 429, "TooManyRequestsException", "Rate Exceeded."
    assert aws.refused("lambda", "invoke", FunctionName=name) == used_up
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(aws.invoke, name, {"sleep": 2}, Qualifier="1")
        eventually(
            lambda: any(life["phase"] == "running" for life in aws.server.lives(name)), "it runs"
        )
        assert aws.refused("lambda", "invoke", FunctionName=name, Qualifier="1") == used_up
        assert running.result().payload["type"] == "provisioned-concurrency"
    assert aws.invoke(name, Qualifier="1").payload["type"] == "provisioned-concurrency"
    delete(aws, name, "1")
    assert aws.invoke(name).payload["type"] == "on-demand"


def test_one_that_crashes_is_replaced(aws, python):
    name = published(aws, python, "crashing")
    put(aws, name, "1", 1)
    ready(aws, name, "1")
    first = aws.invoke(name, Qualifier="1").payload
    assert aws.invoke(name, {"exit": 3}, Qualifier="1").error == "Unhandled"

    def replaced():
        lives = aws.server.lives(name)
        return len(lives) == 2 and lives[0]["ended"] and lives[1]["phase"] in ("ready", "frozen")

    eventually(replaced, "another takes its place")
    assert aws.server.lives(name)[0]["ended"]["cause"] == "crashed"
    assert told(aws, name, "1")["Status"] == "READY"
    asked = time.time()
    again = aws.invoke(name, Qualifier="1").payload
    assert again["type"] == "provisioned-concurrency"
    assert first["log"] != again["log"] and first["born"] < again["born"] < asked


def test_an_init_that_fails_is_told_with_its_reason(aws, python):
    name = published(aws, python, "broken", Environment={"Variables": {"BROKEN": "1"}})
    put(aws, name, "1", 2)

    def failed():
        found = told(aws, name, "1")
        assert found["Status"] in ("IN_PROGRESS", "FAILED"), found
        return found if found["Status"] == "FAILED" else None

    found = eventually(failed, "it has failed")
    assert found["StatusReason"] == "FUNCTION_ERROR_INIT_FAILURE"
    assert found["AllocatedProvisionedConcurrentExecutions"] == 0
    listed = aws.functions.list_provisioned_concurrency_configs(FunctionName=name)
    assert listed["ProvisionedConcurrencyConfigs"][0]["Status"] == "FAILED"
    log = aws.wait_for_log(name, "INIT_REPORT")
    assert "Phase: init\tStatus: error\tError Type: Runtime." in log, log
    delete(aws, name, "1")


def test_a_slow_init_keeps_no_caller_waiting(aws, python):
    name = published(aws, python, "slow", Environment={"Variables": {"SLOW": "4"}})
    # Its places are the version's own meanwhile, though that is all that is reserved.
    aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    put(aws, name, "1", 1)
    assert aws.invoke(name, Qualifier="1").payload["type"] == "on-demand"
    assert told(aws, name, "1")["Status"] == "IN_PROGRESS"
    ready(aws, name, "1")
    assert aws.invoke(name, Qualifier="1").payload["type"] == "provisioned-concurrency"


def test_a_moved_alias_is_provisioned_anew(aws, python):
    name = published(aws, python, "moving")
    second = another(aws, name)
    put(aws, name, aliased(aws, name), 2)
    ready(aws, name, "live")
    assert living(aws, name, "1") == ["provisioned-concurrency"] * 2
    aws.functions.update_alias(FunctionName=name, Name="live", FunctionVersion=second)
    found = ready(aws, name, "live")
    assert found["AllocatedProvisionedConcurrentExecutions"] == 2
    asked = time.time()
    answer = aws.invoke(name, Qualifier="live").payload
    assert answer["version"] == second and answer["type"] == "provisioned-concurrency"
    assert answer["born"] < asked
    eventually(lambda: living(aws, name, "1") == [], "those of the first version end")
    # An alias of two versions divides its places.
    weights = {"AdditionalVersionWeights": {"1": 0.5}}
    aws.functions.update_alias(FunctionName=name, Name="live", RoutingConfig=weights)
    ready(aws, name, "live")
    for version in ("1", second):
        eventually(lambda v=version: living(aws, name, v) == ["provisioned-concurrency"], version)
    assert refused_put(aws, name, "live", 3) == (
        *(400, IPV),
        "Alias with weights can not be used with Provisioned Concurrency",
    )
    aws.functions.update_alias(
        FunctionName=name, Name="live", FunctionVersion="$LATEST", RoutingConfig={}
    )
    found = told(aws, name, "live")
    assert (found["Status"], found["StatusReason"]) == ("FAILED", UNPUBLISHED)


def test_less_and_nothing_let_environments_go_and_interrupt_nobody(aws, python):
    name = published(aws, python, "shrinking")
    put(aws, name, "1", 3)
    ready(aws, name, "1")
    put(aws, name, "1", 1)
    assert ready(aws, name, "1")["AllocatedProvisionedConcurrentExecutions"] == 1
    eventually(lambda: living(aws, name) == ["provisioned-concurrency"], "two of them end")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(aws.invoke, name, {"sleep": 1}, Qualifier="1")
        eventually(
            lambda: any(life["phase"] == "running" for life in aws.server.lives(name)), "it runs"
        )
        answer = delete(aws, name, "1")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert running.result().payload["type"] == "provisioned-concurrency"
    eventually(lambda: living(aws, name) == [], "the last one ends")
    assert {life["ended"]["cause"] for life in aws.server.lives(name)} == {"released"}
    assert refused(aws, "get", name, "1") == NONE
    # That there is none is no error.
    assert delete(aws, name, "1")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert aws.invoke(name, Qualifier="1").payload["type"] == "on-demand"


def test_it_goes_with_its_alias_its_version_and_its_function(aws, python):
    name = published(aws, python, "going")
    put(aws, name, aliased(aws, name), 1)
    ready(aws, name, "live")
    aws.functions.delete_alias(FunctionName=name, Name="live")
    eventually(lambda: living(aws, name) == [], "the alias's environment ends")
    assert refused(aws, "get", name, "live") == (404, RNF, f"Cannot find alias arn: {ARN}{name}:live")
    aliased(aws, name)
    assert refused(aws, "get", name, "live") == NONE
    aws.functions.delete_alias(FunctionName=name, Name="live")
    second = another(aws, name)
    put(aws, name, second, 1)
    ready(aws, name, second)
    aws.functions.delete_function(FunctionName=name, Qualifier=second)
    eventually(lambda: living(aws, name) == [], "the version's environment ends")
    before = unreserved(aws)
    put(aws, name, "1", 5)
    assert unreserved(aws) == before - 5
    aws.functions.delete_function(FunctionName=name)
    eventually(lambda: living(aws, name) == [], "the function's environments end")
    assert unreserved(aws) == before


def test_what_may_not_be_provisioned_is_refused(aws, there):
    name = there
    assert refused_put(aws, name, "1", 0) == (
        *(400, "ValidationException"),
        "1 validation error detected: Value '0' at 'provisionedConcurrentExecutions' failed to "
        "satisfy constraint: Member must have value greater than or equal to 1",
    )
    for qualifier in ("$LATEST", "latest"):
        assert refused_put(aws, name, qualifier, 1) == (400, IPV, UNPUBLISHED)
    for operation in ("get", "delete"):
        assert refused(aws, operation, name, "$LATEST") == (400, IPV, NOT_LATEST)
        for function, qualifier in ((name, "7"), ("absent", "1")):
            text = f"Function not found: {ARN}{function}:{qualifier}"
            assert refused(aws, operation, function, qualifier) == (404, RNF, text)
            assert refused_put(aws, function, qualifier, 1) == (404, RNF, text)
        for function in (name, "absent"):
            text = f"Cannot find alias arn: {ARN}{function}:none"
            assert refused(aws, operation, function, "none") == (404, RNF, text)
            assert refused_put(aws, function, "none", 1) == (404, RNF, text)
    assert refused(aws, "get", name, "1") == NONE
    assert aws.refused(
        "lambda", "list_provisioned_concurrency_configs", FunctionName="absent"
    ) == (404, RNF, f"Function not found: {ARN}absent")
    assert aws.functions.list_provisioned_concurrency_configs(FunctionName=name)[
        "ProvisionedConcurrencyConfigs"
    ] == []


def test_a_version_and_its_alias_are_not_both_provisioned(aws, there):
    put(aws, there, "1", 1)
    assert refused_put(aws, there, "live", 1) == (
        *(409, RC),
        "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned "
        "version",
    )
    delete(aws, there, "1")
    put(aws, there, "live", 1)
    assert refused_put(aws, there, "1", 1) == (
        *(409, RC),
        "Version is pointed by a Provisioned Concurrency alias",
    )
    delete(aws, there, "live")


def test_it_counts_against_the_reservation_and_the_account(aws, there):
    left = unreserved(aws)
    assert refused_put(aws, there, "1", left + 1) == (
        *(400, IPV),
        f"Specified ConcurrentExecutions for function is greater than account's unreserved "
        f"concurrency [{left}].",
    )
    assert refused_put(aws, there, "1", left - 99) == (
        *(400, IPV),
        "Specified ConcurrentExecutions for function decreases account's "
        "UnreservedConcurrentExecution below its minimum value of [100].",
    )
    put(aws, there, "1", 2)
    assert unreserved(aws) == left - 2
    reserve = {"FunctionName": there, "ReservedConcurrentExecutions": 1}
    assert aws.refused("lambda", "put_function_concurrency", **reserve) == (
        *(400, IPV),
        " ReservedConcurrentExecutions  1 should not be lower than function's total provisioned "
        "concurrency [2].",
    )
    aws.functions.put_function_concurrency(**(reserve | {"ReservedConcurrentExecutions": 3}))
    assert unreserved(aws) == left - 3
    above = "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
    assert refused_put(aws, there, "1", 4) == (400, IPV, above)
    put(aws, there, "1", 3)
    delete(aws, there, "1")
    aws.functions.delete_function_concurrency(FunctionName=there)
    assert unreserved(aws) == left


def test_lists_come_in_pages(aws, python):
    name = published(aws, python, "listed")
    versions = ["1", *(another(aws, name) for _ in range(2))]
    for version in versions:
        put(aws, name, version, 1)
    pages = aws.functions.get_paginator("list_provisioned_concurrency_configs").paginate(
        FunctionName=name, PaginationConfig={"PageSize": 2}
    )
    pages = [page["ProvisionedConcurrencyConfigs"] for page in pages]
    assert [len(page) for page in pages] == [2, 1]
    assert [found["FunctionArn"] for page in pages for found in page] == [
        f"{ARN}{name}:{version}" for version in versions
    ]
    for version in versions:
        found = ready(aws, name, version)
        listed = aws.functions.list_provisioned_concurrency_configs(FunctionName=name)
        assert found | {"FunctionArn": f"{ARN}{name}:{version}"} in listed[
            "ProvisionedConcurrencyConfigs"
        ]
    aws.functions.delete_function(FunctionName=name)


def test_after_a_kill_it_is_allocated_again(servers, python):
    server = servers().start()
    aws = Aws(server)
    name = published(aws, python, "kept")
    put(aws, name, aliased(aws, name), 2)
    before = ready(aws, name, "live")
    server.kill()
    server.restart()
    aws = Aws(server)
    assert ready(aws, name, "live") == before
    assert living(aws, name) == ["provisioned-concurrency"] * 2
    assert aws.invoke(name, Qualifier="live").payload["type"] == "provisioned-concurrency"
    assert unreserved(aws) == 998
    holds_for(lambda: len(living(aws, name)) == 2, 1, "no more than are asked for")


def test_the_command_line_provisions_and_shows(aws, python):
    name = published(aws, python, "typed")
    asked = ["--function-name", name, "--qualifier", "1"]
    aws.cli(
        *("lambda", "put-provisioned-concurrency-config", *asked),
        *("--provisioned-concurrent-executions", "1"),
    )
    ready(aws, name, "1")
    shown = aws.cli("lambda", "get-provisioned-concurrency-config", *asked)
    assert (shown["Status"], shown["AvailableProvisionedConcurrentExecutions"]) == ("READY", 1)
    listed = aws.cli("lambda", "list-provisioned-concurrency-configs", "--function-name", name)
    assert len(listed["ProvisionedConcurrencyConfigs"]) == 1
    aws.cli("lambda", "delete-provisioned-concurrency-config", *asked)
    assert refused(aws, "get", name, "1") == NONE
