"""What a server may leave behind on its host, found by looking everywhere it could be.

Never removes anything: finding it is the point."""

import os
import signal
import threading
import time
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
NAMESPACES = ("net", "mnt", "pid")


def instance(data_dir):
    """The server's name for itself on its host: FNV-1a of its data directory's path."""
    value = 0x811C9DC5
    for byte in os.fsencode(Path(data_dir).resolve()):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return f"{value:08x}"


def processes():
    """Every process: (pid, start time) to parent."""
    table = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        fields = _read(f"/proc/{entry.name}/stat").rpartition(")")[2].split()
        # A zombie holds nothing; whoever is to reap it is not the server any more.
        if len(fields) > 19 and fields[0] != "Z":
            table[int(entry.name), fields[19]] = int(fields[1])
    return table


class Family:
    """A server's descendants and their namespaces, remembered so that survivors are recognised."""

    def __init__(self):
        self.members = set()
        self.namespaces = set()
        self.ended = None

    def end(self):
        """The server's process has ended: who was started later has nothing to do with it, even
        where the kernel gives the number of a namespace that is gone to a new one."""
        self.ended = time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")

    def holders(self, strangers=frozenset()):
        """Processes that hold a namespace of the family, as lines; strangers are known not to."""
        table = processes()
        for pid, started in set(table) - strangers:
            if self.ended is not None and int(started) > self.ended:
                continue
            if not self._belongs_to_another(pid, table):
                for kind in NAMESPACES:
                    if _namespace(pid, kind) in self.namespaces:
                        yield f"namespace {kind} of the server held by process {pid}"

    def _belongs_to_another(self, pid, table):
        """Whether a living process outside the family is its parent: then the number of the namespace
        was given anew, since who survives the family is handed to the first process."""
        parents = {member: parent for (member, _), parent in table.items()}
        parent = parents.get(pid, 0)
        family = {member for member, _ in self.members}
        return parent > 1 and parent in parents and parent not in family

    def look(self, pid):
        """Remembers everybody below this process now, and the namespaces they hold now: the kernel may
        have given the number of an earlier one to somebody else."""
        self.namespaces = set()
        table = processes()
        below, grown = {pid}, True
        while grown:
            found = {member for (member, _), parent in table.items() if parent in below}
            grown = not found <= below
            below |= found
        self.members |= {key for key in table if key[0] in below}
        own = {_namespace("self", kind) for kind in NAMESPACES}
        for member in below:
            self.namespaces |= {_namespace(member, kind) for kind in NAMESPACES} - own - {None}


def of(server):
    """One line for each thing that is left of a stopped server."""
    name = instance(server.data_dir)
    return [
        *_processes(server, name),
        *_groups(name),
        *_mounts(server),
        *server.family.holders(),
        *_network(name),
        *_files(server, name),
    ]


def of_former(server, former, groups):
    """One line for each thing that is left of a server's killed predecessor, before it runs anything."""
    alive = processes()
    name = instance(server.data_dir)
    return [
        *(f"process {pid}: {_read(f'/proc/{pid}/cmdline')!r}" for pid, at in former.members & set(alive)),
        *(f"control group {group}" for group in environments(name) if group in groups),
        # Start times count in hundredths of a second, in which a new server can begin.
        *former.holders(server.family.members),
        *_mounts(server),
        *_files(server, name),
    ]


def environments(name):
    """The control groups of a server's environments."""
    found = set()
    for directory, below, _ in os.walk(CGROUPS):
        if os.path.basename(directory) == f"dormouse-{name}":
            found |= {f"{directory}/{group}" for group in below}
    return found


def end_survivors(server):
    """The last resort after a failed check, so that no test's processes stay on the machine: ends, one
    by one, what runs in the control groups of this very server, and removes the empty groups."""
    name = f"dormouse-{instance(server.data_dir)}"
    for _ in range(100):
        left = [pid for pid, _ in processes() if name in _read(f"/proc/{pid}/cgroup")]
        if not left:
            break
        for directory, _, files in os.walk(CGROUPS):
            # Who may use no CPU cannot die either.
            for file, free in (("cpu.cfs_quota_us", "-1"), ("cpu.max", "max")):
                if name in directory and file in files:
                    Path(directory, file).write_text(free)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        threading.Event().wait(0.1)
    for directory, _, _ in os.walk(CGROUPS, topdown=False):
        if name in directory:
            try:
                os.rmdir(directory)
            except OSError:
                pass


def _processes(server, name):
    marks = (str(server.data_dir), f"dormouse-{name}")
    for pid, started in processes():
        texts = [_read(f"/proc/{pid}/{file}") for file in ("cmdline", "cgroup")]
        known = (pid, started) in server.family.members
        if known or any(mark in text for mark in marks for text in texts):
            yield f"process {pid}: {texts[0]!r} in {texts[1].split()}"


def _groups(name):
    for directory, below, _ in os.walk(CGROUPS):
        for group in below:
            if name in group:
                yield f"control group {directory}/{group}"


def _mounts(server):
    seen = set()
    for pid, _ in processes():
        space = _namespace(pid, "mnt")
        if space in seen:
            continue
        seen.add(space)
        for line in _read(f"/proc/{pid}/mountinfo").splitlines():
            held = any(space in line for space in server.family.namespaces)
            if str(server.data_dir) in line or held:
                yield f"mount seen by process {pid}: {line}"


def _network(name):
    for place in ("/sys/class/net", "/run/netns", "/var/run/netns"):
        if os.path.isdir(place):
            yield from (f"{place}/{entry}" for entry in os.listdir(place) if name in entry)
    routes = _read("/proc/net/nf_conntrack_expect")
    if name in routes:
        yield "network rules"


def _files(server, name):
    yield from (f"temporary file {path}" for path in everything_in(server.temporary))
    for place in ("/tmp", "/dev/shm", "/run", "/var/tmp"):
        if os.path.isdir(place):
            yield from (f"{place}/{entry}" for entry in os.listdir(place) if name in entry)
    # Half-written packages and half-unpacked code carry a temporary name until they are whole.
    for path in everything_in(server.data_dir):
        if path.name.startswith((".tmp", ".unfinished", "put-", "tmp.")) or path.suffix in (".tmp", ".partial", ".unfinished"):
            yield f"half-written {path}"


def everything_in(directory):
    """Files and directories below it, of which any may be gone by the time it is looked at: `rglob` would fail."""
    for place, below, files in os.walk(directory):
        yield from (Path(place, name) for name in (*below, *files))


def everything_in(directory):
    """Files and directories below it, of which any may be gone by the time it is looked at: `rglob` would fail."""
    for place, below, files in os.walk(directory):
        yield from (Path(place, name) for name in (*below, *files))


def _namespace(pid, kind):
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return None


def _read(path):
    try:
        return Path(path).read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""
