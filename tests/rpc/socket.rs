//! What a WebSocket does when it is used in ways that the stock client does not.

use std::time::Duration;

use perry::api::Limits;
use perry::model::{Config, Role};
use serde_json::{Value, json};

use crate::agent::{Agent, view, wanted};
use crate::raw::PATIENCE;
use crate::wire::Socket;

async fn agent(limits: Limits) -> Agent {
    let agent = Agent::with(limits, Config { port: 0, ..Config::default() }).await;
    agent.hub.publish(view("alpha", 1));
    agent
}

fn code(frame: &Value) -> &str {
    frame["p"]["b"]["json"]["code"].as_str().unwrap_or("OK")
}

#[tokio::test]
async fn each_call_says_who_makes_it() {
    let agent = Agent::start().await;
    let viewer = format!("Bearer {}", agent.token(wanted("viewer", Role::Viewer)));
    let mut socket = Socket::open(&agent).await;
    let admin = agent.bearer();
    for (authorization, expected) in [
        (admin.as_str(), "OK"),
        ("", "UNAUTHORIZED"),
        ("Bearer perry_00000001_00", "UNAUTHORIZED"),
        (&admin.replace("Bearer", "bearer"), "OK"),
        (&viewer, "FORBIDDEN"),
    ] {
        socket.call_as("1", "workspaces/stop", &json!({"name": "alpha"}), authorization).await;
        assert_eq!(code(&socket.next().await), expected, "{authorization}");
    }
}

#[tokio::test]
async fn a_socket_on_which_nobody_says_who_they_are_is_closed_after_a_while() {
    let agent = agent(Limits { login: Duration::from_millis(200), ..Limits::default() }).await;
    let mut silent = Socket::open(&agent).await;
    let mut wrong = Socket::open(&agent).await;
    let mut known = Socket::open(&agent).await;
    known.call("1", "agent/info", &json!({})).await;
    known.next().await;
    wrong.call_as("1", "agent/info", &json!({}), "Bearer nope").await;
    assert_eq!(code(&wrong.next().await), "UNAUTHORIZED");
    silent.closed().await;
    wrong.closed().await;
    known.call("2", "agent/info", &json!({})).await;
    assert_eq!(code(&known.next().await), "OK", "who was known stays");
}

#[tokio::test]
async fn frames_that_are_too_large_end_the_socket_and_nothing_else() {
    let agent = agent(Limits { body: 10_000, ..Limits::default() }).await;
    let mut socket = Socket::open(&agent).await;
    socket.call("1", "agent/info", &json!({"x": "y".repeat(9_000)})).await;
    assert_eq!(code(&socket.next().await), "BAD_REQUEST", "under the limit it is read");
    socket.send_text(&"x".repeat(20_000)).await;
    socket.closed().await;
    assert_eq!(agent.post("agent/info", "{}").await.status, 200);
}

#[tokio::test]
async fn what_is_no_frame_of_the_protocol_is_dropped_and_files_are_refused() {
    let agent = Agent::start().await;
    let mut socket = Socket::open(&agent).await;
    let deep = format!("{{\"i\":\"1\",\"p\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    for text in ["", "null", "{}", "[1]", "{\"i\":1}", "{\"i\":\"1\",\"t\":4}", "{\"i\":\"1\",\"p\":{\"u\":7}}", &deep]
    {
        socket.send_text(text).await;
    }
    socket.send_bytes(b"\x00\xff\xfe").await;
    let frame = json!({"i": "f", "p": {"u": "/agent/info", "b": {}, "h": {"content-type": "multipart/form-data"}}});
    socket.send_bytes(&[frame.to_string().as_bytes(), b"\xff--boundary"].concat()).await;
    let answer = socket.next().await;
    assert_eq!((&answer["i"], code(&answer)), (&json!("f"), "UNSUPPORTED_MEDIA_TYPE"));
    socket.call("1", "agent/info", &json!({})).await;
    assert_eq!(socket.next().await["i"], "1");
}

#[tokio::test]
async fn a_socket_has_so_many_calls_at_once_and_no_more_and_stopping_one_makes_room() {
    let agent = agent(Limits { streams: 1000, ..Limits::default() }).await;
    let mut socket = Socket::open(&agent).await;
    for id in 0..256 {
        socket.call(&id.to_string(), "workspaces/watch", &json!({})).await;
    }
    socket.call("more", "agent/info", &json!({})).await;
    let refused = async {
        loop {
            let frame = socket.next().await;
            if frame["i"] == "more" {
                break frame;
            }
        }
    };
    let refused = tokio::time::timeout(PATIENCE, refused).await.expect("an answer");
    assert_eq!(code(&refused), "TOO_MANY_REQUESTS");
    agent.producers(256).await;
    socket.send(&json!({"i": "0", "t": 4})).await;
    agent.producers(255).await;
    socket.call("again", "agent/info", &json!({})).await;
    while socket.next().await["i"] != "again" {}
    drop(socket);
    agent.producers(0).await;
}

#[tokio::test]
async fn the_end_of_the_agent_ends_streams_with_an_error_and_then_the_socket() {
    let mut agent = Agent::start().await;
    let mut socket = Socket::open(&agent).await;
    socket.call("w", "workspaces/watch", &json!({})).await;
    while socket.next().await["p"]["d"]["json"]["type"] != "bookmark" {}
    agent.shutdown.begin();
    let last = socket.next().await;
    assert_eq!((&last["p"]["e"], &last["p"]["d"]["json"]["code"]), (&json!("error"), &json!("SERVICE_UNAVAILABLE")));
    socket.closed().await;
    tokio::time::timeout(PATIENCE, &mut agent.served).await.expect("it ends").expect("in order");
}

#[tokio::test]
async fn a_token_that_is_revoked_ends_the_streams_that_it_opened_and_no_others() {
    let agent = Agent::start().await;
    let token = agent.token(wanted("phone", Role::Viewer));
    let bearer = format!("Bearer {token}");
    let mut socket = Socket::open(&agent).await;
    socket.call_as("his", "workspaces/watch", &json!({}), &bearer).await;
    socket.call("ours", "workspaces/watch", &json!({})).await;
    let mut open = crate::raw::Open::post(agent.address, "workspaces/watch", &[("authorization", &bearer)], "{}").await;
    open.until("\"bookmark\"").await;
    agent.producers(3).await;
    agent.tokens.revoke(&"phone".parse().expect("a name")).expect("there");
    assert!(
        open.rest()
            .await
            .contains("event: error\nretry: 1000\ndata: {\"json\":{\"defined\":false,\"code\":\"UNAUTHORIZED\"")
    );
    let ended = async {
        loop {
            let frame = socket.next().await;
            if frame["p"]["e"] == "error" {
                break frame;
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, ended).await.expect("it ends");
    assert_eq!((&ended["i"], &ended["p"]["d"]["json"]["code"]), (&json!("his"), &json!("UNAUTHORIZED")));
    agent.producers(1).await;
}

#[tokio::test]
async fn an_upgrade_is_for_our_own_pages_and_names_and_for_apps() {
    let agent = Agent::start().await;
    for (headers, expected) in [
        (&[("origin", "https://evil.example")][..], Err(403)),
        (&[("host", "evil.example")], Err(403)),
        (&[("perry-agent", "another")], Err(421)),
        (&[("origin", "null")], Ok(())),
        (&[("origin", "http://localhost")], Err(403)),
        (&[], Ok(())),
    ] {
        assert_eq!(Socket::with(&agent, headers).await.map(drop), expected, "{headers:?}");
    }
    let plain = agent.send("GET", "/rpc", &[], b"").await;
    assert_eq!((plain.status, plain.code().as_str()), (404, "NOT_FOUND"), "no upgrade, no socket");
}

#[tokio::test]
async fn who_does_not_read_is_cut_off_and_nothing_piles_up_for_them() {
    let agent = agent(Limits { stall: Duration::from_millis(300), ..Limits::default() }).await;
    let mut socket = Socket::open(&agent).await;
    socket.call("w", "workspaces/watch", &json!({})).await;
    agent.producers(1).await;
    let mut generation = 1;
    let cut = async {
        while agent.producers.load(std::sync::atomic::Ordering::SeqCst) > 0 {
            generation += 1;
            let mut news = view("alpha", generation);
            news.image = "x".repeat(100_000);
            agent.hub.publish(news);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, cut).await.expect("its stream is dropped");
    drop(socket);
}
