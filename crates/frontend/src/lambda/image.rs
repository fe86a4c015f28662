//! Container images: looked up by name when a function is made or changed, pulled before it serves.
//!
//! Looking up reads documents only, and what is found is in the function's record from then on. Pulling
//! copies the layers to where packages are, by digest; a killed server begins anew and finds those
//! that were there.

mod location;
mod registry;

use std::fs::File;
use std::io;

use dormouse_api::error::ApiError;
use dormouse_api::service::Dialect;
use dormouse_model::function::Architecture;
use dormouse_model::image::Image;
use dormouse_model::limits;
use dormouse_model::names::Scope;
use dormouse_store::directories::{Directories, Unusable};
use dormouse_store::image::{self, Archive, Directory, Files, ImageError, Opened};
use dormouse_store::objects::{Objects, OpenObjectError};
use dormouse_store::packages::Packages;
use tokio::task::spawn_blocking;
use tracing::warn;

use self::location::{Location, Named};
pub use self::registry::{Registries, Registry};

/// Where images come from and where they are kept.
#[derive(Debug, Clone)]
pub struct Images {
    /// Directories of this machine that images may lie in.
    pub directories: Directories,
    /// This server's S3.
    pub objects: Objects,
    /// Registries that images may be pulled from.
    pub registries: Registries,
    /// Where layers are kept.
    pub packages: Packages,
}

/// Why an image cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotHad {
    /// Its name is none that is known here.
    #[error(
        "images are taken from oci:/directory, docker-archive:/file, s3://bucket/key and the registries \
         that the server was started with by --registry"
    )]
    Unknown,
    /// It is where nobody may take it from.
    #[error("{0}; start the server with --image-dir for it or for a directory above it")]
    Forbidden(Unusable),
    /// It is not given to us.
    #[error("{0}")]
    Denied(String),
    /// It is not there.
    #[error("{0}")]
    Missing(String),
    /// It cannot be run.
    #[error("{0}")]
    Invalid(String),
    /// The machine is at fault.
    #[error("{0}")]
    Platform(String),
}

impl NotHad {
    /// What a function's state says that waits for it.
    pub(super) fn state_reason_code(&self) -> &'static str {
        match self {
            Self::Unknown | Self::Forbidden(_) | Self::Denied(_) => "ImageAccessDenied",
            Self::Missing(_) => "ImageDeleted",
            Self::Invalid(_) => "InvalidImage",
            Self::Platform(_) => "InternalError",
        }
    }

    /// What a caller is answered, in AWS's words with ours behind them.
    fn answer(&self, uri: &str) -> ApiError {
        let what = match self {
            Self::Unknown | Self::Forbidden(_) | Self::Denied(_) | Self::Missing(_) => {
                "does not exist"
            }
            Self::Invalid(_) => "is not valid",
            Self::Platform(reason) => {
                warn!(%uri, reason, "image not read");
                return ApiError::internal(Dialect::LAMBDA);
            }
        };
        ApiError::invalid_parameter(format!(
            "Source image {uri} {what}. Provide a valid source image. ({self})"
        ))
    }
}

impl Images {
    /// Finds an image by its name.
    pub(super) async fn resolve(
        &self,
        scope: &Scope,
        uri: &str,
        architecture: Architecture,
    ) -> Result<Image, ApiError> {
        let found = self.find(scope, uri, architecture).await;
        found.map_err(|reason| reason.answer(uri))
    }

    async fn find(
        &self,
        scope: &Scope,
        uri: &str,
        architecture: Architecture,
    ) -> Result<Image, NotHad> {
        let Named { location, tag } = location::read(uri).ok_or(NotHad::Unknown)?;
        let image = if let Location::Registry(reference) = location {
            self.registries.resolve(uri, &reference, architecture).await?
        } else {
            let files = self.open(scope, location).await?;
            let uri = uri.to_owned();
            let read = blocking(move || {
                let named = (uri.as_str(), tag.as_deref());
                image::resolve(files.as_ref(), named, architecture).map_err(not_had)
            });
            read.await?
        };
        let bytes: u64 =
            image.layers.iter().map(|layer| layer.size_bytes).fold(0, u64::saturating_add);
        if bytes > limits::IMAGE_BYTES {
            let limit = limits::IMAGE_BYTES;
            return Err(NotHad::Invalid(format!("it is larger than {limit} bytes")));
        }
        Ok(image)
    }

    /// Copies the layers of an image that are not here yet.
    pub(super) async fn pull(&self, scope: &Scope, image: &Image) -> Result<(), NotHad> {
        let mut files = None;
        for (place, layer) in image.layers.iter().enumerate() {
            if self.packages.has(&layer.digest, layer.size_bytes).await {
                continue;
            }
            let Named { location, tag } = location::read(&image.uri).ok_or(NotHad::Unknown)?;
            if let Location::Registry(reference) = location {
                self.registries.keep(&self.packages, &reference, (image, place)).await?;
                continue;
            }
            let from = match files.take() {
                Some(from) => from,
                None => self.open(scope, location).await?,
            };
            let (packages, image) = (self.packages.clone(), image.clone());
            let copied = blocking(move || {
                let of = (&image, tag.as_deref());
                let opened = image::layer(from.as_ref(), of, place).map_err(not_had)?;
                keep(&packages, opened, &image, place).map(|()| from)
            });
            files = Some(copied.await?);
        }
        Ok(())
    }

    async fn open(&self, scope: &Scope, location: Location) -> Result<Box<dyn Files>, NotHad> {
        let file = match location {
            Location::Layout { path } => {
                let found = self.directories.place(&path).map_err(not_usable)?;
                return Ok(Box::new(Directory::new(found.place)));
            }
            Location::Archive { directory, name } => {
                let found = self.directories.place(&directory).map_err(not_usable)?;
                let missing = || NotHad::Missing(format!("{directory}/{name} is missing"));
                found.file(&name).map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => missing(),
                    _ => NotHad::Invalid(format!("{directory}/{name} is no file: {error}")),
                })?
            }
            Location::Object { bucket, key } => self.object(scope, &bucket, &key).await?,
            Location::Registry(_) => return Err(NotHad::Unknown),
        };
        blocking(move || match Archive::new(file) {
            Ok(archive) => Ok(Box::new(archive) as Box<dyn Files>),
            Err(error) => Err(not_had(error.into())),
        })
        .await
    }

    async fn object(&self, scope: &Scope, bucket: &str, key: &str) -> Result<File, NotHad> {
        let missing = || NotHad::Missing(format!("s3://{bucket}/{key} is missing"));
        let (Ok(bucket), Ok(key)) = (bucket.parse(), key.parse()) else {
            return Err(missing());
        };
        match self.objects.open_object(scope, &bucket, &key, None).await {
            Ok(opened) => Ok(opened.file),
            Err(OpenObjectError::Storage(error)) => Err(NotHad::Platform(error.to_string())),
            Err(OpenObjectError::Unreadable(error)) => Err(NotHad::Platform(error.to_string())),
            Err(
                OpenObjectError::NoSuchBucket
                | OpenObjectError::OtherRegion { .. }
                | OpenObjectError::NoSuchKey
                | OpenObjectError::NoSuchVersion
                | OpenObjectError::DeleteMarker,
            ) => Err(missing()),
        }
    }
}

/// Stores a layer that must be what the image says.
fn keep(packages: &Packages, from: Opened, image: &Image, place: usize) -> Result<(), NotHad> {
    let layer = &image.layers[place];
    let put = packages.put_from(from.bytes, &layer.digest, layer.size_bytes);
    put.map_err(|error| {
        let reason = format!("layer {place}: {}", error.source);
        match error.source.kind() {
            io::ErrorKind::InvalidData => NotHad::Invalid(reason),
            _ => NotHad::Platform(reason),
        }
    })
}

fn not_usable(reason: Unusable) -> NotHad {
    match reason {
        Unusable::Missing { .. } => NotHad::Missing(reason.to_string()),
        Unusable::NotADirectory { .. } => NotHad::Invalid(reason.to_string()),
        Unusable::Io { .. } => NotHad::Platform(reason.to_string()),
        Unusable::NoneAllowed
        | Unusable::NotAllowed { .. }
        | Unusable::NotPlain { .. }
        | Unusable::Link { .. }
        | Unusable::Closed { .. } => NotHad::Forbidden(reason),
    }
}

fn not_had(error: ImageError) -> NotHad {
    match error {
        ImageError::Missing(_) => NotHad::Missing(error.to_string()),
        ImageError::Invalid(_) | ImageError::Damaged(_) | ImageError::Tar(_) => {
            NotHad::Invalid(error.to_string())
        }
        // A link, a directory or too large a file in its place; or a disk that is broken.
        ImageError::Read { name, source } => {
            NotHad::Invalid(format!("{name} cannot be read: {source}"))
        }
    }
}

/// Runs on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NotHad> + Send + 'static,
) -> Result<T, NotHad> {
    let ended = spawn_blocking(work).await;
    ended.unwrap_or_else(|error| Err(NotHad::Platform(error.to_string())))
}
