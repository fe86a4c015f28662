"""The process is killed after each kind of change: nothing that was acknowledged is lost, nothing that
was removed is back, no number is given out twice.

One server, one census of everything it keeps. A change is a line of the table; it must show in the
census, and the census must be the same when the server is back."""

import json

import botocore.exceptions
import pytest

from harness.code import ECHO, package
from harness.waiting import eventually

TRUST = json.dumps(
    {"Statement": {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}}
)
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
GROUP = "arn:aws:logs:us-east-1:000000000000:log-group:g"
POLICY = "arn:aws:iam::000000000000:policy/p"


def document(action):
    return json.dumps({"Statement": {"Effect": "Allow", "Action": action, "Resource": "*"}})


def told(call, **arguments):
    """What is answered, without what changes from answer to answer; of an error its code."""
    try:
        answer = call(**arguments)
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    answer.pop("ResponseMetadata")
    # A link that is signed anew each time.
    for place in ("Code", "Content"):
        answer.get(place, {}).pop("Location", None)
    return answer


def is_provisioned(api):
    """Environments are made anew after a start: what is asked for is kept, not what is there."""
    configs = api.list_provisioned_concurrency_configs(FunctionName="f")["ProvisionedConcurrencyConfigs"]
    return all(config["Status"] == "READY" for config in configs)


def functions_of(aws):
    """Functions, layers and all that is kept beside them."""
    api, f = aws.functions, {"FunctionName": "f"}
    if isinstance(told(api.get_function, **f), dict):
        aws.settled("f")
        eventually(lambda: is_provisioned(api), "what is provisioned is ready")
    calls = {
        "function": (api.get_function, f),
        "versions": (api.list_versions_by_function, f),
        "aliases": (api.list_aliases, f),
        "policy": (api.get_policy, f),
        "policy of an alias": (api.get_policy, {**f, "Qualifier": "live"}),
        "tags": (api.list_tags, {"Resource": FUNCTION}),
        "url": (api.list_function_url_configs, f),
        "concurrency": (api.get_function_concurrency, f),
        "provisioned concurrency": (api.list_provisioned_concurrency_configs, f),
        "event invoke": (api.list_function_event_invoke_configs, f),
        "recursion": (api.get_function_recursion_config, f),
        "runtime management": (api.get_runtime_management_config, f),
        "layers": (api.list_layers, {}),
        "layer versions": (api.list_layer_versions, {"LayerName": "l"}),
        "layer policy": (api.get_layer_version_policy, {"LayerName": "l", "VersionNumber": 1}),
        "event source mappings": (api.list_event_source_mappings, {}),
        "account": (api.get_account_settings, {}),
    }
    return {name: told(call, **arguments) for name, (call, arguments) in calls.items()}


def neighbours_of(aws):
    """IAM, logs and queues."""
    iam, logs, sqs, s3 = aws.client("iam"), aws.logs, aws.client("sqs"), aws.client("s3")
    user, role, group = {"UserName": "u"}, {"RoleName": "r"}, {"GroupName": "o"}
    calls = {
        "role": (iam.get_role, role),
        "role policies": (iam.list_role_policies, role),
        "role policy": (iam.get_role_policy, {**role, "PolicyName": "i"}),
        "role attachments": (iam.list_attached_role_policies, role),
        "policy": (iam.get_policy, {"PolicyArn": POLICY}),
        "policy versions": (iam.list_policy_versions, {"PolicyArn": POLICY}),
        "user": (iam.get_user, user),
        "users": (iam.list_users, {}),
        "user policy": (iam.get_user_policy, {**user, "PolicyName": "i"}),
        "user attachments": (iam.list_attached_user_policies, user),
        "access keys": (iam.list_access_keys, user),
        "group": (iam.get_group, group),
        "groups": (iam.list_groups, {}),
        "instance profile": (iam.get_instance_profile, {"InstanceProfileName": "m"}),
        "log groups": (logs.describe_log_groups, {"logGroupNamePrefix": "g"}),
        "log tags": (logs.list_tags_for_resource, {"resourceArn": GROUP}),
        "log streams": (logs.describe_log_streams, {"logGroupName": "g"}),
        "log events": (logs.filter_log_events, {"logGroupName": "g"}),
        "queues": (sqs.list_queues, {}),
        "buckets": (s3.list_buckets, {}),
        "objects": (s3.list_object_versions, {"Bucket": "kept"}),
        "versioning": (s3.get_bucket_versioning, {"Bucket": "kept"}),
        "uploads": (s3.list_multipart_uploads, {"Bucket": "kept"}),
    }
    census = {name: told(call, **arguments) for name, (call, arguments) in calls.items()}
    objects = census["objects"]
    for version in objects.get("Versions", []) if isinstance(objects, dict) else []:
        where = {"Bucket": "kept", "Key": version["Key"], "VersionId": version["VersionId"]}
        census[f"object {where}"] = s3.get_object(**where)["Body"].read()
    for url in census["queues"].get("QueueUrls", []):
        attributes = {"QueueUrl": url, "AttributeNames": ["All"]}
        census[f"queue {url}"] = told(sqs.get_queue_attributes, **attributes), told(sqs.list_queue_tags, QueueUrl=url)
    return census


def census(aws):
    return functions_of(aws) | {f"neighbours: {name}": value for name, value in neighbours_of(aws).items()}


class Changes:
    """What is changed, a method for each kind; run in the order in which they are written."""

    def __init__(self, aws, runtime):
        self.aws, self.runtime = aws, runtime

    def client(self, service):
        return self.aws.client(service)

    @property
    def api(self):
        return self.aws.functions

    @property
    def iam(self):
        return self.client("iam")

    @property
    def sqs(self):
        return self.client("sqs")

    @property
    def s3(self):
        return self.client("s3")

    def queue(self):
        return self.sqs.get_queue_url(QueueName="q")["QueueUrl"]

    def mapping_is(self, wanted):
        def look():
            found = told(self.api.get_event_source_mapping, UUID=self.mapping)
            return wanted == (found if isinstance(found, str) else found["State"])

        eventually(look, f"the mapping is {wanted}")

    def create_function(self):
        self.aws.create("f", ECHO, self.runtime)

    def update_code(self):
        self.aws.update_code("f", ECHO + "# second\n")

    def update_configuration(self):
        self.api.update_function_configuration(FunctionName="f", Timeout=7, Environment={"Variables": {"AB": "c"}})

    def publish_version(self):
        assert self.api.publish_version(FunctionName="f")["Version"] == "1"

    def publish_with_new_code(self):
        changed = package({"app.py": ECHO + "# third\n"})
        assert self.api.update_function_code(FunctionName="f", ZipFile=changed, Publish=True)["Version"] == "2"

    def delete_version(self):
        self.api.delete_function(FunctionName="f", Qualifier="2")

    def publish_after_a_deletion(self):
        self.aws.update_code("f", ECHO + "# fourth\n")
        assert self.api.publish_version(FunctionName="f")["Version"] == "3"

    def create_alias(self):
        self.api.create_alias(FunctionName="f", Name="live", FunctionVersion="1")

    def update_alias(self):
        self.api.update_alias(
            FunctionName="f", Name="live", RoutingConfig={"AdditionalVersionWeights": {"3": 0.5}}, Description="d"
        )

    def add_permission(self):
        self.api.add_permission(FunctionName="f", StatementId="s", Action="lambda:InvokeFunction", Principal="*")

    def add_permission_of_an_alias(self):
        self.api.add_permission(
            FunctionName="f", Qualifier="live", StatementId="t", Action="lambda:InvokeFunction", Principal="*"
        )

    def remove_permission(self):
        self.api.remove_permission(FunctionName="f", StatementId="s")

    def tag_function(self):
        self.api.tag_resource(Resource=FUNCTION, Tags={"a": "1", "b": "2"})

    def untag_function(self):
        self.api.untag_resource(Resource=FUNCTION, TagKeys=["a"])

    def create_url(self):
        self.api.create_function_url_config(FunctionName="f", AuthType="NONE")

    def update_url(self):
        self.api.update_function_url_config(FunctionName="f", Cors={"AllowOrigins": ["*"]})

    def delete_url(self):
        self.api.delete_function_url_config(FunctionName="f")

    def reserve_concurrency(self):
        self.api.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=9)

    def provision_concurrency(self):
        self.api.put_provisioned_concurrency_config(
            FunctionName="f", Qualifier="1", ProvisionedConcurrentExecutions=1
        )

    def delete_provisioned_concurrency(self):
        self.api.delete_provisioned_concurrency_config(FunctionName="f", Qualifier="1")

    def put_event_invoke_config(self):
        self.api.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=1)

    def update_event_invoke_config(self):
        self.api.update_function_event_invoke_config(FunctionName="f", MaximumEventAgeInSeconds=60)

    def put_recursion_config(self):
        self.api.put_function_recursion_config(FunctionName="f", RecursiveLoop="Allow")

    def put_runtime_management_config(self):
        self.api.put_runtime_management_config(FunctionName="f", UpdateRuntimeOn="FunctionUpdate")

    def publish_layer(self):
        for number in (1, 2):
            made = self.api.publish_layer_version(LayerName="l", Content={"ZipFile": package({"x": str(number)})})
            assert made["Version"] == number

    def add_layer_permission(self):
        self.api.add_layer_version_permission(
            LayerName="l", VersionNumber=1, StatementId="s", Action="lambda:GetLayerVersion", Principal="*"
        )

    def remove_layer_permission(self):
        self.api.remove_layer_version_permission(LayerName="l", VersionNumber=1, StatementId="s")

    def delete_layer_version(self):
        self.api.delete_layer_version(LayerName="l", VersionNumber=2)

    def publish_layer_after_a_deletion(self):
        made = self.api.publish_layer_version(LayerName="l", Content={"ZipFile": package({"x": "3"})})
        assert made["Version"] == 3

    def create_role(self):
        self.iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST, Tags=[{"Key": "k", "Value": "v"}])

    def update_role(self):
        self.iam.update_role(RoleName="r", Description="d", MaxSessionDuration=7200)

    def update_trust(self):
        self.iam.update_assume_role_policy(RoleName="r", PolicyDocument=TRUST.replace("lambda.", "edgelambda."))

    def put_role_policy(self):
        self.iam.put_role_policy(RoleName="r", PolicyName="i", PolicyDocument=document("s3:*"))

    def create_policy(self):
        self.iam.create_policy(PolicyName="p", PolicyDocument=document("s3:*"))

    def create_policy_version(self):
        self.iam.create_policy_version(PolicyArn=POLICY, PolicyDocument=document("sqs:*"))

    def delete_policy_version(self):
        self.iam.delete_policy_version(PolicyArn=POLICY, VersionId="v2")

    def create_policy_version_after_a_deletion(self):
        made = self.iam.create_policy_version(PolicyArn=POLICY, PolicyDocument=document("sns:*"), SetAsDefault=True)
        assert made["PolicyVersion"]["VersionId"] == "v3"

    def attach_role_policy(self):
        self.iam.attach_role_policy(RoleName="r", PolicyArn=POLICY)

    def detach_role_policy(self):
        self.iam.detach_role_policy(RoleName="r", PolicyArn=POLICY)

    def create_user(self):
        self.iam.create_user(UserName="before")

    def rename_user(self):
        self.iam.update_user(UserName="before", NewUserName="u", NewPath="/p/")

    def create_access_key(self):
        self.key = self.iam.create_access_key(UserName="u")["AccessKey"]["AccessKeyId"]

    def deactivate_access_key(self):
        self.iam.update_access_key(UserName="u", AccessKeyId=self.key, Status="Inactive")

    def put_user_policy(self):
        self.iam.put_user_policy(UserName="u", PolicyName="i", PolicyDocument=document("s3:*"))

    def attach_user_policy(self):
        self.iam.attach_user_policy(UserName="u", PolicyArn=BASIC)

    def create_group(self):
        self.iam.create_group(GroupName="o")

    def add_user_to_group(self):
        self.iam.add_user_to_group(GroupName="o", UserName="u")

    def create_instance_profile(self):
        self.iam.create_instance_profile(InstanceProfileName="m")

    def add_role_to_instance_profile(self):
        self.iam.add_role_to_instance_profile(InstanceProfileName="m", RoleName="r")

    def create_log_group(self):
        self.aws.logs.create_log_group(logGroupName="g", tags={"a": "1"})

    def put_retention(self):
        self.aws.logs.put_retention_policy(logGroupName="g", retentionInDays=7)

    def tag_log_group(self):
        self.aws.logs.tag_resource(resourceArn=GROUP, tags={"b": "2"})

    def create_log_stream(self):
        self.aws.logs.create_log_stream(logGroupName="g", logStreamName="s")

    def put_log_events(self):
        now = self.aws.logs.describe_log_groups(logGroupNamePrefix="g")["logGroups"][0]["creationTime"]
        self.aws.logs.put_log_events(
            logGroupName="g", logStreamName="s", logEvents=[{"timestamp": now, "message": "m"}]
        )

    def delete_log_stream(self):
        self.aws.logs.delete_log_stream(logGroupName="g", logStreamName="s")

    def create_queue(self):
        self.sqs.create_queue(QueueName="q", tags={"a": "1"})

    def set_queue_attributes(self):
        self.sqs.set_queue_attributes(QueueUrl=self.queue(), Attributes={"VisibilityTimeout": "7"})

    def tag_queue(self):
        self.sqs.tag_queue(QueueUrl=self.queue(), Tags={"b": "2"})

    def send_messages(self):
        for body in ("one", "two"):
            self.sqs.send_message(QueueUrl=self.queue(), MessageBody=body)

    def delete_message(self):
        got = self.sqs.receive_message(QueueUrl=self.queue(), VisibilityTimeout=0)["Messages"][0]
        self.sqs.delete_message(QueueUrl=self.queue(), ReceiptHandle=got["ReceiptHandle"])

    def create_event_source_mapping(self):
        arn = "arn:aws:sqs:us-east-1:000000000000:q"
        made = self.api.create_event_source_mapping(FunctionName="f", EventSourceArn=arn, Enabled=False)
        self.mapping = made["UUID"]
        self.mapping_is("Disabled")

    def update_event_source_mapping(self):
        self.api.update_event_source_mapping(UUID=self.mapping, BatchSize=5)
        self.mapping_is("Disabled")

    def delete_event_source_mapping(self):
        self.api.delete_event_source_mapping(UUID=self.mapping)
        self.mapping_is("ResourceNotFoundException")

    def purge_queue(self):
        self.sqs.purge_queue(QueueUrl=self.queue())

    def delete_queue(self):
        self.sqs.delete_queue(QueueUrl=self.queue())

    def create_bucket(self):
        self.s3.create_bucket(Bucket="kept")

    def put_object(self):
        self.s3.put_object(Bucket="kept", Key="k", Body=b"one")

    def keep_versions(self):
        self.s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})

    def put_another_version(self):
        self.s3.put_object(Bucket="kept", Key="k", Body=b"two", Metadata={"m": "1"})

    def delete_object(self):
        self.s3.delete_object(Bucket="kept", Key="k")

    def begin_an_upload(self):
        self.upload = self.s3.create_multipart_upload(Bucket="kept", Key="parts")["UploadId"]

    def complete_an_upload(self):
        of = {"Bucket": "kept", "Key": "parts", "UploadId": self.upload}
        tag = self.s3.upload_part(**of, PartNumber=1, Body=b"part")["ETag"]
        self.s3.complete_multipart_upload(**of, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})

    def delete_bucket(self):
        listed = self.s3.list_object_versions(Bucket="kept")
        for it in listed["Versions"] + listed["DeleteMarkers"]:
            self.s3.delete_object(Bucket="kept", Key=it["Key"], VersionId=it["VersionId"])
        self.s3.delete_bucket(Bucket="kept")

    def delete_log_group(self):
        self.aws.logs.delete_log_group(logGroupName="g")

    def delete_access_key(self):
        self.iam.delete_access_key(UserName="u", AccessKeyId=self.key)

    def remove_user_from_group(self):
        self.iam.remove_user_from_group(GroupName="o", UserName="u")

    def delete_group(self):
        self.iam.delete_group(GroupName="o")

    def delete_user(self):
        self.iam.detach_user_policy(UserName="u", PolicyArn=BASIC)
        self.iam.delete_user_policy(UserName="u", PolicyName="i")
        self.iam.delete_user(UserName="u")

    def delete_instance_profile(self):
        self.iam.remove_role_from_instance_profile(InstanceProfileName="m", RoleName="r")
        self.iam.delete_instance_profile(InstanceProfileName="m")

    def delete_role(self):
        self.iam.delete_role_policy(RoleName="r", PolicyName="i")
        self.iam.delete_role(RoleName="r")

    def delete_policy(self):
        self.iam.delete_policy_version(PolicyArn=POLICY, VersionId="v1")
        self.iam.delete_policy(PolicyArn=POLICY)

    def free_concurrency(self):
        self.api.delete_function_concurrency(FunctionName="f")

    def delete_event_invoke_config(self):
        self.api.delete_function_event_invoke_config(FunctionName="f")

    def delete_alias(self):
        self.api.delete_alias(FunctionName="f", Name="live")

    def delete_function(self):
        self.api.delete_function(FunctionName="f")

    def create_the_function_again(self):
        self.aws.create("f", ECHO, self.runtime)
        # Its numbers go on where those of the deleted one ended.
        assert self.api.publish_version(FunctionName="f")["Version"] == "4"


HELPERS = ("client", "api", "iam", "sqs", "s3", "queue", "mapping_is")
CHANGES = [name for name in vars(Changes) if not name.startswith("_") and name not in HELPERS]


@pytest.mark.timeout(600)
def test_every_kind_of_change_survives_a_kill(server, aws, python):
    # The next process has the same port, so that clients and the URLs of queues stay the same.
    server.listen = server.address
    changes = Changes(aws, python)
    before = census(aws)
    for name in CHANGES:
        getattr(changes, name)()
        after = census(aws)
        assert after != before, f"{name} does not show"
        server.kill()
        server.restart()
        found = census(aws)
        lost = {part: (after[part], found[part]) for part in after if after[part] != found[part]}
        assert not lost, f"after {name}: {lost}"
        before = after
