//! Any method, path, query and headers: whatever they are, finding the operation and reading the names
//! in it must not panic, and what a path was read as must be what the same thing written anew is.
//!
//! The first line is a method and a target, each further line a header.
//!
//! `cargo +nightly fuzz run lambda_route -- -max_len=2048`

#![no_main]

use dormouse_api::lambda::list::ListFunctionsRequest;
use dormouse_api::lambda::{Call, InvokeMode, InvokeRequest, NameShape, Target, call, layer};
use dormouse_api::query::QueryString;
use dormouse_api::route::{Asked, Route, route};
use dormouse_model::names::Scope;
use http::Request;
use http::request::Parts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some(parts) = parts(input) else {
        return;
    };
    let scope = Scope {
        account: "123456789012".parse().expect("an account"),
        region: "us-east-1".parse().expect("a region"),
    };
    if let Ok(Route::Service { asked: Asked::Lambda(called), .. }) = route(&parts) {
        written_anew(&called, &parts);
        names(&scope, &called, &parts);
    }
});

/// A request of a line with method and target and lines with headers.
fn parts(input: &[u8]) -> Option<Parts> {
    let mut lines = input.split(|b| *b == b'\n');
    let mut first = lines.next()?.splitn(2, |b| *b == b' ');
    let mut builder = Request::builder().method(first.next()?).uri(first.next()?);
    for line in lines {
        let colon = line.iter().position(|b| *b == b':')?;
        builder = builder.header(&line[..colon], &line[colon + 1..]);
    }
    Some(builder.body(()).ok()?.into_parts().0)
}

/// The labels in their template, with every byte escaped, are the same call.
fn written_anew(called: &Call, parts: &Parts) {
    let mut path = called.operation.template().to_owned();
    for (name, value) in &called.labels {
        // An empty label has no path of its own.
        if value.is_empty() {
            return;
        }
        let escaped: String = value.bytes().map(|b| format!("%{b:02X}")).collect();
        path = path.replace(&format!("{{{name}}}"), &escaped);
    }
    let again = call(&parts.method, &path, QueryString::of(&parts.uri));
    assert_eq!(again.as_ref(), Ok(called));
}

/// Whatever is named, its ARN names it too.
fn names(scope: &Scope, called: &Call, parts: &Parts) {
    let query = QueryString::of(&parts.uri);
    let qualifier = query.get("Qualifier");
    let name = called.label("FunctionName");
    for shape in [NameShape::Writing, NameShape::Existing] {
        if let Ok(target) = Target::resolve(scope, name, qualifier.as_deref(), shape) {
            let again = Target::resolve(scope, &target.arn(), None, NameShape::Existing);
            assert_eq!(again, Ok(target));
        }
    }
    if let Ok(version) =
        layer::version(scope, called.label("LayerName"), called.label("VersionNumber"))
    {
        let number = version.number.to_string();
        assert_eq!(layer::version(scope, &version.layer.arn(), &number), Ok(version));
    }
    for mode in [InvokeMode::Buffered, InvokeMode::ResponseStream] {
        let _ = InvokeRequest::read(scope, name, parts, mode);
    }
    let _ = layer::version_by_arn(scope, &parts.uri);
    let _ = layer::permission::statement_id(called.label("StatementId"));
    let _ = layer::permission::expected(&parts.uri);
    let _ = layer::list::ListLayersRequest::read(&parts.uri);
    let _ = layer::list::ListLayerVersionsRequest::read(&parts.uri);
    let _ = ListFunctionsRequest::read(&parts.uri);
}
