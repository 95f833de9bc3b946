//! What crosses a wire.
//!
//! [`table`] is the one list of what the API can do: from it come the trait that a server implements
//! ([`Procedures`]), the way from a path to a method ([`dispatch`]), the methods of the client, and the descriptors
//! ([`PROCEDURES`]) from which `specs/openapi.json` is made. [`worker`] is what agent and worker say to each other.

pub mod access;
mod dispatch;
pub mod envelope;
pub mod error;
pub mod input;
pub mod logs;
pub mod openapi;
pub mod permit;
pub mod pieces;
pub mod sessions;
pub mod socket;
pub mod table;
pub mod terminal;
pub mod terminals;
pub mod types;
pub mod typescript;
pub mod upkeep;
pub mod usage;
pub mod worker;

pub use crate::model::files;
pub use access::*;
pub use dispatch::{Frame, Frames, Reply, Service, Table, dispatch};
pub use envelope::Envelope;
pub use error::{ApiError, Code, Conflict, ConflictReason, ErrorBody};
pub use logs::{LogLine, LogSource};
pub use sessions::{
    CodingAgent, Message, MessagesInput, SearchHit, SearchInput, SessionFrame, SessionInfo, SessionState,
    SessionsInput, ToolDetail, WatchSessionsInput,
};
pub use table::{Call, Descriptor, Effect, Events, Item, PROCEDURES, Procedures, Reach, Shape};
pub use terminals::{CloseTerminalInput, CreateTerminalInput, RenameTerminalInput, TerminalInfo};
pub use types::*;
pub use upkeep::*;
pub use usage::Usage;

/// The header in which a request names the agent that it is for, by its id. Every other agent refuses it unread. It is
/// left out where any agent at the address will do.
pub const AGENT: &str = "perry-agent";
