//! The model's patterns that more than one shape has, read by hand: each is the pattern's text and a
//! function that says whether it matches. Regions are read more widely than AWS reads them, since an
//! operator may call his region as he likes.

use dormouse_model::limits;
use dormouse_model::names::{Region, RevisionId};

use super::name::is_region;
use crate::validate::{Text, is_word};

/// An ARN of any service, or nothing.
pub(crate) const ARN_OR_EMPTY: Text = Text {
    min: 0,
    max: 10_000,
    pattern: r"(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()",
    fits: |text| text.is_empty() || is_arn(text),
};

/// The ARN of anything that can feed a function or be fed by one.
pub(crate) const ARN: Text = Text {
    min: 0,
    max: 10_000,
    pattern: r"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1})?:(\d{12})?:(.*)",
    fits: is_arn_of_anything,
};

/// A description.
pub(crate) const DESCRIPTION: Text =
    Text { min: 0, max: limits::DESCRIPTION_CHARS, pattern: ".*", fits: |_| true };

/// The revision of a policy.
pub(crate) const REVISION: Text = Text {
    min: 36,
    max: 36,
    pattern: "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    fits: |text| {
        text.parse::<RevisionId>().is_ok() && !text.bytes().any(|b| b.is_ascii_uppercase())
    },
};

/// What can have a policy: a function, a version, an alias, or a runtime.
pub(crate) const POLICY_RESOURCE: Text = Text {
    min: 0,
    max: 512,
    pattern: r"arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:(function:[a-zA-Z0-9-_]+(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_])+)?|runtime/[a-zA-Z0-9-_./]+)",
    fits: |text| {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, "lambda", region, account, resource] = parts.as_slice() else {
            return false;
        };
        is_partition(partition)
            && (is_region(region) || region.parse::<Region>().is_ok())
            && is_account(account)
            && has_policy(resource)
    },
};

/// A UUID, of which only the length is told.
pub(crate) const UUID: Text = Text { min: 36, max: 36, pattern: ".*", fits: |_| true };

/// The ARN of a code signing configuration.
pub(crate) const CODE_SIGNING_CONFIG: Text = Text {
    min: 0,
    max: 200,
    pattern: r"arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:code-signing-config:csc-[a-z0-9]{17}",
    fits: |text| {
        of_lambda(text, "code-signing-config")
            .and_then(|id| id.strip_prefix("csc-"))
            .is_some_and(|id| id.len() == 17 && id.bytes().all(is_lower_or_digit))
    },
};

/// The ARN of a capacity provider.
pub(crate) const CAPACITY_PROVIDER: Text = Text {
    min: 1,
    max: 140,
    pattern: r"arn:aws[a-zA-Z-]*:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:capacity-provider:[a-zA-Z0-9-_]+",
    fits: |text| {
        text.starts_with("arn:aws") && of_lambda(text, "capacity-provider").is_some_and(is_word)
    },
};

/// The key of a tag.
pub(crate) const TAG_KEY: Text = Text { min: 1, max: 128, ..TAG_VALUE };

/// The value of a tag.
pub(crate) const TAG_VALUE: Text = Text {
    min: 0,
    max: 256,
    pattern: r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)",
    fits: |text| text.chars().all(is_tag_char),
};

/// `(aws[a-zA-Z-]*)?`
pub(crate) fn is_partition(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix("aws")
            .is_some_and(|tail| tail.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-'))
}

/// What stands behind `arn:PARTITION:lambda:REGION:ACCOUNT:KIND:`.
pub(crate) fn of_lambda<'a>(text: &'a str, kind: &str) -> Option<&'a str> {
    let mut parts = text.splitn(7, ':');
    let mut next = || parts.next();
    let (arn, partition, service) = (next()?, next()?, next()?);
    let (region, account, found, rest) = (next()?, next()?, next()?, next()?);
    let fits = arn == "arn"
        && is_partition(partition)
        && service == "lambda"
        && (is_region(region) || region.parse::<Region>().is_ok())
        && is_account(account)
        && found == kind;
    fits.then_some(rest)
}

/// `\d{12}`
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// `[a-z0-9]`
pub(crate) fn is_lower_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// `arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*`
fn is_arn(text: &str) -> bool {
    let Some((partition, rest)) = text.strip_prefix("arn:").and_then(|rest| rest.split_once(':'))
    else {
        return false;
    };
    let Some((service, rest)) = rest.split_once(':') else {
        return false;
    };
    is_partition(partition)
        && !service.is_empty()
        && service.bytes().all(|b| is_lower_or_digit(b) || b == b'-' || b == b'.')
        && is_one_line(rest)
}

/// `arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:(region)?:(\d{12})?:(.*)`
fn is_arn_of_anything(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, service, region, account, rest] = parts.as_slice() else {
        return false;
    };
    let word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    partition.strip_prefix("aws").is_some_and(word)
        && !service.is_empty()
        && word(service)
        && (region.is_empty() || is_region(region) || region.parse::<Region>().is_ok())
        && (account.is_empty() || is_account(account))
        && is_one_line(rest)
}

/// `function:NAME(:QUALIFIER)?|runtime/NAME`
fn has_policy(resource: &str) -> bool {
    if let Some(runtime) = resource.strip_prefix("runtime/") {
        return is_word(&runtime.replace(['.', '/'], "_"));
    }
    let Some(function) = resource.strip_prefix("function:") else { return false };
    let (name, qualifier) = function.split_once(':').unwrap_or((function, "$LATEST"));
    // The pattern lets `$LATEST` stand anywhere in a qualifier.
    let qualifier = qualifier.replace("$LATEST.PUBLISHED", "_").replace("$LATEST", "_");
    is_word(name) && is_word(&qualifier)
}

/// `.*`, to which Java counts no line end.
pub(crate) fn is_one_line(text: &str) -> bool {
    !text.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
}

/// Letters, separators, numbers and some signs. Rust's letters include the marks that go with them.
fn is_tag_char(c: char) -> bool {
    let is_separator = matches!(
        c,
        ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    );
    c.is_alphanumeric() || is_separator || "_.:/=+-@".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::validate::tests::fits_what_it_makes;

    fn check(rule: &Text, fitting: &[&str], others: &[&str]) {
        for text in fitting {
            assert!(rule.is_met(text), "{text}");
        }
        for text in others {
            assert!(!rule.is_met(text), "{text}");
        }
    }

    #[test]
    fn arns_are_read_as_their_patterns_say() {
        let any = ["", "arn:aws:sqs:us-east-1:1:q", "arn::s3:", "arn:aws-cn:kms:::key/x y"];
        check(
            &ARN_OR_EMPTY,
            &any,
            &["arn", "arn:aws", "arn:aws:sqs", "arn:x:sqs:", "arn:aws:S:", " "],
        );
        let id = "code-signing-config:csc-0123456789abcdefg";
        let right = [
            format!("arn:aws:lambda:us-east-1:000000000000:{id}"),
            format!("arn:aws-us-gov:lambda:local:000000000000:{id}"),
        ];
        let wrong = [
            format!("arn:aws:lambda:us-east-1:00000000000:{id}"),
            format!("arn:aws:lambda:us-east-1:000000000000:{id}h"),
            format!("arn:aws:lambda::000000000000:{id}"),
            id.to_owned(),
        ];
        check(
            &CODE_SIGNING_CONFIG,
            &right.each_ref().map(String::as_str),
            &wrong.each_ref().map(String::as_str),
        );
        let arn = "arn:aws:lambda:us-east-1:000000000000:capacity-provider:";
        check(&CAPACITY_PROVIDER, &[&format!("{arn}a-b_1")], &[arn, &format!("{arn}a:b")]);
    }

    #[test]
    fn tags_have_letters_of_any_script_but_not_every_sign() {
        check(&TAG_KEY, &["k", "\u{fc}ber alles", "a:b/c=d+e-f@g._1"], &["", "a!", "a\0", "a\tb"]);
        check(&TAG_VALUE, &[""], &["#", "\u{1f42d}"]);
    }

    #[test]
    fn whatever_a_pattern_makes_is_let_through() {
        for rule in [
            &ARN,
            &ARN_OR_EMPTY,
            &CODE_SIGNING_CONFIG,
            &CAPACITY_PROVIDER,
            &TAG_VALUE,
            &REVISION,
            &POLICY_RESOURCE,
        ] {
            fits_what_it_makes(rule.pattern, rule.fits);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_a_pattern(text in "(arn|aws|:|lambda|us-east-1|[0-9]{12}|code-signing-config|csc-|.){0,12}") {
            for rule in [&ARN, &ARN_OR_EMPTY, &CODE_SIGNING_CONFIG, &CAPACITY_PROVIDER, &TAG_KEY] {
                let _ = rule.is_met(&text);
            }
        }
    }
}
