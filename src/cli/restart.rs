//! `perry restart`.

use std::time::Duration;

use crate::client::{Goal, Wait};
use crate::contract::RestartInput;
use crate::model::Name;

use super::context::Context;
use super::each::{Afterwards, each};
use super::failure::Outcome;
use super::values;

/// Restart workspaces; for one that needs you this is the next try
#[derive(Debug, clap::Args)]
pub(super) struct Restart {
    /// Which.
    #[arg(value_name = "NAME", required = true, value_parser = values::name)]
    names: Vec<Name>,
    /// Make the container anew, of the newest image; what is in no volume is lost.
    #[arg(long)]
    upgrade: bool,
    /// Wait until they are ready.
    #[arg(long)]
    wait: bool,
    /// How long to wait at most.
    #[arg(long, default_value = "5m", value_name = "SPAN", value_parser = values::duration)]
    timeout: Duration,
}

impl Restart {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let afterwards = Afterwards { wait: self.wait, goal: Goal::Ready, timeout: self.timeout };
        let (told, upgrade) = if self.upgrade { ("is to be upgraded", true) } else { ("is to restart", false) };
        each(context, &self.names, told, &afterwards, |client, name| async move {
            client.restart_workspace(&RestartInput { name, upgrade }).await.map(|view| Wait::since(&view, Goal::Ready))
        })
        .await
    }
}
