"""The life of a function through the control plane: created, read, changed, listed, deleted."""

import concurrent.futures
import datetime
import re
import time
import urllib.error
import urllib.request

import pytest

from harness.code import ECHO, ROLE, digest, package
from harness.waiting import eventually

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ANSWER = "def handler(event, context):\n    return {answer!r}\n"


def arn(name):
    return f"arn:aws:lambda:us-east-1:000000000000:function:{name}"


@pytest.fixture(scope="module")
def zip_file(tmp_path_factory):
    """A package on disk, as CLI users have it."""
    path = tmp_path_factory.mktemp("package") / "function.zip"
    path.write_bytes(package({"app.py": ECHO}))
    return path


def test_the_first_hour_by_the_cli(aws, python, zip_file, tmp_path):
    created = aws.cli(
        *("lambda", "create-function", "--function-name", "first-hour", "--runtime", python),
        *("--handler", "app.handler", "--role", ROLE, "--zip-file", f"fileb://{zip_file}"),
    )
    assert created["FunctionArn"] == arn("first-hour")
    assert created["State"] == "Pending"
    aws.cli("lambda", "wait", "function-exists", "--function-name", "first-hour")
    aws.cli("lambda", "wait", "function-active-v2", "--function-name", "first-hour")
    out = tmp_path / "out.json"
    invoked = aws.cli(
        *("lambda", "invoke", "--function-name", "first-hour", "--payload", '{"name": "you"}'),
        *("--log-type", "Tail", str(out)),
    )
    assert invoked["StatusCode"] == 200
    assert invoked["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in invoked
    assert out.read_text() == '{"name": "you"}'
    changed = aws.cli(
        *("lambda", "update-function-configuration", "--function-name", "first-hour"),
        *("--timeout", "7", "--environment", "Variables={COLOUR=blue}"),
    )
    assert (changed["Timeout"], changed["LastUpdateStatus"]) == (7, "InProgress")
    aws.cli("lambda", "wait", "function-updated-v2", "--function-name", "first-hour")
    names = aws.cli("lambda", "list-functions", "--query", "Functions[].FunctionName")
    assert "first-hour" in names
    aws.cli("lambda", "delete-function", "--function-name", "first-hour")
    status, _, errors = aws.cli_raw("lambda", "get-function", "--function-name", "first-hour")
    assert status != 0
    assert f"(ResourceNotFoundException) when calling the GetFunction operation: Function not found: {arn('first-hour')}" in errors


def test_the_answer_to_create_has_every_field_lambda_always_sends(aws, python):
    zipped = package({"app.py": ECHO})
    created = aws.functions.create_function(
        FunctionName="fields", Runtime=python, Handler="app.handler", Role=ROLE, Code={"ZipFile": zipped}
    )
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    expected = {
        "FunctionName": "fields",
        "FunctionArn": arn("fields"),
        "Runtime": python,
        "Role": ROLE,
        "Handler": "app.handler",
        "CodeSize": len(zipped),
        "CodeSha256": digest(zipped),
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "Version": "$LATEST",
        "TracingConfig": {"Mode": "PassThrough"},
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/fields"},
    }
    if created["Architectures"] == ["arm64"]:
        expected["Architectures"] = ["arm64"]
    assert {key: created.get(key) for key in expected} == expected
    assert UUID.fullmatch(created["RevisionId"])
    assert "LastUpdateStatus" not in created
    assert re.fullmatch(
        r"arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}",
        created["RuntimeVersionConfig"]["RuntimeVersionArn"],
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", created["LastModified"])
    modified = datetime.datetime.strptime(created["LastModified"], "%Y-%m-%dT%H:%M:%S.%f%z")
    assert abs(modified.timestamp() - time.time()) < 60


def test_the_waiters_of_boto3_see_a_function_become_active_and_updated(aws, python):
    aws.functions.create_function(
        FunctionName="waited",
        Runtime=python,
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": package({"app.py": ECHO})},
    )
    for waiter in ("function_exists", "function_active_v2"):
        aws.functions.get_waiter(waiter).wait(FunctionName="waited")
    active = aws.functions.get_function_configuration(FunctionName="waited")
    assert (active["State"], active["LastUpdateStatus"]) == ("Active", "Successful")
    assert "StateReason" not in active and "StateReasonCode" not in active
    changed = aws.functions.update_function_configuration(FunctionName="waited", Description="new")
    assert (changed["State"], changed["LastUpdateStatus"]) == ("Active", "InProgress")
    assert changed["LastUpdateStatusReasonCode"] == "Creating"
    assert changed["LastUpdateStatusReason"] == "The function is being created."
    aws.functions.get_waiter("function_updated_v2").wait(FunctionName="waited")
    settled = aws.functions.get_function(FunctionName="waited")["Configuration"]
    assert settled["LastUpdateStatus"] == "Successful"
    assert settled["Description"] == "new"


def test_every_change_has_a_revision_of_its_own(aws, python):
    create = aws.functions.create_function(
        FunctionName="revised",
        Runtime=python,
        Handler="app.handler",
        Role=ROLE,
        Code={"ZipFile": package({"app.py": ECHO})},
    )
    seen = [create["RevisionId"], aws.settled("revised")["RevisionId"]]
    for change in (
        lambda: aws.functions.update_function_configuration(FunctionName="revised", Timeout=5),
        lambda: aws.functions.update_function_code(
            FunctionName="revised", ZipFile=package({"app.py": ECHO + "\n"})
        ),
        # What changes nothing is a change all the same.
        lambda: aws.functions.update_function_configuration(FunctionName="revised", Timeout=5),
    ):
        seen += [change()["RevisionId"], aws.settled("revised")["RevisionId"]]
    assert len(set(seen)) == len(seen) == 8, seen
    assert aws.functions.get_function(FunctionName="revised")["Configuration"]["RevisionId"] == seen[-1]


def test_a_stale_revision_changes_nothing(aws, python):
    aws.create("stale", ECHO, python)
    current = aws.settled("stale")["RevisionId"]
    text = (
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
    )
    refused = 412, "PreconditionFailedException", text
    stale = "11111111-2222-4333-8444-555555555555"
    changes = (
        ("update_function_configuration", {"Timeout": 9}),
        ("update_function_code", {"ZipFile": package({"app.py": "x = 1"})}),
    )
    for operation, change in changes:
        assert aws.refused("lambda", operation, FunctionName="stale", RevisionId=stale, **change) == refused
    after = aws.settled("stale")
    assert (after["RevisionId"], after["Timeout"]) == (current, 3)
    changed = aws.functions.update_function_configuration(
        FunctionName="stale", RevisionId=current, Timeout=9
    )
    assert changed["Timeout"] == 9


def test_a_list_of_120_functions_comes_in_pages_of_50(aws, python):
    names = sorted(f"paged-{number:03}" for number in range(120))
    for name in names:
        aws.functions.create_function(
            FunctionName=name,
            Runtime=python,
            Handler="app.handler",
            Role=ROLE,
            Code={"ZipFile": package({"app.py": ECHO})},
        )
    pages = list(aws.functions.get_paginator("list_functions").paginate())
    sizes = [len(page["Functions"]) for page in pages]
    assert max(sizes) == 50 and sizes[:-1] == [50] * (len(sizes) - 1)
    listed = [found["FunctionName"] for page in pages for found in page["Functions"]]
    assert len(set(listed)) == len(listed)
    assert sorted(name for name in listed if name.startswith("paged-")) == names
    for omitted in ("State", "LastUpdateStatus", "RuntimeVersionConfig", "Code"):
        assert omitted not in pages[0]["Functions"][0]
    small = aws.functions.list_functions(MaxItems=7)
    assert len(small["Functions"]) == 7 and small["NextMarker"]
    second = aws.functions.list_functions(MaxItems=7, Marker=small["NextMarker"])
    assert second["Functions"][0]["FunctionName"] == listed[7]
    by_cli = aws.cli("lambda", "list-functions", "--page-size", "10", "--query", "Functions[].FunctionName")
    assert sorted(by_cli) == sorted(listed)
    usage = aws.functions.get_account_settings()
    assert usage["AccountUsage"]["FunctionCount"] == len(listed)
    assert usage["AccountLimit"]["CodeSizeZipped"] == 52428800
    assert usage["AccountLimit"]["CodeSizeUnzipped"] == 262144000
    assert usage["AccountLimit"]["ConcurrentExecutions"] == 1000
    for name in names:
        aws.functions.delete_function(FunctionName=name)
    left = aws.functions.get_account_settings()["AccountUsage"]["FunctionCount"]
    assert left == len(listed) - 120


def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_the_code_location_gives_the_same_bytes_and_nothing_else(aws, python):
    zipped = package({"app.py": ECHO, "data.bin": bytes(range(256)) * 64})
    aws.create("located", zipped, python)
    code = aws.functions.get_function(FunctionName="located")["Code"]
    assert code["RepositoryType"] == "S3"
    assert fetch(code["Location"]) == (200, zipped)
    base, _, query = code["Location"].partition("?")
    members = dict(pair.split("=", 1) for pair in query.split("&"))
    tampered = []
    for name, value in members.items():
        flipped = value[:-1] + ("0" if value[-1] != "0" else "1")
        tampered.append(base + "?" + "&".join(f"{n}={flipped if n == name else v}" for n, v in members.items()))
        tampered.append(base + "?" + "&".join(f"{n}={v}" for n, v in members.items() if n != name))
    other = base[:-1] + ("0" if base[-1] != "0" else "1")
    for url in (base, f"{other}?{query}", *tampered):
        status, body = fetch(url)
        assert status == 403, (url, status, body)
        assert zipped[:64] not in body


def test_an_expired_link_is_refused(aws, python):
    aws.create("expired", ECHO, python)
    location = aws.functions.get_function(FunctionName="expired")["Code"]["Location"]
    base, _, query = location.partition("?")
    # The moment of expiry is whichever number in the link lies ten minutes ahead.
    ahead = [n for n in re.findall(r"\d{10,}", query) if len(n) in (10, 13)]
    assert ahead, query
    past = query.replace(ahead[0], "1" + "0" * (len(ahead[0]) - 1))
    status, body = fetch(f"{base}?{past}")
    assert status == 403, body
    seconds = int(ahead[0]) / (1000 if len(ahead[0]) == 13 else 1) - time.time()
    assert 540 < seconds <= 600


def test_every_form_of_a_name_finds_the_function(aws, python):
    aws.create("forms", ECHO, python)
    unqualified = ("forms", "000000000000:function:forms", arn("forms"))
    for name in unqualified:
        found = aws.functions.get_function(FunctionName=name)["Configuration"]
        assert found["FunctionArn"] == arn("forms")
        assert aws.invoke(name, {"a": 1}).payload == {"a": 1}
    qualified = aws.functions.get_function(FunctionName="forms", Qualifier="$LATEST")
    assert qualified["Configuration"]["FunctionArn"] == arn("forms") + ":$LATEST"
    for name in ("forms:$LATEST", arn("forms") + ":$LATEST"):
        found = aws.functions.get_function_configuration(FunctionName=name)
        assert found["FunctionArn"] == arn("forms") + ":$LATEST"
        assert aws.invoke(name, 1).payload == 1


def test_regions_and_accounts_do_not_see_each_other(aws, server, python):
    aws.create("apart", ECHO, python)
    abroad = aws.client("lambda", region_name="eu-west-1")
    assert [f["FunctionName"] for f in abroad.list_functions()["Functions"]] == []
    with pytest.raises(abroad.exceptions.ResourceNotFoundException):
        abroad.get_function(FunctionName="apart")
    authorization = (
        "AWS4-HMAC-SHA256 Credential=123456789012/20260101/us-east-1/lambda/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64
    )
    headers = {"Authorization": authorization, "X-Amz-Date": "20260101T000000Z"}
    status, _, body = server.request("GET", "/2015-03-31/functions", headers=headers)
    assert status == 200 and b"apart" not in body


def test_the_environment_of_a_function_can_be_changed_and_emptied(aws, python):
    shown = "import os\ndef handler(event, context):\n    return os.environ.get('COLOUR')\n"
    aws.create("coloured", shown, python, Environment={"Variables": {"COLOUR": "blue"}})
    assert aws.invoke("coloured").payload == "blue"
    for variables, expected in (({"COLOUR": "grün ✓"}, "grün ✓"), ({}, None)):
        aws.functions.update_function_configuration(
            FunctionName="coloured", Environment={"Variables": variables}
        )
        aws.settled("coloured")
        assert aws.invoke("coloured").payload == expected


def test_dead_letters_are_set_changed_kept_by_a_version_and_taken_away(aws, python):
    first, second = (f"arn:aws:sqs:us-east-1:000000000000:dead{n}" for n in (1, 2))
    aws.create("dead-letters", ECHO, python, DeadLetterConfig={"TargetArn": first}, Publish=True)

    def shown(**which):
        found = aws.functions.get_function_configuration(FunctionName="dead-letters", **which)
        return found.get("DeadLetterConfig")

    def change(**to):
        aws.functions.update_function_configuration(FunctionName="dead-letters", **to)
        aws.settled("dead-letters")

    assert shown() == {"TargetArn": first}
    change(Timeout=5)
    assert shown() == {"TargetArn": first}
    change(DeadLetterConfig={"TargetArn": second})
    assert (shown(), shown(Qualifier="1")) == ({"TargetArn": second}, {"TargetArn": first})
    change(DeadLetterConfig={"TargetArn": ""})
    assert (shown(), shown(Qualifier="1")) == (None, {"TargetArn": first})


def test_a_running_invocation_ends_on_the_old_code_and_the_next_gets_the_new(aws, python, tmp_path):
    slow = (
        "import time\n"
        "def handler(event, context):\n"
        "    print('begun', flush=True)\n"
        "    time.sleep(event)\n"
        "    return 'old'\n"
    )
    aws.create("changing", slow, python, Timeout=30)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(aws.invoke, "changing", 2)
        eventually(
            lambda: any(
                moment["what"] == "invoke"
                for life in aws.server.lives("changing")
                for moment in life["events"]
            ),
            "the invocation has begun",
        )
        aws.update_code("changing", ANSWER.format(answer="new"))
        assert aws.invoke("changing", 0).payload == "new"
        assert not running.done(), "the slow invocation ended before the update: nothing was shown"
        assert running.result(timeout=30).payload == "old"
    assert aws.invoke("changing", 0).payload == "new"

    def ended():
        lives = aws.server.lives("changing")
        return lives[0]["ended"] and not lives[-1]["ended"]

    eventually(ended, "the environment with the old code has ended")


def test_a_configuration_change_ends_warm_environments(aws, python):
    code = "import os\nN = []\ndef handler(event, context):\n    N.append(1)\n    return [len(N), os.environ['VALUE']]\n"
    aws.create("warm-change", code, python, Environment={"Variables": {"VALUE": "1"}})
    assert aws.invoke("warm-change").payload == [1, "1"]
    assert aws.invoke("warm-change").payload == [2, "1"]
    aws.functions.update_function_configuration(
        FunctionName="warm-change", Environment={"Variables": {"VALUE": "2"}}
    )
    aws.settled("warm-change")
    assert aws.invoke("warm-change").payload == [1, "2"]


def test_a_deleted_function_is_gone_and_can_be_made_anew(aws, python):
    for answer in ("first", "second"):
        aws.create("phoenix", ANSWER.format(answer=answer), python)
        assert aws.invoke("phoenix").payload == answer
        deleted = aws.functions.delete_function(FunctionName="phoenix")
        assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
        gone = 404, "ResourceNotFoundException", f"Function not found: {arn('phoenix')}"
        for operation in ("get_function", "get_function_configuration", "delete_function", "invoke"):
            assert aws.refused("lambda", operation, FunctionName="phoenix") == gone
    eventually(
        lambda: all(life["ended"] for life in aws.server.lives("phoenix")),
        "environments of a deleted function end",
    )


def test_an_unchanged_dry_run_of_new_code_changes_nothing(aws, python):
    aws.create("rehearsed", ECHO, python)
    before = aws.settled("rehearsed")
    zipped = package({"app.py": ANSWER.format(answer="new")})
    would_be = aws.functions.update_function_code(FunctionName="rehearsed", ZipFile=zipped, DryRun=True)
    assert would_be["CodeSha256"] == digest(zipped)
    after = aws.settled("rehearsed")
    assert (after["CodeSha256"], after["RevisionId"]) == (before["CodeSha256"], before["RevisionId"])
