//! The bootstrap file: what the agent puts in before a start. A plan that comes later is written into it too, so that
//! what the worker was told last is in one place and survives a restart of the container without the agent.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::contract::worker::Bootstrap;
use crate::worker::WorkerError;

/// The most that is read: keys of 1 MiB and their JSON.
const LIMIT: u64 = 4 << 20;

/// Reads the bootstrap file.
///
/// # Errors
/// It cannot be read or does not parse.
pub fn read(path: &Path) -> Result<Bootstrap, WorkerError> {
    let file = File::open(path).map_err(WorkerError::file("read", path))?;
    let mut text = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut text).map_err(WorkerError::file("read", path))?;
    if text.len() as u64 > LIMIT {
        return Err(WorkerError::TooLarge { path: path.to_owned(), limit: LIMIT });
    }
    serde_json::from_slice(&text).map_err(|source| WorkerError::Bootstrap { path: path.to_owned(), source })
}

/// Replaces the bootstrap file, readable by root alone.
///
/// # Errors
/// The folder cannot be written to.
pub fn write(path: &Path, bootstrap: &Bootstrap) -> Result<(), WorkerError> {
    let text =
        serde_json::to_vec(bootstrap).map_err(|source| WorkerError::Bootstrap { path: path.to_owned(), source })?;
    replace(path, 0o600, &text)
}

/// Replaces a file as a whole: whoever reads meanwhile sees the old or the new one. Not synced: after a loss of power
/// the container starts again, and the agent and init write these files at each start.
///
/// # Errors
/// The folder cannot be written to.
pub fn replace(path: &Path, mode: u32, text: &[u8]) -> Result<(), WorkerError> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    // A leftover of a crash may have another mode, which opening would keep.
    let _ = fs::remove_file(new);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(new)
        .map_err(WorkerError::file("write", new))?;
    file.write_all(text).map_err(WorkerError::file("write", new))?;
    fs::rename(new, path).map_err(WorkerError::file("replace", path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::model::desired::WorkerPlan;

    fn bootstrap() -> Bootstrap {
        Bootstrap {
            uid: "u".into(),
            name: "n".into(),
            secret: "s".into(),
            executable: "e".into(),
            plan: WorkerPlan {
                authorized_keys: vec!["ssh-ed25519 AAAA me".into()],
                docker: true,
                hash: "h".into(),
                ..WorkerPlan::default()
            },
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_only_root_may_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bootstrap.json");
        fs::write(folder.path().join("bootstrap.json.new"), "torn").expect("a leftover");
        write(&path, &bootstrap()).expect("written");
        assert_eq!(read(&path).expect("read"), bootstrap());
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_broken_bootstrap_names_the_file_and_the_field() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bootstrap.json");
        assert!(read(&path).expect_err("absent").chain().contains("cannot read"));
        fs::write(&path, r#"{"uid":"u","name":"n","secret":"s"}"#).expect("written");
        let text = read(&path).expect_err("a field is missing").chain();
        assert!(text.contains("bootstrap.json is not a valid bootstrap: missing field `executable`"), "{text}");
        File::create(&path).expect("made").set_len(LIMIT + 1).expect("large");
        assert!(matches!(read(&path), Err(WorkerError::TooLarge { .. })));
    }
}
