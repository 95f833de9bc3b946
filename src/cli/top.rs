//! `perry top`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::contract::{NoInput, Usage};
use crate::model::{ConditionType, Name};

use super::context::Context;
use super::failure::{DONE, Failure, Outcome};
use super::values;
use crate::shown::table::Table;

/// How long figures are waited for; they come every three seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Say what running workspaces use
#[derive(Debug, clap::Args)]
pub(super) struct Top {
    /// Only these.
    #[arg(value_name = "NAME", value_parser = values::name)]
    names: Vec<Name>,
    /// Go on with new figures every few seconds.
    #[arg(short, long)]
    watch: bool,
    /// As JSON; with -w each table is one line.
    #[arg(long)]
    json: bool,
}

impl Top {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let mut running = Vec::new();
        for view in client.list_workspaces(&NoInput {}).await? {
            if view.is_true(ConditionType::ContainerRunning) && self.wants(&view.name) {
                running.push(view.name.clone());
            }
        }
        if running.is_empty() {
            context.note("no workspace runs");
            return Ok(DONE);
        }
        let mut values = client.workspace_usage(&NoInput {}, None).await?;
        let mut figures: BTreeMap<Name, Usage> = BTreeMap::new();
        loop {
            let next = match tokio::time::timeout(PATIENCE, values.next()).await {
                Ok(next) => next?,
                Err(_) => return Err(Failure::failed("no worker of these workspaces says what it uses".to_owned())),
            };
            let Some(usage) = next.map(|item| item.value) else { return Ok(DONE) };
            if !self.wants(&usage.name) {
                continue;
            }
            // One that comes again before all have come: the others do not answer.
            if has_processors(&figures, &usage.name) && self.show_round(context, &mut figures)? {
                return Ok(DONE);
            }
            figures.insert(usage.name.clone(), usage);
            let all = running.iter().all(|name| has_processors(&figures, name));
            if all && self.show_round(context, &mut figures)? {
                return Ok(DONE);
            }
        }
    }

    /// Shows a round of figures and begins the next one; whether it was the last.
    fn show_round(&self, context: &Context, figures: &mut BTreeMap<Name, Usage>) -> Result<bool, Failure> {
        self.show(context, figures)?;
        figures.clear();
        Ok(!self.watch)
    }

    fn wants(&self, name: &Name) -> bool {
        self.names.is_empty() || self.names.contains(name)
    }

    fn show(&self, context: &Context, figures: &BTreeMap<Name, Usage>) -> Result<(), Failure> {
        if self.json {
            let all: Vec<&Usage> = figures.values().collect();
            let text = serde_json::to_string(&all).map_err(|error| Failure::failed(error.to_string()))?;
            return context.print(&(text + "\n"));
        }
        let mut table = Table::new(&["NAME", "CPU", "MEMORY", "HOME", "DOCKER", "PORTS"]);
        for usage in figures.values() {
            let cpu = usage.cpu.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.2}"));
            let limit = usage.memory_limit.map(|limit| format!(" of {}", values::size(limit))).unwrap_or_default();
            let bytes = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), values::size);
            let ports: Vec<String> = usage.ports.iter().map(u16::to_string).collect();
            table.row(vec![
                usage.name.to_string(),
                cpu,
                format!("{}{limit}", values::size(usage.memory)),
                bytes(usage.disk.home),
                bytes(usage.disk.docker),
                ports.join(","),
            ]);
        }
        context.print(&table.render())
    }
}

/// Whether a workspace's figure knows of processors, which its first one does not.
fn has_processors(figures: &BTreeMap<Name, Usage>, name: &Name) -> bool {
    figures.get(name).is_some_and(|figure| figure.cpu.is_some())
}
