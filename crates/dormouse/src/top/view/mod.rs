//! The picture of a state. Pure: the same state on the same size is the same picture.

mod events;
mod help;
mod table;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline};

use super::lives::{Environment, Group};
use super::machine::Machine;
use super::state::{Contact, Screen, State};

/// Lines from which on there is room for the history of the rate.
const TALL: u16 = 16;

/// Lines from which on there is room for what the machine has.
const ROOMY: u16 = 12;

/// Columns below which only the most telling words are written.
const NARROW: u16 = 60;

/// Draws everything.
pub(super) fn render(frame: &mut Frame<'_>, state: &State) {
    let is_lost = matches!(state.contact, Contact::Lost(_));
    let is_tall = frame.area().height >= TALL && state.screen != Screen::Help;
    let shows_machine = state.machine.is_some() && frame.area().height >= ROOMY;
    let [title, counts, machine, history, lost, body, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(u16::from(shows_machine)),
        Constraint::Length(if is_tall { 2 } else { 0 }),
        Constraint::Length(u16::from(is_lost)),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    render_title(frame, title, state);
    frame.render_widget(counted(&state.environments, counts.width), counts);
    if let Some(told) = &state.machine {
        frame.render_widget(equipped(told), machine);
    }
    if is_tall {
        render_history(frame, history, state);
    }
    if let Contact::Lost(reason) = &state.contact {
        frame.render_widget(
            Line::from(format!(" {reason}")).style(Style::new().white().on_red()),
            lost,
        );
    }
    match &state.screen {
        Screen::Table => table::render(frame, body, state),
        Screen::Help => help::render(frame, body),
        Screen::One(one) => events::render(frame, body, one),
    }
    frame.render_widget(key_line(state), keys);
}

fn render_title(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let mut right = Vec::new();
    if state.paused {
        right.push(" PAUSED ".black().on_yellow());
    }
    if let Some(rate) = state.rate.per_second() {
        right.push(format!(" {rate:.1} inv/s ").bold());
    }
    let right = Line::from(right);
    let width = u16::try_from(right.width()).unwrap_or(area.width);
    let [left, end] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(width)]).areas(area);
    let name =
        vec![" dormouse top ".bold().black().on_cyan(), format!(" {}", state.endpoint).into()];
    frame.render_widget(Line::from(name), left);
    frame.render_widget(right, end);
}

/// How many functions have environments, and what these do.
fn counted(environments: &[Environment], width: u16) -> Line<'static> {
    let mut functions: Vec<&str> = environments
        .iter()
        .filter(|it| it.ended.is_none())
        .map(|it| it.function_arn.as_str())
        .collect();
    let living = functions.len();
    functions.sort_unstable();
    functions.dedup();
    let counts = (number(functions.len(), "function"), number(living, "environment"));
    let mut spans = vec![Span::from(match width {
        0..NARROW => format!(" {living}:"),
        _ => format!(" {}  {}:", counts.0, counts.1),
    })];
    for group in Group::LIVING {
        let count = environments.iter().filter(|it| it.group() == group).count();
        // These are always of interest; the others only when there are some.
        if count > 0 || matches!(group, Group::Running | Group::Frozen) {
            let style = if count > 0 { color(group) } else { Style::new().dim() };
            spans.push(Span::styled(format!(" {count} {}", group.word()), style));
        }
    }
    spans.push(format!("  {} ended", environments.len() - living).dim());
    Line::from(spans)
}

/// What there is for environments.
fn equipped(machine: &Machine) -> Line<'static> {
    let memory = Span::from(machine.memory());
    let memory = if machine.waiting > 0 { memory.yellow() } else { memory };
    Line::from(vec![" memory ".dim(), memory, "   standing by ".dim(), machine.standing().into()])
}

fn number(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn render_history(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let [_, chart, _] =
        Layout::horizontal([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)])
            .areas(area);
    let history = state.rate.history(usize::from(chart.width));
    let chart = Rect { x: chart.right() - u16::try_from(history.len()).unwrap_or(0), ..chart };
    let chart = chart.intersection(area);
    frame.render_widget(
        Sparkline::default().data(&history).style(Style::new().fg(Color::Cyan)),
        chart,
    );
}

fn key_line(state: &State) -> Line<'static> {
    if state.typing {
        return Line::from(vec![
            " function: ".bold(),
            format!("{}_", state.filter).into(),
            "   enter keep, esc clear".dim(),
        ]);
    }
    let pause = ("p", if state.paused { "go on" } else { "pause" });
    let sort = format!("sort: {}", state.sort.word());
    let keys: Vec<(&str, &str)> = match state.screen {
        Screen::Table => vec![
            ("q", "quit"),
            ("?", "help"),
            ("enter", "events"),
            ("s", &sort),
            ("/", "filter"),
            pause,
            ("e", if state.all_ended { "fewer ended" } else { "all ended" }),
        ],
        Screen::Help => vec![("q", "quit"), ("any other key", "back")],
        Screen::One(_) => {
            vec![("q", "quit"), ("esc", "back"), ("↑↓", "scroll"), ("end", "follow"), pause]
        }
    };
    let mut spans = Vec::new();
    for (key, what) in keys {
        spans.push(format!(" {key}").bold());
        spans.push(format!(" {what} ").dim());
    }
    Line::from(spans)
}

/// The colour of what an environment does.
fn color(group: Group) -> Style {
    match group {
        Group::Running => Style::new().fg(Color::Green).bold(),
        Group::Init => Style::new().fg(Color::Yellow),
        Group::Ending => Style::new().fg(Color::Magenta),
        Group::Ready => Style::new().fg(Color::Cyan),
        Group::Frozen => Style::new().fg(Color::Blue),
        Group::Cold => Style::new().fg(Color::Gray),
        Group::Ended => Style::new().dim(),
    }
}

/// Text in the middle of an area, for who sees nothing else there.
fn note(frame: &mut Frame<'_>, area: Rect, text: &str) {
    let paragraph =
        Paragraph::new(text.to_owned()).centered().wrap(ratatui::widgets::Wrap { trim: true });
    let [_, middle] =
        Layout::vertical([Constraint::Percentage(30), Constraint::Fill(1)]).areas(area);
    frame.render_widget(paragraph, middle);
}
