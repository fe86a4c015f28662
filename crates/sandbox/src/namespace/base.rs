//! The base tree: what all sandboxes of this host see alike, built once by the spawner in its own
//! mount namespace.
//!
//! Lies under [`STAGE`] and is read-only when finished. A sandbox clones pieces of it. What is
//! copied (certificates, resolver, linker cache) is as it was when the daemon started.

use std::fs;
use std::io;
use std::net::IpAddr;

use super::network::upstream_resolvers;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::UnshareFlags;

use super::mounts::{self, Attributes};

/// Where the base tree lies in the spawner's mount namespace. A directory that every host has and
/// in which no content for sandboxes can lie.
pub(super) const STAGE: &str = "/sys";

/// The directory below [`STAGE`] onto which a sandbox mounts its root.
pub(super) const ROOT: &str = "root";

/// The directory below [`STAGE`] with what lies on top of an image: places for what is mounted, and
/// how names are resolved.
pub(super) const NEEDED: &str = "needed";

/// Files of the host's `/etc` that programs need and that name nothing of the host.
const COPIED: &[&str] = &[
    "ld.so.cache",
    "services",
    "protocols",
    "os-release",
    "mime.types",
    "alternatives",
    "ssl/certs",
    "ssl/cert.pem",
    "ssl/openssl.cnf",
    "pki/tls/certs",
    "pki/tls/cert.pem",
    "pki/tls/openssl.cnf",
    "pki/ca-trust/extracted",
    "crypto-policies/back-ends",
    "crypto-policies/config",
];

/// Directories that many hosts keep as links into `/usr`.
const TOP: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// Larger files of `/etc` are nothing that programs need.
const COPIED_FILE_BYTES: u64 = 8 << 20;

/// How deep a copied directory may be.
const COPIED_DEPTH: u32 = 6;

const PASSWD: &str = "root:x:0:0:root:/root:/sbin/nologin\n\
    sbx_user1051:x:993:990::/home/sbx_user1051:/sbin/nologin\n\
    nobody:x:65534:65534:nobody:/:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nsbx_user1051:x:990:\nnogroup:x:65534:\n";
const HOSTS: &str = "127.0.0.1 localhost sandbox sandbox.localdomain\n\
    ::1 localhost ip6-localhost ip6-loopback\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n\
    protocols: files\n";

/// Leaves the host's mount namespace and builds the tree.
pub(super) fn build() -> io::Result<()> {
    mounts::unshare(UnshareFlags::NEWNS)?;
    // Mounts made on the host later still arrive, and what the host unmounts is let go; nothing
    // of ours gets out.
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM,
    )?;
    // Fewer mounts make each clone cheaper. Failing is harmless: the tree then lies on top.
    let _ = rustix::mount::unmount(STAGE, UnmountFlags::DETACH);
    rustix::mount::mount("tmpfs", STAGE, "tmpfs", MountFlags::NOSUID, c"size=32m,mode=755")?;
    for name in ["empty", ROOT, NEEDED, "usr", "etc", "dev"] {
        make_directory(&stage(name))?;
    }
    bind("/usr", "usr")?;
    if Path::new("/usr/local").is_dir() {
        bind(&format!("{STAGE}/empty"), "usr/local")?;
    }
    for name in TOP {
        top(name)?;
    }
    devices()?;
    configuration()?;
    needed()?;
    let whole = mounts::directory(Path::new(STAGE))?;
    mounts::restrict(&whole, Attributes::DEVICES, false)
}

/// The names in the base tree that stand for the host's top directories.
pub(super) fn top_names() -> impl Iterator<Item = (&'static str, PathBuf)> {
    TOP.iter().map(|name| (*name, stage(name)))
}

/// A path in the base tree.
pub(super) fn stage(name: &str) -> PathBuf {
    Path::new(STAGE).join(name)
}

fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o755).recursive(true).create(path)
}

fn bind(host: &str, name: &str) -> io::Result<()> {
    let tree = mounts::clone_tree(Path::new(host), true)?;
    mounts::restrict(&tree, Attributes::CONTENT, true)?;
    mounts::attach(&tree, mounts::directory(Path::new(STAGE))?, name)
}

/// `/bin` and its like: the same link as on the host, or the directory itself.
fn top(name: &str) -> io::Result<()> {
    let host = Path::new("/").join(name);
    let Ok(found) = fs::symlink_metadata(&host) else {
        return Ok(());
    };
    if found.is_symlink() {
        let target = fs::read_link(&host)?;
        let relative = target.strip_prefix("/").unwrap_or(&target).to_owned();
        return symlink(relative, stage(name));
    }
    make_directory(&stage(name))?;
    bind(&host.to_string_lossy(), name)
}

fn devices() -> io::Result<()> {
    let nodes = [("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)];
    for (name, minor) in nodes {
        let path = stage("dev").join(name);
        let device = rustix::fs::makedev(1, minor);
        rustix::fs::mknodat(
            CWD,
            &path,
            FileType::CharacterDevice,
            Mode::from_raw_mode(0o666),
            device,
        )?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, stage("dev").join(name))?;
    }
    Ok(())
}

fn configuration() -> io::Result<()> {
    let etc = stage("etc");
    for name in COPIED {
        copy(&Path::new("/etc").join(name), &etc.join(name), COPIED_DEPTH)?;
    }
    for (name, text) in [
        ("passwd", PASSWD),
        ("group", GROUP),
        ("hosts", HOSTS),
        ("hostname", "sandbox\n"),
        ("nsswitch.conf", NSSWITCH),
        ("resolv.conf", &resolver(&upstream_resolvers())),
    ] {
        fs::write(etc.join(name), text)?;
    }
    symlink("/usr/share/zoneinfo/UTC", etc.join("localtime"))
}

/// Copies what anybody may read; leaves out the rest, and what is not there.
fn copy(from: &Path, to: &Path, depth: u32) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(from) else {
        return Ok(());
    };
    if let Some(parent) = to.parent() {
        make_directory(parent)?;
    }
    if found.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if found.permissions().mode() & 0o004 == 0 || depth == 0 {
        return Ok(());
    }
    if found.is_dir() {
        make_directory(to)?;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            copy(&from.join(&name), &to.join(&name), depth - 1)?;
        }
    } else if found.is_file() && found.len() <= COPIED_FILE_BYTES {
        fs::write(to, fs::read(from)?)?;
    }
    Ok(())
}

fn needed() -> io::Result<()> {
    for name in ["dev", "proc", "tmp", "etc"] {
        make_directory(&stage(NEEDED).join(name))?;
    }
    for name in ["hosts", "hostname", "resolv.conf"] {
        fs::copy(stage("etc").join(name), stage(NEEDED).join("etc").join(name))?;
    }
    Ok(())
}

fn resolver(servers: &[IpAddr]) -> String {
    servers.iter().map(|server| format!("nameserver {server}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_its_line() {
        let servers = ["10.0.0.2", "2001:db8::1"].map(|server| server.parse().unwrap());
        assert_eq!(resolver(&servers), "nameserver 10.0.0.2\nnameserver 2001:db8::1\n");
    }
}
