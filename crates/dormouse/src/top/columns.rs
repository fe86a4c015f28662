//! The columns of the table of environments: what each says, and which fit into a width.

use super::lives::Environment;
use super::words;

/// A column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) width: u16,
    pub(super) side: Side,
    pub(super) value: fn(&Environment) -> String,
    /// The narrowest table it is in.
    from_width: u16,
    /// The first width at which a wider one takes its place.
    below_width: u16,
}

/// Where a value stands in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

const ALWAYS: u16 = 0;
const WIDE: u16 = 96;

/// In the order in which they stand. The first takes the width that is left.
const COLUMNS: [Column; 12] = [
    column("FUNCTION", 11, Side::Left, ALWAYS, |it| it.function_name.clone()),
    column("VERSION", 7, Side::Left, 74, |it| it.version.clone()),
    column("ID", 8, Side::Left, ALWAYS, |it| it.short_id().to_owned()),
    column("PHASE", 8, Side::Left, ALWAYS, |it| it.phase_word().to_owned()),
    column("AGE", 6, Side::Right, 44, |it| words::age(it.age_micros)),
    column("IDLE", 6, Side::Right, 51, |it| it.idle_micros().map_or_else(none, words::age)),
    column("INV", 5, Side::Right, ALWAYS, |it| count(it.invocations)),
    column(
        "ERR",
        4,
        Side::Right,
        WIDE,
        |it| if it.errors == 0 { none() } else { count(it.errors) },
    ),
    column("LAST", 6, Side::Right, 58, |it| {
        it.last_duration_micros().map_or_else(none, words::span)
    }),
    column("COLD", 9, Side::Left, 68, |it| cold(it).to_owned()),
    Column {
        below_width: WIDE,
        ..column("MB", 5, Side::Right, 80, |it| it.memory_size_mb.to_string())
    },
    column("USED/MB", 11, Side::Right, WIDE, memory),
];

const fn column(
    title: &'static str,
    width: u16,
    side: Side,
    from_width: u16,
    value: fn(&Environment) -> String,
) -> Column {
    Column { title, width, side, value, from_width, below_width: u16::MAX }
}

/// The columns of a table of this width.
pub(super) fn fitting(width: u16) -> Vec<Column> {
    COLUMNS.into_iter().filter(|it| (it.from_width..it.below_width).contains(&width)).collect()
}

fn none() -> String {
    "-".to_owned()
}

/// A count in at most five characters.
fn count(count: u64) -> String {
    match count {
        0..100_000 => count.to_string(),
        100_000..10_000_000 => format!("{}k", count / 1_000),
        _ => format!("{}M", count / 1_000_000),
    }
}

fn cold(environment: &Environment) -> &str {
    match environment.cold_reason.as_str() {
        "idle-expiry" => "idle",
        "provisioned" => "prov",
        other => other,
    }
}

fn memory(environment: &Environment) -> String {
    let used =
        environment.memory_peak_bytes.map_or_else(none, |it| words::megabytes(it).to_string());
    format!("{used}/{}", environment.memory_size_mb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_holds_its_columns() {
        for width in 40..200 {
            let columns = fitting(width);
            let gaps = u16::try_from(columns.len() - 1).unwrap();
            let needed = columns.iter().map(|it| it.width).sum::<u16>() + gaps;
            assert!(needed <= width, "{needed} of {width}");
            assert_eq!(columns[0].title, "FUNCTION");
        }
    }

    #[test]
    fn counts_are_short() {
        assert_eq!([count(99_999), count(100_000), count(12_345_678)], ["99999", "100k", "12M"]);
    }
}
