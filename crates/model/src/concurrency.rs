//! How many invocations may run at once, and where each is counted.
//!
//! An account has so many places. A function may reserve some of them, and a part of them may be
//! provisioned for one of its versions: out of the function's reservation if it has one, and else out
//! of what the account has. An invocation takes the first of these places that is free:
//!
//! 1. one that is provisioned for its version;
//! 2. one of its function's reservation that is not provisioned, if the function has reserved some;
//!    otherwise one of the account that no function claims.
//!
//! A place is counted where it was taken until its invocation ends, whatever changes meanwhile. So
//! no more run at once than there are places, and a version's provisioned places are its own even
//! while their environments are still being made.

pub mod rate;

use std::collections::BTreeMap;

use crate::alias::Alias;
use crate::limits;
use crate::names::{Qualifier, Version};

/// The count of taken places with one more, unless all are taken.
#[must_use]
pub fn with_one_more(taken: u32, places: u32) -> Option<u32> {
    (taken < places).then(|| taken + 1)
}

/// What a function claims of its account's places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    /// What it has reserved, if it has: it uses no more than these, and nobody else does.
    pub reserved: Option<u32>,
    /// What is provisioned for its versions.
    pub provisioned: BTreeMap<Version, u32>,
}

impl Claim {
    /// How much it takes out of its account.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.reserved.unwrap_or_else(|| self.provisioned_total())
    }

    /// How much is left of its reservation for invocations that find no provisioned place; nothing is
    /// said when it has reserved nothing, and they share what nobody claims.
    #[must_use]
    pub fn on_demand(&self) -> Option<u32> {
        Some(self.reserved?.saturating_sub(self.provisioned_total()))
    }

    /// How much is provisioned for all its versions.
    #[must_use]
    pub fn provisioned_total(&self) -> u32 {
        self.provisioned.values().fold(0, |sum, places| sum.saturating_add(*places))
    }
}

/// The kind of place in which an invocation runs, as metrics tell of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seat {
    /// Nothing is provisioned for its version.
    Ordinary,
    /// One that is provisioned for its version.
    Provisioned {
        /// How many of these are taken, this one included.
        taken: u32,
        /// How many there are.
        places: u32,
    },
    /// Some are provisioned for its version, and none was free.
    Spilled,
}

/// How much of an account is left for those who claim nothing, when so much is claimed.
#[must_use]
pub fn unclaimed(claimed: u32) -> u32 {
    limits::ACCOUNT_CONCURRENCY.saturating_sub(claimed)
}

/// Why a function may not reserve so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReserveDenied {
    /// More is provisioned for it.
    #[error("{places} are less than the {provisioned} that are provisioned")]
    BelowProvisioned {
        /// What was to be reserved.
        places: u32,
        /// What is provisioned.
        provisioned: u32,
    },
    /// Those who claim nothing would have too little left.
    #[error("too little would be left unclaimed")]
    TooMuch,
}

/// Whether a function may reserve places, when so much is provisioned for it and others claim so much.
///
/// # Errors
/// When it may not.
pub fn may_reserve(places: u32, provisioned: u32, others: u32) -> Result<(), ReserveDenied> {
    if places < provisioned {
        return Err(ReserveDenied::BelowProvisioned { places, provisioned });
    }
    let left = unclaimed(others.saturating_add(places));
    if left < limits::UNRESERVED_CONCURRENCY { Err(ReserveDenied::TooMuch) } else { Ok(()) }
}

/// Why nothing may be provisioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProvisionDenied {
    /// Only what is published stays as it is.
    #[error("$LATEST is not published")]
    Unpublished,
    /// An alias that runs two versions.
    #[error("alias runs two versions")]
    Weighted,
    /// The alias runs a version that has some by itself.
    #[error("version of the alias is provisioned")]
    VersionIsProvisioned,
    /// An alias that runs the version has some.
    #[error("alias of the version is provisioned")]
    AliasIsProvisioned,
    /// The function's reservation is smaller.
    #[error("more than is reserved")]
    AboveReserved,
    /// Nobody has left so much of the account.
    #[error("more than the {unclaimed} that nobody claims")]
    AboveUnclaimed {
        /// How much there is.
        unclaimed: u32,
    },
    /// Those who claim nothing would have too little left.
    #[error("too little would be left unclaimed")]
    TooMuch,
}

/// Whether so much may be provisioned, when the rest of the function claims `own` and other functions
/// `others`.
///
/// # Errors
/// When it may not.
pub fn may_provision(places: u32, own: &OwnClaim, others: u32) -> Result<(), ProvisionDenied> {
    let provisioned = own.provisioned.saturating_add(places);
    if let Some(reserved) = own.reserved {
        return if provisioned > reserved { Err(ProvisionDenied::AboveReserved) } else { Ok(()) };
    }
    let unclaimed = unclaimed(others.saturating_add(own.provisioned));
    if places > unclaimed {
        Err(ProvisionDenied::AboveUnclaimed { unclaimed })
    } else if unclaimed - places < limits::UNRESERVED_CONCURRENCY {
        Err(ProvisionDenied::TooMuch)
    } else {
        Ok(())
    }
}

/// What a function claims beside what is about to be provisioned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnClaim {
    /// What it has reserved.
    pub reserved: Option<u32>,
    /// What is provisioned for its other versions and aliases.
    pub provisioned: u32,
}

/// Whether a version or an alias of a function may have places of its own, beside those that have
/// some. `alias` finds one of the function's aliases.
///
/// # Errors
/// When it may not.
pub fn may_have_places<'a>(
    qualifier: &Qualifier,
    provisioned: &[Qualifier],
    alias: impl Fn(&Qualifier) -> Option<&'a Alias>,
) -> Result<(), ProvisionDenied> {
    match qualifier {
        Qualifier::Version(Version::Latest) => Err(ProvisionDenied::Unpublished),
        Qualifier::Version(version) => {
            let runs = |other| alias(other).is_some_and(|alias| alias.runs(*version));
            let clash = provisioned.iter().any(runs);
            if clash { Err(ProvisionDenied::AliasIsProvisioned) } else { Ok(()) }
        }
        Qualifier::Alias(_) => {
            let Some(alias) = alias(qualifier) else { return Ok(()) };
            if alias.version == Version::Latest {
                return Err(ProvisionDenied::Unpublished);
            }
            if provisioned.contains(&Qualifier::Version(alias.version)) {
                return Err(ProvisionDenied::VersionIsProvisioned);
            }
            if alias.additional.is_some() { Err(ProvisionDenied::Weighted) } else { Ok(()) }
        }
    }
}

/// Which versions get the places of a version or an alias. An alias of two versions gives the second
/// its weight's share.
#[must_use]
pub fn shares(qualifier: &Qualifier, places: u32, alias: Option<&Alias>) -> Vec<(Version, u32)> {
    let mut shares = match (qualifier, alias) {
        (Qualifier::Version(version), _) => vec![(*version, places)],
        (Qualifier::Alias(_), None) => vec![],
        (Qualifier::Alias(_), Some(alias)) => {
            let other = alias.additional.map(|additional| {
                let share = (f64::from(places) * additional.weight).round();
                // Between nothing and all of them, so nothing is cut off.
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "above"
                )]
                let share = (share as u32).min(places);
                (Version::Number(additional.number), share)
            });
            let main = places - other.map_or(0, |(_, share)| share);
            [(alias.version, main)].into_iter().chain(other).collect()
        }
    };
    shares.retain(|(version, share)| *version != Version::Latest && *share > 0);
    shares
}

/// How far the environments for a version's provisioned places have come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allocation {
    /// How many there are to be.
    pub wanted: u32,
    /// How many are initialised.
    pub ready: u32,
    /// Why the last one that was tried is not; nothing once one is.
    pub failure: Option<AllocationFailure>,
}

/// Why an environment for a provisioned place is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllocationFailure {
    /// The function's Init failed.
    Init,
    /// No sandbox could be made.
    Sandbox,
    /// There is no published version to run.
    Unpublished,
}

/// How far it has come with what was asked for one version or alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provisioned {
    /// How many of the places have an environment that is initialised.
    pub allocated: u32,
    /// What that means.
    pub status: ProvisionedStatus,
}

/// AWS's word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvisionedStatus {
    /// Environments are being made.
    InProgress,
    /// All are there.
    Ready,
    /// Some are not, and the last attempt at one failed; there will be others.
    Failed(AllocationFailure),
}

impl Provisioned {
    /// What is to be told of `places`, of which the versions get these shares and have come so far.
    #[must_use]
    pub fn of(places: u32, versions: &[(u32, Allocation)]) -> Self {
        let part = |(share, allocation): &(u32, Allocation)| {
            if allocation.ready >= allocation.wanted {
                (*share).min(allocation.ready)
            } else {
                // Several aliases of one version divide what is there.
                let part = u64::from(*share) * u64::from(allocation.ready);
                u32::try_from(part / u64::from(allocation.wanted)).unwrap_or(*share).min(*share)
            }
        };
        let allocated = versions.iter().map(part).sum();
        let failure = versions.iter().find_map(|(_, allocation)| allocation.failure);
        let status = match failure {
            _ if versions.is_empty() => ProvisionedStatus::Failed(AllocationFailure::Unpublished),
            _ if allocated >= places => ProvisionedStatus::Ready,
            Some(failure) => ProvisionedStatus::Failed(failure),
            None => ProvisionedStatus::InProgress,
        };
        Self { allocated, status }
    }
}

#[cfg(test)]
mod tests;
