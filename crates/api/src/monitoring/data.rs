//! `GetMetricData`: one statistic each of many metrics, in pages.

use std::collections::BTreeSet;
use std::ops::Range;

use dormouse_model::metrics::{Bucket, Metric, Period, Statistic, Unit};
use dormouse_model::names::Scope;

use super::answer::Node;
use super::refusal::{invalid_token, missing, validation};
use super::request::{metric, read_unit};
use super::token;
use super::wire::{Wire, WireQuery};
use crate::error::{ApiError, Exception};

/// Values of one answer at most, and unless told otherwise (API reference).
const DATAPOINTS: i64 = 100_800;
/// Queries of one request (API reference).
const QUERIES: usize = 500;

/// `GetMetricData`.
#[derive(Debug, Clone, PartialEq)]
pub struct GetMetricData {
    queries: Vec<Query>,
    /// From when to when, in seconds since 1970, the end excluded.
    pub between_s: Range<u64>,
    descending: bool,
    most: usize,
    from: Position,
}

/// One of the metrics asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    id: String,
    label: String,
    /// The metric.
    pub metric: Metric,
    /// How long one value covers.
    pub period: Period,
    statistic: Statistic,
    /// Only values of this unit.
    pub unit: Option<Unit>,
    /// It is another account's.
    foreign: bool,
}

/// Where a page begins: with a value of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    query: usize,
    value: usize,
}

impl GetMetricData {
    pub(super) fn read(scope: &Scope, wire: Wire) -> Result<Self, ApiError> {
        let queries = wire.metric_data_queries.ok_or_else(|| missing("MetricDataQueries"))?;
        let start = wire.start_time.ok_or_else(|| missing("StartTime"))?;
        let end = wire.end_time.ok_or_else(|| missing("EndTime"))?;
        if start >= end {
            let text = "The parameter StartTime must be less than the parameter EndTime.";
            return Err(validation(text));
        }
        let descending = match wire.scan_by.as_deref() {
            None | Some("TimestampDescending") => true,
            Some("TimestampAscending") => false,
            Some(_) => {
                let set = "[ TimestampDescending, TimestampAscending ]";
                return Err(validation(format_args!(
                    "The parameter ScanBy must be a value in the set {set}."
                )));
            }
        };
        let most = wire.max_datapoints.unwrap_or(DATAPOINTS);
        let most = Some(most).filter(|most| (1..=DATAPOINTS).contains(most));
        let most = most.and_then(|most| usize::try_from(most).ok()).ok_or_else(|| {
            validation(format_args!(
                "The parameter MaxDatapoints must be between 1 and {DATAPOINTS}."
            ))
        })?;
        let queries = read_queries(scope, queries)?;
        let from = match wire.next_token {
            None => Position { query: 0, value: 0 },
            Some(text) => position(&text, queries.len()).ok_or_else(invalid_token)?,
        };
        let between_s = start / 1_000..end.div_ceil(1_000);
        Ok(Self { queries, between_s, descending, most, from })
    }

    /// A page's results, which are still to be filled.
    #[must_use]
    pub fn results(&self) -> Results<'_> {
        Results { asked: self, at: self.from, left: self.most, shown: Vec::new() }
    }
}

fn position(text: &str, queries: usize) -> Option<Position> {
    let [query, value] = token::read::<2>(text)?;
    let position =
        Position { query: usize::try_from(query).ok()?, value: usize::try_from(value).ok()? };
    (position.query < queries).then_some(position)
}

/// Those whose values are wanted.
fn read_queries(scope: &Scope, queries: Vec<WireQuery>) -> Result<Vec<Query>, ApiError> {
    if queries.is_empty() || queries.len() > QUERIES {
        let text = "The collection MetricDataQueries must have a size between 1 and 500.";
        return Err(validation(text));
    }
    let (mut ids, mut read) = (BTreeSet::new(), Vec::new());
    for (at, query) in queries.into_iter().enumerate() {
        let wanted = query.return_data.unwrap_or(true);
        let query = read_query(scope, query, at + 1)?;
        if !ids.insert(query.id.clone()) {
            let text = "The values for parameter id in MetricDataQueries are not unique.";
            return Err(validation(text));
        }
        read.extend(wanted.then_some(query));
    }
    Ok(read)
}

fn read_query(scope: &Scope, query: WireQuery, number: usize) -> Result<Query, ApiError> {
    let path = format!("MetricDataQueries.member.{number}");
    let id = query.id.ok_or_else(|| missing(&format!("{path}.Id")))?;
    let mut letters = id.bytes();
    let begins = letters.next().is_some_and(|first| first.is_ascii_lowercase());
    if !begins || id.len() > 255 || !letters.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        let pattern = "^[a-z][a-zA-Z0-9_]*$";
        return Err(validation(format_args!(
            "The value {id} for parameter {path}.Id is not matching the expected pattern {pattern}."
        )));
    }
    let Some(stat) = query.metric_stat else {
        if query.expression.is_some() {
            let text = "Metric math expressions are not supported by this version of Dormouse.";
            return Err(ApiError::new(Exception::NotImplemented, text));
        }
        let text = "Either MetricStat or Expression must be specified";
        return Err(validation(format_args!("{text} for {path}.")));
    };
    if query.expression.is_some() {
        let text = "MetricStat and Expression cannot both be specified";
        return Err(validation(format_args!("{text} for {path}.")));
    }
    let named = stat.metric.ok_or_else(|| missing(&format!("{path}.MetricStat.Metric")))?;
    let names = (named.namespace, named.metric_name);
    let dimensions = format!("{path}.MetricStat.Metric.Dimensions");
    let metric = metric(scope, names, (named.dimensions, &dimensions))?;
    let period = stat.period.ok_or_else(|| missing(&format!("{path}.MetricStat.Period")))?;
    let period = u64::try_from(period).ok().and_then(Period::of_s);
    let period =
        period.ok_or_else(|| validation("Period must be 1, 5, 10, 20, 30 or a multiple of 60"))?;
    let statistic = stat.stat.ok_or_else(|| missing(&format!("{path}.MetricStat.Stat")))?;
    let statistic = statistic.parse().map_err(|_| {
        validation(format_args!(
            "The value {statistic} for parameter {path}.MetricStat.Stat is not supported."
        ))
    })?;
    let unit = read_unit(stat.unit.as_deref(), &format!("{path}.MetricStat.Unit"))?;
    let foreign = query.account_id.is_some_and(|account| account != scope.account.as_str());
    let label = query.label.unwrap_or_else(|| metric.name.clone());
    Ok(Query { id, label, metric, period, statistic, unit, foreign })
}

/// A page that is being filled: [`Results::next`] says what to look up, [`Results::take`] takes it.
#[derive(Debug)]
pub struct Results<'a> {
    asked: &'a GetMetricData,
    at: Position,
    left: usize,
    shown: Vec<Node>,
}

impl<'a> Results<'a> {
    /// The metric whose values are wanted next; none when the page is full or nothing is left.
    #[must_use]
    pub fn next(&self) -> Option<&'a Query> {
        if self.left == 0 {
            return None;
        }
        self.asked.queries.get(self.at.query)
    }

    /// Takes the values of what was wanted, the oldest first.
    pub fn take(&mut self, buckets: &[Bucket]) {
        let Some(query) = self.next() else { return };
        let buckets = if query.foreign { &[] } else { buckets };
        let known = buckets
            .iter()
            .filter_map(|bucket| Some((bucket.at_s, query.statistic.of(&bucket.summary)?)));
        let mut values: Vec<(u64, f64)> = known.collect();
        if self.asked.descending {
            values.reverse();
        }
        let from = self.at.value.min(values.len());
        let until = values.len().min(from.saturating_add(self.left));
        let complete = until == values.len();
        let status = match (query.foreign, complete) {
            (true, _) => "Forbidden",
            (false, true) => "Complete",
            (false, false) => "PartialData",
        };
        let page = &values[from..until];
        self.shown.push(Node::Structure(vec![
            ("Id", Node::Text(query.id.clone())),
            ("Label", Node::Text(query.label.clone())),
            ("Timestamps", Node::List(page.iter().map(|(at, _)| Node::Time(*at)).collect())),
            ("Values", Node::List(page.iter().map(|(_, value)| Node::Number(*value)).collect())),
            ("StatusCode", Node::Text(status.to_owned())),
        ]));
        self.left -= page.len();
        self.at = if complete {
            Position { query: self.at.query + 1, value: 0 }
        } else {
            Position { value: until, ..self.at }
        };
    }

    /// The answer.
    #[must_use]
    pub fn answer(self) -> Node {
        let more = self.at.query < self.asked.queries.len();
        let mut members =
            vec![("MetricDataResults", Node::List(self.shown)), ("Messages", Node::List(vec![]))];
        if more {
            let token = token::write(&[self.at.query as u64, self.at.value as u64]);
            members.push(("NextToken", Node::Text(token)));
        }
        Node::Structure(members)
    }
}

#[cfg(test)]
mod tests {
    use dormouse_model::metrics::Summary;
    use proptest::prelude::*;

    use super::super::request::Request;
    use super::super::request::tests::{read, refused};
    use super::*;

    const OPERATION: &str = "GetMetricData";

    fn query(id: &str) -> String {
        format!(
            r#"{{"Id":"{id}","MetricStat":{{"Metric":{{"Namespace":"N","MetricName":"m"}},"Period":60,"Stat":"Sum"}}}}"#
        )
    }

    fn body(queries: &[String], more: &str) -> String {
        let queries = queries.join(",");
        format!(r#"{{"MetricDataQueries":[{queries}],"StartTime":0,"EndTime":6000{more}}}"#)
    }

    fn asked(body: &str) -> GetMetricData {
        match read(OPERATION, body) {
            Ok(Request::GetMetricData(asked)) => asked,
            other => panic!("{other:?}"),
        }
    }

    fn buckets(count: u64) -> Vec<Bucket> {
        let bucket = |at: u64| Bucket { at_s: at * 60, summary: Summary::of(at as f64) };
        (0..count).map(bucket).collect()
    }

    fn member<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
        let Node::Structure(members) = node else { panic!("{node:?}") };
        members.iter().find(|(known, _)| *known == name).map(|(_, member)| member)
    }

    /// Ids with their times, and the token.
    fn page(asked: &GetMetricData, counts: &[u64]) -> (Vec<(String, Vec<u64>)>, Option<String>) {
        let mut results = asked.results();
        while results.next().is_some() {
            results.take(&buckets(counts[results.at.query]));
        }
        let answer = results.answer();
        let Some(Node::List(shown)) = member(&answer, "MetricDataResults") else { panic!() };
        let shown = shown.iter().map(|result| {
            let (Some(Node::Text(id)), Some(Node::List(times))) =
                (member(result, "Id"), member(result, "Timestamps"))
            else {
                panic!("{result:?}")
            };
            let time = |node: &Node| if let Node::Time(at) = node { *at } else { panic!() };
            (id.clone(), times.iter().map(time).collect())
        });
        let shown = shown.collect();
        let token = member(&answer, "NextToken").map(|token| match token {
            Node::Text(token) => token.clone(),
            other => panic!("{other:?}"),
        });
        (shown, token)
    }

    #[test]
    fn the_latest_comes_first_unless_told_otherwise() {
        let queries = [query("a"), query("b")];
        let (shown, token) = page(&asked(&body(&queries, "")), &[2, 0]);
        assert_eq!(shown, [("a".into(), vec![60, 0]), ("b".into(), vec![])]);
        assert_eq!(token, None);
        let ascending = body(&queries, r#","ScanBy":"TimestampAscending""#);
        assert_eq!(page(&asked(&ascending), &[2, 0]).0[0].1, [0, 60]);
    }

    #[test]
    fn what_is_not_to_be_returned_is_left_out() {
        let hidden = query("b").replace("\"Id\"", "\"ReturnData\":false,\"Id\"");
        let (shown, _) = page(&asked(&body(&[query("a"), hidden], "")), &[1]);
        assert_eq!(shown, [("a".into(), vec![0])]);
    }

    #[test]
    fn wrong_requests_are_refused() {
        let check = |queries: &[String], more: &str, expected: &str| {
            refused(OPERATION, &body(queries, more), expected);
        };
        refused(OPERATION, "{}", "MissingParameter: The parameter MetricDataQueries is required.");
        let sizes =
            "ValidationError: The collection MetricDataQueries must have a size between 1 and 500.";
        check(&[], "", sizes);
        check(&vec![query("a"); 501], "", sizes);
        check(
            &[query("a"), query("a")],
            "",
            "ValidationError: The values for parameter id in MetricDataQueries are not unique.",
        );
        check(
            &[query("A")],
            "",
            "ValidationError: The value A for parameter MetricDataQueries.member.1.Id is not matching \
             the expected pattern ^[a-z][a-zA-Z0-9_]*$.",
        );
        check(
            &[r#"{"Id":"e","Expression":"m1*2"}"#.to_owned()],
            "",
            "NotImplemented: Metric math expressions are not supported by this version of Dormouse.",
        );
        check(
            &[query("a").replace(":60", ":61")],
            "",
            "ValidationError: Period must be 1, 5, 10, 20, 30 or a multiple of 60",
        );
        check(
            &[query("a").replace("Sum", "Median")],
            "",
            "ValidationError: The value Median for parameter MetricDataQueries.member.1.MetricStat.Stat \
             is not supported.",
        );
        check(&[query("a")], r#","NextToken":"MS4x""#, "InvalidNextToken: Invalid nextToken");
        check(
            &[query("a")],
            r#","MaxDatapoints":0"#,
            "ValidationError: The parameter MaxDatapoints must be between 1 and 100800.",
        );
    }

    proptest! {
        /// Page by page, every value of every metric comes once and in its order.
        #[test]
        fn pages_have_every_value_once(counts in prop::collection::vec(0_u64..20, 1..6), most in 1_u64..30) {
            let queries: Vec<String> = (0..counts.len()).map(|n| query(&format!("q{n}"))).collect();
            let mut all = vec![Vec::new(); counts.len()];
            let mut token: Option<String> = None;
            for _ in 0..200 {
                let next = token.map_or_else(String::new, |t| format!(r#","NextToken":"{t}""#));
                let more = format!(r#","MaxDatapoints":{most},"ScanBy":"TimestampAscending"{next}"#);
                let (shown, after) = page(&asked(&body(&queries, &more)), &counts);
                prop_assert!(shown.iter().map(|(_, times)| times.len() as u64).sum::<u64>() <= most);
                for (id, times) in shown {
                    all[id[1..].parse::<usize>().unwrap()].extend(times);
                }
                token = after;
                if token.is_none() {
                    break;
                }
            }
            prop_assert_eq!(token, None);
            for (found, count) in all.iter().zip(&counts) {
                let expected: Vec<u64> = (0..*count).map(|at| at * 60).collect();
                prop_assert_eq!(found, &expected);
            }
        }
    }
}
