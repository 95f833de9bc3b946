//! A plain request to the engine, for the rare answer that the client's types do not fit.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::engine::Engine;
use super::fault::Fault;
use super::host::Host;

/// The largest answer that is read, in bytes: some hundred thousand volumes.
const ANSWER_MAX: usize = 64 << 20;

impl Engine {
    /// Gets a path in the agreed version of the API; the body of a good answer.
    pub(super) async fn get(&self, path: &str, limit: Duration) -> Result<Bytes, Fault> {
        let session = self.session().await?;
        let path = format!("/v{}{path}", session.seen.api_version);
        let unreachable = |error: &dyn std::fmt::Display| Fault::Unreachable(format!("{}: {error}", self.host()));
        let answer = async {
            match self.host() {
                Host::Unix(socket) => exchange(UnixStream::connect(socket).await?, &path).await,
                Host::Tcp(address) => exchange(TcpStream::connect(address).await?, &path).await,
            }
        };
        let (status, body) = tokio::time::timeout(limit, answer)
            .await
            .map_err(|_| Fault::Timeout(limit.as_secs()))?
            .map_err(|error: io::Error| unreachable(&error))?;
        if status.is_success() {
            return Ok(body);
        }
        Err(Fault::answer(status.as_u16(), &String::from_utf8_lossy(&body)))
    }
}

async fn exchange<S>(stream: S, path: &str) -> io::Result<(hyper::StatusCode, Bytes)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::get(path).header(hyper::header::HOST, "docker").body(Empty::<Bytes>::new());
    let exchange = async {
        let response = sender.send_request(request.map_err(io::Error::other)?).await.map_err(io::Error::other)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await.map_err(io::Error::other)?;
        Ok((status, body.to_bytes()))
    };
    // The connection must be driven for as long as the exchange takes, and no longer.
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        result = &mut exchange => result,
        driven = connection => {
            driven.map_err(io::Error::other)?;
            exchange.await
        }
    }
}
