//! Managed policies: the account's own with their versions, and AWS's, which are only shown.

use std::collections::BTreeMap;

use dormouse_api::error::ApiError;
use dormouse_api::iam::{
    self, Answer, AwsPolicy, Conflict, IdentityName, ManagedPolicy, ManagedPolicyVersion, Paging,
    PolicyHolder, PolicyRequest, PolicyScope, PolicyUsage, conflict,
};
use dormouse_store::ChangeError;
use dormouse_store::iam::{CreateError, Holder, HolderKind, Policy, PolicyVersion};

use super::{Iam, cut, page, unique_id};

/// Versions a policy may have (IAM quota).
const VERSIONS: usize = 5;
/// Characters of a policy, white space not counted (IAM quota).
const POLICY_CHARS: usize = 6_144;
/// Policies of an account that are looked at for one list (ours; IAM's quota is 1500 by default).
const POLICIES: usize = 10_000;
/// When AWS's own policies are shown to have been made: when IAM began to have them.
const AWS_CREATED_MS: u64 = 1_423_170_123_000;

impl Iam<'_> {
    pub(super) async fn policy(&self, request: PolicyRequest) -> Result<Answer, ApiError> {
        match request {
            PolicyRequest::Create { .. } => self.create_policy(request).await,
            PolicyRequest::Delete { arn } => self.delete_policy(&arn).await,
            PolicyRequest::CreateVersion { arn, document, set_as_default } => {
                self.create_version(&arn, document, set_as_default).await
            }
            PolicyRequest::DeleteVersion { arn, version } => {
                let missing = iam::no_such_version(&arn, &version);
                self.change_policy(&arn, move |policy| {
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
                self.change_policy(&arn, move |policy| {
                    let found = number(&version).filter(|n| policy.versions.contains_key(n));
                    policy.default_version = found.ok_or(missing)?;
                    Ok(())
                })
                .await
            }
            reading => self.read_policy(reading).await,
        }
    }

    async fn read_policy(&self, request: PolicyRequest) -> Result<Answer, ApiError> {
        match request {
            PolicyRequest::Get { arn } => {
                let policy = self.found(&arn).await?;
                Ok(Answer::Policy(described(&policy, &self.holders().await?)))
            }
            PolicyRequest::List { scope, only_attached, path_prefix, paging } => {
                self.list_policies(scope, only_attached, &path_prefix, &paging).await
            }
            PolicyRequest::GetVersion { arn, version } => {
                let policy = self.found(&arn).await?;
                let number = number(&version).filter(|n| policy.versions.contains_key(n));
                let number = number.ok_or_else(|| iam::no_such_version(&arn, &version))?;
                Ok(Answer::PolicyVersion(version_of(&policy, number, true)))
            }
            PolicyRequest::ListVersions { arn, paging } => {
                let policy = self.found(&arn).await?;
                // The newest first, as AWS lists them; five at most, so a page holds them all
                // unless fewer were asked for.
                let numbers = policy.versions.keys().rev().map(|n| format!("v{n}"));
                let after = paging.marker.as_deref().and_then(number);
                let rest = numbers.filter(|v| after.is_none_or(|after| number(v) < Some(after)));
                let page = cut(rest.collect(), String::as_str, &paging);
                Ok(Answer::PolicyVersions(page.map(|version| {
                    version_of(&policy, number(&version).unwrap_or_default(), false)
                })))
            }
            PolicyRequest::ListEntities { .. } => self.list_entities(request).await,
            _ => Err(ApiError::internal(self.dialect)),
        }
    }

    async fn list_entities(&self, request: PolicyRequest) -> Result<Answer, ApiError> {
        let PolicyRequest::ListEntities { arn, only, path_prefix, usage, paging } = request else {
            return Err(ApiError::internal(self.dialect));
        };
        if self.attachable(&arn)?.is_some() {
            self.found(&arn).await?;
        }
        let has = |holder: &Holder| {
            let bounds = holder.boundary.as_ref() == Some(&arn);
            match usage {
                Some(PolicyUsage::Permissions) => holder.attached.contains(&arn),
                Some(PolicyUsage::Boundary) => bounds,
                None => bounds || holder.attached.contains(&arn),
            }
        };
        let mut found: Vec<(String, PolicyHolder)> = Vec::new();
        for holder in self.holders().await? {
            if holder.path.starts_with(&path_prefix) && has(&holder) {
                let name = identity_name(holder.kind, holder.name);
                let (kind, text) = name.split();
                // One list has three kinds in it: their order is that of both.
                found.push((format!("{kind}/{text}"), PolicyHolder { name, id: holder.id }));
            }
        }
        found.retain(|(_, holder)| only.is_none_or(|only| holder.name.split().0 == only));
        let page = page(found.into_iter(), |(key, _)| key.as_str(), &paging);
        Ok(Answer::Holders(page.map(|(_, holder)| holder)))
    }

    async fn create_policy(&self, request: PolicyRequest) -> Result<Answer, ApiError> {
        let PolicyRequest::Create { name, path, document, description, tags } = request else {
            return Err(ApiError::internal(self.dialect));
        };
        fits(&document)?;
        let now_ms = self.inner.clock.wall_ms();
        let policy = Policy {
            account: self.account.clone(),
            arn: self.arn("policy", &path, &name),
            policy_id: self.unique_id("ANPA"),
            name,
            path,
            description,
            created_ms: now_ms,
            updated_ms: now_ms,
            tags,
            versions: BTreeMap::from([(1, PolicyVersion { document, created_ms: now_ms })]),
            default_version: 1,
            next_version: 2,
        };
        match self.inner.iam.policies.create(policy.clone()).await {
            Ok(()) => Ok(Answer::MadePolicy(described(&policy, &[]))),
            Err(CreateError::Exists) => Err(iam::policy_exists(&policy.name)),
            Err(CreateError::Storage(fault)) => Err(self.storage(&fault)),
        }
    }

    async fn delete_policy(&self, arn: &str) -> Result<Answer, ApiError> {
        let name = self.changeable(arn)?;
        let wanted = arn.to_owned();
        let policies = &self.inner.iam.policies;
        let deleted = policies.delete(self.account, name, move |policy, holders| {
            if policy.arn != wanted {
                return Err(iam::policy_not_found(&wanted));
            }
            if holders > 0 {
                return Err(conflict(Conflict::AttachedTo));
            }
            if policy.versions.len() > 1 {
                return Err(conflict(Conflict::Versions));
            }
            Ok(())
        });
        match deleted.await {
            Ok(outcome) => outcome.map(|()| Answer::Done),
            Err(ChangeError::Missing) => Err(iam::policy_not_found(arn)),
            Err(ChangeError::Storage(fault)) => Err(self.storage(&fault)),
        }
    }

    async fn create_version(
        &self,
        arn: &str,
        document: String,
        set_as_default: bool,
    ) -> Result<Answer, ApiError> {
        fits(&document)?;
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
        let number = policy.next_version.saturating_sub(1);
        Ok(Answer::PolicyVersion(version_of(&policy, number, false)))
    }

    async fn list_policies(
        &self,
        scope: PolicyScope,
        only_attached: bool,
        path_prefix: &str,
        paging: &Paging,
    ) -> Result<Answer, ApiError> {
        let holders = self.holders().await?;
        let mut found = BTreeMap::new();
        if scope != PolicyScope::Aws {
            let own = self.inner.iam.policies.list(self.account, path_prefix, None, POLICIES).await;
            let own = own.map_err(|fault| self.storage(&fault))?;
            found.extend(own.into_iter().map(|policy| (policy.arn.clone(), policy)));
        }
        if scope != PolicyScope::Local {
            let shown = AwsPolicy::all().iter().filter(|it| it.path.starts_with(path_prefix));
            found.extend(shown.map(|policy| (policy.arn(), self.awss(policy))));
        }
        let is_attached = |arn: &String| holders.iter().any(|holder| holder.attached.contains(arn));
        found.retain(|arn, _| !only_attached || is_attached(arn));
        let page = page(found.into_values(), |policy| policy.arn.as_str(), paging);
        Ok(Answer::Policies(page.map(|policy| described(&policy, &holders))))
    }

    /// The name of a policy of this account; nothing for one of AWS's.
    pub(super) fn attachable(&self, arn: &str) -> Result<Option<String>, ApiError> {
        match self.own_name(arn) {
            Some(name) => Ok(Some(name.to_owned())),
            None if is_awss(arn) => Ok(None),
            None => Err(iam::no_such_policy(arn)),
        }
    }

    pub(super) async fn found(&self, arn: &str) -> Result<Policy, ApiError> {
        if let Some(policy) = AwsPolicy::of_arn(arn) {
            return Ok(self.awss(policy));
        }
        let missing = || iam::policy_not_found(arn);
        let name = self.own_name(arn).ok_or_else(missing)?;
        let policy = self.inner.iam.policies.get(self.account, name).await;
        let policy = policy.map_err(|fault| self.storage(&fault))?;
        policy.filter(|policy| policy.arn == arn).ok_or_else(missing)
    }

    async fn change_policy(
        &self,
        arn: &str,
        change: impl FnOnce(&mut Policy) -> Result<(), ApiError> + Send + 'static,
    ) -> Result<Answer, ApiError> {
        let now_ms = self.inner.clock.wall_ms();
        let changed = self.changed_policy(arn, move |policy| {
            policy.updated_ms = now_ms;
            change(policy)
        });
        changed.await.map(|_| Answer::Done)
    }

    pub(super) async fn changed_policy(
        &self,
        arn: &str,
        change: impl FnOnce(&mut Policy) -> Result<(), ApiError> + Send + 'static,
    ) -> Result<Policy, ApiError> {
        let name = self.changeable(arn)?;
        let wanted = arn.to_owned();
        let changed = self.inner.iam.policies.change(self.account, name, move |policy| {
            if policy.arn != wanted {
                return Err(iam::policy_not_found(&wanted));
            }
            change(policy)
        });
        match changed.await {
            Ok(outcome) => outcome,
            Err(ChangeError::Missing) => Err(iam::policy_not_found(arn)),
            Err(ChangeError::Storage(fault)) => Err(self.storage(&fault)),
        }
    }

    async fn holders(&self) -> Result<Vec<Holder>, ApiError> {
        let holders = self.inner.iam.policies.holders(self.account).await;
        holders.map_err(|fault| self.storage(&fault))
    }

    fn changeable<'a>(&self, arn: &'a str) -> Result<&'a str, ApiError> {
        if is_awss(arn) {
            return Err(iam::not_yours(arn));
        }
        self.own_name(arn).ok_or_else(|| iam::policy_not_found(arn))
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

fn fits(document: &str) -> Result<(), ApiError> {
    if iam::size(document) > POLICY_CHARS {
        return Err(iam::too_many("PolicySize", POLICY_CHARS));
    }
    Ok(())
}

fn identity_name(kind: HolderKind, name: String) -> IdentityName {
    match kind {
        HolderKind::Role => IdentityName::Role(name),
        HolderKind::User => IdentityName::User(name),
        HolderKind::Group => IdentityName::Group(name),
    }
}

fn described(policy: &Policy, holders: &[Holder]) -> ManagedPolicy {
    let bounded = |holder: &&Holder| holder.boundary.as_ref() == Some(&policy.arn);
    ManagedPolicy {
        name: policy.name.clone(),
        policy_id: policy.policy_id.clone(),
        arn: policy.arn.clone(),
        path: policy.path.clone(),
        default_version: policy.default_version,
        attachments: holders.iter().filter(|it| it.attached.contains(&policy.arn)).count(),
        bounds: holders.iter().filter(bounded).count(),
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
