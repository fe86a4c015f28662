//! From method and path to what is asked for. Pure; knows no state and reads no header or body.

use dormouse_model::telemetry::SubscriptionApi;
use http::Method;

use crate::refusal::Refusal;

/// What stands in front of every path of the Runtime API.
const RUNTIME: &str = "/2018-06-01/";
/// What stands in front of every path of the Extensions API.
const EXTENSION: &str = "/2020-01-01/extension/";

/// Where a function that may be restored finds its credentials.
pub const CREDENTIALS_PATH: &str = "/2021-04-23/credentials";

/// A request, by its path alone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route<'path> {
    Next,
    Response(&'path str),
    Error(&'path str),
    InitError,
    RestoreNext,
    RestoreError,
    Ping,
    Credentials,
    Extension(ExtensionRoute),
}

/// A request of an extension, by its path alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExtensionRoute {
    Register,
    Next,
    InitError,
    ExitError,
    Subscribe(SubscriptionApi),
}

/// Finds the route. A path that exists with another method is told apart from one that does not.
pub(crate) fn route<'path>(method: &Method, path: &'path str) -> Result<Route<'path>, Refusal> {
    let route = find(path).ok_or(Refusal::NotFound)?;
    let allowed = match route {
        Route::Next
        | Route::RestoreNext
        | Route::Ping
        | Route::Credentials
        | Route::Extension(ExtensionRoute::Next) => "GET",
        Route::Response(_) | Route::Error(_) | Route::InitError | Route::RestoreError => "POST",
        Route::Extension(ExtensionRoute::Subscribe(_)) => "PUT",
        Route::Extension(_) => "POST",
    };
    if method.as_str() == allowed {
        return Ok(route);
    }
    Err(Refusal::MethodNotAllowed { allowed })
}

fn find(path: &str) -> Option<Route<'_>> {
    let subscribe = |api| Some(Route::Extension(ExtensionRoute::Subscribe(api)));
    match path {
        "/2022-07-01/telemetry" => return subscribe(SubscriptionApi::Telemetry),
        CREDENTIALS_PATH => return Some(Route::Credentials),
        "/2020-08-15/logs" => return subscribe(SubscriptionApi::Logs),
        _ => {}
    }
    if let Some(path) = path.strip_prefix(EXTENSION) {
        return find_extension(path).map(Route::Extension);
    }
    let path = path.strip_prefix(RUNTIME)?;
    if path == "ping" {
        return Some(Route::Ping);
    }
    match path.strip_prefix("runtime/")? {
        "invocation/next" => Some(Route::Next),
        "init/error" => Some(Route::InitError),
        "restore/next" => Some(Route::RestoreNext),
        "restore/error" => Some(Route::RestoreError),
        other => {
            let (request, action) = other.strip_prefix("invocation/")?.split_once('/')?;
            match action {
                _ if request.is_empty() => None,
                "response" => Some(Route::Response(request)),
                "error" => Some(Route::Error(request)),
                _ => None,
            }
        }
    }
}

fn find_extension(path: &str) -> Option<ExtensionRoute> {
    match path {
        "register" => Some(ExtensionRoute::Register),
        "event/next" => Some(ExtensionRoute::Next),
        "init/error" => Some(ExtensionRoute::InitError),
        "exit/error" => Some(ExtensionRoute::ExitError),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(request: &str, expected: &str) {
        let (method, path) = request.split_once(' ').unwrap();
        let got = match route(&method.parse().unwrap(), path) {
            Ok(route) => format!("{route:?}"),
            Err(refusal) => format!("{} {refusal}", refusal.status().as_u16()),
        };
        assert_eq!(got, expected, "{request}");
    }

    #[test]
    fn every_path_of_the_api_has_its_route() {
        check("GET /2018-06-01/runtime/invocation/next", "Next");
        check("POST /2018-06-01/runtime/invocation/a-1/response", "Response(\"a-1\")");
        check("POST /2018-06-01/runtime/invocation/a-1/error", "Error(\"a-1\")");
        check("POST /2018-06-01/runtime/init/error", "InitError");
        check("GET /2018-06-01/runtime/restore/next", "RestoreNext");
        check("POST /2018-06-01/runtime/restore/error", "RestoreError");
        check("GET /2018-06-01/ping", "Ping");
        check("POST /2020-01-01/extension/register", "Extension(Register)");
        check("GET /2020-01-01/extension/event/next", "Extension(Next)");
        check("POST /2020-01-01/extension/init/error", "Extension(InitError)");
        check("POST /2020-01-01/extension/exit/error", "Extension(ExitError)");
        check("PUT /2022-07-01/telemetry", "Extension(Subscribe(Telemetry))");
        check("GET /2021-04-23/credentials", "Credentials");
        check("PUT /2020-08-15/logs", "Extension(Subscribe(Logs))");
    }

    #[test]
    fn another_method_is_told_apart_from_another_path() {
        check("POST /2018-06-01/runtime/invocation/next", "405 only GET is allowed here");
        check("HEAD /2018-06-01/ping", "405 only GET is allowed here");
        check("GET /2018-06-01/runtime/invocation/a/response", "405 only POST is allowed here");
        check("PURGE /2018-06-01/runtime/init/error", "405 only POST is allowed here");
        check("GET /2020-01-01/extension/register", "405 only POST is allowed here");
        check("POST /2021-04-23/credentials", "405 only GET is allowed here");
        check("POST /2022-07-01/telemetry", "405 only PUT is allowed here");
        for path in [
            "/",
            "*",
            "/2018-06-01",
            "/2018-06-01/",
            "/2018-06-01/runtime/invocation/next/",
            "/2018-06-01//runtime/invocation/next",
            "/2018-06-01/runtime/invocation//response",
            "/2018-06-01/runtime/invocation/a/b/response",
            "/2018-06-01/runtime/invocation/a/response/",
            "/2018-06-01/RUNTIME/invocation/next",
            "/2018-06-01/extension/register",
            "/2020-01-01/extension/register/",
            "/2020-01-01/extension/",
            "/2020-01-01/runtime/invocation/next",
            "/2022-07-01/logs",
            "/2020-08-15/telemetry",
            "/2022-07-01/telemetry/",
            "/2021-04-23/credentials/",
            "/2018-06-01/credentials",
            "/2015-03-31/functions",
        ] {
            check(&format!("GET {path}"), "404 no such route");
        }
    }
}
