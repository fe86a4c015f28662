//! Documents of an image that are held in memory, one after the other as they are asked for.

use std::collections::HashMap;
use std::io::{self, Cursor};

use dormouse_model::names::Digest;

use super::files::{Files, Opened};
use super::{blob, sha256};

/// Documents by name, as a layout has them.
#[derive(Debug)]
pub struct Documents {
    first: Digest,
    by_name: HashMap<String, Vec<u8>>,
}

impl Documents {
    /// A layout whose only image begins with this document.
    #[must_use]
    pub fn beginning_with(first: Vec<u8>) -> Self {
        let digest = sha256(&first);
        let index =
            format!(r#"{{"manifests":[{{"digest":"sha256:{digest}","size":{}}}]}}"#, first.len());
        let by_name =
            [("index.json".to_owned(), index.into_bytes()), (blob(&digest), first)].into();
        Self { first: digest, by_name }
    }

    /// The digest of the document that it begins with.
    #[must_use]
    pub fn first(&self) -> &Digest {
        &self.first
    }

    /// Adds what was missing.
    pub fn add(&mut self, name: String, bytes: Vec<u8>) {
        self.by_name.insert(name, bytes);
    }
}

impl Files for Documents {
    fn open(&self, name: &str) -> io::Result<Opened> {
        let bytes = self.by_name.get(name).ok_or(io::ErrorKind::NotFound)?.clone();
        Ok(Opened { size: bytes.len() as u64, bytes: Box::new(Cursor::new(bytes)) })
    }
}
