"""A machine that holds fewer environments than are wanted: idle ones make room, callers wait in turn, and who
finds none in time is told."""

import concurrent.futures
import json

import pytest

from harness.clients import Aws
from harness.waiting import eventually

KIT = """
import time

def handler(event, context):
    time.sleep(event.get("sleep", 0))
    return event["number"]
"""

NO_ROOM = (
    "We currently do not have sufficient capacity in the region you requested. Our system will be working on "
    "provisioning additional capacity. You can avoid getting this error by temporarily reducing your request rate."
)


@pytest.fixture
def cramped(servers):
    """A server for so many megabytes."""

    def start(capacity_mb):
        server = servers("--capacity-mb", str(capacity_mb)).start()
        return server, Aws(server)

    return start


def lives(server):
    status, _, body = server.request("GET", "/_dormouse/environments")
    assert status == 200
    return json.loads(body)


def ends(server):
    """The causes of the ends of environments."""
    return [life["ended"]["cause"] for life in lives(server) if life.get("ended")]


def test_more_functions_than_fit_are_all_answered(cramped, python):
    # Two that run, or one that runs and eight that are frozen.
    server, aws = cramped(256)
    names = [aws.create(f"crowded{number}", KIT, python, Timeout=30) for number in range(12)]
    for number, name in enumerate(names):
        assert aws.invoke(name, {"number": number}).payload == number
    eventually(lambda: "evicted" in ends(server), "idle environments make room")
    asked = [(name, 100 * at + number) for number in range(4) for at, name in enumerate(names)]

    def ask(name, number):
        return aws.invoke(name, {"number": number, "sleep": 0.02}).payload

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda it: ask(*it), asked))
    assert answers == [number for _, number in asked]
    assert set(ends(server)) == {"evicted"}


def test_what_is_kept_ready_is_never_evicted(cramped, python):
    server, aws = cramped(300)
    aws.create("kept", KIT, python, Timeout=30)
    aws.functions.publish_version(FunctionName="kept")
    aws.functions.put_provisioned_concurrency_config(
        FunctionName="kept", Qualifier="1", ProvisionedConcurrentExecutions=1
    )

    def allocated():
        found = aws.functions.get_provisioned_concurrency_config(FunctionName="kept", Qualifier="1")
        return found["Status"] == "READY"

    eventually(allocated, "it is ready")
    for number in range(6):
        name = aws.create(f"other{number}", KIT, python)
        assert aws.invoke(name, {"number": number}).payload == number
    eventually(lambda: "evicted" in ends(server), "others make room")
    [kept] = [life for life in lives(server) if life["functionName"] == "kept"]
    assert not kept.get("ended")
    assert aws.invoke("kept", {"number": 7}, Qualifier="1").payload == 7


def test_who_finds_no_room_in_time_is_told(cramped, python):
    server, aws = cramped(128)
    for name in ("busy", "late"):
        aws.create(name, KIT, python, Timeout=30)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(aws.invoke, "busy", {"number": 1, "sleep": 14})
        eventually(lambda: lives(server), "it runs")
        status, code, message = aws.refused(
            "lambda", "invoke", FunctionName="late", Payload=json.dumps({"number": 2})
        )
        assert (status, code, message) == (500, "ServiceException", NO_ROOM)
        assert running.result().payload == 1
    # The environment that is idle now makes room.
    assert aws.invoke("late", {"number": 3}).payload == 3
