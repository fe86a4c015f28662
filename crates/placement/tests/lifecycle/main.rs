//! Environments and assignment together, on the fake backend: what callers get, what is logged, and
//! that the next invocation works, whatever the runtime does.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod metrics;
mod provisioned;
mod room;
mod snap_start;
mod streams;
mod tenants;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dormouse_model::environment::Cause;
use dormouse_model::invocation::ErrorOf;
use world::World;

const LONG: Duration = Duration::from_secs(600);

async fn world() -> World {
    World::new(Arc::new(|| "well"), LONG).await
}

/// A log with what differs from run to run masked.
fn mask(lines: &[String]) -> String {
    let mut out = String::new();
    for line in lines.iter().flat_map(|event| event.lines()) {
        for word in line.trim_end().split_inclusive([' ', '\t']) {
            let bare = word.trim_end();
            let is_id = bare.len() == 36 && bare.matches('-').count() == 4;
            let is_time =
                bare.parse::<f64>().is_ok() || (bare.ends_with('Z') && bare.contains('T'));
            out.push_str(&if is_id || is_time { word.replace(bare, "_") } else { word.to_owned() });
        }
        out.push('\n');
    }
    out.replace("arn:aws:lambda:us-east-1::runtime:", "RUNTIME ")
        .lines()
        .map(|line| line.split("RUNTIME ").next().unwrap_or_default().trim_end().to_owned() + "\n")
        .collect()
}

async fn check(event: &str, payload: &str, log: &str) {
    let world = world().await;
    let answer = world.invoke(event).await.unwrap();
    let got = String::from_utf8(answer.payload.to_vec()).unwrap();
    let request = got.split("RequestId: ").nth(1).and_then(|rest| rest.get(..36)).unwrap_or("-");
    assert_eq!(got.replace(request, if request == "-" { "-" } else { "ID" }), payload, "{event}");
    // Whatever happened, the next one works, in the same environment.
    let next = world.invoke("\"next\"").await.unwrap();
    assert_eq!(&next.payload[..], b"\"next\"", "{event}");
    assert!(next.error.is_none());
    let logs = world.drain_and_read_logs().await;
    // One that takes long to be reset is not waited for.
    assert!(logs.len() <= 2, "{event}: {} environments", logs.len());
    let masked = mask(&logs[0]);
    let until_next = masked.split("got \"next\"").next().unwrap();
    let wanted: String = log.lines().map(|line| line.trim().to_owned() + "\n").collect();
    assert!(until_next.contains(wanted.trim_start()), "{event}:\n{until_next}\nwanted:\n{wanted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_passed_on_and_logged() {
    check(
        "{\"a\":1}",
        "{\"a\":1}",
        "INIT_START Runtime Version: provided:al2023\tRuntime Version ARN:
         START RequestId: _ Version: $LATEST
         got {\"a\":1}
         END RequestId: _
         REPORT RequestId: _\tDuration: _ ms\tBilled Duration: _ ms\tMemory Size: _ MB\tMax Memory Used: _ MB\tInit Duration: _ ms",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_function_is_passed_on_unchanged() {
    check(
        "\"error\"",
        r#"{"errorType":"E","errorMessage":"m"}"#,
        "got \"error\"\nEND RequestId: _",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_fails_the_caller_and_is_named_in_the_log() {
    check(
        "\"exit 3\"",
        r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited with error: exit status 3"}"#,
        "RequestId: _ Error: Runtime exited with error: exit status _
         Runtime.ExitError
         END RequestId: _",
    )
    .await;
    check(
        "\"exit\"",
        r#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ID Error: Runtime exited without providing a reason"}"#,
        "Runtime.ExitError",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_answers_at_once_and_resets() {
    check(
        "\"hang\"",
        r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: ID Error: Task timed out after 1.00 seconds"}"#,
        "_ _ Task timed out after _ seconds",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_answer_counts_and_a_wrong_id_does_not() {
    check("\"twice\"", "\"first\"", "got \"twice\"").await;
    check("\"wrong id\"", "\"after a wrong id\"", "got \"wrong id\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_ends_after_its_answer_spares_the_caller() {
    check("\"answer and exit\"", "\"bye\"", "got \"answer and exit\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_without_a_newline_belongs_to_its_invocation() {
    check("\"partial line\"", "null", "no newline\nEND RequestId: _").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_environments_as_simultaneous_callers_and_then_reuse() {
    let world = world().await;
    let (a, b, c) = tokio::join!(
        world.invoke("\"sleep\""),
        world.invoke("\"sleep\""),
        world.invoke("\"sleep\"")
    );
    for answer in [a, b, c] {
        assert_eq!(&answer.unwrap().payload[..], b"\"slept\"");
    }
    for _ in 0..5 {
        world.invoke("1").await.unwrap();
    }
    assert_eq!(world.lives().await.len(), 3);
    let logs = world.drain_and_read_logs().await;
    let starts = logs.iter().flatten().filter(|line| line.starts_with("START")).count();
    assert_eq!(starts, 8, "each ran once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_init_that_fails_once_is_made_good_by_the_first_invocation() {
    let starts = AtomicUsize::new(0);
    let boot = move || {
        if starts.fetch_add(1, Ordering::Relaxed) == 0 { "exit" } else { "well" }
    };
    let world = World::new(Arc::new(boot), LONG).await;
    let answer = world.invoke("1").await.unwrap();
    assert_eq!(&answer.payload[..], b"1");
    let logs = world.drain_and_read_logs().await;
    assert!(
        mask(&logs[0]).contains("INIT_REPORT Init Duration: _ ms\tPhase: init\tStatus: error\tError Type: Runtime.ExitError\n"),
        "{:?}",
        logs[0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_init_that_keeps_failing_gives_the_caller_its_own_words() {
    let world = World::new(Arc::new(|| "init error"), LONG).await;
    for _ in 0..2 {
        let answer = world.invoke("1").await.unwrap();
        assert_eq!(answer.error, Some(ErrorOf::Function));
        assert_eq!(&answer.payload[..], br#"{"errorType":"Init","errorMessage":"no"}"#);
    }
    let logs = mask(&world.drain_and_read_logs().await[0]);
    let suppressed = "INIT_REPORT Init Duration: _ ms\tPhase: invoke\tStatus: error\tError Type: Runtime.Unknown\nSTART";
    assert!(logs.contains(suppressed), "{logs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_environment_ends_after_its_time() {
    let world = World::new(Arc::new(|| "well"), Duration::from_millis(50)).await;
    world.invoke("1").await.unwrap();
    let ended = async {
        while world.fake.live() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it ends");
    // Its sandbox goes first.
    world.until_lives(|life| life.ended.is_some()).await;
    world.invoke("1").await.unwrap();
    let lives = world.lives().await;
    assert_eq!(
        lives.iter().map(|l| l.birth.cold_reason).collect::<Vec<_>>(),
        ["first", "idle-expiry"]
    );
    assert_eq!(lives[0].ended.map(|ended| ended.cause), Some("idle"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_lets_the_old_invocation_finish_and_gives_the_next_a_new_environment() {
    let world = Arc::new(world().await);
    let running = tokio::join!(world.invoke("\"sleep\""), async {
        let busy = async {
            while world.fake.live() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), busy).await.expect("it starts");
        let new = world.version(2);
        world.placement.retire(&new.key, Some(&new), Cause::Update).await;
        world.invoke_version(&new, "2").await
    });
    let old = running.0;
    // Either it ran to its end on the old version, or it was told to look the version up again.
    if let Ok(answer) = old {
        assert_eq!(&answer.payload[..], b"\"slept\"");
    }
    assert_eq!(&running.1.unwrap().payload[..], b"2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_cannot_be_made_fails_one_caller_and_not_the_next() {
    let world = world().await;
    world.fake.refuse_next("clone");
    let answer = world.invoke("1").await.unwrap();
    assert_eq!(answer.error, Some(ErrorOf::Platform));
    assert_eq!(&world.invoke("1").await.unwrap().payload[..], b"1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_with_no_patience_answers_what_still_runs() {
    let world = Arc::new(world().await);
    let (answer, ()) = tokio::join!(world.invoke("\"hang\""), async {
        let busy = async {
            while world.fake.live() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), busy).await.expect("it starts");
        world.placement.drain(Duration::ZERO).await;
    });
    assert_eq!(answer.unwrap().error, Some(ErrorOf::Platform));
    assert_eq!(world.fake.live(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_first_callers_at_once_are_answered_to_the_last() {
    let world = Arc::new(world().await);
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..1_000 {
        let world = world.clone();
        callers.spawn(async move {
            let answer = world.invoke_version(&world.lasting(), &caller.to_string()).await;
            (caller, answer)
        });
    }
    let mut most = 0;
    while let Some(answered) = callers.join_next().await {
        let (caller, answer) = answered.unwrap();
        assert_eq!(answer.unwrap().payload, caller.to_string());
        most = most.max(world.fake.live());
    }
    assert!(most <= 1_000, "{most} environments for 1 000 callers");
    let world = Arc::into_inner(world).expect("nobody calls any more");
    world.drain_and_read_logs().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_while_he_waits_or_runs_has_his_invocation_run_all_the_same() {
    let world = Arc::new(world().await);
    let mut callers = tokio::task::JoinSet::new();
    let mut call = |event: &'static str| {
        let world = world.clone();
        callers.spawn(async move { world.invoke(event).await })
    };
    let waiting = call("\"waits\"");
    let begun = async {
        while world.fake.live() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(world::PATIENCE, begun).await.expect("it is being made");
    waiting.abort();
    let running = call("\"sleep\"");
    let runs = async {
        while world.lives().await.iter().map(|life| life.invocations).sum::<u64>() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(world::PATIENCE, runs).await.expect("both run");
    running.abort();
    while callers.join_next().await.is_some() {}
    let world = Arc::into_inner(world).expect("nobody calls any more");
    let logs: Vec<String> = world.drain_and_read_logs().await.into_iter().flatten().collect();
    for got in ["got \"waits\"", "got \"sleep\""] {
        assert!(logs.iter().any(|line| line.contains(got)), "{got}: {logs:?}");
    }
    assert_eq!(logs.iter().filter(|line| line.starts_with("REPORT")).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_function_that_is_never_at_rest_are_handed_over() {
    let world = world().await;
    let handed_over = async {
        // The next invocation follows at once, so that no line is ever the last one for long.
        while world.lines().await == 0 {
            world.invoke("1").await.unwrap();
        }
    };
    tokio::time::timeout(world::PATIENCE, handed_over).await.expect("lines are in the store");
    world.drain_and_read_logs().await;
}
