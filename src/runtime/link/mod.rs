//! Links to workers: one per running workspace, kept up by a task of its own.

mod client;
mod keeper;
mod ssh_agent;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use hyper::Method;
use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use self::client::LinkError;
use self::client::{Client, Lines};
use self::keeper::State;
use super::hints::Hints;
use super::secret::Key;
use super::{Duplex, LogLines, LogsWanted, RuntimeError, SessionChanges};
use crate::contract::LogLine;
use crate::contract::sessions::{Message, MessagesAnswer, MessagesAsked, SessionChange};
use crate::contract::terminal::put_frame;
use crate::contract::terminals::{Opening, TerminalRequest};
use crate::contract::usage::Measured;
use crate::contract::worker::{ExecRequest, ExecResponse, Socket};
use crate::model::desired::{Owner, WorkerPlan};
use crate::model::observed::{FileFault, WorkerSeen};
use crate::model::{Name, Uid};

/// How long a request waits for a link that is not up yet.
const LINK_LIMIT: Duration = Duration::from_secs(5);
/// How long files may take on their way, and to be written.
const BRING_LIMIT: Duration = Duration::from_secs(40);
/// How long messages may take: a log of gigabytes may have to be read for them.
const MESSAGES_LIMIT: Duration = Duration::from_secs(70);
/// What a command's own timeout is exceeded by before the link is blamed.
const EXEC_SLACK: Duration = Duration::from_secs(15);

/// The ways to a worker.
#[async_trait]
pub trait Dial: Send + Sync {
    /// Whether engine and agent share a machine, so that the socket can be reached.
    async fn shares_machine(&self) -> bool;

    /// Connects to a socket of the worker's in the workspace's folder.
    ///
    /// # Errors
    /// There is none, or nobody listens.
    async fn socket(&self, uid: &Uid, socket: Socket) -> Result<Box<dyn Duplex>, RuntimeError>;

    /// Connects to a socket of the worker's through a process inside the container.
    ///
    /// # Errors
    /// It cannot be started.
    async fn bridge(&self, container: &str, socket: Socket) -> Result<Box<dyn Duplex>, RuntimeError>;
}

/// Whose worker a link leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    uid: Uid,
    name: Name,
    container: String,
}

#[derive(Debug)]
struct Link {
    target: Target,
    state: watch::Receiver<State>,
    task: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The links to all running workspaces.
pub struct Links {
    dial: Arc<dyn Dial>,
    key: Key,
    hints: Arc<Hints>,
    links: Mutex<HashMap<Uid, Link>>,
    /// The socket of this machine's ssh agent, where workers may ask it.
    ssh_agent: Option<PathBuf>,
}

impl Links {
    /// No links yet.
    pub fn new(dial: Arc<dyn Dial>, key: Key, hints: Arc<Hints>) -> Self {
        Self { dial, key, hints, links: Mutex::new(HashMap::new()), ssh_agent: None }
    }

    /// The same, with an ssh agent at this socket that git is lent while it clones.
    #[must_use]
    pub fn lending(self, ssh_agent: Option<PathBuf>) -> Self {
        Self { ssh_agent, ..self }
    }

    /// Keeps a link to the worker of this container from now on, in place of any other of this workspace. Must be
    /// called within a tokio runtime.
    pub fn keep(&self, owner: &Owner, container: &str) {
        let target = Target { uid: owner.uid.clone(), name: owner.name.clone(), container: container.to_owned() };
        let mut links = self.links();
        if links.get(&owner.uid).is_some_and(|link| link.target == target && !link.task.is_finished()) {
            return;
        }
        let (sender, state) = watch::channel(State::default());
        let secret = self.key.secret(&owner.uid);
        let (dial, hints) = (Arc::clone(&self.dial), Arc::clone(&self.hints));
        let keeper = keeper::keep(dial, target.clone(), secret, sender, hints, self.ssh_agent.clone());
        links.insert(owner.uid.clone(), Link { target, state, task: tokio::spawn(keeper) });
    }

    /// Keeps no link to this workspace any more.
    pub fn end(&self, uid: &Uid) {
        self.links().remove(uid);
    }

    /// What the worker said last, where the link is up.
    pub fn seen(&self, uid: &Uid) -> Option<WorkerSeen> {
        self.links().get(uid).and_then(|link| link.state.borrow().seen.clone())
    }

    /// A new connection to the worker, beside the link.
    ///
    /// # Errors
    /// The workspace is not running or its worker does not listen.
    pub async fn dial(&self, uid: &Uid) -> Result<Box<dyn Duplex>, RuntimeError> {
        self.connect(uid, Socket::Worker).await
    }

    /// A connection to the terminals of a workspace, on which this was asked.
    ///
    /// # Errors
    /// The workspace is not running or its worker does not listen.
    pub async fn terminals(&self, uid: &Uid, request: TerminalRequest) -> Result<Box<dyn Duplex>, RuntimeError> {
        let mut stream = self.connect(uid, Socket::Terminals).await?;
        let opening = Opening { secret: self.key.secret(uid), request };
        let opening = serde_json::to_vec(&opening).expect("an opening has only texts for keys");
        let mut frame = BytesMut::new();
        put_frame(&mut frame, &opening);
        let sent = stream.write_all(&frame).await;
        sent.map_err(|error| RuntimeError::Failed(format!("the terminals do not answer: {error}")))?;
        Ok(stream)
    }

    async fn connect(&self, uid: &Uid, socket: Socket) -> Result<Box<dyn Duplex>, RuntimeError> {
        let container = self.links().get(uid).map(|link| link.target.container.clone()).ok_or_else(not_running)?;
        if self.dial.shares_machine().await
            && let Ok(stream) = self.dial.socket(uid, socket).await
        {
            return Ok(stream);
        }
        self.dial.bridge(&container, socket).await
    }

    /// Tells a worker its changed configuration.
    ///
    /// # Errors
    /// It did not take it.
    pub async fn configure(&self, uid: &Uid, plan: &WorkerPlan) -> Result<(), RuntimeError> {
        let body = serde_json::to_vec(plan).expect("a plan has only texts for keys");
        self.client(uid).await?.ask(Method::PUT, "/v1/config", body.into()).await?;
        Ok(())
    }

    /// Brings files into a workspace, as a tar; the worker shows this hash from then on. What could not be written.
    ///
    /// # Errors
    /// It did not take them.
    pub async fn bring(&self, uid: &Uid, hash: &str, tar: Bytes) -> Result<Vec<FileFault>, RuntimeError> {
        // Where there is nothing to bring there is no hash of it.
        let hash = if hash.is_empty() { "0" } else { hash };
        let path = format!("/v1/files/{hash}");
        let answer = self.client(uid).await?.request(Method::PUT, &path, tar, Some(BRING_LIMIT)).await?;
        self.until(uid, |seen| seen.files.hash == hash).await;
        understood(&answer)
    }

    /// Waits until the worker's state, which comes beside its answers, shows what an answer said: a look that came before
    /// it would plan the same once more.
    async fn until(&self, uid: &Uid, shows: impl Fn(&WorkerSeen) -> bool) {
        let Some(mut state) = self.links().get(uid).map(|link| link.state.clone()) else { return };
        let shown = state.wait_for(|state| state.seen.as_ref().is_some_and(&shows));
        // A link that broke meanwhile shows it when it is up again.
        let _ = tokio::time::timeout(LINK_LIMIT, shown).await;
    }

    /// Has a worker replace itself by the executable of this hash, which is now in its container, and waits until that one
    /// answers.
    ///
    /// # Errors
    /// It said that it would not.
    pub async fn reload(&self, uid: &Uid, executable: &str) -> Result<(), RuntimeError> {
        match self.client(uid).await?.ask(Method::POST, "/v1/reload", Bytes::new()).await {
            // The worker that was to answer is the one that ends: which one there is afterwards the next look tells.
            Ok(_) | Err(LinkError::Lost(_)) => {
                self.until(uid, |seen| seen.executable == executable).await;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Lines of a log, as the worker tells them. A link that breaks ends them.
    ///
    /// # Errors
    /// The worker does not answer.
    pub async fn logs(&self, uid: &Uid, wanted: LogsWanted) -> Result<LogLines, RuntimeError> {
        let LogsWanted { source, tail, follow } = wanted;
        let path = format!("/v1/logs?source={}&tail={tail}&follow={follow}", source.as_str());
        let lines = self.client(uid).await?.lines(&path).await?;
        let next = |mut lines: Lines| async move {
            match lines.next::<LogLine>().await {
                Ok(line) => Some((Ok(line?), lines)),
                // The container, or its worker, has ended.
                Err(LinkError::Lost(_)) => None,
                Err(error) => Some((Err(error.into()), lines)),
            }
        };
        Ok(stream::unfold(lines, next).boxed())
    }

    /// What the worker tells of sessions.
    ///
    /// # Errors
    /// The worker does not answer.
    pub async fn sessions(&self, uid: &Uid) -> Result<SessionChanges, RuntimeError> {
        let lines = self.client(uid).await?.lines("/v1/sessions").await?;
        let next = |mut lines: Lines| async move {
            match lines.next::<SessionChange>().await {
                Ok(change) => Some((Ok(change?), lines)),
                Err(error) => Some((Err(error.into()), lines)),
            }
        };
        Ok(stream::unfold(lines, next).boxed())
    }

    /// Messages of a session.
    ///
    /// # Errors
    /// There is no such session, it cannot be read, or the worker does not answer.
    pub async fn messages(&self, uid: &Uid, asked: &MessagesAsked) -> Result<Vec<Message>, RuntimeError> {
        let body = serde_json::to_vec(asked).expect("what is asked has only texts for keys");
        let answer =
            self.client(uid).await?.request(Method::POST, "/v1/messages", body.into(), Some(MESSAGES_LIMIT)).await?;
        match understood(&answer)? {
            MessagesAnswer::Messages(messages) => Ok(messages),
            MessagesAnswer::Unknown => Err(RuntimeError::Changed("there is no such session".to_owned())),
            MessagesAnswer::Unreadable(why) => Err(RuntimeError::Refused(why)),
        }
    }

    /// What a workspace uses now.
    ///
    /// # Errors
    /// The worker does not answer.
    pub async fn usage(&self, uid: &Uid) -> Result<Measured, RuntimeError> {
        understood(&self.client(uid).await?.ask(Method::GET, "/v1/usage", Bytes::new()).await?)
    }

    /// Runs a command in a workspace.
    ///
    /// # Errors
    /// It could not be run; a command that fails is no error.
    pub async fn exec(&self, uid: &Uid, request: &ExecRequest) -> Result<ExecResponse, RuntimeError> {
        let body = serde_json::to_vec(request).expect("a request has only texts for keys");
        let limit = request.timeout.map(|seconds| Duration::from_secs(seconds).saturating_add(EXEC_SLACK));
        let answer = self.client(uid).await?.request(Method::POST, "/v1/exec", body.into(), limit).await?;
        understood(&answer)
    }

    /// The connection of a link, once it is up.
    async fn client(&self, uid: &Uid) -> Result<Client, RuntimeError> {
        let mut state = self.links().get(uid).map(|link| link.state.clone()).ok_or_else(not_running)?;
        let up = tokio::time::timeout(LINK_LIMIT, state.wait_for(|state| state.client.is_some())).await;
        let client = up.ok().and_then(Result::ok).and_then(|state| state.client.clone());
        client.ok_or_else(|| RuntimeError::Failed("the workspace's worker does not answer".to_owned()))
    }

    fn links(&self) -> MutexGuard<'_, HashMap<Uid, Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn understood<T: DeserializeOwned>(answer: &[u8]) -> Result<T, RuntimeError> {
    serde_json::from_slice(answer)
        .map_err(|error| RuntimeError::Failed(format!("the worker's answer is not understood: {error}")))
}

fn not_running() -> RuntimeError {
    RuntimeError::Failed("the workspace is not running".to_owned())
}

impl From<LinkError> for RuntimeError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Refused(_) => Self::Refused(error.to_string()),
            LinkError::Lost(_) | LinkError::Failed(_) => Self::Failed(error.to_string()),
        }
    }
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links").field("links", &self.links().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
