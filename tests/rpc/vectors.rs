//! Recorded exchanges of `@orpc/server` 1.16.1, replayed.

use std::path::Path;

use serde_json::{Value, json};

use crate::agent::Agent;
use crate::raw::Answer;

/// Where Perry is stricter than the reference on purpose, or has no such thing: status and code.
const STRICTER: &[(&str, u16, &str)] = &[
    ("16-post-empty-body", 415, "UNSUPPORTED_MEDIA_TYPE"),
    ("19-put-method", 405, "METHOD_NOT_SUPPORTED"),
    ("58-error-unknown-procedure", 404, "NOT_FOUND"),
    ("60-error-body-not-object", 400, "BAD_REQUEST"),
    ("62-error-wrong-content-type", 415, "UNSUPPORTED_MEDIA_TYPE"),
    ("67-not-rpc-prefix", 404, "NOT_FOUND"),
];

async fn replay(agent: &Agent, vector: &Value) -> Answer {
    let request = &vector["request"];
    let text = |key: &str| request[key].as_str().unwrap_or_default().to_owned();
    let headers: Vec<(&str, &str)> = request["headers"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(k, v)| Some((k.as_str(), v.as_str()?)))
        .collect();
    // The recording of a body over the limit is cut.
    let long = format!("{{\"json\":\"{}\"}}", "x".repeat(2 << 20));
    let (target, body) = match vector["name"].as_str() {
        Some("65-error-body-too-large") => ("/rpc/workspaces/get".to_owned(), long),
        _ => (text("target"), text("body")),
    };
    agent.send(&text("method"), &target, &headers, body.as_bytes()).await
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

/// The parts of an error that are the same in every implementation: not the words.
fn essence(error: &Value) -> Value {
    let mut error = error.clone();
    for issue in error["data"]["issues"].as_array_mut().into_iter().flatten() {
        *issue = json!({ "path": issue["path"] });
    }
    if error["code"] != "BAD_REQUEST" && error["code"] != "METHOD_NOT_SUPPORTED" && error["code"] != "PAYLOAD_TOO_LARGE"
    {
        error["message"] = Value::Null;
    }
    error
}

fn compare(name: &str, answer: &Answer, expected: &Value) {
    if let Some((_, status, code)) = STRICTER.iter().find(|(stricter, ..)| *stricter == name) {
        assert_eq!((answer.status, answer.code().as_str()), (*status, *code), "{name}");
        return;
    }
    let body = &expected["body_json"];
    assert_eq!(u64::from(answer.status), expected["status"].as_u64().expect("a status"), "{name}: {answer:?}");
    assert_eq!(answer.header("content-type"), expected["headers"]["content-type"].as_str(), "{name}");
    if answer.status == 200 {
        assert!(contains(&answer.json(), body), "{name}: {} has not all of {body}", answer.json());
        assert_eq!(
            answer.json().as_object().map(|it| it.len()),
            body.as_object().map(|it| it.len()),
            "{name}: envelope"
        );
    } else {
        let (actual, expected) = (essence(&answer.error()), essence(&body["json"]));
        assert!(contains(&actual, &expected), "{name}: {actual} has not all of {expected}");
        assert_eq!(actual.get("data").is_some(), expected.get("data").is_some(), "{name}");
    }
}

#[tokio::test]
async fn recorded_requests_of_the_stock_client_get_the_recorded_answers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/orpc");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the recordings").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let mut replayed = 0;
    // Those of the other transport have no status.
    files.retain(|file| !file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ws-")));
    for file in &files {
        let vector: Value = serde_json::from_slice(&std::fs::read(file).expect("readable")).expect("JSON");
        let name = vector["name"].as_str().expect("a name");
        // One agent each: some of them end it.
        let agent = Agent::start().await;
        match name {
            "01-workspaces-list-empty" | "02-workspaces-create" => drop(agent.hub.remove("alpha")),
            // The recorded answer has no body, as the method wants; so has ours, but another status.
            "66-error-head-method" => {
                let answer = replay(&agent, &vector).await;
                assert_eq!((answer.status, answer.body.len(), answer.header("allow")), (405, 0, Some("GET, POST")));
                replayed += 1;
                continue;
            }
            _ => {}
        }
        compare(name, &replay(&agent, &vector).await, &vector["response"]);
        replayed += 1;
    }
    assert_eq!(replayed, 33, "as many as there are files");
}
