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
        let exit = Streaming::new(socket).run(exec).await?;
        match exit.code {
            Some(code) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
            None => Err(Failure::failed(exit.reason)),
        }
    }
}

/// A command whose input and output are passed on.
struct Streaming {
    socket: TerminalSocket,
    session: Session,
}

impl Streaming {
    fn new(socket: TerminalSocket) -> Self {
        let client = uuid::Uuid::new_v4().simple().to_string();
        Self { socket, session: Session::new(client, MAIN.parse().expect("a name")) }
    }

    async fn run(mut self, exec: terminal::Exec) -> Result<Exit, Failure> {
        let hello = Hello { exec: Some(exec), ..self.session.hello(Size::USUAL, None) };
        self.socket.greet(hello).await.map_err(cut)?;
        let mut input = tty::keys();
        let mut is_open = true;
        loop {
            tokio::select! {
                frame = self.socket.next() => {
                    if let Some(exit) = show(self.session.take(frame.map_err(cut)?))? {
                        return Ok(exit);
                    }
                }
                piece = input.recv(), if is_open && self.session.has_room() => {
                    is_open = piece.is_some();
                    let frames = piece.map_or_else(|| vec![ClientFrame::End], |piece| self.session.input(&piece));
                    for frame in frames {
                        self.socket.send(&frame).await.map_err(cut)?;
                    }
                }
            }
        }
    }
}

fn show(heard: Heard) -> io::Result<Option<Exit>> {
    match heard {
        Heard::Output(bytes) => tty::show(&bytes)?,
        // When stderr is gone there is nobody to tell.
        Heard::Errors(bytes) => drop(io::stderr().lock().write_all(&bytes)),
        Heard::Exit(exit) => return Ok(Some(exit)),
        Heard::Snapshot { .. } | Heard::Info(_) | Heard::Nothing => {}
    }
    Ok(None)
}

fn cut(ended: Ended) -> Failure {
    let why = match ended {
        Ended::Closed(_, reason) if !reason.is_empty() => return Failure::failed(reason),
        Ended::Closed(..) => String::new(),
        Ended::Broken(error) => format!(": {error}"),
    };
    Failure::failed(format!("the connection was cut, and the command ended with it{why}"))
}
