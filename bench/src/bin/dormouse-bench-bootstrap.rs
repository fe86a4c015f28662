//! The smallest custom runtime: one socket, one loop, the event is the answer.
//!
//! An event that begins with `{"sleep_ms":N` is answered after that long. Runs inside sandboxes as
//! `bootstrap` and, for the floor, as a plain process; the same file in both.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use dormouse_bench::{Inbox, header};

const SLEEP: &[u8] = b"{\"sleep_ms\":";

fn main() -> io::Result<()> {
    let address = std::env::var_os("AWS_LAMBDA_RUNTIME_API").unwrap_or_default();
    let address = address.to_string_lossy().into_owned();
    let mut stream = TcpStream::connect(&address)?;
    stream.set_nodelay(true)?;
    let next =
        format!("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let (mut inbox, mut output) = (Inbox::default(), Vec::new());
    loop {
        stream.write_all(next.as_bytes())?;
        let event = inbox.receive(&mut stream)?;
        let id = header(&inbox.bytes()[..event.body], "lambda-runtime-aws-request-id");
        let id = id.ok_or_else(|| io::Error::other("event without a request id"))?;
        let payload = &inbox.bytes()[event.body..event.end];
        pause(payload);
        output.clear();
        write!(
            output,
            "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\nHost: {address}\r\n\
             Content-Length: {}\r\n\r\n",
            payload.len()
        )?;
        output.extend_from_slice(payload);
        inbox.consume(event);
        stream.write_all(&output)?;
        let accepted = inbox.receive(&mut stream)?;
        inbox.consume(accepted);
    }
}

/// Sleeps as long as the event asks for.
fn pause(payload: &[u8]) {
    let Some(number) = payload.strip_prefix(SLEEP) else {
        return;
    };
    let digits = number.iter().take_while(|byte| byte.is_ascii_digit());
    let ms = digits.fold(0_u64, |ms, digit| ms.saturating_mul(10) + u64::from(digit - b'0'));
    #[expect(
        clippy::disallowed_methods,
        reason = "a function that takes a while is what is asked for"
    )]
    std::thread::sleep(Duration::from_millis(ms));
}
