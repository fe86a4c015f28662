//! Tests joined by `&&`, `||` and parentheses. Knows not what is tested.

use super::cursor::{Cursor, invalid};
use crate::error::ApiError;

/// Parentheses within each other (ours): reading and asking go as deep as a pattern does.
const DEPTH: usize = 32;

/// A test, or several.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition<T> {
    /// One test.
    Test(T),
    /// All of these.
    All(Vec<Self>),
    /// One of these at least.
    Any(Vec<Self>),
}

/// Reads one test.
type ReadTest<T> = fn(&mut Cursor<'_>) -> Result<T, ApiError>;

impl<T> Condition<T> {
    /// Reads a condition; `&&` binds more than `||`.
    pub(super) fn parse(cursor: &mut Cursor<'_>, test: ReadTest<T>) -> Result<Self, ApiError> {
        Self::any(cursor, test, 0)
    }

    fn any(cursor: &mut Cursor<'_>, test: ReadTest<T>, depth: usize) -> Result<Self, ApiError> {
        let mut conditions = vec![Self::all(cursor, test, depth)?];
        while cursor.take("||") {
            conditions.push(Self::all(cursor, test, depth)?);
        }
        Ok(one_or(conditions, Self::Any))
    }

    fn all(cursor: &mut Cursor<'_>, test: ReadTest<T>, depth: usize) -> Result<Self, ApiError> {
        let mut conditions = vec![Self::single(cursor, test, depth)?];
        while cursor.take("&&") {
            conditions.push(Self::single(cursor, test, depth)?);
        }
        Ok(one_or(conditions, Self::All))
    }

    fn single(cursor: &mut Cursor<'_>, test: ReadTest<T>, depth: usize) -> Result<Self, ApiError> {
        if !cursor.take("(") {
            return test(cursor).map(Self::Test);
        }
        if depth == DEPTH {
            return Err(invalid("Invalid filter pattern: too many nested parentheses."));
        }
        let condition = Self::any(cursor, test, depth + 1)?;
        cursor.expect(")")?;
        Ok(condition)
    }

    /// Whether it holds, given which tests do.
    pub(super) fn holds(&self, test: &impl Fn(&T) -> bool) -> bool {
        match self {
            Self::Test(one) => test(one),
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(test)),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(test)),
        }
    }
}

fn one_or<T>(
    mut conditions: Vec<Condition<T>>,
    several: fn(Vec<Condition<T>>) -> Condition<T>,
) -> Condition<T> {
    match (conditions.pop(), conditions.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            conditions.extend(last);
            several(conditions)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A test is a digit; it holds if it is in `true_digits`.
    fn check(text: &str, true_digits: &str, expected: bool) {
        let read: ReadTest<String> = |cursor| Ok(cursor.until(|c| !c.is_ascii_digit()).to_owned());
        let condition = Condition::parse(&mut Cursor::new(text), read).unwrap();
        assert_eq!(
            condition.holds(&|digit| true_digits.contains(digit.as_str())),
            expected,
            "{text}"
        );
    }

    #[test]
    fn and_binds_more_than_or_unless_there_are_parentheses() {
        check("1 || 2 && 3", "1", true);
        check("(1 || 2) && 3", "1", false);
        check("1&&2||3", "3", true);
        check("1&&(2||3)", "13", true);
        check("((1))", "1", true);
        check("1 || 2 || 4", "3", false);
    }
}
