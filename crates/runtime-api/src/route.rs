//! From method and path to what is asked for. Pure; knows no state and reads no header or body.

use http::Method;

use crate::refusal::Refusal;

/// The version in front of every path of the Runtime API.
const PREFIX: &str = "/2018-06-01/";

/// A request of the Runtime API, by its path alone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route<'path> {
    Next,
    Response(&'path str),
    Error(&'path str),
    InitError,
    RestoreNext,
    RestoreError,
    Ping,
}

/// Finds the route. A path that exists with another method is told apart from one that does not.
pub(crate) fn route<'path>(method: &Method, path: &'path str) -> Result<Route<'path>, Refusal> {
    let route = find(path).ok_or(Refusal::NotFound)?;
    let allowed = match route {
        Route::Next | Route::RestoreNext | Route::Ping => Method::GET,
        Route::Response(_) | Route::Error(_) | Route::InitError | Route::RestoreError => {
            Method::POST
        }
    };
    if *method == allowed {
        return Ok(route);
    }
    let allowed = if allowed == Method::GET { "GET" } else { "POST" };
    Err(Refusal::MethodNotAllowed { allowed })
}

fn find(path: &str) -> Option<Route<'_>> {
    let path = path.strip_prefix(PREFIX)?;
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
    }

    #[test]
    fn another_method_is_told_apart_from_another_path() {
        check("POST /2018-06-01/runtime/invocation/next", "405 only GET is allowed here");
        check("HEAD /2018-06-01/ping", "405 only GET is allowed here");
        check("GET /2018-06-01/runtime/invocation/a/response", "405 only POST is allowed here");
        check("PURGE /2018-06-01/runtime/init/error", "405 only POST is allowed here");
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
            "/2020-01-01/extension/register",
            "/2022-07-01/telemetry",
            "/2015-03-31/functions",
        ] {
            check(&format!("GET {path}"), "404 no such route");
        }
    }
}
