//! Event streams as bytes.

use perry::api::Limits;
use perry::model::{Config, Phase, View};

use crate::agent::{Agent, view};

#[tokio::test]
async fn headers_and_a_comment_come_before_any_event() {
    let agent = Agent::with(Limits::default(), Config { port: 0, ..Config::default() }).await;
    let mut open = agent.open("workspaces/watch", &[], "{}").await;
    let text = open.until("4\r\n: \n\n\r\n").await.to_lowercase();
    assert!(text.starts_with("http/1.1 200 ok\r\n"), "{text}");
    assert!(text.contains("\r\ncontent-type: text/event-stream\r\n"), "{text}");
    assert!(!text.contains("content-disposition") && !text.contains("content-encoding"), "{text}");
}

#[tokio::test]
async fn frames_have_event_retry_id_and_an_enveloped_object() {
    let agent = Agent::start().await;
    let mut open = agent.open("workspaces/watch", &[], r#"{"json":{}}"#).await;
    let text = open.until("\"bookmark\"}}\n\n").await;
    assert!(text.contains("event: message\nretry: 1000\ndata: {\"json\":{\"type\":\"reset\"}}\n\n"), "{text}");
    assert!(
        text.contains(
            "event: message\nretry: 1000\ndata: {\"json\":{\"type\":\"added\",\"workspace\":{\"name\":\"alpha\""
        ),
        "{text}"
    );
    let cursor = agent.hub.list().1;
    let bookmark =
        format!("event: message\nretry: 1000\nid: {cursor}\ndata: {{\"json\":{{\"type\":\"bookmark\"}}}}\n\n");
    assert!(text.contains(&bookmark), "{text}");
    agent.hub.publish(View { status: Phase::Stopped, ..view("alpha", 2) });
    let cursor = agent.hub.list().1;
    let modified = format!("event: message\nretry: 1000\nid: {cursor}\ndata: {{\"json\":{{\"type\":\"modified\",");
    open.until(&modified).await;
}

#[tokio::test]
async fn a_watch_resumes_after_the_event_that_was_seen_last() {
    let agent = Agent::start().await;
    let seen = agent.hub.list().1.to_string();
    agent.hub.publish(view("beta", 1));
    let mut open = agent.open("workspaces/watch", &[("last-event-id", &seen)], "{}").await;
    let text = open.until("\"bookmark\"").await;
    assert!(text.contains("\"beta\"") && !text.contains("\"alpha\"") && !text.contains("\"reset\""), "{text}");
    for unknown in ["another-boot-7", "garbage", "%00"] {
        let mut open = agent.open("workspaces/watch", &[("last-event-id", unknown)], "{}").await;
        let text = open.until("\"bookmark\"").await;
        assert!(
            text.contains("\"reset\"") && text.contains("\"alpha\"") && text.contains("\"beta\""),
            "{unknown}: {text}"
        );
    }
}

#[tokio::test]
async fn a_finished_stream_says_done_and_a_failed_one_error() {
    let agent = Agent::start().await;
    let done = agent.post("workspaces/events", r#"{"json":{"name":"alpha"}}"#).await;
    let text = String::from_utf8(done.body).expect("text");
    assert!(text.starts_with(": \n\nevent: message\n"), "{text}");
    assert!(text.contains(r#""message":"line\nbreak""#), "a line break in a value stays inside its line: {text}");
    assert!(text.ends_with("event: done\ndata: {}\n\n"), "{text}");
    let failed = agent.post("images/build", "{}").await;
    let text = String::from_utf8(failed.body).expect("text");
    let error =
        r#"{"json":{"defined":true,"code":"SERVICE_UNAVAILABLE","status":503,"message":"Docker does not answer"}}"#;
    assert!(text.ends_with(&format!("event: error\nretry: 1000\ndata: {error}\n\n")), "{text}");
}

#[tokio::test]
async fn a_failure_before_the_first_event_is_a_plain_answer() {
    let agent = Agent::start().await;
    let answer = agent.post("workspaces/events", r#"{"json":{"name":"ghost"}}"#).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "NOT_FOUND"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(
        (answer.error()["defined"].clone(), answer.error()["data"]["name"].clone()),
        (true.into(), "ghost".into())
    );
    let answer = agent.post("workspaces/events", r#"{"json":{"nmae":"alpha"}}"#).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "BAD_REQUEST"));
}

#[tokio::test]
async fn reads_can_be_watched_with_get() {
    let agent = Agent::start().await;
    let events = agent.send("GET", "/rpc/workspaces/events?data=%7B%7D", &[], b"").await;
    assert_eq!((events.status, events.header("content-type")), (200, Some("text/event-stream")));
    let build = agent.send("GET", "/rpc/images/build", &[], b"").await;
    assert_eq!((build.status, build.header("allow")), (405, Some("POST")));
}

#[tokio::test]
async fn a_client_that_goes_away_frees_the_producer() {
    let agent = Agent::start().await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(agent.open("workspaces/watch", &[], "{}").await);
    }
    for stream in &mut open {
        stream.until("\"bookmark\"").await;
    }
    agent.producers(3).await;
    open.pop();
    agent.producers(2).await;
    open.clear();
    agent.producers(0).await;
}

#[tokio::test]
async fn one_stream_too_many_is_refused_until_another_ends() {
    let agent = Agent::with(Limits { streams: 2, ..Limits::default() }, Config { port: 0, ..Config::default() }).await;
    let first = agent.open("workspaces/watch", &[], "{}").await;
    let _second = agent.open("workspaces/watch", &[], "{}").await;
    agent.producers(2).await;
    let refused = agent.post("workspaces/events", "{}").await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "TOO_MANY_REQUESTS"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(agent.post("agent/info", "{}").await.status, 200, "calls go on");
    drop(first);
    agent.producers(1).await;
    let again = agent.open("workspaces/watch", &[], "{}").await;
    agent.producers(2).await;
    drop(again);
}

#[tokio::test]
async fn the_end_of_the_agent_is_an_error_event_not_a_clean_end() {
    let mut agent = Agent::start().await;
    let mut open = agent.open("workspaces/watch", &[], "{}").await;
    open.until("\"bookmark\"").await;
    agent.shutdown.begin();
    let text = open.rest().await;
    assert!(text.contains("event: error\nretry: 1000\ndata: {\"json\":{\"defined\":false,\"code\":\"SERVICE_UNAVAILABLE\",\"status\":503"), "{text}");
    assert!(!text.contains("event: done"), "{text}");
    tokio::time::timeout(crate::raw::PATIENCE, &mut agent.served).await.expect("it ends").expect("in order");
}

#[tokio::test]
async fn a_silent_stream_shows_signs_of_life_every_five_seconds() {
    let agent = Agent::start().await;
    let mut open = agent.open("workspaces/watch", &[], "{}").await;
    open.until("\"bookmark\"").await;
    let begun = std::time::Instant::now();
    open.until("}}\n\n\r\n4\r\n: \n\n\r\n").await;
    assert!(begun.elapsed().as_millis() >= 4500, "not much earlier: {:?}", begun.elapsed());
}
