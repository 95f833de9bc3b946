//! Files that the agent brings: a tar of them, written into the workspace as its user's, each whole or not at all. No
//! symbolic link is followed, neither on the way nor at the end.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::response::Json;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Uid, UnlinkatFlags, unlinkat};

use super::Shared;
use crate::model::desired::HOME;
use crate::model::observed::{FileFault, FilesSeen};
use crate::nofollow::{self, Kind};
use crate::worker::accounts::{Account, USER, default_user};
use crate::worker::bootstrap::replace;
use crate::worker::link::Request as ToInit;

/// The largest tar, in bytes: 16 MiB of files and their headers.
pub(super) const BODY: usize = 18 << 20;
/// Faults that are told, and characters of each part: the state of a worker is a line of bounded length.
const FAULTS: usize = 20;
const TEXT: usize = 200;

/// `PUT /v1/files/{hash}`: writes the files of a tar; that hash is shown in the worker's state from then on. The answer is
/// what could not be written.
pub(super) async fn put(
    State(shared): State<Arc<Shared>>,
    UrlPath(hash): UrlPath<String>,
    body: Bytes,
) -> Result<Json<Vec<FileFault>>, super::routes::Refusal> {
    if hash.is_empty() || hash.len() > 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err((StatusCode::BAD_REQUEST, "the hash of the files is 1 to 64 hexadecimal digits".to_owned()));
    }
    let _one_at_a_time = shared.configuring.lock().await;
    let places = shared.places.clone();
    let (named, told) = (hash.clone(), places.files_hash.clone());
    let written = tokio::task::spawn_blocking(move || -> io::Result<Vec<FileFault>> {
        let faults = write_all(&places.root, &body)?;
        replace(&told, 0o600, named.as_bytes()).map_err(io::Error::other)?;
        Ok(faults)
    });
    let faults = match written.await {
        Ok(Ok(faults)) => faults,
        Ok(Err(error)) => return Err((StatusCode::BAD_REQUEST, format!("the tar of files is broken: {error}"))),
        Err(_) => return Err((StatusCode::INTERNAL_SERVER_ERROR, "writing the files panicked".to_owned())),
    };
    let brought = FilesSeen { hash, faults: faults.clone() };
    shared.side.send_modify(|side| side.files = brought);
    // PID 1 may be gone just now; it looks at the file when it is there.
    let _ = shared.requests.send(ToInit::Files).await;
    Ok(Json(faults))
}

/// What was brought before this `serve` began.
pub(super) fn brought(path: &Path) -> FilesSeen {
    FilesSeen { hash: fs::read_to_string(path).unwrap_or_default(), faults: Vec::new() }
}

/// Writes every file of a tar below `root`; what could not be written.
fn write_all(root: &Path, tar: &[u8]) -> io::Result<Vec<FileFault>> {
    let (user, _) = default_user(root);
    let mut faults = Vec::new();
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        let (path, mode) = (entry.path()?.into_owned(), entry.header().mode()?);
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        let inside = Path::new("/").join(&path);
        if let Err(error) = write(root, &inside, mode & 0o777, &content, &user)
            && faults.len() < FAULTS
        {
            let short = |text: String| text.chars().take(TEXT).collect::<String>();
            let message = match error.kind() {
                io::ErrorKind::InvalidInput => error.to_string(),
                _ => format!("cannot be written: {error}"),
            };
            faults.push(FileFault { path: short(inside.display().to_string()), message: short(message) });
        }
    }
    Ok(faults)
}

fn write(root: &Path, inside: &Path, mode: u32, content: &[u8], user: &Account) -> io::Result<()> {
    // What is at home is its user's, what is elsewhere is root's.
    let mine = user.name == USER && inside.starts_with(HOME);
    let own = |file: BorrowedFd<'_>| match mine && Uid::effective().is_root() {
        true => fchown(file, Some(user.uid), Some(user.gid)),
        false => Ok(()),
    };
    let (folder, name) = nofollow::parent(&below(root, inside), |parent, name| {
        mkdirat(parent, name, Mode::from_bits_truncate(if name == ".ssh" { 0o700 } else { 0o755 }))?;
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        own(openat(parent, name, flags, Mode::empty())?.as_fd())
    })?;
    let folder = folder.as_fd();
    match nofollow::kind(folder, &name) {
        Ok(Kind::File) => {}
        Ok(Kind::Link) => return Err(refuse("is a symbolic link inside, and none is followed or replaced")),
        Ok(Kind::Folder) => return Err(refuse("is a folder inside")),
        Ok(Kind::Other) => return Err(refuse("is no regular file inside")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if is_so(folder, &name, mode, content) {
        return Ok(());
    }
    let mut new = name.clone();
    new.push(".perry-new");
    let written = write_new(folder, &new, content, |file| {
        own(file.as_fd())?;
        file.set_permissions(fs::Permissions::from_mode(mode))
    });
    let moved = written.and_then(|()| Ok(renameat(folder, new.as_os_str(), folder, name.as_os_str())?));
    if moved.is_err() {
        // Half a file is nobody's.
        let _ = unlinkat(folder, new.as_os_str(), UnlinkatFlags::NoRemoveDir);
    }
    moved
}

/// Whether a file holds just that already: then nobody's editor is told that it has changed.
fn is_so(folder: BorrowedFd<'_>, name: &OsStr, mode: u32, content: &[u8]) -> bool {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let Ok(file) = openat(folder, name, flags, Mode::empty()).map(File::from) else { return false };
    let Ok(metadata) = file.metadata() else { return false };
    let mut there = Vec::new();
    metadata.len() == content.len() as u64
        && metadata.mode() & 0o777 == mode
        && file.take(content.len() as u64 + 1).read_to_end(&mut there).is_ok()
        && there == content
}

fn write_new(
    folder: BorrowedFd<'_>,
    name: &OsStr,
    content: &[u8],
    finish: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    match unlinkat(folder, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut file = File::from(openat(folder, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
    file.write_all(content)?;
    finish(&file)
}

fn below(root: &Path, inside: &Path) -> PathBuf {
    root.join(inside.strip_prefix("/").unwrap_or(inside))
}

fn refuse(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Inside(tempfile::TempDir);

    impl Inside {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a folder"))
        }

        fn root(&self) -> PathBuf {
            self.0.path().canonicalize().expect("a path")
        }

        fn path(&self, path: &str) -> PathBuf {
            below(&self.root(), Path::new(path))
        }

        fn bring(&self, files: &[(&str, u32, &str)]) -> Vec<String> {
            let mut tar = tar::Builder::new(Vec::new());
            for (path, mode, content) in files {
                let mut header = tar::Header::new_gnu();
                header.set_mode(*mode);
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, path.trim_start_matches('/'), content.as_bytes()).expect("packed");
            }
            let tar = tar.into_inner().expect("packed");
            let faults = write_all(&self.root(), &tar).expect("a tar");
            faults.iter().map(ToString::to_string).collect()
        }
    }

    #[test]
    fn files_are_written_with_their_folders_and_rights_and_replaced_as_a_whole() {
        let inside = Inside::new();
        let long = format!("/home/workspace/{}/f", "x".repeat(180));
        let files =
            [("/home/workspace/.ssh/config", 0o600, "Host a"), ("/etc/motd", 0o4755, "hi"), (long.as_str(), 0o644, "")];
        assert!(inside.bring(&files).is_empty());
        let mode = |path: &str| fs::metadata(inside.path(path)).expect("there").mode() & 0o7777;
        assert_eq!((mode("/home/workspace/.ssh"), mode("/home/workspace/.ssh/config")), (0o700, 0o600));
        assert_eq!(mode("/etc/motd"), 0o755, "nobody becomes root by it");
        assert!(inside.path(&long).exists());
        let inode = || fs::metadata(inside.path("/etc/motd")).expect("there").ino();
        let before = inode();
        inside.bring(&[("/etc/motd", 0o755, "hi")]);
        assert_eq!(inode(), before, "what is so already is not written");
        inside.bring(&[("/etc/motd", 0o755, "ho")]);
        assert_ne!(inode(), before);
        assert_eq!(fs::read_to_string(inside.path("/etc/motd")).expect("read"), "ho");
        assert_eq!(fs::read_dir(inside.path("/etc")).expect("a folder").count(), 1, "nothing is left over");
    }

    #[test]
    fn no_link_is_followed_or_replaced_and_the_other_files_are_written() {
        let (inside, outside) = (Inside::new(), Inside::new());
        fs::create_dir_all(inside.path("/home/workspace")).expect("made");
        fs::write(outside.path("/secret"), "kept").expect("written");
        symlink(outside.path("/secret"), inside.path("/home/workspace/link")).expect("linked");
        symlink(outside.root(), inside.path("/home/workspace/folder")).expect("linked");
        fs::create_dir(inside.path("/home/workspace/taken")).expect("made");
        let faults = inside.bring(&[
            ("/home/workspace/link", 0o644, "x"),
            ("/home/workspace/folder/secret", 0o644, "x"),
            ("/home/workspace/folder/deep/new", 0o644, "x"),
            ("/home/workspace/taken", 0o644, "x"),
            ("/home/workspace/fine", 0o644, "x"),
        ]);
        assert_eq!(faults.len(), 4, "{faults:?}");
        assert!(faults[0].contains("/home/workspace/link is a symbolic link"), "{faults:?}");
        assert!(faults[1].contains("goes through a symbolic link (folder)"), "{faults:?}");
        assert!(faults[3].contains("is a folder"), "{faults:?}");
        assert_eq!(fs::read_to_string(outside.path("/secret")).expect("read"), "kept");
        assert_eq!(fs::read_dir(outside.root()).expect("a folder").count(), 1);
        assert!(fs::symlink_metadata(inside.path("/home/workspace/link")).expect("there").is_symlink());
        assert!(inside.path("/home/workspace/fine").exists());
    }

    #[test]
    fn a_broken_tar_is_an_error_and_a_way_out_of_the_root_is_a_fault() {
        let inside = Inside::new();
        assert!(write_all(&inside.root(), &[7; 1024]).is_err());
        let error = write(&inside.root(), Path::new("/a/../../b"), 0o644, b"", &Account::root()).expect_err("refused");
        assert!(error.to_string().contains("no absolute path"), "{error}");
    }
}
