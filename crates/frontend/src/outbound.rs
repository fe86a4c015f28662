//! Requests of our own, over plain HTTP: one connection each, every wait with a deadline.
//!
//! What comes back is a stranger's; whoever asks bounds what he takes.

use std::io::{self, Read};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::request::Builder;
use http::response::Parts;
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::timeout;

/// How long a server may take to be connected to and to answer, and for each piece of an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pieces of an answer that wait to be taken; past it the server waits.
const PIECES: usize = 8;

/// Asks for what is at `HOST:PORT` with a request that has its `Host` and no body.
pub(crate) async fn get(address: &str, request: Builder) -> io::Result<(Parts, Answer)> {
    let request = request.header(header::CONNECTION, "close").body(Empty::new());
    let asking = timeout(PATIENCE, ask(address, request.map_err(io::Error::other)?));
    asking.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn ask(address: &str, request: Request<Empty<Bytes>>) -> io::Result<(Parts, Answer)> {
    let connection = TcpStream::connect(address).await?;
    let handshake = http1::handshake(TokioIo::new(connection)).await;
    let (mut sender, driving) = handshake.map_err(io::Error::other)?;
    let mut driving: Driving = Box::pin(async move {
        // Its own end says less than what it means for the request.
        let _ = driving.await;
    });
    let mut answered = Box::pin(sender.send_request(request));
    let mut driven = false;
    loop {
        tokio::select! {
            biased;
            answer = &mut answered => {
                let (head, body) = answer.map_err(io::Error::other)?.into_parts();
                return Ok((head, Answer { body, driving: (!driven).then_some(driving) }));
            }
            () = &mut driving, if !driven => driven = true,
        }
    }
}

type Driving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The rest of an answer, with the connection that it comes over.
pub(crate) struct Answer {
    body: Incoming,
    driving: Option<Driving>,
}

impl Answer {
    /// The next bytes; nothing at the end.
    pub(crate) async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        let next = timeout(PATIENCE, self.next()).await;
        next.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Lets a thread that may block read all of it, as it comes.
    pub(crate) async fn read_by<T: Send + 'static>(
        mut self,
        read: impl FnOnce(Pieces) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let (sender, pieces) = mpsc::channel(PIECES);
        let reading =
            tokio::task::spawn_blocking(move || read(Pieces { pieces, piece: Bytes::new() }));
        let feeding = async move {
            // When nobody reads any more, what came so far was enough.
            while let Some(piece) = self.piece().await.transpose() {
                let last = piece.is_err();
                if sender.send(piece).await.is_err() || last {
                    return;
                }
            }
        };
        tokio::join!(reading, feeding).0
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let driving = async {
                match &mut self.driving {
                    Some(driving) => driving.await,
                    None => std::future::pending().await,
                }
            };
            let frame = tokio::select! {
                biased;
                frame = self.body.frame() => frame,
                () = driving => {
                    self.driving = None;
                    continue;
                }
            };
            match frame.transpose().map_err(io::Error::other)?.map(Frame::into_data) {
                None => return Ok(None),
                Some(Ok(bytes)) if !bytes.is_empty() => return Ok(Some(bytes)),
                // Trailers, which nobody needs.
                Some(_) => {}
            }
        }
    }
}

/// Bytes that come from a task, for a thread that reads.
#[derive(Debug)]
pub(crate) struct Pieces {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            match self.pieces.blocking_recv().transpose()? {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let most = self.piece.len().min(out.len());
        out[..most].copy_from_slice(&self.piece.split_to(most));
        Ok(most)
    }
}
