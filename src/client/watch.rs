//! A watch that goes on over cut connections and restarts of the agent.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::stream::EventStream;
use super::{Client, ClientError};
use crate::contract::{NoInput, WatchFrame, WatchKind};

/// All workspaces and every change of them. After a cut it resumes where it was; where the agent no longer knows that
/// place, a `reset` and the whole list come.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    stream: Option<EventStream<WatchFrame>>,
    cursor: Option<String>,
    delays: ExponentialBackoff,
    /// A frame has come: from now on a cut is mended, not reported.
    established: bool,
}

fn delays() -> ExponentialBackoff {
    // backon's defaults are three attempts and no jitter.
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .with_jitter()
        .without_max_times()
        .build()
}

impl Watch {
    pub(super) fn new(client: Client) -> Self {
        Self { client, stream: None, cursor: None, delays: delays(), established: false }
    }

    /// The next frame. Cancel-safe.
    ///
    /// # Errors
    /// There is no agent in the first place, or it refuses. Later cuts are mended by calling again, without end: bound
    /// the waiting where that matters.
    pub async fn next(&mut self) -> Result<WatchFrame, ClientError> {
        loop {
            match self.attempt().await {
                Ok(frame) => return Ok(frame),
                Err(error) if self.established && error.is_transient() => {
                    self.stream = None;
                    let delay = self.delays.next().unwrap_or(Duration::from_secs(5));
                    tracing::debug!(%error, ?delay, "the watch was cut and is resumed");
                    tokio::time::sleep(delay).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn attempt(&mut self) -> Result<WatchFrame, ClientError> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let opened = self.client.watch_workspaces(&NoInput {}, self.cursor.as_deref()).await?;
                none.insert(opened)
            }
        };
        let Some(item) = stream.next().await? else {
            return Err(ClientError::Cut { address: self.client.address().to_owned(), source: None });
        };
        match (item.value.kind, item.id) {
            // Until the list is complete there is no place to resume from.
            (WatchKind::Reset, _) => self.cursor = None,
            (_, Some(id)) => self.cursor = Some(id),
            _ => {}
        }
        if !std::mem::replace(&mut self.established, true) || item.value.kind == WatchKind::Bookmark {
            self.delays = delays();
        }
        Ok(item.value)
    }
}
