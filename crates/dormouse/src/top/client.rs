//! Asks a server for its environments: one short request at a time, each with a deadline.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long a server may take to answer.
const DEADLINE: Duration = Duration::from_secs(2);

/// Bytes of an answer. The server's own bounds make a full list much smaller; past it the answer is
/// refused.
const ANSWER_BYTES: usize = 16 * 1_048_576;

/// A server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    host: String,
    port: u16,
}

/// An address that is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{typed:?} is no address of a server: expected http://HOST:PORT, as in http://127.0.0.1:9000"
)]
pub(super) struct NoEndpoint {
    typed: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nobody is there, or whoever is there does not speak HTTP.
    #[error("server does not answer at {0}: is `dormouse serve` running?")]
    Silent(Endpoint),
    /// The deadline has passed.
    #[error("server does not answer at {0} in time: it is busy or stopped")]
    Late(Endpoint),
    /// Somebody else is there.
    #[error("something answers at {0}, but not as dormouse does: is the port right?")]
    Stranger(Endpoint),
    /// The environment is not known any more.
    #[error("the environment is not kept any more")]
    Gone,
}

impl Endpoint {
    /// # Errors
    /// When it is not `http://HOST[:PORT]`.
    pub(super) fn parse(typed: &str) -> Result<Self, NoEndpoint> {
        let refused = || NoEndpoint { typed: typed.to_owned() };
        let whole =
            if typed.contains("://") { typed.to_owned() } else { format!("http://{typed}") };
        let uri: Uri = whole.parse().map_err(|_| refused())?;
        let is_root = uri.path() == "/" && uri.query().is_none();
        match (uri.scheme_str(), uri.host()) {
            (Some("http"), Some(host)) if is_root && !host.is_empty() => {
                Ok(Self { host: host.to_owned(), port: uri.port_u16().unwrap_or(80) })
            }
            _ => Err(refused()),
        }
    }

    /// All environments, without what happened in each.
    pub(super) async fn environments(&self) -> Result<Bytes, AskError> {
        self.ask("/_dormouse/environments").await
    }

    /// What there is for environments.
    pub(super) async fn machine(&self) -> Result<Bytes, AskError> {
        self.ask("/_dormouse/machine").await
    }

    /// One environment, with what happened in it.
    pub(super) async fn environment(&self, id: &str) -> Result<Bytes, AskError> {
        self.ask(&format!("/_dormouse/environments/{id}")).await
    }

    async fn ask(&self, path: &str) -> Result<Bytes, AskError> {
        let answered = tokio::time::timeout(DEADLINE, self.exchange(path)).await;
        let (status, body) = answered.map_err(|_| AskError::Late(self.clone()))??;
        match status {
            StatusCode::OK => Ok(body),
            // Only a server of ours has a JSON object to say this with.
            StatusCode::NOT_FOUND if body.starts_with(b"{") => Err(AskError::Gone),
            _ => Err(AskError::Stranger(self.clone())),
        }
    }

    /// A connection of its own for each request: the next server on this port needs no recovery.
    async fn exchange(&self, path: &str) -> Result<(StatusCode, Bytes), AskError> {
        let silent = || AskError::Silent(self.clone());
        let name = self.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((name, self.port)).await.map_err(|_| silent())?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|_| silent())?;
        let request = Request::get(path)
            .header(header::HOST, format!("{}:{}", self.host, self.port))
            .body(Empty::<Bytes>::new())
            .map_err(|_| silent())?;
        let talk = async {
            let answer = sender.send_request(request).await.map_err(|_| silent())?;
            let status = answer.status();
            match Limited::new(answer.into_body(), ANSWER_BYTES).collect().await {
                Ok(body) => Ok((status, body.to_bytes())),
                Err(error) if error.is::<LengthLimitError>() => {
                    Err(AskError::Stranger(self.clone()))
                }
                Err(_) => Err(silent()),
            }
        };
        tokio::pin!(talk);
        tokio::select! {
            biased;
            answer = &mut talk => answer,
            // The connection may be over before its last bytes are looked at.
            _ = connection => talk.await,
        }
    }

    /// That what came is not what a server of ours says.
    pub(super) fn stranger(&self) -> AskError {
        AskError::Stranger(self.clone())
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn an_endpoint_is_an_http_address_and_nothing_more() {
        for (typed, expected) in [
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("http://127.0.0.1:9000/", "http://127.0.0.1:9000"),
            ("localhost:9000", "http://localhost:9000"),
            ("http://[::1]:9000", "http://[::1]:9000"),
            ("http://dormouse.internal", "http://dormouse.internal:80"),
        ] {
            assert_eq!(Endpoint::parse(typed).unwrap().to_string(), expected, "{typed}");
        }
        for typed in ["", "https://lambda.us-east-1.amazonaws.com", "http://", "http://x/y", "a b"]
        {
            assert!(Endpoint::parse(typed).is_err(), "{typed}");
        }
    }

    /// What a client makes of a server that answers this.
    async fn check(answer: &'static str, expected: &str) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1_024];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /_dormouse/environments/x HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let (_, asked) = tokio::join!(serve, endpoint.environment("x"));
        let shown = match asked {
            Ok(body) => String::from_utf8_lossy(&body).into_owned(),
            Err(error) => error.to_string().replace(&endpoint.to_string(), "URL"),
        };
        assert_eq!(shown, expected, "{answer}");
    }

    #[tokio::test]
    async fn an_answer_is_the_server_s_or_a_helpful_error() {
        check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "{}").await;
        check("HTTP/1.1 200 OK\r\n\r\n{}", "{}").await;
        check(
            "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}",
            "the environment is not kept any more",
        )
        .await;
        let stranger = "something answers at URL, but not as dormouse does: is the port right?";
        check("HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnope", stranger).await;
        check("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", stranger).await;
        let silent = "server does not answer at URL: is `dormouse serve` running?";
        check("SSH-2.0-x\r\n", silent).await;
        check("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", silent).await;
    }

    #[tokio::test]
    async fn nobody_there_is_said_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = Endpoint::parse(&address).unwrap().environments().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("server does not answer at http://{address}: is `dormouse serve` running?")
        );
    }
}
