//! How long the Runtime API itself takes: `next` to `response` and back, with a raw client. Prints;
//! asserts nothing about time. Run it with `--release -- --ignored --nocapture`.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement reads the clock and prints; its server ends with the process"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use dormouse_runtime_api::{Call, Delivery, serve};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const WARM_UP: usize = 2_000;
const ROUNDS: usize = 20_000;
const ID: &str = "00000000-0000-4000-8000-000000000001";

/// Answers every `next` at once with the same event, and takes every response.
async fn own(mut calls: mpsc::Receiver<Call>) {
    let event = Delivery {
        request_id: ID.parse().expect("a fixed id is valid"),
        deadline_ms: 1_700_000_000_000,
        invoked_function_arn: "arn:aws:lambda:us-east-1:000000000000:function:f".into(),
        trace_id: Some("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=0;Sampled=0".into()),
        client_context: None,
        cognito_identity: None,
        tenant_id: None,
        payload: "{\"key\":\"value\"}".into(),
    };
    while let Some(call) = calls.recv().await {
        match call {
            Call::Next { reply } => drop(reply.send(Ok(event.clone()))),
            Call::Response { reply, .. } => drop(reply.send(Ok(()))),
            other => panic!("only next and response are sent, not {other:?}"),
        }
    }
}

/// A server on a thread of its own, as the daemon has it: one connection task, one owner task.
fn start() -> SocketAddr {
    let (address, started) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().expect("a runtime starts");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
            let local = listener.local_addr().expect("it is bound");
            address.send(local).expect("the test waits for it");
            let (connection, _) = listener.accept().await.expect("the test connects");
            connection.set_nodelay(true).expect("it is a TCP socket");
            let (sender, receiver) = mpsc::channel(8);
            let owner = tokio::spawn(own(receiver));
            let _ = serve(connection, sender).await;
            owner.await.expect("the owner does not panic");
        });
    });
    started.recv().expect("the server starts")
}

fn exchange(connection: &mut TcpStream, request: &[u8], end: &[u8]) {
    let mut answer = [0; 4_096];
    let mut read = 0;
    connection.write_all(request).expect("the server reads");
    while !answer[..read].ends_with(end) {
        let more = connection.read(&mut answer[read..]);
        read += more.expect("the server answers");
    }
}

fn measure(name: &str, mut round: impl FnMut()) {
    for _ in 0..WARM_UP {
        round();
    }
    let timed = |_| {
        let start = Instant::now();
        round();
        start.elapsed()
    };
    let mut times: Vec<Duration> = (0..ROUNDS).map(timed).collect();
    times.sort();
    let at = |percent: usize| times[(ROUNDS - 1) * percent / 100];
    println!("{name}: p50 {:?}, p99 {:?}, least {:?}", at(50), at(99), times[0]);
}

#[test]
#[ignore = "a measurement"]
fn next_and_response_over_loopback() {
    let mut connection = TcpStream::connect(start()).expect("the server listens");
    connection.set_nodelay(true).expect("it is a TCP socket");
    let ping = b"GET /2018-06-01/ping HTTP/1.1\r\nHost: x\r\n\r\n";
    let next = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n";
    let response = format!(
        "POST /2018-06-01/runtime/invocation/{ID}/response HTTP/1.1\r\nHost: x\r\n\
         Content-Type: application/json\r\nContent-Length: 4\r\n\r\nnull"
    );
    // What HTTP and the loopback alone cost, twice: the floor of the line after it.
    measure("ping + ping", || {
        exchange(&mut connection, ping, b"pong");
        exchange(&mut connection, ping, b"pong");
    });
    measure("next + response", || {
        exchange(&mut connection, next, b"\"value\"}");
        exchange(&mut connection, response.as_bytes(), b"\"OK\"}\n");
    });
}
