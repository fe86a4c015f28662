//! A place in a pattern that is being read. Knows no form of pattern.

use crate::error::{ApiError, Exception};

/// The rest of a pattern. White space before it is always skipped.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self(text.trim_start())
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses what follows a pattern.
    pub(super) fn end(&self) -> Result<(), ApiError> {
        if self.is_at_end() { Ok(()) } else { Err(self.unexpected()) }
    }

    /// Whether this comes next; if so, it is taken.
    pub(super) fn take(&mut self, token: &str) -> bool {
        match self.0.strip_prefix(token) {
            Some(rest) => {
                *self = Self::new(rest);
                true
            }
            None => false,
        }
    }

    /// Takes what must come next.
    pub(super) fn expect(&mut self, token: &str) -> Result<(), ApiError> {
        if self.take(token) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// Whether this comes next, with nothing but white space in between.
    pub(super) fn is_at(&self, token: &str) -> bool {
        self.0.starts_with(token)
    }

    /// Takes a word if it comes next, in upper or lower case.
    pub(super) fn keyword(&mut self, word: &str) -> bool {
        let end = self.0.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.0.len());
        let found = self.0[..end].eq_ignore_ascii_case(word);
        if found {
            *self = Self::new(&self.0[end..]);
        }
        found
    }

    /// Takes what comes before the first such character, which may be nothing.
    pub(super) fn until(&mut self, stop: impl Fn(char) -> bool) -> &'a str {
        let (taken, rest) = self.0.split_at(self.0.find(stop).unwrap_or(self.0.len()));
        *self = Self::new(rest);
        taken
    }

    /// As [`Cursor::until`], but white space after it is not skipped: it may mean something.
    pub(super) fn until_exactly(&mut self, stop: impl Fn(char) -> bool) -> &'a str {
        let (taken, rest) = self.0.split_at(self.0.find(stop).unwrap_or(self.0.len()));
        self.0 = rest;
        taken
    }

    /// As [`Cursor::take`], but white space after it is not skipped.
    pub(super) fn take_exactly(&mut self, token: &str) -> bool {
        let rest = self.0.strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// As [`Cursor::expect`], but white space after it is not skipped.
    pub(super) fn expect_exactly(&mut self, token: &str) -> Result<(), ApiError> {
        if self.take_exactly(token) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// Skips white space after something that was taken exactly.
    pub(super) fn skip_space(&mut self) {
        *self = Self::new(self.0);
    }

    /// Takes a text in double quotes, in which `\` stands before a quote or itself.
    pub(super) fn quoted(&mut self) -> Result<Option<String>, ApiError> {
        let Some(text) = self.0.strip_prefix('"') else {
            return Ok(None);
        };
        let mut term = String::new();
        let mut chars = text.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    *self = Self::new(&text[at + 1..]);
                    return Ok(Some(term));
                }
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

    /// What is here was not to be expected.
    pub(super) fn unexpected(&self) -> ApiError {
        let near: String = self.0.chars().take(20).collect();
        match near.as_str() {
            "" => invalid("Invalid filter pattern: it does not end."),
            near => invalid(&format!("Invalid filter pattern near '{near}'")),
        }
    }
}

pub(super) fn invalid(text: &str) -> ApiError {
    ApiError::new(Exception::LogsInvalidParameter, text)
}
