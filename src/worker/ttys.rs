//! Which terminal of the workspace is on which device: told by the terminals' process in a folder of small files, for
//! whoever knows a process and wants to name its terminal.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// The folder: a file for each device, named by its number, holding the terminal's name. Everybody may read it.
pub const FOLDER: &str = "/run/perry-ttys";
/// The longest name.
const NAME: usize = 64;

/// Tells that the terminal on a device such as `/dev/pts/3` has that name; that there is none, where it is `None`. A folder
/// that cannot be written costs names, and nothing else.
pub fn tell(folder: &Path, tty: &str, name: Option<&str>) {
    let Some(number) = tty.strip_prefix("/dev/pts/").filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    else {
        return;
    };
    let file = folder.join(number);
    let _ = match name {
        Some(name) => fs::create_dir_all(folder).and_then(|()| fs::write(file, name)),
        None => fs::remove_file(file),
    };
}

/// Forgets all: they were another life's.
///
/// # Errors
/// There are some, and they cannot be removed.
pub fn clear(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The names of all terminals, by device.
pub fn all(folder: &Path) -> BTreeMap<String, String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let read = files.filter_map(|file| {
        let number = file.file_name().into_string().ok()?;
        let name = fs::read_to_string(file.path()).ok()?;
        (name.len() <= NAME).then(|| (format!("/dev/pts/{number}"), name))
    });
    read.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_named_by_its_device_until_it_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("ttys");
        tell(&folder, "/dev/pts/3", Some("main"));
        tell(&folder, "/dev/pts/4", Some("build"));
        tell(&folder, "/dev/pts/../x", Some("no"));
        tell(&folder, "/dev/pts/3", Some("other"));
        tell(&folder, "/dev/pts/4", None);
        assert_eq!(all(&folder), [("/dev/pts/3".to_owned(), "other".to_owned())].into());
        clear(&folder).expect("cleared");
        clear(&folder).expect("nothing to clear");
        assert!(all(&folder).is_empty());
    }
}
