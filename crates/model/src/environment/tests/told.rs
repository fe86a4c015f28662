//! What is told of Init and of invocations, and in which order.

use super::*;

/// Only what is told, and what of it ends up in the log.
fn check_told(externals: u32, script: &str, expected: &str) {
    let told = |effect: &Effect| {
        tells(effect)
            || matches!(
                effect,
                Effect::LogStart
                    | Effect::LogReport(_)
                    | Effect::LogInitReport(_)
                    | Effect::Fail(_)
            )
    };
    assert_eq!(run_showing(externals, script, told).1, expected, "\nscript: {script}");
}

#[test]
fn init_is_told_in_its_order() {
    check_told(
        1,
        "provisioned; register1; next; ext1",
        " |  | init_done() | closesubscriptions extensions INIT_REPORT(success,3ms) endburst",
    );
    // An extension that dies after the runtime is done: what was told of the runtime stays true.
    check_told(
        1,
        "provisioned; register1; next; crash1",
        " |  | init_done() | closesubscriptions extensions INIT_REPORT(crash,3ms)",
    );
    check_told(1, "provisioned; crash1", " | closesubscriptions extensions INIT_REPORT(crash,1ms)");
}

#[test]
fn a_suppressed_init_is_told_before_the_start_of_its_invocation() {
    check_told(
        0,
        "provisioned; exit0; empty; lease; exit0; empty",
        " | init_done(exit0) closesubscriptions extensions INIT_REPORT(exit0,1ms) |  |  | \
         fail(exit0) init_done(exit0) closesubscriptions extensions INIT_REPORT(exit0,1ms,invoke) \
         START done(4-5,exit0) | REPORT(1ms,exit0)",
    );
}

#[test]
fn the_runtime_is_done_when_it_asks_for_more_or_fails() {
    let warm = "provisioned; next; lease; ";
    let told = |rest: &str, expected: &str| {
        let init = " | init_done() closesubscriptions extensions INIT_REPORT(success,1ms) endburst";
        check_told(0, &format!("{warm}{rest}"), &format!("{init} | START | {expected}"));
    };
    told("answered; next; drained", " | done(3-5,4-4) | REPORT(2ms,init1)");
    told("begun; +5; answered; next; drained", " |  | done(3-11,4-10) | REPORT(8ms,init1)");
    told(
        "+3000; deadline; empty",
        "fail(timeout) done(3-3004,timeout) | REPORT(3000ms,init1,timeout)",
    );
    told("answered; exit0; empty", " | done(3-5,4-4,exit0) | REPORT(2ms,init1,exit0)");
    told("answered; next; exit0; empty", " | done(3-5,4-4) |  | REPORT(2ms,init1)");
}

#[test]
fn an_invocation_is_reported_as_soon_as_its_output_is_there() {
    check(
        "provisioned; next; lease; exit0; drained; drained; empty",
        "init start | ready | START deliver | fail(exit0) drain soon kill_all | REPORT(1ms,init1,exit0) |  | ready",
    );
    check_with(
        1,
        "provisioned; register1; ext1; next; lease; exit0; drained; crash1; empty",
        "init | start |  | close ready | START notify deliver | fail(exit0) drain shutdown(failure) | \
         REPORT(1ms,init3,exit0) | soon kill_all | ready",
    );
}

#[test]
fn a_response_that_has_begun_is_ended_and_not_begun_again() {
    check(
        "provisioned; next; lease; begun; begun; next; answered; begun; next",
        "init start | ready | START deliver | begin | denied | denied | pass soon | denied | drain",
    );
    check(
        "provisioned; next; lease; begun; exit0; empty",
        "init start | ready | START deliver | begin | fail(exit0) drain soon kill_all | REPORT(2ms,init1,exit0) ready",
    );
}
