//! What happens between invocations, and how environments end.

use super::*;

#[test]
fn a_provisioned_environment_is_warm_or_ends() {
    let warm = "init start | ready | freeze";
    let served = "thaw START deliver | pass soon | drain | REPORT(2ms,init1) ready";
    check_provisioned(
        "provisioned; next; quiet; lease; answered; next; drained",
        &format!("{warm} | {served}"),
    );
    check_provisioned(
        "provisioned; init_error; exit0; empty; lease; gone",
        "init start |  | INIT_REPORT(init_error,2ms) kill_all | destroy | hand_back | dead(InitFailed)",
    );
    check_provisioned(
        "provisioned; next; quiet; exit0; empty; lease; gone",
        &format!("{warm} | thaw kill_all | destroy | hand_back | dead(Crashed)"),
    );
    check_provisioned(
        "provisioned; next; quiet; lease; exit0; empty; gone",
        &format!(
            "{warm} | thaw START deliver | fail(exit0) drain kill_all | REPORT(1ms,init1,exit0) destroy | dead(Crashed)"
        ),
    );
    // Who has it ended says why.
    check_provisioned(
        "provisioned; next; quiet; lease; stop; exit0; empty; gone",
        &format!(
            "{warm} | thaw START deliver |  | fail(exit0) drain kill_all | REPORT(2ms,init1,exit0) destroy | dead(Idle)"
        ),
    );
    // A caller who comes while it is being emptied is served all the same.
    check_provisioned(
        "provisioned; next; quiet; exit0; lease; empty; next",
        &format!("{warm} | thaw kill_all |  | init start | START deliver"),
    );
}

#[test]
fn a_runtime_that_dies_idle_is_started_anew_by_the_next_lease() {
    check(
        "provisioned; next; quiet; exit0; lease; empty; next",
        "init start | ready | freeze | thaw kill_all |  | init start | START deliver",
    );
    check(
        "provisioned; next; quiet; exit0; empty; lease",
        "init start | ready | freeze | thaw kill_all |  | init start",
    );
}

#[test]
fn processes_that_do_not_end_cost_the_sandbox_its_life() {
    check(
        "provisioned; next; lease; exit0; deadline; gone",
        "init start | ready | START deliver | fail(exit0) drain soon kill_all | REPORT(1ms,init1,exit0) destroy | dead(UnclearEnd)",
    );
}

#[test]
fn a_stop_waits_for_the_running_invocation() {
    check(
        "provisioned; next; lease; stop; answered; next; drained; gone",
        "init start | ready | START deliver |  | pass soon | drain | REPORT(3ms,init1) destroy | dead(Idle)",
    );
    check(
        "provisioned; next; quiet; stop; lease; gone",
        "init start | ready | freeze | destroy | hand_back | dead(Idle)",
    );
}

#[test]
fn an_old_environment_ends_when_its_invocation_is_over() {
    check(
        "provisioned; next; +60000; lease; answered; next; drained; gone",
        "init start | ready | START deliver | pass soon | drain | REPORT(2ms,init1) destroy | dead(Recycled)",
    );
}

#[test]
fn a_kill_answers_the_caller_and_ends_at_once() {
    check(
        "provisioned; next; lease; kill; gone",
        "init start | ready | START deliver | fail(shutdown) REPORT(1ms,init1,shutdown) destroy | dead(Shutdown)",
    );
}

#[test]
fn a_lost_sandbox_fails_what_runs_in_it() {
    check(
        "provisioned; next; lease; gone",
        "init start | ready | START deliver | fail(sandbox) REPORT(1ms,init1,sandbox) dead(SandboxLost)",
    );
    check("provisioned; gone; gone", "init start | dead(SandboxLost) | denied");
    check("provision_failed; lease", "dead(ProvisionFailed) | hand_back");
}
