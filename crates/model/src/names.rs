//! Names: accounts, regions, functions, versions, qualifiers and the ARNs made of them.
//!
//! Each is parsed once at the edge and cannot be wrong afterwards. Cheap to clone: every invocation does
//! it some twenty times.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits;

/// A text that is not a name of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a valid {kind}")]
pub struct InvalidName {
    /// What was wanted.
    pub kind: &'static str,
    /// What was given.
    pub value: String,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;
            fn from_str(value: &str) -> Result<Self, InvalidName> {
                let valid: fn(&str) -> bool = $valid;
                if valid(value) {
                    Ok(Self(value.into()))
                } else {
                    Err(InvalidName { kind: $kind, value: value.to_owned() })
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;
            fn try_from(value: String) -> Result<Self, InvalidName> {
                value.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

name!(
    /// A 12-digit AWS account id.
    AccountId, "account id", |s| s.len() == 12 && s.bytes().all(|b| b.is_ascii_digit())
);
name!(
    /// A region: any short text of lower-case letters, digits and dashes, such as `eu-west-1`.
    Region, "region",
    |s| (1..=32).contains(&s.len())
        && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);
name!(
    /// A bare function name.
    FunctionName, "function name",
    |s| (1..=limits::FUNCTION_NAME_CHARS).contains(&s.len()) && s.bytes().all(is_word)
);
name!(
    /// A bare layer name.
    LayerName, "layer name",
    |s| (1..=limits::LAYER_NAME_CHARS).contains(&s.len()) && s.bytes().all(is_word)
);
name!(
    /// An alias: not only digits, or it would be a version.
    AliasName, "alias name",
    |s| (1..=128).contains(&s.len()) && s.bytes().all(is_word)
        && !s.bytes().all(|b| b.is_ascii_digit())
);
name!(
    /// A revision: changes with every change of what it belongs to.
    RevisionId, "revision id", is_uuid
);
name!(
    /// The id of one invocation; also the HTTP answer's `x-amzn-RequestId`.
    RequestId, "request id", is_uuid
);
name!(
    /// The id of an event source mapping.
    MappingId, "event source mapping id", is_uuid
);
name!(
    /// The id of a code signing configuration: `csc-` and 17 lower-case letters or digits.
    CodeSigningConfigId, "code signing configuration id",
    |s| s.strip_prefix("csc-").is_some_and(|id| {
        id.len() == 17 && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    })
);
name!(
    /// The name of a capacity provider.
    CapacityProviderName, "capacity provider name",
    |s| (1..=64).contains(&s.len()) && s.bytes().all(is_word)
);
name!(
    /// The id of an environment: 32 lower-case hex digits, the last part of its log stream's name.
    EnvironmentId, "environment id",
    |s| s.len() == 32 && s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
);
name!(
    /// A SHA-256 in lower-case hex, which names a blob.
    Digest, "digest",
    |s| s.len() == 64 && s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
);

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// An account in a region: a world of its own. Every record is keyed by it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// Whose.
    pub account: AccountId,
    /// Where.
    pub region: Region,
}

impl Scope {
    /// `arn:aws:SERVICE:REGION:ACCOUNT:REST`.
    #[must_use]
    pub fn arn(&self, service: &str, rest: impl fmt::Display) -> String {
        format!("arn:aws:{service}:{}:{}:{rest}", self.region, self.account)
    }
}

/// One function of one account in one region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FunctionKey {
    /// Whose and where.
    pub scope: Scope,
    /// Which.
    pub name: FunctionName,
}

impl FunctionKey {
    /// The unqualified ARN.
    #[must_use]
    pub fn arn(&self) -> String {
        let Scope { account, region } = &self.scope;
        let name = self.name.as_str();
        // Without the machinery of formatting: every invocation has one.
        ["arn:aws:lambda:", region.as_str(), ":", account.as_str(), ":function:", name].concat()
    }

    /// The ARN with a qualifier.
    #[must_use]
    pub fn qualified_arn(&self, qualifier: &Qualifier) -> String {
        self.scope.arn("lambda", format_args!("function:{}:{qualifier}", self.name))
    }
}

/// A version of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Version {
    /// `$LATEST`, which changes.
    Latest,
    /// A published one, which does not.
    Number(u64),
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("$LATEST"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// What may follow a function's name: a version or an alias.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Qualifier {
    /// `$LATEST` or a number.
    Version(Version),
    /// An alias.
    Alias(AliasName),
}

impl FromStr for Qualifier {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text == "$LATEST" {
            return Ok(Self::Version(Version::Latest));
        }
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let invalid = || InvalidName { kind: "qualifier", value: text.to_owned() };
        if digits {
            return text.parse().map(|n| Self::Version(Version::Number(n))).map_err(|_| invalid());
        }
        text.parse().map(Self::Alias).map_err(|_| invalid())
    }
}

impl fmt::Display for Qualifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => version.fmt(f),
            Self::Alias(alias) => alias.fmt(f),
        }
    }
}

/// A `FunctionName` as callers write it: `name`, `name:qualifier`, `account:function:name` or a
/// whole ARN, each with or without a qualifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionReference {
    /// The account, if named.
    pub account: Option<AccountId>,
    /// The region, if named.
    pub region: Option<Region>,
    /// The bare name.
    pub name: FunctionName,
    /// The qualifier, if named.
    pub qualifier: Option<Qualifier>,
}

impl FromStr for FunctionReference {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName { kind: "function reference", value: text.to_owned() };
        let parts: Vec<&str> = text.split(':').collect();
        let (account, region, rest) = match parts.as_slice() {
            ["arn", partition, "lambda", region, account, "function", rest @ ..]
                if partition.starts_with("aws") =>
            {
                (Some(*account), Some(*region), rest)
            }
            [account, "function", rest @ ..] => (Some(*account), None, rest),
            ["function", rest @ ..] if !rest.is_empty() => (None, None, rest),
            rest => (None, None, rest),
        };
        let (name, qualifier) = match rest {
            [name] => (*name, None),
            [name, qualifier] => (*name, Some(*qualifier)),
            _ => return Err(invalid()),
        };
        Ok(Self {
            account: account.map(str::parse).transpose()?,
            region: region.map(str::parse).transpose()?,
            name: name.parse()?,
            qualifier: qualifier.map(str::parse).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &str) {
        let got = match text.parse::<FunctionReference>() {
            Err(_) => "invalid".to_owned(),
            Ok(r) => format!(
                "{}/{}/{}/{}",
                r.account.map_or("-".into(), String::from),
                r.region.map_or("-".into(), String::from),
                r.name,
                r.qualifier.map_or("-".into(), |q| q.to_string()),
            ),
        };
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn every_form_of_a_function_name_is_read() {
        check("f", "-/-/f/-");
        check("f:1", "-/-/f/1");
        check("f:$LATEST", "-/-/f/$LATEST");
        check("f:live", "-/-/f/live");
        check("123456789012:function:f", "123456789012/-/f/-");
        check("123456789012:function:f:7", "123456789012/-/f/7");
        check("arn:aws:lambda:eu-west-1:123456789012:function:f", "123456789012/eu-west-1/f/-");
        check("arn:aws:lambda:eu-west-1:123456789012:function:f:a", "123456789012/eu-west-1/f/a");
    }

    #[test]
    fn what_is_no_function_name_is_refused() {
        for text in ["", ":", "f:", "f:1:2", "a b", "../x", "arn:aws:s3:::b", "f:$OTHER", "é"] {
            check(text, "invalid");
        }
        check(&"x".repeat(65), "invalid");
        check("1234:function:f", "invalid");
    }

    proptest! {
        #[test]
        fn no_text_panics_the_parsers(text in ".{0,200}") {
            let _ = text.parse::<FunctionReference>();
            let _ = text.parse::<Qualifier>();
        }

        #[test]
        fn what_was_read_is_printed_the_same(name in "[a-zA-Z0-9_-]{1,64}", q in "[a-z][a-z0-9]{0,9}") {
            let text = format!("arn:aws:lambda:us-east-1:000000000000:function:{name}:{q}");
            let r: FunctionReference = text.parse().unwrap();
            let key = FunctionKey {
                scope: Scope { account: r.account.unwrap(), region: r.region.unwrap() },
                name: r.name,
            };
            prop_assert_eq!(key.qualified_arn(&r.qualifier.unwrap()), text);
        }
    }
}
