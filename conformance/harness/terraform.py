"""Terraform's AWS provider, as far as a server can see it: the calls each resource makes to be
created, read, updated and deleted, the waits between them, and how what was read is compared with
what was declared.

Attributes have the provider's names, defaults and shapes, so that `plan` says what `terraform plan`
would. Knows nothing of what a server should answer: a resource whose second plan is not empty is
found by comparing."""

import dataclasses
import json

from harness.waiting import eventually

# The provider polls for minutes; what takes a local server longer than this is stuck.
WAIT_S = 30


@dataclasses.dataclass(frozen=True)
class Attribute:
    """What the schema says of one attribute."""

    default: object = None
    # Whatever the server says is fine when nothing is declared.
    computed: bool = False
    # A change makes a new resource.
    replaces: bool = False
    # What is declared and what is read may be written differently.
    same: object = None


def json_alike(one, other):
    return json.loads(one) == json.loads(other)


def gone(client, error):
    """Whether an error says that something is not there, as the provider asks it."""
    return error.response["Error"]["Code"] in ("ResourceNotFoundException", "NoSuchEntity")


class Resource:
    """One resource: subclasses say how it is created, read, updated and deleted."""

    schema = {}

    def __init__(self, aws):
        self.aws = aws
        self.id = None
        self.declared = None

    def client(self, service):
        return self.aws.client(service)

    def wanted(self, declared):
        """What is declared, with the defaults of the schema."""
        return {name: attribute.default for name, attribute in self.schema.items()} | declared

    def found(self, look, *arguments, **more):
        """An answer, or nothing for what is not there."""
        client = look.__self__
        try:
            return look(*arguments, **more)
        except client.exceptions.ClientError as error:
            if gone(client, error):
                return None
            raise

    def plan(self, declared, state):
        """What an apply would change: attribute to (read, declared)."""
        changes = {}
        for name, attribute in self.schema.items():
            if attribute.computed and name not in declared:
                continue
            read, want = state[name], self.wanted(declared)[name]
            if read == want or (attribute.same and read and want and attribute.same(read, want)):
                continue
            changes[name] = read, want
        return changes

    def apply(self, **declared):
        """Makes the resource what is declared; its state. The second plan must be empty."""
        state = self.read() if self.id else None
        changes = self.plan(declared, state) if state else {}
        if state and any(self.schema[name].replaces for name in changes):
            self.destroy()
            state = None
        if state is None:
            self.create(self.wanted(declared))
        elif changes:
            self.update(self.wanted(declared), changes)
        self.declared = declared
        state = self.read()
        assert state is not None, f"{self.id} is not there after it was applied"
        left = self.plan(declared, state)
        assert left == {}, f"the second plan of {self.id} is not empty: {left}"
        assert self.read() == state, "a refresh changes the state"
        return state

    def destroy(self):
        """Deletes it, and looks until it is gone."""
        self.delete(self.read())
        eventually(lambda: self.read() is None, f"{self.id} is gone", WAIT_S)
        self.id = None


def tags_of(resource, changes, tag, untag):
    """The calls for a change of tags."""
    if "tags" not in changes:
        return
    before, after = ((side or {}) for side in changes["tags"])
    removed = sorted(key for key in before if key not in after or before[key] != after[key])
    if removed:
        untag(removed)
    added = {key: value for key, value in after.items() if before.get(key) != value}
    if added:
        tag(added)


def pairs(tags):
    return [{"Key": key, "Value": value} for key, value in (tags or {}).items()]


def unpaired(tags):
    return {tag["Key"]: tag["Value"] for tag in tags or []} or None


def present(**members):
    """The members that are set."""
    return {name: value for name, value in members.items() if value is not None}


class Function(Resource):
    """aws_lambda_function"""

    schema = {
        "function_name": Attribute(replaces=True),
        "role": Attribute(),
        "handler": Attribute(default=""),
        "runtime": Attribute(default=""),
        "description": Attribute(default=""),
        "memory_size": Attribute(default=128),
        "timeout": Attribute(default=3),
        "package_type": Attribute(default="Zip", replaces=True),
        "architectures": Attribute(computed=True),
        "environment": Attribute(),
        "layers": Attribute(default=[]),
        "ephemeral_storage": Attribute(computed=True),
        "tracing_config": Attribute(computed=True),
        "logging_config": Attribute(computed=True),
        "dead_letter_config": Attribute(),
        "vpc_config": Attribute(),
        "snap_start": Attribute(),
        "kms_key_arn": Attribute(default=""),
        "reserved_concurrent_executions": Attribute(default=-1),
        "source_code_hash": Attribute(computed=True),
        "tags": Attribute(),
        # What only the configuration knows.
        "zip": Attribute(computed=True),
        "publish": Attribute(computed=True),
        # What only the server knows.
        "arn": Attribute(computed=True),
        "qualified_arn": Attribute(computed=True),
        "version": Attribute(computed=True),
        "last_modified": Attribute(computed=True),
        "source_code_size": Attribute(computed=True),
    }
    members = {
        "role": "Role", "handler": "Handler", "runtime": "Runtime", "description": "Description",
        "memory_size": "MemorySize", "timeout": "Timeout", "kms_key_arn": "KMSKeyArn",
    }

    def create(self, want):
        functions = self.client("lambda")
        self.id = want["function_name"]
        more = {self.members[name]: want[name] for name in self.members if want[name]}
        if want["environment"] is not None:
            more["Environment"] = {"Variables": want["environment"]}
        functions.create_function(
            FunctionName=self.id,
            Code={"ZipFile": want["zip"]},
            PackageType=want["package_type"],
            Publish=bool(want["publish"]),
            **more,
            **present(
                Architectures=want["architectures"],
                Layers=want["layers"] or None,
                EphemeralStorage=want["ephemeral_storage"],
                TracingConfig=want["tracing_config"],
                LoggingConfig=want["logging_config"],
                DeadLetterConfig=want["dead_letter_config"],
                VpcConfig=want["vpc_config"],
                SnapStart=want["snap_start"],
                Tags=want["tags"],
            ),
        )
        eventually(lambda: self.found(functions.get_function, FunctionName=self.id), "it is found", WAIT_S)
        self.wait("State", "Active", ("Pending",))
        if want["reserved_concurrent_executions"] >= 0:
            functions.put_function_concurrency(
                FunctionName=self.id,
                ReservedConcurrentExecutions=want["reserved_concurrent_executions"],
            )

    def wait(self, member, good, pending):
        """Polls until a state is reached; any other state but the pending ones is a failure."""

        def look():
            told = self.client("lambda").get_function(FunctionName=self.id)["Configuration"][member]
            assert told == good or told in pending, f"{self.id}: {member} is {told}"
            return told == good

        eventually(look, f"{member} of {self.id} is {good}", WAIT_S)

    def read(self):
        functions = self.client("lambda")
        got = self.found(functions.get_function, FunctionName=self.id)
        if got is None:
            return None
        it = got["Configuration"]
        pages = functions.get_paginator("list_versions_by_function").paginate(FunctionName=self.id)
        newest = [version for page in pages for version in page["Versions"]][-1]
        # Any error here fails the refresh of every function.
        functions.get_function_code_signing_config(FunctionName=self.id)
        return {
            "function_name": it["FunctionName"],
            **{name: it.get(member, "") for name, member in self.members.items()},
            "package_type": it["PackageType"],
            "architectures": it["Architectures"],
            "environment": it["Environment"]["Variables"] if "Environment" in it else None,
            "layers": [layer["Arn"] for layer in it.get("Layers", [])],
            "ephemeral_storage": it["EphemeralStorage"],
            "tracing_config": it["TracingConfig"],
            "logging_config": it["LoggingConfig"],
            "dead_letter_config": it.get("DeadLetterConfig"),
            "vpc_config": it.get("VpcConfig"),
            "snap_start": None if it["SnapStart"]["ApplyOn"] == "None" else {"ApplyOn": it["SnapStart"]["ApplyOn"]},
            "reserved_concurrent_executions": got.get("Concurrency", {}).get("ReservedConcurrentExecutions", -1),
            "source_code_hash": it["CodeSha256"],
            "source_code_size": it["CodeSize"],
            "tags": got.get("Tags"),
            "zip": None,
            "publish": None,
            "arn": it["FunctionArn"],
            "qualified_arn": newest["FunctionArn"],
            "version": newest["Version"],
            "last_modified": it["LastModified"],
        }

    def plan(self, declared, state):
        known = {name: value for name, value in declared.items() if name not in ("zip", "publish")}
        return super().plan(known, state)

    def update(self, want, changes):
        functions = self.client("lambda")
        configuration = self.changed_configuration(want, changes)
        if configuration:
            functions.update_function_configuration(FunctionName=self.id, **configuration)
            self.wait("LastUpdateStatus", "Successful", ("InProgress",))
        code = changes.keys() & {"source_code_hash", "architectures"}
        if code:
            functions.update_function_code(
                FunctionName=self.id, ZipFile=want["zip"], **present(Architectures=want["architectures"])
            )
            self.wait("LastUpdateStatus", "Successful", ("InProgress",))
        if "reserved_concurrent_executions" in changes:
            places = want["reserved_concurrent_executions"]
            if places >= 0:
                functions.put_function_concurrency(FunctionName=self.id, ReservedConcurrentExecutions=places)
            else:
                functions.delete_function_concurrency(FunctionName=self.id)
        if want["publish"] and (code or configuration):
            version = functions.publish_version(FunctionName=self.id)["Version"]
            eventually(
                lambda: functions.get_function_configuration(FunctionName=self.id, Qualifier=version)[
                    "LastUpdateStatus"
                ] == "Successful",
                "the version is published",
                WAIT_S,
            )
        arn = functions.get_function(FunctionName=self.id)["Configuration"]["FunctionArn"]
        tags_of(
            *(self, changes),
            lambda tags: functions.tag_resource(Resource=arn, Tags=tags),
            lambda keys: functions.untag_resource(Resource=arn, TagKeys=keys),
        )

    def changed_configuration(self, want, changes):
        """The members of UpdateFunctionConfiguration: only what changes; what goes is emptied."""
        configuration = {self.members[name]: want[name] for name in self.members if name in changes}
        emptied = {
            "environment": ("Environment", {"Variables": want["environment"] or {}}),
            "layers": ("Layers", want["layers"]),
            "ephemeral_storage": ("EphemeralStorage", want["ephemeral_storage"]),
            "tracing_config": ("TracingConfig", want["tracing_config"]),
            "logging_config": ("LoggingConfig", want["logging_config"]),
            "dead_letter_config": ("DeadLetterConfig", want["dead_letter_config"] or {"TargetArn": ""}),
            "vpc_config": ("VpcConfig", want["vpc_config"] or {"SubnetIds": [], "SecurityGroupIds": []}),
            "snap_start": ("SnapStart", want["snap_start"] or {"ApplyOn": "None"}),
        }
        return configuration | {member: value for name, (member, value) in emptied.items() if name in changes}

    def delete(self, state):
        self.client("lambda").delete_function(FunctionName=self.id)


class Permission(Resource):
    """aws_lambda_permission"""

    conditions = {
        "source_arn": ("ArnLike", "AWS:SourceArn"),
        "source_account": ("StringEquals", "AWS:SourceAccount"),
        "event_source_token": ("StringEquals", "lambda:EventSourceToken"),
        "function_url_auth_type": ("StringEquals", "lambda:FunctionUrlAuthType"),
        "principal_org_id": ("StringEquals", "aws:PrincipalOrgID"),
    }
    members = {
        "source_arn": "SourceArn", "source_account": "SourceAccount", "event_source_token": "EventSourceToken",
        "function_url_auth_type": "FunctionUrlAuthType", "principal_org_id": "PrincipalOrgID",
    }
    schema = {
        name: Attribute(replaces=True)
        for name in ("statement_id", "function_name", "action", "principal", "qualifier", *conditions)
    } | {"invoked_via_function_url": Attribute(default=False, replaces=True)}

    def create(self, want):
        self.id = want["statement_id"]
        self.function, self.qualifier = want["function_name"], want["qualifier"]
        self.client("lambda").add_permission(
            FunctionName=self.function,
            StatementId=self.id,
            Action=want["action"],
            Principal=want["principal"],
            **present(Qualifier=self.qualifier, InvokedViaFunctionUrl=want["invoked_via_function_url"] or None),
            **{self.members[name]: want[name] for name in self.conditions if want[name]},
        )

    def read(self):
        where = present(FunctionName=self.function, Qualifier=self.qualifier)
        got = self.found(self.client("lambda").get_policy, **where)
        statements = json.loads(got["Policy"])["Statement"] if got else []
        statement = next((it for it in statements if it["Sid"] == self.id), None)
        if statement is None:
            return None
        principal, resource = statement["Principal"], statement["Resource"].split(":")
        condition = statement.get("Condition", {})
        # The provider reads a condition as texts; anything else in there fails the whole refresh.
        assert all(isinstance(value, str) for test in condition.values() for value in test.values()), condition
        via_url = condition.get("Bool", {}).get("lambda:InvokedViaFunctionUrl", "false")
        return {
            "statement_id": statement["Sid"],
            "function_name": resource[6],
            "qualifier": resource[7] if len(resource) > 7 else None,
            "action": statement["Action"],
            "principal": principal if isinstance(principal, str) else principal.get("AWS") or principal["Service"],
            "invoked_via_function_url": via_url.lower() == "true",
            **{name: condition.get(test, {}).get(key) for name, (test, key) in self.conditions.items()},
        }

    def delete(self, state):
        self.client("lambda").remove_permission(
            FunctionName=self.function, StatementId=self.id, **present(Qualifier=self.qualifier)
        )


class LayerVersion(Resource):
    """aws_lambda_layer_version"""

    schema = {
        "layer_name": Attribute(replaces=True),
        "description": Attribute(default="", replaces=True),
        "license_info": Attribute(default="", replaces=True),
        "compatible_runtimes": Attribute(default=[], replaces=True),
        "compatible_architectures": Attribute(default=[], replaces=True),
        "source_code_hash": Attribute(computed=True, replaces=True),
        "zip": Attribute(computed=True),
        "arn": Attribute(computed=True),
        "layer_arn": Attribute(computed=True),
        "version": Attribute(computed=True),
        "created_date": Attribute(computed=True),
        "source_code_size": Attribute(computed=True),
    }

    def create(self, want):
        made = self.client("lambda").publish_layer_version(
            LayerName=want["layer_name"],
            Content={"ZipFile": want["zip"]},
            Description=want["description"],
            LicenseInfo=want["license_info"],
            CompatibleRuntimes=want["compatible_runtimes"],
            CompatibleArchitectures=want["compatible_architectures"],
        )
        self.id = made["LayerVersionArn"]

    def read(self):
        _, name, number = self.id.rsplit(":", 2)
        got = self.found(self.client("lambda").get_layer_version, LayerName=name, VersionNumber=int(number))
        return got and {
            "layer_name": got["LayerArn"].rsplit(":", 1)[1],
            "description": got.get("Description", ""),
            "license_info": got.get("LicenseInfo", ""),
            "compatible_runtimes": got.get("CompatibleRuntimes", []),
            "compatible_architectures": got.get("CompatibleArchitectures", []),
            "source_code_hash": got["Content"]["CodeSha256"],
            "source_code_size": got["Content"]["CodeSize"],
            "zip": None,
            "arn": got["LayerVersionArn"],
            "layer_arn": got["LayerArn"],
            "version": str(got["Version"]),
            "created_date": got["CreatedDate"],
        }

    def plan(self, declared, state):
        return super().plan({name: value for name, value in declared.items() if name != "zip"}, state)

    def delete(self, state):
        _, name, number = self.id.rsplit(":", 2)
        self.client("lambda").delete_layer_version(LayerName=name, VersionNumber=int(number))


class Alias(Resource):
    """aws_lambda_alias"""

    schema = {
        "name": Attribute(replaces=True),
        "function_name": Attribute(replaces=True),
        "function_version": Attribute(),
        "description": Attribute(default=""),
        "routing_config": Attribute(),
        "arn": Attribute(computed=True),
    }

    def create(self, want):
        self.id, self.function = want["name"], want["function_name"]
        self.put(self.client("lambda").create_alias, want)

    def put(self, call, want):
        call(
            FunctionName=self.function,
            Name=self.id,
            FunctionVersion=want["function_version"],
            Description=want["description"],
            RoutingConfig={"AdditionalVersionWeights": want["routing_config"] or {}},
        )

    def read(self):
        got = self.found(self.client("lambda").get_alias, FunctionName=self.function, Name=self.id)
        return got and {
            "name": got["Name"],
            "function_name": self.function,
            "function_version": got["FunctionVersion"],
            "description": got["Description"],
            "routing_config": got["RoutingConfig"]["AdditionalVersionWeights"] if "RoutingConfig" in got else None,
            "arn": got["AliasArn"],
        }

    def update(self, want, changes):
        self.put(self.client("lambda").update_alias, want)

    def delete(self, state):
        self.client("lambda").delete_alias(FunctionName=self.function, Name=self.id)


class FunctionUrl(Resource):
    """aws_lambda_function_url"""

    schema = {
        "function_name": Attribute(replaces=True),
        "qualifier": Attribute(replaces=True),
        "authorization_type": Attribute(),
        "invoke_mode": Attribute(default="BUFFERED"),
        "cors": Attribute(),
        "function_arn": Attribute(computed=True),
        "function_url": Attribute(computed=True),
    }

    def where(self):
        return present(FunctionName=self.function, Qualifier=self.qualifier)

    def create(self, want):
        functions = self.client("lambda")
        self.function, self.qualifier = want["function_name"], want["qualifier"]
        self.id = f"{self.function}/{self.qualifier}" if self.qualifier else self.function
        made = functions.create_function_url_config(
            **self.where(),
            AuthType=want["authorization_type"],
            InvokeMode=want["invoke_mode"],
            **present(Cors=want["cors"]),
        )
        if made["AuthType"] == "NONE":
            try:
                functions.add_permission(
                    **self.where(),
                    StatementId="FunctionURLAllowPublicAccess",
                    Action="lambda:InvokeFunctionUrl",
                    Principal="*",
                    FunctionUrlAuthType="NONE",
                )
            except functions.exceptions.ResourceConflictException:
                # A former URL of this function left it.
                pass

    def read(self):
        got = self.found(self.client("lambda").get_function_url_config, **self.where())
        return got and {
            "function_name": self.function,
            "qualifier": self.qualifier,
            "authorization_type": got["AuthType"],
            "invoke_mode": got["InvokeMode"],
            "cors": got.get("Cors"),
            "function_arn": got["FunctionArn"],
            "function_url": got["FunctionUrl"],
        }

    def update(self, want, changes):
        members = {"authorization_type": "AuthType", "invoke_mode": "InvokeMode"}
        changed = {member: want[name] for name, member in members.items() if name in changes}
        if "cors" in changes:
            changed["Cors"] = want["cors"] or {}
        self.client("lambda").update_function_url_config(**self.where(), **changed)

    def delete(self, state):
        self.client("lambda").delete_function_url_config(**self.where())


class EventInvokeConfig(Resource):
    """aws_lambda_function_event_invoke_config"""

    schema = {
        "function_name": Attribute(replaces=True),
        "qualifier": Attribute(replaces=True),
        "maximum_event_age_in_seconds": Attribute(),
        "maximum_retry_attempts": Attribute(default=2),
        "on_success": Attribute(),
        "on_failure": Attribute(),
    }

    def where(self):
        return present(FunctionName=self.function, Qualifier=self.qualifier)

    def create(self, want):
        self.function, self.qualifier = want["function_name"], want["qualifier"]
        self.id = f"{self.function}:{self.qualifier}" if self.qualifier else self.function
        self.update(want, {})

    def read(self):
        got = self.found(self.client("lambda").get_function_event_invoke_config, **self.where())
        if got is None:
            return None
        destinations = got.get("DestinationConfig", {})
        return {
            "function_name": self.function,
            "qualifier": self.qualifier,
            "maximum_event_age_in_seconds": got.get("MaximumEventAgeInSeconds"),
            "maximum_retry_attempts": got.get("MaximumRetryAttempts", 0),
            "on_success": destinations.get("OnSuccess", {}).get("Destination"),
            "on_failure": destinations.get("OnFailure", {}).get("Destination"),
        }

    def update(self, want, changes):
        destinations = {
            member: {"Destination": want[name]}
            for name, member in (("on_success", "OnSuccess"), ("on_failure", "OnFailure"))
            if want[name]
        }
        self.client("lambda").put_function_event_invoke_config(
            **self.where(),
            MaximumRetryAttempts=want["maximum_retry_attempts"],
            **present(DestinationConfig=destinations or None),
            **present(MaximumEventAgeInSeconds=want["maximum_event_age_in_seconds"]),
        )

    def delete(self, state):
        self.client("lambda").delete_function_event_invoke_config(**self.where())


class Role(Resource):
    """aws_iam_role"""

    schema = {
        "name": Attribute(replaces=True),
        "path": Attribute(default="/", replaces=True),
        "assume_role_policy": Attribute(same=json_alike),
        "description": Attribute(default=""),
        "max_session_duration": Attribute(default=3600),
        "permissions_boundary": Attribute(),
        "tags": Attribute(),
        "arn": Attribute(computed=True),
        "unique_id": Attribute(computed=True),
        "create_date": Attribute(computed=True),
        "inline_policy": Attribute(computed=True),
        "managed_policy_arns": Attribute(computed=True),
    }

    def create(self, want):
        self.id = want["name"]
        self.client("iam").create_role(
            RoleName=self.id,
            Path=want["path"],
            AssumeRolePolicyDocument=want["assume_role_policy"],
            MaxSessionDuration=want["max_session_duration"],
            **present(
                Description=want["description"] or None,
                PermissionsBoundary=want["permissions_boundary"],
                Tags=pairs(want["tags"]) or None,
            ),
        )

    def read(self):
        iam = self.client("iam")
        got = self.found(iam.get_role, RoleName=self.id)
        if got is None:
            return None
        role = got["Role"]
        inline = [name for page in iam.get_paginator("list_role_policies").paginate(RoleName=self.id) for name in page["PolicyNames"]]
        attached = iam.get_paginator("list_attached_role_policies").paginate(RoleName=self.id)
        return {
            "name": role["RoleName"],
            "path": role["Path"],
            # The provider unquotes the document; botocore has done it.
            "assume_role_policy": json.dumps(role["AssumeRolePolicyDocument"]),
            "description": role.get("Description", ""),
            "max_session_duration": role["MaxSessionDuration"],
            "permissions_boundary": role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
            "tags": unpaired(role.get("Tags")),
            "arn": role["Arn"],
            "unique_id": role["RoleId"],
            "create_date": role["CreateDate"],
            "inline_policy": {
                name: iam.get_role_policy(RoleName=self.id, PolicyName=name)["PolicyDocument"] for name in inline
            },
            "managed_policy_arns": [it["PolicyArn"] for page in attached for it in page["AttachedPolicies"]],
        }

    def update(self, want, changes):
        iam = self.client("iam")
        if "assume_role_policy" in changes:
            iam.update_assume_role_policy(RoleName=self.id, PolicyDocument=want["assume_role_policy"])
        if "description" in changes:
            iam.update_role_description(RoleName=self.id, Description=want["description"])
        if "max_session_duration" in changes:
            iam.update_role(RoleName=self.id, MaxSessionDuration=want["max_session_duration"])
        if "permissions_boundary" in changes:
            if want["permissions_boundary"]:
                iam.put_role_permissions_boundary(RoleName=self.id, PermissionsBoundary=want["permissions_boundary"])
            else:
                iam.delete_role_permissions_boundary(RoleName=self.id)
        tags_of(
            *(self, changes),
            lambda tags: iam.tag_role(RoleName=self.id, Tags=pairs(tags)),
            lambda keys: iam.untag_role(RoleName=self.id, TagKeys=keys),
        )

    def delete(self, state):
        iam = self.client("iam")
        for profile in iam.list_instance_profiles_for_role(RoleName=self.id)["InstanceProfiles"]:
            iam.remove_role_from_instance_profile(
                InstanceProfileName=profile["InstanceProfileName"], RoleName=self.id
            )
        iam.delete_role(RoleName=self.id)


class RolePolicy(Resource):
    """aws_iam_role_policy"""

    schema = {
        "name": Attribute(replaces=True),
        "role": Attribute(replaces=True),
        "policy": Attribute(same=json_alike),
    }

    def create(self, want):
        self.id = f"{want['role']}:{want['name']}"
        self.update(want, {})

    def read(self):
        role, name = self.id.split(":")
        got = self.found(self.client("iam").get_role_policy, RoleName=role, PolicyName=name)
        return got and {
            "name": got["PolicyName"],
            "role": got["RoleName"],
            "policy": json.dumps(got["PolicyDocument"]),
        }

    def update(self, want, changes):
        self.client("iam").put_role_policy(
            RoleName=want["role"], PolicyName=want["name"], PolicyDocument=want["policy"]
        )

    def delete(self, state):
        self.client("iam").delete_role_policy(RoleName=state["role"], PolicyName=state["name"])


class Policy(Resource):
    """aws_iam_policy"""

    schema = {
        "name": Attribute(replaces=True),
        "path": Attribute(default="/", replaces=True),
        "description": Attribute(default="", replaces=True),
        "policy": Attribute(same=json_alike),
        "tags": Attribute(),
        "policy_id": Attribute(computed=True),
        "attachment_count": Attribute(computed=True),
    }

    def create(self, want):
        made = self.client("iam").create_policy(
            PolicyName=want["name"],
            Path=want["path"],
            PolicyDocument=want["policy"],
            Description=want["description"],
            **present(Tags=pairs(want["tags"]) or None),
        )
        self.id = made["Policy"]["Arn"]

    def read(self):
        iam = self.client("iam")
        got = self.found(iam.get_policy, PolicyArn=self.id)
        if got is None:
            return None
        policy = got["Policy"]
        version = iam.get_policy_version(PolicyArn=self.id, VersionId=policy["DefaultVersionId"])
        return {
            "name": policy["PolicyName"],
            "path": policy["Path"],
            "description": policy.get("Description", ""),
            "policy": json.dumps(version["PolicyVersion"]["Document"]),
            "tags": unpaired(policy.get("Tags")),
            "policy_id": policy["PolicyId"],
            "attachment_count": policy["AttachmentCount"],
        }

    def versions(self):
        pages = self.client("iam").get_paginator("list_policy_versions").paginate(PolicyArn=self.id)
        return [version for page in pages for version in page["Versions"] if not version["IsDefaultVersion"]]

    def drop(self, version):
        self.client("iam").delete_policy_version(PolicyArn=self.id, VersionId=version["VersionId"])

    def update(self, want, changes):
        iam = self.client("iam")
        if "policy" in changes:
            versions = self.versions()
            if len(versions) >= 4:
                self.drop(min(versions, key=lambda version: (version["CreateDate"], version["VersionId"])))
            iam.create_policy_version(PolicyArn=self.id, PolicyDocument=want["policy"], SetAsDefault=True)
        tags_of(
            *(self, changes),
            lambda tags: iam.tag_policy(PolicyArn=self.id, Tags=pairs(tags)),
            lambda keys: iam.untag_policy(PolicyArn=self.id, TagKeys=keys),
        )

    def delete(self, state):
        for version in self.versions():
            self.drop(version)
        self.client("iam").delete_policy(PolicyArn=self.id)


class RolePolicyAttachment(Resource):
    """aws_iam_role_policy_attachment"""

    schema = {"role": Attribute(replaces=True), "policy_arn": Attribute(replaces=True)}

    def create(self, want):
        self.id = want["role"], want["policy_arn"]
        self.client("iam").attach_role_policy(RoleName=want["role"], PolicyArn=want["policy_arn"])

    def read(self):
        role, arn = self.id
        pages = self.client("iam").get_paginator("list_attached_role_policies").paginate(RoleName=role)
        try:
            attached = [it["PolicyArn"] for page in pages for it in page["AttachedPolicies"]]
        except self.client("iam").exceptions.NoSuchEntityException:
            return None
        return {"role": role, "policy_arn": arn} if arn in attached else None

    def delete(self, state):
        self.client("iam").detach_role_policy(RoleName=state["role"], PolicyArn=state["policy_arn"])


class LogGroup(Resource):
    """aws_cloudwatch_log_group"""

    schema = {
        "name": Attribute(replaces=True),
        "log_group_class": Attribute(computed=True, replaces=True),
        "retention_in_days": Attribute(default=0),
        "kms_key_id": Attribute(default=""),
        "tags": Attribute(),
        "arn": Attribute(computed=True),
    }

    def create(self, want):
        logs = self.client("logs")
        self.id = want["name"]
        logs.create_log_group(
            logGroupName=self.id, **present(logGroupClass=want["log_group_class"], tags=want["tags"])
        )
        if want["retention_in_days"]:
            logs.put_retention_policy(logGroupName=self.id, retentionInDays=want["retention_in_days"])

    def read(self):
        logs = self.client("logs")
        pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=self.id)
        found = [group for page in pages for group in page["logGroups"] if group["logGroupName"] == self.id]
        if not found:
            return None
        arn = found[0]["arn"].removesuffix(":*")
        return {
            "name": found[0]["logGroupName"],
            "log_group_class": found[0]["logGroupClass"],
            "retention_in_days": found[0].get("retentionInDays", 0),
            "kms_key_id": found[0].get("kmsKeyId", ""),
            "tags": logs.list_tags_for_resource(resourceArn=arn)["tags"] or None,
            "arn": arn,
        }

    def update(self, want, changes):
        logs = self.client("logs")
        if "retention_in_days" in changes:
            if want["retention_in_days"]:
                logs.put_retention_policy(logGroupName=self.id, retentionInDays=want["retention_in_days"])
            else:
                logs.delete_retention_policy(logGroupName=self.id)
        arn = changes and self.read()["arn"]
        tags_of(
            *(self, changes),
            lambda tags: logs.tag_resource(resourceArn=arn, tags=tags),
            lambda keys: logs.untag_resource(resourceArn=arn, tagKeys=keys),
        )

    def delete(self, state):
        self.client("logs").delete_log_group(logGroupName=self.id)
