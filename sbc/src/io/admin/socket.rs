//! A Unix socket for the admin pages: whoever its owner and group let in may use it.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use thiserror::Error;

/// For the owner and the group.
const MODE: u32 = 0o660;
/// Connections that wait to be taken.
const BACKLOG: i32 = 64;

/// Why there is none.
#[derive(Debug, Error)]
pub enum SocketError {
    /// A daemon answers there.
    #[error("admin: {} is taken by a daemon that runs: stop it, or give `admin` another path", .0.display())]
    Taken(PathBuf),
    /// Something else is there.
    #[error("admin: {} is there already, and is no socket: remove it, or give `admin` another path", .0.display())]
    Foreign(PathBuf),
    /// The system refuses.
    #[error("admin: cannot make the socket {}: {source}; its folder must be there, and be ours to write to", path.display())]
    Refused {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A socket whose file goes with it.
#[derive(Debug)]
pub(in crate::io) struct AdminSocket {
    /// Not blocking.
    pub(super) listener: UnixListener,
    pub(super) file: File,
}

/// Removed at the end.
#[derive(Debug)]
pub(super) struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        // Whoever comes next takes it away where this could not.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Listens there. What a daemon has left that is gone makes room.
///
/// # Errors
/// See [`SocketError`].
pub(in crate::io) fn open(path: &Path) -> Result<AdminSocket, SocketError> {
    let refused = |source| SocketError::Refused {
        path: path.to_owned(),
        source,
    };
    if let Ok(known) = std::fs::symlink_metadata(path) {
        if !known.file_type().is_socket() {
            return Err(SocketError::Foreign(path.to_owned()));
        }
        if UnixStream::connect(path).is_ok() {
            return Err(SocketError::Taken(path.to_owned()));
        }
        std::fs::remove_file(path).map_err(refused)?;
    }
    let open = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let file = File(path.to_owned());
        // Before anybody can connect.
        std::fs::set_permissions(path, Permissions::from_mode(MODE))?;
        socket.listen(BACKLOG)?;
        let listener = UnixListener::from(std::os::fd::OwnedFd::from(socket));
        Ok(AdminSocket { listener, file })
    };
    open().map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_daemon_has_it_and_leaves_nothing() {
        let path = std::env::temp_dir().join(format!("sbc-{}-admin.sock", std::process::id()));
        let socket = open(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        assert!(matches!(open(&path), Err(SocketError::Taken(_))));
        // As one that was killed leaves it.
        let AdminSocket { listener, file } = socket;
        drop(listener);
        std::mem::forget(file);
        drop(open(&path).unwrap());
        assert!(!path.exists());
        std::fs::write(&path, "").unwrap();
        assert!(matches!(open(&path), Err(SocketError::Foreign(_))));
        std::fs::remove_file(&path).unwrap();
        let nowhere = path.join("admin.sock");
        assert!(matches!(open(&nowhere), Err(SocketError::Refused { .. })));
    }
}
