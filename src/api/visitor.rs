//! Who opens a WebSocket: by a header, or, where a browser can send none, by what is said first.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket};
use futures::StreamExt;
use futures::stream::SplitStream;

use super::App;
use crate::contract::ApiError;
use crate::contract::terminal::NaiveText;
use crate::model::{Caller, Name, Role};
use crate::store::audit::Record;

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
    pub(super) async fn told(&self, source: &mut SplitStream<WebSocket>) -> Result<Option<Arc<Caller>>, ApiError> {
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
