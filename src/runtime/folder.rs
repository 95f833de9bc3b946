//! What the agent keeps of a workspace while it runs: `{run folder}/{uid}/prepared.json`, and the folder `socket/` that
//! is mounted into the workspace. The workspace's root can write there, so nothing in `socket/` is trusted, and the
//! record is not in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use crate::contract::worker::Socket;
use crate::model::Uid;
use crate::quiet;

const RECORD: &str = "prepared.json";
/// A record is about 200 bytes.
const RECORD_MAX: u64 = 4096;

/// What was put into a container before its last start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Which container.
    pub container_id: String,
    /// Hash of the worker's executable; empty where none was put in.
    pub worker: String,
    /// Hash of what the worker was told; empty where nobody noted it.
    #[serde(default)]
    pub config: String,
    /// The restart that it was last started for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted_at: Option<Timestamp>,
}

/// The agent's folder for one workspace.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder of a workspace below the agent's run folder; nothing is made yet.
    ///
    /// # Errors
    /// The uid cannot be a file's name.
    pub fn new(run: &Path, uid: &Uid) -> io::Result<Self> {
        let plain = uid.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if uid.0.is_empty() || !plain {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the uid {:?} cannot be a file's name", uid.0),
            ));
        }
        Ok(Self(run.join(&uid.0)))
    }

    /// The folder that is mounted into the workspace.
    pub fn socket_folder(&self) -> PathBuf {
        self.0.join("socket")
    }

    /// Makes the folders, for this user alone.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn create(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(self.socket_folder())
    }

    /// The record of a container, where there is one and it is this container's.
    pub fn record(&self, container_id: &str) -> Option<Record> {
        let mut text = String::new();
        File::open(self.0.join(RECORD)).ok()?.take(RECORD_MAX).read_to_string(&mut text).ok()?;
        // A torn or foreign record is none: the worker is then put in once more.
        serde_json::from_str(&text).ok().filter(|record: &Record| record.container_id == container_id)
    }

    /// Writes the record: after a crash it is the old or the new one.
    ///
    /// # Errors
    /// It could not be written.
    pub fn write_record(&self, record: &Record) -> io::Result<()> {
        self.create()?;
        let temporary = self.0.join("prepared.json.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&serde_json::to_vec(record).map_err(io::Error::other)?)?;
        // Not synced: a record that is lost with the machine's power is rebuilt by putting the worker in again.
        fs::rename(temporary, self.0.join(RECORD))
    }

    /// Changes the record of a container, or begins one.
    ///
    /// # Errors
    /// It could not be written.
    pub fn note(&self, container_id: &str, change: impl FnOnce(&mut Record)) -> io::Result<()> {
        let mut record = self.record(container_id).unwrap_or_else(|| Record {
            container_id: container_id.to_owned(),
            worker: String::new(),
            config: String::new(),
            restarted_at: None,
        });
        change(&mut record);
        self.write_record(&record)
    }

    /// Removes everything that was kept. What is not there is no error.
    ///
    /// # Errors
    /// It could not be removed.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Connects to a socket of the worker's.
    ///
    /// The workspace's root could have put a link there that leads to a socket of the host, so no link is followed; and
    /// the path of a socket has at most 107 bytes, so the way goes through an open descriptor.
    ///
    /// # Errors
    /// There is no socket, or nobody listens.
    pub async fn connect(&self, socket: Socket) -> io::Result<quiet::Stream> {
        let (name, flags) = (socket.file_name(), OFlag::O_PATH | OFlag::O_NOFOLLOW);
        let folder = OpenOptions::new()
            .read(true)
            .custom_flags((flags | OFlag::O_DIRECTORY).bits())
            .open(self.socket_folder())?;
        let path = format!("/proc/self/fd/{}/{name}", std::os::fd::AsRawFd::as_raw_fd(&folder));
        let socket = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
        if !socket.metadata()?.file_type().is_socket() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name} is no socket")));
        }
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&socket));
        quiet::stream(UnixStream::connect(path).await?)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let run = tempfile::tempdir().expect("a folder");
        // Longer than the path of a socket may be.
        let folder = Folder::new(&run.path().join("x".repeat(120)), &Uid("u-1".to_owned())).expect("a uid");
        folder.create().expect("a folder");
        (run, folder)
    }

    fn listen(folder: &Path) -> UnixListener {
        // Bound where the path is short, then moved.
        let short = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(short.path().join("s")).expect("a socket");
        fs::rename(short.path().join("s"), folder.join(Socket::Worker.file_name())).expect("moved");
        listener
    }

    #[test]
    fn a_record_is_read_back_for_its_container_only() {
        let (_run, folder) = folder();
        assert_eq!(folder.record("c"), None);
        let record = Record {
            container_id: "c".to_owned(),
            worker: "w".to_owned(),
            config: "h".to_owned(),
            restarted_at: Some(Timestamp::UNIX_EPOCH),
        };
        folder.write_record(&record).expect("written");
        assert_eq!(folder.record("c"), Some(record));
        assert_eq!(folder.record("d"), None);
        fs::write(folder.0.join(RECORD), "{\"containerId\":").expect("torn");
        assert_eq!(folder.record("c"), None);
        folder.remove().expect("removed");
        folder.remove().expect("removed twice");
    }

    #[test]
    fn a_uid_that_leads_elsewhere_is_refused() {
        for uid in ["", "..", "a/b", "/etc", "a b"] {
            Folder::new(Path::new("/run"), &Uid(uid.to_owned())).expect_err(uid);
        }
    }

    #[tokio::test]
    async fn a_socket_with_a_long_path_is_reached() {
        let (_run, folder) = folder();
        assert_eq!(folder.connect(Socket::Worker).await.expect_err("none").kind(), io::ErrorKind::NotFound);
        let listener = listen(&folder.socket_folder());
        folder.connect(Socket::Worker).await.expect("connected");
        listener.accept().expect("accepted");
        drop(listener);
        assert_eq!(folder.connect(Socket::Worker).await.expect_err("closed").kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn a_link_to_another_socket_is_not_followed() {
        let (run, folder) = folder();
        let _listener = listen(run.path());
        symlink(run.path().join(Socket::Worker.file_name()), folder.socket_folder().join(Socket::Worker.file_name()))
            .expect("a link");
        let error = folder.connect(Socket::Worker).await.expect_err("a link");
        assert!(error.to_string().contains("no socket"), "{error}");
        fs::remove_dir_all(folder.socket_folder()).expect("removed");
        symlink(run.path(), folder.socket_folder()).expect("a link");
        folder.connect(Socket::Worker).await.expect_err("a link for the folder");
    }
}
