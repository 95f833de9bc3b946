//! Processes that are measured: what they took, what they held, how soon they said something.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use perry::contract::WatchSessionsInput;
use perry::contract::sessions::SessionFrame;

use super::common::agent::Agent;
use super::common::{manifest, ms, perry};
use super::made;

/// What a run took.
pub(crate) struct Run {
    /// Milliseconds from its start to its end.
    pub(crate) took: f64,
    /// MiB of memory at most.
    pub(crate) peak: f64,
}

/// `perry worker sessions list` on a home.
pub(crate) fn list(home: &Path) -> Run {
    run(perry().to_str().expect("UTF-8"), &["worker", "sessions", "list"], home)
}

/// Runs a program to its end.
pub(crate) fn run(program: &str, args: &[&str], home: &Path) -> Run {
    let began = Instant::now();
    let mut command = Command::new(program);
    command.args(args).env("HOME", home).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut peak = 0.0_f64;
    // Looked at from time to time; it only grows, so that the last look is near enough.
    while child.try_wait().expect("a child").is_none() {
        peak = peak.max(status(child.id(), "VmHWM:"));
        std::thread::sleep(Duration::from_millis(1));
    }
    Run { took: ms(began.elapsed()), peak }
}

/// A figure of a process in MiB.
fn status(pid: u32, what: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(what));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn ticks(child: &Child) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let of = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    of(11) + of(12)
}

/// The index of a home at rest: processor in percent, memory in MiB.
pub(crate) fn resident(home: &Path) -> (f64, f64) {
    let mut command = Command::new(perry());
    command.args(["worker", "sessions", "serve"]).env("HOME", home).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().expect("started");
    // Until it has read and written down everything.
    std::thread::sleep(Duration::from_secs(8));
    let before = ticks(&child);
    std::thread::sleep(Duration::from_secs(20));
    // A tick is 10 ms.
    let cpu = (ticks(&child) - before) * 10.0 / 20_000.0 * 100.0;
    let memory = status(child.id(), "VmRSS:");
    child.kill().ok();
    child.wait().ok();
    (cpu, memory)
}

/// Appends lines in a workspace; how long each was on its way to a client, in milliseconds.
pub(crate) async fn appends(count: usize) -> Vec<f64> {
    let agent = Agent::start("24600-24699");
    let shown = agent.apply(&manifest("bench", "image: workspace-base:slim")).await;
    let name = shown[0].name.clone();
    let mut watcher = super::common::agent::Watcher::new(&agent.client);
    watcher.until(&name, |view| view.is_true(perry::model::ConditionType::Ready)).await;
    let config = fs::read(agent.folder().join("config.json")).expect("read");
    let config: serde_json::Value = serde_json::from_slice(&config).expect("JSON");
    let volume = format!("{}{name}-home", config["workspacePrefix"].as_str().expect("a prefix"));
    let place = Command::new("docker").args(["volume", "inspect", "-f", "{{.Mountpoint}}", &volume]).output();
    let place = String::from_utf8(place.expect("docker").stdout).expect("UTF-8");
    // A named volume is a folder of this machine: what is written there is written in the workspace.
    let path = Path::new(place.trim()).join(".claude/projects/-w/0c1e5a2f-0000-4000-8000-000000000001.jsonl");
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    let mut frames = agent.client.watch_sessions(&WatchSessionsInput::default(), None).await.expect("a stream");
    let mut delays = Vec::new();
    for number in 0..count {
        let mut file = OpenOptions::new().append(true).create(true).open(&path).expect("opened");
        let began = Instant::now();
        file.write_all(made::line(number).as_bytes()).expect("written");
        loop {
            let frame = frames.next().await.expect("a frame").expect("no end").value;
            if matches!(&frame, SessionFrame::Appended(place) if place.index as usize == number) {
                break;
            }
        }
        if number > 0 {
            delays.push(ms(began.elapsed()));
        }
        // At another time of whatever goes round each time.
        tokio::time::sleep(Duration::from_millis(20 + number as u64 * 7 % 50)).await;
    }
    agent.delete(&mut watcher, &name).await;
    delays
}
