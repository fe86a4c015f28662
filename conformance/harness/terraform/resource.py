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


def gone(error):
    """Whether an error says that something is not there, as the provider asks it."""
    return error.response["Error"]["Code"] in (
        "ResourceNotFoundException", "ProvisionedConcurrencyConfigNotFoundException", "NoSuchEntity",
    )


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
            if gone(error):
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
