//! `CreateFunctionUrlConfig` and its siblings.

use dormouse_model::names::{FunctionKey, Qualifier, Scope, Version};
use dormouse_model::url::{Cors, FunctionUrl, UrlAuth, UrlMode};
use http::Uri;
use serde::{Deserialize, Serialize};

use super::name::{NameShape, Target};
use crate::error::{ApiError, Exception};
use crate::query::QueryString;
use crate::time;
use crate::validate::{LONGEST, SHORTEST, Violations};

const AUTHS: [&str; 2] = ["NONE", "AWS_IAM"];
const MODES: [&str; 2] = ["BUFFERED", "RESPONSE_STREAM"];
const MAX_AGE_S: i64 = 86_400;

/// The function or alias whose URL is meant; versions have none.
///
/// # Errors
/// Every violation in one text; what the service says of names.
pub fn target(scope: &Scope, name: &str, uri: &Uri) -> Result<Target, ApiError> {
    let qualifier = QueryString::of(uri).get("Qualifier");
    Target::resolve(scope, name, qualifier.as_deref(), NameShape::Url)
}

/// The body of `CreateFunctionUrlConfig` and `UpdateFunctionUrlConfig`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct FunctionUrlConfigRequest {
    auth_type: Option<String>,
    cors: Option<Cors>,
    invoke_mode: Option<String>,
}

/// A change of a URL's configuration: what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlChange {
    auth: Option<UrlAuth>,
    /// An empty one removes.
    cors: Option<Option<Cors>>,
    /// How it is to answer, if that was said.
    pub mode: Option<UrlMode>,
}

impl FunctionUrlConfigRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// When it is not JSON of this shape.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        super::read(body)
    }

    /// What a new URL is to be like.
    ///
    /// # Errors
    /// Every violation in one text.
    pub fn validate_new(self) -> Result<UrlChange, ApiError> {
        let mut violations = Violations::default();
        if self.auth_type.is_none() {
            violations.null("authType");
        }
        self.finish(violations)
    }

    /// What is to change.
    ///
    /// # Errors
    /// Every violation in one text.
    pub fn validate(self) -> Result<UrlChange, ApiError> {
        self.finish(Violations::default())
    }

    fn finish(self, mut violations: Violations) -> Result<UrlChange, ApiError> {
        if let Some(auth) = &self.auth_type {
            violations.one_of(auth, "authType", &AUTHS);
        }
        if let Some(mode) = &self.invoke_mode {
            violations.one_of(mode, "invokeMode", &MODES);
        }
        if let Some(cors) = &self.cors {
            check_cors(&mut violations, cors);
        }
        violations.finish()?;
        let auth = self.auth_type.map(|auth| match auth.as_str() {
            "NONE" => UrlAuth::None,
            _ => UrlAuth::AwsIam,
        });
        let mode = self.invoke_mode.map(|mode| match mode.as_str() {
            "BUFFERED" => UrlMode::Buffered,
            _ => UrlMode::ResponseStream,
        });
        let cors = self.cors.map(|cors| Some(cors).filter(|cors| *cors != Cors::default()));
        Ok(UrlChange { auth, cors, mode })
    }
}

impl UrlChange {
    /// A new URL of what was said. One that does not say who may call asks for signatures.
    #[must_use]
    pub fn made(self, id: String, now_ms: u64) -> FunctionUrl {
        FunctionUrl {
            id,
            auth: self.auth.unwrap_or(UrlAuth::AwsIam),
            mode: self.mode.unwrap_or_default(),
            cors: self.cors.flatten(),
            created_ms: now_ms,
            modified_ms: now_ms,
        }
    }

    /// A URL with what was said changed.
    #[must_use]
    pub fn applied_to(self, url: FunctionUrl, now_ms: u64) -> FunctionUrl {
        FunctionUrl {
            auth: self.auth.unwrap_or(url.auth),
            mode: self.mode.unwrap_or(url.mode),
            cors: self.cors.unwrap_or(url.cors),
            modified_ms: now_ms,
            ..url
        }
    }
}

/// A URL as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct FunctionUrlConfigResponse {
    function_url: String,
    function_arn: String,
    auth_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cors: Option<Cors>,
    creation_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoke_mode: Option<&'static str>,
}

impl FunctionUrlConfigResponse {
    /// The URL of a function or of one of its aliases.
    #[must_use]
    pub fn of(url: FunctionUrl, key: &FunctionKey, qualifier: Option<&Qualifier>) -> Self {
        let latest = Qualifier::Version(Version::Latest);
        let alias = qualifier.filter(|qualifier| **qualifier != latest);
        Self {
            function_url: url.text(&key.scope.region),
            function_arn: alias.map_or_else(|| key.arn(), |alias| key.qualified_arn(alias)),
            auth_type: match url.auth {
                UrlAuth::None => "NONE",
                UrlAuth::AwsIam => "AWS_IAM",
            },
            cors: url.cors,
            creation_time: time::iso_nanos(url.created_ms),
            last_modified_time: Some(time::iso_nanos(url.modified_ms)),
            invoke_mode: Some(match url.mode {
                UrlMode::Buffered => "BUFFERED",
                UrlMode::ResponseStream => "RESPONSE_STREAM",
            }),
        }
    }

    /// As `CreateFunctionUrlConfig` shows it: without what nobody has done or said yet.
    #[must_use]
    pub fn created(self, mode_given: bool) -> Self {
        let invoke_mode = self.invoke_mode.filter(|_| mode_given);
        Self { last_modified_time: None, invoke_mode, ..self }
    }
}

/// A page of `ListFunctionUrlConfigs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListFunctionUrlConfigsResponse {
    /// The URLs, by qualifier.
    pub function_url_configs: Vec<FunctionUrlConfigResponse>,
    /// What to pass as `Marker` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
}

/// 409 for a second URL.
#[must_use]
pub fn exists(target: &Target) -> ApiError {
    // The two spaces are AWS's.
    let text = format!(
        "Failed to create function url config for [functionArn = {}]. Error message:  \
         FunctionUrlConfig exists for this Lambda function",
        target.arn()
    );
    ApiError::new(Exception::ResourceConflict, text)
}

/// 404 for a URL that is not there.
#[must_use]
pub fn not_found() -> ApiError {
    ApiError::new(Exception::ResourceNotFound, "The resource you requested does not exist.")
}

/// 404 for a function that is to have a URL and is not there.
#[must_use]
pub fn no_function() -> ApiError {
    ApiError::new(Exception::ResourceNotFound, "Function does not exist")
}

fn check_cors(violations: &mut Violations, cors: &Cors) {
    let empty = Vec::new();
    for (list, path, most, chars) in [
        (&cors.allow_headers, "cors.allowHeaders", 100, (0, 1_024)),
        (&cors.allow_methods, "cors.allowMethods", 6, (0, 6)),
        (&cors.allow_origins, "cors.allowOrigins", 100, (1, 253)),
        (&cors.expose_headers, "cors.exposeHeaders", 100, (0, 1_024)),
    ] {
        let list = list.as_ref().unwrap_or(&empty);
        let shown = format!("[{}]", list.join(", "));
        violations.count(&shown, list.len(), path, (0, most));
        let (min, max) = chars;
        if list.iter().any(|item| !(min..=max).contains(&item.chars().count())) {
            let rule = format!(
                "Member must satisfy constraint: [{LONGEST} {max}, {SHORTEST} {min}, Member must \
                 satisfy regular expression pattern: .*]"
            );
            violations.add(shown, path, rule);
        }
    }
    if let Some(age) = cors.max_age {
        violations.range(age, "cors.maxAge", 0, MAX_AGE_S);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(body: &Value) -> Result<FunctionUrlConfigRequest, ApiError> {
        FunctionUrlConfigRequest::read(body.to_string().as_bytes())
    }

    fn named(name: &str, query: &str) -> Result<Target, ApiError> {
        let scope = Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        target(&scope, name, &format!("/x?{query}").parse().unwrap())
    }

    #[test]
    fn what_is_not_said_stays_when_it_is_updated() {
        let cors = json!({"AllowOrigins": ["*"], "MaxAge": 60});
        let new = read(&json!({"AuthType": "NONE", "Cors": cors})).unwrap();
        let id = "0123456789abcdef0123456789abcdef".to_owned();
        let first = new.validate_new().unwrap().made(id, 1_767_323_045_678);
        let key = named("f", "").unwrap().key;
        let shown = FunctionUrlConfigResponse::of(first.clone(), &key, None).created(false);
        assert_eq!(
            serde_json::to_value(shown).unwrap(),
            json!({
                "FunctionUrl": "https://0123456789abcdef0123456789abcdef.lambda-url.us-east-1.on.aws/",
                "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:f",
                "AuthType": "NONE", "Cors": cors, "CreationTime": "2026-01-02T03:04:05.678000000Z",
            })
        );
        let change = read(&json!({"InvokeMode": "RESPONSE_STREAM"})).unwrap().validate().unwrap();
        let second = change.applied_to(first.clone(), 1_767_323_046_678);
        assert_eq!((second.auth, second.mode), (UrlAuth::None, UrlMode::ResponseStream));
        assert_eq!((&second.cors, second.created_ms), (&first.cors, first.created_ms));
        let none = read(&json!({"Cors": {}})).unwrap().validate().unwrap();
        assert_eq!(none.applied_to(second, 0).cors, None);
    }

    #[test]
    fn wrong_members_are_told_at_once() {
        let body = json!({
            "InvokeMode": "LATER",
            "Cors": {"AllowMethods": ["CONNECT"], "MaxAge": 86_401, "AllowOrigins": [""]},
        });
        let text = read(&body).unwrap().validate_new().unwrap_err().to_string();
        assert!(text.starts_with("ValidationException: 5 validation errors detected: Value null at 'authType' failed to satisfy constraint: Member must not be null; Value 'LATER' at 'invokeMode'"), "{text}");
    }

    #[test]
    fn versions_have_no_url() {
        let alias = named("f", "Qualifier=live").unwrap();
        assert_eq!(alias.arn(), "arn:aws:lambda:us-east-1:123456789012:function:f:live");
        for (name, query) in [("f:1", ""), ("f", "Qualifier=1"), ("f", "Qualifier=%24LATEST")] {
            let text = named(name, query).unwrap_err().to_string();
            assert!(text.starts_with("ValidationException: 1 validation error"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_in_a_member_panics(text in ".{0,80}") {
            let _ = read(&json!({
                "AuthType": text, "InvokeMode": text, "Cors": {"AllowMethods": [text]},
            })).unwrap().validate();
        }
    }
}
