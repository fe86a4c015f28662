//! Open loop: requests come at a constant rate, whatever became of those before.
//!
//! The rates are shares of what the same server answered in the closed loop of the same run. Floor
//! and server get the same rate. Connections take turns: whichever is free sends what is due next;
//! when none is free, the wait for one counts. The percentiles are exact: all samples are kept.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::{Client, invoke};
use crate::load;
use crate::pace::{Moments, Pace};
use crate::report::{Table, micros, ratio};
use crate::time::{Samples, now, pause};

/// Shares of the closed loop's rate, in per cent.
pub(crate) const SHARES: [u32; 2] = [50, 80];
/// A run that takes so many times as long as planned is given up: the rest was not sent.
const PATIENCE: u32 = 3;
/// Linux wakes sleepers up to 50 µs late unless asked not to: more than a request takes.
const TIMER_SLACK_NS: NonZeroU64 = NonZeroU64::MIN;

/// What to send where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) function: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) connections: usize,
    pub(crate) pace: Pace,
    pub(crate) lasting: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// From when a request was due until its answer.
    pub(crate) latency: Samples,
    /// From when a request was due until it was sent.
    pub(crate) delay: Samples,
    pub(crate) errors: u64,
    /// Due, but given up before they were sent.
    pub(crate) unsent: u64,
}

impl Outcome {
    fn figures(&mut self) -> Value {
        let mut figures = self.latency.figures();
        figures["p999"] = json!(self.latency.percentile(99.9));
        figures["sentLateP50"] = json!(self.delay.p50());
        figures["errors"] = json!(self.errors);
        figures["unsent"] = json!(self.unsent);
        figures
    }
}

/// What the connections share.
struct Run {
    /// The arrival that nobody sends yet.
    next: AtomicU64,
    connected: Barrier,
    /// The same moment for all: they are not woken at the same time.
    started: OnceLock<Instant>,
}

/// Runs the plan.
pub(crate) fn run(plan: Plan<'_>) -> anyhow::Result<Outcome> {
    let run = Run {
        next: AtomicU64::new(0),
        connected: Barrier::new(plan.connections),
        started: OnceLock::new(),
    };
    let outcomes = load::each_client(plan.connections, || one_connection(plan, &run))?;
    let mut all = Outcome::default();
    for outcome in outcomes {
        all.latency.append(outcome.latency);
        all.delay.append(outcome.delay);
        all.errors += outcome.errors;
    }
    let answered = u64::try_from(all.latency.len())? + all.errors;
    all.unsent = plan.pace.arrivals() - answered;
    Ok(all)
}

fn one_connection(plan: Plan<'_>, run: &Run) -> anyhow::Result<Outcome> {
    let _ = rustix::thread::set_current_timer_slack(Some(TIMER_SLACK_NS));
    let client = Client::connect(plan.address);
    // Even one that could not connect is waited for: the others must not hang.
    run.connected.wait();
    let mut client = client?;
    let request = invoke(plan.address, plan.function, plan.payload);
    let mut outcome = Outcome::default();
    let started = *run.started.get_or_init(now);
    while let Some(due) = plan.pace.due(run.next.fetch_add(1, Ordering::Relaxed)) {
        wait_until(started, due);
        let sent = started.elapsed();
        if sent > plan.lasting * PATIENCE {
            break;
        }
        let good = client.exchange(&request)?.is_good();
        let moments = Moments { due, sent, answered: started.elapsed() };
        outcome.delay.push(moments.delay());
        if good {
            outcome.latency.push(moments.latency());
        } else {
            outcome.errors += 1;
        }
    }
    Ok(outcome)
}

fn wait_until(started: Instant, due: Duration) {
    let left = due.saturating_sub(started.elapsed());
    if !left.is_zero() {
        pause(left);
    }
}

/// The table of all functions.
pub(crate) fn table() -> Table {
    Table::new(
        "Warm invoke, open loop at a share of the closed loop's rate (µs from when a request was due)",
        &[
            "runtime",
            "share",
            "requests /s",
            "floor p50",
            "p99",
            "dormouse p50",
            "p90",
            "p99",
            "p99.9",
            "max",
            "p50 ratio",
            "p99 ratio",
            "sent late p50",
            "requests",
            "errors",
            "unsent",
            "load",
        ],
    )
}

/// One rate on both.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offered<'a> {
    pub(crate) runtime: &'a str,
    /// Per cent of the closed loop's rate.
    pub(crate) share: u32,
    pub(crate) per_second: f64,
    pub(crate) load: f64,
}

/// Adds the row, and returns it for the record.
pub(crate) fn row(
    offered: Offered<'_>,
    floor: &mut Outcome,
    ours: &mut Outcome,
    table: &mut Table,
) -> Value {
    let Offered { runtime, share, per_second, load } = offered;
    let (f50, f99) = (floor.latency.p50(), floor.latency.percentile(99.0));
    let (p50, p99) = (ours.latency.p50(), ours.latency.percentile(99.0));
    table.row(vec![
        runtime.to_owned(),
        format!("{share} %"),
        format!("{per_second:.0}"),
        micros(f50),
        micros(f99),
        micros(p50),
        micros(ours.latency.percentile(90.0)),
        micros(p99),
        micros(ours.latency.percentile(99.9)),
        micros(ours.latency.max()),
        ratio(p50, f50),
        ratio(p99, f99),
        micros(ours.delay.p50()),
        ours.latency.len().to_string(),
        (ours.errors + floor.errors).to_string(),
        (ours.unsent + floor.unsent).to_string(),
        format!("{load:.2}"),
    ]);
    json!({
        "row": "open", "runtime": runtime, "sharePercent": share, "perSecond": per_second,
        "load": load, "floor": floor.figures(), "dormouse": ours.figures(),
    })
}
