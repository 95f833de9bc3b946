//! Commands without a terminal.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::contract::worker::{ExecRequest, ExecResponse};
use crate::worker::command::{self, REST};

/// Commands at a time; each may hold twice [`OUTPUT`].
const COMMANDS: usize = 64;
/// What is kept of stdout and of stderr, in bytes.
const OUTPUT: usize = 1 << 20;
/// Streams kept flowing for what commands left in the background, so that it does not end by SIGPIPE.
const DRAINS: usize = 256;

/// Runs commands.
pub struct Execs {
    /// The executable that commands are entered through.
    own: PathBuf,
    commands: Semaphore,
    drains: Arc<Semaphore>,
}

impl Execs {
    /// Commands are run by `OWN worker enter COMMAND`.
    pub fn new(own: PathBuf) -> Self {
        Self { own, commands: Semaphore::new(COMMANDS), drains: Arc::new(Semaphore::new(DRAINS)) }
    }

    /// Runs a command to its end. Dropping the future kills it and its children.
    ///
    /// # Errors
    /// An answer's status and text: 400 for a request that names no command, 429 for one too many, 500 where nothing
    /// can be started.
    pub async fn run(&self, request: ExecRequest) -> Result<ExecResponse, (StatusCode, String)> {
        command::validate(&request.command).map_err(|message| (StatusCode::BAD_REQUEST, message))?;
        let _permit = self.commands.try_acquire().map_err(|_| {
            (StatusCode::TOO_MANY_REQUESTS, format!("{COMMANDS} commands run already; try again when one has ended"))
        })?;
        let child = command::spawn(&self.own, &request.command, Stdio::null())
            .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot start a command: {error}")))?;
        Ok(self.follow(child, request.timeout).await)
    }

    async fn follow(&self, mut child: Child, timeout: Option<u64>) -> ExecResponse {
        let stdout = Captured::start(child.stdout.take());
        let stderr = Captured::start(child.stderr.take());
        let exit_code = command::end(child, timeout).await;
        let (out, err) = futures::join!(stdout.finish(&self.drains), stderr.finish(&self.drains));
        let ((stdout, more), (stderr, even_more)) = (out, err);
        ExecResponse { stdout, stderr, exit_code, truncated: more || even_more }
    }
}

/// What was kept of a stream.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    truncated: bool,
    /// The answer is given: nothing more is kept.
    closed: bool,
}

impl Kept {
    fn take(&mut self, chunk: &[u8]) {
        if self.closed {
            return;
        }
        let room = OUTPUT - self.bytes.len();
        self.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        self.truncated |= chunk.len() > room;
    }
}

/// A stream that is read to its end, so that its writer never blocks, whatever is kept of it.
struct Captured {
    kept: Arc<Mutex<Kept>>,
    reader: Option<JoinHandle<()>>,
}

impl Captured {
    fn start(stream: Option<impl AsyncRead + Unpin + Send + 'static>) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let shared = Arc::clone(&kept);
        let reader = tokio::spawn(async move {
            let Some(mut stream) = stream else { return };
            let mut chunk = vec![0; 32 << 10];
            while let Ok(length @ 1..) = stream.read(&mut chunk).await {
                shared.lock().unwrap_or_else(PoisonError::into_inner).take(&chunk[..length]);
            }
        });
        Self { kept, reader: Some(reader) }
    }

    /// What comes until the stream's end, for [`REST`] at most.
    async fn finish(mut self, drains: &Arc<Semaphore>) -> (String, bool) {
        if let Some(mut reader) = self.reader.take()
            && tokio::time::timeout(REST, &mut reader).await.is_err()
        {
            keep_flowing(reader, drains);
        }
        let closed = Kept { closed: true, ..Kept::default() };
        let kept = std::mem::replace(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner), closed);
        (String::from_utf8_lossy(&kept.bytes).into_owned(), kept.truncated)
    }
}

impl Drop for Captured {
    /// Nobody waits for the command any more.
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.abort();
        }
    }
}

/// Goes on reading for what runs in the background, within a limit.
fn keep_flowing(reader: JoinHandle<()>, drains: &Arc<Semaphore>) {
    match Arc::clone(drains).try_acquire_owned() {
        Ok(permit) => {
            tokio::spawn(async move {
                let _ = reader.await;
                drop(permit);
            });
        }
        Err(_) => reader.abort(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_beyond_the_limit_is_dropped_and_said_so() {
        let mut kept = Kept::default();
        kept.take(&vec![b'a'; OUTPUT]);
        assert!(!kept.truncated, "exactly the limit is whole");
        kept.take(b"b");
        assert_eq!((kept.bytes.len(), kept.truncated), (OUTPUT, true));
        kept = Kept { closed: true, ..Kept::default() };
        kept.take(b"late");
        assert!(kept.bytes.is_empty(), "what runs in the background costs no memory");
    }
}
