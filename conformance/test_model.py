"""Every operation held against AWS's service model: routes, required members, constraints, answers,
errors and statuses.

Where the server falls short is listed in `model_gaps.txt`, a line each. A gap that is not listed fails
its test, and so does one that is listed and gone: the list only shrinks. UPDATE_GAPS=1 writes it anew.
"""

import json
import os
import platform
import re
from pathlib import Path

import botocore.parsers
import pytest

import model_table as table
from harness import model
from harness.code import ROLE
from harness.waiting import eventually

SERVICE = model.service()
OPERATIONS = sorted(SERVICE.operation_names)
LISTED = Path(__file__).parent / "model_gaps.txt"
UPDATE = bool(os.environ.get("UPDATE_GAPS"))
NOT_THERE = "is not there yet"
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64
)


class Answered:
    """An answer as it came, and what a client makes of it."""

    def __init__(self, operation, values, status, headers, body):
        self.operation, self.values, self.status, self.body = operation, values, status, body
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.code = self.headers.get("x-amzn-errortype", "").partition(":")[0]
        self.message = ""
        if self.code:
            said = json.loads(body)
            self.message = said.get("message") or said.get("Message") or ""

    @property
    def is_success(self):
        return 200 <= self.status < 300

    def __str__(self):
        return f"{str(self.values):.300}: {self.status} {self.code} {self.message or self.body[:200]!r}"


class World:
    """A server with what requests need to find there, made when it is needed."""

    def __init__(self, server, aws, runtime):
        self.server, self.aws, self.runtime = server, aws, runtime
        self.made = 0
        self.layer = self._publish("model-examples")
        architecture = "arm64" if platform.machine() == "aarch64" else "x86_64"
        example = table.examples(runtime, architecture, self.layer["LayerVersionArn"])
        self.shapes = model.Shapes(example, table.LIVE)

    def _publish(self, name):
        return self.aws.functions.publish_layer_version(LayerName=name, Content={"ZipFile": table.ZIP})

    def call(self, name, values):
        operation = SERVICE.operation_model(name)
        method, path, headers, body = model.request(operation, values)
        headers |= {"Authorization": SIGNED, "X-Amz-Date": "20260101T000000Z"}
        return Answered(operation, values, *self.server.request(method, path, body, headers))

    def fresh(self):
        self.made += 1
        return f"model-{self.made}"

    def named(self, operation):
        """The values that name what the operation is about: newly made, so that no call sees another's."""
        members = operation.input_shape.members if operation.input_shape else {}
        values = {}
        if {"FunctionName", "Resource", "ResourceArn"} & set(members):
            name = self.fresh()
            arn = table.HERE + f"function:{name}"
            if operation.name != "CreateFunction":
                self.function(name)
            values |= {"FunctionName": name, "Resource": arn, "ResourceArn": arn}
        if "CapacityProviderName" in members:
            values["CapacityProviderName"] = self.fresh()
        if "LayerName" in members:
            layer = self._publish("model-layer")
            values |= {"LayerName": "model-layer", "VersionNumber": layer["Version"]}
        return {key: value for key, value in values.items() if key in members}

    def function(self, name):
        values = {"FunctionName": name, "Role": ROLE, "Handler": "app.handler", "Runtime": self.runtime}
        answer = self.call("CreateFunction", values | {"Code": {"ZipFile": table.ZIP}})
        assert answer.is_success, answer
        self.settled(name)

    def settled(self, name):
        def look():
            answer = json.loads(self.call("GetFunctionConfiguration", {"FunctionName": name}).body)
            return answer["State"] == "Active" and answer["LastUpdateStatus"] != "InProgress"

        eventually(look, f"{name} is active")

    def prepared(self, operation):
        """A valid request for an operation, and all that it needs."""
        name = operation.name
        values = self.named(operation)
        steps, more = table.PREPARED.get(name, ([], {}))
        for step, arguments in steps:
            known = SERVICE.operation_model(step)
            about = {key: value for key, value in values.items() if key in known.input_shape.members}
            about = about or self.named(known)
            answer = self.call(step, self.smallest(known) | about | arguments)
            for member, path in table.MADE.get(step, {}).items():
                if member in operation.input_shape.members:
                    values[member] = found_in(json.loads(answer.body), path)
        return self.smallest(operation) | values | more

    def smallest(self, operation):
        """A valid request with nothing in it that may be left out."""
        shape = operation.input_shape
        if not shape:
            return {}
        names = [*shape.required_members, *table.NEEDED.get(operation.name, [])]
        return {name: self.value(operation, name) for name in names}

    def value(self, operation, member):
        by_hand = f"{operation.name}.{member}"
        if by_hand in table.VALUES:
            return table.VALUES[by_hand]
        return self.shapes.maximal(operation.input_shape.members[member])


def found_in(answer, path):
    """What stands at a path of an answer."""
    for member in path.split("."):
        answer = answer[member]
    return answer


class Findings:
    """What an operation falls short of: lines for the list, each with what showed it."""

    def __init__(self, name):
        self.name, self.lines = name, {}

    def add(self, what, shown):
        self.lines.setdefault(f"{self.name}: {what}", str(shown))


@pytest.fixture(scope="module")
def world(server, aws, python):
    return World(server, aws, python)


@pytest.fixture(scope="module")
def gaps():
    """What is listed, by operation; written anew at the end if that is asked for."""
    listed = {name: set() for name in OPERATIONS}
    for line in LISTED.read_text().splitlines() if LISTED.exists() else []:
        listed.setdefault(line.partition(":")[0], set()).add(line)
    found = {}
    yield listed, found
    if UPDATE:
        lines = sorted(set().union(*(listed | found).values()))
        LISTED.write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_what_its_model_says_but_for_the_listed_gaps(world, gaps, name):
    listed, found = gaps
    findings = Findings(name)
    look(world, SERVICE.operation_model(name), findings)
    found[name] = set(findings.lines)
    if UPDATE:
        return
    new = [f"{line}\n    {findings.lines[line]}" for line in sorted(found[name] - listed[name])]
    gone = sorted(listed[name] - found[name])
    assert not new, "not listed:\n" + "\n".join(new)
    assert not gone, "listed and gone (UPDATE_GAPS=1 takes them off the list):\n" + "\n".join(gone)


def test_the_measure_sees_what_is_wrong():
    shape = SERVICE.shape_for("GetFunctionResponse")
    configuration = {name: {} for name in table.ALWAYS["FunctionConfiguration"]}
    code = {"RepositoryType": 3, "Location": "x", "Colour": {}}
    found = model.strangers(shape, {"Configuration": {"Timeout": "3"}, "Code": code})
    assert found == ["Configuration.Timeout is no integer", "Code.Colour is unknown", "Code.RepositoryType is no string"]
    del configuration["Role"]
    found = model.missing(shape, {"Configuration": configuration, "Code": {"Location": "x"}}, table.ALWAYS)
    assert {"Configuration.Role is missing", "Code.RepositoryType is missing"} < set(found)
    wrong = model.Wrong("x", "a.b", frozenset({"A", "B"}))
    said = "2 validation errors detected: Value 'x' at '{}' failed to satisfy constraint: Member must satisfy enum value set: [B, {}]; Value null at 'c' failed"
    assert wrong.told(said.format("a.b", "A"))
    assert not wrong.told(said.format("a.b", "C")) and not wrong.told(said.format("a.c", "A"))


def test_the_list_is_sorted_and_names_each_gap_once():
    lines = LISTED.read_text().splitlines()
    assert lines == sorted(set(lines))
    assert {line.partition(": ")[0] for line in lines} <= set(OPERATIONS)


def test_a_path_that_is_no_operations_is_told_apart_from_one_that_is_not_there_yet(world):
    headers = {"Authorization": SIGNED, "X-Amz-Date": "20260101T000000Z"}
    status, got, _ = world.server.request("GET", "/2015-03-31/functionz", None, headers)
    code = {name.lower(): value for name, value in got.items()}["x-amzn-errortype"]
    assert (status, code) == (404, "UnknownOperationException")


def look(world, operation, findings):
    """Everything the model says of an operation; what it is about is not there at first."""
    answer = world.call(operation.name, world.smallest(operation))
    if answer.code == "UnknownOperationException":
        findings.add("has no route", answer)
    elif answer.status == 501:
        assert operation.name in answer.message, answer
        findings.add(NOT_THERE, answer)
    else:
        look_at_answer(answer, findings)
        if operation.input_shape:
            look_at_rules(world, operation, findings)
            look_at_types(world, operation, findings)
        look_at_values(world, operation, findings)


def look_at_rules(world, operation, findings):
    """One broken rule at a time, then one in every member at once."""
    apart, together = {}, world.smallest(operation)
    for wrong in world.shapes.wrong(operation.input_shape, ""):
        values = world.smallest(operation) | changed(world, operation, wrong.value)
        if "must not be null" in wrong.rule and "." not in wrong.path:
            values = {key: value for key, value in values.items() if model.camel(key) != wrong.path}
        said = table.SERVICE.get((operation.name, wrong.path))
        if said:
            # The service looks at what it is about first, so it has to be there.
            values |= world.named(operation)
        answer = world.call(operation.name, values)
        look_at_answer(answer, findings)
        if said:
            if answer.code != "InvalidParameterValueException" or not re.search(said, answer.message):
                findings.add(wrong.gap, answer)
            continue
        if answer.code != "ValidationException" or not wrong.told(answer.message):
            findings.add(wrong.gap, answer)
            continue
        member = next((key for key in values if model.camel(key) == wrong.path.partition(".")[0]), None)
        if member:
            apart[member] = wrong
            together[member] = values[member]
    answer = world.call(operation.name, together)
    if apart and not all(wrong.told(answer.message) for wrong in apart.values()):
        findings.add("does not tell all that is wrong at once", answer)
    counted = re.match(r"(\d+) validation errors? detected: ", answer.message)
    if counted and int(counted[1]) != answer.message.count("' failed to satisfy constraint: "):
        findings.add("does not count what is wrong", answer)


def look_at_types(world, operation, findings):
    """A member of another type than the model's is no request at all."""
    shape = operation.input_shape
    for name, member in shape.members.items():
        if member.serialization.get("location") or name == shape.serialization.get("payload"):
            continue
        for value in model.of_another_type(member):
            answer = world.call(operation.name, world.smallest(operation) | {name: value})
            look_at_answer(answer, findings)
            if answer.code != "SerializationException":
                findings.add(f"{name} may be a {type(value).__name__}", answer)


def changed(world, operation, values):
    """The members in which a request differs from the smallest one that is made from shapes alone."""
    usual = world.shapes.minimal(operation.input_shape)
    return {key: value for key, value in values.items() if usual.get(key) != value}


def look_at_values(world, operation, findings):
    """The smallest valid request, each member beside it, and all that were taken in one."""
    name = operation.name
    values = world.prepared(operation)
    answer = world.call(name, values)
    look_at_answer(answer, findings)
    if name in table.NEVER:
        look_at_refusals(world, operation, values, findings)
        return
    if not answer.is_success:
        findings.add(f"refuses the smallest request: {answer.code}", answer)
        return
    taken = {}
    for member in operation.input_shape.members if operation.input_shape else ():
        value = world.value(operation, member)
        if member in values or value is None:
            continue
        answer = world.call(name, world.prepared(operation) | {member: value})
        look_at_answer(answer, findings)
        if answer.is_success:
            taken[member] = value
        elif not is_right(name, member, answer):
            why = NOT_THERE if "not supported by this version" in answer.message else f"is refused: {answer.code}"
            findings.add(f"{member} {why}", answer)
    for what, (more, reason) in table.FURTHER.get(name, {}).items():
        values = world.prepared(operation) | more
        answer = world.call(name, {key: value for key, value in values.items() if value is not None})
        look_at_answer(answer, findings)
        if not re.search(reason, answer.message) or "not supported by" in answer.message:
            findings.add(f"{what} {NOT_THERE}", answer)
    answer = world.call(name, world.prepared(operation) | taken)
    look_at_answer(answer, findings)
    if not answer.is_success:
        findings.add(f"refuses the largest request: {answer.code}", answer)


def look_at_refusals(world, operation, values, findings):
    """Each valid request for what cannot be done here is refused for that reason alone."""
    members = operation.input_shape.members
    optional = {name: world.value(operation, name) for name in members if name not in values}
    for more in [{}, *({name: value} for name, value in optional.items() if name != "Marker"), optional]:
        answer = world.call(operation.name, values | more)
        look_at_answer(answer, findings)
        if answer.is_success or not re.search(table.NEVER[operation.name], answer.message):
            findings.add(f"{sorted(more)} is refused: {answer.code}", answer)


def is_right(name, member, answer):
    """Whether a valid value was refused for the reason for which AWS refuses it."""
    reason = table.REASONS.get(f"{name}.{member}") or table.REASONS.get(member)
    return bool(reason and re.search(reason, answer.message)) and "not supported by" not in answer.message


def look_at_answer(answer, findings):
    """Status, errors and members of any answer."""
    operation = answer.operation
    if not answer.is_success:
        declared = {shape.name for shape in operation.error_shapes} | table.COMMON
        if answer.code not in declared:
            findings.add(f"answers {answer.code or answer.status}, which it does not declare", answer)
        return
    expected = table.STATUS.get(operation.name, operation.http["responseCode"])
    if "InvocationType" in answer.values:
        expected = table.INVOCATION_STATUS[answer.values["InvocationType"]]
    if answer.status != expected:
        findings.add(f"answers {answer.status} instead of {expected}", answer)
    shape = operation.output_shape
    if shape is None or "payload" in shape.serialization or answer.status == 204:
        return
    try:
        got = json.loads(answer.body or b"{}")
        raw = {"headers": answer.headers, "body": answer.body, "status_code": answer.status}
        botocore.parsers.create_parser("rest-json").parse(raw, shape)
    except (ValueError, botocore.parsers.ResponseParserError) as error:
        findings.add(f"answers what does not parse: {type(error).__name__}", answer)
        return
    for what in model.strangers(shape, got) + model.missing(shape, got, table.ALWAYS):
        findings.add(f"answer: {what}", answer)
    for what in table.ONE_FUNCTION if shape.name == "FunctionConfiguration" else ():
        if what not in got:
            findings.add(f"answer: {what} is missing", answer)
