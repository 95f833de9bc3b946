//! What a session does: decided, purely, from how far its conversation is and from the processes there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::processes::Process;
use super::store::{Summary, Turn};
use super::talk::Millis;
use crate::contract::sessions::{CodingAgent, SessionState};

/// A tool call that is open for so long without a process of its own waits for a person.
const PATIENCE: Millis = 10_000;
/// Clocks of processes are as exact as this.
const SLACK: Millis = 2_000;

/// What an agent says of its own processes: which one has which session, by its number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims(pub BTreeMap<String, i32>);

/// What a session does, and why that is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What it does.
    pub state: SessionState,
    /// In words.
    pub reason: String,
    /// The device of its process's terminal.
    pub tty: Option<String>,
    /// Its process.
    pub pid: Option<i32>,
}

impl Verdict {
    /// Nothing was looked at yet.
    pub fn unknown() -> Self {
        Self { state: SessionState::Idle, reason: String::new(), tty: None, pid: None }
    }
}

/// The process of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The one that works.
    pub pid: i32,
    /// The one that shows it to a person, where that is another one; none where nobody does.
    pub front: Option<i32>,
}

impl Owner {
    fn alone(pid: i32) -> Self {
        Self { pid, front: Some(pid) }
    }
}

/// The process of each session of an agent that has one.
pub fn owners(
    agent: CodingAgent,
    sessions: &[&Summary],
    processes: &BTreeMap<i32, Process>,
    claims: &Claims,
) -> BTreeMap<String, Owner> {
    match agent {
        CodingAgent::Claude => {
            let alive = claims.0.iter().filter(|(_, pid)| processes.contains_key(pid));
            alive.map(|(session, pid)| (session.clone(), Owner::alone(*pid))).collect()
        }
        CodingAgent::Codex => {
            let each =
                processes.values().flat_map(|process| process.open.iter().map(move |path| (path.as_path(), process)));
            let files: BTreeMap<&Path, &Process> = each.collect();
            let holds = |session: &&Summary| {
                let holder = files.get(session.file.as_path())?;
                Some((session.id.clone(), codex(session, holder, processes)))
            };
            sessions.iter().filter_map(holds).collect()
        }
        CodingAgent::Opencode | CodingAgent::Goose => {
            let stores: BTreeSet<&PathBuf> = sessions.iter().map(|session| &session.file).collect();
            let open = |process: &&Process| {
                process.open.iter().any(|path| stores.contains(path)) || is_program(process, agent)
            };
            by_folder(sessions, innermost(processes, open), true)
        }
        CodingAgent::Gemini | CodingAgent::Pi | CodingAgent::Copilot => {
            by_folder(sessions, innermost(processes, |process| is_program(process, agent)), false)
        }
    }
}

/// What a session does whose process that is.
pub fn judge(
    agent: CodingAgent,
    session: &Summary,
    owner: Option<Owner>,
    processes: &BTreeMap<i32, Process>,
    now: Millis,
) -> Verdict {
    if let Some(problem) = &session.problem {
        return Verdict { state: SessionState::Unreadable, reason: problem.clone(), tty: None, pid: None };
    }
    // A server that nobody looks at waits for nobody.
    let owner = owner.filter(|owner| owner.front.is_some() || session.turn != Turn::Ended);
    let Some(owner) = owner else {
        let reason = "no process of it lives".to_owned();
        return Verdict { state: SessionState::Idle, reason, tty: None, pid: None };
    };
    let tty = owner.front.and_then(|front| processes.get(&front)?.tty.clone());
    let runs = has_child(owner.pid, processes, session.last - SLACK, agent);
    let (state, reason) = match session.turn {
        Turn::Answering => (SessionState::Working, "it answers"),
        Turn::Calling if runs => (SessionState::Working, "a tool runs"),
        Turn::Calling if now - session.last > PATIENCE => (SessionState::Waiting, "a tool call waits for a person"),
        Turn::Calling => (SessionState::Working, "a tool was called"),
        // It writes a tool call down when that has ended.
        Turn::Ended if runs && agent == CodingAgent::Gemini => (SessionState::Working, "a tool runs"),
        Turn::Ended => (SessionState::Waiting, "its turn has ended"),
    };
    Verdict { state, reason: reason.to_owned(), tty, pid: Some(owner.pid) }
}

/// Whose a session of Codex's is that this process has open. A server of its own works for all of its screens: the one that
/// shows this session is in its folder, and was begun before.
fn codex(session: &Summary, holder: &Process, processes: &BTreeMap<i32, Process>) -> Owner {
    let is_server = |process: &Process| process.command.iter().any(|word| word == "app-server");
    if !is_server(holder) {
        return Owner::alone(holder.pid);
    }
    let shows = |process: &&Process| {
        is_program(process, CodingAgent::Codex)
            && !is_server(process)
            && process.tty.is_some()
            && session.cwd.as_deref().map(Path::new) == Some(process.cwd.as_path())
            && process.began <= session.last + SLACK
    };
    let front = processes.values().filter(shows).max_by_key(|process| process.began);
    Owner { pid: holder.pid, front: front.map(|process| process.pid) }
}

/// Sessions by the folder that their process works in: those that went on since it was begun; where a process can have
/// only one, the one that went on last. A process that names its session has that one.
fn by_folder(sessions: &[&Summary], processes: Vec<&Process>, several: bool) -> BTreeMap<String, Owner> {
    let mut owners = BTreeMap::new();
    for process in processes {
        let named = sessions.iter().find(|session| process.command.contains(&session.id));
        let here = |session: &&&&Summary| {
            session.cwd.as_deref().map(Path::new) == Some(process.cwd.as_path())
                && session.last >= process.began - SLACK
        };
        let mut here: Vec<&&Summary> = sessions.iter().filter(|session| here(&session)).collect();
        here.sort_by_key(|session| std::cmp::Reverse(session.last));
        let count = if several { here.len() } else { 1 };
        let found = named.into_iter().chain(here.into_iter().take(if named.is_some() { 0 } else { count }));
        owners.extend(found.map(|session| (session.id.clone(), Owner::alone(process.pid))));
    }
    owners
}

/// Whether a process is that program, run as itself or by an interpreter.
fn is_program(process: &Process, agent: CodingAgent) -> bool {
    let named = |word: &String| {
        let file = Path::new(word.trim_end()).file_name().and_then(|name| name.to_str()).unwrap_or_default();
        file.split('.').next() == Some(agent.name())
    };
    let first = process.command.first();
    let interpreted = first.is_some_and(|first| {
        let name = Path::new(first).file_name().and_then(|name| name.to_str()).unwrap_or_default();
        matches!(name, "node" | "bun" | "deno")
    });
    let script = process.command.iter().skip(1).find(|word| !word.starts_with('-')).filter(|_| interpreted);
    first.is_some_and(named) || script.is_some_and(named)
}

/// Of processes that fit those that started no other one that does: programs start themselves anew.
fn innermost(processes: &BTreeMap<i32, Process>, fits: impl Fn(&&Process) -> bool) -> Vec<&Process> {
    let fitting: Vec<&Process> = processes.values().filter(|process| fits(process)).collect();
    let parents: BTreeSet<i32> = fitting.iter().map(|process| process.parent).collect();
    fitting.into_iter().filter(|process| !parents.contains(&process.pid)).collect()
}

/// Whether a process, or one that it started, started another one since then.
fn has_child(pid: i32, processes: &BTreeMap<i32, Process>, since: Millis, agent: CodingAgent) -> bool {
    let mut family = BTreeSet::from([pid]);
    // Numbers wrap around, so a child may have a lower one: until no more are found.
    loop {
        let more =
            processes.values().filter(|process| family.contains(&process.parent) && !family.contains(&process.pid));
        let more: Vec<&Process> = more.collect();
        if more.iter().any(|process| process.began >= since && !is_program(process, agent)) {
            return true;
        }
        if more.is_empty() {
            return false;
        }
        family.extend(more.iter().map(|process| process.pid));
    }
}
