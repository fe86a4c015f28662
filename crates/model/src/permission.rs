//! Who may use a function besides its account: the statements of its resource policy.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::policy::{Policy, Statement};

/// The policy of a function, or of one of its versions or aliases.
pub type FunctionPolicy = Policy<FunctionStatement>;

/// One statement of a function's policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FunctionStatement {
    /// Made of the members of `AddPermission`.
    Granted(Grant),
    /// Of a document that was given as a whole, as it was written.
    Written {
        /// Its name; empty when it has none.
        id: String,
        /// What it says.
        statement: Value,
    },
}

/// One permission to use a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its name.
    pub id: String,
    /// To whom.
    pub principal: FunctionPrincipal,
    /// What may be done.
    pub action: String,
    /// Only on these conditions.
    pub conditions: Conditions,
}

/// To whom a function is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FunctionPrincipal {
    /// Everybody.
    Anyone,
    /// An account, a user or a role, by its ARN.
    Aws(String),
    /// A service, such as `s3.amazonaws.com`.
    Service(String),
}

/// What must hold beside the principal; what is absent is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// The ARN of what calls, which may have wildcards.
    pub source_arn: Option<String>,
    /// The account of what calls.
    pub source_account: Option<String>,
    /// The organization of who calls.
    pub organization: Option<String>,
    /// How the function's URL knows its callers.
    pub url_auth: Option<String>,
    /// Whether the call comes through the function's URL.
    pub via_url: Option<bool>,
    /// The token that an Alexa skill sends.
    pub event_source_token: Option<String>,
}

impl Statement for FunctionStatement {
    fn id(&self) -> &str {
        match self {
            Self::Granted(grant) => &grant.id,
            Self::Written { id, .. } => id,
        }
    }
}
