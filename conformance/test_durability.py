"""What was acknowledged survives; what was not is never half there; ends are orderly.

Each test has servers of its own, since it stops or kills them."""

import concurrent.futures
import json
import os
import random
import shutil
import signal
import socket
import threading
import time
import urllib.request

import botocore.exceptions
import pytest

from harness import leftovers
from harness.clients import Aws
from harness.code import ROLE, digest, package
from harness.waiting import eventually

ROUNDS = 15
SLOW = """
import time
def handler(event, context):
    print("begun", flush=True)
    time.sleep(event)
    return {"slept": event}
"""
TRUST = json.dumps(
    {"Statement": {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}}
)


def answering(text):
    return package({"app.py": f"def handler(event, context):\n    return {text!r}\n", "pad": os.urandom(20_000)})


class History:
    """What was sent and what was acknowledged, function by function."""

    def __init__(self):
        self.acknowledged = {}
        self.sent = {}

    def work(self, aws, runtime, round_number):
        """Creates and updates until the server is gone."""
        for number in range(1000):
            fresh = number % 2 == 0 or not self.acknowledged
            name = f"f-{round_number}-{number}" if fresh else random.choice(list(self.acknowledged))
            text = f"{name}/{round_number}/{number}"
            zipped = answering(text)
            self.sent.setdefault(name, {})[digest(zipped)] = text
            try:
                if fresh:
                    aws.functions.create_function(
                        FunctionName=name,
                        Runtime=runtime,
                        Handler="app.handler",
                        Role=ROLE,
                        Code={"ZipFile": zipped},
                    )
                else:
                    aws.functions.update_function_code(FunctionName=name, ZipFile=zipped)
            except aws.functions.exceptions.ResourceConflictException:
                # Still being made ready: this update was refused and must never be seen.
                del self.sent[name][digest(zipped)]
                continue
            except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError):
                return
            self.acknowledged[name] = digest(zipped)

    def check(self, aws, names):
        """Every acknowledged function is there with its last code, or with one that was on its way."""
        pages = aws.functions.get_paginator("list_functions").paginate()
        listed = {found["FunctionName"]: found["CodeSha256"] for page in pages for found in page["Functions"]}
        for name, code in self.acknowledged.items():
            assert name in listed, f"{name} was acknowledged and is lost"
            sent = list(self.sent[name])
            assert listed[name] in sent[sent.index(code) :], f"{name} went back to older code"
        for name, code in listed.items():
            assert code in self.sent.get(name, {}), f"{name} has code that was never sent"
            # What was on its way may have arrived; from now on it is there.
            self.acknowledged[name] = code
        for name in names(self.acknowledged):
            aws.settled(name)
            assert aws.invoke(name).payload == self.sent[name][self.acknowledged[name]]


@pytest.mark.timeout(300)
def test_fifteen_kills_at_random_moments_lose_nothing_that_was_acknowledged(servers, python):
    seed = int(os.environ.get("CONFORMANCE_SEED") or time.time_ns() % 1_000_000)
    print(f"CONFORMANCE_SEED={seed}")
    random.seed(seed)
    history = History()
    server = servers().start()
    for round_number in range(ROUNDS):
        aws = Aws(server)
        aws.client("lambda")
        worker = threading.Thread(target=history.work, args=(aws, python, round_number))
        worker.start()
        worker.join(random.uniform(0.02, 0.4))
        server.kill()
        worker.join()
        server.restart()
        history.check(Aws(server), lambda names: random.sample(list(names), min(3, len(names))))
    history.check(Aws(server), lambda names: list(names)[-15:])
    assert len(history.acknowledged) >= ROUNDS, "hardly anything was done: nothing was shown"
    code = Aws(server).functions.get_function(FunctionName=next(iter(history.acknowledged)))["Code"]
    with urllib.request.urlopen(code["Location"], timeout=30) as answer:
        assert digest(answer.read()) in history.sent[next(iter(history.acknowledged))]


def test_a_running_invocation_gets_a_closed_connection_and_no_false_answer(servers, python):
    server = servers().start()
    aws = Aws(server)
    aws.create("slow", SLOW, python, Timeout=60)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        running = [pool.submit(aws.invoke, "slow", 30) for _ in range(3)]
        eventually(
            lambda: "".join(m for _, m in aws.log_events("slow")).count("begun") == 3, "three invocations run"
        )
        server.kill()
        for invocation in running:
            with pytest.raises((botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError)):
                invocation.result(timeout=20)
    server.restart()
    assert Aws(server).invoke("slow", 0).payload == {"slept": 0}


def test_logs_and_roles_and_settings_survive_a_kill(servers, python):
    server = servers().start()
    aws = Aws(server)
    aws.create(
        *("kept", SLOW, python),
        Description="grün",
        MemorySize=256,
        Environment={"Variables": {"COLOUR": "blue"}},
        Tags={"k": "v"},
    )
    invoked = aws.invoke("kept", 0)
    aws.wait_for_log("kept", f"REPORT RequestId: {invoked.request_id}")
    aws.client("iam").create_role(RoleName="kept", AssumeRolePolicyDocument=TRUST)

    def everything(aws):
        function = aws.functions.get_function(FunctionName="kept")
        role = aws.client("iam").get_role(RoleName="kept")["Role"]
        return function["Configuration"], function["Tags"], role, aws.log_events("kept")

    before = everything(aws)
    server.kill()
    server.restart()
    assert everything(Aws(server)) == before


def test_half_written_files_of_a_killed_server_are_never_used_and_go_away(servers, python):
    server = servers().start()
    aws = Aws(server)
    aws.create("whole", "def handler(event, context):\n    return 'right'\n", python)
    assert aws.invoke("whole").payload == "right"
    server.kill()
    code = next(path.parent for path in server.data_dir.rglob("app.py"))
    wrong = "def handler(event, context):\n    return 'wrong'\n"
    # As a process leaves it that dies while it unpacks, and while it stores.
    shutil.rmtree(code)
    unfinished = code.with_name(code.name + ".unfinished")
    unfinished.mkdir()
    (unfinished / "app.py").write_text(wrong)
    (server.data_dir / "packages" / "put-7").write_bytes(package({"app.py": wrong})[:100])
    server.restart()
    assert Aws(server).invoke("whole").payload == "right"
    assert not unfinished.exists()


def test_a_package_that_was_damaged_on_disk_is_never_run(servers, python):
    server = servers().start()
    aws = Aws(server)
    aws.create("damaged", "def handler(event, context):\n    return 'right'\n", python)
    server.stop()
    blob = next(path for path in (server.data_dir / "packages").rglob("*") if path.is_file())
    for code in list(server.data_dir.rglob("app.py")):
        shutil.rmtree(code.parent)
    other = package({"app.py": "def handler(event, context):\n    return 'wrong'\n"})
    os.chmod(blob, 0o600)
    blob.write_bytes(other)
    server.start()
    try:
        answer = Aws(server).invoke("damaged")
    except botocore.exceptions.ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
    else:
        assert answer.error == "Unhandled" and b"wrong" not in answer.body, answer
    assert server.request("GET", "/healthz")[0] == 200


def begun(aws, name, deadline_s=20):
    return aws.wait_for_log(name, "begun", deadline_s)


def test_sigterm_lets_a_running_invocation_finish_with_its_answer(servers, python):
    server = servers().start()
    aws = Aws(server)
    aws.create("finishing", SLOW, python, Timeout=20)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(aws.invoke, "finishing", 1.5)
        begun(aws, "finishing")
        server.signal(signal.SIGTERM)
        answer = running.result(timeout=20)
    assert (answer.error, answer.payload) == (None, {"slept": 1.5})
    assert server.wait() == 0
    server.check_nothing_left()
    server.check_no_panic()
    # Its last lines are stored too.
    server.start()
    assert "REPORT RequestId" in Aws(server).wait_for_log("finishing", "REPORT RequestId")


def test_a_second_sigterm_stops_at_once(servers, python):
    server = servers().start()
    aws = Aws(server)
    aws.create("endless", SLOW, python, Timeout=300)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(aws.invoke, "endless", 200)
        begun(aws, "endless")
        server.signal(signal.SIGTERM)
        eventually(lambda: "stopping" in server.log(), "the first signal was heard")
        assert server.is_running()
        server.signal(signal.SIGTERM)
        server.wait(10)
        try:
            answer = running.result(timeout=10)
        except (botocore.exceptions.HTTPClientError, botocore.exceptions.ClientError):
            pass
        else:
            assert answer.error == "Unhandled" and b"slept" not in answer.body, answer
    server.check_nothing_left()
    server.check_no_panic()


def test_a_drain_has_a_limit(servers, python):
    server = servers("--drain-timeout", "1").start()
    aws = Aws(server)
    aws.create("endless", SLOW, python, Timeout=300)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(aws.invoke, "endless", 200)
        begun(aws, "endless")
        server.signal(signal.SIGTERM)
        server.wait(15)
        try:
            answer = running.result(timeout=10)
        except (botocore.exceptions.HTTPClientError, botocore.exceptions.ClientError):
            pass
        else:
            assert answer.error == "Unhandled", answer
    server.check_nothing_left()


def test_a_second_server_on_the_same_data_is_refused(servers):
    server = servers().start()
    status, text = server.refusal()
    assert status == 1 and str(server.process.pid) in text, text
    assert server.request("GET", "/healthz")[0] == 200


def test_a_port_that_is_taken_is_a_clear_refusal(servers):
    server = servers()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [address if part == "127.0.0.1:0" else part for part in server.command()]
        server.command = lambda: command
        status, text = server.refusal()
    assert status == 1 and address in text, text
    server.check_nothing_left()


FLAGS = {
    "an unknown flag": (["--colour", "blue"], {}, 2, "--colour"),
    "an unknown variable": ([], {"DORMOUSE_COLOUR": "blue"}, 1, "DORMOUSE_COLOUR"),
    "a region that is none": (["--region", "Mars!"], {}, 1, "--region"),
    "an account that is none": (["--account-id", "12"], {}, 1, "--account-id"),
    "a guarantee that is none": (["--allow-weaker", "everything"], {}, 1, "--allow-weaker"),
    "a number that is none": (["--idle-timeout", "soon"], {}, 2, "--idle-timeout"),
    "a file that is not there": (["--config", "/nonexistent.toml"], {}, 1, "/nonexistent.toml"),
}


@pytest.mark.parametrize("case", FLAGS)
def test_what_makes_no_sense_is_refused_by_name(servers, case):
    flags, variables, status, part = FLAGS[case]
    got, text = servers().refusal(*flags, **variables)
    assert got == status and part in text, text


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"])
def test_an_address_that_others_could_reach_is_refused(servers, address):
    server = servers()
    command = [address if part == "127.0.0.1:0" else part for part in server.command()]
    server.command = lambda: command
    status, text = server.refusal()
    assert status == 1 and "only loopback" in text, text


def test_an_unknown_key_of_the_file_is_refused_by_name(servers, tmp_path):
    file = tmp_path / "dormouse.toml"
    file.write_text('region = "eu-west-1"\ncolour = "blue"\n')
    status, text = servers().refusal("--config", str(file))
    assert status == 1 and "colour" in text and str(file) in text, text


def test_a_flag_wins_over_the_file(servers, tmp_path):
    file = tmp_path / "dormouse.toml"
    file.write_text('account_id = "111111111111"\nidle_timeout = 5\n')
    from_file = servers("--config", str(file)).start()
    assert Aws(from_file).client("sts").get_caller_identity()["Account"] == "111111111111"
    by_flag = servers("--config", str(file), "--account-id", "222222222222").start()
    assert Aws(by_flag).client("sts").get_caller_identity()["Account"] == "222222222222"


def test_health_and_readiness_are_told_without_a_signature(servers):
    server = servers().start()
    assert (server.request("GET", "/healthz")[0], server.request("GET", "/readyz")[0]) == (200, 200)
    assert server.request("GET", "/healthz")[2] == b"ok\n"
    assert server.request("POST", "/healthz", b"x")[0] == 405
    assert server.log().count("\n") == sum(
        line.startswith("{") and bool(json.loads(line)["level"]) for line in server.log().splitlines()
    ), "the server's log is one JSON object a line"


def test_the_orphan_check_sees_a_server_that_is_alive(servers, python):
    server = servers().start()
    aws = Aws(server)
    aws.create("seen", SLOW, python)
    aws.invoke("seen", 0)
    server.family.look(server.process.pid)
    found = "\n".join(leftovers.of(server))
    for kind in ("process ", "control group ", "mount seen by", "namespace net"):
        assert kind in found, found
    (server.temporary / "forgotten").write_text("x")
    assert "temporary file" in "\n".join(leftovers.of(server))
    (server.temporary / "forgotten").unlink()
