"""What is configured beside functions: URLs, asynchronous invocation, event sources, provisioned concurrency."""

from harness.terraform.resource import WAIT_S, Attribute, Resource, present, tags_of
from harness.waiting import eventually


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


class EventSourceMapping(Resource):
    """aws_lambda_event_source_mapping"""

    # Attribute, member, what is read when the member is absent, what is sent when it goes. Of those
    # that cannot go, the provider takes whatever the server says when nothing is declared.
    members = {
        "batch_size": ("BatchSize", None, None),
        "bisect_batch_on_function_error": ("BisectBatchOnFunctionError", False, False),
        "destination_config": ("DestinationConfig", None, None),
        "filter_criteria": ("FilterCriteria", None, {}),
        "function_response_types": ("FunctionResponseTypes", [], []),
        "maximum_batching_window_in_seconds": ("MaximumBatchingWindowInSeconds", 0, 0),
        "maximum_record_age_in_seconds": ("MaximumRecordAgeInSeconds", None, None),
        "maximum_retry_attempts": ("MaximumRetryAttempts", None, None),
        "parallelization_factor": ("ParallelizationFactor", None, None),
        "scaling_config": ("ScalingConfig", None, {}),
        "tumbling_window_in_seconds": ("TumblingWindowInSeconds", 0, 0),
    }
    schema = {
        "event_source_arn": Attribute(replaces=True),
        "function_name": Attribute(same=lambda read, declared: read.endswith(f":function:{declared}") or read == declared),
        "enabled": Attribute(default=True),
        "starting_position": Attribute(replaces=True),
        "tags": Attribute(),
        "arn": Attribute(computed=True),
        "function_arn": Attribute(computed=True),
        "state_transition_reason": Attribute(computed=True),
    } | {
        name: Attribute(default=none, computed=emptied is None) for name, (_, none, emptied) in members.items()
    }

    def create(self, want):
        wanted = {member: want[name] for name, (member, _, _) in self.members.items() if want[name]}
        made = self.client("lambda").create_event_source_mapping(
            EventSourceArn=want["event_source_arn"],
            FunctionName=want["function_name"],
            Enabled=want["enabled"],
            **present(StartingPosition=want["starting_position"], Tags=want["tags"]),
            **wanted,
        )
        self.id = made["UUID"]
        self.wait(("Creating", "Disabling", "Enabling"))

    def wait(self, pending):
        """Polls until it is enabled or disabled; any other state but the pending ones is a failure."""

        def look():
            told = self.client("lambda").get_event_source_mapping(UUID=self.id)["State"]
            assert told in ("Enabled", "Disabled", *pending), f"{self.id} is {told}"
            return told not in pending

        eventually(look, f"{self.id} is settled", WAIT_S)

    def read(self):
        got = self.found(self.client("lambda").get_event_source_mapping, UUID=self.id)
        if got is None:
            return None
        # While it is deleted there may be no tags to be had.
        tags = self.found(self.client("lambda").list_tags, Resource=got["EventSourceMappingArn"])
        return {
            "event_source_arn": got["EventSourceArn"],
            "function_name": got["FunctionArn"],
            "enabled": got["State"] in ("Enabled", "Enabling"),
            "starting_position": got.get("StartingPosition"),
            "tags": (tags and tags["Tags"]) or None,
            "arn": got["EventSourceMappingArn"],
            "function_arn": got["FunctionArn"],
            "state_transition_reason": got["StateTransitionReason"],
            **{name: got.get(member, none) for name, (member, none, _) in self.members.items()},
        }

    def update(self, want, changes):
        functions = self.client("lambda")
        changed = {
            member: want[name] or emptied
            for name, (member, _, emptied) in self.members.items()
            if name in changes and (want[name] or emptied is not None)
        }
        more = {"enabled": "Enabled", "function_name": "FunctionName"}
        changed |= {member: want[name] for name, member in more.items() if name in changes}
        if changed:
            functions.update_event_source_mapping(UUID=self.id, **changed)
            self.wait(("Disabling", "Enabling", "Updating"))
        arn = self.read()["arn"]
        tags_of(
            *(self, changes),
            lambda tags: functions.tag_resource(Resource=arn, Tags=tags),
            lambda keys: functions.untag_resource(Resource=arn, TagKeys=keys),
        )

    def delete(self, state):
        self.client("lambda").delete_event_source_mapping(UUID=self.id)


class ProvisionedConcurrencyConfig(Resource):
    """aws_lambda_provisioned_concurrency_config"""

    schema = {
        "function_name": Attribute(replaces=True),
        "qualifier": Attribute(replaces=True),
        "provisioned_concurrent_executions": Attribute(),
    }

    def where(self):
        function, qualifier = self.id
        return {"FunctionName": function, "Qualifier": qualifier}

    def create(self, want):
        self.id = want["function_name"], want["qualifier"]
        self.update(want, {})

    def update(self, want, changes):
        functions = self.client("lambda")
        places = want["provisioned_concurrent_executions"]
        functions.put_provisioned_concurrency_config(**self.where(), ProvisionedConcurrentExecutions=places)

        def look():
            told = functions.get_provisioned_concurrency_config(**self.where())
            assert told["Status"] in ("IN_PROGRESS", "READY"), told
            return told["Status"] == "READY"

        eventually(look, f"{self.id} is ready", WAIT_S)

    def read(self):
        got = self.found(self.client("lambda").get_provisioned_concurrency_config, **self.where())
        return got and {
            "function_name": self.id[0],
            "qualifier": self.id[1],
            "provisioned_concurrent_executions": got["AllocatedProvisionedConcurrentExecutions"],
        }

    def delete(self, state):
        self.client("lambda").delete_provisioned_concurrency_config(**self.where())
