//! The ssh agent of the machine that the agent runs on, lent to git while it clones: a socket inside, whose messages go
//! over the link and back. It is there only as long as the clone, and only for the user who clones.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path as UrlPath, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinSet;

use super::routes::Refusal;
use super::{OnDrop, Shared};
use crate::contract::worker::{SSH_AGENT_MESSAGE, SSH_AGENT_SOCKET, SshAgentRequest};
use crate::model::{TaskName, TaskState};
use crate::worker::accounts::default_user;
use crate::worker::link::Status;

/// How long an answer may take: a person may have to touch a key.
const ANSWER: Duration = Duration::from_secs(60);
/// Messages that wait to be asked.
const WAITING: usize = 32;
/// Connections at a time.
const CONNECTIONS: usize = 16;

/// Messages on their way.
#[derive(Default)]
pub struct Lent {
    inner: Mutex<Inner>,
    more: Notify,
}

#[derive(Default)]
struct Inner {
    next: u64,
    waiting: VecDeque<SshAgentRequest>,
    answers: BTreeMap<u64, oneshot::Sender<Vec<u8>>>,
}

impl Lent {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a message answered; nothing where nobody does.
    async fn ask(&self, message: Vec<u8>) -> Option<Vec<u8>> {
        let (sender, answer) = oneshot::channel();
        let id = {
            let mut inner = self.inner();
            if inner.waiting.len() >= WAITING {
                return None;
            }
            inner.next += 1;
            let id = inner.next;
            inner.waiting.push_back(SshAgentRequest { id, message });
            inner.answers.insert(id, sender);
            id
        };
        self.more.notify_one();
        let answer = tokio::time::timeout(ANSWER, answer).await;
        let mut inner = self.inner();
        inner.answers.remove(&id);
        inner.waiting.retain(|request| request.id != id);
        answer.ok()?.ok()
    }

    async fn next(&self) -> SshAgentRequest {
        loop {
            if let Some(request) = self.inner().waiting.pop_front() {
                return request;
            }
            self.more.notified().await;
        }
    }
}

/// `GET /v1/ssh-agent`: the messages as they come, one as JSON a line.
pub(super) async fn requests(State(shared): State<Arc<Shared>>) -> Response {
    let lines = stream::unfold(Arc::clone(&shared.lent), |lent| async move {
        let mut line = serde_json::to_vec(&lent.next().await).ok()?;
        line.push(b'\n');
        Some((Ok::<_, Infallible>(Bytes::from(line)), lent))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

/// `POST /v1/ssh-agent/{id}`: the answer to one.
pub(super) async fn answer(
    State(shared): State<Arc<Shared>>,
    UrlPath(id): UrlPath<u64>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let waiting = shared.lent.inner().answers.remove(&id);
    let waiting = waiting.ok_or((StatusCode::NOT_FOUND, "nobody waits for that answer".to_owned()))?;
    // Who asked may have gone just now.
    let _ = waiting.send(body.to_vec());
    Ok(StatusCode::NO_CONTENT)
}

/// Lends the agent while a clone runs that may use it. Without end.
pub(super) async fn lend(mut status: watch::Receiver<Status>, mut allowed: watch::Receiver<bool>, lent: Arc<Lent>) {
    let mut open: Option<OnDrop> = None;
    loop {
        let clones = |status: &Status| {
            status.tasks.iter().any(|task| task.name == TaskName::Clone && task.state == TaskState::Running)
        };
        let wanted = *allowed.borrow_and_update() && clones(&status.borrow_and_update());
        if wanted && open.is_none() {
            // Without it git says that it may not come in, which is the truth.
            let listener = listen(Path::new(SSH_AGENT_SOCKET)).ok();
            open = listener.map(|listener| OnDrop(tokio::spawn(accept(listener, Arc::clone(&lent)))));
        } else if !wanted && open.take().is_some() {
            let _ = fs::remove_file(SSH_AGENT_SOCKET);
        }
        tokio::select! {
            changed = status.changed() => if changed.is_err() { return },
            changed = allowed.changed() => if changed.is_err() { return },
        }
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    let _ = fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    let (user, _) = default_user(Path::new("/"));
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    chown(path, Some(user.uid), Some(user.gid))?;
    Ok(listener)
}

async fn accept(listener: UnixListener, lent: Arc<Lent>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept(), if connections.len() < CONNECTIONS => {
                connections.spawn(converse(stream, Arc::clone(&lent)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection: a message, its answer, and so on (draft-ietf-sshm-ssh-agent, section 3).
async fn converse(mut stream: UnixStream, lent: Arc<Lent>) -> io::Result<()> {
    loop {
        let length = stream.read_u32().await?;
        let length = usize::try_from(length).ok().filter(|length| *length <= SSH_AGENT_MESSAGE);
        let mut message = vec![0; length.ok_or(io::ErrorKind::InvalidData)?];
        stream.read_exact(&mut message).await?;
        // What nobody answers is a failure of the agent (message 5).
        let answer = lent.ask(message).await.unwrap_or_else(|| vec![5]);
        stream.write_u32(u32::try_from(answer.len()).map_err(io::Error::other)?).await?;
        stream.write_all(&answer).await?;
    }
}
