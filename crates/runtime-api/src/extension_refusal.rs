//! Why a request of an extension is refused, and the exact status and body each reason has on the
//! wire. The only place that knows either.

use bytes::Bytes;
use dormouse_model::telemetry::SubscriptionApi;
use http::StatusCode;

use crate::exchange::Gone;
use crate::identifier::Identifier;
use crate::limits;
use crate::receive::Broken;
use crate::refusal::error_body;

/// A request that the Extensions, Telemetry or Logs API does not accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionRefusal {
    /// There are no extensions here: the routes do not exist.
    #[error("extensions are off")]
    Off,
    /// `Lambda-Extension-Name` is empty or absent.
    #[error("empty extension name")]
    EmptyName,
    /// `Lambda-Extension-Name` cannot stand in a line of log.
    #[error("invalid extension name")]
    InvalidName,
    /// The body of a registration is none.
    #[error("invalid registration: {message}")]
    InvalidRequestFormat {
        /// What is wrong with it.
        message: String,
    },
    /// No event of that name exists.
    #[error("unknown event type")]
    InvalidEventType {
        /// As in the request; long ones are cut.
        event: String,
    },
    /// An internal extension wants to hear of the shutdown.
    #[error("an internal extension has no shutdown event")]
    InternalShutdown,
    /// Not in this state. The names are those of [`crate::ExtensionState::name`].
    #[error("no transition from {from} to {to}")]
    InvalidState {
        /// The state the extension is in.
        from: &'static str,
        /// The state the request would lead to.
        to: &'static str,
        /// Its name while it registers, then its identifier.
        extension: String,
    },
    /// Another extension has this name.
    #[error("extension name is taken")]
    NameTaken,
    /// Init is over, or all that may register have.
    #[error("registration is closed")]
    RegistrationClosed,
    /// There are [`limits::EXTENSIONS`] already.
    #[error("too many extensions")]
    TooManyExtensions,
    /// There is no `Lambda-Extension-Identifier`.
    #[error("no extension identifier")]
    MissingIdentifier,
    /// `Lambda-Extension-Identifier` is no UUID.
    #[error("extension identifier is no UUID")]
    InvalidIdentifier,
    /// Nobody has this identifier; asked for an event or a subscription.
    #[error("unknown extension {0}")]
    UnknownExtension(Identifier),
    /// Nobody has this identifier; an error is reported.
    #[error("an unknown extension reports an error")]
    UnknownIdentifier,
    /// There is no `Lambda-Extension-Function-Error-Type`.
    #[error("no error type")]
    MissingErrorType,
    /// A subscription that cannot be.
    #[error("invalid subscription: {message}")]
    Validation {
        /// Of which API.
        api: SubscriptionApi,
        /// All that is wrong with it.
        message: String,
    },
    /// Subscriptions are not to be had here. Not an error on the wire: 202.
    #[error("subscriptions are not supported")]
    NotSupported(SubscriptionApi),
    /// Init is over.
    #[error("subscriptions are closed")]
    SubscriptionClosed(SubscriptionApi),
    /// The body is larger than [`limits::EXTENSION_BODY_BYTES`].
    #[error("body is too large")]
    RequestEntityTooLarge,
    /// The body ended before its announced end, or came too slowly.
    #[error("body was truncated")]
    TruncatedHttpRequest,
    /// The environment is gone or about to be: nobody answers any more.
    #[error("the environment's owner is gone")]
    InternalServerError,
}

impl From<Gone> for ExtensionRefusal {
    fn from(_: Gone) -> Self {
        Self::InternalServerError
    }
}

impl From<Broken> for ExtensionRefusal {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::TooLarge { .. } => Self::RequestEntityTooLarge,
            Broken::Truncated => Self::TruncatedHttpRequest,
        }
    }
}

impl ExtensionRefusal {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Off => StatusCode::NOT_FOUND,
            Self::Validation { .. } | Self::TruncatedHttpRequest => StatusCode::BAD_REQUEST,
            Self::NotSupported(_) => StatusCode::ACCEPTED,
            Self::RequestEntityTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InternalServerError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::EmptyName
            | Self::InvalidName
            | Self::InvalidRequestFormat { .. }
            | Self::InvalidEventType { .. }
            | Self::InternalShutdown
            | Self::InvalidState { .. }
            | Self::NameTaken
            | Self::RegistrationClosed
            | Self::TooManyExtensions
            | Self::MissingIdentifier
            | Self::InvalidIdentifier
            | Self::UnknownExtension(_)
            | Self::UnknownIdentifier
            | Self::MissingErrorType
            | Self::SubscriptionClosed(_) => StatusCode::FORBIDDEN,
        }
    }

    /// The `errorType` of the body.
    #[must_use]
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Off => "NotFound",
            Self::EmptyName | Self::InvalidName => "Extension.InvalidExtensionName",
            Self::InvalidRequestFormat { .. } => "InvalidRequestFormat",
            Self::InvalidEventType { .. } | Self::InternalShutdown => "Extension.InvalidEventType",
            Self::InvalidState { .. } | Self::NameTaken => "Extension.InvalidExtensionState",
            Self::RegistrationClosed => "Extension.RegistrationClosed",
            Self::TooManyExtensions => "Extension.TooManyExtensions",
            Self::MissingIdentifier => "Extension.MissingExtensionIdentifier",
            Self::InvalidIdentifier => "Extension.InvalidExtensionIdentifier",
            Self::UnknownExtension(_) | Self::UnknownIdentifier => {
                "Extension.UnknownExtensionIdentifier"
            }
            Self::MissingErrorType => "Extension.MissingHeader",
            Self::Validation { api: SubscriptionApi::Telemetry, .. } => "ValidationError",
            Self::Validation { api: SubscriptionApi::Logs, .. } => "Logs.ValidationError",
            Self::NotSupported(SubscriptionApi::Telemetry) => "Telemetry.NotSupported",
            Self::NotSupported(SubscriptionApi::Logs) => "Logs.NotSupported",
            Self::SubscriptionClosed(SubscriptionApi::Telemetry) => "Telemetry.SubscriptionClosed",
            Self::SubscriptionClosed(SubscriptionApi::Logs) => "Logs.SubscriptionClosed",
            Self::RequestEntityTooLarge => "RequestEntityTooLarge",
            Self::TruncatedHttpRequest => "TruncatedHTTPRequest",
            Self::InternalServerError => "InternalServerError",
        }
    }

    /// The `errorMessage` of the body.
    #[must_use]
    pub fn message(&self) -> String {
        let fixed = match self {
            Self::InvalidRequestFormat { message } | Self::Validation { message, .. } => {
                message.as_str()
            }
            Self::InvalidEventType { event } => return format!("{event}: ErrorInvalidEventType"),
            Self::InvalidState { from, to, extension } => {
                return format!(
                    "State transition from {from} to {to} failed for extension {extension}. \
                     Error: State transition is not allowed"
                );
            }
            Self::TooManyExtensions => {
                return format!("Extension limit ({}) reached", limits::EXTENSIONS);
            }
            Self::UnknownExtension(identifier) => return format!("Unknown extension {identifier}"),
            Self::NotSupported(api) => return format!("{} API is not supported", api.name()),
            Self::SubscriptionClosed(api) => {
                return format!("{} API subscription is closed", api.name());
            }
            Self::RequestEntityTooLarge => {
                let bytes = limits::EXTENSION_BODY_BYTES;
                return format!("Exceeded maximum allowed payload size ({bytes} bytes).");
            }
            Self::Off => "Not found",
            Self::EmptyName => "Empty extension name",
            Self::InvalidName => "Invalid extension name",
            Self::InternalShutdown => "SHUTDOWN: ShutdownEventNotSupportedForInternalExtension",
            Self::NameTaken => "Extension with this name already registered",
            Self::RegistrationClosed => "Extension registration closed already",
            Self::MissingIdentifier => "Missing Lambda-Extension-Identifier header",
            Self::InvalidIdentifier => "Invalid Lambda-Extension-Identifier",
            Self::UnknownIdentifier => "Unknown Lambda-Extension-Identifier",
            Self::MissingErrorType => "Lambda-Extension-Function-Error-Type not found",
            Self::TruncatedHttpRequest => "HTTP request detected as truncated",
            Self::InternalServerError => "Internal Server Error",
        };
        fixed.to_owned()
    }

    /// The whole body: JSON and a line feed.
    pub(crate) fn body(&self) -> Bytes {
        error_body(&self.message(), self.error_type())
    }
}
