//! The client of this crate against a real socket.

use std::time::Duration;

use perry::api::Limits;
use perry::client::{Client, ClientError, Goal, Progress, Wait};
use perry::contract::{
    BuildInput, Code, ConfigShown, ConflictReason, CreateInput, EventsInput, NameInput, NoInput, WatchKind,
};
use perry::model::{Config, Phase, Secret, View};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::agent::{Agent, view};
use crate::raw::PATIENCE;

fn named(name: &str) -> NameInput {
    NameInput { name: name.parse().expect("a name") }
}

fn create(name: &str) -> CreateInput {
    let name = name.parse().expect("a name");
    CreateInput { name, clone: None, image: None, env: Default::default(), ports: Vec::new() }
}

fn token(agent: &Agent) -> Secret {
    Secret(agent.token.clone())
}

fn client(agent: &Agent) -> Client {
    Client::new(&agent.address.to_string()).with_token(token(agent))
}

#[tokio::test]
async fn calls_are_typed_and_share_one_connection() {
    // A second connection would be closed at once.
    let limits = Limits { connections: 1, ..Limits::default() };
    let agent = Agent::with(limits, Config { port: 0, ..Config::default() }).await;
    let client = client(&agent);
    assert_eq!(client.create_workspace(&create("alpha")).await.expect("created").name.as_str(), "alpha");
    let views = client.list_workspaces(&NoInput {}).await.expect("a list");
    assert_eq!(views, [client.get_workspace(&named("alpha")).await.expect("there")]);
    let listing = client.list_rows().await.expect("a list");
    assert_eq!(listing.rows().expect("rows")[0].name, "alpha");
    assert_eq!(client.get_config(&NoInput {}).await.expect("settings"), ConfigShown::default());
    let missing = client.get_workspace(&named("ghost")).await.expect_err("absent");
    assert!(missing.is(Code::NotFound) && !missing.is_unreachable(), "{missing}");
    let taken = client.create_workspace(&create("alpha")).await.expect_err("taken");
    let conflict = taken.refusal().and_then(|body| body.conflict()).expect("a conflict");
    assert_eq!(
        (conflict.reason, conflict.message.as_str()),
        (ConflictReason::Exists, "Workspace alpha already exists")
    );
    let wrong = client.call::<_, View>("workspaces/get", &serde_json::json!({"nam": "a"})).await.expect_err("wrong");
    let issues = wrong.refusal().and_then(|body| body.issues()).expect("issues");
    assert_eq!(issues.to_string(), "nam: unknown field `nam`: did you mean `name`?");
    client.kill_agent(&NoInput {}).await.expect("nothing is an answer, too");
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_made_anew() {
    let agent = Agent::start().await;
    let address = agent.address;
    let client = client(&agent);
    client.agent_info(&NoInput {}).await.expect("an answer");
    agent.shutdown.begin();
    drop(agent);
    let again = async {
        loop {
            let config = Config { port: address.port(), ..Config::default() };
            match perry::api::listen(&config).await {
                Ok(listening) => break drop(listening),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        Agent::with(Limits::default(), Config { port: address.port(), ..Config::default() }).await
    };
    let _agent = tokio::time::timeout(PATIENCE, again).await.expect("the port is free again");
    client.agent_info(&NoInput {}).await.expect("an answer of the new one");
}

#[tokio::test]
async fn a_close_that_crosses_with_a_call_is_mended_because_nothing_was_sent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let (answered, when_answered) = std::sync::mpsc::channel();
    let (closed, when_closed) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().expect("a client");
            assert!(std::io::Read::read(&mut stream, &mut [0; 4096]).expect("a request") > 0);
            std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").expect("sent");
            when_answered.recv().expect("the client has it");
            drop(stream);
            closed.send(()).expect("the test waits");
        }
    });
    let client = Client::new(&address);
    client.kill_agent(&NoInput {}).await.expect("an answer");
    answered.send(()).expect("the server waits");
    // Blocks the only thread, so that the connection does not notice before the next call.
    when_closed.recv().expect("closed");
    std::thread::sleep(Duration::from_millis(20));
    client.kill_agent(&NoInput {}).await.expect("an answer on a new connection");
    answered.send(()).expect("the server waits");
    server.join().expect("served");
}

#[tokio::test]
async fn a_read_that_was_cut_off_on_an_old_connection_is_repeated_and_a_write_never() {
    for write in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = Client::new(&listener.local_addr().expect("an address").to_string());
        let config = serde_json::json!({ "json": Config::default() }).to_string();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{config}", config.len());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            for reply in [answer.as_str(), ""] {
                assert!(stream.read(&mut [0; 4096]).await.expect("a request") > 0);
                stream.write_all(reply.as_bytes()).await.expect("sent");
            }
            drop(stream);
            let (mut stream, _) = listener.accept().await.expect("the same again");
            assert!(stream.read(&mut [0; 4096]).await.expect("a request") > 0);
            stream.write_all(answer.as_bytes()).await.expect("sent");
        });
        client.get_config(&NoInput {}).await.expect("an answer");
        if write {
            let cut = client.stop_workspace(&named("a")).await.expect_err("nobody knows whether it was done");
            assert!(matches!(cut, ClientError::Cut { .. }), "{cut:?}");
            assert!(!server.is_finished());
            server.abort();
        } else {
            client.get_config(&NoInput {}).await.expect("an answer on a new connection");
            server.await.expect("served");
        }
    }
}

#[tokio::test]
async fn no_agent_no_perry_and_half_an_answer_are_told_apart() {
    let free = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        listener.local_addr().expect("an address").to_string()
    };
    let unreachable = Client::new(&free).agent_info(&NoInput {}).await.expect_err("nobody there");
    assert!(unreachable.is_unreachable() && unreachable.to_string().contains(&free), "{unreachable}");
    assert!(matches!(unreachable, ClientError::Unreachable { .. }));
    for bad in ["nonsense", "127.0.0.1", "127.0.0.1:99999", ""] {
        let error = Client::new(bad).agent_info(&NoInput {}).await.expect_err(bad);
        assert!(matches!(error, ClientError::Unreachable { .. }), "{bad}: {error}");
    }
    for (answer, unreadable) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", true),
        ("HTTP/1.1 502 Bad\r\ncontent-type: text/html\r\ncontent-length: 3\r\n\r\n<p>", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n{\"json\":", false),
        ("", false),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut bytes = [0; 4096];
            assert!(stream.read(&mut bytes).await.expect("a request") > 0);
            stream.write_all(answer.as_bytes()).await.expect("sent");
        });
        let error = Client::new(&address).agent_info(&NoInput {}).await.expect_err(answer);
        server.await.expect("served");
        assert_eq!(matches!(error, ClientError::Unreadable { .. }), unreadable, "{answer}: {error:?}");
        assert_eq!(matches!(error, ClientError::Cut { .. }), !unreadable, "{answer}: {error:?}");
    }
}

#[tokio::test]
async fn streams_end_with_done_or_with_a_typed_error() {
    let agent = Agent::start().await;
    let client = client(&agent);
    let mut events = client.workspace_events(&EventsInput::default(), None).await.expect("a stream");
    let event = events.next().await.expect("no error").expect("an event");
    assert_eq!(event.value.message, "line\nbreak");
    assert_eq!(events.next().await.expect("no error"), None);
    let mut build = client.build_image(&BuildInput::default(), None).await.expect("a stream");
    assert_eq!(build.next().await.expect("no error").expect("a line").value.line, "Step 1");
    let failed = build.next().await.expect_err("it failed");
    assert!(failed.is(Code::ServiceUnavailable), "{failed}");
    let missing = client.workspace_events(&EventsInput { name: "ghost".parse().ok(), follow: false }, None).await;
    assert!(missing.expect_err("absent").is(Code::NotFound));
}

#[tokio::test]
async fn a_watch_goes_on_over_a_cut_without_gap_or_double() {
    let agent = Agent::start().await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let through = proxy.local_addr().expect("an address");
    let (target, cut) = (agent.address, std::sync::Arc::new(tokio::sync::Notify::new()));
    let knife = cut.clone();
    tokio::spawn(async move {
        loop {
            let (mut near, _) = proxy.accept().await.expect("a client");
            let mut far = tokio::net::TcpStream::connect(target).await.expect("the agent");
            // The Host names the proxy, whose port the guard does not know: so that of the agent is put in.
            let mut head = vec![0; 4096];
            let read = near.read(&mut head).await.expect("a request");
            let head = String::from_utf8(head[..read].to_vec()).expect("text");
            far.write_all(head.replace(&through.to_string(), &target.to_string()).as_bytes()).await.expect("sent");
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                () = knife.notified() => {}
            }
        }
    });
    let mut watch = Client::new(&through.to_string()).with_token(token(&agent)).watch();
    let mut seen = Vec::new();
    let mut next = async |until: &str| {
        while seen.last().map(String::as_str) != Some(until) {
            let frame = tokio::time::timeout(PATIENCE, watch.next()).await.expect("a frame").expect("no error");
            let version = frame.workspace.map(|view| view.generation).unwrap_or_default();
            seen.push(format!("{:?} {version}", frame.kind));
        }
    };
    next("Bookmark 0").await;
    for generation in 2..6 {
        cut.notify_one();
        agent.hub.publish(view("alpha", generation));
        next(&format!("Modified {generation}")).await;
    }
    seen.retain(|frame| frame != "Bookmark 0");
    assert_eq!(seen, ["Reset 0", "Added 1", "Modified 2", "Modified 3", "Modified 4", "Modified 5"]);
}

#[tokio::test]
async fn a_watch_of_no_agent_fails_at_once() {
    let error = Client::new("127.0.0.1:1").watch().next().await.expect_err("nobody there");
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn a_client_of_one_agent_talks_to_no_other() {
    let agent = Agent::start().await;
    let address = agent.address.to_string();
    let own = Client::only(&address, crate::agent::ID, "ours").with_token(token(&agent));
    own.get_workspace(&named("alpha")).await.expect("an answer");
    assert_eq!(own.watch().next().await.expect("a frame").kind, WatchKind::Reset);
    let other = Client::only(&address, "another", "the other one").with_token(token(&agent));
    let errors = [
        other.get_workspace(&named("alpha")).await.map(drop).expect_err("a call"),
        other.delete_workspace(&named("alpha")).await.map(drop).expect_err("a write"),
        other.build_image(&BuildInput::default(), None).await.map(drop).expect_err("a stream"),
        other.watch().next().await.map(drop).expect_err("a watch"),
    ];
    for error in errors {
        assert_eq!(error.to_string(), format!("the other one does not run; another one answers at {address}"));
        assert!(matches!(error, ClientError::OtherAgent { .. }) && error.is_unreachable() && !error.is_transient());
    }
    own.get_workspace(&named("alpha")).await.expect("it is still there");
}

#[tokio::test]
async fn a_watch_does_not_go_on_with_another_agent_that_took_the_port() {
    let agent = Agent::start().await;
    let address = agent.address;
    let mut watch = Client::only(&address.to_string(), crate::agent::ID, "ours").with_token(token(&agent)).watch();
    watch.next().await.expect("a frame");
    drop(agent);
    // Whoever comes first has the port; this one answers as any other agent does.
    let listener = loop {
        match TcpListener::bind(address).await {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let server = tokio::spawn(async move {
        let body = serde_json::json!({ "json": perry::contract::ApiError::Misdirected.body(&[]) }).to_string();
        let answer = format!("HTTP/1.1 421 Misdirected Request\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        loop {
            let (mut stream, _) = listener.accept().await.expect("a client");
            assert!(stream.read(&mut [0; 4096]).await.expect("a request") > 0);
            stream.write_all(answer.as_bytes()).await.expect("sent");
        }
    });
    let ended = async {
        loop {
            if let Err(error) = watch.next().await {
                break error;
            }
        }
    };
    let error = tokio::time::timeout(PATIENCE, ended).await.expect("it ends");
    assert!(matches!(error, ClientError::OtherAgent { .. }), "{error}");
    server.abort();
}

#[tokio::test]
async fn waiting_follows_a_watch_to_its_goal() {
    let agent = Agent::start().await;
    let client = client(&agent);
    let mut watch = client.watch();
    let mut wait = Wait::new("alpha".parse().expect("a name"), Goal::Stopped);
    let hub = agent.hub.clone();
    let waited = async {
        let mut stopped = false;
        loop {
            let frame = watch.next().await.expect("no error");
            match wait.frame(&frame) {
                Progress::Reached(view) => break view.expect("there").status,
                Progress::Waiting(_) if !stopped => {
                    assert_eq!(frame.kind, WatchKind::Bookmark);
                    stopped = hub.publish(View { status: Phase::Stopped, ..view("alpha", 1) });
                }
                _ => {}
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, waited).await.expect("in time"), Phase::Stopped);
}
