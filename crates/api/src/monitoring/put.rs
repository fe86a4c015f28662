//! `PutMetricData`: values of the caller's own metrics.

use dormouse_model::metrics::{Metric, Point, Summary, Unit, minute_s};
use dormouse_model::names::Scope;

use super::refusal::{combination, invalid, invalid_value, missing};
use super::request::{read_dimensions, read_unit, required, too_many};
use super::wire::{Wire, WireDatum, WireSet};
use crate::error::{ApiError, Exception};

/// Values of one request, each with its name (API reference).
const DATA: usize = 1_000;
/// Values of one of these (API reference).
const VALUES: usize = 150;
/// How old a value may be, in milliseconds (API reference: two weeks).
const PAST_MS: u64 = 14 * 86_400_000;
/// How far ahead of now it may be, in milliseconds (API reference: two hours).
const AHEAD_MS: u64 = 2 * 3_600_000;

/// `PutMetricData`.
#[derive(Debug, Clone, PartialEq)]
pub struct PutMetricData {
    /// What is put.
    pub points: Vec<Point>,
}

impl PutMetricData {
    pub(super) fn read((scope, now_ms): (&Scope, u64), wire: Wire) -> Result<Self, ApiError> {
        let namespace = required(wire.namespace, "Namespace")?;
        // Only AWS's services, here this server, tell of themselves.
        if namespace.starts_with("AWS/") {
            return Err(invalid_value(namespace, "Namespace"));
        }
        let entities = wire.entity_metric_data.unwrap_or_default().into_iter();
        let of_entities = entities.flat_map(|entity| entity.metric_data.unwrap_or_default());
        let data: Vec<WireDatum> =
            wire.metric_data.unwrap_or_default().into_iter().chain(of_entities).collect();
        if data.is_empty() {
            return Err(missing("MetricData"));
        }
        if data.len() > DATA {
            return Err(too_many("MetricData", DATA));
        }
        let mut points = Vec::new();
        for (at, datum) in data.into_iter().enumerate() {
            let path = format!("MetricData.member.{}", at + 1);
            points.push(point((scope, &namespace), datum, (&path, now_ms))?);
        }
        Ok(Self { points })
    }
}

fn point(
    (scope, namespace): (&Scope, &str),
    mut datum: WireDatum,
    (path, now_ms): (&str, u64),
) -> Result<Point, ApiError> {
    let name = required(datum.metric_name.take(), &format!("{path}.MetricName"))?;
    let dimensions = datum.dimensions.take();
    let dimensions = read_dimensions(dimensions, &format!("{path}.Dimensions"))?;
    let at_ms = datum.timestamp.unwrap_or(now_ms);
    if at_ms < now_ms.saturating_sub(PAST_MS) {
        let rule = "must specify a time within the past two weeks.";
        return Err(invalid(format_args!("The parameter {path}.Timestamp {rule}")));
    }
    if at_ms > now_ms + AHEAD_MS {
        let rule = "must specify a time no more than two hours in the future.";
        return Err(invalid(format_args!("The parameter {path}.Timestamp {rule}")));
    }
    if datum.storage_resolution.is_some_and(|seconds| seconds != 1 && seconds != 60) {
        let rule = "must be either 1 or 60.";
        return Err(invalid(format_args!("The parameter {path}.StorageResolution {rule}")));
    }
    let unit = read_unit(datum.unit.as_deref(), &format!("{path}.Unit"))?.unwrap_or(Unit::NONE);
    let summary = summary(datum, path)?;
    let (scope, namespace) = (scope.clone(), namespace.to_owned());
    let metric = Metric { scope, namespace, name, dimensions };
    Ok(Point { metric, at_s: minute_s(at_ms), unit, summary })
}

fn summary(datum: WireDatum, path: &str) -> Result<Summary, ApiError> {
    match (datum.value, datum.statistic_values, datum.values) {
        (Some(value), None, None) => bounded(value, path, "Value").map(Summary::of),
        (None, Some(set), None) => of_set(&set, &format!("{path}.StatisticValues")),
        (None, None, Some(values)) => of_values(&values, datum.counts.as_deref(), path),
        (None, None, None) => {
            let text = "At least one of the parameters must be specified.";
            Err(ApiError::new(Exception::CloudWatchMissingParameter, text))
        }
        (Some(_), Some(_), _) => Err(both(path, ["Value", "StatisticValues"])),
        (Some(_), None, Some(_)) => Err(both(path, ["Value", "Values"])),
        (None, Some(_), Some(_)) => Err(both(path, ["StatisticValues", "Values"])),
    }
}

fn both(path: &str, [one, other]: [&str; 2]) -> ApiError {
    combination(format_args!(
        "The parameters {path}.{one} and {path}.{other} are mutually exclusive and you have \
         specified both."
    ))
}

fn of_set(set: &WireSet, path: &str) -> Result<Summary, ApiError> {
    let part = |value: Option<f64>, name: &str| {
        let value = value.ok_or_else(|| missing(&format!("{path}.{name}")))?;
        bounded(value, path, name)
    };
    let samples = part(set.sample_count, "SampleCount")?;
    let sum = part(set.sum, "Sum")?;
    let minimum = part(set.minimum, "Minimum")?;
    let maximum = part(set.maximum, "Maximum")?;
    if samples <= 0.0 {
        let rule = "must be greater than 0.";
        return Err(invalid(format_args!("The parameter {path}.SampleCount {rule}")));
    }
    if minimum > maximum {
        let rule = format_args!("must be less than or equal to {path}.Maximum.");
        return Err(combination(format_args!("The parameter {path}.Minimum {rule}")));
    }
    Ok(Summary::of_set(samples, sum, (minimum, maximum)))
}

fn of_values(values: &[f64], counts: Option<&[f64]>, path: &str) -> Result<Summary, ApiError> {
    if values.is_empty() || values.len() > VALUES {
        let rule = format_args!("must have a size between 1 and {VALUES}.");
        return Err(invalid(format_args!("The collection {path}.Values {rule}")));
    }
    if counts.is_some_and(|counts| counts.len() != values.len()) {
        let text = format_args!(
            "The parameters {path}.Values and {path}.Counts must be of the same size."
        );
        return Err(combination(text));
    }
    let mut whole: Option<Summary> = None;
    for (at, value) in values.iter().enumerate() {
        let count = counts.map_or(1.0, |counts| counts[at]);
        if count <= 0.0 {
            let rule = "must be greater than 0.";
            return Err(invalid(format_args!(
                "The parameter {path}.Counts.member.{} {rule}",
                at + 1
            )));
        }
        let count = bounded(count, path, "Counts")?;
        let part = Summary::of_many(bounded(*value, path, "Values")?, count);
        match &mut whole {
            Some(whole) => whole.merge(&part),
            None => whole = Some(part),
        }
    }
    whole.ok_or_else(|| missing(&format!("{path}.Values")))
}

/// Within the range that CloudWatch keeps (API reference: ±2^360), so that sums are numbers, too.
fn bounded(value: f64, path: &str, name: &str) -> Result<f64, ApiError> {
    if value.abs() <= 2_f64.powi(360) {
        return Ok(value);
    }
    let rule = "must be between -2^360 and 2^360.";
    Err(invalid(format_args!("The parameter {path}.{name} {rule}")))
}

#[cfg(test)]
mod tests {
    use super::super::request::Request;
    use super::super::request::tests::{NOW_MS, read, refused};
    use super::*;

    const OPERATION: &str = "PutMetricData";

    fn body(datum: &str) -> String {
        format!(r#"{{"Namespace":"Mine","MetricData":[{{"MetricName":"m"{datum}}}]}}"#)
    }

    fn put(datum: &str) -> Point {
        match read(OPERATION, &body(datum)) {
            Ok(Request::PutMetricData(put)) => put.points.into_iter().next().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_come_alone_as_sets_and_as_lists() {
        let one = put(r#","Value":1.5,"Unit":"Bytes","Dimensions":[{"Name":"a","Value":"b"}]"#);
        assert_eq!(one.summary, Summary::of(1.5));
        assert_eq!((one.at_s, one.unit.as_str()), (NOW_MS / 1_000, "Bytes"));
        assert_eq!(one.metric.dimensions["a"], "b");
        let set = r#","StatisticValues":{"SampleCount":4,"Sum":10,"Minimum":1,"Maximum":4}"#;
        assert_eq!(put(set).summary, Summary::of_set(4.0, 10.0, (1.0, 4.0)));
        let many = put(r#","Values":[1,2],"Counts":[3,1],"Timestamp":1799999999"#);
        assert_eq!((many.summary.samples, many.summary.sum), (4.0, 5.0));
        assert_eq!(many.at_s, 1_799_999_940);
    }

    #[test]
    fn wrong_values_are_refused() {
        let check = |datum: &str, expected: &str| refused(OPERATION, &body(datum), expected);
        refused(
            OPERATION,
            r#"{"Namespace":"AWS/Lambda","MetricData":[]}"#,
            "InvalidParameterValue: The value AWS/Lambda for parameter Namespace is invalid.",
        );
        refused(
            OPERATION,
            r#"{"Namespace":"N"}"#,
            "MissingParameter: The parameter MetricData is required.",
        );
        check("", "MissingParameter: At least one of the parameters must be specified.");
        check(
            r#","Value":1,"Values":[1]"#,
            "InvalidParameterCombination: The parameters MetricData.member.1.Value and \
             MetricData.member.1.Values are mutually exclusive and you have specified both.",
        );
        check(
            r#","Value":1e300"#,
            "InvalidParameterValue: The parameter MetricData.member.1.Value must be between -2^360 and 2^360.",
        );
        check(
            r#","Value":1,"Timestamp":1"#,
            "InvalidParameterValue: The parameter MetricData.member.1.Timestamp must specify a time \
             within the past two weeks.",
        );
        check(
            r#","Value":1,"Timestamp":1800010000"#,
            "InvalidParameterValue: The parameter MetricData.member.1.Timestamp must specify a time no \
             more than two hours in the future.",
        );
        check(
            r#","Values":[1,2],"Counts":[1]"#,
            "InvalidParameterCombination: The parameters MetricData.member.1.Values and \
             MetricData.member.1.Counts must be of the same size.",
        );
        check(
            r#","Value":1,"Dimensions":[{"Name":"a"}]"#,
            "MissingParameter: The parameter MetricData.member.1.Dimensions.member.1.Value is required.",
        );
        check(
            r#","Value":1,"StorageResolution":5"#,
            "InvalidParameterValue: The parameter MetricData.member.1.StorageResolution must be either 1 or 60.",
        );
    }
}
