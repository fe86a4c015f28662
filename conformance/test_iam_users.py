"""IAM's users, their keys and groups, and instance profiles: what administrators and Terraform do with them."""

import datetime
import json
import re

import boto3
import pytest

from harness.clients import Aws
from harness.waiting import eventually

POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


@pytest.fixture(scope="module")
def iam(aws):
    return aws.client("iam")


def client_with(aws, service, key, region="us-east-1", account=None):
    return boto3.client(
        service,
        endpoint_url=aws.server.url,
        region_name=region,
        aws_access_key_id=key["AccessKeyId"] if account is None else account,
        aws_secret_access_key=key["SecretAccessKey"] if account is None else "test",
    )


def test_a_user_lives_as_terraform_keeps_one(aws, iam):
    made = iam.create_user(UserName="ci", Path="/bots/", Tags=[{"Key": "k", "Value": "v"}])["User"]
    assert made["Arn"] == "arn:aws:iam::000000000000:user/bots/ci"
    assert re.fullmatch("AIDA[A-Z2-7]{16}", made["UserId"])
    got = iam.get_user(UserName="ci")["User"]
    assert got == made and got["Tags"] == [{"Key": "k", "Value": "v"}]
    assert "PasswordLastUsed" not in got and "PermissionsBoundary" not in got
    iam.tag_user(UserName="ci", Tags=[{"Key": "l", "Value": "w"}])
    iam.untag_user(UserName="ci", TagKeys=["k"])
    assert iam.list_user_tags(UserName="ci")["Tags"] == [{"Key": "l", "Value": "w"}]
    iam.put_user_permissions_boundary(UserName="ci", PermissionsBoundary=BASIC)
    boundary = iam.get_user(UserName="ci")["User"]["PermissionsBoundary"]
    assert boundary == {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": BASIC}
    iam.delete_user_permissions_boundary(UserName="ci")
    iam.update_user(UserName="ci", NewUserName="robot", NewPath="/")
    renamed = iam.get_user(UserName="robot")["User"]
    assert (renamed["Arn"], renamed["Path"]) == ("arn:aws:iam::000000000000:user/robot", "/")
    assert renamed["UserId"] == made["UserId"]
    absent = 404, "NoSuchEntity", "The user with name ci cannot be found."
    assert aws.refused("iam", "get_user", UserName="ci") == absent
    iam.delete_user(UserName="robot")
    assert "robot" not in [user["UserName"] for user in iam.list_users(MaxItems=1000)["Users"]]


def test_what_a_user_has_keeps_it_from_being_deleted(aws, iam):
    iam.create_user(UserName="held")
    iam.create_group(GroupName="holding")
    policy = iam.create_policy(PolicyName="held", PolicyDocument=json.dumps(POLICY))["Policy"]["Arn"]
    iam.attach_user_policy(UserName="held", PolicyArn=policy)
    iam.put_user_policy(UserName="held", PolicyName="p", PolicyDocument=json.dumps(POLICY))
    iam.add_user_to_group(GroupName="holding", UserName="held")
    key = iam.create_access_key(UserName="held")["AccessKey"]["AccessKeyId"]

    def refused(words):
        assert aws.refused("iam", "delete_user", UserName="held") == (
            409, "DeleteConflict", f"Cannot delete entity, must {words} first.",
        )

    refused("detach all policies")
    assert aws.refused("iam", "delete_policy", PolicyArn=policy)[:2] == (409, "DeleteConflict")
    assert iam.list_attached_user_policies(UserName="held")["AttachedPolicies"] == [
        {"PolicyName": "held", "PolicyArn": policy}
    ]
    assert iam.list_attached_user_policies(UserName="held", PathPrefix="/other/")["AttachedPolicies"] == []
    iam.detach_user_policy(UserName="held", PolicyArn=policy)
    refused("delete policies")
    assert iam.list_user_policies(UserName="held")["PolicyNames"] == ["p"]
    got = iam.get_user_policy(UserName="held", PolicyName="p")
    assert (got["UserName"], got["PolicyName"], got["PolicyDocument"]) == ("held", "p", POLICY)
    iam.delete_user_policy(UserName="held", PolicyName="p")
    refused("delete access keys")
    iam.delete_access_key(UserName="held", AccessKeyId=key)
    refused("remove user from groups")
    iam.remove_user_from_group(GroupName="holding", UserName="held")
    iam.delete_user(UserName="held")
    iam.delete_policy(PolicyArn=policy)


def test_a_key_acts_for_its_user_in_its_account(aws, iam):
    elsewhere = client_with(aws, "iam", None, account="210987654321")
    for admin, account in ((iam, "000000000000"), (elsewhere, "210987654321")):
        user = admin.create_user(UserName="keyed", Path="/p/")["User"]
        key = admin.create_access_key(UserName="keyed")["AccessKey"]
        assert re.fullmatch("AKIA[A-Z2-7]{16}", key["AccessKeyId"]) and key["Status"] == "Active"
        assert len(key["SecretAccessKey"]) == 40
        identity = client_with(aws, "sts", key).get_caller_identity()
        assert (identity["Arn"], identity["UserId"], identity["Account"]) == (user["Arn"], user["UserId"], account)
        assert aws.client("sts").get_access_key_info(AccessKeyId=key["AccessKeyId"])["Account"] == account
        assert client_with(aws, "iam", key).get_user()["User"] == user
        session = client_with(aws, "sts", key).get_session_token()["Credentials"]
        as_session = boto3.client(
            "sts", endpoint_url=aws.server.url, region_name="us-east-1",
            aws_access_key_id=session["AccessKeyId"], aws_secret_access_key=session["SecretAccessKey"],
            aws_session_token=session["SessionToken"],
        )
        assert as_session.get_caller_identity()["Arn"] == user["Arn"]


def test_keys_are_shown_once_and_rotated(aws, iam):
    iam.create_user(UserName="rotating")
    first = iam.create_access_key(UserName="rotating")["AccessKey"]
    own = client_with(aws, "iam", first)
    second = own.create_access_key()["AccessKey"]
    assert second["UserName"] == "rotating"
    third = aws.refused("iam", "create_access_key", UserName="rotating")
    assert third == (409, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
    own.update_access_key(AccessKeyId=second["AccessKeyId"], Status="Inactive")
    listed = iam.list_access_keys(UserName="rotating")["AccessKeyMetadata"]
    assert {key["AccessKeyId"]: key["Status"] for key in listed} == {
        first["AccessKeyId"]: "Active", second["AccessKeyId"]: "Inactive",
    }
    assert all("SecretAccessKey" not in key for key in listed)
    pages = iam.get_paginator("list_access_keys").paginate(UserName="rotating", PaginationConfig={"PageSize": 1})
    assert [len(page["AccessKeyMetadata"]) for page in pages] == [1, 1]
    iam.update_user(UserName="rotating", NewUserName="rotated")
    assert iam.get_access_key_last_used(AccessKeyId=second["AccessKeyId"])["UserName"] == "rotated"
    assert client_with(aws, "sts", first).get_caller_identity()["Arn"].endswith(":user/rotated")
    for key in (first, second):
        iam.delete_access_key(UserName="rotated", AccessKeyId=key["AccessKeyId"])
    gone = 404, "NoSuchEntity", f"The Access Key with id {first['AccessKeyId']} cannot be found."
    assert aws.refused("iam", "get_access_key_last_used", AccessKeyId=first["AccessKeyId"]) == gone
    iam.delete_user(UserName="rotated")


def test_a_key_knows_when_it_was_used_last(aws, iam):
    iam.create_user(UserName="used")
    key = iam.create_access_key(UserName="used")["AccessKey"]
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=2)

    def last():
        return iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])["AccessKeyLastUsed"]

    assert last() == {"ServiceName": "N/A", "Region": "N/A"}
    client_with(aws, "sqs", key, region="eu-west-1").list_queues()
    used = eventually(lambda: last() if "LastUsedDate" in last() else None, "the use is written down")
    assert (used["ServiceName"], used["Region"]) == ("sqs", "eu-west-1")
    assert before <= used["LastUsedDate"] <= datetime.datetime.now(datetime.timezone.utc)


def test_groups_have_users_and_policies(aws, iam):
    made = iam.create_group(GroupName="dev", Path="/g/")["Group"]
    assert made["Arn"] == "arn:aws:iam::000000000000:group/g/dev" and made["GroupId"].startswith("AGPA")
    for name in ("a", "b", "c"):
        iam.create_user(UserName=f"dev-{name}")
        iam.add_user_to_group(GroupName="dev", UserName=f"dev-{name}")
    iam.attach_group_policy(GroupName="dev", PolicyArn=BASIC)
    iam.put_group_policy(GroupName="dev", PolicyName="p", PolicyDocument=json.dumps(POLICY))
    pages = list(iam.get_paginator("get_group").paginate(GroupName="dev", PaginationConfig={"PageSize": 2}))
    assert [[user["UserName"] for user in page["Users"]] for page in pages] == [["dev-a", "dev-b"], ["dev-c"]]
    assert [group["GroupName"] for group in iam.list_groups_for_user(UserName="dev-a")["Groups"]] == ["dev"]
    iam.update_group(GroupName="dev", NewGroupName="ops", NewPath="/")
    assert [group["Arn"] for group in iam.list_groups_for_user(UserName="dev-a")["Groups"]] == [
        "arn:aws:iam::000000000000:group/ops"
    ]
    assert aws.refused("iam", "delete_group", GroupName="ops")[:2] == (409, "DeleteConflict")
    iam.detach_group_policy(GroupName="ops", PolicyArn=BASIC)
    iam.delete_group_policy(GroupName="ops", PolicyName="p")
    users = 409, "DeleteConflict", "Cannot delete entity, must remove users from group first."
    assert aws.refused("iam", "delete_group", GroupName="ops") == users
    for name in ("a", "b", "c"):
        iam.remove_user_from_group(GroupName="ops", UserName=f"dev-{name}")
        iam.delete_user(UserName=f"dev-{name}")
    iam.delete_group(GroupName="ops")
    assert iam.list_groups(PathPrefix="/g/")["Groups"] == []


def test_a_policy_tells_who_has_it(iam):
    arn = iam.create_policy(PolicyName="shared", PolicyDocument=json.dumps(POLICY))["Policy"]["Arn"]
    iam.create_user(UserName="sharing")
    iam.create_group(GroupName="sharing")
    iam.create_role(RoleName="sharing", AssumeRolePolicyDocument=json.dumps(TRUST), PermissionsBoundary=arn)
    iam.attach_user_policy(UserName="sharing", PolicyArn=arn)
    iam.attach_group_policy(GroupName="sharing", PolicyArn=arn)
    found = iam.list_entities_for_policy(PolicyArn=arn)
    assert [it["UserName"] for it in found["PolicyUsers"]] == ["sharing"]
    assert [it["GroupName"] for it in found["PolicyGroups"]] == ["sharing"]
    assert [it["RoleName"] for it in found["PolicyRoles"]] == ["sharing"]
    assert found["PolicyRoles"][0]["RoleId"].startswith("AROA")
    attached = iam.list_entities_for_policy(PolicyArn=arn, PolicyUsageFilter="PermissionsPolicy")
    assert attached["PolicyRoles"] == [] and len(attached["PolicyUsers"]) == 1
    only = iam.list_entities_for_policy(PolicyArn=arn, EntityFilter="Group")
    assert only["PolicyUsers"] == [] and len(only["PolicyGroups"]) == 1
    pages = iam.get_paginator("list_entities_for_policy").paginate(PolicyArn=arn, PaginationConfig={"PageSize": 1})
    assert len(list(pages)) == 3
    policy = iam.get_policy(PolicyArn=arn)["Policy"]
    assert (policy["AttachmentCount"], policy["PermissionsBoundaryUsageCount"]) == (2, 1)


def test_an_instance_profile_holds_a_role(aws, iam):
    role = iam.create_role(RoleName="machine", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    made = iam.create_instance_profile(InstanceProfileName="machine", Path="/m/", Tags=[{"Key": "k", "Value": "v"}])
    assert made["InstanceProfile"]["Arn"] == "arn:aws:iam::000000000000:instance-profile/m/machine"
    assert made["InstanceProfile"]["Roles"] == []
    iam.add_role_to_instance_profile(InstanceProfileName="machine", RoleName="machine")
    got = iam.get_instance_profile(InstanceProfileName="machine")["InstanceProfile"]
    assert [it["Arn"] for it in got["Roles"]] == [role["Arn"]] and got["Tags"] == [{"Key": "k", "Value": "v"}]
    listed = iam.list_instance_profiles_for_role(RoleName="machine")["InstanceProfiles"]
    assert [it["InstanceProfileName"] for it in listed] == ["machine"]
    assert [it["Path"] for it in iam.list_instance_profiles(PathPrefix="/m/")["InstanceProfiles"]] == ["/m/"]
    held = 409, "DeleteConflict", "Cannot delete entity, must remove roles from instance profile first."
    assert aws.refused("iam", "delete_role", RoleName="machine") == held
    assert aws.refused("iam", "delete_instance_profile", InstanceProfileName="machine") == held
    iam.tag_instance_profile(InstanceProfileName="machine", Tags=[{"Key": "l", "Value": "w"}])
    iam.untag_instance_profile(InstanceProfileName="machine", TagKeys=["k"])
    assert iam.list_instance_profile_tags(InstanceProfileName="machine")["Tags"] == [{"Key": "l", "Value": "w"}]
    iam.remove_role_from_instance_profile(InstanceProfileName="machine", RoleName="machine")
    iam.delete_instance_profile(InstanceProfileName="machine")
    iam.delete_role(RoleName="machine")


def test_users_are_an_accounts_in_every_region_and_kept_over_a_kill(servers):
    server = servers().start()
    aws = Aws(server)
    iam = aws.client("iam")
    names = [f"u{number:02}" for number in range(7)]
    for name in names:
        iam.create_user(UserName=name, Path="/many/")
    key = iam.create_access_key(UserName="u03")["AccessKey"]
    iam.create_group(GroupName="g")
    iam.add_user_to_group(GroupName="g", UserName="u03")
    server.kill()
    server.start()
    aws = Aws(server)
    elsewhere = client_with(aws, "iam", key, region="eu-central-1")
    pages = list(elsewhere.get_paginator("list_users").paginate(PathPrefix="/many/", PaginationConfig={"PageSize": 3}))
    assert [[user["UserName"] for user in page["Users"]] for page in pages] == [names[:3], names[3:6], names[6:]]
    assert elsewhere.get_user()["User"]["UserName"] == "u03"
    assert [user["UserName"] for user in elsewhere.get_group(GroupName="g")["Users"]] == ["u03"]
    others = client_with(aws, "iam", None, account="210987654321")
    assert others.list_users()["Users"] == []


def test_the_root_is_the_caller_without_a_user(aws):
    user = aws.cli("iam", "get-user")["User"]
    assert user["Arn"] == "arn:aws:iam::000000000000:root" and user["UserId"] == "000000000000"
    nobody = 400, "ValidationError", "Must specify userName when calling with non-User credentials"
    assert aws.refused("iam", "list_access_keys") == nobody


ERRORS = {
    "a user that exists": (
        *("create_user", {"UserName": "TAKEN"}),
        *(409, "EntityAlreadyExists", "User with name TAKEN already exists."),
    ),
    "a name that another user has": (
        *("update_user", {"UserName": "taken", "NewUserName": "Other"}),
        *(409, "EntityAlreadyExists", "User with name Other already exists."),
    ),
    "an unknown user's policy": (
        *("put_user_policy", {"UserName": "absent", "PolicyName": "p", "PolicyDocument": json.dumps(POLICY)}),
        *(404, "NoSuchEntity", "The user with name absent cannot be found."),
    ),
    "an unknown inline policy": (
        *("get_user_policy", {"UserName": "taken", "PolicyName": "absent"}),
        *(404, "NoSuchEntity", "The user policy with name absent cannot be found."),
    ),
    "too much inline policy": (
        *("put_user_policy", {"UserName": "taken", "PolicyName": "p", "PolicyDocument": json.dumps(
            POLICY | {"Statement": POLICY["Statement"] * 40})}),
        *(409, "LimitExceeded", "Maximum policy size of 2048 bytes exceeded for user taken"),
    ),
    "an unknown key": (
        *("update_access_key", {"UserName": "taken", "AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "Status": "Inactive"}),
        *(404, "NoSuchEntity", "The Access Key with id AKIAIOSFODNN7EXAMPLE cannot be found."),
    ),
    "a boundary that is not there": (
        *("create_user", {"UserName": "x", "PermissionsBoundary": "arn:aws:iam::000000000000:policy/absent"}),
        *(404, "NoSuchEntity"),
        "Scope ARN: arn:aws:iam::000000000000:policy/absent does not exist or is not attachable.",
    ),
    "an unknown group": (
        *("add_user_to_group", {"GroupName": "absent", "UserName": "taken"}),
        *(404, "NoSuchEntity", "The group with name absent cannot be found."),
    ),
    "an unknown instance profile": (
        *("get_instance_profile", {"InstanceProfileName": "absent"}),
        *(404, "NoSuchEntity", "Instance Profile absent cannot be found."),
    ),
    "a path without its slashes": (
        *("create_user", {"UserName": "x", "Path": "p"}),
        *(400, "ValidationError"),
        r"1 validation error detected: Value 'p' at 'path' failed to satisfy constraint: Member must satisfy "
        r"regular expression pattern: (\u002F)|(\u002F[\u0021-\u007E]+\u002F)",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_wrong_requests_get_iams_own_words(aws, iam, case):
    for name in {"taken", "other"} - {user["UserName"] for user in iam.list_users(MaxItems=1000)["Users"]}:
        iam.create_user(UserName=name)
    operation, arguments, *expected = ERRORS[case]
    assert aws.refused("iam", operation, **arguments) == tuple(expected)
    assert "x" not in [user["UserName"] for user in iam.list_users(MaxItems=1000)["Users"]]


def test_what_is_not_there_answers_in_iams_shape(aws):
    answer = aws.refused("iam", "create_virtual_mfa_device", VirtualMFADeviceName="m")
    assert answer[:2] == (501, "NotImplemented")
