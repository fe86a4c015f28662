//! The framework layer of validation: every violated constraint of a request in one text, worded
//! as AWS words it. The service's own checks live with each operation.

use std::fmt::{Display, Write as _};

use crate::error::{ApiError, Exception};

/// Constraints a request violates, in the order they were found.
#[derive(Debug, Default)]
pub(crate) struct Violations(Vec<String>);

impl Violations {
    /// A value that breaks a rule.
    pub(crate) fn add(&mut self, value: impl Display, path: &str, rule: impl Display) {
        self.0.push(format!("Value '{value}' at '{path}' failed to satisfy constraint: {rule}"));
    }

    /// A value that breaks a rule and is too private to be repeated.
    pub(crate) fn add_hidden(&mut self, path: &str, rule: impl Display) {
        self.0.push(format!("Value at '{path}' failed to satisfy constraint: {rule}"));
    }

    /// A member that must be there.
    pub(crate) fn null(&mut self, path: &str) {
        let rule = "Member must not be null";
        self.0.push(format!("Value null at '{path}' failed to satisfy constraint: {rule}"));
    }

    /// What was found elsewhere, behind what was found here.
    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// Characters within bounds.
    pub(crate) fn length(&mut self, value: &str, path: &str, min: usize, max: usize) {
        self.count(value, value.chars().count(), path, (min, max));
    }

    /// A length within bounds, of anything that has one.
    pub(crate) fn count(
        &mut self,
        value: impl Display,
        count: usize,
        path: &str,
        (min, max): (usize, usize),
    ) {
        if count > max {
            self.add(value, path, format_args!("{LONGEST} {max}"));
        } else if count < min {
            self.add(value, path, format_args!("{SHORTEST} {min}"));
        }
    }

    /// A number within bounds.
    pub(crate) fn range(&mut self, value: i64, path: &str, min: i64, max: i64) {
        if value > max {
            self.add(
                value,
                path,
                format_args!("Member must have value less than or equal to {max}"),
            );
        } else if value < min {
            let rule = format_args!("Member must have value greater than or equal to {min}");
            self.add(value, path, rule);
        }
    }

    /// A text that fits a pattern; `fits` is our reading of it.
    pub(crate) fn pattern(&mut self, value: &str, path: &str, fits: bool, pattern: &str) {
        if !fits {
            self.add(value, path, format_args!("{PATTERN}: {pattern}"));
        }
    }

    /// A text that is all that the model says of it.
    pub(crate) fn text(&mut self, value: &str, path: &str, rule: &Text) {
        self.length(value, path, rule.min, rule.max);
        self.pattern(value, path, (rule.fits)(value), rule.pattern);
    }

    /// A text that may be left out.
    pub(crate) fn optional(&mut self, value: Option<&String>, path: &str, rule: &Text) {
        if let Some(value) = value {
            self.text(value, path, rule);
        }
    }

    /// A text that must be there.
    pub(crate) fn required(&mut self, value: Option<&String>, path: &str, rule: &Text) {
        match value {
            Some(value) => self.text(value, path, rule),
            None => self.null(path),
        }
    }

    /// The members of a list, told together as the framework does.
    pub(crate) fn members(&mut self, values: &[String], path: &str, rule: &Text) {
        if !values.iter().all(|value| rule.is_met(value)) {
            self.add(format!("[{}]", values.join(", ")), path, rule.of_members());
        }
    }

    /// A text out of a set.
    pub(crate) fn one_of(&mut self, value: &str, path: &str, allowed: &[&str]) {
        if !allowed.contains(&value) {
            self.add(value, path, format_args!("{ENUM}: [{}]", allowed.join(", ")));
        }
    }

    /// Nothing, or the one `ValidationException` that lists all.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        self.finish_as(Exception::Validation)
    }

    /// Nothing, or the one refusal that lists all, for services that call it something else.
    pub(crate) fn finish_as(self, exception: Exception) -> Result<(), ApiError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let plural = if self.0.len() == 1 { "" } else { "s" };
        let mut text = String::new();
        let _ = write!(text, "{} validation error{plural} detected: ", self.0.len());
        text.push_str(&self.0.join("; "));
        Err(ApiError::new(exception, text))
    }
}

/// Two parts of a request that were read apart, such as its path and its body: what the framework
/// says of both is told together, and before anything the service says of either.
///
/// # Errors
/// A body that is none; then every violation of both; then the service's first objection.
pub fn together<A, B>(
    first: Result<A, ApiError>,
    second: Result<B, ApiError>,
) -> Result<(A, B), ApiError> {
    match (first, second) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
        (Err(a), Err(b)) => {
            let is = |error: &ApiError, exception| error.exception == exception;
            if is(&a, Exception::Validation) && is(&b, Exception::Validation) {
                return Err(joined(&a, &b));
            }
            let earlier = is(&b, Exception::Serialization)
                || (is(&b, Exception::Validation) && !is(&a, Exception::Serialization));
            Err(if earlier { b } else { a })
        }
    }
}

fn joined(first: &ApiError, second: &ApiError) -> ApiError {
    // The number in front, not the texts, is counted: a value may say anything.
    let parts = [first, second].map(|error| {
        let (head, rules) =
            error.message.split_once(" detected: ").unwrap_or(("1", &error.message));
        let count = head.split(' ').next().and_then(|count| count.parse().ok());
        (count.unwrap_or(1_usize), rules)
    });
    let count = parts[0].0.saturating_add(parts[1].0);
    let text = format!("{count} validation errors detected: {}; {}", parts[0].1, parts[1].1);
    ApiError::new(Exception::Validation, text)
}

/// What the model says of a kind of text.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) min: usize,
    pub(crate) max: usize,
    pub(crate) pattern: &'static str,
    /// Our reading of the pattern.
    pub(crate) fits: fn(&str) -> bool,
}

impl Text {
    pub(crate) fn is_met(&self, value: &str) -> bool {
        (self.min..=self.max).contains(&value.chars().count()) && (self.fits)(value)
    }

    /// The rule for members of a list, as AWS words it.
    pub(crate) fn of_members(&self) -> String {
        format!("Member must satisfy constraint: {}", self.listed())
    }

    /// All of the rule, as it stands behind `Map keys must satisfy constraint:` too.
    pub(crate) fn listed(&self) -> String {
        let Self { min, max, pattern, .. } = self;
        format!(
            "[{LONGEST} {max}, {SHORTEST} {min}, {PATTERN}: {pattern}, Member must not be null]"
        )
    }
}

pub(crate) const LONGEST: &str = "Member must have length less than or equal to";
pub(crate) const SHORTEST: &str = "Member must have length greater than or equal to";
pub(crate) const PATTERN: &str = "Member must satisfy regular expression pattern";
pub(crate) const ENUM: &str = "Member must satisfy enum value set";

/// Letters, digits, dash, underscore: `[a-zA-Z0-9-_]+`.
pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::string::string_regex;
    use proptest::test_runner::{TestCaseError, TestRunner};

    use super::*;

    /// Holds a reading of a pattern against texts that the pattern itself makes.
    pub(crate) fn fits_what_it_makes(pattern: &str, fits: impl Fn(&str) -> bool) {
        // Java's digits are ASCII's, its point ends at more kinds of line ends, and a pattern is for
        // the whole text.
        let any = r"[^\n\r\x{85}\x{2028}\x{2029}]";
        let pattern = pattern.replace(r"\d", "[0-9]").replace("$|^", "|");
        let pattern = pattern.replace(".*", &format!("{any}*")).replace(".+", &format!("{any}+"));
        let made = string_regex(&pattern).expect("the model's patterns are regular");
        let mut runner = TestRunner::default();
        let run = runner.run(&made, |text| {
            if fits(&text) {
                return Ok(());
            }
            Err(TestCaseError::fail(format!("{text:?} is made by {pattern}")))
        });
        run.unwrap_or_else(|error| panic!("{error}"));
    }

    #[test]
    fn what_was_read_apart_is_told_together_and_the_framework_comes_first() {
        let framework = |path: &str| {
            let mut violations = Violations::default();
            violations.null(path);
            violations.finish()
        };
        let service = || Err::<(), _>(ApiError::invalid_parameter("no"));
        let broken = || Err::<(), _>(ApiError::new(Exception::Serialization, "no JSON"));
        let told = |a, b| together(a, b).map_or_else(|error| error.to_string(), |_| "fine".into());
        assert_eq!(
            told(framework("a"), framework("b")),
            "ValidationException: 2 validation errors detected: Value null at 'a' failed to satisfy constraint: Member must not be null; Value null at 'b' failed to satisfy constraint: Member must not be null"
        );
        assert!(told(service(), framework("b")).starts_with("ValidationException: 1 "));
        assert!(told(framework("a"), service()).starts_with("ValidationException: 1 "));
        assert_eq!(told(framework("a"), broken()), "SerializationException: no JSON");
        assert_eq!(told(service(), Ok(())), "InvalidParameterValueException: no");
        assert_eq!(told(Ok(()), Ok(())), "fine");
    }

    #[test]
    fn all_violations_are_told_at_once() {
        let mut violations = Violations::default();
        violations.null("role");
        violations.range(0, "timeout", 1, 900);
        violations.range(901, "timeout", 1, 900);
        violations.one_of("x", "a.b", &["A", "B"]);
        violations.length("abc", "handler", 0, 2);
        violations.pattern("a b", "handler", false, "[^\\s]+");
        let text = violations.finish().unwrap_err().message;
        insta::assert_snapshot!(text.replace("; ", ";\n"), @r"
        6 validation errors detected: Value null at 'role' failed to satisfy constraint: Member must not be null;
        Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1;
        Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900;
        Value 'x' at 'a.b' failed to satisfy constraint: Member must satisfy enum value set: [A, B];
        Value 'abc' at 'handler' failed to satisfy constraint: Member must have length less than or equal to 2;
        Value 'a b' at 'handler' failed to satisfy constraint: Member must satisfy regular expression pattern: [^\s]+
        ");
        assert!(Violations::default().finish().is_ok());
    }
}
