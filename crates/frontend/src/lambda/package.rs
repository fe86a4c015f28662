//! Packages on their way in and out: checked and stored, then linked to for ten minutes.

use std::io::Cursor;

use bytes::Bytes;
use dormouse_api::error::ApiError;
use dormouse_api::lambda::CodeSource;
use dormouse_api::service::Dialect;
use dormouse_model::function::Code;
use dormouse_model::limits;
use dormouse_model::names::Digest;
use dormouse_store::package;
use tracing::warn;

use crate::context::Inner;

/// Checks a package and stores it; once this returns it is on disk.
pub(super) async fn store(inner: &Inner, source: CodeSource) -> Result<Code, ApiError> {
    let zip = match source {
        CodeSource::Zip(zip) => Bytes::from(zip),
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
    // Decompressing is work for a thread that may be busy.
    let inspected =
        tokio::task::spawn_blocking(move || package::inspect(Cursor::new(&looked_at))).await;
    match inspected {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return Err(refusal(&error)),
        Err(error) => {
            warn!(%error, "package inspection ended early");
            return Err(ApiError::internal(Dialect::LAMBDA));
        }
    }
    let size_bytes = zip.len() as u64;
    match inner.packages.put(zip).await {
        Ok(digest) => Ok(Code { digest, size_bytes }),
        Err(error) => {
            warn!(%error, "package not stored");
            Err(ApiError::internal(Dialect::LAMBDA))
        }
    }
}

fn refusal(error: &package::PackageError) -> ApiError {
    if error.is_platform() {
        warn!(%error, "package not read");
        return ApiError::internal(Dialect::LAMBDA);
    }
    if error.is_too_large() {
        let limit = limits::UNZIPPED_BYTES;
        return ApiError::invalid_parameter(format!(
            "Unzipped size must be smaller than {limit} bytes"
        ));
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
