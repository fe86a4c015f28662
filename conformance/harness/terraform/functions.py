"""Functions and what is named with them: permissions, layer versions, aliases."""

import json

from harness.terraform.resource import WAIT_S, Attribute, Resource, present, tags_of
from harness.waiting import eventually


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
