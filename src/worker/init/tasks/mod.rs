//! Clone, hooks and tools: run by PID 1, so that neither the agent's death nor a new worker stops or repeats one. What to
//! run when is decided by `sequence`, what was run is kept by `record`; this module does it.

mod command;
mod record;
mod sequence;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use self::record::Record;
use self::sequence::{Sequence, Step};
use super::log::Logs;
use super::pid1::Init;
use super::reap::End;
use super::say;
use crate::clock::Clock;
use crate::contract::worker::FILES_HASH;
use crate::model::desired::{HOME, WorkerPlan};
use crate::model::{TaskName, TaskSeen, TaskState};

/// Where the record is.
const FOLDER: &str = ".perry";
/// How often what a running task says is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How often it is tried to write a record for which there was no room.
const SAVE: Duration = Duration::from_secs(30);
/// Lines, and characters, of a task's last words.
const WORDS: (usize, usize) = (8, 1024);

/// What a reload hands over. No last words: PID 1's arguments are for all to see.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Inherited {
    open: bool,
    running: BTreeMap<TaskName, i32>,
    /// Whether it succeeded.
    ended: BTreeMap<TaskName, bool>,
}

/// The tasks of this start, and what is recorded of earlier ones.
pub(super) struct Tasks {
    sequence: Sequence,
    record: Record,
    folder: PathBuf,
    /// When the record is to be written once more.
    save_at: Option<Duration>,
    /// When running tasks are looked at next.
    look_at: Option<Duration>,
}

impl Tasks {
    /// The tasks of a plan; those of before a reload go on.
    pub(super) fn begin(uid: &str, plan: &WorkerPlan, inherited: Option<&Inherited>, now: Duration) -> Self {
        let folder = Path::new(HOME).join(FOLDER);
        let record = Record::read(&folder, uid);
        let mut sequence = Sequence::default();
        sequence.follow(plan, &record);
        if let Some(inherited) = inherited {
            inherited.running.iter().for_each(|(name, pid)| sequence.adopt(*name, *pid, now));
            inherited.ended.iter().for_each(|(name, well)| sequence.recall(*name, *well));
            if inherited.open {
                sequence.open();
            }
        }
        Self { sequence, record, folder, save_at: None, look_at: None }
    }

    /// Takes a changed plan.
    pub(super) fn follow(&mut self, plan: &WorkerPlan) {
        self.sequence.follow(plan, &self.record);
    }

    /// What the next executable is told.
    pub(super) fn heritage(&self) -> Inherited {
        let mut inherited = Inherited { open: self.sequence.is_open(), ..Inherited::default() };
        for (name, state, _) in self.sequence.states() {
            match (self.sequence.pid(name), state) {
                (Some(pid), _) => drop(inherited.running.insert(name, pid)),
                (None, TaskState::Succeeded) => drop(inherited.ended.insert(name, true)),
                (None, TaskState::Failed) => drop(inherited.ended.insert(name, false)),
                _ => {}
            }
        }
        inherited
    }

    /// When there is something to do, if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Duration> {
        [self.sequence.deadline(), self.save_at, self.look_at].into_iter().flatten().min()
    }

    /// The processes of running tasks.
    pub(super) fn pids(&self) -> Vec<i32> {
        TaskName::ALL.into_iter().filter_map(|name| self.sequence.pid(name)).collect()
    }

    /// What the agent is told of them.
    pub(super) fn seen(&self, logs: &Logs) -> Vec<TaskSeen> {
        let seen = |(name, state, blocker): (TaskName, TaskState, Option<TaskName>)| {
            let blank =
                TaskSeen { name, state, exit_code: None, message: String::new(), started_at: None, ended_at: None };
            let known = self.record.task(name).cloned().unwrap_or_else(|| blank.clone());
            match state {
                TaskState::Waiting => TaskSeen { message: self.waits_for(blocker), ..blank },
                TaskState::Running => TaskSeen { state, message: words(logs, name, 1), ..known },
                _ => TaskSeen { state, ..known },
            }
        };
        self.sequence.states().map(seen).collect()
    }

    fn waits_for(&self, blocker: Option<TaskName>) -> String {
        match blocker {
            _ if !self.sequence.is_open() => "waits until the workspace is up and its files are there".to_owned(),
            Some(blocker) => format!("waits for {blocker}"),
            None => String::new(),
        }
    }

    /// Notes a run, and writes the record: now or, where there is no room, later.
    fn note(&mut self, task: TaskSeen, now: Duration) {
        self.record.note(task);
        self.save(now);
    }

    fn save(&mut self, now: Duration) {
        self.save_at = match self.record.write(&self.folder) {
            Ok(()) => None,
            Err(error) => {
                if self.save_at.is_none() {
                    say(&format!("what was run is not recorded: {}", error.chain()));
                }
                Some(now + SAVE)
            }
        };
    }
}

impl Init {
    /// Starts what is to be run now, ends what goes on for too long.
    pub(super) fn run_tasks(&mut self) {
        let now = self.clock.monotonic();
        let brought = !self.bootstrap.plan.files || Path::new(FILES_HASH).exists();
        if self.supervisor.settled() && brought {
            self.tasks.sequence.open();
        }
        while let Some(step) = self.tasks.sequence.next(now) {
            match step {
                Step::Start(name) => self.start_task(name, now),
                Step::Terminate(pid) => signal(pid, Signal::SIGTERM),
                Step::Kill(pid) => signal(pid, Signal::SIGKILL),
            }
        }
        if self.tasks.save_at.is_some_and(|at| at <= now) {
            self.tasks.save(now);
        }
        self.tasks.look_at = (!self.tasks.pids().is_empty()).then(|| now + LOOK);
    }

    fn start_task(&mut self, name: TaskName, now: Duration) {
        self.logs.note(source(name), &format!("{name} begins"));
        let task = TaskSeen {
            name,
            state: TaskState::Running,
            exit_code: None,
            message: String::new(),
            started_at: Some(self.clock.wall()),
            ended_at: None,
        };
        match command::start(name, &self.bootstrap.plan, &self.logs) {
            Ok(pid) => {
                self.tasks.sequence.started(name, pid, now);
                self.tasks.note(task, now);
            }
            Err(error) => {
                self.tasks.sequence.failed(name, now);
                let task = TaskSeen { state: TaskState::Failed, message: error.chain(), ..task };
                self.end_task(task, now);
            }
        }
    }

    /// A process has ended that is none of the servers.
    pub(super) fn task_ended(&mut self, pid: i32, end: End) {
        let Some(name) = self.tasks.sequence.task_of(pid) else { return };
        let now = self.clock.monotonic();
        self.tasks.sequence.ended(name, end == End::Code(0), now);
        let state = if end == End::Code(0) { TaskState::Succeeded } else { TaskState::Failed };
        let message = words(&self.logs, name, WORDS.0);
        let started_at = self.tasks.record.task(name).and_then(|task| task.started_at);
        self.end_task(TaskSeen { name, state, exit_code: Some(code(end)), message, started_at, ended_at: None }, now);
    }

    fn end_task(&mut self, task: TaskSeen, now: Duration) {
        let how = task.exit_code.map(|code| format!(" with exit code {code}")).unwrap_or_default();
        self.logs.note(source(task.name), &format!("{} ended{how}", task.name));
        say(&format!("{} ended{how}", task.name));
        self.tasks.note(TaskSeen { ended_at: Some(self.clock.wall()), ..task }, now);
    }
}

/// As shells do: 128 + n where signal n ended it.
fn code(end: End) -> i32 {
    match end {
        End::Code(code) => code,
        End::Signal(signal) => 128 + signal,
        // Real-time signals have no name, but numbers from 34 on.
        End::Unnamed => 128 + 34,
    }
}

/// To a task and everything that it started in its group.
fn signal(pid: i32, signal: Signal) {
    // It may have ended by itself just now.
    let _ = killpg(Pid::from_raw(pid), signal);
}

/// The log that a task writes to. Tools have one of their own, since they are installed beside the others.
pub(super) fn source(name: TaskName) -> &'static str {
    if name == TaskName::Tools { TOOLS_LOG } else { HOOKS_LOG }
}

/// The logs of tasks.
pub(super) const HOOKS_LOG: &str = "hooks";
pub(super) const TOOLS_LOG: &str = "tools";

/// The last lines that a task wrote, as text that can be shown.
fn words(logs: &Logs, name: TaskName, lines: usize) -> String {
    printable(&logs.last_words(source(name), lines))
}

/// Control characters become blanks; of a long text the end is kept.
fn printable(text: &str) -> String {
    let chars: Vec<char> = text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    chars[chars.len().saturating_sub(WORDS.1)..].iter().collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_printable_and_short() {
        assert_eq!(printable("a\u{1b}[31m\tb\nc\u{7}"), "a [31m b\nc");
        let long = printable(&format!("{}\u{fffd}end", "x".repeat(5000)));
        assert!(long.ends_with("\u{fffd}end") && long.chars().count() == WORDS.1);
    }

    #[test]
    fn exit_codes_are_those_of_shells() {
        assert_eq!((code(End::Code(3)), code(End::Signal(9)), code(End::Unnamed)), (3, 137, 162));
    }
}
