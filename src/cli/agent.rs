//! `perry agent`.

use std::time::Duration;

use crate::client::{Client, ClientError};
use crate::contract::{AgentInfo, NoInput};
use crate::shown;

use super::context::Context;
use super::failure::{DONE, Failure, Outcome, TIMED_OUT, UNREACHABLE};
use super::format::{self, Plain};
use super::values;

/// How long the agent may take to end; a pass under way ends first.
const END: Duration = Duration::from_secs(30);

/// The form of the agent's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// An object a line.
    Json,
}

/// Run, look at or end the agent
#[derive(Debug, clap::Subcommand)]
pub(super) enum Agent {
    /// Be the agent, until it is ended. What it logs goes to stderr; PERRY_LOG says how much (info, debug, …)
    Run {
        /// The form of the log: text, or json, an object a line.
        #[arg(long, value_enum, default_value = "text", hide_possible_values = true, value_name = "FORM")]
        log_format: LogFormat,
    },
    /// Show what the agent says of itself
    Info {
        /// The form: text, json or yaml.
        #[arg(short, long, value_enum, default_value = "text", hide_possible_values = true, value_name = "FORM")]
        output: Plain,
    },
    /// Say whether the agent answers; ends with 5 where it does not
    Status,
    /// End the agent; workspaces go on running
    Kill,
}

impl Agent {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match self {
            // Handled before there is a runtime.
            Self::Run { .. } => Ok(DONE),
            Self::Info { output } => {
                let info = client.agent_info(&NoInput {}).await?;
                context.print(&match output {
                    Plain::Text => text(&info),
                    Plain::Json => format::json(&info)?,
                    Plain::Yaml => format::yaml(&info),
                })?;
                Ok(DONE)
            }
            Self::Status => status(context, &client).await,
            Self::Kill => kill(context, &client).await,
        }
    }
}

async fn status(context: &Context, client: &Client) -> Outcome {
    match client.agent_info(&NoInput {}).await {
        Ok(info) => {
            let up = uptime(info.uptime);
            context.print(&format!("running at {}, process {}, for {up}\n", client.address(), info.pid))?;
            Ok(DONE)
        }
        Err(error) if error.is_unreachable() => {
            let other =
                if matches!(error, ClientError::OtherAgent { .. }) { "; another agent answers there" } else { "" };
            context.print(&format!("not running at {}{other}\n", client.address()))?;
            Ok(UNREACHABLE)
        }
        Err(error) => Err(error.into()),
    }
}

async fn kill(context: &Context, client: &Client) -> Outcome {
    client.kill_agent(&NoInput {}).await?;
    let ended = async {
        // A new connection each time: the one that is there may outlive the listener.
        while client.anew().agent_info(&NoInput {}).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(END, ended).await.is_err() {
        let message =
            format!("the agent at {} was told to end, and has not within {} s", client.address(), END.as_secs());
        return Err(Failure::new(TIMED_OUT, message));
    }
    context.print("agent ended; workspaces go on running\n")?;
    Ok(DONE)
}

fn text(info: &AgentInfo) -> String {
    let docker = match (&info.docker, &info.docker_error) {
        (Some(docker), _) => {
            format!("{}, API {}, runtimes {}", docker.version, docker.api_version, docker.runtimes.join(", "))
        }
        (None, Some(error)) => format!("does not answer: {error}"),
        (None, None) => "does not answer".to_owned(),
    };
    let rows = [
        ("Id", info.id.clone()),
        ("Version", info.version.clone()),
        ("Host", info.hostname.clone()),
        ("Process", info.pid.to_string()),
        ("Uptime", uptime(info.uptime)),
        ("Workspaces", info.workspaces_count.to_string()),
        ("Docker", docker),
        ("Orphans", info.orphans.map_or_else(|| "not known".to_owned(), |count| count.to_string())),
    ];
    let rows = rows.iter().map(|(key, value)| format!("{:<12}{value}\n", format!("{key}:")));
    let warnings = info
        .warnings
        .iter()
        .map(|warning| format!("Warning:    {} (since {})\n", shown::line(&warning.message), warning.since));
    rows.chain(warnings).collect()
}

fn uptime(seconds: f64) -> String {
    // Whole milliseconds of a time that is never negative.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    values::span((seconds.max(0.0) * 1000.0) as u64)
}
