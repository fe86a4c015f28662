//! The python bootstrap at its restore point: hooks, a connection that breaks there, what it goes on with.

mod support;

use serde_json::json;
use support::{AtRestorePoint, Case, Outcome};

fn case(source: &str) -> Case {
    Case::new("python3.12", "fn.handler", "fn.py", source)
}

/// Says what it ran, in this order, to whoever invokes it.
const HOOKS: &str = "
from snapshot_restore_py import register_before_snapshot, register_after_restore
ran = []
@register_before_snapshot
def first(): ran.append('before 1')
register_before_snapshot(ran.append, 'before 2')
@register_after_restore
def restored(): ran.append('after 1')
def with_arguments(a, b=0, *, c): ran.append('after 2 %s %s %s' % (a, b, c))
register_after_restore(with_arguments, 1, b=2, c=3)
def handler(event, context): return [ran, first.__name__, context.log_stream_name]
";

const ALL_RAN: &str =
    r#"[["before 2", "before 1", "after 1", "after 2 1 2 3"], "first", "2026/01/01/[$LATEST]0"]"#;

#[test]
fn hooks_run_before_the_snapshot_in_reverse_and_after_the_restore_in_order() {
    let Some(outcome) = case(HOOKS).snap_start(0).event("{}").run() else { return };
    assert_eq!(outcome.posts[0].text(), ALL_RAN, "{}", outcome.stderr);
    assert_eq!((outcome.restores.len(), outcome.exit), (1, None));
}

#[test]
fn without_snap_start_nothing_is_run_and_nobody_asks_to_be_restored() {
    let Some(outcome) = case(HOOKS).event("{}").run() else { return };
    assert!(outcome.posts[0].text().starts_with("[[], "), "{}", outcome.posts[0].text());
    assert_eq!(outcome.restores, []);
}

#[test]
fn a_function_without_hooks_passes_its_restore_point() {
    let case = case("def handler(event, context): return 1").snap_start(1).event("{}");
    let Some(outcome) = case.run() else { return };
    assert_eq!((outcome.posts[0].text(), outcome.restores.len()), ("1", 2));
}

#[test]
fn where_the_connection_breaks_it_asks_again_and_hooks_run_once() {
    for broken in [1, 2, 20] {
        let Some(outcome) = case(HOOKS).snap_start(broken).event("{}").run() else { return };
        assert_eq!(outcome.posts[0].text(), ALL_RAN, "{}", outcome.stderr);
        assert_eq!((outcome.restores.len(), outcome.exit), (broken + 1, None));
    }
}

#[test]
fn at_the_restore_point_only_the_records_and_one_connection_are_open() {
    let case = case("def handler(event, context): return 1").snap_start(1).frames().event("{}");
    let Some(outcome) = case.run() else { return };
    let descriptors = vec!["frames".to_owned(), "socket".to_owned()];
    let seen = AtRestorePoint { descriptors, threads: 1 };
    assert_eq!(outcome.restores, [seen.clone(), seen]);
}

#[test]
fn what_was_written_before_is_not_written_again_by_each_restored_process() {
    let source =
        "import sys\nsys.stdout.write('half')\ndef handler(event, context):\n    print(' a line')";
    let Some(outcome) = case(source).snap_start(0).event("{}").run() else { return };
    assert_eq!(outcome.stdout, "half a line\n");
}

fn failed(source: &str, path: &str) -> Option<Outcome> {
    let outcome = case(source).snap_start(0).event("{}").run()?;
    assert_eq!(outcome.posts.len(), 1, "{}", outcome.stderr);
    assert_eq!(outcome.posts[0].path, format!("/2018-06-01/runtime/{path}"));
    Some(outcome)
}

#[test]
fn a_hook_that_fails_before_the_snapshot_is_an_init_error() {
    let source = "
from snapshot_restore_py import register_before_snapshot
register_before_snapshot(print, 'not reached')
@register_before_snapshot
def bad(): raise ValueError('no \u{e9}')
def handler(event, context): return 1
";
    let Some(outcome) = failed(source, "init/error") else { return };
    let post = &outcome.posts[0];
    let expected = json!({
        "errorMessage": "no \u{e9}", "errorType": "ValueError", "requestId": "",
        "stackTrace": ["  File \"/task/fn.py\", line 5, in bad\n    def bad(): raise ValueError('no \u{e9}')\n"],
    });
    let mut got = post.json();
    // From 3.11 on a traceback may point below the line.
    let line = got["stackTrace"][0].as_str().unwrap().split_inclusive('\n').take(2);
    got["stackTrace"][0] = line.collect::<String>().into();
    assert_eq!(got, expected);
    let header = post.header("Lambda-Runtime-Function-Error-Type");
    assert_eq!(header, Some("Runtime.BeforeSnapshotError"));
    assert_eq!((outcome.restores.len(), outcome.exit), (0, Some(64)));
    assert!(outcome.stdout.starts_with("[ERROR] ValueError: no \u{e9}\r"), "{}", outcome.stdout);
}

#[test]
fn a_hook_that_fails_after_the_restore_is_a_restore_error() {
    let head = "from snapshot_restore_py import register_after_restore\n";
    for (hook, kind) in
        [("1 / 0", "ZeroDivisionError"), ("__import__('sys').exit(3)", "SystemExit")]
    {
        let source = format!(
            "{head}register_after_restore(lambda: {hook})\nregister_after_restore(print, 'not reached')\n\
             def handler(event, context): return 1\n"
        );
        let Some(outcome) = failed(&source, "restore/error") else { return };
        let post = &outcome.posts[0];
        assert_eq!(post.json()["errorType"], kind);
        let header = post.header("Lambda-Runtime-Function-Error-Type");
        assert_eq!(header, Some("Runtime.AfterRestoreError"));
        assert_eq!((outcome.restores.len(), outcome.exit), (1, Some(65)));
        assert!(!outcome.stdout.contains("not reached"));
    }
}

#[test]
fn openssl_gets_fresh_randomness_where_it_is_loaded() {
    let source = "
import sys
loaded = []
if LOAD:
    import _ssl
    add = _ssl.RAND_add
    _ssl.RAND_add = lambda fresh, entropy: (add(fresh, entropy), loaded.append([len(fresh), entropy]))
def handler(event, context): return [loaded, '_ssl' in sys.modules]
";
    for (load, expected) in [("True", "[[[32, 32.0]], true]"), ("False", "[[], false]")] {
        let case = case(&source.replace("LOAD", load)).snap_start(0).event("{}");
        let Some(outcome) = case.run() else { return };
        assert_eq!(outcome.posts[0].text(), expected, "{}", outcome.stderr);
    }
}

/// Statements with the module as `m` and a function `f`, and what the last one is worth.
#[test]
fn the_module_is_awss() {
    for (statements, expected) in [
        ("m.__all__", r#"["register_before_snapshot", "register_after_restore"]"#),
        ("m.register_before_snapshot(f) is f", "true"),
        ("m.register_after_restore(f, 1, k=2) is f", "true"),
        ("m.get_before_snapshot() is m.get_before_snapshot()", "true"),
        ("m.register_before_snapshot(f); len(m.get_before_snapshot())", "1"),
        (
            "m.register_after_restore(f, 1, k=2); m.get_after_restore() == [(f, (1,), {'k': 2})]",
            "true",
        ),
        ("m.register_before_snapshot(f); m.get_after_restore()", "[]"),
        ("m.register_before_snapshot(func=f); m.get_before_snapshot() == [(f, (), {})]", "true"),
    ] {
        let (before, last) = statements.rsplit_once("; ").unwrap_or(("pass", statements));
        let source = format!(
            "import snapshot_restore_py as m\ndef f(): pass\n{before}\nworth = {last}\n\
             def handler(event, context): return worth\n"
        );
        let Some(outcome) = case(&source).event("{}").run() else { return };
        assert_eq!(outcome.posts[0].text(), expected, "{statements}: {}", outcome.stderr);
    }
}

#[test]
fn a_function_may_bring_its_own_copy_of_the_module() {
    let source = "import snapshot_restore_py as m\ndef handler(event, context): return m.ran";
    let case = case(source).file(
        "snapshot_restore_py.py",
        "def get_before_snapshot(): return before\n\
        def get_after_restore(): return [(ran.append, (2,), {})]\nran = []\n\
        before = [(ran.append, (1,), {})]\n",
    );
    let Some(outcome) = case.snap_start(0).event("{}").run() else { return };
    assert_eq!(outcome.posts[0].text(), "[1, 2]", "{}", outcome.stderr);
}
