//! A call of Lambda with all that answers it.

use bytes::Bytes;
use dormouse_api::error::ApiError;
use dormouse_api::lambda::{Call, NameShape, Operation, Target};
use dormouse_api::query::QueryString;
use dormouse_api::service::Dialect;
use dormouse_model::names::{RequestId, Scope};
use http::Response;
use http::header::HOST;
use http::request::Parts;

use crate::context::Inner;

pub(super) type Answer = Result<Response<Bytes>, ApiError>;
/// What the path says, which may be wrong: the body's faults are told beside it.
pub(super) type Asked = Result<Target, ApiError>;

/// One call; its group's `answer` takes it apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) inner: &'a Inner,
    pub(crate) scope: &'a Scope,
    pub(crate) call: &'a Call,
    pub(crate) parts: &'a Parts,
    pub(crate) body: &'a Bytes,
    pub(crate) request: &'a RequestId,
}

impl<'a> Ask<'a> {
    /// A label of the path.
    pub(super) fn label(&self, name: &str) -> &'a str {
        self.call.label(name)
    }

    /// The function it is about, for whom reads.
    pub(super) fn existing(&self) -> Asked {
        self.target(NameShape::Existing)
    }

    /// The function it is about, for whom writes.
    pub(super) fn writing(&self) -> Asked {
        self.target(NameShape::Writing)
    }

    fn target(&self, shape: NameShape) -> Asked {
        let qualifier = QueryString::of(&self.parts.uri).get("Qualifier");
        Target::resolve(self.scope, self.label("FunctionName"), qualifier.as_deref(), shape)
    }

    /// The address under which the caller knows us.
    pub(super) fn host(&self) -> &'a str {
        self.parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost")
    }

    /// What is said to an operation that its group does not answer.
    pub(super) fn not_here(&self) -> ApiError {
        ApiError::not_implemented(Dialect::LAMBDA, self.operation().name())
    }

    pub(super) fn operation(&self) -> Operation {
        self.call.operation
    }
}
