//! Packages: zip files from strangers, looked through ([`inspect`]) or unpacked ([`extract`]).
//!
//! Both walk the same way and refuse the same things, so what was accepted when a function was
//! created can be unpacked when it runs. The steps, each in its own file:
//!
//! ```text
//! directory  find the one central directory, count it, bound it      (before the zip crate runs)
//! walk       one entry's name and mode -> what it will be            (pure)
//! tree       all entries together: duplicates, files as directories  (pure)
//! links      where every symbolic link leads                         (pure)
//! read       decompress, count, compare the check sum
//! write      create it below the target with openat2                 (extract only)
//! ```
//!
//! Time and memory are bounded whatever the package says. Only the central directory is believed,
//! and of it only what can be checked: it must end where the end record begins, name at most
//! [`limits::PACKAGE_ENTRIES`] entries and be no larger than 64 MiB, so memory is a small multiple
//! of that. Directories that are only implied count as entries. No byte of the file may belong to
//! two entries, so at most the whole file is decompressed once; the bytes that come out are
//! counted, and the walk ends with the first one past the limit. Every link's target is walked
//! once. Nothing here sleeps, retries or recurses deeper than 40.
//!
//! Must never: trust a size in a header, follow a symbolic link, write outside the target.

use std::fmt;
use std::io::{self, Read, Seek};
use std::os::fd::BorrowedFd;

use dormouse_model::limits;

mod directory;
mod links;
mod read;
mod tree;
mod walk;
mod write;

/// What a package holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Entries it lists.
    pub entries: usize,
    /// Bytes of all its files and link targets, unzipped.
    pub unzipped_bytes: u64,
    /// Files of it that may be executed.
    pub executables: usize,
}

/// Why a package is refused. Paths are shown as text, with what is not text replaced.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// There is no zip file that every reader would understand the same way.
    #[error("not a zip file: {reason}")]
    NotAZip {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It lists nothing.
    #[error("the package has no entries")]
    Empty,
    /// An entry is not what the directory says, or does not decompress, or has a wrong check sum.
    #[error("entry {path:?} is corrupt: {reason}")]
    Corrupt {
        /// Which.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A name that could mean a place outside the package, or none at all.
    #[error("path {path:?} {rule}")]
    UnsafePath {
        /// The name.
        path: String,
        /// The rule it breaks.
        rule: PathRule,
    },
    /// Two entries are the same path.
    #[error("path {path:?} appears twice")]
    Duplicate {
        /// Which.
        path: String,
    },
    /// Something that is not a directory has other entries below it.
    #[error("path {path:?} is a directory and something else")]
    NotADirectory {
        /// Which.
        path: String,
    },
    /// A device, FIFO, socket or anything else that is not a file, a directory or a link.
    #[error("entry {path:?} is of the forbidden type {file_type:#o}")]
    ForbiddenType {
        /// Which.
        path: String,
        /// The type bits of its mode.
        file_type: u32,
    },
    /// A file that would run as somebody else.
    #[error("entry {path:?} has a setuid or setgid bit")]
    SetId {
        /// Which.
        path: String,
    },
    /// A symbolic link that leads out of the package, around in circles, or nowhere expressible.
    #[error("link {path:?} to {target:?} {rule}")]
    UnsafeLink {
        /// Which.
        path: String,
        /// Where to.
        target: String,
        /// The rule it breaks.
        rule: LinkRule,
    },
    /// An entry needs a password.
    #[error("entry {path:?} is encrypted")]
    Encrypted {
        /// Which.
        path: String,
    },
    /// An entry is neither stored nor deflated.
    #[error("entry {path:?} is compressed by {method}")]
    Compression {
        /// Which.
        path: String,
        /// The method.
        method: String,
    },
    /// A byte of the file belongs to two entries: how small files become huge packages.
    #[error("entries overlap")]
    Overlapping,
    /// More entries, with the directories they imply, than are allowed.
    #[error("more than {limit} entries")]
    TooManyEntries {
        /// The limit.
        limit: usize,
    },
    /// More bytes come out than are allowed.
    #[error("more than {limit_bytes} bytes unzipped")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// The file itself cannot be read; nothing is known of the package.
    #[error("the package is unreadable")]
    Unreadable(#[source] io::Error),
}

impl PackageError {
    /// Whether it is refused for its unzipped size, which has an answer of its own.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge { .. })
    }

    /// Whether it is a good zip file with nothing in it, which has an answer of its own.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Whether the fault is ours: the disk's, not the package's.
    #[must_use]
    pub fn is_platform(&self) -> bool {
        matches!(self, Self::Unreadable(_))
    }
}

/// What a path may not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathRule {
    /// Nothing.
    Empty,
    /// From the root.
    Absolute,
    /// Upwards.
    Parent,
    /// With two slashes in a row.
    EmptyComponent,
    /// With a backslash, which some readers take for a slash.
    Backslash,
    /// With a NUL, where some readers stop.
    Nul,
    /// Beginning with a drive.
    Drive,
    /// Longer than a path, or than one name in a path, can be.
    TooLong,
}

impl fmt::Display for PathRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::Absolute => "is absolute",
            Self::Parent => "has a component \"..\"",
            Self::EmptyComponent => "has an empty component",
            Self::Backslash => "has a backslash",
            Self::Nul => "has a NUL",
            Self::Drive => "begins with a drive letter",
            Self::TooLong => "is too long",
        })
    }
}

/// What a symbolic link may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkRule {
    /// Lead nowhere, or have a NUL in its target.
    Malformed,
    /// Have a target longer than a path can be.
    TooLong,
    /// Start from the root.
    Absolute,
    /// End or pass outside the package.
    Outside,
    /// Pass through more than 40 links (as the kernel counts), or through itself.
    Loop,
}

impl fmt::Display for LinkRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "has no usable target",
            Self::TooLong => "has too long a target",
            Self::Absolute => "is absolute",
            Self::Outside => "leaves the package",
            Self::Loop => "passes through too many links",
        })
    }
}

/// Why a package was not unpacked. What was written until then is incomplete: remove it.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The package is at fault.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The target is.
    #[error("{path:?} cannot be written")]
    Write {
        /// What was to be created.
        path: String,
        /// Why it was not.
        #[source]
        source: io::Error,
    },
}

/// Looks through a whole package, decompressing everything and keeping nothing.
///
/// Blocking and busy: up to [`limits::UNZIPPED_BYTES`] are decompressed.
///
/// # Errors
/// The first thing for which [`extract`] would refuse it.
pub fn inspect(package: impl Read + Seek) -> Result<Summary, PackageError> {
    let (mut contents, layout) = read::open(package, limits::UNZIPPED_BYTES)?;
    for item in &layout.files {
        contents.copy(item.index, |_| Ok::<(), PackageError>(()))?;
    }
    Ok(summary(&layout, &contents))
}

/// Unpacks a package into the empty directory `target`, up to `limit_bytes` of contents.
///
/// Directories get mode 0755, files 0644, or 0755 if anybody may execute them, since code in an
/// environment runs as a user of its own; a package without modes has no executables, as on AWS.
/// Modification times are kept. Nothing is synced: whoever needs the result renames the finished
/// directory into place, and one that was left unfinished is never used.
///
/// # Errors
/// What is wrong with the package, or with the target.
pub fn extract(
    package: impl Read + Seek,
    target: BorrowedFd<'_>,
    limit_bytes: u64,
) -> Result<Summary, ExtractError> {
    let (mut contents, layout) = read::open(package, limit_bytes)?;
    let mut writer = write::Writer::new(target, &layout.tree);
    writer.directories()?;
    for item in &layout.files {
        let mut file = writer.file(item)?;
        contents.copy(item.index, |bytes| file.append(bytes))?;
        file.finish()?;
    }
    // Links come after all files, so that not even a mistake above could write through one.
    writer.links()?;
    writer.directory_times()?;
    Ok(summary(&layout, &contents))
}

fn summary<R: Read + Seek>(layout: &read::Layout, contents: &read::Contents<R>) -> Summary {
    Summary {
        entries: layout.entries,
        unzipped_bytes: contents.unzipped_bytes(),
        executables: layout.files.iter().filter(|item| item.executable).count(),
    }
}
