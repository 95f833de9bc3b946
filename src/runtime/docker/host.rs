//! Where the engine listens.

use std::fmt;
use std::path::PathBuf;

/// Where an engine listens when nobody says otherwise.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Where the engine listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A Unix socket.
    Unix(PathBuf),
    /// HTTP without TLS, as `address:port`.
    Tcp(String),
}

/// Why a text names no engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Another scheme than `unix` and `tcp`.
    #[error("{0:?} names no engine that Perry can reach: write unix:///path/to/docker.sock or tcp://address:port")]
    Scheme(String),
    /// A socket's path is not absolute.
    #[error("{0:?} names no engine: a socket's path begins with a slash, as in unix:///var/run/docker.sock")]
    Path(String),
    /// There is more or less than an address and a port.
    #[error("{0:?} names no engine: write tcp://address:port, such as tcp://127.0.0.1:2375")]
    Address(String),
    /// `DOCKER_TLS_VERIFY` is set for a TCP address.
    #[error(
        "{0:?} wants TLS (DOCKER_TLS_VERIFY is set), which Perry does not speak: forward the engine's socket over ssh"
    )]
    Tls(String),
}

impl Host {
    /// Where the engine listens: as configured, else by `DOCKER_HOST`, else the local socket.
    ///
    /// # Errors
    /// The text names no engine that can be reached.
    pub fn from_environment(configured: Option<&str>) -> Result<Self, HostError> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let host = configured.map(str::to_owned).or_else(|| variable("DOCKER_HOST"));
        let host = host.as_deref().map_or_else(|| Ok(Self::Unix(DEFAULT_SOCKET.into())), Self::parse)?;
        match host {
            Self::Tcp(_) if variable("DOCKER_TLS_VERIFY").is_some() => Err(HostError::Tls(host.to_string())),
            host => Ok(host),
        }
    }

    /// Reads `unix:///path` or `tcp://address:port`.
    ///
    /// # Errors
    /// The text is neither.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| HostError::Scheme(text.to_owned()))?;
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "unix" => Err(HostError::Path(text.to_owned())),
            "tcp" | "http" => {
                Self::address(rest.trim_end_matches('/')).ok_or_else(|| HostError::Address(text.to_owned()))
            }
            _ => Err(HostError::Scheme(text.to_owned())),
        }
    }

    fn address(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let plain = !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ']);
        (plain && port.parse::<u16>().is_ok_and(|port| port > 0)).then(|| Self::Tcp(text.to_owned()))
    }

    /// Whether engine and agent can be on one machine as far as the address tells.
    pub fn is_socket(&self) -> bool {
        matches!(self, Self::Unix(_))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_they_are_written() {
        for text in ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", "tcp://[::1]:2375", "tcp://engine.lan:2375"]
        {
            assert_eq!(Host::parse(text).expect(text).to_string(), text);
        }
        assert_eq!(Host::parse("http://engine:2375/"), Ok(Host::Tcp("engine:2375".to_owned())));
    }

    #[test]
    fn a_host_that_is_none_says_what_would_be_right() {
        let wrong = [
            "",
            "docker.sock",
            "/var/run/docker.sock",
            "ssh://me@host",
            "npipe:////./pipe/docker",
            "unix://docker.sock",
            "tcp://",
            "tcp://host",
            "tcp://host:",
            "tcp://host:0",
            "tcp://host:65536",
            "tcp://user@host:1",
            "tcp://host/x:1",
        ];
        for text in wrong {
            let error = Host::parse(text).expect_err(text).to_string();
            assert!(error.contains("unix://") || error.contains("tcp://"), "{error}");
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
