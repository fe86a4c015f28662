//! Patterns for any text: terms that must all be there, quoted terms, `-` for terms that must not,
//! `?` for terms of which one must.

use super::cursor::{Cursor, invalid};
use crate::error::ApiError;

/// What must, may and must not be in a text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Terms {
    required: Vec<String>,
    optional: Vec<String>,
    excluded: Vec<String>,
}

impl Terms {
    /// Reads terms. None at all match everything.
    pub(super) fn parse(pattern: &str) -> Result<Self, ApiError> {
        let mut cursor = Cursor::new(pattern);
        let mut parsed = Self::default();
        while !cursor.is_at_end() {
            parsed.take_term(&mut cursor)?;
        }
        Ok(parsed)
    }

    fn take_term(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ApiError> {
        let list = if cursor.take("-") {
            &mut self.excluded
        } else if cursor.take("?") {
            &mut self.optional
        } else {
            &mut self.required
        };
        let term = match cursor.quoted()? {
            Some(term) => term,
            None => bare_term(cursor.until(char::is_whitespace))?,
        };
        list.push(term);
        Ok(())
    }

    /// Whether a message is let through. Case matters, as at AWS.
    pub(super) fn matches(&self, message: &str) -> bool {
        let has = |term: &String| message.contains(term.as_str());
        // AWS ignores `?` terms as soon as there are others.
        let alone = self.required.is_empty() && self.excluded.is_empty();
        let any = !alone || self.optional.is_empty() || self.optional.iter().any(has);
        any && self.required.iter().all(has) && !self.excluded.iter().any(has)
    }
}

fn bare_term(term: &str) -> Result<String, ApiError> {
    if term.starts_with('%') {
        return Err(invalid(
            "Regular expressions in filter patterns are not supported by this version of Dormouse.",
        ));
    }
    if term.is_empty() || !term.chars().all(|c| c.is_alphanumeric() || "_.*-".contains(c)) {
        return Err(invalid(&format!("Invalid character(s) in term '{term}'")));
    }
    Ok(term.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Exception;

    fn check(pattern: &str, message: &str, expected: bool) {
        let pattern = Terms::parse(pattern).unwrap();
        assert_eq!(pattern.matches(message), expected, "{pattern:?} on {message:?}");
    }

    #[test]
    fn terms_must_all_be_there_and_excluded_ones_must_not() {
        check("", "anything", true);
        check("ERROR", "[ERROR] x", true);
        check("ERROR", "[error] x", false);
        check("ERROR timeout", "timeout of ERROR", true);
        check("ERROR timeout", "ERROR", false);
        check("ERROR -timeout", "ERROR timeout", false);
        check("ERROR -timeout", "ERROR", true);
        check("-timeout", "fine", true);
        check("?A ?B", "xB", true);
        check("?A ?B", "x", false);
        check("ERROR ?A", "ERROR", true);
        check("\"a b\"", "xa bx", true);
        check("\"a b\"", "a  b", false);
        check("-\"a: b\" x", "a: b x", false);
        check(r#""say \"hi\"""#, "say \"hi\"", true);
    }

    #[test]
    fn what_is_no_term_is_refused() {
        for pattern in ["%x%", "\"open", "a:b", "-", "?"] {
            let error = Terms::parse(pattern).unwrap_err();
            assert_eq!(error.exception, Exception::LogsInvalidParameter, "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in ".{0,60}", message in ".{0,60}") {
            if let Ok(pattern) = Terms::parse(&pattern) {
                let _ = pattern.matches(&message);
            }
        }

        #[test]
        fn a_quoted_text_matches_itself(text in "[ -~]{1,30}") {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            let pattern = Terms::parse(&format!("\"{quoted}\"")).unwrap();
            prop_assert!(pattern.matches(&text));
        }
    }
}
