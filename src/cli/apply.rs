//! `perry apply`.

use std::path::PathBuf;
use std::time::Duration;

use crate::client::{Client, ClientError, Goal, Wait};
use crate::contract::{Applied, ApplyInput, ApplyOutput, Change, ConflictReason};
use crate::model::Run;

use super::context::Context;
use super::failure::{CONFLICT, DONE, Failure, Outcome};
use super::manifests::{self, Manifests};
use super::{values, waiting};

/// Make workspaces what manifests say; all of them or, where one is refused, none
#[derive(Debug, clap::Args)]
pub(super) struct Apply {
    /// A file, a folder or - for standard input; may be given several times.
    #[arg(short, long = "filename", required = true, value_name = "FILE|DIR|-", num_args = 1..)]
    file: Vec<PathBuf>,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Accept that running containers are replaced and work in them ends.
    #[arg(long)]
    replace: bool,
    /// Wait until every workspace is ready, or stopped where its manifest says so.
    #[arg(long)]
    wait: bool,
    /// How long to wait at most.
    #[arg(long, default_value = "5m", value_name = "SPAN", value_parser = values::duration)]
    timeout: Duration,
}

impl Apply {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let manifests = manifests::read(&self.file)?;
        let client = context.client()?;
        let output = self.send(context, &client, &manifests).await?;
        for applied in &output.results {
            for warning in &applied.warnings {
                context.note(&format!("warning: {}: {warning}", applied.name));
            }
            context.print(&told(applied, self.dry_run))?;
        }
        if self.wait && !self.dry_run {
            let views = output.results.iter().filter_map(|applied| applied.workspace.as_deref());
            let waits = views.map(|view| {
                let goal = if view.spec.run() == Run::Stopped { Goal::Stopped } else { Goal::Ready };
                (Wait::since(view, goal), goal)
            });
            waiting::for_all(context, &client, waits.collect(), self.timeout).await?;
        }
        Ok(DONE)
    }

    async fn send(&self, context: &Context, client: &Client, manifests: &Manifests) -> Result<ApplyOutput, Failure> {
        let mut input = ApplyInput {
            manifest: Some(manifests.text()),
            dry_run: self.dry_run,
            allow_replace: self.replace,
            ..ApplyInput::default()
        };
        match client.apply_workspaces(&input).await {
            Err(error) if needs_replace(&error) => match context.ask(&question(&error)) {
                Some(true) => {
                    input.allow_replace = true;
                    client.apply_workspaces(&input).await.map_err(|error| manifests.blame(error))
                }
                Some(false) => Err(Failure::new(CONFLICT, "nothing was changed")),
                None => Err(manifests.blame(error)),
            },
            result => result.map_err(|error| manifests.blame(error)),
        }
    }
}

fn needs_replace(error: &ClientError) -> bool {
    let conflict = error.refusal().and_then(crate::contract::ErrorBody::conflict);
    conflict.is_some_and(|conflict| conflict.reason == ConflictReason::NeedsReplace)
}

fn question(error: &ClientError) -> String {
    let actions = error.refusal().and_then(crate::contract::ErrorBody::conflict).map(|conflict| conflict.actions);
    let actions: String = actions.unwrap_or_default().iter().map(|action| format!("  {action}\n")).collect();
    format!("{error}\n{actions}Replace it?")
}

/// One line on what became of the intent; with a dry run also what would be done.
fn told(applied: &Applied, dry_run: bool) -> String {
    let word = change(applied.change);
    if !dry_run {
        return format!("{} {word}\n", applied.name);
    }
    format!("{} {word} (dry run)\n{}", applied.name, plan(applied))
}

/// What happened to the intent, as a word.
pub(super) fn change(change: Change) -> &'static str {
    match change {
        Change::Created => "created",
        Change::Configured => "configured",
        Change::Unchanged => "unchanged",
    }
}

/// What is done, one line each.
pub(super) fn plan(applied: &Applied) -> String {
    let mut text = String::new();
    for action in &applied.actions {
        text.push_str(&format!(
            "  {}{}\n",
            action.text,
            if action.disruptive { "   (ends or removes something)" } else { "" }
        ));
    }
    if let Some(blocked) = &applied.blocked {
        let hint = blocked.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        text.push_str(&format!("  blocked: {}: {}{hint}\n", blocked.reason, blocked.message));
    }
    text
}
