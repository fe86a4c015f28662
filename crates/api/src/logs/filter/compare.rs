//! One value held against one comparison: as numbers where both are, else as text, in which `*`
//! stands for anything.

use super::cursor::{Cursor, invalid};
use crate::error::ApiError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The longer ones come first: the shorter ones are how they begin.
const OPERATORS: [(&str, Operator); 6] = [
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("=", Operator::Equal),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

/// An operator and what it compares with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Comparison {
    operator: Operator,
    /// What is between the stars.
    pieces: Vec<String>,
    number: Option<f64>,
}

/// A value of a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found<'a> {
    pub(super) text: &'a str,
    pub(super) number: Option<f64>,
}

impl Comparison {
    /// Reads one, if an operator comes next. A bare text ends where `stop` says so.
    pub(super) fn parse(
        cursor: &mut Cursor<'_>,
        stop: fn(char) -> bool,
    ) -> Result<Option<Self>, ApiError> {
        let found = OPERATORS.iter().find(|(token, _)| cursor.take(token));
        let Some((_, operator)) = found else {
            return Ok(None);
        };
        let (text, number) = match cursor.quoted()? {
            Some(text) => (text, None),
            None => {
                let bare = cursor.until(stop);
                check_bare(bare, cursor)?;
                (bare.to_owned(), number(bare))
            }
        };
        let is_text = matches!(operator, Operator::Equal | Operator::NotEqual);
        if !is_text && number.is_none() {
            return Err(invalid(&format!("Invalid filter pattern: '{text}' is not a number.")));
        }
        let pieces = text.split('*').map(str::to_owned).collect();
        Ok(Some(Self { operator: *operator, pieces, number }))
    }

    /// Whether it holds for a value.
    pub(super) fn holds(&self, found: &Found<'_>) -> bool {
        let numbers = found.number.zip(self.number);
        let ordered = |holds: fn(&f64, &f64) -> bool| numbers.is_some_and(|(a, b)| holds(&a, &b));
        let equal = || match numbers {
            #[expect(clippy::float_cmp, reason = "equal is what was asked for")]
            Some((found, wanted)) => found == wanted,
            None => is_like(&self.pieces, found.text),
        };
        match self.operator {
            Operator::Equal => equal(),
            Operator::NotEqual => !equal(),
            Operator::Less => ordered(f64::lt),
            Operator::LessOrEqual => ordered(f64::le),
            Operator::Greater => ordered(f64::gt),
            Operator::GreaterOrEqual => ordered(f64::ge),
        }
    }
}

/// A number as patterns and columns have it: digits, a point, an exponent. Not `inf` or `nan`.
pub(super) fn number(text: &str) -> Option<f64> {
    let fits = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
    text.parse().ok().filter(|_| fits)
}

fn check_bare(text: &str, cursor: &Cursor<'_>) -> Result<(), ApiError> {
    if text.is_empty() {
        return Err(cursor.unexpected());
    }
    if text.starts_with('%') {
        return Err(invalid(
            "Regular expressions in filter patterns are not supported by this version of Dormouse.",
        ));
    }
    if text.contains(['"', '<', '>', '=', '!', '{', '(', '[']) {
        return Err(invalid(&format!("Invalid character(s) in term '{text}'")));
    }
    Ok(())
}

/// Whether the pieces follow each other in the text, the first at its start, the last at its end.
fn is_like(pieces: &[String], text: &str) -> bool {
    let [first, between @ .., last] = pieces else {
        return pieces.first().is_some_and(|only| only == text);
    };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else {
        return false;
    };
    for piece in between {
        // The earliest place leaves the most for what follows.
        let Some(at) = rest.find(piece.as_str()) else {
            return false;
        };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last.as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What stars mean, said in the simplest way.
    fn oracle(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => oracle(rest, text),
            (Some((b'*', rest)), Some((_, later))) => oracle(rest, text) || oracle(pattern, later),
            (Some((p, rest)), Some((t, later))) => p == t && oracle(rest, later),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn stars_stand_for_anything(pattern in "[ab*]{0,8}", text in "[ab]{0,12}") {
            let pieces: Vec<String> = pattern.split('*').map(str::to_owned).collect();
            prop_assert_eq!(is_like(&pieces, &text), oracle(pattern.as_bytes(), text.as_bytes()));
        }
    }

    #[test]
    fn numbers_are_only_what_looks_like_one() {
        assert_eq!(number("1e3"), Some(1_000.0));
        assert_eq!(number("-.5"), Some(-0.5));
        for text in ["", "inf", "nan", "1.2.3", "e3", "4*", "-"] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
