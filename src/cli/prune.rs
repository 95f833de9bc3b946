//! `perry prune`.

use std::collections::BTreeSet;

use crate::contract::{PruneInput, PruneOutput};

use super::context::Context;
use super::failure::{DONE, Outcome};
use super::format;

/// Remove containers of this agent that belong to no workspace; volumes only by name
#[derive(Debug, clap::Args)]
pub(super) struct Prune {
    /// Say what would be removed, and remove nothing.
    #[arg(long)]
    dry_run: bool,
    /// Remove this orphaned volume and all that is in it; may be given several times.
    #[arg(long = "volume", value_name = "NAME")]
    volumes: Vec<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Prune {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let Self { dry_run, volumes, json } = self;
        let input = PruneInput { volumes: BTreeSet::from_iter(volumes), dry_run };
        let pruned = context.client()?.prune_orphans(&input).await?;
        if json {
            context.print(&format::json(&pruned)?)?;
            return Ok(DONE);
        }
        context.print(&text(&pruned, dry_run))?;
        for volume in &pruned.kept {
            context.note(&format!(
                "volume {volume} stays: perry prune --volume {volume} removes it and all that is in it"
            ));
        }
        if pruned == PruneOutput::default() {
            context.note("everything belongs to a workspace");
        }
        Ok(DONE)
    }
}

fn text(pruned: &PruneOutput, dry_run: bool) -> String {
    let would = if dry_run { "would be removed" } else { "removed" };
    let containers = pruned.removed.containers.iter().map(|name| format!("container {name} {would}\n"));
    let volumes = pruned.removed.volumes.iter().map(|name| format!("volume {name} {would}\n"));
    containers.chain(volumes).collect()
}
