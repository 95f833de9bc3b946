//! Requests made by hand, byte by byte, and answers taken apart.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case, values as they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self))
    }

    /// The error in the body, checked for the five keys that stock clients insist on.
    pub(crate) fn error(&self) -> Value {
        let error = self.json()["json"].clone();
        let keys: Vec<&str> = error.as_object().expect("an object").keys().map(String::as_str).collect();
        assert!(keys.iter().all(|key| ["defined", "code", "status", "message", "data"].contains(key)), "{keys:?}");
        assert!(["defined", "code", "status", "message"].iter().all(|key| keys.contains(key)), "{keys:?}");
        assert_eq!(error["status"], self.status, "the status in the body is that of HTTP");
        error
    }

    pub(crate) fn code(&self) -> String {
        self.error()["code"].as_str().expect("a text").to_owned()
    }
}

/// Sends a request with `connection: close` and reads the whole answer.
pub(crate) async fn send(to: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(to).await.expect("a listener");
    stream.write_all(&request(to, method, target, headers, Some(body))).await.expect("sent");
    read(stream).await
}

/// The bytes of a request; `None` leaves out body and length.
pub(crate) fn request(
    to: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head += &format!("host: {to}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if let Some(body) = body.filter(|body| !body.is_empty() || method == "POST") {
        head += &format!("content-length: {}\r\n", body.len());
    }
    let mut bytes = (head + "\r\n").into_bytes();
    bytes.extend_from_slice(body.unwrap_or_default());
    bytes
}

pub(crate) async fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the answer ends").expect("readable");
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("no head: {bytes:?}"));
    let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: Vec<_> = lines.filter_map(header).collect();
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = bytes.split_off(end + 4);
    Answer { status, headers, body: if chunked { dechunk(&body) } else { body } }
}

/// What of a chunked body is there; it may have been cut.
fn dechunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).expect("text"), 16).expect("a size");
        let rest = &bytes[end + 2..];
        let size = size.min(rest.len());
        plain.extend_from_slice(&rest[..size]);
        bytes = rest.get(size + 2..).unwrap_or_default();
    }
    plain
}

/// A stream that is still open: what has come of it so far.
pub(crate) struct Open {
    stream: TcpStream,
    text: String,
}

impl Open {
    /// Opens a stream by POST. Lines of chunk sizes stay in the text.
    pub(crate) async fn post(to: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> Self {
        let mut stream = TcpStream::connect(to).await.expect("a listener");
        let headers: Vec<_> = headers.iter().copied().chain([("content-type", "application/json")]).collect();
        let request = request(to, "POST", &format!("/rpc/{path}"), &headers, Some(body.as_bytes()));
        stream.write_all(&request).await.expect("sent");
        Self { stream, text: String::new() }
    }

    /// Reads on until the text has this in it, and returns all of it.
    pub(crate) async fn until(&mut self, part: &str) -> &str {
        let more = async {
            while !self.text.contains(part) {
                let mut bytes = [0; 4096];
                let read = self.stream.read(&mut bytes).await.expect("readable");
                assert!(read > 0, "the stream ended without {part:?}: {}", self.text);
                self.text += std::str::from_utf8(&bytes[..read]).expect("text");
            }
        };
        tokio::time::timeout(PATIENCE, more).await.unwrap_or_else(|_| panic!("no {part:?}"));
        &self.text
    }

    /// Reads to the end.
    pub(crate) async fn rest(mut self) -> String {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut bytes)).await;
        read.expect("the stream ends").expect("readable");
        self.text + &String::from_utf8(bytes).expect("text")
    }
}
