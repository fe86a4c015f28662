//! The search for interpreters in the directories a machine keeps them in.
//!
//! Owns: which names count and in which order. Must never: trust a file name: each program is asked.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::interpreter::{Interpreter, Language};
use crate::probe::{Deadline, ask};

/// No machine has this many; a directory full of links must not cost minutes.
const PROGRAMS_LIMIT: usize = 64;

/// Finds the interpreters in these directories, in this order, each once. A directory may also be a
/// program itself. What is too old for our bootstraps is left out. Blocks while it runs them: up to
/// 5 s for each that hangs.
///
/// A script, such as a version manager's shim, is asked only when no program of its language was
/// found: it takes a hundred times as long to answer and leads to one that is found anyway.
#[must_use]
pub fn discover(candidates: &[PathBuf]) -> Vec<Interpreter> {
    let mut asked = HashSet::new();
    let named = candidates.iter().flat_map(|candidate| programs_in(candidate));
    let fresh = named.filter(|(_, path)| {
        // Two names of one file are one question; a shim is its own file and is asked.
        fs::canonicalize(path).is_ok_and(|real| asked.insert(real))
    });
    let (scripts, programs): (Vec<_>, Vec<_>) =
        fresh.take(PROGRAMS_LIMIT).partition(|(_, path)| is_script(path));
    let mut found = Vec::new();
    for (language, path) in &programs {
        add(&mut found, *language, path);
    }
    for (language, path) in &scripts {
        if !found.iter().any(|known| known.language == *language) {
            add(&mut found, *language, path);
        }
    }
    found
}

fn add(found: &mut Vec<Interpreter>, language: Language, path: &Path) {
    let Some(interpreter) = ask(language, path, Deadline::default()) else { return };
    let known = found.iter().any(|known| known.program == interpreter.program);
    if interpreter.version >= language.oldest() && !known {
        found.push(interpreter);
    }
}

fn is_script(path: &Path) -> bool {
    let mut first = [0; 2];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut first)).is_ok() && first == *b"#!"
}

/// The programs of a directory by name, sorted so that two runs agree.
fn programs_in(candidate: &Path) -> Vec<(Language, PathBuf)> {
    let named = |path: PathBuf| {
        let language = language_of_name(path.file_name()?.to_str()?)?;
        Some((language, path))
    };
    if candidate.is_file() {
        return named(candidate.to_owned()).into_iter().collect();
    }
    let Ok(entries) = fs::read_dir(candidate) else {
        return Vec::new();
    };
    let mut programs: Vec<_> = entries.flatten().filter_map(|entry| named(entry.path())).collect();
    programs.sort();
    programs
}

/// `python3`, `python3.N`, `node`, `nodejs`, `nodeNN`.
fn language_of_name(name: &str) -> Option<Language> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if name == "python3" || name.strip_prefix("python3.").is_some_and(digits) {
        return Some(Language::Python);
    }
    let node = name == "node" || name == "nodejs" || name.strip_prefix("node").is_some_and(digits);
    node.then_some(Language::Node)
}

/// Where interpreters are usually kept: `PATH`, the system's directories, and the version managers of
/// this home directory.
#[must_use]
pub fn standard_candidates(path: Option<&OsStr>, home: Option<&Path>) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = path.map(std::env::split_paths).into_iter().flatten().collect();
    all.extend(["/usr/bin", "/usr/local/bin"].map(PathBuf::from));
    if let Some(home) = home {
        for (versions, bin) in [
            (".pyenv/versions", "bin"),
            (".nvm/versions/node", "bin"),
            (".asdf/installs/python", "bin"),
            (".asdf/installs/nodejs", "bin"),
            (".local/share/mise/installs/python", "bin"),
            (".local/share/mise/installs/node", "bin"),
            (".local/share/uv/python", "bin"),
            (".local/share/fnm/node-versions", "installation/bin"),
            (".volta/tools/image/node", "bin"),
            ("n/n/versions/node", "bin"),
        ] {
            all.extend(versions_below(&home.join(versions), bin));
        }
    }
    all.extend(versions_below(Path::new("/usr/local/n/versions/node"), "bin"));
    let mut seen = HashSet::new();
    // A relative entry of PATH means another directory tomorrow.
    all.retain(|dir| dir.is_absolute() && seen.insert(dir.clone()));
    all
}

fn versions_below(dir: &Path, bin: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut found: Vec<_> = entries.flatten().map(|entry| entry.path().join(bin)).collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::interpreter::Version;

    #[test]
    fn names_are_told_apart_from_their_relatives() {
        let check = |name, expected| assert_eq!(language_of_name(name), expected, "{name}");
        check("python3", Some(Language::Python));
        check("python3.14", Some(Language::Python));
        check("python3-config", None);
        check("python3.11-config", None);
        check("python", None);
        check("node", Some(Language::Node));
        check("nodejs", Some(Language::Node));
        check("node22", Some(Language::Node));
        check("node-gyp", None);
    }

    fn script(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn shims_are_resolved_and_every_interpreter_is_listed_once() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("versions/22.4.1/bin/node");
        let root = dir.path().join("versions/22.4.1");
        let answer = format!("printf '22.4.1\\n{}\\n{}\\n'", real.display(), root.display());
        script(&real, &answer);
        script(&dir.path().join("shims/node"), &answer);
        script(&dir.path().join("shims/node22"), "exit 127");
        script(&dir.path().join("shims/node14"), "printf '14.2.0\\n/n\\n/\\n'");
        symlink(&real, dir.path().join("versions/22.4.1/bin/nodejs")).unwrap();
        let found = discover(&[dir.path().join("shims"), root.join("bin"), dir.path().join("no")]);
        let version = Version { major: 22, minor: 4, patch: 1 };
        let expected = Interpreter { language: Language::Node, version, program: real, root };
        assert_eq!(found, [expected]);
    }

    #[test]
    fn version_managers_of_the_home_directory_are_searched_after_the_path() {
        let home = tempfile::tempdir().unwrap();
        let pyenv = home.path().join(".pyenv/versions/3.12.1");
        fs::create_dir_all(&pyenv).unwrap();
        let path = OsStr::new("/first:relative:/usr/bin");
        let found = standard_candidates(Some(path), Some(home.path()));
        let first: Vec<_> = found.iter().take(4).map(|dir| dir.display().to_string()).collect();
        let pyenv_bin = pyenv.join("bin").display().to_string();
        assert_eq!(first, ["/first", "/usr/bin", "/usr/local/bin", &pyenv_bin]);
    }
}
