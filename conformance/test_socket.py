"""The Unix socket beside the port: the same server, for its own user alone."""

import http.client
import os
import socket
import stat

from harness.clients import Aws


class Local(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def call(path, name, body=b'{"n":1}'):
    connection = Local(path)
    connection.request("POST", f"/2015-03-31/functions/{name}/invocations", body)
    answer = connection.getresponse()
    said = answer.status, answer.read()
    connection.close()
    return said


def test_functions_are_invoked_by_a_socket_that_is_its_users_and_goes_with_the_server(servers, tmp_path, python):
    path = tmp_path / "dormouse.sock"
    server = servers("--socket", str(path)).start()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    Aws(server).create("local", "def handler(event, context): return event\n", python)
    assert [call(path, "local") for _ in range(2)] == [(200, b'{"n": 1}')] * 2
    assert call(path, "nobody")[0] == 404
    status, said = servers("--socket", str(path)).refusal()
    assert status != 0 and "another server listens there" in said
    # A killed server leaves its name behind, and the next one takes it.
    server.kill()
    assert path.exists()
    server.start()
    assert call(path, "local") == (200, b'{"n": 1}')
    server.stop()
    assert not path.exists()


def test_what_is_no_socket_is_left_alone(servers, tmp_path):
    path = tmp_path / "precious"
    path.write_text("kept")
    status, said = servers("--socket", str(path)).refusal()
    assert status != 0 and "no socket" in said
    assert path.read_text() == "kept"
