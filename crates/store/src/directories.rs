//! Directories of this machine that the operator lets functions use, and the way to one below them.
//!
//! A path comes from a client. It is taken as it stands: without `..` and without a symbolic link
//! anywhere on the way, so that nobody who may write below an allowed directory can lead out of it.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;

/// The directories below which paths may be used. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Directories {
    allowed: Arc<[Allowed]>,
}

#[derive(Debug)]
struct Allowed {
    /// As the operator wrote it, which is how users will write it.
    given: PathBuf,
    /// Where that leads.
    real: PathBuf,
}

/// A directory that may be used.
#[derive(Debug)]
pub struct Found {
    /// The way to it, without links.
    pub path: PathBuf,
    /// The directory itself, opened as a place only.
    pub place: OwnedFd,
}

impl Found {
    /// Opens a file in it for reading, without following a link.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn file(&self, name: &str) -> io::Result<File> {
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        // Without waiting, should it be a FIFO.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(openat2(&self.place, name, flags, Mode::empty(), resolve)?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

/// Why a directory is not used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The operator allows none.
    #[error("no directory of this machine may be used")]
    NoneAllowed,
    /// It is not below one that is allowed.
    #[error("{} is not below any of {allowed}", path.display())]
    NotAllowed {
        /// The path.
        path: PathBuf,
        /// Those that are.
        allowed: String,
    },
    /// It is relative, or has `..` in it.
    #[error("{} is not a plain absolute path", path.display())]
    NotPlain {
        /// The path.
        path: PathBuf,
    },
    /// A part of it is a symbolic link.
    #[error("{} leads through a symbolic link", path.display())]
    Link {
        /// The path.
        path: PathBuf,
    },
    /// There is nothing.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// There is something else.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The user that functions run as cannot look into it.
    #[error("{} cannot be read by everybody", path.display())]
    Closed {
        /// The path.
        path: PathBuf,
    },
    /// It cannot be opened.
    #[error("{} cannot be opened", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Directories {
    /// Allows these directories.
    ///
    /// # Errors
    /// The first that is not there or is no directory.
    pub fn allow(given: &[PathBuf]) -> Result<Self, Unusable> {
        let allowed = given.iter().map(|given| {
            let path = given.clone();
            if !given.is_absolute() {
                return Err(Unusable::NotPlain { path });
            }
            match fs::canonicalize(given) {
                Ok(real) if real.is_dir() => Ok(Allowed { given: path, real }),
                Ok(_) => Err(Unusable::NotADirectory { path }),
                Err(source) => Err(Unusable::Io { path, source }),
            }
        });
        Ok(Self { allowed: allowed.collect::<Result<_, _>>()? })
    }

    /// Finds a directory.
    ///
    /// # Errors
    /// Why it may not or cannot be used.
    pub fn place(&self, text: &str) -> Result<Found, Unusable> {
        let path = self.resolve(text)?;
        let place = open(&path)?;
        Ok(Found { path, place })
    }

    /// Finds a directory that functions can read.
    ///
    /// # Errors
    /// Why it may not or cannot be used.
    pub fn find(&self, text: &str) -> Result<Found, Unusable> {
        let Found { path, place } = self.place(text)?;
        let stat = fstat(&place)
            .map_err(|errno| Unusable::Io { path: path.clone(), source: errno.into() })?;
        if stat.st_mode & READ_AND_ENTER != READ_AND_ENTER {
            return Err(Unusable::Closed { path });
        }
        Ok(Found { path, place })
    }

    /// The way without links, if it is below an allowed directory. Looks at text only.
    fn resolve(&self, text: &str) -> Result<PathBuf, Unusable> {
        let path = Path::new(text);
        let plain = path.components().all(|part| match part {
            Component::RootDir | Component::Normal(_) => true,
            Component::Prefix(_) | Component::CurDir | Component::ParentDir => false,
        });
        if !path.is_absolute() || !plain || text.contains('\0') {
            return Err(Unusable::NotPlain { path: path.to_owned() });
        }
        if self.allowed.is_empty() {
            return Err(Unusable::NoneAllowed);
        }
        let below = |allowed: &Allowed| {
            let rest =
                path.strip_prefix(&allowed.real).or_else(|_| path.strip_prefix(&allowed.given));
            // Joining nothing would add a slash.
            rest.ok().map(|rest| match rest.as_os_str().is_empty() {
                true => allowed.real.clone(),
                false => allowed.real.join(rest),
            })
        };
        self.allowed.iter().find_map(below).ok_or_else(|| Unusable::NotAllowed {
            path: path.to_owned(),
            allowed: self.to_string(),
        })
    }
}

impl fmt::Display for Directories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, allowed) in self.allowed.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{}", allowed.given.display())?;
        }
        Ok(())
    }
}

/// Read and enter, for those who are neither owner nor in the group.
const READ_AND_ENTER: u32 = 0o005;

/// Opens a directory by a path that must lead there without any link.
fn open(path: &Path) -> Result<OwnedFd, Unusable> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(CWD, path, flags, Mode::empty(), resolve).map_err(|errno| {
        let path = path.to_owned();
        match errno {
            Errno::LOOP => Unusable::Link { path },
            Errno::NOENT => Unusable::Missing { path },
            Errno::NOTDIR => Unusable::NotADirectory { path },
            errno => Unusable::Io { path, source: errno.into() },
        }
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use proptest::prelude::*;

    use super::*;

    /// `home` is a link to `real`, of which `home/open` is allowed.
    fn machine() -> (tempfile::TempDir, Directories) {
        let root = tempfile::tempdir().unwrap();
        let base = root.path().canonicalize().unwrap();
        for name in ["real/open/app", "real/open/closed", "real/secret", "real/openly"] {
            fs::create_dir_all(base.join(name)).unwrap();
        }
        fs::write(base.join("real/open/file"), "").unwrap();
        symlink(base.join("real"), base.join("home")).unwrap();
        symlink("../secret", base.join("real/open/out")).unwrap();
        symlink("app", base.join("real/open/in")).unwrap();
        let closed = base.join("real/open/closed");
        fs::set_permissions(closed, fs::Permissions::from_mode(0o750)).unwrap();
        let directories = Directories::allow(&[base.join("home/open")]).unwrap();
        (root, directories)
    }

    #[test]
    fn only_what_lies_below_an_allowed_directory_is_found() {
        let (root, directories) = machine();
        let base = root.path().canonicalize().unwrap();
        let found = |path: &str| match directories.find(&format!("{}{path}", base.display())) {
            Ok(found) => found.path.strip_prefix(&base).unwrap().display().to_string(),
            Err(error) => error.to_string().replace(&base.display().to_string(), ""),
        };
        assert_eq!(found("/home/open/app"), "real/open/app");
        assert_eq!(found("/real/open/app/"), "real/open/app");
        assert_eq!(found("//real//open/./app"), "real/open/app");
        assert_eq!(found("/home/open"), "real/open");
        assert_eq!(found("/home/open/in"), "/real/open/in leads through a symbolic link");
        assert_eq!(found("/home/open/out"), "/real/open/out leads through a symbolic link");
        assert_eq!(found("/home/open/file"), "/real/open/file is not a directory");
        assert_eq!(found("/home/open/none"), "/real/open/none does not exist");
        assert_eq!(found("/home/open/closed"), "/real/open/closed cannot be read by everybody");
        assert_eq!(found("/home/secret"), "/home/secret is not below any of /home/open");
        assert_eq!(found("/real/openly"), "/real/openly is not below any of /home/open");
        let up = "/home/open/../secret";
        assert_eq!(found(up), format!("{up} is not a plain absolute path"));
    }

    #[test]
    fn what_is_no_path_is_refused_and_nothing_is_allowed_by_default() {
        let (_root, directories) = machine();
        for text in ["", "app", "./app", "~/app", "/a\0b"] {
            let refused = directories.find(text);
            assert!(matches!(refused, Err(Unusable::NotPlain { .. })), "{text:?} {refused:?}");
        }
        let none = Directories::default().find("/usr");
        assert!(matches!(none, Err(Unusable::NoneAllowed)));
        assert!(Directories::allow(&["/nowhere".into()]).is_err());
        assert!(Directories::allow(&["/etc/passwd".into()]).is_err());
        assert!(Directories::allow(&["etc".into()]).is_err());
    }

    proptest! {
        #[test]
        fn no_path_leads_out(parts in proptest::collection::vec(
            prop_oneof![
                Just(".."), Just("."), Just(""), Just("open"), Just("out"), Just("in"),
                Just("app"), Just("home"), Just("real"), Just("secret"),
            ],
            0..8,
        )) {
            let (root, directories) = machine();
            let base = root.path().canonicalize().unwrap();
            let path = format!("{}/{}", base.display(), parts.join("/"));
            if let Ok(found) = directories.find(&path) {
                let there = fs::canonicalize(&found.path).unwrap();
                prop_assert_eq!(&there, &found.path);
                prop_assert!(there.starts_with(base.join("real/open")), "{}", path);
            }
        }
    }
}
