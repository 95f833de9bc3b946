//! `GET /terminal/:name`: a WebSocket to a terminal, as `specs/terminal.md` says. A client that asks for the protocol is
//! relayed to the worker frame by frame ([`relay`]); a naive one, which knows nothing of it, is spoken for ([`naive`]).

mod compress;
mod naive;
mod relay;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::response::Response;
use futures::{SinkExt, StreamExt};
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::listen::Peer;
use super::visitor::{FAREWELL, Sink, Source, Visitor, part};
use super::{App, respond};
use crate::contract::permit::within;
use crate::contract::terminal::{ClientFrame, Close, Exit, FRAME_MAX, Hello, SUBPROTOCOL, ServerFrame, Size};
use crate::contract::{ApiError, Call};
use crate::model::{Caller, Name, Role};
use crate::runtime::Duplex;

/// How long after the worker's end one looks whether it comes back; its workspace has stopped where it does not.
const COME_BACK: Duration = Duration::from_millis(900);

/// Why a connection is closed.
#[derive(Debug)]
struct Closing {
    code: Close,
    reason: String,
    /// What a client of the protocol is told before: there is nothing to come back to.
    exit: Option<Exit>,
}

impl Closing {
    fn new(code: Close, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), exit: None }
    }

    /// Nobody is there any more.
    fn gone() -> Self {
        Self::new(Close::Going, "the client is gone")
    }
}

impl From<ApiError> for Closing {
    fn from(error: ApiError) -> Self {
        let exit = matches!(error, ApiError::PreconditionFailed { .. }).then(|| Exit::gone(error.to_string()));
        Self { code: Close::of(error.code().as_str()), reason: error.to_string(), exit }
    }
}

/// What is asked for besides the workspace.
#[derive(Debug, Default, Deserialize)]
struct Wanted {
    /// Which terminal, for a naive client.
    terminal: Option<Name>,
}

/// One client, from the upgrade on.
struct Visit {
    visitor: Visitor,
    wanted: Wanted,
    naive: bool,
}

/// A client that may look, and the worker's end.
struct Attached {
    caller: Arc<Caller>,
    name: Name,
    /// The client can undo zstd.
    compress: bool,
    worker: Box<dyn Duplex>,
}

/// Takes the upgrade, where the request is one.
pub(super) async fn upgrade(State(app): State<App>, mut parts: Parts) -> Response {
    let peer = parts.extensions.get::<Peer>().cloned();
    let path = Path::<String>::from_request_parts(&mut parts, &()).await;
    let wanted = Query::<Wanted>::try_from_uri(&parts.uri);
    let (Ok(Path(name)), Ok(Query(wanted)), Ok(upgrade)) =
        (path, wanted, WebSocketUpgrade::from_request_parts(&mut parts, &()).await)
    else {
        let what = "this is a WebSocket: send an upgrade, and a terminal's name where one is named";
        return respond::error(&ApiError::bad_request("terminal", what).body(&[]));
    };
    let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let upgrade = upgrade.protocols([SUBPROTOCOL]).max_message_size(FRAME_MAX).max_frame_size(FRAME_MAX);
    // What is printed goes out as it comes.
    let upgrade = upgrade.read_buffer_size(4 << 10).write_buffer_size(0);
    let naive = upgrade.selected_protocol().is_none();
    upgrade.on_upgrade(move |socket| async move {
        let ip = peer.as_ref().map(|peer| peer.ip);
        let visitor = Visitor { app, peer: ip, authorization, name, what: "terminal/attach" };
        let visit = Visit { visitor, wanted, naive };
        Box::pin(serve(socket, visit)).await;
        // The connection counts until here.
        drop(peer);
    })
}

async fn serve(socket: WebSocket, visit: Visit) {
    let (mut sink, mut source) = socket.split();
    let closing = match visit.attach(&mut source).await {
        Err(closing) => closing,
        Ok(attached) => visit.converse(&mut sink, &mut source, attached).await,
    };
    if let Some(exit) = closing.exit.filter(|_| !visit.naive) {
        let told = sink.send(Message::Binary(ServerFrame::Exit(exit).encode()));
        timeout(FAREWELL, told).await.ok();
    }
    part(&mut sink, &mut source, closing.code, closing.reason).await;
}

impl Visit {
    /// Finds out who calls and for what, and attaches.
    async fn attach(&self, source: &mut Source) -> Result<Attached, Closing> {
        let login = async { if self.naive { self.naive_hello(source).await } else { self.hello(source).await } };
        let late = |_| Closing::new(Close::Unauthorized, "nobody said who calls");
        let Visitor { app, peer, name, .. } = &self.visitor;
        let (caller, hello) = timeout(app.limits.login, login).await.map_err(late)??;
        let name: Name = name.parse().map_err(|_| Closing::new(Close::NotFound, "there is no such workspace"))?;
        let call = Call { peer: *peer, ..Call::of(Arc::clone(&caller)) };
        let what = if hello.exec.is_some() { "terminal/exec" } else { "terminal/attach" };
        let compress = hello.compress;
        let allowed = within(&caller, std::slice::from_ref(&name)).and_then(|()| {
            let may = hello.exec.is_none() || caller.role >= Role::User;
            may.then_some(()).ok_or_else(|| ApiError::Forbidden("a viewer may not run commands".to_owned()))
        });
        let attached = match allowed {
            Ok(()) => app.terminals.attach(&call, &name, hello).await,
            Err(error) => Err(error),
        };
        // Looking changes nothing.
        if attached.is_err() || caller.role >= Role::User {
            self.visitor.write_down(what, Some(&caller), attached.as_ref().err());
        }
        Ok(Attached { caller, name, compress, worker: attached? })
    }

    async fn hello(&self, source: &mut Source) -> Result<(Arc<Caller>, Hello), Closing> {
        let wrong = |what: String| Closing::new(Close::Failed, what);
        let frame = match source.next().await {
            Some(Ok(Message::Binary(frame))) => frame,
            Some(Ok(_)) => return Err(wrong("the first frame must be a hello".to_owned())),
            _ => return Err(Closing::gone()),
        };
        match ClientFrame::decode(&frame) {
            Ok(ClientFrame::Hello(mut hello)) => {
                let said = hello.token.take().map(|token| format!("Bearer {}", token.0));
                Ok((self.visitor.caller(said)?, *hello))
            }
            Ok(_) => Err(wrong("the first frame must be a hello".to_owned())),
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    /// One that has no header says in its first text who calls.
    async fn naive_hello(&self, source: &mut Source) -> Result<(Arc<Caller>, Hello), Closing> {
        let caller = self.visitor.told(source).await?.ok_or_else(Closing::gone)?;
        let Size { cols, rows } = Size::USUAL;
        let client = uuid::Uuid::new_v4().to_string();
        let hello = Hello {
            token: None,
            client,
            terminal: self.wanted.terminal.clone(),
            id: None,
            have: None,
            cols,
            rows,
            create: None,
            exec: None,
            compress: false,
        };
        Ok((caller, hello))
    }

    /// Moves bytes until one side ends, or nobody may look any more.
    async fn converse(&self, sink: &mut Sink, source: &mut Source, attached: Attached) -> Closing {
        let Attached { caller, name, compress, worker } = attached;
        let moved = async {
            if self.naive {
                naive::run(sink, source, worker).await
            } else {
                relay::run(sink, source, worker, compress).await
            }
        };
        let ended = tokio::select! {
            ended = moved => ended,
            () = self.visitor.app.auth.ended(&caller) => Some(Closing::new(Close::Unauthorized, "this access token was revoked or has expired")),
            () = self.visitor.app.shutdown.begun() => Some(Closing::new(Close::Going, "the agent is going")),
        };
        match ended {
            Some(closing) => closing,
            None => self.worker_is_gone(&name).await,
        }
    }

    /// The worker has ended the connection without a word: it is being replaced, or the workspace has stopped.
    async fn worker_is_gone(&self, name: &Name) -> Closing {
        let stopped = || Closing {
            exit: Some(Exit::gone("the workspace has stopped")),
            ..Closing::new(Close::Going, "the workspace has stopped")
        };
        // The container's end is known a moment later than the connection's.
        let known = async {
            while self.visitor.app.terminals.is_running(name) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        match timeout(COME_BACK, known).await {
            Ok(()) => stopped(),
            Err(_) => Closing::new(Close::Again, "the worker is being replaced"),
        }
    }
}
