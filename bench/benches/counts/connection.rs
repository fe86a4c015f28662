//! The Runtime API's connection: a runtime's `next` and its response over an in-memory pipe, with an
//! owner that answers at once. Heads are parsed and written as on a socket.

use bytes::Bytes;
use dormouse_bench::{Inbox, status};
use dormouse_runtime_api::{Call, Delivery, serve};
use gungraun::library_benchmark;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

const REQUEST: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
const PIPE_BYTES: usize = 65_536;
const NEXT: &[u8] =
    b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n\r\n";
/// Until buffers have the size they keep.
const WARM_UP: usize = 8;

/// One runtime, connected, and the owner of its environment.
pub struct Connected {
    runtime: Runtime,
    pipe: DuplexStream,
    calls: mpsc::Receiver<Call>,
    inbox: Inbox,
    response: Vec<u8>,
}

fn connected() -> Connected {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (pipe, theirs) = tokio::io::duplex(PIPE_BYTES);
    let (sender, calls) = mpsc::channel(4);
    runtime.spawn(serve(theirs, sender));
    let response = format!(
        "POST /2018-06-01/runtime/invocation/{REQUEST}/response HTTP/1.1\r\n\
         Host: 127.0.0.1:9001\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n\
         {{\"name\":\"you\"}}"
    );
    let inbox = Inbox::default();
    let mut connected = Connected { runtime, pipe, calls, inbox, response: response.into() };
    (0..WARM_UP).for_each(|_| connected.exchange());
    connected
}

impl Connected {
    fn exchange(&mut self) {
        let Self { runtime, pipe, calls, inbox, response } = self;
        runtime.block_on(async {
            pipe.write_all(NEXT).await.unwrap();
            answer(calls).await;
            receive(pipe, inbox, 200).await;
            pipe.write_all(response).await.unwrap();
            answer(calls).await;
            receive(pipe, inbox, 202).await;
        });
    }
}

/// What the environment's owner does with a call.
async fn answer(calls: &mut mpsc::Receiver<Call>) {
    match calls.recv().await.unwrap() {
        Call::Next { reply } => assert!(reply.send(Ok(delivery())).is_ok()),
        Call::Response { reply, .. } => assert!(reply.send(Ok(())).is_ok()),
        other => panic!("{other:?} was not asked for"),
    }
}

fn delivery() -> Delivery {
    Delivery {
        request_id: REQUEST.parse().unwrap(),
        deadline_ms: 1_795_000_000_000,
        invoked_function_arn: "arn:aws:lambda:us-east-1:123456789012:function:hello".to_owned(),
        trace_id: Some("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0".to_owned()),
        client_context: None,
        cognito_identity: None,
        tenant_id: None,
        payload: Bytes::from_static(br#"{"name":"you"}"#),
    }
}

async fn receive(pipe: &mut DuplexStream, inbox: &mut Inbox, expected: u16) {
    let mut piece = [0; 1_024];
    loop {
        if let Some(head) = inbox.message() {
            assert_eq!(status(&inbox.bytes()[..head.body]), Some(expected));
            inbox.consume(head);
            return;
        }
        let count = pipe.read(&mut piece).await.unwrap();
        assert_ne!(count, 0, "the connection ended");
        inbox.read_once(&mut &piece[..count]).unwrap();
    }
}

#[library_benchmark]
#[bench::next_and_response(connected())]
fn runtime_api_exchange(mut connected: Connected) -> Connected {
    connected.exchange();
    connected
}
