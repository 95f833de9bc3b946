//! A client of the worker's protocol, as an agent is one.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use perry::contract::worker::{ExecRequest, ExecResponse};
use perry::model::observed::WorkerSeen;
use tokio::net::UnixStream;

/// Longer than anything here takes: only a failure waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// One connection.
#[derive(Clone)]
pub(crate) struct Client {
    sender: http2::SendRequest<Full<Bytes>>,
    secret: Option<String>,
}

impl Client {
    pub(crate) async fn connect(socket: &Path, secret: Option<&str>) -> std::io::Result<Self> {
        let stream = UnixStream::connect(socket).await?;
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self { sender, secret: secret.map(str::to_owned) })
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Vec<u8>) -> hyper::Result<Response<Incoming>> {
        let mut request = Request::builder().method(method).uri(format!("http://worker{path}"));
        if let Some(secret) = &self.secret {
            request = request.header("authorization", format!("Bearer {secret}"));
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        self.sender.clone().send_request(request).await
    }

    /// Status and body.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Vec<u8>) -> (u16, String) {
        let response = self.send(method, path, body).await.expect("an answer");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    pub(crate) async fn health(&self) -> WorkerSeen {
        let (status, body) = self.ask("GET", "/v1/health", Vec::new()).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("health")
    }

    pub(crate) async fn exec(&self, command: &[&str], timeout: Option<u64>) -> ExecResponse {
        let (status, body) = self.ask("POST", "/v1/exec", exec_body(command, timeout)).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("an exec answer")
    }

    pub(crate) async fn watch(&self) -> (u16, Lines) {
        let response = self.send("GET", "/v1/watch", Vec::new()).await.expect("an answer");
        (response.status().as_u16(), Lines { body: response.into_body(), rest: Vec::new() })
    }
}

pub(crate) fn exec_body(command: &[&str], timeout: Option<u64>) -> Vec<u8> {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    serde_json::to_vec(&ExecRequest { command, timeout }).expect("JSON")
}

/// The lines of a watch.
pub(crate) struct Lines {
    body: Incoming,
    rest: Vec<u8>,
}

impl Lines {
    /// The next state; heartbeats are passed over.
    pub(crate) async fn next(&mut self) -> Option<WorkerSeen> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                if line.len() > 1 {
                    return Some(serde_json::from_slice(&line).expect("a state"));
                }
                continue;
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("in time")?;
            self.rest.extend(frame.ok()?.into_data().expect("data"));
        }
    }
}
