//! What a receiver asks for: how many, for how long, and which of the attributes.

use crate::error::ApiError;
use crate::sqs::refusal::invalid;
use crate::sqs::wire::Wire;

/// Names of attributes, as a receiver selects them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    pub(super) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().collect())
    }

    /// Whether an attribute is among them: by its name, `All`, or the beginning of it.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|wanted| match wanted.strip_suffix(".*") {
            Some(prefix) => name.starts_with(prefix),
            None => wanted == "All" || wanted == name,
        })
    }
}

/// What a receiver asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receive {
    /// So many messages at most.
    pub max: usize,
    /// Seconds for which they are hidden.
    pub visibility_s: Option<u64>,
    /// Seconds for which to wait for the first one.
    pub wait_s: Option<u64>,
    /// Which of what the service knows of them.
    pub system: Names,
    /// Which of what their senders attached.
    pub attributes: Names,
}

impl Receive {
    pub(super) fn read(wire: &mut Wire) -> Result<Self, ApiError> {
        let max = wire.max_number_of_messages.unwrap_or(1);
        let reason = "Must be between 1 and 10, if provided.";
        let max = between(max, 1, 10, ("MaxNumberOfMessages", reason))?;
        let reason = "Must be >= 0 and <= 20, if provided.";
        let wait_s = wire.wait_time_seconds;
        let wait_s =
            wait_s.map(|it| between(it, 0, 20, ("WaitTimeSeconds", reason))).transpose()?;
        let system = wire.attribute_names.take().into_iter();
        let system = system.chain(wire.message_system_attribute_names.take()).flatten();
        Ok(Self {
            max: usize::try_from(max).unwrap_or(1),
            visibility_s: wire.entry.visibility_timeout.map(visibility).transpose()?,
            wait_s,
            system: Names::new(system),
            attributes: Names::new(wire.message_attribute_names.take().into_iter().flatten()),
        })
    }
}

/// Seconds for which a message is hidden.
pub(super) fn visibility(seconds: i64) -> Result<u64, ApiError> {
    let reason = "VisibilityTimeout must be an integer between 0 and 43200.";
    between(seconds, 0, 43_200, ("VisibilityTimeout", reason))
}

fn between(value: i64, min: u64, max: u64, (name, reason): (&str, &str)) -> Result<u64, ApiError> {
    let valid = u64::try_from(value).ok().filter(|value| (min..=max).contains(value));
    valid.ok_or_else(|| invalid(value, name, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_select_by_name_by_prefix_or_all() {
        let names = |text: &str| Names::new(text.split(' ').map(str::to_owned));
        assert!(names("a b.*").has("a") && names("a b.*").has("b.c"));
        assert!(!names("a b.*").has("c") && !Names::default().has("a"));
        assert!(names("All").has("x") && names(".*").has("x"));
    }
}
