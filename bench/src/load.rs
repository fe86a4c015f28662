//! Load: closed loops of clients, each sending its next request when it has its answer.
//!
//! A closed loop says how long an invoke takes and how many a second there are; it says nothing
//! about waiting in line under a fixed arrival rate: that is in `open`.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::http::{Client, invoke};
use crate::time::{Samples, now};

/// What to send, from how many clients, for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) function: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) clients: usize,
    /// Sent, but not counted.
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// What came of it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Outcome {
    pub(crate) samples: Samples,
    pub(crate) errors: u64,
    pub(crate) seconds: f64,
    /// The median of the best round: the one that was disturbed least.
    pub(crate) best_p50: Option<f64>,
}

impl Outcome {
    /// Adds another round of the same plan.
    pub(crate) fn append(&mut self, other: Self) {
        self.samples.append(other.samples);
        self.errors += other.errors;
        self.seconds += other.seconds;
        let medians = [self.best_p50, other.best_p50];
        self.best_p50 = medians.into_iter().flatten().reduce(f64::min);
    }

    /// Good answers a second.
    pub(crate) fn rate(&self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a run has far fewer samples than a float counts exactly"
        )]
        let answers = self.samples.len() as f64;
        answers / self.seconds.max(f64::EPSILON)
    }
}

/// Runs the plan.
pub(crate) fn closed_loop(plan: Plan<'_>) -> anyhow::Result<Outcome> {
    let start = Barrier::new(plan.clients);
    let outcomes = each_client(plan.clients, || one_client(plan, &start))?;
    let mut all = Outcome::default();
    for outcome in outcomes {
        all.samples.append(outcome.samples);
        all.errors += outcome.errors;
        all.seconds = all.seconds.max(outcome.seconds);
    }
    all.best_p50 = all.samples.p50();
    Ok(all)
}

fn one_client(plan: Plan<'_>, start: &Barrier) -> anyhow::Result<Outcome> {
    let client = Client::connect(plan.address);
    // Even one that could not connect is waited for: the others must not hang.
    start.wait();
    let mut client = client?;
    let request = invoke(plan.address, plan.function, plan.payload);
    let warm = now();
    while warm.elapsed() < plan.warm_up {
        client.exchange(&request)?;
    }
    let mut outcome = Outcome::default();
    let started = now();
    loop {
        let sent = now();
        let good = client.exchange(&request)?.is_good();
        let answered = now();
        if good {
            outcome.samples.push(answered - sent);
        } else {
            outcome.errors += 1;
        }
        if answered - started >= plan.measured {
            outcome.seconds = (answered - started).as_secs_f64();
            return Ok(outcome);
        }
    }
}

/// One invoke of each of `clients` at the same time: how long until the last has its answer, and
/// how many failed.
pub(crate) fn at_once(
    address: SocketAddr,
    function: &str,
    payload: &[u8],
    clients: usize,
) -> anyhow::Result<(Duration, usize)> {
    let start = Barrier::new(clients);
    let started = now();
    let good = each_client(clients, || {
        let client = Client::connect(address);
        start.wait();
        let request = invoke(address, function, payload);
        Ok(client?.exchange(&request)?.is_good())
    })?;
    let errors = good.into_iter().filter(|good| !good).count();
    Ok((started.elapsed(), errors))
}

/// Runs this on so many threads at once; what each came to.
pub(crate) fn each_client<T: Send>(
    clients: usize,
    run: impl Fn() -> anyhow::Result<T> + Sync,
) -> anyhow::Result<Vec<T>> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(&run)).collect();
        threads
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(result) => result.context("a client of the load"),
                Err(_) => bail!("a client of the load panicked"),
            })
            .collect()
    })
}
