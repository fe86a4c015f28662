"""What a server may leave behind on its host, found by looking everywhere it could be.

Never removes anything: finding it is the point."""

import os
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

    def look(self, pid):
        """Remembers everybody below this process now."""
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
        *_namespaces(server),
        *_network(name),
        *_files(server, name),
    ]


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


def _namespaces(server):
    for pid, _ in processes():
        for kind in NAMESPACES:
            if _namespace(pid, kind) in server.family.namespaces:
                yield f"namespace {kind} of the server held by process {pid}"


def _network(name):
    for place in ("/sys/class/net", "/run/netns", "/var/run/netns"):
        if os.path.isdir(place):
            yield from (f"{place}/{entry}" for entry in os.listdir(place) if name in entry)
    routes = _read("/proc/net/nf_conntrack_expect")
    if name in routes:
        yield "network rules"


def _files(server, name):
    yield from (f"temporary file {path}" for path in server.temporary.rglob("*"))
    for place in ("/tmp", "/dev/shm", "/run", "/var/tmp"):
        if os.path.isdir(place):
            yield from (f"{place}/{entry}" for entry in os.listdir(place) if name in entry)
    # Half-written packages and half-unpacked code carry a temporary name until they are whole.
    for path in server.data_dir.rglob("*"):
        if path.name.startswith((".tmp", ".unfinished", "put-", "tmp.")) or path.suffix in (".tmp", ".partial", ".unfinished"):
            yield f"half-written {path}"


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
