//! What user code could send to hurt us: it gets an answer or loses its connection, nothing else.

use dormouse_runtime_api::{Call, RuntimeState, limits, serve};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::owner::{Owner, event, id};
use crate::talk::{Then, block_on, talk};

const NEXT: &[u8] = b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n\r\n";

/// The statuses of all answers, and the calls, without `next`.
fn check(input: &str, then: Then, expected: &str) {
    let input =
        input.replace("RESPONSE", &format!("/2018-06-01/runtime/invocation/{}/response", id(1)));
    let input = [NEXT, input.as_bytes()].concat();
    let talk = talk(&input, then, Owner::with([event(1), event(2)]));
    let statuses = talk.output.split("HTTP/1.1 ").skip(2).map(|answer| &answer[..3]);
    let calls = talk.calls.iter().skip(1).map(|call| call.replace(&id(1), "ID"));
    let got: Vec<String> = statuses.map(str::to_owned).chain(calls).collect();
    assert_eq!(
        got.join(" "),
        expected,
        "{}",
        input.escape_ascii().to_string().get(..600).unwrap_or_default()
    );
}

#[test]
fn endless_headers_are_refused() {
    let headers = "A: b\r\n".repeat(100_000);
    check(&format!("GET /2018-06-01/ping HTTP/1.1\r\n{headers}\r\n"), Then::Wait, "431");
    let headers = "A: b\r\n".repeat(101);
    check(&format!("GET /2018-06-01/ping HTTP/1.1\r\n{headers}\r\n"), Then::Wait, "431");
    let path = "x".repeat(1_000_000);
    check(&format!("GET /{path} HTTP/1.1\r\n\r\n"), Then::Wait, "431");
}

#[test]
fn malformed_heads_are_refused() {
    for head in [
        "GET /2018-06-01/ping HTTP/1.1\r\nA: b\0c\r\n\r\n",
        "GET /2018-06-01/ping HTTP/1.1\r\nA\0: b\r\n\r\n",
        "GET /2018-06-01/ping HTTP/1.1\r\nA : b\r\n\r\n",
        "GET /2018-06-01/ping HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        "GET /2018-06-01/ping\0 HTTP/1.1\r\n\r\n",
        "GET /2018-06-01/ping HTTP/9.1\r\n\r\n",
        "GET\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
    ] {
        check(head, Then::Wait, "400");
    }
    // The preface of HTTP/2 just ends the connection.
    check("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Then::Wait, "");
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    for length in ["-1", "+3", "0x3", "3, 4", "99999999999999999999", "3\r\nContent-Length: 4"] {
        let head = format!("POST RESPONSE HTTP/1.1\r\nContent-Length: {length}\r\n\r\nabc");
        check(&head, Then::Wait, "400");
    }
}

#[test]
fn a_length_no_body_can_have_is_refused() {
    let head = format!("POST RESPONSE HTTP/1.1\r\nContent-Length: {}\r\n\r\nabc", u64::MAX);
    check(&head, Then::Wait, "431");
}

#[test]
fn a_huge_length_reserves_nothing_and_is_too_large() {
    check(
        "POST RESPONSE HTTP/1.1\r\nContent-Length: 10000000000000\r\n\r\nabc",
        Then::HalfClose,
        "413 Response(\"ID\") too large 10000000000000",
    );
}

#[test]
fn broken_chunks_are_a_truncated_body() {
    for chunks in [
        "FFFFFFFFFFFFFFFFF\r\nabc",
        "7fffffffffffffff\r\nabc",
        "-3\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcdef\r\n0\r\n\r\n",
        "z\r\n",
        "",
    ] {
        let input = format!("POST RESPONSE HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        check(&input, Then::HalfClose, "400 Response(\"ID\") truncated");
    }
}

#[test]
fn endless_chunk_extensions_and_trailers_end() {
    let head = "POST RESPONSE HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let extension = "x".repeat(1_000_000);
    check(
        &format!("{head}1;{extension}\r\na\r\n0\r\n\r\n"),
        Then::HalfClose,
        "400 Response(\"ID\") truncated",
    );
    let trailers = "X: y\r\n".repeat(100_000);
    check(
        &format!("{head}1\r\na\r\n0\r\n{trailers}\r\n"),
        Then::HalfClose,
        "400 Response(\"ID\") truncated",
    );
}

#[test]
fn a_body_without_a_length_is_empty() {
    check("POST RESPONSE HTTP/1.1\r\n\r\n", Then::Wait, "202 Response(\"ID\")  None");
}

#[test]
fn two_framings_at_once_never_make_two_readings() {
    // Chunked wins and the connection closes: what follows is never taken for a second response.
    let smuggled = "0\r\n\r\nPOST RESPONSE HTTP/1.1\r\nContent-Length: 1\r\n\r\nx";
    check(
        &format!(
            "POST RESPONSE HTTP/1.1\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{smuggled}",
            smuggled.len()
        ),
        Then::HalfClose,
        "202 Response(\"ID\")  None",
    );
    for encoding in
        ["identity", "xchunked", "chunked, identity", "chunked\r\nTransfer-Encoding: gzip"]
    {
        check(
            &format!("POST RESPONSE HTTP/1.1\r\nTransfer-Encoding: {encoding}\r\n\r\n{smuggled}"),
            Then::HalfClose,
            "400",
        );
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let ping = "GET /2018-06-01/ping HTTP/1.1\r\n\r\n";
    let input = format!(
        "{ping}POST RESPONSE HTTP/1.1\r\nContent-Length: 1\r\n\r\na{ping}GET / HTTP/1.1\r\n\r\n"
    );
    check(&input, Then::Wait, "200 202 200 404 Response(\"ID\") a None");
}

#[test]
fn of_a_thousand_calls_of_next_a_few_are_parked_and_the_rest_refused() {
    block_on(async {
        let (sender, mut calls) = mpsc::channel::<Call>(8);
        let mut owner = Owner::default();
        let mut clients = Vec::new();
        let mut served = JoinSet::new();
        for _ in 0..1_000 {
            let (mut client, server) = tokio::io::duplex(4_096);
            served.spawn(serve(server, sender.clone()));
            client.write_all(NEXT).await.unwrap();
            clients.push(client);
        }
        for _ in 0..1_000 {
            owner.take(calls.recv().await.unwrap());
        }
        let mut refused = 0;
        for client in &mut clients {
            let mut answer = [0; 12];
            let read = client.read_exact(&mut answer);
            if tokio::time::timeout(std::time::Duration::from_secs(1), read).await.is_ok() {
                assert_eq!(&answer, b"HTTP/1.1 403");
                refused += 1;
            }
        }
        assert_eq!(refused, 1_000 - limits::PARKED_NEXT);
    });
}

#[test]
fn no_more_bodies_are_read_at_once_than_the_owner_has_places_for() {
    block_on(async {
        // One place, and it is taken by a body that does not come to its end.
        let (sender, mut calls) = mpsc::channel::<Call>(1);
        let mut served = JoinSet::new();
        let (mut slow, server) = tokio::io::duplex(65_536);
        served.spawn(serve(server, sender.clone()));
        slow.write_all(
            b"POST /2018-06-01/runtime/init/error HTTP/1.1\r\nContent-Length: 5\r\n\r\nab",
        )
        .await
        .unwrap();
        while sender.capacity() > 0 {
            tokio::task::yield_now().await;
        }

        let (mut second, server) = tokio::io::duplex(4_096);
        served.spawn(serve(server, sender.clone()));
        let body = [
            b"POST /2018-06-01/runtime/init/error HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"
                .as_slice(),
            &[b'x'; 1_000_000],
        ]
        .concat();
        let writing = second.write_all(&body);
        tokio::pin!(writing);
        let patience = std::time::Duration::from_millis(limits::BODY_MS / 2);
        tokio::time::timeout(patience, &mut writing).await.unwrap_err();

        slow.write_all(b"cde").await.unwrap();
        assert!(
            matches!(calls.recv().await, Some(Call::InitError { report, .. }) if report.body == "abcde")
        );
        writing.await.unwrap();
        assert!(
            matches!(calls.recv().await, Some(Call::InitError { report, .. }) if report.body.len() == 1_000_000)
        );
    });
}

#[test]
fn an_event_for_a_dead_connection_goes_to_the_next_one() {
    block_on(async {
        let (sender, mut calls) = mpsc::channel::<Call>(8);
        let mut served = JoinSet::new();
        let (mut client, server) = tokio::io::duplex(4_096);
        served.spawn(serve(server, sender.clone()));
        client.write_all(NEXT).await.unwrap();
        let Some(Call::Next { mut reply }) = calls.recv().await else {
            panic!("next was called");
        };
        drop(client);
        reply.closed().await;

        let mut parked = dormouse_runtime_api::ParkedNext::default();
        parked.park(reply);
        assert!(!parked.is_waiting());
        let undelivered = parked.deliver(event(1)).unwrap_err();

        let (mut client, server) = tokio::io::duplex(4_096);
        served.spawn(serve(server, sender.clone()));
        client.write_all(NEXT).await.unwrap();
        let Some(Call::Next { reply }) = calls.recv().await else {
            panic!("next was called");
        };
        parked.park(reply);
        assert!(parked.is_waiting());
        parked.deliver(undelivered).unwrap();
        let mut answer = [0; 15];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    });
}

#[test]
fn an_owner_that_is_gone_ends_the_connection() {
    block_on(async {
        let (mut client, server) = tokio::io::duplex(4_096);
        let (sender, calls) = mpsc::channel::<Call>(8);
        drop(calls);
        let client = async {
            client.write_all(NEXT).await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let (served, answer) = tokio::join!(serve(server, sender), client);
        served.unwrap();
        assert_eq!(
            answer,
            "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: 75\r\n\r\n\
             {\"errorMessage\":\"Internal Server Error\",\"errorType\":\"InternalServerError\"}\n"
        );
    });
}

/// Pieces of requests, so that random ones get past the first line.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&'static [u8]> = vec![
        b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n",
        b"POST /2018-06-01/runtime/invocation/00000000-0000-4000-8000-000000000001/response HTTP/1.1\r\n",
        b"POST /2018-06-01/runtime/invocation/00000000-0000-4000-8000-000000000001/error HTTP/1.1\r\n",
        b"POST /2018-06-01/runtime/init/error HTTP/1.0\r\n",
        b"GET /2018-06-01/runtime/restore/next HTTP/1.1\r\n",
        b"POST /2018-06-01/runtime/restore/error HTTP/1.1\r\n",
        b"GET /2021-04-23/credentials HTTP/1.1\r\nAuthorization: the token\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Type: application/vnd.aws.lambda.error.cause+json\r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: upgrade\r\nUpgrade: x\r\n",
        b"\r\n",
        b"5\r\nabcde\r\n",
        b"0\r\n\r\n",
        b"hello",
    ];
    prop_oneof![
        4 => proptest::sample::select(known).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    #[test]
    fn whatever_is_sent_the_connection_ends_and_nothing_panics(
        pieces in proptest::collection::vec(piece(), 0..40),
        half_close in any::<bool>(),
        restorable in any::<bool>(),
    ) {
        let then = if half_close { Then::HalfClose } else { Then::Wait };
        let state = RuntimeState::Started { restorable };
        let talk = talk(&pieces.concat(), then, Owner::in_state(state, (1..5).map(event)));
        prop_assert!(talk.served || talk.calls.len() <= pieces.len());
        prop_assert!(talk.output.is_empty() || talk.output.starts_with("HTTP/1."));
    }
}
