//! Each event in each schema that knows it.

use super::*;
use crate::environment::{
    Exit, InitPhase, InitReport, InitRuntimeDone, InitializationType, Report, RestoreReport,
    Restored, RuntimeDone,
};
use crate::names::{RequestId, Version};
use crate::telemetry::{Extension, InitStart, Memory, RestoreStart, Subscribed, Types};

const REQUEST: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
const TIME_MS: u64 = 1_700_000_000_123;

fn request() -> RequestId {
    REQUEST.parse().unwrap()
}

fn render(record: Record, schema: SchemaVersion) -> Option<String> {
    let event = Event { wall_ms: TIME_MS, now: 9_000_000, record };
    let text = to_json(&event, schema)?;
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["time"], "2023-11-14T22:13:20.123Z");
    Some(format!("{} {}", value["type"].as_str().unwrap(), value["record"]))
}

/// What a schema makes of a record; members in the order of the alphabet.
fn check(record: Record, schema: SchemaVersion, expected: &str) {
    assert_eq!(render(record, schema).as_deref().unwrap_or("nothing"), expected);
}

fn init_start() -> Record {
    Record::InitStart(InitStart {
        initialization: InitializationType::OnDemand,
        phase: InitPhase::Init,
        runtime_version: "nodejs:22.v1".into(),
        runtime_version_arn: "arn:r".into(),
        function_name: "f".into(),
        function_version: Version::Latest,
        function_arn: "arn:f".into(),
        instance_id: "stream".into(),
        memory_mb: 128,
    })
}

fn report(failure: Option<Failure>) -> Record {
    Record::Report {
        request: request(),
        report: Report {
            initialization: InitializationType::OnDemand,
            duration: 11_642,
            init_duration: Some(174_055),
            restored: None,
            extension_overhead: Some(Span { began: 8_998_000, ended: 8_999_500 }),
            failure,
        },
        memory: Memory { size_mb: 128, peak_bytes: 67 << 20 },
        caller: Caller { trace: Some("Root=1-5-a;Parent=b;Sampled=1".into()), tenant: None },
    }
}

fn runtime_done(failure: Option<Failure>) -> Record {
    let sent = Span { began: 8_992_215, ended: 8_992_271 };
    Record::RuntimeDone {
        request: request(),
        done: RuntimeDone {
            ran: Span { began: 8_990_000, ended: 9_000_000 },
            response: failure.is_none().then_some(Response { sent, bytes: 40 }),
            failure,
        },
        caller: Caller {
            trace: Some("Root=1-5-a;Parent=b;Sampled=0".into()),
            tenant: Some("blue".into()),
        },
    }
}

#[test]
fn init_start_grew_with_the_schemas() {
    check(init_start(), SchemaVersion::V2021_03_18, "nothing");
    check(
        init_start(),
        SchemaVersion::V2022_07_01,
        r#"platform.initStart {"initializationType":"on-demand","phase":"init","runtimeVersion":"nodejs:22.v1","runtimeVersionArn":"arn:r"}"#,
    );
    check(
        init_start(),
        SchemaVersion::V2025_01_29,
        r#"platform.initStart {"functionArn":"arn:f","functionName":"f","functionVersion":"$LATEST","initializationType":"on-demand","instanceId":"stream","instanceMaxMemory":128,"phase":"init","runtimeVersion":"nodejs:22.v1","runtimeVersionArn":"arn:r"}"#,
    );
    let older = render(init_start(), SchemaVersion::V2022_12_13).unwrap();
    assert!(older.contains("functionName") && !older.contains("functionArn"), "{older}");
}

#[test]
fn the_end_of_init_says_what_went_wrong() {
    let failure =
        Some(Failure::Extension(environment::ExtensionFault::Launch { reason: "x".into() }));
    check(
        Record::InitRuntimeDone(InitRuntimeDone {
            initialization: InitializationType::OnDemand,
            phase: InitPhase::Invoke,
            failure,
        }),
        SchemaVersion::V2022_12_13,
        r#"platform.initRuntimeDone {"errorType":"Extension.LaunchError","initializationType":"on-demand","phase":"invoke","status":"error"}"#,
    );
    // Recorded.
    let timeout = InitReport {
        initialization: InitializationType::OnDemand,
        phase: InitPhase::Init,
        duration: 10_000_487,
        failure: Some(Failure::Timeout),
    };
    check(
        Record::InitReport(timeout),
        SchemaVersion::V2022_12_13,
        r#"platform.initReport {"initializationType":"on-demand","metrics":{"durationMs":10000.487},"phase":"init","status":"timeout"}"#,
    );
}

#[test]
fn a_restore_is_told_by_the_younger_api_only() {
    let start = || {
        Record::RestoreStart(RestoreStart {
            runtime_version: "python:3.12.v1".into(),
            runtime_version_arn: "arn:r".into(),
            function_name: "f".into(),
            function_version: Version::Number(7),
            instance_id: "stream".into(),
            memory_mb: 128,
        })
    };
    check(start(), SchemaVersion::V2021_03_18, "nothing");
    check(
        start(),
        SchemaVersion::V2022_12_13,
        r#"platform.restoreStart {"functionName":"f","functionVersion":"7","instanceId":"stream","instanceMaxMemory":128,"runtimeVersion":"python:3.12.v1","runtimeVersionArn":"arn:r"}"#,
    );
    check(
        Record::RestoreRuntimeDone(Some(Failure::RestoreTimeout)),
        SchemaVersion::V2022_12_13,
        r#"platform.restoreRuntimeDone {"status":"timeout"}"#,
    );
    let error_type = "Runtime.AfterRestoreError".into();
    check(
        Record::RestoreReport(RestoreReport {
            duration: 300,
            failure: Some(Failure::RestoreError { error_type }),
        }),
        SchemaVersion::V2022_12_13,
        r#"platform.restoreReport {"errorType":"Runtime.AfterRestoreError","metrics":{"durationMs":0.3},"status":"error"}"#,
    );
    let Record::Report { request, report, memory, caller } = report(None) else { unreachable!() };
    let restored = Some(Restored { duration: 250_000, hooks: 1_500 });
    let report = Report { init_duration: None, restored, ..report };
    let told =
        render(Record::Report { request, report, memory, caller }, SchemaVersion::V2022_12_13);
    let metrics = r#"{"billedDurationMs":14,"billedRestoreDurationMs":2,"durationMs":11.642,"maxMemoryUsedMB":67,"memorySizeMB":128,"restoreDurationMs":250.0}"#;
    assert!(told.unwrap().contains(metrics));
}

#[test]
fn the_runtime_is_done_with_spans_that_begin_at_their_own_moments() {
    check(runtime_done(None), SchemaVersion::V2020_08_15, "nothing");
    check(
        runtime_done(None),
        SchemaVersion::V2021_03_18,
        &format!(r#"platform.runtimeDone {{"requestId":"{REQUEST}","status":"success"}}"#),
    );
    check(
        runtime_done(None),
        SchemaVersion::V2022_12_13,
        &format!(
            r#"platform.runtimeDone {{"metrics":{{"durationMs":10.0,"producedBytes":40}},"requestId":"{REQUEST}","spans":[{{"durationMs":2.215,"name":"responseLatency","start":"2023-11-14T22:13:20.113Z"}},{{"durationMs":0.056,"name":"responseDuration","start":"2023-11-14T22:13:20.116Z"}},{{"durationMs":7.729,"name":"runtimeOverhead","start":"2023-11-14T22:13:20.116Z"}}],"status":"success","tenantId":"blue"}}"#
        ),
    );
    check(
        runtime_done(Some(Failure::Timeout)),
        SchemaVersion::V2022_12_13,
        &format!(
            r#"platform.runtimeDone {{"metrics":{{"durationMs":10.0,"producedBytes":0}},"requestId":"{REQUEST}","status":"timeout","tenantId":"blue"}}"#
        ),
    );
}

#[test]
fn a_report_has_its_status_in_the_younger_api_only() {
    let metrics = r#""metrics":{"billedDurationMs":186,"durationMs":11.642,"initDurationMs":174.055,"maxMemoryUsedMB":67,"memorySizeMB":128}"#;
    check(
        report(None),
        SchemaVersion::V2021_03_18,
        &format!(r#"platform.report {{{metrics},"requestId":"{REQUEST}"}}"#),
    );
    let oom = Failure::Exited { exit: Exit::Signal(9), out_of_memory: true };
    check(
        report(Some(oom)),
        SchemaVersion::V2022_12_13,
        &format!(
            r#"platform.report {{"errorType":"Runtime.OutOfMemory",{metrics},"requestId":"{REQUEST}","spans":[{{"durationMs":1.5,"name":"extensionOverhead","start":"2023-11-14T22:13:20.121Z"}}],"status":"error","tracing":{{"type":"X-Amzn-Trace-Id","value":"Root=1-5-a;Parent=b;Sampled=1"}}}}"#
        ),
    );
    let failure = render(report(Some(Failure::Sandbox)), SchemaVersion::V2025_01_29).unwrap();
    assert!(failure.contains(r#""errorType":"Sandbox.Failure""#), "{failure}");
    assert!(failure.contains(r#""status":"failure""#), "{failure}");
}

#[test]
fn the_elder_api_alone_tells_of_ends_and_faults() {
    let end = Record::End { request: request() };
    check(end.clone(), SchemaVersion::V2022_07_01, "nothing");
    let expected = format!(r#"platform.end {{"requestId":"{REQUEST}"}}"#);
    check(end, SchemaVersion::V2020_08_15, &expected);
    let fault = Record::Fault("RequestId: 1 Error: x\nRuntime.ExitError\n".into());
    check(fault.clone(), SchemaVersion::V2022_07_01, "nothing");
    check(
        fault,
        SchemaVersion::V2020_08_15,
        r#"platform.fault "RequestId: 1 Error: x\nRuntime.ExitError""#,
    );
}

#[test]
fn lines_that_are_json_objects_come_as_such_in_the_younger_schemas() {
    let line = |text: &str| Record::Function(text.to_owned());
    check(line("{\"a\": 1}\n"), SchemaVersion::V2022_07_01, r#"function "{\"a\": 1}\n""#);
    check(line("{\"a\": 1}\n"), SchemaVersion::V2022_12_13, r#"function {"a":1}"#);
    let pretty = Event { wall_ms: TIME_MS, now: 0, record: line("{\n  \"a\": \"b\\n\"\r\n}\n") };
    let told = to_json(&pretty, SchemaVersion::V2022_12_13).unwrap();
    assert!(
        !told.contains(['\n', '\r']) && told.ends_with(r#""record":{   "a": "b\n"  }}"#),
        "{told}"
    );
    check(line("{\"a\n"), SchemaVersion::V2022_12_13, r#"function "{\"a\n""#);
    check(line("[1]\n"), SchemaVersion::V2022_12_13, r#"function "[1]\n""#);
    check(Record::ExtensionLine("x\n".into()), SchemaVersion::V2020_08_15, r#"extension "x\n""#);
}

#[test]
fn extensions_are_named_with_what_they_want() {
    let extension = Extension {
        name: "e".into(),
        state: "LaunchError",
        events: vec![],
        error_type: Some("PermissionDenied".into()),
    };
    check(
        Record::Extension(extension),
        SchemaVersion::V2022_07_01,
        r#"platform.extension {"errorType":"PermissionDenied","events":[],"name":"e","state":"LaunchError"}"#,
    );
    let types = Types { platform: true, function: true, extension: false };
    let subscribed =
        Subscribed { api: SubscriptionApi::Logs, name: "e".into(), again: false, types };
    check(
        Record::Subscribed(subscribed.clone()),
        SchemaVersion::V2020_08_15,
        r#"platform.logsSubscription {"name":"e","state":"Subscribed","types":["platform","function"]}"#,
    );
    let text = crate::telemetry::to_text(&Record::Subscribed(subscribed));
    assert_eq!(
        text.as_deref(),
        Some("LOGS\tName: e\tState: Subscribed\tTypes: [Platform, Function]\n")
    );
    check(
        Record::LogsDropped { records: 3, bytes: 70 },
        SchemaVersion::V2022_07_01,
        r#"platform.logsDropped {"droppedBytes":70,"droppedRecords":3,"reason":"Consumer seems to have fallen behind as it has not acknowledged receipt of logs."}"#,
    );
}
