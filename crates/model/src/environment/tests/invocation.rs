//! Invocations, and how they end.

use super::*;

#[test]
fn a_cold_start_initialises_and_freezes() {
    check(WARM, "init start | ready | freeze");
}

#[test]
fn the_first_report_alone_has_the_init_duration() {
    check(
        "provisioned; +10; next; quiet; lease; +5; answered; next; drained; quiet; lease; answered; next; drained",
        "init start | ready | freeze | thaw START deliver | pass soon | drain | REPORT(7ms,init11) ready | freeze | \
         thaw START deliver | pass soon | drain | REPORT(2ms) ready",
    );
}

#[test]
fn a_lease_right_after_the_last_one_neither_freezes_nor_thaws() {
    check(
        "provisioned; next; lease; answered; next; drained; lease",
        "init start | ready | START deliver | pass soon | drain | REPORT(2ms,init1) ready | START deliver",
    );
}

#[test]
fn a_timeout_answers_the_caller_and_resets() {
    check(
        "provisioned; next; lease; +3000; deadline; exit0; empty; lease; next",
        "init start | ready | START deliver | fail(timeout) drain soon kill_all |  | REPORT(3000ms,init1,timeout) ready | init start | START deliver",
    );
}

#[test]
fn an_exit_while_running_fails_the_caller_once() {
    check(
        "provisioned; next; lease; exit0; deadline",
        "init start | ready | START deliver | fail(exit0) drain soon kill_all | REPORT(1ms,init1,exit0) destroy",
    );
}

#[test]
fn an_exit_after_the_answer_spares_the_caller() {
    check(
        "provisioned; next; lease; answered; exit0; empty",
        "init start | ready | START deliver | pass soon | drain soon kill_all | REPORT(2ms,init1,exit0) ready",
    );
}

#[test]
fn a_late_answer_after_a_timeout_changes_nothing() {
    check(
        "provisioned; next; lease; +3000; deadline; answered; empty",
        "init start | ready | START deliver | fail(timeout) drain soon kill_all |  | REPORT(3000ms,init1,timeout) ready",
    );
}

#[test]
fn memory_exhaustion_is_told_apart() {
    check(
        "provisioned; next; lease; oom; empty",
        "init start | ready | START deliver | fail(oom) drain soon kill_all | REPORT(1ms,init1,oom) ready",
    );
}

#[test]
fn what_has_no_place_is_denied() {
    check("next", "denied");
    check("provisioned; lease", "init start | denied");
    check("provisioned; next; lease; lease", "init start | ready | START deliver | denied");
    check("provisioned; next; answered", "init start | ready | denied");
}
