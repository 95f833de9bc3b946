//! One connection of the agent's: a question and its answer, or a viewer.

use std::io::{self, IoSlice};
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use subtle::ConstantTimeEq;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::net::unix::pipe::Receiver;
use tokio::time::timeout;

use super::flow::Next;
use super::host::Host;
use super::piped;
use super::terminal::{Terminal, Viewer};
use crate::contract::terminal::{ClientFrame, Exit, Hello, ServerFrame, Size, put_frame, take_frame};
use crate::contract::terminals::{Opening, Refusal, TerminalAnswer, TerminalRequest};
use crate::quiet;

/// How long the first frame may take.
const OPENING: Duration = Duration::from_secs(10);

/// Serves a connection to its end.
pub(super) async fn serve(host: Rc<Host>, stream: UnixStream) {
    let Ok((read, write)) = stream.into_std().and_then(quiet::split) else { return };
    let (mut frames, mut out) = (Frames::new(read), Out { socket: write, rest: BytesMut::new() });
    let Ok(Ok(Some(first))) = timeout(OPENING, frames.next()).await else { return };
    let answer = match serde_json::from_slice::<Opening>(&first) {
        Ok(opening) if is_secret(&host, &opening.secret) => match opening.request {
            TerminalRequest::Attach { hello, read_only } => return attach(&host, *hello, read_only, frames, out).await,
            request => host.answer(request).await,
        },
        Ok(_) => Err(Refusal::Invalid("the secret of this workspace is wrong".to_owned())),
        Err(error) => Err(Refusal::Invalid(error.to_string())),
    };
    let answer = answer.unwrap_or_else(TerminalAnswer::Refused);
    // Whoever asked may have left.
    let _ = out.document(&answer).await;
}

fn is_secret(host: &Host, given: &str) -> bool {
    // An empty secret would let everybody in.
    !host.secret.is_empty() && bool::from(given.as_bytes().ct_eq(host.secret.as_bytes()))
}

async fn attach(host: &Rc<Host>, mut hello: Hello, read_only: bool, frames: Frames, mut out: Out) {
    if let Some(exec) = hello.exec.take().filter(|_| !read_only) {
        let Ok(_permit) = host.commands.try_acquire() else {
            let refusal = "too many commands run already; try again when one has ended";
            let _ = out.frame(&ServerFrame::Exit(Exit::gone(refusal)).encode()).await;
            return;
        };
        return piped::run(&host.own, exec, frames, out).await;
    }
    match host.attach(hello, read_only) {
        Ok((terminal, viewer)) => {
            let mut frames = frames;
            let returns = tokio::select! {
                returns = read(&terminal, &viewer, &mut frames) => returns,
                returns = write(&terminal, &viewer, &mut out) => returns,
            };
            terminal.detach(&viewer, returns);
        }
        Err(refusal) => {
            let _ = out.frame(&ServerFrame::Exit(Exit::gone(refusal.to_string())).encode()).await;
        }
    }
}

/// Does what a viewer asks for; whether it may come back.
async fn read(terminal: &Rc<Terminal>, viewer: &Viewer, frames: &mut Frames) -> bool {
    loop {
        match frames.next().await {
            Ok(Some(frame)) => match ClientFrame::decode(&frame) {
                Ok(ClientFrame::Input(id, bytes)) => {
                    if terminal.input(viewer, id, bytes).is_err() {
                        return false;
                    }
                }
                Ok(ClientFrame::Resize(size)) => terminal.viewer_resized(viewer, size),
                Ok(ClientFrame::Ack(sequence)) => terminal.acked(viewer, sequence),
                Ok(ClientFrame::Hello(_) | ClientFrame::End) | Err(_) => return false,
            },
            Ok(None) | Err(_) => return true,
        }
    }
}

/// Sends what there is for a viewer, until it has the end of it.
async fn write(terminal: &Rc<Terminal>, viewer: &Rc<Viewer>, out: &mut Out) -> bool {
    loop {
        match write_some(terminal, viewer, out).await {
            Ok(true) => {}
            Ok(false) => {
                if let Some(exit) = terminal.end_for(viewer) {
                    let _ = out.frame(&ServerFrame::Exit(exit).encode()).await;
                    return false;
                }
                viewer.wake.notified().await;
            }
            Err(_) => return true,
        }
    }
}

/// One frame, or a few; whether there was any.
async fn write_some(terminal: &Terminal, viewer: &Viewer, out: &mut Out) -> io::Result<bool> {
    if let Some(info) = terminal.news(viewer) {
        out.queue(&ServerFrame::Info(Box::new(info)).encode());
    }
    match terminal.next(viewer) {
        Next::Nothing => {
            if let Some(id) = viewer.take_applied() {
                out.queue(&ServerFrame::InputAck(id).encode());
            }
            let queued = !out.rest.is_empty();
            out.flush().await?;
            return Ok(queued);
        }
        Next::Resized(size) => {
            let info = terminal.tell_size(viewer, size);
            out.queue(&ServerFrame::Info(Box::new(info)).encode());
        }
        Next::Snapshot => {
            let Some((sequence, size, bytes)) = terminal.snapshot(viewer).await else {
                return Err(io::ErrorKind::BrokenPipe.into());
            };
            out.frame(&ServerFrame::Snapshot(sequence, size, bytes.into()).encode()).await?;
        }
        Next::Data(from, length) => {
            if let Some(id) = viewer.take_applied() {
                out.queue(&ServerFrame::InputAck(id).encode());
            }
            out.flush().await?;
            terminal.send(viewer, from, length, |first, second| out.data(from, first, second))?;
            out.flush().await?;
        }
    }
    Ok(true)
}

/// Frames that come, each behind its length.
pub(super) struct Frames {
    socket: Receiver,
    buffer: BytesMut,
}

impl Frames {
    fn new(socket: Receiver) -> Self {
        Self { socket, buffer: BytesMut::new() }
    }

    /// The next one; `None` at the end.
    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(frame) = take_frame(&mut self.buffer).map_err(io::Error::other)? {
                return Ok(Some(frame));
            }
            self.buffer.reserve(2 << 10);
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }
}

/// Frames that go.
pub(super) struct Out {
    socket: quiet::Writer<std::os::unix::net::UnixStream>,
    /// What must go before anything else.
    rest: BytesMut,
}

impl Out {
    fn queue(&mut self, frame: &[u8]) {
        put_frame(&mut self.rest, frame);
    }

    pub(super) async fn frame(&mut self, frame: &[u8]) -> io::Result<()> {
        self.queue(frame);
        self.flush().await
    }

    async fn document(&mut self, document: &impl serde::Serialize) -> io::Result<()> {
        let document = serde_json::to_vec(document)?;
        self.frame(&document).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        while !self.rest.is_empty() {
            match self.socket.try_write(&self.rest) {
                Ok(length) => self.rest.advance(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.socket.writable().await?,
                Err(error) => return Err(error),
            }
        }
        // A snapshot's worth of memory is not kept by an idle viewer.
        if self.rest.capacity() > 4 << 10 {
            self.rest = BytesMut::new();
        }
        Ok(())
    }

    /// Sends data from where it lies, without waiting; what does not go now is kept.
    fn data(&mut self, sequence: u64, first: &[u8], second: &[u8]) -> io::Result<()> {
        let head = ServerFrame::data_head(sequence);
        let length = u32::try_from(head.len() + first.len() + second.len()).unwrap_or(u32::MAX).to_le_bytes();
        let pieces = [&length[..], &head[..], first, second];
        let written = match self.socket.try_write_vectored(&pieces.map(IoSlice::new)) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        let mut skip = written;
        for piece in pieces {
            let gone = skip.min(piece.len());
            self.rest.extend_from_slice(&piece[gone..]);
            skip -= gone;
        }
        Ok(())
    }
}

impl From<&Hello> for Size {
    fn from(hello: &Hello) -> Self {
        Self { cols: hello.cols, rows: hello.rows }.clamped()
    }
}
