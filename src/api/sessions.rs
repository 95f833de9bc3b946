//! The sessions of coding agents: the procedures.

use futures::{StreamExt, stream};
use tokio::sync::broadcast::error::RecvError;

use super::Api;
use crate::contract::sessions::{MessagesAsked, PAGE_MAX};
use crate::contract::{
    ApiError, Call, CodingAgent, Events, Item, Message, MessagesInput, SearchHit, SearchInput, SessionFrame,
    SessionInfo, SessionsInput, WatchSessionsInput,
};
use crate::model::{Caller, Name};
use crate::runtime::RuntimeError;
use crate::sessions::{Filter, SearchError, after};

/// Sessions in a page, at most.
const SESSIONS: u32 = 1000;
/// Messages in a page where it is not said how many.
const MESSAGES: u32 = 50;
/// What is found, where it is not said how many, and at most.
const HITS: (u32, u32) = (20, 100);
/// The longest query, in bytes.
const QUERY: usize = 1000;

impl Api {
    pub(super) fn sessions(&self, call: &Call, input: SessionsInput) -> Result<Vec<SessionInfo>, ApiError> {
        let SessionsInput { workspace_name, agent, state, after: place, limit } = input;
        let limit = within("limit", limit, SESSIONS, SESSIONS)?;
        let filter = self.filter(workspace_name, agent)?;
        let all = self.parts.sessions.list();
        let fits = |info: &&SessionInfo| {
            filter.fits(info) && sees(&call.caller, info) && state.is_none_or(|state| state == info.session.state)
        };
        Ok(after(&all, place.as_ref()).iter().filter(fits).take(limit).cloned().collect())
    }

    pub(super) async fn messages(&self, input: MessagesInput) -> Result<Vec<Message>, ApiError> {
        let MessagesInput { workspace_name: name, session_id, agent, before, from, limit, tools } = input;
        let limit = u32::try_from(within("limit", limit, MESSAGES, PAGE_MAX)?).unwrap_or(PAGE_MAX);
        if before.is_some() && from.is_some() {
            return Err(ApiError::bad_request("from", "says where to begin and before where to end: give one of them"));
        }
        let intent = self.running(&name)?;
        let session = self.session(&name, &session_id, agent)?.session;
        let to = before.unwrap_or(session.message_count).min(session.message_count);
        let (from, to) = match from {
            Some(from) => (from, from.saturating_add(limit)),
            None => (to.saturating_sub(limit), to),
        };
        let tools = tools.unwrap_or_default();
        let asked = MessagesAsked { agent: session.agent, session: session_id.clone(), from, to, tools };
        let messages = self.parts.attach.messages(&intent.metadata.uid, &asked).await;
        messages.map_err(|error| match error {
            RuntimeError::Changed(_) => ApiError::NoSession { name, session: session_id },
            RuntimeError::Refused(why) => {
                ApiError::PreconditionFailed { message: format!("session {session_id} cannot be read: {why}"), name }
            }
            error => ApiError::Unavailable(format!("workspace {name}: {error}")),
        })
    }

    pub(super) async fn search(&self, call: &Call, input: SearchInput) -> Result<Vec<SearchHit>, ApiError> {
        let SearchInput { query, workspace_name, agent, limit } = input;
        let limit = u32::try_from(within("limit", limit, HITS.0, HITS.1)?).unwrap_or(HITS.1);
        if query.len() > QUERY {
            return Err(ApiError::bad_request("query", format!("is longer than {QUERY} bytes")));
        }
        let filter = self.filter(workspace_name, agent)?;
        let fits = |info: &SessionInfo| filter.fits(info) && sees(&call.caller, info);
        self.parts.sessions.search(&query, limit, fits).await.map_err(|error| match error {
            SearchError::Empty => ApiError::bad_request("query", "holds no word to look for"),
            SearchError::Failed(_) => ApiError::Unavailable(error.to_string()),
        })
    }

    pub(super) fn watch_all_sessions(&self, input: WatchSessionsInput) -> Result<Events<SessionFrame>, ApiError> {
        let filter = self.filter(input.workspace_name, None)?;
        let (first, changes) = self.parts.sessions.watch();
        let next = |mut changes: tokio::sync::broadcast::Receiver<SessionFrame>| async {
            match changes.recv().await {
                Ok(frame) => Some((Ok(frame), changes)),
                Err(RecvError::Lagged(_)) => {
                    Some((Err(ApiError::Unavailable("this reader was too slow; begin anew".to_owned())), changes))
                }
                Err(RecvError::Closed) => None,
            }
        };
        let all = stream::iter(first.into_iter().map(Ok)).chain(stream::unfold(changes, next));
        let about = move |frame: &Result<SessionFrame, ApiError>| {
            let about = frame.as_ref().ok().and_then(SessionFrame::workspace);
            let wanted = about.is_none_or(|name| filter.workspace.as_ref().is_none_or(|wanted| wanted == name));
            futures::future::ready(wanted)
        };
        Ok(all.filter(about).map(|frame| frame.map(|value| Item { id: None, value })).boxed())
    }

    /// What is wanted; of a workspace that there is.
    fn filter(&self, workspace: Option<Name>, agent: Option<CodingAgent>) -> Result<Filter, ApiError> {
        if let Some(name) = &workspace {
            self.intent(name)?;
        }
        Ok(Filter { workspace, agent })
    }

    fn session(&self, name: &Name, id: &str, agent: Option<CodingAgent>) -> Result<SessionInfo, ApiError> {
        let mut found = self.parts.sessions.find(name, id);
        found.retain(|info| agent.is_none_or(|agent| agent == info.session.agent));
        match found.len() {
            0 => Err(ApiError::NoSession { name: name.clone(), session: id.to_owned() }),
            1 => Ok(found.remove(0)),
            _ => Err(ApiError::bad_request("agent", format!("must be said: several agents have a session {id}"))),
        }
    }
}

fn sees(caller: &Caller, info: &SessionInfo) -> bool {
    caller.sees(&info.workspace_name)
}

fn within(field: &str, given: Option<u32>, usual: u32, most: u32) -> Result<usize, ApiError> {
    match given.unwrap_or(usual) {
        0 => Err(ApiError::bad_request(field, "must be at least 1")),
        count if count > most => Err(ApiError::bad_request(field, format!("is at most {most}"))),
        count => Ok(count as usize),
    }
}
