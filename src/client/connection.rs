//! One HTTP/1.1 connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::error::ClientError;
use super::tls::{HTTPS, Tls};
use crate::contract::{self, Code};
use crate::model::Secret;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// Whom a client talks to.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// `host:port`, or `https://host:port`.
    pub(super) address: String,
    /// How to speak TLS, where the address says so.
    pub(super) tls: Option<Tls>,
    /// What says who calls.
    pub(super) token: Option<Secret>,
    /// The only agent that will do, where not any will that answers there.
    pub(super) only: Option<Only>,
}

/// One agent and no other.
#[derive(Debug, Clone)]
pub(super) struct Only {
    pub(super) id: String,
    /// What errors call it.
    pub(super) name: String,
}

impl Target {
    /// `host:port`.
    pub(super) fn host(&self) -> &str {
        self.address.strip_prefix(HTTPS).unwrap_or(&self.address)
    }

    /// Whether it is on this machine.
    pub(super) fn is_here(&self) -> bool {
        let host = self.host().rsplit_once(':').map_or(self.host(), |(host, _)| host);
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// The error in an answer with a status of 300 or more.
    pub(super) fn error(&self, status: u16, body: &[u8]) -> ClientError {
        match (ClientError::answer(&self.address, status, body), &self.only) {
            (error, Some(only)) if error.is(Code::MisdirectedRequest) => {
                ClientError::OtherAgent { address: self.address.clone(), meant: only.name.clone() }
            }
            (error, _) => error,
        }
    }
}

/// A connection to an agent; closed when dropped.
#[derive(Debug)]
pub(super) struct Connection {
    target: Arc<Target>,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    pub(super) async fn open(target: &Arc<Target>) -> Result<Self, ClientError> {
        let stream = open_stream(target).await?;
        let cut = |source| ClientError::Cut { address: target.address.clone(), source: Some(source) };
        let sender = speak(stream).await.map_err(cut)?;
        Ok(Self { target: target.clone(), sender })
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Posts to a procedure and waits for the head of the answer.
    pub(super) async fn send(
        &mut self,
        path: &str,
        body: Bytes,
        resume: Option<&str>,
    ) -> Result<Response<Incoming>, ClientError> {
        let address = &self.target.address;
        let invalid = |what: String| ClientError::Unreachable {
            address: address.clone(),
            source: io::Error::new(io::ErrorKind::InvalidInput, what),
        };
        let mut request = Request::post(format!("/rpc/{path}"))
            .header(HOST, self.target.host())
            .header(CONTENT_TYPE, "application/json");
        if let Some(only) = &self.target.only {
            request = request.header(contract::AGENT, only.id.as_str());
        }
        if let Some(Secret(token)) = &self.target.token {
            let mut header =
                HeaderValue::from_str(&format!("Bearer {token}")).map_err(|error| invalid(error.to_string()))?;
            header.set_sensitive(true);
            request = request.header(AUTHORIZATION, header);
        }
        let mut request = request.body(Full::new(body)).map_err(|error| invalid(error.to_string()))?;
        if let Some(id) = resume {
            let id = HeaderValue::from_str(id).map_err(|error| invalid(error.to_string()))?;
            request.headers_mut().insert("last-event-id", id);
        }
        let cut = |source| ClientError::Cut { address: address.clone(), source: Some(source) };
        self.sender.ready().await.map_err(cut)?;
        self.sender.send_request(request).await.map_err(cut)
    }
}

/// A two-way byte stream to an agent.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Connects, over TLS where the address says so.
pub(super) async fn open_stream(target: &Target) -> Result<Box<dyn Duplex>, ClientError> {
    let unreachable = |source| ClientError::Unreachable { address: target.address.clone(), source };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "connecting took too long");
    let connected = tokio::time::timeout(CONNECT, connect(target.host())).await.map_err(late);
    let tcp = connected.and_then(|tcp| tcp).map_err(unreachable)?;
    // Small requests must not wait for one another's acknowledgement.
    tcp.set_nodelay(true).map_err(unreachable)?;
    match &target.tls {
        None => Ok(Box::new(tcp)),
        Some(tls) => {
            let secured = tokio::time::timeout(CONNECT, tls.secure(target.host(), tcp)).await.map_err(late);
            Ok(Box::new(secured.and_then(|stream| stream).map_err(unreachable)?))
        }
    }
}

async fn speak<S>(stream: S) -> hyper::Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    // Its error is also that of the request under way.
    tokio::spawn(async move { driver.await.ok() });
    Ok(sender)
}

/// Reads an answer whole, up to a limit.
pub(super) async fn read(address: &str, response: Response<Incoming>, limit: usize) -> Result<Bytes, ClientError> {
    match Limited::new(response.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let what = format!("its answer has more than {limit} bytes");
            Err(ClientError::Unreadable { address: address.to_owned(), what })
        }
        Err(error) => {
            let source = error.downcast::<hyper::Error>().ok().map(|error| *error);
            Err(ClientError::Cut { address: address.to_owned(), source })
        }
    }
}

/// `localhost` is known without asking anybody: a resolver costs time, and a static binary may have none.
async fn connect(address: &str) -> io::Result<TcpStream> {
    match address.strip_prefix("localhost:") {
        Some(port) => match TcpStream::connect(format!("127.0.0.1:{port}")).await {
            Ok(tcp) => Ok(tcp),
            Err(error) => TcpStream::connect(format!("[::1]:{port}")).await.map_err(|_| error),
        },
        None => TcpStream::connect(address).await,
    }
}
