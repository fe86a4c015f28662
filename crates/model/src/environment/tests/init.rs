//! Inits that fail or take too long.

use super::*;

#[test]
fn a_failed_init_is_reported_and_run_again_inside_the_first_invocation() {
    check(
        "provisioned; exit0; empty; lease; next; answered; next; drained",
        "init start | INIT_REPORT(exit0,1ms) kill_all | ready | init start | START deliver | pass soon | drain | REPORT(3ms) ready",
    );
}

#[test]
fn an_init_that_fails_again_gives_the_caller_its_error() {
    check(
        "provisioned; init_error; exit0; empty; lease; init_error; exit0; empty; lease",
        "init start |  | INIT_REPORT(init_error,2ms) kill_all | ready | init start |  | \
         fail(init_error) INIT_REPORT(init_error,2ms,invoke) START drain soon kill_all | REPORT(2ms,init_error) ready | init start",
    );
}

#[test]
fn an_init_that_hangs_is_ended_after_its_limit() {
    let (environment, _) = run("provisioned");
    assert_eq!(environment.deadline(), Some(1_000 + limits::INIT_MS * 1_000));
    check(
        "provisioned; +10000; deadline; empty",
        "init start | INIT_REPORT(timeout,10001ms) kill_all | ready",
    );
}

#[test]
fn a_missing_bootstrap_is_an_invalid_entrypoint() {
    check(
        "provisioned; start_failed; empty; lease; start_failed; empty",
        "init start | INIT_REPORT(invalidentrypoint,1ms) kill_all | ready | init start | \
         fail(invalidentrypoint) INIT_REPORT(invalidentrypoint,1ms,invoke) START drain soon kill_all | REPORT(1ms,invalidentrypoint) ready",
    );
}

#[test]
fn a_provisioned_init_may_take_longer() {
    let limit = |timeout_ms| {
        let terms = Terms { timeout_ms, ..terms(InitializationType::ProvisionedConcurrency) };
        let mut environment = Environment::new(0, terms);
        environment.step(parse(0, "provisioned"), 0).unwrap();
        environment.deadline().unwrap() / 1_000
    };
    assert_eq!(limit(3_000), 130_000);
    assert_eq!(limit(900_000), 900_000);
}
