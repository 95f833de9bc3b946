//! The API by itself: requests a second against the reference server on node, and watchers, many of them.

#![allow(clippy::print_stdout, reason = "to print figures is what a bench is for")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::fake::Agent;
use common::{begin, ms, quantile, tell};
use perry::contract::{NameInput, NoInput};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connections that ask as fast as they are answered; the machine has few processors, and one is the server's.
const ASKERS: usize = 4;
const RUN: Duration = Duration::from_secs(3);
/// Requests a second for the answer's time.
const PACE: u64 = 2_000;
const WATCHERS: usize = 1_000;
const IDLE: usize = 5_000;

fn main() {
    common::fake::serve_if_told();
    begin("api");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let agent = Agent::with(100).await;
        requests(&agent).await;
        news(&agent).await;
        // Each in an agent of its own: memory that was in use before would be taken again and not be seen.
        idle(&Agent::with(100).await, Transport::EventStream).await;
        idle(&Agent::with(100).await, Transport::WebSocket).await;
    });
}

async fn requests(agent: &Agent) {
    let body = agent.client.call_raw("workspaces/list", &NoInput {}).await.expect("a list");
    let node = Node::start(&body);
    let ours = Target::new(agent.client.address(), Some(&agent.token));
    let theirs = Target::new(&node.address, None);
    let (mut own, mut other) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        other.push(theirs.per_second().await);
        own.push(ours.per_second().await);
    }
    println!("  workspaces.list of 100 ({} kB) over keep-alive, {ASKERS} connections:", body.len() / 1000);
    tell("@orpc/server on node, requests a second", common::median(&other), "", None);
    tell("perry, requests a second", common::median(&own), "", None);
    tell("ratio (asked for: at least 10)", common::ratio(&own, &other), "x", None);
    let times = ours.paced().await;
    println!("  at {PACE} requests a second:");
    tell("median", quantile(&times, 0.5), "ms", None);
    tell("99 of 100", quantile(&times, 0.99), "ms", None);
}

/// One change to many watchers.
async fn news(agent: &Agent) {
    let target = Target::new(agent.client.address(), Some(&agent.token));
    let counts = Counts::default();
    let _watchers = target.watchers(WATCHERS, Transport::EventStream, &counts).await;
    let mut took = Vec::new();
    for round in 0..20 {
        counts.seen.store(0, Ordering::SeqCst);
        counts.round.store(round + 1, Ordering::SeqCst);
        let name = format!("w{round:03}").parse().expect("a name");
        let began = Instant::now();
        // What is told of it first reaches all at once.
        agent.client.stop_workspace(&NameInput { name }).await.expect("accepted");
        until(&counts.seen, WATCHERS).await;
        took.push(ms(began.elapsed()));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    println!("  one change to {WATCHERS} watchers, until the last has it, the call included, 20 times:");
    tell("median", common::median(&took), "ms", Some(50.0));
    tell("most", quantile(&took, 1.0), "ms", None);
}

/// What idle watchers cost.
async fn idle(agent: &Agent, transport: Transport) {
    let before = agent.resident();
    let target = Target::new(agent.client.address(), Some(&agent.token));
    let _watchers = target.watchers(IDLE, transport, &Counts::default()).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    #[allow(clippy::cast_precision_loss)]
    let each = (agent.resident() - before) * 1024.0 / IDLE as f64;
    println!("  {IDLE} idle watchers ({}), after a sign of life each:", transport.told());
    tell("resident memory of the agent for each", each, "KiB", Some(20.0));
}

/// Waits until a count is reached.
async fn until(count: &AtomicUsize, wanted: usize) {
    let began = Instant::now();
    while count.load(Ordering::SeqCst) < wanted {
        assert!(began.elapsed() < Duration::from_secs(60), "only {} of {wanted}", count.load(Ordering::SeqCst));
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

/// The reference server; it ends when dropped.
struct Node {
    child: Child,
    address: String,
}

impl Node {
    fn start(body: &[u8]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/orpc-server");
        if !folder.join("node_modules").is_dir() {
            let install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
            let status = Command::new("npm").args(install).current_dir(&folder).stdout(Stdio::null()).status();
            assert!(status.expect("npm").success(), "npm ci in {}", folder.display());
        }
        let mut command = Command::new("node");
        command.arg("server.mjs").current_dir(&folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("node");
        let answer: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        let mut input = child.stdin.take().expect("a pipe");
        input.write_all(answer["json"].to_string().as_bytes()).expect("written");
        drop(input);
        let mut address = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut address).expect("its address");
        Self { child, address: address.trim().to_owned() }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A server, and what is sent to it.
struct Target {
    address: String,
    authorization: String,
}

impl Target {
    fn new(address: &str, token: Option<&str>) -> Self {
        let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        Self { address: address.to_owned(), authorization }
    }

    fn request(&self, path: &str) -> Vec<u8> {
        let Self { address, authorization } = self;
        let head = format!(
            "POST /rpc/{path} HTTP/1.1\r\nhost: {address}\r\n{authorization}content-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        head.into_bytes()
    }

    async fn open(&self) -> Asker {
        let stream = TcpStream::connect(&self.address).await.expect("a listener");
        stream.set_nodelay(true).expect("set");
        Asker { stream, request: self.request("workspaces/list"), buffer: vec![0; 1 << 20] }
    }

    async fn per_second(&self) -> f64 {
        let mut tasks = Vec::new();
        let began = Instant::now();
        for _ in 0..ASKERS {
            let mut asker = self.open().await;
            tasks.push(tokio::spawn(async move {
                let mut count = 0_u32;
                while began.elapsed() < RUN {
                    asker.ask().await;
                    count += 1;
                }
                count
            }));
        }
        let mut all = 0;
        for task in tasks {
            all += task.await.expect("it runs");
        }
        f64::from(all) / began.elapsed().as_secs_f64()
    }

    /// Times of answers at a fixed pace, from when each was due: a server that falls behind cannot hide it.
    async fn paced(&self) -> Vec<f64> {
        let began = Instant::now();
        let connections = 8;
        let mut tasks = Vec::new();
        for lane in 0..connections {
            let mut asker = self.open().await;
            tasks.push(tokio::spawn(async move {
                let mut times = Vec::new();
                for n in 0..PACE * RUN.as_secs() / connections {
                    let due = Duration::from_micros((n * connections + lane) * 1_000_000 / PACE);
                    tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
                    asker.ask().await;
                    times.push(ms(began.elapsed().saturating_sub(due)));
                }
                times
            }));
        }
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await.expect("it runs"));
        }
        all
    }

    /// So many that watch, once all have the list.
    async fn watchers(&self, count: usize, transport: Transport, counts: &Counts) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            let mut stream = TcpStream::connect(&self.address).await.expect("a listener");
            let request = match transport {
                Transport::EventStream => self.request("workspaces/watch"),
                Transport::WebSocket => self.websocket(),
            };
            stream.write_all(&request).await.expect("sent");
            tasks.spawn(follow(stream, counts.clone()));
        }
        until(&counts.ready, count).await;
        tasks
    }

    /// The upgrade, and at once after it the call in a frame: no answer is needed for it.
    fn websocket(&self) -> Vec<u8> {
        let Self { address, authorization } = self;
        let upgrade = format!(
            "GET /rpc HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let token = authorization.trim_end().trim_start_matches("authorization: ");
        let headers = serde_json::json!({ "authorization": token });
        let call = serde_json::json!({"i": "1", "p": {"u": "/workspaces/watch", "b": {"json": {}}, "h": headers}});
        let call = call.to_string();
        assert!((126..65536).contains(&call.len()), "its length is written with two bytes");
        // A whole text, masked with zeros: as it is.
        let length = u16::try_from(call.len()).expect("short").to_be_bytes();
        [upgrade.as_bytes(), &[0x81, 0x80 | 126], &length, &[0; 4], call.as_bytes()].concat()
    }
}

#[derive(Clone, Copy)]
enum Transport {
    EventStream,
    WebSocket,
}

impl Transport {
    fn told(self) -> &'static str {
        match self {
            Self::EventStream => "event streams",
            Self::WebSocket => "WebSockets",
        }
    }
}

/// How many watchers have the list, and how many were told of a change in this round, each counted once: a stop is
/// several changes, and who is quick has the second before the last has the first.
#[derive(Clone, Default)]
struct Counts {
    ready: Arc<AtomicUsize>,
    seen: Arc<AtomicUsize>,
    round: Arc<AtomicUsize>,
}

/// A connection that is kept.
struct Asker {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Asker {
    /// Asks once and reads the whole answer.
    async fn ask(&mut self) {
        self.stream.write_all(&self.request).await.expect("sent");
        let (mut read, mut end) = (0, usize::MAX);
        while read < end {
            let more = self.stream.read(&mut self.buffer[read..]).await.expect("readable");
            assert!(more > 0, "the server goes on");
            read += more;
            if end == usize::MAX {
                end = length(&self.buffer[..read]).unwrap_or(usize::MAX);
            }
            // A chunked answer says by itself where it ends.
            if end == usize::MAX && self.buffer[..read].ends_with(b"\r\n0\r\n\r\n") {
                break;
            }
        }
    }
}

/// How long an answer is, head included, where its head is whole and says so.
fn length(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(&answer[..head]).expect("text").to_ascii_lowercase();
    assert!(text.starts_with("http/1.1 200"), "{text}");
    let value = text.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    Some(head + 4 + value.trim().parse::<usize>().expect("a number"))
}

/// Reads a watch and counts; looks at the beginning of what comes only, to leave the processor to the server.
async fn follow(mut stream: TcpStream, counts: Counts) {
    let mut buffer = vec![0; 64 << 10];
    let (mut listed, mut told) = (false, 0);
    loop {
        let Ok(read @ 1..) = stream.read(&mut buffer).await else { return };
        let has = |what: &[u8], text: &[u8]| text.windows(what.len()).any(|window| window == what);
        if !listed && has(b"\"bookmark\"", &buffer[..read]) {
            listed = true;
            // What is kept to read with is this process's own affair.
            buffer = vec![0; 8 << 10];
            counts.ready.fetch_add(1, Ordering::SeqCst);
        } else if listed && has(b"\"modified\"", &buffer[..read.min(200)]) {
            let round = counts.round.load(Ordering::SeqCst);
            if round > std::mem::replace(&mut told, round) {
                counts.seen.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}
