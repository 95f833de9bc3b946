//! S8: a watcher that applies its frames holds what the server's list says at that version: no gap, and no double
//! after a resume. Checked over random histories with random cut points and journals too small to be comfortable.

mod watch_support;

use perry::watch::{Cursor, FrameKind, Hub, Limits, Subscription, WatchError};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence::WithSource;
use watch_support::{Content, Object, Replica, content};

const WATCHERS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    Publish(u8, u8),
    Remove(u8),
    /// Read at most so many frames.
    Read(usize, usize),
    /// Lose the connection; the next read resumes with the last cursor.
    Cut(usize),
    /// Lose connection and memory; the next read starts anew.
    Forget(usize),
    /// The agent restarts: another hub with the same objects, published again.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let watcher = 0..WATCHERS;
    prop_oneof![
        20 => (0..4_u8, 0..3_u8).prop_map(|(key, value)| Step::Publish(key, value)),
        8 => (0..4_u8).prop_map(Step::Remove),
        15 => (watcher.clone(), 0..7_usize).prop_map(|(who, frames)| Step::Read(who, frames)),
        6 => watcher.clone().prop_map(Step::Cut),
        2 => watcher.prop_map(Step::Forget),
        1 => Just(Step::Restart),
    ]
}

#[derive(Default)]
struct Watcher {
    stream: Option<Subscription<Object>>,
    replica: Replica,
}

struct World {
    hub: Hub<Object>,
    limits: Limits,
    boots: u32,
    /// What the list said after each change of this boot.
    history: Vec<Content>,
    watchers: [Watcher; WATCHERS],
}

impl World {
    fn new(limits: Limits) -> Self {
        let hub = Hub::new("boot-0", limits).expect("a good boot id");
        Self { hub, limits, boots: 0, history: vec![Content::new()], watchers: Default::default() }
    }

    fn run(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Publish(key, value) => {
                let changed = self.hub.publish(Object::new(*key, *value));
                self.note(changed)?;
            }
            Step::Remove(key) => {
                let removed = self.hub.remove(&format!("k{key}"));
                self.note(removed.is_some())?;
            }
            Step::Read(who, frames) => {
                for _ in 0..*frames {
                    self.read(*who)?;
                }
            }
            Step::Cut(who) => self.watchers[*who].stream = None,
            Step::Forget(who) => self.watchers[*who] = Watcher::default(),
            Step::Restart => self.restart()?,
        }
        prop_assert!(self.hub.journal_len() <= self.limits.events.max(1), "the journal is bounded");
        Ok(())
    }

    /// Checks the list against what was done, and keeps it.
    fn note(&mut self, changed: bool) -> Result<(), TestCaseError> {
        let (objects, cursor) = self.hub.list();
        let now = content(&objects);
        if changed {
            self.history.push(now.clone());
        }
        prop_assert_eq!(cursor.n() as usize + 1, self.history.len(), "L2: a version for each change, none without");
        prop_assert_eq!(&now, self.history.last().expect("never empty"));
        Ok(())
    }

    fn read(&mut self, who: usize) -> Result<bool, TestCaseError> {
        let watcher = &mut self.watchers[who];
        let after = watcher.replica.cursor.clone();
        let stream = watcher.stream.get_or_insert_with(|| self.hub.subscribe(after.as_ref()));
        match stream.try_next() {
            Ok(Some(frame)) => {
                watcher.replica.apply(&frame)?;
                if let Some(cursor) = &frame.cursor {
                    let listed = &self.history[cursor.n() as usize];
                    prop_assert_eq!(&watcher.replica.objects, listed, "S8 at {}", cursor);
                }
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(WatchError::Lagged) => {
                let behind = behind(&watcher.replica, &self.hub.list().1);
                prop_assert!(behind.is_none_or(|behind| behind > self.hub.journal_len() as u64), "cut off too early");
                watcher.stream = None;
                Ok(true)
            }
            Err(WatchError::Closed) => Err(TestCaseError::fail("nobody closed it")),
        }
    }

    fn restart(&mut self) -> Result<(), TestCaseError> {
        self.boots += 1;
        let old = self.hub.list().0;
        self.hub = Hub::new(&format!("boot-{}", self.boots), self.limits).expect("a good boot id");
        self.history = vec![Content::new()];
        self.watchers.iter_mut().for_each(|watcher| watcher.stream = None);
        for object in old {
            let changed = self.hub.publish(Object::clone(&object));
            self.note(changed)?;
        }
        Ok(())
    }
}

/// How many changes a watcher has not seen of the list at `now`; `None` when it has nothing to count from.
fn behind(replica: &Replica, now: &Cursor) -> Option<u64> {
    let last = replica.cursor.as_ref().filter(|last| !replica.opening && last.boot() == now.boot());
    last.map(|last| now.n() - last.n())
}

proptest! {
    #![proptest_config(ProptestConfig::with_failure_persistence(WithSource("regressions")))]

    #[test]
    fn a_watcher_that_applies_its_frames_holds_the_list_at_each_cursor(
        steps in prop::collection::vec(step(), 0..150),
        events in 0..9_usize,
        bytes in prop_oneof![Just(usize::MAX), 0..9_usize],
    ) {
        let mut world = World::new(Limits { events, bytes });
        for step in &steps {
            world.run(step)?;
        }
        for who in 0..WATCHERS {
            while world.read(who)? {}
            let watcher = &world.watchers[who];
            let (objects, cursor) = world.hub.list();
            prop_assert_eq!(&watcher.replica.objects, &content(&objects), "caught up");
            prop_assert_eq!(watcher.replica.cursor.as_ref(), Some(&cursor));
        }
    }
}

fn kinds(stream: &mut Subscription<Object>) -> Vec<FrameKind> {
    std::iter::from_fn(|| stream.try_next().expect("not cut off").map(|frame| frame.kind)).collect()
}

fn hub(events: usize) -> Hub<Object> {
    Hub::new("boot", Limits { events, ..Limits::default() }).expect("a good boot id")
}

#[test]
fn without_a_usable_cursor_a_stream_opens_with_reset_the_list_and_a_bookmark() {
    use FrameKind::{Added, Bookmark, Reset};
    let hub = hub(2);
    assert_eq!(kinds(&mut hub.subscribe(None)), [Reset, Bookmark], "an empty list");
    for key in 0..4 {
        hub.publish(Object::new(key, 0));
    }
    let foreign = Cursor::new("other", 4).expect("a cursor");
    let expired = Cursor::new("boot", 1).expect("a cursor");
    let future = Cursor::new("boot", 5).expect("a cursor");
    for cursor in [None, Some(&foreign), Some(&expired), Some(&future)] {
        assert_eq!(kinds(&mut hub.subscribe(cursor)), [Reset, Added, Added, Added, Added, Bookmark], "{cursor:?}");
    }
    let known = Cursor::new("boot", 2).expect("a cursor");
    assert_eq!(kinds(&mut hub.subscribe(Some(&known))), [Added, Added, Bookmark]);
}

#[test]
fn publishing_what_is_cached_already_changes_nothing_whatever_version_it_bears() {
    let hub = hub(8);
    assert!(hub.publish(Object::new(1, 7)));
    let cached = hub.get("k1").expect("cached");
    assert_eq!(cached.version, "boot-1");
    assert!(!hub.publish(Object::new(1, 7)));
    assert!(!hub.publish(Object { version: "stale".into(), ..Object::new(1, 7) }));
    assert_eq!(hub.list().1.to_string(), "boot-1");
    assert!(hub.publish(Object::new(1, 8)));
    assert_eq!(hub.get("k1").expect("cached").version, "boot-2");
}

#[test]
fn a_removal_sends_the_last_content_at_the_version_of_the_removal_and_may_be_repeated() {
    let hub = hub(8);
    hub.publish(Object::new(1, 7));
    let mut stream = hub.subscribe(Some(&hub.list().1));
    assert_eq!(hub.remove("k1").expect("it was there").version, "boot-2");
    assert!(hub.remove("k1").is_none());
    assert_eq!(stream.try_next().expect("open").expect("the bookmark").kind, FrameKind::Bookmark);
    let frame = stream.try_next().expect("open").expect("the removal");
    let object = frame.object.expect("the last object");
    assert_eq!((frame.kind, object.value, object.version.as_str()), (FrameKind::Deleted, 7, "boot-2"));
    assert_eq!(stream.try_next(), Ok(None));
}

#[test]
fn a_keep_alive_bookmark_is_refused_amid_the_opening_list_and_else_bears_what_was_read() {
    let hub = hub(8);
    hub.publish(Object::new(1, 0));
    let mut stream = hub.subscribe(None);
    assert_eq!(stream.bookmark(), None);
    stream.try_next().expect("open").expect("the reset");
    assert_eq!(stream.bookmark(), None, "a watcher that resumed from here would never learn of k1");
    kinds(&mut stream);
    hub.publish(Object::new(2, 0));
    let bookmark = |stream: &Subscription<_>| stream.bookmark().and_then(|frame| frame.cursor).map(|cursor| cursor.n());
    assert_eq!(bookmark(&stream), Some(1), "the second change is not read yet");
    kinds(&mut stream);
    assert_eq!(bookmark(&stream), Some(2));
}
