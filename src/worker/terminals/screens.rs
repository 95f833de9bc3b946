//! The screens of all terminals. A few are followed; those that nothing happened to for a while sleep as the stream that
//! rebuilds them, which as a rule is a small part of their cells.

use std::collections::HashMap;
use std::time::Duration;

use super::engine::Id;
use super::screen::Screen;
use crate::contract::terminal::Size;

/// So many may be awake however long nothing happens.
const AWAKE: usize = 8;
/// Beyond them, one sleeps that nothing happened to for a quarter of the time that it was in use, within these bounds: of
/// many that are begun at once each sleeps soon, and one that prints now and then stays awake.
pub(super) const IDLE: Duration = Duration::from_millis(50);
const IDLE_MOST: Duration = Duration::from_secs(1);
/// Lines above a screen that are written down in no time.
const QUICK: usize = 100;
/// The longest stream, in bytes: more takes too long to rebuild, and would leave out rows.
const STREAM_MAX: usize = 512 << 10;

enum State {
    Awake(Box<Screen>),
    Asleep(Vec<u8>),
}

struct Entry {
    state: State,
    size: Size,
    memory: usize,
    begun: Duration,
    used: Duration,
    /// It cannot sleep as it is.
    restless: bool,
}

/// The screens, by terminal. Time is that of one monotonic clock.
#[derive(Default)]
pub(super) struct Screens(HashMap<Id, Entry>);

impl Screens {
    /// An empty screen, whose cells take at most `memory` bytes.
    pub(super) fn begin(&mut self, id: Id, size: Size, memory: usize, now: Duration) {
        let state = State::Awake(Box::new(Screen::new(size, memory)));
        self.0.insert(id, Entry { state, size, memory, begun: now, used: now, restless: false });
    }

    /// The screen of a terminal, to be changed.
    pub(super) fn get(&mut self, id: Id, now: Duration) -> Option<&mut Screen> {
        let entry = self.0.get_mut(&id)?;
        (entry.used, entry.restless) = (now, false);
        if let State::Asleep(stream) = &entry.state {
            let mut screen = Box::new(Screen::new(entry.size, entry.memory));
            screen.feed(stream);
            // It was told before.
            let _ = screen.heard();
            entry.state = State::Awake(screen);
        }
        match &mut entry.state {
            State::Awake(screen) => Some(screen),
            State::Asleep(_) => None,
        }
    }

    /// What makes another terminal show the same.
    pub(super) fn snapshot(&mut self, id: Id) -> Option<Vec<u8>> {
        Some(match &mut self.0.get_mut(&id)?.state {
            State::Awake(screen) => screen.snapshot(),
            State::Asleep(stream) => stream.clone(),
        })
    }

    /// A terminal is gone.
    pub(super) fn end(&mut self, id: Id) {
        self.0.remove(&id);
    }

    /// Whether one is to sleep soon.
    pub(super) fn are_too_many(&self) -> bool {
        self.awake().count() > AWAKE
    }

    /// Lets one sleep where too many are awake, the one that was used longest ago; whether there was one. Those with much
    /// above their screens take milliseconds, and wait until there is `time`.
    pub(super) fn rest(&mut self, now: Duration, time: bool) -> bool {
        if !self.are_too_many() {
            return false;
        }
        let idle = self.awake().filter(|(_, entry)| entry.is_idle(now) && (time || entry.is_quick()));
        let Some(id) = idle.min_by_key(|(_, entry)| entry.used).map(|(id, _)| *id) else { return false };
        if let Some(entry) = self.0.get_mut(&id) {
            entry.sleep();
        }
        true
    }

    fn awake(&self) -> impl Iterator<Item = (&Id, &Entry)> {
        self.0.iter().filter(|(_, entry)| !entry.restless && matches!(entry.state, State::Awake(_)))
    }
}

impl Entry {
    fn is_idle(&self, now: Duration) -> bool {
        now >= self.used + ((self.used - self.begun) / 4).clamp(IDLE, IDLE_MOST)
    }

    fn is_quick(&self) -> bool {
        matches!(&self.state, State::Awake(screen) if screen.scrollback() <= QUICK)
    }

    fn sleep(&mut self) {
        let State::Awake(screen) = &mut self.state else { return };
        let stream = screen.whole().filter(|stream| stream.len() <= STREAM_MAX);
        self.restless = stream.is_none();
        if let Some(mut stream) = stream {
            stream.shrink_to_fit();
            self.size = screen.size();
            self.state = State::Asleep(stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::screen::tests::{same, size, stream};
    use super::*;

    const MEMORY: usize = 1 << 20;

    fn rest(screens: &mut Screens, now: Duration) {
        while screens.rest(now, true) {}
    }

    fn second(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn those_that_were_used_last_stay_awake_and_a_busy_one_too() {
        let mut screens = Screens::default();
        for id in 0..60 {
            screens.begin(id, Size::USUAL, MEMORY, second(id));
        }
        rest(&mut screens, Duration::ZERO);
        assert!(screens.are_too_many(), "nothing is idle yet");
        screens.get(3, second(70)).expect("there").feed(b"busy");
        rest(&mut screens, second(70) + 2 * IDLE);
        let mut awake: Vec<Id> = screens.awake().map(|(id, _)| *id).collect();
        awake.sort_unstable();
        assert_eq!(awake, [vec![3], (53..60).collect()].concat());
        screens.get(4, second(70) + 3 * IDLE).expect("there").feed(b"more");
        for id in 5..30 {
            screens.begin(id, Size::USUAL, MEMORY, second(70));
        }
        rest(&mut screens, second(70) + 4 * IDLE);
        assert!(screens.awake().any(|(id, _)| *id == 3), "it was in use for long");
        rest(&mut screens, second(71) + 4 * IDLE);
        assert_eq!(screens.awake().count(), AWAKE);
        screens.get(0, second(75)).expect("there").feed(b"more");
        assert!(screens.are_too_many());
        screens.end(0);
        assert!(!screens.are_too_many() && screens.get(0, second(76)).is_none() && screens.snapshot(0).is_none());
    }

    #[test]
    fn one_that_cannot_sleep_does_not_keep_the_others_up() {
        let mut screens = Screens::default();
        for id in 0..60 {
            screens.begin(id, Size::USUAL, MEMORY, Duration::ZERO);
            screens.get(id, Duration::ZERO).expect("there").feed(b"\x1b[>1u");
        }
        rest(&mut screens, IDLE);
        assert!(!screens.are_too_many());
        screens.get(7, IDLE).expect("there").feed(b"\x1bc");
        rest(&mut screens, 2 * IDLE);
        assert!(!screens.are_too_many() && screens.snapshot(7).is_some());
    }

    #[test]
    fn one_with_much_above_its_screen_sleeps_when_there_is_time() {
        let mut screens = Screens::default();
        for id in 0..9 {
            screens.begin(id, Size::USUAL, MEMORY, Duration::ZERO);
            screens.get(id, Duration::ZERO).expect("there").feed("line\r\n".repeat(1000).as_bytes());
        }
        assert!(!screens.rest(IDLE, false));
        assert!(screens.rest(IDLE, true));
        assert!(!screens.are_too_many());
    }

    proptest! {
        #[test]
        fn a_screen_that_slept_shows_what_one_shows_that_was_awake(
            size in size(),
            larger in size(),
            pieces in prop::collection::vec(stream(12), 1..6),
        ) {
            let mut screens = Screens::default();
            let mut other = Screen::new(size, MEMORY);
            screens.begin(0, size, MEMORY, Duration::ZERO);
            for piece in &pieces {
                for screen in [&mut other, screens.get(0, Duration::ZERO).expect("there")] {
                    screen.feed(piece.as_bytes());
                }
                let title = other.heard().title;
                prop_assert_eq!(screens.get(0, Duration::ZERO).expect("there").heard().title, title);
                let awake = screens.snapshot(0).expect("there");
                screens.0.get_mut(&0).expect("there").sleep();
                prop_assert_eq!(screens.snapshot(0).expect("there"), awake);
                prop_assert_eq!(screens.get(0, Duration::ZERO).expect("there").heard().title, None);
                same(&other, screens.get(0, Duration::ZERO).expect("there"))?;
            }
            screens.get(0, Duration::ZERO).expect("there").resize(larger);
            screens.0.get_mut(&0).expect("there").sleep();
            prop_assert_eq!(screens.get(0, Duration::ZERO).expect("there").size(), larger);
        }
    }
}
