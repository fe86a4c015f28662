//! Any body to CloudWatch, in any of its protocols, compressed or not: reading it must not panic nor take
//! more memory than it is worth, and what was read is answered.
//!
//! The first byte chooses protocol, operation and compression.
//!
//! `cargo +nightly fuzz run cloudwatch_body -- -max_len=4096`

#![no_main]

use dormouse_api::form::Form;
use dormouse_api::monitoring::{Body, Request, answer};
use dormouse_api::service::{Dialect, Protocol, Service};
use dormouse_model::names::Scope;
use libfuzzer_sys::fuzz_target;

const OPERATIONS: [&str; 4] =
    ["ListMetrics", "GetMetricStatistics", "GetMetricData", "PutMetricData"];
const PROTOCOLS: [Protocol; 3] = [Protocol::RpcV2Cbor, Protocol::Json10, Protocol::Query];
const NOW_MS: u64 = 1_800_000_000_000;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    let choice = usize::from(*choice);
    let scope = Scope {
        account: "123456789012".parse().expect("an account"),
        region: "us-east-1".parse().expect("a region"),
    };
    let protocol = PROTOCOLS[choice / 4 % 3];
    let mut head = http::Request::builder().uri("/");
    if choice >= 128 {
        head = head.header("content-encoding", "gzip");
    }
    let parts = head.body(()).expect("a short head").into_parts().0;
    let Ok(form) = Form::parse(bytes) else {
        return;
    };
    let form = (protocol == Protocol::Query).then_some(&form);
    let dialect = Dialect { service: Some(Service::Monitoring), protocol };
    let body = Body { dialect, parts: &parts, bytes, form };
    let operation = OPERATIONS[choice % 4];
    if let Ok(Some(Request::GetMetricData(asked))) =
        Request::read((&scope, NOW_MS), operation, &body)
    {
        let mut results = asked.results();
        while results.next().is_some() {
            results.take(&[]);
        }
        let id = "11111111-2222-4333-8444-555555555555".parse().expect("an id");
        let _ = answer((dialect, operation), Some(&results.answer()), &id);
    }
});
