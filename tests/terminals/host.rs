//! A worker's terminals in this process, and viewers of them.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use perry::client::{Heard, Session};
use perry::contract::terminal::{ClientFrame, Create, Exec, Exit, Hello, ServerFrame, Size, put_frame, take_frame};
use perry::contract::terminals::{Opening, TerminalAnswer, TerminalRequest};
use perry::contract::worker::Bootstrap;
use perry::model::Name;
use perry::model::desired::WorkerPlan;
use perry::worker::bootstrap;
use perry::worker::terminals::{Places, serve};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Longer than anything here takes: only a failure waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const SECRET: &str = "s3cret";

/// Terminals on a thread of their own; they end with the test's process.
pub(crate) struct Host {
    folder: TempDir,
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// A number of the surroundings, for who has more time.
pub(crate) fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().expect("a number"))
}

impl Host {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let places = Places {
            socket: folder.path().join("terminals.sock"),
            bootstrap: folder.path().join("bootstrap.json"),
            own: env!("CARGO_BIN_EXE_perry").into(),
            ttys: folder.path().join("ttys"),
        };
        let content = Bootstrap {
            uid: "u".into(),
            name: "demo".into(),
            secret: SECRET.into(),
            executable: "e".into(),
            plan: WorkerPlan::default(),
        };
        bootstrap::write(&places.bootstrap, &content).expect("written");
        let socket = places.socket.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            tokio::task::LocalSet::new().block_on(&runtime, serve(&places)).expect("served");
        });
        let listens = async {
            while UnixStream::connect(&socket).await.is_err() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, listens).await.expect("it listens");
        Self { folder }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("terminals.sock")
    }

    pub(crate) async fn open(&self, request: TerminalRequest, secret: &str) -> Frames {
        let stream = UnixStream::connect(self.socket()).await.expect("connected");
        let mut frames = Frames { stream, buffer: BytesMut::new() };
        let opening = Opening { secret: secret.to_owned(), request };
        frames.send_bytes(&serde_json::to_vec(&opening).expect("JSON")).await;
        frames
    }

    pub(crate) async fn ask(&self, request: TerminalRequest) -> TerminalAnswer {
        let mut frames = self.open(request, SECRET).await;
        let answer = frames.next_bytes().await.expect("an answer");
        serde_json::from_slice(&answer).expect("an answer")
    }

    pub(crate) async fn attach(&self, hello: Hello, read_only: bool) -> Frames {
        self.open(TerminalRequest::Attach { hello: Box::new(hello), read_only }, SECRET).await
    }

    /// A client's next connection.
    pub(crate) async fn connect(&self, session: &Session, create: Option<Create>) -> Frames {
        let mut frames = self.attach(session.hello(Size::USUAL, create), false).await;
        for frame in session.again() {
            frames.send(&frame).await;
        }
        frames
    }

    /// A command without a terminal.
    pub(crate) async fn exec(&self, command: &[&str], timeout: Option<u64>) -> Viewer {
        let session = Session::new("c".to_owned(), name("main"));
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let hello = Hello { exec: Some(Exec { command, timeout }), ..session.hello(Size::USUAL, None) };
        let frames = self.attach(hello, false).await;
        let (seen, errors) = (Vec::new(), Vec::new());
        Viewer { session, frames, seen, errors, snapshots: 0, size: Size::USUAL, viewers: 0 }
    }

    /// A viewer of a terminal that runs this.
    pub(crate) async fn view(&self, terminal: &str, command: &[&str]) -> Viewer {
        let session = Session::new(format!("c-{}", uuid::Uuid::new_v4()), name(terminal));
        let create = Create { command: command.iter().map(|word| (*word).to_owned()).collect(), cwd: None };
        let frames = self.connect(&session, Some(create)).await;
        Viewer { session, frames, seen: Vec::new(), errors: Vec::new(), snapshots: 0, size: Size::USUAL, viewers: 0 }
    }
}

/// A connection.
pub(crate) struct Frames {
    stream: UnixStream,
    buffer: BytesMut,
}

impl Frames {
    pub(crate) async fn send_bytes(&mut self, frame: &[u8]) {
        let mut bytes = BytesMut::new();
        put_frame(&mut bytes, frame);
        // Whether it is heard shows in what comes back.
        let _ = self.stream.write_all(&bytes).await;
    }

    pub(crate) async fn send(&mut self, frame: &ClientFrame) {
        self.send_bytes(&frame.encode()).await;
    }

    pub(crate) async fn next_bytes(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = take_frame(&mut self.buffer).expect("a frame") {
                return Some(frame);
            }
            if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Option<ServerFrame> {
        self.next_bytes().await.map(|frame| ServerFrame::decode(&frame).expect("a frame"))
    }
}

/// One who looks, and what it saw.
pub(crate) struct Viewer {
    pub(crate) session: Session,
    pub(crate) frames: Frames,
    /// Everything that it was to show.
    pub(crate) seen: Vec<u8>,
    /// What a command without a terminal wrote to stderr.
    pub(crate) errors: Vec<u8>,
    pub(crate) snapshots: usize,
    pub(crate) size: Size,
    pub(crate) viewers: u32,
}

impl Viewer {
    pub(crate) async fn input(&mut self, bytes: impl Into<Bytes>) {
        for frame in self.session.input(&bytes.into()) {
            self.frames.send(&frame).await;
        }
    }

    /// Takes the next frame; the end, where it is that.
    pub(crate) async fn step(&mut self) -> Option<Exit> {
        let frame = timeout(PATIENCE, self.frames.next()).await;
        let frame = frame.unwrap_or_else(|_| panic!("nothing comes after {:?}", self.text()));
        let frame = frame.unwrap_or_else(|| panic!("it was cut off after {:?}", self.text()));
        match self.session.take(frame) {
            Heard::Output(bytes) => self.seen.extend_from_slice(&bytes),
            Heard::Snapshot { bytes, size, .. } => {
                self.snapshots += 1;
                self.size = size;
                self.seen = bytes.to_vec();
            }
            Heard::Info(info) => {
                self.size = Size { cols: info.cols, rows: info.rows };
                self.viewers = info.viewers;
            }
            Heard::Exit(exit) => return Some(exit),
            Heard::Errors(bytes) => self.errors.extend_from_slice(&bytes),
            Heard::Nothing => {}
        }
        if let Some(ack) = self.session.acknowledge() {
            self.frames.send(&ack).await;
        }
        None
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Goes on until it was shown this.
    pub(crate) async fn until(&mut self, text: &str) {
        while !self.text().contains(text) {
            let exit = self.step().await;
            assert!(exit.is_none() || self.text().contains(text), "{exit:?} after {:?}", self.text());
        }
    }

    /// Goes on to the end.
    pub(crate) async fn exit(&mut self) -> Exit {
        loop {
            if let Some(exit) = self.step().await {
                return exit;
            }
        }
    }
}
