//! Which agent is talked to, and where: the one of `client.json`, else the folder's own, which listens where it said so,
//! else where its `config.json` would have it. Never another folder's agent: a `delete` must not end up there. An address
//! proves nothing, since that of a killed agent stays behind and its port may be another's by now; so each request
//! names the agent that it is for. What says who calls is the token of that agent in `client.json`, or `PERRY_TOKEN`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use uuid::Uuid;

use crate::client::Client;
use crate::listening;
use crate::model::files::{AGENT_ID, AGENT_LOCK, AgentLock, CLIENT, CONFIG, ClientConfig};
use crate::model::{Config, Secret};

use super::client_file;
use super::failure::{Failure, UNREACHABLE};

/// Where an agent with default settings listens.
const DEFAULT_PORT: u16 = 7391;

/// The variable with the token to use, whichever agent it is.
const TOKEN: &str = "PERRY_TOKEN";

/// An agent.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// As `host:port`.
    address: String,
    /// Left out where a person said that it is this address.
    id: Option<String>,
    /// What says who calls.
    token: Option<Secret>,
}

/// A client of the agent.
///
/// # Errors
/// `client.json`, `agent.id` or `config.json` is there and cannot be understood; or it is plain that no agent runs in the
/// folder.
pub(super) fn find(folder: &Path) -> Result<Client, Failure> {
    let Found { address, id, token } = look(folder)?;
    if id.is_some() {
        refuse_impostor(folder, &address)?;
    }
    let client = match id {
        Some(id) => {
            let client = Client::only(&address, &id, &format!("the agent of {}", folder.display()));
            // Most agents speak no TLS, and then there is nothing to read.
            let certificate = address.starts_with("https://").then(|| certificate(folder)).flatten();
            match certificate {
                Some(certificate) => client.trusting(&certificate),
                None => client,
            }
        }
        None => Client::new(&address),
    };
    let said = std::env::var(TOKEN).ok().filter(|token| !token.is_empty()).map(Secret);
    Ok(match said.or(token) {
        Some(token) => client.with_token(token),
        None => client,
    })
}

/// What the folder's own agent shows to prove that it is the one, where it speaks TLS. What cannot be read proves
/// nothing; then it is believed only if the machine trusts its certificate.
fn certificate(folder: &Path) -> Option<Vec<u8>> {
    let config: Config = serde_json::from_slice(&std::fs::read(folder.join(CONFIG)).ok()?).ok()?;
    std::fs::read(config.tls?.cert).ok()
}

/// The folder's own agent belongs to whom the folder's files belong to, or to root. Where it does not run, anybody on
/// this machine may listen at its address, and would be shown the token.
fn refuse_impostor(folder: &Path, address: &str) -> Result<(), Failure> {
    let Ok(at) = address.trim_start_matches("https://").parse::<SocketAddr>() else { return Ok(()) };
    let Ok(file) = std::fs::metadata(folder.join(AGENT_ID)) else { return Ok(()) };
    match listening::owner(Path::new("/proc"), at) {
        Some(user) if at.ip().is_loopback() && is_stranger(user, file.uid()) => {
            let message = format!(
                "what listens at {address} belongs to user {user}: it is not the agent of {}",
                folder.display()
            );
            Err(Failure::new(UNREACHABLE, message)
                .hint("start yours: perry agent run; `port` in config.json sets another one"))
        }
        _ => Ok(()),
    }
}

/// Root is none: it can read the folder anyway.
fn is_stranger(listener: u32, owner: u32) -> bool {
    listener != 0 && listener != owner
}

fn look(folder: &Path) -> Result<Found, Failure> {
    let mut client = client_file::read(folder)?;
    if let Some(address) = told(folder, &client)? {
        if let Some(token) = client.tokens.remove(&address) {
            return Ok(Found { address, id: None, token: Some(token) });
        }
        // A person may have written down where the folder's own agent is.
        return match id(folder)?.filter(|_| announced(folder).as_deref() == Some(address.as_str())) {
            Some(id) => Ok(Found { address, token: client.tokens.remove(&id), id: Some(id) }),
            None => Ok(Found { address, id: None, token: None }),
        };
    }
    // Every agent has one before it listens.
    let id = id(folder)?.ok_or_else(|| none_runs(folder))?;
    let address = announced(folder).map_or_else(|| configured(folder), Ok)?;
    let token = client.tokens.remove(&id);
    Ok(Found { address, id: Some(id), token })
}

/// Where the folder's own agent said that it listens. It is a hint that an agent left; a broken or old one is no reason to
/// fail.
fn announced(folder: &Path) -> Option<String> {
    std::fs::read(folder.join(AGENT_LOCK)).ok().and_then(|text| AgentLock::parse(&text))?.address
}

/// The address in `client.json`.
fn told(folder: &Path, client: &ClientConfig) -> Result<Option<String>, Failure> {
    let Some(worker) = &client.worker else { return Ok(None) };
    let address = with_port(worker).map_err(|failure| {
        let message = format!("{}: worker: {}", folder.join(CLIENT).display(), failure.errors.join(""));
        Failure { errors: vec![message], ..failure }
    })?;
    Ok(Some(address))
}

/// The id of the folder's own agent; `None` where there has never been one.
fn id(folder: &Path) -> Result<Option<String>, Failure> {
    let path = folder.join(AGENT_ID);
    let failed = |what: String| Failure::failed(format!("{}: {what}", path.display()));
    match std::fs::read_to_string(&path) {
        Ok(text) => match Uuid::parse_str(text.trim()) {
            Ok(id) => Ok(Some(id.to_string())),
            Err(_) => Err(failed("it is damaged: it must hold one UUID".to_owned())
                .hint("the label dev.perry.agent of its containers and volumes has the right one")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn none_runs(folder: &Path) -> Failure {
    let hint = format!(
        "start one: perry agent run; one that is elsewhere is named in {}: {{ \"worker\": \"host:port\" }}",
        folder.join(CLIENT).display()
    );
    Failure::new(UNREACHABLE, format!("no agent runs in {}", folder.display())).hint(hint)
}

/// Where the agent of this folder listens when it runs.
fn configured(folder: &Path) -> Result<String, Failure> {
    let path = folder.join(CONFIG);
    let text = std::fs::read(&path).unwrap_or_else(|_| b"{}".to_vec());
    let config: Config = serde_json::from_slice(&text).map_err(|error| {
        Failure::usage(format!("{}: {error}", path.display())).hint("`perry agent run` says all that is wrong with it")
    })?;
    if config.port == 0 {
        return Err(none_runs(folder));
    }
    let bind = match config.bind.first().and_then(|bind| bind.parse().ok()) {
        Some(IpAddr::V4(bind)) if !bind.is_unspecified() => bind.into(),
        Some(IpAddr::V6(bind)) if bind.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        Some(IpAddr::V6(bind)) => bind.into(),
        _ => IpAddr::from(Ipv4Addr::LOCALHOST),
    };
    let scheme = if config.tls.is_some() { "https://" } else { "" };
    Ok(format!("{scheme}{}", SocketAddr::new(bind, config.port)))
}

/// An address as people write it, with its port.
///
/// # Errors
/// It is none.
pub(super) fn with_port(address: &str) -> Result<String, Failure> {
    let wrong =
        || Failure::usage(format!("{address:?} is no address")).hint("write one such as my-desktop.example.com:7391");
    complete(address.trim()).ok_or_else(wrong)
}

fn complete(address: &str) -> Option<String> {
    if let Some(secure) = address.strip_prefix("https://") {
        return complete_host(secure.trim_end_matches('/')).map(|host| format!("https://{host}"));
    }
    complete_host(address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/'))
}

fn complete_host(address: &str) -> Option<String> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/@?#\\".contains(c);
    if address.is_empty() || address.contains(odd) {
        return None;
    }
    if address.parse::<std::net::Ipv6Addr>().is_ok() {
        return Some(format!("[{address}]:{DEFAULT_PORT}"));
    }
    let bracketed = address.ends_with(']');
    match address.rsplit_once(':').filter(|_| !bracketed) {
        Some((host, port)) => {
            port.parse::<u16>().ok().filter(|port| *port > 0 && !host.is_empty()).map(|_| address.to_owned())
        }
        None => Some(format!("{address}:{DEFAULT_PORT}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, complete, is_stranger, look, refuse_impostor};

    const ID: &str = "9a2d8f3c-0b1e-4c55-8f56-0d7e1a2b3c4d";

    fn own(address: &str) -> Found {
        Found { address: address.to_owned(), id: Some(ID.to_owned()), token: None }
    }

    #[test]
    fn a_token_is_not_shown_to_another_users_program_at_the_agents_address() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("agent.id"), format!("{ID}\n")).expect("written");
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("an address").to_string();
        assert_eq!(refuse_impostor(folder.path(), &address), Ok(()));
        assert_eq!(refuse_impostor(folder.path(), "127.0.0.1:1"), Ok(()), "nobody listens: the call will say so");
        assert!(is_stranger(1001, 1000) && is_stranger(1001, 0) && !is_stranger(1000, 1000) && !is_stranger(0, 1000));
    }

    #[test]
    fn a_port_may_be_left_out() {
        let port = |address| complete(address);
        assert_eq!(port("desk").as_deref(), Some("desk:7391"));
        assert_eq!(port("desk:80").as_deref(), Some("desk:80"));
        assert_eq!(port("::1").as_deref(), Some("[::1]:7391"));
        assert_eq!(port("[::1]").as_deref(), Some("[::1]:7391"));
        assert_eq!(port("[::1]:80").as_deref(), Some("[::1]:80"));
        assert_eq!(port("http://desk/").as_deref(), Some("desk:7391"));
        assert_eq!(port("https://desk").as_deref(), Some("https://desk:7391"));
        assert_eq!(port("https://[::1]:80").as_deref(), Some("https://[::1]:80"));
        for wrong in ["", "desk:", "desk:http", "ftp://desk", "https://", "https://desk/a", ":80", "a b", "desk:0"] {
            assert_eq!(port(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_agent_that_does_not_run_is_looked_for_where_its_own_settings_have_it_and_nowhere_else() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("agent.id"), format!("{ID}\n")).expect("written");
        let config = |text: &str| std::fs::write(folder.path().join("config.json"), text).expect("written");
        for (text, address) in [
            ("{}", "127.0.0.1:7391"),
            (r#"{"port": 8000, "imageTag": "x"}"#, "127.0.0.1:8000"),
            (r#"{"bind": ["10.0.0.1", "127.0.0.1"]}"#, "10.0.0.1:7391"),
            (r#"{"port": 8000, "bind": ["0.0.0.0"]}"#, "127.0.0.1:8000"),
            (r#"{"bind": ["::"]}"#, "[::1]:7391"),
            (r#"{"bind": ["::1"]}"#, "[::1]:7391"),
        ] {
            config(text);
            assert_eq!(look(folder.path()), Ok(own(address)), "{text}");
        }
        config(r#"{"port": 0}"#);
        assert_eq!(look(folder.path()).expect_err("nobody knows").code, 5);
        config("{");
        assert_eq!(look(folder.path()).expect_err("refused").code, 2);
    }

    #[test]
    fn client_json_goes_before_the_agent_of_the_folder_and_that_before_the_default() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        write("agent.id", &ID.to_uppercase());
        assert_eq!(look(folder.path()), Ok(own("127.0.0.1:7391")));
        write("agent.lock", "half a li");
        assert_eq!(look(folder.path()), Ok(own("127.0.0.1:7391")));
        write(
            "agent.lock",
            r#"{"pid": 1, "address": "127.0.0.1:8000", "version": "1", "startedAt": "2025-01-10T15:30:00Z"}   "#,
        );
        assert_eq!(look(folder.path()), Ok(own("127.0.0.1:8000")));
        write("client.json", r#"{"tokens": {}}"#);
        assert_eq!(look(folder.path()), Ok(own("127.0.0.1:8000")));
        write("client.json", r#"{"worker": "desk"}"#);
        assert_eq!(look(folder.path()), Ok(Found { address: "desk:7391".to_owned(), id: None, token: None }));
        write("client.json", r#"{"worker": "desk", "tokens": {"desk:7391": "perry_a_b"}}"#);
        assert_eq!(look(folder.path()).expect("found").token.expect("known").0, "perry_a_b");
        write("client.json", &format!(r#"{{"tokens": {{"{ID}": "perry_c_d"}}}}"#));
        assert_eq!(look(folder.path()).expect("found").token.expect("known").0, "perry_c_d");
        write("client.json", &format!(r#"{{"worker": "127.0.0.1:8000", "tokens": {{"{ID}": "perry_c_d"}}}}"#));
        let found = look(folder.path()).expect("the folder's own, by its address");
        assert_eq!((found.token.map(|token| token.0).as_deref(), found.id.as_deref()), (Some("perry_c_d"), Some(ID)));
        write("client.json", r#"{"worker": "ftp://desk"}"#);
        assert_eq!(look(folder.path()).expect_err("refused").code, 2);
        write("client.json", "{");
        assert_eq!(look(folder.path()).expect_err("refused").code, 2);
    }

    #[test]
    fn without_the_id_of_its_agent_nobody_is_asked() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        let failure = look(folder.path()).expect_err("there has never been one");
        assert_eq!((failure.code, failure.errors), (5, vec![format!("no agent runs in {}", folder.path().display())]));
        write(
            "agent.lock",
            r#"{"pid": 1, "address": "127.0.0.1:8000", "version": "1", "startedAt": "2025-01-10T15:30:00Z"}"#,
        );
        assert_eq!(look(folder.path()).expect_err("whoever is there").code, 5);
        write("agent.id", "me");
        let failure = look(folder.path()).expect_err("damaged");
        assert!(failure.code == 1 && failure.errors[0].contains("agent.id: it is damaged"), "{failure:?}");
    }
}
