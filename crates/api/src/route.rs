//! Which service, and which of its operations, a request asks for.
//!
//! All services answer on one port. The order: S3, when scope or host say so, since its keys may be
//! anything; our own paths; the scope of the signature; `X-Amz-Target`; the path; the form. A request never falls through from one service to another:
//! once a service is named, what it does not have is refused in its own shape.

use dormouse_model::names::RequestId;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Method, Response};

use crate::error::{ApiError, Exception};
use crate::form::Form;
use crate::lambda::{self, NoCall};
use crate::query::QueryString;
use crate::s3;
use crate::service::{Dialect, Protocol, Service, said_protocol};

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// To one of our own paths.
    Own(Own),
    /// To an AWS service.
    Service {
        /// Which, and how it is to be answered.
        dialect: Dialect,
        /// What is asked of it.
        asked: Asked,
    },
}

/// Our own paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Own {
    /// `/healthz`
    Health,
    /// `/readyz`
    Ready,
    /// `/metrics`
    Metrics,
    /// `/_dormouse/…`: the rest of the path, without its first slash.
    Internal(String),
}

/// What is asked of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// An operation of Lambda.
    Lambda(lambda::Call),
    /// An operation by its name, from `X-Amz-Target`, a query string or an RPC path.
    Named(String),
    /// An operation of S3.
    S3(Box<s3::Call>),
    /// The form in the body names it: see [`query_action`].
    InBody,
    /// Method and path name it, in a service whose paths we do not know.
    ByPath,
}

/// A request that goes nowhere, with the refusal in the shape of whoever was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("request names no operation")]
pub struct Unroutable {
    /// Who was asked.
    pub dialect: Dialect,
    /// What to say.
    #[source]
    pub error: ApiError,
}

impl Unroutable {
    /// The HTTP answer.
    #[must_use]
    pub fn answer(&self, request_id: &RequestId) -> Response<bytes::Bytes> {
        self.error.answer(self.dialect, request_id)
    }
}

/// Finds the service and, unless only the body says it, the operation.
///
/// # Errors
/// When the request names no service, a service we never heard of, or nothing the service has.
pub fn route(parts: &Parts) -> Result<Route, Unroutable> {
    let path = parts.uri.path();
    let scoped = scope_service(parts);
    let is_scoped_s3 = scoped.as_deref() == Some(Service::S3.signing_name());
    // A key may be called as one of our own paths is.
    if is_scoped_s3 || scoped.is_none() && says_s3(parts) {
        return asked_of(Service::S3, parts);
    }
    if let Some(own) = own(path) {
        return Ok(Route::Own(own));
    }
    if let Some(name) = scoped {
        return match Service::of_signing_name(&name) {
            Some(service) => asked_of(service, parts),
            None => Err(unknown_service(parts, &name)),
        };
    }
    if let Some(target) = target(parts) {
        return match Service::of_target(target) {
            Some(service) => asked_of(service, parts),
            None => Err(unknown_service(parts, target)),
        };
    }
    if lambda::is_lambda_path(path) {
        return asked_of(Service::Lambda, parts);
    }
    unsigned_form(parts)
}

/// The second step for [`Asked::InBody`]: reads the form and completes the dialect.
///
/// # Errors
/// When the body is no form, names no operation, or names no service although the request did not.
pub fn query_action(dialect: Dialect, body: &[u8]) -> Result<(Dialect, String, Form), Unroutable> {
    let refuse = |error| Unroutable { dialect, error };
    let form = Form::parse(body).map_err(refuse)?;
    let action = form.action().map_err(refuse)?.to_owned();
    let service = dialect.service.or_else(|| form.service());
    let Some(service) = service else {
        return Err(refuse(ApiError::unknown_operation(dialect)));
    };
    Ok((Dialect { service: Some(service), ..dialect }, action, form))
}

fn own(path: &str) -> Option<Own> {
    match path {
        "/healthz" => Some(Own::Health),
        "/readyz" => Some(Own::Ready),
        "/metrics" => Some(Own::Metrics),
        "/_dormouse" => Some(Own::Internal(String::new())),
        _ => Some(Own::Internal(path.strip_prefix("/_dormouse/")?.to_owned())),
    }
}

/// The service in `…Credential=KEY/DATE/REGION/SERVICE/aws4_request`, of a header or a signed link.
/// Whether the credential is well-formed is not judged here.
fn scope_service(parts: &Parts) -> Option<String> {
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(header) = header {
        let credential = header.split_once("Credential=")?.1;
        let end = credential.find([',', ' ']).unwrap_or(credential.len());
        return service_of_credential(&credential[..end]);
    }
    service_of_credential(&QueryString::of(&parts.uri).get("X-Amz-Credential")?)
}

/// Counted from the end: an access key may hold slashes, a scope may not.
fn service_of_credential(credential: &str) -> Option<String> {
    let mut fields = credential.rsplit('/');
    let terminator = fields.next()?;
    let service = fields.next()?;
    (terminator == "aws4_request" && !service.is_empty()).then(|| service.to_owned())
}

/// Whether a request without a scope is for S3: by its host, or by a signature of version 2, which only
/// S3 still has.
fn says_s3(parts: &Parts) -> bool {
    let query = QueryString::of(&parts.uri);
    let is_old = || {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        header.is_some_and(|header| header.starts_with("AWS "))
            || query.get("AWSAccessKeyId").is_some()
                && query.get("Signature").is_some()
                && query.get("Action").is_none()
    };
    target(parts).is_none() && (s3::is_host_of_s3(parts) || is_old())
}

fn target(parts: &Parts) -> Option<&str> {
    parts.headers.get("x-amz-target")?.to_str().ok()
}

fn asked_of(service: Service, parts: &Parts) -> Result<Route, Unroutable> {
    let dialect = Dialect::of(service, parts);
    match asked(dialect, parts) {
        Ok(asked) => Ok(Route::Service { dialect, asked }),
        Err(error) => Err(Unroutable { dialect, error }),
    }
}

fn asked(dialect: Dialect, parts: &Parts) -> Result<Asked, ApiError> {
    match dialect.protocol {
        Protocol::RestJson if dialect.service == Some(Service::Lambda) => lambda_call(parts),
        Protocol::RestXml if dialect.service == Some(Service::S3) => {
            s3::call(parts).map(|call| Asked::S3(Box::new(call)))
        }
        Protocol::RestJson | Protocol::RestXml => Ok(Asked::ByPath),
        Protocol::Json10 | Protocol::Json11 => {
            let name = target(parts).and_then(|target| target.rsplit_once('.'));
            named(dialect, name.map(|(_, name)| name))
        }
        Protocol::RpcV2Cbor => {
            let name = parts.uri.path().rsplit_once("/operation/");
            named(dialect, name.map(|(_, name)| name))
        }
        Protocol::Query | Protocol::Ec2Query => match QueryString::of(&parts.uri).get("Action") {
            Some(action) => named(dialect, Some(&action)),
            None if parts.method == Method::POST => Ok(Asked::InBody),
            None => Err(ApiError::new(Exception::MissingAction, "Missing Action")),
        },
    }
}

fn named(dialect: Dialect, name: Option<&str>) -> Result<Asked, ApiError> {
    let plausible = |name: &&str| {
        (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    match name.filter(plausible) {
        Some(name) => Ok(Asked::Named(name.to_owned())),
        None => Err(ApiError::unknown_operation(dialect)),
    }
}

fn lambda_call(parts: &Parts) -> Result<Asked, ApiError> {
    let query = QueryString::of(&parts.uri);
    match lambda::call(&parts.method, parts.uri.path(), query) {
        Ok(call) => Ok(Asked::Lambda(call)),
        Err(NoCall::Unknown) => Err(ApiError::unknown_operation(Dialect::LAMBDA)),
        Err(NoCall::NotText) => {
            let text = "The request path is not valid UTF-8 once it is decoded.";
            Err(ApiError::new(Exception::Serialization, text))
        }
    }
}

/// What is left may be a form: in the query string of any method, or in the body of a POST.
fn unsigned_form(parts: &Parts) -> Result<Route, Unroutable> {
    let nobody =
        Dialect { service: None, protocol: said_protocol(parts).unwrap_or(Protocol::RestJson) };
    let query = QueryString::of(&parts.uri);
    let version = query.get("Version");
    if let Some(service) = version.and_then(|version| Service::of_version(&version))
        && query.get("Action").is_some()
    {
        return asked_of(service, parts);
    }
    if nobody.protocol == Protocol::Query && parts.method == Method::POST {
        return Ok(Route::Service { dialect: nobody, asked: Asked::InBody });
    }
    Err(Unroutable { dialect: nobody, error: ApiError::unknown_operation(nobody) })
}

fn unknown_service(parts: &Parts, name: &str) -> Unroutable {
    let protocol = said_protocol(parts).unwrap_or(Protocol::RestJson);
    let dialect = Dialect { service: None, protocol };
    let shown: String = name.chars().take(64).collect();
    let text = format!("The service {shown} is not supported by this version of Dormouse.");
    Unroutable { dialect, error: ApiError::new(Exception::NotImplemented, text) }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut builder = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    fn scope(service: &str) -> String {
        format!(
            "AWS4-HMAC-SHA256 Credential=AKID/20260102/eu-west-1/{service}/aws4_request, \
             SignedHeaders=host, Signature=0"
        )
    }

    fn shown(route: Result<Route, Unroutable>) -> String {
        match route {
            Ok(Route::Own(own)) => format!("{own:?}"),
            Ok(Route::Service { dialect, asked }) => {
                let asked = match asked {
                    Asked::Lambda(call) => call.operation.name().to_owned(),
                    Asked::Named(name) => name,
                    Asked::S3(call) => format!("{:?}", call.operation),
                    other => format!("{other:?}"),
                };
                format!("{} {:?} {asked}", dialect.service_name(), dialect.protocol)
            }
            Err(refused) => format!(
                "{} {:?} refused {}",
                refused.dialect.service_name(),
                refused.dialect.protocol,
                refused.error.exception.facts().code
            ),
        }
    }

    fn check(method: &str, uri: &str, headers: &[(&str, &str)], expected: &str) {
        assert_eq!(shown(route(&parts(method, uri, headers))), expected, "{method} {uri}");
    }

    #[test]
    fn our_own_paths_come_first() {
        let signed = scope("s3");
        let signed = [("authorization", signed.as_str())];
        check("GET", "/healthz", &[], "Health");
        check("GET", "/healthz", &signed, "s3 RestXml ListObjects");
        check("GET", "/readyz", &[], "Ready");
        check("GET", "/metrics", &[], "Metrics");
        check("GET", "/_dormouse/code/x?y=1", &[], "Internal(\"code/x\")");
        check("GET", "/_dormouse", &[], "Internal(\"\")");
    }

    #[test]
    fn the_scope_decides_before_anything_else() {
        let check = |service: &str, method, uri, extra: &[(&str, &str)], expected| {
            let signed = scope(service);
            let mut headers = vec![("authorization", signed.as_str())];
            headers.extend_from_slice(extra);
            check(method, uri, &headers, expected);
        };
        check("lambda", "GET", "/2015-03-31/functions", &[], "lambda RestJson ListFunctions");
        check(
            "lambda",
            "GET",
            "/bucket/key",
            &[],
            "lambda RestJson refused UnknownOperationException",
        );
        check("s3", "GET", "/2015-03-31/functions", &[], "s3 RestXml GetObject");
        check("iam", "POST", "/", &[], "iam Query InBody");
        check("iam", "GET", "/?Action=ListRoles", &[], "iam Query ListRoles");
        check("iam", "GET", "/", &[], "iam Query refused MissingAction");
        check(
            "logs",
            "POST",
            "/",
            &[("x-amz-target", "Logs_20140328.GetLogEvents")],
            "logs Json11 GetLogEvents",
        );
        check("nonsense", "GET", "/", &[], "aws RestJson refused NotImplementedException");
        check(
            "monitoring",
            "POST",
            "/service/GraniteServiceVersion20100801/operation/GetMetricData",
            &[("smithy-protocol", "rpc-v2-cbor")],
            "monitoring RpcV2Cbor GetMetricData",
        );
        let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        check("sqs", "POST", "/", &form, "sqs Query InBody");
        check("monitoring", "POST", "/", &form, "monitoring Query InBody");
    }

    #[test]
    fn a_signed_link_has_its_scope_in_the_query() {
        check(
            "GET",
            "/bucket/k?X-Amz-Credential=AKID%2F20260102%2Fus-east-1%2Fs3%2Faws4_request",
            &[],
            "s3 RestXml GetObject",
        );
        check(
            "GET",
            "/bucket/k?AWSAccessKeyId=AK&Signature=s&Expires=1",
            &[],
            "s3 RestXml GetObject",
        );
    }

    #[test]
    fn a_host_may_say_s3_and_never_for_another_service() {
        let host = |host| [("host", host)];
        check("GET", "/healthz", &host("bucket.s3.localhost:9000"), "s3 RestXml GetObject");
        check("GET", "/key", &host("bucket.localhost"), "s3 RestXml GetObject");
        check("GET", "/bucket/key", &host("s3.localhost"), "s3 RestXml GetObject");
        check("GET", "/healthz", &host("lambda.localhost"), "Health");
        check(
            "GET",
            "/2015-03-31/functions",
            &host("127.0.0.1:9000"),
            "lambda RestJson ListFunctions",
        );
        let signed = scope("lambda");
        let signed = [("authorization", signed.as_str()), ("host", "bucket.s3.localhost")];
        check("GET", "/2015-03-31/functions", &signed, "lambda RestJson ListFunctions");
    }

    #[test]
    fn an_unsigned_request_is_known_by_target_path_or_form() {
        let json = ("content-type", "application/x-amz-json-1.1");
        let target = ("x-amz-target", "Logs_20140328.GetLogEvents");
        check("POST", "/", &[target, json], "logs Json11 GetLogEvents");
        check(
            "POST",
            "/",
            &[
                ("x-amz-target", "AmazonSQS.SendMessage"),
                ("content-type", "application/x-amz-json-1.0"),
            ],
            "sqs Json10 SendMessage",
        );
        check(
            "POST",
            "/",
            &[("x-amz-target", "Nobody.X"), json],
            "aws Json11 refused NotImplementedException",
        );
        check("POST", "/2015-03-31/functions/f/invocations", &[], "lambda RestJson Invoke");
        check(
            "PATCH",
            "/2015-03-31/functions",
            &[],
            "lambda RestJson refused UnknownOperationException",
        );
        let form = ("content-type", "application/x-www-form-urlencoded");
        check("POST", "/", &[form], "aws Query InBody");
        check(
            "GET",
            "/?Action=GetCallerIdentity&Version=2011-06-15",
            &[],
            "sts Query GetCallerIdentity",
        );
        check("GET", "/bucket/key", &[], "aws RestJson refused UnknownOperationException");
    }

    #[test]
    fn a_form_names_operation_and_service() {
        let nobody = Dialect { service: None, protocol: Protocol::Query };
        let (dialect, action, form) =
            query_action(nobody, b"Action=GetRole&Version=2010-05-08&RoleName=r").unwrap();
        assert_eq!(dialect.service, Some(Service::Iam));
        assert_eq!(action, "GetRole");
        assert_eq!(form.get("RoleName"), Some("r"));
        assert!(query_action(nobody, b"Action=GetRole").is_err());
        assert!(query_action(nobody, b"\xff\xfe=%zz&&&=").is_err());
    }

    proptest! {
        #[test]
        fn no_request_panics_the_router(
            path in "/[!-~&&[^#?]]{0,60}",
            authorization in "[ -~]{0,80}",
            target in "[ -~]{0,40}",
            body in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let headers = [("authorization", authorization.as_str()), ("x-amz-target", target.as_str())];
            let mut builder = Request::builder().uri(path);
            for (name, value) in headers {
                builder = builder.header(name, value);
            }
            if let Ok(request) = builder.body(()) {
                let _ = route(&request.into_parts().0);
            }
            let _ = query_action(Dialect { service: None, protocol: Protocol::Query }, &body);
        }
    }
}
