//! The worker's requests and answers.

use std::convert::Infallible;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post, put};
use futures::stream;
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{Shared, Side, files, logs, sessions, ssh_agent, usage};
use crate::contract::worker::{ExecRequest, ExecResponse};
use crate::model::desired::WorkerPlan;
use crate::model::observed::WorkerSeen;
use crate::worker::link::{Request as ToInit, Status};
use crate::worker::{bootstrap, keys};

/// Watchers at a time.
pub(super) const WATCHERS: usize = 64;
/// The largest body that is read, in bytes.
const BODY: usize = 1 << 20;
/// A watcher hears at least this often, if only an empty line.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// PID 1 follows a plan at once; longer means that something is wrong with it.
const FOLLOW: Duration = Duration::from_secs(5);
/// A new executable needs milliseconds for its check.
const CHECK: Duration = Duration::from_secs(5);

/// An error answer: its status and, as text, what was wrong.
pub(super) type Refusal = (StatusCode, String);

/// The protocol of [`crate::contract::worker`], every request of it behind the secret.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/health", get(health))
        .route("/v1/watch", get(watch))
        .route("/v1/config", put(config))
        .route("/v1/exec", post(exec))
        .route("/v1/reload", post(reload))
        .route("/v1/logs", get(logs::get))
        .route("/v1/usage", get(usage::get))
        .route("/v1/sessions", get(sessions::watch))
        .route("/v1/messages", post(sessions::messages))
        .route("/v1/ssh-agent", get(ssh_agent::requests))
        .route("/v1/ssh-agent/{id}", post(ssh_agent::answer))
        .route("/v1/files/{hash}", put(files::put).layer(DefaultBodyLimit::max(files::BODY)))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is no such request".to_owned()) })
        .layer(DefaultBodyLimit::max(BODY))
        .layer(from_fn_with_state(Arc::clone(&shared), authorize))
        .with_state(shared)
}

/// Lets through only who holds the secret; how much of it a guess got right does not show in the time taken.
async fn authorize(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let token = given.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
    // An empty secret would let everybody in.
    if shared.secret.is_empty() || !bool::from(token.ct_eq(shared.secret.as_bytes())) {
        return (StatusCode::UNAUTHORIZED, "the secret of this workspace is missing or wrong").into_response();
    }
    next.run(request).await
}

fn seen(status: &Status, side: &Side) -> WorkerSeen {
    WorkerSeen {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        executable: status.executable.clone(),
        config: status.config.clone(),
        ssh: status.ssh.clone(),
        docker: status.docker.clone(),
        tasks: status.tasks.clone(),
        files: side.files.clone(),
        pressure: side.pressure.clone(),
    }
}

async fn health(State(shared): State<Arc<Shared>>) -> Json<WorkerSeen> {
    Json(seen(&shared.status.borrow(), &shared.side.borrow()))
}

/// What a watcher holds: only its place. A slow one misses states in between, never the last.
struct Watcher {
    status: watch::Receiver<Status>,
    side: watch::Receiver<Side>,
    first: bool,
    _permit: OwnedSemaphorePermit,
}

async fn watch(State(shared): State<Arc<Shared>>) -> Result<Response, Refusal> {
    let permit = Arc::clone(&shared.watchers).try_acquire_owned();
    let permit =
        permit.map_err(|_| (StatusCode::TOO_MANY_REQUESTS, format!("there are {WATCHERS} watchers already")))?;
    let watcher =
        Watcher { status: shared.status.clone(), side: shared.side.subscribe(), first: true, _permit: permit };
    let lines = stream::unfold(watcher, |mut watcher| async move {
        let line = watcher.next_line().await?;
        Some((Ok::<_, Infallible>(line), watcher))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

impl Watcher {
    /// The state at once, then each that follows; an empty line when there was none for a while.
    async fn next_line(&mut self) -> Option<Bytes> {
        if !std::mem::take(&mut self.first) {
            tokio::select! {
                changed = self.status.changed() => changed.ok()?,
                changed = self.side.changed() => changed.ok()?,
                () = tokio::time::sleep(HEARTBEAT) => return Some(Bytes::from_static(b"\n")),
            }
        }
        let mut line =
            serde_json::to_vec(&seen(&self.status.borrow_and_update(), &self.side.borrow_and_update())).ok()?;
        line.push(b'\n');
        Some(line.into())
    }
}

/// A body as JSON; what is wrong with it names the field.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

pub(super) fn internal(message: impl Into<String>) -> Refusal {
    (StatusCode::INTERNAL_SERVER_ERROR, message.into())
}

async fn config(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<StatusCode, Refusal> {
    let plan: WorkerPlan = parse(&body)?;
    keys::validate(&plan.authorized_keys).map_err(|error| (StatusCode::BAD_REQUEST, error.chain()))?;
    let _one_at_a_time = shared.configuring.lock().await;
    let hash = plan.hash.clone();
    keep(&shared, plan).map_err(|error| internal(error.chain()))?;
    if shared.requests.send(ToInit::Configure).await.is_err() {
        return Err(internal("PID 1 of the workspace is gone"));
    }
    // Answered only once it holds: who asks for health next must not see the new hash with the old services.
    let mut status = shared.status.clone();
    match tokio::time::timeout(FOLLOW, status.wait_for(|status| status.config == hash)).await {
        Ok(Ok(_)) => Ok(StatusCode::NO_CONTENT),
        _ => Err(internal(format!("PID 1 of the workspace did not follow within {} s", FOLLOW.as_secs()))),
    }
}

/// Writes a plan to where sshd and the next start find it.
fn keep(shared: &Shared, plan: WorkerPlan) -> Result<(), crate::worker::WorkerError> {
    let places = &shared.places;
    let mut bootstrap = bootstrap::read(&places.bootstrap)?;
    keys::write(&places.authorized_keys, &plan.authorized_keys)?;
    let (ports, may_lend) = (plan.ports.clone(), plan.ssh_agent);
    bootstrap.plan = plan;
    bootstrap::write(&places.bootstrap, &bootstrap)?;
    shared.ports.send_replace(ports);
    shared.may_lend.send_replace(may_lend);
    Ok(())
}

async fn exec(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<ExecResponse>, Refusal> {
    let request: ExecRequest = parse(&body)?;
    shared.execs.run(request).await.map(Json)
}

/// Tries the new executable before PID 1 becomes it: one that cannot run would end the workspace.
async fn reload(State(shared): State<Arc<Shared>>) -> Result<StatusCode, Refusal> {
    fit(&shared.places.executable).await.map_err(internal)?;
    match shared.requests.send(ToInit::Reload).await {
        Ok(()) => Ok(StatusCode::ACCEPTED),
        Err(_) => Err(internal("PID 1 of the workspace is gone")),
    }
}

/// Whether an executable runs and understands its bootstrap.
async fn fit(executable: &Path) -> Result<(), String> {
    let mut command = tokio::process::Command::new(executable);
    command.args(["worker", "check"]).stdin(Stdio::null()).kill_on_drop(true);
    let name = executable.display();
    let output = match tokio::time::timeout(CHECK, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("cannot run the new {name}: {error}")),
        Err(_) => return Err(format!("the new {name} did not answer within {} s", CHECK.as_secs())),
    };
    if output.status.success() {
        return Ok(());
    }
    let said: String = String::from_utf8_lossy(&output.stderr).trim().chars().take(1024).collect();
    Err(format!("the new {name} is not fit ({}): {said}", output.status))
}

#[cfg(test)]
mod tests {
    use tokio::sync::{Mutex, Semaphore, mpsc};

    use super::*;
    use crate::contract::worker::Bootstrap;
    use crate::model::observed::Service;
    use crate::worker::serve::{Execs, Places};

    fn status() -> Status {
        Status {
            executable: "e".into(),
            config: "h1".into(),
            ssh: Service::Off,
            docker: Service::Off,
            tasks: Vec::new(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_hears_an_empty_line_every_15_s_when_nothing_changes_and_the_end() {
        let (told, status) = watch::channel(status());
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a permit");
        let (_brought, side) = watch::channel(Side::default());
        let mut watcher = Watcher { status, side, first: true, _permit: permit };
        assert!(watcher.next_line().await.expect("a state").starts_with(b"{"));
        for _ in 0..3 {
            let began = tokio::time::Instant::now();
            assert_eq!(watcher.next_line().await.expect("a line"), "\n");
            assert_eq!(began.elapsed().as_secs(), 15);
        }
        drop(told);
        assert_eq!(watcher.next_line().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_plan_that_pid_one_does_not_follow_is_an_error_and_not_a_wait_for_ever() {
        let folder = tempfile::tempdir().expect("a folder");
        let places = Places {
            bootstrap: folder.path().join("bootstrap.json"),
            authorized_keys: folder.path().join("authorized_keys"),
            ..Places::default()
        };
        let plan = WorkerPlan { docker: true, hash: "h2".into(), ..WorkerPlan::default() };
        let content = Bootstrap {
            uid: "u".into(),
            name: "n".into(),
            secret: "s".into(),
            executable: "e".into(),
            plan: plan.clone(),
        };
        bootstrap::write(&places.bootstrap, &content).expect("written");
        let (requests, mut heard) = mpsc::channel(8);
        let (_told, status) = watch::channel(status());
        let execs = Execs::new(places.own.clone());
        let watchers = Arc::new(Semaphore::new(1));
        let secret = "s".to_owned();
        let (configuring, side) = (Mutex::new(()), watch::Sender::new(Side::default()));
        let ports = watch::Sender::default();
        let followers = Arc::new(Semaphore::new(1));
        let counting = super::super::Counting::default();
        let shared = Arc::new(Shared {
            places,
            secret,
            status,
            side,
            ports,
            requests,
            execs,
            watchers,
            followers,
            sessions: super::super::Sessions::new().0,
            counting,
            lent: Arc::default(),
            may_lend: watch::Sender::default(),
            configuring,
        });
        let body = Bytes::from(serde_json::to_vec(&plan).expect("JSON"));
        let (code, text) = config(State(shared), body).await.expect_err("not followed");
        assert_eq!((code, heard.recv().await), (StatusCode::INTERNAL_SERVER_ERROR, Some(ToInit::Configure)));
        assert!(text.contains("did not follow within 5 s"), "{text}");
    }
}
