//! The program that the contract tests run inside real sandboxes. It does what its arguments say,
//! one after the other; `tests/common/script.rs` describes them and does the same in the fake.
#![expect(unsafe_code, reason = "a descriptor that is known by its number has no safe form")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::BorrowedFd;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    while let Some(action) = args.next() {
        let mut word = || args.next().unwrap_or_default();
        match action.as_str() {
            "print" => say(&word()),
            "eprint" => eprint!("{}", word()),
            "record" => record(&word()),
            "briefing" => say(&briefing()),
            "flood" => loop {
                say("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n");
            },
            "exit" => return ExitCode::from(word().parse().unwrap_or(255)),
            "sleep" => loop {
                std::thread::park();
            },
            "spin" => loop {
                std::hint::spin_loop();
            },
            "count" => count(&word()),
            "child-counts" => child_counts(&word()),
            "write" => {
                let name = word();
                write_tmp(&name, &word());
            }
            "read" => say(&read_tmp(&word())),
            "env" => say(&std::env::vars_os()
                .find(|(name, _)| *name == *word())
                .map_or("unset".into(), |(_, value)| value.to_string_lossy().into_owned())),
            "cwd" => say(&std::env::current_dir().unwrap_or_default().to_string_lossy()),
            "dial" => {
                let port = word();
                dial(&port, &word());
            }
            "listen" => listen(&word()),
            "hold" => hold(&word()),
            other => say(&format!("unknown action {other}")),
        }
    }
    ExitCode::SUCCESS
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}

fn record(text: &str) {
    // SAFETY: the number is a pipe for the whole life of this process, or it is not open at all and
    // nothing in this program ever opens so many.
    let place = unsafe { BorrowedFd::borrow_raw(dormouse_sandbox::RECORDS_DESCRIPTOR) };
    if rustix::io::write(place, text.as_bytes()) != Ok(text.len()) {
        say(&format!("no place for {text}"));
    }
}

/// What is read from the descriptor until its end.
fn briefing() -> String {
    // SAFETY: as with the records above; it is closed by nobody else.
    let mut place = match unsafe { BorrowedFd::borrow_raw(dormouse_sandbox::BRIEFING_DESCRIPTOR) }
        .try_clone_to_owned()
    {
        Ok(place) => std::fs::File::from(place),
        Err(_) => return "no place for a briefing".to_owned(),
    };
    let mut text = String::new();
    match place.read_to_string(&mut text) {
        Ok(_) => text,
        Err(error) => format!("not read: {error}"),
    }
}

fn count(name: &str) {
    for number in 0u64.. {
        write_tmp(name, &number.to_string());
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
}

fn child_counts(name: &str) {
    let me = std::env::current_exe().unwrap_or_default();
    if let Err(error) = Command::new(me).args(["count", name]).spawn() {
        say(&format!("no child: {error}"));
    }
}

/// Atomic, so that nobody ever reads half a number.
fn write_tmp(name: &str, text: &str) {
    let (path, next) = (format!("/tmp/{name}"), format!("/tmp/{name}.next"));
    if let Err(error) = std::fs::write(&next, text).and_then(|()| std::fs::rename(next, path)) {
        say(&format!("not written: {error}"));
    }
}

fn read_tmp(name: &str) -> String {
    std::fs::read_to_string(format!("/tmp/{name}")).unwrap_or_else(|_| "nothing".to_owned())
}

fn dial(port: &str, text: &str) {
    let answer = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
        stream.write_all(text.as_bytes())?;
        stream.shutdown(Shutdown::Write)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    say(&answer().unwrap_or_else(|error| format!("error: {error}")));
}

/// As extensions do it: on the name under which the service is told of them.
fn bind(port: &str) -> TcpListener {
    match TcpListener::bind(format!("sandbox.localdomain:{port}")) {
        Ok(listener) => listener,
        Err(error) => {
            say(&format!("error: {error}"));
            std::process::exit(1)
        }
    }
}

fn listen(port: &str) {
    let listener = bind(port);
    say("listening");
    let heard = || -> std::io::Result<String> {
        let (mut stream, _) = listener.accept()?;
        let mut heard = String::new();
        stream.read_to_string(&mut heard)?;
        stream.write_all(format!("heard {heard}").as_bytes())?;
        Ok(heard)
    };
    say(&heard().unwrap_or_else(|error| format!("error: {error}")));
}

/// Room for one or two, so that others find no room.
fn hold(port: &str) {
    let listener = bind(port);
    if let Err(error) = rustix::net::listen(&listener, 1) {
        say(&format!("error: {error}"));
    }
    // Open until the process ends.
    std::mem::forget(listener);
    say("listening");
}
