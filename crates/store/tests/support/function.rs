//! A function to put into a store.

use std::collections::BTreeMap;

use dormouse_model::function::{
    Architecture, Code, Configuration, Function, LogFormat, Logging, Package, Program, State,
    Tracing,
};
use dormouse_model::names::{FunctionKey, Scope};
use dormouse_model::runtime::Runtime;

/// A pending function.
pub(crate) fn function(scope: &Scope, name: &str) -> Function {
    Function {
        key: FunctionKey { scope: scope.clone(), name: name.parse().unwrap() },
        unique_id: "u".into(),
        configuration: Configuration {
            program: Program::Zip {
                runtime: Runtime::Python { minor: 12 },
                handler: "app.handler".into(),
            },
            role: "arn:aws:iam::123456789012:role/r".into(),
            description: String::new(),
            timeout_s: 3,
            memory_mb: 128,
            ephemeral_mb: 512,
            variables: None,
            architecture: Architecture::X86_64,
            tracing: Tracing::PassThrough,
            logging: Logging { format: LogFormat::Text, group: None },
            layers: vec![],
            snap_start: false,
            dead_letters: None,
            per_tenant: false,
        },
        code: Code::Zip(Package { digest: "a".repeat(64).parse().unwrap(), size_bytes: 10 }),
        revision: "00000000-0000-4000-8000-000000000001".parse().unwrap(),
        last_modified_ms: 0,
        state: State::Pending,
        tags: BTreeMap::new(),
    }
}
