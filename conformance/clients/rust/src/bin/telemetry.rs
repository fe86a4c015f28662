//! An external extension that prints what the Telemetry API delivers to it.
//!
//! It does not subscribe to the lines of extensions: these are its own, without end.

use lambda_extension::{
    Error, Extension, LambdaTelemetry, LogBuffering, SharedService, service_fn,
};

async fn telemetry(batch: Vec<LambdaTelemetry>) -> Result<(), Error> {
    for event in batch {
        println!("telemetry heard {}", serde_json::to_string(&event)?);
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    Extension::new()
        .with_events(&["INVOKE"])
        .with_telemetry_types(&["platform", "function"])
        .with_telemetry_buffering(LogBuffering { timeout_ms: 25, ..LogBuffering::default() })
        .with_telemetry_processor(SharedService::new(service_fn(telemetry)))
        .run()
        .await
}
