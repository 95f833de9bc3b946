//! `perry image`.

use crate::client::Client;
use crate::contract::{ApplyInput, NoInput};
use crate::model::{Document, Spec};

use super::context::Context;
use super::failure::{DONE, Failure, Outcome};

/// Build the image of workspaces that name none
#[derive(Debug, clap::Subcommand)]
pub(super) enum Image {
    /// Build the agent's own image from the files inside this program
    Build {
        /// Do nothing where the engine has it.
        #[arg(long)]
        if_missing: bool,
    },
}

impl Image {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let Self::Build { if_missing } = self;
        let client = context.client()?;
        if if_missing && is_there(&client).await? {
            context.note("the image is there already");
            return Ok(DONE);
        }
        let mut lines = client.build_image(&NoInput {}, None).await?;
        while let Some(item) = lines.next().await? {
            context.note(&item.value.line);
        }
        context.note("the image is built");
        Ok(DONE)
    }
}

/// Whether a new workspace that names no image would need it built. Where nobody can tell it counts as missing: the
/// build then says why.
async fn is_there(client: &Client) -> Result<bool, Failure> {
    // Nobody's name: it is planned, never made.
    let name = format!("image-{}", uuid::Uuid::new_v4().simple()).chars().take(20).collect::<String>();
    let name = name.parse().map_err(|error| Failure::failed(format!("{name}: {error}")))?;
    let document = Document::new(name, Spec::default());
    let workspace = serde_json::to_value(document).map_err(|error| Failure::failed(error.to_string()))?;
    let planned = client.plan_workspaces(&ApplyInput { workspace: Some(workspace), ..ApplyInput::default() }).await;
    match planned {
        Ok(output) => Ok(output
            .results
            .iter()
            .all(|applied| applied.blocked.is_none() && applied.actions.iter().all(|action| action.step != "image"))),
        Err(error) if error.is_unreachable() => Err(error.into()),
        Err(_) => Ok(false),
    }
}
