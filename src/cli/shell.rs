//! `perry shell`.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::client::{Client, ClientError, Ended, Heard, Session, TerminalSocket};
use crate::contract::CreateTerminalInput;
use crate::contract::terminal::{ClientFrame, Create, Exit, MAIN, Size};
use crate::model::Name;

use super::context::Context;
use super::failure::{DONE, FAILED, Failure, Outcome};
use super::{tty, values};

/// Ctrl-\: what leaves a terminal, as in dtach. Programs hardly use it, and it is one key.
const DETACH: u8 = 0x1c;
/// Pauses between tries to come back.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// So long a connection may be away without a word being said of it.
const QUIET: Duration = Duration::from_millis(700);
/// What is said then, in the last row, until it is back.
const AWAY: &str =
    "\x1b7\x1b[999;1H\x1b[2K\x1b[7m perry: the connection is lost; coming back (leave by Ctrl-\\) \x1b[m\x1b8";

/// Work in a terminal of a workspace
///
/// The terminal goes on when you leave by Ctrl-\, when the connection is lost and when the agent is restarted; the same
/// command brings it back as it was.
#[derive(Debug, clap::Args)]
pub(super) struct Shell {
    /// Which workspace.
    #[arg(value_parser = values::name)]
    name: Name,
    /// Which of its terminals; it is begun where there is none of that name.
    #[arg(short, long, value_name = "TERMINAL")]
    terminal: Option<Name>,
    /// The folder to begin in, for a new terminal.
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// Program and arguments to run in a terminal of its own; the exit code is the program's.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// How it came to its end.
enum End {
    Detached,
    Exit(Exit),
    Closed(String),
    Failed(ClientError),
    Io(io::Error),
}

impl Shell {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let raw = raw(&self.name)?;
        let (name, size) = (self.name.clone(), tty::size());
        match self.begin(&client, size).await {
            Ok((session, create)) => look(context, client, name, session, create, raw).await,
            Err(error) => {
                drop(raw);
                Err(context.failure(&client, &name, error).await)
            }
        }
    }

    /// What is looked at. A command has a terminal of its own, whose output is wanted from its first byte on.
    async fn begin(self, client: &Client, size: Size) -> Result<(Session, Option<Create>), ClientError> {
        let random = uuid::Uuid::new_v4().simple().to_string();
        let named = |name: &str| name.parse::<Name>().expect("letters and digits");
        if self.command.is_empty() {
            let terminal = self.terminal.unwrap_or_else(|| named(MAIN));
            return Ok((Session::new(random, terminal), Some(Create { command: Vec::new(), cwd: self.cwd })));
        }
        let terminal = self.terminal.unwrap_or_else(|| named(&format!("run-{}", &random[..8])));
        let input = CreateTerminalInput {
            name: self.name,
            terminal: terminal.clone(),
            command: self.command,
            cwd: self.cwd,
            cols: Some(size.cols),
            rows: Some(size.rows),
        };
        let made = client.create_terminal(&input).await?;
        Ok((Session::new(random, terminal).from_start(made.id), None))
    }
}

/// A terminal to look at; it is begun where there is none of that name.
pub(super) struct Wanted {
    /// Its name.
    pub(super) terminal: Name,
    /// What it is begun with.
    pub(super) command: Vec<String>,
    /// Where.
    pub(super) cwd: Option<String>,
}

impl Wanted {
    /// One that is there.
    pub(super) fn known(terminal: Name) -> Self {
        Self { terminal, command: Vec::new(), cwd: None }
    }
}

/// Shows a terminal until it ends or is left.
pub(super) async fn show(context: &Context, client: Client, name: Name, wanted: Wanted) -> Outcome {
    let raw = raw(&name)?;
    let session = Session::new(uuid::Uuid::new_v4().simple().to_string(), wanted.terminal);
    let create = Create { command: wanted.command, cwd: wanted.cwd };
    look(context, client, name, session, Some(create), raw).await
}

fn raw(name: &Name) -> Result<tty::Raw, Failure> {
    let begun = tty::Raw::begin().ok_or_else(|| {
        Failure::usage("stdin or stdout is no terminal").hint(format!("without one: perry exec {name} -- COMMAND"))
    });
    Ok(begun??)
}

async fn look(
    context: &Context,
    client: Client,
    name: Name,
    session: Session,
    create: Option<Create>,
    raw: tty::Raw,
) -> Outcome {
    let end = View { client: &client, name: &name, session, create, first: true }.run().await;
    drop(raw);
    match end {
        End::Detached => {
            context.note("left; the terminal goes on");
            Ok(DONE)
        }
        End::Exit(exit) => match exit.code {
            Some(code) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
            None => Err(Failure::new(FAILED, exit.reason)),
        },
        End::Closed(reason) => Err(Failure::failed(reason)),
        End::Failed(error) => Err(context.failure(&client, &name, error).await),
        End::Io(error) => Err(error.into()),
    }
}

/// One terminal on the screen.
struct View<'a> {
    client: &'a Client,
    name: &'a Name,
    session: Session,
    create: Option<Create>,
    /// Nothing was shown yet.
    first: bool,
}

impl View<'_> {
    async fn run(mut self) -> End {
        let mut keys = tty::keys();
        let mut resized = match signal(SignalKind::window_change()) {
            Ok(resized) => resized,
            Err(error) => return End::Io(error),
        };
        let mut socket = match self.connect().await {
            Ok(socket) => socket,
            Err(error) => return End::Failed(error),
        };
        loop {
            match self.follow(&mut socket, &mut keys, &mut resized).await {
                Ok(end) => {
                    socket.close().await;
                    return end;
                }
                Err(ended) if ended.is_worth_another_try() => match self.come_back(&mut keys).await {
                    Ok(back) => socket = back,
                    Err(end) => return end,
                },
                Err(Ended::Closed(_, reason)) => return End::Closed(reason),
                Err(Ended::Broken(error)) => return End::Io(error),
            }
        }
    }

    async fn connect(&self) -> Result<TerminalSocket, ClientError> {
        Ok(self.greet(self.client.terminal(self.name).await?).await)
    }

    async fn greet(&self, mut socket: TerminalSocket) -> TerminalSocket {
        let hello = self.session.hello(tty::size(), self.create.clone());
        let again = self.session.again();
        // A connection that breaks at once is found to be broken by who reads from it.
        if socket.greet(hello).await.is_ok() {
            for frame in again {
                if socket.send(&frame).await.is_err() {
                    break;
                }
            }
        }
        socket
    }

    /// Shows and types until the end, or until the connection's.
    async fn follow(
        &mut self,
        socket: &mut TerminalSocket,
        keys: &mut mpsc::Receiver<Bytes>,
        resized: &mut Signal,
    ) -> Result<End, Ended> {
        loop {
            tokio::select! {
                frame = socket.next() => {
                    let heard = self.session.take(frame?);
                    if let Some(end) = self.show(heard) {
                        return Ok(end);
                    }
                    if let Some(ack) = self.session.acknowledge() {
                        socket.send(&ack).await?;
                    }
                }
                typed = keys.recv(), if self.session.has_room() => {
                    let Some(typed) = typed else { return Ok(End::Detached) };
                    let at = typed.iter().position(|byte| *byte == DETACH);
                    for frame in self.session.input(&typed.slice(..at.unwrap_or(typed.len()))) {
                        socket.send(&frame).await?;
                    }
                    if at.is_some() {
                        return Ok(End::Detached);
                    }
                }
                _ = resized.recv() => socket.send(&ClientFrame::Resize(tty::size())).await?,
            }
        }
    }

    fn show(&mut self, heard: Heard) -> Option<End> {
        let shown = match heard {
            Heard::Output(bytes) => {
                self.first = false;
                tty::show(&bytes)
            }
            // A new terminal begins where the cursor is, as ssh does.
            Heard::Snapshot { fresh: true, .. } if self.first => Ok(()),
            Heard::Snapshot { bytes, .. } => {
                let renewed = tty::renew(std::mem::take(&mut self.first));
                renewed.and_then(|()| tty::show(&bytes))
            }
            Heard::Exit(exit) => return Some(End::Exit(exit)),
            Heard::Info(_) | Heard::Errors(_) | Heard::Nothing => Ok(()),
        };
        // What began it has done so.
        self.create = None;
        shown.err().map(End::Io)
    }

    /// Tries again until it is back; what is typed meanwhile goes along then.
    async fn come_back(&mut self, keys: &mut mpsc::Receiver<Bytes>) -> Result<TerminalSocket, End> {
        let mut pause = FIRST_PAUSE;
        let mut said = false;
        let quiet = sleep(QUIET);
        let mut quiet = std::pin::pin!(quiet);
        loop {
            let (client, name, wait) = (self.client, self.name, pause);
            let attempt = async move {
                sleep(wait).await;
                client.terminal(name).await
            };
            let mut attempt = std::pin::pin!(attempt);
            let outcome = loop {
                tokio::select! {
                    outcome = &mut attempt => break outcome,
                    () = &mut quiet, if !said => {
                        said = true;
                        tty::show(AWAY.as_bytes()).map_err(End::Io)?;
                    }
                    typed = keys.recv(), if self.session.has_room() => {
                        let Some(typed) = typed else { return Err(End::Detached) };
                        if typed.contains(&DETACH) {
                            return Err(End::Detached);
                        }
                        self.session.input(&typed);
                    }
                }
            };
            match outcome {
                Ok(socket) => {
                    if said {
                        // The row that was written over is shown again by a snapshot.
                        self.session.forget();
                    }
                    return Ok(self.greet(socket).await);
                }
                Err(ClientError::Refused(body)) => return Err(End::Failed(ClientError::Refused(body))),
                Err(_) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
