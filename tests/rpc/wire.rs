//! A WebSocket by hand: frames as they are on the wire.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::agent::Agent;
use crate::raw::PATIENCE;

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// An open socket.
pub(crate) struct Socket {
    stream: Stream,
    bearer: String,
}

impl Socket {
    pub(crate) async fn open(agent: &Agent) -> Self {
        Self::with(agent, &[]).await.expect("an upgrade")
    }

    /// Asks for an upgrade with these headers; the status of a refusal.
    pub(crate) async fn with(agent: &Agent, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        Self::at(agent, "/rpc", headers).await
    }

    /// The same of a path.
    pub(crate) async fn at(agent: &Agent, path: &str, headers: &[(&'static str, &str)]) -> Result<Self, u16> {
        let mut request = format!("ws://{}{path}", agent.address).into_client_request().expect("an address");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a value"));
        }
        match tokio_tungstenite::connect_async(request).await {
            Ok((stream, _)) => Ok(Self { stream, bearer: agent.bearer() }),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.expect("sent");
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.send(Message::binary(bytes.to_vec())).await.expect("sent");
    }

    pub(crate) async fn send(&mut self, frame: &Value) {
        self.send_text(&frame.to_string()).await;
    }

    /// Calls a procedure as an admin; the answer is still to come.
    pub(crate) async fn call(&mut self, id: &str, path: &str, input: &Value) {
        let bearer = self.bearer.clone();
        self.call_as(id, path, input, &bearer).await;
    }

    pub(crate) async fn call_as(&mut self, id: &str, path: &str, input: &Value, authorization: &str) {
        let headers = json!({ "authorization": authorization });
        self.send(&json!({"i": id, "p": {"u": format!("/{path}"), "b": {"json": input}, "h": headers}})).await;
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> Value {
        let more = async {
            loop {
                match self.stream.next().await.expect("open").expect("readable") {
                    Message::Text(text) => break serde_json::from_str(&text).expect("JSON"),
                    Message::Ping(_) | Message::Pong(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, more).await.expect("a frame")
    }

    /// Reads to the end: the code with which the other side closes, where it says one.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        let end = async {
            loop {
                match self.stream.next().await {
                    Some(Ok(Message::Close(Some(CloseFrame { code, .. })))) => break Some(code.into()),
                    Some(Ok(Message::Close(None)) | Err(_)) | None => break None,
                    Some(Ok(_)) => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, end).await.expect("an end")
    }
}
