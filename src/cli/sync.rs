//! `perry sync`.

use crate::contract::{NameInput, NoInput};
use crate::model::{ConditionType, Name};

use super::context::Context;
use super::failure::{DONE, Failure, Outcome};
use super::values;

/// Bring the files of the agent's host into running workspaces now
///
/// They are brought by themselves at each start and whenever one of them changes. This brings them also where somebody
/// changed them inside.
#[derive(Debug, clap::Args)]
pub(super) struct Sync {
    /// Which.
    #[arg(value_name = "NAME", required_unless_present = "all", value_parser = values::name)]
    names: Vec<Name>,
    /// Every workspace that runs.
    #[arg(long, conflicts_with = "names")]
    all: bool,
}

impl Sync {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let names = if self.all {
            let all = client.list_workspaces(&NoInput {}).await?;
            let running = all.iter().filter(|view| view.is_true(ConditionType::ContainerRunning));
            running.map(|view| view.name.clone()).collect()
        } else {
            self.names
        };
        let mut failures = Vec::new();
        for name in &names {
            match client.sync_workspace(&NameInput { name: name.clone() }).await {
                Ok(()) => context.print(&format!("{name} has its files\n"))?,
                Err(error) if error.is_unreachable() => return Err(error.into()),
                Err(error) => failures.push(context.failure(&client, name, error).await),
            }
        }
        Failure::all(failures)?;
        Ok(DONE)
    }
}
