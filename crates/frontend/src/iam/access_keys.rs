//! Access keys of users. An id says its account, so that a request needs no look-up to know where
//! it acts; whose a key is and what signs is in the store.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dormouse_api::error::ApiError;
use dormouse_api::iam::{self, AccessKeyRequest, Answer, KeyUse};
use dormouse_identity::lasting_access_key;
use dormouse_model::chance::Chance;
use dormouse_model::limits;
use dormouse_store::ChangeError;
use dormouse_store::iam::{AccessKey, CreateKeyError, User};

use super::{Iam, page};

/// How often an id is drawn when it is taken (ours): a million are there for an account.
const DRAWS: usize = 8;

impl Iam<'_> {
    pub(super) async fn access_key(&self, request: AccessKeyRequest) -> Result<Answer, ApiError> {
        match request {
            AccessKeyRequest::Create { user } => {
                let user = self.user_name(user).await?;
                self.create_access_key(user).await
            }
            AccessKeyRequest::List { user, paging } => {
                let user = self.get::<User>(&self.user_name(user).await?).await?;
                let keys = self.inner.iam.access_keys.of_user(self.account, &user.name).await;
                let mut keys = keys.map_err(|fault| self.storage(&fault))?;
                keys.sort_by(|one, other| one.id.cmp(&other.id));
                let page = page(keys.into_iter(), |key| key.id.as_str(), &paging);
                Ok(Answer::AccessKeys(page.map(|key| shown(&key, None))))
            }
            AccessKeyRequest::Update { user, key, active } => {
                let of = (self.get::<User>(&self.user_name(user).await?).await?.name, key.clone());
                let done = self.inner.iam.access_keys.set_active(self.account, of, active).await;
                self.done(&key, done)
            }
            AccessKeyRequest::Delete { user, key } => {
                let of = (self.get::<User>(&self.user_name(user).await?).await?.name, key.clone());
                let done = self.inner.iam.access_keys.delete(self.account, of).await;
                self.done(&key, done)
            }
            AccessKeyRequest::LastUsed { key } => {
                let found = self.inner.iam.access_keys.find(&key).await;
                let found = found.map_err(|fault| self.storage(&fault))?;
                let found = found.filter(|found| &found.account == self.account);
                let found = found.ok_or_else(|| iam::no_such_key(&key))?;
                let last = found.used.map(|last| KeyUse {
                    at_ms: last.at_ms,
                    service: last.service,
                    region: last.region,
                });
                Ok(Answer::KeyUse(found.user, last))
            }
        }
    }

    async fn create_access_key(&self, user: String) -> Result<Answer, ApiError> {
        for _ in 0..DRAWS {
            let key = AccessKey {
                id: lasting_access_key(self.account, self.inner.chance.bits()),
                account: self.account.clone(),
                user: user.clone(),
                secret: secret(&self.inner.chance),
                active: true,
                created_ms: self.inner.clock.wall_ms(),
                used: None,
            };
            let limit = limits::ACCESS_KEYS_PER_USER;
            match self.inner.iam.access_keys.create(key.clone(), limit).await {
                Ok(()) => return Ok(Answer::AccessKey(shown(&key, Some(key.secret.clone())))),
                Err(CreateKeyError::Taken) => {}
                Err(CreateKeyError::NoUser) => return Err(iam::not_found(iam::Noun::User, &user)),
                Err(CreateKeyError::TooMany { limit }) => {
                    return Err(iam::too_many("AccessKeysPerUser", limit));
                }
                Err(CreateKeyError::Storage(fault)) => return Err(self.storage(&fault)),
            }
        }
        Err(ApiError::internal(self.dialect))
    }

    fn done(&self, key: &str, done: Result<(), ChangeError>) -> Result<Answer, ApiError> {
        match done {
            Ok(()) => Ok(Answer::Done),
            Err(ChangeError::Missing) => Err(iam::no_such_key(key)),
            Err(ChangeError::Storage(fault)) => Err(self.storage(&fault)),
        }
    }
}

/// Forty characters, as AWS's.
pub(crate) fn secret(chance: &Chance) -> String {
    let mut bytes = [0; 30];
    bytes[..15].copy_from_slice(&chance.bits().to_ne_bytes()[..15]);
    bytes[15..].copy_from_slice(&chance.bits().to_ne_bytes()[..15]);
    STANDARD.encode(bytes)
}

fn shown(key: &AccessKey, secret: Option<String>) -> iam::AccessKey {
    iam::AccessKey {
        user: key.user.clone(),
        id: key.id.clone(),
        active: key.active,
        created_ms: key.created_ms,
        secret,
    }
}
