//! Instructions of the warm path: what one invoke costs in each of its pure pieces, in the Runtime
//! API's connection, and as a whole from placement to a fake sandbox and back.
//!
//! Counted by Callgrind, through gungraun. Counts do not depend on what else the machine does, so that
//! they tell a change of a few per cent where time cannot. `cargo xtask counts` runs this and compares
//! with `bench/counts.json`. Needs no root, no network and no sandbox.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on says where")]
#![expect(
    missing_docs,
    unreachable_pub,
    reason = "what the macros make; a group's name says what it is"
)]

mod connection;
mod pieces;
mod world;

use gungraun::{Callgrind, LibraryBenchmarkConfig, library_benchmark_group, main};

use connection::runtime_api_exchange;
use pieces::{
    answer_head, environment_cycle, invoke_request, payload_check, permit, report_line,
    route_invoke,
};
use world::placement_invokes;

library_benchmark_group!(
    name = warm,
    benchmarks = [
        route_invoke,
        invoke_request,
        payload_check,
        permit,
        environment_cycle,
        report_line,
        answer_head,
        runtime_api_exchange,
        placement_invokes,
    ]
);

// Instructions alone: what caches would do is a guess, and takes twice as long.
main!(
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"]));
    library_benchmark_groups = warm
);
