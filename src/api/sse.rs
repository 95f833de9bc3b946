//! Event streams: frames as server-sent events, with signs of life in between and an end that clients understand.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt, stream};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use tokio::sync::OwnedSemaphorePermit;

use super::App;
use super::feed::{Feed, Next};
use crate::contract::socket::RETRY;
use crate::contract::{Descriptor, ErrorBody, Frame, Frames};
use crate::model::Caller;

/// How long a stream may be silent; clients and proxies take longer silence for a dead peer, and writing to one is how
/// the server notices it.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Bytes below which a piece is copied.
const SMALL: usize = 512;
const COMMENT: Bytes = Bytes::from_static(b": \n\n");

/// The answer; the frames are dropped as soon as the client is gone, and so is the permit.
pub(super) fn response(
    app: &App,
    row: &'static Descriptor,
    frames: Frames,
    caller: Arc<Caller>,
    permit: Option<OwnedSemaphorePermit>,
) -> Response {
    // A client's call is done with the headers, which the first comment flushes.
    let opening = stream::once(async { COMMENT });
    let state = Open { feed: Feed::new(app, row, frames, caller, permit) };
    let events = stream::unfold(Some(state), |state| async { Some(state?.next().await) }).flat_map(stream::iter);
    let chunks = opening.chain(events).map(Ok::<_, Infallible>);
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // nginx holds streams back otherwise.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

struct Open {
    feed: Feed,
}

impl Open {
    /// The next chunks, and what is left of the stream after them.
    async fn next(mut self) -> (Vec<Bytes>, Option<Self>) {
        tokio::select! {
            biased;
            next = self.feed.next() => match next {
                Next::Frame(frame) => (message(&frame), Some(self)),
                Next::Failed(error) => (vec![failure(&error)], None),
                Next::Done(data) => (vec![[b"event: done\ndata: ", &*data, b"\n\n"].concat().into()], None),
            },
            () = tokio::time::sleep(KEEP_ALIVE) => (vec![COMMENT], Some(self)),
        }
    }
}

/// An event. What is large in it is shared with the other watchers; a chunk that is small costs more than its copy.
fn message(frame: &Frame) -> Vec<Bytes> {
    let id = frame.id.as_ref().map(|id| format!("id: {id}\n")).unwrap_or_default();
    let head = format!("event: message\nretry: {RETRY}\n{id}data: ");
    let (mut chunks, mut open) = (Vec::with_capacity(3), head.into_bytes());
    for piece in frame.data.iter() {
        if piece.len() < SMALL {
            open.extend_from_slice(piece);
        } else {
            chunks.extend([std::mem::take(&mut open).into(), piece.clone()]);
        }
    }
    open.extend_from_slice(b"\n\n");
    chunks.push(open.into());
    chunks
}

fn failure(error: &ErrorBody) -> Bytes {
    let head = format!("event: error\nretry: {RETRY}\ndata: ");
    [head.as_bytes(), &error.envelope(), b"\n\n"].concat().into()
}
