//! Policy: what a pass's end means for the next one. Pure; every limit of the loop is here.

use std::time::Duration;

use crate::model::Reason;
use crate::runtime::RuntimeError;

/// How often an action may fail before the workspace is parked.
pub(super) const MAX_ATTEMPTS: u32 = 8;
/// The same for one that the engine refuses as it stands: trying again seldom helps.
pub(super) const MAX_REFUSALS: u32 = 3;
/// How often a container may end soon after its start before the workspace is parked.
pub(super) const MAX_QUICK_EXITS: u32 = 5;
/// A container that lived this long did not end "soon".
pub(super) const QUICK_EXIT: Duration = Duration::from_secs(30);
/// How often the same actions are done again at once although they change nothing; then they are spaced out as failures.
pub(super) const MAX_REPEATS: u32 = 3;
/// How long a started workspace may take until it counts as stalled; it is watched on.
pub(super) const OVERDUE: Duration = Duration::from_secs(120);
/// How often a workspace that waits for itself is looked at when nothing hints at a change.
pub(super) const WAITING_POLL: Duration = Duration::from_secs(2);
/// How often one that somebody outside has to unblock is looked at.
pub(super) const BLOCKED_POLL: Duration = Duration::from_secs(10);

/// What a failed action means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// What is said of it.
    pub(super) reason: Reason,
    /// After how many failures in a row the workspace is parked; `None`: never.
    pub(super) limit: Option<u32>,
    /// The call may still take effect.
    pub(super) in_doubt: bool,
}

/// What a failed action means.
pub(super) fn judge(error: &RuntimeError, doing: &str) -> Verdict {
    let message = format!("{doing}: {error}");
    let verdict = |reason, limit, in_doubt| Verdict { reason: Reason::new(reason, message.clone()), limit, in_doubt };
    match error {
        RuntimeError::Unreachable(_) => verdict("EngineUnreachable", None, true),
        RuntimeError::Timeout(_) => verdict("Timeout", Some(MAX_ATTEMPTS), true),
        RuntimeError::Changed(_) => verdict("Changed", Some(MAX_ATTEMPTS), false),
        RuntimeError::Failed(_) => verdict("ActionFailed", Some(MAX_ATTEMPTS), true),
        RuntimeError::Refused(_) => verdict("Refused", Some(MAX_REFUSALS), false),
    }
}
