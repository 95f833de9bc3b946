//! A command without a terminal, whose input and output are passed on as they come. It belongs to its connection, and
//! ends with it.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::process::Stdio;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::connection::{Frames, Out};
use crate::contract::terminal::{ClientFrame, DATA_MAX, Exec, Exit, ServerFrame};
use crate::worker::command::{self, Group, REST, TIMED_OUT, limit};

/// Input that the command has taken, to be acknowledged.
#[derive(Default)]
struct Taken {
    last: Cell<Option<u64>>,
    told: Notify,
}

/// Runs a command to its end, or the connection's.
pub(super) async fn run(own: &Path, exec: Exec, mut frames: Frames, mut out: Out) {
    let exit = match start(own, &exec) {
        Err(why) => Exit::gone(why),
        Ok(mut child) => {
            let mut group = Group::of(&child);
            let taken = Taken::default();
            let input = child.stdin.take();
            tokio::select! {
                // Nobody waits for it any more.
                () = feed(&mut frames, input, &taken) => return,
                exit = follow(&mut child, &mut group, &exec, &taken, &mut out) => match exit {
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

/// Hands over input until the connection ends.
async fn feed(frames: &mut Frames, mut input: Option<ChildStdin>, taken: &Taken) {
    while let Ok(Some(frame)) = frames.next().await {
        match ClientFrame::decode(&frame) {
            Ok(ClientFrame::Input(id, bytes)) => {
                // One that reads no more is not told: it has what it wants.
                if let Some(pipe) = &mut input
                    && pipe.write_all(&bytes).await.is_err()
                {
                    input = None;
                }
                taken.last.set(Some(id));
                taken.told.notify_one();
            }
            Ok(ClientFrame::End) => input = None,
            Ok(ClientFrame::Resize(_) | ClientFrame::Ack(_)) => {}
            Ok(ClientFrame::Hello(_)) | Err(_) => return,
        }
    }
}

/// Passes on what it writes, to its end.
async fn follow(child: &mut Child, group: &mut Group, exec: &Exec, taken: &Taken, out: &mut Out) -> io::Result<Exit> {
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let mut passing = std::pin::pin!(pass(&mut stdout, &mut stderr, taken, out));
    let ended = async {
        let status = timeout(limit(exec.timeout), child.wait()).await;
        let Ok(status) = status else {
            group.kill();
            let _ = child.wait().await;
            return TIMED_OUT;
        };
        // What it left in the background goes on.
        group.spare();
        status.map_or(126, command::code)
    };
    let mut ended = std::pin::pin!(ended);
    let code = tokio::select! {
        passed = &mut passing => {
            passed?;
            return Ok(Exit::of(Some(ended.await), None));
        }
        code = &mut ended => code,
    };
    match timeout(REST, passing).await {
        Ok(Err(error)) => Err(error),
        _ => Ok(Exit::of(Some(code), None)),
    }
}

/// Passes on what comes from both pipes until both are at their ends.
async fn pass(
    stdout: &mut Option<impl AsyncRead + Unpin>,
    stderr: &mut Option<impl AsyncRead + Unpin>,
    taken: &Taken,
    out: &mut Out,
) -> io::Result<()> {
    let (mut first, mut second) = (vec![0; DATA_MAX], vec![0; DATA_MAX]);
    let mut sequence = 0;
    while stdout.is_some() || stderr.is_some() {
        tokio::select! {
            length = read(stdout, &mut first) => {
                if length > 0 {
                    let bytes = Bytes::copy_from_slice(&first[..length]);
                    out.frame(&ServerFrame::Data(sequence, bytes).encode()).await?;
                    sequence += length as u64;
                }
            }
            length = read(stderr, &mut second) => {
                if length > 0 {
                    let bytes = Bytes::copy_from_slice(&second[..length]);
                    out.frame(&ServerFrame::Errors(bytes).encode()).await?;
                }
            }
            () = taken.told.notified() => {}
        }
        if let Some(id) = taken.last.take() {
            out.frame(&ServerFrame::InputAck(id).encode()).await?;
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
