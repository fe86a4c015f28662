//! Lives as a file of the Trace Event Format, for chrome://tracing and ui.perfetto.dev.
//!
//! Pure: from moments to spans, from spans to the shape that is written. It is here, beside the
//! moments, because only who knows their words can say which of them begins and which ends a span;
//! the frontend turns the shape into bytes and knows none of them.
//!
//! An environment does one thing at a time, so its spans lie one after the other on one track: what
//! begins a span ends the one before it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use dormouse_model::environment::Micros;
use dormouse_model::limits;
use dormouse_model::names::RequestId;
use serde::Serialize;

use super::{Life, Moment};

/// A file of the Trace Event Format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    trace_events: Vec<Event>,
    display_time_unit: &'static str,
    other_data: Other,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Other {
    /// What `ts` counts from, in milliseconds since 1970.
    started_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Event {
    name: Cow<'static, str>,
    cat: &'static str,
    ph: &'static str,
    ts: Micros,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<Micros>,
    pid: usize,
    tid: usize,
    /// The scope of an instant: its track.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    args: Args,
}

/// What is known of a span or a mark besides its time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Args {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<RequestId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_micros: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cold_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    /// Its end is not known: it goes on, or the moment that ended it is not kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unfinished: bool,
}

/// A stretch of time in which an environment did one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    kind: Kind,
    start: Micros,
    end: Micros,
    args: Args,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Provisioning,
    Init,
    Restore,
    Invoke,
    Frozen,
    Shutdown,
    Reset,
}

/// Something that took no time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    name: Cow<'static, str>,
    at: Micros,
    args: Args,
}

/// All of `lives` as one file: a process for each function version, a track for each environment.
#[must_use]
pub fn trace(lives: &[Life]) -> Trace {
    let start = lives.iter().min_by_key(|life| life.birth.born).map(|life| &life.birth);
    let born = start.map_or(0, |birth| birth.born);
    let mut processes: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut events = Vec::new();
    for (life, tid) in lives.iter().zip(1..) {
        let birth = &life.birth;
        let next = processes.len() + 1;
        let pid = *processes.entry((&birth.function_arn, &birth.version)).or_insert(next);
        let track = Track { pid, tid, offset: birth.born - born };
        if pid == next {
            let name = format!("{}:{}", birth.function_name, birth.version);
            events.push(track.name("process_name", name));
        }
        let id = birth.id.get(..8).unwrap_or(&birth.id);
        let name = format!("{id} {} {} MB", birth.runtime, birth.memory_size_mb);
        events.push(track.name("thread_name", name));
        events.extend(track.events(life));
    }
    let other_data = Other { started_ms: start.map_or(0, |birth| birth.created_ms) };
    Trace { trace_events: events, display_time_unit: "ms", other_data }
}

/// Where the events of one environment are drawn.
struct Track {
    pid: usize,
    tid: usize,
    /// Between the start of the file and the environment's own.
    offset: Micros,
}

impl Track {
    fn name(&self, what: &'static str, name: String) -> Event {
        let args = Args { name: Some(name), ..Args::default() };
        let (pid, tid) = (self.pid, self.tid);
        Event {
            name: what.into(),
            cat: "__metadata",
            ph: "M",
            ts: 0,
            dur: None,
            pid,
            tid,
            s: None,
            args,
        }
    }

    fn events(&self, life: &Life) -> Vec<Event> {
        let (pid, tid) = (self.pid, self.tid);
        let (spans, marks) = Reader::read(life);
        let spans = spans.into_iter().map(|span| Event {
            name: span.kind.word().into(),
            cat: if span.kind == Kind::Invoke { "invocation" } else { "environment" },
            ph: "X",
            ts: self.offset + span.start,
            dur: Some(span.end - span.start),
            pid,
            tid,
            s: None,
            args: span.args,
        });
        let marks = marks.into_iter().map(|mark| Event {
            name: mark.name,
            cat: if mark.args.request_id.is_some() { "invocation" } else { "environment" },
            ph: "i",
            ts: self.offset + mark.at,
            dur: None,
            pid,
            tid,
            s: Some("t"),
            args: mark.args,
        });
        spans.chain(marks).collect()
    }
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::Init => "init",
            Self::Restore => "restore",
            Self::Invoke => "invoke",
            Self::Frozen => "frozen",
            Self::Shutdown => "shutdown",
            Self::Reset => "reset",
        }
    }

    /// What a moment begins.
    fn begun_by(what: &str) -> Option<Self> {
        match what {
            "created" => Some(Self::Provisioning),
            "init" => Some(Self::Init),
            "restoring" => Some(Self::Restore),
            "invoke" => Some(Self::Invoke),
            "frozen" => Some(Self::Frozen),
            "terminating" | "shutting down" | "shutdown" => Some(Self::Shutdown),
            "reset" => Some(Self::Reset),
            _ => None,
        }
    }

    /// Whether a moment that begins nothing ends this.
    fn ends_with(self, what: &str) -> bool {
        match what {
            "provisioned" => self == Self::Provisioning,
            "thawed" => self == Self::Frozen,
            "emptied" => self == Self::Reset,
            "init failed" => self == Self::Init,
            "restore failed" => self == Self::Restore,
            "failed" => matches!(self, Self::Init | Self::Invoke),
            "reported" => matches!(self, Self::Invoke | Self::Reset),
            "ready" => true,
            _ => false,
        }
    }
}

/// Goes through moments, oldest first.
#[derive(Default)]
struct Reader {
    /// The latest moment so far; none is earlier than the one before it.
    last: Micros,
    open: Option<Span>,
    spans: Vec<Span>,
    marks: Vec<Mark>,
}

impl Reader {
    fn read(life: &Life) -> (Vec<Span>, Vec<Mark>) {
        let mut reader = Self::default();
        for (place, moment) in life.events.iter().flatten().enumerate() {
            if place == limits::LIFE_FIRST_EVENTS && life.events_dropped > 0 {
                reader.gap(life.events_dropped, moment.at_micros);
            }
            reader.take(moment);
        }
        if let Some(ended) = life.ended {
            reader.last = reader.last.max(ended.at_micros);
            let args = Args { cause: Some(ended.cause), ..Args::default() };
            if let Some(span) = &mut reader.open {
                span.args.cause = Some(ended.cause);
            }
            reader.close();
            reader.mark("ended", args);
        } else {
            reader.last = reader.last.max(life.age_micros);
            reader.leave_open();
        }
        if let Some(init) = reader.spans.iter_mut().find(|span| span.kind == Kind::Init) {
            init.args.cold_reason = Some(life.birth.cold_reason);
        }
        (reader.spans, reader.marks)
    }

    fn take(&mut self, moment: &Moment) {
        self.last = self.last.max(moment.at_micros);
        if let Some(span) = &mut self.open {
            span.args.duration_micros = moment.detail.duration_micros.or(span.args.duration_micros);
            span.args.error = span.args.error.or(moment.detail.error);
        }
        match Kind::begun_by(moment.what) {
            Some(kind) => self.begin(kind, moment.request_id.as_ref()),
            None if self.open.as_ref().is_some_and(|span| span.kind.ends_with(moment.what)) => {
                self.close();
            }
            None => {}
        }
        if matches!(moment.what, "answering" | "answered" | "failed") {
            let request_id = moment.request_id.clone();
            let error = moment.detail.error;
            self.mark(moment.what, Args { request_id, error, ..Args::default() });
        }
    }

    fn begin(&mut self, kind: Kind, request: Option<&RequestId>) {
        // A shutdown has several steps, and a lost event is delivered again.
        let goes_on = self
            .open
            .as_ref()
            .is_some_and(|open| open.kind == kind && open.args.request_id.as_ref() == request);
        if !goes_on {
            self.close();
            let args = Args { request_id: request.cloned(), ..Args::default() };
            self.open = Some(Span { kind, start: self.last, end: self.last, args });
        }
    }

    fn close(&mut self) {
        if let Some(span) = self.open.take() {
            self.spans.push(Span { end: self.last, ..span });
        }
    }

    fn leave_open(&mut self) {
        if let Some(span) = &mut self.open {
            span.args.unfinished = true;
        }
        self.close();
    }

    /// Moments are missing: nothing is known of what was under way before them.
    fn gap(&mut self, dropped: u64, at: Micros) {
        self.leave_open();
        self.last = self.last.max(at);
        self.mark(format!("{dropped} events are not kept"), Args::default());
    }

    fn mark(&mut self, name: impl Into<Cow<'static, str>>, args: Args) {
        self.marks.push(Mark { name: name.into(), at: self.last, args });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lives::life::tests::{life, request};

    /// Every word that is told, and one that is not known.
    const WORDS: [&str; 20] = [
        "created",
        "provisioned",
        "init",
        "init failed",
        "restoring",
        "restore failed",
        "ready",
        "frozen",
        "thawed",
        "invoke",
        "answering",
        "answered",
        "failed",
        "reported",
        "terminating",
        "shutting down",
        "reset",
        "emptied",
        "shutdown",
        "something new",
    ];

    /// Spans as `start-end kind [request] [error] [?]`, then marks as `at name`.
    fn shown(life: &Life) -> String {
        let (spans, marks) = Reader::read(life);
        let spans = spans.into_iter().map(|Span { kind, start, end, args }| {
            let number = args.request_id.map(|id| format!(" #{}", &id.as_str()[35..]));
            let error = args.error.map(|error| format!(" {error}")).unwrap_or_default();
            let open = if args.unfinished { " ?" } else { "" };
            format!("{start}-{end} {}{}{error}{open}", kind.word(), number.unwrap_or_default())
        });
        let marks = marks.into_iter().map(|mark| format!("{} {}", mark.at, mark.name));
        spans.chain(marks).collect::<Vec<_>>().join("; ")
    }

    #[track_caller]
    fn check(script: &str, expected: &str) {
        assert_eq!(shown(&life(script)), expected, "{script}");
    }

    const COLD: &str = "0 created; 10 provisioned; 11 init; 50 ready";

    #[test]
    fn a_cold_and_a_warm_invocation_are_spans_one_after_the_other() {
        check(
            &format!(
                "{COLD}; 52 invoke 1; 60 answered 1; 61 reported 1; 62 ready; 63 frozen; 80 thawed; \
                 81 invoke 2; 85 answered 2; 86 reported 2; 87 ready; 88 frozen"
            ),
            "0-10 provisioning; 11-50 init; 52-61 invoke #1; 63-80 frozen; 81-86 invoke #2; \
             88-88 frozen ?; 60 answered; 85 answered",
        );
    }

    #[test]
    fn an_unfinished_span_ends_at_the_last_known_moment() {
        check("0 created", "0-0 provisioning ?");
        check("0 created; 10 provisioned; 11 init", "0-10 provisioning; 11-11 init ?");
        let mut living = life(&format!("{COLD}; 60 invoke 1; 70 answered 1"));
        living.age_micros = 90;
        assert_eq!(shown(&living), "0-10 provisioning; 11-50 init; 60-90 invoke #1 ?; 70 answered");
    }

    #[test]
    fn an_end_closes_what_is_open_and_is_marked() {
        check(
            "0 created; 10 provisioned; 11 init; 50 ready; 60 frozen; 90 shutdown; 99 ended",
            "0-10 provisioning; 11-50 init; 60-90 frozen; 90-99 shutdown; 99 ended",
        );
        check("0 created; 5 ended", "0-5 provisioning; 5 ended");
    }

    #[test]
    fn a_timeout_is_followed_by_a_reset_and_by_another_init() {
        check(
            &format!(
                "{COLD}; 60 invoke 1; 70 failed 1 timeout; 71 reset; 75 emptied; 76 reported 1 timeout; \
                 77 ready; 80 init; 90 invoke 2; 95 answered 2; 96 reported 2; 97 ready"
            ),
            "0-10 provisioning; 11-50 init; 60-70 invoke #1 timeout; 71-75 reset; 80-90 init; \
             90-96 invoke #2; 70 failed; 95 answered",
        );
    }

    #[test]
    fn a_shutdown_with_extensions_is_one_span() {
        check(
            &format!(
                "{COLD}; 60 frozen; 70 thawed; 70 terminating; 72 shutting_down; 80 shutdown; 90 ended"
            ),
            "0-10 provisioning; 11-50 init; 60-70 frozen; 70-90 shutdown; 90 ended",
        );
    }

    #[test]
    fn an_event_that_is_delivered_again_begins_nothing() {
        check(
            &format!("{COLD}; 60 invoke 1; 65 invoke 1; 70 answered 1; 71 reported 1"),
            "0-10 provisioning; 11-50 init; 60-71 invoke #1; 70 answered",
        );
    }

    #[test]
    fn a_clock_that_jumps_back_makes_no_negative_span() {
        check("0 created; 10 provisioned; 5 init; 7 ready", "0-10 provisioning; 10-10 init");
    }

    #[test]
    fn nothing_is_drawn_across_a_gap() {
        let moment = |at_micros, what| Moment { at_micros, what, ..Moment::default() };
        let mut gapped = life(COLD);
        for at in 0..limits::LIFE_EVENTS as u64 {
            gapped.take(moment(100 + at, if at % 2 == 0 { "frozen" } else { "thawed" }));
        }
        let text = shown(&gapped);
        // The eighth event is a thaw, the first after the gap a freeze.
        assert!(
            text.starts_with("0-10 provisioning; 11-50 init; 100-101 frozen; 102-103 frozen; 108-"),
            "{text}"
        );
        assert!(text.ends_with("108 4 events are not kept"), "{text}");
    }

    #[test]
    fn several_environments_share_one_time_and_the_process_of_their_version() {
        let first = life(COLD);
        let mut second = life(COLD);
        second.birth.born += 1_000;
        second.birth.id = "f".repeat(32);
        let mut other = life(COLD);
        other.birth.function_name = "other".into();
        other.birth.function_arn += "other";
        let shown = serde_json::to_value(trace(&[first, other, second])).unwrap();
        let row = |event: &serde_json::Value| {
            let name = event["args"]["name"].as_str().or(event["name"].as_str()).unwrap();
            format!(
                "{} {}.{} {} {}",
                event["ph"].as_str().unwrap(),
                event["pid"],
                event["tid"],
                event["ts"],
                name
            )
        };
        let rows: Vec<String> = shown["traceEvents"].as_array().unwrap().iter().map(row).collect();
        assert_eq!(
            rows.join("\n"),
            "M 1.1 0 hello:$LATEST\nM 1.1 0 01234567 python3.12 128 MB\nX 1.1 0 provisioning\nX 1.1 11 init\n\
             M 2.2 0 other:$LATEST\nM 2.2 0 01234567 python3.12 128 MB\nX 2.2 0 provisioning\nX 2.2 11 init\n\
             M 1.3 0 ffffffff python3.12 128 MB\nX 1.3 1000 provisioning\nX 1.3 1011 init"
        );
        assert_eq!(shown["displayTimeUnit"], "ms");
        assert_eq!(shown["otherData"]["startedMs"], 1_000);
        assert_eq!(shown["traceEvents"][3]["args"]["coldReason"], "first");
    }

    proptest! {
        #[test]
        fn spans_follow_each_other_whatever_happened(
            moments in prop::collection::vec((0..WORDS.len(), 0_u64..100, 1_u32..4), 0..600),
            age in 0_u64..30_000,
            ended in any::<bool>(),
        ) {
            let mut life = life("");
            let mut at_micros = 0;
            for (word, step, number) in moments {
                at_micros += step;
                let request_id = (word % 2 == 0).then(|| request(number));
                life.take(Moment { at_micros, what: WORDS[word], request_id, ..Moment::default() });
            }
            life.age_micros = age;
            if ended {
                life.end(at_micros, dormouse_model::environment::Cause::Idle);
            }
            let known = if ended { at_micros } else { at_micros.max(age) };
            let (spans, marks) = Reader::read(&life);
            let mut last = 0;
            for span in &spans {
                prop_assert!(last <= span.start && span.start <= span.end, "{span:?} after {last}");
                last = span.end;
            }
            prop_assert!(last <= known);
            prop_assert!(marks.iter().all(|mark| mark.at <= known));
            let unfinished = spans.iter().filter(|span| span.args.unfinished).count();
            prop_assert!(unfinished <= 2, "one may be open at a gap, one at the end");
            prop_assert!(!ended || spans.last().is_none_or(|span| !span.args.unfinished) || life.events_dropped > 0);
        }
    }
}
