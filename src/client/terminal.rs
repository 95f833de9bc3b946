//! A terminal of a workspace, seen from a client: [`Session`] is what is kept over connections, [`TerminalSocket`] is one.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use hyper::header::{AUTHORIZATION, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::compressed::Decompressor;
use super::connection::{Duplex, open_stream};
use super::{Client, ClientError};
use crate::contract;
use crate::contract::terminal::{
    ACK_EVERY, ClientFrame, Close, Create, Exit, FRAME_MAX, Hello, INPUT_WINDOW, Info, SUBPROTOCOL, ServerFrame, Size,
};
use crate::model::{Name, Secret};

/// Input goes in pieces of so many bytes.
const PIECE: usize = 16 << 10;

/// What came of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Printed.
    Output(Bytes),
    /// What rebuilds the terminal; `fresh`: nothing had been printed before.
    Snapshot {
        /// Its size.
        size: Size,
        /// The stream.
        bytes: Bytes,
        /// Nothing had been printed before.
        fresh: bool,
    },
    /// News of the terminal.
    Info(Box<Info>),
    /// What a command without a terminal wrote to stderr.
    Errors(Bytes),
    /// The end.
    Exit(Exit),
    /// Nothing to show.
    Nothing,
}

/// What a client knows of one terminal over all its connections: what it has, and what it typed that may not have arrived.
#[derive(Debug)]
pub struct Session {
    client: String,
    terminal: Name,
    id: Option<String>,
    have: Option<u64>,
    acked: u64,
    /// The number of the last piece.
    last: u64,
    typed: VecDeque<(u64, Bytes)>,
    waiting: usize,
}

impl Session {
    /// A client that has nothing yet. `client` is its name, at random.
    pub fn new(client: String, terminal: Name) -> Self {
        Self { client, terminal, id: None, have: None, acked: 0, last: 0, typed: VecDeque::new(), waiting: 0 }
    }

    /// The same for a terminal that was just made, whose output it wants from the first byte on.
    #[must_use]
    pub fn from_start(self, id: String) -> Self {
        Self { id: Some(id), have: Some(0), ..self }
    }

    /// What it says first on each connection.
    pub fn hello(&self, size: Size, create: Option<Create>) -> Hello {
        Hello {
            token: None,
            client: self.client.clone(),
            terminal: Some(self.terminal.clone()),
            id: self.id.clone(),
            have: self.have,
            cols: size.cols,
            rows: size.rows,
            create,
            exec: None,
            compress: false,
        }
    }

    /// What is shown is not what it should be: the next connection brings all of it anew.
    pub fn forget(&mut self) {
        self.have = None;
    }

    /// Something is typed: the frames to send.
    pub fn input(&mut self, bytes: &Bytes) -> Vec<ClientFrame> {
        let pieces = (0..bytes.len()).step_by(PIECE).map(|at| bytes.slice(at..bytes.len().min(at + PIECE)));
        let number = |piece: Bytes| {
            self.last += 1;
            self.waiting += piece.len();
            self.typed.push_back((self.last, piece.clone()));
            ClientFrame::Input(self.last, piece)
        };
        pieces.map(number).collect()
    }

    /// Whether more may be typed now.
    pub fn has_room(&self) -> bool {
        self.waiting < INPUT_WINDOW - PIECE
    }

    /// What was typed and may not have arrived: to be sent again on a new connection.
    pub fn again(&self) -> Vec<ClientFrame> {
        self.typed.iter().map(|(id, piece)| ClientFrame::Input(*id, piece.clone())).collect()
    }

    /// A frame has come.
    pub fn take(&mut self, frame: ServerFrame) -> Heard {
        match frame {
            ServerFrame::Data(sequence, bytes) => {
                self.have = Some(sequence + bytes.len() as u64);
                Heard::Output(bytes)
            }
            ServerFrame::Snapshot(sequence, size, bytes) => {
                (self.have, self.acked) = (Some(sequence), sequence);
                Heard::Snapshot { size, bytes, fresh: sequence == 0 }
            }
            ServerFrame::Info(info) => {
                self.id = Some(info.id.clone());
                Heard::Info(info)
            }
            ServerFrame::InputAck(id) => {
                while self.typed.front().is_some_and(|(first, _)| *first <= id) {
                    self.waiting -= self.typed.pop_front().map_or(0, |(_, piece)| piece.len());
                }
                Heard::Nothing
            }
            ServerFrame::Exit(exit) => Heard::Exit(exit),
            ServerFrame::Errors(bytes) => Heard::Errors(bytes),
            // The socket has undone it.
            ServerFrame::Compressed(..) => Heard::Nothing,
        }
    }

    /// What was shown is to be acknowledged, where that is due.
    pub fn acknowledge(&mut self) -> Option<ClientFrame> {
        let have = self.have.filter(|have| have.saturating_sub(self.acked) >= ACK_EVERY)?;
        self.acked = have;
        Some(ClientFrame::Ack(have))
    }
}

/// How a connection ended.
#[derive(Debug)]
pub enum Ended {
    /// It was closed with a code and a reason.
    Closed(u16, String),
    /// It broke.
    Broken(io::Error),
}

impl Ended {
    /// Whether another connection may fare better.
    pub fn is_worth_another_try(&self) -> bool {
        match self {
            Self::Closed(code, _) => *code == Close::Going.code() || *code == Close::Again.code() || *code == 1006,
            Self::Broken(_) => true,
        }
    }
}

/// One connection to a terminal.
pub struct TerminalSocket {
    socket: WebSocketStream<Box<dyn Duplex>>,
    decompressor: Decompressor,
    /// It does not stay on this machine.
    far: bool,
}

impl std::fmt::Debug for TerminalSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TerminalSocket")
    }
}

impl TerminalSocket {
    /// Says hello; output is asked for compressed where it goes over a network.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn greet(&mut self, hello: Hello) -> Result<(), Ended> {
        let hello = Hello { compress: self.far, ..hello };
        self.send(&ClientFrame::Hello(Box::new(hello))).await
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn send(&mut self, frame: &ClientFrame) -> Result<(), Ended> {
        self.socket.send(Message::Binary(frame.encode())).await.map_err(broken)
    }

    /// The next frame. Cancel-safe.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn next(&mut self) -> Result<ServerFrame, Ended> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Binary(frame))) => {
                    let frame = ServerFrame::decode(&frame).map_err(|error| Ended::Broken(io::Error::other(error)))?;
                    return self.decompressor.pass(frame).map_err(Ended::Broken);
                }
                Some(Ok(Message::Close(Some(close)))) => {
                    return Err(Ended::Closed(close.code.into(), close.reason.as_str().to_owned()));
                }
                Some(Ok(Message::Close(None))) | None => return Err(Ended::Closed(1006, String::new())),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(broken(error)),
            }
        }
    }

    /// Leaves; the terminal goes on.
    pub async fn close(mut self) {
        self.socket.close(None).await.ok();
    }
}

fn broken(error: Error) -> Ended {
    Ended::Broken(match error {
        Error::Io(error) => error,
        other => io::Error::other(other),
    })
}

impl Client {
    /// Connects to a terminal of a workspace; a hello is to follow.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn terminal(&self, workspace: &Name) -> Result<TerminalSocket, ClientError> {
        let target = &self.target;
        let unreadable = |what: String| ClientError::Unreadable { address: target.address.clone(), what };
        let uri = format!("ws://{}/terminal/{workspace}", target.host());
        let mut request = uri.into_client_request().map_err(|error| unreadable(error.to_string()))?;
        let headers = request.headers_mut();
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        if let Some(only) = &target.only {
            let id = HeaderValue::from_str(&only.id).map_err(|error| unreadable(error.to_string()))?;
            headers.insert(contract::AGENT, id);
        }
        if let Some(Secret(token)) = &target.token {
            let mut value =
                HeaderValue::from_str(&format!("Bearer {token}")).map_err(|error| unreadable(error.to_string()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let stream = open_stream(target).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(64 << 10)
            .write_buffer_size(0)
            .max_message_size(Some(FRAME_MAX))
            .max_frame_size(Some(FRAME_MAX));
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => {
                Ok(TerminalSocket { socket, decompressor: Decompressor::default(), far: !target.is_here() })
            }
            Err(Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                Err(target.error(response.status().as_u16(), &body))
            }
            Err(error) => Err(unreadable(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session::new("c".to_owned(), "main".parse().expect("a name"))
    }

    #[test]
    fn what_was_typed_is_sent_again_until_it_is_acknowledged() {
        let mut session = session();
        let sent = session.input(&Bytes::from(vec![b'x'; PIECE + 1]));
        assert_eq!(sent.len(), 2);
        assert_eq!(session.again(), sent);
        assert_eq!(session.take(ServerFrame::InputAck(1)), Heard::Nothing);
        assert_eq!(session.again(), sent[1..]);
        session.take(ServerFrame::InputAck(2));
        assert!(session.again().is_empty() && session.waiting == 0);
    }

    #[test]
    fn a_client_knows_what_it_has_and_says_so_when_it_comes_back() {
        let mut session = session();
        assert_eq!(session.hello(Size::USUAL, None).have, None);
        session.take(ServerFrame::Snapshot(100, Size::USUAL, Bytes::new()));
        session.take(ServerFrame::Data(100, Bytes::from_static(b"abc")));
        assert_eq!((session.hello(Size::USUAL, None).have, session.acknowledge()), (Some(103), None));
        session.take(ServerFrame::Data(103, Bytes::from(vec![0; 16 << 10])));
        assert_eq!(session.acknowledge(), Some(ClientFrame::Ack(103 + (16 << 10))));
        assert_eq!(session.acknowledge(), None);
        session.forget();
        assert_eq!(session.hello(Size::USUAL, None).have, None);
    }
}
