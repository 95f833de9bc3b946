//! Who opens a WebSocket about a workspace: by a header, or, where a browser can send none, by what is said first. And how
//! it is parted from.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::time::timeout;

use super::App;
use crate::contract::ApiError;
use crate::contract::terminal::{Close, NaiveText};
use crate::model::{Caller, Name, Role};
use crate::store::audit::Record;

/// How often the other side is asked whether it is there.
pub(super) const PING: Duration = Duration::from_secs(20);
/// How long it may say nothing at all, or take nothing of what is sent.
pub(super) const SILENCE: Duration = Duration::from_secs(45);
/// How long a close may take to be heard.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);
/// The longest reason of a close, in bytes: RFC 6455, 5.5.
const REASON_MAX: usize = 123;

pub(super) type Sink = SplitSink<WebSocket, Message>;
pub(super) type Source = SplitStream<WebSocket>;

/// Closes, and waits until it has been heard: a connection that is cut may lose what was sent.
pub(super) async fn part(sink: &mut Sink, source: &mut Source, code: Close, mut reason: String) {
    reason.truncate(reason.floor_char_boundary(REASON_MAX));
    let frame = CloseFrame { code: code.code(), reason: reason.into() };
    let farewell = async {
        sink.send(Message::Close(Some(frame))).await.ok();
        while let Some(Ok(_)) = source.next().await {}
    };
    timeout(FAREWELL, farewell).await.ok();
}

/// One who opened a WebSocket about a workspace.
pub(super) struct Visitor {
    pub(super) app: App,
    pub(super) peer: Option<IpAddr>,
    /// What its header said.
    pub(super) authorization: Option<String>,
    /// The workspace that it named.
    pub(super) name: String,
    /// What it wants, as it is written down.
    pub(super) what: &'static str,
}

impl Visitor {
    /// Who calls, by the header or by what was said.
    pub(super) fn caller(&self, said: Option<String>) -> Result<Arc<Caller>, ApiError> {
        let authorization = said.or_else(|| self.authorization.clone());
        let (error, is_new) = match self.app.auth.caller(self.peer, authorization.as_deref()) {
            Ok(caller) if caller.role > Role::Public => return Ok(caller),
            Ok(_) => {
                let error = ApiError::Unauthorized("an access token is needed".to_owned());
                (error, self.app.auth.failures().allow(self.peer).is_ok())
            }
            // A wrong token has been counted already.
            Err(error) => {
                let is_new = !matches!(error, ApiError::TooManyRequests(_));
                (error, is_new)
            }
        };
        // Whoever tries again and again is written down only as often as they may fail.
        if is_new {
            self.write_down(self.what, None, Some(&error));
        }
        Err(error)
    }

    /// Who calls: one that has no header says so in its first text, `{"type":"auth","token":"…"}`. `None` where it went.
    ///
    /// # Errors
    /// What it said is no good token.
    pub(super) async fn told(&self, source: &mut Source) -> Result<Option<Arc<Caller>>, ApiError> {
        if self.authorization.is_some() {
            return self.caller(None).map(Some);
        }
        let said = match source.next().await {
            Some(Ok(Message::Text(text))) => match NaiveText::read(&text, true) {
                NaiveText::Auth(token) => Some(format!("Bearer {}", token.0)),
                _ => None,
            },
            Some(Ok(_)) => None,
            _ => return Ok(None),
        };
        self.caller(said).map(Some)
    }

    /// Writes down what came of it.
    pub(super) fn write_down(&self, what: &str, caller: Option<&Caller>, error: Option<&ApiError>) {
        let about = self.name.parse::<Name>().ok().map(|name| name.to_string());
        self.app.records.record(&Record {
            at: self.app.clock.wall(),
            who: caller.map(|caller| caller.name.as_str()),
            token: caller.map(|caller| caller.id.as_str()),
            from: self.peer,
            what,
            of: about.as_slice(),
            result: error.map_or("ok", |error| error.code().as_str()),
            why: error.map(ToString::to_string).as_deref(),
        });
    }
}
