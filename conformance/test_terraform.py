"""Terraform's call sequences, resource by resource: created, changed attribute by attribute, deleted;
after each step the second plan is empty and a refresh finds nothing new."""

import json

import pytest

from harness import terraform
from harness.clients import Aws
from harness.code import ECHO, digest, package
from harness.waiting import eventually

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
CODE = package({"app.py": ECHO})
OTHER = package({"app.py": ECHO + "# other\n"})


def document(action):
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}
    )


@pytest.fixture(scope="module")
def role(aws):
    made = terraform.Role(aws)
    return made.apply(name="terraformed", assume_role_policy=TRUST)["arn"]


@pytest.fixture(scope="module")
def base(role, python):
    """What every function declares."""
    return {"role": role, "handler": "app.handler", "runtime": python, "zip": CODE, "source_code_hash": digest(CODE)}


@pytest.fixture(scope="module")
def function(aws, base):
    """A published function that other resources belong to."""
    made = terraform.Function(aws)
    made.apply(function_name="base", publish=True, **base)
    made.apply(function_name="base", publish=True, description="second", **base)
    return "base"


def queue(aws, name):
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def test_the_provider_learns_whose_account_it_is(aws):
    identity = aws.client("sts").get_caller_identity()
    assert identity["Account"] == "000000000000"
    user = aws.client("iam").get_user()["User"]
    assert user["Arn"].split(":")[4] == identity["Account"]
    roles = aws.client("iam").list_roles(MaxItems=1)
    assert all(it["Arn"].split(":")[4] == identity["Account"] for it in roles["Roles"])


def steps_of_a_function(aws):
    layer = terraform.LayerVersion(aws).apply(layer_name="of-a-function", zip=package({"python/x.py": ""}))
    return [
        {},
        {"description": "changed"},
        {"description": ""},
        {"memory_size": 256, "timeout": 30},
        {"environment": {"AA": "1", "BB": "grün"}},
        {"environment": {"AA": "2"}},
        {"environment": None},
        {"layers": [layer["arn"]]},
        {"layers": []},
        {"ephemeral_storage": {"Size": 1024}},
        {"tracing_config": {"Mode": "Active"}},
        {"tracing_config": {"Mode": "PassThrough"}},
        {"logging_config": {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG", "SystemLogLevel": "WARN", "LogGroup": "/own/group"}},
        {"logging_config": {"LogFormat": "Text", "LogGroup": "/aws/lambda/stepped"}},
        {"dead_letter_config": {"TargetArn": queue(aws, "dead")}},
        {"dead_letter_config": None},
        {"ephemeral_storage": {"Size": 512}},
        {"snap_start": {"ApplyOn": "PublishedVersions"}},
        {"snap_start": None},
        {"reserved_concurrent_executions": 0},
        {"reserved_concurrent_executions": 7},
        {"reserved_concurrent_executions": -1},
        {"handler": "app.other"},
        {"handler": "app.handler"},
        {"zip": OTHER, "source_code_hash": digest(OTHER)},
        {"tags": {"a": "1", "b": "2"}},
        {"tags": {"b": "3", "c": "4"}},
        {"tags": None},
    ]


def test_a_function_is_changed_attribute_by_attribute(aws, base):
    function = terraform.Function(aws)
    declared = {"function_name": "stepped", **base}
    created = None
    for step in steps_of_a_function(aws):
        declared |= step
        state = function.apply(**declared)
        created = created or state
        assert state["arn"] == created["arn"] and state["version"] == "$LATEST"
    assert aws.invoke("stepped", {"a": 1}).payload == {"a": 1}
    assert function.apply(**declared | {"function_name": "renamed"})["arn"].endswith(":renamed")
    function.destroy()


def test_a_function_with_everything_at_once(aws, base):
    layer = terraform.LayerVersion(aws).apply(layer_name="everything", zip=package({"python/x.py": ""}))
    function = terraform.Function(aws)
    declared = {
        "function_name": "everything", **base, "description": "d", "memory_size": 512, "timeout": 9,
        "environment": {"AA": "1"}, "layers": [layer["arn"]], "ephemeral_storage": {"Size": 600},
        "architectures": ["x86_64"], "tracing_config": {"Mode": "Active"},
        "logging_config": {"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", "LogGroup": "/g"},
        "dead_letter_config": {"TargetArn": queue(aws, "everything")}, "reserved_concurrent_executions": 3,
        "tags": {"a": "1"}, "publish": True,
    }
    state = function.apply(**declared)
    assert state["version"] == "1" and state["qualified_arn"] == state["arn"] + ":1"
    state = function.apply(**declared | {"timeout": 10})
    assert state["version"] == "2"
    assert function.apply(**declared | {"timeout": 10})["version"] == "2"
    function.destroy()


def test_permissions(aws, function):
    for number, more in enumerate(
        [
            {"principal": "s3.amazonaws.com", "source_arn": "arn:aws:s3:::bucket", "source_account": "111111111111"},
            {"principal": "events.amazonaws.com", "source_arn": "arn:aws:events:us-east-1:000000000000:rule/r"},
            {"principal": "arn:aws:iam::111111111111:role/r"},
            {"principal": "*", "principal_org_id": "o-a1b2c3d4e5"},
            {"principal": "alexa-appkit.amazon.com", "event_source_token": "amzn1.ask.skill.x"},
            {"principal": "*", "action": "lambda:InvokeFunctionUrl", "function_url_auth_type": "NONE"},
            {"principal": "*", "invoked_via_function_url": True},
            {"principal": "sns.amazonaws.com", "qualifier": "1"},
        ]
    ):
        permission = terraform.Permission(aws)
        declared = {"statement_id": f"s{number}", "function_name": function, "action": "lambda:InvokeFunction"} | more
        permission.apply(**declared)
        permission.apply(**declared | {"statement_id": f"t{number}"})
        permission.destroy()


def test_layer_versions(aws, python):
    layer = terraform.LayerVersion(aws)
    declared = {"layer_name": "stepped", "zip": CODE, "source_code_hash": digest(CODE)}
    numbers = []
    for step in [
        {},
        {"description": "d"},
        {"license_info": "MIT"},
        {"compatible_runtimes": [python]},
        {"compatible_architectures": ["x86_64"]},
        {"zip": OTHER, "source_code_hash": digest(OTHER)},
    ]:
        declared |= step
        numbers.append(layer.apply(**declared)["version"])
    assert numbers == ["1", "2", "3", "4", "5", "6"]
    layer.destroy()


def test_an_alias(aws, function):
    alias = terraform.Alias(aws)
    declared = {"name": "stepped", "function_name": function, "function_version": "1"}
    for step in [
        {},
        {"description": "d"},
        {"routing_config": {"2": 0.25}},
        {"routing_config": None},
        {"function_version": "2"},
        {"function_version": "$LATEST", "description": ""},
    ]:
        declared |= step
        alias.apply(**declared)
    alias.destroy()


def test_a_function_url(aws, function):
    terraform.Alias(aws).apply(name="live", function_name=function, function_version="1")
    cors = {"AllowCredentials": True, "AllowHeaders": ["date"], "AllowMethods": ["*"], "AllowOrigins": ["*"],
            "ExposeHeaders": ["date"], "MaxAge": 86400}
    for qualifier in (None, "live"):
        url = terraform.FunctionUrl(aws)
        declared = {"function_name": function, "qualifier": qualifier, "authorization_type": "AWS_IAM"}
        first = None
        for step in [
            {},
            {"cors": cors},
            {"cors": {"AllowOrigins": ["https://example.com"]}},
            {"cors": None},
            {"invoke_mode": "RESPONSE_STREAM"},
            {"authorization_type": "NONE"},
        ]:
            declared |= step
            state = url.apply(**declared)
            first = first or state
            assert state["function_url"] == first["function_url"]
        url.destroy()
        # The public statement of a former URL is there: the provider does not mind.
        url.apply(**declared)
        url.destroy()
        url.apply(**declared)
        url.destroy()


def test_an_event_invoke_config(aws, function):
    terraform.Alias(aws).apply(name="asked", function_name=function, function_version="1")
    target = queue(aws, "destination")
    for qualifier in (None, "asked", "$LATEST"):
        config = terraform.EventInvokeConfig(aws)
        declared = {"function_name": function, "qualifier": qualifier}
        for step in [
            {},
            {"maximum_retry_attempts": 0},
            {"maximum_event_age_in_seconds": 60},
            {"on_failure": target},
            {"on_success": target},
            {"on_failure": None},
            {"on_success": None, "maximum_retry_attempts": 2},
        ]:
            declared |= step
            config.apply(**declared)
        config.destroy()


def test_an_event_source_mapping_of_a_queue(aws, function):
    terraform.Alias(aws).apply(name="fed", function_name=function, function_version="1")
    source = queue(aws, "source")
    mapping = terraform.EventSourceMapping(aws)
    declared = {"event_source_arn": source, "function_name": function}
    first = None
    for step in [
        {},
        {"batch_size": 5},
        {"batch_size": 20, "maximum_batching_window_in_seconds": 1},
        {"enabled": False},
        {"filter_criteria": {"Filters": [{"Pattern": json.dumps({"body": {"kind": ["x"]}})}]}},
        {"filter_criteria": None},
        {"function_response_types": ["ReportBatchItemFailures"]},
        {"function_response_types": []},
        {"scaling_config": {"MaximumConcurrency": 5}},
        {"scaling_config": None},
        {"tags": {"a": "1", "b": "2"}},
        {"tags": {"b": "3"}},
        {"tags": None},
        {"function_name": f"arn:aws:lambda:us-east-1:000000000000:function:{function}:fed"},
        {"enabled": True},
    ]:
        declared |= step
        state = mapping.apply(**declared)
        first = first or state
        assert state["arn"] == first["arn"] and state["starting_position"] is None
    assert mapping.apply(**declared | {"event_source_arn": queue(aws, "other-source")})["arn"] != first["arn"]
    mapping.destroy()


def test_an_event_source_mapping_of_a_stream(aws, function):
    mapping = terraform.EventSourceMapping(aws)
    stream = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
    # Nothing reads streams: the record is what Terraform keeps.
    declared = {
        "event_source_arn": stream, "function_name": function, "starting_position": "LATEST", "enabled": False
    }
    for step in [
        {},
        {"parallelization_factor": 3},
        {"maximum_retry_attempts": 2, "maximum_record_age_in_seconds": 60},
        {"bisect_batch_on_function_error": True},
        {"bisect_batch_on_function_error": False},
        {"tumbling_window_in_seconds": 10},
        {"tumbling_window_in_seconds": 0},
        {"destination_config": {"OnFailure": {"Destination": queue(aws, "of-a-stream")}}},
    ]:
        declared |= step
        mapping.apply(**declared)
    mapping.destroy()


def test_provisioned_concurrency(aws, function):
    terraform.Alias(aws).apply(name="ready", function_name=function, function_version="1")
    for qualifier in ("2", "ready"):
        config = terraform.ProvisionedConcurrencyConfig(aws)
        for places in (1, 3, 2):
            declared = {"function_name": function, "qualifier": qualifier}
            config.apply(**declared, provisioned_concurrent_executions=places)
        config.destroy()


def test_a_role(aws):
    role = terraform.Role(aws)
    boundary = terraform.Policy(aws)
    boundary.apply(name="boundary", policy=document("logs:*"))
    declared = {"name": "stepped", "assume_role_policy": TRUST}
    first = None
    for step in [
        {},
        {"assume_role_policy": TRUST.replace("lambda.", "edgelambda.")},
        {"description": "grün & <gut>"},
        {"description": ""},
        {"max_session_duration": 7200},
        {"permissions_boundary": boundary.id},
        {"permissions_boundary": None},
        {"tags": {"a": "1", "b": ""}},
        {"tags": {"b": "2"}},
        {"tags": None},
    ]:
        declared |= step
        state = role.apply(**declared)
        first = first or state
        assert state["unique_id"] == first["unique_id"] and state["arn"].startswith("arn:")
    assert role.apply(**declared | {"path": "/p/"})["unique_id"] != first["unique_id"]
    role.destroy()
    boundary.destroy()


def test_the_policies_of_a_role(aws):
    role, inline, policy = terraform.Role(aws), terraform.RolePolicy(aws), terraform.Policy(aws)
    own, awss = terraform.RolePolicyAttachment(aws), terraform.RolePolicyAttachment(aws)
    role.apply(name="with-policies", assume_role_policy=TRUST)
    for action in ("logs:*", "s3:*"):
        inline.apply(name="inline", role="with-policies", policy=document(action))
    # More changes than a policy has versions: the oldest makes room.
    for number in range(8):
        declared = {"name": "managed", "path": "/p/", "description": "d", "policy": document(f"s3:{number}")}
        policy.apply(**declared, tags={"n": str(number)})
    own.apply(role="with-policies", policy_arn=policy.id)
    awss.apply(role="with-policies", policy_arn=BASIC)
    state = role.read()
    assert state["managed_policy_arns"] == sorted([policy.id, BASIC]) and list(state["inline_policy"]) == ["inline"]
    assert policy.read()["attachment_count"] == 1
    for resource in (own, awss, inline, policy, role):
        resource.destroy()


def test_a_user_is_renamed_and_destroyed_with_what_it_has(aws):
    user = terraform.User(aws)
    declared = {"name": "stepped"}
    first = None
    for step in [
        {},
        {"tags": {"a": "1"}},
        {"tags": None},
        {"permissions_boundary": BASIC},
        {"permissions_boundary": None},
        {"path": "/p/"},
        {"name": "renamed"},
    ]:
        declared |= step
        state = user.apply(**declared)
        first = first or state
        assert state["unique_id"] == first["unique_id"]
    iam = aws.client("iam")
    iam.create_access_key(UserName="renamed")
    iam.create_group(GroupName="of-a-user")
    iam.add_user_to_group(GroupName="of-a-user", UserName="renamed")
    user.destroy()


def test_a_log_group(aws):
    group = terraform.LogGroup(aws)
    declared = {"name": "/aws/lambda/stepped-group"}
    for step in [
        {},
        {"retention_in_days": 14},
        {"retention_in_days": 365},
        {"retention_in_days": 0},
        {"tags": {"a": "1", "b": "2"}},
        {"tags": {"b": "3"}},
        {"tags": None},
        {"log_group_class": "INFREQUENT_ACCESS"},
    ]:
        declared |= step
        group.apply(**declared)
    group.destroy()


def stack(aws, python):
    """Everything together, in the order of its references."""
    made = {}

    def add(kind, **declared):
        resource = getattr(terraform, kind)(aws)
        made[f"{kind}/{len(made)}"] = resource
        return resource.apply(**declared)

    role = add("Role", name="stack", assume_role_policy=TRUST)["arn"]
    add("RolePolicyAttachment", role="stack", policy_arn=BASIC)
    add("LogGroup", name="/aws/lambda/stack", retention_in_days=7)
    layer = add("LayerVersion", layer_name="stack", zip=CODE, source_code_hash=digest(CODE))["arn"]
    add("Function", function_name="stack", role=role, handler="app.handler", runtime=python, zip=CODE,
        source_code_hash=digest(CODE), layers=[layer], publish=True, tags={"a": "1"})
    add("Alias", name="live", function_name="stack", function_version="1")
    add("FunctionUrl", function_name="stack", qualifier="live", authorization_type="NONE")
    add("EventInvokeConfig", function_name="stack", qualifier="live", maximum_retry_attempts=1)
    add("ProvisionedConcurrencyConfig", function_name="stack", qualifier="live", provisioned_concurrent_executions=1)
    add("EventSourceMapping", event_source_arn=queue(aws, "stack"), function_name="stack")
    add("Permission", statement_id="s", function_name="stack", qualifier="live",
        action="lambda:InvokeFunction", principal="s3.amazonaws.com")
    return made


def test_a_stack_has_an_empty_plan_after_a_kill_and_is_destroyed(servers, python):
    server = servers().start()
    made = stack(Aws(server), python)
    states = {name: resource.read() for name, resource in made.items()}
    server.kill()
    server.restart()
    for resource in made.values():
        resource.aws = Aws(server)
    for name, resource in made.items():
        # What is provisioned is made anew first, and until then is told to be less.
        is_as_before = lambda name=name, resource=resource: resource.read() == states[name]
        eventually(is_as_before, f"{name} is as it was")
        assert resource.plan(resource.declared, states[name]) == {}, name
    for resource in reversed(made.values()):
        resource.destroy()


def test_what_was_deleted_behind_terraforms_back_is_seen_as_gone(aws, python):
    made = stack(aws, python)
    aws.functions.delete_function(FunctionName="stack")
    groups = [name for name in made if name.startswith("LogGroup/")]

    def gone():
        # The last words of its environments, which end now, make the group anew, as they would on AWS.
        for name in groups:
            if made[name].read() is not None:
                aws.logs.delete_log_group(logGroupName="/aws/lambda/stack")
        return all(life["ended"] for life in aws.server.lives("stack"))

    eventually(gone, "the environments have ended")
    eventually(lambda: gone() and made[groups[0]].read() is None, "the group is gone")
    for name, resource in made.items():
        kind = name.split("/")[0]
        lost = kind in ("Function", "Alias", "FunctionUrl", "EventInvokeConfig", "Permission", "LogGroup", "ProvisionedConcurrencyConfig")
        assert (resource.read() is None) is lost, name
