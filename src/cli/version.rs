//! `perry version`.

use super::context::Context;
use super::failure::{DONE, Outcome};

/// Print the version of this program
#[derive(Debug, clap::Args)]
pub(super) struct Version {}

impl Version {
    pub(super) fn run(self, context: &Context) -> Outcome {
        context.print(&format!("perry {}\n", env!("CARGO_PKG_VERSION")))?;
        Ok(DONE)
    }
}
