//! Sessions of coding agents and what was said in them, as `perry sessions` and `perry worker sessions` print them.

use jiff::Timestamp;

use super::table::Table;
use super::{age, line, lines, markdown};
use crate::contract::sessions::{Message, MessageRole, Session, SessionInfo, ToolCall, ToolStatus};

/// Lines of what a tool was given or answered that are shown.
const TOOL_LINES: usize = 12;
/// Characters of a title in a list.
const TITLE: usize = 60;

/// How a transcript is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Marked up and coloured, for a terminal.
    Colored,
    /// As it was said.
    Plain,
}

const COLUMNS: [&str; 7] = ["ID", "AGENT", "STATE", "MESSAGES", "ACTIVE", "TERMINAL", "TITLE"];

/// Sessions of several workspaces, one a row.
pub fn list(sessions: &[SessionInfo], now: Timestamp) -> String {
    let mut table = Table::new(&[&["WORKSPACE"], &COLUMNS[..]].concat());
    for SessionInfo { workspace_name, session, stale } in sessions {
        let state = if *stale { "last known" } else { session.state.name() };
        table.row([vec![workspace_name.to_string()], row(session, state, now).to_vec()].concat());
    }
    table.render()
}

/// The sessions of one workspace, one a row.
pub fn list_within(sessions: &[Session], now: Timestamp) -> String {
    let mut table = Table::new(&COLUMNS);
    sessions.iter().for_each(|session| table.row(row(session, session.state.name(), now).to_vec()));
    table.render()
}

fn row(session: &Session, state: &str, now: Timestamp) -> [String; 7] {
    [
        line(&session.session_id),
        session.agent.name().to_owned(),
        state.to_owned(),
        session.message_count.to_string(),
        age(session.last_activity, now),
        session.terminal.as_deref().map_or_else(|| "-".to_owned(), line),
        short(&line(&session.title)),
    ]
}

fn short(title: &str) -> String {
    match title.char_indices().nth(TITLE) {
        Some((at, _)) => format!("{}…", title[..at].trim_end()),
        None => title.to_owned(),
    }
}

/// Messages, one under another.
pub fn messages(messages: &[Message], style: Style) -> String {
    messages.iter().map(|one| message(one, style)).collect::<Vec<_>>().join("\n")
}

/// A message.
pub fn message(message: &Message, style: Style) -> String {
    let who = match message.role {
        MessageRole::User => "you",
        MessageRole::Assistant => "agent",
    };
    let at = message.timestamp.strftime("%Y-%m-%d %H:%M:%S");
    let failed = if message.is_error { " · failed" } else { "" };
    let mut text = match (style, message.role) {
        (Style::Plain, _) => format!("── {who} · {at}{failed}\n"),
        (Style::Colored, MessageRole::User) => format!("\x1b[1;34m── {who}\x1b[0;2m · {at}{failed}\x1b[0m\n"),
        (Style::Colored, MessageRole::Assistant) => format!("\x1b[1;32m── {who}\x1b[0;2m · {at}{failed}\x1b[0m\n"),
    };
    if let Some(thinking) = &message.thinking {
        for part in lines(thinking).lines() {
            text.push_str(&dim(&format!("  {part}"), style));
        }
    }
    let said = match style {
        Style::Colored => markdown::render(&message.text),
        Style::Plain => lines(&message.text).trim_end().to_owned(),
    };
    if !said.is_empty() {
        text.push_str(&said);
        text.push('\n');
    }
    for call in &message.tools {
        text.push_str(&tool(call, style));
    }
    if message.truncated {
        text.push_str(&dim("(some of it was too long to be shown)", style));
    }
    text
}

fn tool(call: &ToolCall, style: Style) -> String {
    let mark = match call.status {
        ToolStatus::Ok => "✓",
        ToolStatus::Error => "✗",
        ToolStatus::Pending => "…",
    };
    let mut text = format!("{mark} {}\n", line(&call.name));
    for part in [&call.input, &call.output].into_iter().flatten() {
        let part = lines(part);
        for shown in part.lines().take(TOOL_LINES) {
            text.push_str(&dim(&format!("  {shown}"), style));
        }
        let more = part.lines().count().saturating_sub(TOOL_LINES);
        if more > 0 {
            text.push_str(&dim(&format!("  ({more} more lines)"), style));
        }
    }
    text
}

fn dim(text: &str, style: Style) -> String {
    match style {
        Style::Colored => format!("\x1b[2m{text}\x1b[0m\n"),
        Style::Plain => format!("{text}\n"),
    }
}
