//! Responses that are passed on while the runtime writes them.

use dormouse_runtime_api::{Call, Piece, Refusal, ResponseStream, StreamEnd, limits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::answers::{ACCEPTED, EVENT_1, NEXT, error, forbidden, invalid_id, truncated};
use crate::owner::{Owner, event, id};
use crate::talk::{Then, block_on, talk};

fn head(id: &str, headers: &str) -> String {
    format!(
        "POST /2018-06-01/runtime/invocation/{id}/response HTTP/1.1\r\n\
         Lambda-Runtime-Function-Response-Mode: Streaming\r\n{headers}\r\n"
    )
}

fn chunked() -> String {
    head(&id(1), "Content-Type: text/x\r\nTransfer-Encoding: chunked\r\n")
}

/// A stream behind a `next`, what comes back behind the event, and what the owner saw of it.
fn check(then: Then, input: &str, expected: &str, call: &str) {
    let talk = talk(format!("{NEXT}{input}").as_bytes(), then, Owner::with([event(1)]));
    assert_eq!(talk.output, format!("{EVENT_1}{expected}"), "{input}");
    assert_eq!(talk.calls[1], format!("Response(\"{}\") stream {call}", id(1)), "{input}");
}

#[test]
fn a_stream_is_accepted_with_or_without_an_error_behind_it() {
    let input = format!("{}3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX: y\r\n\r\n", chunked());
    check(Then::Wait, &input, ACCEPTED, "abcde Some(\"text/x\")");
    check(Then::Wait, &format!("{}0\r\n\r\n", chunked()), ACCEPTED, " Some(\"text/x\")");
    let trailers = "Lambda-Runtime-Function-Error-Type: Runtime.StreamError\r\n\
        Lambda-Runtime-Function-Error-Body: eyJlcnJvck1lc3NhZ2UiOiJtIn0=\r\n";
    let input = format!("{}3\r\nabc\r\n0\r\n{trailers}\r\n", chunked());
    check(
        Then::Wait,
        &input,
        ACCEPTED,
        "abc Runtime.StreamError {\"errorMessage\":\"m\"} Some(\"text/x\")",
    );
    let plain = head(&id(1), "Content-Length: 3\r\n") + "abc";
    check(Then::Wait, &plain, ACCEPTED, "abc None");
}

#[test]
fn a_stream_may_be_larger_than_a_buffered_response() {
    let bytes = dormouse_model::limits::INVOKE_RESPONSE_BYTES * 2;
    let input = format!("{}{bytes:x}\r\n{}\r\n0\r\n\r\n", chunked(), "x".repeat(bytes));
    check(Then::Wait, &input, ACCEPTED, &format!("{bytes} bytes Some(\"text/x\")"));
}

#[test]
fn a_stream_that_breaks_off_is_truncated() {
    for rest in ["", "3\r\nab", "3\r\nabc\r\n", "3\r\nabc\r\n0\r\n", "z\r\n", "3\r\nabcd\r\n"] {
        let input = format!("{}{rest}", chunked());
        check(Then::HalfClose, &input, &truncated(), "truncated Some(\"text/x\")");
    }
    let short = head(&id(1), "Content-Length: 3\r\n") + "ab";
    check(Then::HalfClose, &short, &truncated(), "truncated None");
    let endless = format!("{}0\r\n{}\r\n", chunked(), "X: y\r\n".repeat(100_000));
    check(Then::HalfClose, &endless, &truncated(), "truncated Some(\"text/x\")");
}

#[test]
fn the_state_and_the_id_count_for_a_stream_too() {
    let input = format!("{}0\r\n\r\n", chunked());
    let two = talk(
        format!(
            "{input}{NEXT}{}0\r\n\r\n{input}{input}",
            head("none", "Transfer-Encoding: chunked\r\n")
        )
        .as_bytes(),
        Then::Wait,
        Owner::with([event(1)]),
    );
    assert_eq!(
        two.output,
        [
            forbidden("Started", "InvocationResponse").as_str(),
            EVENT_1,
            &invalid_id(),
            ACCEPTED,
            &invalid_id(),
        ]
        .concat()
    );
}

/// A runtime's side of a connection on which a stream has begun, and the owner's.
struct Begun {
    client: DuplexStream,
    stream: ResponseStream,
    reply: oneshot::Sender<Result<(), Refusal>>,
    _served: JoinSet<()>,
}

async fn begin() -> Begun {
    let (mut client, server) = tokio::io::duplex(4_096);
    let (sender, mut calls) = mpsc::channel::<Call>(1);
    let mut served = JoinSet::new();
    served.spawn(async move {
        let _ = serve(server, sender).await;
    });
    client.write_all(chunked().as_bytes()).await.unwrap();
    let Some(Call::ResponseStream { body: stream, reply, .. }) = calls.recv().await else {
        panic!("a stream was sent");
    };
    Begun { client, stream, reply, _served: served }
}

/// The status and body type of the next answer.
async fn read(client: &mut DuplexStream) -> String {
    let mut answer = vec![0; 12];
    client.read_exact(&mut answer).await.unwrap();
    String::from_utf8(answer.split_off(9)).unwrap()
}

#[test]
fn each_piece_is_there_before_the_next_one_is_written() {
    block_on(async {
        let mut begun = begin().await;
        for _ in 0..100 {
            begun.client.write_all(b"3\r\nabc\r\n").await.unwrap();
            assert_eq!(begun.stream.next().await, Piece::Data("abc".into()));
            // However long the function takes to go on.
            let long = std::time::Duration::from_millis(limits::BODY_MS * 2);
            tokio::time::sleep(long).await;
        }
        begun.client.write_all(b"0\r\n\r\n").await.unwrap();
        assert_eq!(begun.stream.next().await, Piece::End(StreamEnd::Complete));
        begun.reply.send(Ok(())).unwrap();
        assert_eq!(read(&mut begun.client).await, "202");
        assert_eq!(begun.stream.next().await, Piece::End(StreamEnd::Truncated));
    });
}

#[test]
fn a_slow_reader_slows_the_function_down() {
    block_on(async {
        let mut begun = begin().await;
        let endless = b"1000\r\n".iter().chain(&[b'x'; 4_096]).chain(b"\r\n").copied();
        let endless: Vec<u8> = endless.collect::<Vec<u8>>().repeat(1_000);
        let patience = std::time::Duration::from_secs(10);
        let written = tokio::time::timeout(patience, begun.client.write_all(&endless)).await;
        assert!(written.is_err(), "nobody reads, so not all of it is taken");
        let mut read = 0;
        while let Ok(Piece::Data(bytes)) = tokio::time::timeout(patience, begun.stream.next()).await
        {
            read += bytes.len();
        }
        let most = (limits::STREAM_PIECES + 4) * dormouse_model::limits::HEADER_BYTES;
        assert!(read <= most, "{read}");
    });
}

#[test]
fn a_stream_ends_where_it_is_too_large() {
    block_on(async {
        let Begun { mut client, mut stream, reply, _served } = begin().await;
        let writing = async {
            let chunk = [b"10000\r\n".as_slice(), &[b'x'; 65_536], b"\r\n"].concat();
            for _ in 0..limits::STREAM_BYTES / 65_536 + 10 {
                client.write_all(&chunk).await.unwrap();
            }
            client.write_all(b"0\r\n\r\n").await.unwrap();
            let mut answer = vec![0; 4_096];
            let length = client.read(&mut answer).await.unwrap();
            String::from_utf8_lossy(&answer[..length]).into_owned()
        };
        let reading = async move {
            let mut bytes = 0;
            let end = loop {
                match stream.next().await {
                    Piece::Data(data) => bytes += data.len() as u64,
                    Piece::End(end) => break end,
                }
            };
            reply.send(Ok(())).unwrap();
            (bytes, end)
        };
        let (answer, (bytes, end)) = tokio::join!(writing, reading);
        assert!(bytes <= limits::STREAM_BYTES);
        assert_eq!(end, StreamEnd::TooLarge);
        let expected = error(
            "413 Payload Too Large",
            "",
            "RequestEntityTooLarge",
            "Exceeded maximum allowed payload size (209715200 bytes).",
        );
        assert_eq!(answer, expected);
    });
}

#[test]
fn an_owner_that_wants_no_more_is_believed() {
    block_on(async {
        // It says so, and the rest is read and thrown away.
        let Begun { mut client, stream, reply, _served } = begin().await;
        drop(stream);
        reply.send(Err(Refusal::TruncatedHttpRequest)).unwrap();
        client.write_all(b"3\r\nabc\r\n0\r\n\r\n").await.unwrap();
        assert_eq!(read(&mut client).await, "400");

        // It lets go of the stream first and says later.
        let Begun { mut client, stream, reply, _served } = begin().await;
        drop(stream);
        client.write_all(b"3\r\nabc\r\n0\r\n\r\n").await.unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        reply.send(Ok(())).unwrap();
        assert_eq!(read(&mut client).await, "202");

        // It gives the invocation up in the middle: the connection is closed.
        let Begun { mut client, stream, reply, _served } = begin().await;
        client.write_all(b"3\r\nab").await.unwrap();
        drop((stream, reply));
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    });
}

#[test]
fn a_runtime_that_dies_in_the_middle_truncates_its_stream() {
    block_on(async {
        let Begun { mut client, mut stream, reply, _served } = begin().await;
        client.write_all(b"3\r\nabc\r\n").await.unwrap();
        drop(client);
        assert_eq!(stream.next().await, Piece::Data("abc".into()));
        assert_eq!(stream.next().await, Piece::End(StreamEnd::Truncated));
        drop(reply);
    });
}
