//! The answer of a procedure that answers with an event iterator.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::connection::{self, Connection};
use super::error::ClientError;
use super::sse::{Parser, SseEvent};
use super::{ANSWER_BYTES, Envelope};
use crate::contract::Item;

/// How long nothing at all may come; the agent sends a comment every 5 s.
const SILENCE: Duration = Duration::from_secs(20);

/// The values of a stream, as they come. Dropping it ends the stream on the agent's side too.
#[derive(Debug)]
pub struct EventStream<T> {
    connection: Connection,
    body: Incoming,
    parser: Parser,
    ready: VecDeque<SseEvent>,
    done: bool,
    values: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> EventStream<T> {
    pub(super) async fn new(connection: Connection, response: Response<Incoming>) -> Result<Self, ClientError> {
        let status = response.status();
        let media = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !status.is_success() {
            let body = connection::read(&connection.target().address, response, ANSWER_BYTES).await?;
            return Err(connection.target().error(status.as_u16(), &body));
        }
        if !media.starts_with("text/event-stream") {
            let what = format!("{media:?} came instead of an event stream");
            return Err(ClientError::Unreadable { address: connection.target().address.clone(), what });
        }
        let body = response.into_body();
        let (parser, ready) = (Parser::default(), VecDeque::new());
        Ok(Self { connection, body, parser, ready, done: false, values: PhantomData })
    }

    /// The next value; `None` after the last one. Cancel-safe.
    ///
    /// # Errors
    /// The agent ended the stream with an error, or the connection was cut: nothing more comes then.
    pub async fn next(&mut self) -> Result<Option<Item<T>>, ClientError> {
        loop {
            if self.done {
                return Ok(None);
            }
            if let Some(event) = self.ready.pop_front() {
                match event.event.as_str() {
                    "" | "message" => return self.value(event).map(Some),
                    "done" | "close" => self.done = true,
                    "error" => {
                        self.done = true;
                        return Err(self.connection.target().error(200, event.data.as_bytes()));
                    }
                    _ => {}
                }
                continue;
            }
            self.read().await?;
        }
    }

    fn value(&self, event: SseEvent) -> Result<Item<T>, ClientError> {
        let envelope: Envelope<T> =
            serde_json::from_str(&event.data).map_err(|error| self.unreadable(error.to_string()))?;
        Ok(Item { id: event.id, value: envelope.json })
    }

    /// Waits for bytes; the events in them become ready.
    async fn read(&mut self) -> Result<(), ClientError> {
        let address = || self.connection.target().address.clone();
        let late = |_| ClientError::Late { address: address(), seconds: SILENCE.as_secs() };
        let cut = |source| ClientError::Cut { address: address(), source };
        let frame = tokio::time::timeout(SILENCE, self.body.frame()).await.map_err(late)?;
        let Some(frame) = frame.transpose().map_err(|error| cut(Some(error)))? else {
            // The agent says so when a stream is at its end.
            return Err(cut(None));
        };
        if let Some(bytes) = frame.data_ref() {
            let mut events = Vec::new();
            self.parser.push(bytes, &mut events).map_err(|error| self.unreadable(error.to_string()))?;
            self.ready.extend(events);
        }
        Ok(())
    }

    fn unreadable(&self, what: String) -> ClientError {
        ClientError::Unreadable { address: self.connection.target().address.clone(), what }
    }
}
