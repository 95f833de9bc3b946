//! The worker's executable: the agent's own.

use std::io;
use std::path::Path;

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// The largest executable that is read, in bytes: a guard against a path that names something else.
const SIZE_MAX: u64 = 1 << 30;

/// An executable that is put into every workspace, kept in memory: an upgrade may replace the file meanwhile.
#[derive(Debug, Clone)]
pub struct Executable {
    bytes: Bytes,
    hash: String,
}

impl Executable {
    /// The running program's own, also when its file was replaced since.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn own() -> io::Result<Self> {
        Self::read(Path::new("/proc/self/exe"))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is larger than 1 GiB.
    pub fn read(path: &Path) -> io::Result<Self> {
        let size = std::fs::metadata(path)?.len();
        if size > SIZE_MAX {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("{} is larger than 1 GiB", path.display()),
            ));
        }
        std::fs::read(path).map(Self::from)
    }

    /// Its bytes; a clone shares them.
    pub fn bytes(&self) -> Bytes {
        self.bytes.clone()
    }

    /// SHA-256 of its bytes, in hexadecimal.
    pub fn hash(&self) -> &str {
        &self.hash
    }
}

impl From<Vec<u8>> for Executable {
    fn from(bytes: Vec<u8>) -> Self {
        Self { hash: hex(&Sha256::digest(&bytes)), bytes: bytes.into() }
    }
}

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_sha256sum() {
        let executable = Executable::from(b"abc".to_vec());
        assert_eq!(executable.hash(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(executable.bytes(), Bytes::from_static(b"abc"));
    }
}
