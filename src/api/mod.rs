//! The HTTP side of the agent: the procedures of the contract in the form of oRPC 1.x, behind a guard.
//!
//! [`listen`] opens the sockets and [`serve`] answers on them; [`router`] is all of it without a socket. What the
//! procedures do is in [`Api`], which writes intent, reads views, and has no way to the runtime but `Attach`.

pub mod addresses;
mod apply;
mod auth;
mod call;
mod doctor;
mod feed;
mod feeds;
mod guard;
mod host_right;
mod intent;
mod listen;
mod logs;
mod metrics;
mod page;
mod pairing;
mod procedures;
mod respond;
mod rpc;
mod session_stream;
mod sessions;
mod socket;
mod sse;
mod stall;
mod terminal;
mod terminals;
mod tls;
mod tokens;
mod upkeep;
mod usage;
mod visitor;
mod workspaces;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get};
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::{Semaphore, watch};

use crate::clock::Clock;
use crate::contract::{Service, openapi};
use crate::store::audit::Records;

pub use auth::Auth;
pub use guard::{Guard, OriginError};
pub use intent::{Edit, Intents};
pub use listen::{ListenError, Listening, listen, serve};
pub use metrics::Metrics;
pub use procedures::{Api, Identity, Parts};
pub use terminals::Terminals;
pub use tls::TlsError;

/// What bounds the HTTP side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a request's body.
    pub body: usize,
    /// How long a request's body may take to arrive.
    pub arrival: Duration,
    /// The most event streams at once, of all clients.
    pub streams: usize,
    /// The most connections at once; more are closed as they come.
    pub connections: usize,
    /// How long a reader may take nothing of what is there for it, before its connection is closed.
    pub stall: Duration,
    /// How long a WebSocket may be open before a call with a good token comes.
    pub login: Duration,
}

impl Default for Limits {
    /// 1 MiB within 10 s, 256 streams, 1024 connections, 30 s without anything being read, 10 s to log in.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            body: 1 << 20,
            arrival: seconds(10),
            streams: 256,
            connections: 1024,
            stall: seconds(30),
            login: seconds(10),
        }
    }
}

/// Tells everybody that the agent is to end.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<watch::Sender<bool>>);

impl Shutdown {
    /// Nobody has been told yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// The agent is to end. May be said again.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it was said; at once where it was.
    pub async fn begun(&self) {
        let mut receiver = self.0.subscribe();
        // The sender is in `self`, so the wait ends only when it was said.
        receiver.wait_for(|begun| *begun).await.ok();
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

/// What the HTTP side is made of.
pub struct Door {
    /// The terminals of workspaces.
    pub terminals: Arc<dyn Terminals>,
    /// The procedures: [`Table`](crate::contract::Table) of an [`Api`], as a rule.
    pub service: Arc<dyn Service>,
    /// By which names it may be called, and from which pages.
    pub guard: Guard,
    /// Who calls.
    pub auth: Auth,
    /// Where it is written down what they do.
    pub records: Arc<dyn Records>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What bounds it.
    pub limits: Limits,
    /// Ends it.
    pub shutdown: Shutdown,
}

/// What every request needs.
#[derive(Clone)]
struct App {
    terminals: Arc<dyn Terminals>,
    service: Arc<dyn Service>,
    guard: Arc<Guard>,
    auth: Auth,
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    limits: Limits,
    streams: Arc<Semaphore>,
    shutdown: Shutdown,
}

/// The whole HTTP side of an agent.
pub fn router(door: Door) -> Router {
    let Door { terminals, service, guard, auth, records, clock, metrics, limits, shutdown } = door;
    let streams = Arc::new(Semaphore::new(limits.streams));
    let app =
        App { terminals, service, guard: Arc::new(guard), auth, records, clock, metrics, limits, streams, shutdown };
    Router::new()
        .route("/health", get(health))
        .route("/openapi.json", get(describe))
        .route("/metrics", get(metrics::page))
        .route("/rpc", any(socket::upgrade))
        .route("/terminal/{name}", any(terminal::upgrade))
        .route("/rpc/terminal/{name}", any(terminal::upgrade))
        .route("/sessions/{name}", any(session_stream::upgrade))
        .merge(page::routes())
        .fallback(rpc::entry)
        .layer(middleware::from_fn_with_state(app.clone(), guarded))
        .with_state(app)
}

async fn guarded(State(app): State<App>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let passed = match app.guard.judge(&parts) {
        guard::Verdict::Refuse(error) => return respond::error(&error.body(&[])),
        guard::Verdict::Preflight(response) => return response,
        guard::Verdict::Pass(passed) => passed,
    };
    let mut response = next.run(Request::from_parts(parts, body)).await;
    passed.mark(response.headers_mut());
    respond::harden(response.headers_mut());
    response
}

async fn health() -> Json<serde_json::Value> {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

async fn describe() -> Json<serde_json::Value> {
    Json(openapi::document(env!("CARGO_PKG_VERSION")))
}
