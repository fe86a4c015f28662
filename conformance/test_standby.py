"""Sandboxes that stand by: cold starts find one, and nobody inside can tell."""

import os
import signal

import pytest
from test_scrape import scrape, total

from harness.clients import Aws
from harness.code import package
from harness.waiting import eventually

LOOK = """
import os, re, sys

def read(name):
    with open("/proc/" + name) as file:
        return file.read()

def mounts():
    # Without the numbers by which no two sandboxes are alike, and where the server has its data.
    lines = []
    for line in read("self/mountinfo").splitlines():
        line = re.sub(r"^\\d+ \\d+ \\d+:\\d+ (/\\S*/data/)?", "", line)
        lines.append(re.sub(r",?([ug]id|lowerdir)=[^, ]*", "", line))
    return sorted(lines)

def descriptor(number):
    try:
        return number, os.readlink("/proc/self/fd/" + number).partition(":")[0]
    except OSError:
        return None

def status():
    kept = ("Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp", "Threads", "Umask", "Sig", "NSpid", "Pid", "PPid")
    return [line for line in read("self/status").splitlines() if line.startswith(kept)]

PROCESSES = sorted(name for name in os.listdir("/proc") if name.isdigit())
SECRET = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_LOG_STREAM_NAME", "_X_AMZN_TRACE_ID")

def hidden(pairs):
    return [[name, "" if name in SECRET else value] for name, value in pairs]

def handler(event, context):
    space = os.statvfs("/tmp")
    return {
        "environ": hidden(os.environ.items()),
        "proc environ": hidden(pair.split("=", 1) for pair in read("self/environ").rstrip("\\0").split("\\0")),
        "argv": [sys.argv, read("self/cmdline")],
        "cwd": os.getcwd(),
        "mounts": mounts(),
        "status": status(),
        "limits": read("self/limits"),
        "cgroup": read("self/cgroup"),
        "descriptors": sorted(filter(None, map(descriptor, os.listdir("/proc/self/fd")))),
        "processes": PROCESSES,
        "path": sys.path,
        "modules": list(sys.modules),
        "importers": list(sys.path_importer_cache),
        "layer": sorted(os.listdir("/opt")),
        "tmp": [os.listdir("/tmp"), space.f_blocks * space.f_frsize],
        "host": os.uname().nodename,
    }
"""

NODE = """
export const handler = async () => [process.env.AWS_LAMBDA_FUNCTION_NAME, process.cwd(), process.argv];
"""

PROVIDED = """#!/bin/sh
# One event, and its answer.
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
while true; do
  id=$(curl -s -D - -o /dev/null $api/next | tr -d '\\r' | sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: //p')
  curl -s -o /dev/null -X POST -d "\\"$AWS_LAMBDA_FUNCTION_NAME\\"" $api/$id/response
done
"""


@pytest.fixture(scope="module")
def server_flags():
    return ("--standby", "2")


def standing(server, kind):
    return total(scrape(server), "dormouse_standby_sandboxes", kind=kind, state="standing")


def asked(server, kind, outcome):
    return total(scrape(server), "dormouse_standby_requests_total", kind=kind, outcome=outcome)


def wait_for(server, kind, number=2):
    eventually(lambda: standing(server, kind) == number, f"{number} of {kind} stand by")


def found_one(server, kind, call):
    """The answer of a call that must find a sandbox standing by."""
    wait_for(server, kind)
    hits, misses = asked(server, kind, "hit"), asked(server, kind, "miss")
    answer = call()
    assert asked(server, kind, "hit") == hits + 1
    assert asked(server, kind, "miss") == misses
    return answer


def test_a_cold_start_finds_an_interpreter_that_stood_by(aws, server, python):
    code = "def handler(event, context): return [event, context.function_name]\n"
    aws.create("first", code, python)
    call = lambda: aws.invoke("first", {"n": 1}).payload
    assert found_one(server, python, call) == [{"n": 1}, "first"]
    life = server.lives("first")[-1]
    assert life["coldReason"] == "first"
    # Another function finds another one, and the warm call asks for none.
    aws.create("second", code, python)
    assert found_one(server, python, lambda: aws.invoke("second", {}).payload) == [{}, "second"]
    hits = asked(server, python, "hit")
    assert aws.invoke("second", {}).payload == [{}, "second"]
    assert asked(server, python, "hit") == hits
    wait_for(server, python)


def test_modules_of_node_and_programs_of_any_kind_find_one_too(aws, server, node):
    kind = f"{node}/256"
    aws.create("module", {"index.mjs": NODE}, node, "index.handler", MemorySize=256)
    argv = found_one(server, kind, lambda: aws.invoke("module", {}).payload)
    assert argv[:2] == ["module", "/var/task"]
    assert argv[2][1] == "/var/runtime/bootstrap.cjs"
    aws.create("own", {"bootstrap": PROVIDED}, "provided.al2023")
    assert found_one(server, "bare", lambda: aws.invoke("own", {}).payload) == "own"


def looked(aws, server, name, python, kind=None, **more):
    """What a function sees of where it is."""
    aws.create(name, LOOK, python, **more)
    call = lambda: aws.invoke(name, {}).payload
    return found_one(server, kind, call) if kind else call()


def test_nobody_inside_can_tell(aws, server, servers, python):
    other = servers("--standby", "0").start()
    for name, more in {
        "plain": {},
        "large": {"MemorySize": 512, "EphemeralStorage": {"Size": 1024}},
        "layered": {"Environment": {"Variables": {"OWN": "é\n", "EMPTY": ""}}},
    }.items():
        seen = []
        for user, kind in [(aws, python), (Aws(other), None)]:
            if name == "layered":
                layer = user.functions.publish_layer_version(
                    LayerName="layer", Content={"ZipFile": package({"python/of_layer.py": "X = 1\n"})}
                )
                more["Layers"] = [layer["LayerVersionArn"]]
            seen.append(looked(user, user.server, f"look-{name}", python, kind, **more))
        ahead, plain = seen
        for key in plain:
            assert ahead[key] == plain[key], (name, key)
        assert ahead["layer"] == (["python"] if name == "layered" else [])
        assert ahead["tmp"] == [[], (1024 if name == "large" else 512) << 20]


def test_memory_and_tmp_are_the_functions_own(aws, server, python):
    code = """
def handler(event, context):
    return len(bytearray(event["mb"] << 20)) >> 20
"""
    for memory, fits in [(128, False), (512, True)]:
        name = f"memory-{memory}"
        aws.create(name, code, python, MemorySize=memory)
        answer = found_one(server, python, lambda: aws.invoke(name, {"mb": 300}))
        assert (answer.error is None) == fits, answer
        if not fits:
            assert answer.payload["errorType"] == "Runtime.OutOfMemory" or "signal: killed" in str(answer.payload)


def test_what_an_interpreter_reads_at_its_start_is_there_at_its_start(aws, server, python):
    code = "import time, sys\ndef handler(event, context): return [time.tzname[0], sys.flags.optimize]\n"
    before = scrape(server)
    variables = {"TZ": "Asia/Tokyo", "PYTHONOPTIMIZE": "2"}
    aws.create("zoned", code, python, Environment={"Variables": variables})
    assert aws.invoke("zoned", {}).payload == ["JST", 2]
    for outcome in ["hit", "miss"]:
        name = "dormouse_standby_requests_total"
        assert total(scrape(server), name, outcome=outcome) == total(before, name, outcome=outcome)


def interpreters(server):
    """The processes that stand by."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                command = file.read()
            with open(f"/proc/{pid}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
            is_ours = os.readlink(f"/proc/{parent}/cwd") == "/" and b"/var/runtime/bootstrap.py" in command
            if is_ours and os.readlink(f"/proc/{pid}/cwd") == "/" and of(server, pid):
                found.append(int(pid))
        except OSError:
            continue
    return found


def of(server, pid):
    """Whether a process descends from the server."""
    while int(pid) > 1:
        if int(pid) == server.process.pid:
            return True
        with open(f"/proc/{pid}/stat", "rb") as file:
            pid = int(file.read().rpartition(b")")[2].split()[1])
    return False


def test_an_interpreter_that_died_while_it_stood_by_is_nobodys(aws, server, python):
    aws.create("survivor", "def handler(event, context): return 'fine'\n", python)
    wait_for(server, python)
    killed = interpreters(server)
    assert len(killed) == 2
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not interpreters(server), "both are gone")
    assert aws.invoke("survivor", {}).payload == "fine"
    [life] = server.lives("survivor")
    assert "reset" not in str(life), life
    wait_for(server, python)


def test_a_crash_in_one_that_stood_by_is_followed_by_an_ordinary_start(aws, server, python):
    code = """
import os
def handler(event, context):
    if event.get("exit"):
        os._exit(3)
    return os.environ["AWS_LAMBDA_FUNCTION_NAME"]
"""
    aws.create("crasher", code, python)
    crashed = found_one(server, python, lambda: aws.invoke("crasher", {"exit": 1}))
    assert crashed.payload["errorType"] == "Runtime.ExitError"
    assert aws.invoke("crasher", {}).payload == "crasher"
    assert len(server.lives("crasher")) == 1


def test_a_killed_server_leaves_none_and_a_stopped_one_neither(servers, python):
    server = servers("--standby", "3").start()
    user = Aws(server)
    user.create("f", "def handler(event, context): return 1\n", python)
    wait_for(server, python, 3)
    server.kill()
    server.restart()
    user.create("g", "def handler(event, context): return 1\n", python)
    wait_for(server, python, 3)
    server.stop()


def test_a_wrong_number_is_refused_in_words(servers):
    status, said = servers().refusal("--standby", "lots")
    assert status != 0
    assert "--standby" in said and "`auto` or a number from 0 to 1000" in said
