//! The part of the contract about connecting into a sandbox. The ports are the sandbox's own, so
//! they can be the same everywhere.

use std::io::ErrorKind;

use dormouse_sandbox::{CONNECT_DEADLINE, ConnectError, Connection, Created, ProcessId, Signal};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::{PATIENCE, World, answer, is_quiet, next, probe};

/// The port that AWS's examples of extensions listen on.
const PORT: u16 = 4243;

/// A sandbox in which process 1 listens in this way.
async fn listening(world: &World, actions: &[&str]) -> Created {
    let mut sandbox = world.create().await;
    sandbox.sandbox.start(probe(1, actions)).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "1 out listening");
    sandbox
}

async fn talk(mut connection: Connection, text: &str) -> String {
    connection.write_all(text.as_bytes()).await.unwrap();
    connection.shutdown().await.unwrap();
    let mut heard = String::new();
    connection.read_to_string(&mut heard).await.unwrap();
    heard
}

/// Why a connection did not come about.
async fn refusal(sandbox: &Created, port: u16) -> Option<ErrorKind> {
    match sandbox.sandbox.connect(port).await {
        Err(ConnectError::Refused(error)) => Some(error.kind()),
        Ok(_) | Err(ConnectError::Gone(_)) => None,
    }
}

pub(crate) async fn a_listener_can_be_connected_to(world: &World) {
    let mut sandbox = listening(world, &["listen", "4243"]).await;
    let connection = sandbox.sandbox.connect(PORT).await.unwrap();
    assert_eq!(talk(connection, "telemetry").await, "heard telemetry");
    assert_eq!(next(&mut sandbox).await, "1 out telemetry");
    assert_eq!(next(&mut sandbox).await, "1 exited 0");
    sandbox.sandbox.destroy().await;
}

pub(crate) async fn where_nobody_listens_a_connection_is_refused(world: &World) {
    let sandbox = listening(world, &["hold", "4243", "sleep"]).await;
    assert_eq!(refusal(&sandbox, PORT + 1).await, Some(ErrorKind::ConnectionRefused));
    let other = world.create().await;
    assert_eq!(refusal(&other, PORT).await, Some(ErrorKind::ConnectionRefused));
    other.sandbox.destroy().await;
    sandbox.sandbox.destroy().await;
}

pub(crate) async fn the_services_ports_lead_nowhere(world: &World) {
    let mut sandbox = world.create().await;
    for port in [9000, 9001] {
        assert_eq!(refusal(&sandbox, port).await, Some(ErrorKind::ConnectionRefused));
    }
    assert!(sandbox.connections.try_recv().is_err());
    sandbox.sandbox.destroy().await;
}

pub(crate) async fn with_its_process_a_listener_is_gone(world: &World) {
    let mut sandbox = listening(world, &["hold", "4243", "sleep"]).await;
    let mut old = sandbox.sandbox.connect(PORT).await.unwrap();
    sandbox.sandbox.kill_all().await.unwrap();
    assert_eq!(next(&mut sandbox).await, "1 killed 9");
    assert_eq!(next(&mut sandbox).await, "empty");
    assert_eq!(refusal(&sandbox, PORT).await, Some(ErrorKind::ConnectionRefused));
    assert!(old.read_u8().await.is_err(), "the old connection has ended");
    // The port is free for the next, which may end in another way.
    sandbox.sandbox.start(probe(2, &["hold", "4243", "sleep"])).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "2 out listening");
    drop(sandbox.sandbox.connect(PORT).await.unwrap());
    sandbox.sandbox.signal(ProcessId(2), Signal::Kill).await.unwrap();
    assert_eq!(next(&mut sandbox).await, "2 killed 9");
    assert_eq!(refusal(&sandbox, PORT).await, Some(ErrorKind::ConnectionRefused));
    sandbox.sandbox.destroy().await;
}

pub(crate) async fn a_frozen_sandbox_stays_frozen_when_connected_to(world: &World) {
    let mut sandbox = listening(world, &["listen", "4243"]).await;
    sandbox.sandbox.freeze().await.unwrap();
    let connection = sandbox.sandbox.connect(PORT).await.unwrap();
    let talk = talk(connection, "early");
    tokio::pin!(talk);
    tokio::select! {
        heard = &mut talk => panic!("a frozen process said {heard}"),
        quiet = is_quiet(&mut sandbox) => assert!(quiet),
    }
    sandbox.sandbox.thaw().await.unwrap();
    assert_eq!(talk.await, "heard early");
    sandbox.sandbox.destroy().await;
}

/// Starts this many attempts to connect at once.
fn attempts(sandbox: &Created, count: usize) -> JoinSet<Result<Connection, ConnectError>> {
    let mut attempts = JoinSet::new();
    for _ in 0..count {
        let sandbox = sandbox.sandbox.clone();
        attempts.spawn(async move { sandbox.connect(PORT).await });
    }
    attempts
}

pub(crate) async fn connections_that_nobody_accepts_hold_nothing_up(world: &World) {
    let mut sandbox = listening(world, &["hold", "4243", "sleep"]).await;
    let attempts = attempts(&sandbox, 100);
    assert_eq!(answer(&mut sandbox, 2, &["print", "well"]).await, "well");
    let all = tokio::time::timeout(CONNECT_DEADLINE + PATIENCE, attempts.join_all()).await.unwrap();
    let made = all.iter().filter(|attempt| attempt.is_ok()).count();
    assert!((1..100).contains(&made), "{made} of 100 were taken, though nobody takes them");
    let late = all.iter().filter(|attempt| {
        matches!(attempt, Err(ConnectError::Refused(error)) if error.kind() == ErrorKind::TimedOut)
    });
    assert_eq!(late.count(), 100 - made);
    assert_eq!(answer(&mut sandbox, 3, &["print", "still well"]).await, "still well");
    sandbox.sandbox.kill_all().await.unwrap();
    assert_eq!(next(&mut sandbox).await, "1 killed 9");
    assert_eq!(next(&mut sandbox).await, "empty");
    sandbox.sandbox.destroy().await;
}

pub(crate) async fn a_sandbox_that_ends_ends_attempts_to_connect(world: &World) {
    let sandbox = listening(world, &["hold", "4243", "sleep"]).await;
    let mut attempts = attempts(&sandbox, 100);
    // The first success shows that they are under way.
    let first = attempts.join_next().await.unwrap().unwrap();
    assert!(first.is_ok(), "{first:?}");
    sandbox.sandbox.destroy().await;
    for attempt in attempts.join_all().await {
        match attempt {
            Ok(_) | Err(ConnectError::Gone(_)) => {}
            // A machine under load may need longer for the end than they wait.
            Err(ConnectError::Refused(error)) => assert_eq!(error.kind(), ErrorKind::TimedOut),
        }
    }
}
