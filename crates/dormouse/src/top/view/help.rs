//! What keys do and what words mean.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Stylize;
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

/// Heads, and words with what they mean. An empty word goes on with the line before.
const TEXT: [(&str, &str); 20] = [
    ("Keys", ""),
    ("↑ ↓ pgup pgdn", "select an environment, or scroll its events"),
    ("enter, esc", "what happened in the selected one, and back"),
    ("s", "sort by function, age, invocations, duration, memory, activity"),
    ("/", "only functions whose name holds what you type; esc shows all"),
    ("e", "all ended environments kept, or only those of the last 30 s"),
    ("p, q", "pause and go on, quit"),
    ("Phases", ""),
    ("init", "being made, or starting its processes"),
    ("running", "runs an invocation"),
    ("ready, frozen", "waits for one; frozen processes do not run meanwhile"),
    ("cold", "waits without processes, after a crash or a timeout"),
    ("Cold reasons: why it had to be made", ""),
    ("first", "nothing has run before on this server"),
    ("scale-out", "all others were busy"),
    ("update", "the function was changed"),
    ("idle, failure", "the one before had been idle too long, or was lost"),
    ("Elsewhere", ""),
    ("as JSON", "GET /_dormouse/environments?function=NAME&live=true"),
    ("as a picture", "GET /_dormouse/trace, opened in ui.perfetto.dev"),
];

pub(super) fn render(frame: &mut Frame<'_>, area: Rect) {
    let lines: Vec<Line<'_>> = TEXT
        .iter()
        .map(|(word, meaning)| match *meaning {
            "" => Line::from(format!(" {word}")).bold().cyan(),
            _ => Line::from(vec![format!("   {word:<14} ").bold(), (*meaning).into()]),
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}
