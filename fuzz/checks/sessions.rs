//! Any bytes as what a coding agent wrote: no panic, nothing larger than it may be, and the same whether it was read in one
//! go or put away in the middle.

use std::path::Path;

use perry::contract::sessions::{Message, TEXT_MAX, TOOL_TEXT_MAX, ToolDetail};
use perry::worker::sessions::draft::Draft;
use perry::worker::sessions::formats::{Asides, Format};
use perry::worker::sessions::logs;
use perry::worker::sessions::opencode;
use perry::worker::sessions::talk::{News, Span, Talk};

/// What agents write beside their logs.
const ASIDE: [&str; 4] = ["p/s/custom-title.json", "p/.project_root", "session_index.jsonl", "s/workspace.yaml"];
/// What follows a cut text.
const CUT: usize = 8;

/// Any bytes as a log, and as one document, of the agent of that name.
pub fn log(agent: &str, bytes: &[u8]) {
    for format in logs::FORMATS.into_iter().filter(|format| format.agent().name() == agent) {
        let records: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        follow(format, &records);
        follow(format, &[bytes]);
        for path in ASIDE {
            format.aside(Path::new(path), bytes, &mut Asides::default());
        }
    }
}

/// Any bytes as a message of OpenCode's, a line, and its parts, the other lines.
pub fn opencode(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let data = lines.next().unwrap_or_default();
    if let Some(message) = opencode::read(data, &lines.collect::<Vec<_>>()) {
        bounded(&message);
    }
}

fn follow(format: &dyn Format, records: &[&[u8]]) {
    let (mut whole, mut parts) = (Talk::default(), Talk::default());
    let (mut fold, mut put_away) = (format.begin(), format.begin());
    let mut known = 0;
    for (index, record) in records.iter().enumerate() {
        let span = Span { at: index as u64, len: record.len() as u64 };
        fold.take(record, span, &mut whole);
        put_away.take(record, span, &mut parts);
        if index % 3 == 0 {
            put_away = format.resume(&put_away.save()).expect("what was saved is understood");
        }
        for news in parts.news() {
            match news {
                News::Truncated(to) => known = known.min(to),
                News::Replaced(index) => assert!(index < known, "it was there"),
                News::Appended(from) => {
                    assert_eq!(from, known, "no gap");
                    known = parts.len();
                }
            }
        }
        assert_eq!(known, parts.len());
    }
    assert_eq!((whole.slots(), whole.opening_title()), (parts.slots(), parts.opening_title()));
    assert!(whole.opening_title().chars().count() <= 100);
    for index in 0..whole.len() {
        let mut draft = Draft::new(index, &whole.slots()[index as usize], ToolDetail::Whole);
        for (_, span) in whole.pieces(index..index + 1) {
            format.fill(records[usize::try_from(span.at).expect("a place")], &mut draft);
        }
        bounded(&draft.finish());
    }
}

fn bounded(message: &Message) {
    let thinking = message.thinking.as_ref().map_or(0, String::len);
    assert!(message.text.len() <= TEXT_MAX + CUT && thinking <= TEXT_MAX + CUT);
    for tool in &message.tools {
        let of = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        assert!(of(&tool.input) <= TOOL_TEXT_MAX + CUT && of(&tool.output) <= TOOL_TEXT_MAX + CUT);
    }
}
