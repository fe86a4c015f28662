//! The pure pieces, each on its own.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use bytes::Bytes;
use dormouse_api::lambda::{InvokeAnswer, InvokeMode, InvokeRequest, check_payload};
use dormouse_api::route::{Route, route};
use dormouse_model::environment::{
    Environment, Errand, Event, InitializationType, Micros, Phase, Report, Terms,
};
use dormouse_model::names::{RequestId, Scope, Version};
use dormouse_model::telemetry::{Caller, Memory, Record, to_text};
use dormouse_worker::Permit;
use gungraun::library_benchmark;
use http::request::Parts;

const TRACE: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0";
const REQUEST: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
/// How many of an account's invocations may run at once.
const PLACES: u32 = 1_000;

/// A request as an SDK sends it.
fn parts() -> Parts {
    let credential = "AKIAIOSFODNN7EXAMPLE/20261128/us-east-1/lambda/aws4_request";
    let signed = "SignedHeaders=host;x-amz-date";
    let signature = "fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024";
    let authorization =
        format!("AWS4-HMAC-SHA256 Credential={credential}, {signed}, Signature={signature}");
    let request = http::Request::builder()
        .method("POST")
        .uri("/2015-03-31/functions/hello/invocations")
        .header("host", "127.0.0.1:9000")
        .header("user-agent", "Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux lang/python#3.11.7")
        .header("x-amz-date", "20261128T031300Z")
        .header("authorization", authorization)
        .header("content-type", "application/json")
        .header("content-length", "14")
        .header("x-amzn-trace-id", TRACE)
        .header("x-amz-log-type", "Tail");
    request.body(()).unwrap().into_parts().0
}

fn scope() -> Scope {
    Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() }
}

fn request_id() -> RequestId {
    REQUEST.parse().unwrap()
}

#[library_benchmark]
#[bench::signed(parts())]
fn route_invoke(parts: Parts) -> (Route, Parts) {
    let found = route(black_box(&parts)).unwrap();
    (found, parts)
}

#[library_benchmark]
#[bench::tail(scope(), parts())]
fn invoke_request(scope: Scope, parts: Parts) -> (InvokeRequest, Parts) {
    let (scope, parts) = (black_box(scope), black_box(parts));
    let asked = InvokeRequest::read(&scope, "hello", &parts, InvokeMode::Buffered).unwrap();
    (asked, parts)
}

/// A list of small objects, so long that it has about this many bytes.
fn payload(bytes: usize) -> Vec<u8> {
    const ITEM: &str = r#"{"id":12345,"name":"dormouse","tags":["a","b"],"ok":true,"ratio":0.25}"#;
    let items = vec![ITEM; (bytes / (ITEM.len() + 1)).max(1)];
    format!("[{}]", items.join(",")).into_bytes()
}

#[library_benchmark]
#[bench::kilobyte(payload(1_000))]
#[bench::megabyte(payload(1_000_000))]
fn payload_check(payload: Vec<u8>) -> Vec<u8> {
    check_payload(black_box(&payload)).unwrap();
    payload
}

#[library_benchmark]
#[bench::taken_and_given_back(Arc::default())]
fn permit(taken: Arc<AtomicU32>) -> Arc<AtomicU32> {
    drop(black_box(Permit::take(&taken, black_box(PLACES)).unwrap()));
    taken
}

/// An environment whose runtime waits, frozen.
fn frozen() -> Environment {
    let terms = Terms {
        initialization: InitializationType::OnDemand,
        errand: Errand::Serve,
        timeout_ms: 3_000,
        life: Micros::MAX,
    };
    let mut environment = Environment::new(0, terms);
    steps(
        &mut environment,
        [Event::Provisioned { external: vec![], snapshot: false }, Event::Next, Event::Quiet],
    );
    assert_eq!(environment.phase(), &Phase::Ready { frozen: true });
    environment
}

fn steps<const N: usize>(environment: &mut Environment, events: [Event; N]) {
    for (now, event) in (1..).zip(events) {
        black_box(environment.step(event, now).unwrap());
    }
}

// Lease, answer, `next`, output drained, frozen again.
#[library_benchmark]
#[bench::warm_invoke(frozen())]
fn environment_cycle(mut environment: Environment) -> Environment {
    let events = [
        Event::Lease { timeout_ms: 3_000 },
        Event::Answered { bytes: 14 },
        Event::Next,
        Event::Drained,
        Event::Quiet,
    ];
    steps(&mut environment, black_box(events));
    assert!(matches!(environment.phase(), Phase::Ready { frozen: true }));
    environment
}

fn report() -> Record {
    let report = Report {
        initialization: InitializationType::OnDemand,
        duration: 1_234,
        init_duration: None,
        restored: None,
        extension_overhead: None,
        failure: None,
    };
    let memory = Memory { size_mb: 128, peak_bytes: 40_000_000 };
    let caller = Caller { trace: Some(TRACE.to_owned()), tenant: None };
    Record::Report { request: request_id(), report, memory, caller }
}

#[library_benchmark]
#[bench::text(report())]
fn report_line(record: Record) -> (Option<String>, Record) {
    (to_text(black_box(&record)), record)
}

fn done() -> InvokeAnswer {
    InvokeAnswer::Done {
        payload: Bytes::from_static(br#"{"name":"you"}"#),
        function_error: false,
        log_tail: Some(Bytes::from(vec![b'l'; 400])),
        executed: Version::Latest,
    }
}

#[library_benchmark]
#[bench::with_tail(done(), request_id())]
fn answer_head(answer: InvokeAnswer, request: RequestId) -> http::Response<Bytes> {
    black_box(answer).answer(&request, Some(black_box(TRACE)))
}
