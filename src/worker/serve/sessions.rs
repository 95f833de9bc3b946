//! Sessions of coding agents: what their index says, passed on to whoever watches. The index is a process of the
//! workspace's user; one that ends is begun anew, and who watches hears all of it again.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use futures::stream;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot};

use super::Shared;
use super::routes::{Refusal, internal, parse};
use crate::clock::{Clock, SystemClock};
use crate::contract::sessions::{CodingAgent, MessagesAnswer, MessagesAsked, PAGE_MAX, Session, SessionChange};
use crate::worker::sessions::link::{Question, Word};

/// Watchers at a time.
const WATCHERS: usize = 64;
/// Changes that a watcher may be behind.
const BACKLOG: usize = 1024;
/// Questions that wait.
const WAITING: usize = 64;
/// How long an answer may take: a log of gigabytes may have to be read for it.
const ANSWER: Duration = Duration::from_secs(60);
/// The longest line of the index: a page of messages.
const LINE: u64 = 64 << 20;
/// How long after its end it is begun anew, at first and at most.
const ANEW: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// One that lasted as long begins afresh.
const LASTED: Duration = Duration::from_secs(60);
/// A watcher hears at least this often, if only an empty line.
const HEARTBEAT: Duration = Duration::from_secs(15);

type Answer = oneshot::Sender<MessagesAnswer>;

/// What is known of the sessions, and whom to ask for more.
pub struct Sessions {
    known: Arc<Mutex<Known>>,
    questions: mpsc::Sender<(MessagesAsked, Answer)>,
    watchers: Arc<Semaphore>,
}

/// What the index said, as one who watches is to know it.
struct Known {
    sessions: BTreeMap<(CodingAgent, String), Session>,
    complete: bool,
    changes: broadcast::Sender<Bytes>,
}

/// The index's keeper.
pub(super) struct Index {
    known: Arc<Mutex<Known>>,
    questions: mpsc::Receiver<(MessagesAsked, Answer)>,
}

impl Sessions {
    /// Without anything known, and what has to be kept for that to change.
    pub(super) fn new() -> (Self, Index) {
        let (changes, _) = broadcast::channel(BACKLOG);
        let known = Arc::new(Mutex::new(Known { sessions: BTreeMap::new(), complete: false, changes }));
        let (questions, asked) = mpsc::channel(WAITING);
        let index = Index { known: Arc::clone(&known), questions: asked };
        (Self { known, questions, watchers: Arc::new(Semaphore::new(WATCHERS)) }, index)
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

fn line(change: &SessionChange) -> Bytes {
    let mut line = serde_json::to_vec(change).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

impl Known {
    fn take(&mut self, change: SessionChange) {
        match &change {
            SessionChange::Reset => {
                self.sessions.clear();
                self.complete = false;
            }
            SessionChange::Upserted { session, .. } => {
                self.sessions.insert((session.agent, session.session_id.clone()), session.clone());
            }
            SessionChange::Gone { agent, session_id } => drop(self.sessions.remove(&(*agent, session_id.clone()))),
            SessionChange::Bookmark => self.complete = true,
        }
        // Nobody may be listening.
        let _ = self.changes.send(line(&change));
    }

    /// All of it, for one who comes.
    fn told(&self) -> Vec<Bytes> {
        let each = self.sessions.values();
        let each = each.map(|session| SessionChange::Upserted { session: session.clone(), news: Vec::new() });
        let bookmark = self.complete.then_some(SessionChange::Bookmark);
        [SessionChange::Reset].into_iter().chain(each).chain(bookmark).map(|change| line(&change)).collect()
    }
}

impl Index {
    /// Runs the index, again and again. `own` is the executable that it is.
    pub(super) async fn keep(mut self, own: PathBuf) {
        let (clock, mut pause) = (SystemClock::new(), ANEW.0);
        loop {
            let began = clock.monotonic();
            lock(&self.known).take(SessionChange::Reset);
            if let Ok(child) = begin(&own) {
                self.follow(child).await;
            }
            pause = if clock.monotonic() - began > LASTED { ANEW.0 } else { (pause * 2).min(ANEW.1) };
            let waited = tokio::time::sleep(pause);
            let mut waited = std::pin::pin!(waited);
            loop {
                tokio::select! {
                    () = &mut waited => break,
                    asked = self.questions.recv() => match asked {
                        // Whoever asked is told by the end of it.
                        Some((_, answer)) => drop(answer),
                        None => return,
                    },
                }
            }
        }
    }

    /// One life of it.
    async fn follow(&mut self, mut child: Child) {
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else { return };
        // A process of the user's may say anything, without end.
        let mut stdout = BufReader::new(stdout).take(LINE);
        let mut waiting: BTreeMap<u64, Answer> = BTreeMap::new();
        let mut next = 0;
        let mut text = Vec::new();
        loop {
            tokio::select! {
                read = stdout.read_until(b'\n', &mut text) => {
                    if !matches!(read, Ok(1..)) || text.last() != Some(&b'\n') {
                        break;
                    }
                    match serde_json::from_slice(&text) {
                        Ok(Word::Change(change)) => lock(&self.known).take(change),
                        Ok(Word::Answer { id, answer }) => {
                            if let Some(asked) = waiting.remove(&id) {
                                // Whoever asked may be gone.
                                let _ = asked.send(answer);
                            }
                        }
                        Err(_) => break,
                    }
                    text.clear();
                    stdout.set_limit(LINE);
                }
                asked = self.questions.recv() => {
                    let Some((asked, answer)) = asked else { break };
                    next += 1;
                    waiting.retain(|_, answer| !answer.is_closed());
                    waiting.insert(next, answer);
                    if ask(&mut stdin, &Question { id: next, asked }).await.is_err() {
                        break;
                    }
                }
            }
        }
        let _ = child.start_kill();
        let _ = child.wait().await;
    }
}

async fn ask(stdin: &mut ChildStdin, question: &Question) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stdin.write_all(&line).await
}

fn begin(own: &std::path::Path) -> std::io::Result<Child> {
    let mut command = Command::new(own);
    command.args(["worker", "enter"]).arg(own).args(["worker", "sessions", "serve"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()
}

/// Someone who watches.
struct Watcher {
    first: std::vec::IntoIter<Bytes>,
    changes: broadcast::Receiver<Bytes>,
    _permit: OwnedSemaphorePermit,
}

impl Watcher {
    /// What there is, then what changes; the end where it was too slow for that.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(line) = self.first.next() {
            return Some(line);
        }
        tokio::select! {
            change = self.changes.recv() => change.ok(),
            () = tokio::time::sleep(HEARTBEAT) => Some(Bytes::from_static(b"\n")),
        }
    }
}

/// `GET /v1/sessions`: a [`SessionChange`] as JSON a line, from a `reset` on.
pub(super) async fn watch(State(shared): State<Arc<Shared>>) -> Result<Response, Refusal> {
    let permit = Arc::clone(&shared.sessions.watchers).try_acquire_owned();
    let permit = permit
        .map_err(|_| (StatusCode::TOO_MANY_REQUESTS, format!("there are {WATCHERS} watchers of sessions already")))?;
    let watcher = {
        let known = lock(&shared.sessions.known);
        Watcher { first: known.told().into_iter(), changes: known.changes.subscribe(), _permit: permit }
    };
    let lines = stream::unfold(watcher, |mut watcher| async move {
        let line = watcher.next().await?;
        Some((Ok::<_, Infallible>(line), watcher))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// `POST /v1/messages`: messages of a session.
pub(super) async fn messages(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<MessagesAnswer>, Refusal> {
    let mut asked: MessagesAsked = parse(&body)?;
    asked.to = asked.to.min(asked.from.saturating_add(PAGE_MAX));
    let (answer, answered) = oneshot::channel();
    let busy = |_| (StatusCode::TOO_MANY_REQUESTS, "too many ask for messages; try again in a moment".to_owned());
    shared.sessions.questions.try_send((asked, answer)).map_err(busy)?;
    match tokio::time::timeout(ANSWER, answered).await {
        Ok(Ok(answer)) => Ok(Json(answer)),
        Ok(Err(_)) => Err(internal("the index of sessions has ended; it is begun anew")),
        Err(_) => Err(internal("the index of sessions does not answer")),
    }
}
