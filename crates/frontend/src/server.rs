//! Connections: accepted, served one request at a time, ended when the server stops.

use std::io;
use std::time::Duration;

use dormouse_model::limits;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::context::Frontend;

/// How long accepting rests after the system refused a connection, for want of descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Where clients connect.
#[derive(Debug)]
pub struct Listeners {
    /// The port.
    pub port: TcpListener,
    /// A Unix socket beside it.
    pub socket: Option<UnixListener>,
}

/// Serves a [`Frontend`] on its listeners and on connections that come from elsewhere.
#[derive(Debug)]
pub struct Server<C> {
    /// Answers requests.
    pub frontend: Frontend,
    /// Where clients connect.
    pub listeners: Listeners,
    /// Connections made elsewhere, such as inside a sandbox.
    pub dialled: mpsc::Receiver<C>,
}

impl<C> Server<C>
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Serves until `stop` is told, then lets each connection finish the request it is at.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listeners.port.accept() => match accepted {
                    Ok((stream, _)) => {
                        // Small answers must not wait for an acknowledgement.
                        let _ = stream.set_nodelay(true);
                        connections.spawn(serve(self.frontend.clone(), stream, stop.clone()));
                    }
                    Err(error) => rest(&error).await,
                },
                accepted = local(self.listeners.socket.as_ref()) => match accepted {
                    Ok(stream) => {
                        connections.spawn(serve(self.frontend.clone(), stream, stop.clone()));
                    }
                    Err(error) => rest(&error).await,
                },
                Some(connection) = self.dialled.recv() => {
                    connections.spawn(serve(self.frontend.clone(), connection, stop.clone()));
                }
                Some(_) = connections.join_next() => {}
                () = told(&mut stop) => break,
            }
        }
        self.frontend.stop_waiting();
        drop(self.listeners);
        while connections.join_next().await.is_some() {}
    }
}

/// The next connection of the Unix socket; never, without one.
async fn local(socket: Option<&UnixListener>) -> io::Result<UnixStream> {
    match socket {
        Some(socket) => socket.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

async fn rest(error: &io::Error) {
    warn!(%error, "connection not accepted");
    tokio::time::sleep(ACCEPT_REST).await;
}

async fn serve<C>(frontend: Frontend, connection: C, mut stop: watch::Receiver<bool>)
where
    C: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let frontend = frontend.clone();
        async move { Ok::<_, std::convert::Infallible>(frontend.answer(request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits::HEADER_MS))
        .max_buf_size(limits::HEADER_BYTES)
        .serve_connection(TokioIo::new(connection), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "client connection ended");
    }
}

/// Waits until the server is told to stop, or whoever could tell is gone.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopping| *stopping).await;
}
