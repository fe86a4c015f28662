//! What an environment writes down: log lines on their way to the store, the tail of the running
//! invocation, and its life.

use std::collections::HashMap;

use dormouse_model::clock::Clock;
use dormouse_model::environment::Micros;
use dormouse_model::limits;
use dormouse_model::names::{EnvironmentId, RequestId};
use dormouse_sandbox::{ProcessId, Stream};
use dormouse_store::logs::{Event, StreamKey};

use super::lines::{Budget, Lines, Tail};
use crate::lives::{Lives, Moment};
use crate::logs::LogSink;

/// Owned by the environment's task; nobody else writes to its stream.
#[derive(Debug)]
pub(super) struct Journal {
    clock: Clock,
    born: Micros,
    id: EnvironmentId,
    destination: StreamKey,
    sink: LogSink,
    lives: Lives,
    partial: HashMap<(ProcessId, Stream), Lines>,
    budget: Budget,
    waiting: Vec<Event>,
    tail: Tail,
}

impl Journal {
    pub(super) fn new(
        id: EnvironmentId,
        destination: StreamKey,
        sink: LogSink,
        lives: Lives,
        clock: Clock,
    ) -> Self {
        let born = clock.now();
        Self {
            born,
            id,
            destination,
            sink,
            lives,
            partial: HashMap::new(),
            budget: Budget::new(born),
            waiting: Vec::new(),
            tail: Tail::default(),
            clock,
        }
    }

    /// A line of the platform: not part of the function's budget, and dropped only when the store
    /// has taken nothing for long.
    pub(super) fn platform(&mut self, line: String) {
        if self.waiting.len() < 2 * limits::LOG_QUEUE_EVENTS {
            self.push(line);
        } else {
            self.tail.push(&line);
            self.budget.count_dropped(line.len());
        }
    }

    /// Bytes that a process wrote.
    pub(super) fn output(&mut self, process: ProcessId, stream: Stream, bytes: &[u8]) {
        let mut lines = Vec::new();
        self.partial.entry((process, stream)).or_default().push(bytes, |line| lines.push(line));
        self.application(lines);
    }

    /// The ends of output that came without a newline, once its writers are gone.
    pub(super) fn finish_lines(&mut self) {
        let mut lines = Vec::new();
        for (_, mut partial) in self.partial.drain() {
            partial.finish(|line| lines.push(line));
        }
        self.application(lines);
        self.tell_dropped();
    }

    /// The ends of output so far: an invocation's last line belongs to it, newline or not.
    pub(super) fn cut_lines(&mut self) {
        let mut lines = Vec::new();
        for partial in self.partial.values_mut() {
            partial.finish(|line| lines.push(line));
        }
        self.application(lines);
        self.tell_dropped();
    }

    /// Says how much was dropped, where there is room to say it.
    fn tell_dropped(&mut self) {
        if self.waiting.len() < limits::LOG_QUEUE_EVENTS
            && let Some(notice) = self.budget.notice()
        {
            self.push(notice);
        }
    }

    fn application(&mut self, lines: Vec<String>) {
        let now = self.clock.now();
        if self.waiting.len() + lines.len() > limits::LOG_QUEUE_EVENTS {
            self.flush();
        }
        for line in lines {
            if !self.budget.admit(line.len(), now) {
                continue;
            }
            if self.waiting.len() < limits::LOG_QUEUE_EVENTS {
                self.push(line);
            } else {
                self.budget.count_dropped(line.len());
            }
        }
    }

    fn push(&mut self, line: String) {
        self.tail.push(&line);
        self.waiting.push(Event { timestamp_ms: self.clock.wall_ms(), message: line });
    }

    /// Whether lines wait to be handed over.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty() || self.budget.has_dropped()
    }

    /// Hands lines over if there is room. What was dropped is told once there is, or the telling
    /// itself would be a flood.
    pub(super) fn flush(&mut self) {
        if !self.waiting.is_empty()
            && let Err(kept) = self.sink.offer(&self.destination, std::mem::take(&mut self.waiting))
        {
            self.waiting = kept;
            return;
        }
        self.tell_dropped();
    }

    /// Hands over the last lines, waiting for room.
    pub(super) async fn close(mut self) {
        self.finish_lines();
        self.flush();
        if !self.waiting.is_empty() {
            self.sink.send(&self.destination, self.waiting).await;
        }
        self.lives.end(&self.id);
    }

    /// A new invocation: its tail begins.
    pub(super) fn begin_tail(&mut self) {
        self.tail = Tail::default();
    }

    /// The tail of the invocation.
    pub(super) fn take_tail(&mut self) -> Vec<u8> {
        self.tail.take()
    }

    /// A moment of the environment's life.
    pub(super) fn moment(&self, what: &'static str, request: Option<&RequestId>) {
        let at_micros = self.clock.now() - self.born;
        let request_id = request.map(ToString::to_string);
        self.lives.tell(&self.id, Moment { at_micros, what, request_id });
    }
}
