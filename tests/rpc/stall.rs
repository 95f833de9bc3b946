//! Readers that stop reading, and slow ones.

use std::time::{Duration, Instant};

use perry::api::Limits;
use perry::model::{Config, View};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::agent::{Agent, view};
use crate::raw::{PATIENCE, request};

/// Long enough for a machine with other things to do, and far shorter than a test waits.
const STALL: Duration = Duration::from_secs(1);
/// Workspaces of a list that no buffers on the way hold, and the bytes of each.
const MANY: (usize, usize) = (60, 100_000);

async fn agent(limits: Limits) -> Agent {
    let agent = Agent::with(limits, Config { port: 0, ..Config::default() }).await;
    for n in 0..MANY.0 {
        agent.hub.publish(big(n, 1));
    }
    agent
}

fn big(n: usize, generation: u64) -> View {
    let annotations = [("text".to_owned(), "x".repeat(MANY.1))].into();
    View { annotations, ..view(&format!("w{n}"), generation) }
}

/// Sends a request and reads nothing; the kernel takes little of the answer.
async fn ask(agent: &Agent, path: &str) -> TcpStream {
    let (to, bearer) = (agent.address, agent.bearer());
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(16 << 10).expect("set");
    let mut stream = socket.connect(to).await.expect("a listener");
    let request = request(
        to,
        "POST",
        &format!("/rpc/{path}"),
        &[("content-type", "application/json"), ("authorization", &bearer)],
        Some(b"{}"),
    );
    stream.write_all(&request).await.expect("sent");
    stream
}

/// Waits until the connection, the only one that may be, is free.
async fn free(agent: &Agent) {
    let answered = async {
        loop {
            let mut stream = TcpStream::connect(agent.address).await.expect("a listener");
            let request = request(agent.address, "GET", "/health", &[], None);
            let mut answer = Vec::new();
            // Closed at once, or reset, as long as it is one too many.
            if stream.write_all(&request).await.is_ok() && stream.read_to_end(&mut answer).await.is_ok_and(|n| n > 0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("the connection is closed");
}

#[tokio::test]
async fn a_stream_that_nobody_reads_is_closed_and_makes_room_for_another() {
    let agent = agent(Limits { streams: 1, stall: STALL, ..Limits::default() }).await;
    let silent = ask(&agent, "workspaces/watch").await;
    agent.producers(1).await;
    assert_eq!(agent.post("workspaces/events", "{}").await.status, 429);
    agent.producers(0).await;
    let _next = ask(&agent, "workspaces/watch").await;
    agent.producers(1).await;
    drop(silent);
}

#[tokio::test]
async fn a_stream_that_was_read_for_a_while_is_closed_too_once_it_is_not() {
    let agent = agent(Limits { stall: STALL, ..Limits::default() }).await;
    let mut reader = ask(&agent, "workspaces/watch").await;
    agent.producers(1).await;
    let mut seen = Vec::new();
    while !seen.ends_with(b"\"bookmark\"}}\n\n\r\n") {
        assert!(reader.read_buf(&mut seen).await.expect("readable") > 0, "it ended");
    }
    // All was read, and the silence after it is no stall.
    tokio::time::sleep(STALL + STALL / 2).await;
    assert_eq!(agent.producers.load(std::sync::atomic::Ordering::SeqCst), 1);
    for n in 0..MANY.0 {
        agent.hub.publish(big(n, 2));
    }
    agent.producers(0).await;
}

#[tokio::test]
async fn an_answer_that_nobody_reads_to_its_end_does_not_keep_the_connection() {
    let limits = Limits { connections: 1, stall: STALL, ..Limits::default() };
    let agent = agent(limits).await;
    let mut silent = ask(&agent, "workspaces/list").await;
    assert!(silent.read(&mut [0; 100]).await.expect("the head") > 0);
    free(&agent).await;
    let mut rest = Vec::new();
    let end = silent.read_to_end(&mut rest).await;
    assert!(end.is_err() || rest.len() < MANY.0 * MANY.1, "cut off, not sent");
}

#[tokio::test]
async fn a_slow_reader_gets_everything() {
    let agent = agent(Limits { stall: STALL, ..Limits::default() }).await;
    let mut slow = ask(&agent, "workspaces/list").await;
    let (mut bytes, mut read, began) = (vec![0; 40_000], 0, Instant::now());
    loop {
        match slow.read(&mut bytes).await.unwrap_or_else(|error| panic!("cut off after {read} bytes: {error}")) {
            0 => break,
            some => read += some,
        }
        tokio::time::sleep(Duration::from_millis(8)).await;
    }
    assert!(read > MANY.0 * MANY.1, "{read}");
    assert!(began.elapsed() > 2 * STALL, "{:?}", began.elapsed());
}
