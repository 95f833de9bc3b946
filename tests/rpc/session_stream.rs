//! `GET /sessions/NAME`: who hears of sessions there, and of what.

use std::sync::Arc;
use std::time::Duration;

use perry::api::Limits;
use perry::contract::Table;
use perry::contract::sessions::{CodingAgent, MessageNews};
use perry::model::{Config, Role};
use perry::store::tokens::Wanted;
use serde_json::{Value, json};

use crate::agent::{Agent, wanted};
use crate::sessions::{tell, two};
use crate::told::{session, upserted};
use crate::wire::Socket;
use crate::world::{World, world};

/// An agent with two workspaces, `a` and `b`, that have two sessions each.
async fn agent(limits: Limits) -> (Arc<World>, Agent) {
    let (world, api) = world();
    two(&world, &api).await;
    let config = Config { port: 0, ..Config::default() };
    (world, Agent::serving(Arc::new(Table(Arc::new(api))), limits, config).await)
}

async fn connect(agent: &Agent, path: &str, token: Option<&str>) -> Socket {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    Socket::at(agent, path, &headers).await.expect("an upgrade")
}

/// What is told first: each session that there is, in some order.
async fn opening(socket: &mut Socket) -> Vec<Value> {
    assert_eq!(socket.next().await, json!({ "type": "reset" }));
    let mut sessions = Vec::new();
    loop {
        let frame = socket.next().await;
        if frame == json!({ "type": "bookmark" }) {
            return sessions;
        }
        assert_eq!((&frame["type"], &frame["session"]["workspaceName"]), (&json!("upserted"), &json!("a")));
        sessions.push(frame["session"]["sessionId"].clone());
    }
}

#[tokio::test]
async fn a_simple_client_hears_of_one_workspace_by_a_header_or_by_its_first_text() {
    let (world, agent) = agent(Limits::default()).await;
    let mut by_header = connect(&agent, "/sessions/a", Some(&agent.token)).await;
    let mut by_text = connect(&agent, "/sessions/a", None).await;
    by_text.send(&json!({ "type": "auth", "token": agent.token })).await;
    for socket in [&mut by_header, &mut by_text] {
        assert_eq!(opening(socket).await, ["one", "two"]);
        // What else it says is heard and not heeded.
        socket.send_text("hello?").await;
    }
    let news = vec![MessageNews::Appended { from: 4 }];
    tell(&world, [upserted(session(CodingAgent::Claude, "one", 5), news)]);
    for socket in [&mut by_header, &mut by_text] {
        let frame = socket.next().await;
        assert_eq!((&frame["type"], &frame["session"]["messageCount"]), (&json!("upserted"), &json!(5)));
        let frame = socket.next().await;
        assert_eq!(
            (&frame["type"], &frame["sessionId"], &frame["index"]),
            (&json!("appended"), &json!("one"), &json!(4))
        );
    }
}

#[tokio::test]
async fn whoever_may_not_look_is_told_why_by_a_code() {
    let (_world, agent) = agent(Limits { login: Duration::from_millis(200), ..Limits::default() }).await;
    let other = Wanted { workspaces: Some(["b".parse().expect("a name")].into()), ..wanted("guest", Role::Viewer) };
    let other = agent.token(other);
    for (path, token, code) in [
        ("/sessions/a", Some("wrong"), 4001),
        ("/sessions/a", Some(other.as_str()), 4003),
        ("/sessions/none", Some(agent.token.as_str()), 4404),
        ("/sessions/No%20Name", Some(agent.token.as_str()), 4404),
        // Nobody says who calls.
        ("/sessions/a", None, 4001),
    ] {
        assert_eq!(connect(&agent, path, token).await.closed().await, Some(code), "{path} {token:?}");
    }
    for first in [json!({ "type": "auth", "token": "wrong" }), json!("hello"), json!({ "type": "auth" })] {
        let mut socket = connect(&agent, "/sessions/a", None).await;
        socket.send(&first).await;
        assert_eq!(socket.closed().await, Some(4001), "{first}");
    }
    let mut socket = connect(&agent, "/sessions/a", None).await;
    socket.send_text(&"x".repeat(9 << 10)).await;
    assert_ne!(socket.closed().await, Some(1000), "a text that is far too long");
}

#[tokio::test]
async fn a_token_that_is_revoked_and_an_agent_that_goes_end_it() {
    let (_world, agent) = agent(Limits::default()).await;
    let guest = agent.token(wanted("guest", Role::Viewer));
    let (mut theirs, mut ours) =
        (connect(&agent, "/sessions/a", Some(&guest)).await, connect(&agent, "/sessions/a", Some(&agent.token)).await);
    opening(&mut theirs).await;
    opening(&mut ours).await;
    agent.tokens.revoke(&"guest".parse().expect("a name")).expect("revoked");
    assert_eq!(theirs.closed().await, Some(4001));
    agent.shutdown.begin();
    assert_eq!(ours.closed().await, Some(1001));
}

#[tokio::test]
async fn what_is_no_upgrade_is_told_so() {
    let (_world, agent) = agent(Limits::default()).await;
    let answer = agent.send("GET", "/sessions/a", &[], b"").await;
    assert_eq!(answer.status, 400, "{answer:?}");
}
