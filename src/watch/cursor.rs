//! A version of the whole list, as clients see it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A place in the history of changes: the boot that counts, and how many changes it had counted.
///
/// Written `<boot>-<n>`, for example `5f0c-42`; opaque to clients, who only hand it back. Numbers of two boots have
/// nothing to do with each other, so cursors are compared for equality only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor {
    boot: Arc<str>,
    n: u64,
}

/// The text is no cursor, or the boot id cannot be part of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCursor {
    /// A cursor is a boot id, a `-`, and a number without sign or leading zeros.
    #[error("a cursor is written <boot>-<n>")]
    Shape,
    /// The boot id is empty, longer than 64 bytes, or holds more than ASCII letters, digits, `.`, `_` and `-`.
    #[error("a boot id is 1 to 64 ASCII letters, digits, '.', '_' or '-'")]
    Boot,
}

impl Cursor {
    /// The place after `n` changes of `boot`.
    ///
    /// # Errors
    /// [`InvalidCursor::Boot`] when `boot` cannot be written in a header or an event id.
    pub fn new(boot: &str, n: u64) -> Result<Self, InvalidCursor> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if boot.is_empty() || boot.len() > 64 || !boot.bytes().all(allowed) {
            return Err(InvalidCursor::Boot);
        }
        Ok(Self { boot: boot.into(), n })
    }

    /// The run of the agent that this cursor belongs to.
    pub fn boot(&self) -> &str {
        &self.boot
    }

    /// How many changes that run had counted.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// The place after `n` changes of the same boot.
    pub(super) fn at(&self, n: u64) -> Self {
        Self { boot: self.boot.clone(), n }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.boot, self.n)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    /// Accepts exactly what `Display` writes. The boot id ends at the last `-`.
    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (boot, number) = text.rsplit_once('-').ok_or(InvalidCursor::Shape)?;
        // `u64::from_str` takes "+7" and "007" too; then two texts would be one cursor.
        let canonical = number == "0" || number.starts_with(|first: char| ('1'..='9').contains(&first));
        let n = number.parse().ok().filter(|_| canonical).ok_or(InvalidCursor::Shape)?;
        Self::new(boot, n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_cursor_is_an_error_value() {
        for text in ["", "-", "boot", "boot-", "boot-x", "boot-+7", "boot-007", "boot--", "boot-18446744073709551616"] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor::Shape), "{text:?}");
        }
        for text in ["-7", "bo ot-7", "b\noot-7", "böot-7"] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor::Boot), "{text:?}");
        }
        assert_eq!(Cursor::new(&"b".repeat(65), 7), Err(InvalidCursor::Boot));
    }

    #[test]
    fn the_boot_id_ends_at_the_last_dash() {
        let cursor: Cursor = "5f0c-11e8-42".parse().expect("a cursor");
        assert_eq!((cursor.boot(), cursor.n()), ("5f0c-11e8", 42));
    }

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(boot in "[A-Za-z0-9._-]{1,64}", n: u64) {
            let cursor = Cursor::new(&boot, n).expect("a good boot id");
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn any_text_that_parses_is_the_text_that_is_written(text in "\\PC{0,20}|[a-z0-9+-]{0,12}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }
}
