//! One attempt to hand a batch to its subscriber: an HTTP request, or lines on a TCP connection.
//!
//! The subscriber is user code: what it answers is read as far as its status and bounded by a
//! deadline, which does not run while the environment is frozen.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dormouse_model::limits::TELEMETRY_ATTEMPT_MS;
use dormouse_runtime_api::Destination;
use dormouse_sandbox::{ConnectError, Connection, Sandbox};
use http::{Method, Request, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("connection broke")]
    Broken(#[from] io::Error),
    #[error("no HTTP answer")]
    Http(#[from] hyper::Error),
    #[error("answered with {0}")]
    Status(http::StatusCode),
    #[error("not taken in time")]
    TooSlow,
}

/// Where an attempt goes and what it brings.
pub(super) struct Attempt {
    pub(super) sandbox: Arc<dyn Sandbox>,
    pub(super) destination: Destination,
    pub(super) items: Vec<String>,
    /// What a TCP subscriber was connected by before.
    pub(super) connection: Option<Connection>,
    pub(super) awake: watch::Receiver<bool>,
}

impl Attempt {
    /// Makes it. A TCP connection that may be used again comes back.
    pub(super) async fn make(self) -> Result<Option<Connection>, Refused> {
        let Self { sandbox, destination, items, connection, awake } = self;
        let delivery = async {
            match destination {
                Destination::Http { host, port, path, method } => {
                    let connection = sandbox.connect(port).await?;
                    post(connection, (method, &host, port, &path), array(&items)).await?;
                    Ok(None)
                }
                Destination::Tcp { port } => {
                    let mut connection = match connection {
                        Some(connection) => connection,
                        None => sandbox.connect(port).await?,
                    };
                    connection.write_all(&lines(&items)).await?;
                    connection.flush().await?;
                    Ok(Some(connection))
                }
            }
        };
        tokio::select! {
            made = delivery => made,
            () = too_long(awake) => Err(Refused::TooSlow),
        }
    }
}

async fn post(
    connection: Connection,
    (method, host, port, path): (Method, &str, u16, &str),
    body: Bytes,
) -> Result<(), Refused> {
    let (mut sender, driver) = http1::handshake(TokioIo::new(connection)).await?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, format!("{host}:{port}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .body(Full::new(body))
        .map_err(io::Error::other)?;
    let answered = async {
        let answer = sender.send_request(request).await?;
        if answer.status().is_success() { Ok(()) } else { Err(Refused::Status(answer.status())) }
    };
    tokio::pin!(driver, answered);
    tokio::select! {
        biased;
        answer = &mut answered => return answer,
        // Its own end says less than what it means for the request.
        _ = &mut driver => {}
    }
    answered.await
}

/// `[a,b]`.
fn array(items: &[String]) -> Bytes {
    format!("[{}]", items.join(",")).into()
}

/// `a`, newline, `b`, newline.
fn lines(items: &[String]) -> Bytes {
    let mut lines = items.join("\n");
    lines.push('\n');
    lines.into()
}

/// Over when the environment has been awake for as long as an attempt may take.
async fn too_long(mut awake: watch::Receiver<bool>) {
    loop {
        // Without its owner the attempt is dropped.
        if awake.wait_for(|awake| *awake).await.is_err() {
            return std::future::pending().await;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(TELEMETRY_ATTEMPT_MS)) => return,
            // It fell asleep: its time begins anew with the next thaw.
            _ = awake.wait_for(|awake| !*awake) => {}
        }
    }
}
