"""What the server tells of its environments: their lives as JSON, as a trace, and as a table."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from harness.server import binary, environment
from harness.waiting import eventually

KIT = """
import os, time

def handler(event, context):
    do = event.get("do")
    if do == "sleep":
        time.sleep(event["seconds"])
    if do == "fail":
        raise ValueError("on purpose")
    if do == "exit":
        os._exit(3)
    return "done"
"""

COLD = ["created", "provisioned", "init", "ready", "invoke", "answered", "reported"]

@pytest.fixture(scope="module")
def server_flags():
    return ("--idle-timeout", "3")


def get(server, path):
    status, headers, body = server.request("GET", f"/_dormouse/{path}")
    return status, headers, json.loads(body)


def listed(server, function, **query):
    more = "".join(f"&{key}={value}" for key, value in query.items())
    status, _, lives = get(server, f"environments?function={function}{more}")
    assert status == 200
    return lives


def in_phase(server, function, phase):
    def look():
        lives = listed(server, function)
        return lives if lives and all(life["phase"] == phase for life in lives) else None

    return eventually(look, f"every environment of {function} is {phase}")


def test_a_life_tells_phase_counts_and_the_last_invocation(aws, server, python):
    aws.create("told", KIT, python, MemorySize=192)
    cold = aws.invoke("told", {})
    warm = aws.invoke("told", {"do": "fail"})
    [life] = in_phase(server, "told", "frozen")
    assert "events" not in life
    expected = {
        "functionName": "told",
        "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:told",
        "version": "$LATEST",
        "runtime": python,
        "memorySizeMb": 192,
        "logGroup": "/aws/lambda/told",
        "coldReason": "first",
        "phase": "frozen",
        "invocations": 2,
        "errors": 1,
        "ended": None,
        "eventsDropped": 0,
    }
    assert {key: life[key] for key in expected} == expected
    assert life["logStream"].endswith(life["id"])
    assert 0 < life["phaseSinceMicros"] <= life["ageMicros"]
    assert abs(life["createdMs"] + life["ageMicros"] / 1000 - time.time() * 1000) < 5000
    last = life["lastInvocation"]
    assert (last["requestId"], last["error"]) == (warm.request_id, "function-error")
    reported = float(re.search(r"\tDuration: (\S+) ms", warm.log).group(1))
    assert abs(last["durationMicros"] / 1000 - reported) < 0.02
    assert life["memoryPeakBytes"] > 0

    status, _, one = get(server, f"environments/{life['id']}")
    assert status == 200
    what = [moment["what"] for moment in one["events"]]
    # Who calls again at once may find it not yet frozen.
    assert what[:7] == COLD and what[-4:] == ["answered", "reported", "ready", "frozen"], what
    times = [moment["atMicros"] for moment in one["events"]]
    assert times == sorted(times) and times[-1] <= one["ageMicros"]
    invoked = [moment["requestId"] for moment in one["events"] if moment["what"] == "invoke"]
    assert invoked == [cold.request_id, warm.request_id]


def test_a_list_is_filtered_by_function_and_by_being_alive(aws, server, python):
    aws.create("some", KIT, python)
    aws.create("another", KIT, python)
    aws.invoke("some", {})
    aws.invoke("another", {})
    assert [life["functionName"] for life in listed(server, "some")] == ["some"]
    assert listed(server, "som") == [] and listed(server, "none") == []
    assert [life["events"][0]["what"] for life in listed(server, "some", events="true")] == ["created"]
    eventually(lambda: listed(server, "some", live="true") == [], "its environment ended")
    [ended] = listed(server, "some", live="false")
    assert ended["phase"] == "ended"
    assert ended["ended"]["cause"] == "idle"
    assert ended["ended"]["atMicros"] == ended["ageMicros"] > 3_000_000
    aws.invoke("some", {})
    assert [life["coldReason"] for life in listed(server, "some")] == ["first", "idle-expiry"]


def test_failures_and_their_resets_are_told(aws, server, python):
    aws.create("breaking", KIT, python, Timeout=1)
    assert aws.invoke("breaking", {"do": "exit"}).error
    in_phase(server, "breaking", "cold")  # who comes meanwhile does not wait for long
    assert aws.invoke("breaking", {"do": "sleep", "seconds": 9}).error
    [life] = in_phase(server, "breaking", "cold")
    assert (life["invocations"], life["errors"]) == (2, 2)
    _, _, one = get(server, f"environments/{life['id']}")
    failed = [moment["error"] for moment in one["events"] if moment["what"] == "failed"]
    assert failed == ["exited", "timeout"]
    resets = [m["what"] for m in one["events"] if m["what"] in ("reset", "emptied")]
    assert resets == ["reset", "emptied"] * 2


def test_wrong_questions_are_answered_in_json(server):
    status, _, body = get(server, "environments/0123456789abcdef0123456789abcdef")
    assert (status, body["code"]) == (404, "EnvironmentNotFound")
    status, _, body = get(server, "environments/nobody/trace")
    assert (status, body["code"]) == (404, "EnvironmentNotFound")
    status, _, body = get(server, "environments?live=perhaps")
    assert (status, body) == (400, {"code": "InvalidParameter", "message": "live is true or false, or left out"})
    status, headers, body = server.request("HEAD", "/_dormouse/environments")
    assert (status, headers["content-type"], body) == (200, "application/json", b"")
    status, headers, _ = server.request("DELETE", "/_dormouse/environments")
    assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_the_machine_is_told(aws, server, python):
    aws.create("there", KIT, python)
    aws.invoke("there", {})

    def settled():
        status, headers, machine = get(server, "machine")
        assert (status, headers["content-type"]) == (200, "application/json")
        known = {level["kind"]: level for level in machine["standby"]}
        there = known.get(python)
        return machine if there and there["standing"] == there["target"] > 0 else None

    machine = eventually(settled, f"{python} stands by")
    assert 0 < machine["usedMb"] < machine["capacityMb"] and machine["waiting"] == 0
    assert set(machine["standby"][0]) == {"kind", "standing", "target", "hits", "misses"}


def spans(trace, tid=None):
    """Complete events of one track, checked against the format and against each other."""
    found = [e for e in trace["traceEvents"] if e["ph"] == "X" and e["tid"] == (tid or e["tid"])]
    for event in found:
        assert isinstance(event["ts"], int) and isinstance(event["dur"], int) and event["dur"] >= 0, event
        assert isinstance(event["pid"], int) and isinstance(event["tid"], int), event
    ends = {}
    for event in sorted(found, key=lambda event: event["ts"]):
        assert ends.get(event["tid"], 0) <= event["ts"], f"{event} overlaps"
        ends[event["tid"]] = event["ts"] + event["dur"]
    return found


def test_a_life_is_a_trace(aws, server, python):
    aws.create("traced", KIT, python)
    first = aws.invoke("traced", {})
    in_phase(server, "traced", "frozen")
    second = aws.invoke("traced", {"do": "sleep", "seconds": 0.2})
    [life] = in_phase(server, "traced", "frozen")
    status, headers, trace = get(server, f"environments/{life['id']}/trace")
    assert (status, headers["content-type"]) == (200, "application/json")
    name = f"dormouse-traced-{life['id'][:8]}.trace.json"
    assert headers["content-disposition"] == f'attachment; filename="{name}"'
    assert trace["displayTimeUnit"] == "ms"
    assert trace["otherData"]["startedMs"] == life["createdMs"]
    names = {e["name"]: e["args"]["name"] for e in trace["traceEvents"] if e["ph"] == "M"}
    assert names["process_name"] == "traced:$LATEST"
    assert names["thread_name"] == f"{life['id'][:8]} {python} 128 MB"
    found = spans(trace)
    kinds = [span["name"] for span in found]
    assert kinds == ["provisioning", "init", "invoke", "frozen", "invoke", "frozen"]
    assert found[1]["args"]["coldReason"] == "first"
    invoked = [span for span in found if span["name"] == "invoke"]
    assert [span["args"]["requestId"] for span in invoked] == [first.request_id, second.request_id]
    assert 200_000 <= invoked[1]["dur"] < 1_000_000
    assert found[-1]["args"]["unfinished"]
    answered = [e for e in trace["traceEvents"] if e["ph"] == "i"]
    assert [(e["name"], e["s"]) for e in answered] == [("answered", "t")] * 2

    eventually(lambda: listed(server, "traced", live="true") == [], "its environment ended")
    _, _, trace = get(server, f"environments/{life['id']}/trace")
    last = spans(trace)[-1]
    assert (last["name"], last["args"]) == ("shutdown", {"cause": "idle"})


def test_all_lives_are_one_trace_with_a_track_each(aws, server, python):
    aws.create("parallel", KIT, python)
    aws.create("beside", KIT, python)
    aws.invoke_many("parallel", [{"do": "sleep", "seconds": 0.3}] * 2)
    aws.invoke("beside", {})
    _, headers, trace = get(server, "trace?function=parallel")
    assert headers["content-disposition"] == 'attachment; filename="dormouse.trace.json"'
    invoked = [span for span in spans(trace) if span["name"] == "invoke"]
    assert {span["tid"] for span in invoked} == {1, 2}
    assert {span["pid"] for span in invoked} == {1}
    (one, other) = invoked
    assert one["ts"] < other["ts"] + other["dur"] and other["ts"] < one["ts"] + one["dur"]
    _, _, whole = get(server, "trace")
    processes = [e["args"]["name"] for e in whole["traceEvents"] if e["name"] == "process_name"]
    assert {"parallel:$LATEST", "beside:$LATEST"} <= set(processes)
    assert len(processes) == len(set(processes))
    spans(whole)


def top(*arguments, **variables):
    return subprocess.run(
        [binary(), "top", *arguments],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_top_prints_one_look(aws, server, python):
    aws.create("shown", KIT, python, MemorySize=256)
    aws.invoke("shown", {})
    [life] = in_phase(server, "shown", "frozen")
    looked = top("--endpoint", server.url, "--once")
    assert (looked.returncode, looked.stderr) == (0, "")
    counts, machine, titles, *rows = looked.stdout.splitlines()
    assert counts.startswith("environments: ")
    assert re.match(r"memory: \d+ of \d+ MB; standing by: ", machine)
    assert titles.split()[:4] == ["FUNCTION", "VERSION", "ID", "PHASE"]
    [row] = [row.split() for row in rows if row.startswith("shown ")]
    assert row[:4] == ["shown", "$LATEST", life["id"][:8], "frozen"]
    assert row[6] == "1" and row[9] == "first" and row[10].endswith("/256")
    # Without a terminal it is one look, too; the endpoint is the one that AWS clients use.
    assert top(AWS_ENDPOINT_URL=server.url).stdout.startswith("environments: ")
    as_json = json.loads(top("--endpoint", server.url, "--output", "json").stdout)
    assert life["id"] in [environment["id"] for environment in as_json]


def test_top_says_that_no_server_is_there():
    looked = top("--endpoint", "http://127.0.0.1:1", "--once")
    assert (looked.returncode, looked.stdout) == (1, "")
    helpful = "server does not answer at http://127.0.0.1:1: is `dormouse serve` running?"
    assert looked.stderr == f"dormouse: {helpful}\n"
    assert top("--endpoint", "https://127.0.0.1:1").returncode == 1


class Terminal:
    """A terminal with `dormouse top` in it."""

    def __init__(self, *arguments, rows=24, columns=80):
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs
        self.process = subprocess.Popen(
            [binary(), "top", *arguments],
            env=environment(TERM="xterm-256color"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        self.written = ""

    def read(self):
        """Everything written so far, without what moves and colours. Only what changes is written, so
        look for words that stand where nothing stood before."""
        while select.select([self.ours], [], [], 0)[0]:
            self.written += os.read(self.ours, 65536).decode(errors="replace")
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.written)

    def shows(self, text):
        eventually(lambda: text in self.read(), f"{text!r} in {self.read()!r}")

    def type(self, keys):
        os.write(self.ours, keys.encode())

    def ended(self):
        status = self.process.wait(timeout=10)
        self.read()
        return status

    def is_restored(self):
        left_alternate_screen = self.written.rfind("\x1b[?1049l") > self.written.rfind("\x1b[?1049h")
        return left_alternate_screen and termios.tcgetattr(self.theirs) == self.before

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def terminals():
    """Makes terminals; each is gone at the end."""
    made = []

    def make(*arguments, **size):
        made.append(Terminal(*arguments, **size))
        return made[-1]

    yield make
    for terminal in made:
        terminal.close()


def test_top_is_live_and_gives_the_terminal_back(aws, server, python, terminals):
    aws.create("watched", KIT, python)
    terminal = terminals("--endpoint", server.url)
    terminal.shows("dormouse top")
    aws.invoke("watched", {})
    terminal.shows("watched")
    terminal.type("/watched\r\r")
    terminal.shows("provisioned")
    terminal.type("\x1b")
    terminal.type("?")
    terminal.shows("scale-out")
    terminal.type("q")
    assert terminal.ended() == 0
    assert terminal.is_restored()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_top_gives_the_terminal_back_when_a_signal_ends_it(server, terminals, number):
    terminal = terminals("--endpoint", server.url, rows=10, columns=40)
    terminal.shows("dormouse top")
    terminal.process.send_signal(number)
    assert terminal.ended() == 0
    assert terminal.is_restored()


def test_top_waits_for_a_server_and_finds_it_by_itself(servers, terminals):
    server = servers().start()
    terminal = terminals("--endpoint", server.url)
    terminal.shows("--function-name")
    server.kill()
    terminal.shows("is `dormouse serve` running?")
    terminal.written = ""
    server.listen = server.address
    server.restart()
    terminal.shows("--function-name")
