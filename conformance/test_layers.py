"""Layers: published, listed, deleted, and what functions find of them under /opt."""

import base64
import datetime
import json
import re
import time
import urllib.request

import pytest

from harness.clients import Aws
from harness.code import ECHO, ROLE, digest, package
from harness.waiting import eventually

OTHER_ACCOUNT = "111111111111"
LOOK = """
import os, subprocess

def handler(event, context):
    if "read" in event:
        return {path: open(path).read() for path in event["read"]}
    if "list" in event:
        return sorted(os.listdir(event["list"]))
    if "run" in event:
        return subprocess.run(event["run"], capture_output=True, text=True, check=True).stdout
    if "write" in event:
        try:
            open(event["write"], "w")
        except OSError as error:
            return error.strerror
    return "written"
"""


def arn(name, version=None, account="000000000000"):
    layer = f"arn:aws:lambda:us-east-1:{account}:layer:{name}"
    return layer if version is None else f"{layer}:{version}"


def publish(aws, name, files, **more):
    """Publishes a version; its ARN."""
    zipped = files if isinstance(files, bytes) else package(files)
    published = aws.functions.publish_layer_version(
        LayerName=name, Content={"ZipFile": zipped}, **more
    )
    return published["LayerVersionArn"]


def set_layers(aws, function, layers):
    aws.functions.update_function_configuration(FunctionName=function, Layers=layers)
    return aws.settled(function)


def unpacked(server):
    """The directories of unpacked packages."""
    return {path.name for path in (server.data_dir / "worker" / "code").iterdir()}


def test_a_layer_is_published_and_used_by_the_cli(aws, python, tmp_path):
    zipped = package({"python/greeting.py": "TEXT = 'from a layer'\n"})
    (tmp_path / "layer.zip").write_bytes(zipped)
    code = "import greeting\ndef handler(event, context):\n    return greeting.TEXT\n"
    (tmp_path / "function.zip").write_bytes(package({"app.py": code}))
    published = aws.cli(
        *("lambda", "publish-layer-version", "--layer-name", "greeting", "--license-info", "MIT"),
        *("--zip-file", f"fileb://{tmp_path / 'layer.zip'}", "--description", "a module"),
        *("--compatible-runtimes", python, "--compatible-architectures", "x86_64", "arm64"),
    )
    location = published["Content"].pop("Location")
    created = published.pop("CreatedDate")
    assert published == {
        "Content": {"CodeSha256": digest(zipped), "CodeSize": len(zipped)},
        "LayerArn": arn("greeting"),
        "LayerVersionArn": arn("greeting", 1),
        "Description": "a module",
        "Version": 1,
        "CompatibleRuntimes": [python],
        "LicenseInfo": "MIT",
        "CompatibleArchitectures": ["x86_64", "arm64"],
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", created)
    moment = datetime.datetime.strptime(created, "%Y-%m-%dT%H:%M:%S.%f%z")
    assert abs(moment.timestamp() - time.time()) < 60
    with urllib.request.urlopen(location, timeout=30) as answer:
        assert answer.read() == zipped
    function = aws.cli(
        *("lambda", "create-function", "--function-name", "greeter", "--runtime", python),
        *("--handler", "app.handler", "--role", ROLE, "--layers", arn("greeting", 1)),
        *("--zip-file", f"fileb://{tmp_path / 'function.zip'}"),
    )
    assert function["Layers"] == [{"Arn": arn("greeting", 1), "CodeSize": len(zipped)}]
    aws.cli("lambda", "wait", "function-active-v2", "--function-name", "greeter")
    out = tmp_path / "out.json"
    aws.cli("lambda", "invoke", "--function-name", "greeter", str(out))
    assert json.loads(out.read_text()) == "from a layer"
    listed = aws.cli("lambda", "list-functions", "--query", "Functions[?FunctionName=='greeter'].Layers")
    assert listed == [[{"Arn": arn("greeting", 1), "CodeSize": len(zipped)}]]


def test_later_layers_cover_earlier_ones_and_directories_are_merged(aws, python):
    one = publish(aws, "one", {"lib/a": "1", "lib/both": "1", "python/app_part.py": "N = 1\n"})
    two = publish(aws, "two", {"lib/b": "2", "lib/both": "2", "python/other.py": "N = 2\n"})
    same = publish(aws, "same", {"lib/a": "1", "lib/both": "1", "python/app_part.py": "N = 1\n"})
    aws.create("merged", LOOK, python, Layers=[one, two])
    both = {"read": ["/opt/lib/both"]}
    assert aws.invoke("merged", {"list": "/opt/lib"}).payload == ["a", "b", "both"]
    assert aws.invoke("merged", {"list": "/opt/python"}).payload == ["app_part.py", "other.py"]
    assert aws.invoke("merged", both).payload == {"/opt/lib/both": "2"}
    assert [layer["Arn"] for layer in set_layers(aws, "merged", [two, one])["Layers"]] == [two, one]
    assert aws.invoke("merged", both).payload == {"/opt/lib/both": "1"}
    set_layers(aws, "merged", [same, two, one])
    assert aws.invoke("merged", both).payload == {"/opt/lib/both": "1"}
    # A change of something else leaves them.
    aws.functions.update_function_configuration(FunctionName="merged", Timeout=9)
    assert len(aws.settled("merged")["Layers"]) == 3
    aws.update_code("merged", LOOK + "\n")
    assert len(aws.settled("merged")["Layers"]) == 3
    assert "Layers" not in set_layers(aws, "merged", [])
    assert aws.invoke("merged", {"list": "/opt"}).payload == []


def test_layers_can_only_be_read(aws, python):
    layers = [publish(aws, f"closed-{n}", {f"lib/{n}": "x"}) for n in range(5)]
    aws.create("closed", LOOK, python, Layers=layers)
    for path in ("/opt/new", "/opt/lib/new", "/opt/lib/0"):
        assert aws.invoke("closed", {"write": path}).payload in (
            "Read-only file system",
            "Permission denied",
        )
    set_layers(aws, "closed", layers[:1])
    assert aws.invoke("closed", {"write": "/opt/lib/0"}).payload in (
        "Read-only file system",
        "Permission denied",
    )
    mounts = aws.invoke("closed", {"read": ["/proc/self/mountinfo"]}).payload["/proc/self/mountinfo"]
    opt = next(line for line in mounts.splitlines() if line.split()[4] == "/opt")
    assert opt.split()[5].startswith("ro,nosuid,nodev")


def test_a_program_in_opt_bin_is_found_by_its_name(aws, python):
    tool = publish(aws, "tool", {"bin/tool": "#!/bin/sh\necho the tool says $1\n"})
    data = publish(aws, "tool-data", {"data/x": "y"})
    for name, layers in (("tool-alone", [tool]), ("tool-merged", [tool, data])):
        aws.create(name, LOOK, python, Layers=layers)
        assert aws.invoke(name, {"run": ["tool", "hello"]}).payload == "the tool says hello\n"


def test_a_node_module_of_a_layer_is_required(aws, node):
    module = "exports.text = 'from a layer'\n"
    layer = publish(aws, "node-module", {"nodejs/node_modules/greeting/index.js": module})
    code = "exports.handler = async () => require('greeting').text\n"
    aws.create("requiring", {"index.js": code}, node, handler="index.handler", Layers=[layer])
    assert aws.invoke("requiring").payload == "from a layer"


BOOTSTRAP = """#!/usr/bin/env bash
api="http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation"
while true; do
    exec 3<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API%:*}/${AWS_LAMBDA_RUNTIME_API#*:}"
    printf 'GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' >&3
    id=$(cat <&3 | tr -d '\\r' | sed -n 's/^[Ll]ambda-[Rr]untime-[Aa]ws-[Rr]equest-[Ii]d: //p')
    exec 3<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API%:*}/${AWS_LAMBDA_RUNTIME_API#*:}"
    printf 'POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\nContent-Length: 22\\r\\n\\r\\n"bootstrap of a layer"' "$id" >&3
    cat <&3 >/dev/null
done
"""


def test_a_runtime_comes_in_a_layer(aws):
    layer = publish(aws, "runtime", {"bootstrap": BOOTSTRAP})
    aws.create("brought", {"data": "x"}, "provided.al2023", handler="any", Layers=[layer])
    assert aws.invoke("brought").payload == "bootstrap of a layer"


def test_a_deleted_version_serves_on_and_is_not_to_be_had_anew(python, servers):
    server = servers().start()
    aws = Aws(server)
    held = publish(aws, "passing", {"x": "still here"})
    aws.create("holder", LOOK, python, Layers=[held])
    for _ in range(2):
        deleted = aws.functions.delete_layer_version(LayerName="passing", VersionNumber=1)
        assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    gone = 404, "ResourceNotFoundException", "The resource you requested does not exist."
    assert aws.refused("lambda", "get_layer_version", LayerName="passing", VersionNumber=1) == gone
    assert aws.functions.list_layers()["Layers"] == []
    missing = 400, "InvalidParameterValueException", f"Layer version {held} does not exist."
    create = {"FunctionName": "late", "Runtime": python, "Handler": "app.handler", "Role": ROLE}
    create |= {"Code": {"ZipFile": package({"app.py": ECHO})}, "Layers": [held]}
    assert aws.refused("lambda", "create_function", **create) == missing
    update = {"FunctionName": "holder", "Layers": [held]}
    assert aws.refused("lambda", "update_function_configuration", **update) == missing
    read = {"read": ["/opt/x"]}
    assert aws.invoke("holder", read).payload == {"/opt/x": "still here"}
    server.kill()
    server.start()
    aws = Aws(server)
    assert aws.invoke("holder", read).payload == {"/opt/x": "still here"}
    # Its package is still there too: the unpacked one may be lost at any time.
    aws.functions.update_function_configuration(FunctionName="holder", MemorySize=256)
    aws.settled("holder")
    assert aws.invoke("holder", read).payload == {"/opt/x": "still here"}
    assert publish(aws, "passing", {"x": "new"}) == arn("passing", 2)


def test_a_layer_of_many_functions_is_unpacked_once(server, aws, python):
    zipped = package({"shared": "x" * 1000, "mark": str(time.time())})
    layers = [publish(aws, "shared", zipped), publish(aws, "shared-too", zipped)]
    before = unpacked(server)
    for name, layer in (("sharing-1", layers[0]), ("sharing-2", layers[0]), ("sharing-3", layers[1])):
        aws.create(name, LOOK, python, Layers=[layer])
        assert aws.invoke(name, {"list": "/opt"}).payload == ["mark", "shared"]
    # One for the code, which is the same in all, if it is new; one for the layer.
    assert len(unpacked(server) - before) <= 2


def test_versions_and_layers_are_listed_in_pages(aws):
    for number in range(1, 8):
        runtimes = ["python3.12"] if number % 2 else ["nodejs22.x", "python3.13"]
        publish(aws, "many", {"n": str(number)}, CompatibleRuntimes=runtimes, Description=str(number))
    page = aws.functions.list_layer_versions(LayerName="many", MaxItems=3)
    assert [version["Version"] for version in page["LayerVersions"]] == [7, 6, 5]
    assert page["LayerVersions"][0].keys() == {
        *("LayerVersionArn", "Version", "Description", "CreatedDate", "CompatibleRuntimes"),
    }
    pages = aws.functions.get_paginator("list_layer_versions").paginate(
        LayerName=arn("many"), PaginationConfig={"PageSize": 3}
    )
    assert [v["Version"] for page in pages for v in page["LayerVersions"]] == [7, 6, 5, 4, 3, 2, 1]
    node = aws.functions.list_layer_versions(LayerName="many", CompatibleRuntime="nodejs22.x")
    assert [version["Version"] for version in node["LayerVersions"]] == [6, 4, 2]
    assert aws.functions.list_layer_versions(LayerName="nowhere")["LayerVersions"] == []
    for number in range(55):
        publish(aws, f"paged-{number:03}", {"n": "x"}, CompatibleArchitectures=["arm64"])
    pages = list(aws.functions.get_paginator("list_layers").paginate(CompatibleArchitecture="arm64"))
    assert [len(page["Layers"]) for page in pages][0] == 50
    names = [layer["LayerName"] for page in pages for layer in page["Layers"]]
    assert [name for name in names if name.startswith("paged-")] == [f"paged-{n:03}" for n in range(55)]
    matching = {
        layer["LayerName"]: layer["LatestMatchingVersion"]["Version"]
        for page in aws.functions.get_paginator("list_layers").paginate(CompatibleRuntime="python3.12")
        for layer in page["Layers"]
    }
    assert matching["many"] == 7
    by_cli = aws.cli("lambda", "list-layer-versions", "--layer-name", "many", "--max-items", "2")
    assert [version["Version"] for version in by_cli["LayerVersions"]] == [7, 6]


def test_a_version_is_read_by_name_and_by_arn(aws):
    version = publish(aws, "read", {"x": "y"})
    by_name = aws.functions.get_layer_version(LayerName="read", VersionNumber=1)
    by_layer = aws.functions.get_layer_version(LayerName=arn("read"), VersionNumber=1)
    by_arn = aws.functions.get_layer_version_by_arn(Arn=version)
    for answer in (by_name, by_layer, by_arn):
        assert answer["LayerVersionArn"] == version
        assert answer["Content"]["CodeSha256"] == by_name["Content"]["CodeSha256"]
        assert "LicenseInfo" not in answer and answer["Description"] == ""


INVALID = "InvalidParameterValueException"


def test_what_cannot_be_is_refused_in_lambdas_words(aws, python):
    version = publish(aws, "words", {"x": "y"})
    second = publish(aws, "words", {"x": "z"})
    below = 400, INVALID, "Layer Version Cannot be less than 1"
    for operation in ("get_layer_version", "delete_layer_version"):
        for number in (0, -1):
            wrong = {"LayerName": "words", "VersionNumber": number}
            assert aws.refused("lambda", operation, **wrong) == below
    gone = 404, "ResourceNotFoundException", "The resource you requested does not exist."
    assert aws.refused("lambda", "get_layer_version", LayerName="words", VersionNumber=9) == gone
    assert aws.refused("lambda", "get_layer_version_by_arn", Arn=arn("none", 1)) == gone
    aws.create("worded", ECHO, python)
    for layers, text in (
        ([arn(f"l{n}", 1) for n in range(6)], "Cannot reference more than 5 layers."),
        ([arn("none", 1)], f"Layer version {arn('none', 1)} does not exist."),
        (
            [version, second],
            "Two different versions of the same layer are not allowed to be referenced in the same "
            f"function. {version} and {second} are versions of the same layer.",
        ),
        (
            [version, version],
            "Two different versions of the same layer are not allowed to be referenced in the same "
            f"function. {version} and {version} are versions of the same layer.",
        ),
        (
            [version.replace("us-east-1", "eu-west-1")],
            "Layers are not in the same region as the function. "
            "Layers are expected to be in region us-east-1.",
        ),
    ):
        refused = aws.refused(
            "lambda", "update_function_configuration", FunctionName="worded", Layers=layers
        )
        assert refused == (400, INVALID, text)
    status, code, text = aws.refused(
        "lambda", "update_function_configuration", FunctionName="worded", Layers=[arn("words")]
    )
    assert (status, code) == (400, "ValidationException")
    assert f"Value '[{arn('words')}]' at 'layers' failed to satisfy constraint" in text
    assert "Layers" not in aws.settled("worded")


def test_a_layer_that_is_no_zip_is_refused(aws):
    content = {"Content": {"ZipFile": b"no zip"}, "LayerName": "broken"}
    status, code, text = aws.refused("lambda", "publish_layer_version", **content)
    assert (status, code) == (400, INVALID)
    assert text == "Could not unzip uploaded file. Please check your file, then try to upload again."
    assert aws.functions.list_layer_versions(LayerName="broken")["LayerVersions"] == []


def test_code_and_layers_together_have_a_limit(aws, python):
    megabytes = bytes(1 << 20)
    half = package({"zeros": megabytes * 130})
    layers = [publish(aws, "half", half)]
    exact = 262144000 - (130 << 20)
    text = "Unzipped size must be smaller than 262144000 bytes"
    aws.create("full", {"app.py": ECHO, "zeros": bytes(exact - len(ECHO))}, python, Layers=layers)
    more = {"FunctionName": "full", "ZipFile": package({"app.py": ECHO, "zeros": bytes(exact)})}
    assert aws.refused("lambda", "update_function_code", **more) == (400, INVALID, text)
    layers.append(publish(aws, "straw", {"x": "y"}))
    more = {"FunctionName": "full", "Layers": layers}
    assert aws.refused("lambda", "update_function_configuration", **more) == (400, INVALID, text)
    create = {"FunctionName": "fuller", "Runtime": python, "Handler": "app.handler", "Role": ROLE}
    create |= {"Code": {"ZipFile": half}, "Layers": layers}
    assert aws.refused("lambda", "create_function", **create) == (400, INVALID, text)


@pytest.fixture
def stranger(aws, server):
    """Asks as another account; the status and the answer."""

    def ask(method, path, body=None):
        authorization = (
            f"AWS4-HMAC-SHA256 Credential={OTHER_ACCOUNT}/20260101/us-east-1/lambda/aws4_request, "
            "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64
        )
        headers = {"Authorization": authorization, "X-Amz-Date": "20260101T000000Z"}
        status, _, answer = server.request(method, path, headers=headers, body=body)
        return status, json.loads(answer or b"{}")

    return ask


def test_a_layer_is_open_to_whom_its_policy_names(aws, python, stranger):
    version = publish(aws, "opened", {"x": "y"})
    by_arn = f"/2018-10-31/layers?find=LayerVersion&Arn={version}"
    function = {
        "FunctionName": "guest",
        "Runtime": python,
        "Handler": "app.handler",
        "Role": ROLE,
        "Code": {"ZipFile": base64.b64encode(package({"app.py": ECHO})).decode()},
        "Layers": [version],
    }
    create = "POST", "/2015-03-31/functions", json.dumps(function)
    assert stranger("GET", by_arn)[0] == 403
    status, answer = stranger(*create)
    assert status == 403 and "not authorized to perform: lambda:GetLayerVersion" in answer["Message"]
    key = {"LayerName": "opened", "VersionNumber": 1}
    permission = {"Action": "lambda:GetLayerVersion", "Principal": OTHER_ACCOUNT}
    refused = aws.refused("lambda", "get_layer_version_policy", **key)
    assert refused == (
        *(404, "ResourceNotFoundException"),
        "No policy is associated with the given resource.",
    )
    added = aws.functions.add_layer_version_permission(StatementId="s1", **key, **permission)
    statement = {
        "Sid": "s1",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"},
        "Action": "lambda:GetLayerVersion",
        "Resource": version,
    }
    assert json.loads(added["Statement"]) == statement
    shown = aws.functions.get_layer_version_policy(**key)
    assert json.loads(shown["Policy"]) == {
        "Version": "2012-10-17",
        "Id": "default",
        "Statement": [statement],
    }
    assert shown["RevisionId"] == added["RevisionId"]
    assert stranger("GET", by_arn)[1]["LayerVersionArn"] == version
    status, answer = stranger(*create)
    assert (status, [layer["Arn"] for layer in answer["Layers"]]) == (201, [version])
    again = aws.refused("lambda", "add_layer_version_permission", StatementId="s1", **key, **permission)
    assert again == (
        *(409, "ResourceConflictException"),
        "The statement id (s1) provided already exists. Please provide a new statement id, or "
        "remove the existing statement.",
    )
    stale = {"RevisionId": "11111111-2222-4333-8444-555555555555"}
    refused = aws.refused("lambda", "remove_layer_version_permission", StatementId="s1", **key, **stale)
    assert refused[:2] == (412, "PreconditionFailedException")
    refused = aws.refused("lambda", "remove_layer_version_permission", StatementId="s2", **key)
    assert refused[2] == "Statement s2 is not found in resource policy."
    aws.functions.remove_layer_version_permission(
        StatementId="s1", RevisionId=added["RevisionId"], **key
    )
    assert stranger("GET", by_arn)[0] == 403
    missing = {"LayerName": "opened", "VersionNumber": 9, "StatementId": "s", **permission}
    refused = aws.refused("lambda", "add_layer_version_permission", **missing)
    assert refused[2] == f"Layer version {arn('opened', 9)} does not exist."
    # Nobody else publishes, deletes or opens it.
    assert stranger("DELETE", f"/2018-10-31/layers/{arn('opened')}/versions/1")[0] == 403
    assert aws.functions.get_layer_version(**key)["LayerVersionArn"] == version


def test_usage_counts_layers(aws):
    before = aws.functions.get_account_settings()["AccountUsage"]["TotalCodeSize"]
    zipped = package({"x": "counted"})
    publish(aws, "counted", zipped)
    after = aws.functions.get_account_settings()["AccountUsage"]["TotalCodeSize"]
    assert after == before + len(zipped)
    aws.functions.delete_layer_version(LayerName="counted", VersionNumber=1)
    left = aws.functions.get_account_settings()["AccountUsage"]["TotalCodeSize"]
    assert left == before


def test_an_update_of_layers_ends_warm_environments(aws, python):
    versions = [publish(aws, "changing", {"x": text}) for text in ("old", "new")]
    aws.create("changed", LOOK, python, Layers=versions[:1])
    read = {"read": ["/opt/x"]}
    assert aws.invoke("changed", read).payload == {"/opt/x": "old"}
    set_layers(aws, "changed", versions[1:])
    assert aws.invoke("changed", read).payload == {"/opt/x": "new"}

    def ended():
        lives = aws.server.lives("changed")
        return len(lives) == 2 and lives[0]["ended"] and not lives[1]["ended"]

    eventually(ended, "the environment with the old layer has ended")
