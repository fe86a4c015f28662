//! `InvokeWithResponseStream`: the head of its answer and the events behind it.
//!
//! An answer is any number of `PayloadChunk` and one `InvokeComplete` at its end, each in a frame of
//! `application/vnd.amazon.eventstream`. The bytes of a chunk are the function's, untouched.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use dormouse_model::invocation::{Answer, Completion, StreamError};
use dormouse_model::names::{RequestId, Version};
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;

use super::invoke::{identify, insert};
use crate::event_stream;

/// `InvokeComplete`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct InvokeComplete<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_details: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_result: Option<String>,
}

/// The head of the answer. `Content-Type` is that of the events, whatever type the function named.
#[must_use]
pub fn head(executed: Version, request_id: &RequestId, trace: &str) -> Response<()> {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    insert(headers, "x-amz-executed-version", &executed.to_string());
    let events = HeaderValue::from_static(event_stream::CONTENT_TYPE);
    headers.insert(CONTENT_TYPE, events);
    identify(headers, request_id, Some(trace));
    response
}

/// A piece of the function's response.
#[must_use]
pub fn payload_chunk(payload: Bytes) -> Bytes {
    event_stream::event("PayloadChunk", "application/octet-stream", payload)
}

/// The end.
///
/// # Panics
/// Never: three strings are always JSON.
#[must_use]
pub fn invoke_complete(completion: &Completion) -> Bytes {
    let error = completion.error.as_ref();
    let event = InvokeComplete {
        error_code: error.map(|error| error.code.as_str()),
        error_details: error.map(|error| error.details.as_str()),
        log_result: completion.log_tail.as_ref().map(|tail| STANDARD.encode(tail)),
    };
    let payload = serde_json::to_vec(&event).expect("three strings are always JSON");
    event_stream::event("InvokeComplete", "application/json", payload.into())
}

/// All events of a response that was not streamed: its payload is one chunk, an empty one is none,
/// and an error is told at the end alone.
#[must_use]
pub fn whole(answer: Answer) -> Bytes {
    let Answer { payload, error, log_tail } = answer;
    if error.is_some() {
        let details = String::from_utf8_lossy(&payload).into_owned();
        let error = StreamError { code: "Unhandled".to_owned(), details };
        return invoke_complete(&Completion { error: Some(error), log_tail });
    }
    let end = invoke_complete(&Completion { error: None, log_tail });
    if payload.is_empty() {
        return end;
    }
    let mut events = BytesMut::from(payload_chunk(payload));
    events.extend_from_slice(&end);
    events.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use dormouse_model::invocation::ErrorOf;

    use super::*;
    use crate::event_stream::tests::read as events;

    fn check(answer: Answer, expected: &[&str]) {
        let shown: Vec<String> = events(whole(answer))
            .into_iter()
            .map(|(headers, payload)| format!("{headers}: {}", String::from_utf8_lossy(&payload)))
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_response_that_was_not_streamed_is_one_chunk_and_the_end() {
        let answer = |payload: &'static str, error, log_tail: Option<&'static str>| Answer {
            payload: payload.into(),
            error,
            log_tail: log_tail.map(Into::into),
        };
        let chunk = "PayloadChunk application/octet-stream event: {\"a\":1}";
        let end = "InvokeComplete application/json event: {}";
        check(answer("{\"a\":1}", None, None), &[chunk, end]);
        check(answer("", None, None), &[end]);
        check(
            answer("", None, Some("END\n")),
            &["InvokeComplete application/json event: {\"LogResult\":\"RU5ECg==\"}"],
        );
        check(
            answer("{\"errorType\":\"E\"}", Some(ErrorOf::Function), Some("END\n")),
            &["InvokeComplete application/json event: {\"ErrorCode\":\"Unhandled\",\
               \"ErrorDetails\":\"{\\\"errorType\\\":\\\"E\\\"}\",\"LogResult\":\"RU5ECg==\"}"],
        );
    }

    #[test]
    fn a_frame_is_laid_out_to_the_byte() {
        // Lengths, checksum of both; name and type 7 of each header; payload; checksum of all.
        let frame = payload_chunk(Bytes::from_static(b"hi"));
        assert_eq!(frame.len(), 12 + (27 + 41 + 22) + 2 + 4);
        assert_eq!(&frame[..8], &[0, 0, 0, 108, 0, 0, 0, 90]);
        assert_eq!(&frame[12..30], b"\x0b:event-type\x07\x00\x0cPay");
        assert_eq!(&frame[102..104], b"hi");
    }

    #[test]
    fn the_head_names_the_version_and_the_kind_of_events() {
        let id = "11111111-2222-4333-8444-555555555555".parse().unwrap();
        let head = head(Version::Latest, &id, "Root=1");
        let text = |name| head.headers()[name].to_str().unwrap();
        assert_eq!(text("content-type"), "application/vnd.amazon.eventstream");
        assert_eq!(text("x-amz-executed-version"), "$LATEST");
        assert_eq!(text("x-amzn-requestid"), id.as_str());
        assert_eq!(text("x-amzn-trace-id"), "Root=1");
    }

    proptest! {
        #[test]
        fn chunks_arrive_as_they_were(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..8),
        ) {
            let mut stream = BytesMut::new();
            for piece in &pieces {
                stream.extend_from_slice(&payload_chunk(Bytes::from(piece.clone())));
            }
            let got: Vec<Vec<u8>> =
                events(stream.freeze()).into_iter().map(|(_, payload)| payload.to_vec()).collect();
            prop_assert_eq!(got, pieces);
        }

        #[test]
        fn any_error_is_told_in_json(code in ".*", details in ".*") {
            let error = Some(StreamError { code: code.clone(), details: details.clone() });
            let end = events(invoke_complete(&Completion { error, log_tail: None })).remove(0).1;
            let end: serde_json::Value = serde_json::from_slice(&end).unwrap();
            prop_assert_eq!(&end["ErrorCode"], code.as_str());
            prop_assert_eq!(&end["ErrorDetails"], details.as_str());
        }
    }
}
