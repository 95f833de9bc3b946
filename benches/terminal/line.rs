//! Ways to a terminal in a container, all driven by the same code.

use std::process::Stdio;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use perry::client::{Client, Heard, Session, TerminalSocket};
use perry::contract::terminal::{ClientFrame, Create, Size};
use perry::model::Name;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::common::agent::PATIENCE;

/// One terminal with a program.
#[async_trait]
pub(crate) trait Line: Send {
    /// Types.
    async fn send(&mut self, bytes: &[u8]);
    /// What comes next; empty at the end.
    async fn next(&mut self) -> Bytes;

    /// Goes on until this was shown.
    async fn until(&mut self, text: &str) {
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(text) {
            let next = tokio::time::timeout(PATIENCE, self.next()).await.unwrap_or_default();
            assert!(!next.is_empty(), "nothing comes before {text:?}: {:?}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&next);
        }
    }
}

/// Bytes of output that are read at once where that can be said.
const READ: usize = 64 << 10;

/// The engine's own stream, upgraded from HTTP.
pub(crate) struct Exec(UnixStream, BytesMut);

impl Exec {
    pub(crate) async fn open(container: &str, command: &[&str]) -> Self {
        let body = serde_json::json!({
            "AttachStdin": true, "AttachStdout": true, "AttachStderr": true, "Tty": true, "User": "workspace",
            "Cmd": command,
        });
        let (_, answer) = Self::post(&format!("/containers/{container}/exec"), &body, "close").await;
        let answer: serde_json::Value = serde_json::from_str(answer.trim()).expect("JSON");
        let id = answer["Id"].as_str().expect("an id");
        let body = serde_json::json!({"Detach": false, "Tty": true});
        let (stream, rest) = Self::post(&format!("/exec/{id}/start"), &body, "Upgrade\r\nUpgrade: tcp").await;
        Self(stream, BytesMut::from(rest.as_bytes()))
    }

    /// What follows the head of the answer.
    async fn post(path: &str, body: &serde_json::Value, connection: &str) -> (UnixStream, String) {
        let body = body.to_string();
        let mut stream = UnixStream::connect("/var/run/docker.sock").await.expect("an engine");
        let head = format!(
            "POST /v1.44{path} HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nConnection: {connection}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&answer).into_owned();
            if let Some((head, rest)) = text.split_once("\r\n\r\n") {
                let length = head.split("Content-Length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
                if rest.len() >= length.unwrap_or(0) {
                    assert!(head.starts_with("HTTP/1.1 1") || head.starts_with("HTTP/1.1 2"), "{text}");
                    return (stream, rest.to_owned());
                }
            }
            assert!(stream.read_buf(&mut answer).await.expect("read") > 0, "no answer to {path}");
        }
    }
}

#[async_trait]
impl Line for Exec {
    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("sent");
    }

    async fn next(&mut self) -> Bytes {
        if self.1.is_empty() {
            self.1.reserve(READ);
            self.0.read_buf(&mut self.1).await.expect("read");
        }
        self.1.split().freeze()
    }
}

/// A program of this machine on a terminal of this machine.
pub(crate) struct Local {
    child: Child,
    read: tokio::net::unix::pipe::Receiver,
    write: tokio::net::unix::pipe::Sender,
    buffer: BytesMut,
}

impl Local {
    pub(crate) fn open(command: &[String]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&master).expect("granted");
        unlockpt(&master).expect("unlocked");
        let path = ptsname(&master, Vec::new()).expect("a name").into_string().expect("text");
        let slave = std::fs::File::options().read(true).write(true).open(path).expect("the other end");
        // Clients make it raw themselves. ssh has the other end begin with the modes of this one: raw, no Ctrl-C would be one.
        let end = || Stdio::from(slave.try_clone().expect("another"));
        // Makes it the controlling terminal.
        let mut program = Command::new("setsid");
        program.args(["--ctty", "--wait"]).args(command).stdin(end()).stdout(end()).stderr(end()).kill_on_drop(true);
        let child = program.spawn().expect("it starts");
        rustix::io::ioctl_fionbio(&master, true).expect("non-blocking");
        let write = master.try_clone().expect("another");
        Self {
            child,
            read: tokio::net::unix::pipe::Receiver::from_owned_fd_unchecked(master).expect("a reader"),
            write: tokio::net::unix::pipe::Sender::from_owned_fd_unchecked(write).expect("a writer"),
            buffer: BytesMut::new(),
        }
    }
}

#[async_trait]
impl Line for Local {
    async fn send(&mut self, bytes: &[u8]) {
        self.write.write_all(bytes).await.expect("sent");
    }

    async fn next(&mut self) -> Bytes {
        self.buffer.reserve(READ);
        // The end of the program is an error here.
        let _ = self.read.read_buf(&mut self.buffer).await;
        self.buffer.split().freeze()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // Its children have the terminal, and get a hang-up.
        self.child.start_kill().ok();
    }
}

/// node-pty and ws.
pub(crate) struct Node(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Node {
    pub(crate) async fn open(port: u16, command: &[String]) -> Self {
        let (mut socket, _) = connect_async(format!("ws://127.0.0.1:{port}/")).await.expect("connected");
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_nodelay(true).expect("set");
        }
        let first = serde_json::to_string(command).expect("JSON");
        socket.send(Message::text(first)).await.expect("sent");
        Self(socket)
    }
}

#[async_trait]
impl Line for Node {
    async fn send(&mut self, bytes: &[u8]) {
        self.0.send(Message::text(String::from_utf8_lossy(bytes).into_owned())).await.expect("sent");
    }

    async fn next(&mut self) -> Bytes {
        match self.0.next().await {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => message.into_data(),
            _ => Bytes::new(),
        }
    }
}

/// Perry's.
pub(crate) struct Perry {
    session: Session,
    socket: TerminalSocket,
    snapshots: usize,
}

impl Perry {
    pub(crate) async fn open(client: &Client, workspace: &Name, terminal: &str, command: &[&str]) -> Self {
        let session = Session::new(format!("b-{}", uuid::Uuid::new_v4()), terminal.parse().expect("a name"));
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let mut socket = client.terminal(workspace).await.expect("connected");
        let hello = session.hello(Size::USUAL, Some(Create { command, cwd: None }));
        socket.send(&ClientFrame::Hello(Box::new(hello))).await.expect("sent");
        Self { session, socket, snapshots: 0 }
    }

    /// Waits for a snapshot; its length.
    pub(crate) async fn snapshot(&mut self) -> usize {
        loop {
            let before = self.snapshots;
            let bytes = self.next().await;
            if self.snapshots > before {
                return bytes.len();
            }
        }
    }
}

#[async_trait]
impl Line for Perry {
    async fn send(&mut self, bytes: &[u8]) {
        for frame in self.session.input(&Bytes::copy_from_slice(bytes)) {
            self.socket.send(&frame).await.expect("sent");
        }
    }

    async fn next(&mut self) -> Bytes {
        loop {
            // What was given out before has been rendered.
            if let Some(ack) = self.session.acknowledge() {
                self.socket.send(&ack).await.expect("sent");
            }
            let Ok(frame) = self.socket.next().await else { return Bytes::new() };
            match self.session.take(frame) {
                Heard::Output(bytes) => return bytes,
                Heard::Snapshot { bytes, .. } => {
                    self.snapshots += 1;
                    return bytes;
                }
                Heard::Exit(_) => return Bytes::new(),
                Heard::Info(_) | Heard::Errors(_) | Heard::Nothing => {}
            }
        }
    }
}
