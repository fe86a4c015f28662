//! STS: who the caller is, and credentials for a while. Trust policies are not evaluated yet.

use bytes::Bytes;
use dormouse_api::error::ApiError;
use dormouse_api::form::Form;
use dormouse_api::service::{Dialect, Service};
use dormouse_api::sts::{
    self, AssumedRole, CallerIdentity, Credentials, Request, RoleArn, access_key_info,
};
use dormouse_identity::{Session, account_of, temporary_access_key};
use dormouse_model::names::{AccountId, RequestId};
use dormouse_store::StorageError;
use dormouse_store::iam::User;
use http::Response;
use tracing::error;

use crate::caller::Caller;
use crate::context::Inner;
use crate::iam::secret;

/// Answers an operation.
pub(crate) async fn answer(
    inner: &Inner,
    caller: &Caller,
    (dialect, operation): (Dialect, &str),
    form: &Form,
    id: &RequestId,
) -> Result<Response<Bytes>, ApiError> {
    debug_assert_eq!(dialect.service, Some(Service::Sts));
    let Some(request) = Request::read(operation, form)? else {
        return Err(ApiError::not_implemented(dialect, operation));
    };
    match request {
        Request::GetCallerIdentity => {
            Ok(described(identity(inner, caller, dialect).await?).answer(id))
        }
        Request::AssumeRole { role, session, duration_s } => {
            let assumed = assume(inner, caller, (dialect, role), session, duration_s).await?;
            Ok(assumed.answer(id))
        }
        Request::GetSessionToken { duration_s } => {
            let identity = identity(inner, caller, dialect).await?;
            let CallerIdentity { arn, user_id, account } = described(identity);
            Ok(credentials(inner, &account, (&arn, &user_id), duration_s).answer(id))
        }
        Request::GetAccessKeyInfo { access_key } => {
            // A key that says nothing acts in the configured account, as every such key does.
            let account = account_of(&access_key);
            Ok(access_key_info(account.as_ref().unwrap_or(&inner.home.account), id))
        }
    }
}

/// Who asks.
pub(crate) enum Identity {
    /// Whom a session token names.
    Session(CallerIdentity),
    /// A user, by its access key.
    User(User),
    /// The root of an account: everybody else, while credentials are not told apart.
    Root(AccountId),
}

/// Who asks. Looks for a user only behind keys of the kind that users have.
pub(crate) async fn identity(
    inner: &Inner,
    caller: &Caller,
    dialect: Dialect,
) -> Result<Identity, ApiError> {
    let account = caller.scope.account.clone();
    if let Some(session) = &caller.session {
        let (arn, user_id) = (session.arn.clone(), session.user_id.clone());
        return Ok(Identity::Session(CallerIdentity { account, arn, user_id }));
    }
    let user = match caller.key.as_ref().filter(|(key, _)| account_of(key).is_some()) {
        Some((key, _)) => user_of(inner, key).await.map_err(|fault| {
            error!(error = %fault, "store");
            ApiError::internal(dialect)
        })?,
        None => None,
    };
    Ok(user.map_or(Identity::Root(account), Identity::User))
}

async fn user_of(inner: &Inner, key: &str) -> Result<Option<User>, StorageError> {
    match inner.iam.access_keys.find(key).await? {
        Some(key) => inner.iam.users.get(&key.account, &key.user).await,
        None => Ok(None),
    }
}

fn described(identity: Identity) -> CallerIdentity {
    match identity {
        Identity::Session(identity) => identity,
        Identity::User(User { account, arn, user_id, .. }) => {
            CallerIdentity { account, arn, user_id }
        }
        Identity::Root(account) => CallerIdentity::root(account),
    }
}

async fn assume(
    inner: &Inner,
    caller: &Caller,
    (dialect, asked): (Dialect, RoleArn),
    session: String,
    duration_s: u32,
) -> Result<AssumedRole, ApiError> {
    let found = inner.iam.roles.get(&asked.account, &asked.name).await.map_err(|fault| {
        error!(error = %fault, "store");
        ApiError::internal(dialect)
    })?;
    let found = found.filter(|role| role.arn == asked.arn);
    let role_id = match found {
        Some(role) if duration_s > role.max_session_duration_s => {
            return Err(sts::session_too_long());
        }
        Some(role) => role.role_id,
        None if asked.account == caller.scope.account => {
            let caller = described(identity(inner, caller, dialect).await?);
            return Err(sts::may_not_assume(&caller.arn, &asked.arn));
        }
        // Another account's roles are its own matter: tools assume them across accounts.
        None => format!("AROA{}", &temporary_access_key(&asked.account, 0)[4..]),
    };
    let arn = format!("arn:aws:sts::{}:assumed-role/{}/{session}", asked.account, asked.name);
    let assumed_role_id = format!("{role_id}:{session}");
    let credentials = credentials(inner, &asked.account, (&arn, &assumed_role_id), duration_s);
    Ok(AssumedRole { credentials, arn, assumed_role_id })
}

fn credentials(
    inner: &Inner,
    account: &AccountId,
    (arn, user_id): (&str, &str),
    duration_s: u32,
) -> Credentials {
    let access_key = temporary_access_key(account, inner.chance.bits());
    let expires_ms = inner.clock.wall_ms().saturating_add(u64::from(duration_s) * 1_000);
    let session = Session {
        access_key: access_key.clone(),
        expires_ms,
        arn: arn.to_owned(),
        user_id: user_id.to_owned(),
    };
    let session_token = session.token();
    Credentials { access_key, secret: secret(&inner.chance), session_token, expires_ms }
}
