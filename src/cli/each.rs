//! A verb for several workspaces, one after the other; a failure of one does not keep it from the others.

use std::time::Duration;

use crate::client::{Client, ClientError, Goal, Wait};
use crate::model::Name;

use super::context::Context;
use super::failure::{DONE, Failure, Outcome};
use super::waiting;

/// What to wait for afterwards.
pub(super) struct Afterwards {
    pub(super) wait: bool,
    pub(super) goal: Goal,
    pub(super) timeout: Duration,
}

/// Does `verb` to each, tells it as `NAME told`, and waits where that is wanted. The verb answers with what to wait
/// for.
pub(super) async fn each<F: Future<Output = Result<Wait, ClientError>>>(
    context: &Context,
    names: &[Name],
    told: &str,
    afterwards: &Afterwards,
    verb: impl Fn(Client, Name) -> F,
) -> Outcome {
    let client = context.client()?;
    let mut waits = Vec::new();
    let mut failures = Vec::new();
    for name in names {
        match verb(client.clone(), name.clone()).await {
            Ok(wait) => {
                context.print(&format!("{name} {told}\n"))?;
                waits.push((wait, afterwards.goal));
            }
            Err(error) if error.is_unreachable() => return Err(error.into()),
            Err(error) => failures.push(context.failure(&client, name, error).await),
        }
    }
    if afterwards.wait {
        failures.extend(waiting::for_all(context, &client, waits, afterwards.timeout).await.err());
    }
    Failure::all(failures)?;
    Ok(DONE)
}
