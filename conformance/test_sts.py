"""Temporary credentials: they act in the account of the role they are of, and say who they are."""

import base64
import datetime
import json

import boto3
import pytest

from harness.clients import Aws

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture(scope="module")
def sts(aws):
    return aws.client("sts")


@pytest.fixture(scope="module")
def deployer(aws):
    made = aws.client("iam").create_role(
        RoleName="deployer", Path="/ci/", AssumeRolePolicyDocument=json.dumps(TRUST), MaxSessionDuration=7200
    )
    return made["Role"]


def client_with(aws, service, credentials):
    return boto3.client(
        service,
        endpoint_url=aws.server.url,
        region_name="us-east-1",
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


def test_an_assumed_role_says_who_it_is(aws, sts, deployer):
    answer = sts.assume_role(RoleArn=deployer["Arn"], RoleSessionName="build-7", DurationSeconds=900)
    arn = "arn:aws:sts::000000000000:assumed-role/deployer/build-7"
    user = {"AssumedRoleId": f"{deployer['RoleId']}:build-7", "Arn": arn}
    assert answer["AssumedRoleUser"] == user
    credentials = answer["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA") and len(credentials["AccessKeyId"]) == 20
    assert len(credentials["SecretAccessKey"]) == 40
    left = credentials["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
    assert 880 < left.total_seconds() <= 901
    identity = client_with(aws, "sts", credentials).get_caller_identity()
    assert (identity["Arn"], identity["UserId"], identity["Account"]) == (arn, user["AssumedRoleId"], "000000000000")
    assert client_with(aws, "iam", credentials).get_role(RoleName="deployer")["Role"]["Arn"] == deployer["Arn"]


def test_the_role_of_another_account_acts_there(aws, sts):
    role = "arn:aws:iam::210987654321:role/elsewhere"
    credentials = sts.assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    assert client_with(aws, "sts", credentials).get_caller_identity()["Account"] == "210987654321"
    there = client_with(aws, "logs", credentials)
    there.create_log_group(logGroupName="only-there")
    assert "210987654321" in there.describe_log_groups()["logGroups"][0]["arn"]
    assert aws.logs.describe_log_groups(logGroupNamePrefix="only-there")["logGroups"] == []
    assert sts.get_access_key_info(AccessKeyId=credentials["AccessKeyId"])["Account"] == "210987654321"


def test_a_session_token_is_its_callers(aws, sts):
    credentials = sts.get_session_token()["Credentials"]
    assert client_with(aws, "sts", credentials).get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"
    left = credentials["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
    assert 43100 < left.total_seconds() <= 43201


def test_credentials_outlive_the_server_and_the_cli_takes_them(servers):
    server = servers().start()
    aws = Aws(server)
    role = "arn:aws:iam::210987654321:role/elsewhere"
    answer = aws.cli("sts", "assume-role", "--role-arn", role, "--role-session-name", "me")
    server.kill()
    server.start()
    credentials = answer["Credentials"]
    identity = client_with(Aws(server), "sts", credentials).get_caller_identity()
    assert identity["Arn"] == "arn:aws:sts::210987654321:assumed-role/elsewhere/me"


ERRORS = {
    "a role that is not there": (
        *("assume_role", {"RoleArn": "arn:aws:iam::000000000000:role/absent", "RoleSessionName": "me"}),
        *(403, "AccessDenied"),
        "User: arn:aws:iam::000000000000:root is not authorized to perform: sts:AssumeRole on resource: "
        "arn:aws:iam::000000000000:role/absent",
    ),
    "longer than the role allows": (
        *("assume_role", {"RoleArn": "arn:aws:iam::000000000000:role/ci/deployer", "RoleSessionName": "me", "DurationSeconds": 7201}),
        *(400, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."),
    ),
    "longer than any": (
        *("assume_role", {"RoleArn": "arn:aws:iam::000000000000:role/ci/deployer", "RoleSessionName": "me", "DurationSeconds": 43201}),
        *(400, "ValidationError"),
        "1 validation error detected: Value '43201' at 'durationSeconds' failed to satisfy constraint: "
        "Member must have value less than or equal to 43200",
    ),
    "no role's ARN": (
        *("assume_role", {"RoleArn": "arn:aws:iam::000000000000:user/u", "RoleSessionName": "me"}),
        *(400, "ValidationError", "arn:aws:iam::000000000000:user/u is invalid"),
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_wrong_requests_get_the_services_own_words(aws, deployer, case):
    operation, arguments, *expected = ERRORS[case]
    assert aws.refused("sts", operation, **arguments) == tuple(expected)


def test_credentials_whose_time_is_over_are_refused(aws, sts, deployer):
    credentials = sts.assume_role(RoleArn=deployer["Arn"], RoleSessionName="me")["Credentials"]
    prefix, text = credentials["SessionToken"].split(".")
    key, _, *rest = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split("\n")
    # Nobody waits for fifteen minutes: the same credentials, with an end that has passed.
    old = base64.urlsafe_b64encode("\n".join([key, "1000", *rest]).encode()).decode().rstrip("=")
    client = client_with(aws, "sts", credentials | {"SessionToken": f"{prefix}.{old}"})
    with pytest.raises(client.exceptions.ClientError) as refused:
        client.get_caller_identity()
    assert refused.value.response["Error"]["Code"] == "ExpiredToken"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
