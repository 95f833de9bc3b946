//! `perry exec`.

use std::io::{self, Write};

use crate::contract::ExecInput;
use crate::model::Name;

use super::context::Context;
use super::failure::Outcome;
use super::values;

/// Run a command in a workspace; ends with the command's own exit code
#[derive(Debug, clap::Args)]
pub(super) struct Exec {
    /// Which workspace.
    #[arg(value_parser = values::name)]
    name: Name,
    /// Seconds after which the command is killed.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: Option<u64>,
    /// Program and arguments, without a terminal and without input.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let input = ExecInput { name: self.name.clone(), command: self.command, timeout: self.timeout };
        let response = match client.exec_workspace(&input).await {
            Ok(response) => response,
            Err(error) => return Err(context.failure(&client, &self.name, error).await),
        };
        let mut stdout = io::stdout().lock();
        stdout.write_all(response.stdout.as_bytes())?;
        stdout.flush()?;
        // When stderr is gone there is nobody to tell.
        io::stderr().lock().write_all(response.stderr.as_bytes()).ok();
        if response.truncated {
            context.note("warning: the output was longer than 1 MiB; the rest is not shown");
        }
        Ok(u8::try_from(response.exit_code).unwrap_or(u8::MAX))
    }
}
