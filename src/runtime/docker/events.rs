//! What the engine says of changes. It keeps few events and drops slow readers, so each is only a hint.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use bollard::models::{EventMessage, EventMessageTypeEnum as Type};
use bollard::query_parameters::{EventsOptions, EventsOptionsBuilder};
use futures::StreamExt as _;

use super::engine::{Engine, Session};
use super::labels;
use super::watched::Watched;
use crate::runtime::hints::Hints;

/// What can change the look of a workspace. `exec_*`, `attach` and the like, which are many, cannot.
const ACTIONS: [&str; 8] = ["create", "start", "die", "pause", "unpause", "destroy", "rename", "oom"];
const TYPES: [&str; 3] = ["container", "volume", "network"];

/// Reads events without end and turns them into hints.
pub(super) async fn follow(engine: Arc<Engine>, watched: Arc<Watched>, agent: String, hints: Arc<Hints>) {
    let mut delays = backoff();
    loop {
        if let Ok(session) = engine.session().await {
            if listen(&engine, &session, &watched, &agent, &hints).await {
                delays = backoff();
            }
            // It may be another engine when it comes back. Until then nobody can look, and that is worth a look too.
            engine.disconnected();
            hints.everything();
        }
        tokio::time::sleep(delays.next().unwrap_or(SLOWEST)).await;
    }
}

const SLOWEST: Duration = Duration::from_secs(5);

fn backoff() -> backon::ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(SLOWEST)
        .with_jitter()
        .without_max_times()
        .build()
}

/// One subscription from its start to its end; whether anything came.
async fn listen(engine: &Engine, session: &Session, watched: &Watched, agent: &str, hints: &Hints) -> bool {
    // Asked for from the moment the session began: what happens between the look that this causes and the engine's
    // taking up the subscription comes as well.
    let mut events = session.client().events(Some(options(session.began)));
    hints.everything();
    let mut heard = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => tell(&event, watched, agent, hints),
            Err(error) => {
                tracing::debug!(fault = ?engine.fault(error), "the engine's events ended");
                return heard;
            }
        }
        heard = true;
    }
    heard
}

fn options(since: Option<i64>) -> EventsOptions {
    let filters = [("type", TYPES.to_vec()), ("event", ACTIONS.to_vec())];
    let options = EventsOptionsBuilder::new().filters(&filters.into());
    match since {
        Some(second) => options.since(&second.to_string()).build(),
        None => options.build(),
    }
}

fn tell(event: &EventMessage, watched: &Watched, agent: &str, hints: &Hints) {
    let Some(actor) = &event.actor else { return };
    let id = actor.id.as_deref().unwrap_or_default();
    let attributes = actor.attributes.as_ref();
    match event.typ {
        Some(Type::CONTAINER) => {
            // A container's labels are among its attributes.
            match attributes.and_then(labels::owner) {
                Some(owner) if owner.agent == agent => hints.workspace(&owner.name),
                _ => watched.by_container(id).iter().for_each(|name| hints.workspace(name)),
            }
        }
        // A volume's or network's are not.
        Some(Type::VOLUME) => watched.by_volume(id).iter().for_each(|name| hints.workspace(name)),
        Some(Type::NETWORK)
            if attributes.and_then(|all| all.get("name")).is_some_and(|name| watched.has_network(name)) =>
        {
            hints.everything();
        }
        _ => {}
    }
}
