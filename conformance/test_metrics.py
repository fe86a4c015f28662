"""CloudWatch: what invocations come to in metrics, by boto3, the CLI and by hand in every protocol."""

import datetime
import json
import time
import xml.etree.ElementTree as ElementTree

import boto3
import pytest

from harness.clients import Aws
from harness.waiting import eventually

NAMESPACE = "AWS/Lambda"
NAME = {"Name": "FunctionName"}
XML = "{http://monitoring.amazonaws.com/doc/2010-08-01/}"
CODE = """
import time

def handler(event, context):
    time.sleep(event.get("seconds", 0))
    if event.get("fail"):
        raise ValueError("no")
    return "ok"
"""


@pytest.fixture(scope="module")
def cloudwatch(aws):
    return aws.client("cloudwatch")


def dimensions(**values):
    return [{"Name": name, "Value": value} for name, value in values.items()]


def times(hours=1):
    """From some hours ago until the end of the next minute."""
    now = datetime.datetime.now(datetime.UTC)
    hours, minute = datetime.timedelta(hours=hours), datetime.timedelta(minutes=1)
    return {"StartTime": now - hours, "EndTime": now + minute}


def statistics(cloudwatch, metric, *names, percentiles=(), period=86_400, **dims):
    """Statistics of everything up to now, as one value; nothing when there is none."""
    asked = {"Statistics": list(names)} if names else {}
    if percentiles:
        asked["ExtendedStatistics"] = list(percentiles)
    answer = cloudwatch.get_metric_statistics(
        Namespace=NAMESPACE,
        MetricName=metric,
        Dimensions=dimensions(**dims),
        Period=period,
        **times(),
        **asked,
    )
    assert answer["Label"] == metric
    points = answer["Datapoints"]
    assert len(points) <= 1, points
    return points[0] if points else None


def total(cloudwatch, metric, **dims):
    point = statistics(cloudwatch, metric, "Sum", **dims)
    return point["Sum"] if point else None


def counted(cloudwatch, count, **dims):
    """Waits until so many invocations have been counted: the last is told just after its answer."""
    found = lambda: total(cloudwatch, "Invocations", **dims)  # noqa: E731
    eventually(lambda: found() == count, f"{count} invocations of {dims} are counted")


def test_invocations_errors_and_throttles_are_counted_exactly(aws, cloudwatch, server, python):
    aws.create("exact", CODE, python)
    for event in [{}] * 7 + [{"fail": 1}] * 3:
        aws.invoke("exact", event)
    aws.functions.put_function_concurrency(FunctionName="exact", ReservedConcurrentExecutions=0)
    for _ in range(4):
        # By hand: a client would try again.
        path = "/2015-03-31/functions/exact/invocations"
        assert server.request("POST", path, body=b"{}")[0] == 429
    counted(cloudwatch, 10, FunctionName="exact")
    assert total(cloudwatch, "Errors", FunctionName="exact") == 3
    assert total(cloudwatch, "Throttles", FunctionName="exact") == 4
    errors = statistics(cloudwatch, "Errors", "SampleCount", "Average", FunctionName="exact")
    assert (errors["SampleCount"], errors["Average"], errors["Unit"]) == (10, 0.3, "Count")
    assert statistics(cloudwatch, "Duration", "SampleCount", FunctionName="exact")["SampleCount"] == 10
    # Unqualified invocations are told under the name alone, too.
    assert total(cloudwatch, "Invocations", FunctionName="exact", Resource="exact") == 10
    assert total(cloudwatch, "Invocations") >= 10
    assert total(cloudwatch, "Invocations", FunctionName="nobody") is None


def test_durations_have_percentiles(aws, cloudwatch, python):
    aws.create("slow", CODE, python)
    for seconds in [0, 0, 0, 0.3]:
        aws.invoke("slow", {"seconds": seconds})
    counted(cloudwatch, 4, FunctionName="slow")
    simple = ["Minimum", "Maximum", "Average", "Sum"]
    found = statistics(cloudwatch, "Duration", *simple, FunctionName="slow")
    assert found["Unit"] == "Milliseconds"
    assert found["Minimum"] <= found["Average"] <= found["Maximum"]
    assert 300 <= found["Maximum"] < 3_000
    asked = ["p0", "p50", "p99.9", "p100"]
    known = statistics(cloudwatch, "Duration", percentiles=asked, FunctionName="slow")
    known = known["ExtendedStatistics"]
    assert set(known) == set(asked)
    assert found["Minimum"] <= known["p50"] < 300 <= known["p99.9"] <= known["p100"]
    assert known["p100"] == found["Maximum"]


def test_concurrency_is_the_most_that_ran_at_once(aws, cloudwatch, python):
    aws.create("wide", CODE, python)
    aws.invoke_many("wide", [{"seconds": 1}] * 3)
    counted(cloudwatch, 3, FunctionName="wide")
    point = statistics(cloudwatch, "ConcurrentExecutions", "Maximum", FunctionName="wide")
    assert point["Maximum"] == 3
    account = statistics(cloudwatch, "UnreservedConcurrentExecutions", "Maximum")
    assert account["Maximum"] >= 3


def test_aliases_and_versions_are_told_apart(aws, cloudwatch, python):
    aws.create("told", CODE, python)
    functions = aws.functions
    one = functions.publish_version(FunctionName="told")["Version"]
    aws.update_code("told", CODE + "\n# two\n")
    two = functions.publish_version(FunctionName="told")["Version"]
    weights = {"AdditionalVersionWeights": {two: 0.5}}
    functions.create_alias(
        FunctionName="told", Name="live", FunctionVersion=one, RoutingConfig=weights
    )
    ran = [aws.invoke("told", {}, Qualifier="live").version for _ in range(12)]
    aws.invoke("told", {}, Qualifier=one)
    aws.invoke("told", {}, Qualifier="$LATEST")
    counted(cloudwatch, 14, FunctionName="told")
    live = {"FunctionName": "told", "Resource": "told:live"}
    assert total(cloudwatch, "Invocations", **live) == 12
    for version in {one, two}:
        expected = ran.count(version) or None
        assert total(cloudwatch, "Invocations", **live, ExecutedVersion=version) == expected
    for resource in [f"told:{one}", "told:$LATEST"]:
        assert total(cloudwatch, "Invocations", FunctionName="told", Resource=resource) == 1
    listed = cloudwatch.list_metrics(
        Namespace=NAMESPACE, MetricName="Invocations", Dimensions=dimensions(**live)
    )["Metrics"]
    sets = [{d["Name"]: d["Value"] for d in metric["Dimensions"]} for metric in listed]
    assert live in sets
    executed = {names["ExecutedVersion"] for names in sets if "ExecutedVersion" in names}
    assert executed == set(ran)


def query(name, metric, stat="Sum", period=60, **more):
    named = {"Namespace": NAMESPACE, "MetricName": metric}
    named["Dimensions"] = dimensions(**more.pop("dims", {}))
    return {"Id": name, "MetricStat": {"Metric": named, "Period": period, "Stat": stat}, **more}


def test_data_of_many_metrics_come_at_once(aws, cloudwatch, python):
    aws.create("many", CODE, python)
    for _ in range(3):
        aws.invoke("many", {})
    counted(cloudwatch, 3, FunctionName="many")
    of = {"dims": {"FunctionName": "many"}}
    queries = [
        query("ran", "Invocations", **of),
        query("slowest", "Duration", "p99", Label="the slowest", **of),
        query("hidden", "Errors", ReturnData=False, **of),
        query("nothing", "IteratorAge", "Maximum", **of),
    ]
    answer = cloudwatch.get_metric_data(MetricDataQueries=queries, **times())
    results = {result["Id"]: result for result in answer["MetricDataResults"]}
    assert set(results) == {"ran", "slowest", "nothing"}
    assert sum(results["ran"]["Values"]) == 3
    assert results["ran"]["Label"] == "Invocations"
    assert results["slowest"]["Label"] == "the slowest"
    assert results["nothing"]["Values"] == results["nothing"]["Timestamps"] == []
    assert {result["StatusCode"] for result in results.values()} == {"Complete"}
    for at in results["ran"]["Timestamps"]:
        assert at.second == 0 and abs((at - datetime.datetime.now(datetime.UTC)).total_seconds()) < 300


def put(cloudwatch, name, values, **more):
    """A value in each of the last minutes, the latest last."""
    now = time.time() // 60 * 60
    data = [
        {"MetricName": name, "Value": value, "Timestamp": now - 60 * age, **more}
        for age, value in zip(reversed(range(len(values))), values)
    ]
    cloudwatch.put_metric_data(Namespace="Mine", MetricData=data)


def mine(name, **more):
    asked = query("q", name, **more)
    asked["MetricStat"]["Metric"] = {"Namespace": "Mine", "MetricName": name}
    return asked


def test_data_come_in_pages_the_latest_first_unless_told_otherwise(cloudwatch):
    put(cloudwatch, "paged", [1, 2, 3, 4, 5])
    data = {"MetricDataQueries": [mine("paged")], **times()}
    whole = cloudwatch.get_metric_data(**data)["MetricDataResults"][0]["Values"]
    assert whole == [5, 4, 3, 2, 1]
    first = cloudwatch.get_metric_data(**data, MaxDatapoints=2, ScanBy="TimestampAscending")
    result = first["MetricDataResults"][0]
    assert (result["Values"], result["StatusCode"]) == ([1, 2], "PartialData")
    pages = cloudwatch.get_paginator("get_metric_data").paginate(
        **data, MaxDatapoints=2, ScanBy="TimestampAscending"
    )
    values = [value for page in pages for value in page["MetricDataResults"][0]["Values"]]
    assert values == [1, 2, 3, 4, 5]


def test_values_of_ones_own_are_kept_with_their_units_and_sets(cloudwatch):
    data = [
        {"MetricName": "own", "Value": 2.5, "Unit": "Bytes", "Dimensions": dimensions(a="b")},
        {"MetricName": "own", "Values": [1.0, 2.0], "Counts": [3.0, 1.0], "Unit": "Bytes", "Dimensions": dimensions(a="b")},
        {
            "MetricName": "own",
            "StatisticValues": {"SampleCount": 4, "Sum": 40, "Minimum": 5, "Maximum": 20},
            "Unit": "Seconds",
            "Dimensions": dimensions(a="b"),
        },
    ]
    cloudwatch.put_metric_data(Namespace="Mine", MetricData=data)
    asked = {
        "Namespace": "Mine",
        "MetricName": "own",
        "Dimensions": dimensions(a="b"),
        "Period": 86_400,
        "Statistics": ["SampleCount", "Sum", "Minimum", "Maximum"],
        "ExtendedStatistics": ["p50"],
        **times(),
    }
    points = {p["Unit"]: p for p in cloudwatch.get_metric_statistics(**asked)["Datapoints"]}
    taken = points["Bytes"]
    assert (taken["SampleCount"], taken["Sum"], taken["Minimum"], taken["Maximum"]) == (5, 7.5, 1, 2.5)
    assert taken["ExtendedStatistics"]["p50"] == pytest.approx(1, rel=0.02)
    # Of a set nobody knows how its values are spread.
    assert points["Seconds"]["Sum"] == 40 and not points["Seconds"]["ExtendedStatistics"]
    only = cloudwatch.get_metric_statistics(**asked, Unit="Seconds")["Datapoints"]
    assert [point["Unit"] for point in only] == ["Seconds"]


def test_a_large_request_is_compressed_by_its_client_and_understood(cloudwatch):
    data = [
        {"MetricName": "large", "Value": 1, "Dimensions": dimensions(name=f"value {number:0>200}")}
        for number in range(200)
    ]
    compressed = []

    def look(request, **_):
        compressed.append(request.headers.get("Content-Encoding"))

    cloudwatch.meta.events.register_first("before-send.cloudwatch.PutMetricData", look)
    cloudwatch.put_metric_data(Namespace="Large", MetricData=data)
    cloudwatch.meta.events.unregister("before-send.cloudwatch.PutMetricData", look)
    assert compressed[0] in ("gzip", b"gzip")
    pages = cloudwatch.get_paginator("list_metrics").paginate(Namespace="Large")
    assert sum(len(page["Metrics"]) for page in pages) == 200


def test_a_list_comes_in_pages_of_500_and_recent_ones_alone(cloudwatch):
    for start in range(0, 600, 200):
        data = [{"MetricName": f"m{start + n}", "Value": 1} for n in range(200)]
        cloudwatch.put_metric_data(Namespace="Listed", MetricData=data)
    old = time.time() - 4 * 3_600
    cloudwatch.put_metric_data(
        Namespace="Listed", MetricData=[{"MetricName": "old", "Value": 1, "Timestamp": old}]
    )
    pages = list(cloudwatch.get_paginator("list_metrics").paginate(Namespace="Listed"))
    assert [len(page["Metrics"]) for page in pages] == [500, 101]
    names = {metric["MetricName"] for page in pages for metric in page["Metrics"]}
    assert names == {f"m{n}" for n in range(600)} | {"old"}
    recent = cloudwatch.list_metrics(Namespace="Listed", MetricName="old", RecentlyActive="PT3H")
    assert recent["Metrics"] == []


def test_the_cli_lists_and_reads(aws, cloudwatch):
    put(cloudwatch, "cli", [1, 2])
    listed = aws.cli("cloudwatch", "list-metrics", "--namespace", "Mine", "--metric-name", "cli")
    assert listed["Metrics"] == [{"Namespace": "Mine", "MetricName": "cli", "Dimensions": []}]
    now = datetime.datetime.now(datetime.UTC)
    span = [
        *["--start-time", (now - datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")],
        *["--end-time", (now + datetime.timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")],
    ]
    named = ["--namespace", "Mine", "--metric-name", "cli", "--period", "86400"]
    read = aws.cli("cloudwatch", "get-metric-statistics", *named, "--statistics", "Sum", *span)
    assert [point["Sum"] for point in read["Datapoints"]] == [3]
    queries = json.dumps([mine("cli", period=3_600)])
    data = aws.cli("cloudwatch", "get-metric-data", "--metric-data-queries", queries, *span)
    assert sum(data["MetricDataResults"][0]["Values"]) == 3
    aws.cli("cloudwatch", "put-metric-data", "--namespace", "Mine", "--metric-name", "cli", "--value", "4")
    read = aws.cli("cloudwatch", "get-metric-statistics", *named, "--statistics", "Sum", *span)
    assert [point["Sum"] for point in read["Datapoints"]] == [7]


AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/monitoring/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64
)


def signed(headers):
    return {"Authorization": AUTHORIZATION, "X-Amz-Date": "20260101T000000Z", **headers}


def by_json(server, operation, body):
    target = f"GraniteServiceVersion20100801.{operation}"
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"}
    return server.request("POST", "/", json.dumps(body).encode(), signed(headers))


def by_form(server, form):
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    return server.request("POST", "/", form.encode(), signed(headers))


def test_the_older_protocols_say_the_same(cloudwatch, server):
    put(cloudwatch, "older", [1, 2])
    asked = {"Namespace": "Mine", "MetricName": "older", "Period": 86_400, "Statistics": ["Sum"]}
    now = time.time()
    status, headers, body = by_json(
        server, "GetMetricStatistics", {**asked, "StartTime": now - 3_600, "EndTime": now + 60}
    )
    assert (status, headers["content-type"]) == (200, "application/x-amz-json-1.0")
    assert [point["Sum"] for point in json.loads(body)["Datapoints"]] == [3]
    start, end = (
        datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for at in (now - 3_600, now + 60)
    )
    form = (
        "Action=GetMetricStatistics&Version=2010-08-01&Namespace=Mine&MetricName=older&Period=86400"
        f"&Statistics.member.1=Sum&StartTime={start}&EndTime={end}"
    )
    status, headers, body = by_form(server, form)
    assert (status, headers["content-type"]) == (200, "text/xml")
    sums = ElementTree.fromstring(body).iter(f"{XML}Sum")
    assert [leaf.text for leaf in sums] == ["3"]


def test_wrong_requests_are_refused_in_the_shape_of_each_protocol(aws, server, cloudwatch):
    asked = {"Namespace": "N", "MetricName": "m", "Statistics": ["Sum"], "Period": 60}
    wrong = {**asked, "StartTime": 60, "EndTime": 60}
    text = "The parameter StartTime must be less than the parameter EndTime."
    expected = 400, "InvalidParameterValue", text
    assert aws.refused("cloudwatch", "get_metric_statistics", **wrong) == expected
    with pytest.raises(cloudwatch.exceptions.InvalidParameterValueException):
        cloudwatch.get_metric_statistics(**wrong)
    status, headers, body = by_json(server, "GetMetricStatistics", wrong)
    assert status == 400 and headers["x-amzn-query-error"] == "InvalidParameterValue;Sender"
    shape = "com.amazonaws.cloudwatch#InvalidParameterValueException"
    assert json.loads(body) == {"__type": shape, "message": text}
    form = "Action=GetMetricStatistics&Version=2010-08-01&Namespace=N"
    status, _, body = by_form(server, form)
    error = ElementTree.fromstring(body).find(f"{XML}Error")
    assert (status, error.find(f"{XML}Code").text) == (400, "MissingParameter")
    assert error.find(f"{XML}Message").text == "The parameter MetricName is required."


def test_a_table_of_wrong_requests(aws):
    def check(operation, expected, **arguments):
        status, code, _ = aws.refused("cloudwatch", operation, **arguments)
        assert (status, code) == expected, arguments

    day = {"StartTime": 0, "EndTime": 86_460}
    asked = {"Namespace": "N", "MetricName": "m", **day}
    read = "get_metric_statistics"
    check(read, (400, "InvalidParameterCombination"), **asked, Period=60, Statistics=["Sum"])
    check(read, (400, "InvalidParameterCombination"), **asked, Period=3_600)
    check(read, (400, "InvalidParameterValue"), **asked, Period=61, Statistics=["Sum"])
    check(read, (400, "MissingParameter"), **asked, Statistics=["Sum"])
    data = "get_metric_data"
    math = [{"Id": "e", "Expression": "m1 * 2"}]
    check(data, (501, "NotImplemented"), MetricDataQueries=math, **day)
    check(data, (400, "ValidationError"), MetricDataQueries=[], **day)
    check(data, (400, "InvalidNextToken"), MetricDataQueries=[mine("m")], NextToken="x", **day)
    value = {"MetricName": "m", "Value": 1}
    check("put_metric_data", (400, "InvalidParameterValue"), Namespace="AWS/X", MetricData=[value])
    check("put_metric_data", (400, "MissingParameter"), Namespace="N", MetricData=[])
    check("list_metrics", (400, "InvalidParameterValue"), RecentlyActive="PT1H")
    check("describe_alarms", (501, "NotImplemented"))


def test_bodies_that_are_none_are_refused(server):
    path = "/service/GraniteServiceVersion20100801/operation/ListMetrics"
    headers = signed({"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"})
    for body in [b"\xff", b"\x80", b"\xa1\x61a", b"\xa1\x61a" + b"\x81" * 10_000, b"\xa0\x00"]:
        status, answered, _ = server.request("POST", path, body, headers)
        assert (status, answered["smithy-protocol"]) == (400, "rpc-v2-cbor"), body[:10]
        assert answered["x-amzn-query-error"] == "MalformedInput;Sender"
    assert server.request("POST", path, b"\xa0", headers)[0] == 200


def test_accounts_and_regions_do_not_see_each_other(cloudwatch):
    put(cloudwatch, "apart", [1])

    def names(**more):
        other = boto3.Session().client("cloudwatch", **more)
        listed = other.list_metrics(Namespace="Mine", MetricName="apart")["Metrics"]
        return [metric["MetricName"] for metric in listed]

    assert names() == ["apart"]
    assert names(region_name="eu-west-1") == []
    assert names(aws_access_key_id="210987654321", aws_secret_access_key="x") == []


def test_metrics_survive_a_clean_stop_and_a_kill(servers, python):
    server = servers().start()
    aws = Aws(server)
    aws.create("kept", CODE, python)
    for _ in range(3):
        aws.invoke("kept", {})
    # Nobody has looked: what is not written yet is written at the end.
    server.stop()
    server.start()
    aws = Aws(server)
    counted(aws.client("cloudwatch"), 3, FunctionName="kept")
    for _ in range(2):
        aws.invoke("kept", {})
    # Whoever has been told of it finds it again.
    counted(aws.client("cloudwatch"), 5, FunctionName="kept")
    put(aws.client("cloudwatch"), "kept", [7])
    server.kill()
    server.restart()
    cloudwatch = Aws(server).client("cloudwatch")
    assert total(cloudwatch, "Invocations", FunctionName="kept") == 5
    data = cloudwatch.get_metric_data(MetricDataQueries=[mine("kept")], **times())
    assert data["MetricDataResults"][0]["Values"] == [7]
