//! A function of `lambda_http`: tells of the HTTP request that it was asked with.

use lambda_http::http::StatusCode;
use lambda_http::{Body, Error, Request, RequestExt, Response, run, service_fn};
use serde_json::json;

async fn handler(request: Request) -> Result<Response<Body>, Error> {
    let query = request.query_string_parameters();
    let told = json!({
        "method": request.method().as_str(),
        "path": request.raw_http_path(),
        "name": query.first("name"),
        "agent": request.headers().get("user-agent").and_then(|agent| agent.to_str().ok()),
        "body": std::str::from_utf8(request.body())?,
        "request": request.lambda_context().request_id,
    });
    let answer = Response::builder()
        .status(StatusCode::CREATED)
        .header("content-type", "application/json")
        .header("x-dormouse", "asleep");
    Ok(answer.body(told.to_string().into())?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(handler)).await
}
