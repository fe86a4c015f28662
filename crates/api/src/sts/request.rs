//! STS's requests, read from a form and checked.

use dormouse_model::names::AccountId;

use crate::error::{ApiError, Exception};
use crate::form::Form;
use crate::validate::Violations;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `GetCallerIdentity`
    GetCallerIdentity,
    /// `AssumeRole`
    AssumeRole {
        /// The role.
        role: RoleArn,
        /// What names the session.
        session: String,
        /// How long the credentials last.
        duration_s: u32,
    },
    /// `GetSessionToken`
    GetSessionToken {
        /// How long the credentials last.
        duration_s: u32,
    },
    /// `GetAccessKeyInfo`
    GetAccessKeyInfo {
        /// The key.
        access_key: String,
    },
}

/// A role, by its ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleArn {
    /// The ARN itself.
    pub arn: String,
    /// Whose.
    pub account: AccountId,
    /// Its name, without its path.
    pub name: String,
}

impl RoleArn {
    /// Reads `arn:aws:iam::account:role/path/name`.
    #[must_use]
    pub fn read(arn: &str) -> Option<Self> {
        let (account, path) = arn.strip_prefix("arn:aws:iam::")?.split_once(":role/")?;
        let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
        Some(Self { arn: arn.to_owned(), account: account.parse().ok()?, name: name.to_owned() })
    }
}

impl Request {
    /// Reads an action's form. Nothing for an action we do not have.
    ///
    /// # Errors
    /// Every violated constraint in one text; an ARN that is no role's.
    pub fn read(action: &str, form: &Form) -> Result<Option<Self>, ApiError> {
        match action {
            "GetCallerIdentity" => Ok(Some(Self::GetCallerIdentity)),
            "AssumeRole" => assume_role(form).map(Some),
            "GetSessionToken" => {
                let mut violations = Violations::default();
                let duration_s = duration(&mut violations, form, 43_200, 129_600);
                violations.finish()?;
                Ok(Some(Self::GetSessionToken { duration_s }))
            }
            "GetAccessKeyInfo" => {
                let mut violations = Violations::default();
                let access_key = required(&mut violations, form, "AccessKeyId", "accessKeyId");
                if !access_key.is_empty() {
                    violations.length(&access_key, "accessKeyId", 16, 128);
                }
                violations.finish()?;
                Ok(Some(Self::GetAccessKeyInfo { access_key }))
            }
            _ => Ok(None),
        }
    }
}

fn assume_role(form: &Form) -> Result<Request, ApiError> {
    let mut violations = Violations::default();
    let arn = required(&mut violations, form, "RoleArn", "roleArn");
    if !arn.is_empty() {
        violations.length(&arn, "roleArn", 20, 2_048);
    }
    let session = required(&mut violations, form, "RoleSessionName", "roleSessionName");
    if !session.is_empty() {
        violations.length(&session, "roleSessionName", 2, 64);
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
        violations.pattern(&session, "roleSessionName", session.bytes().all(fits), r"[\w+=,.@-]*");
    }
    let duration_s = duration(&mut violations, form, 3_600, 43_200);
    violations.finish()?;
    let role = RoleArn::read(&arn)
        .ok_or_else(|| ApiError::new(Exception::Validation, format!("{arn} is invalid")))?;
    Ok(Request::AssumeRole { role, session, duration_s })
}

fn required(violations: &mut Violations, form: &Form, member: &str, path: &str) -> String {
    let value = form.get(member);
    if value.is_none() {
        violations.null(path);
    }
    value.unwrap_or_default().to_owned()
}

fn duration(violations: &mut Violations, form: &Form, default: u32, max: u32) -> u32 {
    let Some(text) = form.get("DurationSeconds") else {
        return default;
    };
    match text.parse::<i64>() {
        Ok(duration) => violations.range(duration, "durationSeconds", 900, i64::from(max)),
        Err(_) => violations.add(text, "durationSeconds", "Member must be an integer"),
    }
    text.parse().unwrap_or(default)
}

/// 403 for a role that is not there, which AWS does not tell from one that does not trust you.
#[must_use]
pub fn may_not_assume(caller: &str, role: &str) -> ApiError {
    let text =
        format!("User: {caller} is not authorized to perform: sts:AssumeRole on resource: {role}");
    ApiError::new(Exception::AccessDenied, text)
}

/// 400 for a session longer than the role's sessions may be.
#[must_use]
pub fn session_too_long() -> ApiError {
    let text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
    ApiError::new(Exception::Validation, text)
}

/// 403 for credentials whose time is over.
#[must_use]
pub fn expired() -> ApiError {
    let text = "The security token included in the request is expired";
    ApiError::new(Exception::ExpiredToken, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(form: &str) -> Result<Option<Request>, ApiError> {
        let form = Form::parse(form.as_bytes()).unwrap();
        Request::read(form.action().unwrap(), &form)
    }

    #[test]
    fn a_role_is_assumed_for_an_hour_unless_said_otherwise() {
        let form =
            "Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:role/p/q/r&RoleSessionName=me";
        let Some(Request::AssumeRole { role, session, duration_s }) = read(form).unwrap() else {
            panic!("not an AssumeRole")
        };
        assert_eq!((role.account.as_str(), role.name.as_str()), ("123456789012", "r"));
        assert_eq!((session.as_str(), duration_s), ("me", 3_600));
        assert_eq!(read("Action=DecodeAuthorizationMessage"), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let text = |form: &str| read(form).unwrap_err().to_string().replace("; ", ";\n");
        insta::assert_snapshot!(text("Action=AssumeRole&RoleSessionName=a b&DurationSeconds=899"), @r"
        ValidationException: 3 validation errors detected: Value null at 'roleArn' failed to satisfy constraint: Member must not be null;
        Value 'a b' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*;
        Value '899' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to 900
        ");
        let user = "Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:user/u&RoleSessionName=me";
        assert!(text(user).ends_with("arn:aws:iam::123456789012:user/u is invalid"));
        assert!(read("Action=GetSessionToken&DurationSeconds=129601").is_err());
    }
}
