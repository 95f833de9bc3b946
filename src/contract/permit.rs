//! Who may call what, and what they get to see. Pure: it is decided by the row of the table, the input and the caller.
//!
//! Every input says which workspaces it [`Names`], every output what of it is [`ShownTo`] a caller; a procedure whose
//! types say neither does not compile.

use std::sync::Arc;

use super::access::{ClaimInput, CreateTokenInput, NewToken, PairOffer, RevokeTokenInput, TokenInfo};
use super::error::ApiError;
use super::logs::LogLine;
use super::sessions::{
    Message, MessagesInput, SearchHit, SearchInput, SessionFrame, SessionInfo, SessionsInput, WatchSessionsInput,
};
use super::table::{Descriptor, Reach};
use super::terminals::{CloseTerminalInput, CreateTerminalInput, RenameTerminalInput, TerminalInfo};
use super::types::*;
use super::upkeep::{ConfigShown, DoctorReport, Orphans, PruneInput, PruneOutput, SetWorkerInput};
use super::usage::Usage;
use super::worker::ExecResponse;
use crate::model::{Caller, DiskUsage, Event, Name, Role, Shown};

/// Whether this caller may call this procedure at all.
///
/// # Errors
/// [`ApiError::Unauthorized`] where nobody said who they are, else [`ApiError::Forbidden`].
pub fn permit(row: &Descriptor, caller: &Caller) -> Result<(), ApiError> {
    if row.role == Role::Public {
        return Ok(());
    }
    if caller.role == Role::Public {
        return Err(ApiError::Unauthorized("an access token is needed: authorization: Bearer …".to_owned()));
    }
    if caller.role < row.role {
        let message =
            format!("{} is for role {}; the token {} has role {}", row.path, row.role, caller.name, caller.role);
        return Err(ApiError::Forbidden(message));
    }
    if row.reach == Reach::Agent && caller.workspaces.is_some() {
        let message = format!(
            "{} is about the agent as a whole; the token {} is for some workspaces only",
            row.path, caller.name
        );
        return Err(ApiError::Forbidden(message));
    }
    Ok(())
}

/// Whether all workspaces that an input names are there for this caller. Whether they exist is not told.
///
/// # Errors
/// [`ApiError::Forbidden`] names the first that is not.
pub fn within(caller: &Caller, names: &[Name]) -> Result<(), ApiError> {
    match names.iter().find(|name| !caller.sees(name)) {
        None => Ok(()),
        Some(name) => Err(ApiError::Forbidden(format!("the token {} is not for workspace {name}", caller.name))),
    }
}

/// An input that may be about workspaces, or about tokens.
pub trait Names {
    /// Whether telling is next to free. Where it is not, it is told where the caller's right depends on it, and the
    /// procedure itself says what it is about.
    const FREE: bool = true;

    /// Those that it names.
    ///
    /// # Errors
    /// It cannot be told, since the input is wrong.
    fn names(&self) -> Result<Vec<Name>, ApiError>;
}

macro_rules! names {
    (one: $($one:ty),*; none: $($none:ty),*) => {
        $(impl Names for $one {
            fn names(&self) -> Result<Vec<Name>, ApiError> {
                Ok(vec![self.name.clone()])
            }
        })*
        $(impl Names for $none {
            fn names(&self) -> Result<Vec<Name>, ApiError> {
                Ok(Vec::new())
            }
        })*
    };
}
names! {
    one: NameInput, CreateInput, StartInput, RestartInput, ExecInput, LogsInput, CreateTokenInput, RevokeTokenInput,
        CreateTerminalInput, RenameTerminalInput, CloseTerminalInput;
    none: NoInput, BuildInput, PruneInput, SetWorkerInput, ClaimInput
}

impl Names for EventsInput {
    fn names(&self) -> Result<Vec<Name>, ApiError> {
        Ok(self.name.iter().cloned().collect())
    }
}

impl Names for MessagesInput {
    fn names(&self) -> Result<Vec<Name>, ApiError> {
        Ok(vec![self.workspace_name.clone()])
    }
}

macro_rules! may_name {
    ($($input:ty),*) => {
        $(impl Names for $input {
            fn names(&self) -> Result<Vec<Name>, ApiError> {
                Ok(self.workspace_name.iter().cloned().collect())
            }
        })*
    };
}
may_name!(SessionsInput, SearchInput, WatchSessionsInput);

impl Names for ApplyInput {
    const FREE: bool = false;

    fn names(&self) -> Result<Vec<Name>, ApiError> {
        Ok(self.documents()?.iter().map(|document| document.metadata.name.clone()).collect())
    }
}

/// An output that may hold what not every caller is to see.
pub trait ShownTo: Sized {
    /// What this caller sees of it; `None`: nothing.
    fn shown_to(self, caller: &Caller) -> Option<Self>;
}

macro_rules! shown_to_all {
    ($($output:ty),*) => {
        $(impl ShownTo for $output {
            fn shown_to(self, _: &Caller) -> Option<Self> {
                Some(self)
            }
        })*
    };
}
// What they are about was named by the input, or is for those who may see all.
shown_to_all!(
    (),
    DeleteOutput,
    ExecResponse,
    DiskUsage,
    LogLine,
    AgentInfo,
    BuildProgress,
    ConfigShown,
    DoctorReport,
    Orphans,
    PruneOutput,
    NewToken,
    TerminalInfo,
    Vec<TerminalInfo>,
    Vec<Message>,
    Vec<TokenInfo>,
    TokenInfo,
    PairOffer
);

impl ShownTo for Vec<SessionInfo> {
    fn shown_to(mut self, caller: &Caller) -> Option<Self> {
        self.retain(|session| caller.sees(&session.workspace_name));
        Some(self)
    }
}

impl ShownTo for Vec<SearchHit> {
    fn shown_to(mut self, caller: &Caller) -> Option<Self> {
        self.retain(|hit| caller.sees(&hit.session.workspace_name));
        Some(self)
    }
}

impl ShownTo for SessionFrame {
    fn shown_to(self, caller: &Caller) -> Option<Self> {
        let seen = self.workspace().is_none_or(|name| caller.sees(name));
        seen.then_some(self)
    }
}

impl ShownTo for Arc<Shown> {
    fn shown_to(self, caller: &Caller) -> Option<Self> {
        let seen = caller.sees(&self.name);
        seen.then(|| if caller.is_shown_secrets() { self } else { self.masked() })
    }
}

impl ShownTo for Vec<Arc<Shown>> {
    fn shown_to(self, caller: &Caller) -> Option<Self> {
        if caller.workspaces.is_none() && caller.is_shown_secrets() {
            return Some(self);
        }
        Some(self.into_iter().filter_map(|view| view.shown_to(caller)).collect())
    }
}

impl ShownTo for WatchFrame {
    fn shown_to(self, caller: &Caller) -> Option<Self> {
        match self.workspace {
            None => Some(self),
            Some(view) => view.shown_to(caller).map(|view| Self { workspace: Some(view), ..self }),
        }
    }
}

impl ShownTo for ApplyOutput {
    fn shown_to(self, caller: &Caller) -> Option<Self> {
        let one = |applied: Applied| {
            let workspace = applied.workspace.and_then(|view| view.shown_to(caller));
            Applied { workspace, ..applied }
        };
        Some(Self { results: self.results.into_iter().map(one).collect() })
    }
}

impl ShownTo for Event {
    fn shown_to(self, caller: &Caller) -> Option<Self> {
        caller.sees(&self.name).then_some(self)
    }
}

impl ShownTo for Usage {
    fn shown_to(self, caller: &Caller) -> Option<Self> {
        caller.sees(&self.name).then_some(self)
    }
}
