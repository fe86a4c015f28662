//! What the server tells of its machine, read with the same tolerance as what it tells of environments.

use serde::Deserialize;

/// Memory for environments, and what stands by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Machine {
    pub(super) capacity_mb: u64,
    pub(super) used_mb: u64,
    pub(super) waiting: u64,
    pub(super) standby: Vec<Standing>,
}

/// Sandboxes of one kind that stand by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Standing {
    pub(super) kind: String,
    pub(super) standing: u64,
    pub(super) target: u64,
}

/// More than any machine has: the server does not count.
const UNCOUNTED_MB: u64 = 1 << 30;

impl Machine {
    /// As in `384 of 21000 MB, 2 waiting`.
    pub(super) fn memory(&self) -> String {
        let of = match self.capacity_mb {
            0..UNCOUNTED_MB => format!("{} of {} MB", self.used_mb, self.capacity_mb),
            _ => format!("{} MB", self.used_mb),
        };
        match self.waiting {
            0 => of,
            waiting => format!("{of}, {waiting} waiting"),
        }
    }

    /// As in `bare 1, python3.13 2 of 4`.
    pub(super) fn standing(&self) -> String {
        let one = |it: &Standing| match it {
            Standing { kind, standing, target } if standing == target => {
                format!("{kind} {standing}")
            }
            Standing { kind, standing, target } => format!("{kind} {standing} of {target}"),
        };
        let all: Vec<String> = self.standby.iter().map(one).collect();
        if all.is_empty() { "none".to_owned() } else { all.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_two_short_texts() {
        let shown = |text: &str| {
            let machine: Machine = serde_json::from_str(text).unwrap();
            format!("{}; {}", machine.memory(), machine.standing())
        };
        let few = r#"{"capacityMb":21000,"usedMb":384,"waiting":2,"surprise":{},"standby":[
            {"kind":"bare","standing":1,"target":1},{"kind":"python3.13","standing":2,"target":4}]}"#;
        assert_eq!(shown(few), "384 of 21000 MB, 2 waiting; bare 1, python3.13 2 of 4");
        assert_eq!(shown(r#"{"capacityMb":18446744073709551615,"usedMb":5}"#), "5 MB; none");
    }
}
