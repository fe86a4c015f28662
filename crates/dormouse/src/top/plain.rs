//! One look as plain text, for scripts and for who has no terminal.

use std::fmt::Write;

use super::columns::{Column, Side, fitting};
use super::lives::{Environment, Group};
use super::state::State;

/// The table of the environments shown, under a line that counts.
pub(super) fn text(state: &State) -> String {
    let columns = fitting(u16::MAX - 1);
    let titles = columns.iter().map(|column| column.title.to_owned()).collect();
    let mut table: Vec<Vec<String>> = vec![titles];
    for environment in state.rows() {
        table.push(columns.iter().map(|it| printable(&(it.value)(environment))).collect());
    }
    let widths: Vec<usize> = (0..columns.len())
        .map(|place| table.iter().map(|row| row[place].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = counts(&state.environments);
    if let Some(machine) = &state.machine {
        let (memory, standing) = (machine.memory(), printable(&machine.standing()));
        // Writing to a string cannot go wrong.
        let _ = writeln!(text, "memory: {memory}; standing by: {standing}");
    }
    for row in &table {
        let mut line = String::new();
        for ((column, cell), width) in columns.iter().zip(row).zip(&widths) {
            pad(&mut line, column, cell, *width);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn pad(line: &mut String, column: &Column, cell: &str, width: usize) {
    // Writing to a string cannot go wrong.
    let _ = match column.side {
        Side::Left => write!(line, "{cell:<width$}  "),
        Side::Right => write!(line, "{cell:>width$}  "),
    };
}

fn counts(environments: &[Environment]) -> String {
    let of = |group: Group| environments.iter().filter(|it| it.group() == group).count();
    let living = Group::LIVING.map(|group| format!("{} {}", of(group), group.word())).join(", ");
    format!("environments: {living}, {} ended\n", of(Group::Ended))
}

/// Who answered may be anybody: nothing of it shall move the cursor.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "?")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::tests::{answer, state};

    #[test]
    fn a_look_is_a_table() {
        insta::assert_snapshot!(text(&state(&answer())));
    }

    #[test]
    fn nobody_moves_the_cursor() {
        let mut state = state("[{}]");
        state.environments[0].function_name = "a\u{1b}[2J\nb".to_owned();
        assert!(text(&state).contains("a?[2J?b"));
    }
}
