//! `perry sessions watch`.

use std::collections::VecDeque;
use std::time::Duration;

use super::{headline, page, style};
use crate::cli::context::Context;
use crate::cli::failure::{Failure, Outcome};
use crate::client::Client;
use crate::contract::sessions::{MessageRef, PAGE_MAX};
use crate::contract::{CodingAgent, SessionFrame, SessionInfo, ToolDetail, WatchSessionsInput};
use crate::model::Name;
use crate::shown;
use crate::shown::transcript;

/// How long after a cut one comes back.
const PAUSE: Duration = Duration::from_secs(1);

/// Messages of which it is remembered how they were shown, to show what is new of them.
const REMEMBERED: usize = 200;

/// Follows what is said. A cut is mended by beginning anew.
pub(super) async fn watch(
    context: &Context,
    client: &Client,
    name: Option<Name>,
    only: Option<String>,
    json: bool,
) -> Outcome {
    let input = WatchSessionsInput { workspace_name: name };
    let mut frames = client.watch_sessions(&input, None).await?;
    let known = Vec::new();
    let mut seeing = Seeing { context, client, only, json, known, shown: VecDeque::new(), caught_up: false };
    loop {
        match frames.next().await {
            Ok(Some(item)) => {
                seeing.take(item.value).await?;
                continue;
            }
            Err(error) if !(error.is_transient() && seeing.caught_up) => return Err(error.into()),
            Ok(None) | Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
        if let Ok(again) = client.watch_sessions(&input, None).await {
            frames = again;
        }
    }
}

/// A message: workspace, agent, session and place.
type Place = (Name, CodingAgent, String, u32);

/// What one who watches has seen.
struct Seeing<'a> {
    context: &'a Context,
    client: &'a Client,
    only: Option<String>,
    json: bool,
    known: Vec<SessionInfo>,
    /// How messages were shown, the latest last.
    shown: VecDeque<(Place, String)>,
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
            SessionFrame::Upserted { session } if self.wants(&session.session.session_id) => self.know(session),
            SessionFrame::Gone(gone) if self.wants(&gone.session_id) => {
                self.known.retain(|known| {
                    known.session.session_id != gone.session_id
                        || known.session.agent != gone.agent
                        || known.workspace_name != gone.workspace_name
                });
                self.context.note(&format!("{} · gone", shown::line(&gone.session_id)));
            }
            SessionFrame::Truncated(place) if self.wants(&place.session_id) => {
                let id = shown::line(&place.session_id);
                self.context.note(&format!("{id} · taken back to its first {} messages", place.index));
            }
            SessionFrame::Appended(place) if self.wants(&place.session_id) => self.show(&place, u32::MAX).await?,
            SessionFrame::Replaced(place) if self.wants(&place.session_id) => self.show(&place, 1).await?,
            _ => {}
        }
        Ok(())
    }

    /// Says what a session does, where that has changed.
    fn know(&mut self, session: SessionInfo) {
        let of = |info: &SessionInfo| (info.session.state, info.session.title.clone());
        let is_same = |known: &&mut SessionInfo| {
            known.workspace_name == session.workspace_name
                && known.session.agent == session.session.agent
                && known.session.session_id == session.session.session_id
        };
        let before = self.known.iter_mut().find(is_same);
        let is_news = before.as_ref().map_or(self.caught_up, |known| of(known) != of(&session));
        if is_news {
            self.context.note(&headline(&session));
        }
        match before {
            Some(known) => *known = session,
            None => self.known.push(session),
        }
    }

    /// Shows messages from a place on: all of one that is new, and what is new of one that was shown.
    async fn show(&mut self, place: &MessageRef, count: u32) -> Result<(), Failure> {
        let info = self.known.iter().find(|known| {
            known.session.session_id == place.session_id
                && known.session.agent == place.agent
                && known.workspace_name == place.workspace_name
        });
        let Some(info) = info else { return Ok(()) };
        let count = count.min(info.session.message_count.saturating_sub(place.index)).min(PAGE_MAX);
        // It may be gone again already, and more is told of then.
        let messages = match count {
            0 => Vec::new(),
            count => page(self.client, info, place.index, count, ToolDetail::None).await.unwrap_or_default(),
        };
        for message in messages {
            let text = transcript::message(&message, style());
            let at = (place.workspace_name.clone(), place.agent, place.session_id.clone(), message.index);
            let before =
                self.shown.iter().position(|(known, _)| *known == at).and_then(|known| self.shown.remove(known));
            let new = before.map_or_else(|| Some(text.clone()), |(_, before)| more(&before, &text));
            if let Some(new) = new {
                self.context.print(&(new + "\n"))?;
            }
            self.shown.push_back((at, text));
            if self.shown.len() > REMEMBERED {
                self.shown.pop_front();
            }
        }
        Ok(())
    }
}

/// The lines of a message that it had not before, below its first one, which says whose it is.
fn more(before: &str, now: &str) -> Option<String> {
    let same = before.lines().zip(now.lines()).take_while(|(before, now)| before == now).count();
    let new: Vec<&str> = now.lines().skip(same.max(1)).collect();
    let head = now.lines().next()?;
    (!new.is_empty()).then(|| format!("{head}\n{}\n", new.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::more;

    #[test]
    fn of_a_message_that_goes_on_only_what_is_new_is_shown() {
        assert_eq!(more("── a\nlook\n… Bash\n", "── a\nlook\n✓ Bash\n").as_deref(), Some("── a\n✓ Bash\n"));
        assert_eq!(more("── a\nlook\n", "── a\nlook\n"), None);
        assert_eq!(more("── a\n", "── a\nlook\nmore\n").as_deref(), Some("── a\nlook\nmore\n"));
    }
}
