//! The UUIDs of the Extensions API: parsed here, made by the owner. Pure.

use std::fmt;
use std::str::FromStr;

/// The identifier of an extension or of an event: a UUID of any version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identifier(u128);

/// A text that is no UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID")]
pub struct NotAnIdentifier;

impl Identifier {
    /// From the UUID's 16 bytes as one number, the first byte the highest.
    #[must_use]
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits)
    }
}

impl FromStr for Identifier {
    type Err = NotAnIdentifier;

    /// Takes the forms AWS takes: with and without hyphens, in braces, as a URN.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = match text.len() {
            45 if text.get(..9).is_some_and(|urn| urn.eq_ignore_ascii_case("urn:uuid:")) => {
                &text[9..]
            }
            38 => text
                .strip_prefix('{')
                .and_then(|text| text.strip_suffix('}'))
                .ok_or(NotAnIdentifier)?,
            _ => text,
        };
        let hyphenated = match bare.len() {
            36 => true,
            32 => false,
            _ => return Err(NotAnIdentifier),
        };
        let mut bits = 0;
        for (at, byte) in bare.bytes().enumerate() {
            if hyphenated && matches!(at, 8 | 13 | 18 | 23) {
                if byte != b'-' {
                    return Err(NotAnIdentifier);
                }
                continue;
            }
            let digit = char::from(byte).to_digit(16).ok_or(NotAnIdentifier)?;
            bits = bits << 4 | u128::from(digit);
        }
        Ok(Self(bits))
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.0;
        write!(
            formatter,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            bits >> 96,
            bits >> 80 & 0xffff,
            bits >> 64 & 0xffff,
            bits >> 48 & 0xffff,
            bits & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &str) {
        let got = text.parse::<Identifier>().map_or("none".into(), |id| id.to_string());
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn every_form_of_a_uuid_is_one() {
        let plain = "0123abcd-4567-89ef-0123-456789abcdef";
        check(plain, plain);
        check("0123ABCD-4567-89EF-0123-456789ABCDEF", plain);
        check("0123abcd456789ef0123456789abcdef", plain);
        check("{0123abcd-4567-89ef-0123-456789abcdef}", plain);
        check("urn:uuid:0123abcd-4567-89ef-0123-456789abcdef", plain);
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "none",
            "0123abcd-4567-89ef-0123-456789abcde",
            "0123abcd-4567-89ef-0123-456789abcdef0",
            "0123abcd+4567-89ef-0123-456789abcdef",
            "0123abcg-4567-89ef-0123-456789abcdef",
            "0123abcd4567-89ef-0123-456789abcdef-",
            "(0123abcd-4567-89ef-0123-456789abcdef)",
            "urn:uuidé0123abcd-4567-89ef-0123-456789abcde",
            "+123abcd456789ef0123456789abcdef",
        ] {
            check(text, "none");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(bits in any::<u128>()) {
            let id = Identifier::from_u128(bits);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,50}|[{}urn:id0-9a-f-]{30,46}") {
            let _ = text.parse::<Identifier>();
        }
    }
}
