//! Logs of a workspace: the container's own from the engine; what the worker keeps from the worker or, where none
//! answers, out of the container's files.

use std::io::Read;
use std::sync::Arc;

use bollard::container::LogOutput;
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::engine::LOOK_LIMIT;
use super::fault::Fault;
use super::{Docker, labels};
use crate::contract::logs::{self, FOLDER, Lines};
use crate::contract::{LogLine, LogSource};
use crate::model::Uid;
use crate::runtime::{LogLines, LogsWanted, RuntimeError};

/// The most that is read out of a container, in bytes: six programs with two files of a mebibyte each.
const ARCHIVE_MAX: usize = 32 << 20;

/// Lines of one source.
pub(super) async fn read(docker: &Docker, uid: &Uid, wanted: LogsWanted) -> Result<LogLines, RuntimeError> {
    let id = container(docker, uid).await?;
    if wanted.source == LogSource::Boot {
        return own(docker, &id, wanted).await;
    }
    if docker.links.seen(uid).is_some() {
        return docker.links.logs(uid, wanted).await;
    }
    kept(docker, &id, wanted).await
}

/// The id of the workspace's container, in any state.
async fn container(docker: &Docker, uid: &Uid) -> Result<String, RuntimeError> {
    let wanted = labels::filter(&[(labels::AGENT, &docker.agent), (labels::UID, &uid.0)]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&wanted).build();
    let listed =
        docker.engine.call(LOOK_LIMIT, |client| async move { client.list_containers(Some(options)).await }).await?;
    let first = listed.into_iter().find_map(|one| one.id);
    first.ok_or_else(|| RuntimeError::Changed("it has no container".to_owned()))
}

async fn own(docker: &Docker, id: &str, wanted: LogsWanted) -> Result<LogLines, RuntimeError> {
    let options = LogsOptionsBuilder::new()
        .stdout(true)
        .stderr(true)
        .follow(wanted.follow)
        .tail(&wanted.tail.to_string())
        .build();
    let session = docker.engine.session().await?;
    let engine = Arc::clone(&docker.engine);
    let output = session.client().logs(id, Some(options)).map_err(move |error| engine.fault(error));
    let lines = stream::unfold((output.boxed(), Lines::default()), |(mut output, mut lines)| async move {
        let next = match output.next().await {
            Some(Ok(output)) => Ok(lines.push(&bytes(output))),
            Some(Err(fault)) => Err(RuntimeError::from(fault)),
            None => Ok(vec![lines.rest()?]),
        };
        Some((next, (output, lines)))
    });
    let line = |line| Ok(LogLine { source: LogSource::Boot, from: "boot".to_owned(), line });
    let lines = lines.map(move |lines| match lines {
        Ok(lines) => stream::iter(lines.into_iter().map(line).collect::<Vec<_>>()),
        Err(error) => stream::iter(vec![Err(error)]),
    });
    Ok(lines.flatten().boxed())
}

fn bytes(output: LogOutput) -> bytes::Bytes {
    match output {
        LogOutput::StdErr { message }
        | LogOutput::StdOut { message }
        | LogOutput::StdIn { message }
        | LogOutput::Console { message } => message,
    }
}

/// What the files of a container say, whether it runs or not.
async fn kept(docker: &Docker, id: &str, wanted: LogsWanted) -> Result<LogLines, RuntimeError> {
    let options = DownloadFromContainerOptionsBuilder::new().path(FOLDER).build();
    let session = docker.engine.session().await?;
    let parts = session.client().download_from_container(id, Some(options));
    let mut parts = parts.map_err(|error| docker.engine.fault(error)).boxed();
    let mut archive = Vec::new();
    let reading = async {
        while let Some(part) = parts.next().await {
            match part {
                Ok(part) if archive.len() + part.len() <= ARCHIVE_MAX => archive.extend_from_slice(&part),
                Ok(_) => return Err(Fault::Failed("its logs are too large to be read".to_owned())),
                // It never got so far as to have any.
                Err(Fault::Missing(_)) => return Ok(()),
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    };
    let read = tokio::time::timeout(LOOK_LIMIT, reading).await;
    read.unwrap_or(Err(Fault::Timeout(LOOK_LIMIT.as_secs())))?;
    let tail = usize::try_from(wanted.tail).unwrap_or(usize::MAX);
    let lines = wanted.source.files().iter().flat_map(|name| {
        let all = [entry(&archive, &format!("{name}.log.1")), entry(&archive, &format!("{name}.log"))].concat();
        let line = |line| Ok(LogLine { source: wanted.source, from: (*name).to_owned(), line });
        logs::last(&all, tail).into_iter().map(line).collect::<Vec<_>>()
    });
    Ok(stream::iter(lines.collect::<Vec<_>>()).boxed())
}

/// A file of an archive; what is not there, or cannot be read, is empty.
fn entry(archive: &[u8], name: &str) -> Vec<u8> {
    let find = || -> std::io::Result<Vec<u8>> {
        for entry in tar::Archive::new(archive).entries()? {
            let mut entry = entry?;
            if entry.path()?.file_name().is_some_and(|found| found == name) {
                let mut content = Vec::new();
                entry.read_to_end(&mut content)?;
                return Ok(content);
            }
        }
        Ok(Vec::new())
    };
    find().unwrap_or_default()
}
