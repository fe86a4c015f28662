//! Table and property tests of the machine: events in, effects out, as text.

mod ends;
mod extensions;
mod init;
mod invocation;
mod observer;
mod snap_start;
mod told;

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

fn check_with(externals: u32, script: &str, expected: &str) {
    assert_eq!(run_with(externals, script).1, expected, "\nscript: {script}");
}

const WARM: &str = "provisioned; next; quiet";
