//! Environments on the fake backend.

use dormouse_model::function::{
    Architecture, Code, Configuration, Deployment, LogFormat, Logging, Package, Program,
    ResolvedVersion, Tracing,
};
use dormouse_model::names::{FunctionKey, Scope, Version};
use dormouse_model::runtime::Runtime;

/// A version for tests.
pub(crate) fn resolved() -> ResolvedVersion {
    ResolvedVersion {
        key: FunctionKey {
            scope: Scope {
                account: "123456789012".parse().unwrap(),
                region: "us-east-1".parse().unwrap(),
            },
            name: "hello".parse().unwrap(),
        },
        unique_id: "u".into(),
        version: Version::Latest,
        deployment: Deployment {
            configuration: Configuration {
                program: Program::Zip {
                    runtime: Runtime::ProvidedAl2023,
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
            code: Code::Zip(Package { digest: "a".repeat(64).parse().unwrap(), size_bytes: 1 }),
            generation: 1,
        },
    }
}
