//! The table of environments.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::{Color, Style};
use ratatui::text::Text;
use ratatui::widgets::{Cell, Row, Table, TableState};

use super::{color, note};
use crate::top::columns::{Column, Side, fitting};
use crate::top::lives::Environment;
use crate::top::state::{Contact, State};

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let rows = state.rows();
    if rows.is_empty() {
        return note(frame, area, &empty(state));
    }
    let columns = fitting(area.width);
    let widths = columns.iter().enumerate().map(|(place, column)| match place {
        0 => Constraint::Fill(1),
        _ => Constraint::Length(column.width),
    });
    let title = |column: &Column| {
        let is_sorted = column.title == state.sort.column();
        let style = if is_sorted { Style::new().bold().underlined() } else { Style::new().bold() };
        Cell::from(text(column.title.to_owned(), column.side)).style(style)
    };
    let header =
        Row::new(columns.iter().map(title)).style(Style::new().fg(Color::Black).bg(Color::Gray));
    let is_stale = matches!(state.contact, Contact::Lost(_));
    let taken: u16 = columns.iter().skip(1).map(|column| column.width + 1).sum();
    let first = usize::from(area.width.saturating_sub(taken));
    let body = rows.iter().map(|environment| {
        let style =
            if is_stale || environment.ended.is_some() { Style::new().dim() } else { Style::new() };
        Row::new(columns.iter().map(|column| cell(column, environment, first))).style(style)
    });
    let table =
        Table::new(body, widths).header(header).row_highlight_style(Style::new().reversed());
    let mut place = TableState::new().with_selected(Some(state.row(&rows)));
    frame.render_stateful_widget(table, area, &mut place);
}

/// A cell; the first column's is this wide.
fn cell(column: &Column, environment: &Environment, first: usize) -> Cell<'static> {
    let value = (column.value)(environment);
    let value = if column.title == "FUNCTION" { shortened(&value, first) } else { value };
    let cell = Cell::from(text(value, column.side));
    match column.title {
        "PHASE" => cell.style(color(environment.group())),
        "LAST" if environment.last_failed() => cell.style(Style::new().fg(Color::Red)),
        "ERR" if environment.errors > 0 => cell.style(Style::new().fg(Color::Red)),
        _ => cell,
    }
}

/// A name that is cut says so.
fn shortened(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return name.to_owned();
    }
    name.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

fn text(text: String, side: Side) -> Text<'static> {
    let alignment = match side {
        Side::Left => Alignment::Left,
        Side::Right => Alignment::Right,
    };
    Text::from(text).alignment(alignment)
}

/// Why there are no rows, and what can be done about it.
fn empty(state: &State) -> String {
    match &state.contact {
        Contact::Awaited => "asking the server…".to_owned(),
        Contact::Lost(_) => "waiting for the server; it is asked again all the time".to_owned(),
        Contact::Answers if !state.filter.is_empty() => {
            format!(
                "no function with an environment has {:?} in its name: esc shows all",
                state.filter
            )
        }
        Contact::Answers => format!(
            "no environments yet: they begin with an invocation\n\n\
             aws lambda invoke --endpoint-url {} --function-name NAME out.json",
            state.endpoint
        ),
    }
}
