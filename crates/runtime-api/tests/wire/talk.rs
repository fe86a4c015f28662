//! A client that sends bytes as they are, over a connection in memory, with time paused: waiting for
//! silence or for a deadline costs nothing.

use std::time::Duration;

use dormouse_runtime_api::{Call, limits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use crate::owner::Owner;

/// What the client does once it has sent everything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Closes its sending side at once.
    HalfClose,
    /// Waits for an answer.
    Wait,
}

/// What a conversation came to.
pub(crate) struct Talk {
    /// Every byte the client got.
    pub(crate) output: String,
    /// What the owner was asked.
    pub(crate) calls: Vec<String>,
    /// Whether the connection was served to a good end.
    pub(crate) served: bool,
}

/// A test's runtime: time paused.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(future)
}

/// Sends the input and reads until the server closes or has been silent for longer than any of its
/// deadlines.
pub(crate) fn talk(input: &[u8], then: Then, owner: Owner) -> Talk {
    block_on(async {
        let (client, server) = tokio::io::duplex(65_536);
        let (sender, receiver) = mpsc::channel::<Call>(8);
        let (output, served, calls) = tokio::join!(
            converse(client, input, then),
            async { serve(server, sender).await.is_ok() },
            owner.run(receiver),
        );
        Talk { output, calls, served }
    })
}

async fn converse(client: DuplexStream, input: &[u8], then: Then) -> String {
    let (reader, writer) = tokio::io::split(client);
    let (output, ()) = tokio::join!(read(reader), write(writer, input, then));
    output
}

/// The server may stop reading at any moment; that is not the test's concern.
async fn write(mut writer: WriteHalf<DuplexStream>, input: &[u8], then: Then) {
    let patience = Duration::from_millis(limits::BODY_MS * 2);
    let sent = tokio::time::timeout(patience, writer.write_all(input)).await;
    if matches!(sent, Ok(Ok(()))) && then == Then::HalfClose {
        let _ = writer.shutdown().await;
    }
}

async fn read(mut reader: ReadHalf<DuplexStream>) -> String {
    let patience = Duration::from_millis(limits::BODY_MS * 2);
    let mut output = Vec::new();
    loop {
        match tokio::time::timeout(patience, reader.read_buf(&mut output)).await {
            Ok(Ok(0) | Err(_)) | Err(_) => break,
            Ok(Ok(_)) => {}
        }
    }
    String::from_utf8_lossy(&output).into_owned()
}
