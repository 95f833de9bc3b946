//! Inputs and outputs of `tokens` and `pair`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::model::{Name, Role, Secret};

/// A token to make, at once or by pairing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct CreateTokenInput {
    /// What its owner calls it, such as the device that it is for. No two tokens share one.
    pub name: Name,
    /// What it may do.
    pub role: Role,
    /// The only workspaces that there are for it; left out: all. No boundary where workspaces are privileged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspaces: Option<BTreeSet<Name>>,
    /// After how many seconds it is worthless, 60 to 315360000; left out: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
    /// With role `user`: it may have what reaches the host, that is privileged workspaces and ports beyond loopback.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<_>", optional)]
    pub allow_host: bool,
}

/// What is known of a token; nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct TokenInfo {
    /// The part of the token that is no secret.
    pub id: String,
    /// What its owner calls it.
    pub name: Name,
    /// What it may do.
    pub role: Role,
    /// The only workspaces that there are for it; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspaces: Option<BTreeSet<Name>>,
    /// With role `user`: it may have what reaches the host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<_>", optional)]
    pub allow_host: bool,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is worthless; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// When it was last shown, to the hour; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
}

/// A token that was just made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct NewToken {
    /// The token itself: `authorization: Bearer <token>`. Only its hash is kept.
    pub token: Secret,
    /// What is known of it.
    pub info: TokenInfo,
    /// The id of the agent that it is for.
    pub agent: String,
}

/// Which token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct RevokeTokenInput {
    /// Its name.
    pub name: Name,
}

/// A pairing code that waits for being claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct PairOffer {
    /// The code; it works once.
    pub code: Secret,
    /// From when on it does not work any more.
    pub expires: Timestamp,
    /// The id of the agent.
    pub agent: String,
    /// Where the agent can be reached, best first: `http://127.0.0.1:7391`.
    pub addresses: Vec<String>,
}

/// A code to trade for a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(deny_unknown_fields)]
#[ts(optional_fields)]
pub struct ClaimInput {
    /// The code; dashes, blanks and small letters do not matter.
    pub code: Secret,
}
