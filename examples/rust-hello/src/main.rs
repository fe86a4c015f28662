//! Says hello, and which invoke of its environment this is: state outside the handler stays.

use std::sync::atomic::{AtomicU64, Ordering};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

static INVOKES: AtomicU64 = AtomicU64::new(0);

async fn handler(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let name = event.payload["name"].as_str().unwrap_or("world");
    let invokes = INVOKES.fetch_add(1, Ordering::Relaxed) + 1;
    Ok(json!({ "message": format!("hello, {name}, from Rust"), "invokes": invokes }))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(handler)).await
}
