//! How much is measured: enough for percentiles within minutes, or a quick look.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::functions::Function;
use crate::pool::Pool;
use crate::server::Server;

/// The amounts of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) name: &'static str,
    /// Floor and server take turns, so that what else the machine does meets both; and often, since
    /// on which cores a connection's two ends run changes its times by a factor of two.
    pub(crate) rounds: usize,
    pub(crate) clients: &'static [usize],
    pub(crate) warm_up: Duration,
    /// Per round.
    pub(crate) measured: Duration,
    /// Invokes with a pause before each; fewer where the pause is long.
    pub(crate) paced: usize,
    /// How long requests come at a constant rate.
    pub(crate) offered: Duration,
    pub(crate) large_payloads: usize,
    pub(crate) cold_starts: usize,
    /// Environments that are started at once.
    pub(crate) burst: usize,
    /// Functions that a server has when its start is timed.
    pub(crate) many_functions: usize,
    /// How long an idle server is watched.
    pub(crate) watched: Duration,
}

/// Under five minutes.
pub(crate) const FULL: Effort = Effort {
    name: "full",
    rounds: 6,
    clients: &[1, 8, 32],
    warm_up: Duration::from_millis(100),
    measured: Duration::from_millis(300),
    paced: 300,
    offered: Duration::from_millis(1_000),
    large_payloads: 12,
    cold_starts: 30,
    burst: 50,
    many_functions: 1_000,
    watched: Duration::from_secs(4),
};

/// Under a minute.
pub(crate) const QUICK: Effort = Effort {
    name: "quick",
    rounds: 2,
    clients: &[1, 8],
    warm_up: Duration::from_millis(100),
    measured: Duration::from_millis(250),
    paced: 30,
    offered: Duration::from_millis(300),
    large_payloads: 4,
    cold_starts: 6,
    burst: 20,
    many_functions: 50,
    watched: Duration::from_secs(1),
};

/// What every group of figures needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bench<'a> {
    pub(crate) server: &'a Server,
    /// What the server keeps ready.
    pub(crate) pool: Pool,
    pub(crate) functions: &'a [Function],
    pub(crate) directory: &'a Path,
    pub(crate) effort: Effort,
}

impl Bench<'_> {
    /// Waits until the pool is full for this function, which is there, and for those before it.
    pub(crate) fn fill(self, function: &Function) -> anyhow::Result<()> {
        let labels = self.functions.iter().map(|it| &it.label);
        let before = labels.take_while(|label| **label != function.label).count();
        let kinds: BTreeSet<&str> =
            self.functions[..=before].iter().map(|it| it.runtime.as_str()).collect();
        self.server.filled(self.pool, kinds.len())
    }
}
