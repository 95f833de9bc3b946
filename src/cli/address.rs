//! Where the agent is: the one of `client.json`, else the one that runs in the folder, else where the folder's
//! `config.json` would have it listen. Never another folder's agent: a `delete` must not end up there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::model::Config;
use crate::model::files::{AGENT_LOCK, AgentLock, CLIENT, CONFIG, ClientConfig};

use super::failure::{Failure, UNREACHABLE};

/// Where an agent with default settings listens.
const DEFAULT_PORT: u16 = 7391;

/// The agent's address as `host:port`.
///
/// # Errors
/// `client.json` or `config.json` is there and cannot be understood; or no agent runs in the folder, and its next one
/// takes any free port.
pub(super) fn find(folder: &Path) -> Result<String, Failure> {
    let path = folder.join(CLIENT);
    if let Ok(text) = std::fs::read(&path) {
        let client: ClientConfig = serde_json::from_slice(&text).map_err(|error| {
            Failure::usage(format!("{}: {error}", path.display())).hint("it holds { \"worker\": \"host:port\" }")
        })?;
        if let Some(worker) = client.worker {
            return with_port(&worker).ok_or_else(|| {
                let message = format!("{}: worker: {worker:?} is no address", path.display());
                Failure::usage(message).hint("write one such as my-desktop.example.com:7391")
            });
        }
    }
    // It is a hint that an agent left; a broken or old one is no reason to fail.
    let lock = std::fs::read(folder.join(AGENT_LOCK)).ok().and_then(|text| AgentLock::parse(&text));
    lock.and_then(|lock| lock.address).map_or_else(|| configured(folder), Ok)
}

/// Where the agent of this folder listens when it runs.
fn configured(folder: &Path) -> Result<String, Failure> {
    let path = folder.join(CONFIG);
    let text = std::fs::read(&path).unwrap_or_else(|_| b"{}".to_vec());
    let config: Config = serde_json::from_slice(&text).map_err(|error| {
        Failure::usage(format!("{}: {error}", path.display())).hint("`perry agent run` says all that is wrong with it")
    })?;
    if config.port == 0 {
        let message = format!("no agent runs in {}", folder.display());
        return Err(Failure::new(UNREACHABLE, message).hint("start one: perry agent run"));
    }
    let bind = match config.bind.first().and_then(|bind| bind.parse().ok()) {
        Some(IpAddr::V4(bind)) if !bind.is_unspecified() => bind.into(),
        Some(IpAddr::V6(bind)) if bind.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        Some(IpAddr::V6(bind)) => bind.into(),
        _ => IpAddr::from(Ipv4Addr::LOCALHOST),
    };
    Ok(SocketAddr::new(bind, config.port).to_string())
}

fn with_port(address: &str) -> Option<String> {
    let address = address.trim();
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
    use super::{find, with_port};

    #[test]
    fn a_port_may_be_left_out() {
        let port = |address| with_port(address);
        assert_eq!(port("desk").as_deref(), Some("desk:7391"));
        assert_eq!(port("desk:80").as_deref(), Some("desk:80"));
        assert_eq!(port("::1").as_deref(), Some("[::1]:7391"));
        assert_eq!(port("[::1]").as_deref(), Some("[::1]:7391"));
        assert_eq!(port("[::1]:80").as_deref(), Some("[::1]:80"));
        for wrong in ["", "desk:", "desk:http", "http://desk", ":80", "a b", "desk:0"] {
            assert_eq!(port(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_agent_that_does_not_run_is_looked_for_where_its_own_settings_have_it_and_nowhere_else() {
        let folder = tempfile::tempdir().expect("a folder");
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
            assert_eq!(find(folder.path()).as_deref(), Ok(address), "{text}");
        }
        config(r#"{"port": 0}"#);
        assert_eq!(find(folder.path()).expect_err("nobody knows").code, 5);
        config("{");
        assert_eq!(find(folder.path()).expect_err("refused").code, 2);
    }

    #[test]
    fn client_json_goes_before_the_agent_of_the_folder_and_that_before_the_default() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        assert_eq!(find(folder.path()).as_deref(), Ok("127.0.0.1:7391"));
        write("agent.lock", "half a li");
        assert_eq!(find(folder.path()).as_deref(), Ok("127.0.0.1:7391"));
        write(
            "agent.lock",
            r#"{"pid": 1, "address": "127.0.0.1:8000", "version": "1", "startedAt": "2025-01-10T15:30:00Z"}   "#,
        );
        assert_eq!(find(folder.path()).as_deref(), Ok("127.0.0.1:8000"));
        write("client.json", r#"{"tokens": {}}"#);
        assert_eq!(find(folder.path()).as_deref(), Ok("127.0.0.1:8000"));
        write("client.json", r#"{"worker": "desk"}"#);
        assert_eq!(find(folder.path()).as_deref(), Ok("desk:7391"));
        write("client.json", r#"{"worker": "http://desk"}"#);
        assert_eq!(find(folder.path()).expect_err("refused").code, 2);
        write("client.json", "{");
        assert_eq!(find(folder.path()).expect_err("refused").code, 2);
    }
}
