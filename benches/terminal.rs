//! Terminals, next to other ways to one in the same container: the engine's own exec stream, `docker exec -it`, ssh, and
//! node-pty with ws. Each round asks all of them, one after the other. `PERRY_BENCH=echo,idle` measures these parts alone:
//! idle, echo, busy, connect, flood, interrupt, restore.

#![allow(clippy::print_stdout, reason = "to print figures is what a bench is for")]

mod common;
#[path = "terminal/cpu.rs"]
mod cpu;
#[path = "terminal/line.rs"]
mod line;
#[path = "terminal/measure.rs"]
mod measure;
#[path = "terminal/world.rs"]
mod world;

use common::{begin, median, quantile, ratio, tell};
use measure::{Idle, Interrupt, Printer};
use world::{EXEC, PEERS, PERRY, Peer, World};

const ECHO_ROUNDS: usize = 7;
const KEYS: usize = 300;
const ROUNDS: usize = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    begin("terminal");
    let world = World::start().await;
    let only = std::env::var("PERRY_BENCH").unwrap_or_default();
    let wanted = |part: &str| only.is_empty() || only.contains(part);
    // First: what floods leave behind would be counted as already there.
    if wanted("idle") {
        idle(&world).await;
    }
    if wanted("echo") {
        echo(&world, false).await;
    }
    if wanted("busy") {
        echo(&world, true).await;
    }
    if wanted("connect") {
        connect(&world).await;
    }
    if wanted("flood") {
        throughput(&world).await;
    }
    if wanted("interrupt") {
        interrupt(&world, None).await;
        interrupt(&world, Some(2e6)).await;
    }
    if wanted("restore") {
        restore(&world).await;
    }
}

/// Figures of every peer, by round.
type Figures = [Vec<f64>; PEERS.len()];

fn print(what: &str, unit: &str, figures: &Figures, most: Option<f64>) {
    for (peer, figures) in PEERS.iter().zip(figures) {
        tell(&format!("{what}: {}", peer.name()), median(figures), unit, None);
    }
    tell(&format!("{what}: perry to exec"), ratio(&figures[PERRY], &figures[EXEC]), "×", most);
}

async fn echo(world: &World, busy: bool) {
    let (mut half, mut most, mut cpu): (Figures, Figures, Figures) = Default::default();
    let mut all: Figures = Figures::default();
    for _ in 0..ECHO_ROUNDS {
        for (at, peer) in PEERS.iter().enumerate() {
            let other = if busy { Some(Printer::start(world, *peer).await) } else { None };
            let (keys, took) = measure::echo(world, *peer, KEYS).await;
            if let Some(other) = other {
                other.stop().await;
            }
            half[at].push(median(&keys));
            most[at].push(quantile(&keys, 0.99));
            all[at].extend(keys);
            cpu[at].push(took);
        }
    }
    let when = if busy { "echo beside 6 MB/s" } else { "echo" };
    print(&format!("{when}, p50"), "µs", &half, Some(0.9));
    let p99: Vec<f64> = all.iter().map(|keys| quantile(keys, 0.99)).collect();
    for (peer, p99) in PEERS.iter().zip(&p99) {
        tell(&format!("{when}, p99 of all: {}", peer.name()), *p99, "µs", None);
    }
    tell(&format!("{when}, p99 of all: perry to exec"), p99[PERRY] / p99[EXEC], "×", Some(1.0));
    print(&format!("{when}, p99 of a round"), "µs", &most, Some(1.0));
    if !busy {
        print("echo, server CPU a key", "µs", &cpu, Some(0.25));
    }
}

async fn connect(world: &World) {
    let mut took = Figures::default();
    for _ in 0..ROUNDS * 5 {
        for (at, peer) in PEERS.iter().enumerate() {
            took[at].push(measure::connect(world, *peer).await);
        }
    }
    print("connect to prompt", "ms", &took, Some(0.15));
}

async fn throughput(world: &World) {
    let (mut speed, mut all, mut servers): (Figures, Figures, Figures) = Default::default();
    let mut screens = Vec::new();
    for _ in 0..ROUNDS {
        for (at, peer) in PEERS.iter().enumerate() {
            let flood = measure::flood(world, *peer).await;
            speed[at].push(flood.speed);
            all[at].push(flood.all);
            servers[at].push(flood.servers);
            if *peer == Peer::Perry {
                screens.push(flood.screens);
            }
        }
    }
    print("100 MiB, MB/s (at least 0.85)", "MB/s", &speed, None);
    print("100 MiB, CPU of all", "s", &all, Some(0.9));
    print("100 MiB, CPU of servers", "s", &servers, None);
    tell("100 MiB, of it the terminal-state engine", median(&screens), "s", None);
    let without: Vec<f64> = all[PERRY].iter().zip(&screens).map(|(all, screens)| all - screens).collect();
    tell("100 MiB, CPU of all without that: perry to exec", ratio(&without, &all[EXEC]), "×", Some(0.9));
}

async fn interrupt(world: &World, speed: Option<f64>) {
    let (mut took, mut after): (Figures, Figures) = Default::default();
    for _ in 0..ROUNDS * 2 {
        for (at, peer) in PEERS.iter().enumerate() {
            // With an unhurried reader node-pty takes half a minute.
            if *peer == Peer::Node && speed.is_some() {
                took[at].push(f64::NAN);
                after[at].push(f64::NAN);
                continue;
            }
            let Interrupt { ms, kib } = measure::interrupt(world, *peer, speed).await;
            took[at].push(ms);
            after[at].push(kib);
        }
    }
    let (when, most) = if speed.is_some() { ("Ctrl-C, a reader of 2 MB/s", 0.3) } else { ("Ctrl-C in a flood", 2.0) };
    print(when, "ms", &took, Some(most));
    if speed.is_none() {
        for (peer, after) in PEERS.iter().zip(&after) {
            let most = (*peer == Peer::Perry).then_some(64.0);
            tell(&format!("{when}, after it: {}", peer.name()), median(after), "KiB", most);
        }
    }
}

async fn restore(world: &World) {
    let (took, server, bytes) = measure::restore(world, 50).await;
    tell("restore of 1,000 lines: until the snapshot is there", median(&took), "ms", None);
    tell("restore of 1,000 lines: server CPU", median(&server), "ms", Some(20.0));
    tell("restore of 1,000 lines: the slowest", quantile(&took, 1.0), "ms", None);
    println!("  (a snapshot of {bytes} bytes)");
}

async fn idle(world: &World) {
    let Idle { memory, own, cpu } = measure::idle(world, 200).await;
    tell("200 idle terminals: resident memory each", memory / 1024.0, "KiB", Some(64.0));
    tell("200 idle terminals: of it no pages of the executable", own / 1024.0, "KiB", None);
    tell("200 idle terminals: CPU over 10 s", cpu * 100.0, "%", Some(0.1));
}
