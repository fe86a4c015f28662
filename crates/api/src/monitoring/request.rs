//! CloudWatch's requests, checked, whichever protocol they came in.

use std::collections::BTreeMap;

use dormouse_model::metrics::{Dimensions, Metric, Unit};
use dormouse_model::names::Scope;

use super::answer::Node;
use super::body::Body;
use super::data::GetMetricData;
use super::put::PutMetricData;
use super::refusal::{invalid, invalid_token, invalid_value, missing, not_in_set};
use super::statistics::GetMetricStatistics;
use super::token;
use super::wire::{Wire, WireDimension};
use crate::error::ApiError;

/// Dimensions of a metric (API model).
const DIMENSIONS: usize = 30;
/// Dimensions that a list may be filtered by (API model).
const FILTERS: usize = 10;
/// Milliseconds for which a metric without new values is listed (API reference: two weeks).
const LISTED_MS: u64 = 14 * 86_400_000;
/// Milliseconds of `RecentlyActive=PT3H`.
const RECENT_MS: u64 = 3 * 3_600_000;

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Which metrics there are.
    ListMetrics(ListMetrics),
    /// Statistics of one metric.
    GetMetricStatistics(GetMetricStatistics),
    /// One statistic each of many metrics.
    GetMetricData(GetMetricData),
    /// Values of the caller's own metrics.
    PutMetricData(PutMetricData),
}

impl Request {
    /// Reads a request, at this time. Nothing for an operation we do not have.
    ///
    /// # Errors
    /// When a parameter is missing or not valid.
    pub fn read(
        (scope, now_ms): (&Scope, u64),
        operation: &str,
        body: &Body<'_>,
    ) -> Result<Option<Self>, ApiError> {
        type Read = fn((&Scope, u64), Wire) -> Result<Request, ApiError>;
        let read: Read = match operation {
            "ListMetrics" => |of, wire| ListMetrics::read(of, wire).map(Self::ListMetrics),
            "GetMetricStatistics" => |(scope, _), wire| {
                GetMetricStatistics::read(scope, wire).map(Self::GetMetricStatistics)
            },
            "GetMetricData" => {
                |(scope, _), wire| GetMetricData::read(scope, wire).map(Self::GetMetricData)
            }
            "PutMetricData" => |of, wire| PutMetricData::read(of, wire).map(Self::PutMetricData),
            _ => return Ok(None),
        };
        read((scope, now_ms), body.read()?).map(Some)
    }
}

/// `ListMetrics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListMetrics {
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// Only of this name.
    pub name: Option<String>,
    /// Only with these dimensions and, where they are given, values.
    pub dimensions: BTreeMap<String, Option<String>>,
    /// Only those that had values since, in seconds since 1970.
    pub active_since_s: u64,
    /// The last metric of the page before.
    pub after: Option<u64>,
    /// Whether each is told with its account.
    pub with_accounts: bool,
    /// Whether only those of another account are wanted.
    pub foreign: bool,
}

impl ListMetrics {
    /// Metrics of a page (API reference).
    pub const PAGE: usize = 500;

    fn read((scope, now_ms): (&Scope, u64), wire: Wire) -> Result<Self, ApiError> {
        let of =
            |text: &Option<String>, name| text.as_ref().map_or(Ok(()), |text| named(text, name));
        of(&wire.namespace, "Namespace")?;
        of(&wire.metric_name, "MetricName")?;
        let filters = wire.dimensions.unwrap_or_default();
        if filters.len() > FILTERS {
            return Err(too_many("Dimensions", FILTERS));
        }
        let active_ms = match wire.recently_active.as_deref() {
            None => LISTED_MS,
            Some("PT3H") => RECENT_MS,
            Some(_) => return Err(not_in_set("RecentlyActive", &["PT3H"])),
        };
        let mut dimensions = BTreeMap::new();
        for (at, WireDimension { name, value }) in filters.into_iter().enumerate() {
            let parameter = format!("Dimensions.member.{}.Name", at + 1);
            let name = name.filter(|name| !name.is_empty()).ok_or_else(|| missing(&parameter))?;
            dimensions.insert(name, value);
        }
        let after = wire.next_token.map(|text| token::read::<1>(&text).ok_or_else(invalid_token));
        Ok(Self {
            namespace: wire.namespace,
            name: wire.metric_name,
            dimensions,
            active_since_s: now_ms.saturating_sub(active_ms) / 1_000,
            after: after.transpose()?.map(|[id]| id),
            with_accounts: wire.include_linked_accounts.unwrap_or(false),
            foreign: wire.owning_account.is_some_and(|account| account != scope.account.as_str()),
        })
    }
}

/// The answer to `ListMetrics`.
#[must_use]
pub fn listed(asked: &ListMetrics, metrics: &[Metric], next: Option<u64>) -> Node {
    let text = |text: &String| Node::Text(text.clone());
    let dimension = |(name, value): (&String, &String)| {
        Node::Structure(vec![("Name", text(name)), ("Value", text(value))])
    };
    let shown = metrics.iter().map(|metric| {
        Node::Structure(vec![
            ("Namespace", text(&metric.namespace)),
            ("MetricName", text(&metric.name)),
            ("Dimensions", Node::List(metric.dimensions.iter().map(dimension).collect())),
        ])
    });
    let mut members = vec![("Metrics", Node::List(shown.collect()))];
    if let Some(next) = next {
        members.push(("NextToken", Node::Text(token::write(&[next]))));
    }
    if asked.with_accounts {
        let accounts = metrics.iter().map(|metric| Node::Text(metric.scope.account.to_string()));
        members.push(("OwningAccounts", Node::List(accounts.collect())));
    }
    Node::Structure(members)
}

/// The metric that a request names.
pub(super) fn metric(
    scope: &Scope,
    (namespace, name): (Option<String>, Option<String>),
    (dimensions, path): (Option<Vec<WireDimension>>, &str),
) -> Result<Metric, ApiError> {
    let namespace = required(namespace, "Namespace")?;
    let name = required(name, "MetricName")?;
    let dimensions = read_dimensions(dimensions, path)?;
    Ok(Metric { scope: scope.clone(), namespace, name, dimensions })
}

/// A name that has to be there.
pub(super) fn required(text: Option<String>, parameter: &str) -> Result<String, ApiError> {
    let text = text.filter(|text| !text.is_empty()).ok_or_else(|| missing(parameter))?;
    named(&text, parameter)?;
    Ok(text)
}

/// The length and the first letter that CloudWatch allows a name.
fn named(text: &str, parameter: &str) -> Result<(), ApiError> {
    if !(1..=255).contains(&text.chars().count()) {
        let rule =
            "must be a string with length greater than or equal to 1 and less than or equal to 255";
        return Err(invalid(format_args!("The parameter {parameter} {rule}.")));
    }
    if text.starts_with(':') || text.chars().any(char::is_control) {
        return Err(invalid_value(text, parameter));
    }
    Ok(())
}

pub(super) fn read_dimensions(
    dimensions: Option<Vec<WireDimension>>,
    path: &str,
) -> Result<Dimensions, ApiError> {
    let dimensions = dimensions.unwrap_or_default();
    if dimensions.len() > DIMENSIONS {
        return Err(too_many(path, DIMENSIONS));
    }
    let mut read = Dimensions::new();
    for (at, WireDimension { name, value }) in dimensions.into_iter().enumerate() {
        let part = |part: &str| format!("{path}.member.{}.{part}", at + 1);
        let text = |text: Option<String>, name: &str, longest: usize| {
            let text = text.filter(|text| !text.is_empty()).ok_or_else(|| missing(&part(name)))?;
            let fits = text.chars().count() <= longest && !text.chars().any(char::is_control);
            if fits { Ok(text) } else { Err(invalid_value(text, &part(name))) }
        };
        let (name, value) = (text(name, "Name", 255)?, text(value, "Value", 1_024)?);
        if read.insert(name.clone(), value).is_some() {
            return Err(invalid_value(name, &part("Name")));
        }
    }
    Ok(read)
}

pub(super) fn read_unit(unit: Option<&str>, parameter: &str) -> Result<Option<Unit>, ApiError> {
    let read = |name| Unit::of_name(name).ok_or_else(|| not_in_set(parameter, Unit::names()));
    unit.map(read).transpose()
}

pub(super) fn too_many(parameter: &str, most: usize) -> ApiError {
    invalid(format_args!("The collection {parameter} must not have a size greater than {most}."))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::body::tests::parts;
    use super::*;
    use crate::form::Form;
    use crate::service::{Dialect, Protocol, Service};

    pub(in crate::monitoring) const NOW_MS: u64 = 1_800_000_000_000;

    pub(in crate::monitoring) fn scope() -> Scope {
        Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() }
    }

    fn read_as(
        protocol: Protocol,
        operation: &str,
        bytes: &[u8],
    ) -> Result<Option<Request>, ApiError> {
        let dialect = Dialect { service: Some(Service::Monitoring), protocol };
        let parts = parts("/", None);
        let form = Form::parse(bytes).unwrap();
        let form = (protocol == Protocol::Query).then_some(&form);
        let body = Body { dialect, parts: &parts, bytes, form };
        Request::read((&scope(), NOW_MS), operation, &body)
    }

    /// A request in JSON, or the code and text of its refusal.
    pub(in crate::monitoring) fn read(operation: &str, body: &str) -> Result<Request, String> {
        match read_as(Protocol::Json10, operation, body.as_bytes()) {
            Ok(request) => Ok(request.unwrap()),
            Err(error) => Err(format!("{}: {}", error.exception.facts().query_code, error.message)),
        }
    }

    #[track_caller]
    pub(in crate::monitoring) fn refused(operation: &str, body: &str, expected: &str) {
        assert_eq!(read(operation, body).unwrap_err(), expected, "{body}");
    }

    fn list(body: &str) -> ListMetrics {
        match read("ListMetrics", body).unwrap() {
            Request::ListMetrics(list) => list,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_list_is_filtered_by_names_dimensions_and_activity() {
        let all = list("{}");
        assert_eq!(all.active_since_s, 1_800_000_000 - 14 * 86_400);
        let some = list(
            r#"{"Namespace":"AWS/Lambda","MetricName":"Errors","RecentlyActive":"PT3H",
                "Dimensions":[{"Name":"FunctionName","Value":"f"},{"Name":"Resource"}]}"#,
        );
        assert_eq!(some.active_since_s, 1_800_000_000 - 3 * 3_600);
        assert_eq!(some.dimensions["FunctionName"], Some("f".to_owned()));
        assert_eq!(some.dimensions["Resource"], None);
        assert!(list(r#"{"OwningAccount":"210987654321"}"#).foreign);
        assert!(!list(r#"{"OwningAccount":"123456789012"}"#).foreign);
    }

    #[test]
    fn a_page_goes_on_behind_its_last_metric() {
        let metric = Metric {
            scope: scope(),
            namespace: "N".into(),
            name: "m".into(),
            dimensions: [("a".to_owned(), "b".to_owned())].into(),
        };
        let Node::Structure(members) = listed(&list("{}"), &[metric], Some(7)) else { panic!() };
        let (_, Node::Text(token)) = &members[1] else { panic!("{members:?}") };
        assert_eq!(list(&format!(r#"{{"NextToken":"{token}"}}"#)).after, Some(7));
        refused("ListMetrics", r#"{"NextToken":"x"}"#, "InvalidNextToken: Invalid nextToken");
    }

    #[test]
    fn wrong_filters_are_refused() {
        refused(
            "ListMetrics",
            r#"{"Namespace":":x"}"#,
            "InvalidParameterValue: The value :x for parameter Namespace is invalid.",
        );
        refused(
            "ListMetrics",
            r#"{"RecentlyActive":"PT4H"}"#,
            "InvalidParameterValue: The parameter RecentlyActive must be a value in the set [ PT3H ].",
        );
        refused(
            "ListMetrics",
            r#"{"Dimensions":[{"Value":"x"}]}"#,
            "MissingParameter: The parameter Dimensions.member.1.Name is required.",
        );
        assert_eq!(read_as(Protocol::Json10, "PutMetricAlarm", b"{}"), Ok(None));
    }

    #[test]
    fn every_protocol_says_the_same() {
        let json = br#"{"Namespace":"N","Dimensions":[{"Name":"a","Value":"b"}]}"#;
        let form = b"Namespace=N&Dimensions.member.1.Name=a&Dimensions.member.1.Value=b";
        let cbor = b"\xa2\x69Namespace\x61N\x6aDimensions\x81\xa2\x64Name\x61a\x65Value\x61b";
        let read = |protocol, body: &[u8]| read_as(protocol, "ListMetrics", body).unwrap().unwrap();
        let expected = read(Protocol::Json10, json);
        assert_eq!(read(Protocol::Query, form), expected);
        assert_eq!(read(Protocol::RpcV2Cbor, cbor), expected);
    }
}
