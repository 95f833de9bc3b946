//! `perry image`.

use crate::client::Client;
use crate::contract::{ApplyInput, BuildInput, NoInput};
use crate::model::{Document, Spec, Variant};

use super::context::Context;
use super::failure::{DONE, Failure, Outcome};
use super::values;

/// Build the image of workspaces that name none
#[derive(Debug, clap::Subcommand)]
pub(super) enum Image {
    /// Build the agent's own image from the files inside this program
    Build {
        /// Do nothing where the engine has it.
        #[arg(long)]
        if_missing: bool,
        /// Which one: full, or slim with no more than Docker and ssh [default: what imageTag in config.json is].
        #[arg(long, value_name = "VARIANT", value_parser = variant)]
        variant: Option<Variant>,
    },
}

impl Image {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let Self::Build { if_missing, variant } = self;
        let client = context.client()?;
        let tag = client.agent_info(&NoInput {}).await?.image;
        let image = variant.map_or_else(|| tag.clone(), |variant| variant.image(&tag));
        if if_missing && is_there(&client, &image).await? {
            context.note(&format!("the image {image} is there already"));
            return Ok(DONE);
        }
        let began = context.now();
        let mut lines = client.build_image(&BuildInput { variant }, None).await?;
        while let Some(item) = lines.next().await? {
            context.note(&item.value.line);
        }
        let took = u64::try_from(context.now().duration_since(began).as_millis()).unwrap_or_default();
        context.note(&format!("the image {image} is built, in {}", values::span(took)));
        Ok(DONE)
    }
}

fn variant(text: &str) -> Result<Variant, &'static str> {
    [Variant::Full, Variant::Slim].into_iter().find(|variant| variant.stage() == text).ok_or("write full or slim")
}

/// Whether a new workspace of this image would need it built. Where nobody can tell it counts as missing: the
/// build then says why.
async fn is_there(client: &Client, image: &str) -> Result<bool, Failure> {
    // Nobody's name: it is planned, never made.
    let name = format!("image-{}", uuid::Uuid::new_v4().simple()).chars().take(20).collect::<String>();
    let name = name.parse().map_err(|error| Failure::failed(format!("{name}: {error}")))?;
    let document = Document::new(name, Spec { image: Some(image.to_owned()), ..Spec::default() });
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
