//! The agent's folder: made private, and kept so.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::StoreError;
use crate::model::files;

/// Files that only their owner may read, besides all that begin with `state.json`.
const PRIVATE: [&str; 10] = [
    files::CONFIG,
    files::CLIENT,
    files::STATE_LOCK,
    files::STATE_UNTRUSTED,
    files::AGENT_ID,
    files::AGENT_KEY,
    files::AGENT_LOCK,
    files::TOKENS,
    files::AUDIT,
    "sessions.db",
];

/// Makes the folder where it is missing, mode 0700, and takes away from others what they could do with it and with
/// Perry's files in it. Returns what people should know about that.
///
/// # Errors
/// The folder can be neither made nor read, or it is none.
pub fn prepare(folder: &Path) -> Result<Vec<String>, StoreError> {
    let failed = |error| StoreError::writing(&folder.display().to_string(), error);
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let mut notes = Vec::new();
    let (mut is_empty, mut is_perrys) = (true, false);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        is_empty = false;
        if entry.file_name().to_str().is_some_and(is_private) {
            is_perrys = true;
            // A link leads to somebody else's arrangement, which is theirs to keep.
            if entry.file_type().map_err(failed)?.is_file() {
                tighten(&entry.path(), &mut notes).map_err(failed)?;
            }
        }
    }
    // A folder that holds other things (somebody's home, /tmp) is not ours to close; the files are private all the same.
    if is_empty || is_perrys {
        tighten(folder, &mut notes).map_err(failed)?;
    }
    Ok(notes)
}

fn is_private(name: &str) -> bool {
    PRIVATE.contains(&name) || name.starts_with(files::STATE)
}

fn tighten(path: &Path, notes: &mut Vec<String>) -> io::Result<()> {
    let found = fs::metadata(path)?;
    let mode = found.permissions().mode() & 0o7777;
    let is_shared = mode & 0o1000 != 0;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let path_text = path.display();
    if is_shared || found.uid() != nix::unistd::geteuid().as_raw() {
        notes.push(format!(
            "{path_text} has mode {mode:03o} and is not only ours: others may read or change what is in it"
        ));
        return Ok(());
    }
    let tight = mode & !0o077;
    fs::set_permissions(path, Permissions::from_mode(tight))?;
    notes.push(format!("{path_text} had mode {mode:03o}, so that others could get at it; it has {tight:03o} now"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
    }

    fn file(folder: &Path, name: &str, mode: u32) {
        fs::write(folder.join(name), "x").expect("written");
        fs::set_permissions(folder.join(name), Permissions::from_mode(mode)).expect("ours");
    }

    #[test]
    fn a_missing_folder_is_made_private_with_all_above_it() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("a/perry");
        assert_eq!(prepare(&folder).expect("made"), Vec::<String>::new());
        assert_eq!((mode(&folder), prepare(&folder).expect("again")), (0o700, vec![]));
    }

    #[test]
    fn a_loose_folder_and_loose_files_are_tightened_and_told_of() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path();
        fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("ours");
        file(folder, "state.json", 0o644);
        file(folder, "state.json.broken-2026", 0o666);
        file(folder, "agent.key", 0o600);
        file(folder, "notes.txt", 0o644);
        let notes = prepare(folder).expect("prepared");
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert!(notes.iter().any(|note| note.contains("state.json had mode 644")), "{notes:?}");
        assert_eq!(mode(folder), 0o700);
        for name in ["state.json", "state.json.broken-2026", "agent.key"] {
            assert_eq!(mode(&folder.join(name)), 0o600);
        }
        assert_eq!(mode(&folder.join("notes.txt")), 0o644);
        assert_eq!(prepare(folder).expect("prepared"), Vec::<String>::new());
    }

    #[test]
    fn a_folder_full_of_other_things_is_left_open() {
        let root = tempfile::tempdir().expect("a folder");
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).expect("ours");
        file(root.path(), "notes.txt", 0o644);
        prepare(root.path()).expect("prepared");
        assert_eq!(mode(root.path()), 0o755);
    }

    #[test]
    fn what_is_no_folder_is_an_error_that_names_it() {
        let root = tempfile::tempdir().expect("a folder");
        file(root.path(), "f", 0o600);
        let error = prepare(&root.path().join("f")).expect_err("a file");
        assert!(error.chain().contains("/f could not be written"), "{}", error.chain());
    }
}
