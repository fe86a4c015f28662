//! Control groups on the real kernel of this machine. Needs root; otherwise says so and returns.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use dormouse_sandbox::namespace::cgroup::{Cgroup, Cgroups, Layout, Limits};

const SMALL: Limits = Limits { memory_bytes: 64 << 20, cpu_millis: Some(100), pids_max: 32 };

/// Our groups, removed even when the test fails.
struct Fixture {
    groups: Cgroups,
    instance: String,
}

impl Fixture {
    fn new(test: &str) -> Option<Self> {
        let instance = format!("t{}{test}", std::process::id());
        if !rustix::process::geteuid().is_root() {
            eprintln!("NOT TESTED: needs root");
            return None;
        }
        let groups = Cgroups::detect(&instance).unwrap();
        if matches!(groups.layout(), Layout::None) {
            eprintln!("NOT TESTED: no writable control groups");
            return None;
        }
        Some(Self { groups, instance })
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.groups.reap().unwrap();
        self.groups.close().unwrap();
        let left = Command::new("find")
            .args(["/sys/fs/cgroup", "-type", "d", "-name"])
            .arg(format!("*dormouse-{}", self.instance))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&left.stdout), "", "groups left behind");
    }
}

/// Starts a shell that waits for a line, puts it into the group from outside (a test may take the
/// slow way in for v2; the child writes itself into the v1 `tasks`), and lets it run `script`.
fn run_inside(group: &Cgroup, script: &str) -> Child {
    let entry = group.entry().unwrap();
    let mut command = Command::new("sh");
    let enter: Vec<String> =
        entry.tasks.iter().map(|fd| format!("echo 0 > {}", path_of(fd))).collect();
    let enter = enter.join(" && ");
    let enter = if enter.is_empty() { "true".to_owned() } else { enter };
    command.arg("-c").arg(format!("{enter} && echo in && read go && {script}"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 3];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
    if let Some(into) = &entry.into {
        fs::write(format!("{}/cgroup.procs", path_of(into)), child.id().to_string()).unwrap();
    }
    child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    child
}

fn path_of(fd: &OwnedFd) -> String {
    use std::os::fd::AsRawFd as _;
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    fs::read_link(link).unwrap().display().to_string()
}

fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_frozen_process_stands_still_and_dies_when_killed() {
    let Some(fixture) = Fixture::new("freeze") else {
        return;
    };
    let group = fixture.groups.create("one", &SMALL).unwrap();
    let mut child = run_inside(&group, "while :; do :; done");
    wait_until(|| cpu_ticks(child.id()) > 1);
    assert_eq!(group.pids().unwrap(), [i32::try_from(child.id()).unwrap()]);
    group.freeze().unwrap();
    group.freeze().unwrap();
    wait_until(|| {
        let before = cpu_ticks(child.id());
        pause_ms(60);
        cpu_ticks(child.id()) == before
    });
    group.thaw().unwrap();
    group.thaw().unwrap();
    let before = cpu_ticks(child.id());
    wait_until(|| cpu_ticks(child.id()) > before);
    group.freeze().unwrap();
    group.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    group.remove().unwrap();
    group.remove().unwrap();
    assert!(group.freeze().is_err(), "a removed group is gone, not silently thawed");
}

#[test]
fn what_is_used_is_counted_and_the_peak_starts_anew() {
    let Some(fixture) = Fixture::new("usage") else {
        return;
    };
    let group = fixture.groups.create("one", &SMALL).unwrap();
    let script = "x=$(head -c 20000000 /dev/zero | tr '\\0' 'x'); unset x; read end";
    let mut child = run_inside(&group, script);
    wait_until(|| group.memory_peak().unwrap() > 20_000_000);
    assert_eq!(group.oom_kills().unwrap(), 0);
    // The shell gives its heap back when it ends.
    child.stdin.take();
    child.wait().unwrap();
    if group.reset_peak().unwrap() {
        assert!(group.memory_peak().unwrap() < 20_000_000);
    }
    group.remove().unwrap();
}

#[test]
fn a_process_beyond_its_memory_is_killed_and_counted() {
    let Some(fixture) = Fixture::new("oom") else {
        return;
    };
    let group = fixture.groups.create("one", &SMALL).unwrap();
    let mut child =
        run_inside(&group, "head -c 200000000 /dev/zero | tail -c 150000000 > /dev/null");
    assert!(!child.wait().unwrap().success());
    assert!(group.oom_kills().unwrap() >= 1);
    assert!(group.memory_peak().unwrap() <= SMALL.memory_bytes);
    group.remove().unwrap();
}

#[test]
fn a_fork_bomb_meets_its_limit() {
    let Some(fixture) = Fixture::new("pids") else {
        return;
    };
    let group = fixture.groups.create("one", &SMALL).unwrap();
    let script = "for i in $(seq 200); do sleep 60 & done; read end";
    let mut child = run_inside(&group, script);
    wait_until(|| group.pids().unwrap().len() >= 30 || child.try_wait().unwrap().is_some());
    assert!(group.pids().unwrap().len() <= 32);
    group.kill().unwrap();
    child.wait().unwrap();
    group.remove().unwrap();
}

#[test]
fn limits_can_be_changed_up_and_down_again_and_again() {
    let Some(fixture) = Fixture::new("change") else {
        return;
    };
    let group = fixture.groups.create("one", &SMALL).unwrap();
    for mib in [128, 64, 512, 3008, 128] {
        group.set_memory(mib << 20).unwrap();
    }
    for millis in [Some(72), None, Some(1000), Some(10), Some(1769), Some(64_000)] {
        group.set_cpu(millis).unwrap();
    }
    group.remove().unwrap();
}

#[test]
fn the_reaper_kills_what_a_killed_predecessor_left_frozen() {
    let Some(fixture) = Fixture::new("reap") else {
        return;
    };
    let group = fixture.groups.create("one", &SMALL).unwrap();
    let mut child = run_inside(&group, "sleep 60");
    group.freeze().unwrap();
    drop(group);
    let successor = Cgroups::detect(&fixture.instance).unwrap();
    let reaped = successor.reap().unwrap();
    assert!(reaped.groups == 1 && reaped.processes >= 1, "{reaped:?}");
    assert!(!child.wait().unwrap().success());
    assert_eq!(successor.reap().unwrap().groups, 0);
}

#[test]
#[ignore = "prints how long things take: cargo test -- --ignored --nocapture"]
fn measure() {
    let Some(fixture) = Fixture::new("measure") else {
        return;
    };
    println!("layout: {}", fixture.groups.layout().words());
    let mut times: [Vec<u128>; 6] = Default::default();
    for round in 0..300 {
        let id = format!("n{round}");
        let (group, create) = timed(|| fixture.groups.create(&id, &SMALL).unwrap());
        let (_, entry) = timed(|| group.entry().unwrap());
        let (_, freeze) = timed(|| group.freeze().unwrap());
        let (_, thaw) = timed(|| group.thaw().unwrap());
        let (_, peak) = timed(|| group.memory_peak().unwrap());
        let (_, remove) = timed(|| group.remove().unwrap());
        for (list, nanos) in times.iter_mut().zip([create, entry, freeze, thaw, peak, remove]) {
            list.push(nanos);
        }
    }
    for (what, list) in
        ["create", "entry", "freeze", "thaw", "peak", "remove"].iter().zip(&mut times)
    {
        list.sort_unstable();
        println!("{what}: min {} median {} us", list[0] / 1000, list[150] / 1000);
    }
}

#[expect(clippy::disallowed_methods, reason = "measuring is what this is for")]
fn timed<T>(action: impl FnOnce() -> T) -> (T, u128) {
    let start = std::time::Instant::now();
    let value = action();
    (value, start.elapsed().as_nanos())
}

/// Looks again every 10 ms, 20 s at most.
fn wait_until(mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        pause_ms(10);
    }
    panic!("waited in vain");
}

fn pause_ms(ms: i64) {
    let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: ms * 1_000_000 };
    rustix::event::poll(&mut [], Some(&timeout)).unwrap();
}
