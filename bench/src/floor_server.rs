//! The floor: the smallest server with two hops. Client, server, parked `next`, response, client.
//!
//! One thread over epoll, no timers, no limits, no isolation, nothing written down. It is what a
//! Lambda must cost on this machine when the platform itself is free; it is not meant to be used.
//! Ends when its standard input does, so that it never outlives the bench.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use anyhow::Context;
use dormouse_bench::{Head, Inbox};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

const INPUT: u64 = 0;
const LISTENER: u64 = 1;
/// Tokens of connections begin here.
const FIRST: u64 = 2;
const EVENTS: usize = 64;
/// Far in the future: no function of a bench looks at its deadline.
const DEADLINE_MS: u64 = 4_000_000_000_000;

/// Serves until standard input ends.
pub(crate) fn main() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listening")?;
    listener.set_nonblocking(true)?;
    announce(&listener)?;
    let mut floor = Floor::new(listener)?;
    let mut events = Vec::with_capacity(EVENTS);
    loop {
        events.clear();
        match epoll::wait(&floor.epoll, spare_capacity(&mut events), None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error).context("epoll"),
        }
        for event in &events {
            match event.data.u64() {
                INPUT => return Ok(()),
                LISTENER => floor.accept()?,
                token => floor.wake(token, event.flags),
            }
        }
    }
}

#[expect(clippy::print_stdout, reason = "the line that tells the bench where to send")]
fn announce(listener: &TcpListener) -> io::Result<()> {
    println!("{}", listener.local_addr()?);
    io::stdout().flush()
}

struct Floor {
    epoll: OwnedFd,
    listener: TcpListener,
    connections: HashMap<u64, Connection>,
    next_token: u64,
    next_request: u64,
    /// Runtimes parked in `next`; the one that came last is used first.
    idle: Vec<u64>,
    /// Clients and their events, while no runtime is idle.
    waiting: VecDeque<(u64, Vec<u8>)>,
    /// Who waits for the answer to a request.
    running: HashMap<u64, u64>,
}

struct Connection {
    stream: TcpStream,
    inbox: Inbox,
    output: Vec<u8>,
    sent: usize,
    /// Whether the socket took no more, and we asked to be woken when it does.
    is_blocked: bool,
}

/// What a message asks for.
enum Request {
    Next,
    Response(u64),
    Invoke,
}

impl Floor {
    fn new(listener: TcpListener) -> anyhow::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).context("epoll")?;
        let wanted = EventFlags::IN;
        epoll::add(&epoll, io::stdin(), EventData::new_u64(INPUT), wanted)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), wanted)?;
        Ok(Self {
            epoll,
            listener,
            connections: HashMap::new(),
            next_token: FIRST,
            next_request: 1,
            idle: Vec::new(),
            waiting: VecDeque::new(),
            running: HashMap::new(),
        })
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("accepting"),
        };
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let token = self.next_token;
        self.next_token += 1;
        epoll::add(&self.epoll, &stream, EventData::new_u64(token), EventFlags::IN)?;
        let connection = Connection {
            stream,
            inbox: Inbox::default(),
            output: Vec::new(),
            sent: 0,
            is_blocked: false,
        };
        self.connections.insert(token, connection);
        Ok(())
    }

    /// A connection that breaks is forgotten; who waits for it has a timeout of its own.
    fn wake(&mut self, token: u64, flags: EventFlags) {
        if self.serve(token, flags).is_err() {
            self.connections.remove(&token);
            self.idle.retain(|idle| *idle != token);
        }
    }

    fn serve(&mut self, token: u64, flags: EventFlags) -> io::Result<()> {
        if flags.contains(EventFlags::OUT) {
            self.flush(token)?;
        }
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return Ok(());
        }
        let Some(connection) = self.connections.get_mut(&token) else {
            return Ok(());
        };
        match connection.inbox.read_once(&mut connection.stream) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        while let Some(message) = self.message(token) {
            self.handle(token, message)?;
        }
        Ok(())
    }

    fn message(&mut self, token: u64) -> Option<Head> {
        self.connections.get_mut(&token)?.inbox.message()
    }

    fn handle(&mut self, token: u64, message: Head) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(&token) else {
            return Ok(());
        };
        let bytes = connection.inbox.bytes();
        let request = Request::of(&bytes[..message.body])?;
        let body = bytes[message.body..message.end].to_vec();
        connection.inbox.consume(message);
        match request {
            Request::Next => match self.waiting.pop_front() {
                Some((client, event)) => self.run(token, client, &event),
                None => {
                    self.idle.push(token);
                    Ok(())
                }
            },
            Request::Invoke => match self.idle.pop() {
                Some(runtime) => self.run(runtime, token, &body),
                None => {
                    self.waiting.push_back((token, body));
                    Ok(())
                }
            },
            Request::Response(id) => {
                if let Some(client) = self.running.remove(&id) {
                    self.send(client, "200 OK", "", &body)?;
                }
                self.send(token, "202 Accepted", "", b"")
            }
        }
    }

    fn run(&mut self, runtime: u64, client: u64, event: &[u8]) -> io::Result<()> {
        let id = self.next_request;
        self.next_request += 1;
        self.running.insert(id, client);
        let headers = format!(
            "Lambda-Runtime-Aws-Request-Id: {id}\r\nLambda-Runtime-Deadline-Ms: {DEADLINE_MS}\r\n\
             Lambda-Runtime-Invoked-Function-Arn: \
             arn:aws:lambda:us-east-1:000000000000:function:floor\r\n"
        );
        self.send(runtime, "200 OK", &headers, event)
    }

    fn send(&mut self, token: u64, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(&token) else {
            return Ok(());
        };
        write!(
            connection.output,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        )?;
        connection.output.extend_from_slice(body);
        self.flush(token)
    }

    /// Writes what the socket takes, and asks to be woken for the rest.
    fn flush(&mut self, token: u64) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(&token) else {
            return Ok(());
        };
        while connection.sent < connection.output.len() {
            match connection.stream.write(&connection.output[connection.sent..]) {
                Ok(count) => connection.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let wanted = EventFlags::IN | EventFlags::OUT;
                    let data = EventData::new_u64(token);
                    epoll::modify(&self.epoll, &connection.stream, data, wanted)?;
                    connection.is_blocked = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        connection.output.clear();
        connection.sent = 0;
        if std::mem::take(&mut connection.is_blocked) {
            let data = EventData::new_u64(token);
            epoll::modify(&self.epoll, &connection.stream, data, EventFlags::IN)?;
        }
        Ok(())
    }
}

impl Request {
    fn of(head: &[u8]) -> io::Result<Self> {
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = std::str::from_utf8(line).map_err(io::Error::other)?;
        let path = line.split(' ').nth(1).unwrap_or_default();
        let mut parts = path.rsplit('/');
        match parts.next() {
            Some("next") => Ok(Self::Next),
            Some("response") => {
                let id = parts.next().and_then(|id| id.parse().ok());
                let id = id.ok_or_else(|| io::Error::other("a response to nothing"))?;
                Ok(Self::Response(id))
            }
            Some("invocations") => Ok(Self::Invoke),
            _ => Err(io::Error::other(format!("{line} has no place here"))),
        }
    }
}
