//! The `namespace` backend: Linux namespaces, cgroups, seccomp, on the host's own kernel.

pub mod cgroup;
pub mod doctor;
pub mod network;
