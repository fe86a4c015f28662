//! Access keys that say whose they are: `AKIA` for those of users or `ASIA` for those that end, and
//! 16 letters that hold an account, a random part and a sum over both.
//!
//! The sum tells our keys from those of a real AWS account, which people have in their environment
//! and which must go on to act in the configured account. It proves nothing.

use dormouse_model::names::AccountId;
use sha2::{Digest, Sha256};

const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const LASTING: &str = "AKIA";
const TEMPORARY: &str = "ASIA";
const KEY_LETTERS: usize = 16;
/// Bits of the random part and of the sum; the account has the 40 before them.
const PART_BITS: u32 = 20;
const PART: u128 = (1 << PART_BITS) - 1;

/// A new temporary access key of an account.
#[must_use]
pub fn temporary_access_key(account: &AccountId, chance: u128) -> String {
    access_key(TEMPORARY, account, chance)
}

/// A new access key of a user of an account. Another one may have been given the same.
#[must_use]
pub fn lasting_access_key(account: &AccountId, chance: u128) -> String {
    access_key(LASTING, account, chance)
}

fn access_key(prefix: &str, account: &AccountId, chance: u128) -> String {
    let account: u128 = account.as_str().parse().unwrap_or_default();
    let random = chance & PART;
    let bits = (account << (2 * PART_BITS)) | (random << PART_BITS) | sum(account, random);
    let letter = |place: usize| {
        let index = usize::try_from((bits >> (5 * place)) & 31).unwrap_or_default();
        char::from(LETTERS[index])
    };
    let letters: String = (0..KEY_LETTERS).rev().map(letter).collect();
    format!("{prefix}{letters}")
}

/// The account of an access key: of twelve digits, which are the account, or of one made here.
#[must_use]
pub fn account_of(access_key: &str) -> Option<AccountId> {
    if let Ok(account) = access_key.parse() {
        return Some(account);
    }
    let letters =
        access_key.strip_prefix(TEMPORARY).or_else(|| access_key.strip_prefix(LASTING))?;
    if letters.len() != KEY_LETTERS {
        return None;
    }
    let mut bits = 0_u128;
    for byte in letters.bytes() {
        let value = LETTERS.iter().position(|letter| *letter == byte)?;
        bits = (bits << 5) | u128::try_from(value).ok()?;
    }
    let (account, random) = (bits >> (2 * PART_BITS), (bits >> PART_BITS) & PART);
    if bits & PART != sum(account, random) {
        return None;
    }
    format!("{account:012}").parse().ok()
}

fn sum(account: u128, random: u128) -> u128 {
    let mut digest = Sha256::new();
    digest.update(b"dormouse access key 1\n");
    digest.update(account.to_be_bytes());
    digest.update(random.to_be_bytes());
    let digest = digest.finalize();
    u128::from(u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])) & PART
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_of_others_have_no_account() {
        for key in
            ["AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE", "test", "", "ASIA", "1234567890123"]
        {
            assert_eq!(account_of(key), None, "{key}");
        }
        assert_eq!(account_of("123456789012"), "123456789012".parse().ok());
    }

    proptest! {
        #[test]
        fn a_key_says_its_account(account in "[0-9]{12}", chance: u128) {
            let account: AccountId = account.parse().unwrap();
            for key in [temporary_access_key(&account, chance), lasting_access_key(&account, chance)] {
                prop_assert_eq!(key.len(), 20);
                prop_assert_eq!(account_of(&key), Some(account.clone()));
            }
        }

        #[test]
        fn no_key_panics(key in "(ASIA|AKIA)?.{0,20}") {
            let _ = account_of(&key);
        }
    }
}
