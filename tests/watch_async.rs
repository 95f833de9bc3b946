//! Waking, cutting off and closing of watchers; what a reader that never reads costs.

mod watch_support;

use std::sync::Arc;

use futures::FutureExt;
use perry::watch::{FrameKind, Hub, Limits, WatchError};
use watch_support::{Object, Replica, content};

fn hub(events: usize) -> Hub<Object> {
    Hub::new("boot", Limits { events, ..Limits::default() }).expect("a good boot id")
}

#[tokio::test]
async fn a_waiting_watcher_wakes_on_each_change() {
    let hub = hub(16);
    let mut stream = hub.subscribe(None);
    let task = tokio::spawn(async move {
        let mut kinds = Vec::new();
        while let Ok(frame) = stream.next().await {
            kinds.push(frame.kind);
        }
        (kinds, stream.next().await.expect_err("it stays ended"))
    });
    tokio::task::yield_now().await;
    hub.publish(Object::new(1, 1));
    tokio::task::yield_now().await;
    hub.publish(Object::new(1, 2));
    hub.remove("k1");
    hub.close();
    let (kinds, end) = task.await.expect("no panic");
    use FrameKind::{Added, Bookmark, Deleted, Modified, Reset};
    assert_eq!(kinds, [Reset, Bookmark, Added, Modified, Deleted], "what was kept is read before the end");
    assert_eq!(end, WatchError::Closed);
}

#[tokio::test]
async fn a_cancelled_wait_skips_nothing() {
    let hub = hub(16);
    let mut stream = hub.subscribe(Some(&hub.list().1));
    assert_eq!(stream.next().await.map(|frame| frame.kind), Ok(FrameKind::Bookmark));
    for value in 0..5 {
        let mut wait = Box::pin(stream.next());
        assert!((&mut wait).now_or_never().is_none());
        hub.publish(Object::new(1, value));
        drop(wait);
        let frame = stream.next().await.expect("open");
        assert_eq!(frame.object.expect("a change").value, value);
    }
}

#[tokio::test]
async fn a_reader_that_is_stuck_is_cut_off_costs_no_memory_and_starts_again_with_a_reset() {
    const CAPACITY: usize = 64;
    let hub = hub(CAPACITY);
    hub.publish(Object::new(1, 0));
    let mut stuck = hub.subscribe(None);
    let mut replica = Replica::default();
    for _ in 0..3 {
        replica.apply(&stuck.next().await.expect("the opening")).expect("it follows");
    }
    let first = Arc::downgrade(&hub.get("k1").expect("cached"));
    for n in 0..10_000_u32 {
        assert!(hub.publish(Object::new(1, (n % 2 + 1) as u8)));
        assert!(hub.journal_len() <= CAPACITY);
    }
    assert!(first.upgrade().is_none(), "the stuck reader keeps no old object alive");
    assert_eq!(stuck.next().await, Err(WatchError::Lagged));
    assert_eq!(stuck.next().await, Err(WatchError::Lagged), "it stays ended");
    let mut again = hub.subscribe(replica.cursor.as_ref());
    assert_eq!(again.next().await.map(|frame| frame.kind), Ok(FrameKind::Reset));
    assert_eq!(again.next().await.map(|frame| frame.kind), Ok(FrameKind::Added));
    let bookmark = again.next().await.expect("the bookmark");
    assert_eq!(bookmark.cursor, Some(hub.list().1));
}

/// Publishers and watchers on real threads: every watcher ends with what the list says, having been sent each change
/// once and in order (the replica checks that), whether or not it was cut off on the way.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn watchers_on_real_threads_agree_with_the_list() {
    let hub = hub(256);
    let watchers: Vec<_> = (0..4).map(|_| tokio::spawn(watch(hub.clone()))).collect();
    let publishers: Vec<_> = (0..2_u8).map(|seed| tokio::spawn(publish(hub.clone(), seed))).collect();
    for publisher in publishers {
        publisher.await.expect("no panic");
    }
    hub.publish(Object::new(99, 0));
    for watcher in watchers {
        let replica = watcher.await.expect("no panic");
        assert_eq!(replica.objects, content(&hub.list().0));
    }
}

async fn publish(hub: Hub<Object>, seed: u8) {
    for n in 0..4_000_u32 {
        let key = (n * 7 % 5) as u8 * 2 + seed;
        match n % 9 {
            0 => drop(hub.remove(&format!("k{key}"))),
            _ => {
                hub.publish(Object::new(key, (n % 3) as u8));
            }
        }
        if n % 8 == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// Watches until the last object appears, coming back with its cursor whenever it is cut off.
async fn watch(hub: Hub<Object>) -> Replica {
    let mut replica = Replica::default();
    loop {
        let mut stream = hub.subscribe(replica.cursor.as_ref());
        while let Ok(frame) = stream.next().await {
            replica.apply(&frame).expect("it follows");
            if frame.cursor.is_some() && replica.objects.contains_key("k99") {
                return replica;
            }
        }
    }
}
