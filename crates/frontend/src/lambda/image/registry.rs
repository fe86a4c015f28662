//! Pulls from registries by the distribution specification: manifests and blobs by GET, over plain HTTP,
//! from hosts that the operator names. No login, no TLS: decision 0010.
//!
//! What comes back is a stranger's: documents are bounded, each wait has a deadline, and whatever is
//! asked for by digest is compared with it by who takes it.

use std::io::{self, Read};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dormouse_model::function::Architecture;
use dormouse_model::image::Image;
use dormouse_model::limits;
use dormouse_store::image::{Documents, ImageError, Opened, resolve};
use dormouse_store::packages::Packages;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::location::Reference;
use super::{NotHad, blocking, keep, not_had};

/// How long a registry may take to be connected to, to answer, and for each piece of an answer. A layer
/// as a whole takes as long as it is large.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pieces of a layer that wait to be written; past it the registry waits.
const PIECES: usize = 8;
/// How many documents may lead to an image: indexes, a manifest, a configuration.
const DOCUMENTS: usize = 6;
/// The documents that are known here.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// A registry that images may be pulled from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// The host that names of images begin with.
    name: String,
    /// Where it is.
    address: String,
}

/// Reads `HOST[:PORT]`, or `NAME=HOST[:PORT]` for images that are named after another host.
impl FromStr for Registry {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, address) = text.split_once('=').unwrap_or((text, text));
        let fits = |host: &str| {
            !host.is_empty()
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
        };
        if !fits(name) || !fits(address) {
            return Err("a registry is HOST[:PORT] or NAME=HOST[:PORT]");
        }
        let has_port =
            address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { address.to_owned() } else { format!("{address}:80") };
        Ok(Self { name: name.to_owned(), address })
    }
}

/// Those that the operator names.
#[derive(Debug, Clone, Default)]
pub struct Registries(Arc<[Registry]>);

impl FromIterator<Registry> for Registries {
    fn from_iter<T: IntoIterator<Item = Registry>>(registries: T) -> Self {
        Self(registries.into_iter().collect())
    }
}

impl Registries {
    fn of(&self, reference: &Reference) -> Result<&Registry, NotHad> {
        let named = |registry: &&Registry| registry.name == reference.host;
        self.0.iter().find(named).ok_or(NotHad::Unknown)
    }

    /// Finds an image.
    pub(super) async fn resolve(
        &self,
        uri: &str,
        reference: &Reference,
        architecture: Architecture,
    ) -> Result<Image, NotHad> {
        let registry = self.of(reference)?;
        let first = registry.document(reference, &reference.manifest()).await?;
        let first =
            first.ok_or_else(|| NotHad::Missing("the registry has no such image".into()))?;
        let mut documents = Documents::beginning_with(first);
        if reference.digest.as_ref().is_some_and(|digest| digest != documents.first()) {
            return Err(NotHad::Invalid("the registry answered with another image".into()));
        }
        for _ in 0..DOCUMENTS {
            match resolve(&documents, (uri, None), architecture) {
                Err(ImageError::Missing(name)) => {
                    let found = registry.described(reference, &name).await?;
                    documents.add(name, found);
                }
                other => return other.map_err(not_had),
            }
        }
        Err(NotHad::Invalid("its index leads nowhere".into()))
    }

    /// Copies a layer to where it is kept.
    pub(super) async fn keep(
        &self,
        packages: &Packages,
        reference: &Reference,
        (image, place): (&Image, usize),
    ) -> Result<(), NotHad> {
        let registry = self.of(reference)?;
        let digest = &image.layers[place].digest;
        let answer = registry.get(reference, &format!("blobs/sha256:{digest}")).await?;
        let missing = || NotHad::Missing(format!("layer {place} is missing"));
        let mut answer = answer.ok_or_else(missing)?;
        let (sender, pieces) = mpsc::channel(PIECES);
        let (packages, image) = (packages.clone(), image.clone());
        let keeping = blocking(move || {
            let bytes = Box::new(Pieces { pieces, piece: Bytes::new() });
            let size = image.layers[place].size_bytes;
            keep(&packages, Opened { bytes, size }, &image, place)
        });
        let feeding = async move {
            // When nobody reads any more, what came so far was too much.
            while let Some(piece) = answer.piece().await.transpose() {
                let last = piece.is_err();
                if sender.send(piece).await.is_err() || last {
                    return;
                }
            }
        };
        tokio::join!(keeping, feeding).0
    }
}

impl Registry {
    /// A document that something names by digest: a blob, or another manifest.
    async fn described(&self, reference: &Reference, name: &str) -> Result<Vec<u8>, NotHad> {
        let digest = name.rsplit('/').next().unwrap_or_default();
        for kind in ["blobs", "manifests"] {
            let path = format!("{kind}/sha256:{digest}");
            if let Some(found) = self.document(reference, &path).await? {
                return Ok(found);
            }
        }
        Err(NotHad::Missing(format!("sha256:{digest} is missing")))
    }

    async fn document(&self, of: &Reference, path: &str) -> Result<Option<Vec<u8>>, NotHad> {
        let Some(mut answer) = self.get(of, path).await? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        while let Some(piece) = answer.piece().await.map_err(|error| self.unreachable(&error))? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > limits::IMAGE_DOCUMENT_BYTES {
                return Err(NotHad::Invalid("a document of it is too large".into()));
            }
        }
        Ok(Some(bytes))
    }

    /// What is at a path; nothing for what is not there.
    async fn get(&self, of: &Reference, path: &str) -> Result<Option<Answer>, NotHad> {
        let asking = timeout(PATIENCE, self.ask(format!("/v2/{}/{path}", of.repository)));
        let answer = asking.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let (status, answer) = answer.map_err(|error| self.unreachable(&error))?;
        match status {
            StatusCode::OK => Ok(Some(answer)),
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(NotHad::Denied(format!(
                "registry {} wants a login, which is not supported",
                self.name
            ))),
            status => Err(NotHad::Denied(format!("registry {} answered {status}", self.name))),
        }
    }

    async fn ask(&self, path: String) -> io::Result<(StatusCode, Answer)> {
        let connection = TcpStream::connect(&self.address).await?;
        let handshake = http1::handshake(TokioIo::new(connection)).await;
        let (mut sender, driving) = handshake.map_err(io::Error::other)?;
        let request = Request::get(path)
            .header(header::HOST, &self.name)
            .header(header::ACCEPT, ACCEPT)
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(io::Error::other)?;
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
                    return Ok((head.status, Answer { body, driving: (!driven).then_some(driving) }));
                }
                () = &mut driving, if !driven => driven = true,
            }
        }
    }

    fn unreachable(&self, error: &io::Error) -> NotHad {
        NotHad::Denied(format!("registry {} cannot be asked: {error}", self.name))
    }
}

type Driving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The rest of an answer, with the connection that it comes over.
struct Answer {
    body: Incoming,
    driving: Option<Driving>,
}

impl Answer {
    /// The next bytes; nothing at the end.
    async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        let next = timeout(PATIENCE, self.next()).await;
        next.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
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
struct Pieces {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_named_after_its_host_or_another() {
        let read = |text: &str| text.parse::<Registry>().map(|it| (it.name, it.address));
        let is = |name: &str, address: &str| Ok((name.to_owned(), address.to_owned()));
        assert_eq!(read("127.0.0.1:5000"), is("127.0.0.1:5000", "127.0.0.1:5000"));
        assert_eq!(read("registry.local"), is("registry.local", "registry.local:80"));
        let ecr = "000000000000.dkr.ecr.us-east-1.amazonaws.com";
        assert_eq!(read(&format!("{ecr}=127.0.0.1:5000")), is(ecr, "127.0.0.1:5000"));
        for wrong in ["", "=a", "a=", "a/b", "http://a", "a b", "a=b=c"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
