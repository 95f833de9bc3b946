//! The agent's index of coding agents' sessions over all workspaces: what each worker tells, kept through stop and restart,
//! and a full-text index of what was said.
//!
//! [`aggregate`] is what is known, purely; [`follow`] hears of changes from workers; [`texts`] is the file that outlives the
//! agent and the index that is searched, [`learn`] keeps that up to date. [`Sessions`] is what the API sees of it all.

mod aggregate;
mod follow;
mod learn;
mod query;
mod rank;
mod texts;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::sync::broadcast;

use crate::contract::sessions::{
    CodingAgent, Message, MessagesAsked, SearchHit, SessionChange, SessionFrame, SessionInfo, SessionPlace,
};
use crate::model::{Name, Uid};
use aggregate::Aggregate;
pub use texts::TextsError;
use texts::{Found, Texts};

/// Frames that a watcher may be behind.
const BACKLOG: usize = 4096;

/// A workspace, as far as sessions are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// Which one.
    pub uid: Uid,
    /// What it is called.
    pub name: Name,
    /// Whether it runs.
    pub running: bool,
}

/// What a worker tells of sessions, as it comes.
pub type Changes = BoxStream<'static, Result<SessionChange, String>>;

/// The way to the workspaces.
#[async_trait]
pub trait Workspaces: Send + Sync {
    /// All that there are, whether they run or not.
    fn list(&self) -> Vec<Workspace>;

    /// Waits until that may have changed.
    async fn changed(&self);

    /// What a workspace tells of its sessions, from a reset on.
    ///
    /// # Errors
    /// It cannot be reached, in words.
    async fn follow(&self, uid: &Uid) -> Result<Changes, String>;

    /// Messages of a session; fewer than wanted where they are long.
    ///
    /// # Errors
    /// It cannot be reached, or has no such session, in words.
    async fn messages(&self, uid: &Uid, asked: &MessagesAsked) -> Result<Vec<Message>, String>;
}

/// All sessions. Clones are the same.
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    aggregate: Mutex<Aggregate>,
    frames: broadcast::Sender<SessionFrame>,
    texts: Texts,
}

/// Which sessions are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this workspace.
    pub workspace: Option<Name>,
    /// Of this agent.
    pub agent: Option<CodingAgent>,
}

impl Filter {
    /// Whether a session is one of those.
    pub fn fits(&self, session: &SessionInfo) -> bool {
        self.workspace.as_ref().is_none_or(|name| *name == session.workspace_name)
            && self.agent.is_none_or(|agent| agent == session.session.agent)
    }
}

impl Sessions {
    /// What was known when an agent on this folder ended.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn open(file: &Path) -> Result<Self, TextsError> {
        let texts = Texts::open(file)?;
        let mut aggregate = Aggregate::default();
        for (uid, name, session) in texts.sessions()? {
            aggregate.remember(uid, name, session);
        }
        let (frames, _) = broadcast::channel(BACKLOG);
        Ok(Self { inner: Arc::new(Inner { aggregate: Mutex::new(aggregate), frames, texts }) })
    }

    /// Keeps all of it up to date. Ends never.
    pub async fn run(self, workspaces: Arc<dyn Workspaces>) {
        follow::all(self.inner, workspaces).await;
    }

    /// All sessions, those that went on last first.
    pub fn list(&self) -> Vec<SessionInfo> {
        self.aggregate().list()
    }

    /// The sessions of that id in a workspace: of several agents, where they have the same.
    pub fn find(&self, workspace: &Name, session: &str) -> Vec<SessionInfo> {
        self.aggregate().find(workspace, session)
    }

    /// What there is, as frames from a reset to a bookmark, and where what follows comes.
    pub fn watch(&self) -> (Vec<SessionFrame>, broadcast::Receiver<SessionFrame>) {
        // Under the lock that changes are told under: none is missed, none comes twice.
        let aggregate = self.aggregate();
        let receiver = self.inner.frames.subscribe();
        let each = aggregate.list().into_iter().map(|session| SessionFrame::Upserted { session });
        let frames = std::iter::once(SessionFrame::Reset).chain(each).chain([SessionFrame::Bookmark]).collect();
        (frames, receiver)
    }

    /// Messages that hold what is looked for, the best first, of sessions that `fits` lets through.
    ///
    /// # Errors
    /// There is nothing to look for in the query, or the index cannot be read.
    pub async fn search(
        &self,
        query: &str,
        limit: u32,
        fits: impl Fn(&SessionInfo) -> bool,
    ) -> Result<Vec<SearchHit>, SearchError> {
        let query = query::prepare(query).ok_or(SearchError::Empty)?;
        let (wanted, all) = {
            let aggregate = self.aggregate();
            let key = |uid: &Uid, info: &SessionInfo| texts::key(uid, info.session.agent, &info.session.session_id);
            let fitting = aggregate.all().filter(|(_, info)| fits(info)).map(|(uid, info)| (key(uid, &info), info));
            (fitting.collect::<BTreeMap<String, SessionInfo>>(), aggregate.all().count())
        };
        let only = (wanted.len() < all).then(|| wanted.keys().cloned().collect());
        let inner = Arc::clone(&self.inner);
        let searched = tokio::task::spawn_blocking(move || inner.texts.search(&query, only.as_ref(), limit)).await;
        let found = searched.map_err(|error| SearchError::Failed(error.to_string()))?;
        let found = found.map_err(|error| SearchError::Failed(error.to_string()))?;
        let told = |found: Found| {
            let session = wanted.get(&found.key)?.clone();
            Some(SearchHit { session, index: found.index, snippet: found.snippet })
        };
        Ok(found.into_iter().filter_map(told).collect())
    }

    fn aggregate(&self) -> MutexGuard<'_, Aggregate> {
        self.inner.aggregate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sessions after a place in the list.
pub fn after<'a>(sessions: &'a [SessionInfo], place: Option<&SessionPlace>) -> &'a [SessionInfo] {
    let Some(place) = place else { return sessions };
    let comes_after = |info: &SessionInfo| {
        let session = &info.session;
        session.last_activity < place.last_activity
            || (session.last_activity == place.last_activity && session.session_id > place.session_id)
    };
    &sessions[sessions.iter().position(comes_after).unwrap_or(sessions.len())..]
}

/// Why nothing could be looked for.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// There is no word in the query.
    #[error("there is no word in it to look for")]
    Empty,
    /// The index cannot be read.
    #[error("the index of sessions cannot be read: {0}")]
    Failed(String),
}
