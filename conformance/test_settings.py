"""What is kept beside a function and is configuration only: told as AWS tells it, and kept."""

import concurrent.futures
import json
import re
import time

import pytest

from harness.clients import Aws
from harness.code import ECHO

IPV = "InvalidParameterValueException"
RNF = "ResourceNotFoundException"
VALIDATION = "ValidationException"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
NOT_THERE = 404, RNF, "The resource you requested does not exist."


@pytest.fixture(scope="module")
def there(aws, python):
    """A function that is there."""
    return aws.create("there", ECHO, python)


def absent(name="absent"):
    return 404, RNF, f"Function not found: {ARN}{name}"


def kept(server, look):
    """What is looked at is the same after the process was killed."""
    before = look(Aws(server))
    server.kill()
    server.restart()
    assert look(Aws(server)) == before
    return before


def without_metadata(answer):
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def status(answer):
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def test_tags_are_added_removed_and_shown(aws, python):
    aws.create("tagged", ECHO, python, Tags={"a": "1", "b": "2"})
    revision = aws.functions.get_function_configuration(FunctionName="tagged")["RevisionId"]
    arn = ARN + "tagged"
    assert status(aws.functions.tag_resource(Resource=arn, Tags={"b": "3", "c d": "ü=/"})) == 204
    assert aws.functions.list_tags(Resource=arn)["Tags"] == {"a": "1", "b": "3", "c d": "ü=/"}
    assert status(aws.functions.untag_resource(Resource=arn, TagKeys=["a", "c d", "none"])) == 204
    found = aws.functions.get_function(FunctionName="tagged")
    assert found["Tags"] == {"b": "3"}
    assert found["Configuration"]["RevisionId"] == revision
    aws.functions.untag_resource(Resource=arn, TagKeys=["b"])
    assert aws.functions.list_tags(Resource=arn)["Tags"] == {}
    assert "Tags" not in aws.functions.get_function(FunctionName="tagged")


def test_wrong_tags_are_refused_and_change_nothing(aws, there):
    arn = ARN + there

    def refused(resource=arn, **tags):
        return aws.refused("lambda", "tag_resource", Resource=resource, Tags=tags)

    for qualified in (f"{arn}:1", f"{arn}:$LATEST"):
        text = "Tags on function aliases and versions are not supported. Please specify a function ARN."
        assert refused(qualified, a="b") == (400, IPV, text)
    assert refused(ARN + "absent", a="b") == absent()
    assert aws.refused("lambda", "list_tags", Resource=ARN + "absent") == absent()
    assert aws.refused("lambda", "untag_resource", Resource=ARN + "absent", TagKeys=["a"]) == absent()
    assert refused() == (400, IPV, "An error occurred and the request cannot be processed.")
    many = 400, IPV, "Number of tags exceeds resource tag limit."
    assert refused(**{str(n): "v" for n in range(51)}) == many
    aws.functions.tag_resource(Resource=arn, Tags={str(n): "v" for n in range(50)})
    assert refused(one_more="v") == many
    got = refused(**{"aws:mine": "v"})
    assert got[:2] == (400, IPV)
    got = refused("arn:aws:s3:::bucket", a="b")
    assert got[:2] == (400, VALIDATION) and "at 'resource' failed to satisfy constraint" in got[2]
    assert len(aws.functions.list_tags(Resource=arn)["Tags"]) == 50
    aws.functions.untag_resource(Resource=arn, TagKeys=[str(n) for n in range(50)])


def test_tags_survive_a_kill_and_not_the_function(servers, python):
    server = servers().start()
    aws = Aws(server)
    aws.create("tagged", ECHO, python)
    aws.functions.tag_resource(Resource=ARN + "tagged", Tags={"a": "1"})
    assert kept(server, lambda aws: aws.functions.list_tags(Resource=ARN + "tagged")["Tags"]) == {"a": "1"}
    aws = Aws(server)
    aws.functions.delete_function(FunctionName="tagged")
    aws.create("tagged", ECHO, python)
    assert aws.functions.list_tags(Resource=ARN + "tagged")["Tags"] == {}


def add(aws, function, sid, principal="s3.amazonaws.com", action="lambda:InvokeFunction", **more):
    """Adds a permission; its statement."""
    added = aws.functions.add_permission(
        FunctionName=function, StatementId=sid, Action=action, Principal=principal, **more
    )
    assert status(added) == 201
    return json.loads(added["Statement"])


def policy(aws, function):
    found = aws.functions.get_policy(FunctionName=function)
    return json.loads(found["Policy"]), found["RevisionId"]


def test_permissions_are_added_shown_and_removed(aws, python):
    function = aws.create("permitted", ECHO, python)
    bucket = add(
        *(aws, function, "bucket"), SourceArn="arn:aws:s3:::bucket", SourceAccount="111111111111"
    )
    assert bucket == {
        "Sid": "bucket",
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": ARN + function,
        "Condition": {
            "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"},
            "StringEquals": {"AWS:SourceAccount": "111111111111"},
        },
    }
    account = add(aws, function, "account", "111111111111")
    assert account["Principal"] == {"AWS": "arn:aws:iam::111111111111:root"}
    assert "Condition" not in account
    url = add(aws, function, "url", "*", "lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE")
    assert url["Principal"] == "*"
    assert url["Condition"] == {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}
    org = add(aws, function, "org", "*", PrincipalOrgID="o-abcdefghij")
    assert org["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": "o-abcdefghij"}}
    token = add(aws, function, "skill", "alexa-appkit.amazon.com", EventSourceToken="t.1")
    assert token["Condition"] == {"StringEquals": {"lambda:EventSourceToken": "t.1"}}
    document, revision = policy(aws, function)
    assert document == {
        "Version": "2012-10-17",
        "Id": "default",
        "Statement": [bucket, account, url, org, token],
    }
    stale = 412, "PreconditionFailedException", (
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetPolicy API to retrieve the latest Revision Id"
    )
    wrong = {"FunctionName": function, "StatementId": "org", "RevisionId": "x"}
    assert aws.refused("lambda", "remove_permission", **wrong) == stale
    wrong["RevisionId"] = "00000000-0000-4000-8000-000000000000"
    assert aws.refused("lambda", "remove_permission", **wrong) == stale
    removed = aws.functions.remove_permission(**wrong | {"RevisionId": revision})
    assert status(removed) == 204
    document, changed = policy(aws, function)
    assert [s["Sid"] for s in document["Statement"]] == ["bucket", "account", "url", "skill"]
    assert changed != revision
    for sid in ("bucket", "account", "url", "skill"):
        aws.functions.remove_permission(FunctionName=function, StatementId=sid)
    assert aws.refused("lambda", "get_policy", FunctionName=function) == NOT_THERE


def test_wrong_permissions_are_refused(aws, there):
    def refused(operation="add_permission", **changes):
        asked = {"FunctionName": there, "StatementId": "s"}
        if operation == "add_permission":
            asked |= {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
        return aws.refused("lambda", operation, **asked | changes)

    def lost(**changes):
        return refused("remove_permission", **changes)

    missing = "No policy is associated with the given resource."
    assert lost() == (404, RNF, missing)
    add(aws, there, "s")
    assert refused() == (
        409,
        "ResourceConflictException",
        "The statement id (s) provided already exists. Please provide a new statement id, or "
        "remove the existing statement.",
    )
    assert lost(StatementId="x") == (404, RNF, "Statement x is not found in resource policy.")
    assert lost(FunctionName="absent") == (404, RNF, f"No policy found for: {ARN}absent")
    assert refused(FunctionName="absent") == absent()
    assert refused(Qualifier="7") == absent("there:7")
    assert refused(Qualifier="live") == absent("there:live")
    text = "We currently do not support adding policies for $LATEST."
    assert refused(Qualifier="$LATEST") == (400, IPV, text)
    for name, more in (("absent", {}), (there, {"Qualifier": "7"}), (there, {"Qualifier": "$LATEST"})):
        assert aws.refused("lambda", "get_policy", FunctionName=name, **more) == NOT_THERE
    text = "The provided principal was invalid. Please check the principal and try again."
    assert refused(StatementId="t", Principal="nobody") == (400, IPV, text)
    text = "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action"
    assert refused(StatementId="t", FunctionUrlAuthType="NONE") == (400, IPV, text)
    got = refused(StatementId="a b", Action="s3:Get", SourceAccount="1")
    assert got[:2] == (400, VALIDATION) and got[2].startswith("3 validation errors detected: "), got
    for n in range(2):
        add(aws, there, f"long{n}", SourceArn="arn:aws:s3:::" + "x" * 9_000)
    got = refused(StatementId="more", SourceArn="arn:aws:s3:::" + "x" * 9_000)
    assert got == (
        *(400, "PolicyLengthExceededException"),
        "The final policy size is bigger than the limit (20480).",
    )
    for sid in ("s", "long0", "long1"):
        aws.functions.remove_permission(FunctionName=there, StatementId=sid)


def test_a_policy_survives_a_kill_and_not_the_function(servers, python):
    server = servers().start()
    aws = Aws(server)
    aws.create("permitted", ECHO, python)
    add(aws, "permitted", "s")
    kept(server, lambda aws: policy(aws, "permitted"))
    aws = Aws(server)
    aws.functions.delete_function(FunctionName="permitted")
    aws.create("permitted", ECHO, python)
    assert aws.refused("lambda", "get_policy", FunctionName="permitted") == NOT_THERE


SLEEP = "import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'slept'\n"
DECREASES = (
    "Specified ReservedConcurrentExecutions for function decreases account's "
    "UnreservedConcurrentExecution below its minimum value of [100]."
)


def reserve(aws, function, places):
    asked = {"FunctionName": function, "ReservedConcurrentExecutions": places}
    return aws.functions.put_function_concurrency(**asked)


def unreserved(aws):
    return aws.functions.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]


def test_concurrency_is_reserved_shown_and_given_back(aws, there):
    unset = aws.functions.get_function_concurrency(FunctionName=there)
    assert without_metadata(unset) == {}
    assert "Concurrency" not in aws.functions.get_function(FunctionName=there)
    put = reserve(aws, there, 7)
    assert without_metadata(put) == {"ReservedConcurrentExecutions": 7}
    found = aws.functions.get_function_concurrency(FunctionName=ARN + there)
    assert found["ReservedConcurrentExecutions"] == 7
    concurrency = aws.functions.get_function(FunctionName=there)["Concurrency"]
    assert concurrency == {"ReservedConcurrentExecutions": 7}
    assert unreserved(aws) == 993
    reserve(aws, there, 900)
    assert unreserved(aws) == 100
    for _ in range(2):
        assert status(aws.functions.delete_function_concurrency(FunctionName=there)) == 204
    assert unreserved(aws) == 1000


def test_wrong_reservations_are_refused(aws, there):
    def refused(name=there, places=1):
        asked = {"FunctionName": name, "ReservedConcurrentExecutions": places}
        return aws.refused("lambda", "put_function_concurrency", **asked)

    assert refused(places=901) == (400, IPV, DECREASES)
    assert refused("absent") == absent()
    text = (
        "This operation is permitted on Lambda functions only. Aliases and versions do not support "
        "this operation. Please specify either a function name or an unqualified function ARN."
    )
    assert refused("there:1") == refused("there:$LATEST") == (400, IPV, text)
    assert refused(places=-1) == (
        *(400, VALIDATION),
        "1 validation error detected: Value '-1' at 'reservedConcurrentExecutions' failed to "
        "satisfy constraint: Member must have value greater than or equal to 0",
    )
    for operation in ("get_function_concurrency", "delete_function_concurrency"):
        assert aws.refused("lambda", operation, FunctionName="absent") == absent()
    assert unreserved(aws) == 1000


def test_no_more_run_at_once_than_are_reserved(aws, python):
    function = aws.create("reserving", SLEEP, python, Timeout=30)
    reserve(aws, function, 2)

    def attempt(_):
        try:
            return aws.invoke(function, 2).payload
        except aws.functions.exceptions.TooManyRequestsException as error:
            return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Reason"]

    used_up = 429, "ReservedFunctionConcurrentInvocationLimitExceeded"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(attempt, range(8)))
    assert sorted(answers, key=str) == [used_up] * 6 + ["slept"] * 2
    reserve(aws, function, 0)
    assert attempt(0) == used_up
    aws.functions.delete_function_concurrency(FunctionName=function)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(attempt, range(4))) == ["slept"] * 4


def test_a_reservation_survives_a_kill_and_not_the_function(servers, python):
    server = servers().start()
    aws = Aws(server)
    aws.create("reserving", ECHO, python)
    reserve(aws, "reserving", 0)
    kept(server, lambda aws: without_metadata(aws.functions.get_function_concurrency(FunctionName="reserving")))
    aws = Aws(server)
    with pytest.raises(aws.functions.exceptions.TooManyRequestsException):
        aws.invoke("reserving", 1)
    aws.functions.delete_function(FunctionName="reserving")
    assert unreserved(aws) == 1000
    aws.create("reserving", ECHO, python)
    assert aws.invoke("reserving", 1).payload == 1


QUEUE = "arn:aws:sqs:us-east-1:000000000000:queue"


def shown(answer):
    """An event invoke config without its moment, which must be now."""
    found = without_metadata(answer)
    moment = found.pop("LastModified").timestamp()
    assert abs(moment - time.time()) < 60
    return found


def test_event_invoke_configs_are_put_updated_and_removed(aws, python):
    function = aws.create("async", ECHO, python)
    put = aws.functions.put_function_event_invoke_config(
        FunctionName=function,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": QUEUE}},
    )
    first = {
        "FunctionArn": f"{ARN}async:$LATEST",
        "MaximumRetryAttempts": 1,
        "DestinationConfig": {"OnSuccess": {}, "OnFailure": {"Destination": QUEUE}},
    }
    assert shown(put) == first
    assert shown(aws.functions.get_function_event_invoke_config(FunctionName="async:$LATEST")) == first
    updated = aws.functions.update_function_event_invoke_config(
        FunctionName=function,
        MaximumEventAgeInSeconds=60,
        DestinationConfig={"OnSuccess": {"Destination": QUEUE}},
    )
    both = {"OnSuccess": {"Destination": QUEUE}, "OnFailure": {"Destination": QUEUE}}
    second = first | {"MaximumEventAgeInSeconds": 60, "DestinationConfig": both}
    assert shown(updated) == second
    listed = aws.functions.list_function_event_invoke_configs(FunctionName=function)
    assert [shown(found) for found in listed["FunctionEventInvokeConfigs"]] == [second]
    put = aws.functions.put_function_event_invoke_config(FunctionName=function, MaximumRetryAttempts=0)
    nowhere = {"OnSuccess": {}, "OnFailure": {}}
    assert shown(put) == first | {"MaximumRetryAttempts": 0, "DestinationConfig": nowhere}
    removed = aws.functions.delete_function_event_invoke_config(FunctionName=function)
    assert status(removed) == 204
    listed = aws.functions.list_function_event_invoke_configs(FunctionName=function)
    assert listed["FunctionEventInvokeConfigs"] == []


def test_wrong_event_invoke_configs_are_refused(aws, there):
    def refused(operation="put", name=there, **changes):
        operation = f"{operation}_function_event_invoke_config"
        return aws.refused("lambda", operation, FunctionName=name, **changes)

    def to(arn):
        return refused(DestinationConfig={"OnSuccess": {"Destination": arn}})

    nothing = 404, RNF, f"The function {ARN}there:$LATEST doesn't have an EventInvokeConfig"
    assert refused("get") == refused("delete") == nothing
    assert refused("update", MaximumRetryAttempts=1) == nothing
    text = "You must specify at least one of error handling or destination setting."
    assert refused() == (400, IPV, text)
    text = "You can't specify the function as a destination for itself."
    assert to(ARN + "there") == (400, IPV, text)
    assert to(ARN + "absent") == (400, IPV, f"The destination ARN {ARN}absent is invalid.")
    assert refused(MaximumRetryAttempts=3, MaximumEventAgeInSeconds=21601) == (
        *(400, VALIDATION),
        "2 validation errors detected: Value '3' at 'maximumRetryAttempts' failed to satisfy "
        "constraint: Member must have value less than or equal to 2; Value '21601' at "
        "'maximumEventAgeInSeconds' failed to satisfy constraint: Member must have value less than "
        "or equal to 21600",
    )
    for operation in ("get", "delete"):
        assert refused(operation, "absent") == absent()
        assert refused(operation, Qualifier="7") == absent("there:7")
    assert refused(name="absent", MaximumRetryAttempts=1) == absent()
    got = aws.refused("lambda", "list_function_event_invoke_configs", FunctionName="absent")
    assert got == absent()


def test_an_event_invoke_config_survives_a_kill_and_not_the_function(servers, python):
    server = servers().start()
    aws = Aws(server)
    aws.create("async", ECHO, python)
    aws.functions.put_function_event_invoke_config(FunctionName="async", MaximumRetryAttempts=1)
    kept(server, lambda aws: shown(aws.functions.get_function_event_invoke_config(FunctionName="async")))
    aws = Aws(server)
    aws.functions.delete_function(FunctionName="async")
    aws.create("async", ECHO, python)
    got = aws.refused("lambda", "get_function_event_invoke_config", FunctionName="async")
    assert got[:2] == (404, RNF)


RUNTIME = "arn:aws:lambda:us-east-1::runtime:0123456789abcdef0123456789abcdef"


def test_recursion_and_runtime_management_are_configured_and_kept(servers, python):
    server = servers().start()
    aws = Aws(server)
    function = aws.create("behaving", ECHO, python)

    def recursion(aws):
        return aws.functions.get_function_recursion_config(FunctionName=function)["RecursiveLoop"]

    def runtime(aws):
        return without_metadata(aws.functions.get_runtime_management_config(FunctionName=function))

    assert recursion(aws) == "Terminate"
    assert runtime(aws) == {"UpdateRuntimeOn": "Auto", "FunctionArn": ARN + function}
    put = aws.functions.put_function_recursion_config(FunctionName=function, RecursiveLoop="Allow")
    assert without_metadata(put) == {"RecursiveLoop": "Allow"}
    put = aws.functions.put_runtime_management_config(
        FunctionName=function, UpdateRuntimeOn="Manual", RuntimeVersionArn=RUNTIME
    )
    manual = {"UpdateRuntimeOn": "Manual", "RuntimeVersionArn": RUNTIME, "FunctionArn": ARN + function}
    assert without_metadata(put) == manual
    assert kept(server, lambda aws: (recursion(aws), runtime(aws))) == ("Allow", manual)
    aws = Aws(server)
    aws.functions.put_runtime_management_config(FunctionName=function, UpdateRuntimeOn="FunctionUpdate")
    assert runtime(aws) == {"UpdateRuntimeOn": "FunctionUpdate", "FunctionArn": ARN + function}
    aws.functions.delete_function(FunctionName=function)
    aws.create("behaving", ECHO, python)
    assert (recursion(aws), runtime(aws)["UpdateRuntimeOn"]) == ("Terminate", "Auto")


def test_wrong_recursion_and_runtime_management_are_refused(aws, there):
    def refused(operation, name=there, **more):
        return aws.refused("lambda", operation, FunctionName=name, **more)

    assert refused("put_function_recursion_config", RecursiveLoop="Stop") == (
        *(400, VALIDATION),
        "1 validation error detected: Value 'Stop' at 'recursiveLoop' failed to satisfy constraint: "
        "Member must satisfy enum value set: [Allow, Terminate]",
    )
    assert refused("put_function_recursion_config", "there:1", RecursiveLoop="Allow")[1] == VALIDATION
    assert refused("put_function_recursion_config", "absent", RecursiveLoop="Allow") == absent()
    assert refused("get_function_recursion_config", "absent") == absent()
    assert refused("put_runtime_management_config", UpdateRuntimeOn="Never")[1] == VALIDATION
    assert refused("put_runtime_management_config", UpdateRuntimeOn="Manual")[1] == IPV
    assert refused("put_runtime_management_config", "absent", UpdateRuntimeOn="Auto") == absent()
    assert refused("get_runtime_management_config", Qualifier="7") == absent("there:7")


MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


def url_config(answer):
    """A URL's configuration without its times and the URL's own name."""
    found = without_metadata(answer)
    for time_of in ("CreationTime", "LastModifiedTime"):
        assert MOMENT.fullmatch(found.pop(time_of))
    pattern = r"https://[a-z0-9]{32}\.lambda-url\.us-east-1\.on\.aws/"
    assert re.fullmatch(pattern, found.pop("FunctionUrl"))
    return found


def test_function_urls_are_made_changed_and_removed(aws, python):
    function = aws.create("called", ECHO, python)
    cors = {"AllowOrigins": ["*"], "AllowMethods": ["GET"], "MaxAge": 60}
    asked = {"FunctionName": function, "AuthType": "NONE", "Cors": cors}
    made = aws.functions.create_function_url_config(**asked)
    assert status(made) == 201
    assert "InvokeMode" not in made and "LastModifiedTime" not in made
    first = {"FunctionArn": ARN + function, "AuthType": "NONE", "Cors": cors, "InvokeMode": "BUFFERED"}
    found = aws.functions.get_function_url_config(FunctionName=function)
    assert found["FunctionUrl"] == made["FunctionUrl"]
    assert url_config(found) == first
    assert aws.refused("lambda", "create_function_url_config", **asked) == (
        *(409, "ResourceConflictException"),
        f"Failed to create function url config for [functionArn = {ARN}{function}]. Error message:  "
        "FunctionUrlConfig exists for this Lambda function",
    )
    updated = aws.functions.update_function_url_config(
        FunctionName=function, AuthType="AWS_IAM", InvokeMode="RESPONSE_STREAM"
    )
    second = first | {"AuthType": "AWS_IAM", "InvokeMode": "RESPONSE_STREAM"}
    assert updated["FunctionUrl"] == made["FunctionUrl"]
    assert url_config(updated) == second
    listed = aws.functions.list_function_url_configs(FunctionName=function)["FunctionUrlConfigs"]
    assert [url_config(found) for found in listed] == [second]
    updated = aws.functions.update_function_url_config(FunctionName=function, Cors={})
    assert "Cors" not in updated
    assert status(aws.functions.delete_function_url_config(FunctionName=function)) == 204
    for operation in ("get_function_url_config", "delete_function_url_config"):
        assert aws.refused("lambda", operation, FunctionName=function) == NOT_THERE
    assert aws.functions.list_function_url_configs(FunctionName=function)["FunctionUrlConfigs"] == []


def test_wrong_function_urls_are_refused(aws, there):
    def refused(operation, name=there, **more):
        return aws.refused("lambda", f"{operation}_function_url_config", FunctionName=name, **more)

    missing = 404, RNF, "Function does not exist"
    assert refused("create", "absent", AuthType="NONE") == missing
    assert refused("create", AuthType="NONE", Qualifier="live") == missing
    assert refused("update", "absent") == missing
    assert refused("get", "absent") == refused("delete", "absent") == NOT_THERE
    assert refused("update", AuthType="NONE") == NOT_THERE
    assert aws.refused("lambda", "list_function_url_configs", FunctionName="absent") == missing
    got = refused("create", InvokeMode="LATER", Cors={"MaxAge": -1})
    assert got[:2] == (400, VALIDATION) and got[2].startswith("3 validation errors detected: "), got
    for qualifier in ("1", "$LATEST"):
        assert refused("create", AuthType="NONE", Qualifier=qualifier) == (
            *(400, VALIDATION),
            f"1 validation error detected: Value '{qualifier}' at 'qualifier' failed to satisfy "
            r"constraint: Member must satisfy regular expression pattern: ((?!^\d+$)^[0-9a-zA-Z-_]+$)",
        )


def test_a_function_url_survives_a_kill_and_not_the_function(servers, python):
    server = servers().start()
    aws = Aws(server)
    aws.create("called", ECHO, python)
    aws.functions.create_function_url_config(FunctionName="called", AuthType="NONE")
    look = {"FunctionName": "called"}
    kept(server, lambda aws: without_metadata(aws.functions.get_function_url_config(**look)))
    aws = Aws(server)
    aws.functions.delete_function(FunctionName="called")
    aws.create("called", ECHO, python)
    assert aws.refused("lambda", "get_function_url_config", **look) == NOT_THERE


def test_no_function_has_a_code_signing_config(aws, there):
    found = aws.functions.get_function_code_signing_config(FunctionName=there)
    assert without_metadata(found) == {"FunctionName": there}
    got = aws.refused("lambda", "get_function_code_signing_config", FunctionName="absent")
    assert got == absent()
