//! Table and property tests of the machine: events in, effects out, as text.

mod snap_start;

use proptest::prelude::*;

use super::*;

/// Longer than any of these tables but one.
const LIFE_MS: u64 = 60_000;

/// Events are separated by `;`, each takes a millisecond; `+N` lets N milliseconds pass.
fn parse(externals: u32, word: &str) -> Event {
    match word {
        "provisioned" => Event::Provisioned {
            external: (0..externals).map(ExtensionId).collect(),
            snapshot: false,
        },
        "snapshot" => Event::Provisioned { external: vec![], snapshot: true },
        "restore_point" => Event::RestorePoint,
        "restore_error" => Event::RestoreError { error_type: "Runtime.AfterRestoreError".into() },
        "restore_failed" => Event::RestoreFailed,
        "checkpointed" => Event::Checkpointed,
        "provision_failed" => Event::ProvisionFailed,
        "start_failed" => Event::StartFailed,
        "next" => Event::Next,
        "init_error" => Event::InitError { error_type: "Runtime.Unknown".into() },
        "begun" => Event::ResponseBegun,
        "answered" => Event::Answered { bytes: 2 },
        "exit0" => Event::Exited { exit: Exit::Code(0), out_of_memory: false },
        "oom" => Event::Exited { exit: Exit::Signal(9), out_of_memory: true },
        "drained" => Event::Drained,
        "empty" => Event::Empty,
        "quiet" => Event::Quiet,
        "lease" => Event::Lease { timeout_ms: 3_000 },
        "stop" => Event::Stop { cause: Cause::Idle },
        "kill" => Event::Kill { cause: Cause::Shutdown },
        "deadline" => Event::Deadline,
        "gone" => Event::Gone,
        "register1" => registered(0, true, true, true),
        "register2" => registered(1, true, true, true),
        "register_quiet" => registered(1, true, false, false),
        "register_internal" => registered(2, false, true, false),
        "ext1" => Event::ExtensionNext { id: ExtensionId(0) },
        "ext2" => Event::ExtensionNext { id: ExtensionId(1) },
        "internal" => Event::ExtensionNext { id: ExtensionId(2) },
        "crash1" => crashed(0),
        "crash2" => crashed(1),
        other => panic!("unknown event {other}"),
    }
}

fn registered(id: u32, external: bool, invoke: bool, shutdown: bool) -> Event {
    let registration = Registration { external, invoke, shutdown };
    Event::Registered { id: ExtensionId(id), registration }
}

fn crashed(id: u32) -> Event {
    let fault = ExtensionFault::Crash { exit: Exit::Code(0) };
    Event::ExtensionEnded { id: ExtensionId(id), fault }
}

fn failure_text(failure: &Failure) -> String {
    match failure {
        Failure::Exited { out_of_memory: true, .. } => "oom".into(),
        Failure::Exited { exit: Exit::Code(code), .. } => format!("exit{code}"),
        Failure::Exited { exit: Exit::Signal(signal), .. } => format!("signal{signal}"),
        Failure::InitError { .. } => "init_error".into(),
        Failure::RestoreError { .. } => "restore_error".into(),
        Failure::Extension(ExtensionFault::Crash { .. }) => "crash".into(),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn effect_text(effect: &Effect) -> String {
    match effect {
        Effect::BeginInit(_) => "init".into(),
        Effect::StartRuntime => "start".into(),
        Effect::CloseRegistration => "close".into(),
        Effect::NotifyInvoke => "notify".into(),
        Effect::NotifyShutdown { reason, .. } => format!("shutdown({reason:?})").to_lowercase(),
        Effect::TerminateRuntime => "term".into(),
        Effect::KillRuntime => "kill_runtime".into(),
        Effect::LogStart => "START".into(),
        Effect::PassAnswer => "pass".into(),
        Effect::TellAnswered => "soon".into(),
        Effect::Fail(failure) => format!("fail({})", failure_text(failure)),
        Effect::HandBack => "hand_back".into(),
        Effect::DrainOutput => "drain".into(),
        Effect::KillAll => "kill_all".into(),
        Effect::TellReady => "ready".into(),
        Effect::LogInitRuntimeDone(done) => {
            let failure = done.failure.as_ref().map_or(String::new(), failure_text);
            format!("init_done({failure})")
        }
        Effect::LogExtensions => "extensions".into(),
        Effect::LogInitReport(report) => format!(
            "INIT_REPORT({},{}ms{})",
            report.failure.as_ref().map_or("success".into(), failure_text),
            report.duration / 1_000,
            match report.phase {
                InitPhase::Init => "",
                InitPhase::Invoke => ",invoke",
                InitPhase::SnapStart => ",snap-start",
            }
        ),
        Effect::RestoreProcesses => "restore".into(),
        Effect::ReleaseRestore => "release".into(),
        Effect::TellDonated(failure) => {
            format!("donated({})", failure.as_ref().map_or(String::new(), failure_text))
        }
        Effect::LogRestoreStart => "RESTORE_START".into(),
        Effect::LogRestoreRuntimeDone(failure) => {
            format!("restore_done({})", failure.as_ref().map_or(String::new(), failure_text))
        }
        Effect::LogRestoreReport(report) => format!(
            "RESTORE_REPORT({},{}ms)",
            report.failure.as_ref().map_or("success".into(), failure_text),
            report.duration / 1_000
        ),
        Effect::LogRuntimeDone(done) => {
            let span = |span: Span| format!("{}-{}", span.began / 1_000, span.ended / 1_000);
            let response = done.response.map_or(String::new(), |r| format!(",{}", span(r.sent)));
            let failure =
                done.failure.as_ref().map_or(String::new(), |f| format!(",{}", failure_text(f)));
            format!("done({}{response}{failure})", span(done.ran))
        }
        Effect::BeginAnswer => "begin".into(),
        Effect::LogReport(report) => {
            let init =
                report.init_duration.map_or(String::new(), |d| format!(",init{}", d / 1_000));
            let restored = report.restored.map_or(String::new(), |restored| {
                format!(",restore{}/{}", restored.duration / 1_000, restored.hooks / 1_000)
            });
            let failure =
                report.failure.as_ref().map_or(String::new(), |f| format!(",{}", failure_text(f)));
            let overhead = report
                .extension_overhead
                .map_or(String::new(), |span| format!(",+{}", (span.ended - span.began) / 1_000));
            format!("REPORT({}ms{init}{restored}{overhead}{failure})", report.duration / 1_000)
        }
        Effect::TellDead(cause) => format!("dead({cause:?})"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// What only tells others of what happens; most tables leave it out.
fn tells(effect: &Effect) -> bool {
    match effect {
        Effect::LogInitReport(report) => report.failure.is_none(),
        Effect::LogInitRuntimeDone(_)
        | Effect::LogExtensions
        | Effect::LogRuntimeDone(_)
        | Effect::CloseSubscriptions
        | Effect::EndBurst => true,
        _ => false,
    }
}

fn run(script: &str) -> (Environment, String) {
    run_with(0, script)
}

fn run_with(externals: u32, script: &str) -> (Environment, String) {
    // Without extensions nobody could register anyway.
    let hidden = |e: &Effect| tells(e) || externals == 0 && *e == Effect::CloseRegistration;
    run_showing(externals, script, |effect| !hidden(effect))
}

fn terms(initialization: InitializationType) -> Terms {
    let (errand, timeout_ms) = (Errand::Serve, 3_000);
    Terms { initialization, errand, timeout_ms, life: LIFE_MS * 1_000 }
}

fn run_showing(
    externals: u32,
    script: &str,
    shown: impl Fn(&Effect) -> bool,
) -> (Environment, String) {
    let environment = Environment::new(0, terms(InitializationType::OnDemand));
    run_in(environment, externals, script, shown)
}

fn run_in(
    mut environment: Environment,
    externals: u32,
    script: &str,
    shown: impl Fn(&Effect) -> bool,
) -> (Environment, String) {
    let (mut now, mut out) = (0, Vec::new());
    for word in script.split(';').map(str::trim).filter(|w| !w.is_empty()) {
        if let Some(ms) = word.strip_prefix('+') {
            now += ms.parse::<u64>().unwrap() * 1_000;
            continue;
        }
        now += 1_000;
        out.push(match environment.step(parse(externals, word), now) {
            Ok(effects) => effects
                .iter()
                .filter(|effect| shown(effect))
                .map(effect_text)
                .collect::<Vec<_>>()
                .join(" "),
            Err(_) => "denied".into(),
        });
    }
    (environment, out.join(" | "))
}

/// In an environment of provisioned concurrency, without extensions.
fn check_provisioned(script: &str, expected: &str) {
    let environment = Environment::new(0, terms(InitializationType::ProvisionedConcurrency));
    let shown = |effect: &Effect| !tells(effect) && *effect != Effect::CloseRegistration;
    assert_eq!(run_in(environment, 0, script, shown).1, expected, "\nscript: {script}");
}

fn check(script: &str, expected: &str) {
    assert_eq!(run(script).1, expected, "\nscript: {script}");
}

const WARM: &str = "provisioned; next; quiet";

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
         fail(init_error) INIT_REPORT(init_error,2ms,invoke) START drain kill_all | REPORT(2ms,init_error) ready | init start",
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
         fail(invalidentrypoint) INIT_REPORT(invalidentrypoint,1ms,invoke) START drain kill_all | REPORT(1ms,invalidentrypoint) ready",
    );
}

#[test]
fn a_timeout_answers_the_caller_and_resets() {
    check(
        "provisioned; next; lease; +3000; deadline; exit0; empty; lease; next",
        "init start | ready | START deliver | fail(timeout) drain kill_all |  | REPORT(3000ms,init1,timeout) ready | init start | START deliver",
    );
}

#[test]
fn an_exit_while_running_fails_the_caller_once() {
    check(
        "provisioned; next; lease; exit0; deadline",
        "init start | ready | START deliver | fail(exit0) drain kill_all | REPORT(1ms,init1,exit0) destroy",
    );
}

#[test]
fn an_exit_after_the_answer_spares_the_caller() {
    check(
        "provisioned; next; lease; answered; exit0; empty",
        "init start | ready | START deliver | pass soon | drain kill_all | REPORT(2ms,init1,exit0) ready",
    );
}

#[test]
fn a_late_answer_after_a_timeout_changes_nothing() {
    check(
        "provisioned; next; lease; +3000; deadline; answered; empty",
        "init start | ready | START deliver | fail(timeout) drain kill_all |  | REPORT(3000ms,init1,timeout) ready",
    );
}

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

#[test]
fn memory_exhaustion_is_told_apart() {
    check(
        "provisioned; next; lease; oom; empty",
        "init start | ready | START deliver | fail(oom) drain kill_all | REPORT(1ms,init1,oom) ready",
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
        "init start | ready | START deliver | fail(exit0) drain kill_all | REPORT(1ms,init1,exit0) destroy | dead(UnclearEnd)",
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

#[test]
fn what_has_no_place_is_denied() {
    check("next", "denied");
    check("provisioned; lease", "init start | denied");
    check("provisioned; next; lease; lease", "init start | ready | START deliver | denied");
    check("provisioned; next; answered", "init start | ready | denied");
}

fn check_with(externals: u32, script: &str, expected: &str) {
    assert_eq!(run_with(externals, script).1, expected, "\nscript: {script}");
}

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
         kill_all | REPORT(3000ms,init3,+3001,timeout) ready",
    );
}

#[test]
fn an_extension_that_dies_takes_the_invocation_with_it() {
    check_with(
        1,
        "provisioned; register1; ext1; next; lease; crash1; exit0; empty",
        "init | start |  | close ready | START notify deliver | fail(crash) drain kill_all |  | REPORT(1ms,init3,crash) ready",
    );
    check_with(
        2,
        "provisioned; register1; ext1; register2; next; ext2; quiet; lease; crash1; exit0; crash2; empty",
        "init |  |  | start | close | ready | freeze | thaw START notify deliver | fail(crash) drain term | \
         shutdown(failure) | kill_all | REPORT(1ms,init5,crash) ready",
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
        "init start | ready | START deliver | fail(exit0) drain kill_all | REPORT(1ms,init1,exit0) |  | ready",
    );
    check_with(
        1,
        "provisioned; register1; ext1; next; lease; exit0; drained; crash1; empty",
        "init | start |  | close ready | START notify deliver | fail(exit0) drain shutdown(failure) | \
         REPORT(1ms,init3,exit0) | kill_all | ready",
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
        "init start | ready | START deliver | begin | fail(exit0) drain kill_all | REPORT(2ms,init1,exit0) ready",
    );
}

fn any_event() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "provisioned",
        "provision_failed",
        "start_failed",
        "next",
        "init_error",
        "begun",
        "answered",
        "exit0",
        "oom",
        "drained",
        "empty",
        "quiet",
        "lease",
        "stop",
        "kill",
        "deadline",
        "gone",
        "register1",
        "register2",
        "register_quiet",
        "register_internal",
        "ext1",
        "ext2",
        "internal",
        "crash1",
        "crash2",
        "snapshot",
        "restore_point",
        "restore_error",
        "restore_failed",
        "checkpointed",
    ])
}

/// What an outside observer may count on, whatever happens in whatever order.
#[derive(Default)]
struct Observer {
    open: bool,
    ready: bool,
    frozen: bool,
    dead: u32,
    destroyed: u32,
}

impl Observer {
    fn see(
        &mut self,
        event: &Event,
        effects: &[Effect],
        denied: bool,
    ) -> Result<(), TestCaseError> {
        let handed_back = denied || effects.contains(&Effect::HandBack);
        if matches!(event, Event::Lease { .. }) && !handed_back {
            prop_assert!(!self.open, "two invocations at once");
            prop_assert!(self.ready, "a lease was taken without having been welcome");
            (self.open, self.ready) = (true, false);
        }
        for effect in effects {
            match effect {
                Effect::PassAnswer | Effect::Fail(_) => {
                    prop_assert!(self.open, "an answer without an invocation");
                    self.open = false;
                }
                Effect::HandBack if !matches!(event, Event::Lease { .. }) => {
                    prop_assert!(self.open);
                    self.open = false;
                }
                Effect::TellReady => {
                    prop_assert!(!self.open && self.dead == 0 && self.destroyed == 0);
                    self.ready = true;
                }
                Effect::Freeze => {
                    prop_assert!(!self.open && !self.frozen);
                    self.frozen = true;
                }
                Effect::Thaw => self.frozen = false,
                Effect::Deliver => prop_assert!(!self.frozen, "delivered to a frozen runtime"),
                Effect::KillAll => prop_assert!(!self.frozen, "frozen processes cannot be ended"),
                Effect::TellDead(_) => self.dead += 1,
                Effect::Destroy => self.destroyed += 1,
                _ => {}
            }
        }
        prop_assert!(self.dead <= 1 && self.destroyed <= 1);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_order_of_events_breaks_the_promises(
        externals in 0_u32..3,
        (initialization, errand) in prop::sample::select(vec![
            (InitializationType::OnDemand, Errand::Serve),
            (InitializationType::ProvisionedConcurrency, Errand::Serve),
            (InitializationType::SnapStart, Errand::Serve),
            (InitializationType::SnapStart, Errand::Donate),
        ]),
        events in prop::collection::vec(any_event(), 0..60),
    ) {
        let terms = Terms { errand, ..terms(initialization) };
        let mut environment = Environment::new(0, terms);
        let mut observer = Observer::default();
        for (i, word) in events.into_iter().enumerate() {
            let event = parse(externals, word);
            let before = environment.clone();
            match environment.step(event.clone(), i as u64 * 1_000) {
                Ok(effects) => observer.see(&event, &effects, false)?,
                Err(_) => {
                    prop_assert_eq!(&environment, &before);
                    observer.see(&event, &[], true)?;
                }
            }
            let may_be_cold = initialization == InitializationType::OnDemand;
            prop_assert!(may_be_cold || *environment.phase() != Phase::Cold, "it went cold");
            let donates = errand == Errand::Donate;
            prop_assert!(!donates || !observer.ready, "a donor takes no lease");
        }
        // Whatever happened, a kill and the sandbox's end bring it to rest with nothing left open.
        for event in [Event::Kill { cause: Cause::Shutdown }, Event::Gone] {
            if let Ok(effects) = environment.step(event.clone(), 1_000_000) {
                observer.see(&event, &effects, false)?;
            }
        }
        let dead = matches!(environment.phase(), Phase::Dead { .. });
        prop_assert!(dead, "it did not end");
        prop_assert!(!observer.open, "an invocation was lost");
        prop_assert_eq!(observer.dead, 1);
    }
}
