"""Capacity providers and durable executions: kept or refused, and nothing pretends."""

import pytest

from harness.clients import REGION, Aws
from harness.code import ECHO, ROLE

IPV = "InvalidParameterValueException"
RNF = "ResourceNotFoundException"
ARN = f"arn:aws:lambda:{REGION}:000000000000:"
DESCRIBED = {
    "VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
    "PermissionsConfig": {"CapacityProviderOperatorRoleArn": ROLE},
}
EXECUTION = ARN + "function:f:$LATEST/durable-execution/name/id"
NOT_THERE = 404, RNF, "The resource you requested does not exist."


def create(aws, name, **more):
    made = aws.functions.create_capacity_provider(CapacityProviderName=name, **DESCRIBED, **more)
    assert status(made) == 202
    return made["CapacityProvider"]


def get(aws, name):
    return aws.functions.get_capacity_provider(CapacityProviderName=name)["CapacityProvider"]


def status(answer):
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def missing(name):
    return 404, RNF, f"Capacity provider not found: {name}"


def test_a_provider_is_made_changed_shown_and_removed(aws):
    made = create(aws, "life", InstanceRequirements={"Architectures": ["x86_64"]}, Tags={"a": "1"})
    arn = ARN + "capacity-provider:life"
    assert (made["CapacityProviderArn"], made["State"]) == (arn, "Pending")
    assert DESCRIBED.items() <= made.items()
    assert get(aws, arn) == made | {"State": "Active"}
    taken = aws.refused("lambda", "create_capacity_provider", CapacityProviderName="life", **DESCRIBED)
    assert taken[:2] == (409, "ResourceConflictException")
    scaling = {"MaxVCpuCount": 12, "ScalingMode": "Auto"}
    changed = aws.functions.update_capacity_provider(
        CapacityProviderName="life", CapacityProviderScalingConfig=scaling
    )["CapacityProvider"]
    assert changed["CapacityProviderScalingConfig"] == scaling
    assert changed["InstanceRequirements"] == {"Architectures": ["x86_64"]}
    aws.functions.tag_resource(Resource=arn, Tags={"b": "2"})
    aws.functions.untag_resource(Resource=arn, TagKeys=["a"])
    assert aws.functions.list_tags(Resource=arn)["Tags"] == {"b": "2"}
    versions = aws.functions.list_function_versions_by_capacity_provider(CapacityProviderName="life")
    assert (versions["CapacityProviderArn"], versions["FunctionVersions"]) == (arn, [])
    gone = aws.functions.delete_capacity_provider(CapacityProviderName=arn)
    assert (status(gone), gone["CapacityProvider"]["State"]) == (202, "Deleting")
    for operation in ("get", "update", "delete"):
        assert aws.refused("lambda", f"{operation}_capacity_provider", CapacityProviderName="life") == missing("life")
    listed = "list_function_versions_by_capacity_provider"
    assert aws.refused("lambda", listed, CapacityProviderName="life") == missing("life")


def test_providers_are_listed_in_pages_and_survive_a_kill(servers):
    server = servers().start()
    aws = Aws(server)
    for number in range(5):
        create(aws, f"paged-{number}", Tags={"a": "1"})
    server.kill()
    server.restart()
    aws = Aws(server)
    pages = aws.functions.get_paginator("list_capacity_providers").paginate(PaginationConfig={"PageSize": 2})
    found = [[of["CapacityProviderArn"] for of in page["CapacityProviders"]] for page in pages]
    assert [len(page) for page in found] == [2, 2, 1]
    assert sum(found, []) == [ARN + f"capacity-provider:paged-{number}" for number in range(5)]
    assert aws.functions.list_tags(Resource=found[0][0])["Tags"] == {"a": "1"}
    assert aws.functions.list_capacity_providers(State="Failed")["CapacityProviders"] == []
    assert len(aws.functions.list_capacity_providers(State="Active")["CapacityProviders"]) == 5


def test_what_a_provider_cannot_have_is_refused(aws):
    def refused(**changes):
        arguments = {"CapacityProviderName": "refused"} | DESCRIBED | changes
        return aws.refused("lambda", "create_capacity_provider", **arguments)

    assert refused(KmsKeyArn="arn:aws:kms:us-east-1:000000000000:key/k")[:2] == (400, IPV)
    assert refused(CapacityProviderScalingConfig={"ScalingMode": "Manual"})[:2] == (400, IPV)
    got = refused(VpcConfig={"SubnetIds": [], "SecurityGroupIds": []})
    assert got[1] == "ValidationException" and "at 'vpcConfig.subnetIds'" in got[2]
    assert aws.refused("lambda", "get_capacity_provider", CapacityProviderName="refused") == missing("refused")


def test_no_function_scales_on_instances(aws, python):
    name = aws.create("unscaled", ECHO, python)
    aws.functions.publish_version(FunctionName=name)
    found = aws.functions.get_function_scaling_config(FunctionName=name, Qualifier="1")
    assert found["FunctionArn"] == ARN + f"function:{name}:1"
    assert not {"AppliedFunctionScalingConfig", "RequestedFunctionScalingConfig"} & set(found)
    put = {"FunctionName": name, "FunctionScalingConfig": {"MinExecutionEnvironments": 1}}
    got = aws.refused("lambda", "put_function_scaling_config", Qualifier="1", **put)
    assert got[:2] == (400, IPV) and "This server has no managed instances" in got[2]
    for qualifier in ("2", "$LATEST.PUBLISHED"):
        absent = 404, RNF, f"Function not found: {ARN}function:{name}:{qualifier}"
        assert aws.refused("lambda", "put_function_scaling_config", Qualifier=qualifier, **put) == absent
        assert aws.refused("lambda", "get_function_scaling_config", FunctionName=name, Qualifier=qualifier) == absent


def test_no_function_has_durable_executions(aws, python):
    name = aws.create("undurable", ECHO, python)
    listed = aws.functions.list_durable_executions_by_function(FunctionName=name, Statuses=["RUNNING"])
    assert listed["DurableExecutions"] == [] and "NextMarker" not in listed
    absent = 404, RNF, f"Function not found: {ARN}function:absent"
    assert aws.refused("lambda", "list_durable_executions_by_function", FunctionName="absent") == absent
    for operation in ("get", "stop", "delete", "pause", "resume"):
        got = aws.refused("lambda", f"{operation}_durable_execution", DurableExecutionArn=EXECUTION)
        assert got == NOT_THERE
    assert aws.refused("lambda", "get_durable_execution_history", DurableExecutionArn=EXECUTION) == NOT_THERE
    token = 400, IPV, "Invalid checkpoint token"
    about = {"DurableExecutionArn": EXECUTION, "CheckpointToken": "dG9rZW4="}
    assert aws.refused("lambda", "checkpoint_durable_execution", **about) == token
    assert aws.refused("lambda", "get_durable_execution_state", **about) == token
    for operation in ("success", "failure", "heartbeat"):
        got = aws.refused("lambda", f"send_durable_execution_callback_{operation}", CallbackId="dG9rZW4=")
        assert got == NOT_THERE


def test_regions_do_not_see_each_others_providers(aws):
    create(aws, "here")
    elsewhere = aws.client("lambda", region_name="eu-west-1")
    with pytest.raises(elsewhere.exceptions.ResourceNotFoundException):
        elsewhere.get_capacity_provider(CapacityProviderName="here")
    assert elsewhere.list_capacity_providers()["CapacityProviders"] == []


def test_the_cli_makes_a_provider_and_finds_no_executions(aws, python):
    made = aws.cli(
        *("lambda", "create-capacity-provider", "--capacity-provider-name", "by-cli"),
        *("--vpc-config", "SubnetIds=subnet-1,SecurityGroupIds=sg-1"),
        *("--permissions-config", f"CapacityProviderOperatorRoleArn={ROLE}"),
    )
    assert made["CapacityProvider"]["State"] == "Pending"
    name = aws.create("by-cli", ECHO, python)
    listed = aws.cli("lambda", "list-durable-executions-by-function", "--function-name", name)
    assert listed["DurableExecutions"] == []
