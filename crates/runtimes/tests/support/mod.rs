//! A Runtime API small enough to read, and one run of a bootstrap against it.
//!
//! Owns: the listener, the child process, the temporary directories. Must never: outlive its test.
#![allow(dead_code, clippy::unwrap_used, reason = "test code, of which each file uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use dormouse_model::runtime::Runtime;
use dormouse_runtimes::{
    Choice, Interpreter, Language, RUNTIME_DIR, briefing, choose, compiler, discover,
    install_bootstraps, launch, launch_ahead, may_be_briefed,
};
use rustix::net::sockopt::set_socket_linger;
use rustix::process::{Pid, Signal, kill_process};

/// Longer than any case takes on a busy machine; only a hang gets there.
const HANG: Duration = Duration::from_secs(60);

/// How the fake writes its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// One write, with a length.
    Plain,
    /// Seven bytes at a time.
    Split,
    /// Chunked transfer encoding.
    Chunked,
    /// Closes behind each answer without having said so.
    Closing,
    /// Stops the process while it waits in `next`, answers, and lets it go on.
    Frozen,
}

#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Post {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    pub(crate) fn trailer(&self, name: &str) -> Option<&str> {
        find(&self.trailers, name)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn text_lossy(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

pub(crate) struct Case {
    pub(crate) runtime: Runtime,
    pub(crate) handler: String,
    pub(crate) files: Vec<(String, String)>,
    /// Files that were something else when they were compiled ahead.
    pub(crate) compiled: Vec<(String, String)>,
    pub(crate) events: Vec<Event>,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) wire: Wire,
    /// Whether descriptor 9 is a file for telemetry frames.
    pub(crate) frames: bool,
    /// How many connections break while `restore/next` waits on them.
    pub(crate) broken: usize,
}

/// How a process comes to its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// It is started for it.
    For,
    /// It is started before and told.
    Ahead,
}

pub(crate) struct Outcome {
    pub(crate) posts: Vec<Post>,
    /// How it looked each time it asked `restore/next`.
    pub(crate) restores: Vec<AtRestorePoint>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The exit code, or none when it was waiting for more when the events were used up.
    pub(crate) exit: Option<i32>,
    pub(crate) frames: Vec<u8>,
}

/// A process that waits at its restore point, as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AtRestorePoint {
    /// What is not a standard descriptor, by kind.
    pub(crate) descriptors: Vec<String>,
    pub(crate) threads: usize,
}

impl AtRestorePoint {
    fn of(pid: Pid) -> Self {
        let process = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
        let names = fs::read_dir(process.join("fd")).unwrap().map(|it| it.unwrap().file_name());
        let mut descriptors: Vec<String> = names
            .filter(|name| !["0", "1", "2"].iter().any(|standard| name == standard))
            .filter_map(|name| {
                let target = fs::read_link(process.join("fd").join(&name)).unwrap();
                // Whoever runs the tests may leave some of its own open to all below it.
                let inherited = fs::read_link(Path::new("/proc/self/fd").join(&name));
                (inherited.ok().as_ref() != Some(&target)).then(|| kind(&target))
            })
            .collect();
        descriptors.sort();
        Self { descriptors, threads: fs::read_dir(process.join("task")).unwrap().count() }
    }
}

/// `socket` of `socket:[1234]`, and a file by its name.
fn kind(target: &Path) -> String {
    let name = target.file_name().unwrap().to_string_lossy();
    name.split(':').next().unwrap().to_owned()
}

impl Case {
    pub(crate) fn new(runtime: &str, handler: &str, file: &str, source: &str) -> Self {
        Self {
            runtime: Runtime::parse(runtime).unwrap(),
            handler: handler.to_owned(),
            files: vec![(file.to_owned(), source.to_owned())],
            compiled: Vec::new(),
            events: Vec::new(),
            variables: Vec::new(),
            wire: Wire::Plain,
            frames: false,
            broken: 0,
        }
    }

    pub(crate) fn file(mut self, name: &str, source: &str) -> Self {
        self.files.push((name.to_owned(), source.to_owned()));
        self
    }

    /// The file's bytecode was made ahead from this source. Its time stamp is that of the file.
    pub(crate) fn compiled(mut self, name: &str, source: &str) -> Self {
        self.compiled.push((name.to_owned(), source.to_owned()));
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn wire(mut self, wire: Wire) -> Self {
        self.wire = wire;
        self
    }

    pub(crate) fn frames(mut self) -> Self {
        self.frames = true;
        self.variable("_LAMBDA_TELEMETRY_LOG_FD", "9")
    }

    /// With SnapStart; so many connections break while the process waits at its restore point.
    pub(crate) fn snap_start(mut self, broken: usize) -> Self {
        self.broken = broken;
        self.variable("AWS_LAMBDA_INITIALIZATION_TYPE", "snap-start")
    }

    /// Adds an event; its request id is `req-N`, counted from 1.
    pub(crate) fn event(self, body: impl Into<Vec<u8>>) -> Self {
        self.event_with(body, &[])
    }

    pub(crate) fn event_with(mut self, body: impl Into<Vec<u8>>, headers: &[(&str, &str)]) -> Self {
        let id = format!("req-{}", self.events.len() + 1);
        let arn = "arn:aws:lambda:us-east-1:000000000000:function:fn";
        let mut all = vec![
            ("lambda-RUNTIME-aws-request-id", id.as_str()),
            ("Lambda-Runtime-Deadline-Ms", "4102444800000"),
            ("Lambda-Runtime-Invoked-Function-Arn", arn),
        ];
        all.extend(headers);
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let headers = all.into_iter().map(owned).collect();
        self.events.push(Event { headers, body: body.into() });
        self
    }

    /// Runs the case, also in a process that was started ahead if one may be used: nothing may differ.
    /// None (said aloud) when this machine has no interpreter of the language.
    pub(crate) fn run(self) -> Option<Outcome> {
        let outcome = self.run_in(Begun::For)?;
        let own = self.variables.iter().cloned().collect();
        if may_be_briefed(self.runtime, &interpreter(self.runtime)?, Some(&own)) {
            let other = self.run_in(Begun::Ahead)?;
            let all = |outcome: &Outcome| {
                let posts = outcome.posts.iter();
                let posts: Vec<_> =
                    posts.map(|post| (post.path.clone(), post.text_lossy())).collect();
                (
                    posts,
                    outcome.restores.len(),
                    outcome.stdout.clone(),
                    outcome.stderr.clone(),
                    outcome.exit,
                )
            };
            assert_eq!(all(&outcome), all(&other), "started ahead it differs");
        }
        Some(outcome)
    }

    /// Runs the case in a process that was begun in this way.
    pub(crate) fn run_in(&self, begun: Begun) -> Option<Outcome> {
        let interpreter = interpreter(self.runtime)?;
        let dir = tempfile::tempdir().unwrap();
        let runtime_dir = dir.path().join("runtime");
        install_bootstraps(&runtime_dir).unwrap();
        let language = Language::of(self.runtime).unwrap();
        let runtime_dir = runtime_dir.join(language.directory());
        let task = dir.path().join("task");
        if !self.compiled.is_empty() {
            write(&task, &self.compiled);
            let archive = compile(self.runtime, &interpreter, (&runtime_dir, &task));
            fs::write(runtime_dir.join("bytecode/one"), archive).unwrap();
        }
        write(&task, &self.files);
        let frames = dir.path().join("frames");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut started = self.started(&interpreter, (&runtime_dir, &task), &address);
        if self.frames {
            started.descriptors.push((9, frames.clone()));
        }
        if begun == Begun::Ahead {
            let path = dir.path().join("briefing");
            fs::write(&path, briefing(&started.variables, task.to_str().unwrap()).unwrap())
                .unwrap();
            started.descriptors.push((61, path));
            let ahead = launch_ahead(self.runtime, &interpreter, 256).unwrap().variables;
            started.variables.retain(|(name, _)| ahead.iter().any(|(it, _)| it == name));
            started.variables.push(("AWS_LAMBDA_RUNTIME_API".to_owned(), address));
            started.variables.push(ahead.last().unwrap().clone());
        }
        let mut outcome = serve(started.command(begun, &task), listener, self);
        outcome.frames = fs::read(&frames).unwrap_or_default();
        let (task, place) = (task.to_str().unwrap(), dir.path().to_str().unwrap());
        let shown = |text: &str| masked(&text.replace(task, "/task").replace(place, "/place"));
        outcome.stdout = shown(&outcome.stdout);
        outcome.stderr = shown(&outcome.stderr);
        for post in &mut outcome.posts {
            if let Ok(text) = std::str::from_utf8(&post.body) {
                post.body = shown(text).into_bytes();
            }
        }
        Some(outcome)
    }

    fn started(
        &self,
        interpreter: &Interpreter,
        (runtime_dir, task): (&Path, &Path),
        address: &str,
    ) -> Started {
        let launch = launch(self.runtime, Some(interpreter), 256, None);
        let (here, task) = (runtime_dir.to_str().unwrap(), task.to_str().unwrap());
        let argv = launch.argv.iter().map(|word| word.replace(RUNTIME_DIR, here)).collect();
        let language = launch.variables.iter().map(|(name, value)| {
            (name.clone(), value.replace(RUNTIME_DIR, here).replace("/var/task", task))
        });
        let mut variables: BTreeMap<String, String> = language.collect();
        for (name, value) in [
            ("_HANDLER", self.handler.as_str()),
            ("LAMBDA_TASK_ROOT", task),
            ("LAMBDA_RUNTIME_DIR", here),
            ("AWS_EXECUTION_ENV", &self.runtime.execution_env().unwrap()),
            ("AWS_LAMBDA_RUNTIME_API", address),
            ("AWS_LAMBDA_FUNCTION_NAME", "fn"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/fn"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]0"),
        ] {
            variables.insert(name.to_owned(), value.to_owned());
        }
        variables.extend(self.variables.iter().cloned());
        Started { argv, variables: variables.into_iter().collect(), descriptors: Vec::new() }
    }
}

/// Files of one age.
fn write(task: &Path, files: &[(String, String)]) {
    for (name, source) in files {
        let path = task.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, source).unwrap();
        fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH)
            .unwrap();
    }
}

/// An archive of the bytecode of all that lies below a directory.
pub(crate) fn compile(
    runtime: Runtime,
    interpreter: &Interpreter,
    (runtime_dir, below): (&Path, &Path),
) -> Vec<u8> {
    let argv = compiler(runtime, interpreter, 256, below.to_str().unwrap()).unwrap();
    let here = runtime_dir.to_str().unwrap();
    let argv: Vec<String> = argv.iter().map(|word| word.replace(RUNTIME_DIR, here)).collect();
    let ran = Command::new(&argv[0]).args(&argv[1..]).env_clear().output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    ran.stdout
}

/// A process to be started.
struct Started {
    argv: Vec<String>,
    variables: Vec<(String, String)>,
    /// Files that it has open under these numbers.
    descriptors: Vec<(i32, PathBuf)>,
}

impl Started {
    fn command(&self, begun: Begun, task: &Path) -> Command {
        // The shell opens files and must leave no variable of its own behind.
        let opened = self.descriptors.iter().map(|(number, path)| {
            let way = if *number == 61 { "<" } else { ">" };
            format!("exec {number}{way}'{}'; ", path.display())
        });
        let script = opened.collect::<String>() + "exec /usr/bin/env -i \"$@\"";
        let mut command = Command::new("/bin/bash");
        command.args(["-c", &script, "bash"]).env_clear();
        command.args(self.variables.iter().map(|(name, value)| format!("{name}={value}")));
        command.args(&self.argv).current_dir(if begun == Begun::Ahead {
            Path::new("/")
        } else {
            task
        });
        command
    }
}

/// The interpreter that runs the tests of a runtime, or none, said aloud.
pub(crate) fn interpreter(runtime: Runtime) -> Option<Interpreter> {
    // Names other directories (or programs), so that any version can be put through the same cases.
    let chosen = std::env::var_os("DORMOUSE_TEST_INTERPRETERS");
    let usual = || vec![PathBuf::from("/usr/bin"), PathBuf::from("/usr/local/bin")];
    let found = discover(&chosen.map_or_else(usual, |list| std::env::split_paths(&list).collect()));
    match choose(runtime, &found) {
        Choice::Exact(found) => found,
        Choice::Nearest(found) => Some(found),
        Choice::Missing { install } => {
            eprintln!("SKIPPED: no interpreter for {runtime} here; {install}");
            None
        }
    }
}

/// Time stamps of any log format become `<time>`.
fn masked(text: &str) -> String {
    const SHAPE: &str = "0000-00-00T00:00:00";
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let fits = rest.len() > SHAPE.len()
            && rest.bytes().zip(SHAPE.bytes()).all(|(byte, shape)| {
                if shape == b'0' { byte.is_ascii_digit() } else { byte == shape }
            });
        if fits {
            out.push_str("<time>");
            let tail = &rest[SHAPE.len()..];
            rest = tail.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
            rest = rest.strip_prefix('Z').unwrap_or(rest);
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

enum Signs {
    /// The runtime asked for an event and there is none left.
    Idle,
    /// Its standard output ended, so the process did.
    Ended,
}

struct State {
    events: std::vec::IntoIter<Event>,
    posts: Vec<Post>,
    restores: Vec<AtRestorePoint>,
    broken: usize,
    pid: Option<Pid>,
}

fn serve(mut command: Command, listener: TcpListener, case: &Case) -> Outcome {
    let address = listener.local_addr().unwrap();
    let state = Arc::new(Mutex::new(State {
        events: case.events.clone().into_iter(),
        posts: Vec::new(),
        restores: Vec::new(),
        broken: case.broken,
        pid: None,
    }));
    let wire = case.wire;
    let (signs, heard) = channel();
    let accepting = {
        let (state, signs) = (state.clone(), signs.clone());
        std::thread::spawn(move || accept(&listener, &state, &signs, wire))
    };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Held until the id is noted: the first request is served only then.
    let mut guard = state.lock().unwrap();
    let mut child = command.spawn().unwrap();
    guard.pid = Some(Pid::from_child(&child));
    drop(guard);
    let stdout = collect(child.stdout.take().unwrap(), Some(signs));
    let stderr = collect(child.stderr.take().unwrap(), None);
    let exit = match wait(&heard) {
        Some(Signs::Ended) => child.wait().unwrap().code(),
        Some(Signs::Idle) | None => {
            child.kill().unwrap();
            child.wait().unwrap();
            None
        }
    };
    // An empty connection ends the accepting thread.
    drop(TcpStream::connect(address));
    accepting.join().unwrap();
    let (posts, restores) = {
        let mut state = state.lock().unwrap();
        (std::mem::take(&mut state.posts), std::mem::take(&mut state.restores))
    };
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    Outcome { posts, restores, stdout, stderr, exit, frames: Vec::new() }
}

fn wait(heard: &Receiver<Signs>) -> Option<Signs> {
    let sign = heard.recv_timeout(HANG).ok();
    assert!(sign.is_some(), "the runtime neither ended nor asked for the next event");
    sign
}

type Collecting = std::thread::JoinHandle<String>;

fn collect(mut pipe: impl Read + Send + 'static, signs: Option<Sender<Signs>>) -> Collecting {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        if let Some(signs) = signs {
            drop(signs.send(Signs::Ended));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn accept(listener: &TcpListener, state: &Arc<Mutex<State>>, signs: &Sender<Signs>, wire: Wire) {
    let mut threads = Vec::new();
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        let mut first = [0];
        if stream.peek(&mut first).unwrap_or(0) == 0 && is_last(state) {
            break;
        }
        let (state, signs) = (state.clone(), signs.clone());
        threads.push(std::thread::spawn(move || connection(stream, &state, &signs, wire)));
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

/// The process has ended: what connects now is the test itself.
fn is_last(state: &Mutex<State>) -> bool {
    let pid = state.lock().unwrap().pid;
    pid.is_none_or(|pid| rustix::process::test_kill_process(pid).is_err())
}

fn connection(stream: TcpStream, state: &Mutex<State>, signs: &Sender<Signs>, wire: Wire) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some(request) = read_request(&mut reader) {
        let written = if request.path.ends_with("/restore/next") {
            let breaks = {
                let mut state = state.lock().unwrap();
                let seen = AtRestorePoint::of(state.pid.unwrap());
                state.restores.push(seen);
                (state.restores.len() <= state.broken).then_some(state.restores.len())
            };
            if let Some(count) = breaks {
                // Every other one is reset: what a restored process sees depends on how it was restored.
                let linger = (count % 2 == 0).then_some(Duration::ZERO);
                set_socket_linger(&writer, linger).unwrap();
                return;
            }
            answer(&mut writer, "200 OK", &[], b"", wire)
        } else if request.path.ends_with("/next") {
            let (event, pid) = {
                let mut state = state.lock().unwrap();
                (state.events.next(), state.pid)
            };
            let Some(event) = event else {
                drop(signs.send(Signs::Idle));
                // Waits, as the platform does, until the process is gone.
                let _ = reader.read(&mut [0]);
                return;
            };
            if wire == Wire::Frozen {
                kill_process(pid.unwrap(), Signal::STOP).unwrap();
            }
            let written = answer(&mut writer, "200 OK", &event.headers, &event.body, wire);
            if wire == Wire::Frozen {
                kill_process(pid.unwrap(), Signal::CONT).unwrap();
            }
            written
        } else {
            let streamed = request.header("transfer-encoding").is_some();
            let large = request.body.len() > 6_291_556;
            state.lock().unwrap().posts.push(request);
            let status = if large { "413 Payload Too Large" } else { "202 Accepted" };
            let written = answer(&mut writer, status, &[], b"{\"status\":\"OK\"}\n", wire);
            if streamed {
                return;
            }
            written
        };
        if written.is_err() || wire == Wire::Closing {
            return;
        }
    }
}

fn answer(
    writer: &mut TcpStream,
    status: &str,
    headers: &[(String, String)],
    body: &[u8],
    wire: Wire,
) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if wire == Wire::Chunked {
        let mut bytes = format!("{text}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
        for piece in body.chunks(1000) {
            bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
            bytes.extend(piece);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        return writer.write_all(&bytes);
    }
    let mut bytes = format!("{text}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend(body);
    let piece = if wire == Wire::Split { 7 } else { bytes.len() };
    bytes.chunks(piece).try_for_each(|piece| writer.write_all(piece))
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Post> {
    let first = read_line(reader)?;
    let path = first.split(' ').nth(1)?.to_owned();
    let headers = read_fields(reader)?;
    let mut post = Post { path, headers, body: Vec::new(), trailers: Vec::new() };
    if post.header("transfer-encoding").is_some() {
        loop {
            let size = usize::from_str_radix(&read_line(reader)?, 16).unwrap();
            if size == 0 {
                post.trailers = read_fields(reader)?;
                return Some(post);
            }
            let mut piece = vec![0; size];
            reader.read_exact(&mut piece).ok()?;
            post.body.extend(piece);
            assert_eq!(read_line(reader)?, "");
        }
    }
    let length = post.header("content-length").map_or(0, |text| text.parse().unwrap());
    post.body = vec![0; length];
    reader.read_exact(&mut post.body).ok()?;
    Some(post)
}

fn read_fields(reader: &mut BufReader<TcpStream>) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let line = read_line(reader)?;
        let Some((name, value)) = line.split_once(':') else {
            return Some(fields);
        };
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn read_line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let count = reader.read_line(&mut line).ok()?;
    (count > 0).then(|| line.trim_end().to_owned())
}
