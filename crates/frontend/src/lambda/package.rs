//! Packages on their way in and out: checked and stored, then linked to for ten minutes.

use std::io::Cursor;

use bytes::Bytes;
use dormouse_api::error::ApiError;
use dormouse_api::lambda::CodeSource;
use dormouse_api::service::Dialect;
use dormouse_model::function::{self, Code};
use dormouse_model::limits;
use dormouse_model::names::Digest;
use dormouse_store::directories::Unusable;
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
pub(super) async fn code(inner: &Inner, source: CodeSource) -> Result<(Code, u64), ApiError> {
    if let CodeSource::Directory { path } = source {
        let directory = directory(inner, &path)?;
        // It is as large as its owner likes.
        return Ok((Code::Directory { directory }, 0));
    }
    let package = store(inner, source).await?;
    Ok((Code::Zip(package.code), package.unzipped_bytes))
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
pub(super) async fn store(inner: &Inner, source: CodeSource) -> Result<Package, ApiError> {
    let zip = match source {
        CodeSource::Zip(zip) => Bytes::from(zip),
        CodeSource::Directory { .. } => {
            return Err(ApiError::invalid_parameter(
                "Only a function's code can be a directory: send the package as ZipFile.",
            ));
        }
        CodeSource::S3 { .. } => {
            return Err(ApiError::invalid_parameter(
                "Code in S3 is not supported by this version of Dormouse: send the package as ZipFile.",
            ));
        }
    };
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
