"""Code that is a directory of the machine: a change is seen by the next invocation, whatever the runtime."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from harness import programs
from harness.clients import Aws
from harness.code import ROLE, package

IPV = "InvalidParameterValueException"
PYTHON = """
import os
from lib import word
def handler(event, context):
    return [{said!r}, word.WORD, context.log_stream_name]
"""
NODE = """
const word = require('./lib/word.js');
exports.handler = async (event, context) => [{said!r}, word, context.logStreamName];
"""


@pytest.fixture(scope="module")
def place():
    """The directory that the operator allows. Not pytest's own, whose parents are closed to others."""
    with tempfile.TemporaryDirectory() as made:
        path = Path(made).resolve()
        path.chmod(0o755)
        (path / "allowed").mkdir()
        (path / "secret").mkdir()
        (path / "secret" / "app.py").write_text("def handler(event, context): return 'secret'\n")
        yield path


@pytest.fixture(scope="module")
def server_flags(place):
    return ("--hot-reload", str(place / "allowed"))


def code(path):
    return {"S3Bucket": "hot-reload", "S3Key": str(path)}


def source(place, name, files):
    """A directory below the allowed one."""
    directory = place / "allowed" / name
    for file, text in files.items():
        path = directory / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text) if isinstance(text, str) else path.write_bytes(text)
    return directory


def create(aws, name, path, runtime, handler="app.handler", **more):
    created = aws.functions.create_function(
        FunctionName=name, Runtime=runtime, Handler=handler, Role=ROLE, Code=code(path), **more
    )
    aws.settled(name)
    return created


def python_files(said, word):
    return {"app.py": PYTHON.format(said=said), "lib/word.py": f"WORD = {word!r}\n"}


def test_each_change_gives_a_fresh_environment_and_no_change_a_warm_one(aws, place, python):
    directory = source(place, "py", python_files("one", "a"))
    create(aws, "py", directory, python)
    said, word, first = aws.invoke("py").payload
    assert (said, word) == ("one", "a")
    assert aws.invoke("py").payload == ["one", "a", first], "nothing changed"
    source(place, "py", {"app.py": PYTHON.format(said="two")})
    said, word, second = aws.invoke("py").payload
    assert (said, word) == ("two", "a") and second != first
    source(place, "py", {"lib/word.py": "WORD = 'b'\n"})
    said, word, third = aws.invoke("py").payload
    assert (said, word) == ("two", "b") and third not in (first, second)
    assert aws.invoke("py").payload[2] == third
    # As editors save: a new file takes the place of the old one.
    new = directory / "app.py~"
    new.write_text(PYTHON.format(said="three"))
    os.replace(new, directory / "app.py")
    assert aws.invoke("py").payload[0] == "three"
    # As build tools do: the whole directory is another.
    shutil.rmtree(directory)
    source(place, "py", python_files("four", "d"))
    said, word, _ = aws.invoke("py").payload
    assert (said, word) == ("four", "d")


def test_many_callers_after_a_change_all_see_it(aws, place, python):
    slow = PYTHON.replace("import os", "import os, time").replace("return", "time.sleep(0.2); return")
    source(place, "many", {"app.py": slow.format(said="old"), "lib/word.py": "WORD = 1\n"})
    create(aws, "many", place / "allowed" / "many", python)
    assert {answer.payload[0] for answer in aws.invoke_many("many", [{}] * 4)} == {"old"}
    source(place, "many", {"app.py": slow.format(said="new")})
    assert {answer.payload[0] for answer in aws.invoke_many("many", [{}] * 8)} == {"new"}


def test_node_and_own_runtimes_see_changes_too(aws, place, node):
    files = {"app.js": NODE.format(said="one"), "lib/word.js": "module.exports = 'a';\n"}
    directory = source(place, "js", files)
    create(aws, "js", directory, node)
    said, word, first = aws.invoke("js").payload
    assert (said, word) == ("one", "a")
    source(place, "js", {"lib/word.js": "module.exports = 'b';\n"})
    said, word, second = aws.invoke("js").payload
    assert (said, word) == ("one", "b") and second != first

    program = (programs.directory() / "test-runtime").read_bytes()
    directory = source(place, "own", {"bootstrap": program, "text": "one"})
    (directory / "bootstrap").chmod(0o755)
    create(aws, "own", directory, programs.RUNTIME)
    stream = {"mode": "report"}
    first = aws.invoke("own", stream).payload["variables"]["AWS_LAMBDA_LOG_STREAM_NAME"]
    assert aws.invoke("own", stream).payload["variables"]["AWS_LAMBDA_LOG_STREAM_NAME"] == first
    (directory / "text").write_text("two")
    second = aws.invoke("own", stream).payload["variables"]["AWS_LAMBDA_LOG_STREAM_NAME"]
    assert second != first


def test_the_directory_is_shown_as_what_it_is(aws, place, python):
    directory = source(place, "shown", python_files("x", "y"))
    created = create(aws, "shown", directory, python)
    assert created["PackageType"] == "Zip" and created["CodeSize"] == 0
    # Tools that look for this text do not try to download the code.
    assert created["CodeSha256"] == "hot-reloading-hash-not-available"
    found = aws.functions.get_function(FunctionName="shown")
    assert found["Code"] == {"RepositoryType": "File", "Location": f"file://{directory}"}
    used = aws.functions.get_account_settings()["AccountUsage"]
    assert used["TotalCodeSize"] == 0
    listed = aws.cli("lambda", "get-function", "--function-name", "shown")
    assert listed["Code"]["Location"] == f"file://{directory}"


def test_code_cannot_be_written_from_inside(aws, place, python):
    writes = "def handler(event, context):\n    open('/var/task/x', 'w')\n"
    source(place, "writes", {"app.py": writes})
    create(aws, "writes", place / "allowed" / "writes", python)
    answer = aws.invoke("writes")
    assert answer.error == "Unhandled" and answer.payload["errorType"] == "OSError"
    assert "Read-only file system" in answer.payload["errorMessage"]


def test_a_directory_is_not_published(aws, place, python):
    directory = source(place, "unpublished", python_files("x", "y"))
    text = (
        "A function whose code is a directory cannot be published, because its code changes: update "
        "its code with a deployment package first."
    )
    named = {"FunctionName": "unpublished", "Runtime": python, "Handler": "app.handler", "Role": ROLE}
    assert aws.refused("lambda", "create_function", **named, Code=code(directory), Publish=True) == (400, IPV, text)
    create(aws, "unpublished", directory, python)
    assert aws.refused("lambda", "publish_version", FunctionName="unpublished") == (400, IPV, text)
    update = code(directory) | {"FunctionName": "unpublished", "Publish": True}
    assert aws.refused("lambda", "update_function_code", **update) == (400, IPV, text)


def test_code_moves_between_packages_and_directories(aws, place, python):
    zipped = {"app.py": PYTHON.format(said="zip"), "lib/word.py": "WORD = 0\n"}
    aws.create("moves", zipped, python)
    assert aws.invoke("moves").payload[0] == "zip"
    directory = source(place, "moves", python_files("directory", "x"))
    aws.functions.update_function_code(FunctionName="moves", **code(directory))
    aws.settled("moves")
    assert aws.invoke("moves").payload[0] == "directory"
    aws.functions.update_function_code(FunctionName="moves", ZipFile=package(zipped))
    aws.settled("moves")
    assert aws.invoke("moves").payload[0] == "zip"
    aws.functions.publish_version(FunctionName="moves")


def test_what_is_not_allowed_is_refused_with_what_to_do(aws, place, python):
    allowed = place / "allowed"
    source(place, "there", python_files("x", "y"))
    (allowed / "file").write_text("")
    (allowed / "out").symlink_to(place / "secret")
    (allowed / "in").symlink_to(allowed / "there")
    closed = source(place, "closed", python_files("x", "y"))
    closed.chmod(0o750)
    for path, reason, advice in [
        (place / "secret", f"is not below any of {allowed}", "start the server with --hot-reload"),
        ("/etc", f"is not below any of {allowed}", "start the server with --hot-reload"),
        (f"{allowed}/../secret", "is not a plain absolute path", 'without ".."'),
        ("allowed/there", "is not a plain absolute path", "give an absolute path"),
        (allowed / "out", "leads through a symbolic link", "that the link leads to"),
        (allowed / "in", "leads through a symbolic link", "that the link leads to"),
        (allowed / "in" / "lib", "leads through a symbolic link", "that the link leads to"),
        (allowed / "none", "does not exist", "create it"),
        (allowed / "file", "is not a directory", "the directory that holds the code"),
        (closed, "cannot be read by everybody", "chmod o+rx"),
    ]:
        named = {"FunctionName": "refused", "Runtime": python, "Handler": "app.handler", "Role": ROLE}
        status, error, text = aws.refused("lambda", "create_function", **named, Code=code(path))
        assert (status, error) == (400, IPV), path
        assert reason in text and advice in text, (path, text)
    layer = {"LayerName": "l", "Content": code(allowed / "there")}
    status, error, text = aws.refused("lambda", "publish_layer_version", **layer)
    assert (status, error) == (400, IPV) and "Only a function's code" in text
    assert aws.refused("lambda", "get_function", FunctionName="refused")[0] == 404


def test_a_link_in_place_of_the_directory_leads_nowhere(aws, place, python):
    directory = source(place, "swapped", python_files("mine", "x"))
    create(aws, "swapped", directory, python)
    assert aws.invoke("swapped").payload[0] == "mine"
    shutil.rmtree(directory)
    directory.symlink_to(place / "secret")
    assert aws.invoke("swapped").error == "Unhandled"
    aws.wait_for_log("swapped", "leads through a symbolic link")
    directory.unlink()
    source(place, "swapped", python_files("mine again", "x"))
    assert aws.invoke("swapped").payload[0] == "mine again"


def test_it_is_off_unless_the_operator_allows_it_and_stays_over_a_restart(servers, place, python):
    directory = source(place, "kept", python_files("one", "x"))
    server = servers("--hot-reload", str(place / "allowed")).start()
    create(Aws(server), "kept", directory, python)
    assert Aws(server).invoke("kept").payload[0] == "one"
    server.kill()
    source(place, "kept", {"app.py": PYTHON.format(said="two")})
    aws = Aws(server.start())
    assert aws.invoke("kept").payload[0] == "two"
    server.stop()
    server.flags = [flag for flag in server.flags if flag not in ("--hot-reload", str(place / "allowed"))]
    aws = Aws(server.start())
    assert aws.invoke("kept").error == "Unhandled"
    aws.wait_for_log("kept", "no directory of this machine may be used")
    named = {"FunctionName": "no", "Runtime": python, "Handler": "app.handler", "Role": ROLE}
    status, error, text = aws.refused("lambda", "create_function", **named, Code=code(directory))
    assert (status, error) == (400, IPV) and "start the server with --hot-reload" in text


def test_a_directory_that_is_not_there_is_named_at_the_start(servers):
    status, said = servers().refusal("--hot-reload", "/nowhere/at/all")
    assert status != 0 and "--hot-reload" in said and "/nowhere/at/all" in said
