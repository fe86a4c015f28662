//! The search and the installation, on the machine that runs the tests.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use dormouse_runtimes::{
    Language, discover, host_trees, install_bootstraps, precompile, standard_candidates,
};

#[test]
fn the_interpreters_of_the_distribution_are_found_and_need_no_mounts() {
    for (language, program) in
        [(Language::Python, "/usr/bin/python3"), (Language::Node, "/usr/bin/node")]
    {
        if !Path::new(program).exists() {
            eprintln!("SKIPPED: no {program} here");
            continue;
        }
        let found = discover(&standard_candidates(Some(OsStr::new("/usr/bin")), None));
        let real = fs::canonicalize(program).unwrap();
        let ours: Vec<_> = found.iter().filter(|one| one.program == real).collect();
        assert_eq!(ours.len(), 1, "{found:?}");
        assert_eq!((ours[0].language, ours[0].root.to_str()), (language, Some("/usr")));
        assert_eq!(host_trees(ours[0]), Vec::<std::path::PathBuf>::new());
        let stated = Command::new(program).arg("--version").output().unwrap();
        let stated = String::from_utf8(stated.stdout).unwrap();
        assert!(stated.contains(&ours[0].version.to_string()), "{stated}");
    }
}

#[test]
fn the_python_bootstrap_is_compiled_ahead_for_each_interpreter_and_everyone_may_read_it() {
    let found = discover(&[Path::new("/usr/bin").to_owned()]);
    let Some(python) = found.iter().find(|one| one.language == Language::Python) else {
        eprintln!("SKIPPED: no python here");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    install_bootstraps(dir.path()).unwrap();
    precompile(dir.path(), python).unwrap();
    let cache = dir.path().join("python/__pycache__");
    let tag = format!("cpython-{}{}.pyc", python.version.major, python.version.minor);
    let compiled = cache.join(format!("dormouse_runtime.{tag}"));
    assert_eq!(fs::metadata(&compiled).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o755);
}
