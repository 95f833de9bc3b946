//! Where Perry is stricter than the reference, and the words that people get to read.

use perry::api::Limits;
use perry::model::Config;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::agent::Agent;
use crate::raw::{read, request};

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn a_post_must_say_that_it_is_json() {
    let agent = Agent::start().await;
    for media in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "application/jsonp"]
    {
        let answer = agent.send("POST", "/rpc/agent/kill", &[("content-type", media)], b"{}").await;
        assert_eq!((answer.status, answer.code().as_str()), (415, "UNSUPPORTED_MEDIA_TYPE"), "{media}");
    }
    for media in
        ["application/json", "Application/JSON", "application/json;charset=utf-8", "application/json ; charset=utf-8"]
    {
        let answer = agent.send("POST", "/rpc/agent/info", &[("content-type", media)], b"{}").await;
        assert_eq!(answer.status, 200, "{media}");
    }
    assert!(!agent.served.is_finished(), "the agent was not killed");
}

#[tokio::test]
async fn get_is_for_reads_and_other_methods_are_for_nothing() {
    let agent = Agent::start().await;
    for method in ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] {
        let answer = agent.send(method, "/rpc/agent/kill", &[JSON], b"").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
    }
    for method in ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] {
        let answer = agent.send(method, "/rpc/agent/info", &[JSON], b"").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, POST")), "{method}");
    }
    let answer = agent.send("POST", "/health", &[JSON], b"{}").await;
    assert_eq!(answer.status, 405);
    assert!(!agent.served.is_finished());
}

#[tokio::test]
async fn a_path_has_one_spelling_but_for_one_trailing_slash() {
    let agent = Agent::start().await;
    for path in [
        "/rpc/agent/%69nfo",
        "/rpc/agent/info//",
        "/rpc//agent/info",
        "//rpc/agent/info",
        "/rpc/agent/Info",
        "/rpc/agent",
        "/rpc/agent/info/x",
        "/rpc/agent%2Finfo",
        "/rpc/./agent/info",
        "/rpc/x/../agent/info",
        "/rpc",
        "/rpc/",
        "/RPC/agent/info",
        "/agent/info",
    ] {
        let answer = agent.send("POST", path, &[JSON], b"{}").await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "NOT_FOUND"), "{path}");
        assert_eq!(answer.error()["defined"], false, "{path}");
    }
    assert_eq!(agent.send("POST", "/rpc/agent/info/", &[JSON], b"{}").await.status, 200);
}

#[tokio::test]
async fn what_is_no_envelope_is_malformed() {
    let agent = Agent::start().await;
    let deep = format!("{{\"json\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for body in
        ["null", "[]", "[null]", "7", "\"x\"", "{", "{\"json\":1,\"json\":2}", "{}{}", "\u{feff}{}", "{\"json\":}"]
    {
        let answer = agent.post("agent/info", body).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "BAD_REQUEST"), "{body}");
        let message = answer.error()["message"].as_str().expect("text").to_owned();
        assert!(message.starts_with("Malformed request."), "{body}: {message}");
        assert!(answer.error().get("data").is_none(), "{body}");
    }
    let answer = agent.send("POST", "/rpc/agent/info", &[JSON], b"{\"json\":\"\xff\"}").await;
    assert_eq!(answer.status, 400, "not UTF-8");
    assert_eq!(agent.post("workspaces/apply", &deep).await.status, 400, "deep");
    let deep = deep.replacen("{\"json\":", "{\"json\":{\"workspace\":", 1) + "}";
    assert_eq!(agent.post("workspaces/apply", &deep).await.status, 400, "deep inside the input");
    for query in ["data=", "data=%7B", "data=%", "data=%zz", "data=[]", "data={}&data=%7B"] {
        let answer = agent.send("GET", &format!("/rpc/agent/info?{query}"), &[], b"").await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "BAD_REQUEST"), "{query}");
    }
    for query in ["", "other=1", "data={}", "data=%7B&data=%7b%7d", "data=%7B%22x%22:+1%7D"] {
        let answer = agent.send("GET", &format!("/rpc/agent/info?{query}"), &[], b"").await;
        assert_eq!(answer.status, 200, "{query}");
    }
}

#[tokio::test]
async fn unknown_fields_of_an_input_are_faults_that_name_the_nearest_right_one() {
    let agent = Agent::start().await;
    let answer = agent.post("workspaces/create", r#"{"json":{"name":"a","imgae":"x"},"ignored":1}"#).await;
    let expected = json!({"issues": [{"path": ["imgae"], "message": "unknown field `imgae`: did you mean `image`?"}]});
    assert_eq!((answer.status, &answer.error()["data"]), (400, &expected));
    assert_eq!(answer.error()["message"], "Input validation failed");
    assert_eq!(agent.post("agent/kill", r#"{"json":{"force":true}}"#).await.status, 400);
    assert!(!agent.served.is_finished());
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_announced_or_not_and_the_connection_closed() {
    let agent = Agent::with(Limits { body: 1000, ..Limits::default() }, Config { port: 0, ..Config::default() }).await;
    let body = format!("{{\"json\":{{\"name\":\"{}\"}}}}", "x".repeat(100_000));
    let announced = agent.post("workspaces/get", &body).await;
    let mut stream = TcpStream::connect(agent.address).await.expect("a listener");
    let bearer = agent.bearer();
    let headers = [JSON, ("transfer-encoding", "chunked"), ("authorization", &bearer)];
    let mut chunked = request(agent.address, "POST", "/rpc/workspaces/get", &headers, None);
    chunked.extend_from_slice(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes());
    stream.write_all(&chunked).await.expect("sent");
    for answer in [announced, read(stream).await] {
        assert_eq!((answer.status, answer.code().as_str()), (413, "PAYLOAD_TOO_LARGE"));
        assert_eq!(answer.header("connection"), Some("close"));
    }
    let fits = agent.post("workspaces/get", &format!("{{\"json\":{{\"name\":\"{}\"}}}}", "x".repeat(900))).await;
    assert_eq!(fits.code(), "BAD_REQUEST", "under the limit it is read");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let limits = Limits { arrival: std::time::Duration::from_millis(100), ..Limits::default() };
    let agent = Agent::with(limits, Config { port: 0, ..Config::default() }).await;
    let mut stream = TcpStream::connect(agent.address).await.expect("a listener");
    let bearer = agent.bearer();
    let headers = [JSON, ("content-length", "100"), ("authorization", &bearer)];
    stream.write_all(&request(agent.address, "POST", "/rpc/agent/info", &headers, None)).await.expect("sent");
    stream.write_all(b"{\"json\"").await.expect("sent");
    let answer = read(stream).await;
    assert_eq!((answer.status, answer.code().as_str()), (408, "TIMEOUT"));
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn faults_of_perry_tell_the_client_nothing() {
    let agent = Agent::start().await;
    for name in ["panic", "internal"] {
        let answer = agent.post("workspaces/get", &format!("{{\"json\":{{\"name\":\"{name}\"}}}}")).await;
        let expected = json!({"json": {
            "defined": false, "code": "INTERNAL_SERVER_ERROR", "status": 500, "message": "Internal server error",
        }});
        assert_eq!(answer.json(), expected, "{name}");
    }
    assert_eq!(agent.post("agent/info", "{}").await.status, 200, "it goes on");
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused_everywhere_with_a_plain_reason() {
    let agent = Agent::start().await;
    for target in ["/rpc/agent/info", "/health", "/openapi.json", "/"] {
        let answer = agent.send("GET", target, &[("host", "evil.example")], b"").await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "FORBIDDEN"), "{target}");
        let answer = agent.send("GET", target, &[("origin", "https://evil.example")], b"").await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "FORBIDDEN"), "{target}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{target}");
    }
    let headers = [("origin", "https://evil.example"), ("access-control-request-method", "POST")];
    let answer = agent.send("OPTIONS", "/rpc/agent/kill", &headers, b"").await;
    assert_eq!((answer.status, answer.header("access-control-allow-methods")), (403, None));
}

#[tokio::test]
async fn a_request_for_another_agent_is_refused_before_anything_is_done() {
    let agent = Agent::start().await;
    let other = ("perry-agent", "c0ffee00-0000-4000-8000-000000000001");
    for path in ["workspaces/list", "workspaces/delete", "workspaces/watch", "agent/kill", "nope/nope"] {
        let body = br#"{"json":{"name":"alpha"}}"#;
        let answer = agent.send("POST", &format!("/rpc/{path}"), &[JSON, other], body).await;
        assert_eq!((answer.status, answer.code().as_str()), (421, "MISDIRECTED_REQUEST"), "{path}");
        assert_eq!(answer.error()["defined"], false);
    }
    assert_eq!(agent.send("GET", "/health", &[other], b"").await.status, 421);
    assert!(!agent.served.is_finished() && agent.hub.get("alpha").is_some());
    for named in [&[JSON][..], &[JSON, ("perry-agent", crate::agent::ID)]] {
        assert_eq!(agent.send("POST", "/rpc/workspaces/list", named, b"{}").await.status, 200);
    }
}

#[tokio::test]
async fn pages_of_listed_origins_may_call_and_read_errors_too() {
    let config = Config { port: 0, allowed_origins: vec!["https://ui.example".to_owned()], ..Config::default() };
    let agent = Agent::with(Limits::default(), config).await;
    let origin = ("origin", "https://ui.example");
    let ask = [origin, ("access-control-request-method", "POST"), ("access-control-request-headers", "content-type")];
    let answer = agent.send("OPTIONS", "/rpc/workspaces/list", &ask, b"").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, Some("https://ui.example")));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, POST"));
    assert!(answer.header("access-control-allow-headers").is_some_and(|it| it.contains("last-event-id")));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    for (path, status) in [("/rpc/workspaces/list", 200), ("/rpc/nope", 404)] {
        let answer = agent.send("POST", path, &[origin, JSON], b"{}").await;
        let seen = (answer.status, answer.header("access-control-allow-origin"), answer.header("vary"));
        assert_eq!(seen, (status, Some("https://ui.example"), Some("Origin")));
    }
    let own = format!("http://{}", agent.address);
    let answer = agent.send("POST", "/rpc/workspaces/list", &[("origin", &own), JSON], b"{}").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
}

#[tokio::test]
async fn health_says_that_it_is_well_and_nothing_is_kept_in_caches() {
    let agent = Agent::start().await;
    let answer = agent.send("GET", "/health", &[], b"").await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("ok")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn one_connection_too_many_is_closed_at_once() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let agent = Agent::with(limits, Config { port: 0, ..Config::default() }).await;
    let mut first = TcpStream::connect(agent.address).await.expect("a listener");
    first.write_all(b"POST /rpc/agent/info HTTP/1.1\r\n").await.expect("sent");
    let second = async {
        let mut stream = TcpStream::connect(agent.address).await.expect("a listener");
        let mut bytes = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut bytes).await.map(|_| bytes).unwrap_or_default()
    };
    let bytes = tokio::time::timeout(crate::raw::PATIENCE, second).await.expect("closed");
    assert_eq!(bytes, b"");
}

#[tokio::test]
async fn kill_answers_and_then_ends_the_agent() {
    let mut agent = Agent::start().await;
    let answer = agent.post("agent/kill", "{}").await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"{}".as_slice()));
    tokio::time::timeout(crate::raw::PATIENCE, &mut agent.served).await.expect("it ends").expect("in order");
    assert!(TcpStream::connect(agent.address).await.is_err(), "nobody listens any more");
}
