//! Lambda: from a routed call to its answer.

mod aliases;
mod ask;
mod behaviour;
mod capacity;
mod code_signing;
mod concurrency;
pub(crate) mod deployments;
mod donations;
mod durable;
mod event_invoke;
mod event_sources;
mod events;
mod functions;
pub(crate) mod image;
mod invoke;
mod layers;
pub(crate) mod other_s3;
mod package;
mod permissions;
mod provisioned;
mod records;
mod resource_policies;
mod served;
mod tags;
mod trace;
mod urls;
mod versions;

use dormouse_api::error::ApiError;
use dormouse_api::lambda::{Group, Operation};
use dormouse_model::limits;
use http::Response;

use crate::body::BodyError;
use crate::outgoing::Outgoing;

pub(crate) use ask::Ask;

/// How large the body of an operation may be.
pub(crate) fn body_limit(operation: Operation) -> usize {
    match operation {
        Operation::CreateFunction
        | Operation::UpdateFunctionCode
        | Operation::PublishLayerVersion => limits::CREATE_REQUEST_BYTES,
        Operation::Invoke | Operation::InvokeWithResponseStream => limits::INVOKE_REQUEST_BYTES,
        Operation::InvokeAsync => limits::INVOKE_ASYNC_BYTES,
        _ => limits::CONTROL_REQUEST_BYTES,
    }
}

/// What is said to a body that could not be read.
pub(crate) fn body_refusal(operation: Operation, error: &BodyError) -> ApiError {
    let invokes = matches!(operation, Operation::Invoke | Operation::InvokeWithResponseStream);
    match error {
        BodyError::TooLarge { limit_bytes } if invokes => ApiError::payload_too_large(*limit_bytes),
        BodyError::TooLarge { limit_bytes } => {
            ApiError::request_too_large(*limit_bytes, operation.name())
        }
        BodyError::Incomplete => ApiError::incomplete_body(),
    }
}

/// Answers a call.
pub(crate) async fn answer(ask: &Ask<'_>) -> Result<Response<Outgoing>, ApiError> {
    if ask.operation() == Operation::InvokeWithResponseStream {
        return invoke::with_response_stream(ask).await;
    }
    let answered = match ask.operation().group() {
        Group::Invocation => invoke::answer(ask).await,
        Group::Function => functions::answer(ask).await,
        Group::Version => versions::answer(ask).await,
        Group::Alias => aliases::answer(ask).await,
        Group::Layer => layers::answer(ask).await,
        Group::Permission => permissions::answer(ask).await,
        Group::ReservedConcurrency => concurrency::answer(ask).await,
        Group::EventInvoke => event_invoke::answer(ask).await,
        Group::EventSource => event_sources::answer(ask).await,
        Group::Url => urls::answer(ask).await,
        Group::Tag => tags::answer(ask).await,
        Group::Behaviour => behaviour::answer(ask).await,
        Group::CodeSigning => code_signing::answer(ask).await,
        Group::ProvisionedConcurrency => provisioned::answer(ask).await,
        Group::ResourcePolicy => resource_policies::answer(ask).await,
        Group::DurableExecution => durable::answer(ask).await,
        Group::CapacityProvider => capacity::answer(ask).await,
    };
    answered.map(|response| response.map(Outgoing::from))
}
