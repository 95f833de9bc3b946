//! What PID 1 holds and waits for, and how it is replaced. Starting programs is in [`super::launch`].

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::log::Logs;
use super::probe::Probe;
use super::reap::{self, End, Reaped};
use super::serving::Link;
use super::supervisor::{Step, Supervisor, Unit};
use super::tasks::{Inherited, Tasks};
use super::{Event, dockerd, hold_signals, launch, processes, say, sshd};
use crate::clock::{Clock, SystemClock};
use crate::contract::worker::{AUTHORIZED_KEYS, BOOTSTRAP, Bootstrap, EXECUTABLE, FILES_HASH, FOLDER};
use crate::worker::link::{Request, Status};
use crate::worker::{WorkerError, bootstrap, keys};

/// Where the logs of sshd, dockerd and the others are.
const LOGS: &str = "/var/log/perry";
/// Lines of a server's last words that are told.
const LINES: usize = 4;

/// What a reload hands over.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Heritage {
    /// The processes that go on, by their units' names: number, and whether it answered.
    units: BTreeMap<String, (i32, bool)>,
    /// What is run for the spec.
    #[serde(default)]
    tasks: Inherited,
}

/// PID 1.
pub(super) struct Init {
    pub(super) clock: SystemClock,
    pub(super) events: SyncSender<Event>,
    pub(super) bootstrap: Bootstrap,
    pub(super) supervisor: Supervisor,
    pub(super) logs: Logs,
    pub(super) tasks: Tasks,
    pub(super) probes: BTreeMap<Unit, Probe>,
    pub(super) link: Option<Link>,
    pub(super) key_folder: PathBuf,
    /// The generator of the host key, while it runs in sshd's place.
    pub(super) keygen: Option<i32>,
    pub(super) reload: bool,
    pub(super) stop: bool,
}

impl Init {
    /// Begins, or goes on where the executable before this one left off.
    pub(super) fn begin(args: &[OsString], events: SyncSender<Event>) -> Result<Self, WorkerError> {
        let heritage = heritage(args);
        let bootstrap = bootstrap::read(Path::new(BOOTSTRAP))?;
        let fresh = heritage.is_none();
        if fresh {
            dockerd::forget_last_boot();
            // The agent brings files at each start.
            let _ = fs::remove_file(FILES_HASH);
        }
        let logs = Logs::open(&Path::new(FOLDER).join("pipes"), Path::new(LOGS), fresh)?;
        // Wrong keys must not keep the workspace from running; the agent checks them before.
        if let Err(error) = keys::write(Path::new(AUTHORIZED_KEYS), &bootstrap.plan.authorized_keys) {
            say(&error.chain());
        }
        let clock = SystemClock::new();
        let inherited = heritage.as_ref().map(|heritage| &heritage.tasks);
        let tasks = Tasks::begin(&bootstrap.uid, &bootstrap.plan, inherited, clock.monotonic());
        let mut init = Self {
            clock,
            events,
            bootstrap,
            tasks,
            supervisor: Supervisor::new(launch::installed),
            logs,
            probes: BTreeMap::new(),
            link: None,
            key_folder: sshd::key_folder(),
            keygen: None,
            reload: false,
            stop: false,
        };
        say(&format!("version {}{}", env!("CARGO_PKG_VERSION"), if fresh { "" } else { ", reloaded" }));
        init.follow_plan();
        init.inherit(&heritage.unwrap_or_default());
        Ok(init)
    }

    fn inherit(&mut self, heritage: &Heritage) {
        let now = self.clock.monotonic();
        for unit in Unit::ALL {
            if let Some((pid, answers)) = heritage.units.get(unit.name()) {
                self.supervisor.adopt(unit, *pid, *answers, now);
                self.ask(unit, *pid);
            }
        }
        // It makes way for the new executable where it holds no terminal; else those go on, in the old one.
        if let Some(pid) = self.supervisor.pid(Unit::Terminals) {
            processes::send(pid, Signal::SIGHUP);
        }
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &self.clock
    }

    fn follow_plan(&mut self) {
        self.supervisor.want(Unit::Serve, true);
        self.supervisor.want(Unit::Terminals, true);
        self.supervisor.want(Unit::Sshd, true);
        self.supervisor.want(Unit::Dockerd, self.bootstrap.plan.docker);
        self.tasks.follow(&self.bootstrap.plan);
    }

    /// Supervises until the container is to end.
    pub(super) fn supervise(&mut self, events: &Receiver<Event>) {
        // Some may have ended before anybody listened.
        self.reap();
        loop {
            self.act();
            // A generator of keys would be lost to the next executable.
            if self.reload && self.keygen.is_none() {
                self.become_new(events);
            }
            let event = self.wait(events);
            self.take(event);
            // What is there already comes first: it may change what is to be done.
            while let Ok(event) = events.try_recv() {
                self.take(Some(event));
            }
            if self.stop {
                return;
            }
        }
    }

    fn wait(&self, events: &Receiver<Event>) -> Option<Event> {
        let deadlines = [self.supervisor.deadline(), self.tasks.deadline()];
        let Some(deadline) = deadlines.into_iter().flatten().min() else {
            return events.recv().ok();
        };
        let pause = deadline.saturating_sub(self.clock.monotonic());
        events.recv_timeout(pause).ok()
    }

    fn take(&mut self, event: Option<Event>) {
        match event {
            None => {}
            Some(Event::Stop) => self.stop = true,
            Some(Event::Ended) => self.reap(),
            Some(Event::Probed(unit, pid, answers)) => self.probed(unit, pid, answers),
            // One that is being replaced has nothing to say any more.
            Some(Event::Request(pid, _)) if self.supervisor.pid(Unit::Serve) != Some(pid) => {}
            Some(Event::Request(pid, Request::Ready)) => self.probed(Unit::Serve, pid, true),
            Some(Event::Request(_, Request::Configure)) => self.configure(),
            // Whether tasks may be run now is looked at after each event.
            Some(Event::Request(_, Request::Files)) => {}
            Some(Event::Request(_, Request::Reload)) => self.reload = true,
        }
    }

    /// Does whatever is to be done now, and tells `serve` what came of it.
    fn act(&mut self) {
        while let Some(step) = self.supervisor.next(self.clock.monotonic()) {
            match step {
                Step::Start(unit) => self.start(unit),
                Step::Terminate(_, pid) => processes::send(pid, Signal::SIGTERM),
                Step::Kill(_, pid) => processes::send(pid, Signal::SIGKILL),
            }
        }
        self.run_tasks();
        let status = self.status();
        if let Some(link) = &mut self.link
            && !link.tell(&status)
        {
            self.link = None;
            if let Some(pid) = self.supervisor.pid(Unit::Serve) {
                processes::send(pid, Signal::SIGKILL);
            }
        }
    }

    fn status(&self) -> Status {
        Status {
            executable: self.bootstrap.executable.clone(),
            config: self.bootstrap.plan.hash.clone(),
            ssh: self.supervisor.service(Unit::Sshd),
            docker: self.supervisor.docker(),
            tasks: self.tasks.seen(&self.logs),
        }
    }

    /// Takes the plan that is now in the bootstrap file. The rest of that file is for the next executable.
    fn configure(&mut self) {
        match bootstrap::read(Path::new(BOOTSTRAP)) {
            Ok(new) => {
                self.bootstrap.plan = new.plan;
                self.follow_plan();
                self.renew_logins();
            }
            Err(error) => say(&error.chain()),
        }
    }

    /// Has sshd read its settings again where the environment of logins has changed. Sessions go on.
    fn renew_logins(&self) {
        let Some(sshd) = self.supervisor.pid(Unit::Sshd).filter(|pid| self.keygen != Some(*pid)) else { return };
        match sshd::write_settings(&self.bootstrap.plan.env) {
            Ok(true) => processes::send(sshd, Signal::SIGHUP),
            Ok(false) => {}
            Err(error) => say(&error.chain()),
        }
    }

    fn probed(&mut self, unit: Unit, pid: i32, answers: bool) {
        if self.supervisor.pid(unit) == Some(pid) && self.supervisor.answers(unit) != answers {
            let after = self.clock.monotonic().as_millis();
            let word = if answers { "answers" } else { "does not answer any more" };
            say(&format!("{} {word}, {after} ms after the start", unit.name()));
        }
        self.supervisor.probed(unit, pid, answers);
    }

    fn reap(&mut self) {
        loop {
            match reap::next() {
                Reaped::Nobody => return,
                Reaped::Process(pid, end) => self.ended(pid, end),
                Reaped::Somebody => {
                    let gone = |unit| self.supervisor.pid(unit).filter(|pid| processes::is_gone(*pid));
                    let tasks = self.tasks.pids().into_iter().filter(|pid| processes::is_gone(*pid));
                    let pids: Vec<i32> = Unit::ALL.into_iter().filter_map(gone).chain(tasks).collect();
                    pids.into_iter().for_each(|pid| self.ended(pid, End::Unnamed));
                }
            }
        }
    }

    fn ended(&mut self, pid: i32, end: End) {
        let Some(unit) = self.supervisor.unit_of(pid) else { return self.task_ended(pid, end) };
        if self.keygen == Some(pid) {
            self.keygen = None;
            if end == End::Code(0) {
                return self.start_with_new_key();
            }
        }
        self.probes.remove(&unit);
        if unit == Unit::Serve {
            self.link = None;
        }
        let words = self.logs.last_words(unit.name(), LINES);
        let colon = if words.is_empty() { "" } else { ": " };
        let message = format!("{}{colon}{words}", end.describe());
        self.supervisor.exited(unit, message.clone(), self.clock.monotonic());
        self.say_failure(unit, &message);
    }

    pub(super) fn failed(&mut self, unit: Unit, message: String, now: Duration) {
        self.supervisor.failed(unit, message.clone(), now);
        self.say_failure(unit, &message);
    }

    /// The container's log is the engine's and may have no bound: what fails for days is told ever more rarely.
    fn say_failure(&self, unit: Unit, message: &str) {
        let failures = self.supervisor.failures(unit);
        if failures == 0 || failures.is_power_of_two() {
            say(&format!("{} {message}", unit.name()));
        }
    }

    /// Becomes the executable that is now in this one's place. Returns only where that fails: then nothing has changed.
    fn become_new(&mut self, events: &Receiver<Event>) {
        self.reload = false;
        let heirs = Unit::ALL.into_iter().filter(|unit| *unit != Unit::Serve);
        let state =
            |unit: Unit| Some((unit.name().to_owned(), (self.supervisor.pid(unit)?, self.supervisor.answers(unit))));
        let heritage = Heritage { units: heirs.filter_map(state).collect(), tasks: self.tasks.heritage() };
        let Ok(heritage) = serde_json::to_string(&heritage) else { return };
        if let Err(error) = hold_signals(true) {
            return say(&error.chain());
        }
        // One that was heard already would be forgotten.
        let mut waiting = Vec::new();
        while let Ok(event) = events.try_recv() {
            waiting.push(event);
        }
        if !waiting.contains(&Event::Stop) {
            // `serve` sees its stdin end and goes; the new PID 1 starts another.
            let error = Command::new(EXECUTABLE).args(["worker", "init", "--heritage", &heritage]).exec();
            say(&format!("cannot become the new {EXECUTABLE}: {error}"));
        }
        let _ = hold_signals(false);
        waiting.into_iter().for_each(|event| self.take(Some(event)));
    }
}

/// What the executable before this one handed over. One that cannot be read has been written by a version that nobody
/// should have reloaded from: services that run then are found by their sockets and ports being taken, and named so.
fn heritage(args: &[OsString]) -> Option<Heritage> {
    let at = args.iter().position(|arg| arg == "--heritage")?;
    let text = args.get(at + 1)?.to_str()?;
    Some(serde_json::from_str(text).unwrap_or_default())
}
