//! Layer versions as AWS shows them: alone with their package, and in lists without.

use dormouse_model::layer::LayerVersion;
use serde::Serialize;

use crate::lambda::configuration::code_sha256;
use crate::time;

/// The answer of `PublishLayerVersion`, `GetLayerVersion` and `GetLayerVersionByArn`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LayerVersionResponse {
    content: Content,
    layer_arn: String,
    #[serde(flatten)]
    item: LayerVersionItem,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Content {
    location: String,
    code_sha256: String,
    code_size: u64,
}

/// A version in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LayerVersionItem {
    layer_version_arn: String,
    version: u64,
    description: String,
    created_date: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    compatible_runtimes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    license_info: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    compatible_architectures: Vec<String>,
}

/// A page of `ListLayerVersions`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListLayerVersionsResponse {
    /// The versions, newest first.
    pub layer_versions: Vec<LayerVersionItem>,
    /// What to pass as `Marker` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
}

/// A page of `ListLayers`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListLayersResponse {
    /// The layers, by name.
    pub layers: Vec<LayerItem>,
    /// What to pass as `Marker` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
}

/// A layer in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct LayerItem {
    layer_name: String,
    layer_arn: String,
    latest_matching_version: LayerVersionItem,
}

impl LayerVersionResponse {
    /// A version with a link to its package.
    #[must_use]
    pub fn of(version: &LayerVersion, location: String) -> Self {
        let code = &version.content.code;
        Self {
            content: Content {
                location,
                code_sha256: code_sha256(&code.digest),
                code_size: code.size_bytes,
            },
            layer_arn: version.key.layer.arn(),
            item: LayerVersionItem::of(version),
        }
    }
}

impl LayerVersionItem {
    /// A version.
    #[must_use]
    pub fn of(version: &LayerVersion) -> Self {
        let content = &version.content;
        Self {
            layer_version_arn: version.key.arn(),
            version: version.key.number,
            description: content.description.clone(),
            created_date: time::lambda(content.created_ms),
            compatible_runtimes: content.compatible_runtimes.clone(),
            license_info: content.license.clone(),
            compatible_architectures: content.compatible_architectures.clone(),
        }
    }
}

impl LayerItem {
    /// A layer with the newest of its versions that were asked for.
    #[must_use]
    pub fn of(latest: &LayerVersion) -> Self {
        Self {
            layer_name: latest.key.layer.name.to_string(),
            layer_arn: latest.key.layer.arn(),
            latest_matching_version: LayerVersionItem::of(latest),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use dormouse_model::function::Package;
    use dormouse_model::layer::{LayerContent, LayerPolicy};

    use super::*;

    pub(in crate::lambda::layer) fn published() -> LayerVersion {
        LayerVersion {
            key: "arn:aws:lambda:us-east-1:123456789012:layer:tools:3".parse().unwrap(),
            content: LayerContent {
                description: String::new(),
                license: Some("MIT".into()),
                compatible_runtimes: vec!["python3.12".into()],
                compatible_architectures: vec![],
                code: Package { digest: "0a".repeat(32).parse().unwrap(), size_bytes: 321 },
                unzipped_bytes: 400,
                created_ms: 1_767_323_045_678,
            },
            policy: LayerPolicy::default(),
        }
    }

    #[test]
    fn a_version_is_shown_with_its_package() {
        let shown = LayerVersionResponse::of(&published(), "http://localhost/x".into());
        insta::assert_snapshot!(serde_json::to_string_pretty(&shown).unwrap(), @r#"
        {
          "Content": {
            "Location": "http://localhost/x",
            "CodeSha256": "CgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgo=",
            "CodeSize": 321
          },
          "LayerArn": "arn:aws:lambda:us-east-1:123456789012:layer:tools",
          "LayerVersionArn": "arn:aws:lambda:us-east-1:123456789012:layer:tools:3",
          "Version": 3,
          "Description": "",
          "CreatedDate": "2026-01-02T03:04:05.678+0000",
          "CompatibleRuntimes": [
            "python3.12"
          ],
          "LicenseInfo": "MIT"
        }
        "#);
    }

    #[test]
    fn a_layer_is_listed_with_its_newest_version() {
        let page = ListLayersResponse {
            layers: vec![LayerItem::of(&published())],
            next_marker: Some("tools".into()),
        };
        assert_eq!(
            serde_json::to_string(&page).unwrap(),
            r#"{"Layers":[{"LayerName":"tools","LayerArn":"arn:aws:lambda:us-east-1:123456789012:layer:tools","LatestMatchingVersion":{"LayerVersionArn":"arn:aws:lambda:us-east-1:123456789012:layer:tools:3","Version":3,"Description":"","CreatedDate":"2026-01-02T03:04:05.678+0000","CompatibleRuntimes":["python3.12"],"LicenseInfo":"MIT"}}],"NextMarker":"tools"}"#
        );
    }
}
