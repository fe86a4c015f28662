//! Container images: what is kept of one, and what it comes to when it is run.

use serde::{Deserialize, Serialize};

use crate::names::Digest;

/// An image as it was found under its name, and not looked up again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The name the user gave.
    pub uri: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// Its layers: a later one covers those before it.
    pub layers: Vec<ImageLayer>,
    /// What it says of how it is run.
    pub defaults: Defaults,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageLayer {
    /// The digest of its bytes as they are stored.
    pub digest: Digest,
    /// How many these are.
    pub size_bytes: u64,
    /// How to read them.
    pub form: LayerForm,
}

/// How the archive of a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LayerForm {
    /// Not at all.
    Tar,
    /// By gzip.
    Gzip,
}

/// What an image says of how it is run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defaults {
    /// `ENTRYPOINT`.
    pub entry_point: Vec<String>,
    /// `CMD`.
    pub command: Vec<String>,
    /// `WORKDIR`; `/` when empty.
    pub working_directory: String,
    /// `ENV`, in order.
    pub variables: Vec<(String, String)>,
}

/// `ImageConfig`: what a function says instead of its image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// In place of `ENTRYPOINT`.
    pub entry_point: Option<Vec<String>>,
    /// In place of `CMD`.
    pub command: Option<Vec<String>>,
    /// In place of `WORKDIR`.
    pub working_directory: Option<String>,
}

impl Image {
    /// The name that means exactly this image: tag and digest in one would be ambiguous.
    #[must_use]
    pub fn resolved_uri(&self) -> String {
        let name = self.uri.split_once(['@', '#']).map_or(self.uri.as_str(), |(name, _)| name);
        let path = name.rfind('/').map_or(0, |slash| slash + 1);
        let name = name[path..].find(':').map_or(name, |colon| &name[..path + colon]);
        format!("{name}@sha256:{}", self.digest)
    }
}

/// The program of an image, as it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Where it runs.
    pub working_directory: String,
}

impl Defaults {
    /// What is started. An entry point of the function's own leaves the image's command out, as it
    /// does where containers come from; an empty list or text stands for none.
    #[must_use]
    pub fn started(&self, config: &ImageConfig) -> Started {
        let given = |words: &Option<Vec<String>>| words.clone().filter(|words| !words.is_empty());
        let (entry_point, command) = (given(&config.entry_point), given(&config.command));
        let command = command.unwrap_or_else(|| match entry_point {
            Some(_) => Vec::new(),
            None => self.command.clone(),
        });
        let mut argv = entry_point.unwrap_or_else(|| self.entry_point.clone());
        argv.extend(command);
        let directory = config.working_directory.as_ref().filter(|text| !text.is_empty());
        let directory = directory.unwrap_or(&self.working_directory);
        let working_directory = if directory.is_empty() { "/" } else { directory }.to_owned();
        Started { argv, working_directory }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn check(entry_point: Option<&str>, command: Option<&str>, expected: &str) {
        let image =
            Defaults { entry_point: words("/e 1"), command: words("c"), ..Defaults::default() };
        let config = ImageConfig {
            entry_point: entry_point.map(words),
            command: command.map(words),
            working_directory: None,
        };
        assert_eq!(image.started(&config).argv.join(" "), expected);
    }

    #[test]
    fn a_function_says_it_instead_of_its_image() {
        check(None, None, "/e 1 c");
        check(None, Some("d e"), "/e 1 d e");
        check(Some("/f"), Some("d"), "/f d");
        check(Some("/f"), None, "/f");
        check(Some(""), Some(""), "/e 1 c");
    }

    #[test]
    fn the_resolved_name_has_the_digest_in_place_of_tag_and_digest() {
        let digest: Digest = "a".repeat(64).parse().unwrap();
        for (uri, name) in [
            ("file:///images/app", "file:///images/app"),
            ("file:///images/app:v1", "file:///images/app"),
            ("127.0.0.1:5000/team/app:v1", "127.0.0.1:5000/team/app"),
            ("127.0.0.1:5000/team/app", "127.0.0.1:5000/team/app"),
            ("127.0.0.1:5000/app:v1@sha256:b", "127.0.0.1:5000/app"),
            ("app", "app"),
            ("s3://bucket/a/app.tar#v1", "s3://bucket/a/app.tar"),
        ] {
            let image = Image {
                uri: uri.into(),
                digest: digest.clone(),
                layers: vec![],
                defaults: Defaults::default(),
            };
            assert_eq!(image.resolved_uri(), format!("{name}@sha256:{digest}"), "{uri}");
        }
    }

    #[test]
    fn the_working_directory_is_the_root_unless_somebody_names_one() {
        let mut image = Defaults::default();
        let mut config = ImageConfig::default();
        assert_eq!(image.started(&config).working_directory, "/");
        image.working_directory = "/app".into();
        config.working_directory = Some(String::new());
        assert_eq!(image.started(&config).working_directory, "/app");
        config.working_directory = Some("/var/task".into());
        assert_eq!(image.started(&config).working_directory, "/var/task");
    }
}
