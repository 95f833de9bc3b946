//! `/terminal/NAME`: who gets to a worker, what is passed on, and how it is closed. The worker is the test.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use perry::api::Terminals;
use perry::client::Decompressor;
use perry::contract::terminal::{ClientFrame, Exit, Hello, SUBPROTOCOL, ServerFrame, Size, put_frame, take_frame};
use perry::contract::{ApiError, Call};
use perry::model::{Name, Role, Secret};
use perry::runtime::Duplex;
use perry::store::tokens::Wanted;
use rand::{RngExt as _, SeedableRng, rngs::StdRng};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async};

use crate::agent::{Agent, wanted};
use crate::node::Package;
use crate::raw::PATIENCE;

/// A worker's end that the test holds.
#[derive(Default)]
pub(crate) struct Scripted {
    attached: Mutex<Vec<(Role, Hello, DuplexStream)>>,
    stopped: AtomicBool,
}

#[async_trait]
impl Terminals for Scripted {
    async fn attach(&self, call: &Call, name: &Name, hello: Hello) -> Result<Box<dyn Duplex>, ApiError> {
        if name.as_str() != "alpha" {
            return Err(ApiError::NotFound(name.clone()));
        }
        if self.stopped.load(Ordering::Relaxed) {
            return Err(ApiError::PreconditionFailed { name: name.clone(), message: "alpha does not run".to_owned() });
        }
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        self.attached.lock().expect("attached").push((call.caller.role, hello, theirs));
        Ok(Box::new(ours))
    }

    fn is_running(&self, _: &Name) -> bool {
        !self.stopped.load(Ordering::Relaxed)
    }
}

/// The worker of one connection.
struct Worker {
    role: Role,
    hello: Hello,
    stream: DuplexStream,
    buffer: BytesMut,
}

impl Worker {
    /// That of the connection that was just made.
    async fn of(agent: &Agent) -> Self {
        let come = async {
            loop {
                if let Some((role, hello, stream)) = agent.terminals.attached.lock().expect("attached").pop() {
                    return Self { role, hello, stream, buffer: BytesMut::new() };
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, come).await.expect("attached")
    }

    async fn say(&mut self, frame: ServerFrame) {
        let mut bytes = BytesMut::new();
        put_frame(&mut bytes, &frame.encode());
        self.stream.write_all(&bytes).await.expect("heard");
    }

    async fn hear(&mut self) -> ClientFrame {
        self.hear_or_end().await.expect("not the end")
    }

    async fn hear_or_end(&mut self) -> Option<ClientFrame> {
        loop {
            if let Some(frame) = take_frame(&mut self.buffer).expect("a frame") {
                return Some(ClientFrame::decode(&frame).expect("a frame"));
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await.expect("something");
            if read.expect("readable") == 0 {
                return None;
            }
        }
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(agent: &Agent, path: &str, token: Option<&str>, protocol: bool) -> Socket {
    let mut request = format!("ws://{}{path}", agent.address).into_client_request().expect("a request");
    if let Some(token) = token {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    }
    if protocol {
        request.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse().expect("a header"));
    }
    let stream = MaybeTlsStream::Plain(TcpStream::connect(agent.address).await.expect("connected"));
    let (socket, response) = client_async(request, stream).await.expect("upgraded");
    let selected = response.headers().get("sec-websocket-protocol").map(|value| value.to_str().expect("text"));
    assert_eq!(selected, protocol.then_some(SUBPROTOCOL));
    socket
}

async fn naive(agent: &Agent, token: &str) -> (Socket, Worker) {
    let socket = connect(agent, "/terminal/alpha", Some(token), false).await;
    (socket, Worker::of(agent).await)
}

fn hello(token: Option<&str>) -> Message {
    let hello = Hello {
        token: token.map(|token| Secret(token.to_owned())),
        client: "c".to_owned(),
        terminal: None,
        id: None,
        have: Some(7),
        cols: 80,
        rows: 24,
        create: None,
        exec: None,
        compress: false,
    };
    Message::Binary(ClientFrame::Hello(Box::new(hello)).encode())
}

async fn next(socket: &mut Socket) -> Message {
    timeout(PATIENCE, socket.next()).await.expect("something").expect("not the end").expect("readable")
}

async fn closed(socket: &mut Socket) -> (u16, String) {
    loop {
        if let Message::Close(frame) = next(socket).await {
            let CloseFrame { code, reason } = frame.expect("a code");
            return (code.into(), reason.as_str().to_owned());
        }
    }
}

fn output(text: &str) -> ServerFrame {
    ServerFrame::Data(0, Bytes::copy_from_slice(text.as_bytes()))
}

#[tokio::test]
async fn a_naive_client_types_text_and_bytes_and_reads_what_is_printed() {
    let agent = Agent::start().await;
    for path in ["/terminal/alpha", "/rpc/terminal/alpha?terminal=build"] {
        let mut socket = connect(&agent, path, Some(&agent.token), false).await;
        let mut worker = Worker::of(&agent).await;
        assert_eq!(worker.hello.terminal.as_ref().map(Name::as_str), path.split_once('=').map(|(_, name)| name));
        let resize = r#"{"type":"resize","cols":100,"rows":30}"#;
        for message in [Message::text("ls\r"), Message::text(resize), Message::binary(resize), Message::text("{}")] {
            socket.send(message).await.expect("sent");
        }
        let typed = |id, text: &'static str| ClientFrame::Input(id, Bytes::from_static(text.as_bytes()));
        assert_eq!(worker.hear().await, typed(1, "ls\r"));
        assert_eq!(worker.hear().await, ClientFrame::Resize(Size { cols: 100, rows: 30 }));
        assert_eq!(worker.hear().await, typed(2, resize));
        assert_eq!(worker.hear().await, typed(3, "{}"));
        worker.say(ServerFrame::Snapshot(5, Size::USUAL, Bytes::from_static(b"screen"))).await;
        assert_eq!(next(&mut socket).await, Message::binary(Bytes::from_static(b"screen")));
        // Half a character is no reason to hold anything back or to change it.
        worker.say(ServerFrame::Data(5, Bytes::from_static(b"\xe2\x82"))).await;
        assert_eq!(next(&mut socket).await, Message::binary(Bytes::from_static(b"\xe2\x82")));
        worker.say(ServerFrame::Data(7, Bytes::from(vec![b'y'; 20_000]))).await;
        assert_eq!(next(&mut socket).await.len(), 20_000);
        assert_eq!(worker.hear().await, ClientFrame::Ack(20_007));
        worker.say(ServerFrame::Exit(Exit::of(Some(3), None))).await;
        assert_eq!(closed(&mut socket).await, (1000, "Process exited with code 3".to_owned()));
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_token_and_a_browser_says_it_first() {
    let agent = Agent::start().await;
    let mut socket = connect(&agent, "/terminal/alpha", None, false).await;
    socket.send(Message::text(format!(r#"{{"type":"auth","token":"{}"}}"#, agent.token))).await.expect("sent");
    let mut worker = Worker::of(&agent).await;
    worker.say(output("in")).await;
    assert_eq!(next(&mut socket).await, Message::binary(Bytes::from_static(b"in")));
    for first in [r#"{"type":"auth","token":"wrong"}"#, "ls\r"] {
        let mut socket = connect(&agent, "/terminal/alpha", None, false).await;
        socket.send(Message::text(first)).await.expect("sent");
        assert_eq!(closed(&mut socket).await.0, 4001, "{first}");
    }
    let mut socket = connect(&agent, "/terminal/alpha", Some("wrong"), false).await;
    assert_eq!(closed(&mut socket).await.0, 4001);
    let mut socket = connect(&agent, "/terminal/alpha", None, true).await;
    socket.send(hello(None)).await.expect("sent");
    assert_eq!(closed(&mut socket).await.0, 4001);
    assert!(agent.terminals.attached.lock().expect("attached").is_empty(), "nobody else got to the worker");
}

#[tokio::test]
async fn a_token_of_another_workspace_or_a_name_of_none_gets_nothing() {
    let agent = Agent::start().await;
    let other = agent
        .token(Wanted { workspaces: Some(["beta".parse().expect("a name")].into()), ..wanted("guest", Role::User) });
    let mut socket = connect(&agent, "/terminal/alpha", Some(&other), false).await;
    assert_eq!(closed(&mut socket).await.0, 4003);
    for name in ["gamma", "No%20Name"] {
        let mut socket = connect(&agent, &format!("/terminal/{name}"), Some(&agent.token), false).await;
        assert_eq!(closed(&mut socket).await.0, 4404, "{name}");
    }
}

#[tokio::test]
async fn who_attached_is_written_down_and_who_only_looks_is_not() {
    let agent = Agent::start().await;
    let viewer = agent.token(wanted("looker", Role::Viewer));
    let (_socket, worker) = naive(&agent, &viewer).await;
    assert_eq!(worker.role, Role::Viewer);
    let (_socket, worker) = naive(&agent, &agent.token).await;
    assert_eq!(worker.role, Role::Admin);
    let all = agent.records.all();
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!((&all[0]["what"], &all[0]["who"]), (&"terminal/attach".into(), &"admin".into()));
}

#[tokio::test]
async fn who_tries_without_a_token_or_with_a_wrong_one_is_written_down_too() {
    let agent = Agent::start().await;
    for said in [hello(Some("perry_00000001_00")), hello(None)] {
        let mut socket = connect(&agent, "/terminal/alpha", None, true).await;
        socket.send(said).await.expect("sent");
        assert_eq!(closed(&mut socket).await.0, 4001);
        let all = agent.records.all();
        let last = all.last().expect("a record");
        assert_eq!((&last["what"], &last["result"]), (&"terminal/attach".into(), &"UNAUTHORIZED".into()), "{last:?}");
        assert!(last.get("who").is_none_or(serde_json::Value::is_null), "{last:?}");
    }
    assert_eq!(agent.records.all().len(), 2);
}

#[tokio::test]
async fn frames_of_the_protocol_are_passed_on_as_they_are_but_for_the_token() {
    let agent = Agent::start().await;
    let mut socket = connect(&agent, "/terminal/alpha", None, true).await;
    socket.send(hello(Some(&agent.token))).await.expect("sent");
    let mut worker = Worker::of(&agent).await;
    assert_eq!((worker.hello.token.as_ref(), worker.hello.have), (None, Some(7)));
    for frame in [ClientFrame::Input(1, Bytes::from_static(b"x")), ClientFrame::Ack(9)] {
        socket.send(Message::Binary(frame.encode())).await.expect("sent");
        assert_eq!(worker.hear().await, frame);
    }
    for frame in [output("out"), ServerFrame::InputAck(1)] {
        worker.say(frame.clone()).await;
        assert_eq!(next(&mut socket).await, Message::Binary(frame.encode()));
    }
    let exit = Exit::of(None, Some(9));
    worker.say(ServerFrame::Exit(exit.clone())).await;
    assert_eq!(next(&mut socket).await, Message::Binary(ServerFrame::Exit(exit).encode()));
    assert_eq!(closed(&mut socket).await, (1000, "Process was ended by signal 9".to_owned()));
}

#[tokio::test]
async fn the_worker_hears_whether_a_client_left_or_its_connection_broke() {
    let agent = Agent::start().await;
    for (protocol, closes, told) in
        [(true, true, true), (true, false, false), (false, true, true), (false, false, true)]
    {
        let token = Some(agent.token.as_str());
        let mut socket = connect(&agent, "/terminal/alpha", token, protocol).await;
        if protocol {
            socket.send(hello(None)).await.expect("sent");
        }
        let mut worker = Worker::of(&agent).await;
        if closes {
            socket.close(None).await.expect("closed");
        }
        drop(socket);
        // Clients without the protocol do not know what they have seen, and cannot come back for the rest.
        assert_eq!(worker.hear_or_end().await, told.then_some(ClientFrame::End), "{protocol} {closes}");
        assert_eq!(worker.hear_or_end().await, None);
    }
}

#[tokio::test]
async fn output_comes_compressed_to_who_asks_for_it_and_a_key_comes_as_it_is() {
    let agent = Agent::start().await;
    let mut socket = connect(&agent, "/terminal/alpha", Some(&agent.token), true).await;
    let Message::Binary(frame) = hello(None) else { panic!("binary") };
    let Ok(ClientFrame::Hello(mut hello)) = ClientFrame::decode(&frame) else { panic!("a hello") };
    hello.compress = true;
    socket.send(Message::Binary(ClientFrame::Hello(hello).encode())).await.expect("sent");
    let mut worker = Worker::of(&agent).await;
    let mut decompressor = Decompressor::default();
    for (text, shrinks) in [("k".to_owned(), false), ("many words ".repeat(300), true), ("and more ".repeat(300), true)]
    {
        worker.say(output(&text)).await;
        let Message::Binary(frame) = next(&mut socket).await else { panic!("binary") };
        assert_eq!((frame[0] == 0x81, frame.len() < text.len() / 4), (shrinks, shrinks));
        let frame = decompressor.pass(ServerFrame::decode(&frame).expect("a frame")).expect("undone");
        assert_eq!(frame, output(&text));
    }
}

#[tokio::test]
async fn the_client_of_web_and_mobile_undoes_the_compression() {
    let package = Package::install(".").await;
    let agent = Agent::start().await;
    let mut random = StdRng::seed_from_u64(7);
    let pieces: Vec<String> = (0..200)
        .map(|number| match number % 4 {
            0 => format!("{number}\r\n"),
            1 => "many words, and the same again ".repeat(random.random_range(9..900)),
            _ => (0..random.random_range(1..9000)).map(|_| random.random_range('a'..='z')).collect(),
        })
        .collect();
    let sum = Sha256::digest(pieces.concat()).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let url = format!("http://{}", agent.address);
    let env = [("PERRY_URL", url.as_str()), ("PERRY_TOKEN", &agent.token), ("PERRY_SHA256", &sum)];
    let printing = async {
        let mut worker = Worker::of(&agent).await;
        assert!(worker.hello.compress);
        let mut sequence = 0;
        for piece in pieces {
            let bytes = Bytes::from(piece);
            let length = bytes.len() as u64;
            worker.say(ServerFrame::Data(sequence, bytes)).await;
            sequence += length;
        }
        worker.say(ServerFrame::Exit(Exit::of(Some(0), None))).await;
        while worker.hear_or_end().await.is_some() {}
    };
    tokio::join!(printing, package.run("npm", &["run", "live", "-w", "@perry/contract", "--", "compressed"], &env));
}

#[tokio::test]
async fn who_may_only_look_cannot_run_a_command_in_the_place_of_a_terminal() {
    let agent = Agent::start().await;
    let viewer = agent.token(wanted("looker", Role::Viewer));
    let mut socket = connect(&agent, "/terminal/alpha", Some(&viewer), true).await;
    let exec = r#"{"client":"c","cols":80,"rows":24,"exec":{"command":["id"]}}"#;
    socket.send(Message::binary([&[0x14], exec.as_bytes()].concat())).await.expect("sent");
    let (code, reason) = closed(&mut socket).await;
    assert_eq!((code, reason.contains("viewer")), (4003, true), "{reason}");
}

#[tokio::test]
async fn nonsense_is_told_what_is_wrong_with_it() {
    let agent = Agent::start().await;
    for (message, says) in [
        (Message::text("hello"), "binary"),
        (Message::binary(Bytes::from_static(b"\x77")), "0x77"),
        (hello(None), "first and once"),
    ] {
        let mut socket = connect(&agent, "/terminal/alpha", Some(&agent.token), true).await;
        socket.send(hello(None)).await.expect("sent");
        let _worker = Worker::of(&agent).await;
        socket.send(message).await.expect("sent");
        let (code, reason) = closed(&mut socket).await;
        assert!(code == 1011 && reason.contains(says), "{code} {reason}");
    }
}

#[tokio::test]
async fn a_worker_that_is_replaced_is_worth_another_try_and_a_stopped_workspace_is_not() {
    let agent = Agent::start().await;
    let begin = async || {
        let mut socket = connect(&agent, "/terminal/alpha", Some(&agent.token), true).await;
        socket.send(hello(None)).await.expect("sent");
        (socket, Worker::of(&agent).await)
    };
    let (mut socket, worker) = begin().await;
    drop(worker);
    assert_eq!(closed(&mut socket).await.0, 1012);
    let (mut socket, worker) = begin().await;
    agent.terminals.stopped.store(true, Ordering::Relaxed);
    drop(worker);
    let Message::Binary(exit) = next(&mut socket).await else { panic!("no exit") };
    assert!(matches!(ServerFrame::decode(&exit), Ok(ServerFrame::Exit(exit)) if exit.code.is_none()));
    assert_eq!(closed(&mut socket).await, (1001, "the workspace has stopped".to_owned()));
    let mut socket = connect(&agent, "/terminal/alpha", Some(&agent.token), false).await;
    assert_eq!(closed(&mut socket).await, (1001, "alpha does not run".to_owned()));
}

#[tokio::test]
async fn an_agent_that_goes_and_a_token_that_is_revoked_close_what_is_open() {
    let agent = Agent::start().await;
    let guest = agent.token(wanted("guest", Role::User));
    let (mut one, _worker) = naive(&agent, &guest).await;
    let (mut other, _other) = naive(&agent, &agent.token).await;
    agent.tokens.revoke(&"guest".parse().expect("a name")).expect("revoked");
    assert_eq!(closed(&mut one).await.0, 4001);
    agent.shutdown.begin();
    assert_eq!(closed(&mut other).await, (1001, "the agent is going".to_owned()));
}
