"""Policies as whole documents: the same policy that statements are added to."""

import json

from harness.clients import REGION, Aws
from harness.code import ECHO

IPV = "InvalidParameterValueException"
RNF = "ResourceNotFoundException"
ARN = f"arn:aws:lambda:{REGION}:000000000000:function:"
NOT_THERE = 404, RNF, "The resource you requested does not exist."
STALE = (
    412,
    "PreconditionFailedException",
    "The Revision Id provided does not match the latest Revision Id. Call the GetResourcePolicy API to retrieve "
    "the latest Revision Id",
)
OTHER = "00000000-0000-4000-8000-000000000000"


def document(arn, *more, **members):
    deny = {
        "Sid": "deny",
        "Effect": "Deny",
        "Principal": {"AWS": ["111111111111", "222222222222"]},
        "Action": ["lambda:InvokeFunction", "lambda:InvokeFunctionUrl"],
        "Resource": arn,
        "Condition": {"StringNotLike": {"aws:PrincipalTag/team": ["a", "b"]}},
    }
    return {"Version": "2012-10-17", **members, "Statement": [deny, *more]}


def put(aws, arn, policy, **more):
    return aws.functions.put_resource_policy(ResourceArn=arn, Policy=json.dumps(policy), **more)


def get(aws, arn):
    found = aws.functions.get_resource_policy(ResourceArn=arn)
    return json.loads(found["Policy"]), found["RevisionId"]


def test_a_document_is_kept_shown_replaced_and_removed(aws, python):
    arn = ARN + aws.create("whole", ECHO, python)
    assert aws.refused("lambda", "get_resource_policy", ResourceArn=arn) == NOT_THERE
    first = document(arn, Id="mine")
    made = put(aws, arn, first)
    assert (json.loads(made["Policy"]), made["RevisionId"]) == get(aws, arn)
    assert get(aws, arn)[0] == first
    assert json.loads(aws.functions.get_policy(FunctionName="whole")["Policy"]) == first
    arguments = {"ResourceArn": arn, "Policy": json.dumps(document(arn))}
    assert aws.refused("lambda", "put_resource_policy", RevisionId=OTHER, **arguments) == STALE
    assert aws.refused("lambda", "delete_resource_policy", ResourceArn=arn, RevisionId=OTHER) == STALE
    put(aws, arn, document(arn), RevisionId=made["RevisionId"])
    policy, revision = get(aws, arn)
    assert policy == document(arn) and revision != made["RevisionId"]
    gone = aws.functions.delete_resource_policy(ResourceArn=arn, RevisionId=revision)
    assert gone["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert aws.refused("lambda", "get_policy", FunctionName="whole") == NOT_THERE
    none = 404, RNF, "No policy is associated with the given resource."
    assert aws.refused("lambda", "delete_resource_policy", ResourceArn=arn) == none


def test_statements_are_added_to_a_document_and_removed_from_it(aws, python):
    name = aws.create("mixed", ECHO, python)
    put(aws, ARN + name, document(ARN + name))
    grant = {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    taken = aws.refused("lambda", "add_permission", FunctionName=name, StatementId="deny", **grant)
    assert taken[:2] == (409, "ResourceConflictException")
    aws.functions.add_permission(FunctionName=name, StatementId="grant", **grant)
    policy, _ = get(aws, ARN + name)
    assert [statement["Sid"] for statement in policy["Statement"]] == ["deny", "grant"]
    assert policy["Statement"][0] == document(ARN + name)["Statement"][0]
    aws.functions.remove_permission(FunctionName=name, StatementId="deny")
    assert [statement["Sid"] for statement in get(aws, ARN + name)[0]["Statement"]] == ["grant"]
    # What AddPermission made is replaced as a whole too.
    put(aws, ARN + name, document(ARN + name))
    assert get(aws, ARN + name)[0] == document(ARN + name)


def test_each_qualifier_has_its_own(aws, python):
    name = aws.create("qualified", ECHO, python)
    aws.functions.publish_version(FunctionName=name)
    arn = ARN + name
    put(aws, arn + ":1", document(arn + ":1"))
    assert aws.refused("lambda", "get_resource_policy", ResourceArn=arn) == NOT_THERE
    assert get(aws, arn + ":1")[0] == document(arn + ":1")
    latest = {"ResourceArn": arn + ":$LATEST", "Policy": json.dumps(document(arn))}
    text = "We currently do not support adding policies for $LATEST."
    assert aws.refused("lambda", "put_resource_policy", **latest) == (400, IPV, text)


def test_wrong_documents_are_refused_and_change_nothing(aws, python):
    arn = ARN + aws.create("wrong", ECHO, python)
    put(aws, arn, document(arn))
    before = get(aws, arn)
    for policy in ("{", "[]", '{"Statement": []}', json.dumps(document(ARN + "another"))):
        got = aws.refused("lambda", "put_resource_policy", ResourceArn=arn, Policy=policy)
        assert got[:2] == (400, IPV) and got[2].startswith("The policy document is not valid: ")
    assert get(aws, arn) == before
    absent = 404, RNF, f"Function not found: {ARN}absent"
    policy = json.dumps(document(ARN + "absent"))
    assert aws.refused("lambda", "put_resource_policy", ResourceArn=ARN + "absent", Policy=policy) == absent
    runtime = ARN.replace("function:", "runtime/mine")
    assert aws.refused("lambda", "get_resource_policy", ResourceArn=runtime) == NOT_THERE


def test_a_document_survives_a_kill_and_not_its_function(servers, python):
    server = servers().start()
    aws = Aws(server)
    arn = ARN + aws.create("kept", ECHO, python)
    put(aws, arn, document(arn, Id="mine"))
    before = get(aws, arn)
    server.kill()
    server.restart()
    aws = Aws(server)
    assert get(aws, arn) == before
    aws.functions.delete_function(FunctionName="kept")
    assert aws.refused("lambda", "get_resource_policy", ResourceArn=arn) == NOT_THERE
    aws.create("kept", ECHO, python)
    assert aws.refused("lambda", "get_resource_policy", ResourceArn=arn) == NOT_THERE
