//! Sessions of coding agents: how soon a large log, a large database and a thousand sessions are listed, how soon an appended
//! line is with a client, and how soon what was said is found. Next to jq, ccusage and one grouped count.
//! `PERRY_BENCH=cold,search` measures these parts alone: cold, database, warm, append, search, idle.

#![allow(clippy::print_stdout, reason = "to print figures is what a bench is for")]

mod common;
#[path = "sessions/made.rs"]
mod made;
#[path = "sessions/measured.rs"]
mod measured;
#[path = "sessions/search.rs"]
mod search;

use std::path::Path;
use std::time::Instant;

use common::{begin, median, ms, quantile, ratio, tell};
use measured::{Run, list, resident, run};
use perry::worker::sessions::formats::Home;
use perry::worker::sessions::opencode;
use perry::worker::sessions::store::{Changes, More, Store};

const ROUNDS: usize = 5;
const LOG: usize = 100_000_000;
const WARM: usize = 1000;
const APPENDS: usize = 300;

#[tokio::main]
async fn main() {
    begin("sessions");
    let only = std::env::var("PERRY_BENCH").unwrap_or_default();
    let wanted = |part: &str| only.is_empty() || only.contains(part);
    if wanted("cold") {
        cold();
    }
    if wanted("database") {
        database();
    }
    if wanted("warm") {
        warm();
    }
    if wanted("append") {
        append().await;
    }
    if wanted("search") {
        search::measure().await;
    }
    if wanted("idle") {
        idle();
    }
}

/// A log of 100 MB, read for the first time.
fn cold() {
    let home = tempfile::tempdir().expect("a folder");
    let log = made::log(home.path(), LOG);
    let (mut ours, mut jq, mut ccusage, mut most) = (Vec::new(), Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..ROUNDS {
        let _ = std::fs::remove_dir_all(home.path().join(".cache"));
        let Run { took, peak } = list(home.path());
        ours.push(took);
        most = most.max(peak);
        jq.push(run("jq", &["-r", ".type", log.to_str().expect("UTF-8")], home.path()).took);
    }
    let program = made::ccusage();
    for _ in 0..2 {
        ccusage.push(run(&program, &["daily", "--offline"], home.path()).took);
    }
    tell("cold: 100 MB of Claude's, listed", median(&ours), "ms", None);
    tell("cold: jq -r .type", median(&jq), "ms", None);
    tell("cold: ccusage daily --offline", median(&ccusage), "ms", None);
    tell("cold: perry to jq (asked for: 1 to 2.5)", ratio(&ours, &jq), "×", Some(0.4));
    tell("cold: perry to ccusage", median(&ours) / median(&ccusage), "×", None);
    tell("cold: memory at most", most, "MiB", Some(50.0));
}

/// A database of OpenCode's of 264 MB, listed for the first time.
fn database() {
    let home = tempfile::tempdir().expect("a folder");
    let path = made::database(home.path());
    let (mut ours, mut read, mut again, mut counted) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let count = made::grouped_count(&path);
        counted.push(ms(began.elapsed()));
        let mut store = opencode::store(&Home { folder: home.path().to_owned(), ..Home::default() });
        let mut told = 0;
        let began = Instant::now();
        let mut more = store.look(&Changes::Everything, &mut |_| told += 1);
        ours.push(ms(began.elapsed()));
        assert_eq!(told, count);
        while more == More::Now {
            more = store.look(&Changes::none(), &mut |_| {});
        }
        read.push(ms(began.elapsed()));
        made::touch(&path);
        let began = Instant::now();
        store.look(&Changes::none(), &mut |_| {});
        again.push(ms(began.elapsed()));
    }
    tell("database: 264 MB of OpenCode's, listed", median(&ours), "ms", None);
    tell("database: SELECT session_id, count(*) … GROUP BY", median(&counted), "ms", None);
    tell("database: to that", ratio(&ours, &counted), "×", Some(4.0));
    tell("database: until all its messages are read", median(&read), "ms", None);
    tell("database: looked at again after a message", median(&again), "ms", None);
}

/// A thousand sessions that were read before.
fn warm() {
    let home = tempfile::tempdir().expect("a folder");
    for number in 0..WARM {
        made::session(home.path(), number);
    }
    list(home.path());
    let took: Vec<f64> = (0..ROUNDS * 2).map(|_| list(home.path()).took).collect();
    tell("warm: 1,000 sessions, listed by a new process", median(&took), "ms", None);
}

/// A line that is appended in a workspace, until it is with a client of the agent.
async fn append() {
    let delays = measured::appends(APPENDS).await;
    tell("append: until it is with a client, median", median(&delays), "ms", None);
    tell("append: 99 of 100", quantile(&delays, 0.99), "ms", Some(150.0));
}

/// The index of a thousand sessions while nothing happens.
fn idle() {
    let home = tempfile::tempdir().expect("a folder");
    for number in 0..WARM {
        made::session(home.path(), number);
    }
    let (cpu, memory) = resident(Path::new(home.path()));
    tell("idle: processor, 20 s", cpu, "%", Some(0.0));
    tell("idle: memory", memory, "MiB", Some(15.0));
}
