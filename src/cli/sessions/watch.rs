//! `perry sessions watch`.

use std::time::Duration;

use super::{headline, page, style};
use crate::cli::context::Context;
use crate::cli::failure::{Failure, Outcome};
use crate::client::Client;
use crate::contract::sessions::PAGE_MAX;
use crate::contract::{SessionFrame, SessionInfo, ToolDetail, WatchSessionsInput};
use crate::model::Name;
use crate::shown;
use crate::shown::transcript;

/// How long after a cut one comes back.
const PAUSE: Duration = Duration::from_secs(1);

/// Follows what is said. A cut is mended by beginning anew: only what was not shown is shown then.
pub(super) async fn watch(
    context: &Context,
    client: &Client,
    name: Option<Name>,
    only: Option<String>,
    json: bool,
) -> Outcome {
    let input = WatchSessionsInput { workspace_name: name };
    let mut frames = client.watch_sessions(&input, None).await?;
    let mut seeing = Seeing { context, client, only, json, known: Vec::new(), caught_up: false };
    loop {
        match frames.next().await {
            Ok(Some(item)) => seeing.take(item.value).await?,
            Ok(None) => frames = client.watch_sessions(&input, None).await?,
            Err(error) if error.is_transient() && seeing.caught_up => {
                tokio::time::sleep(PAUSE).await;
                if let Ok(again) = client.watch_sessions(&input, None).await {
                    frames = again;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// What one who watches has seen.
struct Seeing<'a> {
    context: &'a Context,
    client: &'a Client,
    only: Option<String>,
    json: bool,
    known: Vec<SessionInfo>,
    caught_up: bool,
}

impl Seeing<'_> {
    fn wants(&self, id: &str) -> bool {
        self.only.as_deref().is_none_or(|only| id.starts_with(only))
    }

    async fn take(&mut self, frame: SessionFrame) -> Result<(), Failure> {
        if self.json {
            let text = serde_json::to_string(&frame).map_err(|error| Failure::failed(error.to_string()))?;
            return self.context.print(&(text + "\n"));
        }
        match frame {
            SessionFrame::Reset => self.known.clear(),
            SessionFrame::Bookmark => self.caught_up = true,
            SessionFrame::Upserted { session } if self.wants(&session.session.session_id) => {
                let same = |known: &&mut SessionInfo| is_same(known, &session);
                let state = (session.session.state, session.session.title.clone());
                match self.known.iter_mut().find(same) {
                    Some(known) => {
                        if (known.session.state, known.session.title.clone()) != state {
                            self.context.note(&headline(&session));
                        }
                        *known = session;
                    }
                    None => {
                        if self.caught_up {
                            self.context.note(&headline(&session));
                        }
                        self.known.push(session);
                    }
                }
            }
            SessionFrame::Gone(gone) if self.wants(&gone.session_id) => {
                self.known.retain(|known| known.session.session_id != gone.session_id || known.session.agent != gone.agent);
                self.context.note(&format!("{} · gone", shown::line(&gone.session_id)));
            }
            SessionFrame::Truncated(place) if self.wants(&place.session_id) => {
                self.context.note(&format!("{} · taken back to message {}", shown::line(&place.session_id), place.index));
            }
            SessionFrame::Appended(place) | SessionFrame::Replaced(place) if self.wants(&place.session_id) => {
                let info = self.known.iter().find(|known| {
                    known.session.session_id == place.session_id
                        && known.session.agent == place.agent
                        && known.workspace_name == place.workspace_name
                });
                if let Some(info) = info {
                    self.show(info, place.index).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn show(&self, info: &SessionInfo, from: u32) -> Result<(), Failure> {
        let count = info.session.message_count.saturating_sub(from).min(PAGE_MAX);
        // It may be gone again already, and more is told of then.
        if let Ok(messages) = page(self.client, info, from, count, ToolDetail::None).await {
            let text: Vec<String> = messages.iter().map(|message| transcript::message(message, style())).collect();
            self.context.print(&(text.join("\n") + "\n"))?;
        }
        Ok(())
    }
}

fn is_same(one: &SessionInfo, other: &SessionInfo) -> bool {
    one.workspace_name == other.workspace_name
        && one.session.agent == other.session.agent
        && one.session.session_id == other.session.session_id
}
