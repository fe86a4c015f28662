"""Managed policies and the changes of roles, in the order in which Terraform makes them."""

import json

import pytest

from harness.clients import Aws

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


def document(action="logs:*"):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]})


def arn(name, path="/"):
    return f"arn:aws:iam::000000000000:policy{path}{name}"


@pytest.fixture(scope="module")
def iam(aws):
    return aws.client("iam")


def role(iam, name):
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    return name


def test_a_policy_lives_through_its_versions(aws, iam):
    made = iam.create_policy(
        PolicyName="lived", Path="/team/", PolicyDocument=document(), Description="d",
        Tags=[{"Key": "k", "Value": "v"}],
    )["Policy"]
    it = arn("lived", "/team/")
    assert (made["Arn"], made["DefaultVersionId"], made["AttachmentCount"]) == (it, "v1", 0)
    assert made["PolicyId"].startswith("ANPA") and made["IsAttachable"] is True
    got = iam.get_policy(PolicyArn=it)["Policy"]
    assert (got["Description"], got["Path"], got["Tags"]) == ("d", "/team/", [{"Key": "k", "Value": "v"}])
    for number in range(2, 6):
        version = iam.create_policy_version(PolicyArn=it, PolicyDocument=document(f"s3:{number}"), SetAsDefault=number == 3)
        assert version["PolicyVersion"]["VersionId"] == f"v{number}"
        assert version["PolicyVersion"]["IsDefaultVersion"] is (number == 3)
    full = aws.refused("iam", "create_policy_version", PolicyArn=it, PolicyDocument=document())
    assert full[:2] == (409, "LimitExceeded")
    listed = iam.list_policy_versions(PolicyArn=it)["Versions"]
    assert [version["VersionId"] for version in listed] == ["v5", "v4", "v3", "v2", "v1"]
    pages = list(iam.get_paginator("list_policy_versions").paginate(PolicyArn=it, PaginationConfig={"PageSize": 2}))
    assert [len(page["Versions"]) for page in pages] == [2, 2, 1]
    shown = iam.get_policy_version(PolicyArn=it, VersionId="v3")["PolicyVersion"]
    assert shown["Document"] == json.loads(document("s3:3")) and shown["IsDefaultVersion"] is True
    stays = 409, "DeleteConflict", "Cannot delete the default version of a policy."
    assert aws.refused("iam", "delete_policy_version", PolicyArn=it, VersionId="v3") == stays
    assert aws.refused("iam", "delete_policy", PolicyArn=it)[:2] == (409, "DeleteConflict")
    iam.set_default_policy_version(PolicyArn=it, VersionId="v5")
    for number in range(1, 5):
        iam.delete_policy_version(PolicyArn=it, VersionId=f"v{number}")
    assert iam.create_policy_version(PolicyArn=it, PolicyDocument=document())["PolicyVersion"]["VersionId"] == "v6"
    iam.delete_policy_version(PolicyArn=it, VersionId="v6")
    iam.delete_policy(PolicyArn=it)
    assert aws.refused("iam", "get_policy", PolicyArn=it) == (404, "NoSuchEntity", f"Policy {it} was not found.")


def test_an_attached_policy_cannot_be_deleted(aws, iam):
    role(iam, "attaching")
    made = aws.cli("iam", "create-policy", "--policy-name", "tied", "--policy-document", document())["Policy"]
    iam.attach_role_policy(RoleName="attaching", PolicyArn=made["Arn"])
    iam.attach_role_policy(RoleName="attaching", PolicyArn=BASIC)
    attached = iam.list_attached_role_policies(RoleName="attaching")["AttachedPolicies"]
    assert [policy["PolicyName"] for policy in attached] == ["tied", "AWSLambdaBasicExecutionRole"]
    assert iam.get_policy(PolicyArn=made["Arn"])["Policy"]["AttachmentCount"] == 1
    conflict = 409, "DeleteConflict", "Cannot delete a policy attached to entities."
    assert aws.refused("iam", "delete_policy", PolicyArn=made["Arn"]) == conflict
    only = iam.list_policies(OnlyAttached=True, Scope="Local")["Policies"]
    assert [policy["PolicyName"] for policy in only] == ["tied"]
    for policy in (made["Arn"], BASIC):
        iam.detach_role_policy(RoleName="attaching", PolicyArn=policy)
    iam.delete_policy(PolicyArn=made["Arn"])
    iam.delete_role(RoleName="attaching")


def test_awss_own_policies_are_shown_and_not_changed(aws, iam):
    shown = iam.get_policy(PolicyArn=BASIC)["Policy"]
    assert (shown["PolicyName"], shown["Path"]) == ("AWSLambdaBasicExecutionRole", "/service-role/")
    version = iam.get_policy_version(PolicyArn=BASIC, VersionId=shown["DefaultVersionId"])["PolicyVersion"]
    assert "logs:PutLogEvents" in version["Document"]["Statement"][0]["Action"]
    names = [policy["PolicyName"] for policy in iam.list_policies(Scope="AWS")["Policies"]]
    assert "AWSLambdaSQSQueueExecutionRole" in names
    assert aws.refused("iam", "delete_policy", PolicyArn=BASIC)[:2] == (403, "AccessDenied")


def test_policies_and_roles_have_tags(iam):
    role(iam, "tagged")
    it = iam.create_policy(PolicyName="tagged", PolicyDocument=document())["Policy"]["Arn"]
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "grün"}]
    iam.tag_policy(PolicyArn=it, Tags=tags)
    iam.tag_role(RoleName="tagged", Tags=tags)
    assert iam.list_policy_tags(PolicyArn=it)["Tags"] == tags
    assert iam.list_role_tags(RoleName="tagged")["Tags"] == tags
    iam.untag_policy(PolicyArn=it, TagKeys=["a"])
    iam.untag_role(RoleName="tagged", TagKeys=["a"])
    assert iam.list_policy_tags(PolicyArn=it)["Tags"] == tags[1:]
    assert iam.get_role(RoleName="tagged")["Role"]["Tags"] == tags[1:]


def test_a_role_is_updated(iam):
    role(iam, "updated")
    iam.update_role(RoleName="updated", Description="new", MaxSessionDuration=7200)
    got = iam.get_role(RoleName="updated")["Role"]
    assert (got["Description"], got["MaxSessionDuration"]) == ("new", 7200)
    assert iam.update_role_description(RoleName="updated", Description="newer")["Role"]["Description"] == "newer"
    iam.put_role_permissions_boundary(RoleName="updated", PermissionsBoundary=BASIC)
    boundary = iam.get_role(RoleName="updated")["Role"]["PermissionsBoundary"]
    assert boundary["PermissionsBoundaryArn"] == BASIC
    iam.delete_role_permissions_boundary(RoleName="updated")
    assert "PermissionsBoundary" not in iam.get_role(RoleName="updated")["Role"]


def test_policies_are_listed_by_path_in_pages_and_kept_over_a_kill(servers):
    server = servers().start()
    iam = Aws(server).client("iam")
    names = [f"p{number:02}" for number in range(7)]
    for name in names:
        iam.create_policy(PolicyName=name, Path="/many/", PolicyDocument=document())
    server.kill()
    server.start()
    iam = Aws(server).client("iam")
    pages = list(iam.get_paginator("list_policies").paginate(PathPrefix="/many/", PaginationConfig={"PageSize": 3}))
    assert [[policy["PolicyName"] for policy in page["Policies"]] for page in pages] == [names[:3], names[3:6], names[6:]]


ERRORS = {
    "attaching what is not there": (
        *("attach_role_policy", {"RoleName": "taken", "PolicyArn": arn("absent")}),
        *(404, "NoSuchEntity", f"Policy {arn('absent')} does not exist or is not attachable."),
    ),
    "a name that is taken": (
        *("create_policy", {"PolicyName": "TAKEN", "PolicyDocument": document()}),
        *(409, "EntityAlreadyExists", "A policy called TAKEN already exists. Duplicate names are not allowed."),
    ),
    "no such version": (
        *("get_policy_version", {"PolicyArn": arn("taken"), "VersionId": "v9"}),
        *(404, "NoSuchEntity", f"Policy {arn('taken')} version v9 does not exist or is not attachable."),
    ),
    "a document with a principal": (
        *("create_policy", {"PolicyName": "x", "PolicyDocument": json.dumps(TRUST)}),
        *(400, "MalformedPolicyDocument", "Policy document should not specify a principal."),
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_wrong_requests_get_iams_own_words(aws, iam, case):
    if "taken" not in [found["PolicyName"] for found in iam.list_policies(Scope="Local")["Policies"]]:
        iam.create_policy(PolicyName="taken", PolicyDocument=document())
        role(iam, "taken")
    operation, arguments, *expected = ERRORS[case]
    assert aws.refused("iam", operation, **arguments) == tuple(expected)
