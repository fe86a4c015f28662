//! One environment: what is known of it, and what happened in it with relative times.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

use super::{NARROW, color, note};
use crate::top::lives::{Environment, Group, Moment};
use crate::top::state::One;
use crate::top::words;

/// Lines of facts, where there is room for them.
const FACTS: u16 = 6;

/// A request id is shown whole from this width on.
const WIDE: u16 = 100;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, one: &One) {
    let facts = if area.height >= 2 * FACTS { FACTS } else { 1 };
    let [top, bottom] =
        Layout::vertical([Constraint::Length(facts), Constraint::Fill(1)]).areas(area);
    frame.render_widget(Paragraph::new(known(&one.environment)), top);
    let block =
        Block::new().borders(Borders::TOP).title(title(one)).border_style(Style::new().dim());
    let inner = block.inner(bottom);
    frame.render_widget(block, bottom);
    if !one.is_told {
        let text = if one.is_gone {
            "the server does not keep it any more"
        } else {
            "asking the server…"
        };
        return note(frame, inner, text);
    }
    let mut lines = log(&one.environment, area.width);
    let height = usize::from(inner.height);
    // The first line cannot be scrolled below the top.
    let end = lines.len().saturating_sub(one.back).max(height.min(lines.len()));
    lines.truncate(end);
    let start = end.saturating_sub(height);
    frame.render_widget(Paragraph::new(lines.split_off(start)), inner);
}

fn title(one: &One) -> String {
    let gone = if one.is_gone { ", the server does not keep it any more" } else { "" };
    let back = if one.back > 0 { format!(", {} below", one.back) } else { String::new() };
    format!(" events{back}{gone} ")
}

/// The facts, the most telling first.
fn known(environment: &Environment) -> Vec<Line<'static>> {
    let mut first = vec![
        format!(" {}:{}", environment.function_name, environment.version).bold(),
        format!("  {}  ", environment.short_id()).into(),
        Span::styled(environment.phase.clone(), color(environment.group())),
    ];
    if let Some(ended) = &environment.ended {
        let ago = words::age(ended.ago_micros);
        first.push(format!(" {ago} ago, cause: {}", ended.cause).into());
    }
    let used = environment
        .memory_peak_bytes
        .map_or_else(String::new, |bytes| format!(", {} MB used", words::megabytes(bytes)));
    let idle = match (environment.group(), environment.idle_micros()) {
        (Group::Ended, _) | (_, None) => String::new(),
        (_, Some(idle)) => format!(", idle for {}", words::age(idle)),
    };
    vec![
        Line::from(first),
        fact("age", format!("{}{idle}", words::age(environment.age_micros))),
        fact("runs", format!("{}, {} MB{used}", environment.runtime, environment.memory_size_mb)),
        fact(
            "cold",
            format!(
                "{}; {} invocations, {} with errors",
                environment.cold_reason, environment.invocations, environment.errors
            ),
        ),
        fact("log", format!("{}  {}", environment.log_group, environment.log_stream)),
        fact("trace", format!("/_dormouse/environments/{}/trace", environment.id)),
    ]
}

fn fact(name: &'static str, what: String) -> Line<'static> {
    Line::from(vec![format!(" {name:<6}").dim(), what.into()])
}

fn log(environment: &Environment, width: u16) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut before = Some(0);
    let gap = usize::try_from(environment.events_dropped).unwrap_or(0);
    for (place, moment) in environment.events.iter().enumerate() {
        if gap > 0 && place == dormouse_model::limits::LIFE_FIRST_EVENTS {
            lines.push(Line::from(format!("      … {gap} events are not kept …")).dim());
            before = None;
        }
        let passed = before.map(|before| moment.at_micros.saturating_sub(before));
        lines.push(line(moment, passed, width));
        before = Some(moment.at_micros);
    }
    if let Some(ended) = &environment.ended {
        // It is no event of its own: nothing can be told after it.
        let end = Moment {
            at_micros: environment.age_micros,
            what: "ended".to_owned(),
            ..Moment::default()
        };
        let passed = before.map(|before| end.at_micros.saturating_sub(before));
        let mut last = line(&end, passed, width);
        last.push_span(format!(" cause: {}", ended.cause));
        lines.push(last);
    }
    lines
}

/// When, how long after the one before it, what, and about which invocation.
fn line(moment: &Moment, passed: Option<u64>, width: u16) -> Line<'static> {
    let mut spans = vec![match width {
        0..NARROW => format!(" {:>6}", words::span(moment.at_micros)).dim(),
        _ => format!(" {:>13}", words::since(moment.at_micros)).dim(),
    }];
    spans.push(format!(" {:>7}  ", passed.map_or_else(String::new, words::span)).into());
    spans.push(Span::styled(format!("{:<13}", moment.what), style(moment)));
    if let Some(request) = &moment.request_id {
        let short = request.get(..8).unwrap_or(request);
        let shown = if width < WIDE { short } else { request };
        spans.push(format!(" {shown}").into());
    }
    if let Some(error) = &moment.error {
        spans.push(format!(" {error}").red());
    }
    if let Some(duration) = moment.duration_micros {
        spans.push(format!(" took {}", words::span(duration)).into());
    }
    if let Some(bytes) = moment.memory_peak_bytes {
        spans.push(format!(" {} MB", words::megabytes(bytes)).dim());
    }
    Line::from(spans)
}

fn style(moment: &Moment) -> Style {
    match moment.what.as_str() {
        _ if moment.error.is_some() => Style::new().fg(Color::Red),
        "invoke" | "answered" | "reported" => color(Group::Running),
        "created" | "provisioned" | "init" | "restoring" => color(Group::Init),
        "ready" | "thawed" => color(Group::Ready),
        "frozen" => color(Group::Frozen),
        _ => color(Group::Ending),
    }
}
