//! The connection to the engine: made when it is first needed, and again after it was lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::{BollardRequest, Docker as Client};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use hyper::Uri;
use jiff::Timestamp;

use super::fault::Fault;
use super::host::Host;
use crate::model::observed::EngineSeen;

/// How long an engine has to say what it is.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long one look may take. An engine that starts thirty containers at once answers late, not never.
pub(super) const LOOK_LIMIT: Duration = Duration::from_secs(20);
/// The client's own limit lies above every limit of ours: an image may take this long.
const CLIENT_LIMIT_SECONDS: u64 = 3600;
/// The newest API version this code was written for; an engine that knows less is asked in its own.
const API_VERSION: (u32, u32) = (1, 53);

/// An engine that has said what it is.
#[derive(Debug)]
pub(super) struct Session {
    client: Client,
    /// What it said.
    pub(super) seen: EngineSeen,
    /// Whether it shares this machine's files, sockets and ports.
    pub(super) local: bool,
    /// When it said so, by its own clock, in seconds since 1970.
    pub(super) began: Option<i64>,
}

impl Session {
    /// For streams, whose errors [`Engine::fault`] tells apart.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the safer runtime for Docker inside a workspace is registered.
    pub(super) fn has_sysbox(&self) -> bool {
        self.seen.isolates()
    }
}

type Connecting = Shared<BoxFuture<'static, Result<Arc<Session>, Fault>>>;

#[derive(Debug)]
enum Link {
    Down,
    Connecting(Connecting),
    Up(Arc<Session>),
}

/// The way to the engine.
#[derive(Debug)]
pub(super) struct Engine {
    host: Host,
    link: Mutex<Link>,
}

impl Engine {
    pub(super) fn new(host: Host) -> Self {
        Self { host, link: Mutex::new(Link::Down) }
    }

    /// The session there is, or a new one. Callers that come while one is being made share it.
    pub(super) async fn session(&self) -> Result<Arc<Session>, Fault> {
        let connecting = {
            let mut link = self.link();
            match &*link {
                Link::Up(session) => return Ok(Arc::clone(session)),
                Link::Connecting(connecting) => connecting.clone(),
                Link::Down => {
                    let connecting = connect(self.host.clone()).boxed().shared();
                    *link = Link::Connecting(connecting.clone());
                    connecting
                }
            }
        };
        let result = connecting.clone().await;
        let mut link = self.link();
        if matches!(&*link, Link::Connecting(current) if current.ptr_eq(&connecting)) {
            *link = result.as_ref().map_or(Link::Down, |session| Link::Up(Arc::clone(session)));
        }
        result
    }

    /// Where it listens.
    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// Asks what the engine is, also when that is known already.
    pub(super) async fn refresh(&self) -> Result<Arc<Session>, Fault> {
        *self.link() = Link::Down;
        self.session().await
    }

    /// One call. A lost connection ends the session.
    pub(super) async fn call<T, F, Answer>(&self, limit: Duration, call: F) -> Result<T, Fault>
    where
        F: FnOnce(Client) -> Answer,
        Answer: Future<Output = Result<T, bollard::errors::Error>>,
    {
        let session = self.session().await?;
        let result = match tokio::time::timeout(limit, call(session.client.clone())).await {
            Ok(result) => result.map_err(|error| Fault::new(error, &self.host)),
            Err(_) => Err(Fault::Timeout(limit.as_secs())),
        };
        if result.as_ref().is_err_and(Fault::is_unreachable) {
            self.lost(&session);
        }
        result
    }

    /// What an error of a stream means.
    pub(super) fn fault(&self, error: bollard::errors::Error) -> Fault {
        Fault::new(error, &self.host)
    }

    /// Forgets the session, so that the next call makes a new one.
    pub(super) fn disconnected(&self) {
        *self.link() = Link::Down;
    }

    fn lost(&self, session: &Arc<Session>) {
        let mut link = self.link();
        if matches!(&*link, Link::Up(current) if Arc::ptr_eq(current, session)) {
            *link = Link::Down;
        }
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        // Nothing in here panics half-way through a change.
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn connect(host: Host) -> Result<Arc<Session>, Fault> {
    tokio::time::timeout(CONNECT_LIMIT, introduce(&host)).await.unwrap_or_else(|_| {
        Err(Fault::Unreachable(format!("{host} does not answer within {} s", CONNECT_LIMIT.as_secs())))
    })
}

async fn introduce(host: &Host) -> Result<Arc<Session>, Fault> {
    let fault = |error| Fault::new(error, host);
    let client = open(host).map_err(fault)?;
    let (version, info) = tokio::try_join!(client.version(), client.info()).map_err(fault)?;
    let theirs = version.api_version.unwrap_or_default();
    let Some(api) = parse_version(&theirs).map(|theirs| theirs.min(API_VERSION)) else {
        return Err(Fault::Failed(format!("{host} is no Docker engine: its API version is {theirs:?}")));
    };
    let mut runtimes: Vec<String> = info.runtimes.unwrap_or_default().into_keys().collect();
    runtimes.sort();
    let seen = EngineSeen {
        version: version.version.unwrap_or_default(),
        api_version: format!("{}.{}", api.0, api.1),
        runtimes,
    };
    let local = host.is_socket() && info.name.is_some() && info.name == own_name();
    let began = info.system_time.and_then(|time| time.parse::<Timestamp>().ok()).map(Timestamp::as_second);
    let client = client.with_request_modifier(move |request| versioned(request, api));
    Ok(Arc::new(Session { client, seen, local, began }))
}

fn open(host: &Host) -> Result<Client, bollard::errors::Error> {
    // The version given here is not sent: this client asks without one, which means the engine's newest, whatever
    // that may mean by then. `versioned` says which one is meant.
    match host {
        Host::Unix(path) => {
            Client::connect_with_unix(&path.to_string_lossy(), CLIENT_LIMIT_SECONDS, bollard::API_DEFAULT_VERSION)
        }
        Host::Tcp(address) => Client::connect_with_http(address, CLIENT_LIMIT_SECONDS, bollard::API_DEFAULT_VERSION),
    }
}

/// This machine's name: an engine on a socket that says the same one is not behind a virtual machine, a container's
/// wall or a forwarded socket. Where the names differ by accident, everything works as for a remote engine.
fn own_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The same request with the agreed version in its path.
fn versioned(mut request: BollardRequest, (major, minor): (u32, u32)) -> BollardRequest {
    let mut parts = request.uri().clone().into_parts();
    let path = parts.path_and_query.as_ref().map_or("/", |path| path.as_str());
    parts.path_and_query = format!("/v{major}.{minor}{path}").parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(parse_version("1.45"), Some((1, 45)));
        assert!(parse_version("1.9") < parse_version("1.45"));
        assert_eq!(parse_version("1.x"), None);
        assert_eq!(parse_version(""), None);
    }

    #[test]
    fn requests_bear_the_agreed_version() {
        let request = BollardRequest::new(bollard::body_full(bytes::Bytes::new()));
        let mut request = request;
        *request.uri_mut() = "unix://2f76/containers/json?all=true".parse().expect("a URI");
        assert_eq!(versioned(request, (1, 45)).uri().to_string(), "unix://2f76/v1.45/containers/json?all=true");
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_unreachable_and_named() {
        let engine = Engine::new(Host::Unix("/no/such.sock".into()));
        let fault = engine.call(LOOK_LIMIT, |client| async move { client.ping().await }).await.expect_err("no engine");
        assert!(matches!(&fault, Fault::Unreachable(why) if why.contains("unix:///no/such.sock")), "{fault:?}");
    }
}
