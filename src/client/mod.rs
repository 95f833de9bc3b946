//! The typed client of the API, for the CLI, the TUI and tests.
//!
//! [`Client`] has one method a row of the table of procedures. It speaks HTTP/1.1, over TLS where the address says so, keeps one idle
//! connection and nothing else, and runs on a current-thread runtime. [`Watch`] goes on over reconnects; [`Wait`]
//! decides, from its frames, whether what one waits for has come.

mod compressed;
mod connection;
mod error;
mod rows;
mod sse;
mod stream;
mod terminal;
mod tls;
mod wait;
mod watch;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::contract::table::procedures;
use crate::contract::worker::ExecResponse;
use crate::contract::*;
use crate::model::{DiskUsage, Event, Secret, Shown};

pub use compressed::Decompressor;
pub use error::ClientError;
pub use rows::{Listing, Row, RowCondition};
pub use sse::{LineTooLong, Parser, SseEvent};
pub use stream::EventStream;
pub use terminal::{Ended, Heard, Session, TerminalSocket};
pub use wait::{Goal, Progress, Wait};
pub use watch::Watch;

use connection::{Connection, Only, Target};
use tls::Tls;
pub use tls::is_untrusted;

/// How long an answer may take. Only `workspaces/exec` may take longer: as long as its command does.
const ANSWER: Duration = Duration::from_secs(60);

/// The most of an answer that is read.
const ANSWER_BYTES: usize = 64 << 20;

/// A client of one agent. Clones share the idle connection.
#[derive(Debug, Clone)]
pub struct Client {
    target: Arc<Target>,
    idle: Arc<Mutex<Option<Connection>>>,
}

/// `{"json": …}` around every input and output.
#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    json: T,
}

impl Client {
    /// A client of whichever agent is at `host:port`, or `https://host:port`. Connects with the first call.
    pub fn new(address: &str) -> Self {
        Self::to(Target { address: address.to_owned(), tls: Tls::of(address, None), only: None, token: None })
    }

    /// A client of the agent with this id, at `host:port` as far as one knows. Any other that answers there refuses every
    /// call before it does anything: [`ClientError::OtherAgent`], which calls the one that is meant by `name`.
    pub fn only(address: &str, id: &str, name: &str) -> Self {
        let only = Some(Only { id: id.to_owned(), name: name.to_owned() });
        Self::to(Target { address: address.to_owned(), tls: Tls::of(address, None), only, token: None })
    }

    /// The same, which over TLS also takes whoever has the first of these certificates (PEM), whatever its names are: the
    /// agent's own, of one whose folder is at hand.
    #[must_use]
    pub fn trusting(&self, own: &[u8]) -> Self {
        Self::to(Target { tls: Tls::of(self.address(), Some(own)), ..Target::clone(&self.target) })
    }

    /// The same, which says who calls: this token goes with every request.
    #[must_use]
    pub fn with_token(&self, token: Secret) -> Self {
        Self::to(Target { token: Some(token), ..Target::clone(&self.target) })
    }

    fn to(target: Target) -> Self {
        Self { target: Arc::new(target), idle: Arc::default() }
    }

    /// The same without the idle connection: it finds out whether the agent still listens.
    pub fn anew(&self) -> Self {
        Self { target: self.target.clone(), idle: Arc::default() }
    }

    /// Where the agent is: `host:port`.
    pub fn address(&self) -> &str {
        &self.target.address
    }

    /// Calls a procedure by its path (`group/procedure`) and reads its result.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn call<I: Serialize, O: DeserializeOwned>(&self, path: &str, input: &I) -> Result<O, ClientError> {
        let body = self.call_raw(path, input).await?;
        // `{}` is nothing, which serde reads from null.
        let text: &[u8] = if body.as_ref() == b"{}" { b"{\"json\":null}" } else { &body };
        let envelope: Envelope<O> = serde_json::from_slice(text).map_err(|error| self.unreadable(&error))?;
        Ok(envelope.json)
    }

    /// Calls a procedure and returns the body of its answer as it came: `{"json": …}`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn call_raw<I: Serialize>(&self, path: &str, input: &I) -> Result<Bytes, ClientError> {
        let body = self.encode(input)?;
        let answer = self.exchange(path, body);
        if path == "workspaces/exec" {
            return answer.await;
        }
        let late = || ClientError::Late { address: self.address().to_owned(), seconds: ANSWER.as_secs() };
        tokio::time::timeout(ANSWER, answer).await.map_err(|_| late())?
    }

    /// Every workspace, read no further than a table needs.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list_rows(&self) -> Result<Listing, ClientError> {
        Ok(Listing::new(self.address(), self.call_raw("workspaces/list", &NoInput {}).await?))
    }

    /// Watches all workspaces from now on, over reconnects.
    pub fn watch(&self) -> Watch {
        Watch::new(self.clone())
    }

    /// Opens the event stream of a procedure. `resume` is the id of the last event that was seen.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn open<I: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        input: &I,
        resume: Option<&str>,
    ) -> Result<EventStream<T>, ClientError> {
        let body = self.encode(input)?;
        // A connection of its own: the stream keeps it to the end.
        let mut connection = Connection::open(&self.target).await?;
        let late = || ClientError::Late { address: self.address().to_owned(), seconds: ANSWER.as_secs() };
        let response =
            tokio::time::timeout(ANSWER, connection.send(path, body, resume)).await.map_err(|_| late())??;
        EventStream::new(connection, response).await
    }

    async fn exchange(&self, path: &str, body: Bytes) -> Result<Bytes, ClientError> {
        if let Some(mut connection) = self.take_idle().await {
            match connection.send(path, body.clone(), None).await {
                // The agent closed it while it was idle.
                Err(error) if error.may_be_repeated(path) => {}
                response => return self.finish(connection, response?).await,
            }
        }
        let mut connection = Connection::open(&self.target).await?;
        let response = connection.send(path, body, None).await?;
        self.finish(connection, response).await
    }

    async fn finish(
        &self,
        connection: Connection,
        response: hyper::Response<hyper::body::Incoming>,
    ) -> Result<Bytes, ClientError> {
        let status = response.status();
        let body = connection::read(self.address(), response, ANSWER_BYTES).await?;
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        if status.is_success() { Ok(body) } else { Err(self.target.error(status.as_u16(), &body)) }
    }

    async fn take_idle(&self) -> Option<Connection> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        // Lets it notice, on a runtime of one thread too, that it was closed a while ago: first the socket is looked
        // at, then the task that waits for it runs.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        idle.is_open().then_some(idle)
    }

    fn encode<I: Serialize>(&self, input: &I) -> Result<Bytes, ClientError> {
        let body = serde_json::to_vec(&Envelope { json: input }).map_err(|error| self.unreadable(&error))?;
        Ok(body.into())
    }

    fn unreadable(&self, error: &serde_json::Error) -> ClientError {
        ClientError::Unreadable { address: self.address().to_owned(), what: error.to_string() }
    }
}

macro_rules! methods {
    (
        calls { $($(#[doc = $doc:literal])+ $call:ident($input:ty) -> $output:ty, $path:literal, $effect:ident,
            $role:ident, $reach:ident, [$($error:ident),*];)* }
        streams { $($(#[doc = $sdoc:literal])+ $stream:ident($sinput:ty) -> $item:ty, $spath:literal, $seffect:ident,
            $srole:ident, $sreach:ident, [$($serror:ident),*];)* }
    ) => {
        impl Client {
            $($(#[doc = $doc])+
            ///
            /// # Errors
            /// See [`ClientError`].
            pub async fn $call(&self, input: &$input) -> Result<$output, ClientError> {
                self.call($path, input).await
            })*
            $($(#[doc = $sdoc])+
            ///
            /// # Errors
            /// See [`ClientError`].
            pub async fn $stream(&self, input: &$sinput, resume: Option<&str>) -> Result<EventStream<$item>, ClientError> {
                self.open($spath, input, resume).await
            })*
        }
    };
}
procedures!(methods);
