//! The python bootstrap, run by the interpreters of this machine against a fake Runtime API.

#![expect(clippy::unwrap_used, reason = "test code")]

mod support;

use serde_json::{Value, json};
use support::{Begun, Case, Outcome, Wire};

const RUNTIME: &str = "python3.11";

fn case(source: &str) -> Case {
    Case::new(RUNTIME, "fn.handler", "fn.py", source)
}

/// Event in, the one post out as `kind body`, with the error type header of errors.
fn check(source: &str, event: &str, expected: &str) {
    let Some(outcome) = case(source).event(event).run() else {
        return;
    };
    let post = &outcome.posts[0];
    let kind = post.path.rsplit('/').next().unwrap();
    assert_eq!(format!("{kind} {}", post.text()), expected, "stderr: {}", outcome.stderr);
    assert_eq!(outcome.exit, None);
}

fn error_of(outcome: &Outcome) -> Value {
    let post = outcome.posts.last().unwrap();
    assert!(post.path.ends_with("/error"), "{}", post.path);
    let error = post.json();
    let header = post.header("Lambda-Runtime-Function-Error-Type");
    assert_eq!(header, error["errorType"].as_str());
    error
}

#[test]
fn results_are_encoded_as_aws_does() {
    let echo = "def handler(e, c): return e";
    check(echo, r#" {"a":[1,2.5,"x",null,true]} "#, r#"response {"a": [1, 2.5, "x", null, true]}"#);
    check(echo, r#""\u00e9""#, r#"response "\u00e9""#);
    check("def handler(e, c): pass", "{}", "response null");
    check(
        "def handler(e, c): return {1: (1, 2), None: b'x'}",
        "{}",
        r#"response {"1": [1, 2], "null": "x"}"#,
    );
    check("def handler(e, c): return b'raw'", "{}", "response raw");
    check("def handler(e, c): return float('nan')", "{}", "response NaN");
    let decimal = "from decimal import Decimal as D\ndef handler(e, c): return [D('1.10'), {'x': D('7')}, D('NaN')]";
    check(decimal, "{}", r#"response [1.10, {"x": 7}, NaN]"#);
    let named = "from collections import namedtuple as n\nP = n('P', 'a b')\ndef handler(e, c): return {'p': P(1, (2,))}";
    check(named, "{}", r#"response {"p": {"a": 1, "b": [2]}}"#);
    check("def handler(e, c): return '\\ud800'", "{}", r#"response "\ud800""#);
}

#[test]
fn from_python_3_12_on_text_is_not_escaped() {
    let source = "def handler(e, c): return ['\u{e9}', '\\ud800']";
    let run = |source: &str| {
        let case = Case::new("python3.12", "fn.handler", "fn.py", source);
        case.event("{}").run().map(|outcome| outcome.posts[0].text().to_owned())
    };
    let Some(text) = run(source) else { return };
    assert_eq!(text, "[\"\u{e9}\", \"\\ud800\"]");
}

#[test]
fn what_cannot_be_encoded_is_a_marshal_error() {
    let Some(outcome) = case("def handler(e, c): return {'a': {1}}").event("{}").run() else {
        return;
    };
    let expected = json!({
        "errorMessage": "Unable to marshal response: Object of type set is not JSON serializable",
        "errorType": "Runtime.MarshalError", "requestId": "req-1", "stackTrace": [],
    });
    assert_eq!(error_of(&outcome), expected);
}

#[test]
fn an_event_that_is_not_json_is_an_unmarshal_error_and_the_loop_goes_on() {
    let case = case("def handler(e, c): return 1").event("{bad").event("{}").event("");
    let Some(outcome) = case.run() else { return };
    let message = "Unable to unmarshal input: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)";
    assert_eq!(outcome.posts[0].json()["errorMessage"], message);
    assert_eq!(outcome.posts[1].text(), "1");
    assert_eq!(error_of(&outcome)["errorType"], "Runtime.UnmarshalError");
}

#[test]
fn an_exception_is_reported_and_logged_as_aws_does() {
    let source =
        "def inner():\n    raise ValueError('bad \u{e9}')\ndef handler(e, c):\n    inner()\n";
    let Some(outcome) = case(source).event("{}").run() else {
        return;
    };
    let expected = json!({
        "errorMessage": "bad \u{e9}", "errorType": "ValueError", "requestId": "req-1",
        "stackTrace": [
            "  File \"/task/fn.py\", line 4, in handler\n    inner()\n",
            "  File \"/task/fn.py\", line 2, in inner\n    raise ValueError('bad \u{e9}')\n",
        ],
    });
    assert_eq!(error_of(&outcome), expected);
    let two = "\u{a0}\u{a0}";
    let log = format!(
        "[ERROR] ValueError: bad \u{e9}\rTraceback (most recent call last):\r\
         {two}File \"/task/fn.py\", line 4, in handler\r{two}{two}inner()\r\
         {two}File \"/task/fn.py\", line 2, in inner\r{two}{two}raise ValueError('bad \u{e9}')\n"
    );
    assert_eq!(outcome.stdout, log);
    let cause = outcome.posts[0].header("Lambda-Runtime-Function-XRay-Error-Cause").unwrap();
    let cause: Value = serde_json::from_str(cause).unwrap();
    assert_eq!(cause["exceptions"][0]["message"], "bad \u{e9}");
}

fn check_init_error(handler: &str, source: &str, kind: &str, message: &str) {
    let Some(outcome) = Case::new(RUNTIME, handler, "fn.py", source).event("{}").run() else {
        return;
    };
    assert_eq!(outcome.posts[0].path, "/2018-06-01/runtime/init/error");
    let error = error_of(&outcome);
    assert_eq!(
        (error["errorType"].as_str(), error["errorMessage"].as_str()),
        (Some(kind), Some(message))
    );
    assert_eq!(error["requestId"], "");
    assert!(
        outcome.stdout.starts_with(&format!("[ERROR] {kind}: {message}")),
        "{}",
        outcome.stdout
    );
    assert_eq!((outcome.posts.len(), outcome.exit), (1, Some(1)));
}

#[test]
fn a_handler_that_cannot_be_loaded_is_an_init_error_and_the_process_ends() {
    check_init_error(
        "no.handler",
        "",
        "Runtime.ImportModuleError",
        "Unable to import module 'no': No module named 'no'",
    );
    check_init_error(
        "fn.handler",
        "import nothere",
        "Runtime.ImportModuleError",
        "Unable to import module 'fn': No module named 'nothere'",
    );
    check_init_error(
        "fn.nope",
        "",
        "Runtime.HandlerNotFound",
        "Handler 'nope' missing on module 'fn'",
    );
    check_init_error(
        "fn",
        "",
        "Runtime.MalformedHandlerName",
        "Bad handler 'fn': not enough values to unpack (expected 2, got 1)",
    );
    check_init_error(
        "sys.exit",
        "",
        "Runtime.BuiltInModuleConflict",
        "Cannot use built-in module sys as a handler module",
    );
    check_init_error("fn.handler", "raise KeyError(1)", "KeyError", "1");
}

#[test]
fn a_syntax_error_names_the_line() {
    let Some(outcome) = case("def handler(e, c):\n  return (\n").event("{}").run() else {
        return;
    };
    let error = error_of(&outcome);
    assert_eq!(error["errorType"], "Runtime.UserCodeSyntaxError");
    // What stands between is the interpreter's own wording, another one before 3.10.
    let message = error["errorMessage"].as_str().unwrap();
    assert!(message.starts_with("Syntax error in module 'fn': "), "{message}");
    assert!(message.ends_with(" (fn.py, line 2)"), "{message}");
    assert_eq!(error["stackTrace"][0], "  File \"/task/fn.py\" Line 2\n      return (\n");
}

#[test]
fn handlers_are_found_in_directories_and_packages() {
    let source = "def handler(e, c): return __name__";
    for (handler, file, name) in [
        ("dir/fn.handler", "dir/fn.py", "\"dir.fn\""),
        ("pkg.sub.fn.handler", "pkg/sub/fn.py", "\"pkg.sub.fn\""),
    ] {
        let Some(outcome) = Case::new(RUNTIME, handler, file, source).event("{}").run() else {
            return;
        };
        assert_eq!(outcome.posts[0].text(), name);
    }
}

#[test]
fn the_process_ends_as_the_handler_asks() {
    for (source, code) in [
        ("import sys\ndef handler(e, c): sys.exit(3)", 3),
        ("import sys\ndef handler(e, c): sys.exit()", 0),
        ("import os\ndef handler(e, c): os._exit(9)", 9),
        ("import sys\nsys.exit(4)", 4),
        ("def handler(e, c): exit(5)", 5),
    ] {
        let Some(outcome) = case(source).event("{}").run() else {
            return;
        };
        assert_eq!((outcome.posts.len(), outcome.exit), (0, Some(code)), "{source}");
    }
}

#[test]
fn the_context_has_all_of_awss_fields() {
    let source = "
import os
def handler(e, c):
    remaining = c.get_remaining_time_in_millis()
    assert 1e9 < remaining < 1e13, remaining
    c.log('said\\n')
    return [c.function_name, c.function_version, c.invoked_function_arn, c.memory_limit_in_mb,
            c.aws_request_id, c.log_group_name, c.log_stream_name, c.tenant_id,
            c.identity.cognito_identity_id, c.identity.cognito_identity_pool_id,
            c.client_context and [c.client_context.client.app_title,
                c.client_context.client.installation_id, c.client_context.custom,
                c.client_context.env], os.environ.get('_X_AMZN_TRACE_ID'), repr(c)[:40]]
";
    let case = case(source).event("{}").event_with(
        "{}",
        &[
            (
                "Lambda-Runtime-Client-Context",
                r#"{"client":{"app_title":"t"},"custom":{"a":1},"env":{"b":"2"}}"#,
            ),
            (
                "Lambda-Runtime-Cognito-Identity",
                r#"{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}"#,
            ),
            ("Lambda-Runtime-Aws-Tenant-Id", "tenant"),
            ("Lambda-Runtime-Trace-Id", "Root=1-a;Sampled=1"),
        ],
    );
    let Some(outcome) = case.event("{}").run() else {
        return;
    };
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:fn";
    let expected = |id: &str, rest: Value| {
        let mut all = vec![json!("fn"), json!("$LATEST"), json!(arn), json!("256"), json!(id)];
        all.extend([json!("/aws/lambda/fn"), json!("2026/01/01/[$LATEST]0")]);
        all.extend(rest.as_array().unwrap().clone());
        all.push(json!(format!("LambdaContext([aws_request_id={id},log_group_name=")[..40]));
        Value::Array(all)
    };
    let none = json!([null, null, null, null, null]);
    assert_eq!(outcome.posts[0].json(), expected("req-1", none.clone()));
    let all = json!(["tenant", "i", "p", ["t", null, {"a": 1}, {"b": "2"}], "Root=1-a;Sampled=1"]);
    assert_eq!(outcome.posts[1].json(), expected("req-2", all));
    assert_eq!(outcome.posts[2].json(), expected("req-3", none));
    assert_eq!(outcome.stdout, "said\nsaid\nsaid\n");
}

#[test]
fn the_search_path_is_awss_and_the_hosts_packages_are_hidden() {
    let source = "
import sys
def handler(e, c):
    help, exit, quit, copyright, credits, license
    hidden = [p for p in sys.path if 'dist-packages' in p or (p.endswith('site-packages') and not p.startswith('/opt/'))]
    return [sys.path[:3], '/extra' in sys.path[3:5], hidden, 'site' in sys.modules]
";
    let Some(outcome) = case(source).variable("PYTHONPATH", "/extra").event("{}").run() else {
        return;
    };
    let found = outcome.posts[0].json();
    assert!(found[0][0].as_str().unwrap().ends_with("/task"));
    assert_eq!(found[0][1], "/opt/python/lib/python3.11/site-packages");
    assert_eq!((&found[1], &found[2]), (&json!(true), &json!([])));
    assert_eq!(found[3], json!(false));
}

const LOGS: &str = "
import logging
log = logging.getLogger('mine')
logging.info('hidden')
def handler(e, c):
    log.warning('two %s', 'words', extra={'k': 1})
    log.info('quiet')
    try: 1/0
    except ZeroDivisionError: log.exception('oops')
    print('printed')
    raise RuntimeError('end')
";

#[test]
fn log_records_are_text_by_default() {
    let Some(outcome) = case(LOGS).event("{}").run() else {
        return;
    };
    let (first, rest) = outcome.stdout.split_once('\n').unwrap();
    assert_eq!(first, "[WARNING]\t<time>\treq-1\ttwo words");
    assert!(rest.starts_with("[ERROR]\t<time>\treq-1\toops\nTraceback (most recent"), "{rest}");
    assert!(!outcome.stdout.contains("quiet"));
    assert!(outcome.stdout.contains("\nprinted\n[ERROR] RuntimeError: end\rTraceback"));
}

#[test]
fn log_records_are_json_objects_when_asked() {
    let case = case(LOGS)
        .variable("AWS_LAMBDA_LOG_FORMAT", "JSON")
        .variable("AWS_LAMBDA_LOG_LEVEL", "INFO");
    let Some(outcome) = case.event("{}").run() else {
        return;
    };
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(
        lines[0],
        r#"{"timestamp": "<time>", "level": "INFO", "message": "hidden", "logger": "root", "requestId": ""}"#
    );
    assert_eq!(
        lines[1],
        r#"{"timestamp": "<time>", "level": "WARNING", "message": "two words", "logger": "mine", "requestId": "req-1", "k": 1}"#
    );
    assert!(lines[2].contains("quiet"));
    let oops: Value = serde_json::from_str(lines[3]).unwrap();
    assert_eq!(
        (&oops["errorType"], &oops["errorMessage"]),
        (&json!("ZeroDivisionError"), &json!("division by zero"))
    );
    assert!(oops["location"].as_str().unwrap().ends_with("fn.py:handler:9"), "{oops}");
    assert_eq!(lines[4], "printed");
    let end: Value = serde_json::from_str(lines[5]).unwrap();
    assert_eq!(
        (&end["level"], &end["errorType"], &end["requestId"]),
        (&json!("ERROR"), &json!("RuntimeError"), &json!("req-1"))
    );
}

#[test]
fn with_a_telemetry_descriptor_records_are_frames() {
    let source = "import logging, os\ndef handler(e, c):\n    logging.warning('a\\nb')\n    print(os.environ.get('_LAMBDA_TELEMETRY_LOG_FD'))\n    raise ValueError('x')";
    let Some(outcome) = case(source).frames().event("{}").run() else {
        return;
    };
    assert_eq!(outcome.stdout, "None\n");
    let (kind, message, rest) = frame(&outcome.frames);
    assert_eq!(kind, 0xa55a_0003);
    assert!(message.starts_with("[WARNING]\t") && message.ends_with("\ta\nb\n"), "{message}");
    let (kind, message, rest) = frame(rest);
    assert_eq!(kind, 0xa55a_0017);
    assert!(
        message.starts_with("[ERROR] ValueError: x\nTraceback (most recent call last):\n"),
        "{message}"
    );
    assert!(rest.is_empty());
}

fn frame(bytes: &[u8]) -> (u32, String, &[u8]) {
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let end = 16 + usize::try_from(number(4)).unwrap();
    (number(0), String::from_utf8(bytes[16..end].to_vec()).unwrap(), &bytes[end..])
}

#[test]
fn every_way_of_writing_an_answer_is_read() {
    for wire in [Wire::Plain, Wire::Split, Wire::Chunked, Wire::Closing, Wire::Frozen] {
        let mut case = case("def handler(e, c): return e").wire(wire);
        for number in 0..100 {
            case = case.event(format!("{{\"n\": {number}, \"t\": \"{}\"}}", "x".repeat(number)));
        }
        let Some(outcome) = case.run() else { return };
        assert_eq!(outcome.posts.len(), 100, "{wire:?}: {}", outcome.stderr);
        for (number, post) in outcome.posts.iter().enumerate() {
            assert_eq!(
                post.path,
                format!("/2018-06-01/runtime/invocation/req-{}/response", number + 1)
            );
            assert_eq!(post.json()["n"], number);
        }
    }
}

#[test]
fn large_events_and_responses_pass_and_too_large_ones_do_not_end_the_loop() {
    let source = "def handler(e, c): return e * 2 if len(e) > 5000000 else e";
    let text = |size: usize| format!("\"{}\"", "x".repeat(size));
    let case = case(source).event(text(4_900_000)).event(text(5_000_001)).event("1");
    let source = case.files[0].1.replace("len(e)", "len(str(e))");
    let Some(outcome) = Case { files: vec![("fn.py".into(), source)], ..case }.run() else {
        return;
    };
    let sizes: Vec<usize> = outcome.posts.iter().map(|post| post.body.len()).collect();
    assert_eq!(sizes, [4_900_002, 10_000_004, 1]);
    assert!(outcome.stderr.contains("refused the response with 413"), "{}", outcome.stderr);
}

#[test]
fn the_attempt_is_echoed() {
    let case = case("def handler(e, c): return 1/e")
        .event_with("1", &[("Lambda-Runtime-Invocation-Id", "try-7")]);
    let Some(outcome) = case.event_with("0", &[("Lambda-Runtime-Invocation-Id", "try-8")]).run()
    else {
        return;
    };
    let echoed: Vec<_> =
        outcome.posts.iter().map(|post| post.header("lambda-runtime-invocation-id")).collect();
    assert_eq!(echoed, [Some("try-7"), Some("try-8")]);
}

#[test]
fn a_sitecustomize_on_the_python_path_runs_before_the_handler_is_loaded() {
    let case = case("import hooked\ndef handler(e, c): return hooked.value")
        .file("hooks/sitecustomize.py", "import sys, types\nm = types.ModuleType('hooked')\nm.value = 'hook'\nsys.modules['hooked'] = m\n")
        .file("broken/sitecustomize.py", "1/0")
        .event("{}");
    let Some(outcome) = case.variable("PYTHONPATH", "hooks").run() else {
        return;
    };
    assert_eq!(outcome.posts[0].text(), "\"hook\"");
    let case = Case::new(RUNTIME, "fn.handler", "fn.py", "def handler(e, c): return 1")
        .file("broken/sitecustomize.py", "1/0");
    let Some(outcome) = case.variable("PYTHONPATH", "broken").event("{}").run() else {
        return;
    };
    assert_eq!(outcome.posts[0].text(), "1");
    assert_eq!(outcome.stderr, "Error in sitecustomize:\nZeroDivisionError: division by zero\n");
}

/// What user code can find out about its process. Each case also runs in one that was started ahead.
#[test]
fn a_process_that_was_started_ahead_cannot_be_told_from_another() {
    let source = r#"
import os, sys
def kind(fd):
    try: target = os.readlink("/proc/self/fd/" + fd)
    except OSError: return None
    return (int(fd), target.partition(":")[0])
def lines(name):
    with open("/proc/self/" + name) as file: return file.read()
def handler(event, context):
    descriptors = sorted(filter(None, map(kind, os.listdir("/proc/self/fd"))))
    status = [line for line in lines("status").splitlines() if line.split(":")[0] in (
        "Umask", "Uid", "Gid", "NoNewPrivs", "Seccomp", "CapEff", "Threads", "SigBlk",
        "SigIgn", "SigCgt")]
    where = lambda entries: [str(entry) for entry in entries]
    return {
        "environ": [(name, value) for name, value in os.environ.items() if "RUNTIME_API" not in name],
        "proc environ": [pair for pair in lines("environ").rstrip("\0").split("\0")
                         if "RUNTIME_API" not in pair],
        "cmdline": lines("cmdline"), "argv": sys.argv, "orig": getattr(sys, "orig_argv", None),
        "cwd": os.getcwd(), "descriptors": descriptors, "status": status,
        "limits": lines("limits"), "oom": lines("oom_score_adj"),
        "path": sys.path, "modules": list(sys.modules), "flags": str(sys.flags),
        "importers": where(sys.path_importer_cache), "finders": where(map(repr, sys.meta_path)),
        "main": sorted(vars(sys.modules["__main__"])), "encodings": sys.getfilesystemencoding(),
        "locale": __import__("_locale").setlocale(6), "zone": __import__("time").tzname,
    }
"#;
    let Some(outcome) = case(source).variable("OWN", "\u{e9} = x").frames().event("{}").run()
    else {
        return;
    };
    let seen = outcome.posts[0].json();
    let own = json!(["OWN", "\u{e9} = x"]);
    assert!(seen["environ"].as_array().unwrap().contains(&own), "{seen}");
    assert!(
        seen["proc environ"].to_string().contains("OWN=\\u00e9 = x")
            || seen["proc environ"].to_string().contains("OWN=\u{e9} = x"),
        "{seen}"
    );
}

/// Who sees the connection takes the process for ready: what it still rehearsed would be waited for.
#[test]
fn a_process_that_is_started_ahead_rehearses_before_it_connects() {
    let rehearsal = r#"
import os

def is_socket(fd):
    try:
        return os.readlink("/proc/self/fd/" + fd).startswith("socket:")
    except OSError:
        return False

def handler(event, context):
    sockets = [fd for fd in os.listdir("/proc/self/fd") if is_socket(fd)]
    with open(os.path.dirname(__file__) + "/sockets", "a") as seen:
        seen.write("%d " % len(sockets))
"#;
    let source = r#"
import os

def handler(event, context):
    with open(os.environ["LAMBDA_RUNTIME_DIR"] + "/sockets") as seen:
        return seen.read()
"#;
    let case = Case::new(RUNTIME, "fn.handler", "fn.py", source);
    let case = case.file("../runtime/python/dormouse_rehearsal.py", rehearsal).event("{}");
    let Some(outcome) = case.run_in(Begun::Ahead) else { return };
    assert_eq!(outcome.posts[0].json(), "0 ", "{}", outcome.stderr);
}

#[test]
fn processes_that_were_started_ahead_have_no_chance_in_common() {
    let source = "import os, random, uuid\n\
        def handler(e, c): return [hash('x'), random.random(), str(uuid.uuid4()), os.urandom(8).hex()]";
    let drawn = || {
        let outcome = case(source).event("{}").run_in(Begun::Ahead)?;
        Some(outcome.posts[0].json().as_array().unwrap().clone())
    };
    let (Some(one), Some(two)) = (drawn(), drawn()) else { return };
    assert!(one.iter().zip(&two).all(|(one, two)| one != two), "{one:?} {two:?}");
}
