"""SQS: queues by boto3, the CLI and by hand; what was acknowledged is there, in time and in order."""

import concurrent.futures
import hashlib
import json
import socket
import threading
import time
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree

import boto3
import pytest

from harness.clients import Aws
from harness.waiting import eventually

NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"
FIFO = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}


@pytest.fixture(scope="module")
def sqs(aws):
    return aws.client("sqs")


@pytest.fixture
def queue(sqs, request):
    """A queue of this test's own; its URL."""
    return sqs.create_queue(QueueName=request.node.name.split("[")[0][:80])["QueueUrl"]


def bodies(sqs, url, **more):
    """What one receive brings."""
    received = sqs.receive_message(QueueUrl=url, **{"MaxNumberOfMessages": 10, **more})
    return [message["Body"] for message in received.get("Messages", [])]


def attributes(sqs, url, *names):
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names or ["All"]))
    return found.get("Attributes", {})


def arn(sqs, url):
    return attributes(sqs, url, "QueueArn")["QueueArn"]


def counts(sqs, url):
    """Visible, in flight, delayed."""
    found = attributes(sqs, url)
    kinds = ("", "NotVisible", "Delayed")
    return [int(found[f"ApproximateNumberOfMessages{kind}"]) for kind in kinds]


def fill(sqs, url, texts, **more):
    for text in texts:
        sqs.send_message(QueueUrl=url, MessageBody=text, **more)


def test_the_life_of_a_queue(aws, sqs, server):
    made = sqs.create_queue(QueueName="life", Attributes={"DelaySeconds": "0"}, tags={"a": "b"})
    url = made["QueueUrl"]
    assert url == f"{server.url}/000000000000/life"
    assert sqs.create_queue(QueueName="life")["QueueUrl"] == url
    assert sqs.get_queue_url(QueueName="life")["QueueUrl"] == url
    found = attributes(sqs, url)
    assert abs(int(found.pop("CreatedTimestamp")) - time.time()) < 60
    assert int(found.pop("LastModifiedTimestamp")) > 0
    assert found == {
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesDelayed": "0",
        "ApproximateNumberOfMessagesNotVisible": "0",
        "DelaySeconds": "0",
        "MaximumMessageSize": "1048576",
        "MessageRetentionPeriod": "345600",
        "QueueArn": "arn:aws:sqs:us-east-1:000000000000:life",
        "ReceiveMessageWaitTimeSeconds": "0",
        "SqsManagedSseEnabled": "true",
        "VisibilityTimeout": "30",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    changed = {"VisibilityTimeout": "7", "Policy": policy}
    sqs.set_queue_attributes(QueueUrl=url, Attributes=changed)
    assert attributes(sqs, url, *changed) == changed
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    assert attributes(sqs, url, "Policy") == {}
    sqs.tag_queue(QueueUrl=url, Tags={"c": "d"})
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"a": "b", "c": "d"}
    sqs.untag_queue(QueueUrl=url, TagKeys=["a", "c"])
    assert "Tags" not in sqs.list_queue_tags(QueueUrl=url)
    sqs.add_permission(QueueUrl=url, Label="l", AWSAccountIds=["111111111111"], Actions=["*"])
    statement = json.loads(attributes(sqs, url, "Policy")["Policy"])["Statement"][0]
    assert (statement["Sid"], statement["Action"]) == ("l", "SQS:*")
    sqs.remove_permission(QueueUrl=url, Label="l")
    assert attributes(sqs, url, "Policy") == {}
    sqs.delete_queue(QueueUrl=url)
    code = "AWS.SimpleQueueService.NonExistentQueue"
    assert aws.refused("sqs", "get_queue_url", QueueName="life")[:2] == (400, code)
    code = "AWS.SimpleQueueService.QueueDeletedRecently"
    assert aws.refused("sqs", "create_queue", QueueName="life")[:2] == (400, code)


def test_queues_are_listed_by_prefix_and_in_pages(sqs):
    names = [f"page-{number}" for number in range(5)]
    urls = [sqs.create_queue(QueueName=name)["QueueUrl"] for name in names]
    assert sqs.list_queues(QueueNamePrefix="page-")["QueueUrls"] == urls
    pages = sqs.get_paginator("list_queues").paginate(
        QueueNamePrefix="page-", PaginationConfig={"PageSize": 2}
    )
    assert [page["QueueUrls"] for page in pages] == [urls[:2], urls[2:4], urls[4:]]
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="none")


def test_a_message_with_attributes_makes_the_round_trip(sqs, queue):
    sent = {
        "text": {"DataType": "String", "StringValue": "grün & <gut>"},
        "number": {"DataType": "Number.int", "StringValue": "42"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\0\xff"},
    }
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2-3"}}
    # boto3 compares both digests with its own and raises when they differ.
    answer = sqs.send_message(
        QueueUrl=queue,
        MessageBody="grün\n",
        MessageAttributes=sent,
        MessageSystemAttributes=trace,
    )
    assert answer["MD5OfMessageBody"] == hashlib.md5("grün\n".encode()).hexdigest()
    received = sqs.receive_message(
        QueueUrl=queue,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["All"],
    )
    (message,) = received["Messages"]
    assert (message["Body"], message["MessageAttributes"]) == ("grün\n", sent)
    assert message["MessageId"] == answer["MessageId"]
    assert message["MD5OfMessageAttributes"] == answer["MD5OfMessageAttributes"]
    system = message["Attributes"]
    assert (system["ApproximateReceiveCount"], system["AWSTraceHeader"]) == ("1", "Root=1-2-3")
    assert abs(int(system["SentTimestamp"]) / 1000 - time.time()) < 60
    sqs.change_message_visibility(
        QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
    )
    some = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["num.*", "text"])
    (message,) = some["Messages"]
    assert sorted(message["MessageAttributes"]) == ["number", "text"]
    assert "Attributes" not in message


def test_a_waiting_receiver_is_woken_at_once(sqs, queue):
    def wait():
        began = time.monotonic()
        return bodies(sqs, queue, WaitTimeSeconds=20), time.monotonic() - began

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        concurrent.futures.wait([waiting], timeout=1)
        assert not waiting.done()
        fill(sqs, queue, ["come"])
        sent = time.monotonic()
        received, _ = waiting.result()
        assert received == ["come"]
        assert time.monotonic() - sent < 0.5
    began = time.monotonic()
    assert bodies(sqs, queue, WaitTimeSeconds=1) == []
    assert 0.9 < time.monotonic() - began < 3


def test_a_waiting_receiver_gets_what_is_delayed_or_comes_back(sqs, queue):
    fill(sqs, queue, ["late"], DelaySeconds=1)
    assert counts(sqs, queue) == [0, 0, 1]
    assert bodies(sqs, queue) == []
    assert bodies(sqs, queue, WaitTimeSeconds=10, VisibilityTimeout=1) == ["late"]
    assert counts(sqs, queue) == [0, 1, 0]
    assert bodies(sqs, queue, WaitTimeSeconds=10) == ["late"]


def test_a_receiver_that_hung_up_takes_nothing(server, sqs, queue):
    body = json.dumps({"QueueUrl": queue, "WaitTimeSeconds": 20}).encode()
    head = (
        f"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\n"
        f"Content-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + body)
        assert bodies(sqs, queue, WaitTimeSeconds=1) == []
    # Its end is seen before anything that is asked for behind it.
    assert bodies(sqs, queue, WaitTimeSeconds=1) == []
    fill(sqs, queue, ["kept"])
    assert bodies(sqs, queue, WaitTimeSeconds=5) == ["kept"]


def test_a_message_is_hidden_and_comes_back_until_it_is_deleted(sqs, queue):
    fill(sqs, queue, ["x"])
    first = sqs.receive_message(QueueUrl=queue, VisibilityTimeout=1)["Messages"][0]
    assert bodies(sqs, queue) == []
    again = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"][0]
    assert again["ReceiptHandle"] != first["ReceiptHandle"]
    # Who was too slow does not delete what another one works at.
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=first["ReceiptHandle"])
    assert counts(sqs, queue) == [0, 1, 0]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=again["ReceiptHandle"])
    assert counts(sqs, queue) == [0, 0, 0]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=again["ReceiptHandle"])


def test_batches_answer_for_each_entry(sqs, queue):
    entries = [{"Id": f"e{number}", "MessageBody": f"m{number}"} for number in range(9)]
    entries.append({"Id": "bad", "MessageBody": "\x01"})
    sent = sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    assert [entry["Id"] for entry in sent["Successful"]] == [f"e{number}" for number in range(9)]
    (failed,) = sent["Failed"]
    assert (failed["Id"], failed["Code"], failed["SenderFault"]) == ("bad", "InvalidMessageContents", True)
    received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert sorted(message["Body"] for message in received) == [f"m{n}" for n in range(9)]
    handles = [message["ReceiptHandle"] for message in received]
    changes = [
        {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
        for number, handle in enumerate([*handles[:2], "nonsense"])
    ]
    changed = sqs.change_message_visibility_batch(QueueUrl=queue, Entries=changes)
    assert [entry["Id"] for entry in changed["Successful"]] == ["0", "1"]
    assert [entry["Code"] for entry in changed["Failed"]] == ["ReceiptHandleIsInvalid"]
    assert counts(sqs, queue) == [2, 7, 0]
    deletes = [{"Id": str(n), "ReceiptHandle": handle} for n, handle in enumerate(handles[2:])]
    deleted = sqs.delete_message_batch(QueueUrl=queue, Entries=deletes)
    assert len(deleted["Successful"]) == 7 and "Failed" not in deleted
    assert counts(sqs, queue) == [2, 0, 0]


def test_a_fifo_queue_keeps_the_order_of_groups_and_drops_doubles(sqs):
    url = sqs.create_queue(QueueName="order.fifo", Attributes=FIFO)["QueueUrl"]
    first = sqs.send_message(QueueUrl=url, MessageBody="a1", MessageGroupId="a")
    double = sqs.send_message(QueueUrl=url, MessageBody="a1", MessageGroupId="a")
    assert (double["MessageId"], double["SequenceNumber"]) == (first["MessageId"], first["SequenceNumber"])
    for text in ["a2", "b1", "a3", "b2"]:
        later = sqs.send_message(QueueUrl=url, MessageBody=text, MessageGroupId=text[0])
    assert len(later["SequenceNumber"]) == 20
    assert later["SequenceNumber"] > first["SequenceNumber"]
    (head,) = sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"])["Messages"]
    assert (head["Body"], head["Attributes"]["MessageGroupId"]) == ("a1", "a")
    digest = hashlib.sha256(b"a1").hexdigest()
    assert head["Attributes"]["MessageDeduplicationId"] == digest
    assert bodies(sqs, url) == ["b1", "b2"]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        # The end of a group's first message lets the next ones come, also to who waits already.
        waiting = pool.submit(bodies, sqs, url, WaitTimeSeconds=20)
        concurrent.futures.wait([waiting], timeout=0.5)
        sqs.delete_message(QueueUrl=url, ReceiptHandle=head["ReceiptHandle"])
        assert waiting.result() == ["a2", "a3"]


def test_what_fails_too_often_goes_to_the_dead_letters(aws, sqs, queue):
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    policy = json.dumps({"deadLetterTargetArn": arn(sqs, dead), "maxReceiveCount": 2})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"RedrivePolicy": policy})
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [queue]
    fill(sqs, queue, ["poison"])
    for _ in range(2):
        assert bodies(sqs, queue, VisibilityTimeout=0) == ["poison"]
    assert bodies(sqs, queue) == []
    names = ["All"]
    (found,) = sqs.receive_message(QueueUrl=dead, MessageSystemAttributeNames=names)["Messages"]
    assert found["Body"] == "poison"
    assert found["Attributes"]["DeadLetterQueueSourceArn"] == arn(sqs, queue)
    nowhere = json.dumps({"deadLetterTargetArn": arn(sqs, dead) + "x", "maxReceiveCount": 2})
    given = {"QueueUrl": queue, "Attributes": {"RedrivePolicy": nowhere}}
    refused = aws.refused("sqs", "set_queue_attributes", **given)
    assert refused[1] == "InvalidParameterValue" and "does not exist" in refused[2]


def test_a_purge_takes_all_messages(aws, sqs, queue):
    fill(sqs, queue, ["a", "b", "c"])
    assert len(bodies(sqs, queue, MaxNumberOfMessages=1)) == 1
    sqs.purge_queue(QueueUrl=queue)
    assert counts(sqs, queue) == [0, 0, 0]
    code = "AWS.SimpleQueueService.PurgeQueueInProgress"
    assert aws.refused("sqs", "purge_queue", QueueUrl=queue)[:2] == (403, code)


PREFIXED = "AWS.SimpleQueueService."
WRONG = [
    ("create_queue", {"QueueName": "a b"}, 400, "InvalidParameterValue"),
    ("create_queue", {"QueueName": "x" * 81}, 400, "InvalidParameterValue"),
    ("create_queue", {"QueueName": "x.fifo"}, 400, "InvalidParameterValue"),
    ("create_queue", {"QueueName": "x", "Attributes": {"FifoQueue": "true"}}, 400, "InvalidParameterValue"),
    ("create_queue", {"QueueName": "x", "Attributes": {"Nonsense": "1"}}, 400, "InvalidAttributeName"),
    ("create_queue", {"QueueName": "x", "Attributes": {"DelaySeconds": "901"}}, 400, "InvalidAttributeValue"),
    ("create_queue", {"QueueName": "wrong", "Attributes": {"DelaySeconds": "9"}}, 400, "QueueAlreadyExists"),
    ("get_queue_url", {"QueueName": "none"}, 400, PREFIXED + "NonExistentQueue"),
    ("send_message", {"QueueUrl": "none", "MessageBody": "x"}, 404, "InvalidAddress"),
    ("send_message", {"QueueUrl": "/000000000000/none", "MessageBody": "x"}, 400, PREFIXED + "NonExistentQueue"),
    ("send_message", {"QueueUrl": "/111111111111/wrong", "MessageBody": "x"}, 400, PREFIXED + "NonExistentQueue"),
    ("send_message", {"MessageBody": ""}, 400, "MissingParameter"),
    ("send_message", {"MessageBody": "\x02"}, 400, "InvalidMessageContents"),
    ("send_message", {"MessageBody": "x" * 1_048_577}, 400, "InvalidParameterValue"),
    ("send_message", {"MessageBody": "x", "DelaySeconds": 901}, 400, "InvalidParameterValue"),
    ("send_message", {"MessageBody": "x", "MessageDeduplicationId": "d"}, 400, "InvalidParameterValue"),
    ("receive_message", {"MaxNumberOfMessages": 11}, 400, "InvalidParameterValue"),
    ("receive_message", {"WaitTimeSeconds": 21}, 400, "InvalidParameterValue"),
    ("get_queue_attributes", {"AttributeNames": ["Nonsense"]}, 400, "InvalidAttributeName"),
    ("delete_message", {"ReceiptHandle": "nonsense"}, 404, "ReceiptHandleIsInvalid"),
    ("change_message_visibility", {"ReceiptHandle": "x", "VisibilityTimeout": 43201}, 400, "InvalidParameterValue"),
    ("send_message_batch", {"Entries": []}, 400, PREFIXED + "EmptyBatchRequest"),
    ("send_message_batch", {"Entries": [{"Id": str(n), "MessageBody": "x"} for n in range(11)]}, 400, PREFIXED + "TooManyEntriesInBatchRequest"),
    ("send_message_batch", {"Entries": [{"Id": "a", "MessageBody": "x"}] * 2}, 400, PREFIXED + "BatchEntryIdsNotDistinct"),
    ("send_message_batch", {"Entries": [{"Id": "a b", "MessageBody": "x"}]}, 400, PREFIXED + "InvalidBatchEntryId"),
    ("send_message_batch", {"Entries": [{"Id": n, "MessageBody": "x" * 600_000} for n in "ab"]}, 400, PREFIXED + "BatchRequestTooLong"),
    ("start_message_move_task", {"SourceArn": "arn"}, 501, "NotImplemented"),
]


@pytest.mark.parametrize("operation, given, status, code", WRONG)
def test_wrong_requests_are_refused_as_by_aws(aws, sqs, operation, given, status, code):
    if "Queue" not in "".join(given) or operation == "create_queue":
        url = sqs.create_queue(QueueName="wrong")["QueueUrl"]
        if operation not in ("create_queue", "start_message_move_task"):
            given = {"QueueUrl": url, **given}
    assert aws.refused("sqs", operation, **given)[:2] == (status, code)


def test_regions_and_accounts_are_separate_worlds(aws, server, sqs, queue):
    name = queue.rsplit("/", 1)[1]

    def of(**who):
        session = boto3.Session(
            aws_access_key_id=who.get("key", "test"), aws_secret_access_key="test",
            region_name=who.get("region", "us-east-1"),
        )
        return session.client("sqs", endpoint_url=server.url)

    for other in (of(region="eu-west-1"), of(key="123456789012")):
        with pytest.raises(other.exceptions.QueueDoesNotExist):
            other.get_queue_url(QueueName=name)
        assert "QueueUrls" not in other.list_queues()
    elsewhere = of(key="123456789012").create_queue(QueueName=name)["QueueUrl"]
    assert elsewhere == f"{server.url}/123456789012/{name}"


def test_any_host_in_a_queue_url_is_accepted(sqs, queue):
    path = urllib.parse.urlsplit(queue).path
    sqs.send_message(QueueUrl=f"https://sqs.us-east-1.amazonaws.com{path}", MessageBody="x")
    assert bodies(sqs, queue) == ["x"]


def test_the_query_protocol_answers_in_xml(server):
    def ask(path="/", **members):
        form = urllib.parse.urlencode({"Version": "2012-11-05", **members}).encode()
        request = urllib.request.Request(server.url + path, form)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, ElementTree.fromstring(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, ElementTree.fromstring(error.read())

    def text(found, name):
        return found.findtext(f".//{NAMESPACE}{name}")

    made = {"Attribute.1.Name": "DelaySeconds", "Attribute.1.Value": "0"}
    status, created = ask(Action="CreateQueue", QueueName="by-hand", **made)
    assert (status, created.tag) == (200, f"{NAMESPACE}CreateQueueResponse")
    url = text(created, "QueueUrl")
    path = urllib.parse.urlsplit(url).path
    attached = {
        "MessageAttribute.1.Name": "n",
        "MessageAttribute.1.Value.DataType": "String",
        "MessageAttribute.1.Value.StringValue": "v",
    }
    # The queue is named by the path, or by a member.
    _, sent = ask(path, Action="SendMessage", MessageBody="<x>", **attached)
    assert text(sent, "MD5OfMessageBody") == hashlib.md5(b"<x>").hexdigest()
    entry = "SendMessageBatchRequestEntry.1."
    _, batch = ask(Action="SendMessageBatch", QueueUrl=url, **{f"{entry}Id": "a", f"{entry}MessageBody": "y"})
    assert text(batch, "SendMessageBatchResultEntry/" + NAMESPACE + "Id") == "a"
    names = {"AttributeName.1": "All", "MessageAttributeName.1": "All"}
    _, received = ask(path, Action="ReceiveMessage", MaxNumberOfMessages="10", **names)
    messages = received.findall(f".//{NAMESPACE}Message")
    assert [message.findtext(f"{NAMESPACE}Body") for message in messages] == ["<x>", "y"]
    assert text(messages[0], "StringValue") == "v"
    handle = text(messages[0], "ReceiptHandle")
    status, deleted = ask(path, Action="DeleteMessage", ReceiptHandle=handle)
    assert (status, deleted.tag) == (200, f"{NAMESPACE}DeleteMessageResponse")
    status, refused = ask("/000000000000/none", Action="SendMessage", MessageBody="x")
    assert (status, text(refused, "Code")) == (400, "AWS.SimpleQueueService.NonExistentQueue")


def test_the_cli_works_with_queues(aws, server):
    def cli(*arguments):
        return aws.cli("sqs", *arguments, "--endpoint-url", server.url)

    url = cli("create-queue", "--queue-name", "by-cli")["QueueUrl"]
    cli("send-message", "--queue-url", url, "--message-body", "hello")
    assert cli("receive-message", "--queue-url", url)["Messages"][0]["Body"] == "hello"
    assert url in cli("list-queues")["QueueUrls"]
    cli("delete-queue", "--queue-url", url)


def test_what_was_acknowledged_survives_a_kill(servers):
    server = servers().start()
    client = Aws(server).client("sqs")
    url = client.create_queue(QueueName="durable")["QueueUrl"]
    acknowledged, deleted = set(), set()

    def work(writer):
        for number in range(10_000):
            text = f"{writer}-{number}"
            try:
                client.send_message(QueueUrl=url, MessageBody=text)
                acknowledged.add(text)
                if number % 3:
                    continue
                for message in client.receive_message(QueueUrl=url).get("Messages", []):
                    deleted.add(message["Body"])
                    client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            except Exception:
                return

    workers = [threading.Thread(target=work, args=(writer,)) for writer in range(4)]
    for worker in workers:
        worker.start()
    eventually(lambda: len(acknowledged) > 100, "messages are acknowledged")
    server.kill()
    for worker in workers:
        worker.join()
    server.start()
    client = Aws(server).client("sqs")
    path = urllib.parse.urlsplit(url).path
    left, found = acknowledged - deleted, set()

    def drain():
        received = client.receive_message(QueueUrl=path, MaxNumberOfMessages=10)
        found.update(message["Body"] for message in received.get("Messages", []))
        return left <= found

    eventually(drain, "all that was acknowledged is there", 60)


def test_a_stopping_server_lets_waiting_receivers_go(servers):
    server = servers().start()
    client = Aws(server).client("sqs")
    url = client.create_queue(QueueName="q")["QueueUrl"]
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(bodies, client, url, WaitTimeSeconds=20)
        concurrent.futures.wait([waiting], timeout=1)
        assert not waiting.done()
        began = time.monotonic()
        server.stop()
        assert waiting.result() == []
        assert time.monotonic() - began < 10
