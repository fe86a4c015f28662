//! `/metrics`: what happened since the process began, as OpenMetrics text.
//!
//! Rendered from a copy of what the worker has added up: nothing is counted here. Labels are names of
//! functions, their qualifiers and versions, and words; never anything of a single request.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use dormouse_model::metrics::{BUCKETS_S, Histogram, LambdaMetric, Subject, Totals};
use dormouse_placement::{Filter, Life, MemoryUse, Seen, StandbyLevel};
use http::{Response, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::typed;
use crate::context::Inner;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The labels of one value.
type Labels = Vec<(&'static str, String)>;

/// Answers a scrape.
pub(super) async fn answer(inner: &Inner) -> Response<Bytes> {
    let seen = inner.placement.meter().look().await;
    let filter = Filter { live: Some(true), now: inner.clock.now(), ..Filter::default() };
    let lives = inner.placement.lives().look(filter).await;
    // Thousands of functions are megabytes of text: no invocation shall wait while they are written.
    let standby = inner.placement.standby().look().await;
    let memory = inner.placement.memory();
    let rendered = tokio::task::spawn_blocking(move || {
        render(Scrape { seen, lives, standby, memory, process: Process::look() })
    });
    match rendered.await {
        Ok(Ok(text)) => typed(StatusCode::OK, CONTENT_TYPE, text.into()),
        _ => typed(StatusCode::INTERNAL_SERVER_ERROR, CONTENT_TYPE, Bytes::new()),
    }
}

fn render(scrape: Scrape) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("dormouse");
    registry.register_collector(Box::new(scrape));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

/// What the kernel says of this process.
#[derive(Debug, Default)]
struct Process {
    resident_bytes: Option<u64>,
    open_fds: Option<u64>,
}

impl Process {
    fn look() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = kilobytes.and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok());
        let fds = std::fs::read_dir("/proc/self/fd").ok();
        Self {
            resident_bytes: kilobytes.map(|kilobytes: u64| kilobytes * 1_024),
            // The one that lists them is not meant.
            open_fds: fds
                .map(|fds| u64::try_from(fds.count()).unwrap_or(u64::MAX).saturating_sub(1)),
        }
    }
}

#[derive(Debug)]
struct Scrape {
    seen: Seen,
    lives: Vec<Life>,
    standby: Vec<StandbyLevel>,
    memory: MemoryUse,
    process: Process,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        self.build(encoder)?;
        counters(encoder, "invocations", "Invocations that ran", self.invocations())?;
        counters(
            encoder,
            "throttles",
            "Requests refused for want of concurrency",
            self.throttles(),
        )?;
        let durations = self.each(|totals, labels, out| {
            for (start, histogram) in &totals.durations {
                out.push((with(labels, &[("start", start.as_str())]), histogram));
            }
        });
        histograms(encoder, "invocation_duration", "How long invocations took", &durations)?;
        let inits = self.each(|totals, labels, out| {
            if totals.inits.count() > 0 {
                out.push((labels.clone(), &totals.inits));
            }
        });
        histograms(encoder, "init_duration", "How long the Init phase took", &inits)?;
        let restores = self.each(|totals, labels, out| {
            if totals.restores.count() > 0 {
                out.push((labels.clone(), &totals.restores));
            }
        });
        histograms(encoder, "restore_duration", "How long the Restore phase took", &restores)?;
        for (metric, name, help) in NOTED {
            counters(encoder, name, help, self.noted(metric))?;
        }
        gauges(
            encoder,
            "environments",
            "Execution environments by phase",
            None,
            self.environments(),
        )?;
        let (standing, taken) = (self.standing(), self.taken());
        let help = "Sandboxes that stand by, and how many are to";
        gauges(encoder, "standby_sandboxes", help, None, standing)?;
        let help = "Cold starts, by whether a sandbox stood by for them";
        counters(encoder, "standby_requests", help, taken)?;
        self.memory(encoder)?;
        let lost = vec![(Labels::new(), self.seen.lost)];
        counters(encoder, "metric_facts_dropped", "Facts that came too fast to be counted", lost)?;
        let memory = single(self.process.resident_bytes);
        let help = "Memory of the server's own process";
        gauges(encoder, "process_resident_memory", help, Some(&Unit::Bytes), memory)?;
        let fds = single(self.process.open_fds);
        gauges(
            encoder,
            "process_open_fds",
            "File descriptors of the server's own process",
            None,
            fds,
        )
    }
}

/// What others tell of functions, where its sum says something.
const NOTED: [(LambdaMetric, &str, &str); 6] = [
    (LambdaMetric::AsyncEventsReceived, "async_events_received", "Events accepted to be run later"),
    (LambdaMetric::AsyncEventsDropped, "async_events_dropped", "Events that were given up"),
    (
        LambdaMetric::DeadLetterErrors,
        "dead_letter_errors",
        "Events not sent to a dead-letter queue",
    ),
    (
        LambdaMetric::DestinationDeliveryFailures,
        "destination_delivery_failures",
        "Events not sent to a destination",
    ),
    (
        LambdaMetric::ProvisionedConcurrencyInvocations,
        "provisioned_concurrency_invocations",
        "Invocations that ran on provisioned concurrency",
    ),
    (
        LambdaMetric::ProvisionedConcurrencySpilloverInvocations,
        "provisioned_concurrency_spillover_invocations",
        "Invocations for which no provisioned concurrency was free",
    ),
];

impl Scrape {
    fn build(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let labels = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        let help = "The version of the server";
        encoder.encode_descriptor("build", help, None, MetricType::Info)?.encode_info(&labels)
    }

    fn memory(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let MemoryUse { total_mb, used_mb, waiting } = self.memory;
        let bytes = |mb: u64| single(Some(mb.saturating_mul(1 << 20)));
        let unit = Some(&Unit::Bytes);
        let help = "Memory that all environments together may use";
        gauges(encoder, "capacity", help, unit, bytes(total_mb))?;
        let help = "Memory that environments count for: frozen ones with a part of theirs";
        gauges(encoder, "capacity_used", help, unit, bytes(used_mb))?;
        let help = "Versions of functions that wait for memory";
        let waiting = single(Some(u64::try_from(waiting).unwrap_or(u64::MAX)));
        gauges(encoder, "capacity_waiting", help, None, waiting)
    }

    /// Gathers something of each subject.
    fn each<'a, T>(
        &'a self,
        gather: impl Fn(&'a Totals, &Labels, &mut Vec<(Labels, T)>),
    ) -> Vec<(Labels, T)> {
        let mut out = Vec::new();
        for (subject, totals) in &self.seen.totals {
            gather(totals, &labels(subject.as_ref()), &mut out);
        }
        out
    }

    fn invocations(&self) -> Vec<(Labels, u64)> {
        self.each(|totals, labels, out| {
            for ((outcome, start), count) in &totals.invocations {
                let words = [("outcome", outcome.as_str()), ("start", start.as_str())];
                out.push((with(labels, &words), *count));
            }
        })
    }

    fn throttles(&self) -> Vec<(Labels, u64)> {
        self.each(|totals, labels, out| {
            if totals.throttles > 0 {
                out.push((labels.clone(), totals.throttles));
            }
        })
    }

    fn noted(&self, metric: LambdaMetric) -> Vec<(Labels, f64)> {
        self.each(|totals, labels, out| {
            if let Some(sum) = totals.noted.get(&metric) {
                out.push((labels.clone(), *sum));
            }
        })
    }

    fn standing(&self) -> Vec<(Labels, u64)> {
        let of = |level: &StandbyLevel| {
            [("standing", level.standing), ("target", level.target)].map(|(state, number)| {
                let labels = vec![("kind", level.kind.to_string()), ("state", state.to_owned())];
                (labels, u64::try_from(number).unwrap_or(u64::MAX))
            })
        };
        self.standby.iter().flat_map(of).collect()
    }

    fn taken(&self) -> Vec<(Labels, u64)> {
        let of = |level: &StandbyLevel| {
            [("hit", level.hits), ("miss", level.misses)].map(|(outcome, number)| {
                let kind = level.kind.to_string();
                (vec![("kind", kind), ("outcome", outcome.to_owned())], number)
            })
        };
        self.standby.iter().flat_map(of).collect()
    }

    fn environments(&self) -> Vec<(Labels, u64)> {
        let mut counts = std::collections::BTreeMap::new();
        for life in &self.lives {
            let phase = serde_json::to_value(life.phase).ok();
            let phase = phase.as_ref().and_then(|phase| phase.as_str()).unwrap_or_default();
            // arn:aws:lambda:REGION:ACCOUNT:function:NAME
            let of_arn = |at| life.birth.function_arn.split(':').nth(at).unwrap_or_default();
            let labels = vec![
                ("account", of_arn(4).to_owned()),
                ("region", of_arn(3).to_owned()),
                ("function", life.birth.function_name.clone()),
                ("version", life.birth.version.clone()),
                ("phase", phase.to_owned()),
            ];
            *counts.entry(labels).or_default() += 1;
        }
        counts.into_iter().collect()
    }
}

/// Subjects beyond those that are told apart have labels that no function can have.
fn labels(subject: Option<&Arc<Subject>>) -> Labels {
    let Some(subject) = subject else {
        return vec![("function", "(others)".to_owned())];
    };
    let qualifier = subject.qualifier.as_ref().map(ToString::to_string).unwrap_or_default();
    vec![
        ("account", subject.function.scope.account.to_string()),
        ("region", subject.function.scope.region.to_string()),
        ("function", subject.function.name.to_string()),
        ("qualifier", qualifier),
        ("version", subject.version.to_string()),
    ]
}

fn with(labels: &Labels, more: &[(&'static str, &str)]) -> Labels {
    let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
    labels.iter().cloned().chain(more).collect()
}

fn single(value: Option<u64>) -> Vec<(Labels, u64)> {
    value.map(|value| (Labels::new(), value)).into_iter().collect()
}

fn counters<N>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: Vec<(Labels, N)>,
) -> fmt::Result
where
    N: EncodeCounterValue,
{
    if values.is_empty() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in &values {
        if labels.is_empty() {
            family.encode_counter::<NoLabelSet, _, u64>(value, None)?;
        } else {
            family.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(value, None)?;
        }
    }
    Ok(())
}

fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    values: Vec<(Labels, u64)>,
) -> fmt::Result {
    if values.is_empty() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    for (labels, value) in &values {
        if labels.is_empty() {
            family.encode_gauge(value)?;
        } else {
            family.encode_family(labels)?.encode_gauge(value)?;
        }
    }
    Ok(())
}

fn histograms(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: &[(Labels, &Histogram)],
) -> fmt::Result {
    if values.is_empty() {
        return Ok(());
    }
    let unit = Some(&Unit::Seconds);
    let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Histogram)?;
    for (labels, histogram) in values {
        let bounds = BUCKETS_S.into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(histogram.counts).collect();
        let sum = std::time::Duration::from_micros(histogram.sum).as_secs_f64();
        family.encode_family(labels)?.encode_histogram::<NoLabelSet>(
            sum,
            histogram.count(),
            &buckets,
            None,
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use dormouse_model::metrics::{Board, Fact, Outcome, Ran};
    use dormouse_model::names::{FunctionKey, Scope, Version};

    use dormouse_placement::StandbyKind;

    use super::*;

    #[test]
    fn what_was_seen_is_told_in_families() {
        let scope = Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        let function = FunctionKey { scope, name: "f".parse().unwrap() };
        let live = Some("live".parse().unwrap());
        let subject = Arc::new(Subject::new(function, live, Version::Number(2)));
        let mut board = Board::default();
        let ran = Ran {
            at_ms: 0,
            outcome: Outcome::Timeout,
            duration: Some(1_500_000),
            init: Some(20_000),
            restore: None,
            extensions: None,
        };
        board.take(Fact::Ended { run: 1, subject: subject.clone(), ran });
        board.take(Fact::Throttled { subject, at_ms: 0 });
        let totals = board.totals().map(|(s, totals)| (s.cloned(), totals.clone())).collect();
        let process = Process { resident_bytes: Some(1_024), open_fds: Some(7) };
        let kind = StandbyKind::Bare;
        let standby = vec![StandbyLevel { kind, standing: 1, target: 2, hits: 3, misses: 4 }];
        let memory = MemoryUse { total_mb: 100, used_mb: 30, waiting: 2 };
        let seen = Seen { totals, lost: 3 };
        let text = render(Scrape { seen, lives: vec![], standby, memory, process }).unwrap();
        let of = "account=\"123456789012\",region=\"us-east-1\",function=\"f\",qualifier=\"live\",version=\"2\"";
        for line in [
            "# TYPE dormouse_invocations counter".to_owned(),
            format!("dormouse_invocations_total{{{of},outcome=\"timeout\",start=\"cold\"}} 1"),
            format!("dormouse_throttles_total{{{of}}} 1"),
            "# UNIT dormouse_invocation_duration_seconds seconds".to_owned(),
            format!(
                "dormouse_invocation_duration_seconds_bucket{{le=\"1.0\",{of},start=\"cold\"}} 0"
            ),
            format!(
                "dormouse_invocation_duration_seconds_bucket{{le=\"2.5\",{of},start=\"cold\"}} 1"
            ),
            format!(
                "dormouse_invocation_duration_seconds_bucket{{le=\"+Inf\",{of},start=\"cold\"}} 1"
            ),
            format!("dormouse_invocation_duration_seconds_sum{{{of},start=\"cold\"}} 1.5"),
            format!("dormouse_init_duration_seconds_count{{{of}}} 1"),
            "dormouse_standby_sandboxes{kind=\"bare\",state=\"target\"} 2".to_owned(),
            "dormouse_standby_requests_total{kind=\"bare\",outcome=\"hit\"} 3".to_owned(),
            "dormouse_metric_facts_dropped_total 3".to_owned(),
            "dormouse_process_resident_memory_bytes 1024".to_owned(),
            "dormouse_process_open_fds 7".to_owned(),
            "dormouse_capacity_bytes 104857600".to_owned(),
            "dormouse_capacity_used_bytes 31457280".to_owned(),
            "dormouse_capacity_waiting 2".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_kernel_tells_of_this_process() {
        let process = Process::look();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 100_000));
        assert!(process.open_fds.is_some_and(|fds| fds > 0));
    }
}
