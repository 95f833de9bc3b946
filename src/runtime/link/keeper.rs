//! The task that keeps the link to one worker.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::client::{Client, LinkError};
use super::{Dial, Target};
use crate::contract::worker::Socket;
use crate::model::observed::WorkerSeen;
use crate::runtime::hints::Hints;

/// A worker that has just been started is ready within some 100 ms and is waited for; one that does not come is looked
/// for once a second.
const QUICK: (u32, Duration) = (125, Duration::from_millis(4));
const STEADY: (u32, Duration) = (250, Duration::from_millis(10));
const SLOWEST: Duration = Duration::from_secs(1);
/// A bridge costs a process inside, so it is tried less often.
const BRIDGE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// This try, about ten seconds after the start, and then one in five minutes take the bridge although engine and agent
/// share a machine: between the two there may be a wall that only the engine passes.
const BRIDGE_AFTER: u32 = 390;
const BRIDGE_EVERY: u32 = 300;

/// What a link knows.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// What the worker said last, while the link is up.
    pub(super) seen: Option<WorkerSeen>,
    /// The connection, while the link is up.
    pub(super) client: Option<Client>,
}

/// Keeps the link until the task is aborted.
pub(super) async fn keep(
    dial: Arc<dyn Dial>,
    target: Target,
    secret: String,
    state: watch::Sender<State>,
    hints: Arc<Hints>,
    ssh_agent: Option<PathBuf>,
) {
    let mut tries = 0_u32;
    loop {
        let late = tries.checked_sub(BRIDGE_AFTER).is_some_and(|since| since % BRIDGE_EVERY == 0);
        let bridged = late || !dial.shares_machine().await;
        let ended = follow(&*dial, &target, bridged, &secret, &state, &hints, ssh_agent.as_deref()).await;
        if state.send_replace(State::default()).seen.is_some() {
            tracing::debug!(workspace = %target.name, "the link to the worker is lost");
            hints.workspace(&target.name);
            tries = 0;
        }
        if let Err(error) = ended
            && tries == BRIDGE_AFTER
        {
            tracing::warn!(workspace = %target.name, %error, "the worker cannot be reached");
        }
        tokio::time::sleep(delay(tries, bridged)).await;
        tries = tries.saturating_add(1);
    }
}

/// One connection from its start to its end.
async fn follow(
    dial: &dyn Dial,
    target: &Target,
    bridged: bool,
    secret: &str,
    state: &watch::Sender<State>,
    hints: &Hints,
    ssh_agent: Option<&Path>,
) -> Result<(), LinkError> {
    let stream = if bridged {
        dial.bridge(&target.container, Socket::Worker).await
    } else {
        dial.socket(&target.uid, Socket::Worker).await
    };
    let (client, _driver) = Client::open(stream.map_err(|error| LinkError::Lost(error.to_string()))?, secret).await?;
    let mut watch = client.watch().await?;
    let _lent = ssh_agent.map(|socket| Lent(tokio::spawn(super::ssh_agent::answer(client.clone(), socket.to_owned()))));
    while let Some(seen) = watch.next::<WorkerSeen>().await? {
        let changed = state.send_if_modified(|state| {
            let changed = state.seen.as_ref() != Some(&seen);
            state.seen = Some(seen);
            state.client.get_or_insert_with(|| client.clone());
            changed
        });
        if changed {
            hints.workspace(&target.name);
        }
    }
    Ok(())
}

/// The task that answers for the ssh agent; it ends with the link.
struct Lent(JoinHandle<Result<(), LinkError>>);

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How long to wait after a try.
fn delay(tries: u32, bridged: bool) -> Duration {
    let doubled = |first: Duration, times: u32, most: Duration| first.saturating_mul(1 << times.min(16)).min(most);
    match tries {
        _ if bridged => doubled(BRIDGE.0, tries, BRIDGE.1),
        _ if tries < QUICK.0 => QUICK.1,
        _ if tries < QUICK.0 + STEADY.0 => STEADY.1,
        _ => doubled(STEADY.1, tries - QUICK.0 - STEADY.0, SLOWEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_worker_is_waited_for_and_a_dead_one_is_not_hammered() {
        let until = |tries| (0..tries).map(|at| delay(at, false)).sum::<Duration>();
        assert!(until(125) <= Duration::from_millis(500));
        assert!(
            (Duration::from_secs(5)..Duration::from_secs(15)).contains(&until(BRIDGE_AFTER)),
            "{:?}",
            until(BRIDGE_AFTER)
        );
        assert_eq!(delay(u32::MAX, false), SLOWEST);
        assert_eq!(delay(0, true), BRIDGE.0);
        assert_eq!(delay(u32::MAX, true), BRIDGE.1);
    }
}
