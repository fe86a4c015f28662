//! Aliases: names for versions, and which of its one or two versions an invocation runs.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::names::{AliasName, FunctionKey, Qualifier, RevisionId, Version};

/// An alias as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alias {
    /// The function whose alias it is.
    pub function: FunctionKey,
    /// Its name.
    pub name: AliasName,
    /// The version it points to.
    pub version: Version,
    /// Another version that gets a share of the invocations.
    pub additional: Option<Weighted>,
    /// Free text.
    pub description: String,
    /// Changes with every change of the alias.
    pub revision: RevisionId,
}

/// A version with its share of the invocations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Weighted {
    /// The version's number.
    pub number: u64,
    /// Between 0.0 and 1.0.
    pub weight: f64,
}

/// What is changed of an alias; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AliasChange {
    /// The version it points to.
    pub version: Option<Version>,
    /// The other version, or that there is none any more.
    pub additional: Option<Option<Weighted>>,
    /// Free text.
    pub description: Option<String>,
    /// The revision the caller believes it changes, if it said.
    pub expected: Option<RevisionId>,
}

/// Why an alias cannot be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AliasDenied {
    /// The caller's revision is not the latest.
    #[error("revision is not the latest")]
    StaleRevision,
    /// A version that is not there.
    #[error("version {0} is not there")]
    NoVersion(Version),
    /// Two versions, and both are the same.
    #[error("version {0} is there twice")]
    Twice(u64),
    /// Two versions, and one is `$LATEST`.
    #[error("$LATEST is one of two versions")]
    Latest,
}

impl Alias {
    /// The ARN.
    #[must_use]
    pub fn arn(&self) -> String {
        self.function.qualified_arn(&Qualifier::Alias(self.name.clone()))
    }

    /// The version that an invocation runs, for a chance of 128 random bits.
    #[must_use]
    pub fn roll(&self, chance: u128) -> Version {
        // The upper 32 bits as a number from 0.0 up to, and never equal to, 1.0: a weight of 0.0
        // is met by none and one of 1.0 by all.
        let drawn = u32::try_from(chance >> 96).map_or(0.0, f64::from) / 4_294_967_296.0;
        match self.additional {
            Some(additional) if drawn < additional.weight => Version::Number(additional.number),
            _ => self.version,
        }
    }

    /// Whether invocations may run this version.
    #[must_use]
    pub fn runs(&self, version: Version) -> bool {
        let additional = self.additional.map(|additional| Version::Number(additional.number));
        self.version == version || additional == Some(version)
    }

    /// The alias, if it can be so while its function has versions of these numbers.
    ///
    /// # Errors
    /// When it cannot.
    pub fn checked(self, numbers: &BTreeSet<u64>) -> Result<Self, AliasDenied> {
        let check = |version: Version| match version {
            Version::Number(number) if !numbers.contains(&number) => {
                Err(AliasDenied::NoVersion(version))
            }
            Version::Number(_) | Version::Latest => Ok(()),
        };
        check(self.version)?;
        if let Some(Weighted { number, .. }) = self.additional {
            match self.version {
                Version::Latest => return Err(AliasDenied::Latest),
                Version::Number(same) if same == number => return Err(AliasDenied::Twice(number)),
                Version::Number(_) => check(Version::Number(number))?,
            }
        }
        Ok(self)
    }

    /// The alias after a change.
    ///
    /// # Errors
    /// When the caller's revision is stale, or it cannot be so.
    pub fn changed(
        &self,
        change: AliasChange,
        numbers: &BTreeSet<u64>,
        revision: RevisionId,
    ) -> Result<Self, AliasDenied> {
        if change.expected.is_some_and(|expected| expected != self.revision) {
            return Err(AliasDenied::StaleRevision);
        }
        let changed = Self {
            version: change.version.unwrap_or(self.version),
            additional: change.additional.unwrap_or(self.additional),
            description: change.description.unwrap_or_else(|| self.description.clone()),
            revision,
            ..self.clone()
        };
        changed.checked(numbers)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn revision(last: u8) -> RevisionId {
        format!("00000000-0000-4000-8000-00000000000{last}").parse().unwrap()
    }

    fn alias(version: Version, additional: Option<(u64, f64)>) -> Alias {
        let scope = crate::names::Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        Alias {
            function: FunctionKey { scope, name: "f".parse().unwrap() },
            name: "live".parse().unwrap(),
            version,
            additional: additional.map(|(number, weight)| Weighted { number, weight }),
            description: String::new(),
            revision: revision(1),
        }
    }

    fn check(version: Version, additional: Option<u64>, expected: &str) {
        let additional = additional.map(|number| (number, 0.5));
        let got = alias(version, additional).checked(&[1, 2].into());
        let got = got.map_or_else(|denied| denied.to_string(), |_| "so be it".to_owned());
        assert_eq!(got, expected, "{version} {additional:?}");
    }

    #[test]
    fn an_alias_points_to_versions_that_are_there() {
        check(Version::Latest, None, "so be it");
        check(Version::Number(1), None, "so be it");
        check(Version::Number(1), Some(2), "so be it");
        check(Version::Number(3), None, "version 3 is not there");
        check(Version::Number(1), Some(3), "version 3 is not there");
        check(Version::Number(1), Some(1), "version 1 is there twice");
        check(Version::Latest, Some(1), "$LATEST is one of two versions");
    }

    #[test]
    fn only_what_is_given_changes_and_only_what_the_caller_knows() {
        let before = alias(Version::Number(1), Some((2, 0.5)));
        let change = |change| before.changed(change, &[1, 2].into(), revision(2));
        let same = Alias { revision: revision(2), ..before.clone() };
        assert_eq!(change(AliasChange::default()), Ok(same.clone()));
        let cleared = AliasChange { additional: Some(None), ..AliasChange::default() };
        assert_eq!(change(cleared), Ok(Alias { additional: None, ..same }));
        let moved = AliasChange { version: Some(Version::Number(2)), ..AliasChange::default() };
        assert_eq!(change(moved), Err(AliasDenied::Twice(2)));
        let stale = AliasChange { expected: Some(revision(3)), ..AliasChange::default() };
        assert_eq!(change(stale), Err(AliasDenied::StaleRevision));
        assert!(before.runs(Version::Number(2)) && !before.runs(Version::Latest));
        assert_eq!(before.arn(), "arn:aws:lambda:us-east-1:123456789012:function:f:live");
    }

    proptest! {
        #[test]
        fn a_roll_is_one_of_the_two_and_the_ends_are_sure(chance: u128, weight in 0.0..=1.0_f64) {
            let rolled = |weight| alias(Version::Number(1), Some((2, weight))).roll(chance);
            prop_assert!(matches!(rolled(weight), Version::Number(1 | 2)));
            prop_assert_eq!(rolled(0.0), Version::Number(1));
            prop_assert_eq!(rolled(1.0), Version::Number(2));
            prop_assert_eq!(alias(Version::Latest, None).roll(chance), Version::Latest);
            // Whoever gets the other version with a weight gets it with a greater one, too.
            if rolled(weight) == Version::Number(2) {
                prop_assert_eq!(rolled(f64::midpoint(weight, 1.0)), Version::Number(2));
            }
        }

        #[test]
        fn evenly_spread_chances_are_split_by_the_weight(weight in 0.0..=1.0_f64) {
            let alias = alias(Version::Number(1), Some((2, weight)));
            let chances = (0..1_000_u128).map(|n| (u128::MAX / 1_000) * n);
            let other = chances.filter(|chance| alias.roll(*chance) == Version::Number(2)).count();
            let share = f64::from(u32::try_from(other).unwrap()) / 1_000.0;
            prop_assert!((share - weight).abs() <= 0.002, "{share} of {weight}");
        }
    }
}
