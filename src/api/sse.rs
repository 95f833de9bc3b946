//! Event streams: frames as server-sent events, with signs of life in between and an end that clients understand.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt, stream};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use tokio::sync::OwnedSemaphorePermit;

use super::{Shutdown, respond};
use crate::contract::{ApiError, Descriptor, ErrorBody, Frame, Frames};

/// How long a stream may be silent; clients and proxies take longer silence for a dead peer, and writing to one is how
/// the server notices it.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long a client waits before it comes again, in milliseconds.
const RETRY: u32 = 1000;
const COMMENT: Bytes = Bytes::from_static(b": \n\n");

/// The answer; the frames are dropped as soon as the client is gone, and so is the permit.
pub(super) fn response(
    row: &'static Descriptor,
    frames: Frames,
    shutdown: Shutdown,
    permit: Option<OwnedSemaphorePermit>,
) -> Response {
    // A client's call is done with the headers, which the first comment flushes.
    let opening = stream::once(async { COMMENT });
    let state = Open { row, frames, shutdown, _permit: permit };
    let events = stream::unfold(Some(state), |state| async { Some(state?.next().await) });
    let chunks = opening.chain(events).map(Ok::<_, Infallible>);
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // nginx holds streams back otherwise.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

struct Open {
    row: &'static Descriptor,
    frames: Frames,
    shutdown: Shutdown,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Open {
    /// The next chunk, and what is left of the stream after it.
    async fn next(mut self) -> (Bytes, Option<Self>) {
        tokio::select! {
            biased;
            () = self.shutdown.begun() => {
                // A plain end would be the end of the watch for stock clients; after an error they come again.
                let ending = ApiError::Unavailable("the agent is ending".to_owned());
                (failure(&ending.body(&[])), None)
            }
            frame = self.frames.next() => match frame {
                Some(Ok(frame)) => (message(&frame), Some(self)),
                Some(Err(error)) => (failure(&respond::told(&error, self.row)), None),
                None => (Bytes::from_static(b"event: done\ndata: {}\n\n"), None),
            },
            () = tokio::time::sleep(KEEP_ALIVE) => (COMMENT, Some(self)),
        }
    }
}

fn message(frame: &Frame) -> Bytes {
    let mut text = format!("event: message\nretry: {RETRY}\n").into_bytes();
    // A line break would end the field; no id of ours has one.
    if let Some(id) = frame.id.as_deref().filter(|id| !id.contains(['\n', '\r', '\0'])) {
        text.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    text.extend_from_slice(b"data: ");
    text.extend_from_slice(&frame.data);
    text.extend_from_slice(b"\n\n");
    text.into()
}

fn failure(error: &ErrorBody) -> Bytes {
    let mut text = format!("event: error\nretry: {RETRY}\ndata: ").into_bytes();
    text.extend_from_slice(&respond::envelope(error));
    text.extend_from_slice(b"\n\n");
    text.into()
}
