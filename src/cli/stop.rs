//! `perry stop`.

use std::time::Duration;

use crate::client::{Goal, Wait};
use crate::contract::NameInput;
use crate::model::Name;

use super::context::Context;
use super::each::{Afterwards, each};
use super::failure::Outcome;
use super::values;

/// Stop workspaces; everything in them is kept
#[derive(Debug, clap::Args)]
pub(super) struct Stop {
    /// Which.
    #[arg(value_name = "NAME", required = true, value_parser = values::name)]
    names: Vec<Name>,
    /// Wait until they have stopped.
    #[arg(long)]
    wait: bool,
    /// How long to wait at most.
    #[arg(long, default_value = "5m", value_name = "SPAN", value_parser = values::duration)]
    timeout: Duration,
}

impl Stop {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let afterwards = Afterwards { wait: self.wait, goal: Goal::Stopped, timeout: self.timeout };
        each(context, &self.names, "is to stop", &afterwards, |client, name| async move {
            client.stop_workspace(&NameInput { name }).await.map(|view| Wait::since(&view, Goal::Stopped))
        })
        .await
    }
}
