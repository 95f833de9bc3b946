//! What somebody might try who may not: one test each.

use std::time::Duration;

use perry::api::Limits;
use perry::contract::{Descriptor, Effect, PROCEDURES, Reach};
use perry::model::{Config, Role};
use perry::store::tokens::Wanted;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::agent::{Agent, view, wanted};
use crate::raw::{self, Open, PATIENCE, request};
use crate::wire::Socket;

const JSON: (&str, &str) = ("content-type", "application/json");

/// An input that a procedure takes, about a workspace of this name where it is about one.
fn input(row: &Descriptor, name: &str) -> Value {
    let document = json!({"apiVersion": "perry.dev/v1", "kind": "Workspace", "metadata": {"name": name}});
    match row.path {
        "workspaces/apply" | "workspaces/plan" => json!({ "workspace": document }),
        "workspaces/exec" => json!({ "name": name, "command": ["id"] }),
        "terminals/create" | "terminals/close" => json!({ "name": name, "terminal": "main" }),
        "terminals/rename" => json!({ "name": name, "terminal": "main", "to": "other" }),
        "tokens/create" | "pair/offer" => json!({ "name": "made", "role": "viewer" }),
        "tokens/revoke" => json!({ "name": "no-such" }),
        "pair/claim" => json!({ "code": "00000-00000" }),
        "sessions/messages" => json!({ "workspaceName": name, "sessionId": "s" }),
        "sessions/search" => json!({ "workspaceName": name, "query": "word" }),
        "sessions/list" | "sessions/watch" => json!({ "workspaceName": name }),
        "config/setWorker" => json!({ "worker": "desk" }),
        path if (path.starts_with("workspaces/") || path.starts_with("terminals/")) && names_one(row) => {
            json!({ "name": name })
        }
        _ => json!({}),
    }
}

/// Whether a row's input names a workspace, by its schema.
fn names_one(row: &Descriptor) -> bool {
    let mut generator = schemars::SchemaGenerator::default();
    (row.input)(&mut generator);
    let text = serde_json::to_string(&generator.take_definitions(true)).expect("JSON");
    text.contains("\"name\"") || text.contains("\"workspaceName\"") || text.contains("\"manifest\"")
}

async fn code(agent: &Agent, row: &Descriptor, input: &Value, headers: &[(&str, &str)]) -> String {
    let body = json!({ "json": input }).to_string();
    let headers: Vec<_> = headers.iter().copied().chain([JSON]).collect();
    let mut stream = TcpStream::connect(agent.address).await.expect("a listener");
    let target = format!("/rpc/{}", row.path);
    stream.write_all(&request(agent.address, "POST", &target, &headers, Some(body.as_bytes()))).await.expect("sent");
    // The head says it; a stream would go on without end.
    let mut bytes = Vec::new();
    let head = async {
        while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
            let mut chunk = [0; 1024];
            let read = stream.read(&mut chunk).await.expect("readable");
            assert!(read > 0, "{}: no answer", row.path);
            bytes.extend_from_slice(&chunk[..read]);
        }
    };
    tokio::time::timeout(PATIENCE, head).await.expect("an answer");
    if bytes.starts_with(b"HTTP/1.1 200") {
        return "OK".to_owned();
    }
    let rest = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    rest.expect("its end").expect("readable");
    let start = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let error: Value = serde_json::from_slice(&bytes[start..]).expect("JSON");
    error["json"]["code"].as_str().expect("a code").to_owned()
}

#[tokio::test]
async fn without_a_token_nothing_is_done_but_what_is_public() {
    let agent = Agent::start().await;
    for row in PROCEDURES {
        let code = code(&agent, row, &input(row, "alpha"), &[]).await;
        if row.role == Role::Public {
            assert_ne!(code, "UNAUTHORIZED", "{}", row.path);
        } else {
            assert_eq!(code, "UNAUTHORIZED", "{}", row.path);
        }
    }
    let public: Vec<&str> = PROCEDURES.iter().filter(|row| row.role == Role::Public).map(|row| row.path).collect();
    assert_eq!(public, ["pair/claim"]);
    assert_eq!(raw::send(agent.address, "GET", "/metrics", &[], b"").await.status, 401);
    assert!(!agent.served.is_finished() && agent.hub.get("alpha").is_some());
}

#[tokio::test]
async fn a_role_may_call_what_the_table_says_and_nothing_above() {
    for role in Role::OF_TOKENS {
        for row in PROCEDURES {
            // One agent each: some calls end it.
            let agent = Agent::start().await;
            let bearer = format!("Bearer {}", agent.token(wanted("somebody", role)));
            let code = code(&agent, row, &input(row, "alpha"), &[("authorization", &bearer)]).await;
            if row.role == Role::Public {
                continue;
            }
            assert_eq!(code == "FORBIDDEN", role < row.role, "{} by {role}: {code}", row.path);
            assert_ne!(code, "UNAUTHORIZED", "{}", row.path);
            assert_ne!(code, "BAD_REQUEST", "{}: the test's input is wrong", row.path);
        }
    }
}

#[tokio::test]
async fn a_token_of_one_workspace_is_good_for_nothing_else() {
    let mut named = 0;
    for row in PROCEDURES.iter().filter(|row| row.role != Role::Public) {
        let agent = Agent::start().await;
        agent.hub.publish(view("beta", 1));
        let scoped =
            Wanted { workspaces: Some(["beta".parse().expect("a name")].into()), ..wanted("guest", Role::User) };
        let bearer = format!("Bearer {}", agent.token(scoped));
        let headers = [("authorization", bearer.as_str())];
        let other = code(&agent, row, &input(row, "alpha"), &headers).await;
        let own = code(&agent, row, &input(row, "beta"), &headers).await;
        if row.reach == Reach::Agent {
            assert_eq!((other.as_str(), own.as_str()), ("FORBIDDEN", "FORBIDDEN"), "{}", row.path);
        } else {
            assert_ne!(own, "FORBIDDEN", "{}", row.path);
            if names_one(row) {
                named += 1;
                assert_eq!(other, "FORBIDDEN", "{}", row.path);
            }
        }
        assert!(agent.hub.get("alpha").is_some());
    }
    assert!(named >= 15, "most procedures of workspaces name one: {named}");
}

#[tokio::test]
async fn lists_and_streams_show_a_token_its_own_workspaces_alone() {
    let agent = Agent::start().await;
    agent.hub.publish(view("beta", 1));
    let scoped = Wanted { workspaces: Some(["beta".parse().expect("a name")].into()), ..wanted("guest", Role::Viewer) };
    let bearer = format!("Bearer {}", agent.token(scoped));
    let headers = [("authorization", bearer.as_str())];
    let list = agent.send("POST", "/rpc/workspaces/list", &[JSON, headers[0]], b"{}").await;
    let names = |list: &Value| list["json"].as_array().expect("a list").iter().map(|it| it["name"].clone()).collect();
    let names: Vec<Value> = names(&list.json());
    assert_eq!(names, ["beta"]);
    let mut open = Open::post(agent.address, "workspaces/watch", &headers, "{}").await;
    open.until("\"bookmark\"").await;
    agent.hub.publish(view("alpha", 2));
    agent.hub.publish(view("beta", 2));
    let text = open.until("\"generation\":2").await;
    assert!(text.contains("\"beta\"") && !text.contains("\"alpha\""), "{text}");
}

#[tokio::test]
async fn viewers_see_no_values_that_look_secret_wherever_workspaces_are_shown() {
    let agent = Agent::start().await;
    let mut secret = view("alpha", 2);
    secret.spec.env.insert("API_TOKEN".to_owned(), "hunter2".to_owned());
    secret.spec.env.insert("EDITOR".to_owned(), "vim".to_owned());
    agent.hub.publish(secret);
    let viewer = format!("Bearer {}", agent.token(wanted("viewer", Role::Viewer)));
    let manifest = r#"{"json":{"workspace":{"metadata":{"name":"alpha"}}}}"#;
    for (path, body) in
        [("workspaces/list", "{}"), ("workspaces/get", r#"{"json":{"name":"alpha"}}"#), ("workspaces/plan", manifest)]
    {
        let target = format!("/rpc/{path}");
        let shown = agent.send("POST", &target, &[JSON, ("authorization", &viewer)], body.as_bytes()).await;
        let text = String::from_utf8(shown.body).expect("text");
        assert!(!text.contains("hunter2"), "{path}: {text}");
        let own = agent.send("POST", &target, &[JSON], body.as_bytes()).await;
        assert!(String::from_utf8(own.body).expect("text").contains("hunter2"), "{path}");
    }
    let mut open = Open::post(agent.address, "workspaces/watch", &[("authorization", &viewer)], "{}").await;
    let text = open.until("\"bookmark\"").await;
    assert!(text.contains("\"API_TOKEN\":\"***\"") && text.contains("vim"), "{text}");
}

#[tokio::test]
async fn a_token_in_a_url_or_a_cookie_is_no_login() {
    let agent = Agent::start().await;
    let token = agent.token.clone();
    for target in [
        format!("/rpc/workspaces/list?token={token}"),
        format!("/rpc/workspaces/list?authorization=Bearer%20{token}"),
        format!("/rpc/workspaces/list?access_token={token}&data=%7B%7D"),
    ] {
        assert_eq!(raw::send(agent.address, "GET", &target, &[], b"").await.status, 401, "{target}");
    }
    let cookie = format!("token={token}");
    for header in [("cookie", cookie.as_str()), ("x-token", &token), ("authorization", &token)] {
        let answer = raw::send(agent.address, "GET", "/rpc/workspaces/list", &[header], b"").await;
        assert_eq!(answer.status, 401, "{header:?}");
    }
}

#[tokio::test]
async fn a_revoked_and_an_expired_token_are_worth_nothing() {
    let agent = Agent::start().await;
    let revoked = format!("Bearer {}", agent.token(wanted("revoked", Role::Admin)));
    let expired = Wanted { expires_in: Some(Duration::ZERO), ..wanted("expired", Role::Admin) };
    let expired = format!("Bearer {}", agent.token(expired));
    let list = |bearer: String| {
        let agent = &agent;
        async move { agent.send("GET", "/rpc/workspaces/list", &[("authorization", &bearer)], b"").await.status }
    };
    assert_eq!((list(revoked.clone()).await, list(expired).await), (200, 401));
    agent.tokens.revoke(&"revoked".parse().expect("a name")).expect("there");
    assert_eq!(list(revoked).await, 401);
}

#[tokio::test]
async fn who_is_wrong_again_and_again_is_made_to_wait_and_a_right_token_still_works() {
    let agent = Agent::start().await;
    let wrong = |n: u32| format!("Bearer perry_00000001_{n:064x}");
    let mut codes = Vec::new();
    for n in 0..20 {
        let answer = agent.send("GET", "/rpc/agent/info", &[("authorization", &wrong(n))], b"").await;
        if answer.status == 429 {
            assert!(answer.header("retry-after").is_some());
        }
        codes.push(answer.status);
    }
    assert_eq!(codes[..10], [401; 10]);
    assert_eq!(codes[10..], [429; 10]);
    assert_eq!(agent.post("agent/info", "{}").await.status, 200);
    let recorded = agent.records.all().iter().filter(|record| record["result"] == "UNAUTHORIZED").count();
    assert_eq!(recorded, 10, "the log is not filled by who is made to wait");
}

#[tokio::test]
async fn other_pages_reach_nothing_neither_by_origin_nor_by_name_nor_without_asking() {
    let agent = Agent::start().await;
    for header in [("origin", "https://evil.example"), ("host", "evil.example:7391"), ("sec-fetch-site", "cross-site")]
    {
        let answer = agent.send("POST", "/rpc/agent/kill", &[JSON, header], b"{}").await;
        assert_eq!(answer.status, 403, "{header:?}");
    }
    for media in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let answer = agent.send("POST", "/rpc/agent/kill", &[("content-type", media)], b"{}").await;
        assert_eq!(answer.status, 415, "what a page may send without asking: {media}");
    }
    assert_eq!(Socket::with(&agent, &[("origin", "https://evil.example")]).await.map(drop), Err(403));
    assert!(!agent.served.is_finished());
}

#[tokio::test]
async fn tricks_with_paths_lead_nowhere() {
    let agent = Agent::start().await;
    for target in [
        "/assets/../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%2f..%2fetc%2fpasswd",
        "/assets/page.js/",
        "//etc/passwd",
        "/assets/",
        "/rpc/../health",
        "/index.html%00.js",
    ] {
        let answer = raw::send(agent.address, "GET", target, &[], b"").await;
        assert_eq!(answer.status, 404, "{target}");
    }
    for name in ["../../etc/passwd", "a/b", "a%2fb", "", "a\u{0}b", "-a", "A", "ä"] {
        let answer = agent.post("workspaces/get", &json!({"json": {"name": name}}).to_string()).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "BAD_REQUEST"), "{name}");
    }
}

#[tokio::test]
async fn a_body_of_64_mib_is_refused_with_and_without_a_token() {
    let agent = Agent::start().await;
    let body = vec![b'x'; 64 << 20];
    for bearer in [agent.bearer(), "Bearer nope".to_owned()] {
        let mut stream = TcpStream::connect(agent.address).await.expect("a listener");
        let headers = [JSON, ("authorization", bearer.as_str())];
        let mut bytes = request(agent.address, "POST", "/rpc/workspaces/apply", &headers, None);
        let length = format!("content-length: {}\r\n\r\n", body.len());
        bytes.truncate(bytes.len() - 2);
        bytes.extend_from_slice(length.as_bytes());
        stream.write_all(&bytes).await.expect("sent");
        // It may be cut off amid this.
        stream.write_all(&body).await.ok();
        let mut answer = Vec::new();
        let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(end.is_ok(), "the connection ends");
    }
    assert_eq!(agent.post("agent/info", "{}").await.status, 200);
}

#[tokio::test]
async fn ten_thousand_headers_and_a_head_without_end_are_refused() {
    let agent = Agent::start().await;
    let many: String = (0..10_000).map(|n| format!("x-{n}: y\r\n")).collect();
    for head in [
        format!("GET /health HTTP/1.1\r\nhost: {}\r\n{many}\r\n", agent.address),
        format!("GET /health HTTP/1.1\r\nhost: {}\r\nx: {}\r\n\r\n", agent.address, "y".repeat(2 << 20)),
        format!("GET /{} HTTP/1.1\r\n\r\n", "y".repeat(2 << 20)),
    ] {
        let mut stream = TcpStream::connect(agent.address).await.expect("a listener");
        stream.write_all(head.as_bytes()).await.ok();
        let mut answer = Vec::new();
        // A reset is as good as an answer.
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it ends").ok();
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(agent.post("agent/info", "{}").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_idle_sockets_stop_nobody() {
    let limits = Limits { connections: 6_000, ..Limits::default() };
    let agent = Agent::with(limits, Config { port: 0, ..Config::default() }).await;
    let mut idle = Vec::new();
    for _ in 0..5_000 {
        idle.push(TcpStream::connect(agent.address).await.expect("a listener"));
    }
    let answer = tokio::time::timeout(PATIENCE, agent.post("agent/info", "{}")).await.expect("at once");
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn what_is_changed_and_what_is_refused_is_on_record_and_no_secret_is() {
    for row in PROCEDURES {
        let agent = Agent::start().await;
        let admin = agent.bearer();
        let viewer = format!("Bearer {}", agent.token(wanted("viewer", Role::Viewer)));
        let secret = json!({"name": "alpha", "env": {"A_TOKEN": "hunter2"}});
        let input = if row.path == "workspaces/create" { secret } else { input(row, "alpha") };
        for authorization in ["Bearer perry_00000001_00", &viewer, &admin] {
            code(&agent, row, &input, &[("authorization", authorization)]).await;
        }
        let records = agent.records.all();
        let of = |who: &str| records.iter().filter(|record| record["who"] == who).count();
        assert_eq!(of("admin") == 1, row.effect == Effect::Write, "{}: {records:?}", row.path);
        if row.role > Role::Viewer {
            assert!(of("viewer") == 1 && records.iter().any(|record| record["result"] == "FORBIDDEN"), "{}", row.path);
        }
        let unknown = records.iter().filter(|record| record["result"] == "UNAUTHORIZED").count();
        assert_eq!(unknown, 1, "{}: {records:?}", row.path);
        let text = serde_json::to_string(&records).expect("JSON");
        for secret in [&agent.token, "hunter2", "00000-00000", viewer.trim_start_matches("Bearer ")] {
            assert!(!text.contains(secret), "{}: {text}", row.path);
        }
        if row.effect == Effect::Write && input["name"] == "alpha" {
            assert!(text.contains("\"of\":[\"alpha\"]"), "{}: {text}", row.path);
        }
    }
}
