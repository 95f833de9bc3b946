//! [`Shortener`]: a JSON text without the ends of its long strings, so that a record of any length fits into memory and is
//! still the record that it was.

/// Bytes of a string that are kept.
pub const STRING_KEPT: usize = 64 << 10;

/// Takes a text piece by piece.
#[derive(Debug)]
pub struct Shortener {
    out: Vec<u8>,
    max: usize,
    kept: usize,
    within: Within,
    dropping: bool,
    overflown: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Structure,
    String,
    /// After a backslash, with so many bytes of the escape to come.
    Escape(u8),
}

impl Shortener {
    /// One that gives at most `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { out: Vec::new(), max, kept: 0, within: Within::Structure, dropping: false, overflown: false }
    }

    /// Takes the next piece; it may end anywhere.
    pub fn feed(&mut self, piece: &[u8]) {
        for byte in piece {
            self.step(*byte);
        }
    }

    /// The text; `None` where it was too long all the same.
    pub fn finish(self) -> Option<Vec<u8>> {
        (!self.overflown).then_some(self.out)
    }

    fn step(&mut self, byte: u8) {
        match self.within {
            Within::Structure => {
                if byte == b'"' {
                    (self.within, self.kept, self.dropping) = (Within::String, 0, false);
                }
                self.emit(byte);
            }
            Within::Escape(left) => {
                let left = if left == 1 && byte == b'u' { 5 } else { left };
                self.within = if left > 1 { Within::Escape(left - 1) } else { Within::String };
                self.keep(byte);
            }
            Within::String if byte == b'"' => {
                self.within = Within::Structure;
                self.emit(byte);
            }
            Within::String => {
                // Cut only where a character begins.
                if self.kept >= STRING_KEPT && !self.dropping && !(0x80..0xC0).contains(&byte) {
                    self.dropping = true;
                    self.drop_half_pair();
                }
                if byte == b'\\' {
                    self.within = Within::Escape(1);
                }
                self.keep(byte);
            }
        }
    }

    fn keep(&mut self, byte: u8) {
        if !self.dropping {
            self.kept += 1;
            self.emit(byte);
        }
    }

    /// The first half of a character that is written as two escapes means nothing alone.
    fn drop_half_pair(&mut self) {
        let Some(tail) = self.out.len().checked_sub(6).map(|at| &self.out[at..]) else { return };
        if tail.starts_with(b"\\u") && tail[2].eq_ignore_ascii_case(&b'd') && b"89abAB".contains(&tail[3]) {
            self.out.truncate(self.out.len() - 6);
        }
    }

    fn emit(&mut self, byte: u8) {
        if self.out.len() < self.max {
            self.out.push(byte);
        } else {
            self.overflown = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn short(text: &str, pieces: usize) -> Option<Vec<u8>> {
        let mut shortener = Shortener::new(1 << 20);
        text.as_bytes().chunks(pieces.max(1)).for_each(|piece| shortener.feed(piece));
        shortener.finish()
    }

    #[test]
    fn a_long_string_is_cut_between_characters_and_the_rest_stays() {
        for unit in ["x", "ü", "日", "🌍", "\\n", "\\\\", "\\\"", "\\u00e9", "\\ud83d\\ude00"] {
            let long = unit.repeat(2 * STRING_KEPT / unit.len());
            for lead in ["", "a", "ab", "abc", "abcd", "abcde"] {
                let text = format!(r#"{{"a": "{lead}{long}", "b": ["{unit}", 1]}}"#);
                let short = short(&text, 1000).expect("short enough");
                let value: Value = serde_json::from_slice(&short).expect("still JSON");
                let whole: Value = serde_json::from_str(&text).expect("JSON");
                let (kept, all) = (value["a"].as_str().expect("text"), whole["a"].as_str().expect("text"));
                assert!(all.starts_with(kept) && kept.len() > STRING_KEPT / 8 && short.len() < STRING_KEPT + 100);
                assert_eq!(value["b"], whole["b"]);
            }
        }
    }

    #[test]
    fn what_is_long_for_its_structure_is_given_up() {
        assert_eq!(short(&format!("[{}1]", "1,".repeat(1 << 20)), 4096), None);
    }

    proptest! {
        #[test]
        fn a_text_without_long_strings_stays_as_it_is(text in "[\\PC\\\\\"]{0,200}", pieces in 1_usize..50) {
            prop_assert_eq!(short(&text, pieces).expect("short"), text.into_bytes());
        }
    }
}
