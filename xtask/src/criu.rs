//! CRIU for the tests of snapshots: new enough ones are in no stable Debian yet, so its source is fetched with
//! `apt-get source` and compiled below `target/`. Half a minute, once. Nothing of it is installed.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::install::apt;
use crate::shell;

/// What it is compiled with.
const PACKAGES: [&str; 8] = [
    "libcap-dev",
    "libnet1-dev",
    "libnl-3-dev",
    "libprotobuf-c-dev",
    "libprotobuf-dev",
    "pkg-config",
    "protobuf-c-compiler",
    "protobuf-compiler",
];

/// Where it is compiled.
const DIRECTORY: &str = "target/criu";

/// `PATH` with a CRIU that takes snapshots, if there is one or one can be made; else as it is, and the tests
/// say what they leave out.
pub(crate) fn path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    if shell::find("criu").is_some_and(|found| is_new_enough(&found)) {
        return path;
    }
    match made() {
        Ok(directory) => {
            let all = std::iter::once(directory).chain(env::split_paths(&path));
            env::join_paths(all).unwrap_or(path)
        }
        Err(error) => {
            shell::warn(&format!("no criu, so snapshots are not tested: {error:#}"));
            path
        }
    }
}

/// Says where a CRIU is, and makes one where there is none.
pub(crate) fn main() -> anyhow::Result<()> {
    let found = shell::find("criu").filter(|found| is_new_enough(found));
    let program = found.map_or_else(|| Ok(made()?.join("criu")), anyhow::Ok)?;
    shell::good(&program.display().to_string());
    Ok(())
}

/// 4.2 is the oldest that `crates/sandbox` takes.
fn is_new_enough(program: &Path) -> bool {
    let Ok(text) = shell::output(Command::new(program).arg("--version")) else { return false };
    let version = text.lines().find_map(|line| line.strip_prefix("Version:"));
    version.is_some_and(|version| numbers(version.trim()) >= (4, 2))
}

fn numbers(version: &str) -> (u32, u32) {
    let mut numbers = version.split(['.', '-', '~']).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// The directory with the program, compiled if it is not there.
fn made() -> anyhow::Result<PathBuf> {
    let directory = shell::root().join(DIRECTORY);
    if is_new_enough(&directory.join("criu")) {
        return Ok(directory);
    }
    if !shell::is_root() || shell::find("apt-get").is_none() {
        bail!("install criu 4.2 or newer by hand");
    }
    apt(&["update", "-q"])?;
    let mut install = vec!["install", "-y", "-q", "--no-install-recommends"];
    install.extend(PACKAGES);
    apt(&install)?;
    let source = source(&directory.join("source"))?;
    // Without what these tests do not use: encryption, programs in the kernel, graphics.
    let mut make = Command::new("make");
    make.current_dir(&source).args(["-j2", "-s", "criu/criu"]);
    shell::run(make.args(["NO_GNUTLS=1", "NO_LIBBPF=1", "CONFIG_AMDGPU=n"]))?;
    fs::copy(source.join("criu/criu"), directory.join("criu"))?;
    Ok(directory)
}

/// The source as Debian's newest release has it, unpacked.
fn source(directory: &Path) -> anyhow::Result<PathBuf> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir_all(directory.join("lists/partial"))?;
    let list = directory.join("sources.list");
    fs::write(&list, format!("deb-src {} sid main\n", mirror()?))?;
    let apt_get = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.current_dir(directory);
        for (name, value) in [
            ("Dir::Etc::sourcelist", list.as_path()),
            ("Dir::Etc::sourceparts", Path::new("/dev/null")),
            ("Dir::State::lists", &directory.join("lists")),
        ] {
            command.arg("-o").arg(format!("{name}={}", value.display()));
        }
        shell::run(command.args(["-q", "-o", "APT::Sandbox::User=root"]).args(args))
    };
    apt_get(&["update"])?;
    apt_get(&["source", "--tar-only", "--download-only", "criu"])?;
    let archive = only(directory, |name| name.contains(".orig.tar"))?;
    shell::run(Command::new("tar").arg("-C").arg(directory).arg("-xf").arg(archive))?;
    only(directory, |name| name.starts_with("criu-"))
}

fn only(directory: &Path, is_wanted: impl Fn(&str) -> bool) -> anyhow::Result<PathBuf> {
    let entries = fs::read_dir(directory)?.flatten();
    let mut wanted = entries.filter(|entry| is_wanted(&entry.file_name().to_string_lossy()));
    Ok(wanted.next().context("apt-get brought no source of criu")?.path())
}

/// Where this machine has its Debian packages from.
fn mirror() -> anyhow::Result<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let more = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    files.extend(more.map(|entry| entry.path()));
    let texts = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    let mirrors: Vec<String> = texts.flat_map(|text| mirrors(&text)).collect();
    let debian =
        mirrors.into_iter().find(|mirror| mirror.trim_end_matches('/').ends_with("/debian"));
    debian.context("no Debian mirror is configured: install criu 4.2 or newer by hand")
}

/// The addresses in a list of sources, of the old kind or the new.
fn mirrors(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.starts_with("URIs:") || line.starts_with("deb "));
    let words = lines.flat_map(str::split_whitespace);
    words.filter(|word| word.starts_with("http")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_found_in_lists_of_both_kinds() {
        let new =
            "Types: deb\nURIs: http://deb.example/debian\nSuites: sid\n# deb http://not.example/\n";
        let old =
            "deb [arch=amd64] https://old.example/debian/ bookworm main\n# deb http://x.example/\n";
        assert_eq!(mirrors(new), ["http://deb.example/debian"]);
        assert_eq!(mirrors(old), ["https://old.example/debian/"]);
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(numbers("4.10") > numbers("4.2.1") && numbers("4.2.1") > numbers("3.17.1"));
        assert_eq!(numbers("new"), (0, 0));
    }
}
