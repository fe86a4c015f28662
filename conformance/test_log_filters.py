"""The filter pattern language of FilterLogEvents, by boto3 and the CLI."""

import json

import pytest

EVENTS = [
    "plain ERROR one\n",
    "plain WARN two with a timeout\n",
    json.dumps({"level": "ERROR", "n": 5, "user": {"ids": [7, 8], "name": "Ada"}, "cause": None}) + "\n",
    json.dumps({"level": "INFO", "n": 50, "user": {"ids": []}}) + "\n",
    '127.0.0.1 frank [10/Oct/2026 13:25] "GET /index.html" 404 1534\n',
    '10.0.0.7 ada [10/Oct/2026 13:26] "GET /x" 200 17\n',
]
WRITER = f"""
def handler(event, context):
    for line in {EVENTS!r}:
        print(line, end="")
"""
GROUP = "/aws/lambda/filtered"


@pytest.fixture(scope="module")
def filtered(aws, python):
    aws.create("filtered", WRITER, python)
    aws.invoke("filtered")
    aws.wait_for_log("filtered", "REPORT ")

    def numbers(pattern):
        found = aws.logs.filter_log_events(logGroupName=GROUP, filterPattern=pattern)["events"]
        return [EVENTS.index(event["message"]) for event in found if event["message"] in EVENTS]

    return numbers


PATTERNS = {
    "": [0, 1, 2, 3, 4, 5],
    "ERROR": [0, 2],
    "plain -timeout": [0],
    "?WARN ?INFO": [1, 3],
    '"with a timeout"': [1],
    '{ $.level = "ERROR" }': [2],
    "{ $.level = * }": [2, 3],
    "{ $.n >= 5 && $.n < 50 }": [2],
    "{ $.n = 50 || $.cause IS NULL }": [2, 3],
    "{ $.cause EXISTS }": [2],
    "{ $.cause NOT EXISTS }": [3],
    "{ $.user.ids[1] = 8 }": [2],
    "{ $.user.ids[*] = 7 }": [2],
    '{ ($.user.name = "A*") && ($.level != "INFO") }': [2],
    "[ip, user, at, request, status, bytes]": [1, 4, 5],
    "[ip, user, at, request = *.html, status = 4*, bytes > 1000]": [4],
    "[ip = 10.*, ..., bytes < 100]": [5],
    "[..., status = 200 || status = 404, bytes]": [4, 5],
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_lets_through_what_it_says(filtered, pattern):
    assert filtered(pattern) == PATTERNS[pattern]


def test_the_cli_filters_by_json(aws, filtered):
    pattern = '{ $.level = "ERROR" }'
    events = aws.cli("logs", "filter-log-events", "--log-group-name", GROUP, "--filter-pattern", pattern)["events"]
    assert [event["message"] for event in events] == [EVENTS[2]]


@pytest.mark.parametrize("pattern", ["{ $.a }", "{ $.a = }", "[a", "[a = 1 && b = 2]", "a:b", "{ $.a < x }"])
def test_what_is_no_pattern_is_refused(aws, filtered, pattern):
    refused = aws.refused("logs", "filter_log_events", logGroupName=GROUP, filterPattern=pattern)
    assert refused[:2] == (400, "InvalidParameterException")
