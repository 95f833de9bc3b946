//! `perry exec`.

use std::io::{self, Write};

use crate::client::{Client, Ended, Heard, Session, TerminalSocket};
use crate::contract::ExecInput;
use crate::contract::terminal::{self, ClientFrame, Exit, Hello, MAIN, Size};
use crate::model::Name;

use super::context::Context;
use super::failure::{Failure, Outcome};
use super::{tty, values};

/// Run a command in a workspace; ends with the command's own exit code
#[derive(Debug, clap::Args)]
pub(super) struct Exec {
    /// Which workspace.
    #[arg(value_parser = values::name)]
    name: Name,
    /// Seconds after which the command is killed.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: Option<u64>,
    /// Pass on standard input, and output as it comes, without a limit.
    #[arg(short, long)]
    interactive: bool,
    /// Program and arguments, without a terminal.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        if self.interactive {
            return self.stream(context, &client).await;
        }
        let input = ExecInput { name: self.name.clone(), command: self.command, timeout: self.timeout };
        let response = match client.exec_workspace(&input).await {
            Ok(response) => response,
            Err(error) => return Err(context.failure(&client, &self.name, error).await),
        };
        let mut stdout = io::stdout().lock();
        stdout.write_all(response.stdout.as_bytes())?;
        stdout.flush()?;
        // When stderr is gone there is nobody to tell.
        io::stderr().lock().write_all(response.stderr.as_bytes()).ok();
        if response.truncated {
            context.note("warning: the output was longer than 1 MiB; the rest is not shown");
        }
        Ok(u8::try_from(response.exit_code).unwrap_or(u8::MAX))
    }

    /// Input and output go on as they come.
    async fn stream(self, context: &Context, client: &Client) -> Outcome {
        let exec = terminal::Exec { command: self.command, timeout: self.timeout };
        let socket = match client.terminal(&self.name).await {
            Ok(socket) => socket,
            Err(error) => return Err(context.failure(client, &self.name, error).await),
        };
        match Streaming::new(socket, exec).run().await {
            Ok(Exit { code: Some(code), .. }) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
            Ok(exit) => Err(Failure::failed(exit.reason)),
            Err(Ended::Closed(_, reason)) if !reason.is_empty() => Err(Failure::failed(reason)),
            Err(Ended::Closed(..)) => Err(Failure::failed("the connection was cut, and the command ended with it")),
            Err(Ended::Broken(error)) => {
                Err(Failure::failed(format!("the connection was cut, and the command ended with it: {error}")))
            }
        }
    }
}

/// A command whose input and output are passed on.
struct Streaming {
    socket: TerminalSocket,
    session: Session,
    exec: Option<terminal::Exec>,
}

impl Streaming {
    fn new(socket: TerminalSocket, exec: terminal::Exec) -> Self {
        let client = uuid::Uuid::new_v4().simple().to_string();
        let session = Session::new(client, MAIN.parse().expect("a name"));
        Self { socket, session, exec: Some(exec) }
    }

    async fn run(mut self) -> Result<Exit, Ended> {
        let hello = Hello { exec: self.exec.take(), ..self.session.hello(Size::USUAL, None) };
        self.socket.greet(hello).await?;
        let mut input = tty::keys();
        let mut is_open = true;
        loop {
            tokio::select! {
                frame = self.socket.next() => {
                    let shown = match self.session.take(frame?) {
                        Heard::Output(bytes) => tty::show(&bytes),
                        // When stderr is gone there is nobody to tell.
                        Heard::Errors(bytes) => { io::stderr().lock().write_all(&bytes).ok(); Ok(()) }
                        Heard::Exit(exit) => return Ok(exit),
                        Heard::Snapshot { .. } | Heard::Info(_) | Heard::Nothing => Ok(()),
                    };
                    shown.map_err(Ended::Broken)?;
                }
                piece = input.recv(), if is_open && self.session.has_room() => match piece {
                    Some(piece) => {
                        for frame in self.session.input(&piece) {
                            self.socket.send(&frame).await?;
                        }
                    }
                    None => {
                        is_open = false;
                        self.socket.send(&ClientFrame::End).await?;
                    }
                },
            }
        }
    }
}
