//! Patterns for columns: `[ip, ..., status = 4* || status = 5*, bytes > 1000]`.
//!
//! White space parts the columns of a message; what is in brackets or in double quotes is one.

use super::compare::{Comparison, Found, number};
use super::condition::Condition;
use super::cursor::{Cursor, invalid};
use crate::error::ApiError;

/// What the columns of a message must be, from both its ends.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Columns {
    first: Vec<Column>,
    /// After `...`, if there is one; without it, there must be no column that has no name.
    last: Option<Vec<Column>>,
}

/// Nothing for a column that is only named.
type Column = Option<Condition<Test>>;

#[derive(Debug, Clone, PartialEq)]
struct Test {
    name: String,
    /// Nothing for a mere name.
    comparison: Option<Comparison>,
}

impl Columns {
    /// Reads what follows the first bracket.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ApiError> {
        let mut columns = Self { first: Vec::new(), last: None };
        loop {
            if cursor.take("...") {
                if columns.last.replace(Vec::new()).is_some() {
                    return Err(invalid("Invalid filter pattern: there is more than one '...'."));
                }
            } else {
                let column = column(cursor)?;
                columns.last.as_mut().unwrap_or(&mut columns.first).push(column);
            }
            if !cursor.take(",") {
                break;
            }
        }
        cursor.expect("]")?;
        Ok(columns)
    }

    /// Whether a message is let through.
    pub(super) fn matches(&self, message: &str) -> bool {
        let fields = fields(message);
        let Some(last) = &self.last else {
            return fields.len() == self.first.len() && all(&self.first, &fields);
        };
        let Some(unnamed) = fields.len().checked_sub(self.first.len() + last.len()) else {
            return false;
        };
        all(&self.first, &fields) && all(last, &fields[self.first.len() + unnamed..])
    }
}

fn column(cursor: &mut Cursor<'_>) -> Result<Column, ApiError> {
    let condition = Condition::parse(cursor, test)?;
    if let Condition::Test(Test { comparison: None, .. }) = condition {
        return Ok(None);
    }
    let mut names = Vec::new();
    let complete = gather(&condition, &mut names);
    if !complete || names.iter().any(|name| *name != names[0]) {
        return Err(invalid("Invalid filter pattern: a column has more than one name."));
    }
    Ok(Some(condition))
}

/// The names in a condition; false if one of them is compared with nothing.
fn gather<'c>(condition: &'c Condition<Test>, names: &mut Vec<&'c str>) -> bool {
    match condition {
        Condition::Test(test) => {
            names.push(&test.name);
            test.comparison.is_some()
        }
        Condition::All(conditions) | Condition::Any(conditions) => {
            conditions.iter().all(|condition| gather(condition, names))
        }
    }
}

fn test(cursor: &mut Cursor<'_>) -> Result<Test, ApiError> {
    let name = cursor.until(|c| c.is_whitespace() || ",[]=!<>(){}&|\"".contains(c)).to_owned();
    if name.is_empty() {
        return Err(cursor.unexpected());
    }
    let comparison = Comparison::parse(cursor, |c| c.is_whitespace() || ",)]&|".contains(c))?;
    Ok(Test { name, comparison })
}

fn all(columns: &[Column], fields: &[&str]) -> bool {
    columns.iter().zip(fields).all(|(column, field)| {
        let found = Found { text: field, number: number(field) };
        let holds = |test: &Test| test.comparison.as_ref().is_none_or(|it| it.holds(&found));
        column.as_ref().is_none_or(|condition| condition.holds(&holds))
    })
}

fn fields(message: &str) -> Vec<&str> {
    let mut fields = Vec::new();
    let mut rest = message.trim();
    while !rest.is_empty() {
        let (field, later) = enclosed(rest, '"', '"')
            .or_else(|| enclosed(rest, '[', ']'))
            .unwrap_or_else(|| rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())));
        fields.push(field);
        rest = later.trim_start();
    }
    fields
}

/// What is between two characters, if the text begins with the first, and what follows.
fn enclosed(text: &str, open: char, close: char) -> Option<(&str, &str)> {
    text.strip_prefix(open)?.split_once(close)
}

#[cfg(test)]
mod tests {
    use super::super::FilterPattern;

    const LINE: &str = "127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] \
                        \"GET /index.html HTTP/1.0\" 404 1534\n";

    fn check(pattern: &str, expected: bool) {
        let pattern = FilterPattern::parse(pattern).unwrap();
        assert_eq!(pattern.matches(LINE), expected, "{pattern:?}");
    }

    #[test]
    fn columns_are_counted() {
        check("[ip, env, user, timestamp, request, status, bytes]", true);
        check("[ip, env, user, timestamp, request, status]", false);
        check("[ip, ...]", true);
        check("[...]", true);
        check("[..., status, bytes]", true);
        check("[a, b, c, d, ..., e, f, g]", true);
        check("[a, b, c, d, ..., e, f, g, h]", false);
    }

    #[test]
    fn columns_are_compared() {
        check("[ip, env, user, timestamp, request = *.html*, status = 4*, bytes]", true);
        check("[..., status = 4*, bytes > 1000]", true);
        check("[..., status = 4*, bytes > 2000]", false);
        check("[..., status = 404 || status = 410, bytes]", true);
        check("[..., status = 4* && status != 404, bytes]", false);
        check("[ip != 127.*, ...]", false);
        check("[ip, env, user = \"frank\", ...]", true);
        check("[ip, env, user, at = 10/Oct/*, ...]", true);
        check("[user > 5, ...]", false);
    }

    #[test]
    fn fields_that_do_not_end_are_words() {
        let pattern = FilterPattern::parse("[a, b, c]").unwrap();
        assert!(pattern.matches("\"open it x"));
        assert!(pattern.matches("[x y] \"\" z"));
        assert!(!pattern.matches("a b"));
    }
}
