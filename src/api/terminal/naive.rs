//! A naive client: it reads what the terminal prints and sends what is typed, and knows of nothing else.

use std::collections::VecDeque;
use std::sync::{MutexGuard, PoisonError};

use axum::extract::ws::Message;
use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Mutex, Notify};
use tokio::time::{interval, timeout};

use super::super::visitor::{PING, SILENCE, Sink, Source};
use super::Closing;
use super::relay::{Frames, Worker, ended};
use crate::contract::terminal::{ACK_EVERY, ClientFrame, Close, INPUT_WINDOW, NaiveText, ServerFrame, put_frame};

/// What is typed goes on in pieces of so many bytes.
const PIECE: usize = 16 << 10;

/// What both directions know.
struct Shared {
    worker: Mutex<WriteHalf<Worker>>,
    on_way: std::sync::Mutex<OnWay>,
    room: Notify,
}

/// Input that the program does not have yet.
#[derive(Debug, Default)]
struct OnWay {
    /// The number of the last piece.
    last: u64,
    /// How long each is, the last one last.
    pieces: VecDeque<usize>,
    bytes: usize,
}

impl OnWay {
    /// Sends a piece along; its number, or `None` where there is no room.
    fn send(&mut self, length: usize) -> Option<u64> {
        if self.bytes > 0 && self.bytes + length > INPUT_WINDOW {
            return None;
        }
        self.bytes += length;
        self.pieces.push_back(length);
        self.last += 1;
        Some(self.last)
    }

    /// The program has everything up to this piece.
    fn applied(&mut self, id: u64) {
        while self.last - (self.pieces.len() as u64) < id.min(self.last) {
            self.bytes -= self.pieces.pop_front().unwrap_or(0);
        }
    }
}

impl Shared {
    fn on_way(&self) -> MutexGuard<'_, OnWay> {
        self.on_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, frame: &ClientFrame) {
        let mut bytes = BytesMut::new();
        put_frame(&mut bytes, &frame.encode());
        // Where it is gone, the other direction knows.
        let _ = self.worker.lock().await.write_all(&bytes).await;
    }

    /// Types, as far as there is room for it.
    async fn input(&self, bytes: Bytes) {
        let pieces = (0..bytes.len()).step_by(PIECE).map(|at| bytes.slice(at..bytes.len().min(at + PIECE)));
        for piece in pieces {
            let id = loop {
                let sent = self.on_way().send(piece.len());
                match sent {
                    Some(id) => break id,
                    None => self.room.notified().await,
                }
            };
            self.send(&ClientFrame::Input(id, piece)).await;
        }
    }

    fn applied(&self, id: u64) {
        self.on_way().applied(id);
        self.room.notify_one();
    }
}

/// Speaks for it to the end; `None`: the worker has ended it without a word.
pub(super) async fn run(sink: &mut Sink, source: &mut Source, worker: Worker) -> Option<Closing> {
    let (output, input) = tokio::io::split(worker);
    let shared = Shared { worker: Mutex::new(input), on_way: std::sync::Mutex::default(), room: Notify::new() };
    tokio::select! {
        closing = up(source, &shared) => Some(closing),
        closing = down(sink, output, &shared) => closing,
    }
}

async fn up(source: &mut Source, shared: &Shared) -> Closing {
    loop {
        match timeout(SILENCE, source.next()).await {
            Err(_) => return Closing::new(Close::Going, "nothing was heard of the client"),
            Ok(Some(Ok(Message::Binary(bytes)))) => shared.input(bytes).await,
            Ok(Some(Ok(Message::Text(text)))) => match NaiveText::read(&text, false) {
                NaiveText::Resize(size) => shared.send(&ClientFrame::Resize(size)).await,
                NaiveText::Auth(_) | NaiveText::Typed => shared.input(text.into()).await,
            },
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
            Ok(Some(Ok(Message::Close(_)) | Err(_)) | None) => {
                // It does not know what it has seen, and so nothing is kept for it.
                shared.send(&ClientFrame::End).await;
                return Closing::gone();
            }
        }
    }
}

async fn down(sink: &mut Sink, worker: ReadHalf<Worker>, shared: &Shared) -> Option<Closing> {
    let mut frames = Frames::new(worker);
    let mut pings = interval(PING);
    pings.tick().await;
    let mut acked = 0;
    loop {
        let frame = match frames.next_or_ping(sink, &mut pings).await {
            Ok(frame) => frame,
            Err(closing) => return closing,
        };
        let (bytes, end) = match ServerFrame::decode(&frame) {
            Ok(ServerFrame::Data(sequence, bytes)) => {
                let end = sequence + bytes.len() as u64;
                (bytes, end)
            }
            Ok(ServerFrame::Snapshot(sequence, _, bytes)) => {
                acked = sequence;
                (bytes, sequence)
            }
            Ok(ServerFrame::InputAck(id)) => {
                shared.applied(id);
                continue;
            }
            Ok(ServerFrame::Exit(exit)) => return Some(ended(exit)),
            Ok(ServerFrame::Info(_) | ServerFrame::Compressed(..) | ServerFrame::Errors(_)) => continue,
            Err(error) => return Some(Closing::new(Close::Failed, error.to_string())),
        };
        if !bytes.is_empty() && sink.send(Message::Binary(bytes)).await.is_err() {
            return Some(Closing::gone());
        }
        if end.saturating_sub(acked) >= ACK_EVERY {
            acked = end;
            shared.send(&ClientFrame::Ack(end)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_its_way_is_bounded_by_its_bytes_and_not_by_its_pieces() {
        let mut way = OnWay::default();
        for id in 1..=1000 {
            assert_eq!(way.send(1), Some(id), "keys are not held up");
        }
        way.applied(400);
        assert_eq!((way.bytes, way.pieces.len()), (600, 600));
        way.applied(1000);
        way.applied(400);
        assert_eq!((way.bytes, way.send(INPUT_WINDOW)), (0, Some(1001)));
        assert_eq!(way.send(1), None);
        way.applied(u64::MAX);
        assert_eq!(way.send(2 * INPUT_WINDOW), Some(1002), "one piece always goes");
    }
}
