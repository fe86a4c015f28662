//! What the probe does, as an asynchronous program for the fake backend.
//!
//! Actions: `print T`, `eprint T`, `record T` (to the descriptor for records), `briefing` (waits for it
//! and prints it), `flood`, `exit N`,
//! `sleep`, `spin`, `count F` (writes a rising number into /tmp/F), `child-counts F` (a child does
//! that), `write F T`, `read F`, `env N`, `cwd`, `dial PORT T` (sends T, prints the answer), `listen
//! PORT` (says so, takes one connection, answers what it heard and prints it), `hold PORT` (says so,
//! takes none).

use std::time::Duration;

use dormouse_sandbox::fake::FakeProcess;
use dormouse_sandbox::{BoxFuture, Service, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The program `/var/task/probe` of the fake.
pub(crate) fn probe(process: FakeProcess) -> BoxFuture<'static, i32> {
    Box::pin(async move {
        let mut children: Vec<BoxFuture<'static, ()>> = Vec::new();
        let main = run(process.clone(), &mut children).await;
        // An orphan keeps running until it is killed, as a real one does; the fake has no place
        // for it but its parent, so the parent's end waits for it only when there is one.
        if let Some(child) = children.pop() {
            child.await;
        }
        main
    })
}

async fn run(process: FakeProcess, children: &mut Vec<BoxFuture<'static, ()>>) -> i32 {
    let mut args = process.args.clone().into_iter();
    let mut held = Vec::new();
    while let Some(action) = args.next() {
        let mut word = || args.next().unwrap_or_default();
        match action.as_str() {
            "print" => say(&process, word()).await,
            "eprint" => process.print(Stream::Err, word()).await,
            "record" if process.records => process.print(Stream::Records, word()).await,
            "record" => say(&process, format!("no place for {}", word())).await,
            "briefing" => {
                let briefing = process.briefing().await;
                let none = || "no place for a briefing".into();
                process.print(Stream::Out, briefing.unwrap_or_else(none)).await;
            }
            "flood" => loop {
                say(&process, "0123456789abcdef".repeat(4) + "\n").await;
            },
            "exit" => return word().parse().unwrap_or(255),
            "sleep" | "spin" => std::future::pending().await,
            "count" => count(process.clone(), word()).await,
            "child-counts" => {
                let (child, name) = (process.clone(), word());
                children.push(Box::pin(count(child, name)));
            }
            "write" => {
                let name = word();
                process.write_tmp(&name, word());
            }
            "read" => {
                let bytes = process.read_tmp(&word()).unwrap_or_else(|| b"nothing".to_vec());
                process.print(Stream::Out, bytes).await;
            }
            "env" => {
                let value = process.variables.get(&word()).cloned();
                say(&process, value.unwrap_or("unset".into())).await;
            }
            "cwd" => say(&process, process.cwd.clone()).await,
            "dial" => {
                let service =
                    if word() == "9001" { Service::RuntimeApi } else { Service::Endpoint };
                say(&process, dial(&process, service, word()).await).await;
            }
            "listen" => listen(&process, word()).await,
            "hold" => {
                held.push(process.listen(word().parse().unwrap_or(0)));
                say(&process, "listening".into()).await;
            }
            other => say(&process, format!("unknown action {other}")).await,
        }
    }
    0
}

async fn say(process: &FakeProcess, text: String) {
    process.print(Stream::Out, text).await;
}

async fn count(process: FakeProcess, name: String) {
    for number in 0u64.. {
        process.write_tmp(&name, number.to_string());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn dial(process: &FakeProcess, service: Service, text: String) -> String {
    let talk = async {
        let mut stream = process.dial(service).await?;
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    talk.await.unwrap_or_else(|error| format!("error: {error}"))
}

async fn listen(process: &FakeProcess, port: String) {
    let heard = async {
        let mut listener = process.listen(port.parse().unwrap_or(0))?;
        say(process, "listening".into()).await;
        let mut stream = listener.recv().await.ok_or(std::io::ErrorKind::NotConnected)?;
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await?;
        stream.write_all(format!("heard {heard}").as_bytes()).await?;
        std::io::Result::Ok(heard)
    };
    let heard = heard.await.unwrap_or_else(|error| format!("error: {error}"));
    say(process, heard).await;
}
