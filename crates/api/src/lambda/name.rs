//! `FunctionName` and `Qualifier` as callers write them, resolved to one function of one account
//! and region. Knows nothing of which functions exist.

use dormouse_model::limits;
use dormouse_model::names::{FunctionKey, FunctionReference, Qualifier, Scope};

use crate::error::{ApiError, Exception};
use crate::validate::{Text, Violations, is_word};

const PATTERN: &str = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?";
const EXISTING_PATTERN: &str = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?";
const UNQUALIFIED_PATTERN: &str = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)";
const URL_PATTERN: &str = r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]{1,64})(:((?!\d+$)[0-9a-zA-Z-_]+))?";
const URL_QUALIFIER_PATTERN: &str = r"((?!^\d+$)^[0-9a-zA-Z-_]+$)";
const QUALIFIED_PATTERN: &str = r"(|[a-zA-Z0-9$_-]+)";
const QUALIFIER_PATTERN: &str = r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+";
const QUALIFIER_CHARS: usize = 128;
const EXISTING_CHARS: usize = 256;

/// A name as it stands in a body or a query, of a function that may be there.
pub(crate) const EXISTING_NAME: Text = Text {
    min: 1,
    max: EXISTING_CHARS,
    pattern: EXISTING_PATTERN,
    fits: |text| split(text, NameShape::Existing).is_some(),
};

/// The shapes of `FunctionName` in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameShape {
    /// Of operations that create or update.
    Writing,
    /// Of operations that read, delete or invoke: dots and `$LATEST.PUBLISHED` are let through.
    Existing,
    /// Of operations about functions as a whole: no qualifier.
    Unqualified,
    /// Of operations about one version or alias.
    Qualified,
    /// Of operations about function URLs, which functions and aliases have: no version.
    Url,
}

impl NameShape {
    fn pattern(self) -> &'static str {
        match self {
            Self::Writing | Self::Qualified => PATTERN,
            Self::Existing => EXISTING_PATTERN,
            Self::Unqualified => UNQUALIFIED_PATTERN,
            Self::Url => URL_PATTERN,
        }
    }

    fn max_chars(self) -> usize {
        match self {
            Self::Writing | Self::Unqualified | Self::Qualified | Self::Url => {
                limits::FUNCTION_REFERENCE_CHARS
            }
            Self::Existing => EXISTING_CHARS,
        }
    }

    fn has_name(self, name: &str) -> bool {
        match self {
            Self::Writing | Self::Unqualified | Self::Qualified => is_word(name),
            Self::Existing => is_word(&name.replace('.', "_")),
            Self::Url => is_word(name) && name.len() <= limits::FUNCTION_NAME_CHARS,
        }
    }

    /// Whether this may stand behind the name.
    fn has_suffix(self, qualifier: &str) -> bool {
        match self {
            Self::Writing | Self::Qualified => qualifier == "$LATEST" || is_word(qualifier),
            Self::Existing => {
                matches!(qualifier, "$LATEST" | "$LATEST.PUBLISHED") || is_word(qualifier)
            }
            Self::Unqualified => false,
            Self::Url => is_no_number(qualifier),
        }
    }

    /// The framework's check of the query member `Qualifier` beside such a name.
    fn check_qualifier(self, violations: &mut Violations, qualifier: &str) {
        let (fits, pattern) = match self {
            Self::Url => (is_no_number(qualifier), URL_QUALIFIER_PATTERN),
            // An empty one is too short.
            Self::Qualified => {
                let fits = qualifier.is_empty() || is_word(&qualifier.replace('$', "_"));
                (fits, QUALIFIED_PATTERN)
            }
            Self::Writing | Self::Existing | Self::Unqualified => {
                let word = !qualifier.is_empty() && is_word(&qualifier.replace('$', "_"));
                (qualifier == "$LATEST.PUBLISHED" || word, QUALIFIER_PATTERN)
            }
        };
        violations.length(qualifier, "qualifier", 1, QUALIFIER_CHARS);
        violations.pattern(qualifier, "qualifier", fits, pattern);
    }
}

fn is_no_number(text: &str) -> bool {
    is_word(text) && !text.bytes().all(|b| b.is_ascii_digit())
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The function.
    pub key: FunctionKey,
    /// The version or alias, if the caller named one.
    pub qualifier: Option<Qualifier>,
}

impl Target {
    /// The ARN as the caller would say it.
    #[must_use]
    pub fn arn(&self) -> String {
        match &self.qualifier {
            Some(qualifier) => self.key.qualified_arn(qualifier),
            None => self.key.arn(),
        }
    }

    /// The target as the model's reference, with account and region filled in.
    #[must_use]
    pub fn reference(&self) -> FunctionReference {
        FunctionReference {
            account: Some(self.key.scope.account.clone()),
            region: Some(self.key.scope.region.clone()),
            name: self.key.name.clone(),
            qualifier: self.qualifier.clone(),
        }
    }

    /// Resolves the path label `FunctionName` and the query member `Qualifier`.
    ///
    /// # Errors
    /// `ValidationException` for what is no name; then what the service says: too long a name,
    /// another region or account, two different qualifiers, a name nothing can have.
    pub fn resolve(
        scope: &Scope,
        name: &str,
        qualifier: Option<&str>,
        shape: NameShape,
    ) -> Result<Self, ApiError> {
        Self::resolve_with(scope, (name, qualifier), shape, Violations::default())
    }

    /// The same, told together with what else the framework says of the request.
    pub(crate) fn resolve_with(
        scope: &Scope,
        (name, qualifier): (&str, Option<&str>),
        shape: NameShape,
        others: Violations,
    ) -> Result<Self, ApiError> {
        let mut violations = Violations::default();
        let pieces = check_name(&mut violations, name, shape);
        if let Some(qualifier) = qualifier {
            shape.check_qualifier(&mut violations, qualifier);
        }
        violations.extend(others);
        violations.finish()?;
        let pieces = pieces.ok_or_else(|| not_a_name(name))?;
        resolve_pieces(scope, pieces, qualifier)
    }
}

/// The parts of a name as they were written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pieces<'a> {
    is_arn: bool,
    region: Option<&'a str>,
    account: Option<&'a str>,
    name: &'a str,
    qualifier: Option<&'a str>,
}

/// The framework's check of `FunctionName`. Nothing is returned exactly when something was added.
pub(crate) fn check_name<'a>(
    violations: &mut Violations,
    name: &'a str,
    shape: NameShape,
) -> Option<Pieces<'a>> {
    let max = shape.max_chars();
    let chars = name.chars().count();
    let pieces = if chars <= max { split(name, shape) } else { None };
    violations.length(name, "functionName", 1, max);
    if chars <= max {
        violations.pattern(name, "functionName", pieces.is_some(), shape.pattern());
    }
    pieces
}

/// The service's checks of a name.
pub(crate) fn resolve_pieces(
    scope: &Scope,
    pieces: Pieces<'_>,
    qualifier: Option<&str>,
) -> Result<Target, ApiError> {
    if pieces.name.len() > limits::FUNCTION_NAME_CHARS {
        return Err(name_too_long(pieces.name));
    }
    if let Some(region) = pieces.region.filter(|region| *region != scope.region.as_str()) {
        let text = format!(
            "Functions from '{region}' are not reachable in this region ('{}')",
            scope.region
        );
        return Err(ApiError::new(Exception::ResourceNotFound, text));
    }
    if pieces.account.is_some_and(|account| account != scope.account.as_str()) {
        let text = "User is not authorized to access functions of another account.";
        return Err(ApiError::new(Exception::AccessDenied, text));
    }
    let qualifier = match (pieces.qualifier, qualifier) {
        (Some(derived), Some(given)) if derived != given => {
            return Err(ApiError::invalid_parameter(
                "The derived qualifier from the function name does not match the specified \
                 qualifier.",
            ));
        }
        (derived, given) => derived.or(given),
    };
    let unfindable = || {
        let suffix = qualifier.map(|qualifier| format!(":{qualifier}")).unwrap_or_default();
        let rest = format!("function:{}{suffix}", pieces.name);
        ApiError::function_not_found(&scope.arn("lambda", rest))
    };
    let name = pieces.name.parse().map_err(|_| unfindable())?;
    let qualifier = qualifier.map(str::parse).transpose().map_err(|_| unfindable())?;
    Ok(Target { key: FunctionKey { scope: scope.clone(), name }, qualifier })
}

fn name_too_long(name: &str) -> ApiError {
    let max = limits::FUNCTION_NAME_CHARS;
    ApiError::invalid_parameter(format!(
        "1 validation error detected: Value '{name}' at 'functionName' failed to satisfy \
         constraint: Member must have length less than or equal to {max}"
    ))
}

/// Cannot be reached, since a name without pieces has a violation; an answer beats a panic.
fn not_a_name(name: &str) -> ApiError {
    ApiError::invalid_parameter(format!("Value '{name}' at 'functionName' is not a function name."))
}

/// Reads a name as AWS's regular expression does: each optional part is taken when the rest still
/// fits, and left when it does not.
fn split(text: &str, shape: NameShape) -> Option<Pieces<'_>> {
    take(0, text, Pieces::default(), shape)
}

/// Tries the optional part number `part` with and without.
fn take<'a>(part: u8, rest: &'a str, pieces: Pieces<'a>, shape: NameShape) -> Option<Pieces<'a>> {
    let (with, after) = match part {
        0 => (Pieces { is_arn: true, ..pieces }, after_arn(rest)),
        1 => {
            let found = region(rest, pieces.is_arn);
            (Pieces { region: found.map(|f| f.0), ..pieces }, found.map(|f| f.1))
        }
        2 => {
            let found = account(rest);
            (Pieces { account: found.map(|f| f.0), ..pieces }, found.map(|f| f.1))
        }
        3 => (pieces, rest.strip_prefix("function:")),
        _ => return name_and_qualifier(rest, pieces, shape),
    };
    after
        .and_then(|after| take(part + 1, after, with, shape))
        .or_else(|| take(part + 1, rest, pieces, shape))
}

fn after_arn(text: &str) -> Option<&str> {
    let (partition, rest) = text.strip_prefix("arn:")?.split_once(':')?;
    let tail = partition.strip_prefix("aws").unwrap_or(partition);
    let fits = partition.is_empty()
        || (partition.len() != tail.len()
            && tail.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-'));
    rest.strip_prefix("lambda:").filter(|_| fits)
}

/// In an ARN any region of ours is read, since an operator may call his region as he likes.
fn region(text: &str, is_arn: bool) -> Option<(&str, &str)> {
    let (region, rest) = text.split_once(':')?;
    let ours = is_arn && region.parse::<dormouse_model::names::Region>().is_ok();
    let looks_like_account = region.bytes().all(|b| b.is_ascii_digit());
    ((ours && !looks_like_account) || is_region(region)).then_some((region, rest))
}

/// `(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}`
pub(crate) fn is_region(text: &str) -> bool {
    let text = text.strip_prefix("eusc-").unwrap_or(text);
    let parts: Vec<&str> = text.split('-').collect();
    let lower = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_lowercase());
    let digit = |s: &str| s.len() == 1 && s.bytes().all(|b| b.is_ascii_digit());
    let (land, middle, rest) = match parts.as_slice() {
        [land, place, number] => (land, None, (place, number)),
        [land, middle, place, number] => (land, Some(*middle), (place, number)),
        _ => return false,
    };
    let middle_fits = middle.is_none_or(|middle| {
        middle == "gov" || (middle.starts_with("iso") && middle.len() <= 4 && lower(middle))
    });
    land.len() == 2 && lower(land) && middle_fits && lower(rest.0) && digit(rest.1)
}

fn account(text: &str) -> Option<(&str, &str)> {
    let (account, rest) = text.split_once(':')?;
    let fits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    fits.then_some((account, rest))
}

fn name_and_qualifier<'a>(
    text: &'a str,
    pieces: Pieces<'a>,
    shape: NameShape,
) -> Option<Pieces<'a>> {
    let (name, qualifier) = match text.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (text, None),
    };
    let fits = shape.has_name(name) && qualifier.is_none_or(|it| shape.has_suffix(it));
    fits.then_some(Pieces { name, qualifier, ..pieces })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::validate::tests::fits_what_it_makes;

    fn scope() -> Scope {
        Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() }
    }

    fn resolved(name: &str, qualifier: Option<&str>, shape: NameShape) -> String {
        match Target::resolve(&scope(), name, qualifier, shape) {
            Ok(target) => {
                target.arn().replace("arn:aws:lambda:us-east-1:123456789012:function:", "")
            }
            Err(error) => error.to_string(),
        }
    }

    fn check(name: &str, qualifier: Option<&str>, expected: &str) {
        assert_eq!(resolved(name, qualifier, NameShape::Existing), expected, "{name}");
    }

    #[test]
    fn every_form_of_a_name_means_the_same_function() {
        for (name, expected) in [
            ("f", "f"),
            ("f:1", "f:1"),
            ("f:$LATEST", "f:$LATEST"),
            ("function:f", "f"),
            ("123456789012:function:f", "f"),
            ("123456789012:f:live", "f:live"),
            ("us-east-1:123456789012:function:f", "f"),
            ("arn:aws:lambda:us-east-1:123456789012:function:f", "f"),
            ("arn:aws:lambda:us-east-1:123456789012:function:f:live", "f:live"),
            ("function:$LATEST", "function:$LATEST"),
        ] {
            check(name, None, expected);
            assert_eq!(resolved(name, None, NameShape::Writing), expected);
        }
        check("f", Some("1"), "f:1");
        check("f:1", Some("1"), "f:1");
    }

    #[test]
    fn a_region_of_the_operators_own_is_read_in_an_arn() {
        let scope = Scope { region: "local".parse().unwrap(), ..scope() };
        let arn = "arn:aws:lambda:local:123456789012:function:f:1";
        let target = Target::resolve(&scope, arn, None, NameShape::Existing).unwrap();
        assert_eq!(target.arn(), arn);
    }

    #[test]
    fn what_the_service_refuses_has_its_words() {
        check(
            "f:1",
            Some("2"),
            "InvalidParameterValueException: The derived qualifier from the function name does not match the specified qualifier.",
        );
        check(
            "arn:aws:lambda:eu-west-1:123456789012:function:f",
            None,
            "ResourceNotFoundException: Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
        );
        check(
            "arn:aws:lambda:us-east-1:000000000000:function:f",
            None,
            "AccessDeniedException: User is not authorized to access functions of another account.",
        );
        check(
            "f.g",
            None,
            "ResourceNotFoundException: Function not found: arn:aws:lambda:us-east-1:123456789012:function:f.g",
        );
        check(
            "f",
            Some("$LATEST.PUBLISHED"),
            "ResourceNotFoundException: Function not found: arn:aws:lambda:us-east-1:123456789012:function:f:$LATEST.PUBLISHED",
        );
        let long = "x".repeat(65);
        check(
            &long,
            None,
            &format!(
                "InvalidParameterValueException: 1 validation error detected: Value '{long}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64"
            ),
        );
    }

    #[test]
    fn a_url_is_that_of_a_function_or_an_alias() {
        let fits = |name: &str| split(name, NameShape::Url).is_some();
        assert!(fits("f") && fits("f:live") && fits("function:f:live1") && fits("f:-1"));
        assert!(!fits("f:1") && !fits("f:$LATEST") && !fits(&"x".repeat(65)));
        for qualifier in ["1", "$LATEST"] {
            let text = resolved("f", Some(qualifier), NameShape::Url);
            assert!(text.ends_with(URL_QUALIFIER_PATTERN), "{text}");
        }
        assert_eq!(resolved("f", Some("live"), NameShape::Url), "f:live");
    }

    #[test]
    fn what_is_no_name_is_told_with_the_pattern() {
        insta::assert_snapshot!(resolved("a b", Some("x!"), NameShape::Writing).replace("; ", ";\n"), @r"
        ValidationException: 2 validation errors detected: Value 'a b' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?;
        Value 'x!' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: \$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+
        ");
        for name in ["", ":", "f:", "f:1:2", "é", "f:$OTHER", "../x", "arn:aws:s3:::b", "f\0"] {
            let text = resolved(name, None, NameShape::Writing);
            assert!(text.starts_with("ValidationException"), "{name}: {text}");
        }
        let text = resolved(&"x".repeat(141), None, NameShape::Writing);
        assert!(text.ends_with("less than or equal to 140"), "{text}");
    }

    #[test]
    fn whatever_a_pattern_makes_is_let_through() {
        for shape in [NameShape::Writing, NameShape::Existing, NameShape::Unqualified] {
            fits_what_it_makes(shape.pattern(), |text| split(text, shape).is_some());
        }
        fits_what_it_makes(QUALIFIER_PATTERN, |text| {
            let mut violations = Violations::default();
            NameShape::Existing.check_qualifier(&mut violations, text);
            text.is_empty() || violations.finish().is_ok()
        });
    }

    proptest! {
        #[test]
        fn every_way_to_write_a_name_means_one_function(
            name in "[a-zA-Z0-9_-]{1,64}",
            qualifier in proptest::option::of("[a-zA-Z0-9_-]{1,40}"),
            (arn, region, account, word) in any::<(bool, bool, bool, bool)>(),
        ) {
            let suffix = qualifier.as_ref().map(|q| format!(":{q}")).unwrap_or_default();
            let written = if arn {
                format!("arn:aws:lambda:us-east-1:123456789012:function:{name}{suffix}")
            } else {
                let part = |given: bool, text: &'static str| if given { text } else { "" };
                format!(
                    "{}{}{}{name}{suffix}",
                    part(region, "us-east-1:"),
                    part(account, "123456789012:"),
                    part(word, "function:")
                )
            };
            // A bare name may read as a part of a longer form: `function:1` is a function named so.
            prop_assume!(arn || word || name != "function");
            prop_assume!(written.chars().count() <= limits::FUNCTION_REFERENCE_CHARS);
            // A qualifier that nothing can have is refused by the service.
            if let Ok(target) = Target::resolve(&scope(), &written, None, NameShape::Writing) {
                prop_assert_eq!(target.key.name.as_str(), &name);
                prop_assert_eq!(target.qualifier.as_ref().map(ToString::to_string), qualifier);
                let again = Target::resolve(&scope(), &target.arn(), None, NameShape::Existing);
                prop_assert_eq!(again, Ok(target));
            } else {
                prop_assert!(qualifier.is_some_and(|q| q.parse::<Qualifier>().is_err()));
            }
        }

        #[test]
        fn no_name_panics_the_reader(name in ".{0,160}", qualifier in proptest::option::of(".{0,140}")) {
            for shape in [NameShape::Writing, NameShape::Existing, NameShape::Unqualified, NameShape::Url] {
                let _ = Target::resolve(&scope(), &name, qualifier.as_deref(), shape);
            }
        }

        #[test]
        fn nearly_right_names_do_not_panic_it_either(name in "(arn:|aws:|lambda:|function:|us-east-1:|123456789012:|f|\\$LATEST|:|\\.){0,9}") {
            let _ = Target::resolve(&scope(), &name, None, NameShape::Existing);
        }
    }
}
