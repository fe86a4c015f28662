//! The Unix socket that the server listens on beside its port, if asked: for clients of the same machine,
//! and closed to every other user.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tokio::net::UnixListener;

/// Takes the socket's name away again when it is dropped.
#[derive(Debug)]
pub(crate) struct Named(PathBuf);

impl Drop for Named {
    fn drop(&mut self) {
        // Whoever took it away before has done it for us.
        let _ = fs::remove_file(&self.0);
    }
}

/// Listens at a path. What a killed server left there is taken away; anything else is not.
///
/// # Errors
/// In words, why not.
pub(crate) fn bind(path: &Path) -> anyhow::Result<(UnixListener, Named)> {
    let refused = || format!("--socket {}", path.display());
    if let Ok(found) = fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            bail!("{}: something that is no socket is there", refused());
        }
        match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path).with_context(refused)?;
            }
            _ => bail!("{}: another server listens there", refused()),
        }
    }
    let listener = UnixListener::bind(path).with_context(refused)?;
    let named = Named(path.to_owned());
    // Nobody is accepted before.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).with_context(refused)?;
    Ok((listener, named))
}
