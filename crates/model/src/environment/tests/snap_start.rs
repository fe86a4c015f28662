//! SnapStart: donors, what goes on from a snapshot, and what goes wrong on the way.

use super::*;

/// In an environment of SnapStart with so many external extensions.
fn check_snap_start(externals: u32, errand: Errand, script: &str, expected: &str) {
    let terms = Terms { errand, ..terms(InitializationType::SnapStart) };
    let shown = |effect: &Effect| !tells(effect) && *effect != Effect::CloseRegistration;
    let run = run_in(Environment::new(0, terms), externals, script, shown);
    assert_eq!(run.1, expected, "\nscript: {script}");
}

#[test]
fn without_a_snapshot_a_snap_start_environment_is_initialised_and_restored_at_once() {
    check_snap_start(
        0,
        Errand::Serve,
        "provisioned; restore_point; restore_point; +5; next; quiet; lease; answered; next; drained; lease",
        "init start | RESTORE_START release |  | restore_done() RESTORE_REPORT(success,7ms) ready | freeze | \
         thaw START deliver | pass soon | drain | REPORT(2ms,restore7/7) ready | START deliver",
    );
    // A runtime that knows no restore is ready when it asks for work.
    check_snap_start(
        0,
        Errand::Serve,
        "provisioned; next; lease",
        "init start | RESTORE_START restore_done() RESTORE_REPORT(success,0ms) ready | START deliver",
    );
    check_snap_start(
        1,
        Errand::Serve,
        "provisioned; register1; restore_point; ext1; next; quiet; stop",
        "init | start |  | RESTORE_START release | restore_done() RESTORE_REPORT(success,1ms) ready | freeze | thaw term",
    );
}

#[test]
fn a_donor_ends_when_its_snapshot_is_written() {
    check_snap_start(
        0,
        Errand::Donate,
        "provisioned; restore_point; exit0; empty; checkpointed; gone",
        "init start | donated() checkpoint |  |  | destroy | dead(Donated)",
    );
    let (long, cut) = (
        "provisioned; restore_point; +60000; deadline; checkpointed; gone",
        "destroy |  | dead(Donated)",
    );
    check_snap_start(
        0,
        Errand::Donate,
        long,
        &format!("init start | donated() checkpoint | {cut}"),
    );
    check_snap_start(
        0,
        Errand::Donate,
        "provisioned; restore_point; kill; checkpointed; gone",
        "init start | donated() checkpoint | destroy |  | dead(Shutdown)",
    );
    // Nothing is written of who would not know why its connection is closed.
    check_snap_start(
        0,
        Errand::Donate,
        "provisioned; next; gone",
        "init start | donated() destroy | dead(Donated)",
    );
    check_snap_start(
        1,
        Errand::Donate,
        "provisioned; register1; ext1; restore_point; exit0; crash1; gone",
        "init | start |  | donated() term | shutdown(spindown) | destroy | dead(Donated)",
    );
}

#[test]
fn who_has_no_use_for_a_snapshot_initialises() {
    check("snapshot; restore_point; next", "init start | denied | ready");
    check_snap_start(
        0,
        Errand::Donate,
        "snapshot; restore_point; next; checkpointed",
        "init start | donated() checkpoint | denied | destroy",
    );
}

#[test]
fn a_donor_that_cannot_initialise_says_why() {
    check_snap_start(
        0,
        Errand::Donate,
        "provisioned; init_error; exit0; empty; gone",
        "init start |  | INIT_REPORT(init_error,2ms,snap-start) donated(init_error) kill_all | destroy | dead(InitFailed)",
    );
    check_snap_start(
        0,
        Errand::Donate,
        "provisioned; +130000; deadline; empty; gone",
        "init start | INIT_REPORT(timeout,130001ms,snap-start) donated(timeout) kill_all | destroy | dead(InitFailed)",
    );
}

#[test]
fn an_environment_goes_on_from_its_snapshot() {
    check_snap_start(
        0,
        Errand::Serve,
        "snapshot; +3; restore_point; next; lease; answered; next; drained",
        "RESTORE_START restore | release | restore_done() RESTORE_REPORT(success,5ms) ready | START deliver | \
         pass soon | drain | REPORT(2ms,restore5/1) ready",
    );
}

#[test]
fn a_snapshot_that_cannot_be_used_costs_no_caller_his_answer() {
    for end in ["restore_failed", "exit0", "+10000; deadline"] {
        check_snap_start(
            0,
            Errand::Serve,
            &format!("snapshot; {end}; lease; gone"),
            &format!(
                "RESTORE_START restore | RESTORE_REPORT(sandbox,{}ms) destroy | hand_back | dead(SnapshotUnusable)",
                if end.starts_with('+') { 10_001 } else { 1 }
            ),
        );
    }
}

#[test]
fn what_goes_wrong_after_a_restore_is_told_to_one_caller() {
    let begun = "RESTORE_START restore | release";
    let told = |failure: &str| {
        format!(
            "fail({failure}) START REPORT(0ms,{failure}) destroy | hand_back | dead(InitFailed)"
        )
    };
    check_snap_start(
        0,
        Errand::Serve,
        "snapshot; restore_point; restore_error; exit0; empty; lease; lease; gone",
        &format!(
            "{begun} |  | restore_done(restore_error) RESTORE_REPORT(restore_error,3ms) kill_all | ready | {}",
            told("restore_error")
        ),
    );
    check_snap_start(
        0,
        Errand::Serve,
        "snapshot; restore_point; +10000; deadline; next; empty; lease; lease; gone",
        &format!(
            "{begun} | restore_done(restoretimeout) RESTORE_REPORT(restoretimeout,10002ms) kill_all |  | ready | {}",
            told("restoretimeout")
        ),
    );
    check_snap_start(
        0,
        Errand::Serve,
        "provisioned; exit0; empty; lease; lease; gone",
        &format!(
            "init start | INIT_REPORT(exit0,1ms,snap-start) kill_all | ready | {}",
            told("exit0")
        ),
    );
    // Nobody wants to hear of it any more.
    check_snap_start(
        0,
        Errand::Serve,
        "snapshot; restore_point; exit0; empty; +1000; deadline; lease; gone",
        &format!(
            "{begun} | restore_done(exit0) RESTORE_REPORT(exit0,2ms) kill_all | ready | destroy | hand_back | dead(InitFailed)"
        ),
    );
}

#[test]
fn a_snap_start_environment_is_not_initialised_twice() {
    let ready =
        "RESTORE_START restore | release | restore_done() RESTORE_REPORT(success,2ms) ready";
    check_snap_start(
        0,
        Errand::Serve,
        "snapshot; restore_point; next; lease; +3000; deadline; empty; gone",
        &format!(
            "{ready} | START deliver | fail(timeout) drain kill_all | REPORT(3000ms,restore2/1,timeout) destroy | dead(Crashed)"
        ),
    );
    check_snap_start(
        0,
        Errand::Serve,
        "snapshot; restore_point; next; exit0; lease; empty; gone",
        &format!("{ready} | kill_all |  | hand_back destroy | dead(Crashed)"),
    );
}

#[test]
fn who_is_not_of_snap_start_has_no_restore_point() {
    check(
        "provisioned; restore_point; next; restore_error",
        "init start | denied | ready | denied",
    );
}
