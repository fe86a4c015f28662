//! Receipts: typed here, opaque text outside. Text from outside that is none is refused.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// One receive of one message. The count of receives tells it from every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Receipt {
    pub(super) queue: i64,
    pub(super) message: i64,
    pub(super) received: u32,
}

/// A text that is no receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a receipt")]
pub struct InvalidReceipt;

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:016x}.{:016x}.{:08x}", self.queue, self.message, self.received);
        f.write_str(&URL_SAFE_NO_PAD.encode(text))
    }
}

impl FromStr for Receipt {
    type Err = InvalidReceipt;
    fn from_str(text: &str) -> Result<Self, InvalidReceipt> {
        let decoded = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidReceipt)?;
        let decoded = String::from_utf8(decoded).map_err(|_| InvalidReceipt)?;
        let fields: Vec<&str> = decoded.split('.').collect();
        let [queue, message, received] = fields[..] else {
            return Err(InvalidReceipt);
        };
        let number = |text| i64::from_str_radix(text, 16).map_err(|_| InvalidReceipt);
        let received = u32::try_from(number(received)?).map_err(|_| InvalidReceipt)?;
        Ok(Self { queue: number(queue)?, message: number(message)?, received })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_receipt_is_read_as_it_was_printed(
            queue in 0..i64::MAX, message in 0..i64::MAX, received: u32,
        ) {
            let receipt = Receipt { queue, message, received };
            prop_assert_eq!(receipt.to_string().parse(), Ok(receipt));
        }

        #[test]
        fn no_text_panics_the_receipts(text in ".{0,80}") {
            let _ = text.parse::<Receipt>();
        }
    }
}
