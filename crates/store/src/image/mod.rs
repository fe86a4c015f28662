//! Container images: found by name in an OCI layout or an archive ([`resolve`]), read layer by layer
//! ([`layer`]), unpacked for overlay ([`unpack`]).
//!
//! ```text
//! files      a directory or an archive as files by name
//! documents  what was fetched from elsewhere, as files by name
//! manifest   index, manifest, configuration -> model::image::Image     (pure)
//! tar        a stranger's archive, entry by entry
//! unpack     what an entry becomes below the target, by openat2
//! ```
//!
//! Whatever an image names by digest is compared with it, but for the layers: who stores them does.
//! Memory is bounded by [`limits::IMAGE_DOCUMENT_BYTES`] and a chunk.

use std::io::{self, Read};

use dormouse_model::function::Architecture;
use dormouse_model::image::{Image, ImageLayer, LayerForm};
#[cfg(doc)]
use dormouse_model::limits;
use dormouse_model::names::Digest;
use sha2::{Digest as _, Sha256};

pub use self::documents::Documents;
pub use self::files::{Archive, Directory, Files, Opened};
pub use self::manifest::InvalidImage;
use self::manifest::{Descriptor, Document, Saved};
pub use self::tar::TarError;
pub use self::unpack::{UnpackError, Unpacked, unpack};

mod documents;
mod files;
mod manifest;
mod tar;
mod unpack;

/// How often an index may lead to another.
const INDEXES: usize = 4;

/// Why an image is not found.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Something that belongs to it is not there.
    #[error("{0} is missing")]
    Missing(String),
    /// It is no image that can be run.
    #[error(transparent)]
    Invalid(#[from] InvalidImage),
    /// It has other bytes than it says.
    #[error("{0} is damaged")]
    Damaged(String),
    /// It is no archive.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// It cannot be read.
    #[error("{name} cannot be read")]
    Read {
        /// What.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Finds an image: the only one, or that of a tag.
///
/// # Errors
/// Why there is none that can be run.
pub fn resolve(
    files: &dyn Files,
    (uri, tag): (&str, Option<&str>),
    architecture: Architecture,
) -> Result<Image, ImageError> {
    match whole(files, "index.json") {
        Ok(index) => of_layout(files, &index, (uri, tag), architecture),
        Err(ImageError::Missing(_)) => of_saved(files, (uri, tag), architecture),
        Err(error) => Err(error),
    }
}

/// Opens a layer of an image that [`resolve`] found, by its place.
///
/// # Errors
/// When it is not there any more, or cannot be read.
pub fn layer(
    files: &dyn Files,
    (image, tag): (&Image, Option<&str>),
    place: usize,
) -> Result<Opened, ImageError> {
    let missing = || ImageError::Missing(format!("layer {place}"));
    let digest = &image.layers.get(place).ok_or_else(missing)?.digest;
    match open(files, &blob(digest)) {
        Err(ImageError::Missing(_)) => {}
        other => return other,
    }
    let saved = saved(files, tag)?;
    open(files, saved.layers.get(place).ok_or_else(missing)?)
}

fn of_layout(
    files: &dyn Files,
    index: &[u8],
    (uri, tag): (&str, Option<&str>),
    architecture: Architecture,
) -> Result<Image, ImageError> {
    let mut document: Document = manifest::read(index, "index")?;
    let mut digest = None;
    let mut name = tag;
    for _ in 0..INDEXES {
        let Some(found) = document.choose(name, architecture)?.cloned() else {
            break;
        };
        document = manifest::read(&described(files, &found)?, "manifest")?;
        digest = Some(manifest::digest(&found.digest)?);
        // The images of an index inside are the same for other machines.
        name = None;
    }
    let (Some(digest), Some(config)) = (digest, &document.config) else {
        return Err(InvalidImage::Malformed("manifest").into());
    };
    let configuration = described(files, config)?;
    let layers = manifest::layers(&document)?;
    Ok(manifest::image((uri, digest), layers, &configuration, architecture)?)
}

/// What `docker save` made before it knew OCI: layers are named by place, and the image by its
/// configuration.
fn of_saved(
    files: &dyn Files,
    (uri, tag): (&str, Option<&str>),
    architecture: Architecture,
) -> Result<Image, ImageError> {
    let saved = saved(files, tag)?;
    let configuration = whole(files, &saved.config)?;
    let digests = manifest::diff_ids(&configuration)?;
    if digests.len() != saved.layers.len() {
        return Err(InvalidImage::Malformed("configuration").into());
    }
    let layers = saved.layers.iter().zip(digests);
    let layers = layers.map(|(name, digest)| saved_layer(files, name, digest));
    let layers = layers.collect::<Result<Vec<_>, _>>()?;
    let digest = sha256(&configuration);
    Ok(manifest::image((uri, digest), layers, &configuration, architecture)?)
}

/// A layer's digest in the configuration is that of the bare archive. Some tools save it compressed.
fn saved_layer(files: &dyn Files, name: &str, bare: Digest) -> Result<ImageLayer, ImageError> {
    let failed = |source| ImageError::Read { name: name.to_owned(), source };
    let Opened { bytes, size: size_bytes } = open(files, name)?;
    let mut head = Vec::new();
    bytes.take(2).read_to_end(&mut head).map_err(failed)?;
    if head != [0x1f, 0x8b] {
        return Ok(ImageLayer { digest: bare, size_bytes, form: LayerForm::Tar });
    }
    let mut hasher = Sha256::new();
    let mut bytes = open(files, name)?.bytes;
    let mut chunk = vec![0; 64 * 1024];
    while let read @ 1.. = bytes.read(&mut chunk).map_err(failed)? {
        hasher.update(&chunk[..read]);
    }
    let digest = named(&hasher.finalize());
    Ok(ImageLayer { digest, size_bytes, form: LayerForm::Gzip })
}

fn saved(files: &dyn Files, tag: Option<&str>) -> Result<Saved, ImageError> {
    let bytes = whole(files, "manifest.json")?;
    let images: Vec<Saved> = manifest::read(&bytes, "manifest")?;
    Ok(manifest::pick(images, tag)?)
}

/// A document that must be what its descriptor says.
fn described(files: &dyn Files, descriptor: &Descriptor) -> Result<Vec<u8>, ImageError> {
    let digest = manifest::digest(&descriptor.digest)?;
    let name = blob(&digest);
    let bytes = whole(files, &name)?;
    if sha256(&bytes) == digest { Ok(bytes) } else { Err(ImageError::Damaged(name)) }
}

fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{digest}")
}

fn whole(files: &dyn Files, name: &str) -> Result<Vec<u8>, ImageError> {
    files::whole(files, name).map_err(|source| unread(name, source))
}

fn open(files: &dyn Files, name: &str) -> Result<Opened, ImageError> {
    files.open(name).map_err(|source| unread(name, source))
}

fn unread(name: &str, source: io::Error) -> ImageError {
    let name = name.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => ImageError::Missing(name),
        _ => ImageError::Read { name, source },
    }
}

fn sha256(bytes: &[u8]) -> Digest {
    named(&Sha256::digest(bytes))
}

fn named(hash: &[u8]) -> Digest {
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.parse().expect("32 bytes are 64 lower-case hex digits")
}
