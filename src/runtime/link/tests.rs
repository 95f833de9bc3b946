use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures::{StreamExt as _, stream};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::*;
use crate::model::observed::{FilesSeen, Service};
use crate::runtime::Hint;

const SLOT: usize = 64 << 10;

/// A worker that says what it is told to say, reached over streams in memory.
struct Worker {
    secret: String,
    state: watch::Sender<WorkerSeen>,
    /// Counts up to end every connection that is open.
    break_off: watch::Sender<u64>,
    local: bool,
    listens: bool,
    sockets: AtomicU32,
    bridges: AtomicU32,
    answer: Mutex<(u16, Vec<u8>)>,
    /// It ends before it has answered anything but a watch.
    dies: AtomicBool,
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

impl Worker {
    fn new(local: bool, listens: bool) -> Self {
        Self {
            secret: key().secret(&owner().uid),
            state: watch::Sender::new(seen("1")),
            break_off: watch::Sender::new(0),
            local,
            listens,
            sockets: AtomicU32::new(0),
            bridges: AtomicU32::new(0),
            answer: Mutex::new((200, Vec::new())),
            dies: AtomicBool::new(false),
        }
    }

    fn connect(self: &Arc<Self>) -> Box<dyn Duplex> {
        let (ours, theirs) = tokio::io::duplex(SLOT);
        let (worker, mut break_off) = (Arc::clone(self), self.break_off.subscribe());
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let answer = worker.answer(&request);
                async { Ok::<_, Infallible>(answer) }
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::select! {
                _ = server.serve_connection(TokioIo::new(theirs), service) => {}
                _ = break_off.changed() => {}
            }
        });
        Box::new(ours)
    }

    fn answer(&self, request: &Request<Incoming>) -> Answer {
        let bearer = format!("Bearer {}", self.secret);
        if request.headers().get(hyper::header::AUTHORIZATION).is_none_or(|value| value.as_bytes() != bearer.as_bytes())
        {
            return full(401, b"no".to_vec());
        }
        if request.uri().path() != "/v1/watch" {
            if self.dies.load(Ordering::Relaxed) {
                self.break_off.send_modify(|count| *count += 1);
            }
            let (status, body) = self.answer.lock().expect("not poisoned").clone();
            return full(status, body);
        }
        let lines = stream::unfold((self.state.subscribe(), true), |(mut state, first)| async move {
            if !first {
                state.changed().await.ok()?;
            }
            let line = serde_json::to_string(&*state.borrow_and_update()).expect("JSON");
            Some((format!("{line}\n\n"), (state, false)))
        });
        // In small pieces: a line does not end where a frame does.
        let pieces =
            lines.flat_map(|line| stream::iter(line.into_bytes()).chunks(7).map(|piece| Ok(Frame::data(piece.into()))));
        Response::new(BoxBody::new(StreamBody::new(pieces)))
    }
}

fn full(status: u16, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)).boxed());
    *answer.status_mut() = status.try_into().expect("a status");
    answer
}

struct Reach(Arc<Worker>);

#[async_trait]
impl Dial for Reach {
    async fn shares_machine(&self) -> bool {
        self.0.local
    }

    async fn socket(&self, _: &Uid, _: Socket) -> Result<Box<dyn Duplex>, RuntimeError> {
        self.0.sockets.fetch_add(1, Ordering::Relaxed);
        if self.0.listens { Ok(self.0.connect()) } else { Err(not_running()) }
    }

    async fn bridge(&self, container: &str, _: Socket) -> Result<Box<dyn Duplex>, RuntimeError> {
        assert_eq!(container, "c-1");
        self.0.bridges.fetch_add(1, Ordering::Relaxed);
        Ok(self.0.connect())
    }
}

fn key() -> Key {
    Key::new(b"a key".to_vec())
}

fn owner() -> Owner {
    Owner { agent: "a".to_owned(), uid: Uid("u-1".to_owned()), name: "demo".parse().expect("a name") }
}

fn seen(config: &str) -> WorkerSeen {
    WorkerSeen {
        version: "0.1.0".to_owned(),
        executable: "e".to_owned(),
        config: config.to_owned(),
        ssh: Service::Running,
        docker: Service::Failed { message: "line\nbreak".to_owned() },
        tasks: Vec::new(),
        files: FilesSeen::default(),
        pressure: None,
    }
}

fn links(worker: &Arc<Worker>) -> (Links, Arc<Hints>) {
    let hints = Arc::new(Hints::default());
    (Links::new(Arc::new(Reach(Arc::clone(worker))), key(), Arc::clone(&hints)), hints)
}

async fn hinted(hints: &Hints) {
    let hint = tokio::time::timeout(Duration::from_secs(100), hints.next()).await.expect("a hint");
    assert_eq!(hint, Hint::Workspace(owner().name));
}

#[tokio::test(start_paused = true)]
async fn what_the_worker_says_is_known_at_once_and_hinted_at() {
    let worker = Arc::new(Worker::new(true, true));
    let (links, hints) = links(&worker);
    assert_eq!(links.seen(&owner().uid), None);
    links.keep(&owner(), "c-1");
    hinted(&hints).await;
    assert_eq!(links.seen(&owner().uid), Some(seen("1")));
    worker.state.send_replace(seen("2"));
    hinted(&hints).await;
    assert_eq!(links.seen(&owner().uid), Some(seen("2")));
}

#[tokio::test(start_paused = true)]
async fn a_lost_link_is_hinted_at_and_made_again() {
    let worker = Arc::new(Worker::new(true, true));
    let (links, hints) = links(&worker);
    links.keep(&owner(), "c-1");
    hinted(&hints).await;
    worker.break_off.send_modify(|count| *count += 1);
    hinted(&hints).await;
    assert_eq!(links.seen(&owner().uid), None);
    hinted(&hints).await;
    assert_eq!(links.seen(&owner().uid), Some(seen("1")));
    assert_eq!(worker.sockets.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_know_the_secret_is_not_believed() {
    let mut worker = Worker::new(true, true);
    worker.secret = "another".to_owned();
    let (links, _) = links(&Arc::new(worker));
    links.keep(&owner(), "c-1");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(links.seen(&owner().uid), None);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_ended_dials_no_more() {
    let worker = Arc::new(Worker::new(true, false));
    let (links, _) = links(&worker);
    links.keep(&owner(), "c-1");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let tries = worker.sockets.load(Ordering::Relaxed);
    assert!((300..600).contains(&tries), "{tries} tries in a minute");
    links.end(&owner().uid);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(worker.sockets.load(Ordering::Relaxed), tries);
}

#[tokio::test(start_paused = true)]
async fn keeping_the_same_container_again_changes_nothing_and_another_replaces_it() {
    let worker = Arc::new(Worker::new(true, true));
    let (links, hints) = links(&worker);
    for _ in 0..3 {
        links.keep(&owner(), "c-1");
    }
    hinted(&hints).await;
    assert_eq!(worker.sockets.load(Ordering::Relaxed), 1);
    links.keep(&owner(), "c-2");
    assert_eq!(links.seen(&owner().uid), None, "what the one before said does not count");
    hinted(&hints).await;
    assert_eq!(worker.sockets.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_remote_engine_is_reached_by_the_bridge() {
    let worker = Arc::new(Worker::new(false, false));
    let (links, hints) = links(&worker);
    links.keep(&owner(), "c-1");
    hinted(&hints).await;
    assert_eq!(links.seen(&owner().uid), Some(seen("1")));
    assert_eq!(worker.sockets.load(Ordering::Relaxed), 0);
    links.dial(&owner().uid).await.expect("another connection");
    assert_eq!(worker.bridges.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_never_comes_gives_way_to_the_bridge() {
    let worker = Arc::new(Worker::new(true, false));
    let (links, hints) = links(&worker);
    links.keep(&owner(), "c-1");
    hinted(&hints).await;
    assert_eq!(links.seen(&owner().uid), Some(seen("1")));
    assert_eq!(worker.bridges.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_commands_end_comes_back_whole() {
    let worker = Arc::new(Worker::new(true, true));
    let (links, _) = links(&worker);
    let request = ExecRequest { command: vec!["true".to_owned()], timeout: Some(1) };
    let error = links.exec(&owner().uid, &request).await.expect_err("no link is kept");
    assert!(error.to_string().contains("not running"), "{error}");
    links.keep(&owner(), "c-1");
    let answer = ExecResponse { stdout: "\0".repeat(1 << 20), stderr: String::new(), exit_code: 3, truncated: true };
    *worker.answer.lock().expect("not poisoned") = (200, serde_json::to_vec(&answer).expect("JSON"));
    // It waits for the link, which is not up yet.
    assert_eq!(links.exec(&owner().uid, &request).await, Ok(answer));
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_refuses_or_fails_at_is_told_apart() {
    let worker = Arc::new(Worker::new(true, true));
    let (links, _) = links(&worker);
    links.keep(&owner(), "c-1");
    let set = |status, body: &[u8]| *worker.answer.lock().expect("not poisoned") = (status, body.to_vec());
    set(413, b"too much\n");
    assert_eq!(
        links.reload(&owner().uid, "e").await,
        Err(RuntimeError::Refused("the worker refused: too much".to_owned()))
    );
    set(500, b"");
    let error = links.reload(&owner().uid, "e").await.expect_err("500");
    assert_eq!(error, RuntimeError::Failed("the worker failed: 500 Internal Server Error".to_owned()));
    set(200, b"no JSON");
    let request = ExecRequest { command: vec!["true".to_owned()], timeout: None };
    links.exec(&owner().uid, &request).await.expect_err("no JSON");
    set(200, &vec![b' '; 33 << 20]);
    let error = links.exec(&owner().uid, &request).await.expect_err("too long");
    assert!(error.to_string().contains("limit"), "{error}");
    worker.dies.store(true, Ordering::Relaxed);
    links.reload(&owner().uid, "e").await.expect("it is on its way");
    links.exec(&owner().uid, &request).await.expect_err("a command's answer is missed");
    worker.dies.store(false, Ordering::Relaxed);
    set(204, b"");
    links.reload(&owner().uid, "e").await.expect("done");
}
