//! What a sandbox's processes write, in order with what must come after it.
//!
//! Owns the reading ends of all output pipes. A fact that must come after output (an exit, a drain)
//! is a barrier: it owes the bytes that lay in the pipes when it was put up, and is passed on when
//! those have been read. Bytes written later do not hold it up, so a process that floods its pipe
//! cannot delay an exit for ever.
//!
//! Most invocations write nothing, and every one ends with a drain. So that these need not wait for the
//! task that reads, [`Unread`] says from outside whether there is anything to wait for.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::owner;
use crate::{Event, ProcessId, Stream};

/// The most bytes in one event.
const CHUNK_BYTES: usize = 16 * 1024;

/// The pipes and barriers of one sandbox.
#[derive(Debug)]
pub(super) struct Output {
    pipes: Vec<Pipe>,
    barriers: VecDeque<Barrier>,
    next_number: u64,
    turn: usize,
    buffer: Box<[u8]>,
    unread: Arc<Unread>,
}

/// What can be seen of the pipes without the task that reads them.
#[derive(Debug, Default)]
pub(super) struct Unread {
    pipes: watch::Sender<Vec<Weak<OwnedFd>>>,
    /// Bytes may have left a pipe and not been passed on yet.
    on_their_way: AtomicBool,
}

impl Unread {
    /// Whether the pipes are empty and all that was in them has been passed on.
    pub(super) fn is_nothing(&self) -> bool {
        let pipes: Vec<Arc<OwnedFd>> =
            self.pipes.borrow().iter().filter_map(Weak::upgrade).collect();
        let mut asked: Vec<PollFd<'_>> =
            pipes.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)).collect();
        let are_empty = poll(&mut asked, Some(&Timespec::default())) == Ok(0);
        // In this order: what has left a pipe before the look has been passed on, or is on its way.
        are_empty && !self.on_their_way.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
struct Pipe {
    number: u64,
    process: ProcessId,
    stream: Stream,
    reader: AsyncFd<Arc<OwnedFd>>,
}

impl Pipe {
    /// Reads once; 0 at the end.
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.reader.poll_read_ready(cx))?;
            let read = ready.try_io(|reader| Ok(rustix::io::read(reader.get_ref(), &mut *buffer)?));
            let Ok(read) = read else { continue };
            if read.as_ref().is_ok_and(|read| (1..buffer.len()).contains(read)) {
                // It is empty now: the reactor will tell when it is not.
                ready.clear_ready();
            }
            return Poll::Ready(read);
        }
    }

    /// How many bytes lie in it. If the kernel does not say, as many as fit are assumed: the pipe
    /// running empty pays all.
    fn waiting(&self) -> u64 {
        rustix::io::ioctl_fionread(self.reader.get_ref()).unwrap_or(u64::MAX)
    }
}

#[derive(Debug)]
struct Barrier {
    event: Event,
    owed: Vec<(u64, u64)>,
}

/// The ends that a new process writes to.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) out: OwnedFd,
    pub(super) err: OwnedFd,
    pub(super) records: Option<OwnedFd>,
}

impl Ends {
    /// In the order in which they go to the guest.
    pub(super) fn into_descriptors(self) -> Vec<OwnedFd> {
        [self.out, self.err].into_iter().chain(self.records).collect()
    }
}

impl Output {
    /// No pipes yet. `unread` shows what is to come of them.
    pub(super) fn new(unread: Arc<Unread>) -> Self {
        Self {
            pipes: Vec::new(),
            barriers: VecDeque::new(),
            next_number: 0,
            turn: 0,
            buffer: vec![0; CHUNK_BYTES].into_boxed_slice(),
            unread,
        }
    }

    /// Makes the pipes of a process and returns the ends to write to.
    pub(super) fn open(&mut self, process: ProcessId, records: bool) -> io::Result<Ends> {
        let out = self.add(process, Stream::Out)?;
        let err = self.add(process, Stream::Err)?;
        let records = records.then(|| self.add(process, Stream::Records)).transpose()?;
        Ok(Ends { out, err, records })
    }

    fn add(&mut self, process: ProcessId, stream: Stream) -> io::Result<OwnedFd> {
        let (reader, writer) = std::io::pipe()?;
        rustix::io::ioctl_fionbio(&reader, true)?;
        let reader = Arc::new(OwnedFd::from(reader));
        self.unread.pipes.send_modify(|pipes| {
            pipes.retain(|pipe| pipe.strong_count() > 0);
            pipes.push(Arc::downgrade(&reader));
        });
        let number = self.next_number;
        self.next_number += 1;
        self.pipes.push(Pipe { number, process, stream, reader: owner::watch(reader)? });
        Ok(writer.into())
    }

    /// The pipes of a process, by their numbers in the kernel.
    pub(super) fn numbers(&self, process: ProcessId) -> io::Result<Vec<(Stream, u64)>> {
        let own = self.pipes.iter().filter(|pipe| pipe.process == process);
        own.map(|pipe| Ok((pipe.stream, rustix::fs::fstat(pipe.reader.get_ref())?.st_ino)))
            .collect()
    }

    /// Forgets the pipes of a process that was not started.
    pub(super) fn forget(&mut self, process: ProcessId) {
        self.pipes.retain(|pipe| pipe.process != process);
    }

    /// Passes the event on after what the process has written so far, or all have if none is named.
    pub(super) fn after(&mut self, process: Option<ProcessId>, event: Event) {
        let owed = self
            .pipes
            .iter()
            .filter(|pipe| process.is_none_or(|process| pipe.process == process))
            .map(|pipe| (pipe.number, pipe.waiting()))
            .filter(|(_, bytes)| *bytes > 0)
            .collect();
        self.barriers.push_back(Barrier { event, owed });
    }

    /// Whether all has been passed on and nobody can write any more.
    pub(super) fn is_finished(&self) -> bool {
        self.pipes.is_empty() && self.barriers.is_empty()
    }

    /// The next event. Waits for ever while there is nothing. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Event {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Whoever polls has passed on what came of it before.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            if self.barriers.front().is_some_and(|barrier| barrier.owed.is_empty())
                && let Some(barrier) = self.barriers.pop_front()
            {
                return Poll::Ready(barrier.event);
            }
            let before = self.pipes.len();
            if let Some(event) = self.poll_pipes(cx) {
                return Poll::Ready(event);
            }
            let passable = self.barriers.front().is_some_and(|barrier| barrier.owed.is_empty());
            if !passable && self.pipes.len() == before {
                return Poll::Pending;
            }
        }
    }

    /// Reads once from the first pipe that has something, beginning after the one read last.
    fn poll_pipes(&mut self, cx: &mut Context<'_>) -> Option<Event> {
        self.unread.on_their_way.store(true, Ordering::SeqCst);
        let read = self.poll_each(cx);
        if read.is_none() {
            self.unread.on_their_way.store(false, Ordering::SeqCst);
        }
        read
    }

    fn poll_each(&mut self, cx: &mut Context<'_>) -> Option<Event> {
        let count = self.pipes.len();
        for step in 0..count {
            let index = (self.turn + step) % count;
            let pipe = &self.pipes[index];
            let number = pipe.number;
            match pipe.poll_read(cx, &mut self.buffer) {
                Poll::Ready(Ok(length)) if length > 0 => {
                    let bytes = Bytes::copy_from_slice(&self.buffer[..length]);
                    let (process, stream) = (pipe.process, pipe.stream);
                    self.turn = index + 1;
                    self.pay(number, length as u64);
                    return Some(Event::Output { process, stream, bytes });
                }
                Poll::Ready(_) => {
                    self.pay(number, u64::MAX);
                    self.pipes.remove(index);
                    return None;
                }
                // Not ready may also mean that the reactor has not looked yet: only a pipe that is
                // really empty owes nothing. From any other the reactor will wake us.
                Poll::Pending if !self.barriers.is_empty() && pipe.waiting() == 0 => {
                    self.pay(number, u64::MAX);
                }
                Poll::Pending => {}
            }
        }
        None
    }

    fn pay(&mut self, number: u64, bytes: u64) {
        for barrier in &mut self.barriers {
            for (owed_by, owed) in &mut barrier.owed {
                if *owed_by == number {
                    *owed = owed.saturating_sub(bytes);
                }
            }
            barrier.owed.retain(|(_, owed)| *owed > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    const ONE: ProcessId = ProcessId(1);
    const TWO: ProcessId = ProcessId(2);

    fn exited(process: ProcessId) -> Event {
        Event::Exited { process, exit: crate::Exit::Code(0) }
    }

    /// The events until nothing more comes, as text.
    async fn events(output: &mut Output) -> String {
        let mut text = Vec::new();
        loop {
            tokio::select! {
                biased;
                event = output.next() => text.push(match event {
                    Event::Output { process, bytes, .. } => {
                        format!("{}:{}", process.0, String::from_utf8_lossy(&bytes))
                    }
                    Event::Exited { process, .. } => format!("{} exited", process.0),
                    Event::Drained { token } => format!("drained {token}"),
                    other => format!("{other:?}"),
                }),
                // The reactor must have had its turn before "nothing" is true.
                () = turns() => return text.join(" | "),
            }
        }
    }

    async fn turns() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn an_exit_comes_after_what_its_process_wrote() {
        let mut output = Output::new(Arc::default());
        let ends = output.open(ONE, false).unwrap();
        File::from(ends.out).write_all(b"last words").unwrap();
        output.after(Some(ONE), exited(ONE));
        assert_eq!(events(&mut output).await, "1:last words | 1 exited");
        drop(ends.err);
        events(&mut output).await;
        assert!(output.is_finished());
    }

    #[tokio::test]
    async fn an_exit_comes_after_the_records_of_its_process_too() {
        let mut output = Output::new(Arc::default());
        let ends = output.open(ONE, true).unwrap();
        File::from(ends.records.unwrap()).write_all(b"a record").unwrap();
        output.after(Some(ONE), exited(ONE));
        output.after(None, Event::Drained { token: 1 });
        assert_eq!(events(&mut output).await, "1:a record | 1 exited | drained 1");
    }

    #[tokio::test]
    async fn bytes_written_after_an_exit_do_not_hold_it_up() {
        let mut output = Output::new(Arc::default());
        let ends = output.open(ONE, false).unwrap();
        let mut grandchild = File::from(ends.out);
        grandchild.write_all(b"before").unwrap();
        output.after(Some(ONE), exited(ONE));
        assert_eq!(events(&mut output).await, "1:before | 1 exited");
        grandchild.write_all(b"after").unwrap();
        assert_eq!(events(&mut output).await, "1:after");
    }

    #[tokio::test]
    async fn a_drain_waits_for_every_process_and_keeps_its_place() {
        let mut output = Output::new(Arc::default());
        let (one, two) = (output.open(ONE, false).unwrap(), output.open(TWO, false).unwrap());
        File::from(one.out).write_all(b"a").unwrap();
        File::from(two.err).write_all(b"b").unwrap();
        output.after(None, Event::Drained { token: 7 });
        output.after(Some(TWO), exited(TWO));
        assert_eq!(events(&mut output).await, "1:a | 2:b | drained 7 | 2 exited");
    }

    #[tokio::test]
    async fn with_nothing_to_wait_for_an_event_passes_at_once() {
        let mut output = Output::new(Arc::default());
        output.after(None, Event::Empty);
        assert_eq!(events(&mut output).await, "Empty");
    }

    #[tokio::test]
    async fn what_was_written_is_unread_until_it_is_passed_on() {
        let unread = Arc::new(Unread::default());
        let mut output = Output::new(unread.clone());
        let ends = output.open(ONE, true).unwrap();
        assert!(unread.is_nothing());
        File::from(ends.out.try_clone().unwrap()).write_all(b"a").unwrap();
        assert!(!unread.is_nothing(), "in the pipe");
        assert!(matches!(output.next().await, Event::Output { .. }));
        assert!(!unread.is_nothing(), "read, and not passed on before the next one is asked for");
        assert_eq!(events(&mut output).await, "");
        assert!(unread.is_nothing());
        drop(ends);
        events(&mut output).await;
        assert!(output.is_finished() && unread.is_nothing());
    }
}
