"""Event source mappings: records as AWS keeps them. Nothing polls yet."""

import json
import re

import pytest

from harness.clients import REGION, Aws
from harness.code import ECHO

IPV = "InvalidParameterValueException"
RC = "ResourceConflictException"
RNF = "ResourceNotFoundException"
ARN = f"arn:aws:lambda:{REGION}:000000000000:"
FUNCTION = ARN + "function:"
STREAM = f"arn:aws:kinesis:{REGION}:000000000000:stream/"
NOWHERE = "00000000-0000-4000-8000-000000000000"
NOT_THERE = 404, RNF, "The resource you requested does not exist."
NO_QUEUE = (
    "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
    "SQS Error Message: The specified queue does not exist."
)


@pytest.fixture(scope="module")
def there(aws, python):
    """A function that is there."""
    return aws.create("fed", ECHO, python)


def queue(aws, name, **attributes):
    """A queue's ARN."""
    aws.client("sqs").create_queue(QueueName=name, Attributes=attributes)
    return f"arn:aws:sqs:{REGION}:000000000000:{name}"


def create(aws, function, source, **more):
    made = aws.functions.create_event_source_mapping(FunctionName=function, EventSourceArn=source, **more)
    assert status(made) == 202
    return without_metadata(made)


def get(aws, uuid):
    return without_metadata(aws.functions.get_event_source_mapping(UUID=uuid))


def update(aws, uuid, **more):
    changed = aws.functions.update_event_source_mapping(UUID=uuid, **more)
    assert status(changed) == 202
    return without_metadata(changed)


def refused(aws, operation="create_event_source_mapping", **arguments):
    return aws.refused("lambda", operation, **arguments)


def status(answer):
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def without_metadata(answer):
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def without(answer, *names):
    return {key: value for key, value in answer.items() if key not in names}


def test_a_mapping_of_a_queue_lives_as_terraform_expects(aws, there):
    source = queue(aws, "life")
    made = create(aws, there, source, Tags={"a": "1"})
    uuid = made["UUID"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", uuid)
    assert without(made, "LastModified") == {
        "UUID": uuid,
        "BatchSize": 10,
        "EventSourceArn": source,
        "EventSourceMappingArn": ARN + f"event-source-mapping:{uuid}",
        "FunctionArn": FUNCTION + there,
        "FunctionResponseTypes": [],
        "MaximumBatchingWindowInSeconds": 0,
        "State": "Creating",
        "StateTransitionReason": "USER_INITIATED",
    }
    assert get(aws, uuid) == made | {"State": "Enabled"}
    assert "StartingPosition" not in made
    assert aws.functions.list_tags(Resource=made["EventSourceMappingArn"])["Tags"] == {"a": "1"}
    off = update(aws, uuid, Enabled=False, BatchSize=5)
    assert (off["State"], off["BatchSize"]) == ("Disabling", 5)
    assert off["LastModified"] > made["LastModified"]
    assert get(aws, uuid)["State"] == "Disabled"
    assert update(aws, uuid, BatchSize=6)["State"] == "Updating"
    assert get(aws, uuid)["State"] == "Disabled"
    assert update(aws, uuid, Enabled=True)["State"] == "Enabling"
    gone = aws.functions.delete_event_source_mapping(UUID=uuid)
    assert (status(gone), gone["State"]) == (202, "Deleting")
    for operation in ("get", "delete", "update"):
        assert refused(aws, f"{operation}_event_source_mapping", UUID=uuid) == NOT_THERE
    assert aws.refused("lambda", "list_tags", Resource=made["EventSourceMappingArn"]) == NOT_THERE


def test_a_stream_has_the_defaults_that_were_recorded(aws, there):
    made = create(aws, there, STREAM + "defaults", StartingPosition="LATEST", Enabled=False)
    assert without(made, "LastModified", "UUID", "EventSourceMappingArn") == {
        "BatchSize": 100,
        "BisectBatchOnFunctionError": False,
        "DestinationConfig": {"OnFailure": {}},
        "EventSourceArn": STREAM + "defaults",
        "FunctionArn": FUNCTION + there,
        "FunctionResponseTypes": [],
        "LastProcessingResult": "No records processed",
        "MaximumBatchingWindowInSeconds": 0,
        "MaximumRecordAgeInSeconds": -1,
        "MaximumRetryAttempts": -1,
        "ParallelizationFactor": 1,
        "StartingPosition": "LATEST",
        "State": "Creating",
        "StateTransitionReason": "User action",
        "TumblingWindowInSeconds": 0,
    }
    assert get(aws, made["UUID"])["State"] == "Disabled"


def test_every_member_is_kept_changed_and_emptied(aws, there):
    pattern = json.dumps({"body": {"kind": [{"prefix": "x"}]}})
    members = {
        "MaximumBatchingWindowInSeconds": 7,
        "BatchSize": 20,
        "FilterCriteria": {"Filters": [{"Pattern": pattern}]},
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": 9},
        "MetricsConfig": {"Metrics": ["EventCount"]},
    }
    made = create(aws, there, queue(aws, "members"), **members)
    assert members.items() <= made.items()
    emptied = {
        "FilterCriteria": {},
        "ScalingConfig": {},
        "MetricsConfig": {"Metrics": []},
        "FunctionResponseTypes": [],
    }
    after = update(aws, made["UUID"], **emptied)
    assert after["FunctionResponseTypes"] == [] and after["BatchSize"] == 20
    assert not {"FilterCriteria", "ScalingConfig", "MetricsConfig"} & set(after)
    destination = {"OnFailure": {"Destination": queue(aws, "failures")}}
    stream = {
        "StartingPosition": "AT_TIMESTAMP",
        "StartingPositionTimestamp": 1_700_000_000,
        "DestinationConfig": destination,
        "ParallelizationFactor": 3,
        "MaximumRetryAttempts": 4,
        "MaximumRecordAgeInSeconds": 60,
        "BisectBatchOnFunctionError": True,
        "TumblingWindowInSeconds": 30,
    }
    made = create(aws, there, STREAM + "members", **stream)
    assert made["StartingPositionTimestamp"].timestamp() == 1_700_000_000
    assert without(stream, "StartingPositionTimestamp").items() <= made.items()
    after = update(aws, made["UUID"], DestinationConfig={"OnFailure": {}})
    assert after["DestinationConfig"] == {"OnFailure": {}}


def test_refusals_are_in_the_words_of_aws(aws, there):
    source = queue(aws, "refusals")

    def told(text, **changes):
        arguments = {"FunctionName": there, "EventSourceArn": source} | changes
        arguments = {key: value for key, value in arguments.items() if value is not None}
        assert refused(aws, **arguments) == (400, IPV, text)

    told("Function does not exist", FunctionName="absent")
    told("Function does not exist", FunctionName=there + ":7")
    told("Unrecognized event source.", EventSourceArn=None)
    told(NO_QUEUE, EventSourceArn=source + "-absent")
    told(NO_QUEUE, EventSourceArn=source.replace("000000000000", "111111111111"))
    told(NO_QUEUE, EventSourceArn=source.replace(REGION, "eu-west-1"))
    window = "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
    told(window, BatchSize=11)
    for pattern in ("simple string", '{"a": "b"}', '{"a": []}'):
        told("Invalid filter pattern definition.", FilterCriteria={"Filters": [{"Pattern": pattern}]})
    null = "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must not be null."
    told(null, EventSourceArn=STREAM + "x")
    table = f"arn:aws:dynamodb:{REGION}:000000000000:table/t/stream/2026"
    at = "AT_TIMESTAMP"
    told(f"Unsupported starting position for arn type: {table}", EventSourceArn=table, StartingPosition=at)
    told("Need to specify a timestamp", EventSourceArn=STREAM + "x", StartingPosition=at)
    unsupported = "Unsupported '{}' parameter for given event source mapping type."
    told(unsupported.format("parallelizationFactor"), ParallelizationFactor=2)
    told(unsupported.format("topics"), Topics=["topic"])
    brokers = {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["k.example:9092"]}}
    kafka = {"EventSourceArn": None, "SelfManagedEventSource": brokers, "Topics": ["topic"]}
    told("Required 'sourceAccessConfigurations' parameter is missing.", StartingPosition="LATEST", **kafka)
    queue(aws, "order.fifo", FifoQueue="true")
    fifo = source.replace("refusals", "order.fifo")
    told("Batching window is not supported for FIFO queues", EventSourceArn=fifo, MaximumBatchingWindowInSeconds=1)
    assert refused(aws, "get_event_source_mapping", UUID=NOWHERE) == NOT_THERE
    listed = aws.functions.list_event_source_mappings(EventSourceArn=source)
    assert listed["EventSourceMappings"] == []


def test_a_double_is_refused_with_the_id_of_the_first(aws, there):
    source = queue(aws, "double")
    advice = "already exists. Please update or delete the existing mapping with UUID "
    first = create(aws, there, source)["UUID"]
    text = f'An event source mapping with SQS arn (" {source} ") and function (" {there} ") {advice}{first}'
    assert refused(aws, FunctionName=there, EventSourceArn=source) == (409, RC, text)
    stream = {"EventSourceArn": STREAM + "double", "StartingPosition": "LATEST"}
    first = create(aws, there, stream["EventSourceArn"], StartingPosition="LATEST")["UUID"]
    text = f'The event source arn (" {stream["EventSourceArn"]} ") and function (" {there} ") provided mapping {advice}{first}'
    assert refused(aws, FunctionName=FUNCTION + there, **stream) == (409, RC, text)
    aws.functions.publish_version(FunctionName=there)
    other = create(aws, there + ":1", source)
    assert other["FunctionArn"] == FUNCTION + there + ":1"
    # Nor may a change make one the double of another.
    moved = refused(aws, "update_event_source_mapping", UUID=other["UUID"], FunctionName=there)
    assert moved[:2] == (409, RC)
    assert get(aws, other["UUID"])["FunctionArn"] == FUNCTION + there + ":1"


def test_mappings_are_listed_by_function_and_source_in_pages(servers, python):
    aws = Aws(servers().start())
    for name in ("one", "two"):
        aws.create(name, ECHO, python)
    queues = [queue(aws, f"listed-{n}") for n in range(3)]
    made = {create(aws, name, source)["UUID"]: (name, source) for name in ("one", "two") for source in queues}

    def listed(**narrowed):
        pages = aws.functions.get_paginator("list_event_source_mappings")
        pages = pages.paginate(PaginationConfig={"PageSize": 2}, **narrowed)
        found = [mapping for page in pages for mapping in page["EventSourceMappings"]]
        assert all(mapping["State"] == "Enabled" for mapping in found)
        return [mapping["UUID"] for mapping in found]

    assert listed() == sorted(made)
    assert listed(FunctionName="one") == sorted(uuid for uuid, (name, _) in made.items() if name == "one")
    assert listed(FunctionName="one:$LATEST") == []
    of_source = sorted(uuid for uuid, (_, source) in made.items() if source == queues[0])
    assert listed(EventSourceArn=queues[0]) == of_source
    assert len(listed(EventSourceArn=queues[0], FunctionName=FUNCTION + "two")) == 1
    assert listed(EventSourceArn=STREAM + "absent") == []
    assert refused(aws, "list_event_source_mappings", Marker="x") == (400, IPV, "Invalid marker.")


def test_tags_of_a_mapping_are_kept_beside_it(aws, there):
    made = create(aws, there, queue(aws, "tagged"), Tags={"a": "1", "b": "2"})
    arn = made["EventSourceMappingArn"]
    aws.functions.tag_resource(Resource=arn, Tags={"b": "3", "c": "4"})
    aws.functions.untag_resource(Resource=arn, TagKeys=["a"])
    assert aws.functions.list_tags(Resource=arn)["Tags"] == {"b": "3", "c": "4"}
    assert get(aws, made["UUID"])["LastModified"] == made["LastModified"]
    many = 400, IPV, "Number of tags exceeds resource tag limit."
    tags = {str(n): "v" for n in range(51)}
    assert aws.refused("lambda", "tag_resource", Resource=arn, Tags=tags) == many
    other = arn.replace(made["UUID"], NOWHERE)
    assert aws.refused("lambda", "tag_resource", Resource=other, Tags={"a": "b"}) == NOT_THERE


def test_a_mapping_outlives_its_function_and_a_kill(servers, python):
    server = servers().start()
    aws = Aws(server)
    aws.create("short", ECHO, python)
    made = create(aws, "short", queue(aws, "long"), Tags={"a": "1"})
    update(aws, made["UUID"], BatchSize=3)
    before = get(aws, made["UUID"])
    aws.functions.delete_function(FunctionName="short")
    server.kill()
    server.restart()
    aws = Aws(server)
    assert get(aws, made["UUID"]) == before
    listed = aws.functions.list_event_source_mappings(FunctionName="short")["EventSourceMappings"]
    assert listed == [before]
    assert aws.functions.list_tags(Resource=made["EventSourceMappingArn"])["Tags"] == {"a": "1"}
    aws.functions.delete_event_source_mapping(UUID=made["UUID"])
    server.kill()
    server.restart()
    assert refused(Aws(server), "get_event_source_mapping", UUID=made["UUID"]) == NOT_THERE


def test_regions_and_accounts_do_not_see_each_others_mappings(aws, server, there):
    made = create(aws, there, queue(aws, "here"))
    elsewhere = aws.client("lambda", region_name="eu-west-1")
    with pytest.raises(elsewhere.exceptions.ResourceNotFoundException):
        elsewhere.get_event_source_mapping(UUID=made["UUID"])
    assert elsewhere.list_event_source_mappings()["EventSourceMappings"] == []
    with pytest.raises(elsewhere.exceptions.ResourceNotFoundException):
        elsewhere.list_tags(Resource=made["EventSourceMappingArn"])
    authorization = (
        "AWS4-HMAC-SHA256 Credential=123456789012/20260101/us-east-1/lambda/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64
    )
    headers = {"Authorization": authorization, "X-Amz-Date": "20260101T000000Z"}
    found, _, body = server.request("GET", "/2015-03-31/event-source-mappings", headers=headers)
    assert (found, json.loads(body)) == (200, {"EventSourceMappings": []})


def test_the_cli_makes_lists_and_removes_a_mapping(aws, there):
    source = queue(aws, "cli")
    made = aws.cli(
        *("lambda", "create-event-source-mapping", "--function-name", there),
        *("--event-source-arn", source, "--batch-size", "4"),
    )
    assert (made["State"], made["BatchSize"]) == ("Creating", 4)
    listed = aws.cli("lambda", "list-event-source-mappings", "--event-source-arn", source)
    assert [of["UUID"] for of in listed["EventSourceMappings"]] == [made["UUID"]]
    changed = aws.cli(
        "lambda", "update-event-source-mapping", "--uuid", made["UUID"], "--no-enabled"
    )
    assert changed["State"] == "Disabling"
    assert aws.cli("lambda", "delete-event-source-mapping", "--uuid", made["UUID"])["State"] == "Deleting"
