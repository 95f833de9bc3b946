//! Values of arguments.

use std::time::Duration;

use crate::model::Name;
use crate::model::name::NameError;

/// A workspace's name, also as `workspace/NAME`.
pub(super) fn name(text: &str) -> Result<Name, NameError> {
    text.strip_prefix("workspace/").unwrap_or(text).parse()
}

/// A time span: `90`, `30s`, `5m`, `1h 30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time span: write one such as 30s, 5m or 1h");
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    let span: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    // The most that tokio's timers hold without overflow is far beyond a year.
    Duration::try_from(span).ok().filter(|span| *span <= Duration::from_secs(366 * 86_400)).ok_or_else(wrong)
}

/// A duration for people: `850 ms`, `12.3 s`, `4 min 5 s`.
pub(super) fn span(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        _ => format!("{} min {} s", millis / 60_000, millis % 60_000 / 1_000),
    }
}

/// A text from the agent on one line and without control characters: what an engine or a program in a workspace said
/// must not steer a terminal.
pub(super) fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The same with its line breaks.
pub(super) fn lines(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// An age in one unit: `5s`, `3m`, `2h`, `4d`.
pub(super) fn age(since: jiff::Timestamp, now: jiff::Timestamp) -> String {
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
    fn time_spans_are_read() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["", "soon", "-5s", "99999999999999h", "5 bananas"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ages_are_short() {
        let at = |seconds| jiff::Timestamp::from_second(seconds).expect("in range");
        let ages = [0, 119, 120, 7_199, 7_200, 200_000, -5].map(|seconds| age(at(1_000), at(1_000 + seconds)));
        assert_eq!(ages, ["0s", "119s", "2m", "119m", "2h", "2d", "0s"]);
        assert_eq!([span(7), span(12_340), span(245_000)], ["7 ms", "12.3 s", "4 min 5 s"]);
    }
}
