//! Whether a caller may have what reaches the host.

use super::Api;
use crate::contract::{ApiError, Call};
use crate::model::admission::{Admitted, Change};
use crate::model::observed::Seen;
use crate::model::{Workspace, reach};

/// A caller's right to what reaches the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostRight {
    /// It may, or the call cannot.
    Given,
    /// It may not.
    Withheld {
        /// The engine gives Docker inside without privileges, so that it does not reach the host.
        isolates: bool,
    },
}

impl Api {
    /// The right of who calls. Where the engine cannot be asked, the worst is assumed.
    pub(super) async fn host_right(&self, call: &Call) -> HostRight {
        if call.caller.reaches_host() {
            return HostRight::Given;
        }
        let engine = self.parts.controller.engine().await;
        HostRight::Withheld { isolates: matches!(engine, Seen::Present(engine) if engine.isolates()) }
    }
}

impl HostRight {
    /// Whether the caller may make a workspace what it was admitted as.
    pub(super) fn have(self, admitted: &Admitted) -> Result<(), ApiError> {
        let Self::Withheld { isolates } = self else { return Ok(()) };
        if admitted.change == Change::Unchanged {
            return Ok(());
        }
        match reach::host_fields(&admitted.workspace, isolates).first() {
            None => Ok(()),
            Some(issue) => Err(forbidden(&issue.to_string())),
        }
    }

    /// Whether the caller may run commands in a workspace.
    pub(super) fn enter(self, workspace: &Workspace) -> Result<(), ApiError> {
        match self {
            Self::Withheld { isolates } if reach::is_privileged(workspace, isolates) => {
                Err(forbidden(&format!("workspace {} is privileged", workspace.metadata.name)))
            }
            _ => Ok(()),
        }
    }
}

fn forbidden(what: &str) -> ApiError {
    let way = "this token may not have what reaches the host (perry token create --allow-host makes one that may)";
    ApiError::Forbidden(format!("{what}: {way}"))
}
