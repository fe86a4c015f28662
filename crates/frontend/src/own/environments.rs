//! The lives of environments: a list, one of them, and both as a file of the Trace Event Format.
//!
//! What happened and what it means is known to the worker; here are only paths, queries and JSON.
//! Errors are JSON, too: `{"code":"…","message":"…"}`.

use bytes::Bytes;
use dormouse_api::query::QueryString;
use dormouse_placement::{Filter, Life, trace};
use http::header::{CONTENT_DISPOSITION, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use serde::Serialize;

use super::typed;
use crate::context::Inner;

/// What is asked about environments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked<'a> {
    /// `environments`: all, without what happened in each unless `?events=true`.
    List,
    /// `environments/{id}`: one, with what happened in it.
    One(&'a str),
    /// `trace`: all as a trace.
    Trace,
    /// `environments/{id}/trace`: one as a trace.
    TraceOf(&'a str),
}

/// What a path asks, if it is about environments.
pub(super) fn asked(path: &str) -> Option<Asked<'_>> {
    match path.split('/').collect::<Vec<_>>()[..] {
        ["environments"] => Some(Asked::List),
        ["trace"] => Some(Asked::Trace),
        ["environments", id] => Some(Asked::One(id)),
        ["environments", id, "trace"] => Some(Asked::TraceOf(id)),
        _ => None,
    }
}

/// Answers it.
pub(super) async fn answer(inner: &Inner, asked: Asked<'_>, parts: &Parts) -> Response<Bytes> {
    let filter = match filter(asked, QueryString::of(&parts.uri)) {
        Ok(filter) => Filter { now: inner.clock.now(), ..filter },
        Err(Malformed(name)) => {
            let message = format!("{name} is true or false, or left out");
            return error(StatusCode::BAD_REQUEST, "InvalidParameter", &message);
        }
    };
    let mut lives = inner.placement.lives().look(filter).await;
    let id = match asked {
        Asked::List => return json(lives).await,
        Asked::Trace => return as_file("dormouse.trace.json", lives).await,
        Asked::One(id) | Asked::TraceOf(id) => id,
    };
    match (lives.pop(), asked) {
        (Some(life), Asked::TraceOf(_)) => {
            let short = life.birth.id.get(..8).unwrap_or_default();
            let name = format!("dormouse-{}-{short}.trace.json", life.birth.function_name);
            as_file(&name, vec![life]).await
        }
        (Some(life), _) => json(life).await,
        (None, _) => {
            let message =
                format!("No environment {id} is known; ended ones are kept for a while only");
            error(StatusCode::NOT_FOUND, "EnvironmentNotFound", &message)
        }
    }
}

/// A parameter that is neither true nor false.
#[derive(Debug, PartialEq, Eq)]
struct Malformed(&'static str);

fn filter(asked: Asked<'_>, query: QueryString<'_>) -> Result<Filter, Malformed> {
    let all = Filter::default();
    Ok(match asked {
        Asked::One(id) | Asked::TraceOf(id) => {
            Filter { id: Some(id.to_owned()), events: true, ..all }
        }
        Asked::List | Asked::Trace => Filter {
            function: query.get("function").map(Into::into),
            live: flag(query, "live")?,
            events: asked == Asked::Trace || flag(query, "events")? == Some(true),
            ..all
        },
    })
}

fn flag(query: QueryString<'_>, name: &'static str) -> Result<Option<bool>, Malformed> {
    match query.get(name).as_deref() {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(Malformed(name)),
    }
}

async fn as_file(name: &str, lives: Vec<Life>) -> Response<Bytes> {
    let mut response = written(move || to_vec(&trace(&lives))).await;
    let disposition = format!("attachment; filename=\"{name}\"");
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    response
}

async fn json(shape: impl Serialize + Send + 'static) -> Response<Bytes> {
    written(move || to_vec(&shape)).await
}

/// Lives with all their moments are megabytes of JSON: no invocation shall wait while they are
/// written.
async fn written(write: impl FnOnce() -> Vec<u8> + Send + 'static) -> Response<Bytes> {
    match tokio::task::spawn_blocking(write).await {
        Ok(body) => typed(StatusCode::OK, "application/json", body.into()),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "not written"),
    }
}

fn to_vec(shape: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(shape).expect("lives hold nothing that JSON cannot say")
}

fn error(status: StatusCode, code: &str, message: &str) -> Response<Bytes> {
    let body = serde_json::json!({ "code": code, "message": message });
    typed(status, "application/json", body.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_about_environments_are_four() {
        assert_eq!(asked("environments"), Some(Asked::List));
        assert_eq!(asked("environments/x"), Some(Asked::One("x")));
        assert_eq!(asked("environments/x/trace"), Some(Asked::TraceOf("x")));
        assert_eq!(asked("trace"), Some(Asked::Trace));
        for other in ["", "code/x", "environments/x/y", "environments/x/trace/y", "trace/x"] {
            assert_eq!(asked(other), None, "{other}");
        }
    }

    #[track_caller]
    fn check(asked: Asked<'_>, uri: &'static str, expected: Result<Filter, Malformed>) {
        assert_eq!(filter(asked, QueryString::of(&http::Uri::from_static(uri))), expected, "{uri}");
    }

    #[test]
    fn a_query_narrows_a_list() {
        let all = Filter::default;
        check(Asked::List, "/", Ok(all()));
        check(Asked::List, "/?live=true", Ok(Filter { live: Some(true), ..all() }));
        check(Asked::List, "/?events=true", Ok(Filter { events: true, ..all() }));
        let function = Some("hello".to_owned());
        let expected = Filter { function, live: Some(false), ..all() };
        check(Asked::List, "/?function=hello&live=false", Ok(expected));
        check(Asked::List, "/?live=1", Err(Malformed("live")));
        check(Asked::List, "/?events", Err(Malformed("events")));
        check(Asked::Trace, "/?live=true", Ok(Filter { live: Some(true), events: true, ..all() }));
        check(Asked::One("x"), "/", Ok(Filter { id: Some("x".into()), events: true, ..all() }));
    }
}
