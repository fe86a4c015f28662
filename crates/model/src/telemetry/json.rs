//! Events as JSON: one object, no newline.
//!
//! Source: the event schemas of the developer guide and events recorded from AWS
//! (`spec/runtime-apis.md` §4). Durations are milliseconds with the microseconds as decimals.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    Caller, Event, Record, SchemaVersion, SubscriptionApi, billed_ms, billed_restore_ms, timestamp,
};
use crate::environment::{self, Failure, Micros, Response, Span};
use crate::invocation;

/// The event as this schema has it; `None` when it does not know of such events.
#[must_use]
pub fn to_json(event: &Event, schema: SchemaVersion) -> Option<String> {
    let body = body(event, schema)?;
    let name = name(&event.record);
    let whole = Whole { time: timestamp(event.wall_ms), name, record: body };
    Some(serde_json::to_string(&whole).expect("texts and numbers are always JSON"))
}

fn name(record: &Record) -> &'static str {
    match record {
        Record::InitStart(_) => "platform.initStart",
        Record::InitRuntimeDone(_) => "platform.initRuntimeDone",
        Record::Extension(_) => "platform.extension",
        Record::InitReport(_) => "platform.initReport",
        Record::RestoreStart(_) => "platform.restoreStart",
        Record::RestoreRuntimeDone(_) => "platform.restoreRuntimeDone",
        Record::RestoreReport(_) => "platform.restoreReport",
        Record::Subscribed(subscribed) => match subscribed.api {
            SubscriptionApi::Telemetry => "platform.telemetrySubscription",
            SubscriptionApi::Logs => "platform.logsSubscription",
        },
        Record::Start { .. } => "platform.start",
        Record::RuntimeDone { .. } => "platform.runtimeDone",
        Record::Fault(_) => "platform.fault",
        Record::End { .. } => "platform.end",
        Record::Report { .. } => "platform.report",
        Record::LogsDropped { .. } => "platform.logsDropped",
        Record::Function(_) => "function",
        Record::ExtensionLine(_) => "extension",
    }
}

#[derive(Serialize)]
struct Whole<'a> {
    time: String,
    #[serde(rename = "type")]
    name: &'static str,
    record: Body<'a>,
}

/// The shapes of `record`, each with its members in AWS's order.
#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Body<'a> {
    Text(&'a str),
    Object(Cow<'a, RawValue>),
    InitStart {
        initialization_type: &'static str,
        phase: &'static str,
        // An image has neither.
        #[serde(skip_serializing_if = "str::is_empty")]
        runtime_version: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        runtime_version_arn: &'a str,
        #[serde(flatten)]
        function: Option<Function<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        function_arn: Option<&'a str>,
    },
    InitRuntimeDone {
        initialization_type: &'static str,
        phase: &'static str,
        #[serde(flatten)]
        status: Status,
    },
    InitReport {
        initialization_type: &'static str,
        phase: &'static str,
        #[serde(flatten)]
        status: Status,
        metrics: Duration,
    },
    RestoreStart {
        #[serde(flatten)]
        function: Function<'a>,
        // An image has neither.
        #[serde(skip_serializing_if = "str::is_empty")]
        runtime_version: &'a str,
        #[serde(skip_serializing_if = "str::is_empty")]
        runtime_version_arn: &'a str,
    },
    RestoreRuntimeDone {
        #[serde(flatten)]
        status: Status,
    },
    RestoreReport {
        #[serde(flatten)]
        status: Status,
        metrics: Duration,
    },
    Extension {
        name: &'a str,
        state: &'static str,
        events: &'a [&'static str],
        #[serde(skip_serializing_if = "Option::is_none")]
        error_type: Option<&'a str>,
    },
    Subscribed {
        name: &'a str,
        state: &'static str,
        types: Vec<&'static str>,
    },
    Start {
        request_id: &'a str,
        version: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        tracing: Option<Tracing<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tenant_id: Option<&'a str>,
    },
    RuntimeDone {
        request_id: &'a str,
        #[serde(flatten)]
        status: Status,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        spans: Vec<NamedSpan>,
        #[serde(skip_serializing_if = "Option::is_none")]
        metrics: Option<Produced>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tracing: Option<Tracing<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tenant_id: Option<&'a str>,
    },
    End {
        request_id: &'a str,
    },
    Report {
        request_id: &'a str,
        metrics: ReportMetrics,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        spans: Vec<NamedSpan>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tracing: Option<Tracing<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tenant_id: Option<&'a str>,
        #[serde(flatten)]
        status: Option<Status>,
    },
    LogsDropped {
        reason: &'static str,
        dropped_records: u64,
        dropped_bytes: u64,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Function<'a> {
    function_name: &'a str,
    function_version: String,
    instance_id: &'a str,
    instance_max_memory: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_type: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Duration {
    duration_ms: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Produced {
    duration_ms: f64,
    produced_bytes: u64,
}

#[derive(Serialize)]
struct ReportMetrics {
    #[serde(rename = "durationMs")]
    duration_ms: f64,
    #[serde(rename = "billedDurationMs")]
    billed_duration_ms: u64,
    #[serde(rename = "memorySizeMB")]
    memory_size_mb: u32,
    #[serde(rename = "maxMemoryUsedMB")]
    max_memory_used_mb: u64,
    #[serde(rename = "initDurationMs", skip_serializing_if = "Option::is_none")]
    init_duration_ms: Option<f64>,
    #[serde(rename = "restoreDurationMs", skip_serializing_if = "Option::is_none")]
    restore_duration_ms: Option<f64>,
    #[serde(rename = "billedRestoreDurationMs", skip_serializing_if = "Option::is_none")]
    billed_restore_duration_ms: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NamedSpan {
    name: &'static str,
    start: String,
    duration_ms: f64,
}

#[derive(Serialize)]
struct Tracing<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    value: &'a str,
}

fn body(event: &Event, schema: SchemaVersion) -> Option<Body<'_>> {
    let is_telemetry = schema.api() == SubscriptionApi::Telemetry;
    match &event.record {
        Record::InitStart(_) | Record::InitRuntimeDone(_) | Record::InitReport(_) => {
            is_telemetry.then(|| init_body(&event.record, schema)).flatten()
        }
        Record::RestoreStart(_) | Record::RestoreRuntimeDone(_) | Record::RestoreReport(_) => {
            is_telemetry.then(|| restore_body(&event.record)).flatten()
        }
        Record::RuntimeDone { .. } if schema < SchemaVersion::V2021_03_18 => None,
        Record::Fault(_) | Record::End { .. } if is_telemetry => None,
        Record::Start { .. }
        | Record::RuntimeDone { .. }
        | Record::Fault(_)
        | Record::End { .. }
        | Record::Report { .. } => invocation_body(event, schema),
        Record::Extension(extension) => Some(Body::Extension {
            name: &extension.name,
            state: extension.state,
            events: &extension.events,
            error_type: extension.error_type.as_deref(),
        }),
        Record::Subscribed(subscribed) => Some(Body::Subscribed {
            name: &subscribed.name,
            state: subscribed.state(),
            types: subscribed.types.names(),
        }),
        Record::LogsDropped { records, bytes } => Some(Body::LogsDropped {
            reason: FALLEN_BEHIND,
            dropped_records: *records,
            dropped_bytes: *bytes,
        }),
        Record::Function(line) | Record::ExtensionLine(line) => Some(line_body(line, schema)),
    }
}

/// Recorded.
const FALLEN_BEHIND: &str =
    "Consumer seems to have fallen behind as it has not acknowledged receipt of logs.";

fn init_body(record: &Record, schema: SchemaVersion) -> Option<Body<'_>> {
    Some(match record {
        Record::InitStart(start) => Body::InitStart {
            initialization_type: start.initialization.as_str(),
            phase: start.phase.as_str(),
            runtime_version: &start.runtime_version,
            runtime_version_arn: &start.runtime_version_arn,
            function: (schema >= SchemaVersion::V2022_12_13).then(|| Function {
                function_name: &start.function_name,
                function_version: start.function_version.to_string(),
                instance_id: &start.instance_id,
                instance_max_memory: start.memory_mb,
            }),
            function_arn: (schema >= SchemaVersion::V2025_01_29).then_some(&start.function_arn),
        },
        Record::InitRuntimeDone(done) => Body::InitRuntimeDone {
            initialization_type: done.initialization.as_str(),
            phase: done.phase.as_str(),
            status: status(done.failure.as_ref()),
        },
        Record::InitReport(report) => Body::InitReport {
            initialization_type: report.initialization.as_str(),
            phase: report.phase.as_str(),
            status: status(report.failure.as_ref()),
            metrics: Duration { duration_ms: ms(report.duration) },
        },
        _ => return None,
    })
}

fn restore_body(record: &Record) -> Option<Body<'_>> {
    Some(match record {
        Record::RestoreStart(start) => Body::RestoreStart {
            function: Function {
                function_name: &start.function_name,
                function_version: start.function_version.to_string(),
                instance_id: &start.instance_id,
                instance_max_memory: start.memory_mb,
            },
            runtime_version: &start.runtime_version,
            runtime_version_arn: &start.runtime_version_arn,
        },
        Record::RestoreRuntimeDone(failure) => {
            Body::RestoreRuntimeDone { status: status(failure.as_ref()) }
        }
        Record::RestoreReport(report) => Body::RestoreReport {
            status: status(report.failure.as_ref()),
            metrics: Duration { duration_ms: ms(report.duration) },
        },
        _ => return None,
    })
}

fn invocation_body(event: &Event, schema: SchemaVersion) -> Option<Body<'_>> {
    let is_telemetry = schema.api() == SubscriptionApi::Telemetry;
    Some(match &event.record {
        Record::Start { request, version, caller } => Body::Start {
            request_id: request.as_str(),
            version: version.to_string(),
            tracing: tracing(caller.trace.as_deref(), schema),
            tenant_id: tenant(caller, schema),
        },
        Record::RuntimeDone { request, done, caller } => Body::RuntimeDone {
            request_id: request.as_str(),
            status: status(done.failure.as_ref()),
            spans: if is_telemetry { response_spans(event, done) } else { vec![] },
            metrics: is_telemetry.then(|| Produced {
                duration_ms: ms(length(done.ran)),
                produced_bytes: done.response.map_or(0, |response| response.bytes),
            }),
            tracing: tracing(caller.trace.as_deref(), schema),
            tenant_id: tenant(caller, schema),
        },
        Record::Fault(text) => Body::Text(text.trim_end()),
        Record::End { request } => Body::End { request_id: request.as_str() },
        Record::Report { request, report, memory, caller } => Body::Report {
            request_id: request.as_str(),
            metrics: ReportMetrics {
                duration_ms: ms(report.duration),
                billed_duration_ms: billed_ms(report),
                memory_size_mb: memory.size_mb,
                max_memory_used_mb: memory.peak_mb(),
                init_duration_ms: report.init_duration.map(ms),
                restore_duration_ms: report.restored.map(|restored| ms(restored.duration)),
                billed_restore_duration_ms: report.restored.map(billed_restore_ms),
            },
            spans: match report.extension_overhead {
                Some(span) if is_telemetry => vec![named(event, "extensionOverhead", span)],
                _ => vec![],
            },
            tracing: tracing(caller.trace.as_deref(), schema),
            tenant_id: tenant(caller, schema),
            status: is_telemetry.then(|| status(report.failure.as_ref())),
        },
        _ => return None,
    })
}

/// A line that is a JSON object comes as such in the younger schemas.
fn line_body(line: &str, schema: SchemaVersion) -> Body<'_> {
    if schema < SchemaVersion::V2022_12_13 || !line.starts_with('{') {
        return Body::Text(line);
    }
    let Ok(object) = serde_json::from_str::<&RawValue>(line) else {
        return Body::Text(line);
    };
    // An event is one line to who reads lines. In JSON a line's end is nothing but white space.
    if object.get().contains(['\n', '\r']) {
        let flat = object.get().replace(['\n', '\r'], " ");
        if let Ok(object) = RawValue::from_string(flat) {
            return Body::Object(Cow::Owned(object));
        }
    }
    Body::Object(Cow::Borrowed(object))
}

/// Source of the rule: the Runtime Interface Emulator.
fn status(failure: Option<&Failure>) -> Status {
    let error_type = failure.and_then(invocation::reported_type);
    let status = match (failure, &error_type) {
        (None, _) => "success",
        (Some(_), None) => "timeout",
        (Some(_), Some(name)) if name.starts_with("Sandbox.") => "failure",
        (Some(_), Some(_)) => "error",
    };
    Status { status, error_type }
}

/// The older API has no tenants.
fn tenant(caller: &Caller, schema: SchemaVersion) -> Option<&str> {
    caller.tenant.as_deref().filter(|_| schema.api() == SubscriptionApi::Telemetry)
}

/// Traces are told of when they are sampled.
fn tracing(trace: Option<&str>, schema: SchemaVersion) -> Option<Tracing<'_>> {
    let is_told = |trace: &&str| schema.api() == SubscriptionApi::Telemetry && is_sampled(trace);
    trace.filter(is_told).map(|value| Tracing { kind: "X-Amzn-Trace-Id", value })
}

/// Whether an X-Ray header says that its trace is recorded.
#[must_use]
pub fn is_sampled(trace: &str) -> bool {
    trace.split(';').any(|field| field.trim() == "Sampled=1")
}

fn response_spans(event: &Event, done: &environment::RuntimeDone) -> Vec<NamedSpan> {
    let Some(Response { sent, .. }) = done.response else { return vec![] };
    let ran = done.ran;
    vec![
        named(event, "responseLatency", Span { began: ran.began, ended: sent.began }),
        named(event, "responseDuration", sent),
        named(event, "runtimeOverhead", Span { began: sent.ended, ended: ran.ended }),
    ]
}

fn named(event: &Event, name: &'static str, span: Span) -> NamedSpan {
    let ago_ms = event.now.saturating_sub(span.began) / 1_000;
    let start = timestamp(event.wall_ms.saturating_sub(ago_ms));
    NamedSpan { name, start, duration_ms: ms(length(span)) }
}

fn length(span: Span) -> Micros {
    span.ended.saturating_sub(span.began)
}

#[expect(clippy::cast_precision_loss, reason = "no span of time here is longer than 285 years")]
fn ms(duration: Micros) -> f64 {
    duration as f64 / 1_000.0
}

#[cfg(test)]
mod tests;
