//! Decides from one entry's name and mode what it will be, or why it is refused. Pure.

use dormouse_model::limits;

use crate::package::{PackageError, PathRule};

/// Bytes of one name in a path (Linux `NAME_MAX`).
const NAME_BYTES: usize = 255;
/// Bytes of a name in an error (ours).
const SHOWN_BYTES: usize = 200;

const TYPE_BITS: u32 = 0o170_000;
const NO_TYPE: u32 = 0;
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const SET_ID_BITS: u32 = 0o6_000;
const EXECUTE_BITS: u32 = 0o111;

/// What the package's directory says of one entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    /// The name, in UTF-8 if it is text at all.
    pub(super) name: &'a [u8],
    /// The Unix mode with its type bits; 0 if the package has none.
    ///
    /// Taken from every package, whatever system it says it was made on: a reader that asks for
    /// the system first can be told not to look.
    pub(super) mode: u32,
}

/// What an entry will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// Whether anybody may execute it.
        executable: bool,
    },
    /// A symbolic link.
    Link,
}

/// What to do with an entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan<'a> {
    /// The names that lead to it; none for the package itself.
    pub(super) components: Vec<&'a [u8]>,
    /// What it will be.
    pub(super) kind: Kind,
}

/// Decides.
pub(super) fn decide<'a>(entry: &Entry<'a>) -> Result<Plan<'a>, PackageError> {
    let components = components(entry.name)
        .map_err(|rule| PackageError::UnsafePath { path: text(entry.name), rule })?;
    let kind = kind(entry)?;
    if components.is_empty() && kind != Kind::Directory {
        return Err(PackageError::UnsafePath { path: text(entry.name), rule: PathRule::Empty });
    }
    Ok(Plan { components, kind })
}

/// Bytes as they are shown to people, cut where nobody reads on: names may be 64 KiB long.
pub(super) fn text(bytes: &[u8]) -> String {
    match bytes.get(..SHOWN_BYTES) {
        Some(beginning) => format!("{}...", String::from_utf8_lossy(beginning)),
        None => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The names in a path. Components `.` are dropped: some tools begin every path with one.
fn components(path: &[u8]) -> Result<Vec<&[u8]>, PathRule> {
    let whole = path.strip_suffix(b"/").unwrap_or(path);
    if path.is_empty() {
        return Err(PathRule::Empty);
    }
    if path.len() > limits::PACKAGE_PATH_BYTES {
        return Err(PathRule::TooLong);
    }
    if path.starts_with(b"/") {
        return Err(PathRule::Absolute);
    }
    let mut names = Vec::new();
    for name in whole.split(|byte| *byte == b'/') {
        match name {
            b"" => return Err(PathRule::EmptyComponent),
            b"." => {}
            b".." => return Err(PathRule::Parent),
            _ if name.contains(&0) => return Err(PathRule::Nul),
            _ if name.contains(&b'\\') => return Err(PathRule::Backslash),
            _ if name.len() > NAME_BYTES => return Err(PathRule::TooLong),
            _ => names.push(name),
        }
    }
    if let Some([drive, b':', ..]) = names.first()
        && drive.is_ascii_alphabetic()
    {
        return Err(PathRule::Drive);
    }
    Ok(names)
}

fn kind(entry: &Entry<'_>) -> Result<Kind, PackageError> {
    let is_directory_name = entry.name.ends_with(b"/");
    let kind = match entry.mode & TYPE_BITS {
        // Some tools give directories the type of files; the slash is what readers go by.
        NO_TYPE | FILE if is_directory_name => Kind::Directory,
        NO_TYPE | FILE => Kind::File { executable: entry.mode & EXECUTE_BITS != 0 },
        DIRECTORY => Kind::Directory,
        LINK if !is_directory_name => Kind::Link,
        file_type => {
            return Err(PackageError::ForbiddenType { path: text(entry.name), file_type });
        }
    };
    // On a directory the bits only say which group new files get; they are dropped, not refused.
    if matches!(kind, Kind::File { .. }) && entry.mode & SET_ID_BITS != 0 {
        return Err(PackageError::SetId { path: text(entry.name) });
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(name: &[u8], mode: u32, expected: &str) {
        let entry = Entry { name, mode };
        let got = match decide(&entry) {
            Ok(plan) => {
                let path: Vec<String> = plan.components.iter().map(|c| text(c)).collect();
                let kind = match plan.kind {
                    Kind::Directory => "dir",
                    Kind::File { executable: true } => "exe",
                    Kind::File { executable: false } => "file",
                    Kind::Link => "link",
                };
                format!("{kind} {}", path.join("|"))
            }
            Err(PackageError::UnsafePath { rule, .. }) => format!("{rule:?}"),
            Err(PackageError::ForbiddenType { file_type, .. }) => format!("type {file_type:o}"),
            Err(PackageError::SetId { .. }) => "set id".to_owned(),
            Err(other) => other.to_string(),
        };
        assert_eq!(got, expected, "{:?} {mode:o}", text(name));
    }

    #[test]
    fn good_names_are_taken_apart() {
        check(b"a", 0, "file a");
        check(b"a/b/c", 0, "file a|b|c");
        check(b"a/", 0, "dir a");
        check(b"./a/./b", 0, "file a|b");
        check(b"./", 0, "dir ");
        check(b"...", 0, "file ...");
        check(b"a..b/..c", 0, "file a..b|..c");
        check(b"a:b", 0, "Drive");
        check(b"ab:c", 0, "file ab:c");
        check("ä/日本".as_bytes(), 0, "file ä|日本");
        check(b"a b\n/~", 0, "file a b\n|~");
    }

    #[test]
    fn names_that_could_lead_outside_are_refused() {
        check(b"", 0, "Empty");
        check(b".", 0, "Empty");
        check(b"/", 0, "Absolute");
        check(b"/etc/passwd", 0, "Absolute");
        check(b"//a", 0, "Absolute");
        check(b"..", 0, "Parent");
        check(b"../", 0, "Parent");
        check(b"../a", 0, "Parent");
        check(b"a/../../b", 0, "Parent");
        check(b"a/..", 0, "Parent");
        check(b"a//b", 0, "EmptyComponent");
        check(b"a//", 0, "EmptyComponent");
        check(b"..\\a", 0, "Backslash");
        check(b"a\\b", 0, "Backslash");
        check(b"C:", 0, "Drive");
        check(b"c:/windows", 0, "Drive");
        check(b"./c:/windows", 0, "Drive");
        check(b"a\0b", 0, "Nul");
        check(&[b'a'; 256], 0, "TooLong");
        check(&b"a/".repeat(1_537), 0, "TooLong");
    }

    #[test]
    fn only_files_directories_and_links_are_taken() {
        check(b"a", 0o100_644, "file a");
        check(b"a", 0o100_600, "file a");
        check(b"a", 0o100_755, "exe a");
        check(b"a", 0o100_001, "exe a");
        check(b"a", 0o000_700, "exe a");
        check(b"a", 0o040_755, "dir a");
        check(b"a/", 0o042_775, "dir a");
        check(b"a/", 0o100_644, "dir a");
        check(b"a", 0o120_777, "link a");
        check(b"a/", 0o120_777, "type 120000");
        check(b"a", 0o010_644, "type 10000");
        check(b"a", 0o020_644, "type 20000");
        check(b"a", 0o060_644, "type 60000");
        check(b"a", 0o140_644, "type 140000");
        check(b"a", 0o150_644, "type 150000");
        check(b"a", 0o104_755, "set id");
        check(b"a", 0o102_755, "set id");
        check(b"a", 0o004_755, "set id");
        check(b"a", 0o101_755, "exe a");
    }

    proptest! {
        #[test]
        fn no_accepted_name_has_a_component_that_leads_elsewhere(
            name in proptest::collection::vec(
                prop_oneof![Just(b'/'), Just(b'.'), Just(b'\\'), Just(0), Just(b':'), any::<u8>()],
                0..40,
            ),
            mode in 0u32..0o200_000,
        ) {
            if let Ok(plan) = decide(&Entry { name: &name, mode }) {
                for component in &plan.components {
                    prop_assert!(!component.is_empty() && component.len() <= NAME_BYTES);
                    prop_assert!(*component != b"." && *component != b"..");
                    prop_assert!(!component.iter().any(|b| matches!(b, 0 | b'/' | b'\\')));
                }
                prop_assert!(matches!(mode & TYPE_BITS, 0 | DIRECTORY | FILE | LINK));
            }
        }
    }
}
