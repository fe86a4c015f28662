"""Lambda's service model, as botocore has it: requests made from shapes, rules that values break, and
answers held against shapes.

Knows no server and no operation by name. Requests are made raw, so that no client refuses them first."""

import base64
import dataclasses
import json
import re
import re._parser as regex
import warnings
from urllib.parse import quote, urlencode

import botocore.session

# A rule about something longer than this would cost more than it tells.
LONGEST_TRIED = 20_000
# None of these is a word, a number or an ARN; the first one that breaks a pattern is tried.
STRANGE = ["a b!", "!", "\u00fc", "a b", "^", ":", "a", "x" * 60, "!" * 60]


def service():
    """The model."""
    return botocore.session.get_session().get_service_model("lambda")


@dataclasses.dataclass(frozen=True)
class Wrong:
    """A value that breaks one rule, the path and the words AWS names it with."""

    value: object
    path: str
    # The words; of an enum the set of values, whose order says nothing.
    rule: str | frozenset

    @property
    def gap(self):
        """What is missing where this is not told."""
        rule = "the values" if isinstance(self.rule, frozenset) else self.rule.partition(": ")[0]
        return f"{self.path}: does not tell: {rule}"

    def told(self, message):
        """Whether a refusal names this rule at this path."""
        at = re.escape(f"at '{self.path}' failed to satisfy constraint: ")
        for found in re.findall(at + r"(.*?)(?=; Value |$)", message, re.DOTALL):
            if not isinstance(self.rule, frozenset):
                if self.rule in found:
                    return True
            elif values := re.search(r"enum value set: \[([^\]]*)\]", found):
                if frozenset(values.group(1).split(", ")) == self.rule:
                    return True
        return False


class Shapes:
    """Values of shapes. What a generator cannot know is given by the shape's name."""

    def __init__(self, examples, live):
        self.examples = examples
        self.live = live

    def limits(self, shape):
        """What the model says of a value, and where the living service is stricter, that."""
        return shape.metadata | self.live.get(shape.name, {})

    def minimal(self, shape):
        """A valid value with nothing in it that may be left out."""
        return self._value(shape, lambda struct: struct.required_members)

    def maximal(self, shape):
        """A valid value with everything in it."""
        return self._value(shape, lambda struct: struct.members)

    def _value(self, shape, chosen):
        if shape.name in self.examples:
            return self.examples[shape.name]
        kind, limits = shape.type_name, self.limits(shape)
        if kind == "structure":
            return {name: self._value(shape.members[name], chosen) for name in chosen(shape)}
        if kind == "list":
            return [self._value(shape.member, chosen)] * max(1, limits.get("min", 0))
        if kind == "map":
            return {self._value(shape.key, chosen): self._value(shape.value, chosen)}
        if kind == "string":
            return self._text(shape.name, limits)
        if kind in ("integer", "long", "float", "double"):
            return limits.get("min", 1)
        return {"boolean": True, "blob": b"x", "timestamp": 1_700_000_000}[kind]

    @staticmethod
    def _text(name, limits):
        if "enum" in limits:
            return limits["enum"][0]
        if "pattern" not in limits:
            return "a" * max(1, limits.get("min", 1))
        for repeat in range(limits.get("min", 0) + 2):
            made = _matching(limits["pattern"], repeat)
            if limits.get("min", 0) <= len(made) <= limits.get("max", len(made)) and made:
                if re.fullmatch(limits["pattern"], made):
                    return made
        raise AssertionError(f"no value of {name} could be made: give one by hand")

    def wrong(self, shape, path, located=None):
        """Values that each break one rule of a shape, whatever it is made of."""
        kind, limits = shape.type_name, self.limits(shape)
        if kind == "structure":
            yield from self._wrong_members(shape, path)
        elif kind in ("integer", "long", "float", "double"):
            yield from _out_of_range(path, limits)
        elif kind == "string":
            yield from _wrong_texts(path, limits, located)
        elif kind == "list":
            yield from self._wrong_lists(shape, path, limits, located)
        elif kind == "map":
            value = self.minimal(shape.value)
            for wrong in self.wrong(shape.key, path):
                yield Wrong({wrong.value: value}, path, wrong.rule)
            if shape.value.type_name == "string":
                for wrong in self.wrong(shape.value, path):
                    yield Wrong({self.minimal(shape.key): wrong.value}, path, wrong.rule)

    def _wrong_members(self, shape, path):
        for name, member in shape.members.items():
            inner = f"{path}.{camel(name)}" if path else camel(name)
            location = member.serialization.get("location")
            # Without a label there is no path; what is no member of the body has no null.
            if name in shape.required_members and location != "uri" and member.type_name != "blob":
                rest = {key: self.minimal(shape.members[key]) for key in shape.required_members if key != name}
                yield Wrong(rest, inner, "Member must not be null")
            for wrong in self.wrong(member, inner, location):
                yield dataclasses.replace(wrong, value=self.minimal(shape) | {name: wrong.value})

    def _wrong_lists(self, shape, path, limits, located):
        one = self.minimal(shape.member)
        if limits.get("max", LONGEST_TRIED) < LONGEST_TRIED:
            most = limits["max"]
            yield Wrong([one] * (most + 1), path, f"Member must have length less than or equal to {most}")
        # An empty list in a query is none.
        if limits.get("min") and located != "querystring":
            yield Wrong([], path, f"Member must have length greater than or equal to {limits['min']}")
        if shape.member.type_name == "string":
            for wrong in self.wrong(shape.member, path):
                yield Wrong([wrong.value], path, wrong.rule)
        elif shape.member.type_name == "structure":
            for wrong in self._wrong_members(shape.member, f"{path}.1.member"):
                yield dataclasses.replace(wrong, value=[wrong.value])


def camel(name):
    """A member as the framework writes it."""
    return name[0].lower() + name[1:]


def _out_of_range(path, limits):
    if "max" in limits:
        rule = f"Member must have value less than or equal to {limits['max']}"
        yield Wrong(limits["max"] + 1, path, rule)
    if "min" in limits:
        rule = f"Member must have value greater than or equal to {limits['min']}"
        yield Wrong(limits["min"] - 1, path, rule)


def _wrong_texts(path, limits, located):
    if "enum" in limits:
        yield Wrong("Nonsense", path, frozenset(limits["enum"]))
    most, least = limits.get("max", LONGEST_TRIED), limits.get("min", 0)
    if most < LONGEST_TRIED:
        rule = f"Member must have length less than or equal to {most}"
        yield Wrong("a" * (most + 1), path, rule)
    # An empty label is another path, and an empty header is none.
    if least and located not in ("uri", "header"):
        rule = f"Member must have length greater than or equal to {least}"
        yield Wrong("a" * (least - 1), path, rule)
    if pattern := limits.get("pattern"):
        fits = _java(pattern)
        ascii_only = located == "header"
        for value in STRANGE:
            if least <= len(value) <= most and not fits(value) and (value.isascii() or not ascii_only):
                yield Wrong(value, path, f"Member must satisfy regular expression pattern: {pattern}")
                return


def _java(pattern):
    """Java's classes of letters, separators and numbers are not Python's."""
    pattern = pattern.replace(r"\p{L}\p{Z}\p{N}", r"\w ")
    return lambda value: re.fullmatch(pattern, value)


def _matching(pattern, repeat):
    """A text that a pattern is likely to match: first branches, and so many of what may repeat."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return "".join(_written(piece, repeat) for piece in regex.parse(pattern))


def _written(piece, repeat):
    name, what = str(piece[0]), piece[1]
    if name == "LITERAL":
        return chr(what)
    if name in ("ANY", "NOT_LITERAL"):
        return "a"
    if name == "IN":
        return _member(what)
    if name == "BRANCH":
        return "".join(_written(inner, repeat) for inner in what[1][repeat % len(what[1])])
    if name == "SUBPATTERN":
        return "".join(_written(inner, repeat) for inner in what[3])
    if name in ("MAX_REPEAT", "MIN_REPEAT"):
        least, most, inner = what
        times = least if most == 1 or least == most else min(max(least, repeat), most)
        return "".join(_written(one, repeat) for one in inner) * times
    return ""


def _member(items):
    kind, what = str(items[0][0]), items[0][1]
    if kind == "NEGATE":
        return "a"
    if kind == "RANGE":
        return chr(what[0])
    if kind == "CATEGORY":
        return "0" if "DIGIT" in str(what) else "a"
    return chr(what)


def of_another_type(shape):
    """Values that JSON can say and that are of no type the shape may have."""
    given = {"structure": dict, "map": dict, "list": list, "boolean": bool, "string": str, "blob": str}
    own = given.get(shape.type_name, int)
    return [value for value in ({"a": 1}, ["a"], "a", True, 7) if type(value) is not own]


def request(operation, values):
    """Method, path with query, headers and body of a call."""
    path, query, headers, body = operation.http["requestUri"], [], {}, {}
    shape = operation.input_shape
    payload = shape.serialization.get("payload") if shape else None
    for name, value in values.items():
        member = shape.members[name]
        location, wire = member.serialization.get("location"), member.serialization.get("name", name)
        if name == payload:
            body = value
        elif location == "uri":
            path = path.replace("{%s}" % wire, quote(str(value), safe=""))
        elif location == "querystring":
            items = value if isinstance(value, list) else [value]
            query += [(wire, str(item).lower() if isinstance(item, bool) else item) for item in items]
        elif location == "header":
            headers[wire] = str(value)
        else:
            body[wire] = value
    if query:
        path += ("&" if "?" in path else "?") + urlencode(query)
    if operation.http["method"] in ("GET", "DELETE") or (payload and body == {}):
        return operation.http["method"], path, headers, None
    if isinstance(body, dict):
        body = json.dumps(body, default=lambda blob: base64.b64encode(blob).decode()).encode()
        headers["Content-Type"] = "application/json"
    return operation.http["method"], path, headers, body


def strangers(shape, got, path=""):
    """Paths in an answer that its shape does not have, or has with another type."""
    if got is None:
        return [f"{path} is null"]
    kind = shape.type_name
    expected = {"structure": dict, "map": dict, "list": list, "string": str, "boolean": bool}
    expected |= {"integer": int, "long": int, "double": (int, float), "float": (int, float)}
    if not isinstance(got, expected.get(kind, object)):
        return [f"{path} is no {kind}"]
    if kind == "structure":
        known = {m.serialization.get("name", name): m for name, m in shape.members.items()}
        found = [f"{path}{name} is unknown" for name in got if name not in known]
        inner = [(known[name], value, f"{path}{name}") for name, value in got.items() if name in known]
    elif kind == "list":
        found, inner = [], [(shape.member, value, f"{path}[]") for value in got]
    elif kind == "map":
        found, inner = [], [(shape.value, value, f"{path}{{}}") for value in got.values()]
    else:
        return []
    for member, value, where in inner:
        found += strangers(member, value, where + "." if member.type_name == "structure" else where)
    return found


def missing(shape, got, always, path=""):
    """Paths that AWS always sends and that are not in an answer."""
    if shape.type_name == "list":
        return [gap for value in got for gap in missing(shape.member, value, always, f"{path}[].")]
    if shape.type_name != "structure" or not isinstance(got, dict):
        return []
    gaps = [f"{path}{name} is missing" for name in always.get(shape.name, ()) if name not in got]
    for name, member in shape.members.items():
        if member.serialization.get("name", name) in got:
            where = path + name + ("." if member.type_name == "structure" else "")
            gaps += missing(member, got[member.serialization.get("name", name)], always, where)
    return gaps
