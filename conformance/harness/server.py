"""One real server process on a data directory of its own.

Owns the process, never its data directory. Knows nothing of Lambda."""

import http.client
import json
import os
import re
import select
import signal
import subprocess
from pathlib import Path

from harness import leftovers
from harness.waiting import eventually

ROOT = Path(__file__).resolve().parent.parent
READY = re.compile(rb"dormouse is ready on http://(127\.0\.0\.1:(\d+))\n")
START_S = 30
# The server's own limit for running invocations is 30 s; then come its environments and its store.
STOP_S = 60


def binary():
    """The program under test: DORMOUSE_BIN, or what `cargo build -p dormouse` makes."""
    given = os.environ.get("DORMOUSE_BIN")
    path = Path(given) if given else ROOT.parent / "target" / "debug" / "dormouse"
    if not path.is_file():
        raise RuntimeError(f"{path} is not there: run `cargo build -p dormouse` or set DORMOUSE_BIN")
    return str(path.resolve())


def environment(**more):
    """This process's environment without anything meant for AWS clients or for the server."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AWS_", "DORMOUSE_"))
    }
    return kept | {key: str(value) for key, value in more.items()}


class Server:
    """Started, stopped or killed, and started again on the same data."""

    def __init__(self, place, *flags, network="none"):
        self.place = Path(place)
        self.data_dir = self.place / "data"
        self.temporary = self.place / "tmp"
        self.log_file = self.place / "server.log"
        self.flags = [*flags, "--network", network]
        self.listen = "127.0.0.1:0"
        self.process = None
        self.address = None
        self.family = leftovers.Family()
        self.temporary.mkdir(parents=True, exist_ok=True)

    def command(self):
        listen = ["--data-dir", str(self.data_dir), "--listen", self.listen]
        return [binary(), "serve", *listen, *self.flags]

    def refusal(self, *flags, **variables):
        """Starts a process that must refuse to run; answers its exit status and what it says."""
        done = subprocess.run(
            [*self.command(), *flags],
            env=environment(TMPDIR=self.temporary, **variables),
            capture_output=True,
            text=True,
            timeout=START_S,
            check=False,
        )
        assert done.stdout == "", done.stdout
        return done.returncode, done.stderr

    def spawn(self):
        """Starts the process and waits for nothing."""
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(TMPDIR=self.temporary),
            )
        return self.process

    def start(self):
        """Starts the process and waits for its ready line, the only line on its standard output."""
        self.spawn()
        line = b""
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([self.process.stdout], [], [], START_S)
            piece = os.read(self.process.stdout.fileno(), 4096) if readable else b""
            assert piece, f"no ready line: {line!r}, exit {self.process.poll()}\n{self.log()[-3000:]}"
            line += piece
        ready = READY.fullmatch(line)
        assert ready, f"not a ready line: {line!r}"
        self.address = ready.group(1).decode()
        self.family.look(self.process.pid)
        return self

    @property
    def port(self):
        return int(self.address.rpartition(":")[2])

    @property
    def url(self):
        return f"http://{self.address}"

    def log(self):
        """What the server wrote to its standard error so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.family.look(self.process.pid)
        self.process.send_signal(number)

    def wait(self, deadline_s=STOP_S):
        """Waits for the end and returns the exit status."""
        try:
            status = self.process.wait(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(
                f"not stopped within {deadline_s} s\n{self.log()[-3000:]}"
            ) from None
        finally:
            self.process.stdout.close()
            self.family.end()
        return status

    def stop(self):
        """SIGTERM and the end that belongs to it: clean, and nothing of the server is left."""
        if self.is_running():
            self.signal(signal.SIGTERM)
            status = self.wait()
            assert status == 0, f"exit {status} after SIGTERM\n{self.log()[-3000:]}"
        self.check_nothing_left()
        self.check_no_panic()

    def kill(self):
        """SIGKILL: no chance to clean up; the next start does."""
        self.signal(signal.SIGKILL)
        self.wait(10)

    def restart(self):
        """Starts again on the data of a killed process; nothing of that one may be left then."""
        former, self.family = self.family, leftovers.Family()
        groups = leftovers.environments(leftovers.instance(self.data_dir))
        self.start()

        def left():
            return leftovers.of_former(self, former, groups)

        try:
            eventually(lambda: not left(), "nothing left of the killed server", 10)
        except AssertionError:
            raise AssertionError("left of the killed server:\n" + "\n".join(left())) from None
        return self

    def check_nothing_left(self):
        """The orphan check: no process, group, mount, namespace or temporary file."""

        def left():
            return leftovers.of(self)

        # The kernel ends killed processes and empties their groups in its own time.
        try:
            eventually(lambda: not left(), "nothing left", 10)
        except AssertionError:
            raise AssertionError("left behind:\n" + "\n".join(left())) from None

    def abandon(self):
        """After a test, however it went: nothing of this server may stay on the machine."""
        if self.is_running():
            self.process.kill()
            self.process.wait()
        leftovers.end_survivors(self)

    def check_no_panic(self):
        panics = [line for line in self.log().splitlines() if "panicked" in line]
        assert not panics, panics

    def request(self, method, path, body=None, headers=None, timeout=60):
        """A plain HTTP request; answers (status, headers, body)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def lives(self, function=None):
        """The lives of environments, as the server tells them; of one function, oldest first."""
        status, _, body = self.request("GET", "/_dormouse/environments?events=true")
        assert status == 200, body
        lives = [
            life
            for life in json.loads(body)
            if function is None or life["functionArn"].endswith(f":function:{function}")
        ]
        return sorted(lives, key=lambda life: life["createdMs"])
