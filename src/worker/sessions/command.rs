//! `perry worker sessions list` and `messages ID`: what the agent would be told, printed within the workspace. What was
//! learnt before is used; without it everything is read.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use super::cache::Cache;
use super::formats::Home;
use super::index::{Index, Places};
use super::serve;
use super::store::{Changes, More, ReadError, Wanted};
use crate::clock::{Clock, SystemClock};
use crate::contract::sessions::{CodingAgent, PAGE_MAX, Session, ToolDetail};
use crate::shown::transcript::{self, Style};

const HELP: &str = "\
Sessions of coding agents in this workspace

Usage: perry worker sessions list [--json]
       perry worker sessions messages ID [--agent AGENT] [--tools] [--json]

  --json          print JSON
  --agent AGENT   claude, codex, opencode, gemini, pi, goose or copilot: where two have a session of that id
  --tools         print what tools were given and answered too
";

/// Exit codes as everywhere in Perry.
const FAILED: u8 = 1;
const USAGE: u8 = 2;
const NOT_FOUND: u8 = 3;

/// Runs `perry worker sessions ARGS…`.
pub fn run(args: &[OsString]) -> ExitCode {
    let words: Option<Vec<&str>> = args.iter().map(|arg| arg.to_str()).collect();
    let request = match words.as_deref() {
        Some(["serve"]) => return serve::run(),
        Some(["help" | "--help" | "-h"] | [_, "--help" | "-h"]) => return print(HELP),
        Some(words) => Request::read(words),
        None => Err("arguments must be UTF-8".to_owned()),
    };
    match request {
        Ok(request) => request.run(),
        Err(wrong) => fail(&format!("{wrong}\n\n{HELP}"), USAGE),
    }
}

/// What is wanted.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    /// Messages of this one; else the list.
    session: Option<String>,
    agent: Option<CodingAgent>,
    tools: ToolDetail,
    json: bool,
}

impl Request {
    fn read(words: &[&str]) -> Result<Self, String> {
        let (verb, mut rest) = words.split_first().ok_or("say what: list or messages ID")?;
        let mut request = Self { session: None, agent: None, tools: ToolDetail::None, json: false };
        while let Some((word, more)) = rest.split_first() {
            rest = more;
            match *word {
                "--json" => request.json = true,
                "--tools" if *verb == "messages" => request.tools = ToolDetail::Whole,
                "--agent" if *verb == "messages" => {
                    let (name, more) = rest.split_first().ok_or("--agent needs a name")?;
                    request.agent =
                        Some(CodingAgent::named(name).ok_or_else(|| format!("{name} is no agent that is known"))?);
                    rest = more;
                }
                word if !word.starts_with('-') && *verb == "messages" && request.session.is_none() => {
                    request.session = Some(word.to_owned());
                }
                word => return Err(format!("{word} is not understood")),
            }
        }
        match (*verb, &request.session) {
            ("list", None) | ("messages", Some(_)) => Ok(request),
            ("messages", None) => Err("which session? see perry worker sessions list".to_owned()),
            _ => Err(format!("{verb} is not understood")),
        }
    }

    fn run(self) -> ExitCode {
        let home = Home::own();
        let cache = Cache::of(&home);
        let mut index = Index::new(home, Places::default(), cache);
        let clock = SystemClock::new();
        let mut changes = Changes::Everything;
        while index.look(&changes, clock.wall().as_millisecond(), &mut |_| {}) == More::Now {
            changes = Changes::none();
        }
        index.save();
        let sessions = index.list();
        match &self.session {
            None if self.json => print_json(&sessions),
            None => print(&transcript::list_within(&sessions, clock.wall())),
            Some(id) => self.messages(&mut index, &sessions, id),
        }
    }

    fn messages(&self, index: &mut Index, sessions: &[Session], id: &str) -> ExitCode {
        let fits = |session: &&Session| self.agent.is_none_or(|agent| agent == session.agent);
        let exact = sessions.iter().filter(fits).find(|session| session.session_id == id);
        let Some(session) = exact else {
            return fail(&format!("there is no session {id}: see perry worker sessions list"), NOT_FOUND);
        };
        let style = if io::stdout().is_terminal() && crate::shown::colors() { Style::Colored } else { Style::Plain };
        let mut all = Vec::new();
        let mut from = 0;
        loop {
            let wanted = Wanted { from, to: from + PAGE_MAX, tools: self.tools };
            match index.messages(session.agent, &session.session_id, &wanted) {
                Ok(page) if page.is_empty() => break,
                Ok(page) => {
                    from += u32::try_from(page.len()).unwrap_or(u32::MAX);
                    if self.json {
                        all.extend(page);
                    } else if print(&(transcript::messages(&page, style) + "\n")) != ExitCode::SUCCESS {
                        return ExitCode::from(FAILED);
                    }
                }
                Err(error @ ReadError::Unreadable { .. }) => {
                    let why =
                        std::error::Error::source(&error).map_or_else(String::new, |source| format!(": {source}"));
                    return fail(&format!("{error}{why}"), FAILED);
                }
                Err(error) => return fail(&error.to_string(), FAILED),
            }
        }
        if self.json { print_json(&all) } else { ExitCode::SUCCESS }
    }
}

fn print_json<T: serde::Serialize>(value: &T) -> ExitCode {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&(text + "\n")),
        Err(error) => fail(&error.to_string(), FAILED),
    }
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(FAILED),
        Err(error) => fail(&format!("cannot write: {error}"), FAILED),
    }
}

fn fail(why: &str, code: u8) -> ExitCode {
    // Without stderr the code has to do.
    let _ = writeln!(io::stderr(), "error: {why}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_and_what_is_wrong_is_named() {
        let read = |line: &str| Request::read(&line.split_whitespace().collect::<Vec<_>>());
        let list = Request { session: None, agent: None, tools: ToolDetail::None, json: true };
        assert_eq!(read("list --json"), Ok(list));
        let messages = read("messages abc --agent pi --tools").expect("right");
        assert_eq!(
            (messages.session.as_deref(), messages.agent, messages.tools),
            (Some("abc"), Some(CodingAgent::Pi), ToolDetail::Whole)
        );
        for (wrong, said) in [
            ("", "list or messages"),
            ("messages", "which session"),
            ("list x", "x is not"),
            ("list --tools", "--tools is not"),
            ("messages a --agent", "needs a name"),
            ("messages a --agent vim", "vim is no agent"),
            ("remove", "remove is not"),
        ] {
            assert!(read(wrong).expect_err(wrong).contains(said), "{wrong}");
        }
    }
}
