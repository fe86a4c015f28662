//! Resource policies: statements by their ids, changed only as the caller knows them.
//!
//! A layer version and a function have one each; what a statement says is theirs.

use serde::{Deserialize, Serialize};

use crate::names::RevisionId;

/// One permission of a policy.
pub trait Statement: Clone {
    /// Its name, which no other statement of the policy has.
    fn id(&self) -> &str;
}

/// What a resource permits, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy<S> {
    /// Changes with every change; absent until the first.
    pub revision: Option<RevisionId>,
    /// What stands in front of the statements of a document that was given as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// The permissions, in the order in which they were given.
    pub statements: Vec<S>,
}

/// What stands in front of a document's statements.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Of the language it is written in.
    pub version: Option<String>,
    /// Its name.
    pub id: Option<String>,
}

impl<S> Default for Policy<S> {
    fn default() -> Self {
        Self { revision: None, head: None, statements: Vec::new() }
    }
}

/// Why a policy is not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyDenied {
    /// The caller's revision is not the latest.
    #[error("revision is not the latest")]
    StaleRevision,
    /// There is a statement of that id.
    #[error("statement exists")]
    Exists,
    /// There is no statement of that id.
    #[error("no such statement")]
    NoStatement,
    /// There is no statement at all.
    #[error("no policy")]
    NoPolicy,
}

impl<S: Statement> Policy<S> {
    /// The policy with one more statement.
    ///
    /// # Errors
    /// When its id is taken or `expected` is not the latest revision.
    pub fn with(
        &self,
        statement: S,
        expected: Option<&RevisionId>,
        revision: RevisionId,
    ) -> Result<Self, PolicyDenied> {
        self.check(expected)?;
        if self.statements.iter().any(|other| other.id() == statement.id()) {
            return Err(PolicyDenied::Exists);
        }
        let statements = self.statements.iter().cloned().chain([statement]).collect();
        Ok(Self { revision: Some(revision), head: self.head.clone(), statements })
    }

    /// The policy without a statement.
    ///
    /// # Errors
    /// When there is none of that id or `expected` is not the latest revision.
    pub fn without(
        &self,
        id: &str,
        expected: Option<&RevisionId>,
        revision: RevisionId,
    ) -> Result<Self, PolicyDenied> {
        if self.statements.is_empty() {
            return Err(PolicyDenied::NoPolicy);
        }
        self.check(expected)?;
        let kept: Vec<_> = self.statements.iter().filter(|s| s.id() != id).cloned().collect();
        if kept.len() == self.statements.len() {
            return Err(PolicyDenied::NoStatement);
        }
        Ok(Self { revision: Some(revision), head: self.head.clone(), statements: kept })
    }

    /// This policy in place of another one.
    ///
    /// # Errors
    /// When `expected` is not the latest revision of the other one.
    pub fn replacing(
        self,
        before: &Self,
        expected: Option<&RevisionId>,
        revision: RevisionId,
    ) -> Result<Self, PolicyDenied> {
        before.check(expected)?;
        Ok(Self { revision: Some(revision), ..self })
    }

    /// Nothing in place of the policy.
    ///
    /// # Errors
    /// When there is none, or `expected` is not its latest revision.
    pub fn removed(&self, expected: Option<&RevisionId>) -> Result<(), PolicyDenied> {
        if self.statements.is_empty() {
            return Err(PolicyDenied::NoPolicy);
        }
        self.check(expected)
    }

    fn check(&self, expected: Option<&RevisionId>) -> Result<(), PolicyDenied> {
        match expected {
            Some(expected) if self.revision.as_ref() != Some(expected) => {
                Err(PolicyDenied::StaleRevision)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const R1: &str = "00000000-0000-4000-8000-000000000001";
    const R2: &str = "00000000-0000-4000-8000-000000000002";

    impl Statement for &str {
        fn id(&self) -> &str {
            self
        }
    }

    #[test]
    fn a_policy_changes_only_as_its_caller_knows_it() {
        let (r1, r2): (RevisionId, RevisionId) = (R1.parse().unwrap(), R2.parse().unwrap());
        let none = Policy::default();
        assert_eq!(none.without("s", None, r1.clone()), Err(PolicyDenied::NoPolicy));
        assert_eq!(none.with("s", Some(&r1), r2.clone()), Err(PolicyDenied::StaleRevision));
        let one = none.with("s", None, r1.clone()).unwrap();
        assert_eq!(one.with("s", None, r2.clone()), Err(PolicyDenied::Exists));
        assert_eq!(one.without("t", None, r2.clone()), Err(PolicyDenied::NoStatement));
        assert_eq!(one.without("s", Some(&r2), r2.clone()), Err(PolicyDenied::StaleRevision));
        let left = one.without("s", Some(&r1), r2).unwrap();
        assert!(left.statements.is_empty());
    }
}
