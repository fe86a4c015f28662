"""What a function's log says, with everything masked that differs from run to run.

Owns the masks and the comparison with kept transcripts; what a transcript should say is the tests'."""

import difflib
import json
import os
import re

from harness.server import ROOT
from harness.waiting import eventually

GOLDEN = ROOT / "golden"
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MASKS = (
    (re.compile(r"\d{4}/\d\d/\d\d/\[[^]]+\][0-9a-f]{32}"), "<stream>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"), "<time>"),
    (re.compile(r"Root=1-[^\"\s]+"), "<trace>"),
    (re.compile(r"(Duration:) [\d.]+ ms"), r"\1 <ms>"),
    (re.compile(r"(Max Memory Used:) \d+ MB"), r"\1 <MB>"),
    (re.compile(r"(::runtime:)[0-9a-f]+"), r"\1<hash>"),
)
# The platform's lines; all others are the function's and its extensions'.
PLATFORM = re.compile(
    r"INIT_START |INIT_REPORT |START |END |REPORT |RequestId: |<time> <request |"
    r"(Runtime|Function|Extension)\.[A-Z]|"
    r"(EXTENSION|TELEMETRY|LOGS)\t|\[dormouse\]|"
    r"Unknown application error occurred|$"
)


class Mask:
    """Masks one transcript: each id gets a number, in the order of their appearance."""

    def __init__(self):
        self.ids = {}

    def text(self, text):
        for pattern, instead in MASKS:
            text = pattern.sub(instead, text)
        return UUID.sub(self._id, text)

    def event(self, value, key=""):
        """A telemetry event: its times are numbers, too."""
        if isinstance(value, dict):
            return {key: self.event(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [self.event(item, key) for item in value]
        if isinstance(value, str):
            return "<function>" if key == "functionName" else self.text(value)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        masked = number and key.endswith(("Ms", "UsedMB"))
        return f"<{'MB' if key.endswith('MB') else 'ms'}>" if masked else value

    def _id(self, found):
        number = self.ids.setdefault(found.group(), len(self.ids) + 1)
        return f"<request {number}>"


def messages(aws, name, reports, last=""):
    """The messages of a function's only stream, once so many invocations have their REPORT and one
    begins with `last`."""

    def look():
        found = [message for _, message in aws.log_events(name)]
        done = sum(message.startswith("REPORT RequestId") for message in found) >= reports
        return found if done and any(message.startswith(last) for message in found) else None

    return eventually(look, f"{reports} reports of {name} and {last!r}")


def rested(aws, name):
    """Waits until a function's environment may be used again: another invocation before that would
    get another one."""

    def look():
        lives = aws.server.lives(name)
        return lives and all(life["events"][-1]["what"] in ("ready", "frozen") for life in lives)

    eventually(look, f"{name} is at rest")


def lines(aws, name, reports, last=""):
    """All of it, masked, line by line."""
    return Mask().text("".join(messages(aws, name, reports, last))).splitlines()


def compare(name, text):
    """Compares with the kept transcript of this name; UPDATE_GOLDEN=1 keeps this one instead."""
    file = GOLDEN / f"{name}.txt"
    # A tab at the end of a line is a promise, too, and nobody would see it.
    text = "".join(re.sub("\t$", "<tab>", line) + "\n" for line in text.splitlines())
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(text)
        return
    kept = file.read_text() if file.exists() else ""
    difference = difflib.unified_diff(
        kept.splitlines(), text.splitlines(), f"golden/{file.name}", "now", lineterm=""
    )
    told = "\n".join(difference)
    assert not told, f"{told}\n\nIf this is meant: UPDATE_GOLDEN=1 pytest {os.environ.get('PYTEST_CURRENT_TEST', '').split('::')[0]}"


def told(event_lines):
    """Telemetry events, masked, one a line with sorted keys."""
    mask = Mask()
    events = [mask.event(json.loads(line)) for line in event_lines]
    return "\n".join(json.dumps(event, sort_keys=True) for event in events)
