//! A client of the protocol: frames are passed on as they are.

use std::io;

use axum::extract::ws::Message;
use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Interval, interval, timeout};

use super::super::visitor::{PING, SILENCE, Sink, Source};
use super::Closing;
use super::compress::Compressor;
use crate::contract::terminal::{ClientFrame, Close, Exit, ServerFrame, put_frame, take_frame};
use crate::runtime::Duplex;

/// What is read from the worker at once, in bytes.
const READ: usize = 64 << 10;

/// The worker's end.
pub(super) type Worker = Box<dyn Duplex>;

/// Relays to the end; `None`: the worker has ended it without a word.
pub(super) async fn run(sink: &mut Sink, source: &mut Source, worker: Worker, compress: bool) -> Option<Closing> {
    let compressor = compress.then(Compressor::default);
    let (output, input) = tokio::io::split(worker);
    tokio::select! {
        closing = up(source, input) => Some(closing),
        closing = down(sink, output, compressor) => closing,
    }
}

async fn up(source: &mut Source, mut worker: WriteHalf<Worker>) -> Closing {
    let mut frame = BytesMut::new();
    loop {
        let bytes = match timeout(SILENCE, source.next()).await {
            Err(_) => return Closing::new(Close::Going, "nothing was heard of the client"),
            Ok(Some(Ok(Message::Binary(bytes)))) => bytes,
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
            Ok(Some(Ok(Message::Text(_)))) => return Closing::new(Close::Failed, "frames of this protocol are binary"),
            Ok(Some(Ok(Message::Close(_)))) => {
                // It need not be waited for; where the worker does not hear of it, it is gone too.
                let _ = pass(&mut worker, &mut frame, &ClientFrame::End.encode()).await;
                return Closing::gone();
            }
            Ok(Some(Err(_)) | None) => return Closing::gone(),
        };
        match ClientFrame::decode(&bytes) {
            Ok(ClientFrame::Hello(_)) => return Closing::new(Close::Failed, "a hello comes first and once"),
            Ok(_) => {}
            Err(error) => return Closing::new(Close::Failed, error.to_string()),
        }
        if pass(&mut worker, &mut frame, &bytes).await.is_err() {
            // The other direction knows more.
            std::future::pending::<()>().await;
        }
    }
}

async fn pass(worker: &mut WriteHalf<Worker>, frame: &mut BytesMut, bytes: &[u8]) -> io::Result<()> {
    frame.clear();
    put_frame(frame, bytes);
    worker.write_all(frame).await
}

async fn down(sink: &mut Sink, worker: ReadHalf<Worker>, mut compressor: Option<Compressor>) -> Option<Closing> {
    let mut frames = Frames::new(worker);
    let mut pings = interval(PING);
    pings.tick().await;
    loop {
        let frame = match frames.next_or_ping(sink, &mut pings).await {
            Ok(frame) => frame,
            Err(closing) => return closing,
        };
        if let Some(exit) = exit(&frame) {
            return Some(ended(exit));
        }
        let frame = match &mut compressor {
            None => frame,
            Some(compressor) => match compressor.pass(frame) {
                Ok(frame) => frame,
                Err(error) => {
                    return Some(Closing::new(Close::Failed, format!("output cannot be compressed: {error}")));
                }
            },
        };
        if sink.send(Message::Binary(frame)).await.is_err() {
            return Some(Closing::gone());
        }
    }
}

/// The end, where a frame tells it.
fn exit(frame: &Bytes) -> Option<Exit> {
    if ServerFrame::is_data(frame) {
        return None;
    }
    match ServerFrame::decode(frame) {
        Ok(ServerFrame::Exit(exit)) => Some(exit),
        _ => None,
    }
}

/// What a connection is closed with after the end.
pub(super) fn ended(exit: Exit) -> Closing {
    let code = if exit.code.is_some() { Close::Exit } else { Close::Failed };
    Closing { code, reason: exit.reason.clone(), exit: Some(exit) }
}

/// The worker's frames.
pub(super) struct Frames {
    worker: ReadHalf<Worker>,
    buffer: BytesMut,
}

impl Frames {
    pub(super) fn new(worker: ReadHalf<Worker>) -> Self {
        Self { worker, buffer: BytesMut::new() }
    }

    /// The next one; meanwhile the client is asked whether it is there.
    ///
    /// # Errors
    /// It is not, or the worker has ended it without a word (`None`).
    pub(super) async fn next_or_ping(
        &mut self,
        sink: &mut Sink,
        pings: &mut Interval,
    ) -> Result<Bytes, Option<Closing>> {
        loop {
            tokio::select! {
                frame = self.next() => return frame.ok_or(None),
                _ = pings.tick() => {
                    sink.send(Message::Ping(Bytes::new())).await.map_err(|_| Some(Closing::gone()))?;
                }
            }
        }
    }

    /// The next one; `None` at the end. Cancel-safe.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = take_frame(&mut self.buffer).ok()? {
                return Some(frame);
            }
            // An idle one keeps little.
            self.buffer.reserve(if self.buffer.is_empty() { 4 << 10 } else { READ });
            if self.worker.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }
}
