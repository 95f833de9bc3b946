//! What is on the fake engine.

use jiff::Timestamp;

use super::script::Life;
use crate::model::desired::{Limits, Owner};
use crate::model::observed::{ContainerState, Isolation, Prepared};

/// A container on the fake engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub owner: Option<Owner>,
    /// Its fingerprint label.
    pub fingerprint: Option<String>,
    /// What it is doing.
    pub state: ContainerState,
    /// When it was last started.
    pub started_at: Option<Timestamp>,
    /// What the agent put into it.
    pub prepared: Option<Prepared>,
    /// The name of its network; empty for a stranger's.
    pub network_name: String,
    /// The id of the network that it was last started on; a container that was not started since it was made or
    /// attached takes whichever bears the name.
    pub network: Option<String>,
    /// How it is separated from the host.
    pub isolation: Isolation,
    /// What it may use at most.
    pub limits: Limits,
    /// The names of its volumes.
    pub volumes: Vec<String>,
    /// Its host ports.
    pub ports: Vec<u16>,
    /// Docker inside.
    pub docker: bool,
    /// What the worker was told.
    pub config: String,
    /// The files that were brought since it was started.
    pub files: String,
    /// When its servers answer, while it runs.
    pub(super) boot: Option<Life>,
    /// How often it was started: tells one life from the next.
    pub(super) starts: u32,
}

impl Container {
    /// A running container that no agent of ours made.
    pub fn stranger(id: &str, name: &str, owner: Option<Owner>) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            owner,
            fingerprint: None,
            state: ContainerState::Running,
            started_at: None,
            prepared: None,
            network_name: String::new(),
            network: None,
            isolation: Isolation::Unprivileged,
            limits: Limits::default(),
            volumes: Vec::new(),
            ports: Vec::new(),
            docker: false,
            config: String::new(),
            files: String::new(),
            starts: 0,
            boot: None,
        }
    }
}

/// A volume on the fake engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its labels.
    pub owner: Option<Owner>,
    /// When it was made.
    pub created_at: String,
}
