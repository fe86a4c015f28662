//! The filter pattern language: terms for any text, `{ $.a = 1 }` for JSON, `[a, b = 4*]` for
//! columns. Regular expressions are refused by name.
//!
//! A pattern is text from strangers, and so is what it is held against: reading and matching are
//! bounded by their lengths and never panic.

mod columns;
mod compare;
mod condition;
mod cursor;
mod json;
mod terms;

use self::columns::Columns;
use self::condition::Condition;
use self::cursor::{Cursor, invalid};
use self::terms::Terms;
use crate::error::ApiError;

/// Characters of a pattern (API model).
const PATTERN_CHARS: usize = 1_024;

/// A pattern that has been read.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterPattern(Form);

#[derive(Debug, Clone, PartialEq)]
enum Form {
    Terms(Terms),
    Json(Condition<json::Test>),
    Columns(Columns),
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
        let mut cursor = Cursor::new(pattern);
        let form = if cursor.take("{") {
            Form::Json(json::parse(&mut cursor)?)
        } else if cursor.take("[") {
            Form::Columns(Columns::parse(&mut cursor)?)
        } else {
            return Ok(Self(Form::Terms(Terms::parse(pattern)?)));
        };
        cursor.end()?;
        Ok(Self(form))
    }

    /// Whether a message is let through. Case matters, as at AWS.
    #[must_use]
    pub fn matches(&self, message: &str) -> bool {
        match &self.0 {
            Form::Terms(terms) => terms.matches(message),
            Form::Json(condition) => json::matches(condition, message),
            Form::Columns(columns) => columns.matches(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Exception;

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in [
            "{",
            "{}",
            "{ $.a }",
            "{ a = 1 }",
            "{ $ = 1 }",
            "{ $.a = 1",
            "{ $.a = 1 } x",
            "{ $.a < b }",
            "{ $.a = }",
            "{ $.a = 1 && }",
            "{ ($.a = 1 }",
            "{ $.a IS }",
            "{ $.a = %x% }",
            "{ $.a[x] = 1 }",
            "[",
            "[]",
            "[a",
            "[a] b",
            "[a = ]",
            "[a, ..., b, ...]",
            "[a = 1 && b = 2]",
            "[a b]",
        ] {
            let error = FilterPattern::parse(pattern).unwrap_err();
            assert_eq!(error.exception, Exception::LogsInvalidParameter, "{pattern}");
        }
        let deep = format!("{{ {}$.a = 1{} }}", "(".repeat(400), ")".repeat(400));
        assert!(FilterPattern::parse(&deep).is_err());
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
        fn nothing_that_looks_like_a_pattern_panics(
            pattern in r#"[{\[]([$.a"'\[\]0*=<>!&|() ,]|IS|NOT|EXISTS|NULL){0,30}[}\]]"#,
            message in r#"[{}\[\]"a:0 ,]{0,30}"#,
        ) {
            if let Ok(pattern) = FilterPattern::parse(&pattern) {
                let _ = pattern.matches(&message);
            }
        }
    }
}
