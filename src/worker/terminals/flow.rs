//! Who is sent what, and whether the program may print more: pure, `now` as an argument.
//!
//! A viewer has at most a window of bytes on its way. The program waits for the viewer that is furthest, and for that one
//! only for a while: who is slower than others, or asleep, gets what is still kept, else a snapshot. One whose connection
//! broke is waited for a little too, so that a short cut loses nothing.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::ring::Ring;
use crate::contract::terminal::{DATA_MAX, Size, WINDOW};

/// A viewer of one terminal.
pub(super) type ViewerId = u64;

/// What a viewer's window begins with, and is while it acknowledges at once: so little is what a Ctrl-C waits for.
const WINDOW_FIRST: u64 = 64 << 10;
/// A viewer that takes longer to make room gets a larger window.
const FAR: Duration = Duration::from_millis(2);
/// For so long the program waits for a viewer that takes nothing, or whose connection broke.
const PATIENCE: Duration = Duration::from_secs(3);
/// Viewers that may come back and are waited for.
const DEPARTED: usize = 4;
/// Changes of size that are told in their place among the data; more are told too early.
const MARKS: usize = 64;
/// What is left free of the ring before a departed viewer would lose something.
const SLACK: u64 = 64 << 10;

/// What is to be sent to a viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing before something changes.
    Nothing,
    /// So many bytes from this number on.
    Data(u64, usize),
    /// Its terminal has this size from here on.
    Resized(Size),
    /// A snapshot.
    Snapshot,
}

/// Whether the program's output may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// Yes.
    Go,
    /// Not before a viewer has acknowledged something, or it is this time.
    Wait(Duration),
}

#[derive(Debug)]
struct Viewer {
    /// The next byte to send; `None`: a snapshot comes first.
    next: Option<u64>,
    acked: u64,
    window: u64,
    /// Since when it has had no room.
    full: Option<Duration>,
    /// The number of the next change of size to tell.
    mark: u64,
}

#[derive(Debug)]
struct Mark {
    at: u64,
    size: Size,
}

/// The output of one terminal and who is to have it.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) ring: Ring,
    viewers: BTreeMap<ViewerId, Viewer>,
    /// What those had whose connection broke, and until when they are waited for.
    departed: VecDeque<(u64, Duration)>,
    marks: VecDeque<Mark>,
    /// The number of the first of `marks`.
    first_mark: u64,
}

impl Flow {
    /// Nobody looks yet.
    pub(super) fn new(ring: Ring) -> Self {
        Self { ring, viewers: BTreeMap::new(), departed: VecDeque::new(), marks: VecDeque::new(), first_mark: 0 }
    }

    /// A viewer comes, who has everything before `have`; else, or where that is not kept, it gets a snapshot.
    pub(super) fn attach(&mut self, id: ViewerId, have: Option<u64>) {
        let next = have.filter(|have| (self.ring.start()..=self.ring.head()).contains(have));
        let acked = next.unwrap_or(self.ring.head());
        let mark = self.first_mark + self.marks.len() as u64;
        self.viewers.insert(id, Viewer { next, acked, window: WINDOW_FIRST, full: None, mark });
    }

    /// A viewer goes; `returns`: its connection broke, and it may come back.
    pub(super) fn detach(&mut self, id: ViewerId, returns: bool, now: Duration) {
        let Some(viewer) = self.viewers.remove(&id) else { return };
        if returns && viewer.next.is_some() && !viewer.is_stalled(now) {
            if self.departed.len() == DEPARTED {
                self.departed.pop_front();
            }
            self.departed.push_back((viewer.acked, now + PATIENCE));
        }
    }

    /// The terminal has another size from here on.
    pub(super) fn resized(&mut self, size: Size) {
        if self.marks.len() == MARKS {
            self.marks.pop_front();
            self.first_mark += 1;
        }
        self.marks.push_back(Mark { at: self.ring.head(), size });
    }

    /// A viewer has rendered everything before this number; whether that makes a difference.
    pub(super) fn acked(&mut self, id: ViewerId, sequence: u64, now: Duration) -> bool {
        let Some(viewer) = self.viewers.get_mut(&id) else { return false };
        let sent = viewer.next.unwrap_or(viewer.acked);
        let sequence = sequence.min(sent);
        if sequence <= viewer.acked {
            return false;
        }
        viewer.acked = sequence;
        let waited = viewer.full.take().map(|since| now.saturating_sub(since));
        if waited.is_some_and(|waited| waited >= FAR) {
            viewer.window = (viewer.window * 2).min(WINDOW);
        }
        true
    }

    /// What is to be sent to a viewer now.
    pub(super) fn next(&self, id: ViewerId) -> Next {
        let Some(viewer) = self.viewers.get(&id) else { return Next::Nothing };
        let Some(next) = viewer.next else { return Next::Snapshot };
        let way = next - viewer.acked;
        if next < self.ring.start() {
            // Not before it has taken most of what it was sent.
            return if way <= viewer.window / 2 { Next::Snapshot } else { Next::Nothing };
        }
        let mark = usize::try_from(viewer.mark.saturating_sub(self.first_mark)).ok().and_then(|at| self.marks.get(at));
        if let Some(mark) = mark.filter(|mark| mark.at <= next) {
            return Next::Resized(mark.size);
        }
        let until = mark.map_or(self.ring.head(), |mark| mark.at);
        let most = (until - next).min(viewer.window.saturating_sub(way));
        match usize::try_from(most).unwrap_or(DATA_MAX).min(DATA_MAX) {
            0 => Next::Nothing,
            length => Next::Data(next, length),
        }
    }

    /// That was sent: so many bytes.
    pub(super) fn sent(&mut self, id: ViewerId, length: usize) {
        if let Some(next) = self.viewers.get_mut(&id).and_then(|viewer| viewer.next.as_mut()) {
            *next += length as u64;
        }
    }

    /// That was sent: a change of size.
    pub(super) fn told_size(&mut self, id: ViewerId) {
        let first = self.first_mark;
        if let Some(viewer) = self.viewers.get_mut(&id) {
            viewer.mark = viewer.mark.max(first) + 1;
        }
    }

    /// A snapshot is being made, of everything before this number and all changes of size until now: the program does not
    /// run away meanwhile.
    pub(super) fn snapshot_begun(&mut self, id: ViewerId) -> u64 {
        let (head, mark) = (self.ring.head(), self.first_mark + self.marks.len() as u64);
        if let Some(viewer) = self.viewers.get_mut(&id) {
            (viewer.next, viewer.acked, viewer.full, viewer.mark) = (None, head, None, mark);
        }
        head
    }

    /// A snapshot of everything before this number is sent.
    pub(super) fn snapshot_sent(&mut self, id: ViewerId, sequence: u64) {
        if let Some(viewer) = self.viewers.get_mut(&id) {
            (viewer.next, viewer.acked) = (Some(sequence), sequence);
        }
    }

    /// Whether everything was sent to a viewer.
    pub(super) fn is_done(&self, id: ViewerId) -> bool {
        self.viewers.get(&id).is_none_or(|viewer| viewer.next == Some(self.ring.head()))
    }

    /// Whether the program may print more.
    pub(super) fn may_read(&mut self, now: Duration) -> Read {
        let (head, capacity) = (self.ring.head(), self.ring.capacity() as u64);
        self.departed.retain(|(_, until)| *until > now);
        let mut until: Option<Duration> = None;
        for viewer in self.viewers.values_mut() {
            let room = if viewer.next.is_none() { capacity / 2 } else { viewer.window };
            if head - viewer.acked < room {
                return Read::Go;
            }
            let since = *viewer.full.get_or_insert(now);
            if !viewer.is_stalled(now) {
                until = Some(until.map_or(since, |other| other.max(since)));
            }
        }
        match until {
            Some(since) => Read::Wait(since + PATIENCE),
            None if self.viewers.is_empty() => self.await_departed(head, capacity),
            None => Read::Go,
        }
    }

    /// Until when one is waited for whose connection broke, and who will get what was printed meanwhile.
    pub(super) fn awaited(&self, now: Duration) -> Option<Duration> {
        self.departed.iter().map(|(_, until)| *until).filter(|until| *until > now).max()
    }

    fn await_departed(&self, head: u64, capacity: u64) -> Read {
        let would_lose =
            |(acked, _): &&(u64, Duration)| head - *acked >= capacity - SLACK && self.ring.start() <= *acked;
        match self.departed.iter().filter(would_lose).map(|(_, until)| *until).max() {
            Some(until) => Read::Wait(until),
            None => Read::Go,
        }
    }
}

impl Viewer {
    fn is_stalled(&self, now: Duration) -> bool {
        self.full.is_some_and(|since| now.saturating_sub(since) >= PATIENCE)
    }
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
