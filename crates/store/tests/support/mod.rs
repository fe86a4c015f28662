//! What the tests of the store share: a store in a directory of its own, and functions to put in.

use std::collections::BTreeMap;

use dormouse_model::function::{
    Architecture, Code, Configuration, Function, LogFormat, Logging, State, Tracing,
};
use dormouse_model::names::{FunctionKey, Scope};
use dormouse_model::runtime::Runtime;
use dormouse_store::Store;
use tempfile::TempDir;

/// A store in a new directory.
pub(crate) fn store() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    (directory, store)
}

/// `account` is the last digit of one.
pub(crate) fn scope(account: u8, region: &str) -> Scope {
    Scope {
        account: format!("12345678901{account}").parse().unwrap(),
        region: region.parse().unwrap(),
    }
}

/// The usual scope.
pub(crate) fn home() -> Scope {
    scope(2, "us-east-1")
}

/// A pending function.
pub(crate) fn function(scope: &Scope, name: &str) -> Function {
    Function {
        key: FunctionKey {
            scope: scope.clone(),
            name: name.parse().unwrap(),
        },
        unique_id: "u".into(),
        configuration: Configuration {
            runtime: Runtime::Python { minor: 12 },
            handler: "app.handler".into(),
            role: "arn:aws:iam::123456789012:role/r".into(),
            description: String::new(),
            timeout_s: 3,
            memory_mb: 128,
            ephemeral_mb: 512,
            variables: None,
            architecture: Architecture::X86_64,
            tracing: Tracing::PassThrough,
            logging: Logging {
                format: LogFormat::Text,
                group: None,
            },
            layers: vec![],
            snap_start: false,
        },
        code: Code {
            digest: "a".repeat(64).parse().unwrap(),
            size_bytes: 10,
        },
        revision: "00000000-0000-4000-8000-000000000001".parse().unwrap(),
        last_modified_ms: 0,
        state: State::Pending,
        tags: BTreeMap::new(),
    }
}
