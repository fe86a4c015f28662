//! Pulls from registries by the distribution specification: manifests and blobs by GET, over plain HTTP,
//! from hosts that the operator names. No login, no TLS: decision 0010.
//!
//! What comes back is a stranger's: documents are bounded, each wait has a deadline, and whatever is
//! asked for by digest is compared with it by who takes it.

use std::io;
use std::str::FromStr;
use std::sync::Arc;

use dormouse_model::function::Architecture;
use dormouse_model::image::Image;
use dormouse_model::limits;
use dormouse_store::image::{Documents, ImageError, Opened, resolve};
use dormouse_store::packages::Packages;
use http::{Request, StatusCode, header};

use super::location::Reference;
use super::{NotHad, keep, not_had};
use crate::outbound::{self, Answer};

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
        let answer = answer.ok_or_else(missing)?;
        let (packages, image) = (packages.clone(), image.clone());
        let keeping = answer.read_by(move |pieces| {
            let size = image.layers[place].size_bytes;
            keep(&packages, Opened { bytes: Box::new(pieces), size }, &image, place)
        });
        keeping.await.unwrap_or_else(|error| Err(NotHad::Platform(error.to_string())))
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
        let request = Request::get(format!("/v2/{}/{path}", of.repository))
            .header(header::HOST, &self.name)
            .header(header::ACCEPT, ACCEPT);
        let answer = outbound::get(&self.address, request).await;
        let (head, answer) = answer.map_err(|error| self.unreachable(&error))?;
        match head.status {
            StatusCode::OK => Ok(Some(answer)),
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(NotHad::Denied(format!(
                "registry {} wants a login, which is not supported",
                self.name
            ))),
            status => Err(NotHad::Denied(format!("registry {} answered {status}", self.name))),
        }
    }

    fn unreachable(&self, error: &io::Error) -> NotHad {
        NotHad::Denied(format!("registry {} cannot be asked: {error}", self.name))
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
