"""Terraform's AWS provider, as far as a server can see it; `resource.py` says how."""

from harness.terraform.functions import Alias, Function, LayerVersion, Permission
from harness.terraform.settings import EventInvokeConfig, EventSourceMapping, FunctionUrl, ProvisionedConcurrencyConfig
from harness.terraform.iam import Policy, Role, RolePolicy, RolePolicyAttachment, User
from harness.terraform.logs import LogGroup

__all__ = [
    "Function",
    "Permission",
    "LayerVersion",
    "Alias",
    "FunctionUrl",
    "EventInvokeConfig",
    "EventSourceMapping",
    "ProvisionedConcurrencyConfig",
    "Role",
    "RolePolicy",
    "Policy",
    "RolePolicyAttachment",
    "User",
    "LogGroup",
]
