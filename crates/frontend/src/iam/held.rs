//! The policies of roles, users and groups.

use dormouse_api::error::ApiError;
use dormouse_api::iam::{self, Answer, AttachedPolicy, HeldRequest, IdentityName};
use dormouse_model::limits;
use dormouse_store::iam::{AttachError, Group, HolderKind, Identity, Role, User};

use super::records::Named;
use super::{Iam, page};

impl Iam<'_> {
    pub(super) async fn held(
        &self,
        of: IdentityName,
        request: HeldRequest,
    ) -> Result<Answer, ApiError> {
        match &of {
            IdentityName::Role(_) => self.held_by::<Role>(of, request).await,
            IdentityName::User(_) => self.held_by::<User>(of, request).await,
            IdentityName::Group(_) => self.held_by::<Group>(of, request).await,
        }
    }

    async fn held_by<T: Named + Identity>(
        &self,
        of: IdentityName,
        request: HeldRequest,
    ) -> Result<Answer, ApiError> {
        let name = of.split().1;
        match request {
            HeldRequest::Attach { policy_arn } => self.attach::<T>(name, policy_arn).await,
            HeldRequest::Detach { policy_arn } => self
                .change(name, move |it: &mut T| {
                    let detached = it.policies_mut().attached.remove(&policy_arn);
                    detached.then_some(()).ok_or_else(|| iam::policy_not_found(&policy_arn))
                })
                .await
                .map(|_| Answer::Done),
            HeldRequest::PutInline { policy, document } => self
                .change(name, move |it: &mut T| put_inline(it, policy, document))
                .await
                .map(|_| Answer::Done),
            HeldRequest::DeleteInline { policy } => self
                .change(name, move |it: &mut T| {
                    let removed = it.policies_mut().inline.remove(&policy);
                    removed.map(drop).ok_or_else(|| iam::no_such_inline(T::NOUN, &policy))
                })
                .await
                .map(|_| Answer::Done),
            HeldRequest::GetInline { policy } => {
                let it: T = self.get(name).await?;
                let document = it.policies().inline.get(&policy).cloned();
                let document = document.ok_or_else(|| iam::no_such_inline(T::NOUN, &policy))?;
                Ok(Answer::InlinePolicy { of, policy, document })
            }
            HeldRequest::ListInline { paging } => {
                let it: T = self.get(name).await?;
                let names = it.policies().inline.keys().cloned();
                Ok(Answer::InlinePolicies(page(names, String::as_str, &paging)))
            }
            HeldRequest::ListAttached { path_prefix, paging } => {
                let it: T = self.get(name).await?;
                let arns = it.policies().attached.iter().cloned();
                let arns = arns.filter(|arn| path_of(arn).starts_with(&path_prefix));
                let page = page(arns, String::as_str, &paging);
                Ok(Answer::AttachedPolicies(page.map(|arn| AttachedPolicy { arn })))
            }
        }
    }

    async fn attach<T: Named + Identity>(
        &self,
        name: &str,
        arn: String,
    ) -> Result<Answer, ApiError> {
        let own = self.attachable(&arn)?;
        match T::of(&self.inner.iam).attach(self.account, name, (arn.clone(), own)).await {
            Ok(()) => Ok(Answer::Done),
            Err(AttachError::NoIdentity) => Err(iam::not_found(T::NOUN, name)),
            Err(AttachError::NoPolicy) => Err(iam::no_such_policy(&arn)),
            Err(AttachError::TooMany) => {
                let quota = match T::HOLDER {
                    HolderKind::Role => "PoliciesPerRole",
                    HolderKind::User => "PoliciesPerUser",
                    HolderKind::Group => "PoliciesPerGroup",
                };
                Err(iam::too_many(quota, limits::ATTACHED_POLICIES))
            }
            Err(AttachError::Storage(fault)) => Err(self.storage(&fault)),
        }
    }
}

fn put_inline<T: Named + Identity>(
    it: &mut T,
    policy: String,
    document: String,
) -> Result<(), ApiError> {
    // IAM's quotas; white space does not count.
    let limit = match T::HOLDER {
        HolderKind::Role => 10_240,
        HolderKind::User => 2_048,
        HolderKind::Group => 5_120,
    };
    let inline = &mut it.policies_mut().inline;
    inline.insert(policy, document);
    if inline.values().map(|document| iam::size(document)).sum::<usize>() > limit {
        return Err(iam::inline_too_long(T::NOUN, it.name(), limit));
    }
    Ok(())
}

/// The path in a policy's ARN, `/` at both ends.
fn path_of(arn: &str) -> &str {
    let after = arn.split_once(":policy").map_or("/", |(_, after)| after);
    after.rfind('/').map_or("/", |end| &after[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_s_path_is_in_its_arn() {
        assert_eq!(path_of("arn:aws:iam::123456789012:policy/p"), "/");
        assert_eq!(path_of("arn:aws:iam::aws:policy/service-role/AWSLambda"), "/service-role/");
    }
}
