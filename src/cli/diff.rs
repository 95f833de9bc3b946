//! `perry diff`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::contract::{Applied, ApplyInput, Change};
use crate::model::{Document, View};

use super::apply::{change, plan};
use super::context::Context;
use super::failure::{DONE, Outcome};
use super::manifests;

/// Something would be changed, as with kubectl and diff.
const DIFFERS: u8 = 1;

/// Say what apply would change and do; ends with 0 where nothing, with 1 where something
#[derive(Debug, clap::Args)]
pub(super) struct Diff {
    /// A file, a folder or - for standard input; may be given several times.
    #[arg(short, long = "filename", required = true, value_name = "FILE|DIR|-", num_args = 1..)]
    file: Vec<PathBuf>,
}

impl Diff {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        // 1 means a difference here, so a failure must be something else.
        self.compare(context).await.map_err(|mut failure| {
            if failure.code == DIFFERS {
                failure.code = super::failure::USAGE;
            }
            failure
        })
    }

    async fn compare(self, context: &Context) -> Outcome {
        let manifests = manifests::read(&self.file)?;
        let client = context.client()?;
        let input = ApplyInput { manifest: Some(manifests.text()), allow_replace: true, ..ApplyInput::default() };
        let output = client.plan_workspaces(&input).await.map_err(|error| manifests.blame(error))?;
        let mut code = DONE;
        for (applied, document) in output.results.iter().zip(manifests.documents()) {
            if applied.change == Change::Unchanged && applied.actions.is_empty() {
                continue;
            }
            code = DIFFERS;
            context.print(&told(applied, document))?;
        }
        Ok(code)
    }
}

fn told(applied: &Applied, document: &Document) -> String {
    let mut text = format!("{} {}\n", applied.name, change(applied.change));
    if let (Change::Configured, Some(view)) = (applied.change, &applied.workspace) {
        text.push_str(&fields(view, document));
    }
    text.push_str(match applied.replaces {
        Some(true) => "  the container is replaced: what runs in it ends\n",
        Some(false) => "",
        None => "  it needs a new container; whether something runs in the present one cannot be told now\n",
    });
    text + &plan(applied)
}

/// The fields that differ. Values that may be secrets are not shown.
fn fields(view: &View, document: &Document) -> String {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    let mut spec = document.spec.clone();
    // Left out means as it is, or the agent's own.
    spec.run = spec.run.or(view.spec.run);
    if spec.image.is_none() {
        spec.image.clone_from(&view.spec.image);
    }
    let metadata = &document.metadata;
    for (flat, labels, annotations, spec) in [
        (&mut old, &view.labels, &view.annotations, &view.spec),
        (&mut new, &metadata.labels, &metadata.annotations, &spec),
    ] {
        flatten("metadata.labels", &serde_json::json!(labels), flat);
        flatten("metadata.annotations", &serde_json::json!(annotations), flat);
        flatten("spec", &serde_json::json!(spec), flat);
    }
    let mut text = String::new();
    for path in old.keys().chain(new.keys().filter(|path| !old.contains_key(*path))) {
        let secret =
            ["spec.env", "spec.hooks", "spec.clone", "spec.ssh.authorizedKeys"].iter().any(|at| path.starts_with(at));
        let shown = |value: &str| if secret { String::new() } else { format!(" {value}") };
        match (old.get(path), new.get(path)) {
            (Some(old), Some(new)) if old == new => {}
            (Some(_), Some(_)) if secret => text.push_str(&format!("  ~ {path}\n")),
            (Some(old), Some(new)) => text.push_str(&format!("  ~ {path} {old} → {new}\n")),
            (Some(old), None) => text.push_str(&format!("  - {path}{}\n", shown(old))),
            (None, Some(new)) => text.push_str(&format!("  + {path}{}\n", shown(new))),
            (None, None) => {}
        }
    }
    text
}

fn flatten(path: &str, value: &Value, flat: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| flatten(&format!("{path}.{key}"), value, flat)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| flatten(&format!("{path}.{index}"), value, flat));
        }
        other => {
            flat.insert(path.to_owned(), other.to_string());
        }
    }
}
