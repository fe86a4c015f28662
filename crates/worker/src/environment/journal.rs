//! What an environment has to say: every event becomes a line of its log, in the format of the
//! function's choice, part of the running invocation's tail, and telemetry for who has subscribed.
//! Also the moments of its life.

use dormouse_model::clock::Clock;
use dormouse_model::environment::{Cause, Micros};
use dormouse_model::function::LogFormat;
use dormouse_model::limits;
use dormouse_model::names::{EnvironmentId, RequestId};
use dormouse_model::telemetry::{self, Event, Level, Record, SchemaVersion, to_json, to_text};
use dormouse_sandbox::{ProcessId, Stream};
use dormouse_store::logs::{self, StreamKey};

use super::lines::{Budget, Tail};
use super::output::{Output, Written};
use super::telemetry::Telemetry;
use crate::lives::{Detail, Lives, Moment};
use crate::logs::LogSink;
use crate::recipe::RUNTIME;

/// How long the last line waits for another one before all are handed over (ours), in microseconds: one
/// batch costs the store about as much as the lines of it.
const REST: Micros = 50_000;
/// How long the first line waits at most (ours), in microseconds.
const PATIENCE: Micros = 500_000;
/// How many lines are handed over without waiting (ours).
const BATCH_LINES: usize = 1_024;

/// Owned by the environment's task; nobody else writes to its stream.
#[derive(Debug)]
pub(super) struct Journal {
    clock: Clock,
    born: Micros,
    id: EnvironmentId,
    destination: StreamKey,
    format: Format,
    sink: LogSink,
    lives: Lives,
    output: Output,
    budget: Budget,
    waiting: Vec<logs::Event>,
    /// When the first and the last of what waits came; dropped lines, which are to be told, count.
    came: Option<(Micros, Micros)>,
    tail: Tail,
    pub(super) telemetry: Telemetry,
}

/// How the log is written, and the lowest level that is kept of each kind of lines.
#[derive(Debug, Clone, Copy)]
enum Format {
    Text,
    Json { application: Level, system: Level },
}

impl Journal {
    pub(super) fn new(
        id: EnvironmentId,
        (destination, format): (StreamKey, &LogFormat),
        sink: LogSink,
        lives: Lives,
        clock: Clock,
    ) -> Self {
        let born = clock.now();
        Self {
            born,
            id,
            destination,
            format: Format::of(format),
            sink,
            lives,
            output: Output::default(),
            budget: Budget::new(born),
            waiting: Vec::new(),
            came: None,
            tail: Tail::default(),
            telemetry: Telemetry::new(clock.clone()),
            clock,
        }
    }

    /// Tells of something.
    pub(super) fn tell(&mut self, record: Record) {
        let event = self.event(record);
        self.telemetry.publish(&event);
        let line = match self.format {
            Format::Text => to_text(&event.record),
            Format::Json { system, .. } if event.record.level() >= system => {
                to_json(&event, SchemaVersion::OF_LOG_LINES).map(|json| json + "\n")
            }
            Format::Json { .. } => None,
        };
        if let Some(line) = line {
            self.platform_line(line, event.wall_ms, event.now);
        }
    }

    fn event(&self, record: Record) -> Event {
        Event { wall_ms: self.clock.wall_ms(), now: self.clock.now(), record }
    }

    /// A line of the platform: not part of the function's budget, and dropped only when the store
    /// has taken nothing for long.
    pub(super) fn remark(&mut self, line: String) {
        self.platform_line(line, self.clock.wall_ms(), self.clock.now());
    }

    fn platform_line(&mut self, line: String, wall_ms: u64, now: Micros) {
        if self.waiting.len() < 2 * limits::LOG_QUEUE_EVENTS {
            self.push(line, wall_ms, now);
        } else {
            self.tail.push(&line);
            self.budget.count_dropped(line.len());
            self.touch(now);
        }
        if self.waiting.len().is_multiple_of(BATCH_LINES) {
            self.flush();
        }
    }

    /// Bytes that a process wrote.
    pub(super) fn output(&mut self, process: ProcessId, stream: Stream, bytes: &[u8]) {
        let written = self.output.push(process, stream, bytes);
        self.application(written);
    }

    /// The ends of output that came without a newline, once its writers are gone.
    pub(super) fn finish_lines(&mut self) {
        self.cut_lines();
        self.output.forget();
    }

    /// The ends of output so far: an invocation's last line belongs to it, newline or not.
    pub(super) fn cut_lines(&mut self) {
        let written = self.output.finish();
        self.application(written);
        self.tell_dropped();
    }

    /// Says how much was dropped, where there is room to say it.
    fn tell_dropped(&mut self) {
        if self.waiting.len() < limits::LOG_QUEUE_EVENTS
            && let Some(notice) = self.budget.notice()
        {
            self.push(notice, self.clock.wall_ms(), self.clock.now());
        }
    }

    fn application(&mut self, written: Vec<Written>) {
        let now = self.clock.now();
        if self.waiting.len() + written.len() > limits::LOG_QUEUE_EVENTS {
            self.flush();
        }
        for Written { process, text, wall_ms } in written {
            let wall_ms = self.believed(wall_ms);
            let Some(line) = self.heard(process, text, wall_ms) else { continue };
            if !self.budget.admit(line.len(), now) {
                self.touch(now);
                continue;
            }
            if self.waiting.len() < limits::LOG_QUEUE_EVENTS {
                self.push(line, wall_ms, now);
            } else {
                self.budget.count_dropped(line.len());
                self.touch(now);
            }
        }
    }

    /// The time of a line. Its writer may say it, but not that it was before there was an environment
    /// or that it will be.
    fn believed(&self, said_ms: Option<u64>) -> u64 {
        let now_ms = self.clock.wall_ms();
        let age_ms = (self.clock.now() - self.born) / 1_000;
        said_ms.map_or(now_ms, |said| said.clamp(now_ms - age_ms.min(now_ms), now_ms))
    }

    /// Tells subscribers of a line; gives it back if it belongs into the log.
    fn heard(&mut self, process: ProcessId, line: String, wall_ms: u64) -> Option<String> {
        let record = match process {
            RUNTIME => Record::Function(line),
            _ => Record::ExtensionLine(line),
        };
        let event = Event { wall_ms, now: self.clock.now(), record };
        self.telemetry.publish(&event);
        match (self.format, event.record) {
            (Format::Json { application, .. }, Record::Function(line)) => {
                telemetry::keeps(application, &line).then_some(line)
            }
            (_, Record::Function(line) | Record::ExtensionLine(line)) => Some(line),
            _ => None,
        }
    }

    fn push(&mut self, line: String, wall_ms: u64, now: Micros) {
        self.tail.push(&line);
        self.waiting.push(logs::Event { timestamp_ms: wall_ms, message: line });
        self.touch(now);
    }

    fn touch(&mut self, now: Micros) {
        let (first, _) = self.came.unwrap_or((now, now));
        self.came = Some((first, now));
    }

    /// When lines that wait are to be handed over.
    pub(super) fn due(&self) -> Option<Micros> {
        self.came.map(|(first, last)| (last + REST).min(first + PATIENCE))
    }

    /// Hands lines over if there is room. What was dropped is told once there is, or the telling
    /// itself would be a flood.
    pub(super) fn flush(&mut self) {
        self.came = None;
        if !self.waiting.is_empty()
            && let Err(kept) = self.sink.offer(&self.destination, std::mem::take(&mut self.waiting))
        {
            self.waiting = kept;
            self.touch(self.clock.now());
            return;
        }
        self.tell_dropped();
    }

    /// Hands over the last lines, waiting for room, and tells why the environment ended.
    pub(super) async fn close(mut self, cause: Cause) {
        let ended_at = self.clock.now() - self.born;
        self.finish_lines();
        self.flush();
        if !self.waiting.is_empty() {
            self.sink.send(&self.destination, self.waiting).await;
        }
        self.lives.end(&self.id, ended_at, cause);
    }

    /// A new invocation: its tail begins.
    pub(super) fn begin_tail(&mut self) {
        self.tail = Tail::default();
    }

    /// The tail of the invocation.
    pub(super) fn take_tail(&mut self) -> Vec<u8> {
        self.tail.take()
    }

    /// When the environment was asked for.
    pub(super) fn born(&self) -> Micros {
        self.born
    }

    /// A moment of the environment's life; `lives/life.rs` and `lives/trace.rs` know the words.
    pub(super) fn moment(&self, what: &'static str, request: Option<&RequestId>) {
        self.moment_with(what, request, Detail::default());
    }

    /// A moment of which more is known.
    pub(super) fn moment_with(
        &self,
        what: &'static str,
        request: Option<&RequestId>,
        detail: Detail,
    ) {
        let at_micros = self.clock.now() - self.born;
        let request_id = request.cloned();
        self.lives.tell(&self.id, Moment { at_micros, what, request_id, detail });
    }
}

impl Format {
    fn of(format: &LogFormat) -> Self {
        // Their validity was seen to when they were set; a level of another release counts as usual.
        let level = |word: &str| word.parse().unwrap_or(Level::Info);
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json { application, system } => {
                Self::Json { application: level(application), system: level(system) }
            }
        }
    }
}
