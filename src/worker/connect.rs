//! `perry worker connect [terminals]`: bridges stdin and stdout to the worker's socket, for an agent that can reach the container only
//! through the engine's `exec`.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use crate::contract::worker::Socket;
use crate::worker::{WorkerError, fail};

/// Bridges until the worker closes its side; 1 where it does not listen.
pub fn run(args: &[OsString]) -> ExitCode {
    let socket = if args.first().is_some_and(|arg| arg == "terminals") { Socket::Terminals } else { Socket::Worker };
    match bridge(&socket.path()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn bridge(socket: &Path) -> Result<(), WorkerError> {
    let duplicate = WorkerError::system("duplicate stdin and stdout");
    let open = || -> io::Result<(File, File)> {
        // Unbuffered: `Stdout` would hold frames back until a line break.
        Ok((io::stdin().as_fd().try_clone_to_owned()?.into(), io::stdout().as_fd().try_clone_to_owned()?.into()))
    };
    let (mut input, mut output) = open().map_err(duplicate)?;
    let mut stream = UnixStream::connect(socket).map_err(WorkerError::file("connect to", socket))?;
    let mut upward = stream.try_clone().map_err(WorkerError::system("duplicate the socket"))?;
    thread::spawn(move || {
        // Whichever way it ends, the worker learns that nothing more comes.
        let _ = copy(&mut input, &mut upward);
        let _ = upward.shutdown(Shutdown::Write);
    });
    copy(&mut stream, &mut output).map_err(WorkerError::file("read from", socket))
}

/// Passes on every piece at once. `io::copy` would splice, and a splice between a pipe and a socket was seen to sit on
/// what it had until more came.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut piece = vec![0; 64 << 10];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => to.write_all(&piece[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
