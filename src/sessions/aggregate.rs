//! What is known of the sessions of all workspaces. Pure: what was told goes in, what watchers are to hear comes out.

use std::collections::{BTreeMap, BTreeSet};

use crate::contract::sessions::{
    CodingAgent, MessageNews, MessageRef, Session, SessionChange, SessionFrame, SessionInfo, SessionRef, SessionState,
};
use crate::model::{Name, Uid};

/// Why a session of a workspace that is not there is idle.
const LAST_KNOWN: &str = "last known: its workspace does not run, or cannot be reached";

/// Sessions of one workspace at most; who has more sees those that were told first.
const SESSIONS: usize = 50_000;

type Key = (CodingAgent, String);

/// The sessions of one workspace.
struct Known {
    name: Name,
    sessions: BTreeMap<Key, SessionInfo>,
    /// Those that were known before and have not been told anew yet.
    unconfirmed: BTreeSet<Key>,
}

/// All sessions.
#[derive(Default)]
pub(super) struct Aggregate {
    workspaces: BTreeMap<Uid, Known>,
}

impl Aggregate {
    /// A session that was written down.
    pub(super) fn remember(&mut self, uid: Uid, name: Name, session: Session) {
        let known = self.known(&uid, &name);
        let key = (session.agent, session.session_id.clone());
        let info = stale(SessionInfo { workspace_name: name, session, stale: true });
        known.sessions.insert(key, info);
    }

    /// What a worker told.
    pub(super) fn take(&mut self, uid: &Uid, name: &Name, change: SessionChange) -> Vec<SessionFrame> {
        let known = self.known(uid, name);
        match change {
            SessionChange::Reset => {
                known.unconfirmed = known.sessions.keys().cloned().collect();
                Vec::new()
            }
            SessionChange::Upserted { session, news } => known.upsert(session, news),
            SessionChange::Gone { agent, session_id } => known.remove(&(agent, session_id)).into_iter().collect(),
            SessionChange::Bookmark => {
                let gone: Vec<Key> = std::mem::take(&mut known.unconfirmed).into_iter().collect();
                gone.iter().filter_map(|key| known.remove(key)).collect()
            }
        }
    }

    /// A workspace cannot be heard of any more: what was known last stays, and is marked.
    pub(super) fn lose(&mut self, uid: &Uid) -> Vec<SessionFrame> {
        let Some(known) = self.workspaces.get_mut(uid) else { return Vec::new() };
        let fresh = known.sessions.values_mut().filter(|info| !info.stale);
        let each = fresh.map(|info| {
            *info = stale(info.clone());
            SessionFrame::Upserted { session: info.clone() }
        });
        each.collect()
    }

    /// A workspace is no more.
    pub(super) fn remove(&mut self, uid: &Uid) -> Vec<SessionFrame> {
        let Some(mut known) = self.workspaces.remove(uid) else { return Vec::new() };
        let keys: Vec<Key> = known.sessions.keys().cloned().collect();
        keys.iter().filter_map(|key| known.remove(key)).collect()
    }

    /// The workspaces of which anything is known.
    pub(super) fn workspaces(&self) -> Vec<Uid> {
        self.workspaces.keys().cloned().collect()
    }

    /// All sessions.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Uid, SessionInfo)> {
        self.workspaces.iter().flat_map(|(uid, known)| known.sessions.values().map(move |info| (uid, info.clone())))
    }

    /// A session as it is now.
    pub(super) fn get(&self, uid: &Uid, agent: CodingAgent, id: &str) -> Option<&Session> {
        self.workspaces.get(uid)?.sessions.get(&(agent, id.to_owned())).map(|info| &info.session)
    }

    /// All sessions, those that went on last first.
    pub(super) fn list(&self) -> Vec<SessionInfo> {
        let mut all: Vec<SessionInfo> = self.all().map(|(_, info)| info).collect();
        all.sort_by(|one, other| {
            let (one_at, other_at) = (one.session.last_activity, other.session.last_activity);
            other_at
                .cmp(&one_at)
                .then_with(|| one.session.session_id.cmp(&other.session.session_id))
                .then_with(|| one.workspace_name.cmp(&other.workspace_name))
        });
        all
    }

    /// The sessions of that id in a workspace.
    pub(super) fn find(&self, workspace: &Name, id: &str) -> Vec<SessionInfo> {
        let of = self.workspaces.values().filter(|known| known.name == *workspace);
        of.flat_map(|known| known.sessions.values()).filter(|info| info.session.session_id == id).cloned().collect()
    }

    fn known(&mut self, uid: &Uid, name: &Name) -> &mut Known {
        let new = || Known { name: name.clone(), sessions: BTreeMap::new(), unconfirmed: BTreeSet::new() };
        self.workspaces.entry(uid.clone()).or_insert_with(new)
    }
}

impl Known {
    fn upsert(&mut self, session: Session, news: Vec<MessageNews>) -> Vec<SessionFrame> {
        let key = (session.agent, session.session_id.clone());
        if self.sessions.len() >= SESSIONS && !self.sessions.contains_key(&key) {
            return Vec::new();
        }
        let known = self.sessions.get(&key);
        // What was read of it once is more than its number of messages now.
        if session.is_counted_only() && known.is_some_and(|known| !known.session.is_counted_only()) {
            return Vec::new();
        }
        let first = self.unconfirmed.remove(&key);
        let info = SessionInfo { workspace_name: self.name.clone(), session, stale: false };
        let before = self.sessions.insert(key, info.clone());
        let mut frames = Vec::new();
        if before.as_ref() != Some(&info) {
            frames.push(SessionFrame::Upserted { session: info.clone() });
        }
        // What is new is told of what this life of the worker told before. Of what another one told it is only known whether
        // it differs.
        let missed = before.is_some_and(|before| first && before.session.revision != info.session.revision);
        let news = match first {
            true if missed => vec![MessageNews::Truncated { to: 0 }, MessageNews::Appended { from: 0 }],
            true => Vec::new(),
            false => news,
        };
        frames.extend(news.into_iter().map(|news| match news {
            MessageNews::Truncated { to } => SessionFrame::Truncated(self.place(&info, to)),
            MessageNews::Replaced { index } => SessionFrame::Replaced(self.place(&info, index)),
            MessageNews::Appended { from } => SessionFrame::Appended(self.place(&info, from)),
        }));
        frames
    }

    fn place(&self, info: &SessionInfo, index: u32) -> MessageRef {
        let (workspace_name, session_id) = (self.name.clone(), info.session.session_id.clone());
        MessageRef { workspace_name, agent: info.session.agent, session_id, index }
    }

    fn remove(&mut self, key: &Key) -> Option<SessionFrame> {
        self.unconfirmed.remove(key);
        self.sessions.remove(key)?;
        let (agent, session_id) = key.clone();
        Some(SessionFrame::Gone(SessionRef { workspace_name: self.name.clone(), agent, session_id }))
    }
}

/// The same session, of a workspace that is not there.
fn stale(mut info: SessionInfo) -> SessionInfo {
    info.stale = true;
    info.session.terminal = None;
    if info.session.state != SessionState::Unreadable {
        info.session.state = SessionState::Idle;
        info.session.reason = LAST_KNOWN.to_owned();
    }
    info
}
