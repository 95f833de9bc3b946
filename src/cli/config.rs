//! `perry config`.

use crate::contract::NoInput;

use super::context::Context;
use super::failure::{DONE, Outcome};
use super::format;

/// Show settings
#[derive(Debug, clap::Subcommand)]
pub(super) enum ConfigVerb {
    /// Show the agent's settings, defaults included
    Show,
}

impl ConfigVerb {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let Self::Show = self;
        let config = context.client()?.get_config(&NoInput {}).await?;
        context.print(&format::json(&config)?)?;
        Ok(DONE)
    }
}
