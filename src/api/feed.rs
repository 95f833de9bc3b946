//! A stream of events as both transports send it: until it ends, fails, its caller's token is worthless or the agent ends.

use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;

use super::{App, respond};
use crate::contract::{ApiError, Descriptor, ErrorBody, Frame, Frames};
use crate::model::Caller;

/// A stream that is open. It is no more read from once it has ended.
pub(super) struct Feed {
    row: &'static Descriptor,
    frames: Frames,
    over: BoxFuture<'static, ApiError>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// What comes next.
pub(super) enum Next {
    /// An event.
    Frame(Frame),
    /// The end, for this reason.
    Failed(ErrorBody),
    /// The end, as it should be, with an envelope of what the stream returns.
    Done(Vec<u8>),
}

impl Feed {
    pub(super) fn new(
        app: &App,
        row: &'static Descriptor,
        frames: Frames,
        caller: Arc<Caller>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let (auth, shutdown) = (app.auth.clone(), app.shutdown.clone());
        let over = async move {
            tokio::select! {
                // A plain end would be the end of the watch for stock clients; after an error they come again.
                () = shutdown.begun() => ApiError::Unavailable("the agent is ending".to_owned()),
                () = auth.ended(&caller) => ApiError::Unauthorized("this access token was revoked or has expired".to_owned()),
            }
        };
        Self { row, frames, over: Box::pin(over), _permit: permit }
    }

    /// What comes next. Cancel-safe.
    pub(super) async fn next(&mut self) -> Next {
        tokio::select! {
            biased;
            // The transport's own, not one that the procedure declares.
            error = &mut self.over => Next::Failed(error.body(&[])),
            frame = self.frames.next() => match frame {
                Some(Ok(frame)) if frame.is_return => Next::Done(frame.data.joined()),
                Some(Ok(mut frame)) => {
                    // A line break would end the field; no id of ours has one.
                    frame.id = frame.id.filter(|id| !id.contains(['\n', '\r', '\0']));
                    Next::Frame(frame)
                }
                Some(Err(error)) => Next::Failed(respond::told(&error, self.row)),
                None => Next::Done(b"{}".to_vec()),
            },
        }
    }
}
