//! `perry explain`.

use crate::model::explain;

use super::context::Context;
use super::failure::{DONE, Failure, Outcome};

/// Say what a field of a manifest means
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The field, such as workspace.spec.ports.
    #[arg(default_value = "workspace", value_name = "FIELD")]
    path: String,
}

impl Explain {
    pub(super) fn run(self, context: &Context) -> Outcome {
        let text = explain::explain(&self.path).map_err(|error| Failure::usage(error.to_string()))?;
        context.print(&text)?;
        Ok(DONE)
    }
}
