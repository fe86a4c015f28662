//! The environment variables of a function's process, as a pure function.
//!
//! Source: the table recorded from AWS (`spec/runtime-apis.md` §5). Precedence: what the user set
//! goes below what the platform reserves and above what it merely suggests.

use std::collections::BTreeMap;

use dormouse_model::function::{LogFormat, ResolvedVersion};
use dormouse_model::runtime::Runtime;
use dormouse_runtime_api::CREDENTIALS_PATH;
use dormouse_sandbox::{ENDPOINT_ADDRESS, RECORDS_DESCRIPTOR, RUNTIME_API_ADDRESS};

use crate::recipe::Told;

/// Where AWS's tracing libraries send segments: the environment's own loopback, as the Runtime API.
const XRAY_ADDRESS: &str = "127.0.0.1:2000";
const XRAY_HOST: &str = "127.0.0.1";
const XRAY_PORT: &str = "2000";

/// What the table needs beside the version.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    /// What the environment's processes are told of it.
    pub(crate) told: Told<'a>,
    /// What the runtime's language suggests: `PATH`, `LANG` and so on.
    pub(crate) language: &'a [(String, String)],
}

/// All variables, each once, sorted by name.
pub(crate) fn variables(
    version: &ResolvedVersion,
    around: &Surroundings<'_>,
) -> Vec<(String, String)> {
    let configuration = &version.deployment.configuration;
    let mut table: BTreeMap<String, String> = around.language.iter().cloned().collect();
    // A user's own choice wins over these.
    table.insert("AWS_ENDPOINT_URL".into(), format!("http://{ENDPOINT_ADDRESS}"));
    table.insert("AWS_XRAY_CONTEXT_MISSING".into(), "LOG_ERROR".into());
    table.insert("AWS_XRAY_DAEMON_ADDRESS".into(), XRAY_ADDRESS.into());
    table.extend(
        configuration
            .variables
            .iter()
            .flatten()
            // The platform's own names begin so; it drops a user's.
            .filter(|(name, _)| !name.starts_with('_'))
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    for (name, value) in reserved(version, around) {
        table.insert(name.to_owned(), value);
    }
    // An image's own entry point says what is run.
    if let Some(handler) = configuration.handler() {
        table.insert("_HANDLER".into(), handler.to_owned());
    }
    if let LogFormat::Json { application, .. } = &configuration.logging.format {
        table.entry("AWS_LAMBDA_LOG_FORMAT".into()).or_insert_with(|| "JSON".into());
        table.entry("AWS_LAMBDA_LOG_LEVEL".into()).or_insert_with(|| application.clone());
    }
    // Set for managed runtimes, and so is the descriptor itself.
    if let Some(name) = configuration.runtime().and_then(Runtime::execution_env) {
        table.insert("AWS_EXECUTION_ENV".into(), name);
        table.insert("_LAMBDA_TELEMETRY_LOG_FD".into(), RECORDS_DESCRIPTOR.to_string());
    }
    table.into_iter().collect()
}

/// What only the runtime gets: an extension has no handler and no language.
const RUNTIME_ONLY: [&str; 13] = [
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "NODE_PATH",
    "PYTHONPATH",
    "_AWS_XRAY_DAEMON_ADDRESS",
    "_AWS_XRAY_DAEMON_PORT",
    "_HANDLER",
    "_LAMBDA_TELEMETRY_LOG_FD",
];

/// All variables of an external extension's process.
pub(crate) fn extension_variables(
    version: &ResolvedVersion,
    around: &Surroundings<'_>,
) -> Vec<(String, String)> {
    let mut table = variables(version, around);
    table.retain(|(name, _)| !RUNTIME_ONLY.contains(&name.as_str()));
    table
}

/// By what a function that may be restored has its credentials. Every process restored from one
/// snapshot has this in its memory, so it is the version's and no environment's; it need not be secret,
/// since nobody outside the sandbox reaches the endpoint that asks for it.
pub(crate) fn credentials_token(version: &ResolvedVersion) -> String {
    format!("{}:{}", version.unique_id, version.version)
}

fn reserved(version: &ResolvedVersion, around: &Surroundings<'_>) -> Vec<(&'static str, String)> {
    let configuration = &version.deployment.configuration;
    let scope = &version.key.scope;
    let mut reserved = vec![
        ("AWS_LAMBDA_FUNCTION_NAME", version.key.name.to_string()),
        ("AWS_LAMBDA_FUNCTION_VERSION", version.version.to_string()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", configuration.memory_mb.to_string()),
        ("AWS_REGION", scope.region.to_string()),
        ("AWS_DEFAULT_REGION", scope.region.to_string()),
        ("AWS_LAMBDA_RUNTIME_API", RUNTIME_API_ADDRESS.to_owned()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", around.told.initialization.as_str().to_owned()),
        ("LAMBDA_TASK_ROOT", "/var/task".to_owned()),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime".to_owned()),
        ("_AWS_XRAY_DAEMON_ADDRESS", XRAY_HOST.to_owned()),
        ("_AWS_XRAY_DAEMON_PORT", XRAY_PORT.to_owned()),
        ("PWD", "/var/task".to_owned()),
        ("SHLVL", "0".to_owned()),
    ];
    if version.is_snap_start() {
        reserved.extend(of_many_environments(version));
    } else {
        reserved.extend(of_one_environment(version, around.told));
    }
    reserved
}

/// What a process may know of its own environment, for its whole life.
fn of_one_environment(version: &ResolvedVersion, told: Told<'_>) -> [(&'static str, String); 5] {
    [
        // An access key of twelve digits names the account to this server.
        ("AWS_ACCESS_KEY_ID", version.key.scope.account.to_string()),
        ("AWS_SECRET_ACCESS_KEY", told.secret.to_owned()),
        ("AWS_SESSION_TOKEN", told.secret.to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", version.log_group()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", told.log_stream.to_owned()),
    ]
}

/// In place of it, what remains true wherever the process is restored.
fn of_many_environments(version: &ResolvedVersion) -> [(&'static str, String); 2] {
    let uri = format!("http://{RUNTIME_API_ADDRESS}{CREDENTIALS_PATH}");
    [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", credentials_token(version)),
    ]
}

#[cfg(test)]
mod tests {
    use dormouse_model::environment::InitializationType;
    use dormouse_model::names::Version;

    use super::*;
    use crate::environment::tests::resolved;

    fn value<'a>(table: &'a [(String, String)], name: &str) -> Option<&'a str> {
        table.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    fn table(user: &[(&str, &str)]) -> Vec<(String, String)> {
        table_of(resolved(), user)
    }

    fn table_of(mut version: ResolvedVersion, user: &[(&str, &str)]) -> Vec<(String, String)> {
        version.deployment.configuration.variables =
            Some(user.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect());
        let language = [("PATH".to_owned(), "/var/lang/bin".to_owned())];
        let initialization = InitializationType::OnDemand;
        let told = Told { log_stream: "s", secret: "x", initialization };
        variables(&version, &Surroundings { told, language: &language })
    }

    #[test]
    fn the_user_overrides_suggestions_and_never_reserved_names() {
        let table = table(&[
            ("PATH", "/mine"),
            ("AWS_REGION", "mars"),
            ("AWS_ENDPOINT_URL", "http://else"),
            ("AWS_XRAY_CONTEXT_MISSING", "IGNORE_ERROR"),
            ("_HIDDEN", "1"),
            ("MY", "v"),
        ]);
        assert_eq!(value(&table, "PATH"), Some("/mine"));
        assert_eq!(value(&table, "AWS_REGION"), Some("us-east-1"));
        assert_eq!(value(&table, "AWS_ENDPOINT_URL"), Some("http://else"));
        assert_eq!(value(&table, "AWS_XRAY_CONTEXT_MISSING"), Some("IGNORE_ERROR"));
        assert_eq!(value(&table, "_HIDDEN"), None);
        assert_eq!(value(&table, "MY"), Some("v"));
    }

    #[test]
    fn what_may_be_restored_elsewhere_knows_nothing_of_its_environment() {
        let mut version = resolved();
        version.deployment.configuration.snap_start = true;
        let unpublished = table_of(version.clone(), &[]);
        assert_eq!(value(&unpublished, "AWS_SECRET_ACCESS_KEY"), Some("x"));
        assert_eq!(value(&unpublished, "AWS_CONTAINER_CREDENTIALS_FULL_URI"), None);

        version.version = Version::Number(7);
        let published = table_of(version, &[("AWS_CONTAINER_AUTHORIZATION_TOKEN", "mine")]);
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_LAMBDA_LOG_GROUP_NAME",
            "AWS_LAMBDA_LOG_STREAM_NAME",
        ] {
            assert_eq!(value(&published, name), None, "{name}");
        }
        let uri = "http://127.0.0.1:9001/2021-04-23/credentials";
        assert_eq!(value(&published, "AWS_CONTAINER_CREDENTIALS_FULL_URI"), Some(uri));
        assert_eq!(value(&published, "AWS_CONTAINER_AUTHORIZATION_TOKEN"), Some("u:7"));
    }

    #[test]
    fn each_name_appears_once() {
        let table = table(&[("LANG", "C")]);
        let mut names: Vec<_> = table.iter().map(|(n, _)| n).collect();
        names.dedup();
        assert_eq!(names.len(), table.len());
    }
}
