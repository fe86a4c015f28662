//! Where a page begins, as a text that only means something here.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Numbers that were given out as a token.
pub(super) fn write(numbers: &[u64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
    URL_SAFE_NO_PAD.encode(numbers.join("."))
}

/// The numbers of a token, if it has so many.
pub(super) fn read<const N: usize>(token: &str) -> Option<[u64; N]> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let numbers: Option<Vec<u64>> = text.split('.').map(|part| u64::from_str(part).ok()).collect();
    numbers?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_nothing_else_is_one() {
        assert_eq!(read(&write(&[3, u64::MAX])), Some([3, u64::MAX]));
        assert_eq!(read::<1>(&write(&[1, 2])), None);
        for text in ["", "MQ==", "x", "MS4", "\u{e9}"] {
            assert_eq!(read::<2>(text), None, "{text}");
        }
    }
}
