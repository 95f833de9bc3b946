//! Terminals of real workspaces: what goes on when the agent is killed, when the worker is replaced, and what ends with
//! the container.

use std::process::Stdio;
use std::time::{Duration, Instant};

use perry::client::{Client, Ended, Heard, Session, TerminalSocket};
use perry::contract::terminal::{Create, Exit, Size};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::agent::{Agent, parse};
use crate::machine::{Lies, Machine};
use crate::{BASE, PATIENCE};

/// A program that counts, by lines, for ever.
const COUNTER: &str = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done";
/// One that is on the alternate screen and waits for keys.
const VIM: &str = "exec vim -u NONE -n /tmp/text";
const TERMINALS: usize = 20;
/// The image that has vim.
const FULL: &str = "workspace-base";

/// One who looks at a terminal and comes back by itself, as `perry shell` does.
struct Viewer {
    session: Session,
    socket: TerminalSocket,
    seen: Vec<u8>,
    snapshots: usize,
}

impl Viewer {
    async fn of(client: &Client, terminal: &str, script: &str) -> Self {
        let session = Session::new(uuid::Uuid::new_v4().to_string(), parse(terminal));
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        let mut socket = client.terminal(&parse("a")).await.expect("connected");
        socket.greet(session.hello(Size::USUAL, Some(Create { command, cwd: None }))).await.expect("sent");
        Self { session, socket, seen: Vec::new(), snapshots: 0 }
    }

    async fn step(&mut self) -> Result<Option<Exit>, Ended> {
        let frame = timeout(PATIENCE, self.socket.next()).await.expect("something")?;
        match self.session.take(frame) {
            Heard::Output(bytes) => self.seen.extend_from_slice(&bytes),
            Heard::Snapshot { bytes, .. } => {
                self.snapshots += 1;
                self.seen = bytes.to_vec();
            }
            Heard::Exit(exit) => return Ok(Some(exit)),
            Heard::Info(_) | Heard::Errors(_) | Heard::Nothing => {}
        }
        if let Some(ack) = self.session.acknowledge() {
            self.socket.send(&ack).await?;
        }
        Ok(None)
    }

    /// Tries again until it is back.
    async fn come_back(&mut self, client: &Client) {
        let back = async {
            loop {
                if let Ok(mut socket) = client.terminal(&parse("a")).await
                    && socket.greet(self.session.hello(Size::USUAL, None)).await.is_ok()
                {
                    for frame in self.session.again() {
                        // Else the next try sends it.
                        let _ = socket.send(&frame).await;
                    }
                    return socket;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        self.socket = timeout(PATIENCE, back).await.expect("it comes back");
    }

    /// Goes on, over cuts, until this holds of the numbers that it saw.
    async fn until(&mut self, client: &Client, holds: impl Fn(&[u64]) -> bool) {
        self.until_it(client, |viewer| holds(&viewer.numbers())).await;
    }

    async fn until_shown(&mut self, client: &Client, text: &str) {
        self.until_it(client, |viewer| String::from_utf8_lossy(&viewer.seen).contains(text)).await;
    }

    async fn input(&mut self, text: &'static str) {
        for frame in self.session.input(&text.into()) {
            // Where the connection is gone, it is sent again on the next.
            let _ = self.socket.send(&frame).await;
        }
    }

    async fn until_it(&mut self, client: &Client, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            match self.step().await {
                Ok(exit) => assert_eq!(exit, None, "it goes on"),
                Err(ended) if ended.is_worth_another_try() => self.come_back(client).await,
                Err(ended) => panic!("{ended:?}"),
            }
        }
    }

    async fn end(&mut self) -> Exit {
        loop {
            match self.step().await {
                Ok(None) => {}
                Ok(Some(exit)) => return exit,
                Err(ended) => panic!("an end without a word: {ended:?}"),
            }
        }
    }

    /// The whole lines.
    fn numbers(&self) -> Vec<u64> {
        let text = String::from_utf8_lossy(&self.seen);
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().filter_map(|line| line.trim().parse().ok()).collect()
    }
}

fn is_unbroken(numbers: &[u64]) -> bool {
    numbers.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

/// Terminals with somebody who looks at each.
struct Open {
    counters: Vec<Viewer>,
    editors: Vec<Viewer>,
}

impl Open {
    async fn begin(client: &Client, counters: usize, editors: usize) -> Self {
        let mut open = Self { counters: Vec::new(), editors: Vec::new() };
        for number in 0..counters {
            open.counters.push(Viewer::of(client, &format!("c{number}"), COUNTER).await);
        }
        for number in 0..editors {
            open.editors.push(Viewer::of(client, &format!("v{number}"), VIM).await);
        }
        for viewer in &mut open.counters {
            viewer.until(client, |numbers| numbers.len() > 5).await;
        }
        for viewer in &mut open.editors {
            viewer.until_shown(client, "/tmp/text").await;
            viewer.input("ibefore").await;
            viewer.until_shown(client, "before").await;
        }
        open
    }

    /// What was cut goes on: counters without a gap, and editors take what was typed meanwhile, and end when asked to.
    async fn go_on(&mut self, client: &Client) {
        for mut viewer in self.editors.drain(..) {
            // Typed into a connection that is gone.
            viewer.input(" after").await;
            viewer.until_shown(client, "after").await;
            viewer.input("\x1bZQ").await;
            assert_eq!(viewer.end().await.code, Some(0));
        }
        for viewer in &mut self.counters {
            let before = viewer.numbers().last().copied().expect("some");
            viewer.until(client, |numbers| numbers.last() > Some(&(before + 50))).await;
            let numbers = viewer.numbers();
            assert!(is_unbroken(&numbers), "{numbers:?}");
            // A snapshot at first; afterwards what was missed is enough, however long the agent took.
            assert!(viewer.snapshots <= 2, "{} snapshots", viewer.snapshots);
        }
    }
}

#[tokio::test]
async fn twenty_terminals_outlive_a_killed_agent_and_end_with_their_container() {
    let mut agent = Agent::start().await;
    agent.ready("a", &format!("image: {FULL}")).await;
    let mut open = Open::begin(agent.client(), TERMINALS / 2, TERMINALS / 2).await;
    agent.sigkill().await;
    agent.resume().await;
    open.go_on(&agent.client().clone()).await;
    let listed = agent.ok(&["terminals", "list", "a"]).await;
    assert_eq!(listed.matches("\n").count(), TERMINALS / 2 + 1, "{listed}");

    let killed = Instant::now();
    agent.engine.client().kill_container(&format!("{}a", agent.prefix), None).await.expect("killed");
    let exit = open.counters[0].end().await;
    assert_eq!((exit.code, exit.reason.as_str()), (None, "the workspace has stopped"));
    eprintln!("told {:?} after the container was killed", killed.elapsed());
}

/// The worker is replaced as the agent's version is another one; what runs in terminals goes on in the old one.
async fn terminals_outlive_a_worker_that_is_replaced(mut agent: Agent, image: &str, editors: usize) {
    agent.ready("a", image).await;
    let mut open = Open::begin(agent.client(), TERMINALS / 2, editors).await;
    agent.upgrade().await;
    let client = agent.client().clone();
    let installed = async { while !agent.ok(&["events", "a"]).await.contains("WorkerInstalled") {} };
    timeout(PATIENCE, installed).await.unwrap_or_else(|_| panic!("no new worker\n{}", agent.log()));
    open.go_on(&client).await;
    let mut anew = Viewer::of(&client, "after", COUNTER).await;
    anew.until(&client, |numbers| numbers.len() > 5).await;
    let events = agent.ok(&["events", "a"]).await;
    assert!(!events.contains("(×") && !events.contains("Warning"), "{events}");
}

#[tokio::test]
async fn terminals_outlive_a_new_worker() {
    let agent = Agent::start().await;
    terminals_outlive_a_worker_that_is_replaced(agent, &format!("image: {FULL}"), TERMINALS / 2).await;
}

#[tokio::test]
async fn terminals_outlive_a_new_worker_on_another_machine() {
    let machine = Machine::start(Lies::Apart).await;
    let agent = machine.agent().await;
    // Its image has a shell and no vim.
    terminals_outlive_a_worker_that_is_replaced(agent, "", 0).await;
}

#[tokio::test]
async fn bytes_of_any_kind_go_through_a_command_of_a_workspace() {
    let agent = Agent::start().await;
    agent.ready("a", &format!("image: {BASE}")).await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let mut command = agent.command(&["exec", "-i", "a", "--", "sh", "-c", "cat; echo oh >&2; exit 7"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("its input");
    let sent = bytes.clone();
    let writing = tokio::spawn(async move { stdin.write_all(&sent).await.expect("taken") });
    let output = timeout(PATIENCE, child.wait_with_output()).await.expect("in time").expect("it ran");
    writing.await.expect("written");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(7), &b"oh\n"[..]));
    assert!(output.stdout == bytes, "{} bytes", output.stdout.len());
}
