"""`/metrics`: what a scraper gets, read by the parser that Prometheus publishes."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from harness.waiting import eventually

CODE = """
def handler(event, context):
    if event.get("fail"):
        raise ValueError("no")
    return "ok"
"""


def scrape(server):
    """Every sample as (name, labels): value. Text that is not OpenMetrics is refused by the parser."""
    status, headers, body = server.request("GET", "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    text = body.decode()
    assert text.endswith("# EOF\n")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(samples, name, **labels):
    """The sum of a name's samples that have these labels."""
    wanted = set(labels.items())
    return sum(value for (found, has), value in samples.items() if found == name and wanted <= has)


@pytest.fixture(scope="module")
def scraped(aws, server, python):
    """The samples after three invocations that went well, two errors and a refusal."""
    aws.create("scraped", CODE, python)
    for event in [{}, {}, {}, {"fail": 1}, {"fail": 1}]:
        aws.invoke("scraped", event)
    aws.functions.put_function_concurrency(FunctionName="scraped", ReservedConcurrentExecutions=0)
    # By hand: a client would try again.
    status, _, _ = server.request("POST", "/2015-03-31/functions/scraped/invocations", body=b"{}")
    assert status == 429

    def settled():
        samples = scrape(server)
        ran = total(samples, "dormouse_invocations_total", function="scraped")
        refused = total(samples, "dormouse_throttles_total", function="scraped")
        return samples if (ran, refused) == (5, 1) else None

    return eventually(settled, "five invocations and a refusal are counted")


def test_invocations_are_counted_by_outcome_and_start(scraped):
    of = {"function": "scraped", "account": "000000000000", "region": "us-east-1"}
    of |= {"qualifier": "", "version": "$LATEST"}

    def count(**more):
        return total(scraped, "dormouse_invocations_total", **of, **more)

    assert count(outcome="success") == 3
    assert count(outcome="function-error") == 2
    assert count(start="cold") == 1
    assert count(start="warm") == 4


def test_durations_are_histograms_from_a_millisecond_to_fifteen_minutes(scraped):
    name = "dormouse_invocation_duration_seconds"
    assert total(scraped, f"{name}_count", function="scraped") == 5
    assert 0 < total(scraped, f"{name}_sum", function="scraped") < 60
    assert total(scraped, f"{name}_bucket", function="scraped", le="0.001") <= 5
    assert total(scraped, f"{name}_bucket", function="scraped", le="900.0") == 5
    assert total(scraped, "dormouse_init_duration_seconds_count", function="scraped") == 1


def test_environments_are_counted_by_phase(aws, server, python):
    aws.create("phases", CODE, python)
    aws.invoke("phases", {})

    def frozen():
        samples = scrape(server)
        return total(samples, "dormouse_environments", function="phases", phase="frozen") == 1

    eventually(frozen, "the environment is frozen")


def test_the_process_tells_of_itself_and_no_label_is_a_requests(scraped):
    assert total(scraped, "dormouse_process_resident_memory_bytes") > 1_000_000
    assert total(scraped, "dormouse_process_open_fds") > 3
    assert total(scraped, "dormouse_build_info") == 1
    assert total(scraped, "dormouse_metric_facts_dropped_total") == 0
    names = {name for _, labels in scraped for name, _ in labels}
    known = {"account", "region", "function", "qualifier", "version", "outcome", "start"}
    assert names <= known | {"phase", "le", "kind", "state"}


def test_a_scrape_is_only_read(server):
    status, headers, _ = server.request("POST", "/metrics", body=b"")
    assert status == 405 and headers["allow"] == "GET, HEAD"
