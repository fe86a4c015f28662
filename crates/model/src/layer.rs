//! Layers: published archives that functions find under `/opt`, and who may use them.
//!
//! A version is immutable but for its policy. Its number is never given to another, whatever is
//! deleted; that is the store's to keep.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::function::Package;
use crate::names::{AccountId, Digest, InvalidName, LayerName, Scope};
use crate::policy::{Policy, Statement};

/// One layer of one account in one region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LayerKey {
    /// Whose and where.
    pub scope: Scope,
    /// Which.
    pub name: LayerName,
}

impl LayerKey {
    /// The ARN, without a version.
    #[must_use]
    pub fn arn(&self) -> String {
        self.scope.arn("lambda", format_args!("layer:{}", self.name))
    }
}

/// A version of a layer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LayerVersionKey {
    /// The layer.
    pub layer: LayerKey,
    /// Its number, from 1 on.
    pub number: u64,
}

impl LayerVersionKey {
    /// The ARN with the version.
    #[must_use]
    pub fn arn(&self) -> String {
        format!("{}:{}", self.layer.arn(), self.number)
    }
}

/// Reads exactly what [`LayerVersionKey::arn`] prints.
impl FromStr for LayerVersionKey {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName { kind: "layer version ARN", value: text.to_owned() };
        let (layer, number) = text.rsplit_once(':').ok_or_else(invalid)?;
        let key = Self { layer: layer.parse()?, number: number.parse().map_err(|_| invalid())? };
        if key.arn() == text { Ok(key) } else { Err(invalid()) }
    }
}

/// Reads exactly what [`LayerKey::arn`] prints.
impl FromStr for LayerKey {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let parts: Vec<&str> = text.split(':').collect();
        let ["arn", "aws", "lambda", region, account, "layer", name] = parts.as_slice() else {
            return Err(InvalidName { kind: "layer ARN", value: text.to_owned() });
        };
        let scope = Scope { account: account.parse()?, region: region.parse()? };
        Ok(Self { scope, name: name.parse()? })
    }
}

/// What `PublishLayerVersion` asks for, before it has a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerContent {
    /// Free text.
    pub description: String,
    /// The licence, in whatever form.
    pub license: Option<String>,
    /// Runtimes it says it is for; nothing holds a function to them.
    pub compatible_runtimes: Vec<String>,
    /// Instruction sets it says it is for; nothing holds a function to them.
    pub compatible_architectures: Vec<String>,
    /// The package.
    pub code: Package,
    /// Bytes of the package unzipped.
    pub unzipped_bytes: u64,
    /// When it was published, in milliseconds since 1970.
    pub created_ms: u64,
}

/// A published version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerVersion {
    /// Which.
    pub key: LayerVersionKey,
    /// What was published.
    pub content: LayerContent,
    /// Who else may use it.
    pub policy: LayerPolicy,
}

impl LayerVersion {
    /// Whether functions of an account may use it.
    #[must_use]
    pub fn is_open_to(&self, account: &AccountId) -> bool {
        self.key.layer.scope.account == *account || self.policy.permits(account)
    }

    /// The version as a function holds it.
    #[must_use]
    pub fn attached(&self) -> AttachedLayer {
        AttachedLayer {
            arn: self.key.arn(),
            digest: self.content.code.digest.clone(),
            size_bytes: self.content.code.size_bytes,
            unzipped_bytes: self.content.unzipped_bytes,
        }
    }
}

/// A layer version as a function holds it: all that is needed to run it, so that it outlives the
/// version's own record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedLayer {
    /// The version's ARN.
    pub arn: String,
    /// The package.
    pub digest: Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its size in bytes, unzipped.
    pub unzipped_bytes: u64,
}

/// Bytes of layers, unzipped.
#[must_use]
pub fn unzipped_bytes(layers: &[AttachedLayer]) -> u64 {
    layers.iter().map(|layer| layer.unzipped_bytes).fold(0, u64::saturating_add)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Attached(AttachedLayer),
    /// Before there were layers, a function could name some. They were never used.
    Named(#[expect(dead_code, reason = "only that it is a text matters")] String),
}

/// Reads the layers of a function's record.
pub(crate) fn stored<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<AttachedLayer>, D::Error> {
    let stored = Vec::<Stored>::deserialize(deserializer)?;
    let attached = stored.into_iter().filter_map(|layer| match layer {
        Stored::Attached(layer) => Some(layer),
        Stored::Named(_) => None,
    });
    Ok(attached.collect())
}

/// Who may use a layer version besides its account.
pub type LayerPolicy = Policy<LayerStatement>;

/// One permission to use a layer version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerStatement {
    /// Its name.
    pub id: String,
    /// To whom.
    pub principal: LayerPrincipal,
    /// Only accounts of this organization.
    pub organization: Option<String>,
}

/// To whom a layer version is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LayerPrincipal {
    /// Everybody.
    Anyone,
    /// An account.
    Account(AccountId),
}

impl Statement for LayerStatement {
    fn id(&self) -> &str {
        &self.id
    }
}

impl LayerPolicy {
    fn permits(&self, account: &AccountId) -> bool {
        // Accounts here belong to no organization, so who must be of one is nobody.
        self.statements.iter().filter(|statement| statement.organization.is_none()).any(
            |statement| match &statement.principal {
                LayerPrincipal::Anyone => true,
                LayerPrincipal::Account(open_to) => open_to == account,
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const R1: &str = "00000000-0000-4000-8000-000000000001";
    const R2: &str = "00000000-0000-4000-8000-000000000002";

    fn statement(id: &str, principal: LayerPrincipal) -> LayerStatement {
        LayerStatement { id: id.to_owned(), principal, organization: None }
    }

    fn account(text: &str) -> AccountId {
        text.parse().unwrap()
    }

    #[test]
    fn only_whole_arns_of_layer_versions_are_read() {
        let arn = "arn:aws:lambda:eu-west-1:123456789012:layer:tools_1-x:42";
        let key: LayerVersionKey = arn.parse().unwrap();
        assert_eq!((key.arn().as_str(), key.number), (arn, 42));
        assert_eq!(key.layer.arn(), "arn:aws:lambda:eu-west-1:123456789012:layer:tools_1-x");
        for text in [
            "tools:1",
            "arn:aws:lambda:eu-west-1:123456789012:layer:tools",
            "arn:aws:lambda:eu-west-1:123456789012:layer:tools:01",
            "arn:aws:lambda:eu-west-1:123456789012:layer:tools:99999999999999999999999",
            "arn:aws:lambda:eu-west-1:123456789012:function:tools:1",
            "arn:aws:lambda:eu-west-1:1234:layer:tools:1",
        ] {
            assert!(text.parse::<LayerVersionKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_policy_opens_a_version_to_whom_it_names() {
        let (friend, stranger) = (account("111111111111"), account("222222222222"));
        let policy = LayerPolicy::default();
        assert!(!policy.permits(&friend));
        let of_friend = statement("friend", LayerPrincipal::Account(friend.clone()));
        let policy = policy.with(of_friend, None, R1.parse().unwrap()).unwrap();
        assert!(policy.permits(&friend) && !policy.permits(&stranger));
        let mut of_some = statement("some", LayerPrincipal::Anyone);
        of_some.organization = Some("o-abcdefghij".to_owned());
        let policy = policy.with(of_some, None, R2.parse().unwrap()).unwrap();
        assert!(!policy.permits(&stranger));
        let of_all = statement("all", LayerPrincipal::Anyone);
        assert!(policy.with(of_all, None, R1.parse().unwrap()).unwrap().permits(&stranger));
    }

    proptest! {
        #[test]
        fn no_text_panics_the_reader(text in ".{0,200}") {
            let _ = text.parse::<LayerVersionKey>();
        }
    }
}
