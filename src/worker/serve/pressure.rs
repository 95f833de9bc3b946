//! Little room on disk is told before it is a failure.

use std::path::Path;
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use tokio::sync::watch;

use super::Side;
use crate::model::desired::{DOCKER_DATA, HOME};
use crate::model::quantity::Bytes;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(10);
/// A tenth of the disk, but no more than this, is little.
const LITTLE: u64 = 2 << 30;
/// What is told is taken back once there is so much more, in percent, so that it does not come and go.
const RELIEF: u64 = 120;
/// Files that may still be made, in percent of all.
const FEW_FILES: u64 = 5;

/// What a file system has, and has left.
#[derive(Debug, Clone, Copy)]
struct Room {
    bytes: (u64, u64),
    files: (u64, u64),
}

/// Looks from time to time, and tells in `side`. Without end.
pub(super) async fn watch(side: watch::Sender<Side>) {
    loop {
        let before = side.borrow().pressure.is_some();
        let places = ["/", HOME, DOCKER_DATA];
        let told = places.iter().find_map(|place| told(place, &room(Path::new(place))?, before));
        side.send_if_modified(|side| {
            // How much is left changes all the time; that it is little does not.
            let changed = side.pressure.is_some() != told.is_some();
            if changed {
                side.pressure = told;
            }
            changed
        });
        tokio::time::sleep(LOOK).await;
    }
}

fn room(place: &Path) -> Option<Room> {
    let found = statvfs(place).ok()?;
    let size = found.fragment_size();
    Some(Room {
        bytes: (found.blocks() * size, found.blocks_available() * size),
        files: (found.files(), found.files_available()),
    })
}

/// What is to be said of a place; `before`: something was said already.
fn told(place: &str, room: &Room, before: bool) -> Option<String> {
    let factor = if before { RELIEF } else { 100 };
    let (all, left) = room.bytes;
    if left < (all / 10).min(LITTLE) / 100 * factor {
        let percent = left * 100 / all.max(1);
        return Some(format!("{place} has {} left ({percent} %)", rounded(left)));
    }
    let (all, left) = room.files;
    (all > 0 && left.saturating_mul(10_000) < all.saturating_mul(FEW_FILES * factor))
        .then(|| format!("{place} has room for {left} more files only"))
}

/// For people: three digits are enough.
fn rounded(bytes: u64) -> Bytes {
    let unit = [1_u64 << 30, 1 << 20, 1 << 10].into_iter().find(|unit| bytes >= *unit).unwrap_or(1);
    Bytes(bytes / unit * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn with(all: u64, left: u64) -> Room {
        Room { bytes: (all, left), files: (1000, 900) }
    }

    #[test]
    fn a_tenth_is_little_and_two_gibibytes_are_enough() {
        assert_eq!(told("/", &with(10 * GIB, GIB / 2), false).as_deref(), Some("/ has 512Mi left (5 %)"));
        assert_eq!(told("/", &with(10 * GIB, 2 * GIB), false), None);
        assert_eq!(told("/", &with(1000 * GIB, 3 * GIB), false), None);
        assert_eq!(told("/", &with(1000 * GIB, GIB), false).as_deref(), Some("/ has 1Gi left (0 %)"));
        assert!(told("/", &with(0, 0), false).is_none(), "a file system without a size, as of the kernel's own");
    }

    #[test]
    fn what_was_told_is_taken_back_only_when_there_is_clearly_more() {
        let bit_more = with(10 * GIB, GIB + GIB / 10);
        assert!(told("/", &bit_more, true).is_some() && told("/", &bit_more, false).is_none());
        assert!(told("/", &with(10 * GIB, GIB + GIB / 4), true).is_none());
    }

    #[test]
    fn few_files_are_told_and_file_systems_without_a_number_are_not() {
        let files = |all, left| Room { bytes: (10 * GIB, 9 * GIB), files: (all, left) };
        assert_eq!(told("/x", &files(1000, 40), false).as_deref(), Some("/x has room for 40 more files only"));
        assert_eq!(told("/x", &files(1000, 60), false), None);
        assert_eq!(told("/x", &files(0, 0), false), None);
    }
}
