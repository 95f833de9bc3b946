//! Where a stream of output is in the middle of something: an escape sequence or a character that has begun and not ended.
//! A snapshot is followed by the rest of the stream, so what has begun goes along with it.

use memchr::memrchr;

/// Of a sequence that has begun, so many bytes are kept. A longer one (an image, a clipboard) goes along as one that is
/// ignored to its end.
const LONGEST: usize = 16 << 10;
/// Begins a string that terminals ignore up to its terminator (SOS of ECMA-48).
const IGNORED: &[u8] = b"\x1bX";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Plain text.
    #[default]
    Ground,
    /// After ESC.
    Escape,
    /// After ESC and intermediate bytes.
    EscapeMore,
    /// Within a control sequence (CSI).
    Csi,
    /// Within OSC, which BEL ends too.
    Osc,
    /// Within DCS, SOS, PM or APC.
    Text,
    /// After an ESC within one of those.
    TextEscape,
    /// Within a character of UTF-8: so many bytes are to come.
    Character(u8),
}

/// Follows a stream, and knows what of it has begun and not ended.
#[derive(Debug, Default)]
pub(super) struct Boundary {
    state: State,
    begun: Vec<u8>,
    /// `begun` is not all of it.
    cut: bool,
}

impl Boundary {
    /// Follows what comes next.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let from = if self.state == State::Ground { resume(bytes) } else { 0 };
        for byte in &bytes[from..] {
            self.step(*byte);
        }
    }

    /// What is to be said so that the rest of the stream means what it meant: usually nothing.
    pub(super) fn begun(&self) -> &[u8] {
        if self.cut { IGNORED } else { &self.begun }
    }

    fn step(&mut self, byte: u8) {
        let before = self.state;
        self.state = next(before, byte);
        if self.state == State::Ground {
            self.begun.clear();
            self.cut = false;
            return;
        }
        // What does not go on with a character ends it, and has begun another.
        if matches!(before, State::Character(_)) && !matches!(byte, 0x80..=0xbf) {
            self.begun.clear();
        }
        // What ends no string begins an escape sequence.
        if before == State::TextEscape {
            self.begun = vec![0x1b];
        }
        let within = matches!(before, State::TextEscape | State::Escape | State::EscapeMore | State::Csi);
        match byte {
            // It begins another.
            0x1b if self.state == State::Escape => self.begun.clear(),
            0x1b => {}
            // It has been obeyed already.
            0..0x20 | 0x7f if within => return,
            _ => {}
        }
        if self.begun.len() < LONGEST {
            self.begun.push(byte);
        } else {
            self.cut = true;
        }
    }
}

/// From where on plain text must be looked at: what is before has ended. Everything that begins begins with an ESC, but
/// the last one may end what the one before began; and characters have at most four bytes.
fn resume(bytes: &[u8]) -> usize {
    let tail = bytes.len().saturating_sub(3);
    let Some(last) = memrchr(0x1b, bytes) else { return tail };
    memrchr(0x1b, &bytes[..last]).unwrap_or(last).min(tail)
}

fn next(state: State, byte: u8) -> State {
    match (state, byte) {
        // CAN and SUB end anything.
        (_, 0x18 | 0x1a) => State::Ground,
        (State::Osc | State::Text, 0x1b) => State::TextEscape,
        (State::TextEscape, b'\\') => State::Ground,
        (_, 0x1b) => State::Escape,
        // Other control characters within a sequence are obeyed and are no part of it.
        (State::TextEscape | State::Escape, 0..0x20 | 0x7f) => State::Escape,
        (State::EscapeMore, 0..0x20 | 0x7f) => State::EscapeMore,
        // What follows ESC within a string begins anew, as terminals have it.
        (State::TextEscape | State::Escape, _) => after_escape(byte),
        (State::Ground, _) => begin(byte),
        (State::EscapeMore, 0x20..=0x2f) => State::EscapeMore,
        (State::EscapeMore, _) => State::Ground,
        (State::Csi, 0x40..=0x7e) => State::Ground,
        (State::Csi, _) => State::Csi,
        (State::Osc, 0x07) => State::Ground,
        (State::Osc, _) => State::Osc,
        (State::Text, _) => State::Text,
        (State::Character(left @ 2..), 0x80..=0xbf) => State::Character(left - 1),
        (State::Character(_), 0x80..=0xbf) => State::Ground,
        (State::Character(_), _) => begin(byte),
    }
}

fn after_escape(byte: u8) -> State {
    match byte {
        b'[' => State::Csi,
        b']' => State::Osc,
        b'P' | b'X' | b'^' | b'_' => State::Text,
        0x1b => State::Escape,
        0x20..=0x2f => State::EscapeMore,
        _ => State::Ground,
    }
}

fn begin(byte: u8) -> State {
    match byte {
        0xc2..=0xdf => State::Character(1),
        0xe0..=0xef => State::Character(2),
        0xf0..=0xf4 => State::Character(3),
        _ => State::Ground,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn begun(pieces: &[&[u8]]) -> Vec<u8> {
        let mut boundary = Boundary::default();
        pieces.iter().for_each(|piece| boundary.feed(piece));
        boundary.begun().to_vec()
    }

    #[test]
    fn what_has_ended_is_not_said_again() {
        for text in [
            "",
            "abc",
            "\x1b[31mred",
            "\x1b]0;title\x07",
            "\x1b]0;title\x1b\\",
            "\x1bPq#0\x1b\\x",
            "é",
            "\x1b(B",
            "\x1b7",
        ] {
            assert_eq!(begun(&[text.as_bytes()]), b"", "{text:?}");
        }
    }

    #[test]
    fn what_has_begun_is_said_again() {
        for (before, rest) in [
            ("x", "\x1b"),
            ("x\x1b[m", "\x1b[38;5;1"),
            ("", "\x1b]8;;http://a"),
            ("\x1b[m", "\x1b]0;ti\x1b"),
            ("", "\x1bP0;1q\"1;1"),
            ("", "\x1b("),
        ] {
            assert_eq!(begun(&[before.as_bytes(), rest.as_bytes()]), rest.as_bytes());
            assert_eq!(begun(&[format!("{before}{rest}").as_bytes()]), rest.as_bytes());
        }
        assert_eq!(begun(&["a\u{1f600}".as_bytes(), &[0xf0, 0x9f]]), [0xf0, 0x9f]);
    }

    #[test]
    fn a_character_that_another_one_broke_off_is_not_said_again() {
        assert_eq!(begun(&[&[0xe2], &[0xf0], &[0xe2, 0x82]]), [0xe2, 0x82]);
        assert_eq!(begun(&[&[0xe2], &[0xf0], b"a"]), b"");
    }

    #[test]
    fn a_control_character_within_a_sequence_is_not_said_again() {
        assert_eq!(begun(&[b"ab\x1b[2\x08"]), b"\x1b[2");
        assert_eq!(begun(&[b"ab\x1b\r"]), b"\x1b");
        assert_eq!(begun(&[b"ab\x1b(\n"]), b"\x1b(");
    }

    #[test]
    fn an_image_that_is_too_long_is_ignored_to_its_end() {
        let mut boundary = Boundary::default();
        boundary.feed(b"\x1bPq");
        boundary.feed(&vec![b'~'; 1 << 20]);
        assert_eq!(boundary.begun(), b"\x1bX");
        assert!(boundary.begun.capacity() <= 2 * LONGEST);
        boundary.feed(b"\x1b\\");
        assert_eq!(boundary.begun(), b"");
    }

    proptest! {
        /// Whichever way the stream is cut: after the shortcut for plain text as after every single byte.
        #[test]
        fn what_has_begun_does_not_depend_on_how_the_stream_came(
            bytes in prop::collection::vec(prop::sample::select(b"\x1b\x1b\x1b[]P\\(x;m1\x07\xe2\x82\xac\xf0".to_vec()), 0..60),
            cuts in prop::collection::vec(0_usize..60, 0..5),
        ) {
            let mut whole = Boundary::default();
            bytes.iter().for_each(|byte| whole.step(*byte));
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut pieces = Boundary::default();
            for pair in cuts.windows(2) {
                pieces.feed(&bytes[pair[0]..pair[1]]);
            }
            // A string that began two sequences before is not seen any more, which costs no more than its own effect.
            if pieces.state == whole.state {
                prop_assert_eq!(pieces.begun(), whole.begun());
            }
        }
    }
}
