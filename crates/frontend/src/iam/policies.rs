//! Managed policies: the account's own with their versions, and AWS's, which are only shown.

use std::collections::BTreeMap;

use dormouse_api::error::ApiError;
use dormouse_api::iam::{
    self, Answer, AwsPolicy, ManagedPolicy, ManagedPolicyVersion, Paging, PolicyAnswer,
    PolicyRequest, PolicyScope,
};
use dormouse_store::ChangeError;
use dormouse_store::iam::{AttachError, CreateError, Policy, PolicyVersion};

use super::changes::{add, listed};
use super::{Iam, page, unique_id};

/// Versions a policy may have (IAM quota).
const VERSIONS: usize = 5;
/// Policies of an account that are looked at for one list (ours; IAM's quota is 1500 by default).
const POLICIES: usize = 10_000;
/// When AWS's own policies are shown to have been made: when IAM began to have them.
const AWS_CREATED_MS: u64 = 1_423_170_123_000;

impl Iam<'_> {
    pub(super) async fn attach(&self, role: String, arn: String) -> Result<Answer, ApiError> {
        let own = self.own_name(&arn).map(str::to_owned);
        if own.is_none() && !is_awss(&arn) {
            return Err(iam::no_such_policy(&arn));
        }
        let policy = (arn.clone(), own);
        match self.inner.policies.attach(self.account, &role, policy).await {
            Ok(()) => Ok(Answer::Done { action: "AttachRolePolicy" }),
            Err(AttachError::NoRole) => Err(iam::no_such_role(&role)),
            Err(AttachError::NoPolicy) => Err(iam::no_such_policy(&arn)),
            Err(AttachError::Storage(fault)) => Err(self.storage(&fault)),
        }
    }

    pub(super) async fn policy(&self, request: PolicyRequest) -> Result<Answer, ApiError> {
        match request {
            PolicyRequest::Create { .. } => self.create_policy(request).await,
            PolicyRequest::Delete { arn } => self.delete_policy(&arn).await,
            PolicyRequest::CreateVersion { arn, document, set_as_default } => {
                self.create_version(&arn, document, set_as_default).await
            }
            PolicyRequest::DeleteVersion { arn, version } => {
                let missing = iam::no_such_version(&arn, &version);
                self.change_policy("DeletePolicyVersion", &arn, move |policy| {
                    if number(&version) == Some(policy.default_version) {
                        return Err(iam::default_version_stays());
                    }
                    let removed = number(&version).and_then(|n| policy.versions.remove(&n));
                    removed.map(drop).ok_or(missing)
                })
                .await
            }
            PolicyRequest::SetDefaultVersion { arn, version } => {
                let missing = iam::no_such_version(&arn, &version);
                self.change_policy("SetDefaultPolicyVersion", &arn, move |policy| {
                    let found = number(&version).filter(|n| policy.versions.contains_key(n));
                    policy.default_version = found.ok_or(missing)?;
                    Ok(())
                })
                .await
            }
            PolicyRequest::Tag { arn, tags } => {
                self.change_policy("TagPolicy", &arn, |policy| add(&mut policy.tags, tags)).await
            }
            PolicyRequest::Untag { arn, keys } => {
                self.change_policy("UntagPolicy", &arn, move |policy| {
                    policy.tags.retain(|key, _| !keys.contains(key));
                    Ok(())
                })
                .await
            }
            reading => self.read_policy(reading).await,
        }
    }

    async fn read_policy(&self, request: PolicyRequest) -> Result<Answer, ApiError> {
        let answer = match request {
            PolicyRequest::Get { arn } => {
                let attached = self.attachments().await?;
                PolicyAnswer::GetPolicy(described(&self.found(&arn).await?, &attached))
            }
            PolicyRequest::List { scope, only_attached, path_prefix, paging } => {
                return self.list_policies(scope, only_attached, &path_prefix, &paging).await;
            }
            PolicyRequest::GetVersion { arn, version } => {
                let policy = self.found(&arn).await?;
                let number = number(&version).filter(|n| policy.versions.contains_key(n));
                let number = number.ok_or_else(|| iam::no_such_version(&arn, &version))?;
                PolicyAnswer::GetPolicyVersion(version_of(&policy, number, true))
            }
            PolicyRequest::ListVersions { arn, paging } => {
                let policy = self.found(&arn).await?;
                // The newest first, as AWS lists them; five at most, so a page holds them all
                // unless fewer were asked for.
                let numbers = policy.versions.keys().rev().map(|n| format!("v{n}"));
                let after = paging.marker.as_deref().and_then(number);
                let rest = numbers.filter(|v| after.is_none_or(|after| number(v) < Some(after)));
                let (shown, marker) = page(rest, &Paging { marker: None, items: paging.items });
                let numbers = shown.iter().filter_map(|v| number(v));
                let versions = numbers.map(|n| version_of(&policy, n, false)).collect();
                PolicyAnswer::ListPolicyVersions { versions, marker }
            }
            PolicyRequest::ListTags { arn, paging } => {
                let tags = self.found(&arn).await?.tags;
                let (keys, marker) = page(tags.keys().cloned(), &paging);
                return Ok(listed("ListPolicyTags", tags, &keys, marker));
            }
            _ => return Err(ApiError::internal(self.dialect)),
        };
        Ok(Answer::Policy(answer))
    }

    async fn create_policy(&self, request: PolicyRequest) -> Result<Answer, ApiError> {
        let PolicyRequest::Create { name, path, document, description, tags } = request else {
            return Err(ApiError::internal(self.dialect));
        };
        let mut all_tags = BTreeMap::new();
        add(&mut all_tags, tags)?;
        let now_ms = self.inner.clock.wall_ms();
        let policy = Policy {
            account: self.account.clone(),
            arn: format!("arn:aws:iam::{}:policy{path}{name}", self.account),
            policy_id: unique_id("ANPA", self.inner.chance.bits()),
            name,
            path,
            description,
            created_ms: now_ms,
            updated_ms: now_ms,
            tags: all_tags,
            versions: BTreeMap::from([(1, PolicyVersion { document, created_ms: now_ms })]),
            default_version: 1,
            next_version: 2,
        };
        match self.inner.policies.create(policy.clone()).await {
            Ok(()) => {
                let shown = described(&policy, &BTreeMap::new());
                Ok(Answer::Policy(PolicyAnswer::CreatePolicy(shown)))
            }
            Err(CreateError::Exists) => Err(iam::policy_exists(&policy.name)),
            Err(CreateError::Storage(fault)) => Err(self.storage(&fault)),
        }
    }

    async fn delete_policy(&self, arn: &str) -> Result<Answer, ApiError> {
        let name = self.changeable(arn)?;
        let wanted = arn.to_owned();
        let deleted =
            self.inner.policies.delete_unattached(self.account, name, move |policy, attached| {
                if policy.arn != wanted {
                    return Err(iam::policy_not_attached(&wanted));
                }
                if attached > 0 {
                    return Err(iam::policy_attached());
                }
                if policy.versions.len() > 1 {
                    return Err(iam::delete_versions_first());
                }
                Ok(())
            });
        match deleted.await {
            Ok(outcome) => outcome.map(|()| Answer::Done { action: "DeletePolicy" }),
            Err(ChangeError::Missing) => Err(iam::policy_not_attached(arn)),
            Err(ChangeError::Storage(fault)) => Err(self.storage(&fault)),
        }
    }

    async fn create_version(
        &self,
        arn: &str,
        document: String,
        set_as_default: bool,
    ) -> Result<Answer, ApiError> {
        let created_ms = self.inner.clock.wall_ms();
        let policy = self.changed_policy(arn, move |policy| {
            if policy.versions.len() >= VERSIONS {
                return Err(iam::too_many_versions());
            }
            let number = policy.next_version;
            policy.versions.insert(number, PolicyVersion { document, created_ms });
            policy.next_version = number.saturating_add(1);
            policy.updated_ms = created_ms;
            if set_as_default {
                policy.default_version = number;
            }
            Ok(())
        });
        let policy = policy.await?;
        let version = version_of(&policy, policy.next_version.saturating_sub(1), false);
        Ok(Answer::Policy(PolicyAnswer::CreatePolicyVersion(version)))
    }

    async fn list_policies(
        &self,
        scope: PolicyScope,
        only_attached: bool,
        path_prefix: &str,
        paging: &Paging,
    ) -> Result<Answer, ApiError> {
        let attached = self.attachments().await?;
        let mut found = BTreeMap::new();
        if scope != PolicyScope::Aws {
            let own = self.inner.policies.list(self.account, path_prefix, None, POLICIES).await;
            let own = own.map_err(|fault| self.storage(&fault))?;
            found.extend(own.into_iter().map(|policy| (policy.arn.clone(), policy)));
        }
        if scope != PolicyScope::Local {
            let shown = AwsPolicy::all().iter().filter(|it| it.path.starts_with(path_prefix));
            found.extend(shown.map(|policy| (policy.arn(), self.awss(policy))));
        }
        found.retain(|arn, _| !only_attached || attached.contains_key(arn));
        let (arns, marker) = page(found.keys().cloned(), paging);
        let policies = arns.iter().map(|arn| described(&found[arn], &attached)).collect();
        Ok(Answer::Policy(PolicyAnswer::ListPolicies { policies, marker }))
    }

    async fn found(&self, arn: &str) -> Result<Policy, ApiError> {
        if let Some(policy) = AwsPolicy::of_arn(arn) {
            return Ok(self.awss(policy));
        }
        let missing = || iam::policy_not_attached(arn);
        let name = self.own_name(arn).ok_or_else(missing)?;
        let policy = self.inner.policies.get(self.account, name).await;
        let policy = policy.map_err(|fault| self.storage(&fault))?;
        policy.filter(|policy| policy.arn == arn).ok_or_else(missing)
    }

    async fn change_policy(
        &self,
        action: &'static str,
        arn: &str,
        change: impl FnOnce(&mut Policy) -> Result<(), ApiError> + Send + 'static,
    ) -> Result<Answer, ApiError> {
        let now_ms = self.inner.clock.wall_ms();
        let changed = self.changed_policy(arn, move |policy| {
            policy.updated_ms = now_ms;
            change(policy)
        });
        changed.await.map(|_| Answer::Done { action })
    }

    async fn changed_policy(
        &self,
        arn: &str,
        change: impl FnOnce(&mut Policy) -> Result<(), ApiError> + Send + 'static,
    ) -> Result<Policy, ApiError> {
        let name = self.changeable(arn)?;
        let wanted = arn.to_owned();
        let changed = self.inner.policies.change(self.account, name, move |policy| {
            if policy.arn != wanted {
                return Err(iam::policy_not_attached(&wanted));
            }
            change(policy)
        });
        match changed.await {
            Ok(outcome) => outcome,
            Err(ChangeError::Missing) => Err(iam::policy_not_attached(arn)),
            Err(ChangeError::Storage(fault)) => Err(self.storage(&fault)),
        }
    }

    async fn attachments(&self) -> Result<BTreeMap<String, usize>, ApiError> {
        let attached = self.inner.policies.attachments(self.account).await;
        attached.map_err(|fault| self.storage(&fault))
    }

    fn changeable<'a>(&self, arn: &'a str) -> Result<&'a str, ApiError> {
        if is_awss(arn) {
            return Err(iam::not_yours(arn));
        }
        self.own_name(arn).ok_or_else(|| iam::policy_not_attached(arn))
    }

    /// The name in the ARN of a policy of this account: its last part.
    fn own_name<'a>(&self, arn: &'a str) -> Option<&'a str> {
        let path = arn.strip_prefix(&format!("arn:aws:iam::{}:policy/", self.account))?;
        path.rsplit('/').next().filter(|name| !name.is_empty())
    }

    fn awss(&self, policy: &AwsPolicy) -> Policy {
        let version = PolicyVersion { document: policy.document(), created_ms: AWS_CREATED_MS };
        Policy {
            account: self.account.clone(),
            name: policy.name.to_owned(),
            path: policy.path.to_owned(),
            arn: policy.arn(),
            policy_id: aws_id(policy.name),
            description: None,
            created_ms: AWS_CREATED_MS,
            updated_ms: AWS_CREATED_MS,
            tags: BTreeMap::new(),
            versions: BTreeMap::from([(1, version)]),
            default_version: 1,
            next_version: 2,
        }
    }
}

fn is_awss(arn: &str) -> bool {
    arn.strip_prefix("arn:aws:iam::aws:policy/").is_some_and(|name| !name.is_empty())
}

/// An id that is always the same for a name.
fn aws_id(name: &str) -> String {
    let bits = name.bytes().fold(0_u128, |bits, byte| {
        bits.wrapping_mul(0x0100_0000_01b3_0000_0000_0000_018d) ^ u128::from(byte)
    });
    unique_id("ANPA", bits)
}

/// The number of a version's id.
fn number(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.parse().ok()
}

fn described(policy: &Policy, attached: &BTreeMap<String, usize>) -> ManagedPolicy {
    ManagedPolicy {
        name: policy.name.clone(),
        policy_id: policy.policy_id.clone(),
        arn: policy.arn.clone(),
        path: policy.path.clone(),
        default_version: policy.default_version,
        attachments: attached.get(&policy.arn).copied().unwrap_or_default(),
        description: policy.description.clone(),
        created_ms: policy.created_ms,
        updated_ms: policy.updated_ms,
        tags: policy.tags.clone(),
    }
}

fn version_of(policy: &Policy, number: u32, with_document: bool) -> ManagedPolicyVersion {
    let version = policy.versions.get(&number);
    ManagedPolicyVersion {
        number,
        is_default: policy.default_version == number,
        created_ms: version.map_or(policy.created_ms, |version| version.created_ms),
        document: version.filter(|_| with_document).map(|version| version.document.clone()),
    }
}
