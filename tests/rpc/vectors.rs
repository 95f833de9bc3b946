//! Recorded exchanges of `@orpc/server` 1.16.1, replayed against the real protocol layer: most with a table that behaves
//! like the recorded server, some more with Perry's own. Not among the files: 40, 41 (files), 55 (a code of its own), 74 (a plugin), 78, 79
//! (batches), 76, 77, 85, 86, 88, 89, 91 (what browsers and clients do; tested with those).

use std::path::Path;
use std::sync::Arc;

use perry::api::Limits;
use perry::model::Config;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::raw::Answer;
use crate::reference::Reference;
use crate::wire::Socket;

/// Where Perry is stricter than the reference on purpose: status and code.
const STRICTER: &[(&str, u16, &str)] = &[
    ("16-post-empty-body", 415, "UNSUPPORTED_MEDIA_TYPE"),
    ("19-put-method", 405, "METHOD_NOT_SUPPORTED"),
    ("58-error-unknown-procedure", 404, "NOT_FOUND"),
    ("60-error-body-not-object", 400, "BAD_REQUEST"),
    ("62-error-wrong-content-type", 415, "UNSUPPORTED_MEDIA_TYPE"),
    ("67-not-rpc-prefix", 404, "NOT_FOUND"),
    ("ws-04-unknown", 404, "NOT_FOUND"),
];

/// Recordings that Perry's protocol does not play, and why.
const NOT_OURS: &[(&str, &str)] = &[("ws-12-file", "no procedure takes files: 415")];

/// Codes of the recorded server's own, and what Perry says instead.
const OTHER_WORDS: &[(&str, &str)] = &[("DOCKER_UNAVAILABLE", "SERVICE_UNAVAILABLE")];

fn recordings() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/orpc");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the recordings").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files.iter().map(|file| serde_json::from_slice(&std::fs::read(file).expect("readable")).expect("JSON")).collect()
}

async fn reference(name: &str) -> Agent {
    let has_alpha = !matches!(name, "01-workspaces-list-empty" | "02-workspaces-create" | "72-auth-ok" | "75-csrf-ok");
    let config = Config { port: 0, ..Config::default() };
    Agent::serving(Arc::new(Reference::new(has_alpha)), Limits::default(), config).await
}

async fn replay(agent: &Agent, vector: &Value) -> Answer {
    let request = &vector["request"];
    let text = |key: &str| request[key].as_str().unwrap_or_default().to_owned();
    let bearer = match request["headers"]["authorization"].as_str() {
        Some("Bearer s3cret") => agent.bearer(),
        other => other.unwrap_or_default().to_owned(),
    };
    let name = vector["name"].as_str().unwrap_or_default();
    let is_login = name.starts_with('7') && !name.starts_with("75");
    let mut headers: Vec<(&str, &str)> = request["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
        .filter(|(key, _)| *key != "authorization")
        .collect();
    if is_login {
        headers.push(("authorization", &bearer));
        headers.retain(|(key, value)| *key != "authorization" || !value.is_empty());
    }
    // The recording of a body over the limit is cut.
    let long = format!("{{\"json\":\"{}\"}}", "x".repeat(2 << 20));
    let (target, body) = match name {
        "65-error-body-too-large" => ("/rpc/workspaces/get".to_owned(), long),
        _ => (text("target"), text("body")),
    };
    if is_login {
        return crate::raw::send(agent.address, &text("method"), &target, &headers, body.as_bytes()).await;
    }
    agent.send(&text("method"), &target, &headers, body.as_bytes()).await
}

/// The parts of an error that are the same in every implementation: not the words, nor codes of one's own.
fn essence(error: &Value) -> Value {
    let mut error = error.clone();
    for issue in error.pointer_mut("/data/issues").and_then(Value::as_array_mut).into_iter().flatten() {
        *issue = json!({ "path": issue["path"] });
    }
    let code = error["code"].as_str().unwrap_or_default().to_owned();
    if let Some((_, ours)) = OTHER_WORDS.iter().find(|(theirs, _)| *theirs == code) {
        error["code"] = json!(ours);
        error["data"] = Value::Null;
    }
    if error["data"].is_null() {
        error.as_object_mut().map(|error| error.remove("data"));
    }
    if !["BAD_REQUEST", "METHOD_NOT_SUPPORTED", "PAYLOAD_TOO_LARGE"].contains(&code.as_str()) {
        error["message"] = Value::Null;
    }
    // Of a conflict the recording knows the name; Perry knows more.
    if code == "CONFLICT" {
        error["data"] = json!({ "name": error["data"]["name"] });
    }
    error
}

fn compare(name: &str, answer: &Answer, expected: &Value) {
    if let Some((_, status, code)) = STRICTER.iter().find(|(stricter, ..)| *stricter == name) {
        assert_eq!((answer.status, answer.code().as_str()), (*status, *code), "{name}");
        return;
    }
    assert_eq!(u64::from(answer.status), expected["status"].as_u64().expect("a status"), "{name}: {answer:?}");
    assert_eq!(answer.header("content-type"), expected["headers"]["content-type"].as_str(), "{name}");
    let body = &expected["body_json"];
    if answer.status == 200 {
        assert_eq!(&answer.json(), body, "{name}");
    } else {
        assert_eq!(essence(&answer.error()), essence(&body["json"]), "{name}");
    }
}

#[tokio::test]
async fn recorded_requests_of_the_stock_client_get_the_recorded_answers() {
    let mut replayed = 0;
    for vector in recordings() {
        let name = vector["name"].as_str().expect("a name");
        if vector["transport"] == "websocket" || name.starts_with('8') || name.starts_with('9') {
            continue;
        }
        let agent = reference(name).await;
        let answer = replay(&agent, &vector).await;
        if name == "66-error-head-method" {
            // The recorded answer has no body, as the method wants; so has ours, but another status.
            assert_eq!((answer.status, answer.body.len(), answer.header("allow")), (405, 0, Some("GET, POST")));
        } else {
            compare(name, &answer, &vector["response"]);
        }
        replayed += 1;
    }
    assert_eq!(replayed, 54, "as many as there are files");
}

/// Events of a stream, as field and value each; comments and what an error may say more are left out.
fn events(text: &str) -> Vec<Vec<(String, Value)>> {
    let field = |line: &str| {
        let (key, value) = line.split_once(": ").expect("a field");
        let value = if key == "data" { serde_json::from_str(value).expect("JSON") } else { json!(value) };
        (key.to_owned(), if value["json"]["defined"].is_boolean() { essence(&value["json"]) } else { value })
    };
    let frames = text.split("\n\n").filter(|frame| !frame.is_empty() && !frame.starts_with(": "));
    let events = frames.map(|frame| {
        let is_error = frame.contains("event: error");
        let mut fields: Vec<_> = frame.lines().map(field).filter(|(key, _)| !(is_error && key == "retry")).collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        fields
    });
    events.collect()
}

#[tokio::test]
async fn recorded_streams_of_the_stock_client_are_sent_frame_by_frame() {
    let mut replayed = 0;
    for vector in recordings() {
        let name = vector["name"].as_str().expect("a name");
        if vector["transport"] == "websocket" || !(name.starts_with('8') || name.starts_with('9')) {
            continue;
        }
        replayed += 1;
        let agent = reference(name).await;
        if name == "84-stream-bad-input" {
            compare(name, &replay(&agent, &vector).await, &vector["response"]);
            continue;
        }
        let (body, response) = (vector["request"]["body"].as_str().expect("a body"), &vector["response"]);
        let resume = vector["request"]["headers"]["last-event-id"].as_str();
        let headers: Vec<_> = resume.iter().map(|id| ("last-event-id", *id)).collect();
        if name == "90-stream-keepalive" {
            let mut open = agent.open("workspaces/watch", &headers, body).await;
            open.until("id: 3\n").await;
            open.until(": \n\n\r\n4\r\n: \n\n").await;
            continue;
        }
        let headers: Vec<_> = headers.into_iter().chain([("content-type", "application/json")]).collect();
        let answer = agent.send("POST", "/rpc/workspaces/watch", &headers, body.as_bytes()).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")), "{name}");
        let text = String::from_utf8(answer.body).expect("text");
        assert!(text.starts_with(": \n\n"), "{name}: the first frame flushes the headers");
        assert_eq!(events(&text), events(response["body"].as_str().expect("a body")), "{name}");
    }
    assert_eq!(replayed, 7, "as many as there are files");
}

#[tokio::test]
async fn recorded_frames_of_the_stock_client_over_websocket_get_the_recorded_frames() {
    let mut replayed = 0;
    for vector in recordings() {
        let name = vector["name"].as_str().expect("a name");
        if vector["transport"] != "websocket" || NOT_OURS.iter().any(|(other, _)| *other == name) {
            continue;
        }
        let agent = reference(name).await;
        let mut socket = Socket::open(&agent).await;
        let bearer = agent.bearer();
        for frame in vector["frames"].as_array().expect("frames") {
            let (text, frame) = (frame["text"].as_str().expect("text"), (frame["dir"].as_str(), &frame["json"]));
            match frame {
                (Some("client->server"), Value::Null) => socket.send_text(text).await,
                (Some("client->server"), json) => socket.send(&with_token(name, json, &bearer)).await,
                (_, json) => {
                    let (actual, expected) = (socket.next().await, json);
                    compare_frame(name, &actual, expected);
                }
            }
        }
        replayed += 1;
    }
    assert_eq!(replayed, 15, "as many as there are files");
}

/// A request with the admin's token, unless the recording is of one without.
fn with_token(name: &str, frame: &Value, bearer: &str) -> Value {
    let mut frame = frame.clone();
    if name != "ws-15-auth-missing" && frame["p"].is_object() {
        frame["p"]["h"]["authorization"] = json!(bearer);
    }
    frame
}

fn compare_frame(name: &str, actual: &Value, expected: &Value) {
    if let Some((_, status, code)) = STRICTER.iter().find(|(stricter, ..)| *stricter == name) {
        assert_eq!((&actual["p"]["s"], &actual["p"]["b"]["json"]["code"]), (&json!(status), &json!(code)), "{name}");
        return;
    }
    let plain = |frame: &Value| {
        let mut frame = frame.clone();
        for part in ["b", "d"] {
            if frame["p"][part]["json"]["defined"].is_boolean() {
                frame["p"][part]["json"] = essence(&frame["p"][part]["json"]);
                // An error may say when to come again.
                frame["p"].as_object_mut().map(|payload| payload.remove("m"));
            }
        }
        frame
    };
    assert_eq!(plain(actual), plain(expected), "{name}");
}

#[tokio::test]
async fn requests_of_the_stock_client_do_the_same_with_perrys_own_table() {
    let own = ["03-", "04-", "05-", "06-", "10-", "12-", "14-", "20-", "22-", "50-", "52-", "53-", "59-", "63-", "64-"];
    let mut replayed = 0;
    for vector in recordings() {
        let name = vector["name"].as_str().expect("a name");
        if !own.iter().any(|start| name.starts_with(start)) {
            continue;
        }
        let agent = Agent::start().await;
        let (answer, expected) = (replay(&agent, &vector).await, &vector["response"]);
        assert_eq!(u64::from(answer.status), expected["status"].as_u64().expect("a status"), "{name}: {answer:?}");
        if answer.status == 200 {
            assert!(contains(&answer.json(), &expected["body_json"]), "{name}: {}", answer.json());
        } else {
            assert_eq!(essence(&answer.error()), essence(&expected["body_json"]["json"]), "{name}");
        }
        replayed += 1;
    }
    assert_eq!(replayed, own.len());
}

/// Everything of `expected` is in `actual`; the recorded workspaces have fewer fields than ours.
fn contains(actual: &Value, expected: &Value) -> bool {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => {
            expected.iter().all(|(key, value)| actual.get(key).is_some_and(|actual| contains(actual, value)))
        }
        (Value::Array(actual), Value::Array(expected)) => {
            actual.len() == expected.len() && actual.iter().zip(expected).all(|(a, e)| contains(a, e))
        }
        _ => actual == expected,
    }
}
