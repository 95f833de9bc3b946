//! `perry delete`.

use std::time::Duration;

use crate::client::{Goal, Wait};
use crate::contract::NameInput;
use crate::model::Name;

use super::context::Context;
use super::each::{Afterwards, each};
use super::failure::Outcome;
use super::values;

/// Delete workspaces with their volumes; this cannot be taken back
#[derive(Debug, clap::Args)]
pub(super) struct Delete {
    /// Which.
    #[arg(value_name = "NAME", required = true, value_parser = values::name)]
    names: Vec<Name>,
    /// Wait until nothing is left of them.
    #[arg(long)]
    wait: bool,
    /// How long to wait at most.
    #[arg(long, default_value = "5m", value_name = "SPAN", value_parser = values::duration)]
    timeout: Duration,
}

impl Delete {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let afterwards = Afterwards { wait: self.wait, goal: Goal::Deleted, timeout: self.timeout };
        each(context, &self.names, "is to be deleted", &afterwards, |client, name| async move {
            // Looked at first, so that one that is created under its name afterwards is not waited for.
            let view = client.get_workspace(&NameInput { name: name.clone() }).await?;
            client.delete_workspace(&NameInput { name }).await.map(|_| Wait::since(&view, Goal::Deleted))
        })
        .await
    }
}
