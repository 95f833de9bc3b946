//! The files of Perry's folder that more than one room knows: their names, and the forms of the small ones.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Secret;

/// The agent's settings.
pub const CONFIG: &str = "config.json";
/// The client's settings: [`ClientConfig`].
pub const CLIENT: &str = "client.json";
/// Intent.
pub const STATE: &str = "state.json";
/// The intent before the latest commit; what a broken `state.json` falls back to.
pub const STATE_PREVIOUS: &str = "state.json.1";
/// The copy of an original Perry's `state.json`, kept at its migration.
pub const STATE_ORIGINAL: &str = "state.json.v0";
/// Held while `state.json` is read and written; empty.
pub const STATE_LOCK: &str = "state.lock";
/// Why intent may not be whole, until a person confirms it: while it is there, nothing may be pruned.
pub const STATE_UNTRUSTED: &str = "state.untrusted";
/// The agent's id: a UUID, made once.
pub const AGENT_ID: &str = "agent.id";
/// What the secrets of workspaces are derived from: 32 bytes in hex, made once.
pub const AGENT_KEY: &str = "agent.key";
/// Held by the one agent of this folder: [`AgentLock`].
pub const AGENT_LOCK: &str = "agent.lock";
/// Hashes of access tokens.
pub const TOKENS: &str = "tokens.json";
/// Who did what.
pub const AUDIT: &str = "audit.log";

/// What `agent.lock` says of the agent that holds it. It stays behind when that agent is killed, so it is a hint where to
/// ask, never a proof that somebody answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentLock {
    /// Its process.
    pub pid: u32,
    /// Where its API listens, such as `127.0.0.1:7391`; absent while it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its version.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
}

impl AgentLock {
    /// Reads the content of `agent.lock`. `None` where no agent has written it, or one is writing it just now.
    pub fn parse(content: &[u8]) -> Option<Self> {
        serde_json::from_slice(content).ok()
    }
}

/// The client's settings, `client.json`. Fields that this version does not know are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientConfig {
    /// The agent to talk to, as `host:port`; left out: the one of this folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// The access token for each agent, by its id, or by `host:port` where that is all that is known of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tokens: BTreeMap<String, Secret>,
    /// What a newer version put there.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_lock_is_read_back_also_when_padded_and_nothing_else_is() {
        let lock = AgentLock { pid: 7, address: None, version: "1".to_owned(), started_at: Timestamp::UNIX_EPOCH };
        let mut text = serde_json::to_vec(&lock).expect("it serialises");
        text.extend_from_slice(b"      \n");
        assert_eq!(AgentLock::parse(&text), Some(lock));
        for other in [&b""[..], b"{", b"[]", b"\0\0", b"{\"pid\":\"x\"}"] {
            assert_eq!(AgentLock::parse(other), None);
        }
    }

    #[test]
    fn a_client_config_keeps_what_it_does_not_know() {
        let text = r#"{"worker":"box:7391","agents":{"a":1}}"#;
        let config: ClientConfig = serde_json::from_str(text).expect("it parses");
        assert_eq!(config.worker.as_deref(), Some("box:7391"));
        assert_eq!(serde_json::to_string(&config).expect("it serialises"), text);
    }
}
