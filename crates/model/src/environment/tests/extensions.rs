//! Extensions: who waits for whom.

use super::*;

const TWO: &str = "provisioned; register1; ext1; register2; next; ext2";

#[test]
fn the_runtime_starts_when_all_external_extensions_have_registered() {
    check_with(2, "provisioned; register1; register2", "init |  | start");
    check_with(1, "provisioned; next", "init | denied");
}

#[test]
fn init_is_over_when_all_have_asked_for_an_event() {
    check_with(2, TWO, "init |  |  | start | close | ready");
    check_with(1, "provisioned; register1; ext1; next", "init | start |  | close ready");
    check_with(
        1,
        "provisioned; register1; ext1; register_internal; next; internal",
        "init | start |  |  | close | ready",
    );
}

#[test]
fn an_invocation_is_over_when_all_who_were_told_have_come_back() {
    check_with(
        1,
        "provisioned; register1; ext1; next; lease; answered; next; ext1; drained",
        "init | start |  | close ready | START notify deliver | pass soon |  | drain | REPORT(3ms,init3,+1) ready",
    );
    check_with(
        1,
        "provisioned; register1; ext1; next; lease; ext1; answered; next; drained",
        "init | start |  | close ready | START notify deliver |  | pass soon | drain | REPORT(3ms,init3,+0) ready",
    );
}

#[test]
fn an_extension_that_never_comes_back_runs_into_the_timeout() {
    check_with(
        1,
        "provisioned; register1; ext1; next; lease; answered; next; +3000; deadline; exit0; crash1; empty",
        "init | start |  | close ready | START notify deliver | pass soon |  | drain term | shutdown(timeout) | \
         soon kill_all | REPORT(3000ms,init3,+3001,timeout) ready",
    );
}

#[test]
fn an_extension_that_dies_takes_the_invocation_with_it() {
    check_with(
        1,
        "provisioned; register1; ext1; next; lease; crash1; exit0; empty",
        "init | start |  | close ready | START notify deliver | fail(crash) drain soon kill_all |  | REPORT(1ms,init3,crash) ready",
    );
    check_with(
        2,
        "provisioned; register1; ext1; register2; next; ext2; quiet; lease; crash1; exit0; crash2; empty",
        "init |  |  | start | close | ready | freeze | thaw START notify deliver | fail(crash) drain term | \
         shutdown(failure) | soon kill_all | REPORT(1ms,init5,crash) ready",
    );
}

#[test]
fn an_extension_that_dies_in_init_fails_it() {
    check_with(
        1,
        "provisioned; crash1; empty; lease; register1",
        "init | INIT_REPORT(crash,1ms) kill_all | ready | init | start",
    );
}

#[test]
fn at_the_end_the_runtime_goes_first_and_extensions_are_told() {
    check_with(
        1,
        "provisioned; register1; ext1; next; quiet; stop; exit0; crash1; gone",
        "init | start |  | close ready | freeze | thaw term | shutdown(spindown) | destroy | dead(Idle)",
    );
    check_with(
        1,
        "provisioned; register1; ext1; next; quiet; stop; deadline; exit0; deadline; gone",
        "init | start |  | close ready | freeze | thaw term | kill_runtime shutdown(spindown) |  | destroy | dead(Idle)",
    );
}

#[test]
fn an_internal_extension_gives_the_runtime_its_own_small_budget() {
    let script = "provisioned; register_internal; next; internal; stop";
    check(script, "init start |  |  | ready | term");
    let (environment, _) = run(script);
    assert_eq!(environment.deadline(), Some(5_000 + limits::SHUTDOWN_INTERNAL_MS * 1_000));
}
