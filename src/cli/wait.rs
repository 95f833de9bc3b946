//! `perry wait`.

use std::str::FromStr;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::{Goal, Wait};
use crate::model::Name;

use super::context::Context;
use super::failure::{DONE, Outcome};
use super::{values, waiting};

/// Wait until a workspace is what you want it to be
#[derive(Debug, clap::Args)]
pub(super) struct WaitFor {
    /// Which; one that is not there yet is waited for.
    #[arg(value_name = "NAME", required = true, value_parser = values::name)]
    names: Vec<Name>,
    /// ready, stopped, deleted or condition=Type[=Status].
    #[arg(long = "for", value_name = "STATE", default_value = "ready")]
    goal: GoalArg,
    /// How long to wait at most.
    #[arg(long, default_value = "5m", value_name = "SPAN", value_parser = values::duration)]
    timeout: Duration,
}

#[derive(Debug, Clone, Copy)]
struct GoalArg(Goal);

impl FromStr for GoalArg {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let goal = match text {
            "ready" => Goal::Ready,
            "stopped" => Goal::Stopped,
            "deleted" => Goal::Deleted,
            _ => {
                let condition = text
                    .strip_prefix("condition=")
                    .ok_or("write ready, stopped, deleted or condition=Type=Status, such as condition=SshReady=True")?;
                let (kind, status) = condition.split_once('=').unwrap_or((condition, "True"));
                Goal::Condition(
                    word(kind).ok_or_else(|| format!("there is no condition {kind:?}: see perry describe"))?,
                    word(status).ok_or_else(|| format!("{status:?} is no status: write True, False or Unknown"))?,
                )
            }
        };
        Ok(Self(goal))
    }
}

/// An enum by its name in the API.
fn word<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(Value::from(text)).ok()
}

impl WaitFor {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let goal = self.goal.0;
        let waits = self.names.into_iter().map(|name| (Wait::new(name, goal), goal)).collect();
        waiting::for_all(context, &client, waits, self.timeout).await?;
        Ok(DONE)
    }
}
