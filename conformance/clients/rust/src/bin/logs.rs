//! An external extension that prints what the Logs API delivers to it.
//!
//! It does not subscribe to the lines of extensions: these are its own, without end.

use lambda_extension::{Error, Extension, LambdaLog, LogBuffering, SharedService, service_fn};

async fn logs(batch: Vec<LambdaLog>) -> Result<(), Error> {
    for log in batch {
        println!("logs heard {:?}", log.record);
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    Extension::new()
        .with_events(&["INVOKE"])
        .with_log_types(&["platform", "function"])
        .with_log_buffering(LogBuffering { timeout_ms: 25, ..LogBuffering::default() })
        .with_logs_processor(SharedService::new(service_fn(logs)))
        .run()
        .await
}
