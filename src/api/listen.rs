//! The sockets: which may be opened, and how connections on them are kept within bounds.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::stall::Impatient;
use super::tls::{self, TlsError};
use super::{Limits, Shutdown, addresses};
use crate::model::Config;

/// How long the head of a request may take, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(30);
/// How long answers may go on after the shutdown began.
const GRACE: Duration = Duration::from_secs(3);
/// The most bytes that the kernel keeps of what was sent on a connection and not yet read; Linux takes twice the figure,
/// for what it costs to keep them, and would else take 4 MiB each. It also is what makes a slow reader look different
/// from none: the socket takes more when a third of this is free, so one who reads 5 kB/s is waited for.
const SEND_BUFFER: u32 = 208 << 10;
/// Connections that wait for being accepted; what tokio takes, too.
const BACKLOG: u32 = 1024;
/// How long to wait when the machine has no more files to give for connections.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// `bind` lists nothing.
    #[error("config.json: bind lists no address; 127.0.0.1 is the usual one")]
    NoAddress,
    /// An entry of `bind` is no address.
    #[error("config.json: bind: {0:?} is no IP address; write one such as 127.0.0.1 or ::1")]
    NotAnAddress(String),
    /// An entry of `bind` can be reached from the whole internet, and tokens would go there for everybody to read.
    #[error(
        "config.json: bind: {} can be reached from the internet, where tokens would be read on their way: set tls {{cert, key}}, \
         bind a private address, or set allowPlainHttp if something in front speaks TLS", Public(.bind, .public)
    )]
    PlainPublic {
        /// As it is in the settings.
        bind: IpAddr,
        /// The address that it leads to.
        public: IpAddr,
    },
    /// The files of `tls` are not what they should be.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Somebody else listens there.
    #[error("port {} of {} is in use: another agent may be running; `port` in config.json sets another one", .0.port(), .0.ip())]
    InUse(SocketAddr),
    /// The socket could not be opened.
    #[error("cannot listen on {address}")]
    Io {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

struct Public<'a>(&'a IpAddr, &'a IpAddr);

impl fmt::Display for Public<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bind, public) = self;
        if bind == public { write!(f, "{bind}") } else { write!(f, "{bind} (which is {public} too)") }
    }
}

/// The other side of a connection. The connection counts as open as long as one of these is there.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// Its address.
    pub(super) ip: IpAddr,
    _permit: Arc<OwnedSemaphorePermit>,
}

/// Open sockets.
pub struct Listening {
    sockets: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    tls: Option<TlsAcceptor>,
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Listening {
    /// Where clients connect to; the port is the real one where `port` was 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// Opens the sockets that the settings ask for, for the runtime in which it is awaited.
///
/// # Errors
/// See [`ListenError`]; then none is open.
pub async fn listen(config: &Config) -> Result<Listening, ListenError> {
    let ips = config.bind.iter().map(|text| address(text)).collect::<Result<Vec<_>, _>>()?;
    if config.tls.is_none() && !config.allow_plain_http {
        ips.iter().try_for_each(|ip| refuse_public(*ip, &addresses::own()))?;
    }
    let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
    let (mut sockets, mut addresses, mut port) = (Vec::new(), Vec::new(), config.port);
    for ip in ips {
        let wanted = SocketAddr::new(ip, port);
        let socket = open(wanted)?;
        let address = socket.local_addr().map_err(|source| ListenError::Io { address: wanted, source })?;
        // All addresses have the same port, also where it was chosen by the system.
        port = address.port();
        sockets.push(socket);
        addresses.push(address);
    }
    if sockets.is_empty() { Err(ListenError::NoAddress) } else { Ok(Listening { sockets, addresses, tls }) }
}

fn address(text: &str) -> Result<IpAddr, ListenError> {
    match text {
        "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        other => other.parse().map_err(|_| ListenError::NotAnAddress(other.to_owned())),
    }
}

/// Without TLS only what is private may be listened on; of "all addresses" each of the machine's counts.
fn refuse_public(bind: IpAddr, own: &[IpAddr]) -> Result<(), ListenError> {
    let leads_to = if bind.is_unspecified() { own } else { std::slice::from_ref(&bind) };
    match leads_to.iter().find(|ip| !addresses::is_private(**ip)) {
        None => Ok(()),
        Some(public) => Err(ListenError::PlainPublic { bind, public: *public }),
    }
}

fn open(address: SocketAddr) -> Result<TcpListener, ListenError> {
    bind(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse(address),
        _ => ListenError::Io { address, source },
    })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // The port may be taken again although old connections to it have not quite ended.
    socket.set_reuseaddr(true)?;
    // Those that are accepted inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Answers until the shutdown begins; then lets answers under way end, for a few seconds at most.
pub async fn serve(listening: Listening, router: Router, limits: Limits, shutdown: Shutdown) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut accepting = JoinSet::new();
    for socket in listening.sockets {
        let door = Entrance { router: router.clone(), tls: listening.tls.clone(), limits, shutdown: shutdown.clone() };
        accepting.spawn(accept(socket, door, permits.clone()));
    }
    while accepting.join_next().await.is_some() {}
    // Sockets that were upgraded are no connections of HTTP any more; they end by themselves.
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    if tokio::time::timeout(GRACE, permits.acquire_many(all)).await.is_err() {
        tracing::warn!("some answers were cut off by the end of the agent");
    }
}

/// What every connection leads to.
#[derive(Clone)]
struct Entrance {
    router: Router,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    shutdown: Shutdown,
}

async fn accept(socket: TcpListener, entrance: Entrance, permits: Arc<Semaphore>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = entrance.shutdown.begun() => break,
            Some(_) = connections.join_next() => {}
            accepted = socket.accept() => match accepted {
                Ok((tcp, from)) => {
                    // One too many is closed at once: better than letting it wait for ever.
                    if let Ok(permit) = permits.clone().try_acquire_owned() {
                        // Events must not wait for the acknowledgement of the one before.
                        tcp.set_nodelay(true).ok();
                        let tcp = Impatient::new(tcp, entrance.limits.stall);
                        let peer = Peer { ip: from.ip().to_canonical(), _permit: Arc::new(permit) };
                        connections.spawn(enter(tcp, entrance.clone(), peer));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            },
        }
    }
    drop(socket);
    let ended = async { while connections.join_next().await.is_some() {} };
    tokio::time::timeout(GRACE, ended).await.ok();
}

async fn enter(tcp: Impatient<TcpStream>, entrance: Entrance, peer: Peer) {
    match entrance.tls.clone() {
        None => connection(tcp, entrance, peer).await,
        // Apart, since it is large: a connection without TLS would else be, too.
        Some(acceptor) => Box::pin(encrypted(acceptor, tcp, entrance, peer)).await,
    }
}

async fn encrypted(acceptor: TlsAcceptor, tcp: Impatient<TcpStream>, entrance: Entrance, peer: Peer) {
    match tls::accept(&acceptor, tcp).await {
        Ok(stream) => connection(stream, entrance, peer).await,
        Err(error) => tracing::debug!(%error, "a handshake failed"),
    }
}

async fn connection<S>(stream: S, entrance: Entrance, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let router = TowerToHyperService::new(entrance.router);
    let service = hyper::service::service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = entrance.shutdown.begun() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended with an error");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(bind: &[&str], port: u16) -> Config {
        Config { bind: bind.iter().map(|&text| text.to_owned()).collect(), port, ..Config::default() }
    }

    #[tokio::test]
    async fn a_public_address_is_bound_with_tls_only_and_a_wrong_one_is_named() {
        for (bind, expected) in [
            ("8.8.8.8", "can be reached from the internet"),
            ("2001:4860:4860::8888", "can be reached from the internet"),
            ("example.com", "is no IP address"),
            ("", "is no IP address"),
        ] {
            let error = listen(&config(&["127.0.0.1", bind], 0)).await.expect_err(bind).to_string();
            assert!(error.contains(expected) && error.contains("bind"), "{bind}: {error}");
        }
        assert!(matches!(listen(&config(&[], 0)).await, Err(ListenError::NoAddress)));
        let allowed = Config { allow_plain_http: true, ..config(&["8.8.8.8"], 0) };
        assert!(matches!(listen(&allowed).await, Err(ListenError::Io { .. })), "it is tried, and not ours");
    }

    #[test]
    fn all_addresses_are_as_private_as_the_least_private_of_them() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let (any, own) = (ip("0.0.0.0"), [ip("127.0.0.1"), ip("192.168.1.5")]);
        assert!(refuse_public(any, &own).is_ok());
        let error = refuse_public(any, &[own[0], ip("9.9.9.9")]).expect_err("public").to_string();
        assert!(error.contains("0.0.0.0 (which is 9.9.9.9 too)"), "{error}");
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let first = listen(&config(&["localhost"], 0)).await.expect("a free port");
        let port = first.addresses()[0].port();
        let error = listen(&config(&["127.0.0.1"], port)).await.expect_err("in use").to_string();
        assert!(error.contains(&port.to_string()) && error.contains("another agent"), "{error}");
    }
}
