//! What an image says of itself: index, manifest and configuration, in the forms of OCI and of
//! Docker. Pure.

use std::collections::BTreeMap;

use dormouse_model::function::Architecture;
use dormouse_model::image::{Defaults, Image, ImageLayer, LayerForm};
use dormouse_model::limits;
use dormouse_model::names::Digest;
use serde::Deserialize;

/// Annotations that name an image of an index.
const NAMES: [&str; 2] = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];

/// Where something lies and how large it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    platform: Option<Platform>,
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Platform {
    architecture: String,
    os: String,
}

/// An index or a manifest: what tells them apart is which members they have.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Document {
    manifests: Option<Vec<Descriptor>>,
    pub(super) config: Option<Descriptor>,
    pub(super) layers: Option<Vec<Descriptor>>,
}

/// An image of an archive that `docker save` made.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Saved {
    pub(super) config: String,
    pub(super) repo_tags: Option<Vec<String>>,
    pub(super) layers: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Configuration {
    architecture: String,
    os: String,
    config: Option<Run>,
    rootfs: RootFs,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Run {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// Why an image is none that can be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidImage {
    /// Something is not JSON of its shape.
    #[error("its {0} is malformed")]
    Malformed(&'static str),
    /// There is no such image in it.
    #[error("it has no image named {0:?}")]
    NoSuchName(String),
    /// There are several.
    #[error("it has several images: name one of {0}")]
    Several(String),
    /// It is for other machines.
    #[error("it is for {found}, and the function for {wanted}")]
    Foreign {
        /// What it is for.
        found: String,
        /// What it should be for.
        wanted: &'static str,
    },
    /// A layer is packed in a way that is not known here.
    #[error("its layers are of type {0}, which is not supported: use tar or gzip")]
    LayerType(String),
    /// It has too many layers, or too large settings.
    #[error("it has more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

/// Reads JSON of a shape.
pub(super) fn read<'b, T: Deserialize<'b>>(
    bytes: &'b [u8],
    what: &'static str,
) -> Result<T, InvalidImage> {
    serde_json::from_slice(bytes).map_err(|_| InvalidImage::Malformed(what))
}

/// A digest behind its algorithm.
pub(super) fn digest(text: &str) -> Result<Digest, InvalidImage> {
    let hex = text.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
    hex.ok_or(InvalidImage::Malformed("digest"))
}

/// What Go and OCI call an instruction set.
pub(super) fn go_name(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86_64 => "amd64",
        Architecture::Arm64 => "arm64",
    }
}

impl Document {
    /// Of an index, the entry that is meant by a name and for a machine; nothing for a manifest.
    pub(super) fn choose(
        &self,
        tag: Option<&str>,
        architecture: Architecture,
    ) -> Result<Option<&Descriptor>, InvalidImage> {
        let Some(manifests) = &self.manifests else {
            return Ok(None);
        };
        let named: Vec<&Descriptor> =
            manifests.iter().filter(|it| tag.is_none_or(|tag| it.is_named(tag))).collect();
        let wanted = go_name(architecture);
        let fits = |it: &&&Descriptor| {
            let of =
                |platform: &Platform| platform.os == "linux" && platform.architecture == wanted;
            it.platform.as_ref().is_none_or(of)
        };
        let fitting: Vec<&&Descriptor> = named.iter().filter(fits).collect();
        match (fitting.as_slice(), named.first()) {
            ([one], _) => Ok(Some(one)),
            ([], None) => Err(InvalidImage::NoSuchName(tag.unwrap_or_default().to_owned())),
            ([], Some(other)) => {
                let platform = other.platform.clone().unwrap_or_default();
                let found = format!("{}/{}", platform.os, platform.architecture);
                Err(InvalidImage::Foreign { found, wanted })
            }
            (several, _) => {
                let names = several.iter().flat_map(|it| it.names()).collect::<Vec<_>>();
                Err(InvalidImage::Several(names.join(", ")))
            }
        }
    }
}

impl Descriptor {
    fn names(&self) -> impl Iterator<Item = &str> {
        NAMES.iter().filter_map(|name| self.annotations.get(*name)).map(String::as_str)
    }

    /// A name may be a tag alone or a whole reference.
    fn is_named(&self, tag: &str) -> bool {
        self.names().any(|name| name == tag || name.rsplit_once(':').is_some_and(|n| n.1 == tag))
    }

    fn layer(&self) -> Result<ImageLayer, InvalidImage> {
        let form = match self.media_type.rsplit_once(['.', '+']) {
            Some((_, "gzip")) => LayerForm::Gzip,
            Some((_, "tar")) => LayerForm::Tar,
            _ => return Err(InvalidImage::LayerType(self.media_type.clone())),
        };
        Ok(ImageLayer { digest: digest(&self.digest)?, size_bytes: self.size, form })
    }
}

/// Of saved images, the only one or that of a tag.
pub(super) fn pick(images: Vec<Saved>, tag: Option<&str>) -> Result<Saved, InvalidImage> {
    let names = |it: &Saved| it.repo_tags.clone().unwrap_or_default();
    let all: Vec<String> = images.iter().flat_map(names).collect();
    let is = |name: &String, tag: &str| {
        name == tag || name.rsplit_once(':').is_some_and(|name| name.1 == tag)
    };
    let meant = |it: &Saved| tag.is_none_or(|tag| names(it).iter().any(|name| is(name, tag)));
    let mut found = images.into_iter().filter(meant);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (None, _) => Err(InvalidImage::NoSuchName(tag.unwrap_or_default().to_owned())),
        (Some(_), Some(_)) => Err(InvalidImage::Several(all.join(", "))),
    }
}

/// The layers of a manifest.
pub(super) fn layers(document: &Document) -> Result<Vec<ImageLayer>, InvalidImage> {
    let layers = document.layers.as_deref().unwrap_or_default();
    layers.iter().map(Descriptor::layer).collect()
}

/// The digests that a configuration gives layers which are not compressed.
pub(super) fn diff_ids(configuration: &[u8]) -> Result<Vec<Digest>, InvalidImage> {
    let configuration: Configuration = read(configuration, "configuration")?;
    configuration.rootfs.diff_ids.iter().map(|text| digest(text)).collect()
}

/// An image of its parts.
pub(super) fn image(
    (uri, digest): (&str, Digest),
    layers: Vec<ImageLayer>,
    configuration: &[u8],
    architecture: Architecture,
) -> Result<Image, InvalidImage> {
    let configuration: Configuration = read(configuration, "configuration")?;
    let wanted = go_name(architecture);
    let foreign = |found: &str, wanted: &str| !found.is_empty() && found != wanted;
    if foreign(&configuration.architecture, wanted) || foreign(&configuration.os, "linux") {
        let found = format!("{}/{}", configuration.os, configuration.architecture);
        return Err(InvalidImage::Foreign { found, wanted });
    }
    if layers.len() > limits::IMAGE_LAYERS {
        return Err(InvalidImage::TooMany { what: "layers", limit: limits::IMAGE_LAYERS });
    }
    let run = configuration.config.unwrap_or_default();
    let variables = run.env.unwrap_or_default().into_iter().map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair.as_str(), ""));
        (name.to_owned(), value.to_owned())
    });
    let defaults = Defaults {
        entry_point: run.entrypoint.unwrap_or_default(),
        command: run.cmd.unwrap_or_default(),
        working_directory: run.working_dir.unwrap_or_default(),
        variables: variables.filter(|(name, _)| !name.is_empty()).collect(),
    };
    if settings_bytes(&defaults) > limits::IMAGE_SETTINGS_BYTES {
        let limit = limits::IMAGE_SETTINGS_BYTES;
        return Err(InvalidImage::TooMany { what: "bytes of settings", limit });
    }
    // A NUL ends a text where programs are started.
    if has_nul(&defaults) {
        return Err(InvalidImage::Malformed("configuration"));
    }
    Ok(Image { uri: uri.to_owned(), digest, layers, defaults })
}

fn texts(defaults: &Defaults) -> impl Iterator<Item = &str> {
    let words = defaults.entry_point.iter().chain(&defaults.command);
    let pairs = defaults.variables.iter().flat_map(|(name, value)| [name, value]);
    words.chain(pairs).chain([&defaults.working_directory]).map(String::as_str)
}

fn settings_bytes(defaults: &Defaults) -> usize {
    texts(defaults).map(|text| text.len() + 1).sum()
}

fn has_nul(defaults: &Defaults) -> bool {
    texts(defaults).any(|text| text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const X86: Architecture = Architecture::X86_64;

    fn chosen(manifests: &Value, tag: Option<&str>) -> String {
        let index = json!({"manifests": manifests}).to_string();
        let document: Document = read(index.as_bytes(), "index").unwrap();
        match document.choose(tag, X86) {
            Ok(Some(found)) => found.digest.clone(),
            Ok(None) => "a manifest".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_image_is_chosen_by_name_and_machine() {
        let name = |tag: &str| json!({"org.opencontainers.image.ref.name": tag});
        let of = |digest: &str, arch: &str, tag: &str| {
            json!({"digest": digest, "annotations": name(tag),
                   "platform": {"os": "linux", "architecture": arch}})
        };
        let several =
            json!([of("1", "amd64", "a"), of("2", "arm64", "a"), of("3", "amd64", "r/x:b")]);
        assert_eq!(chosen(&several, Some("a")), "1");
        assert_eq!(chosen(&several, Some("b")), "3");
        assert_eq!(chosen(&several, Some("c")), "it has no image named \"c\"");
        assert_eq!(chosen(&several, None), "it has several images: name one of a, r/x:b");
        assert_eq!(chosen(&json!([{"digest": "1"}]), None), "1");
        let foreign = chosen(&json!([of("1", "arm64", "a")]), None);
        assert_eq!(foreign, "it is for linux/arm64, and the function for amd64");
    }

    #[test]
    fn layers_are_tar_or_gzip_and_nothing_else() {
        let form = |kind: &str| {
            let document = json!({"layers": [
                {"mediaType": kind, "digest": format!("sha256:{}", "a".repeat(64)), "size": 3}
            ]});
            let document = document.to_string();
            let found = layers(&read(document.as_bytes(), "manifest").unwrap());
            found.map_or_else(|error| error.to_string(), |found| format!("{:?}", found[0].form))
        };
        assert_eq!(form("application/vnd.oci.image.layer.v1.tar+gzip"), "Gzip");
        assert_eq!(form("application/vnd.docker.image.rootfs.diff.tar.gzip"), "Gzip");
        assert_eq!(form("application/vnd.oci.image.layer.v1.tar"), "Tar");
        assert!(form("application/vnd.oci.image.layer.v1.tar+zstd").contains("not supported"));
        assert!(form("").contains("not supported"));
    }

    #[test]
    fn a_configuration_says_how_it_is_run() {
        let configuration = json!({"architecture": "amd64", "os": "linux", "config": {
            "Entrypoint": ["/e"], "Cmd": null, "Env": ["A=b=c", "D", "=x"], "WorkingDir": "/w",
        }});
        let of = |configuration: &Value| {
            let digest = "a".repeat(64).parse().unwrap();
            image(("u", digest), vec![], configuration.to_string().as_bytes(), X86)
        };
        let defaults = of(&configuration).unwrap().defaults;
        assert_eq!(defaults.entry_point, ["/e"]);
        assert!(defaults.command.is_empty());
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(defaults.variables, [pair("A", "b=c"), pair("D", "")]);
        assert_eq!(defaults.working_directory, "/w");
        assert_eq!(of(&json!({})).unwrap().defaults, Defaults::default());
        let nul = of(&json!({"config": {"Cmd": ["a\0b"]}}));
        assert_eq!(nul, Err(InvalidImage::Malformed("configuration")));
        let windows = of(&json!({"architecture": "amd64", "os": "windows"}));
        assert!(matches!(windows, Err(InvalidImage::Foreign { .. })));
    }

    proptest! {
        #[test]
        fn no_document_panics(text in r#"[\[\]{}",:a-z0-9]{0,80}"#, tag in "[a:/]{0,4}") {
            if let Ok(document) = read::<Document>(text.as_bytes(), "index") {
                let _ = document.choose(Some(&tag), X86);
                let _ = layers(&document);
            }
            let digest = "a".repeat(64).parse().unwrap();
            let _ = image(("u", digest), vec![], text.as_bytes(), X86);
            let _ = diff_ids(text.as_bytes());
        }
    }
}
