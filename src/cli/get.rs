//! `perry get`, `list` and `ls`.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::client::{Client, Row};
use crate::contract::{NoInput, WatchKind};
use crate::model::{ConditionType, Document, Name, Phase, Shown, Uid, View};
use crate::shown;

use super::context::Context;
use super::failure::{DONE, Failure, NOT_FOUND, Outcome};
use super::format::{self, Format};
use super::selector::Selector;
use super::values;
use crate::shown::table::{self, Table};

/// The words that may stand before the names, as in kubectl.
const KINDS: [&str; 3] = ["workspaces", "workspace", "ws"];

/// List workspaces
#[derive(Debug, clap::Args)]
pub(super) struct Get {
    /// Only these; `workspaces` may stand before them.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Only those with these labels, such as team=web,!old.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<Selector>,
    /// The form: table, wide, json, yaml, name, or manifest (can be applied again).
    #[arg(short, long, value_enum, default_value = "table", hide_possible_values = true, value_name = "FORM")]
    output: Format,
    /// Show changes as they come.
    #[arg(short, long)]
    watch: bool,
}

impl Get {
    /// Without arguments: a table of all.
    pub(super) fn plain() -> Self {
        Self { names: Vec::new(), selector: None, output: Format::Table, watch: false }
    }

    pub(super) async fn run(self, context: &Context) -> Outcome {
        let names = self.wanted()?;
        let client = context.client()?;
        if self.watch {
            return self.follow(context, &client, &names).await;
        }
        match self.output {
            Format::Table | Format::Wide | Format::Name => self.rows(context, &client, &names).await,
            Format::Json | Format::Yaml | Format::Manifest => self.views(context, &client, &names).await,
        }
    }

    fn wanted(&self) -> Result<Vec<Name>, Failure> {
        let kind = self.names.first().is_some_and(|first| KINDS.contains(&first.as_str()));
        let names = self.names.iter().skip(usize::from(kind));
        names.map(|name| values::name(name).map_err(|error| Failure::usage(format!("{name:?}: {error}")))).collect()
    }

    /// Reads no more of the answer than is shown.
    async fn rows(&self, context: &Context, client: &Client, names: &[Name]) -> Outcome {
        let listing = client.list_rows().await?;
        let rows = listing.rows()?;
        let selected = |row: &Row<'_>| {
            let labels = |key: &str| row.labels.get(key).map(AsRef::as_ref);
            names_match(names, &row.name) && self.selector.as_ref().is_none_or(|it| it.matches(labels))
        };
        let shown: Vec<&Row<'_>> = rows.iter().filter(|row| selected(row)).collect();
        if self.output == Format::Name {
            context.print(&shown.iter().map(|row| format!("{}\n", row.name)).collect::<String>())?;
        } else if shown.is_empty() && names.is_empty() {
            context.note(if rows.is_empty() { "no workspaces" } else { "no workspaces with these labels" });
        } else if !shown.is_empty() {
            let (now, colored) = (context.now(), context.is_colored());
            let mut table = self.table();
            shown.iter().for_each(|row| table.row(self.cells(&Line::of_row(row), now, colored)));
            context.print(&table.render())?;
        }
        missing(names, |name| rows.iter().any(|row| row.name == name.as_str()))
    }

    async fn views(&self, context: &Context, client: &Client, names: &[Name]) -> Outcome {
        let all = client.list_workspaces(&NoInput {}).await?;
        let shown: Vec<&View> = all.iter().map(|view| &***view).filter(|view| self.selects(names, view)).collect();
        let text = match (self.output, shown.as_slice()) {
            (Format::Manifest, _) => {
                let documents: Vec<Document> = shown.iter().map(|view| document(view)).collect();
                crate::model::manifest::to_yaml(&documents)
            }
            // One that was asked for is no list of one.
            (Format::Yaml, [one]) if names.len() == 1 => format::yaml(one),
            (Format::Yaml, _) => format::yaml(&shown),
            (_, [one]) if names.len() == 1 => format::json(one)?,
            _ if names.len() == 1 => String::new(),
            _ => format::json(&shown)?,
        };
        context.print(&text)?;
        missing(names, |name| all.iter().any(|view| view.name == *name))
    }

    fn selects(&self, names: &[Name], view: &View) -> bool {
        let labels = |key: &str| view.labels.get(key).map(String::as_str);
        names_match(names, view.name.as_str()) && self.selector.as_ref().is_none_or(|it| it.matches(labels))
    }

    /// The list, and then a row for each change, without end.
    async fn follow(&self, context: &Context, client: &Client, names: &[Name]) -> Outcome {
        let mut watch = client.watch();
        let mut first: Option<Vec<Arc<Shown>>> = Some(Vec::new());
        let mut known: BTreeMap<Name, (Uid, String)> = BTreeMap::new();
        let mut widths = Vec::new();
        loop {
            let frame = watch.next().await?;
            if let (WatchKind::Bookmark, Some(views)) = (frame.kind, &first) {
                widths = self.begin(context, views)?;
                first = None;
            }
            let Some(view) = frame.workspace.filter(|view| self.selects(names, view)) else { continue };
            let deleted = frame.kind == WatchKind::Deleted;
            let version = (view.uid.clone(), view.resource_version.clone());
            // After a cut everything may come once more.
            if known.insert(view.name.clone(), version.clone()) == Some(version) && !deleted {
                continue;
            }
            if deleted {
                known.remove(&view.name);
            }
            match &mut first {
                Some(views) => views.push(view),
                None => context.print(&self.change(context, &view, deleted, &widths)?)?,
            }
        }
    }

    fn begin(&self, context: &Context, views: &[Arc<Shown>]) -> Result<Vec<usize>, Failure> {
        if !matches!(self.output, Format::Table | Format::Wide) {
            for view in views {
                context.print(&self.change(context, view, false, &[])?)?;
            }
            return Ok(Vec::new());
        }
        let (now, colored) = (context.now(), context.is_colored());
        let mut table = self.table();
        views.iter().for_each(|view| table.row(self.cells(&Line::of_view(view), now, colored)));
        context.print(&table.render())?;
        Ok(table.widths())
    }

    fn change(&self, context: &Context, view: &View, deleted: bool, widths: &[usize]) -> Result<String, Failure> {
        Ok(match self.output {
            // One line a change, as programs read it.
            Format::Json => serde_json::to_string(view).map_err(|error| Failure::failed(error.to_string()))? + "\n",
            Format::Yaml => format!("---\n{}", format::yaml(&view)),
            Format::Manifest => format!("---\n{}", format::yaml(&document(view))),
            Format::Name => format!("{}\n", view.name),
            Format::Table | Format::Wide => {
                let line = Line { deleted, ..Line::of_view(view) };
                table::line(&self.cells(&line, context.now(), context.is_colored()), widths)
            }
        })
    }

    fn table(&self) -> Table {
        if self.output == Format::Wide {
            Table::new(&["NAME", "STATUS", "SSH", "PORTS", "AGE", "IMAGE", "GENERATION", "LABELS", "MESSAGE"])
        } else {
            Table::new(&["NAME", "STATUS", "SSH", "PORTS", "AGE"])
        }
    }

    fn cells(&self, line: &Line<'_>, now: Timestamp, colored: bool) -> Vec<String> {
        let none = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        let ports = line.ports.iter().filter(|(name, _)| **name != "ssh").map(|(name, port)| format!("{name}:{port}"));
        let mut cells = vec![
            line.name.to_owned(),
            status(line, colored),
            none(line.ports.get("ssh").map(ToString::to_string).unwrap_or_default()),
            none(ports.collect::<Vec<_>>().join(",")),
            shown::age(line.created, now),
        ];
        if self.output == Format::Wide {
            let labels = line.labels.iter().map(|(key, value)| format!("{key}={value}"));
            cells.extend([
                line.image.to_owned(),
                line.generation.to_string(),
                none(labels.collect::<Vec<_>>().join(",")),
                shown::line(line.message),
            ]);
        }
        cells
    }
}

/// What a row of the table says, of a [`Row`] or a [`View`].
struct Line<'a> {
    name: &'a str,
    phase: Phase,
    deleted: bool,
    reason: &'a str,
    message: &'a str,
    ports: BTreeMap<&'a str, u16>,
    created: Timestamp,
    image: &'a str,
    generation: u64,
    labels: BTreeMap<&'a str, &'a str>,
}

impl<'a> Line<'a> {
    fn of_row(row: &'a Row<'_>) -> Self {
        let ready = row.condition(ConditionType::Ready);
        Self {
            name: &row.name,
            phase: row.status,
            deleted: false,
            reason: ready.map(|ready| ready.reason.as_ref()).unwrap_or_default(),
            message: ready.map(|ready| ready.message.as_ref()).unwrap_or_default(),
            ports: row.ports.iter().map(|(name, port)| (name.as_ref(), *port)).collect(),
            created: row.created,
            image: &row.image,
            generation: row.generation,
            labels: row.labels.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).collect(),
        }
    }

    fn of_view(view: &'a View) -> Self {
        let ready = view.condition(ConditionType::Ready);
        Self {
            name: view.name.as_str(),
            phase: view.status,
            deleted: false,
            reason: ready.map(|ready| ready.reason.as_str()).unwrap_or_default(),
            message: ready.map(|ready| ready.message.as_str()).unwrap_or_default(),
            ports: view.ports.iter().map(|(name, port)| (name.as_str(), *port)).collect(),
            created: view.created,
            image: &view.image,
            generation: view.generation,
            labels: view.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
        }
    }
}

/// The phase; of an error also why.
fn status(line: &Line<'_>, colored: bool) -> String {
    let (word, color) = match line.phase {
        _ if line.deleted => ("deleted", 90),
        phase => (phase_word(phase), phase_color(phase)),
    };
    let mut text = word.to_owned();
    if line.phase == Phase::Error && !line.deleted && !line.reason.is_empty() {
        text.push_str(&format!(" ({})", line.reason));
    }
    if colored { format!("\x1b[{color}m{text}\x1b[0m") } else { text }
}

/// The phase as it is written in the API.
pub(super) fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Unknown => "unknown",
        Phase::Creating => "creating",
        Phase::Running => "running",
        Phase::Stopping => "stopping",
        Phase::Stopped => "stopped",
        Phase::Deleting => "deleting",
        Phase::Error => "error",
    }
}

fn phase_color(phase: Phase) -> u8 {
    match phase {
        Phase::Running => 32,
        Phase::Error => 31,
        Phase::Stopped | Phase::Unknown => 90,
        Phase::Creating | Phase::Stopping | Phase::Deleting => 33,
    }
}

fn names_match(names: &[Name], name: &str) -> bool {
    names.is_empty() || names.iter().any(|one| one.as_str() == name)
}

/// What was asked for by name and is not there is an error, after what is there was shown.
fn missing(names: &[Name], is_there: impl Fn(&Name) -> bool) -> Outcome {
    let absent = names.iter().filter(|name| !is_there(name));
    let errors: Vec<String> = absent.map(|name| format!("there is no workspace {name}")).collect();
    if errors.is_empty() { Ok(DONE) } else { Err(Failure { code: NOT_FOUND, errors, hint: None }) }
}

/// What one would write to get this workspace.
fn document(view: &View) -> Document {
    let mut document = Document::new(view.name.clone(), view.spec.clone());
    document.metadata.labels.clone_from(&view.labels);
    document.metadata.annotations.clone_from(&view.annotations);
    document
}
