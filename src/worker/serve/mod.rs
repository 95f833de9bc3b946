//! `perry worker serve`: answers the agent, over HTTP/2 on a Unix socket, as [`crate::contract::worker`] says.
//!
//! One thread: everything here waits. It is PID 1's child, and is started again by it when it dies; what outlives it
//! (sshd, dockerd, their states) is PID 1's.

mod exec;
mod files;
mod logs;
mod pressure;
mod relay;
mod routes;
mod sessions;

mod ssh_agent;
mod usage;

pub use exec::Execs;
pub use routes::router;
pub use sessions::Sessions;
pub use ssh_agent::Lent;
pub use usage::Counting;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::contract::logs::FOLDER;
use crate::contract::worker::{AUTHORIZED_KEYS, BOOTSTRAP, Bootstrap, EXECUTABLE, FILES_HASH, Socket};
use crate::model::observed::FilesSeen;
use crate::worker::link::{Request, Status};
use crate::worker::{WorkerError, bootstrap, fail, socket};

/// Connections at a time; an agent needs one.
const CONNECTIONS: usize = 64;
/// Requests at a time on a connection: all that may run and watch, and some more.
const STREAMS: u32 = 256;
/// How long answers on their way may take once the end has come.
const FAREWELL: Duration = Duration::from_millis(200);
/// A peer that is gone behind an `exec` bridge is noticed by pings.
const PING: Duration = Duration::from_secs(30);

/// Where `serve` finds its files; other places in tests.
#[derive(Debug, Clone)]
pub struct Places {
    /// Where it listens.
    pub socket: PathBuf,
    /// The bootstrap file.
    pub bootstrap: PathBuf,
    /// The file of public keys.
    pub authorized_keys: PathBuf,
    /// The executable that a reload takes.
    pub executable: PathBuf,
    /// Where the hash of the files that were brought is kept.
    pub files_hash: PathBuf,
    /// What files are written below.
    pub root: PathBuf,
    /// Where PID 1 keeps logs.
    pub logs: PathBuf,
    /// The executable that commands are entered through: this one.
    pub own: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            socket: Socket::Worker.path(),
            bootstrap: BOOTSTRAP.into(),
            authorized_keys: AUTHORIZED_KEYS.into(),
            executable: EXECUTABLE.into(),
            files_hash: FILES_HASH.into(),
            root: "/".into(),
            logs: FOLDER.into(),
            own: "/proc/self/exe".into(),
        }
    }
}

/// What `serve` itself knows of the workspace, beside what PID 1 says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Side {
    /// The files that were brought.
    pub files: FilesSeen,
    /// Where there is little room on disk.
    pub pressure: Option<String>,
}

/// Everything that requests share.
pub struct Shared {
    /// Where the files are.
    pub places: Places,
    /// What requests must prove.
    pub secret: String,
    /// What PID 1 said last.
    pub status: watch::Receiver<Status>,
    /// What `serve` itself knows of the workspace.
    pub side: watch::Sender<Side>,
    /// Ports inside that are reached from outside.
    pub ports: watch::Sender<BTreeSet<u16>>,
    /// Where PID 1 hears from `serve`.
    pub requests: mpsc::Sender<Request>,
    /// The commands that run.
    pub execs: Execs,
    /// One for each watcher that may still come.
    pub watchers: Arc<Semaphore>,
    /// One for each reader of logs that may still come.
    pub followers: Arc<Semaphore>,
    /// The sessions of coding agents.
    pub sessions: Sessions,
    /// Bytes on disk.
    pub counting: Counting,
    /// Messages to the ssh agent outside.
    pub lent: Arc<Lent>,
    /// Whether git may use that.
    pub may_lend: watch::Sender<bool>,
    /// Plans and files are taken one after another.
    pub configuring: tokio::sync::Mutex<()>,
}

/// Serves with PID 1 on stdin and stdout, until that is gone or says so.
pub fn run() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(source) => return fail(&WorkerError::System { what: "start the event loop", source }),
    };
    let code = match runtime.block_on(serve(Places::default(), tokio::io::stdin(), tokio::io::stdout())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    };
    // A read of stdin may be stuck in its thread for ever.
    runtime.shutdown_background();
    code
}

/// Serves until `from_init` ends or SIGTERM comes. Dropping the future ends every command.
///
/// # Errors
/// The bootstrap is missing or broken, the socket cannot be made, or PID 1 says nothing.
pub async fn serve(
    places: Places,
    from_init: impl AsyncRead + Unpin,
    mut to_init: impl AsyncWrite + Unpin,
) -> Result<(), WorkerError> {
    let Bootstrap { secret, plan, .. } = bootstrap::read(&places.bootstrap)?;
    let (ports, may_lend) = (watch::Sender::new(plan.ports), watch::Sender::new(plan.ssh_agent));
    let side = watch::Sender::new(Side { files: files::brought(&places.files_hash), pressure: None });
    let _relays = OnDrop(tokio::spawn(relay::keep(ports.subscribe())));
    let _pressure = OnDrop(tokio::spawn(pressure::watch(side.clone())));
    let listener = socket::listen(&places.socket)?;
    let mut lines = BufReader::new(from_init).lines();
    let first = next_status(&mut lines).await.ok_or_else(|| WorkerError::System {
        what: "learn anything from PID 1",
        source: std::io::ErrorKind::UnexpectedEof.into(),
    })?;
    let (status_in, status) = watch::channel(first);
    let lent = Arc::<Lent>::default();
    let _lending = OnDrop(tokio::spawn(ssh_agent::lend(status.clone(), may_lend.subscribe(), Arc::clone(&lent))));
    let (sessions, index) = Sessions::new();
    let _index = OnDrop(tokio::spawn(index.keep(places.own.clone())));
    let (requests, mut outgoing) = mpsc::channel(8);
    let shared = Shared {
        execs: Execs::new(places.own.clone()),
        side,
        followers: Arc::new(Semaphore::new(logs::FOLLOWERS)),
        sessions,
        counting: Counting::default(),
        lent,
        may_lend,
        ports,
        places,
        secret,
        status,
        requests,
        watchers: Arc::new(Semaphore::new(routes::WATCHERS)),
        configuring: tokio::sync::Mutex::new(()),
    };
    let (open, closing) = watch::channel(false);
    let router = router(Arc::new(shared));
    send(&mut to_init, Request::Ready).await?;
    let mut terminate = signal(SignalKind::terminate()).map_err(WorkerError::system("await signals"))?;
    let acceptor = tokio::spawn(accept(listener, router, closing));
    loop {
        tokio::select! {
            status = next_status(&mut lines) => match status {
                Some(status) => { status_in.send_replace(status); }
                None => break,
            },
            Some(request) = outgoing.recv() => send(&mut to_init, request).await?,
            _ = terminate.recv() => break,
        }
    }
    drop(open);
    // The acceptor ends when every connection has: an answer on its way, to a reload for one, gets there.
    let _ = tokio::time::timeout(FAREWELL, acceptor).await;
    Ok(())
}

/// A task that ends with the future that holds this.
struct OnDrop(tokio::task::JoinHandle<()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The next status; `None` once PID 1 is gone. A line that cannot be read is none of its lines, so the end too.
async fn next_status<R: AsyncRead + Unpin>(lines: &mut tokio::io::Lines<BufReader<R>>) -> Option<Status> {
    let line = lines.next_line().await.ok()??;
    serde_json::from_str(&line).ok()
}

async fn send(to_init: &mut (impl AsyncWrite + Unpin), request: Request) -> Result<(), WorkerError> {
    let line = format!("{}\n", request.word());
    let written = async {
        to_init.write_all(line.as_bytes()).await?;
        to_init.flush().await
    };
    written.await.map_err(WorkerError::system("write to PID 1"))
}

/// Accepts until `closing` loses its sender, then waits for the connections.
async fn accept(listener: UnixListener, router: Router, mut closing: watch::Receiver<bool>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = closing.changed() => break,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors: until one is free there is nothing to do.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // A connection too many is closed at once.
        if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
            let connection = converse(stream, router.clone(), closing.clone());
            connections.spawn(async move {
                connection.await;
                drop(permit);
            });
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// One connection, until it ends or, once `closing` has lost its sender, its requests have been answered.
async fn converse(stream: UnixStream, router: Router, mut closing: watch::Receiver<bool>) {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(16 << 10);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    // How it ended concerns the peer alone, and the peer knows.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = closing.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
