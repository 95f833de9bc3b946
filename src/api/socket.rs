//! `GET /rpc` with an upgrade: the WebSocket transport of oRPC. Many calls share a socket, each with an id of the client's
//! and with its own `authorization`: browsers cannot send one with the upgrade.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use hyper::Method;
use hyper::http::request::Parts;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::feed::{Feed, Next};
use super::listen::Peer;
use super::{App, call, respond, rpc};
use crate::contract::socket::{self as frame, Asked, Incoming};
use crate::contract::{ApiError, Call, Descriptor, Reply};

/// Calls and streams that one socket may have under way.
const CALLS: usize = 256;
/// Frames that may wait for a slow reader; its calls then wait too.
const QUEUE: usize = 16;
/// How often the other side is asked whether it is there.
const PING: Duration = Duration::from_secs(20);
/// How long it may say nothing at all.
const SILENCE: Duration = Duration::from_secs(50);
/// Bytes to read at once. Most sockets are idle, and each keeps as much.
const READ: usize = 1 << 10;
/// Bytes of small frames that are sent together; the buffer for them grows to this and one frame, and stays.
const WRITE: usize = 1 << 10;

/// Takes the upgrade, where the request is one.
pub(super) async fn upgrade(State(app): State<App>, mut parts: Parts) -> Response {
    let peer = parts.extensions.get::<Peer>().cloned();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        // A path like any other, then.
        Err(_) => return respond::error(&ApiError::NoProcedure(parts.uri.path().to_owned()).body(&[])),
    };
    let body = app.limits.body;
    let upgrade = upgrade.read_buffer_size(READ).write_buffer_size(WRITE).max_write_buffer_size(body.max(WRITE) * 16);
    upgrade.max_message_size(body).max_frame_size(body).on_upgrade(move |socket| async move {
        let ip = peer.as_ref().map(|peer| peer.ip);
        // Apart, since the task that waits for the upgrade would else be large twice.
        Box::pin(serve(socket, app, ip)).await;
        // The connection counts until here.
        drop(peer);
    })
}

async fn serve(socket: WebSocket, app: App, peer: Option<IpAddr>) {
    let (sink, source) = socket.split();
    let (frames, queue) = mpsc::channel(QUEUE);
    let session = Session { app, peer, frames, calls: HashMap::new(), tasks: JoinSet::new(), known: false };
    let mut writing = std::pin::pin!(write(sink, queue));
    tokio::select! {
        () = session.read(source) => {}
        () = &mut writing => return,
    }
    // What is written already is sent, unless nobody reads it: then the connection breaks.
    writing.await;
}

/// What waits to be written. Smaller than a whole message of the library, of which every queue has room for 32.
enum Outgoing {
    Text(Utf8Bytes),
    Ping,
}

impl From<Outgoing> for Message {
    fn from(outgoing: Outgoing) -> Self {
        match outgoing {
            Outgoing::Text(text) => Self::Text(text),
            Outgoing::Ping => Self::Ping(Bytes::new()),
        }
    }
}

async fn write(mut sink: SplitSink<WebSocket, Message>, mut queue: mpsc::Receiver<Outgoing>) {
    while let Some(outgoing) = queue.recv().await {
        let mut next = Some(outgoing);
        while let Some(outgoing) = next.take() {
            if sink.feed(outgoing.into()).await.is_err() {
                return;
            }
            next = queue.try_recv().ok();
        }
        if sink.flush().await.is_err() {
            return;
        }
    }
    sink.close().await.ok();
}

/// One socket.
struct Session {
    app: App,
    peer: Option<IpAddr>,
    frames: mpsc::Sender<Outgoing>,
    /// What is under way, by the client's ids.
    calls: HashMap<String, AbortHandle>,
    tasks: JoinSet<()>,
    /// A call with a good token has come.
    known: bool,
}

impl Session {
    /// Reads until the socket ends, or is to end.
    async fn read(mut self, mut source: SplitStream<WebSocket>) {
        let (clock, shutdown) = (self.app.clock.clone(), self.app.shutdown.clone());
        let mut heard = clock.monotonic();
        let mut pings = interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut login = std::pin::pin!(sleep(self.app.limits.login));
        let mut ending = std::pin::pin!(shutdown.begun());
        loop {
            tokio::select! {
                () = &mut ending => return self.finish().await,
                message = source.next() => {
                    heard = clock.monotonic();
                    match message {
                        // Apart, since a call is large and most of the time there is none.
                        Some(Ok(Message::Text(text))) => Box::pin(self.take(&text)).await,
                        Some(Ok(Message::Binary(bytes))) => Box::pin(self.take_files(&bytes)).await,
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                    }
                }
                Some(ended) = self.tasks.join_next_with_id() => self.forget(ended.map_or_else(|error| error.id(), |(id, ())| id)),
                _ = pings.tick() => {
                    if clock.monotonic().saturating_sub(heard) > SILENCE || self.frames.send(Outgoing::Ping).await.is_err() {
                        break;
                    }
                }
                () = &mut login, if !self.known => break,
            }
        }
    }

    /// Calls under way are answered, and streams say that the agent ends.
    async fn finish(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    fn forget(&mut self, task: Id) {
        self.calls.retain(|_, handle| handle.id() != task);
    }

    /// What is no frame of this protocol is dropped, as the reference server does.
    async fn take(&mut self, text: &str) {
        match Incoming::read(text) {
            Some(Incoming::Stop(id)) => {
                if let Some(handle) = self.calls.remove(id.as_ref()) {
                    handle.abort();
                }
            }
            // A second request with an id in flight is ignored.
            Some(Incoming::Call(asked)) if !self.calls.contains_key(asked.id.as_ref()) => self.start(&asked).await,
            Some(Incoming::Call(_)) | None => {}
        }
    }

    /// A call with files: JSON, a byte 0xFF, the files. No procedure takes any.
    async fn take_files(&mut self, bytes: &[u8]) {
        let text = bytes.split(|byte| *byte == 0xFF).next().and_then(|text| std::str::from_utf8(text).ok());
        if let Some(Incoming::Call(asked)) = text.and_then(Incoming::read) {
            let error = ApiError::UnsupportedMediaType.body(&[]);
            self.send(frame::failure(&asked.id, &error)).await;
        }
    }

    async fn start(&mut self, asked: &Asked<'_>) {
        let id: Arc<str> = asked.id.as_ref().into();
        match self.admit(asked) {
            Err(error) => self.send(frame::failure(&id, &error.body(&[]))).await,
            Ok((row, call, input)) => {
                self.known |= !call.caller.id.is_empty();
                let (app, frames) = (self.app.clone(), self.frames.clone());
                let key = id.to_string();
                let run = async move {
                    match app.call(row, &call, input.as_deref()).await {
                        Ok((Reply::Json(body), _)) => send(&frames, frame::result(&id, &body)).await,
                        Ok((Reply::Stream(stream), permit)) => {
                            pump(&frames, &id, Feed::new(&app, row, stream, call.caller, permit)).await;
                        }
                        Err(error) => send(&frames, frame::failure(&id, &error)).await,
                    }
                };
                let handle = self.tasks.spawn(run);
                self.calls.insert(key, handle);
            }
        }
    }

    fn admit(&self, asked: &Asked<'_>) -> Result<Admitted, ApiError> {
        if self.calls.len() >= CALLS {
            return Err(ApiError::TooManyRequests(format!("there are {CALLS} calls on this connection already")));
        }
        let (path, query) =
            asked.target().ok_or_else(|| ApiError::NoProcedure(asked.url.chars().take(200).collect()))?;
        let method = asked.method.as_deref().map_or(Ok(Method::POST), |it| Method::from_bytes(it.as_bytes()));
        let method = method.map_err(|_| ApiError::MethodNotSupported)?;
        let (row, call) = self.app.admit(call::Request {
            path,
            method: &method,
            authorization: asked.header("authorization"),
            resume: asked.header("last-event-id"),
            peer: self.peer,
        })?;
        let input = if method == Method::GET { rpc::query(query)? } else { asked.body.map(|body| body.get().into()) };
        Ok((row, call, input))
    }

    async fn send(&self, message: String) {
        send(&self.frames, message).await;
    }
}

type Admitted = (&'static Descriptor, Call, Option<Vec<u8>>);

/// Sends a frame; where the socket is gone, so is who waits for it.
async fn send(frames: &mpsc::Sender<Outgoing>, text: String) {
    frames.send(Outgoing::Text(text.into())).await.ok();
}

/// Sends a stream to its end.
async fn pump(frames: &mpsc::Sender<Outgoing>, id: &str, mut feed: Feed) {
    send(frames, frame::opening(id)).await;
    loop {
        match feed.next().await {
            Next::Frame(event) => send(frames, frame::event(id, &event)).await,
            Next::Failed(error) => return send(frames, frame::failing(id, &error)).await,
            Next::Done(data) => return send(frames, frame::ending(id, &data)).await,
        }
    }
}
