//! `GetMetricStatistics`: some statistics of one metric, all of them at once.

use std::collections::BTreeMap;
use std::ops::Range;

use dormouse_model::metrics::{Bucket, Metric, Period, Statistic, Unit};
use dormouse_model::names::Scope;

use super::answer::Node;
use super::refusal::{combination, invalid, missing, not_in_set};
use super::request::{metric, read_unit, too_many};
use super::wire::Wire;
use crate::error::ApiError;

/// Values that one answer has at most (API reference).
const DATAPOINTS: u64 = 1_440;
/// Percentiles that one request may ask for (API model).
const PERCENTILES: usize = 10;
/// Simple statistics that one request may ask for (API model).
const SIMPLE: usize = 5;

/// `GetMetricStatistics`.
#[derive(Debug, Clone, PartialEq)]
pub struct GetMetricStatistics {
    /// The metric.
    pub metric: Metric,
    /// From when to when, in seconds since 1970, the end excluded.
    pub between_s: Range<u64>,
    /// How long one value covers.
    pub period: Period,
    /// What is asked.
    pub asked: Asked,
    /// Only values of this unit.
    pub unit: Option<Unit>,
}

/// Which statistics are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    simple: Vec<(&'static str, Statistic)>,
    /// As the caller writes them.
    percentiles: Vec<(String, Statistic)>,
}

const NAMES: [(&str, Statistic); 5] = [
    ("SampleCount", Statistic::SampleCount),
    ("Average", Statistic::Average),
    ("Sum", Statistic::Sum),
    ("Minimum", Statistic::Minimum),
    ("Maximum", Statistic::Maximum),
];

impl GetMetricStatistics {
    pub(super) fn read(scope: &Scope, wire: Wire) -> Result<Self, ApiError> {
        let names = (wire.namespace, wire.metric_name);
        let metric = metric(scope, names, (wire.dimensions, "Dimensions"))?;
        let start = wire.start_time.ok_or_else(|| missing("StartTime"))?;
        let end = wire.end_time.ok_or_else(|| missing("EndTime"))?;
        let period = wire.period.ok_or_else(|| missing("Period"))?;
        if start >= end {
            return Err(invalid(
                "The parameter StartTime must be less than the parameter EndTime.",
            ));
        }
        let between_s = start / 1_000..end.div_ceil(1_000);
        let period = u64::try_from(period).ok().and_then(Period::of_s);
        let period = period.ok_or_else(|| {
            invalid("The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60.")
        })?;
        let asked = Asked::read(
            &wire.statistics.unwrap_or_default(),
            wire.extended_statistics.unwrap_or_default(),
        )?;
        let unit = read_unit(wire.unit.as_deref(), "Unit")?;
        let values = period.buckets_in(&between_s);
        if values > DATAPOINTS {
            return Err(combination(format_args!(
                "You have requested up to {values} datapoints, which exceeds the limit of \
                 {DATAPOINTS}. You may reduce the datapoints requested by increasing Period, or \
                 decreasing the time range."
            )));
        }
        Ok(Self { metric, between_s, period, asked, unit })
    }

    /// The answer: a value for each period of each unit in which there was something.
    #[must_use]
    pub fn answer(&self, values: &BTreeMap<Unit, Vec<Bucket>>) -> Node {
        let mut points = Vec::new();
        for (unit, buckets) in values {
            points.extend(buckets.iter().map(|bucket| self.asked.point(bucket, *unit)));
        }
        Node::Structure(vec![
            ("Label", Node::Text(self.metric.name.clone())),
            ("Datapoints", Node::List(points)),
        ])
    }
}

impl Asked {
    fn read(simple: &[String], extended: Vec<String>) -> Result<Self, ApiError> {
        if simple.is_empty() && extended.is_empty() {
            return Err(combination(
                "At least one of the parameters {Statistics, ExtendedStatistics} must be specified.",
            ));
        }
        if simple.len() > SIMPLE {
            return Err(too_many("Statistics", SIMPLE));
        }
        if extended.len() > PERCENTILES {
            return Err(too_many("ExtendedStatistics", PERCENTILES));
        }
        let mut known = Vec::new();
        for (at, name) in simple.iter().enumerate() {
            let found = NAMES.iter().find(|(known, _)| known == name);
            known.push(*found.ok_or_else(|| {
                let parameter = format!("Statistics.member.{}", at + 1);
                not_in_set(&parameter, &NAMES.map(|(name, _)| name))
            })?);
        }
        let percentile = |name: String| match name.parse() {
            Ok(percentile @ Statistic::Percentile(_)) => Ok((name, percentile)),
            _ => Err(invalid(format_args!(
                "The value {name} for parameter ExtendedStatistics is not supported."
            ))),
        };
        let percentiles = extended.into_iter().map(percentile).collect::<Result<_, _>>()?;
        Ok(Self { simple: known, percentiles })
    }

    fn point(&self, bucket: &Bucket, unit: Unit) -> Node {
        let mut members = vec![("Timestamp", Node::Time(bucket.at_s))];
        for (name, statistic) in &self.simple {
            members.extend(statistic.of(&bucket.summary).map(|value| (*name, Node::Number(value))));
        }
        members.push(("Unit", Node::Text(unit.as_str().to_owned())));
        if !self.percentiles.is_empty() {
            let known = self.percentiles.iter().filter_map(|(name, percentile)| {
                percentile.of(&bucket.summary).map(|value| (name.clone(), value))
            });
            members.push(("ExtendedStatistics", Node::Map(known.collect())));
        }
        Node::Structure(members)
    }
}

#[cfg(test)]
mod tests {
    use dormouse_model::metrics::Summary;

    use super::super::request::Request;
    use super::super::request::tests::{read, refused};
    use super::*;

    const OPERATION: &str = "GetMetricStatistics";

    fn body(more: &str) -> String {
        format!(
            r#"{{"Namespace":"N","MetricName":"m","StartTime":60,"EndTime":240,"Period":60{more}}}"#
        )
    }

    #[test]
    fn a_value_has_what_was_asked_and_its_unit() {
        let more = r#","Statistics":["Sum","Average"],"ExtendedStatistics":["p100"]"#;
        let Ok(Request::GetMetricStatistics(asked)) = read(OPERATION, &body(more)) else {
            panic!()
        };
        assert_eq!((asked.between_s.clone(), asked.period.as_s()), (60..240, 60));
        let mut summary = Summary::of(1.0);
        summary.add(4.0);
        let values = [(Unit::COUNT, vec![Bucket { at_s: 60, summary }])].into();
        let expected = Node::Structure(vec![
            ("Timestamp", Node::Time(60)),
            ("Sum", Node::Number(5.0)),
            ("Average", Node::Number(2.5)),
            ("Unit", Node::Text("Count".into())),
            ("ExtendedStatistics", Node::Map([("p100".to_owned(), 4.0)].into())),
        ]);
        let expected = Node::Structure(vec![
            ("Label", Node::Text("m".into())),
            ("Datapoints", Node::List(vec![expected])),
        ]);
        assert_eq!(asked.answer(&values), expected);
    }

    #[test]
    fn wrong_requests_are_refused_in_cloudwatchs_words() {
        let check = |more: &str, expected: &str| refused(OPERATION, &body(more), expected);
        refused(OPERATION, "{}", "MissingParameter: The parameter Namespace is required.");
        check(
            "",
            "InvalidParameterCombination: At least one of the parameters {Statistics, \
             ExtendedStatistics} must be specified.",
        );
        check(
            r#","Statistics":["Sum","Median"]"#,
            "InvalidParameterValue: The parameter Statistics.member.2 must be a value in the set \
             [ SampleCount, Average, Sum, Minimum, Maximum ].",
        );
        check(
            r#","ExtendedStatistics":["p101"]"#,
            "InvalidParameterValue: The value p101 for parameter ExtendedStatistics is not supported.",
        );
        let unit = read(OPERATION, &body(r#","Statistics":["Sum"],"Unit":"Things""#)).unwrap_err();
        assert!(unit.starts_with("InvalidParameterValue: The parameter Unit must be"), "{unit}");
        let with = |times: &str| {
            format!(r#"{{"Namespace":"N","MetricName":"m","Statistics":["Sum"],{times}}}"#)
        };
        refused(
            OPERATION,
            &with(r#""StartTime":60,"EndTime":60,"Period":60"#),
            "InvalidParameterValue: The parameter StartTime must be less than the parameter EndTime.",
        );
        refused(
            OPERATION,
            &with(r#""StartTime":60,"EndTime":120,"Period":90"#),
            "InvalidParameterValue: The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60.",
        );
        refused(
            OPERATION,
            &with(r#""StartTime":0,"EndTime":86460,"Period":60"#),
            "InvalidParameterCombination: You have requested up to 1441 datapoints, which exceeds the \
             limit of 1440. You may reduce the datapoints requested by increasing Period, or \
             decreasing the time range.",
        );
    }
}
