//! PID 1's end of the link to `serve`.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, ChildStdout};
use std::sync::mpsc::SyncSender;
use std::thread;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::Event;
use crate::worker::WorkerError;
use crate::worker::link::{Request, Status};

/// The longest line that `serve` sends has some ten characters.
const LINE: u64 = 256;

/// The link to one `serve`.
#[derive(Debug)]
pub(super) struct Link {
    stdin: ChildStdin,
    sent: Option<Status>,
}

impl Link {
    /// Takes over the pipes of a `serve`; its requests become events.
    ///
    /// # Errors
    /// No pipes or no thread.
    pub(super) fn open(child: &mut Child, pid: i32, events: SyncSender<Event>) -> Result<Self, WorkerError> {
        let missing =
            || WorkerError::System { what: "open a pipe to serve", source: std::io::ErrorKind::BrokenPipe.into() };
        let (stdin, stdout) = (child.stdin.take().ok_or_else(missing)?, child.stdout.take().ok_or_else(missing)?);
        // A `serve` that reads no more must not hold up PID 1.
        fcntl(stdin.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
            .map_err(|errno| WorkerError::System { what: "open a pipe to serve", source: errno.into() })?;
        let hear = move || hear(stdout, pid, &events);
        thread::Builder::new().name("serve".into()).spawn(hear).map_err(WorkerError::system("start a thread"))?;
        Ok(Self { stdin, sent: None })
    }

    /// Tells it what has changed since it was told last; `false` where it does not listen and must be replaced.
    pub(super) fn tell(&mut self, status: &Status) -> bool {
        if self.sent.as_ref() == Some(status) {
            return true;
        }
        let Ok(mut line) = serde_json::to_vec(status) else { return false };
        line.push(b'\n');
        self.sent = Some(status.clone());
        // In one piece or not at all: half a line could never be mended.
        matches!(self.stdin.write(&line), Ok(length) if length == line.len())
    }
}

fn hear(stdout: ChildStdout, pid: i32, events: &SyncSender<Event>) {
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    loop {
        line.clear();
        match stdout.by_ref().take(LINE).read_line(&mut line) {
            Ok(1..) => {}
            _ => return,
        }
        if let Some(request) = Request::parse(&line)
            && events.send(Event::Request(pid, request)).is_err()
        {
            return;
        }
    }
}
