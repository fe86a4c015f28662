"""What code inside an environment must not reach: each probe is a function that tries.

One table: a name, what it tries, and what must come of it. A probe's own error is its refusal."""

import io
import json
import os
import platform
import socket
import stat
import threading
import zipfile

import pytest

from harness import leftovers
from harness.clients import Aws
from harness.code import ECHO, package
from harness.waiting import eventually

CANARY = "a-secret-of-the-host"

# What a probe returns comes back as {"value": ...}; what stops it as {"error": name}.
RUNNER = """
import ctypes, errno, glob, json, os, resource, signal, socket, stat, subprocess, sys, time
import urllib.request

libc = ctypes.CDLL(None, use_errno=True)

def called(result):
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result

def syscall(number, *arguments):
    return called(libc.syscall(number, *[ctypes.c_long(a) for a in arguments]))

def connect(host, port):
    with socket.create_connection((host, port), 3) as connection:
        return connection.getpeername()[0]

def write(path):
    with open(path, "a") as file:
        file.write("x")
    return "written"

def read(path):
    with open(path, "rb") as file:
        return file.read(65536).decode(errors="replace")

def probe(event):
{body}

def handler(event, context):
    try:
        return {{"value": probe(event)}}
    except OSError as error:
        return {{"error": errno.errorcode.get(error.errno, type(error).__name__)}}
    except Exception as error:
        return {{"error": type(error).__name__, "text": str(error)}}
"""


def runner(body):
    return RUNNER.format(body="\n".join("    " + line for line in body.splitlines()))


@pytest.fixture(scope="module")
def server_flags():
    """The server's own environment holds a secret; it must stay there."""
    os.environ["CONFORMANCE_CANARY"] = CANARY
    yield ()
    del os.environ["CONFORMANCE_CANARY"]


@pytest.fixture(scope="module")
def run(aws, python):
    """Runs a probe in a function of its own."""
    count = iter(range(10_000))

    def run(body, event=None, memory=256, timeout=20, name=None):
        name = name or f"probe-{next(count)}"
        aws.create(name, runner(body), python, MemorySize=memory, Timeout=timeout)
        answer = aws.invoke(name, event or {})
        assert answer.error is None, answer
        return answer.payload

    return run


def refused(*errors):
    """The kernel said no, with one of these."""
    return lambda got: got.get("error") in errors


ABSENT = refused("ENOENT", "EACCES", "ENOTDIR", "EPERM")
DENIED = refused("EPERM", "EACCES", "ENOSYS")
READ_ONLY = refused("EROFS", "EACCES", "EPERM", "ENOENT")

PROBES = {
    # Files of the host.
    "read /etc/shadow": ("return read('/etc/shadow')", ABSENT),
    "read the host's ssh keys": ("return os.listdir('/root/.ssh')", ABSENT),
    "list /root": (
        # Only the way to an interpreter that is installed there may be seen.
        "return os.listdir('/root')",
        lambda got: ABSENT(got) or set(got["value"]) <= {".pyenv", ".nvm", ".local", ".volta"},
    ),
    "list /home": ("return os.listdir('/home')", lambda got: ABSENT(got) or got["value"] == []),
    "list /sys": ("return os.listdir('/sys')", lambda got: ABSENT(got) or got["value"] == []),
    "list /boot": ("return os.listdir('/boot')", lambda got: ABSENT(got) or got["value"] == []),
    "list /var/lib": ("return os.listdir('/var/lib')", lambda got: ABSENT(got) or got["value"] == []),
    "list /run": ("return os.listdir('/run')", lambda got: ABSENT(got) or got["value"] == []),
    "climb out of the root": (
        "return os.path.exists('/../../../../../../etc/shadow') or os.path.exists('/proc/1/root/etc/shadow')",
        lambda got: got.get("value") is False or DENIED(got),
    ),
    "see only a minimal /dev": (
        "return os.listdir('/dev')",
        lambda got: set(got["value"])
        <= {"null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr", "shm", "pts", "ptmx"},
    ),
    # Writing where it may only read.
    **{
        f"write below {place}": (f"return write('{place}/x')", READ_ONLY)
        for place in ("/var/task", "/var/runtime", "/opt", "/usr", "/usr/bin", "/etc", "/", "/proc/self/../..", "/dev")
    },
    "change its own code": ("return write('/var/task/app.py')", READ_ONLY),
    "change the mode of its code": ("return os.chmod('/var/task/app.py', 0o777)", READ_ONLY),
    # Other processes.
    "see other processes": (
        "return [[int(p), read(f'/proc/{p}/cmdline')] for p in os.listdir('/proc') if p.isdigit()]",
        lambda got: 1 <= len(got["value"]) <= 4 and "serve" not in json.dumps(got["value"]),
    ),
    "read the first process's environment": ("return read('/proc/1/environ')", ABSENT),
    "read the first process's memory": ("return open('/proc/1/mem', 'rb').read(1)", ABSENT),
    "kill the first process": ("os.kill(1, 9)\nreturn 'sent'", DENIED),
    "kill everybody": (
        "os.kill(-1, 9)\nreturn 'sent'",
        lambda got: got.get("error") in ("ESRCH", "EPERM") or got.get("value") == "sent",
    ),
    "trace the first process": ("return called(libc.ptrace(16, 1, 0, 0))", DENIED),
    "trace itself": (
        "pid = os.fork()\nif pid == 0:\n    time.sleep(5)\n    os._exit(0)\n"
        "try:\n    return called(libc.ptrace(16, pid, 0, 0))\nfinally:\n    os.kill(pid, 9)",
        DENIED,
    ),
    # Rights.
    "be root": ("return [os.getuid(), os.geteuid(), os.getgid()]", lambda got: 0 not in got["value"]),
    "become root": ("os.setuid(0)\nreturn os.getuid()", DENIED),
    "become root of a group": ("os.setgid(0)\nreturn os.getgid()", DENIED),
    "have a capability": (
        "lines = dict(l.split(':\\t') for l in read('/proc/self/status').splitlines() if ':\\t' in l)\n"
        "return [lines[k] for k in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs', 'Seccomp')]",
        lambda got: got["value"] == ["0" * 16] * 5 + ["1", "2"],
    ),
    "mount": ("return called(libc.mount(b'none', b'/tmp', b'tmpfs', 0, None))", DENIED),
    "unmount": ("return called(libc.umount2(b'/var/task', 2))", DENIED),
    "change its root": ("os.chroot('/tmp')\nreturn 'changed'", DENIED),
    "make a user namespace": ("return called(libc.unshare(0x10000000))", DENIED),
    "make a mount namespace": ("return called(libc.unshare(0x00020000))", DENIED),
    "enter another namespace": ("return called(libc.setns(os.open('/proc/self/ns/net', 0), 0))", DENIED),
    "make a device": ("os.mknod('/tmp/sda', 0o600 | stat.S_IFBLK, os.makedev(8, 0))\nreturn 'made'", DENIED),
    "raise its limit of open files": (
        "resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))\nreturn 'raised'",
        lambda got: got.get("error") in ("EPERM", "ValueError"),
    ),
    "raise its limit of processes": (
        "resource.setrlimit(resource.RLIMIT_NPROC, (1 << 20, 1 << 20))\nreturn 'raised'",
        lambda got: got.get("error") in ("EPERM", "ValueError"),
    ),
    "change the host's name": ("socket.sethostname('mine')\nreturn 'changed'", DENIED),
    "set the clock": ("time.clock_settime(time.CLOCK_REALTIME, 0)\nreturn 'set'", DENIED),
    "write a kernel setting": ("return write('/proc/sys/kernel/core_pattern')", READ_ONLY),
    "pull the plug": ("return write('/proc/sysrq-trigger')", READ_ONLY),
    "read kernel memory": (
        "return len(open('/proc/kcore', 'rb').read(64))",
        lambda got: READ_ONLY(got) or got.get("value") == 0,
    ),
    "read the kernel's log": ("return os.read(os.open('/proc/kmsg', os.O_NONBLOCK), 64).decode()", lambda got: READ_ONLY(got) or got.get("value") == ""),
    # What it inherits.
    "inherit open files": (
        "return sorted(os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{n}'))",
        lambda got: not [link for link in got["value"] if ".db" in link or "cgroup" in link or "dormouse.lock" in link],
    ),
    "see the host's environment": (
        "return json.dumps(dict(os.environ))",
        lambda got: CANARY not in got["value"] and "TMPDIR" not in json.loads(got["value"]),
    ),
    "see the host's name": ("return socket.gethostname()", lambda got: got["value"] != socket.gethostname()),
    "see control groups or file systems of the kernel": (
        "return [line.split()[2] for line in read('/proc/self/mounts').splitlines()]",
        lambda got: not {"cgroup", "cgroup2", "sysfs", "debugfs", "tracefs", "bpf", "securityfs"} & set(got["value"]),
    ),
    "see the host's network interfaces": (
        "return [name for _, name in socket.if_nameindex()]",
        lambda got: set(got.get("value", [])) <= {"lo", "eth0"} or DENIED(got),
    ),
    "reach the cloud's metadata": (
        "return connect('169.254.169.254', 80)",
        lambda got: got.get("error") in ("ENETUNREACH", "EHOSTUNREACH", "ECONNREFUSED", "ETIMEDOUT", "EACCES", "EPERM", "TimeoutError"),
    ),
    "open a raw socket": (
        "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)\nreturn 'opened'",
        DENIED,
    ),
    "open a packet socket": (
        "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)\nreturn 'opened'",
        refused("EPERM", "EACCES", "ENOSYS", "EAFNOSUPPORT"),
    ),
}


@pytest.mark.parametrize("probe", PROBES)
def test_code_inside_cannot(run, probe):
    body, expected = PROBES[probe]
    got = run(body)
    assert expected(got), got


# Numbers of the kernel's interface for x86-64.
SYSCALLS = {
    "bpf": 321,
    "keyctl": 250,
    "add_key": 248,
    "io_uring_setup": 425,
    "userfaultfd": 323,
    "perf_event_open": 298,
    "kexec_load": 246,
    "init_module": 175,
    "finit_module": 313,
    "reboot": 169,
    "swapon": 167,
    "pivot_root": 155,
    "open_by_handle_at": 304,
    "process_vm_readv": 310,
    "move_mount": 429,
    "fsopen": 430,
    "open_tree": 428,
}


@pytest.mark.parametrize("name", SYSCALLS)
def test_a_dangerous_system_call_is_refused(run, name):
    if platform.machine() != "x86_64":
        pytest.skip("the numbers of system calls in this table are those of x86-64")
    got = run(f"return syscall({SYSCALLS[name]}, 1, 0, 0, 0, 0, 0)")
    assert got.get("error") in ("EPERM", "ENOSYS", "EACCES"), got


def test_the_servers_data_and_temporary_files_are_not_there(run, server):
    for path in (server.data_dir, server.place, server.temporary):
        assert run("return os.listdir(event['path'])", {"path": str(path)}) == {"error": "ENOENT"}


def test_a_listener_on_the_hosts_loopback_cannot_be_reached(run, server):
    met = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        done = threading.Event()

        def listen():
            while not done.is_set():
                try:
                    met.append(listener.accept()[1])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            for port in (listener.getsockname()[1], server.port):
                for host in ("127.0.0.1", "localhost", "127.0.0.2"):
                    got = run("return connect(event['host'], event['port'])", {"host": host, "port": port})
                    assert "error" in got, got
        finally:
            done.set()
            thread.join()
    assert met == []


def test_an_abstract_socket_of_the_host_cannot_be_reached(run):
    name = f"conformance-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0" + name)
        listener.listen()
        body = "s = socket.socket(socket.AF_UNIX)\ns.connect('\\0' + event['name'])\nreturn 'reached'"
        got = run(body, {"name": name})
    assert got.get("error") in ("ECONNREFUSED", "EPERM", "EACCES"), got


def test_the_daemons_endpoint_is_reachable_from_inside(run):
    body = """
endpoint = os.environ["AWS_ENDPOINT_URL"]
with urllib.request.urlopen(endpoint + "/healthz", timeout=5) as answer:
    health = answer.read().decode()
scope = "20260101/" + os.environ["AWS_REGION"] + "/lambda/aws4_request"
key = os.environ["AWS_ACCESS_KEY_ID"]
signed = f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders=host;x-amz-date, Signature=" + "0" * 64
request = urllib.request.Request(endpoint + "/2015-03-31/functions")
request.add_header("Authorization", signed)
request.add_header("X-Amz-Date", "20260101T000000Z")
with urllib.request.urlopen(request, timeout=5) as answer:
    listed = [f["FunctionName"] for f in json.load(answer)["Functions"]]
return [endpoint, health, os.environ["AWS_LAMBDA_FUNCTION_NAME"] in listed or len(listed) == 50]
"""
    got = run(body, name="aaa-endpoint")
    assert got == {"value": ["http://127.0.0.1:9000", "ok\n", True]}, got


def test_a_function_can_invoke_another_through_the_endpoint(aws, run, python):
    aws.create("aaa-called", ECHO, python)
    body = """
url = os.environ["AWS_ENDPOINT_URL"] + "/2015-03-31/functions/aaa-called/invocations"
with urllib.request.urlopen(urllib.request.Request(url, data=b'{"from": "inside"}'), timeout=10) as answer:
    return json.load(answer)
"""
    assert run(body) == {"value": {"from": "inside"}}


def test_one_functions_tmp_is_not_anothers(run):
    secret = "open('/tmp/secret', 'w').write('mine')\nreturn os.listdir('/tmp')"
    assert run(secret) == {"value": ["secret"]}
    assert run("return [os.listdir('/tmp'), os.path.exists('/tmp/secret')]") == {"value": [[], False]}


def test_tmp_is_full_at_512_mb_and_only_inside(aws, run):
    body = """
written, block = 0, bytes(1 << 20)
try:
    with open("/tmp/fill", "wb", buffering=0) as file:
        while written < (2 << 30):
            written += file.write(block)
except OSError as error:
    return [errno.errorcode[error.errno], written >> 20]
"""
    got = run(body, memory=1024, timeout=60)
    name, megabytes = got["value"]
    assert name == "ENOSPC" and 505 <= megabytes <= 512, got
    # Somebody else's is still empty.
    assert run("open('/tmp/a', 'wb').write(bytes(1 << 20))\nreturn 'fits'") == {"value": "fits"}


def test_a_fork_bomb_is_bounded_and_ends_with_its_invocation(aws, server, run):
    body = """
children, stopped = [], None
try:
    while len(children) < 5000:
        pid = os.fork()
        if pid == 0:
            time.sleep(100)
            os._exit(0)
        children.append(pid)
except OSError as error:
    stopped = errno.errorcode[error.errno]
count = len(children)
for pid in children:
    os.kill(pid, 9)
return [stopped, count]
"""
    got = run(body, memory=1769, timeout=60)
    assert got["value"][0] == "EAGAIN" and 50 <= got["value"][1] <= 1024, got
    assert run("return 'another function works'")["value"]
    assert server.request("GET", "/healthz")[0] == 200


def test_a_fork_bomb_that_is_left_running_ends_with_its_environment(servers, python):
    # On a server of its own, whose end must find nothing of it, and on which no other sandbox is.
    server = servers("--standby", "0").start()
    try:
        bombed(server, python)
    finally:
        server.abandon()


def bombed(server, python):
    aws = Aws(server)
    bomb = "while True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
    aws.create("bomb", runner(bomb), python, Timeout=2, MemorySize=512)
    failed = aws.invoke("bomb")
    assert failed.error == "Unhandled" and failed.payload["errorType"] == "Sandbox.Timedout", failed
    server.family.look(server.process.pid)
    aws.functions.delete_function(FunctionName="bomb")
    eventually(lambda: all(life["ended"] for life in server.lives("bomb")), "the bomb's environment ended", 20)
    name = leftovers.instance(server.data_dir)
    eventually(lambda: not leftovers.environments(name), "no control group of the bomb is left", 10)
    aws.create("after", ECHO, python)
    assert aws.invoke("after", 1).payload == 1
    server.stop()


def test_open_files_are_limited(run):
    body = """
files = []
try:
    while len(files) < 100_000:
        files.append(open("/dev/null"))
except OSError as error:
    code = errno.errorcode[error.errno]
    count = len(files)
    files.clear()
    return [code, count]
"""
    got = run(body)
    assert got["value"][0] == "EMFILE" and 100 <= got["value"][1] <= 1024, got


def test_a_runtime_that_kills_everybody_leaves_its_neighbours_alone(aws, server, run, python):
    aws.create("bystander", "N = []\ndef handler(event, context):\n    N.append(1)\n    return len(N)\n", python)
    assert aws.invoke("bystander").payload == 1
    run("os.kill(-1, 9)\nreturn 'sent'")
    assert aws.invoke("bystander").payload == 2
    assert server.request("GET", "/healthz")[0] == 200


def test_links_inside_a_package_lead_only_inside(aws, python):
    code = "import os\ndef handler(event, context):\n    return [open('/var/task/link').read(), os.readlink('/var/task/link')]\n"
    target = io.BytesIO(package({"app.py": code, "data/real": "real"}))
    with zipfile.ZipFile(target, "a") as archive:
        entry = zipfile.ZipInfo("link")
        entry.create_system = 3
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "data/real")
    aws.create("linked", target.getvalue(), python)
    assert aws.invoke("linked").payload == ["real", "data/real"]
