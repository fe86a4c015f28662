//! Bytecode compiled ahead: what is compiled, and that importlib finds it and believes no more than it should.

#![expect(clippy::unwrap_used, reason = "test code")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use dormouse_model::runtime::Runtime;
use dormouse_runtimes::install_bootstraps;
use support::{Case, compile, interpreter};

const RUNTIME: &str = "python3.11";

fn runtime() -> Runtime {
    Runtime::parse(RUNTIME).unwrap()
}

/// A handler that answers with what its module is.
fn case(module: &str, compiled: &str) -> Case {
    let handler =
        "def handler(e, c):\n  import lib.it\n  return [lib.it.WHAT, lib.it.__cached__[-3:]]";
    Case::new(RUNTIME, "fn.handler", "fn.py", handler)
        .file("lib/it.py", module)
        .compiled("lib/it.py", compiled)
        .event("{}")
}

fn check(case: Case, expected: &str) {
    let Some(outcome) = case.run() else { return };
    assert_eq!(outcome.posts[0].text(), expected, "stderr: {}", outcome.stderr);
    assert_eq!(outcome.stderr, "");
}

#[test]
fn what_was_compiled_of_source_of_this_size_and_time_is_what_runs() {
    check(case("WHAT = 'b'", "WHAT = 'a'"), r#"["a", "pyc"]"#);
    check(case("WHAT = 'bb'", "WHAT = 'a'"), r#"["bb", "pyc"]"#);
}

#[test]
fn whoever_wants_other_bytecode_is_not_given_this() {
    let other = |name| case("WHAT = 'b'", "WHAT = 'a'").variable(name, "1");
    check(other("PYTHONOPTIMIZE"), r#"["b", "pyc"]"#);
    check(other("PYTHONPYCACHEPREFIX"), r#"["b", "pyc"]"#);
    check(other("PYTHONDONTWRITEBYTECODE"), r#"["a", "pyc"]"#);
}

#[test]
fn errors_look_as_ever() {
    let module = "def fail():\n  raise ValueError('no')";
    let run = |case: Case| {
        let handler = "import it\ndef handler(e, c): it.fail()";
        let case = Case { files: vec![("fn.py".into(), handler.into())], ..case };
        case.file("it.py", module).event("{}").run()
    };
    let plain = Case::new(RUNTIME, "fn.handler", "fn.py", "");
    let Some(outcome) = run(Case { files: vec![], ..plain }) else { return };
    let ahead = Case::new(RUNTIME, "fn.handler", "fn.py", "").compiled("it.py", module);
    let ahead = run(ahead).unwrap();
    assert!(outcome.posts[0].text().contains("raise ValueError('no')"));
    assert_eq!(ahead.posts[0].text(), outcome.posts[0].text());
    assert_eq!((ahead.stdout, ahead.stderr), (outcome.stdout, outcome.stderr));
}

/// The modules in an archive.
fn kept(python: &Path, runtime_dir: &Path, archive: &Path) -> Vec<String> {
    let list = "import sys, dormouse_bytecode as it\nprint('\\n'.join(it.contents(sys.argv[1])))";
    let list = Command::new(python)
        .args(["-S", "-c", list])
        .arg(archive)
        .env("PYTHONPATH", runtime_dir)
        .output()
        .unwrap();
    let module =
        |path: &str| path.rsplit('/').next().unwrap().split('.').next().unwrap().to_owned();
    String::from_utf8(list.stdout).unwrap().lines().map(module).collect()
}

#[test]
fn only_what_importlib_would_use_and_nobody_would_miss_is_compiled() {
    let Some(python) = interpreter(runtime()) else { return };
    let dir = tempfile::tempdir().unwrap();
    install_bootstraps(dir.path()).unwrap();
    let runtime_dir = dir.path().join("python");
    let task = dir.path().join("task");
    fs::create_dir_all(task.join("sub")).unwrap();
    for (name, source) in [
        ("good.py", "x = 1"),
        ("sub/__init__.py", ""),
        ("sub/ran.py", "raise SystemExit('it was run')"),
        ("text.txt", "x = 1"),
        ("wrong.py", "x ="),
        ("zero.py", "\0"),
        ("warned.py", "x = 1 is 1"),
        ("own.py", "x = 1"),
    ] {
        fs::write(task.join(name), source).unwrap();
    }
    let py_compile = ["-m", "py_compile"];
    Command::new(&python.program).args(py_compile).arg(task.join("own.py")).output().unwrap();
    std::os::unix::fs::symlink("nowhere.py", task.join("link.py")).unwrap();
    let archive = dir.path().join("archive");
    fs::write(&archive, compile(runtime(), &python, (&runtime_dir, &task))).unwrap();
    assert_eq!(kept(&python.program, &runtime_dir, &archive), ["good", "__init__", "ran"]);
}

#[test]
fn an_archive_that_was_not_kept_well_is_none() {
    let Some(python) = interpreter(runtime()) else { return };
    let dir = tempfile::tempdir().unwrap();
    install_bootstraps(dir.path()).unwrap();
    let runtime_dir = dir.path().join("python");
    let task = dir.path().join("task");
    fs::create_dir(&task).unwrap();
    fs::write(task.join("it.py"), "WHAT = 1").unwrap();
    let whole = compile(runtime(), &python, (&runtime_dir, &task));
    let bytecode = runtime_dir.join("bytecode");
    let run = |archive: &[u8]| {
        fs::write(bytecode.join("one"), archive).unwrap();
        let script = "import dormouse_bytecode, sys\ndormouse_bytecode.use(sys.argv[1])\nimport it\nprint(it.WHAT)";
        let ran = Command::new(&python.program)
            .args(["-B", "-c", script])
            .arg(&bytecode)
            .env("PYTHONPATH", format!("{}:{}", runtime_dir.display(), task.display()))
            .output()
            .unwrap();
        assert_eq!(ran.stdout, b"1\n", "{}", String::from_utf8_lossy(&ran.stderr));
    };
    run(&whole);
    run(b"");
    run(b"1234567");
    run(&[0xff; 64]);
    run(&whole[whole.len() / 2..]);
    run(&whole[..whole.len() - 9]);
    // A number in place of the dictionary.
    run(b"i\x01\0\0\0\0\0\0\0\0\0\0\0");
}
