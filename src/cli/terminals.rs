//! `perry terminals`.

use crate::contract::{CloseTerminalInput, NameInput, RenameTerminalInput, TerminalInfo};
use crate::model::Name;
use crate::shown;

use super::context::Context;
use super::failure::{DONE, Outcome};
use super::format::{self, Plain};
use super::values;
use crate::shown::table::Table;

/// See, rename and end the terminals of a workspace
#[derive(Debug, clap::Subcommand)]
pub(super) enum Terminals {
    /// List the terminals of a workspace
    #[command(visible_alias = "ls")]
    List {
        /// Which workspace.
        #[arg(value_parser = values::name)]
        name: Name,
        /// In which form.
        #[arg(short, long, value_enum, default_value = "text")]
        output: Plain,
    },
    /// Call a terminal something else
    Rename {
        /// Which workspace.
        #[arg(value_parser = values::name)]
        name: Name,
        /// What it is called.
        terminal: Name,
        /// What it is to be called.
        to: Name,
    },
    /// End terminals and what runs in them
    Close {
        /// Which workspace.
        #[arg(value_parser = values::name)]
        name: Name,
        /// Which of its terminals.
        #[arg(required = true)]
        terminals: Vec<Name>,
    },
}

impl Terminals {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match self {
            Self::List { name, output } => {
                let all = client.list_terminals(&NameInput { name: name.clone() }).await;
                let all = match all {
                    Ok(all) => all,
                    Err(error) => return Err(context.failure(&client, &name, error).await),
                };
                context.print(&match output {
                    Plain::Text => text(context, &all),
                    Plain::Json => format::json(&all)?,
                    Plain::Yaml => format::yaml(&all),
                })?;
            }
            Self::Rename { name, terminal, to } => {
                client.rename_terminal(&RenameTerminalInput { name, terminal, to: to.clone() }).await?;
                context.print(&format!("it is called {to} now\n"))?;
            }
            Self::Close { name, terminals } => {
                for terminal in terminals {
                    let input = CloseTerminalInput { name: name.clone(), terminal: terminal.clone() };
                    client.close_terminal(&input).await?;
                    context.print(&format!("{terminal} is closed\n"))?;
                }
            }
        }
        Ok(DONE)
    }
}

const HEAD: [&str; 7] = ["NAME", "PROGRAM", "SIZE", "VIEWERS", "AGE", "ACTIVE", "TITLE"];

fn text(context: &Context, terminals: &[TerminalInfo]) -> String {
    let mut table = Table::new(&HEAD);
    for terminal in terminals {
        table.row(vec![
            terminal.terminal.to_string(),
            shown::line(&terminal.program),
            format!("{}x{}", terminal.cols, terminal.rows),
            terminal.viewers.to_string(),
            shown::age(terminal.created, context.now()),
            shown::age(terminal.last_activity, context.now()),
            shown::line(&terminal.title),
        ]);
    }
    table.render()
}
