//! Metrics: what is added is there, merged, listed, kept and aged.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeMap;

use dormouse_model::metrics::{Metric, Period, Point, Statistic, Summary, Unit};
use dormouse_model::names::Scope;
use dormouse_store::Store;
use dormouse_store::metrics::{ListQuery, Metrics, ValuesQuery};

const DAY_S: u64 = 86_400;

fn scope(account: &str) -> Scope {
    Scope { account: account.parse().unwrap(), region: "us-east-1".parse().unwrap() }
}

fn metric(name: &str, function: &str) -> Metric {
    let dimensions = match function {
        "" => BTreeMap::new(),
        function => BTreeMap::from([("FunctionName".to_owned(), function.to_owned())]),
    };
    let scope = scope("123456789012");
    Metric { scope, namespace: "AWS/Lambda".into(), name: name.into(), dimensions }
}

fn point(metric: Metric, at_s: u64, value: f64) -> Point {
    Point { metric, at_s, unit: Unit::COUNT, summary: Summary::of(value) }
}

fn list(account: &str) -> ListQuery {
    ListQuery {
        scope: scope(account),
        namespace: None,
        name: None,
        dimensions: BTreeMap::new(),
        active_since_s: 0,
        after: None,
        limit: 500,
    }
}

/// Names and functions of a page.
async fn listed(metrics: &Metrics, query: ListQuery) -> String {
    let page = metrics.list(query).await.unwrap();
    let shown = page.metrics.iter().map(|metric| {
        let values: Vec<&str> = metric.dimensions.values().map(String::as_str).collect();
        format!("{}[{}]", metric.name, values.join(","))
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// The values of `Invocations[f]` as `time:sum/samples`, with the median where it is known.
async fn shown(metrics: &Metrics, until_s: u64, period_s: u64) -> String {
    let query = ValuesQuery {
        metric: metric("Invocations", "f"),
        between_s: 0..until_s,
        period: Period::of_s(period_s).unwrap(),
        unit: None,
    };
    let values = metrics.values(vec![query]).await.unwrap().remove(0);
    let buckets = values.values().flatten().map(|bucket| {
        let median = Statistic::Percentile(50.0).of(&bucket.summary);
        let median = median.map_or("?".into(), |median| median.to_string());
        format!("{}:{}/{}~{median}", bucket.at_s, bucket.summary.sum, bucket.summary.samples)
    });
    buckets.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn parts_of_a_minute_are_merged_and_survive() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let f = || metric("Invocations", "f");
    let metrics = store.metrics();
    metrics.add(vec![point(f(), 60, 1.0), point(f(), 120, 5.0)]).await.unwrap();
    metrics
        .add(vec![point(f(), 60, 1.0), point(metric("Invocations", "g"), 60, 9.0)])
        .await
        .unwrap();
    let expected = "60:2/2~1 120:5/1~5";
    assert_eq!(shown(&metrics, 180, 60).await, expected);
    assert_eq!(shown(&metrics, 120, 60).await, "60:2/2~1");
    store.close().await;
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(shown(&store.metrics(), 180, 60).await, expected);
    assert_eq!(shown(&store.metrics(), 180, 120).await, "0:2/2~1 120:5/1~5");
}

#[tokio::test]
async fn units_and_accounts_are_kept_apart() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let metrics = store.metrics();
    let f = metric("Invocations", "f");
    let other = Metric { scope: scope("210987654321"), ..f.clone() };
    let unit = Unit::MILLISECONDS;
    let points = vec![
        point(f.clone(), 60, 1.0),
        Point { unit, ..point(f.clone(), 60, 2.0) },
        point(other, 60, 4.0),
    ];
    metrics.add(points).await.unwrap();
    let period = Period::of_s(60).unwrap();
    let query = ValuesQuery { metric: f, between_s: 0..180, period, unit: None };
    let only = ValuesQuery { unit: Some(unit), ..query.clone() };
    let found = metrics.values(vec![query, only]).await.unwrap();
    let sums = |at: usize| -> Vec<(&str, f64)> {
        let of = found[at].iter();
        of.map(|(unit, buckets)| (unit.as_str(), buckets[0].summary.sum)).collect()
    };
    assert_eq!(sums(0), [("Count", 1.0), ("Milliseconds", 2.0)]);
    assert_eq!(sums(1), [("Milliseconds", 2.0)]);
    assert_eq!(listed(&metrics, list("210987654321")).await, "Invocations[f]");
    assert_eq!(listed(&metrics, list("333333333333")).await, "");
}

#[tokio::test]
async fn metrics_are_listed_by_what_they_have_in_pages() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let metrics = store.metrics();
    let all = [("Invocations", "f"), ("Errors", "f"), ("Invocations", "g"), ("Invocations", "")];
    for (at, (name, function)) in all.into_iter().enumerate() {
        metrics.add(vec![point(metric(name, function), at as u64 * 60, 1.0)]).await.unwrap();
    }
    let query = || list("123456789012");
    let named = |name: &str| ListQuery { name: Some(name.into()), ..query() };
    assert_eq!(
        listed(&metrics, named("Invocations")).await,
        "Invocations[f] Invocations[g] Invocations[]"
    );
    let with = |value: Option<&str>| ListQuery {
        dimensions: BTreeMap::from([("FunctionName".to_owned(), value.map(Into::into))]),
        ..query()
    };
    assert_eq!(listed(&metrics, with(None)).await, "Invocations[f] Errors[f] Invocations[g]");
    assert_eq!(listed(&metrics, with(Some("f"))).await, "Invocations[f] Errors[f]");
    let active = ListQuery { active_since_s: 120, ..query() };
    assert_eq!(listed(&metrics, active).await, "Invocations[g] Invocations[]");
    let first = metrics.list(ListQuery { limit: 3, ..query() }).await.unwrap();
    assert_eq!(first.metrics.len(), 3);
    let rest = ListQuery { after: first.next, ..query() };
    assert_eq!(listed(&metrics, rest).await, "Invocations[]");
    let exact = metrics.list(ListQuery { limit: 4, ..query() }).await.unwrap();
    assert_eq!(exact.next, None);
}

#[tokio::test]
async fn old_values_are_merged_into_longer_periods_and_go_in_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let metrics = store.metrics();
    let minutes = (0..120).map(|minute| point(metric("Invocations", "f"), minute * 60, 1.0));
    metrics.add(minutes.collect()).await.unwrap();
    let age = async |days: u64| while metrics.age(days * DAY_S + 7_200).await.unwrap() {};
    age(14).await;
    assert_eq!(shown(&metrics, 120, 60).await, "0:1/1~1 60:1/1~1");
    age(15).await;
    assert_eq!(shown(&metrics, 601, 60).await, "0:5/5~1 300:5/5~1 600:5/5~1");
    age(63).await;
    assert_eq!(shown(&metrics, 7_200, 60).await, "0:60/60~1 3600:60/60~1");
    assert_eq!(listed(&metrics, list("123456789012")).await, "Invocations[f]");
    age(455).await;
    assert_eq!(shown(&metrics, 7_200, 60).await, "");
    assert_eq!(listed(&metrics, list("123456789012")).await, "");
}
