//! Paths that are walked without following a symbolic link: whoever could put one on the way would decide what is read
//! or written. Each step is taken from the folder before it, so nobody can change the way under the walk.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A socket, a device, a pipe.
    Other,
}

impl Kind {
    fn of(stat: &FileStat) -> Self {
        match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFREG => Self::File,
            SFlag::S_IFDIR => Self::Folder,
            SFlag::S_IFLNK => Self::Link,
            _ => Self::Other,
        }
    }
}

/// What is in a folder under that name.
///
/// # Errors
/// Nothing is, or nobody may look.
pub fn kind(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<Kind> {
    Ok(Kind::of(&fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?))
}

/// Walks to the folder that a path's last name is in; that folder and the name. A folder on the way that is not there is
/// made by `missing`, which may refuse.
///
/// # Errors
/// The path is not absolute and plain, a folder on the way is none or a link, or nobody may look.
pub fn parent(
    path: &Path,
    mut missing: impl FnMut(BorrowedFd<'_>, &OsStr) -> io::Result<()>,
) -> io::Result<(OwnedFd, OsString)> {
    let mut names = plain_names(path).ok_or_else(|| refuse("is no absolute path without . and .."))?;
    let last = names.pop().ok_or_else(|| refuse("is no file"))?;
    let mut folder: OwnedFd = File::open("/")?.into();
    for name in names {
        folder = match step(folder.as_fd(), &name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                missing(folder.as_fd(), &name)?;
                step(folder.as_fd(), &name)?
            }
            stepped => stepped?,
        };
    }
    Ok((folder, last))
}

/// Opens a regular file for reading.
///
/// # Errors
/// It or a folder on the way is a link or something else, it is not there, or nobody may look.
pub fn open(path: &Path) -> io::Result<File> {
    let (folder, name) = parent(path, |_, _| Err(io::ErrorKind::NotFound.into()))?;
    match kind(folder.as_fd(), &name)? {
        Kind::File => {}
        Kind::Folder => return Err(refuse("is a folder: name the files in it")),
        Kind::Link => return Err(refuse("is a symbolic link, and none is followed")),
        Kind::Other => return Err(refuse("is no regular file")),
    }
    // Whatever is put there meanwhile is not followed and not waited for.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = File::from(openat(folder, name.as_os_str(), flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(refuse("is no regular file")) }
}

fn step(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(folder, name, flags, Mode::empty()).map_err(|errno| match (errno, kind(folder, name)) {
        (Errno::ENOTDIR | Errno::ELOOP, Ok(Kind::Link)) => {
            refuse(&format!("goes through a symbolic link ({}), and none is followed", name.display()))
        }
        (Errno::ENOTDIR, _) => refuse(&format!("goes through {}, which is no folder", name.display())),
        (errno, _) => errno.into(),
    })
}

fn plain_names(path: &Path) -> Option<Vec<OsString>> {
    let mut components = path.components();
    (components.next()? == Component::RootDir).then_some(())?;
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(name.to_owned()),
        _ => None,
    };
    components.map(name).collect()
}

fn refuse(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    fn said(path: &Path) -> String {
        open(path).expect_err("not opened").to_string()
    }

    #[test]
    fn a_file_is_opened_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().canonicalize().expect("a path");
        fs::create_dir(folder.join("d")).expect("made");
        fs::write(folder.join("d/f"), "text").expect("written");
        let mut text = String::new();
        open(&folder.join("d/f")).expect("opened").read_to_string(&mut text).expect("read");
        assert_eq!(text, "text");
        assert!(said(&folder.join("d")).starts_with("is a folder"));
        assert!(said(&folder.join("d/f/g")).contains("goes through f, which is no folder"));
        assert_eq!(open(&folder.join("x/y")).expect_err("absent").kind(), io::ErrorKind::NotFound);
        for path in ["", "a", "/", "/a/../b"] {
            assert_eq!(open(Path::new(path)).expect_err(path).kind(), io::ErrorKind::InvalidInput, "{path}");
        }
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().canonicalize().expect("a path").join("p");
        nix::unistd::mkfifo(&pipe, Mode::S_IRUSR).expect("made");
        assert!(said(&pipe).contains("no regular file"));
    }

    #[test]
    fn no_link_is_followed_neither_at_the_end_nor_on_the_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().canonicalize().expect("a path");
        fs::create_dir(folder.join("d")).expect("made");
        fs::write(folder.join("d/f"), "secret").expect("written");
        symlink(folder.join("d/f"), folder.join("l")).expect("linked");
        symlink(folder.join("d"), folder.join("e")).expect("linked");
        assert!(said(&folder.join("l")).starts_with("is a symbolic link"));
        assert!(
            said(&folder.join("e/f")).contains("goes through a symbolic link (e)"),
            "{}",
            said(&folder.join("e/f"))
        );
    }
}
