//! A function of `lambda_runtime`: the event says how it ends.

use lambda_runtime::streaming::{Body, Response, channel};
use lambda_runtime::{Diagnostic, Error, FunctionResponse, LambdaEvent, service_fn};
use serde_json::{Value, json};

type Answer = FunctionResponse<Value, Body>;

async fn handler(event: LambdaEvent<Value>) -> Result<Answer, Diagnostic> {
    let (event, context) = event.into_parts();
    println!("a line of {}", context.request_id);
    match event["end"].as_str() {
        Some("error") => Err(Diagnostic {
            error_type: "NoSuchThing".to_owned(),
            error_message: "there is no such thing".to_owned(),
        }),
        Some("panic") => panic!("out of luck"),
        Some("exit") => std::process::exit(7),
        Some("stream") => Ok(FunctionResponse::StreamingResponse(stream())),
        _ => Ok(FunctionResponse::BufferedResponse(json!({ "event": event, "context": context }))),
    }
}

/// Three pieces, each of which waits until the one before it was taken.
fn stream() -> Response<Body> {
    let (mut sender, body) = channel();
    tokio::spawn(async move {
        for piece in ["one ", "two ", "three"] {
            if sender.send_data(piece.into()).await.is_err() {
                return;
            }
        }
    });
    Response::from(body)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(handler)).await
}
