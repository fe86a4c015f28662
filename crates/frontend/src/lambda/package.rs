//! Packages on their way in and out: checked and stored, then linked to for ten minutes.

use std::fs::File;
use std::io::{Cursor, Seek};

use bytes::Bytes;
use dormouse_api::error::ApiError;
use dormouse_api::lambda::CodeSource;
use dormouse_api::service::Dialect;
use dormouse_model::function::{self, Architecture, Code};
use dormouse_model::limits;
use dormouse_model::names::{Digest, Scope};
use dormouse_store::directories::Unusable;
use dormouse_store::objects::{OpenObjectError, OpenedObject};
use dormouse_store::package;
use tracing::warn;

use crate::context::Inner;

/// A package that is stored.
pub(super) struct Package {
    /// What names it.
    pub(super) code: function::Package,
    /// Its bytes, unzipped.
    pub(super) unzipped_bytes: u64,
}

/// Takes what a function runs: a package is stored, a directory is looked up.
pub(super) async fn code(
    inner: &Inner,
    scope: &Scope,
    source: CodeSource,
    architecture: Architecture,
) -> Result<(Code, u64), ApiError> {
    match source {
        // It is as large as its owner likes.
        CodeSource::Directory { path } => {
            Ok((Code::Directory { directory: directory(inner, &path)? }, 0))
        }
        CodeSource::Image { uri } => {
            let image = inner.images.resolve(scope, &uri, architecture).await?;
            Ok((Code::Image(Box::new(image)), 0))
        }
        zip @ (CodeSource::Zip(_) | CodeSource::S3 { .. }) => {
            let package = store(inner, scope, zip).await?;
            Ok((Code::Zip(package.code), package.unzipped_bytes))
        }
    }
}

/// A directory that may be code, by a path without links.
fn directory(inner: &Inner, path: &str) -> Result<String, ApiError> {
    let found = inner.directories.find(path).map_err(|reason| unusable(path, &reason))?;
    let path = found.path.into_os_string().into_string();
    path.map_err(|_| ApiError::invalid_parameter("The path of a directory must be UTF-8."))
}

/// Says what to do, because who asks is mostly the operator too.
fn unusable(path: &str, reason: &Unusable) -> ApiError {
    let advice = match reason {
        Unusable::NoneAllowed | Unusable::NotAllowed { .. } => {
            "start the server with --hot-reload for it or for a directory above it"
        }
        Unusable::NotPlain { .. } => "give an absolute path without \"..\"",
        Unusable::Link { .. } => "give the path that the link leads to",
        Unusable::Missing { .. } => "create it on the machine that the server runs on",
        Unusable::NotADirectory { .. } => "give the directory that holds the code",
        Unusable::Closed { .. } => "functions run as another user, so run chmod o+rx on it",
        Unusable::Io { source, .. } => {
            warn!(%path, error = %source, "directory is not opened");
            "look at the server's log"
        }
    };
    ApiError::invalid_parameter(format!("Code cannot be reloaded from there: {reason}; {advice}."))
}

/// Checks a package and stores it; once this returns it is on disk.
pub(super) async fn store(
    inner: &Inner,
    scope: &Scope,
    source: CodeSource,
) -> Result<Package, ApiError> {
    match source {
        CodeSource::Zip(zip) => store_zip(inner, zip.into()).await,
        CodeSource::S3 { bucket, key, version } => {
            let named = (bucket.as_str(), key.as_str(), version.as_deref());
            store_file(inner, object(inner, scope, named).await?).await
        }
        CodeSource::Directory { .. } | CodeSource::Image { .. } => {
            Err(ApiError::invalid_parameter(
                "Only a function's code can be a directory or an image: send the package as ZipFile.",
            ))
        }
    }
}

/// An object of this server's S3 or, when it has no such bucket, of the one beside it.
async fn object(
    inner: &Inner,
    scope: &Scope,
    named: (&str, &str, Option<&str>),
) -> Result<File, ApiError> {
    let elsewhere = inner.other_s3.as_ref();
    match (own_object(inner, scope, named).await, elsewhere) {
        (Ok(opened), _) => Ok(opened.file),
        (Err(OpenObjectError::NoSuchBucket), Some(other)) => {
            other.fetch(scope.region.as_str(), named, inner.clock.wall_ms()).await
        }
        (Err(error), _) => Err(not_opened(&error)),
    }
}

async fn own_object(
    inner: &Inner,
    scope: &Scope,
    (bucket, key, version): (&str, &str, Option<&str>),
) -> Result<OpenedObject, OpenObjectError> {
    // What cannot be the name of a bucket names none, and so with a key.
    let bucket = bucket.parse().map_err(|_| OpenObjectError::NoSuchBucket)?;
    let key = key.parse().map_err(|_| OpenObjectError::NoSuchKey)?;
    inner.objects.open_object(scope, &bucket, &key, version).await
}

fn not_opened(error: &OpenObjectError) -> ApiError {
    let (code, text) = match error {
        OpenObjectError::NoSuchBucket => ("NoSuchBucket", "The specified bucket does not exist"),
        OpenObjectError::NoSuchKey => ("NoSuchKey", "The specified key does not exist."),
        OpenObjectError::NoSuchVersion => {
            ("NoSuchVersion", "The specified version does not exist.")
        }
        OpenObjectError::DeleteMarker => {
            ("MethodNotAllowed", "The specified method is not allowed against this resource.")
        }
        OpenObjectError::OtherRegion { region } => {
            let text = format!(
                "Error occurred while GetObject. S3 Error Code: PermanentRedirect. S3 Error Message: The \
                 bucket is in this region: {region}. Please use this region to retry the request"
            );
            return ApiError::invalid_parameter(text);
        }
        OpenObjectError::Storage(_) | OpenObjectError::Unreadable(_) => {
            warn!(%error, "object not opened");
            return ApiError::internal(Dialect::LAMBDA);
        }
    };
    not_had(code, text)
}

/// 400 for an object that cannot be had, with what S3 says of it.
pub(super) fn not_had(code: &str, text: &str) -> ApiError {
    ApiError::invalid_parameter(format!(
        "Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {text}"
    ))
}

/// A package from a file has no limit of its own but what it is unzipped.
async fn store_file(inner: &Inner, file: File) -> Result<Package, ApiError> {
    let unreadable = |error: std::io::Error| {
        warn!(%error, "package not read");
        ApiError::internal(Dialect::LAMBDA)
    };
    let size_bytes = file.metadata().map_err(unreadable)?.len();
    if size_bytes > limits::UNZIPPED_BYTES {
        return Err(unzipped_too_large());
    }
    let looked_at = file.try_clone().map_err(unreadable)?;
    let unzipped_bytes = unzipped(move || package::inspect(looked_at)).await?;
    let mut file = file;
    file.rewind().map_err(unreadable)?;
    let (digest, size_bytes) = inner.packages.put_file(file).await.map_err(unreadable)?;
    Ok(Package { code: function::Package { digest, size_bytes }, unzipped_bytes })
}

async fn store_zip(inner: &Inner, zip: Bytes) -> Result<Package, ApiError> {
    if zip.len() > limits::ZIPPED_BYTES {
        return Err(ApiError::zip_too_large(limits::ZIPPED_BYTES));
    }
    let looked_at = zip.clone();
    let unzipped_bytes = unzipped(move || package::inspect(Cursor::new(&looked_at))).await?;
    let size_bytes = zip.len() as u64;
    match inner.packages.put(zip).await {
        Ok(digest) => {
            let code = function::Package { digest, size_bytes };
            Ok(Package { code, unzipped_bytes })
        }
        Err(error) => {
            warn!(%error, "package not stored");
            Err(ApiError::internal(Dialect::LAMBDA))
        }
    }
}

/// The unzipped size of a package that is stored already.
pub(super) async fn unzipped_bytes(inner: &Inner, digest: &Digest) -> Result<u64, ApiError> {
    match inner.packages.file(digest).await {
        Ok(file) => unzipped(move || package::inspect(file)).await,
        Err(error) => {
            warn!(%error, "package not read");
            Err(ApiError::internal(Dialect::LAMBDA))
        }
    }
}

/// Decompressing is work for a thread that may be busy.
async fn unzipped(
    inspect: impl FnOnce() -> Result<package::Summary, package::PackageError> + Send + 'static,
) -> Result<u64, ApiError> {
    match tokio::task::spawn_blocking(inspect).await {
        Ok(Ok(summary)) => Ok(summary.unzipped_bytes),
        Ok(Err(error)) => Err(refusal(&error)),
        Err(error) => {
            warn!(%error, "package inspection ended early");
            Err(ApiError::internal(Dialect::LAMBDA))
        }
    }
}

/// 400 for code and layers over their limit.
pub(super) fn unzipped_too_large() -> ApiError {
    let limit = limits::UNZIPPED_BYTES;
    ApiError::invalid_parameter(format!("Unzipped size must be smaller than {limit} bytes"))
}

fn refusal(error: &package::PackageError) -> ApiError {
    if error.is_platform() {
        warn!(%error, "package not read");
        return ApiError::internal(Dialect::LAMBDA);
    }
    if error.is_too_large() {
        return unzipped_too_large();
    }
    if error.is_empty() {
        return ApiError::invalid_parameter("Uploaded file must be a non-empty zip");
    }
    warn!(%error, "package refused");
    ApiError::invalid_parameter(
        "Could not unzip uploaded file. Please check your file, then try to upload again.",
    )
}

/// A link to a package, as `Code.Location` shows it.
pub(super) fn location(inner: &Inner, host: &str, digest: &Digest) -> String {
    let path = format!("/_dormouse/code/{digest}");
    let expires = inner.clock.wall_ms() + limits::CODE_LINK_MS;
    format!("http://{host}{path}?{}", inner.signer.sign(&path, expires))
}
