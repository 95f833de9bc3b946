//! `perry schema`.

use crate::model::schema;

use super::context::Context;
use super::failure::{DONE, Outcome};
use super::format;

/// Print the JSON Schema of manifests, for editors
#[derive(Debug, clap::Args)]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn run(self, context: &Context) -> Outcome {
        context.print(&format::json(&schema::json_schema())?)?;
        Ok(DONE)
    }
}
