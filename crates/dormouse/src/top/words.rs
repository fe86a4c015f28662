//! Durations and sizes in few characters.

/// A duration in at most six characters, three digits of it exact: `950µs`, `12.3ms`, `4.56s`.
pub(super) fn span(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros}µs"),
        1_000..10_000 => format!("{}ms", tenths(micros, 1_000)),
        10_000..1_000_000 => format!("{}ms", micros / 1_000),
        1_000_000..100_000_000 => format!("{}s", tenths(micros, 1_000_000)),
        _ => age(micros),
    }
}

/// An age in at most six characters, in seconds at best: `42s`, `3m12s`, `5h07m`, `12d`.
pub(super) fn age(micros: u64) -> String {
    let s = micros / 1_000_000;
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m{:02}s", s / 60, s % 60),
        3_600..86_400 => format!("{}h{:02}m", s / 3_600, s / 60 % 60),
        _ => format!("{}d", s / 86_400),
    }
}

/// A moment since a beginning, to the microsecond where that can matter: `+0.012345s`.
pub(super) fn since(micros: u64) -> String {
    format!("+{}.{:06}s", micros / 1_000_000, micros % 1_000_000)
}

/// Bytes as megabytes, rounded up as in a REPORT line.
pub(super) fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_048_576)
}

fn tenths(value: u64, unit: u64) -> String {
    format!("{}.{}", value / unit, value % unit * 10 / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        for (micros, expected) in [
            (0, "0µs"),
            (999, "999µs"),
            (1_000, "1.0ms"),
            (9_999, "9.9ms"),
            (10_000, "10ms"),
            (999_999, "999ms"),
            (1_000_000, "1.0s"),
            (1_530_000, "1.5s"),
            (99_900_000, "99.9s"),
            (125_000_000, "2m05s"),
            (900_000_000, "15m00s"),
        ] {
            assert_eq!(span(micros), expected);
            assert!(span(micros).chars().count() <= 6);
        }
    }

    #[test]
    fn ages_are_short() {
        for (seconds, expected) in [
            (0, "0s"),
            (59, "59s"),
            (192, "3m12s"),
            (3_599, "59m59s"),
            (18_420, "5h07m"),
            (86_400 * 12, "12d"),
        ] {
            assert_eq!(age(seconds * 1_000_000), expected);
        }
    }

    #[test]
    fn moments_are_exact() {
        assert_eq!(since(12_345), "+0.012345s");
        assert_eq!(since(61_000_001), "+61.000001s");
        assert_eq!((megabytes(1), megabytes(1_048_576), megabytes(1_048_577)), (1, 1, 2));
    }
}
