//! Results in bytes: one tree, written in the protocol the request came in.

use std::collections::BTreeMap;

use bytes::Bytes;
use dormouse_model::names::RequestId;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Map, Value};

use super::cbor;
use crate::service::{Dialect, Protocol, Service};
use crate::time;
use crate::xml::{Xml, query_answer};

/// A part of a result.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// A text.
    Text(String),
    /// A number.
    Number(f64),
    /// A time in seconds since 1970.
    Time(u64),
    /// A list.
    List(Vec<Self>),
    /// Members by name.
    Structure(Vec<(&'static str, Self)>),
    /// Numbers by names that the model does not know.
    Map(BTreeMap<String, f64>),
}

/// The HTTP answer to an operation; some have no result.
#[must_use]
pub fn answer(
    (dialect, operation): (Dialect, &str),
    result: Option<&Node>,
    request_id: &RequestId,
) -> Response<Bytes> {
    let nothing = Node::Structure(vec![]);
    let (content_type, body) = match dialect.protocol {
        Protocol::RpcV2Cbor => {
            ("application/cbor", result.map_or_else(Vec::new, cbor::bytes).into())
        }
        Protocol::Query => {
            let namespace = Service::Monitoring.namespace().unwrap_or_default();
            let result = result.map(|result| |xml: &mut Xml| members(xml, result));
            return query_answer(&namespace, operation, request_id, result);
        }
        _ => {
            let text = json(result.unwrap_or(&nothing)).to_string();
            ("application/x-amz-json-1.0", Bytes::from(text))
        }
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if dialect.protocol == Protocol::RpcV2Cbor {
        headers.insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    }
    response
}

fn json(node: &Node) -> Value {
    match node {
        Node::Text(text) => Value::from(text.as_str()),
        Node::Number(number) => Value::from(*number),
        Node::Time(seconds) => Value::from(*seconds),
        Node::List(items) => items.iter().map(json).collect(),
        Node::Structure(members) => {
            let members = members.iter().map(|(name, member)| ((*name).to_owned(), json(member)));
            Value::Object(members.collect())
        }
        Node::Map(entries) => {
            let entries = entries.iter().map(|(name, value)| (name.clone(), Value::from(*value)));
            Value::Object(Map::from_iter(entries))
        }
    }
}

/// What stands inside an element.
fn members(xml: &mut Xml, node: &Node) {
    let Node::Structure(members) = node else { return };
    for (name, member) in members {
        element(xml, name, member);
    }
}

fn element(xml: &mut Xml, name: &str, node: &Node) {
    match node {
        Node::Text(text) => {
            xml.leaf(name, text);
        }
        Node::Number(number) => {
            xml.leaf(name, &number.to_string());
        }
        Node::Time(seconds) => {
            xml.leaf(name, &time::iso_seconds(seconds.saturating_mul(1_000)));
        }
        Node::List(items) => {
            xml.element(name, |xml| items.iter().for_each(|item| element(xml, "member", item)));
        }
        Node::Structure(_) => {
            xml.element(name, |xml| members(xml, node));
        }
        Node::Map(entries) => {
            xml.element(name, |xml| {
                for (key, value) in entries {
                    xml.element("entry", |xml| {
                        xml.leaf("key", key).leaf("value", &value.to_string());
                    });
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_written_in_every_protocol() {
        let point = Node::Structure(vec![
            ("Timestamp", Node::Time(1_767_323_045)),
            ("Sum", Node::Number(2.0)),
            ("ExtendedStatistics", Node::Map([("p99".to_owned(), 1.5)].into())),
        ]);
        let result = Node::Structure(vec![
            ("Label", Node::Text("<Errors>".into())),
            ("Datapoints", Node::List(vec![point])),
        ]);
        let id = "11111111-2222-4333-8444-555555555555".parse().unwrap();
        let text = |protocol, result| {
            let dialect = Dialect { service: Some(Service::Monitoring), protocol };
            let answer = answer((dialect, "GetMetricStatistics"), result, &id);
            String::from_utf8_lossy(answer.body()).into_owned()
        };
        assert_eq!(
            text(Protocol::Json10, Some(&result)),
            r#"{"Datapoints":[{"ExtendedStatistics":{"p99":1.5},"Sum":2.0,"Timestamp":1767323045}],"Label":"<Errors>"}"#
        );
        insta::assert_snapshot!(text(Protocol::Query, Some(&result)), @r#"<GetMetricStatisticsResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/"><GetMetricStatisticsResult><Label>&lt;Errors&gt;</Label><Datapoints><member><Timestamp>2026-01-02T03:04:05Z</Timestamp><Sum>2</Sum><ExtendedStatistics><entry><key>p99</key><value>1.5</value></entry></ExtendedStatistics></member></Datapoints></GetMetricStatisticsResult><ResponseMetadata><RequestId>11111111-2222-4333-8444-555555555555</RequestId></ResponseMetadata></GetMetricStatisticsResponse>"#);
        assert!(text(Protocol::RpcV2Cbor, Some(&result)).starts_with('\u{fffd}'));
        assert_eq!(text(Protocol::RpcV2Cbor, None), "");
        assert_eq!(text(Protocol::Json10, None), "{}");
    }
}
