//! The asynchronous queue on a clock that moves by hand, and once on tokio's timers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use perry::clock::{Clock, ManualClock, SystemClock};
use perry::queue::{ABANDONED_RETRY, Depth, WorkQueue};

const SECOND: Duration = Duration::from_secs(1);

fn queue() -> (WorkQueue<&'static str>, ManualClock) {
    let clock = ManualClock::default();
    (WorkQueue::new(Arc::new(clock.clone())), clock)
}

/// Lets every task that can run do so.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_waiting_task_is_woken_by_an_add_and_by_time() {
    let (queue, clock) = queue();
    let worker = tokio::spawn({
        let queue = queue.clone();
        async move {
            let mut order = Vec::new();
            while let Some(claim) = queue.next().await {
                order.push(*claim);
                claim.done();
            }
            order
        }
    });
    settle().await;
    queue.add_after("late", 10 * SECOND);
    settle().await;
    queue.add_after("early", 5 * SECOND);
    queue.add("now");
    settle().await;
    assert_eq!((queue.depth().waiting, clock.next_deadline()), (2, Some(5 * SECOND)), "it sleeps for the earlier one");
    clock.advance(5 * SECOND);
    settle().await;
    assert_eq!(queue.depth().waiting, 1);
    clock.advance(5 * SECOND);
    settle().await;
    queue.shutdown();
    assert_eq!(worker.await.expect("no panic"), ["now", "early", "late"]);
}

#[tokio::test]
async fn a_key_added_while_in_a_pass_is_handed_out_once_that_is_done_and_not_before() {
    let (queue, _clock) = queue();
    queue.add("a");
    let first = queue.next().await.expect("a key");
    queue.add("a");
    assert!(queue.next().now_or_never().is_none(), "in a pass");
    first.done();
    let second = queue.next().await.expect("the key again");
    second.done();
    assert!(queue.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_cancelled_wait_takes_nothing() {
    let (queue, _clock) = queue();
    let mut wait = Box::pin(queue.next());
    assert!((&mut wait).now_or_never().is_none());
    queue.add("a");
    drop(wait);
    assert_eq!(queue.depth(), Depth { waiting: 1, in_pass: 0 });
    queue.next().await.expect("still there").done();
}

#[tokio::test]
async fn a_pass_that_panics_or_is_aborted_loses_no_key_and_locks_none() {
    let (queue, clock) = queue();
    queue.add("a");
    for panics in [true, false] {
        let claim = queue.next().await.expect("a key");
        let pass = tokio::spawn(async move {
            let _claim = claim;
            assert!(!panics, "a pass that panics, on purpose");
            std::future::pending::<()>().await;
        });
        settle().await;
        pass.abort();
        assert_eq!(pass.await.expect_err("it died").is_panic(), panics);
        assert_eq!(queue.depth(), Depth { waiting: 1, in_pass: 0 });
        assert!(queue.next().now_or_never().is_none(), "not at once, or a pass that always dies would spin");
        clock.advance(ABANDONED_RETRY);
    }
    assert_eq!(*queue.next().await.expect("the key again"), "a");
}

#[tokio::test]
async fn after_a_shutdown_nothing_is_handed_out_and_draining_waits_for_the_open_pass() {
    let (queue, _clock) = queue();
    queue.add("a");
    let open = queue.next().await.expect("a key");
    let waiting = tokio::spawn({
        let queue = queue.clone();
        async move { queue.next().await.is_none() }
    });
    settle().await;
    queue.shutdown();
    queue.add("b");
    assert_eq!(queue.depth(), Depth { waiting: 0, in_pass: 1 }, "an add has no effect");
    assert!(waiting.await.expect("it ends"), "a task that waits is sent away");
    assert!(queue.next().await.is_none());
    assert!(queue.drained().now_or_never().is_none(), "one pass is open");
    let drained = tokio::spawn({
        let queue = queue.clone();
        async move { queue.drained().await }
    });
    settle().await;
    open.done();
    drained.await.expect("it ends");
}

#[tokio::test]
async fn a_key_whose_pass_hangs_delays_no_other() {
    let (queue, _clock) = queue();
    let _broken = {
        queue.add("broken");
        queue.next().await.expect("the broken one")
    };
    for key in ["broken", "b", "c", "broken"] {
        queue.add(key);
    }
    let taken = [queue.next().await, queue.next().await].map(|claim| *claim.expect("a key"));
    assert_eq!(taken, ["b", "c"]);
}

/// Each key notes how many passes of its own are open at once, and how many adds the last one saw.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_workers_on_real_threads_never_share_a_key_and_miss_no_add() {
    const KEYS: usize = 7;
    const ADDS: usize = 3_000;
    let queue = WorkQueue::new(Arc::new(SystemClock::new()));
    let added: Arc<[AtomicUsize; KEYS]> = Arc::default();
    let seen: Arc<[AtomicUsize; KEYS]> = Arc::default();
    let open: Arc<[AtomicUsize; KEYS]> = Arc::default();
    let workers: Vec<_> =
        (0..8).map(|_| tokio::spawn(work(queue.clone(), added.clone(), seen.clone(), open.clone()))).collect();
    for n in 0..ADDS {
        let key = n * 31 % KEYS;
        added[key].fetch_add(1, Ordering::SeqCst);
        queue.add(key);
        if n % 16 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let level = |counts: &[AtomicUsize; KEYS]| counts.iter().map(|n| n.load(Ordering::SeqCst)).collect::<Vec<_>>();
    while queue.depth() != Depth::default() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(level(&seen), level(&added), "the last pass of each key began after its last add");
    queue.shutdown();
    for worker in workers {
        worker.await.expect("no key was in two passes");
    }
}

async fn work<const N: usize>(
    queue: WorkQueue<usize>,
    added: Arc<[AtomicUsize; N]>,
    seen: Arc<[AtomicUsize; N]>,
    open: Arc<[AtomicUsize; N]>,
) {
    while let Some(key) = queue.next().await {
        assert_eq!(open[*key].fetch_add(1, Ordering::SeqCst), 0, "S7");
        seen[*key].store(added[*key].load(Ordering::SeqCst), Ordering::SeqCst);
        tokio::task::yield_now().await;
        open[*key].fetch_sub(1, Ordering::SeqCst);
        key.done();
    }
}

#[tokio::test(start_paused = true)]
async fn on_the_system_clock_delays_are_kept() {
    let clock = SystemClock::new();
    let queue = WorkQueue::new(Arc::new(clock.clone()));
    let mut taken = BTreeMap::new();
    for (key, seconds) in [("c", 30), ("a", 10), ("b", 20)] {
        queue.add_after(key, seconds * SECOND);
    }
    for _ in 0..3 {
        let claim = queue.next().await.expect("a key");
        taken.insert(*claim, clock.monotonic().as_secs());
        claim.done();
    }
    assert_eq!(taken, BTreeMap::from([("a", 10), ("b", 20), ("c", 30)]));
}
