//! Puts the worker into a container.

use std::io;

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::UploadToContainerOptionsBuilder;
use bytes::Bytes;
use futures::stream;

use super::container::{is_running, not_kept, ours};
use super::fault::Fault;
use super::{Docker, labels, observe};
use crate::contract::worker::{BOOTSTRAP, Bootstrap, EXECUTABLE, FOLDER};
use crate::model::desired::{Owner, WorkerPlan};
use crate::runtime::RuntimeError;
use crate::runtime::folder::Record;

/// How long the upload may take; a remote engine takes the executable over the network.
const UPLOAD_LIMIT: std::time::Duration = std::time::Duration::from_secs(55);
/// The blocks of a tar, in bytes.
const BLOCK: usize = 512;

/// Puts executable and bootstrap into a container and, where it runs, has its worker replace itself.
pub(super) async fn install(docker: &Docker, id: &str, owner: &Owner, plan: &WorkerPlan) -> Result<(), Fault> {
    let found = ours(docker, id).await?;
    if labels::owner(&observe::labels_of(&found)).as_ref() != Some(owner) {
        return Err(Fault::Refused(format!("container {id} is not workspace {}'s", owner.name)));
    }
    upload(docker, id, owner, plan).await?;
    record(docker, id, owner, plan)?;
    if is_running(&found) { reload(docker, &found, owner).await } else { Ok(()) }
}

async fn upload(docker: &Docker, id: &str, owner: &Owner, plan: &WorkerPlan) -> Result<(), Fault> {
    let bootstrap = Bootstrap {
        uid: owner.uid.0.clone(),
        name: owner.name.to_string(),
        secret: docker.key.secret(&owner.uid),
        executable: docker.executable.hash().to_owned(),
        plan: plan.clone(),
    };
    let bootstrap = serde_json::to_vec(&bootstrap).expect("a bootstrap has only texts for keys");
    let parts = archive(docker.executable.bytes(), &bootstrap)
        .map_err(|error| Fault::Failed(format!("the worker's files could not be packed: {error}")))?;
    let options = UploadToContainerOptionsBuilder::new().path("/").build();
    // In parts, because the executable is shared by all uploads instead of being copied into each.
    let body = bollard::body_stream(stream::iter(parts));
    docker
        .engine
        .call(UPLOAD_LIMIT, |client| async move { client.upload_to_container(id, Some(options), body).await })
        .await
}

/// The tar: folder, executable, bootstrap.
fn archive(executable: Bytes, bootstrap: &[u8]) -> io::Result<Vec<Bytes>> {
    let folder = header(tar::EntryType::Directory, FOLDER, 0o755, 0)?;
    let program = header(tar::EntryType::Regular, EXECUTABLE, 0o755, executable.len())?;
    let start = [&folder[..], &program[..]].concat();
    let mut end = vec![0; padding(executable.len())];
    end.extend_from_slice(&header(tar::EntryType::Regular, BOOTSTRAP, 0o600, bootstrap.len())?);
    end.extend_from_slice(bootstrap);
    end.resize(end.len() + padding(bootstrap.len()) + 2 * BLOCK, 0);
    Ok(vec![start.into(), executable, end.into()])
}

fn header(kind: tar::EntryType, path: &str, mode: u32, size: usize) -> io::Result<[u8; BLOCK]> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_path(path.trim_start_matches('/'))?;
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    Ok(*header.as_bytes())
}

fn padding(size: usize) -> usize {
    size.next_multiple_of(BLOCK) - size
}

/// After success only: what is recorded is in the container.
fn record(docker: &Docker, id: &str, owner: &Owner, plan: &WorkerPlan) -> Result<(), Fault> {
    let folder = docker.folder(&owner.uid).map_err(not_kept)?;
    let installed = |record: &mut Record| {
        docker.executable.hash().clone_into(&mut record.worker);
        record.config.clone_from(&plan.hash);
    };
    folder.note(id, installed).map_err(not_kept)
}

/// Tells a running worker its changed plan, which it keeps for the next start.
pub(super) async fn configure(docker: &Docker, id: &str, owner: &Owner, plan: &WorkerPlan) -> Result<(), RuntimeError> {
    docker.links.configure(&owner.uid, plan).await?;
    let folder = docker.folder(&owner.uid).map_err(not_kept)?;
    Ok(folder.note(id, |record| record.config.clone_from(&plan.hash)).map_err(not_kept)?)
}

async fn reload(docker: &Docker, found: &ContainerInspectResponse, owner: &Owner) -> Result<(), Fault> {
    docker.links.keep(owner, found.id.as_deref().unwrap_or_default());
    docker.links.reload(&owner.uid, docker.executable.hash()).await.map_err(|error| Fault::Failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_tar_is_read_back_whatever_the_sizes() {
        for size in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
            let executable: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap_or_default()).collect();
            let parts = archive(executable.clone().into(), b"{\"uid\":1}").expect("packed");
            let tar = parts.concat();
            assert_eq!(tar.len() % BLOCK, 0);
            let mut seen = Vec::new();
            for entry in tar::Archive::new(&tar[..]).entries().expect("entries") {
                let mut entry = entry.expect("an entry");
                let mut content = Vec::new();
                entry.read_to_end(&mut content).expect("content");
                let path = entry.path().expect("a path").display().to_string();
                seen.push((path, entry.header().mode().expect("a mode"), content));
            }
            assert_eq!(seen[0].0.trim_end_matches('/'), ".perry");
            assert_eq!(seen[1], (".perry/perry".to_owned(), 0o755, executable));
            assert_eq!(seen[2], (".perry/bootstrap.json".to_owned(), 0o600, b"{\"uid\":1}".to_vec()));
        }
    }
}
