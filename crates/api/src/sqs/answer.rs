//! Results in bytes: one JSON value, written as it is or as the XML of the query protocol.

use bytes::Bytes;
use dormouse_model::names::RequestId;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

use crate::error::{ApiError, Fault};
use crate::service::{Dialect, Protocol, Service};
use crate::xml::{Xml, query_answer};

/// An entry of a batch that was refused.
#[derive(Debug, Clone)]
pub struct Failed {
    /// Its id.
    pub id: String,
    /// Why.
    pub error: ApiError,
}

/// The HTTP answer to an operation; some have no result.
#[must_use]
pub fn answer(
    (dialect, operation): (Dialect, &str),
    result: Option<Value>,
    request_id: &RequestId,
) -> Response<Bytes> {
    if dialect.protocol == Protocol::Query {
        let namespace = Service::Sqs.namespace().unwrap_or_default();
        let result = result.map(|result| move |xml: &mut Xml| members(xml, operation, &result));
        return query_answer(&namespace, operation, request_id, result);
    }
    let body = result.map_or_else(Bytes::new, |result| result.to_string().into());
    let mut response = Response::new(body);
    let json = HeaderValue::from_static("application/x-amz-json-1.0");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// The result of a batch.
#[must_use]
pub fn batch_answer(successful: Vec<Value>, failed: &[Failed]) -> Value {
    let failed: Vec<Value> = failed
        .iter()
        .map(|failed| {
            json!({
                "Id": failed.id,
                "SenderFault": failed.error.fault() != Fault::Platform,
                "Code": failed.error.exception.facts().query_code,
                "Message": failed.error.message,
            })
        })
        .collect();
    let mut result = json!({ "Successful": successful });
    if !failed.is_empty() {
        result["Failed"] = failed.into();
    }
    result
}

/// The members of a structure. Lists and maps have no element of their own: each item has one.
fn members(xml: &mut Xml, operation: &str, value: &Value) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let tag = match name.as_str() {
            "QueueUrls" | "queueUrls" => "QueueUrl",
            "Attributes" => "Attribute",
            "MessageAttributes" => "MessageAttribute",
            "Messages" => "Message",
            "Tags" => "Tag",
            "Failed" => "BatchResultErrorEntry",
            "Successful" => &format!("{operation}ResultEntry"),
            name => name,
        };
        match value {
            Value::Array(items) => items.iter().for_each(|item| one(xml, operation, (tag, item))),
            Value::Object(map) => {
                let key = if tag == "Tag" { "Key" } else { "Name" };
                for (name, value) in map {
                    xml.element(tag, |xml| {
                        xml.leaf(key, name);
                        one(xml, operation, ("Value", value));
                    });
                }
            }
            leaf => one(xml, operation, (tag, leaf)),
        }
    }
}

fn one(xml: &mut Xml, operation: &str, (tag, value): (&str, &Value)) {
    match value {
        Value::Object(_) => {
            xml.element(tag, |xml| members(xml, operation, value));
        }
        Value::String(text) => {
            xml.leaf(tag, text);
        }
        other => {
            xml.leaf(tag, &other.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_written_in_either_protocol() {
        let result = json!({
            "Messages": [{
                "Attributes": {"SentTimestamp": "1"},
                "Body": "<b>",
                "MessageAttributes": {"a": {"DataType": "String", "StringValue": "x"}},
            }],
        });
        let id = "11111111-2222-4333-8444-555555555555".parse().unwrap();
        let text = |protocol| {
            let dialect = Dialect { service: Some(Service::Sqs), protocol };
            let answer = answer((dialect, "ReceiveMessage"), Some(result.clone()), &id);
            String::from_utf8(answer.body().to_vec()).unwrap()
        };
        assert_eq!(text(Protocol::Json10), result.to_string());
        insta::assert_snapshot!(text(Protocol::Query), @r#"<ReceiveMessageResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><ReceiveMessageResult><Message><Attribute><Name>SentTimestamp</Name><Value>1</Value></Attribute><Body>&lt;b&gt;</Body><MessageAttribute><Name>a</Name><Value><DataType>String</DataType><StringValue>x</StringValue></Value></MessageAttribute></Message></ReceiveMessageResult><ResponseMetadata><RequestId>11111111-2222-4333-8444-555555555555</RequestId></ResponseMetadata></ReceiveMessageResponse>"#);
    }
}
