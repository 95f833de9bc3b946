//! The file of public keys that sshd accepts besides those in the home folder.

use std::path::Path;

use crate::worker::WorkerError;
use crate::worker::bootstrap::replace;

/// Refuses keys that would not be one line each: a line break would smuggle in another key, or options.
///
/// # Errors
/// The first such key.
pub fn validate(keys: &[String]) -> Result<(), WorkerError> {
    let bad = |key: &String| key.trim().is_empty() || key.chars().any(|c| c.is_control() && c != '\t');
    match keys.iter().position(bad) {
        Some(index) => Err(WorkerError::Key { index }),
        None => Ok(()),
    }
}

/// Replaces the file of keys. It is readable by all, because sshd reads it as the user who logs in.
///
/// # Errors
/// A key is not one line, or the folder cannot be written to.
pub fn write(path: &Path, keys: &[String]) -> Result<(), WorkerError> {
    validate(keys)?;
    let mut text = String::new();
    for key in keys {
        text.push_str(key.trim());
        text.push('\n');
    }
    replace(path, 0o644, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_a_line_break_is_refused_by_its_index() {
        let keys = ["ssh-ed25519 AAAA a".to_owned(), "ssh-rsa B\ncommand=\"x\" ssh-rsa C".to_owned()];
        assert!(matches!(validate(&keys), Err(WorkerError::Key { index: 1 })));
        assert!(matches!(validate(&[String::new()]), Err(WorkerError::Key { index: 0 })));
        assert!(validate(&keys[..1]).is_ok());
    }

    #[test]
    fn keys_are_written_one_a_line_and_replaced_as_a_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("authorized_keys");
        write(&path, &["a 1".to_owned(), " b 2 ".to_owned()]).expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "a 1\nb 2\n");
        write(&path, &[]).expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "");
    }
}
