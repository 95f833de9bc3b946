//! `perry logs`.

use std::io::{IsTerminal as _, stdout};

use crate::contract::{LogLine, LogSource, LogsInput};
use crate::model::Name;

use super::context::Context;
use super::failure::{DONE, Failure, Outcome};
use super::values;

/// Say what a workspace and its hooks print
///
/// Also of one that does not run. Without --source every line has the program before it that printed it.
#[derive(Debug, clap::Args)]
pub(super) struct Logs {
    /// Which.
    #[arg(value_parser = values::name)]
    name: Name,
    /// Go on with new lines as they come, until the workspace stops.
    #[arg(short, long)]
    follow: bool,
    /// So many lines from the end of each program's log, at most 10000.
    #[arg(long, default_value = "200", value_name = "N", value_parser = clap::value_parser!(u32).range(..=10_000))]
    tail: u32,
    /// Only these: boot, hooks (clone and tools among them), docker or worker.
    #[arg(long, value_name = "SOURCE", value_parser = source)]
    source: Option<LogSource>,
    /// Each line as a line of JSON.
    #[arg(long)]
    json: bool,
}

fn source(text: &str) -> Result<LogSource, &'static str> {
    let known = LogSource::ALL.into_iter().find(|source| source.as_str() == text);
    known.ok_or("write boot, hooks, docker or worker")
}

impl Logs {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        let input =
            LogsInput { name: self.name.clone(), source: self.source, tail: Some(self.tail), follow: self.follow };
        let mut lines = match client.workspace_logs(&input, None).await {
            Ok(lines) => lines,
            Err(error) => return Err(context.failure(&client, &self.name, error).await),
        };
        let safe = stdout().is_terminal();
        while let Some(item) = lines.next().await? {
            context.print(&self.text(&item.value, safe)?)?;
        }
        Ok(DONE)
    }

    fn text(&self, line: &LogLine, safe: bool) -> Result<String, Failure> {
        if self.json {
            return Ok(serde_json::to_string(line).map_err(|error| Failure::failed(error.to_string()))? + "\n");
        }
        let text = if safe { harmless(&line.line) } else { line.line.clone() };
        Ok(match self.source {
            Some(_) => format!("{text}\n"),
            None => format!("{:<10} | {text}\n", line.from),
        })
    }
}

/// A line as a terminal may have it: colours stay, everything else that a terminal would obey is gone.
fn harmless(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(|c: char| c.is_control() && c != '\t') {
        shown.push_str(&rest[..at]);
        rest = &rest[at..];
        match color(rest) {
            Some(length) => {
                shown.push_str(&rest[..length]);
                rest = &rest[length..];
            }
            None => rest = rest.chars().next().map_or("", |c| &rest[c.len_utf8()..]),
        }
    }
    shown + rest
}

/// The length of the sequence that sets colours and the like (SGR) at the beginning of a text, where one is.
fn color(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("\x1b[")?;
    let end = inside.find(|c: char| !(c.is_ascii_digit() || c == ';' || c == ':'))?;
    inside[end..].starts_with('m').then_some(end + 3)
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn colours_stay_and_what_a_terminal_would_obey_is_gone() {
        assert_eq!(harmless("\x1b[1;31mred\x1b[0m\tplain"), "\x1b[1;31mred\x1b[0m\tplain");
        assert_eq!(harmless("a\x1b]0;title\x07b\x1b[2Jc\rd\u{9b}31me"), "a]0;titleb[2Jcd31me");
        assert_eq!(harmless("\x1b[38;5;1"), "[38;5;1");
    }
}
