"""Wrong requests: a table of what is sent and the exact answer it gets, and that nothing stays.

Texts are AWS's where AWS is known to send them; where a feature is ours to refuse, only the shape is
AWS's."""

import base64
import http.client
import io
import json
import re
import socket
import stat
import zipfile

import pytest

from harness.code import ECHO, ROLE, package, special

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
VALIDATION = "ValidationException"
IPV = "InvalidParameterValueException"
RNF = "ResourceNotFoundException"
UNZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."
RUNTIMES = (
    "nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, nodejs22.x, java25, "
    "python3.10, python3.11, java21, ruby3.3, ruby3.4, ruby3.2, python3.8, python3.9, java17, nodejs16.x, "
    "dotnet10, dotnet8, java11, dotnet6, nodejs18.x, provided.al2, java8.al2"
)
UNABLE = (
    "Lambda was unable to configure your environment variables because the environment variables you "
    "have provided "
)
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{}/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64
)


def one(value, path, rule):
    shown = "null" if value is None else f"'{value}'"
    return f"1 validation error detected: Value {shown} at '{path}' failed to satisfy constraint: {rule}"


def matches(text, expected):
    return expected.search(text) if isinstance(expected, re.Pattern) else text == expected


@pytest.fixture(scope="module")
def there(aws, python):
    """The only function that exists."""
    return aws.create("there", ECHO, python)


@pytest.fixture(scope="module", autouse=True)
def nothing_stored(server, aws, there):
    """After all these refusals the server holds what it held before."""
    yield
    assert [f["FunctionName"] for f in aws.functions.list_functions()["Functions"]] == ["there"]
    assert aws.client("iam").list_roles()["Roles"] == []
    groups = [group["logGroupName"] for group in aws.logs.describe_log_groups()["logGroups"]]
    assert set(groups) <= {"/aws/lambda/there"}
    assert not [path for path in server.data_dir.rglob("*") if "evil" in path.name]
    assert aws.invoke("there", {"still": "alive"}).payload == {"still": "alive"}


def create(aws, python, **changes):
    """The refusal of a CreateFunction that is right but for these changes; None leaves out."""
    request = {
        "FunctionName": "wrong",
        "Runtime": python,
        "Handler": "app.handler",
        "Role": ROLE,
        "Code": {"ZipFile": package({"app.py": ECHO})},
    } | changes
    request = {key: value for key, value in request.items() if value is not None}
    return aws.refused("lambda", "create_function", **request)


PATTERN = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?"
NAME_RULE = f"Member must satisfy regular expression pattern: {PATTERN}"
ROLE_RULE = r"Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"
BIG = {"V" + "x" * 8: "y" * 4096}

CREATE = {
    "name with a space": ({"FunctionName": "a b"}, 400, VALIDATION, one("a b", "functionName", NAME_RULE)),
    "name with a slash": (
        {"FunctionName": "../../etc"},
        *(400, VALIDATION, one("../../etc", "functionName", NAME_RULE)),
    ),
    "name with a dot": ({"FunctionName": "a.b"}, 400, VALIDATION, one("a.b", "functionName", NAME_RULE)),
    "name with a letter outside ASCII": (
        {"FunctionName": "grün"},
        *(400, VALIDATION, one("grün", "functionName", NAME_RULE)),
    ),
    "name with a NUL": ({"FunctionName": "a\0b"}, 400, VALIDATION, one("a\0b", "functionName", NAME_RULE)),
    "name of 65 characters": (
        {"FunctionName": "x" * 65},
        *(400, IPV, one("x" * 65, "functionName", "Member must have length less than or equal to 64")),
    ),
    "name of 141 characters": (
        {"FunctionName": "x" * 141},
        *(400, VALIDATION, one("x" * 141, "functionName", "Member must have length less than or equal to 140")),
    ),
    "no name": ({"FunctionName": None}, 400, VALIDATION, one(None, "functionName", "Member must not be null")),
    "name in another region": (
        {"FunctionName": "arn:aws:lambda:eu-west-1:000000000000:function:wrong"},
        *(404, RNF, "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')"),
    ),
    "name in another account": (
        {"FunctionName": "arn:aws:lambda:us-east-1:123456789012:function:wrong"},
        *(403, "AccessDeniedException", re.compile("")),
    ),
    "unknown runtime": (
        {"Runtime": "cobol85"},
        *(400, IPV),
        "Value cobol85 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
        f"[{RUNTIMES}] or be a valid ARN",
    ),
    "retired runtime": (
        {"Runtime": "go1.x"},
        *(400, IPV),
        "The runtime parameter of go1.x is no longer supported for creating or updating AWS Lambda "
        "functions. We recommend you use a supported runtime while creating or updating functions.",
    ),
    "runtime we do not run": ({"Runtime": "java21"}, 400, IPV, re.compile("java21")),
    "no runtime": ({"Runtime": None}, 400, IPV, re.compile("Runtime and Handler are mandatory")),
    "no handler": ({"Handler": None}, 400, IPV, re.compile("Runtime and Handler are mandatory")),
    "handler with a space": (
        {"Handler": "app handler"},
        *(400, VALIDATION),
        one("app handler", "handler", r"Member must satisfy regular expression pattern: [^\s]+"),
    ),
    "handler of 129 characters": (
        {"Handler": "h" * 129},
        *(400, VALIDATION, one("h" * 129, "handler", "Member must have length less than or equal to 128")),
    ),
    "no role": ({"Role": None}, 400, VALIDATION, one(None, "role", "Member must not be null")),
    "role that is no ARN": ({"Role": "admin"}, 400, VALIDATION, one("admin", "role", ROLE_RULE)),
    "role that is a user": (
        {"Role": "arn:aws:iam::000000000000:user/u"},
        *(400, VALIDATION, one("arn:aws:iam::000000000000:user/u", "role", ROLE_RULE)),
    ),
    "description of 257 characters": (
        {"Description": "d" * 257},
        *(400, VALIDATION, one("d" * 257, "description", "Member must have length less than or equal to 256")),
    ),
    "timeout of nothing": (
        {"Timeout": 0},
        *(400, VALIDATION, one(0, "timeout", "Member must have value greater than or equal to 1")),
    ),
    "timeout of 901 seconds": (
        {"Timeout": 901},
        *(400, VALIDATION, one(901, "timeout", "Member must have value less than or equal to 900")),
    ),
    "memory of 127 MB": (
        {"MemorySize": 127},
        *(400, VALIDATION, one(127, "memorySize", "Member must have value greater than or equal to 128")),
    ),
    "memory of 10241 MB": (
        {"MemorySize": 10241},
        *(400, VALIDATION, one(10241, "memorySize", "Member must have value less than or equal to 10240")),
    ),
    "memory beyond any number": ({"MemorySize": 2**40}, 400, VALIDATION, re.compile("memorySize")),
    "storage of 511 MB": (
        {"EphemeralStorage": {"Size": 511}},
        *(400, VALIDATION),
        one(511, "ephemeralStorage.size", "Member must have value greater than or equal to 512"),
    ),
    "storage without a size": (
        {"EphemeralStorage": {}},
        *(400, VALIDATION, one(None, "ephemeralStorage.size", "Member must not be null")),
    ),
    "a package type that is none": (
        {"PackageType": "Tar"},
        *(400, VALIDATION, one("Tar", "packageType", "Member must satisfy enum value set: [Zip, Image]")),
    ),
    "two architectures": (
        {"Architectures": ["x86_64", "arm64"]},
        *(400, VALIDATION, re.compile("at 'architectures'.*length less than or equal to 1")),
    ),
    "variables over 4 KB": (
        {"Environment": {"Variables": BIG}},
        *(400, IPV),
        UNABLE + "exceeded the 4KB limit. String measured: " + json.dumps(BIG, separators=(",", ":")),
    ),
    "reserved variables": (
        {"Environment": {"Variables": {"AWS_REGION": "x", "LAMBDA_TASK_ROOT": "y", "FINE": "z"}}},
        *(400, IPV),
        UNABLE + "contains reserved keys that are currently not supported for modification. "
        "Reserved keys used in this request: AWS_REGION, LAMBDA_TASK_ROOT",
    ),
    "variable that begins with a digit": (
        {"Environment": {"Variables": {"1A": "x"}}},
        *(400, VALIDATION, re.compile(r"at 'environment.variables'.*\[a-zA-Z\]\(\[a-zA-Z0-9_\]\)\+")),
    ),
    "51 tags": (
        {"Tags": {f"k{n}": "v" for n in range(51)}},
        *(400, IPV, "Number of tags exceeds resource tag limit."),
    ),
    "six layers": (
        {"Layers": [f"arn:aws:lambda:us-east-1:000000000000:layer:l{n}:1" for n in range(6)]},
        *(400, IPV, "Cannot reference more than 5 layers."),
    ),
    "no code": ({"Code": None}, 400, VALIDATION, one(None, "code", "Member must not be null")),
    "empty code": ({"Code": {}}, 400, IPV, re.compile("Please provide a source for function code")),
    "an image for a zip function": (
        {"Code": {"ImageUri": "000000000000.dkr.ecr.us-east-1.amazonaws.com/x:1"}},
        *(400, IPV, re.compile("Please don't provide ImageUri when creating a function with packageType Zip")),
    ),
    "code in a bucket that is not there": (
        {"Code": {"S3Bucket": "bucket", "S3Key": "key"}},
        *(400, IPV, "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does not exist"),
    ),
    "subnets that are not there": (
        {"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}},
        *(400, IPV),
        "Error occurred while DescribeSubnets. EC2 Error Code: InvalidSubnetID.NotFound. "
        "EC2 Error Message: The subnet ID 'subnet-1' does not exist",
    ),
    "a security group that is not there": (
        {"VpcConfig": {"SecurityGroupIds": ["sg-1"]}},
        *(400, IPV, re.compile("DescribeSecurityGroups. EC2 Error Code: InvalidGroup.NotFound.*'sg-1'")),
    ),
    "a key that is not there": (
        {"KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k"},
        *(400, IPV, re.compile("the KMS key is invalid for CreateGrant.*NotFoundException.*key/k' does not exist")),
    ),
    "dead letters for a bucket": (
        {"DeadLetterConfig": {"TargetArn": "arn:aws:s3:::bucket"}},
        *(400, IPV, re.compile("must be an SQS queue or an SNS topic")),
    ),
    "dead letters for no ARN": (
        {"DeadLetterConfig": {"TargetArn": "queue"}},
        *(400, VALIDATION, re.compile(r"at 'deadLetterConfig.targetArn' failed .*: \(arn:\(aws\[a-zA-Z-\]\*\)")),
    ),
    "instances that are not here": (
        {"CapacityProviderConfig": {"LambdaManagedInstancesCapacityProviderConfig": {
            "CapacityProviderArn": "arn:aws:lambda:us-east-1:000000000000:capacity-provider:cp"}}},
        *(400, IPV, re.compile("This server has no managed instances")),
    ),
    "a name that exists": ({"FunctionName": "there"}, 409, "ResourceConflictException", "Function already exist: there"),
}


@pytest.mark.parametrize("case", CREATE)
def test_a_wrong_create_is_refused_with_lambdas_own_words(aws, python, case):
    changes, status, code, message = CREATE[case]
    got = create(aws, python, **changes)
    assert got[:2] == (status, code), got
    assert matches(got[2], message), got[2]


def test_all_violations_of_a_create_are_told_at_once(aws, python):
    got = create(aws, python, FunctionName="a b", Timeout=0, MemorySize=1, Role="x")
    assert got[:2] == (400, VALIDATION)
    assert got[2].startswith("4 validation errors detected: ")
    for path in ("functionName", "timeout", "memorySize", "role"):
        assert f"at '{path}' failed to satisfy constraint: " in got[2]
    assert got[2].count("; ") == 3


def zip_slip(name):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("app.py", ECHO)
        entry = zipfile.ZipInfo("placeholder")
        entry.filename = name
        archive.writestr(entry, "evil")
    return target.getvalue()


def twice():
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("app.py", ECHO)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("app.py", "evil = 1")
    return target.getvalue()


def bomb():
    """A quarter of a megabyte that becomes 263 MB."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        with archive.open("zeros", "w", force_zip64=False) as entry:
            for _ in range(251):
                entry.write(bytes(1 << 20))
    return target.getvalue()


def lying_bomb():
    """The same with sizes that say one byte."""
    data = bytearray(bomb())
    size = (251 << 20).to_bytes(4, "little")
    for start in (data.find(b"PK\x01\x02"), data.find(b"PK\x03\x04")):
        at = data.find(size, start)
        if at >= 0:
            data[at : at + 4] = (1).to_bytes(4, "little")
    return bytes(data)


def many_entries():
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for number in range(65_000):
            archive.writestr(zipfile.ZipInfo(f"a/{number}"), b"")
    whole = target.getvalue()
    directory = whole.find(b"PK\x01\x02")
    end = whole.rfind(b"PK\x05\x06")
    # Four times the same directory, counted truthfully in a zip64 record.
    entries, size = 65_000 * 4, (end - directory) * 4
    body = whole[:directory] + whole[directory:end] * 4
    record = b"PK\x06\x06" + (44).to_bytes(8, "little") + b"\x2d\x03\x2d\x00" + bytes(8)
    record += entries.to_bytes(8, "little") * 2 + size.to_bytes(8, "little")
    record += directory.to_bytes(8, "little")
    locator = b"PK\x06\x07" + bytes(4) + len(body).to_bytes(8, "little") + (1).to_bytes(4, "little")
    tail = b"PK\x05\x06" + bytes(4) + b"\xff" * 12 + b"\0\0"
    return body + record + locator + tail


good = package({"app.py": ECHO})
PACKAGES = {
    "text": (lambda: b"not a zip", UNZIP),
    "nothing": (lambda: b"", re.compile("(?i)zip")),
    "an empty zip": (lambda: b"PK\x05\x06" + bytes(18), re.compile("(?i)zip")),
    "half a zip": (lambda: good[: len(good) // 2], UNZIP),
    "a zip without its first half": (lambda: good[len(good) // 2 :], UNZIP),
    "a corrupt entry": (lambda: good.replace(good[40:44], b"\xff\xfe\xfd\xfc", 1), UNZIP),
    "a path that climbs": (lambda: zip_slip("../../evil"), UNZIP),
    "a path that climbs within": (lambda: zip_slip("a/../../evil"), UNZIP),
    "an absolute path": (lambda: zip_slip("/tmp/evil"), UNZIP),
    "a link to a host file": (lambda: special("evil", stat.S_IFLNK, "/etc/passwd"), UNZIP),
    "a link that climbs": (lambda: special("evil", stat.S_IFLNK, "../../../etc"), UNZIP),
    "a device": (lambda: special("evil", stat.S_IFCHR), UNZIP),
    "a fifo": (lambda: special("evil", stat.S_IFIFO), UNZIP),
    "a socket": (lambda: special("evil", stat.S_IFSOCK), UNZIP),
    "a setuid program": (lambda: special("evil", stat.S_IFREG, b"x", 0o4755), UNZIP),
    "a name that comes twice": (twice, UNZIP),
    "a bomb": (bomb, "Unzipped size must be smaller than 262144000 bytes"),
    "a bomb that lies about its size": (
        lying_bomb,
        re.compile("Unzipped size must be smaller than 262144000 bytes|" + re.escape(UNZIP)),
    ),
    "260000 entries": (many_entries, re.compile("Unzipped size|" + re.escape(UNZIP))),
}


@pytest.mark.parametrize("kind", PACKAGES)
def test_a_wrong_package_is_refused(aws, python, there, kind):
    make, message = PACKAGES[kind]
    zipped = make()
    for got in (
        create(aws, python, Code={"ZipFile": zipped}),
        aws.refused("lambda", "update_function_code", FunctionName=there, ZipFile=zipped),
    ):
        assert got[:2] == (400, IPV), got
        assert matches(got[2], message), got[2]


def test_a_package_over_50_mib_is_refused(aws, python):
    got = create(aws, python, Code={"ZipFile": b"PK\x03\x04" + bytes(52_428_797)})
    assert got == (413, "RequestEntityTooLargeException", "Zipped size must be smaller than 52428800 bytes")


def test_a_request_over_its_limit_is_refused(aws, python):
    got = create(aws, python, Code={"ZipFile": bytes(53_000_000)})
    text = "Request must be smaller than 70167211 bytes for the CreateFunction operation"
    assert got == (413, "RequestEntityTooLargeException", text)


MISSING = {
    "get_function": {},
    "get_function_configuration": {},
    "update_function_code": {"ZipFile": good},
    "update_function_configuration": {"Timeout": 4},
    "delete_function": {},
    "invoke": {},
    "publish_version": {},
    "list_versions_by_function": {},
}


@pytest.mark.parametrize("operation", MISSING)
def test_every_operation_says_alike_that_a_function_does_not_exist(aws, operation):
    for name in ("absent", ARN + "absent"):
        got = aws.refused("lambda", operation, FunctionName=name, **MISSING[operation])
        assert got == (404, RNF, f"Function not found: {ARN}absent")


@pytest.mark.parametrize("operation", ["get_function", "get_function_configuration", "invoke", "delete_function"])
def test_qualifiers_that_do_not_exist_or_do_not_fit_are_told(aws, there, operation):
    def refused(name, **more):
        return aws.refused("lambda", operation, FunctionName=name, **more)

    for qualifier in ("7", "live"):
        missing = 404, RNF, f"Function not found: {ARN}there:{qualifier}"
        if operation != "delete_function":
            assert refused(there, Qualifier=qualifier) == missing
            assert refused(f"there:{qualifier}") == missing
    text = "The derived qualifier from the function name does not match the specified qualifier."
    assert refused("there:1", Qualifier="2") == (400, IPV, text)
    status, code, message = refused(there, Qualifier="a b")
    assert (status, code) == (400, VALIDATION)
    assert message == one(
        "a b", "qualifier", r"Member must satisfy regular expression pattern: \$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"
    )


def test_latest_cannot_be_deleted_alone(aws, there):
    got = aws.refused("lambda", "delete_function", FunctionName=there, Qualifier="$LATEST")
    assert got == (400, IPV, "$LATEST version cannot be deleted without deleting the function.")


NAMES = {
    "another region": (
        "arn:aws:lambda:eu-central-1:000000000000:function:there",
        *(404, RNF, "Functions from 'eu-central-1' are not reachable in this region ('us-east-1')"),
    ),
    "another account": (
        "arn:aws:lambda:us-east-1:123456789012:function:there",
        *(403, "AccessDeniedException", re.compile("")),
    ),
    "another service": ("arn:aws:s3:::there", 400, VALIDATION, re.compile("at 'functionName'")),
    "too long": ("x" * 257, 400, VALIDATION, re.compile("length less than or equal to 256")),
    "markup": ("<b>", 400, VALIDATION, re.compile("Value '<b>' at 'functionName'")),
}


@pytest.mark.parametrize("case", NAMES)
@pytest.mark.parametrize("operation", ["get_function", "update_function_configuration", "invoke"])
def test_names_that_lead_nowhere_are_refused(aws, operation, case):
    name, status, code, message = NAMES[case]
    if operation == "update_function_configuration" and case == "too long":
        message = re.compile("length less than or equal to 140")
    got = aws.refused("lambda", operation, FunctionName=name)
    assert got[:2] == (status, code), got
    assert matches(got[2], message), got[2]


def test_wrong_updates_are_refused_and_change_nothing(aws, there):
    before = aws.settled(there)
    for change, status, code in (
        ({"Timeout": 901}, 400, VALIDATION),
        ({"MemorySize": 1}, 400, VALIDATION),
        ({"Runtime": "cobol85"}, 400, IPV),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, 400, IPV),
        ({"Handler": " "}, 400, VALIDATION),
    ):
        got = aws.refused("lambda", "update_function_configuration", FunctionName=there, **change)
        assert got[:2] == (status, code), got
    got = aws.refused("lambda", "update_function_code", FunctionName=there, ImageUri="x:1")
    assert got[:2] == (400, IPV)
    assert got[2] == "Please don't provide ImageUri when updating a function with packageType Zip."
    after = aws.settled(there)
    assert {k: v for k, v in after.items() if k != "ResponseMetadata"} == {
        k: v for k, v in before.items() if k != "ResponseMetadata"
    }


INVOKES = {
    "half an object": (b'{"a":', {}, 400, "InvalidRequestContentException"),
    "bare words": (b"hello", {}, 400, "InvalidRequestContentException"),
    "two values": (b"1 2", {}, 400, "InvalidRequestContentException"),
    "no number": (b"NaN", {}, 400, "InvalidRequestContentException"),
    "single quotes": (b"{'a': 1}", {}, 400, "InvalidRequestContentException"),
    "not UTF-8": (b'"\xff\xfe"', {}, 400, "InvalidRequestContentException"),
    "bytes": (bytes(range(256)), {}, 400, "InvalidRequestContentException"),
    "only spaces": (b"   ", {}, 400, "InvalidRequestContentException"),
    "an invocation type that is none": (b"{}", {"InvocationType": "Later"}, 400, VALIDATION),
    "a log type that is none": (b"{}", {"LogType": "Head"}, 400, VALIDATION),
    "a client context that is no base64": (b"{}", {"ClientContext": "%%%"}, 400, "InvalidRequestContentException"),
    "a client context that is no JSON": (
        b"{}",
        {"ClientContext": base64.b64encode(b"x").decode()},
        *(400, "InvalidRequestContentException"),
    ),
    "a client context that is too long": (
        b"{}",
        {"ClientContext": base64.b64encode(b'"' + b"x" * 2700 + b'"').decode()},
        *(400, "InvalidRequestContentException"),
    ),
}


@pytest.mark.parametrize("case", INVOKES)
def test_a_wrong_invocation_is_refused_before_it_runs(aws, there, case):
    body, more, status, code = INVOKES[case]
    got = aws.refused("lambda", "invoke", FunctionName=there, Payload=body, **more)
    assert got[:2] == (status, code), got
    if code == "InvalidRequestContentException" and not more:
        expected = (
            r"Could not parse request body into json: Could not parse payload into json: .*\s"
            r"at \[Source: REDACTED .*; line: \d+, column: \d+\]"
        )
        assert re.fullmatch(expected, got[2], re.DOTALL), got[2]


OTHER_SERVICES = {
    "logs": ("describe_queries", {}, "DescribeQueries"),
    "iam": ("generate_credential_report", {}, "GenerateCredentialReport"),
    "sts": ("get_federation_token", {"Name": "ab"}, "GetFederationToken"),
    "s3": ("get_object_torrent", {"Bucket": "bucket", "Key": "key"}, "GetObjectTorrent"),
    "sqs": ("start_message_move_task", {"SourceArn": "arn"}, "StartMessageMoveTask"),
    "sns": ("list_topics", {}, "ListTopics"),
    "dynamodb": ("list_tables", {}, "ListTables"),
}


@pytest.mark.parametrize("service", OTHER_SERVICES)
def test_an_operation_we_do_not_have_is_refused_in_its_services_own_shape(aws, service):
    operation, arguments, name = OTHER_SERVICES[service]
    client = aws.client(service)
    with pytest.raises(client.exceptions.ClientError) as refused:
        getattr(client, operation)(**arguments)
    answer = refused.value.response
    code, message = answer["Error"]["Code"], answer["Error"]["Message"]
    # What boto3 could not read it would call by its status.
    assert not code.isdigit() and message, answer
    assert answer["ResponseMetadata"]["HTTPStatusCode"] in (404, 405, 501), answer
    assert code.startswith(("NotImplemented", "UnknownOperation", "MethodNotAllowed")), answer
    assert answer["ResponseMetadata"].get("RequestId"), answer
    if name:
        assert name in message, message


def test_the_cli_shows_such_a_refusal_as_it_shows_aws_s(aws):
    status, _, errors = aws.cli_raw("sns", "list-topics")
    assert status != 0
    assert "when calling the ListTopics operation" in errors and "NotImplemented" in errors, errors


def test_no_client_of_these_tests_can_leave_the_machine(aws):
    elsewhere = ("--endpoint-url", "https://sqs.us-east-1.amazonaws.com")
    status, _, errors = aws.cli_raw("sqs", "list-queues", *elsewhere)
    assert status != 0 and "Failed to connect to proxy URL" in errors, errors


def raw(server, method, path, body=None, service="lambda", headers=None, **more):
    """A signed raw request; answers status, error type, parsed body."""
    sent = {"Authorization": SIGNED.format(service), "X-Amz-Date": "20260101T000000Z"}
    sent |= headers or {}
    sent |= more
    status, got, answer = server.request(method, path, body, sent)
    got = {name.lower(): value for name, value in got.items()}
    return status, got, answer


FUNCTIONS = "/2015-03-31/functions"
SHAPES = {
    "ResourceNotFound": ("GET", f"{FUNCTIONS}/absent", 404, RNF, {"Type", "Message"}),
    "Validation": ("GET", f"{FUNCTIONS}/a%20b", 400, VALIDATION, {"message"}),
    "InvalidParameterValue": ("GET", f"{FUNCTIONS}/there:1?Qualifier=2", 400, IPV, {"Type", "message"}),
    "InvalidRequestContent": (
        *("POST", f"{FUNCTIONS}/there/invocations", 400),
        *("InvalidRequestContentException", {"Type", "message"}),
    ),
}


@pytest.mark.parametrize("case", SHAPES)
def test_error_bodies_have_the_members_and_the_casing_of_aws(server, case):
    method, path, status, code, members = SHAPES[case]
    got, headers, body = raw(server, method, path, b"{" if method == "POST" else None)
    assert (got, headers["x-amzn-errortype"]) == (status, code)
    assert headers["content-type"] == "application/json"
    assert set(json.loads(body)) == members
    assert re.fullmatch(r"[0-9a-f-]{36}", headers["x-amzn-requestid"])


BODIES = {
    "half an object": b'{"FunctionName":',
    "a list": b"[]",
    "a text": b'"x"',
    "not UTF-8": b'{"FunctionName":"\xff"}',
    "a number for a text": b'{"FunctionName": 7}',
    "a text for a number": b'{"FunctionName": "f", "Timeout": "long"}',
    "a code that is no base64": b'{"FunctionName": "f", "Code": {"ZipFile": "%%%"}}',
    "overlong UTF-8": b'{"Description":"\xc0\xaf"}',
    "half a pair in UTF-8": b'{"Description":"\xed\xa0\x80"}',
    "half a pair in an escape": b'{"Description":"\\ud800"}',
    "a bare NUL": b'{"Description":"a\0b"}',
    "a mark of byte order": b'\xef\xbb\xbf{}',
    "UTF-16": '{"FunctionName": "f"}'.encode("utf-16"),
    "a member that comes twice": b'{"Timeout": 3, "Timeout": 4}',
    "two objects": b"{} {}",
    "a comment": b"/* f */ {}",
    "no number": b'{"Timeout": NaN}',
    "a part of a number": b'{"Timeout": 3.5}',
    "a number without end": b'{"Timeout": ' + b"1" * 100_000 + b"}",
    "depth in a member nobody knows": b'{"Colour": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a hundred thousand brackets": b'{"Environment":' * 100_000,
    "a hundred thousand lists": b'{"Architectures":' + b"[" * 100_000,
}


@pytest.mark.parametrize("case", BODIES)
def test_a_broken_create_body_is_a_serialization_error(server, case):
    status, headers, body = raw(server, "POST", FUNCTIONS, BODIES[case])
    assert (status, headers["x-amzn-errortype"]) == (400, "SerializationException"), body
    assert json.loads(body)["message"]


LOGS_BODIES = {
    "half an object": b'{"logGroupNamePrefix":',
    "a list": b"[]",
    "not UTF-8": b'{"logGroupNamePrefix":"\xff"}',
    "a number for a text": b'{"logGroupNamePrefix": 7}',
    "a hundred thousand objects": b'{"a":' * 100_000,
}


@pytest.mark.parametrize("case", LOGS_BODIES)
def test_a_broken_body_to_logs_is_refused_in_json(server, case):
    headers = {"X-Amz-Target": "Logs_20140328.DescribeLogGroups"}
    status, got, body = raw(server, "POST", "/", LOGS_BODIES[case], "logs", headers)
    assert status == 400 and got["content-type"] == "application/x-amz-json-1.1"
    assert json.loads(body)["__type"] == "SerializationException"


def test_unknown_members_are_let_through_as_aws_does(server):
    path = f"{FUNCTIONS}/there/configuration"
    status, _, body = raw(server, "PUT", path, b'{"Timeout": 3, "Colour": {"a": [1, {}]}}')
    assert status == 200, body


NO_NAME = "at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern"
FOUND = None
# What stands for a name in a path, and its answer.
WRITTEN = {
    "escapes that say the name": ("%74%68%65%72%65", 200, FOUND),
    "small hexadecimals": ("arn%3aaws%3alambda%3aus-east-1%3a000000000000%3afunction%3athere", 200, FOUND),
    "an escaped qualifier": ("there%3A%24LATEST", 200, FOUND),
    "an escaped slash": ("there%2Fconfiguration", 400, VALIDATION),
    "a backslash": ("there%5Cconfiguration", 400, VALIDATION),
    "an escaped question mark": ("there%3FQualifier=1", 400, VALIDATION),
    "an escaped hash": ("there%23x", 400, VALIDATION),
    "a semicolon": ("there;x=1", 400, VALIDATION),
    "a plus, which is no space in a path": ("the+re", 400, VALIDATION),
    "an escaped percent sign": ("the%25re", 400, VALIDATION),
    "an escape of an escape": ("there%253A1", 400, VALIDATION),
    "an escape of nothing": ("there%", 400, VALIDATION),
    "an escape of no hexadecimals": ("there%zz", 400, VALIDATION),
    "a NUL": ("there%00", 400, VALIDATION),
    "a line end": ("there%0A", 400, VALIDATION),
    "a header": ("there%0D%0AX-Evil:%201", 400, VALIDATION),
    "a space": ("there%20", 400, VALIDATION),
    "a mark of byte order": ("%EF%BB%BFthere", 400, VALIDATION),
    "a letter of full width": ("%EF%BD%94here", 400, VALIDATION),
    "an accent of its own": ("the%CC%81re", 400, VALIDATION),
    "a space without width": ("th%E2%80%8Bere", 400, VALIDATION),
    "a turn of direction": ("%E2%80%AEthere", 400, VALIDATION),
    "an ARN in capitals": ("ARN:AWS:LAMBDA:us-east-1:000000000000:function:there", 400, VALIDATION),
    "an ARN with empty parts": ("arn:aws:lambda:::function:there", 400, VALIDATION),
    "an ARN with a line end": ("arn:aws:lambda:us-east-1:000000000000:function:there%0A", 400, VALIDATION),
    "two dots": ("%2e%2e", 404, RNF),
    "an overlong slash": ("there%c0%af", 400, "SerializationException"),
    "an overlong dot": ("%c0%ae%c0%ae", 400, "SerializationException"),
    "an overlong NUL": ("there%c0%80", 400, "SerializationException"),
    "half a pair": ("%ed%a0%80", 400, "SerializationException"),
    "beyond Unicode": ("%f4%90%80%80", 400, "SerializationException"),
    "a qualifier of a NUL": ("there?Qualifier=%00", 400, VALIDATION),
    "a qualifier that is overlong": ("there?Qualifier=%c0%af", 400, VALIDATION),
    "a qualifier without a value": ("there?Qualifier", 400, VALIDATION),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_however_a_name_is_written_it_is_that_name_or_none(server, there, case):
    written, status, code = WRITTEN[case]
    got, headers, body = raw(server, "GET", f"{FUNCTIONS}/{written}")
    assert (got, headers.get("x-amzn-errortype")) == (status, code), body
    assert "x-evil" not in headers
    answer = json.loads(body)
    if code is FOUND:
        assert answer["Configuration"]["FunctionName"] == "there"
    elif code == VALIDATION and "?" not in written:
        assert NO_NAME in answer["message"], body


ITEMS = ["x", "1e1", "1.0", "0x1", "%EF%BC%91", "99999999999999999999", "", "%00"]


@pytest.mark.parametrize("items", ITEMS)
@pytest.mark.parametrize("path", [FUNCTIONS, "/2018-10-31/layers"])
def test_a_number_in_a_query_is_one_or_refused(server, path, items):
    status, headers, body = raw(server, "GET", f"{path}?MaxItems={items}")
    assert (status, headers["x-amzn-errortype"]) == (400, VALIDATION), body
    assert "at 'maxItems' failed to satisfy constraint" in json.loads(body)["message"]


PATHS = {
    "climbing": "/2015-03-31/functions/../../../etc/passwd",
    "climbing in disguise": "/2015-03-31/functions/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "climbing from the packages": "/_dormouse/code/../../../../etc/passwd",
    "climbing from the packages in disguise": "/_dormouse/code/%2e%2e%2f%2e%2e%2fdormouse.db",
    "a NUL": "/2015-03-31/functions/a%00b",
    "not UTF-8": "/2015-03-31/functions/%ff%fe",
    "half an escape": "/2015-03-31/functions/%4",
    "twice encoded": "/2015-03-31/functions/%2561",
    "an empty name": "/2015-03-31/functions//configuration",
    "two slashes": "//2015-03-31/functions",
    "nothing": "/",
    "another version of the API": "/2099-01-01/functions",
    "ten thousand segments": "/2015-03-31/functions" + "/a" * 10_000,
}


@pytest.mark.parametrize("case", PATHS)
def test_strange_paths_are_refused_and_lead_nowhere(server, case):
    status, headers, body = raw(server, "GET", PATHS[case])
    assert status in (400, 403, 404), (status, body)
    assert b"root:" not in body and b"SQLite" not in body
    if not PATHS[case].startswith("/_dormouse"):
        assert headers["x-amzn-errortype"] and json.loads(body)


@pytest.mark.parametrize("method", ["PATCH", "OPTIONS", "TRACE", "PROPFIND", "HEAD"])
def test_a_method_that_names_no_operation_is_refused(server, method):
    status, _, body = raw(server, method, f"{FUNCTIONS}/there")
    assert status in (403, 404, 405), body


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "multipart/form-data", "", "\xff"])
def test_the_content_type_of_an_invocation_does_not_matter(server, content_type):
    path = f"{FUNCTIONS}/there/invocations"
    status, _, body = raw(server, "POST", path, b'{"a": 1}', headers={"Content-Type": content_type})
    assert (status, json.loads(body)) == (200, {"a": 1})


CONTENT_TYPES = [
    "text/plain",
    "application/xml",
    "application/x-www-form-urlencoded",
    "application/x-amz-json-1.1",
    "multipart/form-data; boundary=x",
    "application/json; charset=utf-16",
    "",
    "\xff",
    "x" * 2000,
]


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
def test_a_body_is_json_whatever_its_content_type_says(server, content_type):
    headers = {"Content-Type": content_type}
    status, got, body = raw(server, "POST", FUNCTIONS, b'{"Timeout": 0}', headers=headers)
    assert (status, got["x-amzn-errortype"]) == (400, VALIDATION), body
    assert "Value '0' at 'timeout' failed to satisfy constraint: " in json.loads(body)["message"]


DEEP = {
    "lists": (b"[" * 100_000 + b"]" * 100_000, 200),
    "objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 200),
    "lists that do not end": (b"[" * 100_000, 400),
    "objects that do not end": (b'{"a":' * 100_000, 400),
}


@pytest.mark.parametrize("case", DEEP)
def test_a_deep_payload_is_the_functions_to_refuse_and_never_ours_to_fall_over(server, there, case):
    payload, status = DEEP[case]
    got, headers, body = raw(server, "POST", f"{FUNCTIONS}/{there}/invocations", payload)
    assert got == status, body[:300]
    if status == 200:
        # Python does not read so deep either, and says so as on AWS.
        assert json.loads(body)["errorType"] == "Runtime.UnmarshalError", body[:300]
    else:
        assert headers["x-amzn-errortype"] == "InvalidRequestContentException"


@pytest.mark.parametrize("count, size, status", [(1, 60_000, 200), (1, 100_000, 431), (80, 1_000, 431)])
def test_headers_are_read_up_to_their_limit(server, there, count, size, status):
    headers = {f"X-Much-{n}": "x" * size for n in range(count)}
    got, _, body = raw(server, "GET", f"{FUNCTIONS}/{there}", headers=headers)
    assert got == status, body


SIGNATURES = {
    "another kind": ("Basic dXNlcjpwYXNz", 400, "IncompleteSignatureException"),
    "half": ("AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request", 400, "IncompleteSignatureException"),
    "a short scope": (
        "AWS4-HMAC-SHA256 Credential=test/lambda/aws4_request, SignedHeaders=host, Signature=0",
        *(400, "IncompleteSignatureException"),
    ),
}


@pytest.mark.parametrize("case", SIGNATURES)
def test_a_signature_that_is_malformed_is_refused(server, case):
    header, status, code = SIGNATURES[case]
    headers = {"Authorization": header, "X-Amz-Date": "20260101T000000Z"}
    got, answered, body = server.request("GET", FUNCTIONS, None, headers)
    answered = {name.lower(): value for name, value in answered.items()}
    assert (got, answered.get("x-amzn-errortype")) == (status, code), body


def exchange(server, sent, deadline_s=15):
    """Bytes on a connection and all that comes back until it closes."""
    with socket.create_connection(("127.0.0.1", server.port), deadline_s) as connection:
        connection.settimeout(deadline_s)
        try:
            connection.sendall(sent)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass
        return answer


CLOSE = b"Host: x\r\nConnection: close\r\n"
WIRES = {
    # Refused from 64 KiB on by our own limit, at AWS from 1 MB on.
    "headers of 1 MB": (b"GET /healthz HTTP/1.1\r\n" + CLOSE + b"X: " + b"x" * (1 << 20) + b"\r\n\r\n", b"431"),
    "ten thousand headers": (
        b"GET /healthz HTTP/1.1\r\n" + CLOSE + b"".join(b"H%d: x\r\n" % n for n in range(10_000)) + b"\r\n",
        b"431",
    ),
    "headers of 100 kB": (b"GET /healthz HTTP/1.1\r\n" + CLOSE + b"X: " + b"x" * 100_000 + b"\r\n\r\n", b"431"),
    "a line of 100 kB": (b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n" + CLOSE + b"\r\n", b"4"),
    "a NUL in a header": (b"GET /healthz HTTP/1.1\r\n" + CLOSE + b"X: a\0b\r\n\r\n", b"400"),
    "a NUL in the path": (b"GET /health\0z HTTP/1.1\r\n" + CLOSE + b"\r\n", b"400"),
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n", b"400"),
    "two lengths": (
        b"POST /2015-03-31/functions HTTP/1.1\r\n" + CLOSE + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"400",
    ),
    "a length and chunks": (
        b"GET /healthz HTTP/1.1\r\n" + CLOSE + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"",
    ),
    "a length below zero": (b"POST /2015-03-31/functions HTTP/1.1\r\n" + CLOSE + b"Content-Length: -1\r\n\r\n", b"400"),
    "a chunk that is none": (
        b"POST /2015-03-31/functions HTTP/1.1\r\n" + CLOSE + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"400",
    ),
}


@pytest.mark.parametrize("case", WIRES)
def test_what_is_not_http_is_refused_and_the_server_goes_on(server, case):
    sent, status = WIRES[case]
    answer = exchange(server, sent)
    # A refusal may be a closed connection where there was no request; it is never success.
    if answer and status:
        assert answer.startswith(b"HTTP/1.1 " + status), answer[:200]
    assert server.request("GET", "/healthz")[0] == 200


def test_a_length_that_is_announced_and_too_large_is_refused_without_waiting(server):
    sent = b"POST /2015-03-31/functions HTTP/1.1\r\n" + CLOSE + b"Content-Length: 99999999999\r\n\r\n"
    answer = exchange(server, sent)
    assert answer.startswith(b"HTTP/1.1 413"), answer[:200]


def test_chunks_without_end_are_cut_off_at_the_limit(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.putrequest("PUT", f"{FUNCTIONS}/there/configuration")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    sent = 0
    try:
        while sent < 64 << 20:
            connection.send(chunk)
            sent += 0x10000
        status = None
    except (BrokenPipeError, ConnectionResetError):
        status = "cut"
    connection.close()
    assert status == "cut", "64 MB were read of a request that may have 1 MB"
    assert server.request("GET", "/healthz")[0] == 200
