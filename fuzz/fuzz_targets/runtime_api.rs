//! Any bytes on a connection from inside an environment: whatever they are, serving them must not
//! panic, must end once the sender is done, must keep every body and report within its bounds, and
//! must answer nothing but HTTP.
//!
//! The first byte says in which pieces the rest arrives. Time is paused, so deadlines cost nothing.
//!
//! Needs `[profile.release.package.hyper] debug-assertions = false`: hyper 1.12 asserts, in debug only,
//! that its write buffer is empty when it answers a malformed head, which a client that pipelines and
//! does not read can make untrue. Without the assertion only that client's own answers are mixed up.
//!
//! `cargo +nightly fuzz run runtime_api -- -max_len=4096`

#![no_main]

use dormouse_runtime_api::{
    Call, Delivery, Destination, ErrorReport, ExtensionEvent, Identifier, Piece, Registration,
    Refusal, ResponseStream, StreamEnd, Subscription, limits, serve,
};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

const RESPONSE_BYTES: usize = 6_291_556;

fuzz_target!(|input: &[u8]| {
    let Some((&pieces, bytes)) = input.split_first() else {
        return;
    };
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    runtime.expect("a runtime starts").block_on(async {
        let (client, server) = tokio::io::duplex(256);
        let (sender, calls) = mpsc::channel(1);
        let (_, output, ()) = tokio::join!(
            serve(server, sender),
            converse(client, bytes, usize::from(pieces).max(1)),
            own(calls),
        );
        assert!(output.is_empty() || output.starts_with(b"HTTP/1."));
    });
});

/// Sends everything, then closes its side; returns when the server has closed the other.
async fn converse(client: DuplexStream, bytes: &[u8], piece_bytes: usize) -> Vec<u8> {
    let (mut reader, mut writer) = tokio::io::split(client);
    let write = async move {
        for piece in bytes.chunks(piece_bytes) {
            // The server may close before it has read everything.
            if writer.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
        let _ = writer.shutdown().await;
    };
    let read = async {
        let mut output = Vec::new();
        let _ = reader.read_to_end(&mut output).await;
        output
    };
    tokio::join!(write, read).1
}

/// An owner that says yes to everything, and checks what it is given.
async fn own(mut calls: mpsc::Receiver<Call>) {
    while let Some(call) = calls.recv().await {
        let reply = match call {
            Call::Next { reply } => {
                let _ = reply.send(Ok(event()));
                continue;
            }
            Call::Credentials { reply, .. } => {
                let _ = reply.send(Err(Refusal::UnknownToken));
                continue;
            }
            Call::ResponseStream { body, reply, .. } => {
                drain(body).await;
                reply
            }
            extensions @ (Call::Register { .. }
            | Call::ExtensionNext { .. }
            | Call::ExtensionInitError { .. }
            | Call::ExtensionExitError { .. }
            | Call::Subscribe { .. }) => {
                own_extension(extensions);
                continue;
            }
            Call::Response { body, reply, .. } => {
                assert!(body.len() <= RESPONSE_BYTES);
                reply
            }
            Call::TooLarge { size_bytes, reply, .. } => {
                assert!(size_bytes > RESPONSE_BYTES as u64);
                reply
            }
            Call::Error { report, reply, .. }
            | Call::InitError { report, reply }
            | Call::RestoreError { report, reply } => {
                check(&report);
                reply
            }
            Call::Truncated { reply, .. }
            | Call::InvalidResponseMode { reply, .. }
            | Call::RestoreNext { reply } => reply,
        };
        let _ = reply.send(Ok(()));
    }
}

/// Reads a stream to its end, which comes once, and behind which there is nothing.
async fn drain(mut stream: ResponseStream) {
    let mut bytes = 0;
    let end = loop {
        match stream.next().await {
            Piece::Data(data) => {
                assert!(!data.is_empty());
                bytes += data.len() as u64;
                assert!(bytes <= limits::STREAM_BYTES);
            }
            Piece::End(end) => break end,
        }
    };
    if let StreamEnd::Failed(error) = end {
        // A stream's is passed on as it is, and bounded all the same.
        assert!((1..=limits::ERROR_TYPE_BYTES).contains(&error.error_type.len()));
        assert!(!error.error_type.contains(char::is_control));
    }
    assert_eq!(stream.next().await, Piece::End(StreamEnd::Truncated));
}

/// The same owner for extensions.
fn own_extension(call: Call) {
    match call {
        Call::Register { name, reply, .. } => {
            assert!(!name.is_empty() && name.len() <= limits::EXTENSION_NAME_BYTES);
            assert!(!name.contains(char::is_control));
            let _ = reply.send(Ok(registration()));
        }
        Call::ExtensionNext { identifier, reply } => {
            assert_eq!(identifier.to_string().parse(), Ok(identifier));
            let _ = reply.send(Ok(extension_event(identifier)));
        }
        Call::ExtensionInitError { error_type, body, reply, .. }
        | Call::ExtensionExitError { error_type, body, reply, .. } => {
            assert!(!error_type.is_empty() && error_type.len() <= limits::ERROR_TYPE_BYTES);
            assert!(!error_type.contains(char::is_control));
            assert!(body.len() <= limits::EXTENSION_BODY_BYTES);
            let _ = reply.send(Ok(()));
        }
        Call::Subscribe { subscription, reply, .. } => {
            check_subscription(&subscription);
            let _ = reply.send(Ok(()));
        }
        other => panic!("no call of an extension: {other:?}"),
    }
}

fn check_subscription(subscription: &Subscription) {
    let Subscription { types, buffering, destination, .. } = subscription;
    assert!(types.platform || types.function || types.extension);
    assert!(limits::TELEMETRY_BYTES.contains(&buffering.max_bytes));
    assert!(limits::TELEMETRY_ITEMS.contains(&buffering.max_items));
    assert!(limits::TELEMETRY_MS.contains(&buffering.timeout_ms));
    let port = match destination {
        Destination::Tcp { port } => *port,
        Destination::Http { host, port, path, .. } => {
            let hosts = ["sandbox.localdomain", "sandbox", "127.0.0.1", "localhost"];
            assert!(hosts.contains(&host.as_str()));
            assert!(path.starts_with('/') && !path.contains(char::is_control));
            *port
        }
    };
    assert!(port != 0 && !limits::PLATFORM_PORTS.contains(&port));
}

fn check(report: &ErrorReport) {
    assert!(report.body.len() <= RESPONSE_BYTES);
    if let Some(error_type) = &report.error_type {
        check_error_type(error_type);
    }
    if let Some(cause) = &report.xray_cause {
        assert!(cause.len() <= limits::XRAY_CAUSE_BYTES);
        assert!(cause.starts_with(b"{\"exceptions\":"));
    }
}

fn check_error_type(error_type: &str) {
    assert!(error_type.len() <= limits::ERROR_TYPE_BYTES);
    assert!(error_type.contains("Runtime.") || error_type.contains("Function."));
    assert!(!error_type.contains(char::is_control));
}

fn registration() -> Registration {
    Registration {
        identifier: Identifier::from_u128(1),
        function_name: "f".into(),
        function_version: "$LATEST".into(),
        handler: "h".into(),
        account_id: Some("000000000000".into()),
    }
}

fn extension_event(event_identifier: Identifier) -> ExtensionEvent {
    ExtensionEvent::Invoke {
        deadline_ms: 1,
        request_id: event().request_id,
        invoked_function_arn: event().invoked_function_arn,
        trace_id: None,
        event_identifier,
    }
}

fn event() -> Delivery {
    Delivery {
        request_id: "00000000-0000-4000-8000-000000000001".parse().expect("a fixed id is valid"),
        deadline_ms: 1,
        invoked_function_arn: "arn:aws:lambda:us-east-1:000000000000:function:f".into(),
        trace_id: None,
        client_context: Some("{\n}".into()),
        cognito_identity: None,
        tenant_id: None,
        payload: "{}".into(),
    }
}
