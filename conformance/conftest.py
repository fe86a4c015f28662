"""Fixtures: a server for each file of tests, its clients, and the orphan check at its end."""

import pytest

from harness.clients import Aws
from harness.extensions import with_extensions
from harness.runtimes import managed
from harness.server import Server


@pytest.fixture(scope="module")
def server_flags():
    """What this file's server is started with besides; files override it."""
    return ()


@pytest.fixture(scope="module")
def server(tmp_path_factory, server_flags):
    """A running server; when the file is done it must stop cleanly and leave nothing."""
    started = Server(tmp_path_factory.mktemp("server"), *server_flags).start()
    try:
        yield started
        started.stop()
    finally:
        started.abandon()


@pytest.fixture(scope="module")
def aws(server):
    """A user of this file's server."""
    return Aws(server)


@pytest.fixture(scope="session")
def python():
    """A Python runtime of this machine."""
    return managed("python")


@pytest.fixture(scope="module")
def interpreter(aws, python):
    """The program that Python extensions name in their first line."""
    code = "import sys, os\ndef handler(event, context): return os.path.realpath(sys.executable)\n"
    return aws.invoke(aws.create("interpreter", code, python)).payload


@pytest.fixture
def extended(aws, python, interpreter):
    """Creates a function with extensions, each a name and its program."""

    def create(name, programs, code, **more):
        return with_extensions(aws, python, interpreter, name, programs, code, **more)

    return create


@pytest.fixture(scope="session")
def node():
    """A Node runtime of this machine."""
    return managed("nodejs")


@pytest.fixture
def servers(tmp_path):
    """Makes servers for tests that stop, kill and start their own; checks each at the end."""
    made = []

    def make(*flags, place=None):
        made.append(Server(place or tmp_path / f"server{len(made)}", *flags))
        return made[-1]

    try:
        yield make
        for server in made:
            if server.is_running():
                server.stop()
    finally:
        for server in made:
            server.abandon()
