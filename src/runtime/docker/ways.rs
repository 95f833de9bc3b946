//! The ways to a worker on a Docker engine.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bytes::Bytes;
use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::engine::{Engine, LOOK_LIMIT};
use crate::contract::worker::{EXECUTABLE, Socket};
use crate::model::Uid;
use crate::runtime::folder::Folder;
use crate::runtime::link::Dial;
use crate::runtime::{Duplex, RuntimeError};

pub(super) struct Ways {
    pub(super) engine: Arc<Engine>,
    pub(super) run_folder: PathBuf,
}

#[async_trait]
impl Dial for Ways {
    async fn shares_machine(&self) -> bool {
        self.engine.session().await.is_ok_and(|session| session.local)
    }

    async fn socket(&self, uid: &Uid, socket: Socket) -> Result<Box<dyn Duplex>, RuntimeError> {
        let connect = async { Folder::new(&self.run_folder, uid)?.connect(socket).await };
        match connect.await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(RuntimeError::Failed(format!("the worker's socket cannot be reached: {error}"))),
        }
    }

    async fn bridge(&self, container: &str, socket: Socket) -> Result<Box<dyn Duplex>, RuntimeError> {
        let mut command = vec![EXECUTABLE, "worker", "connect"];
        if socket == Socket::Terminals {
            command.push("terminals");
        }
        let options = CreateExecOptions {
            cmd: Some(command),
            user: Some("0:0"),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let exec =
            self.engine.call(LOOK_LIMIT, |client| async move { client.create_exec(container, options).await }).await?;
        let id = exec.id.as_str();
        match self.engine.call(LOOK_LIMIT, |client| async move { client.start_exec(id, None).await }).await? {
            StartExecResults::Attached { output, input } => Ok(Box::new(Bridge { output, input, rest: Bytes::new() })),
            StartExecResults::Detached => {
                Err(RuntimeError::Failed("the engine did not attach to the bridge".to_owned()))
            }
        }
    }
}

type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

/// A process inside as a two-way stream: what it reads and what it writes. Its end closes the process' stdin.
struct Bridge {
    output: Output,
    input: Pin<Box<dyn AsyncWrite + Send>>,
    rest: Bytes,
}

impl AsyncRead for Bridge {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.output.as_mut().poll_next(cx)) {
                None => return Poll::Ready(Ok(())),
                Some(Ok(LogOutput::StdErr { message })) => {
                    tracing::debug!(message = %String::from_utf8_lossy(&message).trim_end(), "the bridge to a worker complains");
                }
                Some(Ok(output)) => self.rest = output.into_bytes(),
                Some(Err(error)) => return Poll::Ready(Err(std::io::Error::other(error))),
            }
        }
        let count = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bridge {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.input.as_mut().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.input.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.input.as_mut().poll_shutdown(cx)
    }
}
