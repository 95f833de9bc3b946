//! Who may do what: roles, and what an access token says of whoever holds it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::Name;

/// What somebody may do; each may do all that those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Nothing that is anybody's own: what everybody may. No token has it.
    #[serde(skip)]
    Public,
    /// Look.
    Viewer,
    /// Change workspaces and run commands in them.
    User,
    /// Everything: settings, tokens, the end of the agent.
    Admin,
}

impl Role {
    /// The roles that a token may have.
    pub const OF_TOKENS: [Self; 3] = [Self::Viewer, Self::User, Self::Admin];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Viewer => "viewer",
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is no [`Role`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no role: viewer, user or admin")]
pub struct RoleError(String);

impl FromStr for Role {
    type Err = RoleError;
    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::OF_TOKENS.into_iter().find(|role| role.as_str() == text).ok_or_else(|| RoleError(text.to_owned()))
    }
}

/// Who calls: what the token says that was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's id; empty where none was needed.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The only workspaces that there are for it; `None`: all.
    pub workspaces: Option<BTreeSet<Name>>,
    /// A user that may have what reaches the host: privileged workspaces, ports beyond loopback. Admins always may.
    pub host: bool,
}

impl Caller {
    /// Whoever it is, without a token.
    pub fn anybody() -> Self {
        Self { id: String::new(), name: "nobody".to_owned(), role: Role::Public, workspaces: None, host: false }
    }

    /// Whether there is a workspace of this name for it.
    pub fn sees(&self, name: &Name) -> bool {
        self.workspaces.as_ref().is_none_or(|only| only.contains(name))
    }

    /// Whether it may have what reaches the host.
    pub fn reaches_host(&self) -> bool {
        self.role == Role::Admin || (self.role == Role::User && self.host)
    }

    /// Whether secrets are kept from it: who may run commands reads them inside anyway.
    pub fn is_shown_secrets(&self) -> bool {
        self.role >= Role::User
    }
}

/// A text that nobody should read in a log: `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(transparent)]
#[schemars(transparent)]
#[ts(type = "string")]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
