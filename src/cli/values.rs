//! Values of arguments.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::model::Name;
use crate::model::name::NameError;

/// A workspace's name, also as `workspace/NAME`.
pub(super) fn name(text: &str) -> Result<Name, NameError> {
    text.strip_prefix("workspace/").unwrap_or(text).parse()
}

/// One of some values, by its name; the others are told where it is none of them.
pub(super) fn one_of<T: Copy + Send + Sync>(
    all: &'static [T],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    let found = move |given: String| all.iter().copied().find(|value| name(*value) == given);
    PossibleValuesParser::new(all.iter().map(|value| name(*value)))
        .try_map(move |given| found(given).ok_or("is none of them"))
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

/// An amount of bytes for people: `0 B`, `812 KiB`, `1.4 GiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // In hundredths of a unit it stays exact enough, and whole.
    let (mut amount, mut unit) = (u128::from(bytes) * 100 / 1024, 0);
    while amount >= 102_400 && unit + 1 < UNITS.len() {
        (amount, unit) = (amount / 1024, unit + 1);
    }
    let (whole, tenth) = (amount / 100, amount % 100 / 10);
    if whole < 10 { format!("{whole}.{tenth} {}", UNITS[unit]) } else { format!("{whole} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_the_unit_that_fits() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10_239, "9.9 KiB"),
            (10_240, "10 KiB"),
            (1_048_575, "1023 KiB"),
            (1_048_576, "1.0 MiB"),
            (1_503_238_553, "1.3 GiB"),
            (u64::MAX, "16383 PiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

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
    fn spans_are_short() {
        assert_eq!([span(7), span(12_340), span(245_000)], ["7 ms", "12.3 s", "4 min 5 s"]);
    }
}
