"""What users read in CloudWatch Logs: groups, one stream per environment, the platform's lines."""

import collections
import os
import re
import shutil
import subprocess
import threading
import time

import pytest

from harness.waiting import eventually

STREAM = re.compile(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}")
ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
INIT_START = re.compile(
    r"INIT_START Runtime Version: (\S.*)\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}\n"
)
START = re.compile(rf"START RequestId: ({ID}) Version: \$LATEST\n")
END = re.compile(rf"END RequestId: ({ID})\n")
REPORT = re.compile(
    rf"REPORT RequestId: ({ID})\tDuration: (\d+\.\d\d) ms\tBilled Duration: (\d+) ms\tMemory Size: (\d+) MB\t"
    r"Max Memory Used: (\d+) MB\t(?:Init Duration: (\d+\.\d\d) ms\t)?\n"
)

WRITER = """
import os, sys, time

def handler(event, context):
    do = event.get("do")
    if do == "both":
        print("on standard output")
        print("on standard error", file=sys.stderr)
        sys.stdout.write("without an end")
    elif do == "lines":
        for number in range(event["count"]):
            print(f"line {number:04} {event.get('word', '')}")
    elif do == "bytes":
        os.write(1, "grün 😀 ".encode() + bytes([255, 254]) + " \\x1b[31mred\\x1b[0m \\t tab\\n".encode())
    elif do == "endless":
        left = event["bytes"]
        while left:
            left -= os.write(1, b"x" * min(left, 65536))
    elif do == "flood":
        end = time.time() + event["seconds"]
        block = b"y\\n" * 32768
        while time.time() < end:
            os.write(1, block)
    elif do == "sleep":
        time.sleep(event["seconds"])
    return context.log_stream_name
"""


def group(name):
    return f"/aws/lambda/{name}"


def logged(aws, name, reports=1):
    """The events of a function once so many invocations are reported."""

    def look():
        events = aws.log_events(name)
        seen = sum(message.startswith("REPORT ") for _, message in events)
        return events if seen >= reports else None

    return eventually(look, f"{reports} reports in the log of {name}")


def test_the_lines_of_a_cold_and_a_warm_invocation_have_lambdas_exact_form(aws, python):
    aws.create("exact", WRITER, python, MemorySize=192)
    cold = aws.invoke("exact", {"do": "lines", "count": 1})
    warm = aws.invoke("exact", {"do": "lines", "count": 1})
    messages = [message for _, message in logged(aws, "exact", 2)]
    assert len(messages) == 9, messages
    assert INIT_START.fullmatch(messages[0])
    assert python.removeprefix("python") in INIT_START.fullmatch(messages[0]).group(1)
    for offset, invoked in ((1, cold), (5, warm)):
        assert START.fullmatch(messages[offset]).group(1) == invoked.request_id
        assert messages[offset + 1] == "line 0000 \n"
        assert END.fullmatch(messages[offset + 2]).group(1) == invoked.request_id
        assert REPORT.fullmatch(messages[offset + 3]).group(1) == invoked.request_id
    first, second = (REPORT.fullmatch(messages[at]).groups() for at in (4, 8))
    assert first[5] is not None, "no Init Duration on the cold one"
    assert second[5] is None, "Init Duration on the warm one"
    for _, duration, billed, size, used, init in (first, second):
        exact = float(duration) + float(init or 0)
        # Rounded up from microseconds, of which two decimals are shown.
        assert int(billed) - 1 <= exact <= int(billed) + 0.01
        assert size == "192" and 0 < int(used) <= 192


def test_true_durations_are_reported(aws, python):
    aws.create("timed", WRITER, python)
    aws.invoke("timed", {})
    log = aws.invoke("timed", {"do": "sleep", "seconds": 0.5}).log
    duration = float(REPORT.search(log).group(2))
    assert 500 <= duration < 1500


def test_true_memory_is_reported(aws, python):
    code = "def handler(event, context):\n    return len(b'x' * (event << 20))\n"
    aws.create("measured", code, python, MemorySize=512)
    small = int(REPORT.search(aws.invoke("measured", 1).log).group(5))
    large = int(REPORT.search(aws.invoke("measured", 200).log).group(5))
    assert small < 100 and 200 <= large <= 300, (small, large)


def test_standard_output_and_error_are_both_logged_and_last_lines_need_no_end(aws, python):
    aws.create("both", WRITER, python)
    aws.invoke("both", {"do": "both"})
    text = "".join(message for _, message in logged(aws, "both"))
    inside = text[text.index("START") : text.index("END")]
    for part in ("on standard output\n", "on standard error\n", "without an end"):
        assert part in inside


def test_bytes_that_are_no_text_are_replaced_and_the_rest_is_kept(aws, python):
    aws.create("bytes", WRITER, python)
    aws.invoke("bytes", {"do": "bytes"})
    messages = [message for _, message in logged(aws, "bytes")]
    assert "grün 😀 \ufffd\ufffd \x1b[31mred\x1b[0m \t tab\n" in messages


def test_each_environment_has_a_stream_of_its_own_with_the_name_its_code_sees(aws, python):
    aws.create("streams", WRITER, python, Timeout=20)
    seen = [a.payload for a in aws.invoke_many("streams", [{"do": "sleep", "seconds": 1}] * 3)]
    assert len(set(seen)) == 3 and all(STREAM.fullmatch(name) for name in seen)
    today = time.strftime("%Y/%m/%d", time.gmtime())
    assert all(name.startswith((today, seen[0][:10])) for name in seen)
    by_stream = collections.defaultdict(list)
    for stream, message in logged(aws, "streams", 3):
        by_stream[stream].append(message.split()[0])
    assert set(by_stream) == set(seen)
    assert all(words == ["INIT_START", "START", "END", "REPORT"] for words in by_stream.values())
    described = aws.logs.describe_log_streams(logGroupName=group("streams"))["logStreams"]
    assert [stream["logStreamName"] for stream in described] == sorted(seen)
    for stream in described:
        name = stream["logStreamName"]
        assert stream["arn"] == f"arn:aws:logs:us-east-1:000000000000:log-group:{group('streams')}:log-stream:{name}"
        assert stream["creationTime"] <= stream["lastIngestionTime"] <= time.time() * 1000 + 1000
        assert stream["firstEventTimestamp"] <= stream["lastEventTimestamp"]
    recent = aws.cli(
        *("logs", "describe-log-streams", "--log-group-name", group("streams")),
        *("--order-by", "LastEventTime", "--descending", "--max-items", "1"),
    )
    assert len(recent["logStreams"]) == 1
    times = {stream["logStreamName"]: stream["lastEventTimestamp"] for stream in described}
    assert times[recent["logStreams"][0]["logStreamName"]] == max(times.values())


def test_groups_are_listed_by_prefix_and_in_pages(aws, python):
    for name in ("grouped-a", "grouped-b", "grouped-c"):
        aws.create(name, WRITER, python)
        aws.invoke(name, {})
        logged(aws, name)
    prefix = group("grouped-")
    pages = list(
        aws.logs.get_paginator("describe_log_groups").paginate(
            logGroupNamePrefix=prefix, PaginationConfig={"PageSize": 2}
        )
    )
    assert [len(page["logGroups"]) for page in pages] == [2, 1]
    listed = [found for page in pages for found in page["logGroups"]]
    assert [found["logGroupName"] for found in listed] == [prefix + letter for letter in "abc"]
    first = listed[0]
    assert first["arn"] == f"arn:aws:logs:us-east-1:000000000000:log-group:{prefix}a:*"
    assert first["storedBytes"] > 0 and "retentionInDays" not in first
    by_cli = aws.cli("logs", "describe-log-groups", "--log-group-name-prefix", prefix)
    assert len(by_cli["logGroups"]) == 3
    assert aws.logs.describe_log_groups(logGroupNamePrefix="/nowhere")["logGroups"] == []


@pytest.fixture(scope="module")
def paged(aws, python):
    """A function whose stream has 30 numbered lines among others."""
    aws.create("paged", WRITER, python)
    stream = aws.invoke("paged", {"do": "lines", "count": 30, "word": "needle"}).payload
    logged(aws, "paged")
    return stream


def test_events_are_paged_forward_to_the_end_and_the_token_then_stays(aws, paged):
    query = {"logGroupName": group("paged"), "logStreamName": paged, "limit": 10}
    page = aws.logs.get_log_events(startFromHead=True, **query)
    messages = []
    while page["events"]:
        assert len(page["events"]) <= 10
        messages += [event["message"] for event in page["events"]]
        page = aws.logs.get_log_events(nextToken=page["nextForwardToken"], **query)
    end = page["nextForwardToken"]
    again = aws.logs.get_log_events(nextToken=end, **query)
    assert (again["events"], again["nextForwardToken"]) == ([], end)
    assert len(messages) == 34 and messages[0].startswith("INIT_START")
    assert messages[2:32] == [f"line {n:04} needle\n" for n in range(30)]


def test_events_are_paged_backward_to_the_beginning(aws, paged):
    query = {"logGroupName": group("paged"), "logStreamName": paged, "limit": 10}
    page = aws.logs.get_log_events(**query)
    assert page["events"][-1]["message"].startswith("REPORT")
    messages = []
    while page["events"]:
        messages = [event["message"] for event in page["events"]] + messages
        page = aws.logs.get_log_events(nextToken=page["nextBackwardToken"], **query)
    assert len(messages) == 34 and messages[0].startswith("INIT_START")
    assert messages[2:32] == [f"line {n:04} needle\n" for n in range(30)]
    by_cli = aws.cli(
        *("logs", "get-log-events", "--log-group-name", group("paged")),
        *("--log-stream-name", paged, "--limit", "3"),
    )
    assert [event["message"] for event in by_cli["events"]] == messages[-3:]


def test_new_events_come_after_the_last_forward_token(aws, paged):
    query = {"logGroupName": group("paged"), "logStreamName": paged}
    token = aws.logs.get_log_events(startFromHead=True, **query)["nextForwardToken"]
    assert aws.logs.get_log_events(nextToken=token, **query)["events"] == []
    aws.invoke("paged", {"do": "lines", "count": 1, "word": "later"})

    def look():
        events = aws.logs.get_log_events(nextToken=token, **query)["events"]
        return events if any(event["message"].startswith("REPORT") for event in events) else None

    messages = [event["message"] for event in eventually(look, "the later events")]
    assert messages[0].startswith("START") and messages[1] == "line 0000 later\n"


def test_events_are_filtered_by_terms_time_and_stream(aws, paged):
    def found(**more):
        pages = aws.logs.get_paginator("filter_log_events").paginate(logGroupName=group("paged"), **more)
        return [event for page in pages for event in page["events"]]

    needles = found(filterPattern="needle")
    assert [event["message"] for event in needles] == [f"line {n:04} needle\n" for n in range(30)]
    assert len({event["eventId"] for event in needles}) == 30
    assert all(event["logStreamName"] == paged for event in needles)
    assert [e["message"] for e in found(filterPattern='"line 0007"')] == ["line 0007 needle\n"]
    assert len(found(filterPattern="needle -0007")) == 29
    assert len(found(filterPattern="?0007 ?0008")) == 2
    small = found(filterPattern="needle", PaginationConfig={"PageSize": 7})
    assert [e["eventId"] for e in small] == [e["eventId"] for e in needles]
    last = needles[-1]["timestamp"]
    assert found(startTime=last + 3_600_000) == []
    assert found(endTime=needles[0]["timestamp"] - 3_600_000) == []
    assert len(found(filterPattern="needle", startTime=needles[0]["timestamp"], endTime=last + 1)) == 30
    assert len(found(filterPattern="needle", logStreamNames=[paged])) == 30
    assert len(found(filterPattern="needle", logStreamNamePrefix=paged[:10])) == 30
    by_cli = aws.cli(
        *("logs", "filter-log-events", "--log-group-name", group("paged")),
        *("--filter-pattern", "needle", "--interleaved"),
    )
    assert len(by_cli["events"]) == 30


def version_2_of_the_cli():
    """The AWS CLI with `logs tail`, which only version 2 has; it does not come from PyPI."""
    places = ("/usr/local/bin/aws", "/usr/bin/aws")
    for program in (os.environ.get("AWS_CLI_V2"), shutil.which("aws"), *places):
        if program and os.path.exists(program):
            done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
            if done.stdout.startswith("aws-cli/2"):
                return program
    return None


def test_aws_logs_tail_follow_shows_the_lines_of_a_later_invocation(aws, python):
    program = version_2_of_the_cli()
    if program is None:
        pytest.skip("`aws logs tail` is in version 2 of the CLI only: install Debian's awscli or set AWS_CLI_V2")
    aws.create("tailed", WRITER, python)
    aws.invoke("tailed", {"do": "lines", "count": 1, "word": "before"})
    logged(aws, "tailed")
    # Early releases of version 2 do not know AWS_ENDPOINT_URL.
    endpoint = ("--endpoint-url", aws.environment()["AWS_ENDPOINT_URL"])
    with subprocess.Popen(
        [program, *endpoint, "logs", "tail", group("tailed"), "--follow", "--format", "short"],
        env=aws.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as tail:
        shown = []
        reader = threading.Thread(target=lambda: shown.extend(tail.stdout), daemon=True)
        reader.start()
        try:
            eventually(lambda: any("before" in line for line in shown), "the earlier line", 30)
            aws.invoke("tailed", {"do": "lines", "count": 1, "word": "after"})
            eventually(lambda: any("after" in line for line in shown), "the later line", 30)
        finally:
            tail.terminate()
            tail.wait(10)
    assert sum("after" in line for line in shown) == 1


def test_following_a_group_by_the_calls_of_logs_tail_shows_each_line_once(aws, python):
    """What `aws logs tail --follow` asks: FilterLogEvents again and again from the time of the last
    event on, forgetting by eventId what it has shown."""
    aws.create("followed", WRITER, python)
    aws.invoke("followed", {"do": "lines", "count": 3, "word": "before"})
    logged(aws, "followed")
    shown, seen, since = [], set(), int(time.time() * 1000) - 600_000

    def ask():
        nonlocal since
        arguments = {"logGroupName": group("followed"), "interleaved": True, "startTime": since}
        for page in aws.logs.get_paginator("filter_log_events").paginate(**arguments):
            for event in page["events"]:
                if event["eventId"] not in seen:
                    seen.add(event["eventId"])
                    shown.append(event["message"])
                since = max(since, event["timestamp"])
        return shown

    eventually(lambda: any("before" in line for line in ask()), "the earlier lines")
    aws.invoke("followed", {"do": "lines", "count": 3, "word": "after"})
    eventually(lambda: sum(line.startswith("REPORT") for line in ask()) == 2, "the later report")
    assert shown == [message for _, message in aws.log_events("followed")]
    assert [line for line in shown if "after" in line] == [f"line {n:04} after\n" for n in range(3)]


def test_a_deleted_group_is_gone_and_comes_back_with_the_next_line(aws, python):
    aws.create("erased", WRITER, python)
    aws.invoke("erased", {})
    logged(aws, "erased")
    aws.cli("logs", "delete-log-group", "--log-group-name", group("erased"))
    missing = 400, "ResourceNotFoundException", "The specified log group does not exist."
    for operation in ("filter_log_events", "describe_log_streams", "delete_log_group"):
        assert aws.refused("logs", operation, logGroupName=group("erased")) == missing
    aws.invoke("erased", {})
    events = logged(aws, "erased")
    assert [message.split()[0] for _, message in events] == ["START", "END", "REPORT"]


def test_a_group_made_by_hand_is_there_and_cannot_be_made_twice(aws):
    aws.cli("logs", "create-log-group", "--log-group-name", "/mine")
    exists = 400, "ResourceAlreadyExistsException", "The specified log group already exists"
    assert aws.refused("logs", "create_log_group", logGroupName="/mine") == exists
    assert aws.log_events("never") == []
    status, code, message = aws.refused("logs", "get_log_events", logGroupName="/mine", logStreamName="s")
    assert (status, code) == (400, "ResourceNotFoundException")
    assert message == "The specified log stream does not exist."
    for operation, arguments in (
        ("create_log_group", {"logGroupName": "a b"}),
        ("describe_log_streams", {"logGroupName": "*"}),
        ("filter_log_events", {"logGroupName": "/mine", "limit": 10_001}),
        ("filter_log_events", {"logGroupName": "/mine", "nextToken": "nonsense"}),
        ("filter_log_events", {"logGroupName": "/mine", "filterPattern": '"no end'}),
    ):
        status, code, _ = aws.refused("logs", operation, **arguments)
        assert (status, code) == (400, "InvalidParameterException"), (operation, arguments)


DROPPED = re.compile(r"\[dormouse\] (\d+) log lines \((\d+) bytes\) were dropped")


@pytest.mark.parametrize("size", [1_900_000, 6_000_000])
def test_an_endless_line_is_cut_into_events_and_no_byte_of_it_is_lost_silently(aws, python, size):
    name = f"endless-{size}"
    aws.create(name, WRITER, python, Timeout=30, MemorySize=256)
    aws.invoke(name, {"do": "endless", "bytes": size})
    messages = [message for _, message in logged(aws, name)]
    pieces = [message for message in messages if message.startswith("xx")]
    dropped = sum(int(found.group(2)) for found in map(DROPPED.match, messages) if found)
    assert max(len(piece) for piece in pieces) <= 262_118
    assert sum(len(piece.rstrip("\n")) for piece in pieces) + dropped == size
    # A second's worth is let through, whatever the limit is just now: less than that loses nothing.
    assert dropped == 0 or size > 2_000_000


def memory_bytes(pid):
    """Resident memory of a process, and the most it ever was."""
    with open(f"/proc/{pid}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    return tuple(int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))


def test_a_log_flood_hurts_neither_another_function_nor_the_server(aws, server, python):
    aws.create("flooding", WRITER, python, Timeout=30, MemorySize=1769)
    aws.create("neighbour", WRITER, python, Timeout=30)
    aws.invoke("neighbour", {})
    before, _ = memory_bytes(server.process.pid)
    flood = threading.Thread(target=aws.invoke, args=("flooding", {"do": "flood", "seconds": 4}))
    flood.start()
    answered = 0
    while flood.is_alive() and answered < 200:
        assert aws.invoke("neighbour", {"do": "lines", "count": 1, "word": f"calm-{answered}-"}).error is None
        answered += 1
    flood.join()
    assert answered >= 10, "the neighbour was hardly answered during the flood"
    text = aws.wait_for_log("neighbour", f"calm-{answered - 1}-", 60)
    assert all(f"calm-{number}-" in text for number in range(answered)), "a neighbour's line is missing"
    _, most = memory_bytes(server.process.pid)
    assert most - before < 256 << 20, f"grew by {(most - before) >> 20} MiB"

    def dropped():
        found = aws.logs.filter_log_events(
            logGroupName=group("flooding"), filterPattern='"were dropped"', limit=1
        )
        return found["events"]

    assert re.search(r"\d+ log lines \(\d+ bytes\) were dropped", eventually(dropped, "a notice")[0]["message"])
    # Its platform lines are never dropped.
    def reports():
        query = {"logGroupName": group("flooding"), "filterPattern": '"REPORT RequestId"'}
        pages = aws.logs.get_paginator("filter_log_events").paginate(**query)
        return sum(len(page["events"]) for page in pages)

    eventually(lambda: reports() == 1, "the report of the flood", 60, 0.5)


def test_application_log_records_of_python_carry_level_time_and_request(aws, python):
    code = (
        "import logging\n"
        "logging.getLogger().setLevel('INFO')\n"
        "def handler(event, context):\n"
        "    logging.info('told')\n"
        "    logging.debug('untold')\n"
    )
    aws.create("recorded", code, python)
    invoked = aws.invoke("recorded")
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.search(rf"^\[INFO\]\t{stamp}\t{invoked.request_id}\ttold$", invoked.log, re.MULTILINE)
    assert "untold" not in invoked.log


def test_a_group_named_in_the_configuration_is_used(aws, python):
    logging = {"LogFormat": "Text", "LogGroup": "/shared/by-many"}
    aws.create("elsewhere", WRITER, python, LoggingConfig=logging)
    aws.invoke("elsewhere", {})
    eventually(
        lambda: aws.logs.describe_log_groups(logGroupNamePrefix="/shared/by-many")["logGroups"],
        "the group",
    )
    events = aws.logs.filter_log_events(logGroupName="/shared/by-many")["events"]
    assert "START" in [event["message"].split()[0] for event in events]
    assert aws.log_events("elsewhere") == []
