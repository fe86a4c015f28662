"""Limits on rates, which a server keeps when it is told to: ten requests a second for each that may run at once."""

import json

import pytest
from harness.clients import Aws
from harness.waiting import eventually

ECHO = "def handler(event, context):\n    return event\n"
# More than may come in a second for one place, by far, and sent in much less than that.
MANY = 60


def reserve(aws, name, places):
    aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=places)


def in_a_row(aws, name):
    """Invocations one after another: how many ran, and the errors of the others."""
    ran, errors = 0, []
    for number in range(MANY):
        try:
            assert aws.invoke(name, number).payload == number
            ran += 1
        except aws.functions.exceptions.TooManyRequestsException as error:
            errors.append(error.response)
    return ran, errors


def test_ten_requests_a_second_for_each_reserved_place(servers, python):
    aws = Aws(servers("--limit-rates").start())
    aws.create("paced", ECHO, python)
    aws.invoke("paced", 1)
    reserve(aws, "paced", 1)
    ran, errors = in_a_row(aws, "paced")
    # What is refilled while they are sent comes on top.
    assert 10 <= ran < MANY and errors
    for error in errors:
        assert error["Reason"] == "ReservedFunctionInvocationRateLimitExceeded"
        assert error["message"] == "Rate Exceeded."
        metadata = error["ResponseMetadata"]
        assert metadata["HTTPStatusCode"] == 429
        assert int(metadata["HTTPHeaders"]["retry-after"]) >= 1
    # It is refilled, and another function was never held up.
    def again():
        try:
            return aws.invoke("paced", "again").payload == "again"
        except aws.functions.exceptions.TooManyRequestsException:
            return False

    eventually(again, "the bucket is refilled")
    aws.create("other", ECHO, python)
    assert in_a_row(aws, "other") == (MANY, [])


def test_rates_are_not_limited_unless_that_is_asked_for(aws, python):
    function = aws.create("free", ECHO, python)
    reserve(aws, function, 1)
    assert in_a_row(aws, function) == (MANY, [])
