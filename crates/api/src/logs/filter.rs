//! The filter pattern language, as far as unstructured text goes: terms that must all be there,
//! quoted terms, `-` for terms that must not, `?` for terms of which one must.
//!
//! Patterns for JSON, columns and regular expressions are refused by name.

use crate::error::{ApiError, Exception};

/// Characters of a pattern (API model).
const PATTERN_CHARS: usize = 1_024;

/// A pattern that has been read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterPattern {
    required: Vec<String>,
    optional: Vec<String>,
    excluded: Vec<String>,
}

impl FilterPattern {
    /// Reads a pattern. An empty one matches everything.
    ///
    /// # Errors
    /// `InvalidParameterException` for a pattern that is none, or one we do not have.
    pub fn parse(pattern: &str) -> Result<Self, ApiError> {
        if pattern.chars().count() > PATTERN_CHARS {
            return Err(invalid("filterPattern must be at most 1024 characters."));
        }
        let mut rest = pattern.trim();
        if rest.starts_with('{') || rest.starts_with('[') {
            return Err(invalid(
                "Filter patterns for JSON and for columns are not supported by this version of \
                 Dormouse.",
            ));
        }
        let mut parsed = Self::default();
        while !rest.is_empty() {
            rest = parsed.take_term(rest)?.trim_start();
        }
        Ok(parsed)
    }

    /// Takes one term off and returns what follows.
    fn take_term<'a>(&mut self, text: &'a str) -> Result<&'a str, ApiError> {
        let (list, text) = match (text.strip_prefix('-'), text.strip_prefix('?')) {
            (Some(text), _) => (&mut self.excluded, text),
            (_, Some(text)) => (&mut self.optional, text),
            _ => (&mut self.required, text),
        };
        let (term, rest) = match text.strip_prefix('"') {
            Some(quoted) => quoted_term(quoted)?,
            None => bare_term(text)?,
        };
        list.push(term);
        Ok(rest)
    }

    /// Whether a message is let through. Case matters, as at AWS.
    #[must_use]
    pub fn matches(&self, message: &str) -> bool {
        let has = |term: &String| message.contains(term.as_str());
        // AWS ignores `?` terms as soon as there are others.
        let alone = self.required.is_empty() && self.excluded.is_empty();
        let any = !alone || self.optional.is_empty() || self.optional.iter().any(has);
        any && self.required.iter().all(has) && !self.excluded.iter().any(has)
    }

    /// Whether every message is let through.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn quoted_term(text: &str) -> Result<(String, &str), ApiError> {
    let mut term = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((term, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, c @ ('"' | '\\'))) => term.push(c),
                Some((_, c)) => term.extend(['\\', c]),
                None => break,
            },
            c => term.push(c),
        }
    }
    Err(invalid("Invalid filter pattern: a quoted term does not end."))
}

fn bare_term(text: &str) -> Result<(String, &str), ApiError> {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (term, rest) = text.split_at(end);
    if term.starts_with('%') {
        return Err(invalid(
            "Regular expressions in filter patterns are not supported by this version of Dormouse.",
        ));
    }
    if term.is_empty() || !term.chars().all(|c| c.is_alphanumeric() || "_.*-".contains(c)) {
        return Err(invalid(&format!("Invalid character(s) in term '{term}'")));
    }
    Ok((term.to_owned(), rest))
}

fn invalid(text: &str) -> ApiError {
    ApiError::new(Exception::LogsInvalidParameter, text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(pattern: &str, message: &str, expected: bool) {
        let pattern = FilterPattern::parse(pattern).unwrap();
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
        for pattern in ["{ $.a = 1 }", "[a, b]", "%x%", "\"open", "a:b", "-", "?"] {
            let error = FilterPattern::parse(pattern).unwrap_err();
            assert_eq!(error.exception, Exception::LogsInvalidParameter, "{pattern}");
        }
        assert!(FilterPattern::parse(&"a".repeat(1_025)).is_err());
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in ".{0,60}", message in ".{0,60}") {
            if let Ok(pattern) = FilterPattern::parse(&pattern) {
                let _ = pattern.matches(&message);
            }
        }

        #[test]
        fn a_quoted_text_matches_itself(text in "[ -~]{1,30}") {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            let pattern = FilterPattern::parse(&format!("\"{quoted}\"")).unwrap();
            prop_assert!(pattern.matches(&text));
        }
    }
}
