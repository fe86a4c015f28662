"""Code signing configurations: kept, given to functions, and held against code, none of which is
signed here."""

import re

import pytest

from harness.clients import REGION, Aws
from harness.code import ECHO, ROLE, package

RC = "ResourceConflictException"
RNF = "ResourceNotFoundException"
ARN = f"arn:aws:lambda:{REGION}:000000000000:"
FUNCTION = ARN + "function:"
PROFILE = f"arn:aws:signer:{REGION}:000000000000:/signing-profiles/profile/1"
NOWHERE = ARN + "code-signing-config:csc-" + "0" * 17
CANNOT = "The code signing configuration cannot be found. Check that the provided configuration is not deleted: {}."


def config(aws, policy=None, **more):
    """A new configuration."""
    if policy:
        more["CodeSigningPolicies"] = {"UntrustedArtifactOnDeployment": policy}
    made = aws.functions.create_code_signing_config(
        AllowedPublishers={"SigningProfileVersionArns": [PROFILE]}, **more
    )
    assert status(made) == 201
    return made["CodeSigningConfig"]


def status(answer):
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def create(aws, name, python, **more):
    return dict(
        FunctionName=name,
        Runtime=python,
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": package({"app.py": ECHO})},
        **more,
    )


def unsigned(name):
    text = (
        "Lambda cannot deploy the function. The function or layer might be signed using a signature that the "
        f"client is not configured to accept. Check the provided signature for {FUNCTION}{name}."
    )
    return 400, "CodeVerificationFailedException", text


def not_found(arn):
    return 404, RNF, f"The Lambda code signing configuration {arn} can not be found."


def of_function(aws, name):
    found = aws.functions.get_function_code_signing_config(FunctionName=name)
    assert found["FunctionName"] == name
    return found.get("CodeSigningConfigArn")


def test_a_configuration_is_made_changed_shown_and_removed(aws):
    made = config(aws, Description="first", Tags={"a": "1"})
    arn = made["CodeSigningConfigArn"]
    assert re.fullmatch(r"csc-[a-z0-9]{17}", made["CodeSigningConfigId"])
    assert arn == ARN + "code-signing-config:" + made["CodeSigningConfigId"]
    assert made["AllowedPublishers"] == {"SigningProfileVersionArns": [PROFILE]}
    assert made["CodeSigningPolicies"] == {"UntrustedArtifactOnDeployment": "Warn"}
    found = aws.functions.get_code_signing_config(CodeSigningConfigArn=arn)
    assert found["CodeSigningConfig"] == made
    changed = aws.functions.update_code_signing_config(
        CodeSigningConfigArn=arn, CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Enforce"}
    )["CodeSigningConfig"]
    assert changed["CodeSigningPolicies"] == {"UntrustedArtifactOnDeployment": "Enforce"}
    assert (changed["Description"], changed["AllowedPublishers"]) == ("first", made["AllowedPublishers"])
    aws.functions.tag_resource(Resource=arn, Tags={"b": "2"})
    aws.functions.untag_resource(Resource=arn, TagKeys=["a"])
    assert aws.functions.list_tags(Resource=arn)["Tags"] == {"b": "2"}
    assert status(aws.functions.delete_code_signing_config(CodeSigningConfigArn=arn)) == 204
    for operation in ("get", "update", "delete"):
        got = aws.refused("lambda", f"{operation}_code_signing_config", CodeSigningConfigArn=arn)
        assert got == not_found(arn)
    got = aws.refused("lambda", "list_functions_by_code_signing_config", CodeSigningConfigArn=arn)
    assert got == not_found(arn)


def test_a_function_is_given_one_and_loses_it(aws, python):
    arn = config(aws)["CodeSigningConfigArn"]
    name = aws.create("given", ECHO, python)
    assert of_function(aws, name) is None
    put = aws.functions.put_function_code_signing_config(FunctionName=FUNCTION + name, CodeSigningConfigArn=arn)
    assert (put["FunctionName"], put["CodeSigningConfigArn"]) == (name, arn)
    assert of_function(aws, name) == arn
    users = aws.functions.list_functions_by_code_signing_config(CodeSigningConfigArn=arn)
    assert users["FunctionArns"] == [FUNCTION + name]
    in_use = aws.refused("lambda", "delete_code_signing_config", CodeSigningConfigArn=arn)
    assert in_use[:2] == (409, RC) and arn in in_use[2]
    assert status(aws.functions.delete_function_code_signing_config(FunctionName=name)) == 204
    assert of_function(aws, name) is None
    aws.functions.delete_code_signing_config(CodeSigningConfigArn=arn)


def test_a_function_is_made_with_one(aws, python):
    arn = config(aws)["CodeSigningConfigArn"]
    for name, publish in (("made-with", False), ("made-and-published", True)):
        made = aws.functions.create_function(**create(aws, name, python, CodeSigningConfigArn=arn, Publish=publish))
        assert made["Version"] == ("1" if publish else "$LATEST")
        aws.settled(name)
        assert of_function(aws, name) == arn
        assert aws.invoke(name, 1).payload == 1
        # Its code is not signed, and it is only warned of.
        aws.update_code(name, ECHO)
    users = aws.functions.list_functions_by_code_signing_config(CodeSigningConfigArn=arn)
    assert users["FunctionArns"] == [FUNCTION + "made-and-published", FUNCTION + "made-with"]
    for name in ("made-with", "made-and-published"):
        aws.functions.delete_function(FunctionName=name)
    aws.functions.delete_code_signing_config(CodeSigningConfigArn=arn)


def test_unsigned_code_is_refused_where_signatures_are_enforced(aws, python):
    arn = config(aws, "Enforce")["CodeSigningConfigArn"]
    asked = create(aws, "enforced", python, CodeSigningConfigArn=arn)
    assert aws.refused("lambda", "create_function", **asked) == unsigned("enforced")
    absent = aws.refused("lambda", "get_function", FunctionName="enforced")
    assert absent[:2] == (404, RNF)
    name = aws.create("enforced", ECHO, python)
    aws.functions.put_function_code_signing_config(FunctionName=name, CodeSigningConfigArn=arn)
    before = aws.functions.get_function_configuration(FunctionName=name)
    code = {"FunctionName": name, "ZipFile": package({"app.py": "other"})}
    assert aws.refused("lambda", "update_function_code", **code) == unsigned(name)
    assert aws.refused("lambda", "update_function_code", DryRun=True, **code) == unsigned(name)
    after = aws.functions.get_function_configuration(FunctionName=name)
    assert (after["CodeSha256"], after["RevisionId"]) == (before["CodeSha256"], before["RevisionId"])
    layer = aws.functions.publish_layer_version(LayerName="unsigned", Content={"ZipFile": code["ZipFile"]})
    layers = {"FunctionName": name, "Layers": [layer["LayerVersionArn"]]}
    assert aws.refused("lambda", "update_function_configuration", **layers) == unsigned(name)
    # What is there already still runs, and is changed in all else.
    assert aws.invoke(name, 1).payload == 1
    aws.functions.update_function_configuration(FunctionName=name, Timeout=9)
    aws.settled(name)
    warn = {"UntrustedArtifactOnDeployment": "Warn"}
    aws.functions.update_code_signing_config(CodeSigningConfigArn=arn, CodeSigningPolicies=warn)
    aws.update_code(name, ECHO)


def test_what_is_missing_is_told_in_the_words_of_aws(aws, python):
    cannot = 404, "CodeSigningConfigNotFoundException", CANNOT.format(NOWHERE)
    asked = create(aws, "unfounded", python, CodeSigningConfigArn=NOWHERE)
    assert aws.refused("lambda", "create_function", **asked) == cannot
    name = aws.create("unfounded", ECHO, python)
    put = {"FunctionName": name, "CodeSigningConfigArn": NOWHERE}
    assert aws.refused("lambda", "put_function_code_signing_config", **put) == cannot
    absent = 404, RNF, f"Function not found: {FUNCTION}absent"
    arn = config(aws)["CodeSigningConfigArn"]
    put = {"FunctionName": "absent", "CodeSigningConfigArn": arn}
    assert aws.refused("lambda", "put_function_code_signing_config", **put) == absent
    for operation in ("get", "delete"):
        got = aws.refused("lambda", f"{operation}_function_code_signing_config", FunctionName="absent")
        assert got == absent
    assert aws.refused("lambda", "get_code_signing_config", CodeSigningConfigArn=NOWHERE) == not_found(NOWHERE)


def test_configurations_and_their_functions_are_listed_in_pages(servers, python):
    aws = Aws(servers().start())
    made = sorted(config(aws)["CodeSigningConfigArn"] for _ in range(5))
    pages = aws.functions.get_paginator("list_code_signing_configs").paginate(PaginationConfig={"PageSize": 2})
    found = [[of["CodeSigningConfigArn"] for of in page["CodeSigningConfigs"]] for page in pages]
    assert [len(page) for page in found] == [2, 2, 1] and sum(found, []) == made
    names = [f"paged-{n}" for n in range(3)]
    for name in names:
        aws.functions.create_function(**create(aws, name, python, CodeSigningConfigArn=made[0]))
    pages = aws.functions.get_paginator("list_functions_by_code_signing_config")
    pages = pages.paginate(CodeSigningConfigArn=made[0], PaginationConfig={"PageSize": 2})
    assert sum((page["FunctionArns"] for page in pages), []) == [FUNCTION + name for name in names]


def test_what_was_acknowledged_survives_a_kill(servers, python):
    server = servers().start()
    aws = Aws(server)
    arn = config(aws, "Enforce", Description="kept", Tags={"a": "1"})["CodeSigningConfigArn"]
    name = aws.create("kept", ECHO, python)
    aws.functions.put_function_code_signing_config(FunctionName=name, CodeSigningConfigArn=arn)
    server.kill()
    server.restart()
    aws = Aws(server)
    found = aws.functions.get_code_signing_config(CodeSigningConfigArn=arn)["CodeSigningConfig"]
    assert (found["Description"], of_function(aws, name)) == ("kept", arn)
    assert aws.functions.list_tags(Resource=arn)["Tags"] == {"a": "1"}
    code = {"FunctionName": name, "ZipFile": package({"app.py": ECHO})}
    assert aws.refused("lambda", "update_function_code", **code) == unsigned(name)
    # With the function goes what it had.
    aws.functions.delete_function(FunctionName=name)
    aws.create(name, ECHO, python)
    assert of_function(aws, name) is None


def test_regions_do_not_see_each_others_configurations(aws):
    arn = config(aws)["CodeSigningConfigArn"]
    elsewhere = aws.client("lambda", region_name="eu-west-1")
    with pytest.raises(elsewhere.exceptions.ResourceNotFoundException):
        elsewhere.get_code_signing_config(CodeSigningConfigArn=arn)
    assert elsewhere.list_code_signing_configs()["CodeSigningConfigs"] == []


def test_the_cli_makes_and_gives_one(aws, python):
    name = aws.create("by-cli", ECHO, python)
    made = aws.cli(
        *("lambda", "create-code-signing-config", "--description", "by the CLI"),
        *("--allowed-publishers", f"SigningProfileVersionArns={PROFILE}"),
    )["CodeSigningConfig"]
    given = aws.cli(
        *("lambda", "put-function-code-signing-config", "--function-name", name),
        *("--code-signing-config-arn", made["CodeSigningConfigArn"]),
    )
    assert given["CodeSigningConfigArn"] == made["CodeSigningConfigArn"]
