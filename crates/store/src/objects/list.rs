//! Keys, versions and uploads in order, with what lies behind a delimiter rolled up.
//!
//! Keys are compared by their bytes. No byte of UTF-8 is `0xff`, so a prefix with one behind it comes
//! after everything that begins with the prefix: that is how what is rolled up is stepped over.

use rusqlite::{Connection, params};

use crate::StorageError;
use crate::objects::row::{COLUMNS, Numbered, numbered, select};
use crate::objects::write::place_of;
use crate::objects::{BucketId, Objects, Version};

/// Which part of a bucket is listed.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    /// What keys begin with.
    pub prefix: String,
    /// What ends a part of a key: keys with the same part behind the prefix are one entry.
    pub delimiter: Option<String>,
    /// A key or a rolled-up part behind which the list begins.
    pub after: Option<String>,
    /// How many entries there are at most.
    pub limit: usize,
}

/// A line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed<T> {
    /// A key of its own.
    One(T),
    /// What several keys begin with.
    Prefix(String),
}

/// A line of a list of keys.
pub type Entry = Listed<Version>;
/// A line of a list of versions.
pub type VersionEntry = Listed<Version>;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// In order.
    pub entries: Vec<Listed<T>>,
    /// Whether there are more.
    pub has_more: bool,
}

/// A version behind which a list of versions begins.
#[derive(Debug, Clone)]
pub struct VersionMarker {
    /// Its key.
    pub key: dormouse_model::object::ObjectKey,
    /// Its id.
    pub version: String,
}

impl Objects {
    /// The objects that the keys of a bucket stand for.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list(&self, bucket: BucketId, walk: Walk) -> Result<Page<Version>, StorageError> {
        self.database
            .read(move |connection| {
                roll(&walk, Start::of(&walk), |start, limit| {
                    let sql = format!(
                        "SELECT {COLUMNS} FROM objects
                         WHERE bucket = ?1 AND latest = 1 AND file IS NOT NULL
                         AND key >= ?2 AND key < ?3 ORDER BY key LIMIT ?4"
                    );
                    let end = beyond(walk.prefix.as_bytes());
                    let rows = params![bucket.0, start.key, end, limit];
                    found(connection, &sql, rows)
                })
            })
            .await
    }

    /// All versions in a bucket, those of a key from the youngest, behind a version or a key.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list_versions(
        &self,
        bucket: BucketId,
        walk: Walk,
        marker: Option<VersionMarker>,
    ) -> Result<Page<Version>, StorageError> {
        self.database
            .read(move |connection| {
                // A marker before the prefix is before all that is listed.
                let is_within =
                    |marker: &VersionMarker| marker.key.as_str() >= walk.prefix.as_str();
                let start = match marker.as_ref().filter(|marker| is_within(marker)) {
                    Some(marker) => Start {
                        key: marker.key.as_str().as_bytes().to_vec(),
                        below: place(connection, bucket, marker)?,
                    },
                    None => Start::of(&walk),
                };
                roll(&walk, start, |start, limit| {
                    let sql = format!(
                        "SELECT {COLUMNS} FROM objects WHERE bucket = ?1 AND key >= ?2
                         AND key < ?3 AND (key > ?2 OR id < ?4)
                         ORDER BY key, id DESC LIMIT ?5"
                    );
                    let end = beyond(walk.prefix.as_bytes());
                    let rows = params![bucket.0, start.key, end, start.below, limit];
                    found(connection, &sql, rows)
                })
            })
            .await
    }
}

fn found(
    connection: &Connection,
    sql: &str,
    parameters: &[&dyn rusqlite::ToSql],
) -> Result<Vec<(Vec<u8>, Version)>, StorageError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let Numbered { version, .. } = numbered(row)?;
        found.push((version.key.as_str().as_bytes().to_vec(), version));
    }
    Ok(found)
}

/// Where the version is that a marker names. One that was removed meanwhile still says it by its id;
/// of a `null` one that was, all versions of its key come (again).
fn place(
    connection: &Connection,
    bucket: BucketId,
    marker: &VersionMarker,
) -> Result<i64, StorageError> {
    let found = select(connection, bucket, &marker.key, Some(&marker.version))?;
    Ok(found.map(|found| found.id).or_else(|| place_of(&marker.version)).unwrap_or(i64::MAX))
}

/// Where a walk begins or goes on.
#[derive(Debug)]
pub(super) struct Start {
    /// At this key.
    pub(super) key: Vec<u8>,
    /// And there, at what was written before this.
    pub(super) below: i64,
}

impl Start {
    pub(super) fn at(key: Vec<u8>) -> Self {
        Self { key, below: i64::MAX }
    }

    pub(super) fn of(walk: &Walk) -> Self {
        let prefix = walk.prefix.as_bytes();
        let after = match &walk.after {
            None => Vec::new(),
            // A marker that is rolled up itself was the last line of the former page.
            Some(after) if rolled(walk, after.as_bytes()) == Some(after.len()) => {
                beyond(after.as_bytes())
            }
            Some(after) => [after.as_bytes(), &[0]].concat(),
        };
        Self::at(after.max(prefix.to_vec()))
    }
}

/// Comes after everything that begins so.
pub(super) fn beyond(prefix: &[u8]) -> Vec<u8> {
    [prefix, &[0xff]].concat()
}

/// How much of a key is rolled up; nothing when it is a line of its own.
fn rolled(walk: &Walk, key: &[u8]) -> Option<usize> {
    let delimiter = walk.delimiter.as_ref()?.as_bytes();
    let rest = key.strip_prefix(walk.prefix.as_bytes())?;
    let at = rest.windows(delimiter.len()).position(|window| window == delimiter)?;
    Some(key.len() - rest.len() + at + delimiter.len())
}

/// Walks over rows in the order of their keys, each fetched as (key, row) from a start on.
pub(super) fn roll<T>(
    walk: &Walk,
    mut start: Start,
    mut fetch: impl FnMut(&Start, usize) -> Result<Vec<(Vec<u8>, T)>, StorageError>,
) -> Result<Page<T>, StorageError> {
    let mut entries = Vec::new();
    if walk.limit == 0 {
        return Ok(Page { entries, has_more: false });
    }
    loop {
        // One more than the page tells whether there is another.
        let wanted = walk.limit + 1 - entries.len();
        let rows = fetch(&start, wanted)?;
        let is_last = rows.len() < wanted;
        let mut jumped = false;
        for (key, row) in rows {
            if entries.len() == walk.limit {
                return Ok(Page { entries, has_more: true });
            }
            match rolled(walk, &key) {
                None => entries.push(Listed::One(row)),
                Some(length) => {
                    let common = String::from_utf8_lossy(&key[..length]).into_owned();
                    start = Start::at(beyond(&key[..length]));
                    entries.push(Listed::Prefix(common));
                    jumped = true;
                    break;
                }
            }
        }
        if !jumped && is_last {
            return Ok(Page { entries, has_more: false });
        }
        debug_assert!(jumped, "a full fetch ends the page");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Lists keys as a database of them would.
    fn page(keys: &BTreeSet<String>, walk: &Walk) -> Page<String> {
        roll(walk, Start::of(walk), |start, limit| {
            let end = beyond(walk.prefix.as_bytes());
            let rows = keys
                .iter()
                .filter(|key| {
                    key.as_bytes() >= start.key.as_slice() && key.as_bytes() < end.as_slice()
                })
                .take(limit)
                .map(|key| (key.as_bytes().to_vec(), key.clone()));
            Ok(rows.collect())
        })
        .unwrap()
    }

    fn check(keys: &str, walk: Walk, expected: &str) {
        let keys = keys.split_whitespace().map(str::to_owned).collect();
        let page = page(&keys, &walk);
        let mut shown: Vec<String> = page
            .entries
            .iter()
            .map(|entry| match entry {
                Listed::One(key) => key.clone(),
                Listed::Prefix(prefix) => format!("({prefix})"),
            })
            .collect();
        if page.has_more {
            shown.push("more".to_owned());
        }
        assert_eq!(shown.join(" "), expected);
    }

    fn walk(prefix: &str, delimiter: &str, after: &str, limit: usize) -> Walk {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Walk { prefix: prefix.to_owned(), delimiter: given(delimiter), after: given(after), limit }
    }

    #[test]
    fn keys_are_rolled_up_behind_a_delimiter() {
        let keys = "a a/ a/b a/c b/x/1 b/x/2 b/y c";
        check(keys, walk("", "", "", 100), keys);
        check(keys, walk("", "/", "", 100), "a (a/) (b/) c");
        check(keys, walk("b/", "/", "", 100), "(b/x/) b/y");
        check(keys, walk("a/", "/", "", 100), "a/ a/b a/c");
        check(keys, walk("", "/", "", 2), "a (a/) more");
        check(keys, walk("", "/", "a/", 2), "(b/) c");
        check(keys, walk("", "/", "a/b", 2), "(a/) (b/) more");
        check(keys, walk("", "/", "c", 2), "");
        check(keys, walk("b", "x/", "", 100), "(b/x/) b/y");
        check(keys, walk("", "/", "", 0), "");
        check(keys, walk("zzz", "/", "", 5), "");
        check(
            "p\u{10ffff} p\u{10ffff}/1 p/1",
            walk("p", "/", "", 5),
            "(p/) p\u{10ffff} (p\u{10ffff}/)",
        );
    }

    proptest! {
        #[test]
        fn pages_are_the_whole_list_cut_up(
            keys in proptest::collection::btree_set("[ab/\u{10ffff}]{1,6}", 0..40),
            prefix in "[ab/]{0,2}",
            delimiter in prop_oneof![Just(String::new()), Just("/".to_owned()), Just("ab".to_owned())],
            limit in 1_usize..6,
        ) {
            let whole = page(&keys, &walk(&prefix, &delimiter, "", 1_000));
            prop_assert!(!whole.has_more);
            let mut pieces = Vec::new();
            let mut after = String::new();
            loop {
                let next = page(&keys, &walk(&prefix, &delimiter, &after, limit));
                prop_assert!(next.entries.len() <= limit);
                pieces.extend(next.entries.clone());
                match next.entries.last() {
                    Some(Listed::One(last) | Listed::Prefix(last)) if next.has_more => {
                        after.clone_from(last);
                    }
                    _ => break,
                }
            }
            prop_assert_eq!(pieces, whole.entries);
        }
    }
}
