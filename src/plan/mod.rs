//! The decisions, as pure functions: what must exist ([`desired`]), what is to be done ([`plan`]) and what is said of
//! it ([`project`]). The same input gives the same answer, whatever the order in which things were listed.
//!
//! Rules that every plan keeps: `Unknown` never creates and never destroys; actions carry the ids that were seen;
//! any prefix is a legal starting point for the next plan; a volume is removed only by a deletion of its own workspace.

mod container;
mod derive;
mod fingerprint;
mod status;
mod tasks;
mod teardown;
mod volumes;
mod worker;

pub use derive::{Settings, desired};
pub use status::{Failure, Look, Picture, project};

use crate::model::desired::Goal;
use crate::model::{Action, Desired, Observed, Plan, Reason, Seen, Verdict};

/// What a plan needs to know besides what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Hash of the worker's executable that a container should have.
    pub executable: String,
    /// A call to the engine whose end is unknown may still take effect: absence is not yet final.
    pub in_doubt: bool,
    /// A newer image was looked for since this generation was stored.
    pub refreshed: bool,
}

/// What is to be done for one workspace.
pub fn plan(desired: &Desired, observed: &Observed, context: &Context) -> Plan {
    if let Seen::Unknown(why) = &observed.engine {
        return nothing(Verdict::Unknown(Reason::new("EngineUnreachable", why.clone())));
    }
    let decided = match desired.goal {
        Goal::Gone => teardown::plan(desired, observed, context),
        Goal::Stopped => container::stopped(desired, observed),
        Goal::Running => container::running(desired, observed, context),
    };
    decided.unwrap_or_else(nothing)
}

/// Actions, or the conclusion where there are none to take.
type Decision = Result<Plan, Verdict>;

fn nothing(verdict: Verdict) -> Plan {
    Plan { actions: Vec::new(), verdict }
}

fn act(actions: Vec<Action>) -> Decision {
    debug_assert!(!actions.is_empty(), "a plan that acts has actions");
    Ok(Plan { actions, verdict: Verdict::Act })
}

fn unknown(what: &str, why: &str) -> Verdict {
    Verdict::Unknown(Reason::new("NotObserved", format!("{what} could not be looked at: {why}")))
}
