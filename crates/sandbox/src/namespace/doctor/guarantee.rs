//! The promises about a sandbox that an operator may give up, by name.

use std::fmt;
use std::str::FromStr;

/// Something that every sandbox has, unless the operator gives it up with `--allow-weaker=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Guarantee {
    /// User code is in namespaces of its own, below a root made of read-only pieces, as another
    /// user.
    Isolation,
    /// System calls that user code has no use for are refused.
    Seccomp,
    /// Memory is limited to the function's memory size.
    MemoryLimit,
    /// CPU time is in proportion to the memory size.
    CpuShare,
    /// The number of processes and threads is limited.
    ProcessLimit,
    /// Between invocations user code does not run.
    Freeze,
    /// Functions reach the outside world, and nothing of the host.
    OutboundNetwork,
}

impl Guarantee {
    /// All of them, the weightiest first.
    pub const ALL: [Self; 7] = [
        Self::Isolation,
        Self::Seccomp,
        Self::MemoryLimit,
        Self::CpuShare,
        Self::ProcessLimit,
        Self::Freeze,
        Self::OutboundNetwork,
    ];

    /// The name as the operator writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Isolation => "isolation",
            Self::Seccomp => "seccomp",
            Self::MemoryLimit => "memory-limit",
            Self::CpuShare => "cpu-share",
            Self::ProcessLimit => "process-limit",
            Self::Freeze => "freeze",
            Self::OutboundNetwork => "outbound-network",
        }
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A name that is no guarantee.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown guarantee {name:?}; known are {}", known())]
pub struct UnknownGuarantee {
    /// What was written.
    pub name: String,
}

fn known() -> String {
    Guarantee::ALL.map(Guarantee::name).join(", ")
}

impl FromStr for Guarantee {
    type Err = UnknownGuarantee;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|guarantee| guarantee.name() == name);
        found.ok_or_else(|| UnknownGuarantee { name: name.to_owned() })
    }
}
