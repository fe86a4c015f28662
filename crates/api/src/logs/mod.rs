//! CloudWatch Logs: shapes, names and filter patterns.

/// Whether a text may name a log group: `[\.\-_/#A-Za-z0-9]+`, at most 512.
#[must_use]
pub fn is_group_name(text: &str) -> bool {
    (1..=512).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-_/#".contains(&b))
}
