//! Lambda's API: operations, the shapes of those we answer, and their two layers of validation.

pub mod account;
pub mod alias;
pub mod behaviour;
pub mod capacity;
pub mod code;
pub mod code_signing;
pub mod concurrency;
pub mod configuration;
pub mod create;
pub mod durable;
pub mod event_invoke;
pub mod event_source;
pub mod invoke;
pub mod layer;
pub mod list;
pub mod name;
pub mod operation;
pub mod page;
pub(crate) mod pattern;
pub mod permission;
mod policy;
pub mod provisioned;
pub mod resource_policy;
pub mod settings;
mod shape;
pub mod stream;
pub mod tag;
pub mod update;
pub mod url;
pub mod version;

pub use crate::validate::together;
pub use account::GetAccountSettingsResponse;
pub use code::CodeSource;
pub use configuration::{FunctionConfiguration, GetFunctionResponse, Shown};
pub use create::{CreateFunctionRequest, NewFunction};
pub use invoke::{
    InvocationType, InvokeAnswer, InvokeMode, InvokeRequest, check_event_size, check_payload,
    check_tenant, event,
};
pub use list::{ListFunctionsRequest, ListFunctionsResponse};
pub use name::{NameShape, Target};
pub use operation::{Call, Group, NoCall, Operation, call, is_lambda_path};
pub use update::{
    CodeChange, ConfigurationChange, UpdateFunctionCodeRequest, UpdateFunctionConfigurationRequest,
};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{ApiError, Exception};

/// Reads a JSON body. An empty one stands for an object without members, as at AWS.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    crate::json::object(body).map_err(|reason| {
        let text = format!("Could not parse request body into json: {reason}");
        ApiError::new(Exception::Serialization, text)
    })
}

/// 400 for a key of KMS that is not there: none is.
pub(crate) fn no_key(arn: &str) -> ApiError {
    ApiError::invalid_parameter(format!(
        "Error occurred while DescribeKey. KMS Error Code: NotFoundException. KMS Error Message: \
         Key '{arn}' does not exist"
    ))
}

/// An answer with a JSON body.
///
/// # Panics
/// Never for the shapes of this crate: they hold nothing that JSON cannot say.
#[must_use]
pub fn json_answer(status: u16, shape: &impl Serialize) -> Response<Bytes> {
    let body = serde_json::to_vec(shape).expect("shapes hold nothing that JSON cannot say");
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() =
        StatusCode::from_u16(status).expect("the table of operations holds valid statuses");
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
