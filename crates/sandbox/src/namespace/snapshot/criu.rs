//! CRIU, the host's program that writes and restores processes: whether it is there, and how it is called.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use rustix::fs::{Mode, OFlags};

/// The oldest version that restores on today's kernels (measured: 3.17 fails on their vDSO), as
/// major and minor number.
const OLDEST: (u32, u32) = (4, 2);

/// Where it may lie, beside `PATH`.
const DIRECTORIES: &[&str] = &["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The descriptors that it finds when it starts.
pub(super) const IMAGES: i32 = 10;
pub(super) const CACHE: i32 = 11;
pub(super) const LOG: i32 = 12;
pub(super) const PIPES: i32 = 13;

/// Which program is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// The first of that name that is found.
    Search,
    /// This one.
    Program(PathBuf),
    /// None: there are no snapshots.
    Off,
}

impl Setting {
    /// The program and its version.
    ///
    /// # Errors
    /// Why it cannot be used, and what to do.
    pub fn look(&self) -> Result<String, String> {
        find(self).map(|criu| format!("criu {}", criu.version))
    }
}

/// The program, looked for when it is first needed.
#[derive(Debug)]
pub(in super::super) struct Lookup {
    setting: Setting,
    found: OnceLock<Result<Arc<Criu>, String>>,
}

/// A program that will do.
#[derive(Debug)]
pub(in super::super) struct Criu {
    pub(super) program: OwnedFd,
    version: String,
}

impl Lookup {
    pub(in super::super) fn new(setting: Setting) -> Self {
        Self { setting, found: OnceLock::new() }
    }

    /// The program, or why there is none. The first call starts it to ask for its version, which takes
    /// some milliseconds.
    pub(in super::super) fn get(&self) -> Result<Arc<Criu>, &str> {
        let found = self.found.get_or_init(|| find(&self.setting).map(Arc::new));
        found.as_ref().map(Arc::clone).map_err(String::as_str)
    }
}

impl Criu {
    /// What a snapshot depends on: it is of use on this boot of this kernel, with this program.
    pub(in super::super) fn identity(&self) -> String {
        let kernel = rustix::system::uname();
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let release = kernel.release().to_string_lossy();
        format!("criu {}, Linux {release}, boot {}", self.version, boot.trim())
    }
}

fn find(setting: &Setting) -> Result<Criu, String> {
    let program = match setting {
        Setting::Off => return Err("snapshots are switched off (--criu none)".to_owned()),
        Setting::Program(program) => program.clone(),
        Setting::Search => search().ok_or_else(|| {
            let (major, minor) = OLDEST;
            format!(
                "criu is not installed: install criu {major}.{minor} or newer, or name the program \
                 with --criu"
            )
        })?,
    };
    let shown = program.display();
    let version = version(&program).map_err(|error| format!("{shown} cannot be used: {error}"))?;
    if numbers(&version).is_none_or(|numbers| numbers < OLDEST) {
        let (major, minor) = OLDEST;
        return Err(format!(
            "{shown} is criu {version}, which is too old: install {major}.{minor} or newer, or name \
             another program with --criu"
        ));
    }
    let opened = rustix::fs::open(&program, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let program = opened.map_err(|error| format!("{shown} cannot be opened: {error}"))?;
    Ok(Criu { program, version })
}

fn search() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = std::env::split_paths(&path).filter(|directory| directory.is_absolute());
    let places = named.chain(DIRECTORIES.iter().map(PathBuf::from));
    places.map(|directory| directory.join("criu")).find(|program| program.is_file())
}

fn version(program: &Path) -> io::Result<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.lines().find_map(|line| line.strip_prefix("Version:"));
    let version = version.ok_or_else(|| io::Error::other("it does not say its version"))?;
    Ok(version.trim().to_owned())
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(['.', '-', '~']).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next().flatten().unwrap_or(0)))
}

/// To write the process with this number, and to end it.
pub(super) fn dump(pid: i32) -> Vec<String> {
    let own = ["--tree", &pid.to_string(), "--ghost-limit", "64M"].map(str::to_owned);
    ["criu", "dump"].map(str::to_owned).into_iter().chain(own).chain(common()).collect()
}

/// To bring a process back whose pipes had these numbers.
pub(super) fn restore(pipes: &[u64]) -> Vec<String> {
    let own = ["--restore-detached", "--join-ns", "user:/proc/1/ns/user,0,0"].map(str::to_owned);
    let inherited = (PIPES..).zip(pipes).flat_map(|(descriptor, inode)| {
        ["--inherit-fd".to_owned(), format!("fd[{descriptor}]:pipe:[{inode}]")]
    });
    let all = ["criu", "restore"].map(str::to_owned).into_iter().chain(own);
    all.chain(inherited).chain(common()).collect()
}

fn common() -> impl Iterator<Item = String> {
    let places = [("--images-dir", IMAGES), ("--work-dir", CACHE), ("--log-file", LOG)];
    let places = places.into_iter().flat_map(|(option, descriptor)| {
        [option.to_owned(), format!("/proc/self/fd/{descriptor}")]
    });
    // Unprivileged: groups are the daemon's affair, and not every host's root has every privilege.
    let others = ["--unprivileged", "--tcp-close", "--skip-in-flight", "--file-locks"];
    let network = ["--network-lock", "skip"];
    places.chain(others.into_iter().chain(network).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(setting: Setting) -> String {
        Lookup::new(setting).get().map(|_| ()).unwrap_err().to_owned()
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (version, expected) in [
            ("4.2.1", Some((4, 2))),
            ("3.17.1", Some((3, 17))),
            ("4.10", Some((4, 10))),
            ("5", Some((5, 0))),
            ("4.2-rc1", Some((4, 2))),
            ("new", None),
        ] {
            assert_eq!(numbers(version), expected, "{version}");
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(reason(Setting::Off), "snapshots are switched off (--criu none)");
        let missing = reason(Setting::Program("/nowhere/criu".into()));
        assert!(missing.starts_with("/nowhere/criu cannot be used: "), "{missing}");
        let other = reason(Setting::Program("/bin/true".into()));
        assert_eq!(other, "/bin/true cannot be used: it does not say its version");
    }

    #[test]
    fn an_old_one_is_told_from_a_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let program = |version: &str| {
            let program = directory.path().join(version);
            std::fs::write(&program, format!("#!/bin/sh\necho Version: {version}\n")).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&program, mode).unwrap();
            Lookup::new(Setting::Program(program))
        };
        let old = program("3.17.1");
        let told = old.get().map(|_| ()).unwrap_err();
        assert!(told.contains("is criu 3.17.1, which is too old: install 4.2 or newer"), "{told}");
        assert_eq!(program("4.3").get().unwrap().version, "4.3");
    }
}
