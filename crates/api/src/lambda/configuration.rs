//! `FunctionConfiguration` and `GetFunction`'s answer: a function's record as AWS shows it.
//!
//! Which members are always there, absent or empty is what Terraform's second plan depends on.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dormouse_model::function::{
    Code, Function, LogFormat, Logging, Program, State, Tracing, Update,
};
use dormouse_model::image::ImageConfig;
use dormouse_model::layer::AttachedLayer;
use dormouse_model::names::{Digest, Qualifier, Version};
use serde::Serialize;

use super::concurrency::FunctionConcurrency;
use crate::time;

const CREATING: &str = "The function is being created.";

/// How a function is to be shown.
#[derive(Debug, Clone, Default)]
pub struct Shown<'a> {
    /// The qualifier the caller gave: the ARN shows it, or nothing.
    pub qualifier: Option<&'a Qualifier>,
    /// The number of the published version; `$LATEST` when absent.
    pub version: Option<u64>,
}

/// `FunctionConfiguration`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct FunctionConfiguration {
    function_name: String,
    function_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<String>,
    role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    handler: Option<String>,
    code_size: u64,
    description: String,
    timeout: u32,
    memory_size: u32,
    last_modified: String,
    code_sha256: String,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter_config: Option<DeadLetterConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<Environment>,
    tracing_config: TracingConfig,
    revision_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layers: Vec<Layer>,
    #[serde(flatten)]
    state: ShownState,
    package_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_config_response: Option<ImageConfigResponse>,
    architectures: [&'static str; 1],
    ephemeral_storage: EphemeralStorage,
    snap_start: SnapStart,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime_version_config: Option<RuntimeVersionConfig>,
    logging_config: LoggingConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenancy_config: Option<TenancyConfig>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TenancyConfig {
    tenant_isolation_mode: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DeadLetterConfig {
    target_arn: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Environment {
    variables: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TracingConfig {
    mode: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Layer {
    arn: String,
    code_size: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct EphemeralStorage {
    size: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SnapStart {
    apply_on: &'static str,
    optimization_status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RuntimeVersionConfig {
    runtime_version_arn: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ImageConfigResponse {
    image_config: ShownImageConfig,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShownImageConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_point: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_directory: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LoggingConfig {
    log_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    application_log_level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_log_level: Option<String>,
    log_group: String,
}

/// The members that lists leave out.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShownState {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_reason_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_update_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_update_status_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_update_status_reason_code: Option<String>,
}

impl FunctionConfiguration {
    /// A function as every operation but the lists shows it.
    #[must_use]
    pub fn of(function: &Function, shown: &Shown<'_>) -> Self {
        let configuration = &function.configuration;
        let function_arn = match shown.qualifier {
            Some(qualifier) => function.key.qualified_arn(qualifier),
            None => function.key.arn(),
        };
        let runtime_version_config = configuration.runtime().map(|runtime| RuntimeVersionConfig {
            runtime_version_arn: runtime.version_arn(&function.key.scope.region),
        });
        let dead_letters = configuration.dead_letters.clone();
        Self {
            function_name: function.key.name.to_string(),
            function_arn,
            runtime: configuration.runtime().map(|runtime| runtime.to_string()),
            role: configuration.role.clone(),
            handler: configuration.handler().map(str::to_owned),
            code_size: function.code.size_bytes(),
            description: configuration.description.clone(),
            timeout: configuration.timeout_s,
            memory_size: configuration.memory_mb,
            last_modified: time::lambda(function.last_modified_ms),
            code_sha256: shown_digest(&function.code),
            version: shown.version.map_or(Version::Latest, Version::Number).to_string(),
            dead_letter_config: dead_letters.map(|target_arn| DeadLetterConfig { target_arn }),
            environment: configuration.variables.clone().map(|variables| Environment { variables }),
            tracing_config: TracingConfig { mode: tracing(configuration.tracing) },
            revision_id: function.revision.to_string(),
            layers: layers(&configuration.layers),
            state: state(&function.state),
            package_type: package_type(&configuration.program),
            image_config_response: image_config(&configuration.program),
            architectures: [configuration.architecture.as_str()],
            ephemeral_storage: EphemeralStorage { size: configuration.ephemeral_mb },
            snap_start: snap_start(function, shown),
            runtime_version_config,
            logging_config: logging(&configuration.logging, function),
            tenancy_config: configuration
                .per_tenant
                .then_some(TenancyConfig { tenant_isolation_mode: "PER_TENANT" }),
        }
    }

    /// A function as `ListFunctions` shows it: without state and runtime version.
    #[must_use]
    pub fn listed(function: &Function, shown: &Shown<'_>) -> Self {
        Self {
            state: ShownState::default(),
            runtime_version_config: None,
            ..Self::of(function, shown)
        }
    }
}

/// `GetFunction`'s answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetFunctionResponse {
    configuration: FunctionConfiguration,
    code: FunctionCodeLocation,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<FunctionConcurrency>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct FunctionCodeLocation {
    repository_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_image_uri: Option<String>,
}

impl GetFunctionResponse {
    /// A function and where its code is; `link` makes a link to a package.
    #[must_use]
    pub fn of(
        function: &Function,
        shown: &Shown<'_>,
        link: impl FnOnce(&Digest) -> String,
    ) -> Self {
        Self {
            configuration: FunctionConfiguration::of(function, shown),
            code: code_location(&function.code, link),
            tags: function.tags.clone(),
            concurrency: None,
        }
    }

    /// With what the function has reserved.
    #[must_use]
    pub fn with_concurrency(mut self, reserved: Option<u32>) -> Self {
        self.concurrency = reserved.map(|places| FunctionConcurrency::of(Some(places)));
        self
    }
}

/// A package's digest as AWS shows it: base64 of the bytes, not of their hex.
#[must_use]
pub fn code_sha256(digest: &Digest) -> String {
    let nibble = |b: u8| {
        if b.is_ascii_digit() { b - b'0' } else { b - b'a' + 10 }
    };
    let pairs = digest.as_str().as_bytes().chunks_exact(2);
    let bytes: Vec<u8> = pairs.map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect();
    STANDARD.encode(bytes)
}

/// What stands for the digest of a directory, which has none: the text that tools know which look
/// for functions whose code cannot be downloaded.
const NO_DIGEST: &str = "hot-reloading-hash-not-available";

/// `CodeSha256` of a function; that of an image is hex.
pub(crate) fn shown_digest(code: &Code) -> String {
    match code {
        Code::Zip(package) => code_sha256(&package.digest),
        Code::Directory { .. } => NO_DIGEST.to_owned(),
        Code::Image(image) => image.digest.to_string(),
    }
}

fn code_location(code: &Code, link: impl FnOnce(&Digest) -> String) -> FunctionCodeLocation {
    let located = |repository_type, location| FunctionCodeLocation {
        repository_type,
        location: Some(location),
        image_uri: None,
        resolved_image_uri: None,
    };
    match code {
        Code::Zip(package) => located("S3", link(&package.digest)),
        Code::Directory { directory } => located("File", format!("file://{directory}")),
        Code::Image(image) => FunctionCodeLocation {
            repository_type: "ECR",
            location: None,
            image_uri: Some(image.uri.clone()),
            resolved_image_uri: Some(image.resolved_uri()),
        },
    }
}

fn package_type(program: &Program) -> &'static str {
    match program {
        Program::Zip { .. } => "Zip",
        Program::Image { .. } => "Image",
    }
}

/// Only a function that says something of its own has it.
fn image_config(program: &Program) -> Option<ImageConfigResponse> {
    let Program::Image { image_config } = program else {
        return None;
    };
    (*image_config != ImageConfig::default()).then(|| ImageConfigResponse {
        image_config: ShownImageConfig {
            entry_point: image_config.entry_point.clone(),
            command: image_config.command.clone(),
            working_directory: image_config.working_directory.clone(),
        },
    })
}

fn tracing(tracing: Tracing) -> &'static str {
    match tracing {
        Tracing::Active => "Active",
        Tracing::PassThrough => "PassThrough",
    }
}

/// It is on where a version can be restored: not before it is active.
fn snap_start(function: &Function, shown: &Shown<'_>) -> SnapStart {
    let applies = function.configuration.snap_start;
    let is_on = applies && shown.version.is_some() && function.serving().is_some();
    SnapStart {
        apply_on: if applies { "PublishedVersions" } else { "None" },
        optimization_status: if is_on { "On" } else { "Off" },
    }
}

fn layers(attached: &[AttachedLayer]) -> Vec<Layer> {
    let shown =
        |layer: &AttachedLayer| Layer { arn: layer.arn.clone(), code_size: layer.size_bytes };
    attached.iter().map(shown).collect()
}

fn logging(logging: &Logging, function: &Function) -> LoggingConfig {
    let (log_format, application_log_level, system_log_level) = match &logging.format {
        LogFormat::Text => ("Text", None, None),
        LogFormat::Json { application, system } => {
            ("JSON", Some(application.clone()), Some(system.clone()))
        }
    };
    let default_group = || format!("/aws/lambda/{}", function.key.name);
    let log_group = logging.group.clone().unwrap_or_else(default_group);
    LoggingConfig { log_format, application_log_level, system_log_level, log_group }
}

fn state(state: &State) -> ShownState {
    match state {
        State::Pending | State::Initialising => ShownState {
            state: Some("Pending"),
            state_reason: Some(CREATING.to_owned()),
            state_reason_code: Some("Creating".to_owned()),
            ..ShownState::default()
        },
        State::Active { update, .. } => ShownState { state: Some("Active"), ..updated(update) },
        State::Failed { code, reason } => ShownState {
            state: Some("Failed"),
            state_reason: Some(reason.clone()),
            state_reason_code: Some(code.clone()),
            ..ShownState::default()
        },
    }
}

fn updated(update: &Update) -> ShownState {
    let (status, reason) = match update {
        Update::Successful => ("Successful", None),
        Update::InProgress => ("InProgress", Some((CREATING.to_owned(), "Creating".to_owned()))),
        Update::Failed { code, reason } => ("Failed", Some((reason.clone(), code.clone()))),
    };
    let (reason, code) = reason.unzip();
    ShownState {
        last_update_status: Some(status),
        last_update_status_reason: reason,
        last_update_status_reason_code: code,
        ..ShownState::default()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use dormouse_model::function::{Architecture, Change, Configuration, Package};
    use dormouse_model::names::{FunctionKey, Scope};

    use dormouse_model::image::{Defaults, Image};
    use dormouse_model::runtime::Runtime;

    use super::*;

    const REVISION: &str = "00000000-0000-4000-8000-000000000001";

    /// A function as `CreateFunction` leaves it.
    pub(crate) fn pending() -> Function {
        let scope = Scope {
            account: "123456789012".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
        };
        Function {
            key: FunctionKey { scope, name: "hello".parse().unwrap() },
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
            code: Code::Zip(Package { digest: "0a".repeat(32).parse().unwrap(), size_bytes: 321 }),
            revision: REVISION.parse().unwrap(),
            last_modified_ms: 1_767_323_045_678,
            state: State::Pending,
            tags: BTreeMap::new(),
        }
    }

    fn json(shape: &impl Serialize) -> String {
        serde_json::to_string_pretty(shape).unwrap()
    }

    #[test]
    fn a_pending_function_says_that_it_is_being_created() {
        let shown = FunctionConfiguration::of(&pending(), &Shown::default());
        insta::assert_snapshot!(json(&shown), @r#"
        {
          "FunctionName": "hello",
          "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:hello",
          "Runtime": "python3.12",
          "Role": "arn:aws:iam::123456789012:role/r",
          "Handler": "app.handler",
          "CodeSize": 321,
          "Description": "",
          "Timeout": 3,
          "MemorySize": 128,
          "LastModified": "2026-01-02T03:04:05.678+0000",
          "CodeSha256": "CgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgo=",
          "Version": "$LATEST",
          "TracingConfig": {
            "Mode": "PassThrough"
          },
          "RevisionId": "00000000-0000-4000-8000-000000000001",
          "State": "Pending",
          "StateReason": "The function is being created.",
          "StateReasonCode": "Creating",
          "PackageType": "Zip",
          "Architectures": [
            "x86_64"
          ],
          "EphemeralStorage": {
            "Size": 512
          },
          "SnapStart": {
            "ApplyOn": "None",
            "OptimizationStatus": "Off"
          },
          "RuntimeVersionConfig": {
            "RuntimeVersionArn": "arn:aws:lambda:us-east-1::runtime:4fadba109ca728636ed2700c0973b524c80669f755cd7da5fcdffaf4c38f5296"
          },
          "LoggingConfig": {
            "LogFormat": "Text",
            "LogGroup": "/aws/lambda/hello"
          }
        }
        "#);
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "the expected text is the test")]
    fn an_active_function_has_succeeded_and_gives_no_reasons() {
        let mut active = pending().activated(REVISION.parse().unwrap());
        active.configuration.variables = Some([("K".to_owned(), "v".to_owned())].into());
        active.configuration.layers = vec![AttachedLayer {
            arn: "arn:aws:lambda:us-east-1:123456789012:layer:l:1".to_owned(),
            digest: "0b".repeat(32).parse().unwrap(),
            size_bytes: 7,
            unzipped_bytes: 9,
        }];
        let level = || "INFO".to_owned();
        active.configuration.logging.format =
            LogFormat::Json { application: level(), system: level() };
        active.tags = [("team".to_owned(), "a".to_owned())].into();
        let qualifier = Qualifier::Version(Version::Latest);
        let shown = Shown { qualifier: Some(&qualifier), version: None };
        let answer = GetFunctionResponse::of(&active, &shown, |_| "http://localhost/x".into());
        insta::assert_snapshot!(json(&answer), @r#"
        {
          "Configuration": {
            "FunctionName": "hello",
            "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:hello:$LATEST",
            "Runtime": "python3.12",
            "Role": "arn:aws:iam::123456789012:role/r",
            "Handler": "app.handler",
            "CodeSize": 321,
            "Description": "",
            "Timeout": 3,
            "MemorySize": 128,
            "LastModified": "2026-01-02T03:04:05.678+0000",
            "CodeSha256": "CgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgo=",
            "Version": "$LATEST",
            "Environment": {
              "Variables": {
                "K": "v"
              }
            },
            "TracingConfig": {
              "Mode": "PassThrough"
            },
            "RevisionId": "00000000-0000-4000-8000-000000000001",
            "Layers": [
              {
                "Arn": "arn:aws:lambda:us-east-1:123456789012:layer:l:1",
                "CodeSize": 7
              }
            ],
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "PackageType": "Zip",
            "Architectures": [
              "x86_64"
            ],
            "EphemeralStorage": {
              "Size": 512
            },
            "SnapStart": {
              "ApplyOn": "None",
              "OptimizationStatus": "Off"
            },
            "RuntimeVersionConfig": {
              "RuntimeVersionArn": "arn:aws:lambda:us-east-1::runtime:4fadba109ca728636ed2700c0973b524c80669f755cd7da5fcdffaf4c38f5296"
            },
            "LoggingConfig": {
              "LogFormat": "JSON",
              "ApplicationLogLevel": "INFO",
              "SystemLogLevel": "INFO",
              "LogGroup": "/aws/lambda/hello"
            }
          },
          "Code": {
            "RepositoryType": "S3",
            "Location": "http://localhost/x"
          },
          "Tags": {
            "team": "a"
          }
        }
        "#);
    }

    #[test]
    fn an_updating_function_serves_on_and_says_so() {
        let active = pending().activated(REVISION.parse().unwrap());
        let change = Change {
            configuration: active.configuration.clone(),
            code: active.code.clone(),
            revision: REVISION.parse().unwrap(),
            expected: None,
            now_ms: 0,
        };
        let updating = active.changed(change).unwrap();
        let state = |function: &Function| {
            serde_json::to_string(&FunctionConfiguration::of(function, &Shown::default()).state)
                .unwrap()
        };
        assert_eq!(
            state(&updating),
            r#"{"State":"Active","LastUpdateStatus":"InProgress","LastUpdateStatusReason":"The function is being created.","LastUpdateStatusReasonCode":"Creating"}"#
        );
        let failed = updating.failed(REVISION.parse().unwrap(), "InvalidRuntime", "why");
        assert_eq!(
            state(&failed),
            r#"{"State":"Active","LastUpdateStatus":"Failed","LastUpdateStatusReason":"why","LastUpdateStatusReasonCode":"InvalidRuntime"}"#
        );
        let failed = pending().failed(REVISION.parse().unwrap(), "InternalError", "why");
        assert_eq!(
            state(&failed),
            r#"{"State":"Failed","StateReason":"why","StateReasonCode":"InternalError"}"#
        );
    }

    #[test]
    fn an_image_has_its_digest_in_hex_and_neither_runtime_nor_handler() {
        let mut function = pending();
        let digest: Digest = "0a".repeat(32).parse().unwrap();
        function.code = Code::Image(Box::new(Image {
            uri: "127.0.0.1:5000/a:1".into(),
            digest: digest.clone(),
            layers: vec![],
            defaults: Defaults::default(),
        }));
        function.configuration.program = Program::Image { image_config: ImageConfig::default() };
        let answer = |function: &Function| {
            let shown = Shown::default();
            serde_json::to_value(GetFunctionResponse::of(function, &shown, |_| String::new()))
                .unwrap()
        };
        let shown = answer(&function);
        let code = serde_json::json!({
            "RepositoryType": "ECR", "ImageUri": "127.0.0.1:5000/a:1",
            "ResolvedImageUri": format!("127.0.0.1:5000/a@sha256:{digest}"),
        });
        assert_eq!(shown["Code"], code);
        let configuration = shown["Configuration"].as_object().unwrap();
        assert_eq!(configuration["CodeSha256"], digest.as_str());
        assert_eq!(
            (&configuration["PackageType"], &configuration["CodeSize"]),
            (&"Image".into(), &0.into())
        );
        for absent in ["Runtime", "Handler", "RuntimeVersionConfig", "ImageConfigResponse"] {
            assert!(!configuration.contains_key(absent), "{absent}");
        }
        let command = Some(vec!["app.handler".to_owned()]);
        let image_config = ImageConfig { command, ..ImageConfig::default() };
        function.configuration.program = Program::Image { image_config };
        assert_eq!(
            answer(&function)["Configuration"]["ImageConfigResponse"].to_string(),
            r#"{"ImageConfig":{"Command":["app.handler"]}}"#
        );
    }

    #[test]
    fn a_directory_is_told_to_have_no_digest_and_where_it_is() {
        let mut function = pending();
        function.code = Code::Directory { directory: "/src/app".into() };
        let answer = GetFunctionResponse::of(&function, &Shown::default(), |_| String::new());
        let shown = serde_json::to_value(answer).unwrap();
        assert_eq!(shown["Code"]["Location"], "file:///src/app");
        assert_eq!(shown["Configuration"]["CodeSha256"], "hot-reloading-hash-not-available");
        assert_eq!(shown["Configuration"]["CodeSize"], 0);
    }

    #[test]
    fn a_list_leaves_state_and_runtime_version_out() {
        let listed = json(&FunctionConfiguration::listed(&pending(), &Shown::default()));
        for member in ["State", "LastUpdate", "RuntimeVersionConfig"] {
            assert!(!listed.contains(&format!("\"{member}")), "{member}");
        }
    }
}
