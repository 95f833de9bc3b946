//! `perry events`.

use crate::contract::EventsInput;
use crate::model::{Event, Name, Severity};
use crate::shown;

use super::context::Context;
use super::failure::{DONE, Failure, Outcome};
use super::format::Plain;
use super::values;
use crate::shown::table::{self, Table};

/// Say what happened to workspaces
#[derive(Debug, clap::Args)]
pub(super) struct Events {
    /// Of this one only.
    #[arg(value_parser = values::name)]
    name: Option<Name>,
    /// Go on with new ones as they come.
    #[arg(short, long)]
    watch: bool,
    /// The form: text, json or yaml; with -w each event is one line of JSON.
    #[arg(short, long, value_enum, default_value = "text", hide_possible_values = true, value_name = "FORM")]
    output: Plain,
}

const HEAD: [&str; 5] = ["AGE", "TYPE", "NAME", "REASON", "MESSAGE"];

impl Events {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let input = EventsInput { name: self.name.clone(), follow: self.watch };
        let mut stream = match (client.workspace_events(&input, None).await, &self.name) {
            (Ok(stream), _) => stream,
            (Err(error), Some(name)) => return Err(context.failure(&client, name, error).await),
            (Err(error), None) => return Err(error.into()),
        };
        let mut events = Vec::new();
        if self.watch && self.output == Plain::Text {
            context.print(&table::line(&HEAD.map(str::to_owned), &WIDTHS))?;
        }
        while let Some(item) = stream.next().await? {
            if self.watch {
                context.print(&self.one(context, &item.value)?)?;
            } else {
                events.push(item.value);
            }
        }
        if !self.watch {
            self.all(context, &events)?;
        }
        Ok(DONE)
    }

    fn all(&self, context: &Context, events: &[Event]) -> Result<(), Failure> {
        match self.output {
            Plain::Json => context.print(&super::format::json(events)?),
            Plain::Yaml => context.print(&super::format::yaml(&events)),
            Plain::Text if events.is_empty() => {
                context.note("no events");
                Ok(())
            }
            Plain::Text => context.print(&text(context, events)),
        }
    }

    fn one(&self, context: &Context, event: &Event) -> Result<String, Failure> {
        Ok(match self.output {
            Plain::Json => serde_json::to_string(event).map_err(|error| Failure::failed(error.to_string()))? + "\n",
            Plain::Yaml => format!("---\n{}", super::format::yaml(event)),
            Plain::Text => table::line(&cells(context, event), &WIDTHS),
        })
    }
}

/// Of a table that is not known to its end.
const WIDTHS: [usize; 5] = [4, 7, 16, 18, 0];

/// A table of events.
pub(super) fn text(context: &Context, events: &[Event]) -> String {
    let mut table = Table::new(&HEAD);
    events.iter().for_each(|event| table.row(cells(context, event)));
    table.render()
}

fn cells(context: &Context, event: &Event) -> Vec<String> {
    let severity = match event.severity {
        Severity::Normal => "Normal",
        Severity::Warning => "Warning",
    };
    let times = if event.count > 1 { format!(" (×{})", event.count) } else { String::new() };
    vec![
        shown::age(event.at, context.now()),
        severity.to_owned(),
        event.name.to_string(),
        shown::line(&event.reason),
        format!("{}{times}", shown::line(&event.message)),
    ]
}
