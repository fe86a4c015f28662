"""Roles and their policies."""

import json

from harness.terraform.resource import Attribute, Resource, json_alike, pairs, present, tags_of, unpaired


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


class User(Resource):
    """aws_iam_user, with force_destroy"""

    schema = {
        "name": Attribute(),
        "path": Attribute(default="/"),
        "permissions_boundary": Attribute(),
        "tags": Attribute(),
        "arn": Attribute(computed=True),
        "unique_id": Attribute(computed=True),
    }

    def create(self, want):
        self.id = want["name"]
        self.client("iam").create_user(
            UserName=self.id,
            Path=want["path"],
            **present(PermissionsBoundary=want["permissions_boundary"], Tags=pairs(want["tags"]) or None),
        )

    def read(self):
        got = self.found(self.client("iam").get_user, UserName=self.id)
        return got and {
            "name": got["User"]["UserName"],
            "path": got["User"]["Path"],
            "permissions_boundary": got["User"].get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
            "tags": unpaired(got["User"].get("Tags")),
            "arn": got["User"]["Arn"],
            "unique_id": got["User"]["UserId"],
        }

    def update(self, want, changes):
        iam = self.client("iam")
        if changes.keys() & {"name", "path"}:
            iam.update_user(UserName=self.id, NewUserName=want["name"], NewPath=want["path"])
            self.id = want["name"]
        if "permissions_boundary" in changes:
            if want["permissions_boundary"]:
                iam.put_user_permissions_boundary(UserName=self.id, PermissionsBoundary=want["permissions_boundary"])
            else:
                iam.delete_user_permissions_boundary(UserName=self.id)
        tags_of(
            *(self, changes),
            lambda tags: iam.tag_user(UserName=self.id, Tags=pairs(tags)),
            lambda keys: iam.untag_user(UserName=self.id, TagKeys=keys),
        )

    def delete(self, state):
        iam, user = self.client("iam"), {"UserName": self.id}
        for group in iam.list_groups_for_user(**user)["Groups"]:
            iam.remove_user_from_group(GroupName=group["GroupName"], **user)
        for key in iam.list_access_keys(**user)["AccessKeyMetadata"]:
            iam.delete_access_key(AccessKeyId=key["AccessKeyId"], **user)
        # What would have to go first, too; each must be a list.
        assert iam.list_ssh_public_keys(**user)["SSHPublicKeys"] == []
        assert iam.list_virtual_mfa_devices(AssignmentStatus="Any")["VirtualMFADevices"] == []
        assert iam.list_mfa_devices(**user)["MFADevices"] == []
        assert iam.list_signing_certificates(**user)["Certificates"] == []
        assert iam.list_service_specific_credentials(**user)["ServiceSpecificCredentials"] == []
        assert self.found(iam.delete_login_profile, **user) is None
        iam.delete_user(**user)


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
