//! Logs of a workspace: where they come from, and how text becomes lines. Pure; worker and agent read the same files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// The longest line that is sent, in bytes; a longer one is cut into several.
pub const LINE: usize = 8 << 10;
/// Lines from the end, where nobody says how many, and at most.
pub const TAIL: u32 = 200;
/// The most of them.
pub const TAIL_MAX: u32 = 10_000;
/// Where the worker keeps logs inside a workspace.
pub const FOLDER: &str = "/var/log/perry";

/// Where lines come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "lowercase")]
pub enum LogSource {
    /// The container's own log: what PID 1 says.
    Boot,
    /// Clone, hooks and tools.
    Hooks,
    /// dockerd and containerd inside.
    Docker,
    /// The worker and sshd.
    Worker,
}

impl LogSource {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Boot, Self::Hooks, Self::Docker, Self::Worker];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Hooks => "hooks",
            Self::Docker => "docker",
            Self::Worker => "worker",
        }
    }

    /// The files in [`FOLDER`] that it is made of: `NAME.log`, and `NAME.log.1` before it. None for the container's own.
    pub fn files(self) -> &'static [&'static str] {
        match self {
            Self::Boot => &[],
            Self::Hooks => &["hooks", "tools"],
            Self::Docker => &["containerd", "dockerd"],
            Self::Worker => &["serve", "sshd"],
        }
    }
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[ts(optional_fields)]
pub struct LogLine {
    /// Where it comes from.
    pub source: LogSource,
    /// The program or file: `boot`, `hooks`, `tools`, `dockerd`, `sshd` …
    pub from: String,
    /// Without its line break; what is no UTF-8 is replaced.
    pub line: String,
}

/// Bytes that become lines as they come.
#[derive(Debug, Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// The lines that are whole by now.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(bytes);
        let mut lines = Vec::new();
        let mut start = 0;
        for end in self.0.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at) {
            lines.extend(cut(&self.0[start..end]));
            start = end + 1;
        }
        while self.0.len() - start > LINE {
            lines.push(text(&self.0[start..start + LINE]));
            start += LINE;
        }
        self.0.drain(..start);
        lines
    }

    /// What has come of a line that is not whole.
    pub fn rest(&mut self) -> Option<String> {
        (!self.0.is_empty()).then(|| text(&std::mem::take(&mut self.0)))
    }
}

/// The last lines of a text.
pub fn last(bytes: &[u8], tail: usize) -> Vec<String> {
    let mut lines = Lines::default();
    let mut all = lines.push(bytes);
    all.extend(lines.rest());
    all.split_off(all.len().saturating_sub(tail))
}

fn cut(line: &[u8]) -> Vec<String> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() { vec![String::new()] } else { line.chunks(LINE).map(text).collect() }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_lines_are_told_also_one_without_an_end() {
        assert_eq!(last(b"a\nb\r\n\nc", 3), ["b", "", "c"]);
        assert_eq!(last(b"", 3), [""; 0]);
        assert_eq!(last(b"a\n\xff\x00b\n", 1), ["\u{fffd}\0b"]);
        let long = last(&vec![b'x'; 3 * LINE + 1], 10);
        assert_eq!(long.iter().map(String::len).collect::<Vec<_>>(), [LINE, LINE, LINE, 1]);
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_the_bytes_come(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..200), cuts in prop::collection::vec(0..200_usize, 0..5),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut lines = Lines::default();
            let (mut found, mut start) = (Vec::new(), 0);
            for end in cuts.into_iter().chain([bytes.len()]) {
                found.extend(lines.push(&bytes[start..end]));
                start = end;
            }
            found.extend(lines.rest());
            prop_assert_eq!(found, last(&bytes, usize::MAX));
        }
    }
}
