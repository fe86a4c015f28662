//! Session tokens: who a temporary credential is and when it ends, written into the token itself.
//!
//! Nothing is stored, so a token outlives a restart. With open authentication nothing is proven
//! either: a token says who its bearer claims to be, as every credential does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const PREFIX: &str = "dormouse1.";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The access key it belongs to.
    pub access_key: String,
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: u64,
    /// The bearer's ARN.
    pub arn: String,
    /// The bearer's unique id.
    pub user_id: String,
}

impl Session {
    /// The token.
    #[must_use]
    pub fn token(&self) -> String {
        let Self { access_key, expires_ms, arn, user_id } = self;
        let text = format!("{access_key}\n{expires_ms}\n{arn}\n{user_id}");
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(text))
    }

    /// Reads a token. Nothing for one that was not made here.
    #[must_use]
    pub fn of_token(token: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let parts: Vec<&str> = text.split('\n').collect();
        let [access_key, expires_ms, arn, user_id] = parts.as_slice() else {
            return None;
        };
        Some(Self {
            access_key: (*access_key).to_owned(),
            expires_ms: expires_ms.parse().ok()?,
            arn: (*arn).to_owned(),
            user_id: (*user_id).to_owned(),
        })
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.expires_ms
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_token_is_read_as_it_was_made(
            access_key in "[A-Z]{0,20}", expires_ms: u64, arn in "[!-~]{0,40}", user_id in "[!-~]{0,40}",
        ) {
            let session = Session { access_key, expires_ms, arn, user_id };
            prop_assert_eq!(Session::of_token(&session.token()), Some(session));
        }

        #[test]
        fn no_token_panics(token in "(dormouse1\\.)?.{0,60}") {
            let _ = Session::of_token(&token);
        }
    }

    #[test]
    fn a_session_ends() {
        let mut session = Session::of_token("dormouse1.QQoxMAphCmI").unwrap();
        assert!(!session.is_over(9) && session.is_over(10));
        session.expires_ms = 0;
        assert!(session.is_over(0));
        assert_eq!(Session::of_token("FwoGZXIvYXdzEBc"), None);
    }
}
