//! A command without a terminal, whose input and output are passed on as they come. It belongs to its connection, and
//! ends with it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::process::Stdio;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::connection::{Frames, Out};
use crate::contract::terminal::{ClientFrame, DATA_MAX, Exec, Exit, INPUT_WINDOW, ServerFrame};
use crate::worker::command::{self, REST};

/// What who passes on output is to know.
#[derive(Default)]
struct News {
    /// The last input that the command has taken, to be acknowledged.
    taken: Cell<Option<u64>>,
    /// The command has ended.
    over: Cell<bool>,
    changed: Notify,
}

/// Runs a command to its end, or the connection's.
pub(super) async fn run(own: &Path, exec: Exec, mut frames: Frames, mut out: Out) {
    let exit = match start(own, &exec) {
        Err(why) => Exit::gone(why),
        Ok(mut child) => {
            let news = News::default();
            let input = Input { pipe: child.stdin.take(), waiting: VecDeque::new(), held: 0, ended: false };
            let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
            let to_its_end = async {
                let (code, passed) = tokio::join!(end(child, &exec, &news), pass(stdout, stderr, &news, &mut out));
                passed.map(|()| Exit::of(Some(code), None))
            };
            tokio::select! {
                // Nobody waits for it any more.
                () = feed(&mut frames, input, &news) => return,
                exit = to_its_end => match exit {
                    Ok(exit) => exit,
                    Err(_) => return,
                },
            }
        }
    };
    // Whoever asked may have left.
    let _ = out.frame(&ServerFrame::Exit(exit).encode()).await;
}

fn start(own: &Path, exec: &Exec) -> Result<Child, String> {
    command::validate(&exec.command)?;
    command::spawn(own, &exec.command, Stdio::piped()).map_err(|error| format!("cannot start a command: {error}"))
}

/// The exit code.
async fn end(child: Child, exec: &Exec, news: &News) -> i32 {
    let code = command::end(child, exec.timeout).await;
    news.over.set(true);
    news.changed.notify_one();
    code
}

/// What was typed, until the command has it.
struct Input {
    /// None once it takes no more.
    pipe: Option<ChildStdin>,
    waiting: VecDeque<(u64, Bytes)>,
    /// Bytes that wait, and one for each piece, so that empty ones have a bound too.
    held: usize,
    /// No more comes.
    ended: bool,
}

impl Input {
    /// Takes a frame of the client's; false where it must not be sent.
    fn take(&mut self, frame: ClientFrame) -> bool {
        match frame {
            ClientFrame::Input(id, bytes) => {
                let has_room = self.held <= 2 * INPUT_WINDOW;
                self.held += bytes.len() + 1;
                self.waiting.push_back((id, bytes));
                return has_room;
            }
            ClientFrame::End => self.ended = true,
            ClientFrame::Resize(_) | ClientFrame::Ack(_) => {}
            ClientFrame::Hello(_) => return false,
        }
        true
    }

    /// Hands over some of what waits; the number of a piece that the command has. Cancel-safe.
    async fn hand_over(&mut self) -> Option<u64> {
        let (id, bytes) = self.waiting.front_mut()?;
        let written = match &mut self.pipe {
            Some(pipe) if !bytes.is_empty() => pipe.write(bytes).await,
            _ => Ok(bytes.len()),
        };
        let length = written.unwrap_or_else(|_| {
            // One that reads no more is not told: it has what it wants.
            self.pipe = None;
            bytes.len()
        });
        bytes.advance(length);
        self.held -= length;
        let done = bytes.is_empty().then_some(*id)?;
        self.held -= 1;
        self.waiting.pop_front();
        Some(done)
    }
}

/// Hands over input until the connection ends, which is heard also while the command takes nothing.
async fn feed(frames: &mut Frames, mut input: Input, news: &News) {
    loop {
        if input.ended && input.waiting.is_empty() {
            input.pipe = None;
        }
        tokio::select! {
            frame = frames.next() => {
                let frame = frame.ok().flatten().and_then(|frame| ClientFrame::decode(&frame).ok());
                if !frame.is_some_and(|frame| input.take(frame)) {
                    return;
                }
            }
            taken = input.hand_over(), if !input.waiting.is_empty() => {
                if taken.is_some() {
                    news.taken.set(taken);
                    news.changed.notify_one();
                }
            }
        }
    }
}

/// Passes on what comes from both pipes until both are at their ends, or the command is and nothing comes for a while.
async fn pass(
    mut stdout: Option<impl AsyncRead + Unpin>,
    mut stderr: Option<impl AsyncRead + Unpin>,
    news: &News,
    out: &mut Out,
) -> io::Result<()> {
    let (mut first, mut second) = (vec![0; DATA_MAX], vec![0; DATA_MAX]);
    let mut sequence = 0;
    while stdout.is_some() || stderr.is_some() {
        let frame = tokio::select! {
            length = read(&mut stdout, &mut first) => {
                let bytes = Bytes::copy_from_slice(&first[..length]);
                sequence += length as u64;
                (length > 0).then(|| ServerFrame::Data(sequence - length as u64, bytes))
            }
            length = read(&mut stderr, &mut second) => {
                (length > 0).then(|| ServerFrame::Errors(Bytes::copy_from_slice(&second[..length])))
            }
            () = news.changed.notified() => None,
            () = sleep(REST), if news.over.get() => return Ok(()),
        };
        for frame in frame.into_iter().chain(news.taken.take().map(ServerFrame::InputAck)) {
            out.frame(&frame.encode()).await?;
        }
    }
    Ok(())
}

/// What comes next; at the end 0, and the pipe is no more.
async fn read(pipe: &mut Option<impl AsyncRead + Unpin>, into: &mut [u8]) -> usize {
    let Some(open) = pipe else { return std::future::pending().await };
    match open.read(into).await {
        Ok(length @ 1..) => length,
        _ => {
            *pipe = None;
            0
        }
    }
}
