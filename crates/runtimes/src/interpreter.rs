//! What an interpreter is: a language, a version, a program and the tree it lives in.
//!
//! Owns: the type and which host directories it needs. Must never: run anything.

use std::fmt;
use std::path::{Path, PathBuf};

use dormouse_model::runtime::Runtime;

/// A language with managed runtimes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// `python3.N`.
    Python,
    /// `nodejsN.x`.
    Node,
}

impl Language {
    /// The oldest version our bootstrap runs on.
    #[must_use]
    pub fn oldest(self) -> Version {
        let (major, minor) = match self {
            Self::Python => (3, 8),
            Self::Node => (16, 0),
        };
        Version { major, minor, patch: 0 }
    }

    /// The language of a managed runtime; `provided.*` has none.
    #[must_use]
    pub fn of(runtime: Runtime) -> Option<Self> {
        match runtime {
            Runtime::Python { .. } => Some(Self::Python),
            Runtime::Node { .. } => Some(Self::Node),
            Runtime::ProvidedAl2 | Runtime::ProvidedAl2023 => None,
        }
    }

    /// The directory of this language's bootstrap below the installed bootstraps.
    #[must_use]
    pub fn directory(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "node",
        }
    }
}

/// A version as the interpreter itself states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 3 in 3.11.7.
    pub major: u16,
    /// 11 in 3.11.7.
    pub minor: u16,
    /// 7 in 3.11.7.
    pub patch: u16,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Version {
    /// Reads `3.11.7`, `v20.1.0` and `3.14.0rc2`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().trim_start_matches('v').splitn(3, '.');
        let mut number = || {
            let part = parts.next()?;
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            part[..end].parse().ok()
        };
        Some(Self { major: number()?, minor: number()?, patch: number()? })
    }
}

/// An interpreter on this machine, behind all shims and links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// What it runs.
    pub language: Language,
    /// The version it stated.
    pub version: Version,
    /// The real program file.
    pub program: PathBuf,
    /// Its prefix: the directory that holds its `bin` and `lib`.
    pub root: PathBuf,
}

/// The host directories that every sandbox root has anyway.
const ALWAYS_THERE: [&str; 6] = ["/usr", "/lib", "/lib64", "/lib32", "/libx32", "/bin"];

/// Host directories that must be mounted read-only at the same path so that the interpreter runs in a
/// root which has only `/usr`, `/lib*` and `/bin` of the host. Empty for a distribution's own.
///
/// A prefix is mounted whole only when it is the interpreter's alone (a version manager's directory,
/// a conda environment). Of a shared one such as `~/.local` only the needed parts are shown: the rest
/// of somebody's home directory is no business of a function.
#[must_use]
pub fn host_trees(interpreter: &Interpreter) -> Vec<PathBuf> {
    let Interpreter { language, version, program, root } = interpreter;
    let bin = program.parent().unwrap_or(root).to_owned();
    let own = is_own_prefix(root, *version);
    let needed = match language {
        _ if own => vec![root.clone(), bin],
        Language::Python => {
            vec![bin, root.join(format!("lib/python{}.{}", version.major, version.minor))]
        }
        Language::Node => vec![bin],
    };
    let mut trees: Vec<PathBuf> = Vec::new();
    for tree in needed {
        if !is_always_there(&tree) && !trees.iter().any(|outer| tree.starts_with(outer)) {
            trees.push(tree);
        }
    }
    trees
}

/// Whether nothing but this interpreter lives below the prefix.
fn is_own_prefix(root: &Path, version: Version) -> bool {
    let release = format!("{}.{}", version.major, version.minor);
    root.to_string_lossy().contains(&release) || root.join("conda-meta").is_dir()
}

fn is_always_there(path: &Path) -> bool {
    // Mounting the whole root directory would hand the host to the function.
    path == Path::new("/") || ALWAYS_THERE.iter().any(|tree| path.starts_with(tree))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_interpreters_print_them() {
        let check = |text, expected: Option<&str>| {
            let read = Version::parse(text).map(|version| version.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        };
        check("3.11.7", Some("3.11.7"));
        check("v20.19.2\n", Some("20.19.2"));
        check("3.14.0rc2", Some("3.14.0"));
        check("3.11", None);
        check("", None);
        check("command not found", None);
    }

    #[test]
    fn only_what_lies_outside_the_distribution_needs_a_mount() {
        let check = |root: &str, program: &str, expected: &[&str]| {
            let version = Version { major: 3, minor: 12, patch: 0 };
            let (root, program) = (PathBuf::from(root), PathBuf::from(program));
            let found = Interpreter { language: Language::Python, version, program, root };
            let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
            assert_eq!(host_trees(&found), expected);
        };
        check("/usr", "/usr/bin/python3.12", &[]);
        check("/usr/local", "/usr/local/bin/python3.12", &[]);
        check(
            "/home/a/.pyenv/versions/3.12.0",
            "/home/a/.pyenv/versions/3.12.0/bin/python3.12",
            &["/home/a/.pyenv/versions/3.12.0"],
        );
        check("/usr", "/srv/bin/python3.12", &["/srv/bin"]);
        check("/", "/bin/python3.12", &[]);
        // A shared prefix is never shown whole.
        let local = ["/home/a/.local/bin", "/home/a/.local/lib/python3.12"];
        check("/home/a/.local", "/home/a/.local/bin/python3.12", &local);
    }
}
