//! `GET /sessions/:name`: a WebSocket that tells of the sessions of one workspace, a JSON document a text frame, for simple
//! clients: what `sessions.watch` tells of it, as a [`SessionFrame`](crate::contract::SessionFrame).

use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Path, State};
use axum::response::Response;
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::feed::{Feed, Next};
use super::listen::Peer;
use super::visitor::{PING, SILENCE, Sink, Source, Visitor, part};
use super::{App, respond};
use crate::contract::terminal::Close;
use crate::contract::{ApiError, Call, ErrorBody, Reply};
use crate::model::{Caller, Name};

/// The longest message of a client: it says who it is, and no more.
const MESSAGE: usize = 8 << 10;

/// Pings that may go unanswered before the client counts as gone.
const UNANSWERED: u64 = SILENCE.as_secs() / PING.as_secs();

/// Takes the upgrade, where the request is one.
pub(super) async fn upgrade(State(app): State<App>, mut parts: Parts) -> Response {
    let peer = parts.extensions.get::<Peer>().cloned();
    let path = Path::<String>::from_request_parts(&mut parts, &()).await;
    let (Ok(Path(name)), Ok(upgrade)) = (path, WebSocketUpgrade::from_request_parts(&mut parts, &()).await) else {
        let what = "this is a WebSocket: send an upgrade";
        return respond::error(&ApiError::bad_request("name", what).body(&[]));
    };
    let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let ip = peer.as_ref().map(|peer| peer.ip);
    let visitor = Visitor { app, peer: ip, authorization, name, what: "sessions/watch" };
    upgrade.max_message_size(MESSAGE).max_frame_size(MESSAGE).on_upgrade(move |socket| async move {
        Box::pin(serve(socket, visitor)).await;
        // The connection counts until here.
        drop(peer);
    })
}

async fn serve(socket: WebSocket, visitor: Visitor) {
    let (mut sink, mut source) = socket.split();
    let (code, reason) = match converse(&visitor, &mut sink, &mut source).await {
        Ok(()) => (Close::Going, String::new()),
        Err(refused) => refused,
    };
    part(&mut sink, &mut source, code, reason).await;
}

/// What it is closed with.
type Refused = (Close, String);

fn refused(error: ErrorBody) -> Refused {
    (Close::of(&error.code), error.message)
}

/// Tells until the client goes, or may look no longer.
async fn converse(visitor: &Visitor, sink: &mut Sink, source: &mut Source) -> Result<(), Refused> {
    let late = |_| (Close::Unauthorized, "nobody said who calls".to_owned());
    let told = timeout(visitor.app.limits.login, visitor.told(source)).await.map_err(late)?;
    let caller = told.map_err(|error| refused(error.body(&[])))?;
    let Some(caller) = caller else { return Ok(()) };
    // A name that is none is nobody's.
    visitor.name.parse::<Name>().map_err(|_| (Close::NotFound, "there is no such workspace".to_owned()))?;
    let mut feed = feed(visitor, caller).await.map_err(refused)?;
    let mut pings = interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = 0;
    loop {
        let message = tokio::select! {
            biased;
            () = visitor.app.shutdown.begun() => return Ok(()),
            next = feed.next() => match next {
                Next::Frame(frame) => Message::Text(value(&frame.data.joined()).into()),
                Next::Failed(error) => return Err(refused(error)),
                Next::Done(_) => return Ok(()),
            },
            said = source.next() => match said {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                Some(Ok(_)) => {
                    unanswered = 0;
                    continue;
                }
            },
            _ = pings.tick() => {
                if unanswered == UNANSWERED {
                    return Err((Close::Going, "nothing was heard of the client".to_owned()));
                }
                unanswered += 1;
                Message::Ping(Bytes::new())
            }
        };
        match timeout(SILENCE, sink.send(message)).await {
            Ok(Ok(())) => {}
            _ => return Ok(()),
        }
    }
}

/// What `sessions.watch` tells this caller of the workspace.
async fn feed(visitor: &Visitor, caller: Arc<Caller>) -> Result<Feed, ErrorBody> {
    let app = &visitor.app;
    let missing = || ApiError::NoProcedure(visitor.what.to_owned()).body(&[]);
    let row = app.service.row(visitor.what).ok_or_else(missing)?;
    let call = Call { peer: visitor.peer, ..Call::of(Arc::clone(&caller)) };
    let input = json!({ "json": { "workspaceName": visitor.name } }).to_string();
    match app.call(row, &call, Some(input.as_bytes())).await? {
        (Reply::Stream(frames), permit) => Ok(Feed::new(app, row, frames, caller, permit)),
        (Reply::Json(_), _) => Err(missing()),
    }
}

/// The value of an envelope, `{"json":…}`.
fn value(envelope: &[u8]) -> String {
    let inner = envelope.strip_prefix(b"{\"json\":").and_then(|rest| rest.strip_suffix(b"}"));
    String::from_utf8_lossy(inner.unwrap_or(envelope)).into_owned()
}
