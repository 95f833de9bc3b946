//! What workspaces use: collected by one task for whoever listens, and by none where nobody does.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use tokio::sync::broadcast::{self, error::RecvError};

use super::Api;
use super::procedures::Parts;
use crate::contract::usage::{Measured, Usage};
use crate::contract::{ApiError, Events, Item};
use crate::model::{ConditionType, Uid};

/// How often all are asked.
const PERIOD: Duration = Duration::from_secs(3);
/// How long the second figure comes after the first one, which cannot tell of processors yet.
const FIRST: Duration = Duration::from_millis(500);
/// How long a worker has for its answer.
const ANSWER: Duration = Duration::from_secs(2);
/// Workers that are asked at once.
const AT_ONCE: usize = 32;
/// Values that a slow listener may be behind.
const BACKLOG: usize = 4096;

/// The one who collects, while there is one.
#[derive(Default)]
pub(super) struct Collector(Mutex<Option<broadcast::Sender<Usage>>>);

impl Collector {
    /// The values from now on.
    fn listen(&self, parts: &Parts) -> broadcast::Receiver<Usage> {
        let mut collector = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One whose last listener went is on its way out.
        if let Some(sender) = collector.as_ref().filter(|sender| sender.receiver_count() > 0) {
            return sender.subscribe();
        }
        let (sender, receiver) = broadcast::channel(BACKLOG);
        *collector = Some(sender.clone());
        tokio::spawn(collect(parts.clone(), sender));
        receiver
    }
}

impl Api {
    pub(super) fn usage(&self) -> Events<Usage> {
        let values = self.usage.listen(&self.parts);
        stream::unfold(values, |mut values| async {
            match values.recv().await {
                Ok(value) => Some((Ok(Item { id: None, value }), values)),
                Err(RecvError::Lagged(_)) => {
                    let slow = "this reader was too slow; ask again".to_owned();
                    Some((Err(ApiError::Unavailable(slow)), values))
                }
                Err(RecvError::Closed) => None,
            }
        })
        .boxed()
    }
}

/// Asks all running workspaces from time to time, as long as somebody listens.
async fn collect(parts: Parts, values: broadcast::Sender<Usage>) {
    let (mut before, mut pause) = (BTreeMap::new(), FIRST);
    while values.receiver_count() > 0 {
        let began = parts.clock.monotonic();
        let (views, _) = parts.hub.list();
        let running = views.into_iter().filter(|view| view.is_true(ConditionType::ContainerRunning));
        let asks = running.map(|view| {
            let parts = &parts;
            async move {
                let asked = tokio::time::timeout(ANSWER, parts.attach.usage(&view.uid)).await;
                // Who does not answer has no figures this time.
                let measured = asked.ok()?.ok()?;
                Some((view, measured, parts.clock.monotonic()))
            }
        });
        let mut answers = stream::iter(asks.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
        let mut now: BTreeMap<Uid, (f64, Duration)> = BTreeMap::new();
        while let Some(answer) = answers.next().await {
            let Some((view, measured, at)) = answer else { continue };
            let cpu = before.get(&view.uid).and_then(|then| rate(*then, (measured.cpu_seconds, at)));
            now.insert(view.uid.clone(), (measured.cpu_seconds, at));
            let Measured { memory, memory_limit, disk, ports, .. } = measured;
            // The last listener may have gone just now.
            let _ = values.send(Usage { name: view.name.clone(), cpu, memory, memory_limit, disk, ports });
        }
        before = now;
        parts.clock.sleep_until(began + pause).await;
        pause = PERIOD;
    }
}

/// Processors in use between two figures; none where the container was started in between.
fn rate(before: (f64, Duration), now: (f64, Duration)) -> Option<f64> {
    let passed = now.1.saturating_sub(before.1).as_secs_f64();
    (passed > 0.0 && now.0 >= before.0).then(|| ((now.0 - before.0) / passed * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::rate;
    use std::time::Duration;

    #[test]
    fn processors_are_time_by_time_and_a_new_start_has_none() {
        let at = |seconds| Duration::from_secs(seconds);
        assert_eq!(rate((1.0, at(10)), (4.0, at(12))), Some(1.5));
        assert_eq!(rate((5.0, at(10)), (1.0, at(12))), None);
        assert_eq!(rate((5.0, at(10)), (5.0, at(10))), None);
    }
}
