//! The node bootstrap, run by an interpreter of this machine against a fake Runtime API.
#![expect(clippy::unwrap_used, reason = "test code")]

mod support;

use serde_json::{Value, json};
use support::{Begun, Case, Outcome, Wire};

const RUNTIME: &str = "nodejs20.x";

fn case(source: &str) -> Case {
    Case::new(RUNTIME, "index.handler", "index.js", source)
}

fn check(source: &str, event: &str, expected: &str) {
    let Some(outcome) = case(source).event(event).run() else {
        return;
    };
    assert_eq!(answer(&outcome, 0), expected, "{source}\n{} {}", outcome.stdout, outcome.stderr);
    assert_eq!(outcome.exit, None, "{source}");
}

fn answer(outcome: &Outcome, number: usize) -> String {
    let Some(post) = outcome.posts.get(number) else {
        return "nothing".to_owned();
    };
    format!("{} {}", post.path.rsplit('/').next().unwrap(), post.text())
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
fn every_kind_of_handler_answers() {
    for (source, expected) in [
        ("exports.handler = async (e) => e;", r#"response {"a":[1,"é"]}"#),
        ("exports.handler = async () => {};", "response null"),
        ("exports.handler = (e, c, cb) => cb(null, 'x');", r#"response "x""#),
        ("exports.handler = (e, c, cb) => { setTimeout(() => cb(null, 2), 5); };", "response 2"),
        ("exports.handler = (e, c) => c.succeed(3);", "response 3"),
        ("exports.handler = (e, c) => c.done(null, 4);", "response 4"),
        ("exports.handler = (e, c) => { setImmediate(c.succeed, 5); };", "response 5"),
        ("exports.handler = () => {};", "response null"),
        ("exports.handler = () => new Promise(() => {});", "response null"),
        (
            "exports.handler = async () => { await new Promise((r) => setTimeout(r, 5)); return 6; };",
            "response 6",
        ),
        ("exports.handler = () => ({ then(resolve) { resolve(7); } });", "response 7"),
    ] {
        check(source, "{\"a\": [1, \"\u{e9}\"]}", expected);
    }
}

#[test]
fn a_callback_waits_for_the_event_loop_unless_told_not_to() {
    let source = "
exports.handler = (e, c, cb) => {
    c.callbackWaitsForEmptyEventLoop = e;
    setTimeout(() => console.log('later'), e ? 20 : 5000).ref();
    cb(null, 'done');
};";
    let Some(outcome) = case(source).event("true").event("false").run() else {
        return;
    };
    assert_eq!(
        (answer(&outcome, 0), answer(&outcome, 1)),
        ("response \"done\"".into(), "response \"done\"".into())
    );
    assert_eq!(outcome.stdout, "<time>\treq-1\tINFO\tlater\n");
}

#[test]
fn modules_are_found_as_aws_finds_them() {
    let esm = "const x = await Promise.resolve('esm'); export const handler = async () => x;";
    let cjs = "exports.handler = async () => 'cjs'; exports.deep = { er: async () => 'deep' };";
    for (handler, file, source, expected) in [
        ("index.handler", "index.mjs", esm, "response \"esm\""),
        ("index.handler", "index.cjs", cjs, "response \"cjs\""),
        ("src/app/index.handler", "src/app/index.js", cjs, "response \"cjs\""),
        ("index.deep.er", "index.js", cjs, "response \"deep\""),
        ("mod.handler", "node_modules/mod/index.js", cjs, "response \"cjs\""),
    ] {
        let Some(outcome) = Case::new(RUNTIME, handler, file, source).event("{}").run() else {
            return;
        };
        assert_eq!(answer(&outcome, 0), expected, "{handler} {file} {}", outcome.stdout);
    }
    let typed = Case::new(RUNTIME, "lib/index.handler", "lib/index.js", esm);
    let Some(outcome) = typed.file("package.json", r#"{"type": "module"}"#).event("{}").run()
    else {
        return;
    };
    assert_eq!(answer(&outcome, 0), "response \"esm\"");
}

#[test]
fn layers_are_found_through_node_path() {
    let source = "exports.handler = async () => require('shared');";
    let case = case(source).file("layer/shared/index.js", "module.exports = 'layer';");
    let Some(outcome) = case.variable("NODE_PATH", "layer").event("{}").run() else {
        return;
    };
    assert_eq!(answer(&outcome, 0), "response \"layer\"");
}

#[test]
fn errors_are_reported_and_logged_as_aws_does() {
    for source in [
        "exports.handler = async () => { const e = new TypeError('bad é'); e.code = 'X'; throw e; };",
        "exports.handler = () => { const e = new TypeError('bad é'); e.code = 'X'; throw e; };",
        "exports.handler = (e, c, cb) => { const x = new TypeError('bad é'); x.code = 'X'; cb(x); };",
        "exports.handler = (e, c) => { const x = new TypeError('bad é'); x.code = 'X'; c.fail(x); };",
    ] {
        let Some(outcome) = case(source).event("{}").event("{}").run() else {
            return;
        };
        assert_eq!(outcome.posts.len(), 2, "{source}");
        let error = error_of(&outcome);
        assert_eq!(
            (&error["errorType"], &error["errorMessage"]),
            (&json!("TypeError"), &json!("bad é"))
        );
        assert_eq!(error["trace"][0], "TypeError: bad é");
        assert!(error["trace"][1].as_str().unwrap().contains("/task/index.js:1:"), "{error}");
        let start = "<time>\treq-1\tERROR\tInvoke Error \t{\"errorType\":\"TypeError\",\"errorMessage\":\"bad é\",\"code\":\"X\",\"stack\":[\"TypeError: bad é\",";
        assert!(outcome.stdout.starts_with(start), "{}", outcome.stdout);
        let cause = outcome.posts[0].header("lambda-runtime-function-xray-error-cause").unwrap();
        let cause: Value = serde_json::from_str(cause).unwrap();
        assert_eq!(cause["exceptions"][0]["stack"][0]["line"], 1);
    }
}

#[test]
fn what_is_not_an_error_object_is_reported_by_its_type() {
    let check = |source: &str, expected: &str| check(source, "{}", expected);
    check(
        "exports.handler = async () => { throw 'text'; };",
        r#"error {"errorType":"string","errorMessage":"text","trace":[]}"#,
    );
    check(
        "exports.handler = (e, c) => c.fail();",
        r#"error {"errorType":"string","errorMessage":"handled","trace":[]}"#,
    );
    check(
        "exports.handler = (e, c, cb) => cb({ a: 1 });",
        r#"error {"errorType":"object","errorMessage":"[object Object]","trace":[]}"#,
    );
}

#[test]
fn a_response_without_json_is_an_error_and_so_is_an_event_without() {
    let source = "exports.handler = async () => { const a = {}; a.a = a; return a; };";
    let Some(outcome) = case(source).event("{}").event("{bad").run() else {
        return;
    };
    assert_eq!(outcome.posts[0].json()["errorMessage"], "Unable to stringify response body");
    assert_eq!(error_of(&outcome)["errorType"], "SyntaxError");
}

fn check_init_error(handler: &str, source: &str, kind: &str, message: &str) {
    let case = Case::new(RUNTIME, handler, "index.js", source).event("{}");
    let Some(outcome) = case.run() else { return };
    assert_eq!(outcome.posts[0].path, "/2018-06-01/runtime/init/error");
    let error = error_of(&outcome);
    assert_eq!(error["errorType"], kind);
    let found = error["errorMessage"].as_str().unwrap();
    assert!(found.starts_with(message), "{found}");
    assert_eq!(error["trace"][0], format!("{kind}: {found}").split('\n').next().unwrap());
    let log = format!("<time>\tundefined\tERROR\tUncaught Exception \t{{\"errorType\":\"{kind}\"");
    assert!(outcome.stdout.starts_with(&log), "{}", outcome.stdout);
    assert_eq!((outcome.posts.len(), outcome.exit), (1, Some(129)));
}

#[test]
fn a_handler_that_cannot_be_loaded_is_an_init_error_and_the_process_ends() {
    check_init_error(
        "no.handler",
        "",
        "Runtime.ImportModuleError",
        "Error: Cannot find module 'no'\nRequire stack:",
    );
    check_init_error(
        "index.handler",
        "require('nothere')",
        "Runtime.ImportModuleError",
        "Error: Cannot find module 'nothere'",
    );
    check_init_error(
        "index.handler",
        "{ :",
        "Runtime.UserCodeSyntaxError",
        "SyntaxError: Unexpected token ':'",
    );
    check_init_error(
        "index.nope",
        "",
        "Runtime.HandlerNotFound",
        "index.nope is undefined or not exported",
    );
    check_init_error(
        "index.x",
        "exports.x = 1",
        "Runtime.HandlerNotFound",
        "index.x is not a function",
    );
    check_init_error("index", "", "Runtime.MalformedHandlerName", "Bad handler");
    check_init_error(
        "../index.handler",
        "",
        "Runtime.MalformedHandlerName",
        "'../index.handler' is not a valid handler name.",
    );
    check_init_error("index.handler", "throw new RangeError('at load')", "RangeError", "at load");
}

#[test]
fn what_nobody_catches_is_reported_and_ends_the_process() {
    for (source, kind, code) in [
        (
            "exports.handler = () => { setImmediate(() => { throw new RangeError('x'); }); };",
            "RangeError",
            129,
        ),
        (
            "exports.handler = () => { Promise.reject(new Error('x')); setTimeout(() => {}, 5000); };",
            "Runtime.UnhandledPromiseRejection",
            128,
        ),
    ] {
        let Some(outcome) = case(source).event("{}").run() else {
            return;
        };
        assert_eq!(outcome.posts[0].path, "/2018-06-01/runtime/invocation/req-1/error");
        assert_eq!(
            (error_of(&outcome)["errorType"].as_str(), outcome.exit),
            (Some(kind), Some(code))
        );
    }
    let source = "setImmediate(() => Promise.reject('early')); exports.handler = async () => new Promise(() => setTimeout(() => {}, 5000));";
    let Some(outcome) = case(source).run() else {
        return;
    };
    assert_eq!(outcome.exit, Some(128), "{}", outcome.stdout);
}

#[test]
fn the_process_ends_as_the_handler_asks() {
    let Some(outcome) = case("exports.handler = async () => process.exit(7);").event("{}").run()
    else {
        return;
    };
    assert_eq!((outcome.posts.len(), outcome.exit), (0, Some(7)));
}

#[test]
fn the_context_has_all_of_awss_fields() {
    let source = "
exports.handler = async (e, c) => {
    const left = c.getRemainingTimeInMillis();
    if (!(left > 1e9)) throw new Error(left);
    return [c.functionName, c.functionVersion, c.invokedFunctionArn, c.memoryLimitInMB, c.awsRequestId,
        c.logGroupName, c.logStreamName, c.callbackWaitsForEmptyEventLoop, c.tenantId, c.identity,
        c.clientContext, process.env._X_AMZN_TRACE_ID];
};";
    let case = case(source).event("{}").event_with(
        "{}",
        &[
            ("Lambda-Runtime-Client-Context", r#"{"custom":{"a":1}}"#),
            ("Lambda-Runtime-Cognito-Identity", r#"{"cognitoIdentityId":"i"}"#),
            ("Lambda-Runtime-Aws-Tenant-Id", "tenant"),
            ("Lambda-Runtime-Trace-Id", "Root=1-a"),
        ],
    );
    let Some(outcome) = case.run() else { return };
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:fn";
    let expected = |id: &str, rest: [Value; 4]| {
        let mut all = vec![json!("fn"), json!("$LATEST"), json!(arn), json!("256"), json!(id)];
        all.extend([json!("/aws/lambda/fn"), json!("2026/01/01/[$LATEST]0"), json!(true)]);
        all.extend(rest);
        Value::Array(all)
    };
    assert_eq!(
        outcome.posts[0].json(),
        expected("req-1", [json!(null), json!(null), json!(null), json!(null)])
    );
    let rest = [
        json!("tenant"),
        json!({"cognitoIdentityId": "i"}),
        json!({"custom": {"a": 1}}),
        json!("Root=1-a"),
    ];
    assert_eq!(outcome.posts[1].json(), expected("req-2", rest));
}

#[test]
fn callback_handlers_are_refused_from_node_24_on() {
    let source = "exports.handler = (e, c, cb) => cb(null, 1);";
    let old = Case::new("nodejs24.x", "index.handler", "index.js", source).event("{}");
    let Some(outcome) = old.run() else { return };
    assert_eq!(error_of(&outcome)["errorType"], "Runtime.CallbackHandlerDeprecated");
    let new = "exports.handler = (e, c) => [typeof c.done, c.functionName];";
    let new = Case::new("nodejs24.x", "index.handler", "index.js", new).event("{}");
    assert_eq!(answer(&new.run().unwrap(), 0), "response [\"undefined\",\"fn\"]");
}

const LOGS: &str = "
exports.handler = async () => {
    console.log('two %s\\nlines', 'words', { a: 1 });
    console.debug('fine');
    console.warn({ k: 'v' });
    console.error(new RangeError('e'));
    process.stdout.write('raw\\n');
};";

#[test]
fn console_lines_are_text_by_default() {
    let Some(outcome) = case(LOGS).event("{}").run() else {
        return;
    };
    let lines: Vec<&str> = outcome.stdout.split('\n').collect();
    assert_eq!(lines[0], "<time>\treq-1\tINFO\ttwo words\rlines { a: 1 }");
    assert_eq!(lines[1], "<time>\treq-1\tDEBUG\tfine");
    assert_eq!(lines[2], "<time>\treq-1\tWARN\t{ k: 'v' }");
    assert!(lines[3].starts_with("<time>\treq-1\tERROR\tRangeError: e\r    at "), "{}", lines[3]);
    assert_eq!(lines[4], "raw");
}

#[test]
fn console_lines_are_json_objects_when_asked() {
    let case = case(LOGS)
        .variable("AWS_LAMBDA_LOG_FORMAT", "JSON")
        .variable("AWS_LAMBDA_LOG_LEVEL", "INFO");
    let Some(outcome) = case.event("{}").run() else {
        return;
    };
    let lines: Vec<&str> = outcome.stdout.split('\n').collect();
    assert_eq!(
        lines[0],
        r#"{"timestamp":"<time>","level":"INFO","requestId":"req-1","message":"two words\nlines { a: 1 }"}"#
    );
    assert_eq!(
        lines[1],
        r#"{"timestamp":"<time>","level":"WARN","requestId":"req-1","message":{"k":"v"}}"#
    );
    let error: Value = serde_json::from_str(lines[2]).unwrap();
    assert_eq!(
        (&error["message"]["errorType"], &error["message"]["errorMessage"]),
        (&json!("RangeError"), &json!("e"))
    );
    assert_eq!(lines[3], "raw");
}

#[test]
fn with_a_telemetry_descriptor_records_are_frames() {
    let source = "exports.handler = async () => { console.warn('a\\nb'); return String(process.env._LAMBDA_TELEMETRY_LOG_FD); };";
    let Some(outcome) = case(source).frames().event("{}").run() else {
        return;
    };
    assert_eq!(
        (answer(&outcome, 0).as_str(), outcome.stdout.as_str()),
        ("response \"undefined\"", "")
    );
    let frame = &outcome.frames;
    assert_eq!(frame[..4], 0xa55a_0013_u32.to_be_bytes());
    assert_eq!(
        usize::try_from(u32::from_be_bytes(frame[4..8].try_into().unwrap())).unwrap(),
        frame.len() - 16
    );
    assert!(frame.ends_with(b"\treq-1\tWARN\ta\nb\n"));
}

#[test]
fn every_way_of_writing_an_answer_is_read() {
    for wire in [Wire::Plain, Wire::Split, Wire::Chunked, Wire::Closing, Wire::Frozen] {
        let mut case = case("exports.handler = async (e) => e;").wire(wire);
        for number in 0..100 {
            case = case.event(format!("{{\"n\": {number}, \"t\": \"{}\"}}", "é".repeat(number)));
        }
        let Some(outcome) = case.run() else { return };
        assert_eq!(outcome.posts.len(), 100, "{wire:?}: {}", outcome.stdout);
        for (number, post) in outcome.posts.iter().enumerate() {
            assert_eq!(
                post.path,
                format!("/2018-06-01/runtime/invocation/req-{}/response", number + 1)
            );
            assert_eq!(post.json(), json!({"n": number, "t": "é".repeat(number)}));
        }
    }
}

#[test]
fn large_events_and_responses_pass_and_too_large_ones_do_not_end_the_loop() {
    let source = "exports.handler = async (e) => e.length > 5000000 ? e + e : e;";
    let text = |size: usize| format!("\"{}\"", "x".repeat(size));
    let Some(outcome) = case(source).event(text(4_900_000)).event(text(5_000_001)).event("1").run()
    else {
        return;
    };
    let sizes: Vec<usize> = outcome.posts.iter().map(|post| post.body.len()).collect();
    assert_eq!(sizes, [4_900_002, 10_000_004, 1]);
    assert!(outcome.stderr.contains("refused the response with 413"), "{}", outcome.stderr);
}

#[test]
fn a_streamed_response_leaves_in_chunks_and_the_loop_goes_on() {
    let source = "
exports.handler = awslambda.streamifyResponse(async (e, stream, c) => {
    if (e === 'http') stream = awslambda.HttpResponseStream.from(stream, { statusCode: 201 });
    else if (e === 'type') stream.setContentType('text/x');
    if (e === 'empty') { stream.end(); return; }
    stream.write('a');
    await new Promise((resolve) => setTimeout(resolve, 2));
    stream.write(Buffer.from('b'));
    stream.write({ c: 1 });
    if (e === 'boom') throw new RangeError('mid');
    stream.end('d');
});";
    let mut case = case(source);
    for event in ["1", "\"http\"", "\"type\"", "\"empty\"", "\"boom\"", "2"] {
        case = case.event(event);
    }
    let Some(outcome) = case.run() else { return };
    let bodies: Vec<&str> = outcome.posts.iter().map(support::Post::text).collect();
    let http = "{\"statusCode\":201}\0\0\0\0\0\0\0\0ab{\"c\":1}d";
    assert_eq!(
        bodies,
        ["ab{\"c\":1}d", http, "ab{\"c\":1}d", "", "ab{\"c\":1}", "ab{\"c\":1}d"],
        "{}",
        outcome.stdout
    );
    let types: Vec<_> =
        outcome.posts.iter().map(|post| post.header("content-type").unwrap()).collect();
    let plain = "application/octet-stream";
    assert_eq!(
        types[..4],
        [plain, "application/vnd.awslambda.http-integration-response", "text/x", plain]
    );
    for post in &outcome.posts {
        assert_eq!(post.header("lambda-runtime-function-response-mode"), Some("streaming"));
    }
    let boom = &outcome.posts[4];
    assert_eq!(boom.trailer("Lambda-Runtime-Function-Error-Type"), Some("RangeError"));
    assert!(
        boom.trailer("Lambda-Runtime-Function-Error-Body").unwrap().starts_with("eyJlcnJvclR5cGUi")
    );
    assert!(outcome.posts[0].trailers.is_empty());
}

#[test]
fn a_large_stream_waits_for_its_reader_and_an_unfinished_one_is_an_error() {
    let source = "
const { pipeline } = require('stream/promises');
const { Readable } = require('stream');
exports.handler = awslambda.streamifyResponse(async (e, stream) => {
    if (e) await pipeline(Readable.from(Array(e).fill('x'.repeat(65536))), stream);
    else stream.write('half');
});";
    let Some(outcome) = case(source).event("160").event("0").event("1").run() else {
        return;
    };
    let sizes: Vec<usize> = outcome.posts.iter().map(|post| post.body.len()).collect();
    assert_eq!(sizes, [160 * 65536, 4, 65536], "{}", outcome.stdout);
    assert_eq!(outcome.posts[1].trailer("Lambda-Runtime-Function-Error-Type"), Some("string"));
    assert!(outcome.stdout.contains("Response stream is not finished."));
}

/// What user code can find out about its process. Each case also runs in one that was started ahead.
#[test]
fn a_process_that_was_started_ahead_cannot_be_told_from_another() {
    let source = r#"
const fs = require('fs');
const read = (name) => fs.readFileSync(`/proc/self/${name}`, 'utf8');
const kind = (fd) => {
  try { return [Number(fd), fs.readlinkSync(`/proc/self/fd/${fd}`).split(':')[0]]; } catch { return null; }
};
const tree = (module) => [module.id, module.paths, module.children.map(tree)];
exports.handler = async () => {
  const kept = (text) => !text.includes('RUNTIME_API');
  return {
    env: Object.entries(process.env).map(String).filter(kept),
    procEnviron: read('environ').replace(/\0+$/, '').split('\0').filter(kept),
    cmdline: read('cmdline'), argv: process.argv, execArgv: process.execArgv, cwd: process.cwd(),
    descriptors: fs.readdirSync('/proc/self/fd').map(kind).filter(Boolean).map(String).sort(),
    limits: read('limits'), oom: read('oom_score_adj'),
    cache: Object.keys(require.cache), children: tree(require.main),
    pathCache: Object.keys(module.constructor._pathCache), paths: module.constructor.globalPaths,
    globals: Object.getOwnPropertyNames(globalThis), symbols: Object.getOwnPropertySymbols(globalThis).map(String),
    listeners: process.eventNames().map((name) => [String(name), process.listenerCount(name)]),
    console: Object.keys(console), zone: new Intl.DateTimeFormat().resolvedOptions().timeZone,
    resources: process.getActiveResourcesInfo(),
  };
};
"#;
    let case = Case::new(RUNTIME, "fn.handler", "fn.js", source);
    let Some(outcome) = case.variable("OWN", "\u{e9} = x").frames().event("{}").run() else {
        return;
    };
    let seen = outcome.posts[0].json();
    assert!(seen["env"].to_string().contains("OWN,\u{e9} = x"), "{seen}");
    assert!(seen["procEnviron"].to_string().contains("OWN=\u{e9} = x"), "{seen}");
}

/// Who sees the connection takes the process for ready: what it still rehearsed would be waited for.
#[test]
fn a_process_that_is_started_ahead_rehearses_before_it_connects() {
    let rehearsal = r"
const fs = require('fs');
const isSocket = (fd) => {
  try { return fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:'); } catch { return false; }
};
exports.handler = async () => {
  const sockets = fs.readdirSync('/proc/self/fd').filter(isSocket);
  fs.appendFileSync(`${__dirname}/sockets`, `${sockets.length} `);
};
";
    let source = r"
const fs = require('fs');
exports.handler = async () => fs.readFileSync(`${process.env.LAMBDA_RUNTIME_DIR}/sockets`, 'utf8');
";
    let case = Case::new(RUNTIME, "fn.handler", "fn.js", source);
    let case = case.file("../runtime/node/rehearsal.js", rehearsal).event("{}");
    let Some(outcome) = case.run_in(Begun::Ahead) else { return };
    assert_eq!(outcome.posts[0].json(), "0 0 0 ", "{}", outcome.stderr);
}

#[test]
fn processes_that_were_started_ahead_have_no_chance_in_common() {
    let source = "exports.handler = async () => [Math.random(), crypto.randomUUID(), require('crypto').randomBytes(8).toString('hex')];";
    let drawn = || {
        let case = Case::new(RUNTIME, "fn.handler", "fn.js", source).event("{}");
        let outcome = case.run_in(Begun::Ahead)?;
        Some(outcome.posts[0].json().as_array().unwrap().clone())
    };
    let (Some(one), Some(two)) = (drawn(), drawn()) else { return };
    assert!(one.iter().zip(&two).all(|(one, two)| one != two), "{one:?} {two:?}");
}
