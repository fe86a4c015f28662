//! Where an image is, by its name. Pure.
//!
//! | Name | Image |
//! |---|---|
//! | `oci:/path[:tag]` | a directory in the OCI image layout |
//! | `docker-archive:/path[:tag]` | a file that `docker save` or an OCI tool made |
//! | `s3://bucket/key[#tag]` | such a file in this server's S3 |
//! | `host[:port]/name[:tag][@sha256:digest]` | in a registry |
//!
//! The first two are written as skopeo writes them.

use dormouse_model::names::Digest;

/// A place where an image may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Location {
    /// A directory of the machine.
    Layout {
        /// Its path.
        path: String,
    },
    /// A file of the machine.
    Archive {
        /// The directory it is in.
        directory: String,
        /// Its name there.
        name: String,
    },
    /// An object.
    Object {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// In a registry.
    Registry(Reference),
}

/// An image of a registry. Every part is plain text for a path of HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// The host, with its port.
    pub(super) host: String,
    /// The name there.
    pub(super) repository: String,
    /// Which of that name; `digest` counts if there is one.
    tag: String,
    /// The digest of its manifest.
    pub(super) digest: Option<Digest>,
}

impl Reference {
    /// Where its manifest is, below its name.
    pub(super) fn manifest(&self) -> String {
        match &self.digest {
            Some(digest) => format!("manifests/sha256:{digest}"),
            None => format!("manifests/{}", self.tag),
        }
    }
}

/// A place, and which of the images there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) location: Location,
    pub(super) tag: Option<String>,
}

/// Reads a name; nothing when it is of another kind.
pub(super) fn read(uri: &str) -> Option<Named> {
    if let Some(rest) = uri.strip_prefix("oci:") {
        let (path, tag) = tagged(rest);
        return Some(Named { location: Location::Layout { path }, tag });
    }
    if let Some(rest) = uri.strip_prefix("docker-archive:") {
        let (path, tag) = tagged(rest);
        let (directory, name) = path.rsplit_once('/')?;
        // The file system's own root stays one.
        let directory = if directory.is_empty() { "/" } else { directory }.to_owned();
        let plain = !matches!(name, "" | "." | "..");
        let location = Location::Archive { directory, name: name.to_owned() };
        return plain.then_some(Named { location, tag });
    }
    let Some(rest) = uri.strip_prefix("s3://") else {
        let location = Location::Registry(reference(uri)?);
        return Some(Named { location, tag: None });
    };
    let (rest, tag) = match rest.split_once('#') {
        Some((rest, tag)) => (rest, Some(tag.to_owned())),
        None => (rest, None),
    };
    let (bucket, key) = rest.split_once('/').filter(|(_, key)| !key.is_empty())?;
    let location = Location::Object { bucket: bucket.to_owned(), key: key.to_owned() };
    Some(Named { location, tag })
}

fn reference(uri: &str) -> Option<Reference> {
    let (rest, digest) = match uri.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.strip_prefix("sha256:")?.parse().ok()?)),
        None => (uri, None),
    };
    let (host, rest) = rest.split_once('/')?;
    let (repository, tag) = tagged(rest);
    let tag = tag.unwrap_or_else(|| "latest".to_owned());
    let word = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    let part = |text: &str| !text.is_empty() && !text.starts_with('.') && word(text);
    let fits = repository.len() <= 255
        && repository.split('/').all(part)
        && tag.len() <= 128
        && part(&tag)
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    fits.then(|| Reference { host: host.to_owned(), repository, tag, digest })
}

/// A colon in the last name of a path begins a tag.
fn tagged(text: &str) -> (String, Option<String>) {
    match text.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path.to_owned(), Some(tag.to_owned())),
        _ => (text.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, expected: &str) {
        let shown = read(uri).map_or_else(
            || "nothing".to_owned(),
            |named| {
                let tag = named.tag.unwrap_or_else(|| "-".to_owned());
                match named.location {
                    Location::Layout { path } => format!("layout {path} {tag}"),
                    Location::Archive { directory, name } => {
                        format!("archive {directory} {name} {tag}")
                    }
                    Location::Object { bucket, key } => format!("object {bucket} {key} {tag}"),
                    Location::Registry(it) => {
                        format!("registry {} {} {}", it.host, it.repository, it.manifest())
                    }
                }
            },
        );
        assert_eq!(shown, expected, "{uri}");
    }

    #[test]
    fn an_image_is_found_by_its_name() {
        check("oci:/images/app", "layout /images/app -");
        check("oci:/images/app:v1", "layout /images/app v1");
        check("oci:/a:b/app", "layout /a:b/app -");
        check("docker-archive:/images/app.tar:v1", "archive /images app.tar v1");
        check("docker-archive:/app.tar", "archive / app.tar -");
        check("docker-archive:app.tar", "nothing");
        check("docker-archive:/images/..", "nothing");
        check("s3://bucket/a/b.tar", "object bucket a/b.tar -");
        check("s3://bucket/b.tar#v1", "object bucket b.tar v1");
        check("s3://bucket", "nothing");
        check("s3://bucket/", "nothing");
        check("127.0.0.1:5000/team/x:1", "registry 127.0.0.1:5000 team/x manifests/1");
        check("r.io/x", "registry r.io x manifests/latest");
        let digest = "a".repeat(64);
        let by_digest = format!("registry r.io x manifests/sha256:{digest}");
        check(&format!("r.io/x:1@sha256:{digest}"), &by_digest);
        for wrong in
            ["x", "r.io/", "r.io/../x", "r.io/x?y", "r.io/x y", "r.io/x@sha256:1", "r.io/x:a/../b"]
        {
            check(wrong, "nothing");
        }
        check("", "nothing");
    }
}
