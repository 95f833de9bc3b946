//! The worker's socket.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use tokio::net::UnixListener;

use crate::worker::WorkerError;

/// Listens at `path`, in the place of whoever did. The socket belongs to the owner of its folder (where the agent shares
/// that folder, to the agent's user), who alone may connect.
///
/// # Errors
/// The folder cannot be made or written to.
pub(super) fn listen(path: &Path) -> Result<UnixListener, WorkerError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).map_err(WorkerError::file("make", folder))?;
    // Made under another name and moved: nobody ever meets a socket with the wrong rights, nor none at a reload.
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    let _ = fs::remove_file(new);
    let listener = UnixListener::bind(new).map_err(WorkerError::file("listen at", new))?;
    hand_over(new, folder).map_err(WorkerError::file("set the rights of", new))?;
    fs::rename(new, path).map_err(WorkerError::file("move the socket to", path))?;
    Ok(listener)
}

fn hand_over(socket: &Path, folder: &Path) -> io::Result<()> {
    fs::set_permissions(socket, Permissions::from_mode(0o600))?;
    let (owner, own) = (fs::metadata(folder)?, fs::metadata(socket)?);
    if (owner.uid(), owner.gid()) == (own.uid(), own.gid()) {
        return Ok(());
    }
    chown(socket, Some(owner.uid()), Some(owner.gid()))
}
