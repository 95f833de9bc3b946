//! Text for people: what came from elsewhere made harmless, ages, [`table`]s, [`transcript`]s of sessions.

pub mod markdown;
pub mod table;
pub mod transcript;

use jiff::Timestamp;

/// A text on one line and without characters that steer a terminal, whoever wrote it.
pub fn line(text: &str) -> String {
    text.chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

/// The same with its line breaks.
pub fn lines(text: &str) -> String {
    text.chars().map(|c| if steers(c) && c != '\n' { ' ' } else { c }).collect()
}

/// Control characters, and those that turn the direction of what follows: with these a text reads otherwise than it is.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Whether colours are wanted where there is a terminal: <https://no-color.org>.
pub fn colors() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// An age in one unit: `5s`, `3m`, `2h`, `4d`.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    // A clock that was set back makes nothing older than it is.
    let seconds = now.as_second().saturating_sub(since.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let at = |seconds| Timestamp::from_second(seconds).expect("in range");
        let ages = [0, 119, 120, 7_199, 7_200, 200_000, -5].map(|seconds| age(at(1_000), at(1_000 + seconds)));
        assert_eq!(ages, ["0s", "119s", "2m", "119m", "2h", "2d", "0s"]);
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        assert_eq!(line("a\x1b[2Jb\u{9b}c\u{202e}d\ne"), "a [2Jb c d e");
        assert_eq!(lines("a\r\n\tb"), "a \n b");
    }
}
