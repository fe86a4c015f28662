//! IAM: roles, users, groups, their policies and keys. Stored and shown; what policies allow is
//! not evaluated yet.

mod access_keys;
mod groups;
mod held;
mod instance_profiles;
mod policies;
mod records;
mod roles;
mod tags;
mod users;
mod uses;

pub(crate) use access_keys::secret;
pub use records::Records;
pub(crate) use uses::KeyUses;

use bytes::Bytes;
use dormouse_api::error::ApiError;
use dormouse_api::form::Form;
use dormouse_api::iam::{self, Answer, Page, Paging, Request};
use dormouse_api::service::Dialect;
use dormouse_model::names::{AccountId, RequestId};
use dormouse_store::StorageError;
use http::Response;
use tracing::error;

use crate::caller::Caller;
use crate::context::Inner;

/// Answers an operation.
pub(crate) async fn answer(
    inner: &Inner,
    caller: &Caller,
    (dialect, operation): (Dialect, &str),
    form: &Form,
    id: &RequestId,
) -> Result<Response<Bytes>, ApiError> {
    let Some(request) = Request::read(operation, form)? else {
        return Err(ApiError::not_implemented(dialect, operation));
    };
    let service = Iam { inner, caller, account: &caller.scope.account, dialect };
    service.run(request).await.map(|answer| iam::write(operation, &answer, id))
}

/// One caller's view of IAM, which knows no regions.
struct Iam<'a> {
    inner: &'a Inner,
    caller: &'a Caller,
    account: &'a AccountId,
    dialect: Dialect,
}

impl Iam<'_> {
    async fn run(&self, request: Request) -> Result<Answer, ApiError> {
        match request {
            Request::Role(request) => self.role(request).await,
            Request::User(request) => self.user(request).await,
            Request::AccessKey(request) => self.access_key(request).await,
            Request::Group(request) => self.group(request).await,
            Request::InstanceProfile(request) => self.instance_profile(request).await,
            Request::Policy(request) => self.policy(request).await,
            Request::Held(of, request) => self.held(of, request).await,
            Request::Tags(of, request) => self.tags(of, request).await,
            Request::Boundary(of, arn) => self.bound(of, arn).await,
        }
    }

    /// The ARN of something of this account.
    fn arn(&self, kind: &str, path: &str, name: &str) -> String {
        format!("arn:aws:iam::{}:{kind}{path}{name}", self.account)
    }

    fn unique_id(&self, prefix: &str) -> String {
        unique_id(prefix, self.inner.chance.bits())
    }

    fn storage(&self, fault: &StorageError) -> ApiError {
        error!(error = %fault, "store");
        ApiError::internal(self.dialect)
    }
}

/// A page of what is in the order of its names; the marker is the last name of the page before.
fn page<T>(all: impl Iterator<Item = T>, name: fn(&T) -> &str, paging: &Paging) -> Page<T> {
    let after = |it: &T| paging.marker.as_deref().is_none_or(|marker| name(it) > marker);
    cut(all.filter(after).take(paging.items + 1).collect(), name, paging)
}

/// A page out of what was read, which is one more than fits when the list goes on.
fn cut<T>(mut items: Vec<T>, name: fn(&T) -> &str, paging: &Paging) -> Page<T> {
    let more = items.len() > paging.items;
    items.truncate(paging.items);
    let marker = items.last().filter(|_| more).map(|last| name(last).to_owned());
    Page { items, marker }
}

/// A prefix that says of what it is the id, and 16 characters, as AWS makes them.
fn unique_id(prefix: &str, bits: u128) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let letters = bits.to_le_bytes();
    let id: String =
        letters.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
    format!("{prefix}{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_names_follow_each_other() {
        let paging = |marker: Option<&str>| Paging { marker: marker.map(Into::into), items: 2 };
        let page = |marker| page(["a", "b", "c"].into_iter(), |name| name, &paging(marker));
        assert_eq!(page(None), Page { items: vec!["a", "b"], marker: Some("b".into()) });
        assert_eq!(page(Some("b")), Page { items: vec!["c"], marker: None });
    }

    #[test]
    fn a_role_id_has_twenty_characters() {
        assert_eq!(unique_id("AROA", 0), "AROAAAAAAAAAAAAAAAAA");
        assert_eq!(unique_id("AROA", u128::MAX).len(), 20);
    }
}
