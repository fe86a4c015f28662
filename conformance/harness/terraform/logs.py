"""Log groups."""

from harness.terraform.resource import Attribute, Resource, present, tags_of


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
