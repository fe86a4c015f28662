//! The binary: commands, configuration, wiring, signals, drain.
//!
//! One file is the whole product: started under another name it is the spawner of sandboxes, which
//! must begin before any thread, secret or open file of the daemon exists.

mod cli;
mod config;
mod doctor;
#[cfg(all(target_arch = "x86_64", any(target_env = "musl", test)))]
mod memory;
mod network;
mod runtimes;
mod serve;
mod socket;
mod top;

use std::process::ExitCode;

use dormouse_sandbox::namespace::spawner;

/// musl's own allocator has one lock for all threads and gives memory back at every turn.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The allocator asks for huge pages, which would cost every sandbox's first process 2 MiB. A
    // kernel without them refuses, and has none to give.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // Before anything else: nothing of the daemon may exist in the process that sandboxes come from.
    if spawner::requested() {
        return spawner::main();
    }
    cli::main()
}
