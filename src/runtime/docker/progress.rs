//! Progress of long calls: the latest line, a few times a second.

use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use tokio::time::{MissedTickBehavior, interval};

use super::fault::{Fault, bounded};
use crate::runtime::Progress;

/// How often a line is told.
const INTERVAL: Duration = Duration::from_millis(250);

/// How long a stream may be silent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Before its first line.
    pub(super) first: Duration,
    /// Between two lines.
    pub(super) next: Duration,
}

/// Reads a stream of lines to its end, telling the latest now and then and the last in any case.
pub(super) async fn relay(
    lines: impl Stream<Item = Result<Option<String>, Fault>>,
    patience: Patience,
    progress: Progress<'_>,
) -> Result<(), Fault> {
    let (mut lines, mut tick) = (pin!(lines), interval(INTERVAL));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut latest = None;
    let mut limit = patience.first;
    let mut silence = pin!(tokio::time::sleep(limit));
    let result = loop {
        tokio::select! {
            line = lines.next() => match line {
                None => break Ok(()),
                Some(Err(fault)) => break Err(fault),
                Some(Ok(line)) => {
                    latest = line.filter(|line| !line.trim().is_empty()).or(latest);
                    limit = patience.next;
                    silence.set(tokio::time::sleep(limit));
                }
            },
            _ = tick.tick(), if latest.is_some() => tell(&mut latest, progress),
            () = &mut silence => break Err(Fault::Timeout(limit.as_secs())),
        }
    };
    tell(&mut latest, progress);
    result
}

fn tell(latest: &mut Option<String>, progress: Progress<'_>) {
    if let Some(line) = latest.take() {
        progress(&bounded(&line));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::stream;

    use super::*;

    const PATIENCE: Patience = Patience { first: Duration::from_secs(10), next: Duration::from_secs(60) };

    #[tokio::test(start_paused = true)]
    async fn many_lines_become_few_and_the_last_is_told() {
        let told = Mutex::new(Vec::new());
        let lines = stream::iter(0..1000).then(|n| async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(Some(format!("line {n}")))
        });
        relay(lines, PATIENCE, &|line| told.lock().expect("not poisoned").push(line.to_owned())).await.expect("read");
        let told = told.into_inner().expect("not poisoned");
        assert!(told.len() <= 6, "{told:?}");
        assert_eq!(told.last().map(String::as_str), Some("line 999"));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_it() {
        let silent = stream::pending();
        assert_eq!(relay(silent, PATIENCE, &|_| ()).await, Err(Fault::Timeout(10)));
        let one = stream::iter([Ok(Some("one".to_owned()))]).chain(stream::pending());
        assert_eq!(relay(one, PATIENCE, &|_| ()).await, Err(Fault::Timeout(60)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_comes_after_the_last_line() {
        let told = Mutex::new(Vec::new());
        let lines = stream::iter([Ok(Some("so far".to_owned())), Err(Fault::Failed("no".to_owned()))]);
        let result = relay(lines, PATIENCE, &|line| told.lock().expect("not poisoned").push(line.to_owned())).await;
        assert_eq!(result, Err(Fault::Failed("no".to_owned())));
        assert_eq!(told.into_inner().expect("not poisoned"), ["so far"]);
    }
}
