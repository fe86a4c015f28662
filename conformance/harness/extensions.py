"""Functions with extensions: what an extension starts with, and what the log has of both."""

import re

from harness.code import package
from harness.waiting import eventually

# What every extension starts with: the calls of the Extensions API.
CALLS = """
import http.client, json, os, sys, time

API = os.environ["AWS_LAMBDA_RUNTIME_API"]
NAME = os.path.basename(sys.argv[0])

def call(method, path, body=None, **headers):
    api = http.client.HTTPConnection(API)
    headers = {f"Lambda-Extension-{key}".replace("_", "-"): value for key, value in headers.items()}
    api.request(method, "/2020-01-01/extension/" + path, body, headers)
    answer = api.getresponse()
    return answer.status, answer.headers, json.loads(answer.read())

def register(*events):
    status, headers, body = call("POST", "register", json.dumps({"events": events}), Name=NAME,
                                 Accept_Feature="accountId")
    print(NAME, "registered", status, json.dumps(body, sort_keys=True), flush=True)
    return headers["Lambda-Extension-Identifier"]

def next_event(identifier):
    status, headers, event = call("GET", "event/next", Identifier=identifier)
    return event
"""


def with_extensions(aws, python, interpreter, name, programs, code, **more):
    """Creates a function with extensions, each a name and its program."""
    files = {
        f"extensions/{extension}": f"#!{interpreter}\n{CALLS}{program}"
        for extension, program in programs.items()
    }
    layer = aws.functions.publish_layer_version(
        LayerName=name, Content={"ZipFile": package(files)}
    )
    settings = {"Timeout": 30, "Layers": [layer["LayerVersionArn"]], **more}
    return aws.create(name, code, python, **settings)


def lines(aws, name):
    """Everything the function and its extensions logged, in order."""
    group = f"/aws/lambda/{name}"
    try:
        pages = aws.logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        events = [event for page in pages for event in page["events"]]
    except aws.logs.exceptions.ResourceNotFoundException:
        return []
    return [event["message"].rstrip("\n") for event in events]


def logged(aws, name, wanted):
    """Waits for a line that matches; the lines up to then."""

    def look():
        found = lines(aws, name)
        return found if any(re.search(wanted, line) for line in found) else None

    try:
        return eventually(look, f"a line of {name} like {wanted}")
    except AssertionError as error:
        raise AssertionError("\n".join([str(error), *lines(aws, name)])) from None
