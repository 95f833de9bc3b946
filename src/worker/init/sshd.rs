//! sshd: where it is, its host key, and how it is run so that any image's is for keys only.
//!
//! What a `Match` block of an image's own sshd_config says is stronger than an option on the command line; nothing here can
//! undo that.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::contract::worker::{AUTHORIZED_KEYS, FOLDER};
use crate::model::Variables;
use crate::model::desired::HOME;
use crate::worker::accounts::{Account, USER, default_user};
use crate::worker::bootstrap::replace;
use crate::worker::enter::DEFAULT_PATH;
use crate::worker::{WorkerError, environment};

/// What sshd is run with, and what the image would have it run with.
const SETTINGS: &str = "/.perry/sshd_config";
const IMAGE_SETTINGS: &str = "/etc/ssh/sshd_config";
const SSHD: [&str; 3] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];
const KEYGEN: [&str; 2] = ["/usr/bin/ssh-keygen", "/usr/local/bin/ssh-keygen"];

/// The image's sshd.
pub(super) fn find() -> Option<&'static Path> {
    SSHD.into_iter().map(Path::new).find(|path| path.is_file())
}

/// The folder of the host key: in the home volume, so that a new container is the same host to people's known_hosts; in
/// the container where there is no such home.
pub(super) fn key_folder() -> PathBuf {
    if Path::new(HOME).is_dir() { Path::new(HOME).join(".perry/ssh") } else { Path::new(FOLDER).join("ssh") }
}

/// The host key in that folder. One is enough: every client since 2014 knows ed25519.
pub(super) fn host_key(folder: &Path) -> PathBuf {
    folder.join("ssh_host_ed25519_key")
}

/// Makes the folders that sshd and its key need, and gives an empty home that belongs to root to its user.
///
/// # Errors
/// A folder cannot be made.
pub(super) fn prepare(folder: &Path) -> Result<(), WorkerError> {
    let (account, _) = default_user(Path::new("/"));
    if account.name == USER {
        let home = Path::new(HOME);
        give_home(home, &account).map_err(WorkerError::file("change the owner of", home))?;
    }
    let make = |path: &Path, mode: u32| {
        DirBuilder::new().recursive(true).mode(mode).create(path).map_err(WorkerError::file("make", path))
    };
    make(Path::new("/run/sshd"), 0o755)?;
    make(folder, 0o700)
}

/// Docker fills a new volume from the image; where it did not (a bind, another driver), the home would be root's.
fn give_home(home: &Path, account: &Account) -> io::Result<()> {
    let Ok(metadata) = fs::metadata(home) else { return Ok(()) };
    let strange = |entry: io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.file_name() != ".perry" && entry.file_name() != "lost+found")
    };
    if metadata.uid() != 0 || fs::read_dir(home)?.any(strange) {
        return Ok(());
    }
    chown(home, Some(account.uid), Some(account.gid))
}

/// How a host key is made, under another name until it is whole.
///
/// # Errors
/// The image has no ssh-keygen.
pub(super) fn keygen(folder: &Path, workspace: &str) -> Result<Command, WorkerError> {
    let program = KEYGEN.into_iter().find(|path| Path::new(path).is_file()).ok_or_else(|| WorkerError::Start {
        program: "ssh-keygen, which sshd needs for its host key".to_owned(),
        source: io::ErrorKind::NotFound.into(),
    })?;
    let new = new_key(folder);
    // It asks before it overwrites what a crash left.
    let _ = fs::remove_file(&new);
    let mut command = Command::new(program);
    command.args(["-q", "-t", "ed25519", "-N", "", "-C"]).arg(format!("workspace {workspace}")).arg("-f").arg(new);
    Ok(command)
}

fn new_key(folder: &Path) -> PathBuf {
    folder.join("new_ed25519_key")
}

/// Puts the new key in its place, safe from a loss of power: an empty one would lock everybody out.
///
/// # Errors
/// The keys are not there or cannot be moved.
pub(super) fn publish_key(folder: &Path) -> Result<(), WorkerError> {
    let public = |path: &Path| path.with_extension("pub");
    let (new, key) = (new_key(folder), host_key(folder));
    // The private one last: it says that both are there.
    for (from, to) in [(public(&new), public(&key)), (new, key)] {
        File::open(&from).and_then(|file| file.sync_all()).map_err(WorkerError::file("sync", &from))?;
        fs::rename(&from, &to).map_err(WorkerError::file("move the host key to", &to))?;
    }
    Ok(())
}

/// Whether there is a host key, and nobody else may read it.
pub(super) fn has_key(folder: &Path) -> bool {
    let key = host_key(folder);
    let Ok(metadata) = fs::metadata(&key) else { return false };
    // sshd refuses a key that others can read, as a copied or restored volume may have it.
    if metadata.mode() & 0o077 != 0 {
        let _ = fs::set_permissions(&key, fs::Permissions::from_mode(0o600));
    }
    metadata.len() > 0
}

/// Writes sshd's settings: those of the image, with the environment that all logins are to have. `true` where they differ
/// from those before.
///
/// # Errors
/// The folder cannot be written to.
pub(super) fn write_settings(env: &Variables) -> Result<bool, WorkerError> {
    let (account, _) = default_user(Path::new("/"));
    let has = |name: &OsStr| env::var_os(name).is_some();
    let own = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let own = own.filter(|(name, _)| name != "PATH");
    let path = env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned());
    let path = ("PATH".to_owned(), environment::path(&path, &account.home));
    let brought = environment::brought(env, has).map(|(name, value)| (name.clone(), value.clone()));
    // The first setting of a kind is the one that counts.
    let mut text = environment::sshd_setting(own.chain([path]).chain(brought)).into_bytes();
    text.extend(fs::read(IMAGE_SETTINGS).unwrap_or_default());
    let settings = Path::new(SETTINGS);
    if fs::read(settings).is_ok_and(|before| before == text) {
        return Ok(false);
    }
    replace(settings, 0o600, &text)?;
    Ok(true)
}

/// How sshd is run.
pub(super) fn command(program: &Path, folder: &Path) -> Command {
    // Without the user, root is whom commands run as, and whom to log in as.
    let (account, _) = default_user(Path::new("/"));
    let root = if account.name == USER { "no" } else { "prohibit-password" };
    let mut command = Command::new(program);
    command.args(["-D", "-e", "-p", "22", "-f", SETTINGS]);
    let mut set = |option: &str| {
        command.arg("-o").arg(option);
    };
    set(&format!("HostKey={}", host_key(folder).display()));
    set(&format!("AuthorizedKeysFile={AUTHORIZED_KEYS} .ssh/authorized_keys"));
    set(&format!("PermitRootLogin={root}"));
    set("PubkeyAuthentication=yes");
    set("PasswordAuthentication=no");
    set("KbdInteractiveAuthentication=no");
    set("PidFile=none");
    if knows_penalties(program) {
        // Every client comes from the engine's one address: a penalty for one would lock out all.
        set("PerSourcePenalties=no");
    }
    command
}

/// Whether this sshd punishes addresses (OpenSSH 9.8 and later). An older one ends at an option that it does not know,
/// and asking it would cost a start of it.
fn knows_penalties(program: &Path) -> bool {
    const WORD: &[u8] = b"persourcepenalties";
    fs::read(program)
        .is_ok_and(|binary| binary.windows(WORD.len()).any(|window| window[0] == WORD[0] && window == WORD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_published_with_its_public_half_and_only_then_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        assert!(!has_key(folder) && publish_key(folder).is_err());
        fs::write(folder.join("new_ed25519_key"), "private").expect("written");
        fs::write(folder.join("new_ed25519_key.pub"), "public").expect("written");
        assert!(!has_key(folder));
        publish_key(folder).expect("published");
        assert!(has_key(folder));
        assert_eq!(fs::read_to_string(folder.join("ssh_host_ed25519_key.pub")).expect("read"), "public");
        assert_eq!(fs::metadata(host_key(folder)).expect("there").mode() & 0o777, 0o600, "made private");
        fs::write(host_key(folder), "").expect("written");
        assert!(!has_key(folder), "an empty one is none");
    }

    #[test]
    fn only_an_empty_home_of_root_is_given_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let account = Account { uid: 12345, gid: 12346, ..Account::root() };
        let owner = || fs::metadata(folder.path()).expect("there").uid();
        if owner() != 0 {
            return; // Only root can give away: where tests run as another, the home is never root's.
        }
        fs::write(folder.path().join("file"), "").expect("written");
        give_home(folder.path(), &account).expect("looked at");
        assert_eq!(owner(), 0, "not empty");
        fs::remove_file(folder.path().join("file")).expect("removed");
        fs::create_dir(folder.path().join(".perry")).expect("made");
        give_home(folder.path(), &account).expect("given");
        assert_eq!(owner(), 12345);
        give_home(&folder.path().join("absent"), &account).expect("nothing to give");
    }
}
