//! `CreateFunction`: the request, and the new function it asks for.

use std::collections::BTreeMap;

use dormouse_model::function::{Architecture, Configuration, LogFormat, Logging, Program, Tracing};
use dormouse_model::image::ImageConfig;
use dormouse_model::layer::LayerVersionKey;
use dormouse_model::limits;
use dormouse_model::names::{CodeSigningConfigId, FunctionKey, Qualifier, Scope, Version};
use serde::Deserialize;

use super::code::{CodeSource, FunctionCode};
use super::code_signing;
use super::name::{NameShape, check_name, resolve_pieces};
use super::pattern::CODE_SIGNING_CONFIG;
use super::settings::{
    Settings, architecture, check_architectures, check_publish_to, parse_runtime, refuse_publish_to,
};
use super::tag;
use crate::error::ApiError;
use crate::validate::Violations;

/// The body of `CreateFunction`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateFunctionRequest {
    function_name: Option<String>,
    #[serde(deserialize_with = "crate::json::member")]
    code: Option<FunctionCode>,
    publish: Option<bool>,
    publish_to: Option<String>,
    package_type: Option<String>,
    architectures: Option<Vec<String>>,
    tags: Option<BTreeMap<String, Option<String>>>,
    code_signing_config_arn: Option<String>,
    #[serde(deserialize_with = "crate::json::member")]
    tenancy_config: Option<TenancyConfig>,
    #[serde(flatten)]
    settings: Settings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct TenancyConfig {
    tenant_isolation_mode: Option<String>,
}

/// A function to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFunction {
    /// Whose, where and which.
    pub key: FunctionKey,
    /// Its configuration, with all defaults, and without layers.
    pub configuration: Configuration,
    /// Its layers by name, in order.
    pub layers: Vec<LayerVersionKey>,
    /// Where its code comes from.
    pub code: CodeSource,
    /// Whose signatures its code must bear.
    pub code_signing: Option<CodeSigningConfigId>,
    /// Whether version 1 is published at once.
    pub publish: bool,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl CreateFunctionRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// When it is not JSON of this shape.
    pub fn read(body: &[u8]) -> Result<Self, ApiError> {
        super::read(body)
    }

    /// Both layers of validation.
    ///
    /// # Errors
    /// First every violation of the framework in one text, then the service's first objection.
    pub fn validate(self, scope: &Scope) -> Result<NewFunction, ApiError> {
        let name = self.function_name.clone();
        let mut violations = Violations::default();
        if name.is_none() {
            violations.null("functionName");
        }
        let pieces =
            name.as_deref().and_then(|name| check_name(&mut violations, name, NameShape::Writing));
        self.check(&mut violations);
        violations.finish()?;
        let Some(pieces) = pieces else {
            return Err(ApiError::invalid_parameter("FunctionName is required."));
        };
        let target = resolve_pieces(scope, pieces, None)?;
        // A new function cannot have versions or aliases yet.
        if target.qualifier.is_some_and(|q| q != Qualifier::Version(Version::Latest)) {
            let text = "The function name of a new function cannot have a qualifier.";
            return Err(ApiError::invalid_parameter(text));
        }
        self.into_new(target.key)
    }

    fn check(&self, violations: &mut Violations) {
        if self.settings.role.is_none() {
            violations.null("role");
        }
        match &self.code {
            Some(code) => code.check(violations, "code."),
            None => violations.null("code"),
        }
        if let Some(package_type) = &self.package_type {
            violations.one_of(package_type, "packageType", &["Zip", "Image"]);
        }
        if let Some(architectures) = &self.architectures {
            check_architectures(violations, architectures);
        }
        if let Some(tags) = &self.tags {
            tag::check(violations, tags);
        }
        check_publish_to(violations, self.publish_to.as_deref());
        // An empty one stands for none.
        let signing = self.code_signing_config_arn.as_ref().filter(|arn| !arn.is_empty());
        violations.optional(signing, "codeSigningConfigArn", &CODE_SIGNING_CONFIG);
        let path = "tenancyConfig.tenantIsolationMode";
        match self.tenancy_config.as_ref().map(|tenancy| tenancy.tenant_isolation_mode.as_deref()) {
            Some(Some(mode)) => violations.one_of(mode, path, &["PER_TENANT"]),
            Some(None) => violations.null(path),
            None => {}
        }
        self.settings.check(violations);
    }

    fn into_new(self, key: FunctionKey) -> Result<NewFunction, ApiError> {
        refuse_publish_to(self.publish_to.as_deref())?;
        let code_signing = self.code_signing_config_arn.filter(|arn| !arn.is_empty());
        let code_signing =
            code_signing.map(|arn| code_signing::wanted(&key.scope, &arn)).transpose()?;
        let tags = tag::given(self.tags.unwrap_or_default())?;
        let image = self.package_type.as_deref() == Some("Image");
        let base = Configuration {
            per_tenant: self.tenancy_config.is_some(),
            ..base(&self.settings, image, self.architectures.as_deref())?
        };
        let layers = self.settings.layers(&key.scope)?.unwrap_or_default();
        let configuration = self.settings.applied_to(base)?;
        let code = self.code.unwrap_or_default().source()?;
        code.check(&configuration.program, "creating")?;
        let publish = self.publish.unwrap_or(false);
        Ok(NewFunction { key, configuration, layers, code, code_signing, publish, tags })
    }
}

/// The defaults; what the request says is laid over them.
fn base(
    settings: &Settings,
    image: bool,
    architectures: Option<&[String]>,
) -> Result<Configuration, ApiError> {
    let program = match (&settings.runtime, &settings.handler) {
        // Whether something else is given is looked at when it is laid over.
        _ if image => Program::Image { image_config: ImageConfig::default() },
        (Some(runtime), Some(handler)) => {
            Program::Zip { runtime: parse_runtime(runtime)?, handler: handler.clone() }
        }
        _ => {
            let text = "Runtime and Handler are mandatory parameters for functions created with \
                        deployment packages.";
            return Err(ApiError::invalid_parameter(text));
        }
    };
    Ok(Configuration {
        program,
        role: String::new(),
        description: String::new(),
        timeout_s: limits::TIMEOUT_DEFAULT_S,
        memory_mb: limits::MEMORY_DEFAULT_MB,
        ephemeral_mb: limits::EPHEMERAL_DEFAULT_MB,
        variables: None,
        architecture: architectures.and_then(architecture).unwrap_or(Architecture::X86_64),
        tracing: Tracing::PassThrough,
        logging: Logging { format: LogFormat::Text, group: None },
        layers: Vec::new(),
        snap_start: false,
        dead_letters: None,
        per_tenant: false,
    })
}

#[cfg(test)]
mod tests {
    use dormouse_model::runtime::Runtime;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn scope() -> Scope {
        Scope { account: "123456789012".parse().unwrap(), region: "us-east-1".parse().unwrap() }
    }

    /// A minimal request with these members changed; null removes.
    fn outcome(changes: &Value) -> Result<NewFunction, ApiError> {
        let mut body = json!({
            "FunctionName": "f",
            "Runtime": "python3.12",
            "Handler": "app.handler",
            "Role": "arn:aws:iam::123456789012:role/r",
            "Code": {"ZipFile": "UEsFBg=="},
        });
        let members = body.as_object_mut().unwrap();
        for (key, value) in changes.as_object().unwrap() {
            if value.is_null() {
                members.remove(key);
            } else {
                members.insert(key.clone(), value.clone());
            }
        }
        CreateFunctionRequest::read(body.to_string().as_bytes())?.validate(&scope())
    }

    fn refused(changes: &Value, expected: &str) {
        let text = outcome(changes).unwrap_err().to_string();
        assert_eq!(text, expected);
    }

    #[test]
    fn a_minimal_request_gets_the_defaults() {
        let new = outcome(&json!({})).unwrap();
        assert_eq!(new.key.arn(), "arn:aws:lambda:us-east-1:123456789012:function:f");
        assert_eq!(new.code, CodeSource::Zip(b"PK\x05\x06".to_vec()));
        let configuration = new.configuration;
        assert_eq!(configuration.runtime(), Some(Runtime::Python { minor: 12 }));
        assert_eq!(configuration.role, "arn:aws:iam::123456789012:role/r");
        assert_eq!((configuration.timeout_s, configuration.memory_mb), (3, 128));
        assert_eq!(configuration.ephemeral_mb, 512);
        assert_eq!(configuration.variables, None);
    }

    #[test]
    fn the_bucket_hot_reload_stands_for_a_directory_of_the_machine() {
        let code = json!({"S3Bucket": "hot-reload", "S3Key": "/src/app"});
        let new = outcome(&json!({"Code": code})).unwrap();
        assert_eq!(new.code, CodeSource::Directory { path: "/src/app".into() });
        let code = json!({"S3Bucket": "hot-reload", "S3Key": "/a", "S3ObjectVersion": "1"});
        refused(
            &json!({"Code": code}),
            "InvalidParameterValueException: A directory has no versions: leave S3ObjectVersion out.",
        );
    }

    #[test]
    fn every_member_is_taken_over() {
        let new = outcome(&json!({
            "Timeout": 900, "MemorySize": 10240, "EphemeralStorage": {"Size": 1024},
            "Environment": {"Variables": {"AB": "c"}}, "Description": "d", "Publish": true,
            "Architectures": ["arm64"], "TracingConfig": {"Mode": "Active"},
            "LoggingConfig": {"LogFormat": "JSON", "LogGroup": "/x"}, "Tags": {"k": "v"},
            "Layers": ["arn:aws:lambda:us-east-1:123456789012:layer:l:1"],
            "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []}, "DeadLetterConfig": {},
            "SomethingNew": {"a": [1]},
        }))
        .unwrap();
        let c = new.configuration;
        assert_eq!((c.timeout_s, c.memory_mb, c.ephemeral_mb), (900, 10_240, 1_024));
        assert_eq!(c.variables.unwrap()["AB"], "c");
        assert_eq!((c.architecture, c.tracing), (Architecture::Arm64, Tracing::Active));
        let level = || "INFO".to_owned();
        assert_eq!(c.logging.format, LogFormat::Json { application: level(), system: level() });
        assert_eq!(c.logging.group.as_deref(), Some("/x"));
        assert!(new.publish && !c.snap_start);
        assert_eq!(new.tags["k"], "v");
        let layers: Vec<_> = new.layers.iter().map(LayerVersionKey::arn).collect();
        assert_eq!(layers, ["arn:aws:lambda:us-east-1:123456789012:layer:l:1"]);
        let asked = json!({"SnapStart": {"ApplyOn": "PublishedVersions"}});
        assert!(outcome(&asked).unwrap().configuration.snap_start);
    }

    #[test]
    fn the_framework_tells_everything_at_once() {
        let error = outcome(&json!({
            "FunctionName": "a b", "Role": "r", "Code": null, "Timeout": 0, "MemorySize": 127,
            "Handler": "a b", "PackageType": "Tar", "Architectures": ["mips"],
            "EphemeralStorage": {"Size": 511}, "Environment": {"Variables": {"1": "secret"}},
            "TracingConfig": {"Mode": "On"}, "SnapStart": {"ApplyOn": "Always"},
            "LoggingConfig": {"LogFormat": "XML"}, "Layers": ["l"],
        }))
        .unwrap_err()
        .to_string();
        assert!(!error.contains("secret"));
        insta::assert_snapshot!(error.replace("; ", ";\n"), @r"
        ValidationException: 14 validation errors detected: Value 'a b' at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?;
        Value null at 'code' failed to satisfy constraint: Member must not be null;
        Value 'Tar' at 'packageType' failed to satisfy constraint: Member must satisfy enum value set: [Zip, Image];
        Value '[mips]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], Member must not be null];
        Value 'r' at 'role' failed to satisfy constraint: Member must satisfy regular expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+;
        Value 'a b' at 'handler' failed to satisfy constraint: Member must satisfy regular expression pattern: [^\s]+;
        Value '0' at 'timeout' failed to satisfy constraint: Member must have value greater than or equal to 1;
        Value '127' at 'memorySize' failed to satisfy constraint: Member must have value greater than or equal to 128;
        Value '511' at 'ephemeralStorage.size' failed to satisfy constraint: Member must have value greater than or equal to 512;
        Value 'On' at 'tracingConfig.mode' failed to satisfy constraint: Member must satisfy enum value set: [Active, PassThrough];
        Value 'Always' at 'snapStart.applyOn' failed to satisfy constraint: Member must satisfy enum value set: [PublishedVersions, None];
        Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: [Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+];
        Value 'XML' at 'loggingConfig.logFormat' failed to satisfy constraint: Member must satisfy enum value set: [JSON, Text];
        Value '[l]' at 'layers' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 2048, Member must have length greater than or equal to 1, Member must satisfy regular expression pattern: ((arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:layer:[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)), Member must not be null]
        ");
    }

    #[test]
    fn the_service_refuses_in_its_own_words() {
        refused(
            &json!({"Handler": null}),
            "InvalidParameterValueException: Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        );
        refused(
            &json!({"Runtime": "go1.x"}),
            "InvalidParameterValueException: The runtime parameter of go1.x is no longer supported for creating or updating AWS Lambda functions. We recommend you use a supported runtime while creating or updating functions.",
        );
        refused(
            &json!({"Runtime": "java21"}),
            "InvalidParameterValueException: The runtime java21 is not supported by this version of Dormouse.",
        );
        refused(
            &json!({"Runtime": "cobol"}),
            "InvalidParameterValueException: Value cobol at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [nodejs20.x, python3.14, provided.al2023, python3.12, python3.13, nodejs24.x, nodejs22.x, java25, python3.10, python3.11, java21, ruby3.3, ruby3.4, ruby3.2, python3.8, python3.9, java17, nodejs16.x, dotnet10, dotnet8, java11, dotnet6, nodejs18.x, provided.al2, java8.al2] or be a valid ARN",
        );
        refused(
            &json!({"Environment": {"Variables": {"AWS_REGION": "x"}}}),
            "InvalidParameterValueException: Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: AWS_REGION",
        );
    }

    #[test]
    fn code_that_does_not_belong_to_the_package_type_is_refused() {
        refused(
            &json!({"Code": {}}),
            "InvalidParameterValueException: Please provide a source for function code.",
        );
        refused(
            &json!({"Code": {"ZipFile": "UEsFBg==", "S3Bucket": "bkt"}}),
            "InvalidParameterValueException: Please do not provide other FunctionCode parameters when providing a ZipFile.",
        );
        refused(
            &json!({"PackageType": "Image", "Code": {"ImageUri": "x"}}),
            "InvalidParameterValueException: Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.",
        );
        let image = |more: Value| {
            let mut members = json!({"PackageType": "Image", "Runtime": null, "Handler": null});
            members.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            members
        };
        refused(
            &image(json!({})),
            "InvalidParameterValueException: Please provide ImageUri when creating a function with packageType Image.",
        );
        refused(
            &json!({"Code": {"ImageUri": "x"}}),
            "InvalidParameterValueException: Please don't provide ImageUri when creating a function with packageType Zip.",
        );
        refused(
            &image(json!({"Code": {"ImageUri": "x", "S3Bucket": "bkt"}})),
            "InvalidParameterValueException: Please do not provide other FunctionCode parameters when providing an ImageUri.",
        );
        refused(
            &json!({"ImageConfig": {"Command": ["x"]}}),
            "InvalidParameterValueException: Please don't provide ImageConfig when the intended function PackageType is Zip.",
        );
        refused(
            &image(
                json!({"Code": {"ImageUri": "x"}, "ImageConfig": {"Command": ["x".repeat(16_384)]}}),
            ),
            "InvalidParameterValueException: ImageConfig must be smaller than 16384 bytes.",
        );
        let new = outcome(&image(json!({
            "Code": {"ImageUri": "x"},
            "ImageConfig": {"Command": ["c"], "EntryPoint": [], "WorkingDirectory": "/w"},
        })));
        let program = new.unwrap().configuration.program;
        let image_config = ImageConfig {
            entry_point: Some(vec![]),
            command: Some(vec!["c".into()]),
            working_directory: Some("/w".into()),
        };
        assert_eq!(program, Program::Image { image_config });
    }

    #[test]
    fn settings_layers_and_tags_are_refused_in_their_own_words() {
        refused(
            &json!({"VpcConfig": {"SubnetIds": ["subnet-1"]}}),
            "InvalidParameterValueException: Error occurred while DescribeSubnets. EC2 Error Code: InvalidSubnetID.NotFound. EC2 Error Message: The subnet ID 'subnet-1' does not exist",
        );
        let layer = "arn:aws:lambda:us-east-1:123456789012:layer:l";
        refused(
            &json!({"Layers": [format!("{layer}:1"), format!("{layer}:2")]}),
            &format!(
                "InvalidParameterValueException: Two different versions of the same layer are not allowed to be referenced in the same function. {layer}:1 and {layer}:2 are versions of the same layer."
            ),
        );
        let six: Vec<_> = (0..6).map(|i| format!("{layer}{i}:1")).collect();
        refused(
            &json!({"Layers": six}),
            "InvalidParameterValueException: Cannot reference more than 5 layers.",
        );
        refused(
            &json!({"Layers": [format!("{layer}:01")]}),
            &format!("InvalidParameterValueException: Layer version {layer}:01 does not exist."),
        );
        refused(
            &json!({"Layers": ["arn:aws:lambda:eu-west-1:123456789012:layer:l:1"]}),
            "InvalidParameterValueException: Layers are not in the same region as the function. Layers are expected to be in region us-east-1.",
        );
        refused(
            &json!({"Runtime": "nodejs22.x", "SnapStart": {"ApplyOn": "PublishedVersions"}}),
            "InvalidParameterValueException: nodejs22.x is not supported for SnapStart enabled functions.",
        );
        let snap_start = json!({"ApplyOn": "PublishedVersions"});
        refused(
            &json!({"Runtime": "python3.13", "SnapStart": snap_start, "EphemeralStorage": {"Size": 513}}),
            "InvalidParameterValueException: Ephemeral storage above 512 MB is not supported for SnapStart enabled functions.",
        );
        let tags: Value = (0..51).map(|i| (format!("k{i}"), json!("v"))).collect();
        refused(
            &json!({"Tags": tags}),
            "InvalidParameterValueException: Number of tags exceeds resource tag limit.",
        );
    }

    #[test]
    fn variables_end_at_four_kilobytes_of_json() {
        // {"AB":"…"} costs nine bytes around the value.
        let fits = json!({"Environment": {"Variables": {"AB": "x".repeat(4_087)}}});
        assert!(outcome(&fits).is_ok());
        let error = outcome(&json!({"Environment": {"Variables": {"AB": "x".repeat(4_088)}}}));
        let text = error.unwrap_err().message;
        assert!(text.contains("exceeded the 4KB limit. String measured: {\"AB\":\"xxx"));
    }

    #[test]
    fn a_package_over_the_limit_is_too_large() {
        use base64::Engine as _;
        let zip = vec![0; limits::ZIPPED_BYTES + 1];
        let zip = base64::engine::general_purpose::STANDARD.encode(zip);
        let error = outcome(&json!({"Code": {"ZipFile": zip}})).unwrap_err();
        assert_eq!(
            error.to_string(),
            "RequestEntityTooLargeException: Zipped size must be smaller than 52428800 bytes"
        );
    }

    #[test]
    fn a_body_that_is_not_the_shape_is_refused() {
        for body in ["[]", "{", "\"x\"", "{\"Timeout\":\"3\"}", "{\"Code\":{\"ZipFile\":\"*\"}}"] {
            let error = CreateFunctionRequest::read(body.as_bytes()).unwrap_err();
            assert_eq!(error.exception.facts().code, "SerializationException", "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(request) = CreateFunctionRequest::read(&body) {
                let _ = request.validate(&scope());
            }
        }

        #[test]
        fn no_text_in_a_member_panics(text in ".{0,80}") {
            let _ = outcome(&json!({
                "FunctionName": text, "Role": text, "Handler": text, "Runtime": text,
                "Layers": [text], "Environment": {"Variables": {text.clone(): text}},
                "Architectures": [text], "LoggingConfig": {"LogGroup": text},
            }));
        }
    }
}
