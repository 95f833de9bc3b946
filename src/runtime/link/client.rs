//! HTTP/2 with one worker: see [`contract::worker`](crate::contract::worker).

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;

use super::super::Duplex;

/// How long a worker has for an answer that takes no work.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How often a silent peer is asked whether it is still there, and how long it has to say so.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_LIMIT: Duration = Duration::from_secs(10);
/// The longest answer, in bytes: a page of messages, each byte written as `\u0000`.
const ANSWER_MAX: usize = 32 << 20;
/// The longest line of a watch, in bytes.
const LINE_MAX: usize = 64 << 10;
/// The longest text of an error, in bytes.
const MESSAGE_MAX: usize = 500;

/// Why a worker did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// There is no connection, or it broke.
    #[error("the worker does not answer: {0}")]
    Lost(String),
    /// It said no (4xx).
    #[error("the worker refused: {0}")]
    Refused(String),
    /// It failed (5xx), or said what nobody understands.
    #[error("the worker failed: {0}")]
    Failed(String),
}

/// A connection to a worker; it ends when the last of its clones is dropped.
#[derive(Debug, Clone)]
pub(super) struct Client {
    sender: http2::SendRequest<Full<Bytes>>,
    authorization: HeaderValue,
}

/// The task that moves a connection's bytes; the connection ends with it.
pub(super) struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Client {
    /// Speaks HTTP/2 over a fresh stream.
    pub(super) async fn open(stream: Box<dyn Duplex>, secret: &str) -> Result<(Self, Driver), LinkError> {
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_LIMIT)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream));
        let (sender, connection) = limited(handshake).await?;
        let driver = Driver(tokio::spawn(async move {
            // Why it ended is told by the requests on it.
            let _ = connection.await;
        }));
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {secret}")).map_err(|_| lost("the secret is no header"))?;
        authorization.set_sensitive(true);
        Ok((Self { sender, authorization }, driver))
    }

    /// What the worker says of itself, now and at each change.
    pub(super) async fn watch(&self) -> Result<Lines, LinkError> {
        self.lines("/v1/watch").await
    }

    /// An answer of JSON documents, one a line.
    pub(super) async fn lines(&self, path: &str) -> Result<Lines, LinkError> {
        let response = limited(self.send(Method::GET, path, Bytes::new())).await?;
        Ok(Lines { body: accepted(response).await?.into_body(), buffer: BytesMut::new() })
    }

    /// One request with an answer; `limit` where the worker alone decides how long it takes.
    pub(super) async fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        limit: Option<Duration>,
    ) -> Result<Bytes, LinkError> {
        let exchange = async {
            let response = accepted(self.send(method, path, body).await.map_err(lost)?).await?;
            collect(response, ANSWER_MAX).await
        };
        match limit {
            Some(limit) => {
                tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| Err(lost("it took too long")))
            }
            None => exchange.await,
        }
    }

    /// A request whose answer takes no work.
    pub(super) async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, LinkError> {
        self.request(method, path, body, Some(ANSWER_LIMIT)).await
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Response<Incoming>, hyper::Error> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        // Only the path counts; HTTP/2 wants an authority all the same.
        *request.uri_mut() = format!("http://worker{path}").parse().expect("paths of this room are well-formed");
        request.headers_mut().insert(AUTHORIZATION, self.authorization.clone());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut sender = self.sender.clone();
        sender.ready().await?;
        sender.send_request(request).await
    }
}

/// JSON documents, one a line, as they come.
pub(super) struct Lines {
    body: Incoming,
    buffer: BytesMut,
}

impl Lines {
    /// The next one; none at the end.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, LinkError> {
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                if !line.trim_ascii().is_empty() {
                    let document = serde_json::from_slice(&line);
                    return document
                        .map(Some)
                        .map_err(|error| LinkError::Failed(format!("what it says is not understood: {error}")));
                }
            }
            if self.buffer.len() > LINE_MAX {
                return Err(LinkError::Failed("what it says is too long".to_owned()));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => self.buffer.extend_from_slice(&frame.map_err(lost)?.into_data().unwrap_or_default()),
            }
        }
    }
}

/// The answer, where it is a good one.
async fn accepted(response: Response<Incoming>) -> Result<Response<Incoming>, LinkError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = collect(response, LINE_MAX).await.unwrap_or_default();
    let text: String = String::from_utf8_lossy(&text).trim().chars().take(MESSAGE_MAX).collect();
    let message = if text.is_empty() { status.to_string() } else { text };
    Err(if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT {
        LinkError::Refused(message)
    } else {
        LinkError::Failed(message)
    })
}

async fn collect(response: Response<Incoming>, max: usize) -> Result<Bytes, LinkError> {
    Ok(Limited::new(response.into_body(), max).collect().await.map_err(lost)?.to_bytes())
}

async fn limited<T>(answer: impl Future<Output = Result<T, hyper::Error>>) -> Result<T, LinkError> {
    match tokio::time::timeout(ANSWER_LIMIT, answer).await {
        Ok(result) => result.map_err(lost),
        Err(_) => Err(lost("it took too long")),
    }
}

fn lost(why: impl ToString) -> LinkError {
    LinkError::Lost(why.to_string())
}
