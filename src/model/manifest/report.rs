//! Faults as a person sees them: source, line, column, path, what was wrong, and the line itself with a caret.

use std::fmt;
use std::str::Utf8Error;

use super::Text;
use super::tree::{Broken, Kind, Node, Place};
use crate::model::schema::{self, Field};
use crate::model::{Issue, Issues};

/// The longest part of a line that is shown, in characters.
const MAX_SNIPPET: usize = 100;

/// Everything that is wrong with a manifest text; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct BadManifest {
    /// In the order of the text.
    pub faults: Vec<Fault>,
}

/// One fault of a manifest text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The path of the file or `-`, with the number of the document where there are several.
    pub source: String,
    /// Line and column from 1, in characters; none where the whole text is at fault.
    pub at: Option<(usize, usize)>,
    /// The field, what was wrong and what would be right.
    pub issue: Issue,
    /// The line with a caret below; none where it might show a secret.
    pub snippet: Option<String>,
}

impl BadManifest {
    /// A fault of the whole text.
    pub(super) fn whole(source: &str, message: &str) -> Self {
        let fault = Fault { source: source.to_owned(), at: None, issue: Issue::new("", message), snippet: None };
        Self { faults: vec![fault] }
    }

    /// The same without snippets, the line as a part of each message.
    pub fn issues(&self) -> Issues {
        let issue = |fault: &Fault| Issue {
            message: match fault.at {
                Some((line, column)) => format!("line {line}, column {column}: {}", fault.issue.message),
                None => fault.issue.message.clone(),
            },
            path: fault.issue.path.clone(),
        };
        Issues(self.faults.iter().map(issue).collect())
    }
}

impl fmt::Display for BadManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.issue)?;
        match &self.snippet {
            Some(snippet) => write!(f, "\n{snippet}"),
            None => Ok(()),
        }
    }
}

pub(super) fn source(text: &Text, index: usize) -> String {
    if text.documents > 1 { format!("{} (document {})", text.source, index + 1) } else { text.source.clone() }
}

pub(super) fn fault(text: &Text, index: usize, place: Place, issue: Issue) -> Fault {
    let shown = if is_secret(&issue.path) { None } else { snippet(&text.text, place) };
    Fault { source: source(text, index), at: Some((place.line, place.column)), issue, snippet: shown }
}

pub(super) fn broken(text: &mut Text, broken: &Broken) -> BadManifest {
    text.documents = text.text.lines().filter(|line| line.trim_end() == "---").count().max(broken.document) + 1;
    let line = text.text.lines().nth(broken.place.line - 1).unwrap_or_default();
    let shown = (!may_hold_secret(line)).then(|| snippet(&text.text, broken.place)).flatten();
    let at = Some((broken.place.line, broken.place.column));
    let issue = Issue::new("", broken.message.clone());
    BadManifest { faults: vec![Fault { source: text.source.clone(), at, issue, snippet: shown }] }
}

pub(super) fn not_utf8(source: &str, bytes: &[u8], error: Utf8Error) -> BadManifest {
    let before = &bytes[..error.valid_up_to()];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = String::from_utf8_lossy(before).chars().rev().take_while(|c| *c != '\n').count() + 1;
    let message = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "the text is UTF-16: save it as UTF-8".to_owned(),
        _ => format!("byte 0x{:02X} is not UTF-8: save the text as UTF-8", bytes[error.valid_up_to()]),
    };
    let fault =
        Fault { source: source.to_owned(), at: Some((line, column)), issue: Issue::new("", message), snippet: None };
    BadManifest { faults: vec![fault] }
}

/// Where the field of an issue stands, else the deepest one around it that was written.
pub(super) fn find(tree: &Node, issue: &Issue) -> Place {
    let mut place = match &tree.kind {
        Kind::Map(entries) => entries.first().map_or(tree.place, |entry| entry.key_place),
        _ => tree.place,
    };
    let mut node = tree;
    for (depth, part) in issue.path.iter().enumerate() {
        // Where people choose the keys, an issue is as often about the key as about the value.
        let free_keys = depth == 2 && matches!(issue.path[1].as_str(), "labels" | "annotations" | "env");
        match &node.kind {
            Kind::Map(entries) => {
                let Some(entry) = entries.iter().rev().find(|entry| entry.key == *part) else { break };
                let is_scalar = matches!(entry.value.kind, Kind::Scalar { .. }) && !entry.value.is_null() && !free_keys;
                place = if is_scalar { entry.value.place } else { entry.key_place };
                node = &entry.value;
            }
            Kind::List(items) => {
                let Some(item) = part.parse::<usize>().ok().and_then(|index| items.get(index)) else { break };
                place = item.place;
                node = item;
            }
            Kind::Scalar { .. } => break,
        }
    }
    place
}

/// Fields whose values may be, or hold, a secret.
const PRIVATE: [&str; 4] = ["env", "hooks", "clone", "authorizedKeys"];

fn is_secret(path: &[String]) -> bool {
    path.iter().any(|part| PRIVATE.contains(&part.as_str()))
}

/// Whether one of those fields and its value are on the line, as in `spec: { env: { TOKEN: x } }`.
fn shows_private(line: &str) -> bool {
    let value = |after: &str| {
        after.trim_start_matches(['"', '\'', ' ']).strip_prefix(':').is_some_and(|v| !v.trim().is_empty())
    };
    PRIVATE.iter().any(|field| line.match_indices(field).any(|(at, _)| value(&line[at + field.len()..])))
}

/// Whether a line of a text that could not be read may hold a secret: it is none of the fields that cannot.
fn may_hold_secret(line: &str) -> bool {
    fn is_known(fields: &[Field], key: &str) -> bool {
        fields.iter().any(|field| field.name == key || is_known(field.shape.fields(), key))
    }
    let line = line.trim();
    match line.split_once(':') {
        _ if line.contains("PRIVATE KEY") => true,
        Some((_, "")) => false,
        Some((key, _)) => !is_known(schema::document().shape.fields(), key.trim_matches(['-', ' ', '{', '[', '"'])),
        None => !line.chars().all(|c| "-{}[],.&* ".contains(c)),
    }
}

/// The line and a caret under the place.
fn snippet(text: &str, place: Place) -> Option<String> {
    let line = text.lines().nth(place.line - 1).filter(|line| !shows_private(line))?;
    let shown: String = line.chars().map(visible).collect();
    let skipped = if place.column > MAX_SNIPPET { place.column - MAX_SNIPPET / 2 } else { 0 };
    let part: String = shown.chars().skip(skipped).take(MAX_SNIPPET).collect();
    let before = place.column - 1 - skipped;
    let width = place.width.min(MAX_SNIPPET.saturating_sub(before)).max(1);
    let number = place.line.to_string();
    let gutter = " ".repeat(number.len());
    let (indent, caret) = (" ".repeat(before), "^".repeat(width));
    Some(format!(" {number} | {}\n {gutter} | {indent}{caret}", part.trim_end()))
}

/// No control character reaches a terminal; tabs are seen.
fn visible(c: char) -> char {
    match c {
        '\t' => '→',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}
