//! Files of the agent's host: looked at in each pass, and brought into a running container.

use std::sync::Arc;

use bytes::Bytes;

use super::Docker;
use super::fault::Fault;
use crate::model::observed::{FileFault, SourcesSeen};
use crate::model::sync::SourceFile;
use crate::model::{FileSpec, Uid};
use crate::runtime::RuntimeError;

/// What is to be brought, as it is now.
pub(super) async fn look(docker: &Docker, files: &[FileSpec]) -> SourcesSeen {
    if files.is_empty() {
        return SourcesSeen::default();
    }
    let (sources, files) = (Arc::clone(&docker.sources), files.to_owned());
    // A disk may be slow, and a network file system slower.
    tokio::task::spawn_blocking(move || sources.look(&files)).await.unwrap_or_default()
}

/// Brings them, as they are now; what could not be read or written.
pub(super) async fn bring(docker: &Docker, uid: &Uid, files: &[FileSpec]) -> Result<Vec<FileFault>, RuntimeError> {
    let (sources, files) = (Arc::clone(&docker.sources), files.to_owned());
    let read = tokio::task::spawn_blocking(move || sources.read(&files)).await;
    let (seen, files) = read.map_err(|_| Fault::Failed("reading the files of this machine panicked".to_owned()))?;
    let tar =
        pack(&files).map_err(|error| Fault::Failed(format!("the files of this machine cannot be packed: {error}")))?;
    let not_written = docker.links.bring(uid, &seen.hash, tar).await?;
    Ok(seen.faults.into_iter().chain(not_written).collect())
}

fn pack(files: &[SourceFile]) -> std::io::Result<Bytes> {
    let mut tar = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.content.len() as u64);
        header.set_mode(file.mode);
        tar.append_data(&mut header, file.to.trim_start_matches('/'), file.content.as_slice())?;
    }
    tar.into_inner().map(Bytes::from)
}
