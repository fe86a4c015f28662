"""Code on disk: unpacked once for each digest, checked, and kept over restarts."""

import concurrent.futures
import os

import pytest

from harness.clients import Aws
from harness.code import package
from harness.waiting import eventually

MEGABYTE = 1 << 20
HANDLER = """
import os

def handler(event, context):
    return [len(os.listdir("/var/task/many")), os.stat("/var/task/large/0").st_size, context.log_stream_name]
"""


@pytest.fixture(scope="module")
def large():
    """Nearly all that a package may have unpacked, in 2 000 small files and 49 large ones."""
    files = {"app.py": HANDLER}
    files |= {f"many/{number}": f"file {number}\n" for number in range(2_000)}
    files |= {f"large/{number}": bytes(5 * MEGABYTE) for number in range(49)}
    return package(files)


def unpacked(server):
    """What lies unpacked: each directory's name with the identity that a second unpacking would change."""
    with os.scandir(server.data_dir / "worker" / "code") as found:
        return {entry.name: (entry.inode(), entry.stat().st_ctime_ns) for entry in found}


def test_a_large_package_is_unpacked_once_whoever_calls_and_however_often(servers, python, large):
    server = servers("--standby", "0").start()
    user = Aws(server)
    user.create("large", large, python, MemorySize=256)
    user.create("twin", large, python, MemorySize=256)
    call = lambda name: user.invoke(name, {}).payload
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, ["large", "twin"] * 4))
    assert all(answer[:2] == [2_000, 5 * MEGABYTE] for answer in answers)
    [(name, identity)] = unpacked(server).items()
    assert len(name) == 64
    # Another cold start, of a changed function, finds it; so does another server on the same data.
    user.functions.update_function_configuration(FunctionName="large", Description="changed")
    user.settled("large")
    assert call("large")[2] not in [answer[2] for answer in answers]
    assert unpacked(server) == {name: identity}
    server.stop()
    server.start()
    assert Aws(server).invoke("large", {}).payload[:2] == [2_000, 5 * MEGABYTE]
    assert unpacked(server) == {name: identity}


def test_a_package_that_was_changed_on_disk_runs_nowhere(servers, python):
    server = servers("--standby", "0").start()
    user = Aws(server)
    code = "def handler(event, context): return 1\n"
    user.create("changed", code, python)
    [digest] = unpacked(server)
    server.stop()
    # Nothing is unpacked, and what would be is not what was deployed.
    place = server.data_dir / "packages" / digest[:2] / digest
    content = place.read_bytes()
    place.chmod(0o600)
    place.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.rename(server.data_dir / "worker" / "code" / digest, server.place / "aside")
    server.start()
    user = Aws(server)
    answer = user.functions.get_function_configuration(FunctionName="changed")
    assert answer["State"] == "Active"
    refused = user.invoke("changed", {})
    assert (refused.error, refused.payload["errorType"]) == ("Unhandled", "Sandbox.Failure"), refused
    assert unpacked(server) == {}
    place.write_bytes(content)
    eventually(lambda: user.invoke("changed", {}).payload == 1, "it runs again")
