//! An external extension that prints the events it gets.

use lambda_extension::{Error, Extension, LambdaEvent, NextEvent, service_fn};

async fn events(event: LambdaEvent) -> Result<(), Error> {
    match event.next {
        NextEvent::Invoke(it) => {
            println!("events heard INVOKE {} {}", it.request_id, it.invoked_function_arn);
        }
        NextEvent::Shutdown(it) => {
            println!("events heard SHUTDOWN {}", it.shutdown_reason);
            std::process::exit(0);
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let extension = Extension::new().with_events_processor(service_fn(events)).register().await?;
    let (name, version) = (&extension.function_name, &extension.function_version);
    println!("events registered with {name} {version} {}", extension.handler);
    extension.run().await
}
