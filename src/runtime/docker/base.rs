//! The base of the workspace image: from the engine, else from a registry, else made on this machine.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bollard::query_parameters::CreateImageOptionsBuilder;
use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::Docker;
use super::fault::Fault;
use super::image::pull;
use super::progress::{Patience, relay};
use super::reference::Reference;
use crate::runtime::{Progress, image};

/// A registry that can be reached says something at once; where there is none, nobody should wait for it.
const REGISTRY_PATIENCE: Patience = Patience { first: Duration::from_secs(10), next: Duration::from_secs(120) };
/// debootstrap downloads for minutes on a slow line, but tells what.
const SCRIPT_PATIENCE: Patience = Patience { first: Duration::from_secs(300), next: Duration::from_secs(600) };
const IMPORT_PATIENCE: Patience = Patience { first: Duration::from_secs(300), next: Duration::from_secs(300) };
/// How long the script has to clean up when nobody wants its result any more.
const CLEAN_UP_LIMIT: Duration = Duration::from_secs(20);
/// The longest line of the script that is read, in bytes.
const LINE_MAX: u64 = 16 << 10;
const CHUNK: usize = 256 << 10;

/// The name of a base that the engine has.
pub(super) async fn ensure(docker: &Docker, progress: Progress<'_>) -> Result<String, Fault> {
    let wanted = image::base();
    let local = format!("{}:{}", image::LOCAL_BASE.0, image::LOCAL_BASE.1);
    for name in [wanted, &local] {
        if super::image::inspect(docker, name).await?.is_some() {
            return Ok(name.to_owned());
        }
    }
    progress(&format!("pulling {wanted}"));
    let reference = Reference::parse(wanted).expect("the recipe's base is an image's name");
    let Err(fault) = pull(docker, reference, REGISTRY_PATIENCE, progress).await else { return Ok(wanted.to_owned()) };
    tracing::info!(base = wanted, ?fault, "the base image could not be pulled");
    if !docker.engine.session().await?.local {
        return Err(Fault::Failed(format!(
            "{wanted} could not be pulled, and the engine is not on this machine: load the image into it by hand"
        )));
    }
    progress(&format!("no registry answers for {wanted}: making a base with debootstrap"));
    make(docker, progress).await?;
    Ok(local)
}

async fn make(docker: &Docker, progress: Progress<'_>) -> Result<(), Fault> {
    let folder = docker.run_folder().join("base");
    let build =
        Build::start(folder).map_err(|error| Fault::Failed(format!("the base's script cannot be run: {error}")))?;
    let tar = build.finish(progress).await?;
    progress("importing the base");
    let (repository, tag) = image::LOCAL_BASE;
    let options = CreateImageOptionsBuilder::new().from_src("-").repo(repository).tag(tag).build();
    let file =
        File::open(&tar.path).await.map_err(|error| Fault::Failed(format!("{}: {error}", tar.path.display())))?;
    let session = docker.engine.session().await?;
    let lines = session
        .client()
        .create_image(Some(options), Some(bollard::body_try_stream(chunks(file))), None)
        .map_ok(|info| info.status)
        .map_err(|error| docker.engine.fault(error));
    relay(lines, IMPORT_PATIENCE, progress).await
}

fn chunks(file: File) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::try_unfold(file, |mut file| async move {
        let mut chunk = Vec::with_capacity(CHUNK);
        let count = (&mut file).take(CHUNK as u64).read_to_end(&mut chunk).await?;
        Ok((count > 0).then(|| (Bytes::from(chunk), file)))
    })
}

/// A finished tar; its folder goes with it.
struct Tar {
    path: PathBuf,
    folder: PathBuf,
}

impl Drop for Tar {
    fn drop(&mut self) {
        // What stays is removed before the next try.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The script at work. Dropped before its end, it is told to clean up, and killed if it does not.
struct Build {
    folder: PathBuf,
    lines: Option<BufReader<tokio::process::ChildStderr>>,
    ended: oneshot::Receiver<io::Result<ExitStatus>>,
    /// Its end tells the task that nobody waits any more.
    _wanted: oneshot::Sender<()>,
}

impl Build {
    fn start(folder: PathBuf) -> io::Result<Self> {
        remove_left_overs(&folder)?;
        std::fs::create_dir_all(&folder)?;
        let mut child = Command::new("bash")
            .args(["-c", image::BASE_SCRIPT, "perry-base"])
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(folder.join("base.tar"))?)
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let lines = child.stderr.take().map(BufReader::new);
        let ((end, ended), (wanted, unwanted)) = (oneshot::channel(), oneshot::channel());
        let left = folder.clone();
        tokio::spawn(async move {
            if end.send(supervise(child, unwanted).await).is_err() {
                // Nobody waits any more, so nobody reads the log. What stays is removed before the next try.
                let _ = remove_left_overs(&left);
            }
        });
        Ok(Self { folder, lines, ended, _wanted: wanted })
    }

    async fn finish(mut self, progress: Progress<'_>) -> Result<Tar, Fault> {
        let last_words = std::sync::Mutex::new(String::new());
        let lines = stream::unfold(self.lines.take(), |reader| async {
            let (line, reader) = next_line(reader?).await?;
            Some((line, Some(reader)))
        });
        let lines = lines.map(|line| {
            if line.starts_with("error:") || line.starts_with("hint:") {
                let mut words = last_words.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                *words = if words.is_empty() { line.clone() } else { format!("{words}; {line}") };
            }
            Ok(Some(line))
        });
        relay(lines, SCRIPT_PATIENCE, progress).await?;
        let status = (&mut self.ended).await.map_err(|_| Fault::Failed("the base's script was given up".to_owned()))?;
        match status {
            Ok(status) if status.success() => {
                Ok(Tar { path: self.folder.join("base.tar"), folder: self.folder.clone() })
            }
            Ok(status) => {
                let words = last_words.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
                Err(Fault::Failed(format!("the base could not be made ({status}): {words}")))
            }
            Err(error) => Err(Fault::Failed(format!("the base's script was lost: {error}"))),
        }
    }
}

async fn next_line<R>(mut reader: BufReader<R>) -> Option<(String, BufReader<R>)>
where
    R: tokio::io::AsyncRead + Unpin,
{
    let mut line = Vec::new();
    match (&mut reader).take(LINE_MAX).read_until(b'\n', &mut line).await {
        Ok(0) | Err(_) => None,
        Ok(_) => Some((String::from_utf8_lossy(&line).trim().to_owned(), reader)),
    }
}

async fn supervise(mut child: Child, unwanted: oneshot::Receiver<()>) -> io::Result<ExitStatus> {
    tokio::select! {
        status = child.wait() => return status,
        _ = unwanted => {}
    }
    signal(&child, Signal::SIGTERM);
    match tokio::time::timeout(CLEAN_UP_LIMIT, child.wait()).await {
        Ok(status) => status,
        Err(_) => {
            signal(&child, Signal::SIGKILL);
            child.wait().await.map(|status| ExitStatus::from_raw(status.into_raw()))
        }
    }
}

/// To the script and everything it started.
fn signal(child: &Child, signal: Signal) {
    if let Some(group) = child.id().and_then(|id| i32::try_from(id).ok()) {
        // It may have ended just now.
        let _ = killpg(Pid::from_raw(group), signal);
    }
}

/// What a killed agent left. Mounts of a killed debootstrap make this fail instead of being emptied.
fn remove_left_overs(folder: &Path) -> io::Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let inside = |line: &&str| line.split(' ').nth(1).is_some_and(|point| Path::new(point).starts_with(folder));
    if let Some(mount) = mounts.lines().find(inside) {
        let mount = mount.split(' ').nth(1).unwrap_or_default();
        return Err(io::Error::other(format!("{mount} is still mounted: unmount it, then try again")));
    }
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_streamed_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let content: Vec<u8> = (0..3 * CHUNK + 7).map(|at| u8::try_from(at % 251).unwrap_or_default()).collect();
        std::fs::write(folder.path().join("f"), &content).expect("written");
        let file = File::open(folder.path().join("f")).await.expect("opened");
        let read: Vec<Bytes> = chunks(file).try_collect().await.expect("read");
        assert_eq!(read.concat(), content);
    }

    #[tokio::test]
    async fn a_script_that_nobody_waits_for_any_more_is_ended() {
        let child = Command::new("bash").args(["-c", "sleep 1000 & wait"]).process_group(0).spawn().expect("started");
        let (wanted, unwanted) = oneshot::channel();
        let supervised = tokio::spawn(supervise(child, unwanted));
        drop(wanted);
        let status = supervised.await.expect("no panic").expect("a status");
        assert_eq!(status.signal(), Some(Signal::SIGTERM as i32));
    }
}
