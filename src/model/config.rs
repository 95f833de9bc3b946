//! The agent's settings, `config.json`: every key optional, an unknown one an error.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::workspace::FileSpec;

/// The agent's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[ts(optional_fields)]
pub struct Config {
    /// The port of the API; 0 takes a free one.
    pub port: u16,
    /// The addresses of the API.
    pub bind: Vec<String>,
    /// Speak TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// Speak without TLS also on addresses that the whole internet reaches.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<_>", optional)]
    pub allow_plain_http: bool,
    /// What comes before a workspace's name in the names of its container and volumes.
    pub workspace_prefix: String,
    /// The image of workspaces that name none.
    pub image_tag: String,
    /// Host ports for ssh.
    pub ssh_ports: PortRange,
    /// Host ports for everything else.
    pub published_ports: PortRange,
    /// The engine.
    pub docker: DockerConfig,
    /// ssh of all workspaces.
    pub ssh: SshConfig,
    /// Origins of web pages that may use the API besides its own.
    pub allowed_origins: Vec<String>,
    /// What is brought into every workspace.
    pub sync: SyncConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 7391,
            bind: vec!["127.0.0.1".to_owned()],
            tls: None,
            allow_plain_http: false,
            workspace_prefix: "workspace-".to_owned(),
            image_tag: "workspace-base".to_owned(),
            ssh_ports: PortRange { first: 22000, last: 22999 },
            published_ports: PortRange { first: 23000, last: 29999 },
            docker: DockerConfig::default(),
            ssh: SshConfig::default(),
            allowed_origins: Vec::new(),
            sync: SyncConfig::default(),
        }
    }
}

/// Settings that may change while the agent runs: whoever needs them asks each time.
#[derive(Debug, Default)]
pub struct LiveConfig(RwLock<Arc<Config>>);

impl LiveConfig {
    /// Settings to begin with.
    pub fn new(config: Config) -> Self {
        Self(RwLock::new(Arc::new(config)))
    }

    /// The settings now.
    pub fn get(&self) -> Arc<Config> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes what may change of `new`: what workspaces are brought, and who may enter them. The keys of the rest that
    /// differ, which the next start of the agent takes.
    pub fn take(&self, new: &Config) -> Vec<&'static str> {
        let mut now = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Config::clone(&now);
        next.sync.clone_from(&new.sync);
        next.ssh.authorized_keys.clone_from(&new.ssh.authorized_keys);
        let later = [
            ("port", next.port != new.port),
            ("bind", next.bind != new.bind),
            ("tls", next.tls != new.tls),
            ("allowPlainHttp", next.allow_plain_http != new.allow_plain_http),
            ("workspacePrefix", next.workspace_prefix != new.workspace_prefix),
            ("imageTag", next.image_tag != new.image_tag),
            ("sshPorts", next.ssh_ports != new.ssh_ports),
            ("publishedPorts", next.published_ports != new.published_ports),
            ("docker", next.docker != new.docker),
            ("ssh.bind", next.ssh.bind != new.ssh.bind),
            ("ssh.forwardAgent", next.ssh.forward_agent != new.ssh.forward_agent),
            ("allowedOrigins", next.allowed_origins != new.allowed_origins),
        ];
        *now = Arc::new(next);
        later.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

/// What TLS needs: files in PEM, read when the agent starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct TlsConfig {
    /// The certificate, and those that it stands on.
    pub cert: String,
    /// Its private key.
    pub key: String,
}

/// The engine and what is shared on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[ts(optional_fields)]
pub struct DockerConfig {
    /// Where it listens; left out: `DOCKER_HOST`, else the local socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The bridge network of all workspaces.
    pub network: String,
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self { host: None, network: "perry".to_owned() }
    }
}

/// ssh of all workspaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[ts(optional_fields)]
pub struct SshConfig {
    /// Public keys that may enter every workspace.
    pub authorized_keys: Vec<String>,
    /// The host's address of ssh ports.
    pub bind: String,
    /// Lend the ssh agent of this machine (`SSH_AUTH_SOCK` of the agent) to `spec.clone`, as long as it runs.
    pub forward_agent: bool,
}

impl Default for SshConfig {
    fn default() -> Self {
        Self { authorized_keys: Vec::new(), bind: "127.0.0.1".to_owned(), forward_agent: false }
    }
}

/// What is brought into every workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[ts(optional_fields)]
pub struct SyncConfig {
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Files.
    pub files: Vec<FileSpec>,
    /// Which files of the host a workspace may ask for.
    pub allow: Vec<String>,
}

/// Ports `first` to `last`, both included; written `22000-22999`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
#[ts(type = "string")]
pub struct PortRange {
    /// The lowest port.
    pub first: u16,
    /// The highest port.
    pub last: u16,
}

/// Why a text is no [`PortRange`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no range of ports: write the first and the last with a dash, such as 22000-22999")]
pub struct PortRangeError(String);

impl FromStr for PortRange {
    type Err = PortRangeError;
    fn from_str(text: &str) -> Result<Self, PortRangeError> {
        let fail = || PortRangeError(text.to_owned());
        let (first, last) = text.split_once('-').ok_or_else(fail)?;
        let port = |part: &str| part.trim().parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(fail);
        let (first, last) = (port(first)?, port(last)?);
        if first > last { Err(fail()) } else { Ok(Self { first, last }) }
    }
}

impl TryFrom<String> for PortRange {
    type Error = PortRangeError;
    fn try_from(text: String) -> Result<Self, PortRangeError> {
        text.parse()
    }
}

impl From<PortRange> for String {
    fn from(range: PortRange) -> Self {
        range.to_string()
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl PortRange {
    /// Every port of the range.
    pub fn ports(self) -> impl Iterator<Item = u16> {
        self.first..=self.last
    }
}
