//! `client.json`: which agent is talked to, and the tokens for each.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::model::files::{CLIENT, ClientConfig};

use super::failure::Failure;

/// Reads it; the defaults where there is none.
///
/// # Errors
/// It is there and cannot be read or understood.
pub(super) fn read(folder: &Path) -> Result<ClientConfig, Failure> {
    let path = folder.join(CLIENT);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ClientConfig::default()),
        Err(error) => return Err(Failure::failed(format!("{}: {error}", path.display()))),
    };
    serde_json::from_slice(&text).map_err(|error| {
        Failure::usage(format!("{}: {error}", path.display()))
            .hint("it holds { \"worker\": \"host:port\", \"tokens\": { \"host:port\": \"perry_…\" } }")
    })
}

/// Changes it; readers see it as it was or as it becomes.
///
/// # Errors
/// It can be neither read nor written, and is as it was.
pub(super) fn change(folder: &Path, edit: impl FnOnce(&mut ClientConfig)) -> Result<(), Failure> {
    let mut client = read(folder)?;
    edit(&mut client);
    let path = folder.join(CLIENT);
    let failed = |error: io::Error| Failure::failed(format!("{}: {error}", path.display()));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let mut text = serde_json::to_vec_pretty(&client).map_err(|error| failed(error.into()))?;
    text.push(b'\n');
    let temporary = folder.join(format!("{CLIENT}.{}.tmp", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&temporary))).map_err(failed)
}
