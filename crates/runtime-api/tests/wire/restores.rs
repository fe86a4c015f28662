//! A runtime that may be restored: how it waits at its restore point, loses its connection there, and
//! goes on.

use dormouse_runtime_api::{Call, RuntimeState, limits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::answers::{ACCEPTED, EVENT_1, NEXT, forbidden};
use crate::owner::{Owner, event};
use crate::talk::{Then, block_on, talk};

const RESTORE_NEXT: &str = "GET /2018-06-01/runtime/restore/next HTTP/1.1\r\nHost: x\r\n\r\n";
const RESTORE_ERROR: &str = "POST /2018-06-01/runtime/restore/error HTTP/1.1\r\nHost: x\r\n\
    Lambda-Runtime-Function-Error-Type: Runtime.AfterRestoreError\r\nContent-Length: 2\r\n\r\n{}";
const RELEASED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// An environment as the runtimes in it see it.
struct Inside {
    owner: Owner,
    sender: mpsc::Sender<Call>,
    calls: mpsc::Receiver<Call>,
    served: JoinSet<()>,
}

impl Inside {
    fn new(state: RuntimeState) -> Self {
        let (sender, calls) = mpsc::channel(8);
        let owner = Owner::in_state(state, [event(1)]);
        Self { owner, sender, calls, served: JoinSet::new() }
    }

    /// A new connection with a request on it, which the owner has taken.
    async fn ask(&mut self, request: &str) -> DuplexStream {
        let (mut client, server) = tokio::io::duplex(4_096);
        let sender = self.sender.clone();
        self.served.spawn(async move { drop(serve(server, sender).await) });
        client.write_all(request.as_bytes()).await.unwrap();
        self.owner.take(self.calls.recv().await.unwrap());
        client
    }
}

async fn expect(client: &mut DuplexStream, answer: &str) {
    let mut seen = vec![0; answer.len()];
    client.read_exact(&mut seen).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&seen), answer);
}

/// Whether nothing has come. Time is paused: it passes only when nobody has anything to do.
async fn is_silent(client: &mut DuplexStream) -> bool {
    let patience = std::time::Duration::from_secs(3_600);
    tokio::time::timeout(patience, client.read_u8()).await.is_err()
}

#[test]
fn a_runtime_waits_at_its_restore_point_and_then_for_an_event() {
    block_on(async {
        let mut inside = Inside::new(RuntimeState::Started { restorable: true });
        let mut client = inside.ask(RESTORE_NEXT).await;
        assert!(is_silent(&mut client).await);
        inside.owner.release();
        expect(&mut client, RELEASED).await;
        client.write_all(NEXT.as_bytes()).await.unwrap();
        inside.owner.take(inside.calls.recv().await.unwrap());
        expect(&mut client, EVENT_1).await;
    });
}

#[test]
fn one_that_lost_its_connection_at_the_restore_point_asks_again() {
    block_on(async {
        let mut inside = Inside::new(RuntimeState::Started { restorable: true });
        drop(inside.ask(RESTORE_NEXT).await);
        let mut second = inside.ask(RESTORE_NEXT).await;
        assert!(is_silent(&mut second).await);
        inside.owner.release();
        expect(&mut second, RELEASED).await;
        drop(second);
        let mut third = inside.ask(RESTORE_NEXT).await;
        expect(&mut third, RELEASED).await;
    });
}

#[test]
fn a_restored_process_begins_at_its_restore_point() {
    block_on(async {
        let mut early = Inside::new(RuntimeState::RestoreReady);
        let mut client = early.ask(RESTORE_NEXT).await;
        early.owner.release();
        expect(&mut client, RELEASED).await;

        let mut late = Inside::new(RuntimeState::RestoreReady);
        late.owner.release();
        let mut client = late.ask(RESTORE_NEXT).await;
        expect(&mut client, RELEASED).await;
        let mut client = late.ask(NEXT).await;
        expect(&mut client, EVENT_1).await;
    });
}

#[test]
fn of_many_calls_of_restore_next_a_few_are_parked_and_the_rest_refused() {
    block_on(async {
        let mut inside = Inside::new(RuntimeState::RestoreReady);
        let mut parked = Vec::new();
        for _ in 0..limits::PARKED_NEXT {
            parked.push(inside.ask(RESTORE_NEXT).await);
        }
        let mut refused = inside.ask(RESTORE_NEXT).await;
        expect(&mut refused, &forbidden("RestoreReady", "RestoreReady")).await;
        inside.owner.release();
        for client in &mut parked {
            expect(client, RELEASED).await;
        }
    });
}

#[test]
fn a_restore_error_is_taken_once_and_nothing_follows_it() {
    let input = [RESTORE_ERROR, RESTORE_ERROR, RESTORE_NEXT, NEXT].concat();
    let owner = Owner::in_state(RuntimeState::Restoring, []);
    let talk = talk(input.as_bytes(), Then::Wait, owner);
    let expected = [
        ACCEPTED.to_owned(),
        forbidden("RestoreError", "RestoreError"),
        forbidden("RestoreError", "Ready"),
        forbidden("RestoreError", "Ready"),
    ];
    assert_eq!(talk.output, expected.concat());
    let told = "RestoreError {} Some(\"Runtime.AfterRestoreError\") None";
    assert_eq!(talk.calls, [told, told, "RestoreNext", "next"]);
}
