//! What is kept beside a function and is configuration only: what all such groups of operations share.

use bytes::Bytes;
use dormouse_api::error::{ApiError, Exception};
use dormouse_api::lambda::Target;
use dormouse_store::ChangeError;
use dormouse_store::settings::Setting;
use http::{Response, StatusCode};

use super::functions::storage;
use super::versions::{Found, stored};
use crate::context::Inner;

/// What is missing is told in other words than elsewhere.
pub(super) async fn there(
    inner: &Inner,
    target: &Target,
    missing: ApiError,
) -> Result<Found, ApiError> {
    match stored(inner, target).await {
        Err(error) if error.exception == Exception::ResourceNotFound => Err(missing),
        other => other,
    }
}

/// What cannot be had by a function that keeps tenants apart (developer guide; the words are ours).
pub(super) fn refuse_tenants(found: &Found, feature: &str) -> Result<(), ApiError> {
    if found.function.configuration.per_tenant {
        let text = format!("{feature} is not supported for functions with tenant isolation.");
        return Err(ApiError::invalid_parameter(text));
    }
    Ok(())
}

/// Changes a setting of what the caller has found to be there.
pub(super) async fn change_setting<S: Setting>(
    inner: &Inner,
    target: &Target,
    change: impl FnOnce(Option<S>) -> Result<Option<S>, ApiError> + Send + 'static,
) -> Result<Option<S>, ApiError> {
    match inner.settings.change(&target.key, target.qualifier.as_ref(), change).await {
        Ok(result) => result,
        Err(ChangeError::Missing) => Err(ApiError::function_not_found(&target.arn())),
        Err(ChangeError::Storage(fault)) => Err(storage(&fault)),
    }
}

/// A page of what was found when one more was asked for than it holds: that one tells whether there is
/// another page.
pub(super) fn paged<T>(mut found: Vec<T>, items: usize) -> (Vec<T>, bool) {
    let more = found.len() > items;
    found.truncate(items);
    (found, more)
}

pub(super) fn no_content() -> Response<Bytes> {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}
