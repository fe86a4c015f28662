//! SQS: queues and their messages, on the durable queues of the store.
//!
//! Queues of other accounts and regions are not seen. A receive that waits holds nothing but its own
//! future: it ends with its client, with its time, or when the server stops.

mod messages;
mod queues;
mod settings;

use bytes::Bytes;
use dormouse_api::error::ApiError;
use dormouse_api::form::Form;
use dormouse_api::service::Dialect;
use dormouse_api::sqs::{QueueName, Request, answer as answered, no_such_queue};
use dormouse_model::names::{RequestId, Scope};
use dormouse_store::queue::QueueKey;
use dormouse_store::{ChangeError, StorageError};
use http::Response;
use http::header::HOST;
use http::request::Parts;
use serde_json::Value;
use tracing::error;

use crate::context::Inner;

/// An operation's result; some have none.
type Result<T> = std::result::Result<T, ApiError>;

/// Answers an operation.
pub(crate) async fn answer(
    inner: &Inner,
    scope: &Scope,
    (dialect, operation): (Dialect, &str),
    (parts, body, form): (&Parts, &[u8], Option<&Form>),
    id: &RequestId,
) -> Result<Response<Bytes>> {
    let request = match form {
        Some(form) => Request::of_form(operation, form, parts.uri.path())?,
        None => Request::of_json(operation, body)?,
    };
    let request = request.ok_or_else(|| ApiError::not_implemented(dialect, operation))?;
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let service = Service { inner, scope, dialect, host: host.unwrap_or("localhost") };
    let result = service.request(request).await?;
    Ok(answered((dialect, operation), result, id))
}

struct Service<'a> {
    inner: &'a Inner,
    scope: &'a Scope,
    dialect: Dialect,
    host: &'a str,
}

impl Service<'_> {
    async fn request(&self, request: Request) -> Result<Option<Value>> {
        match request {
            Request::CreateQueue { .. }
            | Request::DeleteQueue { .. }
            | Request::GetQueueUrl { .. }
            | Request::GetQueueAttributes { .. }
            | Request::SetQueueAttributes { .. }
            | Request::ListQueues { .. }
            | Request::ListDeadLetterSourceQueues { .. }
            | Request::PurgeQueue { .. }
            | Request::TagQueue { .. }
            | Request::UntagQueue { .. }
            | Request::ListQueueTags { .. }
            | Request::AddPermission { .. }
            | Request::RemovePermission { .. } => self.of_queues(request).await,
            Request::SendMessage { .. }
            | Request::SendMessageBatch { .. }
            | Request::ReceiveMessage { .. }
            | Request::DeleteMessage { .. }
            | Request::DeleteMessageBatch { .. }
            | Request::ChangeMessageVisibility { .. }
            | Request::ChangeMessageVisibilityBatch { .. } => self.of_messages(request).await,
        }
    }

    /// The address by which the client reached us is the one it can reach us by again.
    fn url(&self, name: &str) -> String {
        format!("http://{}/{}/{name}", self.host, self.scope.account)
    }

    /// A queue of another account is no queue of the caller's.
    fn key(&self, queue: QueueName) -> Result<QueueKey> {
        if queue.account != self.scope.account {
            return Err(no_such_queue());
        }
        Ok(QueueKey { scope: self.scope.clone(), name: queue.name })
    }

    fn now_ms(&self) -> u64 {
        self.inner.clock.wall_ms()
    }

    fn change(&self, error: &ChangeError) -> ApiError {
        match error {
            ChangeError::Missing => no_such_queue(),
            ChangeError::Storage(fault) => self.storage(fault),
        }
    }

    fn storage(&self, fault: &StorageError) -> ApiError {
        error!(error = %fault, "store");
        ApiError::internal(self.dialect)
    }
}
