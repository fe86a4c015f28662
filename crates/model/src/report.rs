//! The platform's own log lines, in text form.
//!
//! Source: lines recorded from AWS (`spec/runtime-apis.md` §8). Every line ends with a newline;
//! REPORT and its kin separate fields by tabs.

use crate::environment::{Failure, InitPhase, InitReport, Micros, Report};
use crate::invocation;
use crate::names::{RequestId, Version};

/// `INIT_START`, once per Init of a managed runtime.
#[must_use]
pub fn init_start(runtime_version: &str, runtime_version_arn: &str) -> String {
    format!(
        "INIT_START Runtime Version: {runtime_version}\tRuntime Version ARN: {runtime_version_arn}\n"
    )
}

/// `START`.
#[must_use]
pub fn start(request: &RequestId, version: Version) -> String {
    format!("START RequestId: {request} Version: {version}\n")
}

/// `END`.
#[must_use]
pub fn end(request: &RequestId) -> String {
    format!("END RequestId: {request}\n")
}

/// `INIT_REPORT`, for an Init that failed.
#[must_use]
pub fn init_report(report: &InitReport) -> Option<String> {
    let phase = match report.phase {
        InitPhase::Init => "init",
        InitPhase::Invoke => "invoke",
    };
    let duration = ms(report.duration);
    let status = status(report.failure.as_ref()?);
    Some(format!("INIT_REPORT Init Duration: {duration} ms\tPhase: {phase}\t{status}\n"))
}

/// `EXTENSION`, one per extension when Init is over.
#[must_use]
pub fn extension(name: &str, state: &str, events: &[&str]) -> String {
    format!("EXTENSION\tName: {name}\tState: {state}\tEvents: [{}]\n", events.join(", "))
}

/// What a REPORT line says beside the times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// The configured size in megabytes.
    pub size_mb: u32,
    /// The most that was in use, in bytes.
    pub peak_bytes: u64,
}

/// `REPORT`.
#[must_use]
pub fn report(request: &RequestId, report: &Report, memory: Memory) -> String {
    let init =
        report.init_duration.map_or(String::new(), |d| format!("Init Duration: {} ms\t", ms(d)));
    let status = report.failure.as_ref().map_or(String::new(), |f| format!("{}\t", status(f)));
    format!(
        "REPORT RequestId: {request}\tDuration: {} ms\tBilled Duration: {} ms\tMemory Size: {} MB\t\
         Max Memory Used: {} MB\t{init}{status}\n",
        ms(report.duration),
        billed_ms(report),
        memory.size_mb,
        memory.peak_bytes.div_ceil(1_048_576),
    )
}

/// The line before END when the platform had to end the invocation; none for other ends.
#[must_use]
pub fn failure_line(failure: &Failure, request: &RequestId, now: &str, timeout_s: u32) -> String {
    match failure {
        Failure::Timeout => {
            format!("{now} {request} Task timed out after {timeout_s}.00 seconds\n\n")
        }
        other => {
            let payload = invocation::payload(other, request, timeout_s);
            format!("{}\n{}\n", payload.error_message, payload.error_type)
        }
    }
}

/// Milliseconds billed: Duration and, since August 2025, Init, rounded up together.
#[must_use]
pub fn billed_ms(report: &Report) -> u64 {
    (report.duration + report.init_duration.unwrap_or(0)).div_ceil(1_000).max(1)
}

fn status(failure: &Failure) -> String {
    match invocation::reported_type(failure) {
        None => "Status: timeout".to_owned(),
        Some(error_type) => format!("Status: error\tError Type: {error_type}"),
    }
}

/// Milliseconds with two decimals.
fn ms(duration: Micros) -> String {
    let hundredths = (duration + 5) / 10;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Exit;

    const REQUEST: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";

    fn report_of(duration: Micros, init: Option<Micros>, failure: Option<Failure>) -> Report {
        Report { duration, init_duration: init, extension_overhead: None, failure }
    }

    fn check(got: &str, expected: &str) {
        assert_eq!(got, expected);
    }

    #[test]
    fn a_cold_report_bills_init_and_duration_rounded_up_together() {
        // Recorded: 133.61 and 80.00 were billed as 214.
        let cold = report_of(133_610, Some(80_000), None);
        check(
            &report(
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
            &report(&REQUEST.parse().unwrap(), &warm, Memory { size_mb: 128, peak_bytes: 1 }),
            &format!(
                "REPORT RequestId: {REQUEST}\tDuration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 1 MB\t\n"
            ),
        );
    }

    #[test]
    fn failures_are_named_in_the_report() {
        let failure = Some(Failure::Exited { exit: Exit::Signal(9), out_of_memory: true });
        let report_line = report(
            &REQUEST.parse().unwrap(),
            &report_of(0, None, failure),
            Memory { size_mb: 128, peak_bytes: 128 << 20 },
        );
        assert!(report_line.ends_with("Status: error\tError Type: Runtime.OutOfMemory\t\n"));
        assert!(report_line.contains("Billed Duration: 1 ms"));
        check(
            &init_report(&InitReport {
                phase: InitPhase::Init,
                duration: 1_236_040,
                failure: Some(Failure::Timeout),
            })
            .unwrap(),
            "INIT_REPORT Init Duration: 1236.04 ms\tPhase: init\tStatus: timeout\n",
        );
    }
}
