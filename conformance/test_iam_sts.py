"""Roles and who am I: enough of IAM and STS for everything that deploys functions."""

import json
import subprocess

import pytest

from harness.clients import aws_program

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


@pytest.fixture(scope="module")
def iam(aws):
    return aws.client("iam")


def test_a_role_makes_the_round_trip_by_the_cli(aws):
    created = aws.cli(
        *("iam", "create-role", "--role-name", "cli-role", "--description", "grün & <gut>"),
        *("--assume-role-policy-document", json.dumps(TRUST)),
    )["Role"]
    assert created["Arn"] == "arn:aws:iam::000000000000:role/cli-role"
    assert created["RoleId"].startswith("AROA") and len(created["RoleId"]) >= 20
    assert created["AssumeRolePolicyDocument"] == TRUST
    got = aws.cli("iam", "get-role", "--role-name", "cli-role")["Role"]
    assert {key: got[key] for key in created} == created
    assert got["Description"] == "grün & <gut>"
    aws.cli("iam", "attach-role-policy", "--role-name", "cli-role", "--policy-arn", BASIC)
    attached = aws.cli("iam", "list-attached-role-policies", "--role-name", "cli-role")
    assert attached["AttachedPolicies"] == [
        {"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": BASIC}
    ]
    aws.cli("iam", "detach-role-policy", "--role-name", "cli-role", "--policy-arn", BASIC)
    aws.cli("iam", "delete-role", "--role-name", "cli-role")
    status, _, errors = aws.cli_raw("iam", "get-role", "--role-name", "cli-role")
    assert status != 0
    assert "(NoSuchEntity) when calling the GetRole operation: The role with name cli-role cannot be found." in errors


def test_a_role_keeps_everything_it_was_given(iam):
    iam.create_role(
        RoleName="full",
        Path="/team/",
        AssumeRolePolicyDocument=json.dumps(TRUST),
        Description="d",
        MaxSessionDuration=7200,
        Tags=[{"Key": "k", "Value": "v ✓"}],
    )
    role = iam.get_role(RoleName="full")["Role"]
    assert role["Arn"] == "arn:aws:iam::000000000000:role/team/full"
    assert (role["Path"], role["MaxSessionDuration"]) == ("/team/", 7200)
    assert role["Tags"] == [{"Key": "k", "Value": "v ✓"}]
    assert abs(role["CreateDate"].timestamp() - iam.get_role(RoleName="full")["Role"]["CreateDate"].timestamp()) == 0
    assert iam.list_instance_profiles_for_role(RoleName="full")["InstanceProfiles"] == []


def test_inline_policies_make_the_round_trip_and_hold_the_role(aws, iam):
    iam.create_role(RoleName="inline", AssumeRolePolicyDocument=json.dumps(TRUST))
    for name in ("a", "b"):
        iam.put_role_policy(RoleName="inline", PolicyName=name, PolicyDocument=json.dumps(POLICY))
    assert iam.list_role_policies(RoleName="inline")["PolicyNames"] == ["a", "b"]
    got = iam.get_role_policy(RoleName="inline", PolicyName="a")
    assert (got["RoleName"], got["PolicyName"], got["PolicyDocument"]) == ("inline", "a", POLICY)
    conflict = 409, "DeleteConflict", "Cannot delete entity, must delete policies first."
    assert aws.refused("iam", "delete_role", RoleName="inline") == conflict
    for name in ("a", "b"):
        iam.delete_role_policy(RoleName="inline", PolicyName=name)
    iam.attach_role_policy(RoleName="inline", PolicyArn=BASIC)
    conflict = 409, "DeleteConflict", "Cannot delete entity, must detach all policies first."
    assert aws.refused("iam", "delete_role", RoleName="inline") == conflict
    iam.detach_role_policy(RoleName="inline", PolicyArn=BASIC)
    iam.delete_role(RoleName="inline")


def test_many_roles_are_listed_in_pages_and_by_path(iam):
    names = [f"many-{number:02}" for number in range(25)]
    for name in names:
        iam.create_role(RoleName=name, Path="/many/", AssumeRolePolicyDocument=json.dumps(TRUST))
    pages = list(iam.get_paginator("list_roles").paginate(PathPrefix="/many/", PaginationConfig={"PageSize": 10}))
    assert [len(page["Roles"]) for page in pages] == [10, 10, 5]
    assert [role["RoleName"] for page in pages for role in page["Roles"]] == names
    assert iam.list_roles(PathPrefix="/none/")["Roles"] == []


def test_a_trust_policy_can_be_changed(iam):
    iam.create_role(RoleName="trusting", AssumeRolePolicyDocument=json.dumps(TRUST))
    other = json.loads(json.dumps(TRUST).replace("lambda.", "edgelambda."))
    iam.update_assume_role_policy(RoleName="trusting", PolicyDocument=json.dumps(other))
    assert iam.get_role(RoleName="trusting")["Role"]["AssumeRolePolicyDocument"] == other


ERRORS = {
    "an unknown role": (
        *("get_role", {"RoleName": "absent"}),
        *(404, "NoSuchEntity", "The role with name absent cannot be found."),
    ),
    "deleting an unknown role": (
        *("delete_role", {"RoleName": "absent"}),
        *(404, "NoSuchEntity", "The role with name absent cannot be found."),
    ),
    "a policy of an unknown role": (
        *("put_role_policy", {"RoleName": "absent", "PolicyName": "p", "PolicyDocument": json.dumps(POLICY)}),
        *(404, "NoSuchEntity", "The role with name absent cannot be found."),
    ),
    "a role that exists": (
        *("create_role", {"RoleName": "taken", "AssumeRolePolicyDocument": json.dumps(TRUST)}),
        *(409, "EntityAlreadyExists", "Role with name taken already exists."),
    ),
    "an unknown inline policy": (
        *("get_role_policy", {"RoleName": "taken", "PolicyName": "absent"}),
        *(404, "NoSuchEntity", "The role policy with name absent cannot be found."),
    ),
    "a policy that is not attached": (
        *("detach_role_policy", {"RoleName": "taken", "PolicyArn": BASIC}),
        *(404, "NoSuchEntity", f"Policy {BASIC} was not found."),
    ),
    "a document that is no JSON": (
        *("create_role", {"RoleName": "x", "AssumeRolePolicyDocument": "nonsense"}),
        *(400, "MalformedPolicyDocument", "This policy contains invalid Json"),
    ),
    "a trust policy with a resource": (
        *("create_role", {"RoleName": "x", "AssumeRolePolicyDocument": json.dumps(POLICY)}),
        *(400, "MalformedPolicyDocument", "Has prohibited field Resource"),
    ),
    "a name with a space": (
        *("create_role", {"RoleName": "a b", "AssumeRolePolicyDocument": json.dumps(TRUST)}),
        *(400, "ValidationError"),
        r"1 validation error detected: Value 'a b' at 'roleName' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: [\w+=,.@-]+",
    ),
    "no document": (
        *("create_role", {"RoleName": "x"}),
        *(400, "ValidationError"),
        "1 validation error detected: Value null at 'assumeRolePolicyDocument' failed to satisfy constraint: "
        "Member must not be null",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_wrong_requests_get_iams_own_words(aws, iam, case):
    if "taken" not in [role["RoleName"] for role in iam.list_roles(MaxItems=1000)["Roles"]]:
        iam.create_role(RoleName="taken", AssumeRolePolicyDocument=json.dumps(TRUST))
    operation, arguments, *expected = ERRORS[case]
    assert aws.refused("iam", operation, **arguments) == tuple(expected)
    assert "x" not in [role["RoleName"] for role in iam.list_roles(MaxItems=1000)["Roles"]]


def test_the_caller_learns_who_he_is(aws):
    expected = {
        "Account": "000000000000",
        "Arn": "arn:aws:iam::000000000000:root",
        "UserId": "000000000000",
    }
    assert aws.cli("sts", "get-caller-identity") == expected
    answer = aws.client("sts").get_caller_identity()
    assert {key: answer[key] for key in expected} == expected


def test_an_access_key_of_twelve_digits_names_the_account(aws):
    done = subprocess.run(
        [aws_program(), "sts", "get-caller-identity", "--query", "Account", "--output", "text"],
        env=aws.environment() | {"AWS_ACCESS_KEY_ID": "123456789012"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "123456789012"


def test_a_function_runs_with_a_role_that_was_made_here(aws, iam, python):
    arn = iam.create_role(RoleName="running", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    code = "import os\ndef handler(event, context):\n    return sorted(k for k in os.environ if 'KEY' in k or 'TOKEN' in k)\n"
    aws.create("with-role", code, python)
    aws.functions.update_function_configuration(FunctionName="with-role", Role=arn)
    assert aws.settled("with-role")["Role"] == arn
    assert aws.invoke("with-role").payload == [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ]
