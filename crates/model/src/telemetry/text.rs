//! Events as lines of the text format.
//!
//! Source: lines recorded from AWS (`spec/runtime-apis.md` §8). Every line ends with a newline;
//! REPORT and its kin separate fields by tabs.

use std::fmt::{self, Write as _};

use super::json::is_sampled;
use super::{
    Extension, InitStart, Memory, Record, RestoreStart, Subscribed, SubscriptionApi, billed_ms,
    billed_restore_ms, timestamp,
};
use crate::environment::{
    Failure, InitReport, InitializationType, Micros, Report, RestoreReport, Restored,
};
use crate::invocation;
use crate::names::RequestId;

/// What most REPORT lines fit into.
const REPORT_BYTES: usize = 192;

/// The line of an event; `None` for those that the text format does not show.
#[must_use]
pub fn to_text(record: &Record) -> Option<String> {
    Some(match record {
        // An image has no version of a runtime to tell.
        Record::InitStart(start) if start.runtime_version.is_empty() => return None,
        Record::InitStart(start) => init_start(start),
        Record::RestoreStart(start) if start.runtime_version.is_empty() => return None,
        Record::RestoreStart(start) => restore_start(start),
        Record::RestoreReport(report) => restore_report(report),
        Record::InitReport(report) => return init_report(report),
        Record::Extension(extension) => extension_line(extension),
        Record::Subscribed(subscribed) => subscription(subscribed),
        Record::Start { request, version, .. } => {
            let version = version.to_string();
            ["START RequestId: ", request.as_str(), " Version: ", &version, "\n"].concat()
        }
        Record::End { request } => ["END RequestId: ", request.as_str(), "\n"].concat(),
        Record::Report { request, report, memory, caller } => {
            let trace = caller.trace.as_deref().and_then(xray_line).unwrap_or_default();
            report_line(request, report, *memory) + &trace
        }
        Record::Fault(text) | Record::Function(text) | Record::ExtensionLine(text) => text.clone(),
        Record::InitRuntimeDone(_)
        | Record::RestoreRuntimeDone(_)
        | Record::RuntimeDone { .. }
        | Record::LogsDropped { .. } => return None,
    })
}

/// What is told before the END of an invocation that the platform had to end.
#[must_use]
pub fn fault(failure: &Failure, request: &RequestId, wall_ms: u64, timeout_s: u32) -> String {
    match failure {
        Failure::Timeout => {
            let now = timestamp(wall_ms);
            format!("{now} {request} Task timed out after {timeout_s}.00 seconds\n\n")
        }
        // Recorded: what went wrong is in the lines that the runtime wrote itself.
        Failure::InitError { error_type } | Failure::RestoreError { error_type } => {
            format!("Unknown application error occurred\n{error_type}\n")
        }
        other => {
            let payload = invocation::payload(other, request, timeout_s);
            format!("{}\n{}\n", payload.error_message, payload.error_type)
        }
    }
}

fn init_start(start: &InitStart) -> String {
    let InitStart { runtime_version, runtime_version_arn, .. } = start;
    format!(
        "INIT_START Runtime Version: {runtime_version}\tRuntime Version ARN: {runtime_version_arn}\n"
    )
}

/// The fields of the developer guide's page on monitoring SnapStart.
fn restore_start(start: &RestoreStart) -> String {
    let RestoreStart { runtime_version, runtime_version_arn, .. } = start;
    format!(
        "RESTORE_START Runtime Version: {runtime_version}\tRuntime Version ARN: {runtime_version_arn}\n"
    )
}

fn restore_report(report: &RestoreReport) -> String {
    let status = report.failure.as_ref().map_or(String::new(), |it| format!("\t{}", status(it)));
    format!("RESTORE_REPORT Restore Duration: {} ms{status}\n", ms(report.duration))
}

/// Only of an Init that failed, or of any in an environment that is not made on demand.
fn init_report(report: &InitReport) -> Option<String> {
    if report.failure.is_none() && report.initialization == InitializationType::OnDemand {
        return None;
    }
    let phase = report.phase.as_str();
    let duration = ms(report.duration);
    let status = report.failure.as_ref().map_or("Status: success".to_owned(), status);
    Some(format!("INIT_REPORT Init Duration: {duration} ms\tPhase: {phase}\t{status}\n"))
}

fn extension_line(extension: &Extension) -> String {
    let Extension { name, state, events, error_type } = extension;
    let events = events.join(", ");
    let error = error_type.as_ref().map_or(String::new(), |it| format!("\tError Type: {it}"));
    format!("EXTENSION\tName: {name}\tState: {state}\tEvents: [{events}]{error}\n")
}

fn subscription(subscribed: &Subscribed) -> String {
    let api = match subscribed.api {
        SubscriptionApi::Telemetry => "TELEMETRY",
        SubscriptionApi::Logs => "LOGS",
    };
    let Subscribed { name, types, .. } = subscribed;
    let types: Vec<String> = types.names().into_iter().map(capitalised).collect();
    let (state, types) = (subscribed.state(), types.join(", "));
    format!("{api}\tName: {name}\tState: {state}\tTypes: [{types}]\n")
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| {
        format!("{}{}", first.to_ascii_uppercase(), letters.as_str())
    })
}

fn report_line(request: &RequestId, report: &Report, memory: Memory) -> String {
    let init = |f: &mut fmt::Formatter<'_>| match report.init_duration {
        Some(duration) => write!(f, "Init Duration: {} ms\t", ms(duration)),
        None => Ok(()),
    };
    let restored = |f: &mut fmt::Formatter<'_>| match report.restored {
        Some(restored @ Restored { duration, .. }) => write!(
            f,
            "Restore Duration: {} ms\tBilled Restore Duration: {} ms\t",
            ms(duration),
            billed_restore_ms(restored)
        ),
        None => Ok(()),
    };
    let status = |f: &mut fmt::Formatter<'_>| match &report.failure {
        Some(failure) => write!(f, "{}\t", status(failure)),
        None => Ok(()),
    };
    let mut line = String::with_capacity(REPORT_BYTES);
    // Writing to a String cannot fail.
    let _ = writeln!(
        line,
        "REPORT RequestId: {request}\tDuration: {} ms\tBilled Duration: {} ms\tMemory Size: {} MB\t\
         Max Memory Used: {} MB\t{}{}{}",
        ms(report.duration),
        billed_ms(report),
        memory.size_mb,
        memory.peak_mb(),
        fmt::from_fn(init),
        fmt::from_fn(restored),
        fmt::from_fn(status),
    );
    line
}

/// Belongs to the report of an invocation whose trace is sampled.
fn xray_line(trace: &str) -> Option<String> {
    let field = |name: &str| trace.split(';').find_map(|field| field.trim().strip_prefix(name));
    let (root, parent) = (field("Root=")?, field("Parent=")?);
    is_sampled(trace)
        .then(|| format!("XRAY TraceId: {root}\tSegmentId: {parent}\tSampled: true\t\n"))
}

fn status(failure: &Failure) -> String {
    match invocation::reported_type(failure) {
        None => "Status: timeout".to_owned(),
        Some(error_type) => format!("Status: error\tError Type: {error_type}"),
    }
}

/// Milliseconds with two decimals.
fn ms(duration: Micros) -> impl fmt::Display {
    let hundredths = (duration + 5) / 10;
    fmt::from_fn(move |f| write!(f, "{}.{:02}", hundredths / 100, hundredths % 100))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::{Exit, InitPhase};
    use crate::telemetry::Caller;

    const REQUEST: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";

    fn report_of(duration: Micros, init: Option<Micros>, failure: Option<Failure>) -> Report {
        Report {
            initialization: InitializationType::OnDemand,
            duration,
            init_duration: init,
            restored: None,
            extension_overhead: None,
            failure,
        }
    }

    fn check(got: &str, expected: &str) {
        assert_eq!(got, expected);
    }

    #[test]
    fn a_cold_report_bills_init_and_duration_rounded_up_together() {
        // Recorded: 133.61 and 80.00 were billed as 214.
        let cold = report_of(133_610, Some(80_000), None);
        check(
            &report_line(
                &REQUEST.parse().unwrap(),
                &cold,
                Memory { size_mb: 128, peak_bytes: 36 << 20 },
            ),
            &format!(
                "REPORT RequestId: {REQUEST}\tDuration: 133.61 ms\tBilled Duration: 214 ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\tInit Duration: 80.00 ms\t\n"
            ),
        );
    }

    #[test]
    fn a_warm_report_has_no_init_duration() {
        let warm = report_of(3_010, None, None);
        check(
            &report_line(&REQUEST.parse().unwrap(), &warm, Memory { size_mb: 128, peak_bytes: 1 }),
            &format!(
                "REPORT RequestId: {REQUEST}\tDuration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 1 MB\t\n"
            ),
        );
    }

    #[test]
    fn failures_are_named_in_the_report() {
        let failure = Some(Failure::Exited { exit: Exit::Signal(9), out_of_memory: true });
        let line = report_line(
            &REQUEST.parse().unwrap(),
            &report_of(0, None, failure),
            Memory { size_mb: 128, peak_bytes: 128 << 20 },
        );
        assert!(line.ends_with("Status: error\tError Type: Runtime.OutOfMemory\t\n"));
        assert!(line.contains("Billed Duration: 1 ms"));
        check(
            &init_report(&InitReport {
                initialization: InitializationType::OnDemand,
                phase: InitPhase::Init,
                duration: 1_236_040,
                failure: Some(Failure::Timeout),
            })
            .unwrap(),
            "INIT_REPORT Init Duration: 1236.04 ms\tPhase: init\tStatus: timeout\n",
        );
    }

    #[test]
    fn a_provisioned_init_is_reported_however_it_went_and_not_billed_again() {
        let report = |initialization, failure| {
            let phase = InitPhase::Init;
            init_report(&InitReport { initialization, phase, duration: 1_236_040, failure })
        };
        assert_eq!(report(InitializationType::OnDemand, None), None);
        let (provisioned, exit) = (InitializationType::ProvisionedConcurrency, Exit::Signal(9));
        check(
            &report(provisioned, None).unwrap(),
            "INIT_REPORT Init Duration: 1236.04 ms\tPhase: init\tStatus: success\n",
        );
        check(
            &report(provisioned, Some(Failure::Exited { exit, out_of_memory: false })).unwrap(),
            "INIT_REPORT Init Duration: 1236.04 ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError\n",
        );
        let first = report_of(3_010, Some(80_000), None);
        assert_eq!(billed_ms(&first), 84);
        assert_eq!(billed_ms(&Report { initialization: provisioned, ..first }), 4);
    }

    #[test]
    fn the_first_report_after_a_restore_has_its_duration_and_bills_its_hooks() {
        // Recorded: 306.34 and 303 were billed as 610.
        let restored = Some(Restored { duration: 511_250, hooks: 302_400 });
        let initialization = InitializationType::SnapStart;
        let first = Report { initialization, restored, ..report_of(306_340, None, None) };
        let memory = Memory { size_mb: 3009, peak_bytes: 155 << 20 };
        check(
            &report_line(&REQUEST.parse().unwrap(), &first, memory),
            &format!(
                "REPORT RequestId: {REQUEST}\tDuration: 306.34 ms\tBilled Duration: 610 ms\tMemory Size: 3009 MB\tMax Memory Used: 155 MB\tRestore Duration: 511.25 ms\tBilled Restore Duration: 303 ms\t\n"
            ),
        );
    }

    #[test]
    fn a_restore_is_told_with_what_went_wrong() {
        let report = |failure| restore_report(&RestoreReport { duration: 1_236_040, failure });
        check(&report(None), "RESTORE_REPORT Restore Duration: 1236.04 ms\n");
        check(
            &report(Some(Failure::RestoreTimeout)),
            "RESTORE_REPORT Restore Duration: 1236.04 ms\tStatus: timeout\n",
        );
        let failure = Failure::RestoreError { error_type: "Runtime.AfterRestoreError".into() };
        check(
            &report(Some(failure)),
            "RESTORE_REPORT Restore Duration: 1236.04 ms\tStatus: error\tError Type: Runtime.AfterRestoreError\n",
        );
    }

    #[test]
    fn a_sampled_trace_is_named_below_the_report() {
        let named = |trace: &str| {
            let record = Record::Report {
                request: REQUEST.parse().unwrap(),
                report: report_of(0, None, None),
                memory: Memory { size_mb: 128, peak_bytes: 1 },
                caller: Caller { trace: Some(trace.to_owned()), tenant: None },
            };
            to_text(&record).unwrap().split_inclusive('\n').nth(1).map(str::to_owned)
        };
        assert_eq!(
            named("Root=1-5-a;Parent=b;Sampled=1").as_deref(),
            Some("XRAY TraceId: 1-5-a\tSegmentId: b\tSampled: true\t\n")
        );
        assert_eq!(named("Root=1-5-a;Parent=b;Sampled=0"), None);
        assert_eq!(named("Root=1-5-a;Sampled=1"), None);
    }
}
