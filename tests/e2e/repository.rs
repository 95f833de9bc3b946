//! A git server of the test's own, as a container can reach it: a repository over HTTP, with or without a login, which
//! can be told to wait with its answers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// The server; it ends when this is dropped.
pub(crate) struct Repository {
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    folder: tempfile::TempDir,
    /// The one `authorization` header that is let in.
    login: Option<String>,
    /// How many requests may still be answered.
    open: Semaphore,
    asked: AtomicU32,
}

/// More answers than any test needs.
const ALL: usize = 1 << 20;

impl Repository {
    /// A repository with one commit; `login` is `name:password` in the form of HTTP's basic authentication.
    pub(crate) async fn start(login: Option<&str>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        make(folder.path());
        let login = login.map(|login| format!("Basic {login}"));
        let shared = Arc::new(Shared { folder, login, open: Semaphore::new(ALL), asked: AtomicU32::new(0) });
        let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { port, shared, task }
    }

    /// Its URL for a container whose network has this gateway.
    pub(crate) fn url(&self, gateway: &str) -> String {
        format!("http://{gateway}:{}/app.git", self.port)
    }

    /// Nobody is answered from now on.
    pub(crate) fn hold(&self) {
        self.shared.open.forget_permits(ALL);
    }

    /// Whoever waits is answered.
    pub(crate) fn release(&self) {
        self.shared.open.add_permits(ALL);
    }

    /// How many requests have come.
    pub(crate) fn asked(&self) -> u32 {
        self.shared.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The files of a bare repository are all that git needs.
async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    shared.asked.fetch_add(1, Ordering::SeqCst);
    let _open = shared.open.acquire().await;
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if shared.login.is_some() && given != shared.login.as_deref() {
        let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"test\"")];
        return (StatusCode::UNAUTHORIZED, ask, "who are you?").into_response();
    }
    let path: PathBuf = shared.folder.path().join(request.uri().path().trim_start_matches('/'));
    std::fs::read(path).map_or(StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response)
}

fn make(folder: &Path) {
    let (tree, bare) = (folder.join("tree"), folder.join("app.git"));
    std::fs::create_dir(&tree).expect("made");
    std::fs::write(tree.join("README"), "cloned\n").expect("written");
    let git = |words: &[&str]| {
        let who = ["-c", "user.name=me", "-c", "user.email=me@laptop", "-c", "init.defaultBranch=main"];
        let output = Command::new("git").args(who).args(words).output().expect("these tests need git");
        assert!(output.status.success(), "git {words:?}: {output:?}");
    };
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    git(&["init", "-q", &text(&tree)]);
    git(&["-C", &text(&tree), "add", "."]);
    git(&["-C", &text(&tree), "commit", "-qm", "first"]);
    git(&["clone", "-q", "--bare", &text(&tree), &text(&bare)]);
    git(&["-C", &text(&bare), "update-server-info"]);
}
