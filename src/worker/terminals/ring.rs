//! The last bytes that a terminal printed, each with its number.

/// What a terminal begins with, in bytes; most never print more at once.
const FIRST: usize = 4 << 10;

/// Numbered bytes, of which the last are kept. It grows with what is written to it, up to its capacity.
#[derive(Debug)]
pub(super) struct Ring {
    bytes: Vec<u8>,
    /// The number of the byte after the last.
    head: u64,
    /// How many are kept.
    kept: usize,
    capacity: usize,
}

impl Ring {
    /// Nothing yet; the first byte will have the number `first`.
    pub(super) fn new(capacity: usize, first: u64) -> Self {
        assert!(capacity.is_power_of_two() && capacity >= FIRST, "places are found by a mask");
        Self { bytes: Vec::new(), head: first, kept: 0, capacity }
    }

    /// The number after the last byte.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// The number of the first byte that is kept.
    pub(super) fn start(&self) -> u64 {
        self.head - self.kept as u64
    }

    /// The most bytes that are kept.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Appends.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        if bytes.len() > self.capacity {
            let lost = bytes.len() - self.capacity;
            self.head += lost as u64;
            self.kept = 0;
            bytes = &bytes[lost..];
        }
        self.make_room(bytes.len());
        let at = self.place(self.head);
        let first = bytes.len().min(self.bytes.len() - at);
        self.bytes[at..at + first].copy_from_slice(&bytes[..first]);
        self.bytes[..bytes.len() - first].copy_from_slice(&bytes[first..]);
        self.head += bytes.len() as u64;
        self.kept = (self.kept + bytes.len()).min(self.bytes.len());
    }

    /// The bytes from a number on, at most `most`, in two pieces. `None` where they are not kept (any more), or not there
    /// yet.
    pub(super) fn from(&self, sequence: u64, most: usize) -> Option<(&[u8], &[u8])> {
        if sequence < self.start() || sequence > self.head {
            return None;
        }
        let length = usize::try_from(self.head - sequence).unwrap_or(usize::MAX).min(most);
        if length == 0 {
            return Some((&[], &[]));
        }
        let at = self.place(sequence);
        let first = length.min(self.bytes.len() - at);
        Some((&self.bytes[at..at + first], &self.bytes[..length - first]))
    }

    /// Lets go of all but the last `keep` bytes, and of the memory.
    pub(super) fn shrink(&mut self, keep: usize) {
        let keep = keep.min(self.kept);
        let (first, second) = self.from(self.head - keep as u64, keep).unwrap_or_default();
        let rest = [first, second].concat();
        (self.bytes, self.kept, self.head) = (Vec::new(), 0, self.head - keep as u64);
        self.push(&rest);
    }

    fn place(&self, sequence: u64) -> usize {
        // The length is a power of two, and no longer than what can be addressed.
        usize::try_from(sequence & (self.bytes.len() as u64 - 1)).unwrap_or(0)
    }

    /// Grows where bytes would be lost that the capacity has room for.
    fn make_room(&mut self, more: usize) {
        let needed = (self.kept + more).clamp(FIRST, self.capacity).next_power_of_two();
        if needed <= self.bytes.len() {
            return;
        }
        let (first, second) = self.from(self.start(), self.kept).unwrap_or_default();
        let old = [first, second].concat();
        let from = self.start();
        self.bytes = vec![0; needed];
        let at = self.place(from);
        let first = old.len().min(needed - at);
        self.bytes[at..at + first].copy_from_slice(&old[..first]);
        self.bytes[..old.len() - first].copy_from_slice(&old[first..]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(ring: &Ring, from: u64, most: usize) -> Option<Vec<u8>> {
        ring.from(from, most).map(|(first, second)| [first, second].concat())
    }

    #[test]
    fn what_was_not_kept_is_not_made_up() {
        let mut ring = Ring::new(4 << 10, 7);
        assert_eq!(read(&ring, 7, 10), Some(Vec::new()));
        assert_eq!(read(&ring, 8, 10), None, "not there yet");
        ring.push(&[1; 5000]);
        assert_eq!((ring.start(), ring.head()), (7 + 5000 - 4096, 5007));
        assert_eq!(read(&ring, ring.start() - 1, 1), None);
    }

    proptest! {
        #[test]
        fn the_last_bytes_are_kept_under_their_numbers(
            first in 0_u64..1 << 40,
            pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..9000), any::<bool>()), 0..12),
        ) {
            let mut ring = Ring::new(8 << 10, first);
            let mut all: Vec<u8> = Vec::new();
            for (piece, shrink) in pieces {
                ring.push(&piece);
                all.extend(&piece);
                let wanted = all.len().min(if shrink { 100 } else { ring.kept });
                if shrink {
                    ring.shrink(100);
                }
                prop_assert!(ring.bytes.len() <= 8 << 10);
                prop_assert_eq!(ring.head(), first + all.len() as u64);
                prop_assert_eq!(ring.head() - ring.start(), wanted as u64);
                for back in [0, wanted / 2, wanted] {
                    let from = ring.head() - back as u64;
                    prop_assert_eq!(read(&ring, from, back), Some(all[all.len() - back..].to_vec()));
                    prop_assert_eq!(read(&ring, from, 3), Some(all[all.len() - back..][..back.min(3)].to_vec()));
                }
            }
        }
    }
}
