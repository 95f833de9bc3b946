//! What is measured of one way to a terminal.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::common::ms;
use crate::cpu;
use crate::line::Line;
use crate::world::{Peer, World, random};

/// Keys that do not count.
const WARM_UP: usize = 50;
/// About 6 MB/s of lines.
const PRINTER: [&str; 3] = [
    "perl",
    "-e",
    "$b = ('x' x 79 . \"\\n\") x 768; while (1) { syswrite STDOUT, $b; select undef, undef, undef, 0.01 }",
];
/// 100 MiB of lines that differ.
const FLOOD: [&str; 3] = [
    "sh",
    "-c",
    "test -f /tmp/flood || seq -f 'line %.0f of a program that prints a lot, in lines of some eighty bytes' 1500000 | head -c 104857600 >/tmp/flood; stty raw -echo; echo ready; head -c 1 >/dev/null; exec cat /tmp/flood",
];
const FLOOD_BYTES: usize = 100 << 20;
const YES: [&str; 3] =
    ["sh", "-c", "trap 'printf %s%s inter rupted; exit 3' INT; echo go; yes 'some line or other that goes on and on'"];

/// Microseconds of each key until it is back, and of the servers' processors for one.
pub(crate) async fn echo(world: &World, peer: Peer, keys: usize) -> (Vec<f64>, f64) {
    // Gives back what it gets, byte by byte, and ends by itself.
    let script = format!("stty raw -echo; echo ready; exec dd bs=1 count={} status=none", WARM_UP + keys);
    let mut line = world.open(peer, &["sh", "-c", &script]).await;
    line.until("ready").await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    for _ in 0..WARM_UP {
        key(&mut line).await;
    }
    let servers = peer.servers();
    let before = servers.seconds();
    let mut took = Vec::with_capacity(keys);
    for _ in 0..keys {
        took.push(key(&mut line).await);
    }
    #[allow(clippy::cast_precision_loss)]
    let cpu = (servers.seconds() - before) * 1e6 / keys as f64;
    (took, cpu)
}

async fn key(line: &mut Box<dyn Line>) -> f64 {
    let began = Instant::now();
    line.send(b"k").await;
    while !line.next().await.contains(&b'k') {}
    began.elapsed().as_secs_f64() * 1e6
}

/// Another terminal of the same way, which prints and is read.
pub(crate) struct Printer {
    stop: oneshot::Sender<()>,
    reading: JoinHandle<()>,
}

impl Printer {
    pub(crate) async fn start(world: &World, peer: Peer) -> Self {
        let mut line = world.open(peer, &PRINTER).await;
        line.next().await;
        let (stop, mut stopped) = oneshot::channel();
        let reading = tokio::spawn(async move {
            let mut is_over = false;
            while !is_over {
                tokio::select! {
                    next = line.next() => is_over = next.is_empty(),
                    _ = &mut stopped, if !stopped.is_terminated() => line.send(b"\x03").await,
                }
            }
        });
        Self { stop, reading }
    }

    /// Ends the program too.
    pub(crate) async fn stop(self) {
        self.stop.send(()).ok();
        self.reading.await.expect("it ended");
    }
}

/// Milliseconds to a shell's prompt.
pub(crate) async fn connect(world: &World, peer: Peer) -> f64 {
    let began = Instant::now();
    let mut line = world.open(peer, &["sh"]).await;
    line.until("$ ").await;
    let took = ms(began.elapsed());
    line.send(b"exit\r").await;
    // It has a moment to go, so that it is not in the way of the next; ssh takes its time.
    let ended = async { while !line.next().await.is_empty() {} };
    tokio::time::timeout(Duration::from_millis(300), ended).await.ok();
    took
}

pub(crate) struct Flood {
    pub(crate) speed: f64,
    /// Processor seconds: of the whole machine, of the servers, of the thread that follows screens.
    pub(crate) all: f64,
    pub(crate) servers: f64,
    pub(crate) screens: f64,
}

pub(crate) async fn flood(world: &World, peer: Peer) -> Flood {
    let mut line = world.open(peer, &FLOOD).await;
    line.until("ready").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let servers = peer.servers();
    let (all, own, screens) = (cpu::all(), servers.seconds(), servers.seconds_of("screens"));
    let began = Instant::now();
    line.send(b"\r").await;
    let mut seen = 0;
    while seen < FLOOD_BYTES {
        let next = line.next().await;
        if next.is_empty() {
            // node-pty loses what it has not read when the program ends.
            assert!(peer == Peer::Node, "{peer:?} ended after {seen} bytes");
            break;
        }
        seen += next.len();
    }
    #[allow(clippy::cast_precision_loss)]
    let speed = seen as f64 / 1e6 / began.elapsed().as_secs_f64();
    // What lags behind is counted too.
    tokio::time::sleep(Duration::from_millis(300)).await;
    Flood {
        speed,
        all: cpu::all() - all,
        servers: servers.seconds() - own,
        screens: servers.seconds_of("screens") - screens,
    }
}

pub(crate) struct Interrupt {
    pub(crate) ms: f64,
    /// What came after it was typed.
    pub(crate) kib: f64,
}

/// Ctrl-C amid a flood, by one who reads so many bytes a second.
pub(crate) async fn interrupt(world: &World, peer: Peer, speed: Option<f64>) -> Interrupt {
    let mut line = world.open(peer, &YES).await;
    line.until("go").await;
    let began = Instant::now();
    let mut pace = Pace { began, bytes: 0.0, speed };
    while began.elapsed() < Duration::from_secs(1) {
        pace.read(&mut line).await;
    }
    let asked = Instant::now();
    line.send(b"\x03").await;
    let (mut tail, mut bytes) = (Vec::new(), 0);
    while !String::from_utf8_lossy(&tail).contains("interrupted") {
        let next = pace.read(&mut line).await;
        assert!(!next.is_empty(), "{peer:?} ended");
        bytes += next.len();
        tail = [&tail[tail.len().saturating_sub(16)..], &next].concat();
    }
    #[allow(clippy::cast_precision_loss)]
    Interrupt { ms: ms(asked.elapsed()), kib: bytes as f64 / 1024.0 }
}

/// Reads no faster than this.
struct Pace {
    began: Instant,
    bytes: f64,
    speed: Option<f64>,
}

impl Pace {
    async fn read(&mut self, line: &mut Box<dyn Line>) -> bytes::Bytes {
        let next = line.next().await;
        #[allow(clippy::cast_precision_loss)]
        {
            self.bytes += next.len() as f64;
        }
        if let Some(speed) = self.speed {
            tokio::time::sleep_until((self.began + Duration::from_secs_f64(self.bytes / speed)).into()).await;
        }
        next
    }
}

/// Somebody comes to a screen with 1,000 lines above it: milliseconds until all is there, of the servers' processors, bytes.
pub(crate) async fn restore(world: &World, times: usize) -> (Vec<f64>, Vec<f64>, usize) {
    let terminal = random();
    let script = "seq -f 'line %.0f of what was printed before, \x1b[32mgreen\x1b[m and \x1b[1mbold\x1b[m, to the end' 1024; exec cat";
    let mut line = world.perry(&terminal, &["sh", "-c", script]).await;
    line.until("line 1024").await;
    let servers = Peer::Perry.servers();
    let (mut took, mut cpu, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..times {
        let before = servers.seconds();
        let began = Instant::now();
        bytes = world.perry(&terminal, &[]).await.snapshot().await;
        took.push(ms(began.elapsed()));
        cpu.push((servers.seconds() - before) * 1e3);
    }
    line.send(b"\x04").await;
    (took, cpu, bytes)
}

/// Of each of many terminals at a prompt.
pub(crate) struct Idle {
    /// Resident bytes of agent and worker, and those of them that are no pages of files.
    pub(crate) memory: f64,
    pub(crate) own: f64,
    /// Processors of all together while nothing happens.
    pub(crate) cpu: f64,
}

/// So many terminals at a prompt, while nothing happens.
pub(crate) async fn idle(world: &World, count: u32) -> Idle {
    let servers = Peer::Perry.servers();
    let begin = servers.resident();
    let mut lines = Vec::new();
    for _ in 0..count {
        let mut line = world.perry(&random(), &["sh"]).await;
        line.until("$ ").await;
        lines.push(line);
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (all, own) = servers.resident();
    let (memory, own) = ((all - begin.0) / f64::from(count), (own - begin.1) / f64::from(count));
    let before = servers.seconds();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let cpu = (servers.seconds() - before) / 10.0;
    for line in &mut lines {
        line.send(b"exit\r").await;
    }
    Idle { memory, own, cpu }
}
