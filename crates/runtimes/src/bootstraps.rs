//! The embedded bootstrap files and how they get onto disk.
//!
//! Owns: the files below the directory it is given. Must never: leave a half-written file where a
//! sandbox could mount it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use crate::interpreter::{Interpreter, Language};
use crate::probe::{Deadline, run_with_deadline};

const FILES: [(&str, &str); 16] = [
    ("python/bootstrap.py", include_str!("python/bootstrap.py")),
    ("python/dormouse_runtime.py", include_str!("python/dormouse_runtime.py")),
    ("python/dormouse_ahead.py", include_str!("python/dormouse_ahead.py")),
    ("python/dormouse_rehearsal.py", include_str!("python/dormouse_rehearsal.py")),
    ("python/dormouse_bytecode.py", include_str!("python/dormouse_bytecode.py")),
    ("python/dormouse_compile.py", include_str!("python/dormouse_compile.py")),
    ("python/dormouse_snapstart.py", include_str!("python/dormouse_snapstart.py")),
    ("python/snapshot_restore_py.py", include_str!("python/snapshot_restore_py.py")),
    ("node/bootstrap.cjs", include_str!("node/bootstrap.cjs")),
    ("node/compile.cjs", include_str!("node/compile.cjs")),
    ("node/ahead.cjs", include_str!("node/ahead.cjs")),
    ("node/rehearsal.js", include_str!("node/rehearsal.js")),
    ("node/rehearsed.mjs", include_str!("node/rehearsed.mjs")),
    ("node/client.cjs", include_str!("node/client.cjs")),
    ("node/logs.cjs", include_str!("node/logs.cjs")),
    ("node/stream.cjs", include_str!("node/stream.cjs")),
];

/// Those of them that are imported, but for the rehearsal's function: it stands for one that has to be compiled.
const PYTHON_MODULES: [&str; 5] = [
    "dormouse_runtime.py",
    "dormouse_ahead.py",
    "dormouse_bytecode.py",
    "dormouse_snapstart.py",
    "snapshot_restore_py.py",
];

/// Below the directory of a language's bootstraps, where the bytecode of a function is attached. Empty.
pub(crate) const BYTECODE: &str = "bytecode";

/// Writes the bootstraps to `dir/python` and `dir/node`, each file at once or not at all. The
/// directory of the function's language is what is mounted at `/var/runtime`.
///
/// An empty directory below each is where bytecode can be [attached](crate::BYTECODE_DIR).
///
/// A file that is already as it should be is left alone: its time stamp is what compiled python is
/// checked against.
///
/// # Errors
/// What the file system says.
pub fn install_bootstraps(dir: &Path) -> io::Result<()> {
    for language in [Language::Python, Language::Node] {
        directory(&dir.join(language.directory()).join(BYTECODE))?;
    }
    for (name, text) in FILES {
        let target = dir.join(name);
        let parent = target.parent().unwrap_or(dir);
        directory(parent)?;
        if fs::read(&target).is_ok_and(|present| present == text.as_bytes()) {
            continue;
        }
        // The process id keeps two daemons that start at once out of each other's way.
        let file_name = target.file_name().unwrap_or_default().to_string_lossy();
        let staged = parent.join(format!(".{file_name}.{}", std::process::id()));
        write_synced(&staged, text).and_then(|()| fs::rename(&staged, &target)).inspect_err(
            |_| {
                // Best effort: the error that is returned is the one that matters.
                let _ = fs::remove_file(&staged);
            },
        )?;
    }
    Ok(())
}

/// One that the function's user can look into, whatever the daemon's umask is.
fn directory(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// Tells the bootstraps of this build apart from those of others: a process that was started with others is not
/// to be taken for one of ours.
#[must_use]
pub fn bootstraps_stamp() -> &'static str {
    // Asked for at each cold start, and takes longer than finding what it is asked for.
    static STAMP: LazyLock<String> = LazyLock::new(|| {
        // FNV-1a: nobody gains by finding two that agree.
        let bytes = FILES.iter().flat_map(|(name, text)| name.bytes().chain(text.bytes()));
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        format!("bootstraps {hash:016x}")
    });
    &STAMP
}

fn write_synced(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(text.as_bytes())?;
    // The function's user reads it, whatever the daemon's umask is.
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.sync_all()
}

/// Lets a python interpreter compile the installed bootstrap, which saves 5 ms of each Init. `dir`
/// is the one given to [`install_bootstraps`]. Node needs nothing of the kind.
///
/// # Errors
/// When the interpreter cannot be run, or says that it could not compile.
pub fn precompile(dir: &Path, interpreter: &Interpreter) -> io::Result<()> {
    if interpreter.language != Language::Python {
        return Ok(());
    }
    let mut command = Command::new(&interpreter.program);
    command.args(["-I", "-S", "-m", "py_compile"]);
    command.args(PYTHON_MODULES.map(|name| dir.join("python").join(name)));
    command.env_clear();
    run_with_deadline(command, Deadline::default())?;
    let cache = dir.join("python/__pycache__");
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(&cache)? {
        fs::set_permissions(entry?.path(), fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_installed_and_a_second_time_nothing_changes() {
        let dir = tempfile::tempdir().unwrap();
        install_bootstraps(dir.path()).unwrap();
        let stamp = |name: &str| fs::metadata(dir.path().join(name)).unwrap().modified().unwrap();
        let before: Vec<_> = FILES.iter().map(|(name, _)| stamp(name)).collect();
        fs::write(dir.path().join(FILES[0].0), "damaged").unwrap();
        install_bootstraps(dir.path()).unwrap();
        for ((name, text), before) in FILES.iter().zip(before).skip(1) {
            assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), *text);
            assert_eq!(stamp(name), before);
        }
        assert_eq!(fs::read_to_string(dir.path().join(FILES[0].0)).unwrap(), FILES[0].1);
        assert_eq!(fs::read_dir(dir.path().join("python")).unwrap().count(), 9);
    }
}
