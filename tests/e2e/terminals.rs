//! Terminals of real workspaces: what goes on when the agent is killed, when the worker is replaced, and what ends with
//! the container.

use std::process::Stdio;
use std::time::{Duration, Instant};

use perry::client::{Client, Ended, Heard, Session, TerminalSocket};
use perry::contract::terminal::{Create, Exit, Size};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::agent::{Agent, parse};
use crate::{BASE, PATIENCE};

/// A program that counts, by lines, for ever.
const COUNTER: &str = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done";
const TERMINALS: usize = 20;

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
                    return socket;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        self.socket = timeout(PATIENCE, back).await.expect("it comes back");
    }

    /// Goes on, over cuts, until this holds of the numbers that it saw.
    async fn until(&mut self, client: &Client, holds: impl Fn(&[u64]) -> bool) {
        while !holds(&self.numbers()) {
            match self.step().await {
                Ok(exit) => assert_eq!(exit, None, "it goes on"),
                Err(ended) if ended.is_worth_another_try() => self.come_back(client).await,
                Err(ended) => panic!("{ended:?}"),
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

#[tokio::test]
async fn twenty_terminals_outlive_a_killed_agent_and_end_with_their_container() {
    let mut agent = Agent::start().await;
    agent.ready("a", &format!("image: {BASE}")).await;
    let mut viewers = Vec::new();
    for number in 0..TERMINALS {
        viewers.push(Viewer::of(agent.client(), &format!("t{number}"), COUNTER).await);
    }
    for viewer in &mut viewers {
        viewer.until(agent.client(), |numbers| numbers.len() > 5).await;
    }
    agent.sigkill().await;
    agent.resume().await;
    let client = agent.client().clone();
    for viewer in &mut viewers {
        let before = viewer.numbers().last().copied().expect("some");
        viewer.until(&client, |numbers| numbers.last() > Some(&(before + 20))).await;
        let numbers = viewer.numbers();
        assert!(is_unbroken(&numbers), "{numbers:?}");
        // A snapshot at first; afterwards what was missed is enough, however long the agent took.
        assert!(viewer.snapshots <= 2, "{} snapshots", viewer.snapshots);
    }
    let listed = agent.ok(&["terminals", "list", "a"]).await;
    assert_eq!(listed.matches("\n").count(), TERMINALS + 1, "{listed}");

    let killed = Instant::now();
    agent.engine.client().kill_container(&format!("{}a", agent.prefix), None).await.expect("killed");
    let viewer = &mut viewers[0];
    let end = async {
        loop {
            match viewer.step().await {
                Ok(None) => {}
                Ok(Some(exit)) => return exit,
                Err(ended) => panic!("an end without a word: {ended:?}"),
            }
        }
    };
    let exit = timeout(PATIENCE, end).await.expect("an end");
    assert_eq!((exit.code, exit.reason.as_str()), (None, "the workspace has stopped"));
    eprintln!("told {:?} after the container was killed", killed.elapsed());
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
