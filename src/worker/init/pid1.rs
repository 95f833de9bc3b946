//! What PID 1 holds, and how it does what [`super::supervisor`] decides.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::log::Logs;
use super::probe::{self, Probe};
use super::reap::{self, End, Reaped};
use super::serving::Link;
use super::supervisor::{Step, Supervisor, Unit};
use super::{Event, dockerd, hold_signals, processes, say, sshd};
use crate::clock::{Clock, SystemClock};
use crate::contract::worker::{AUTHORIZED_KEYS, BOOTSTRAP, Bootstrap, EXECUTABLE, FOLDER};
use crate::worker::enter::DEFAULT_PATH;
use crate::worker::link::{Request, Status};
use crate::worker::{WorkerError, bootstrap, keys};

/// Where the logs of sshd, dockerd and the others are.
const LOGS: &str = "/var/log/perry";

/// What a reload hands over.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Heritage {
    /// The processes that go on: number, and whether it answered.
    units: BTreeMap<Unit, (i32, bool)>,
}

/// PID 1.
pub(super) struct Init {
    clock: SystemClock,
    events: SyncSender<Event>,
    bootstrap: Bootstrap,
    supervisor: Supervisor,
    logs: Logs,
    probes: BTreeMap<Unit, Probe>,
    link: Option<Link>,
    key_folder: PathBuf,
    /// The generator of the host key, while it runs in sshd's place.
    keygen: Option<i32>,
    reload: bool,
    stop: bool,
}

impl Init {
    /// Begins, or goes on where the executable before this one left off.
    pub(super) fn begin(args: &[OsString], events: SyncSender<Event>) -> Result<Self, WorkerError> {
        let heritage = heritage(args);
        let bootstrap = bootstrap::read(Path::new(BOOTSTRAP))?;
        let fresh = heritage.is_none();
        if fresh {
            dockerd::forget_last_boot();
        }
        let logs = Logs::open(&Path::new(FOLDER).join("logs"), Path::new(LOGS), fresh)?;
        // Wrong keys must not keep the workspace from running; the agent checks them before.
        if let Err(error) = keys::write(Path::new(AUTHORIZED_KEYS), &bootstrap.plan.authorized_keys) {
            say(&error.chain());
        }
        let mut init = Self {
            clock: SystemClock::new(),
            events,
            bootstrap,
            supervisor: Supervisor::new(installed),
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
        for (unit, (pid, answers)) in heritage.unwrap_or_default().units {
            let now = init.clock.monotonic();
            init.supervisor.adopt(unit, pid, answers, now);
            init.ask(unit, pid);
        }
        Ok(init)
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &self.clock
    }

    fn follow_plan(&mut self) {
        self.supervisor.want(Unit::Serve, true);
        self.supervisor.want(Unit::Sshd, true);
        self.supervisor.want(Unit::Dockerd, self.bootstrap.plan.docker);
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
        let Some(deadline) = self.supervisor.deadline() else {
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
        }
    }

    /// Takes the plan that is now in the bootstrap file. The rest of that file is for the next executable.
    fn configure(&mut self) {
        match bootstrap::read(Path::new(BOOTSTRAP)) {
            Ok(new) => {
                self.bootstrap.plan = new.plan;
                self.follow_plan();
            }
            Err(error) => say(&error.chain()),
        }
    }

    fn start(&mut self, unit: Unit) {
        let started = match unit {
            Unit::Serve => self.start_serve(),
            Unit::Sshd => self.start_sshd(),
            Unit::Containerd => self.start_containerd(),
            Unit::Dockerd => self.start_dockerd(),
        };
        let now = self.clock.monotonic();
        match started {
            Ok(pid) => self.supervisor.started(unit, pid, now),
            Err(error) => self.failed(unit, error.chain(), now),
        }
    }

    fn start_serve(&mut self) -> Result<i32, WorkerError> {
        // This executable, though another may have been put in its place: both ends of the link are of one version.
        let mut command = Command::new("/proc/self/exe");
        command.arg0("perry").args(["worker", "serve"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(self.logs.writer(Unit::Serve)?);
        let mut child = spawn(&mut command)?;
        let pid = pid_of(&child);
        self.link = Some(Link::open(&mut child, pid, self.events.clone())?);
        Ok(pid)
    }

    fn start_sshd(&mut self) -> Result<i32, WorkerError> {
        sshd::prepare(&self.key_folder)?;
        if sshd::has_key(&self.key_folder) {
            return self.start_sshd_proper();
        }
        let mut command = sshd::keygen(&self.key_folder, &self.bootstrap.name)?;
        let pid = pid_of(&self.spawn_logged(Unit::Sshd, &mut command)?);
        self.keygen = Some(pid);
        Ok(pid)
    }

    fn start_sshd_proper(&mut self) -> Result<i32, WorkerError> {
        let program = sshd::find().unwrap_or(Path::new("sshd"));
        let mut command = sshd::command(program, &self.key_folder);
        let pid = pid_of(&self.spawn_logged(Unit::Sshd, &mut command)?);
        self.ask(Unit::Sshd, pid);
        Ok(pid)
    }

    fn start_containerd(&mut self) -> Result<i32, WorkerError> {
        dockerd::prepare();
        let program = dockerd::find_containerd().unwrap_or(Path::new("containerd"));
        let pid = pid_of(&self.spawn_logged(Unit::Containerd, &mut dockerd::containerd(program)?)?);
        self.ask(Unit::Containerd, pid);
        Ok(pid)
    }

    fn start_dockerd(&mut self) -> Result<i32, WorkerError> {
        dockerd::prepare();
        let program = dockerd::find().unwrap_or(Path::new("dockerd"));
        let mut command = dockerd::command(program, self.supervisor.has_containerd());
        let pid = pid_of(&self.spawn_logged(Unit::Dockerd, &mut command)?);
        self.ask(Unit::Dockerd, pid);
        Ok(pid)
    }

    fn spawn_logged(&self, unit: Unit, command: &mut Command) -> Result<Child, WorkerError> {
        let output = self.logs.writer(unit)?;
        let errors = output.try_clone().map_err(WorkerError::system("duplicate a pipe"))?;
        spawn(command.stdin(Stdio::null()).stdout(output).stderr(errors))
    }

    fn ask(&mut self, unit: Unit, pid: i32) {
        let question: fn() -> std::io::Result<()> = match unit {
            Unit::Sshd => || probe::ssh(22),
            Unit::Containerd => || probe::listens(Path::new(dockerd::CONTAINERD_SOCKET)),
            Unit::Dockerd => || probe::docker(Path::new(probe::DOCKER_SOCKET)),
            // It says so itself.
            Unit::Serve => return,
        };
        let events = self.events.clone();
        let tell = move |answers| events.send(Event::Probed(unit, pid, answers)).is_ok();
        match Probe::start(unit, question, tell) {
            Ok(probe) => drop(self.probes.insert(unit, probe)),
            Err(error) => say(&format!("cannot ask {} whether it answers: {error}", unit.name())),
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
                    let pids: Vec<i32> = Unit::ALL.into_iter().filter_map(gone).collect();
                    pids.into_iter().for_each(|pid| self.ended(pid, End::Unnamed));
                }
            }
        }
    }

    fn ended(&mut self, pid: i32, end: End) {
        let Some(unit) = self.supervisor.unit_of(pid) else { return };
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
        let words = self.logs.last_words(unit);
        let colon = if words.is_empty() { "" } else { ": " };
        let message = format!("{}{colon}{words}", end.describe());
        say(&format!("{} {message}", unit.name()));
        self.supervisor.exited(unit, message, self.clock.monotonic());
    }

    fn start_with_new_key(&mut self) {
        let started = sshd::publish_key(&self.key_folder).and_then(|()| self.start_sshd_proper());
        let now = self.clock.monotonic();
        match started {
            Ok(pid) => self.supervisor.started(Unit::Sshd, pid, now),
            Err(error) => self.failed(Unit::Sshd, error.chain(), now),
        }
    }

    fn failed(&mut self, unit: Unit, message: String, now: Duration) {
        say(&format!("{}: {message}", unit.name()));
        self.supervisor.failed(unit, message, now);
    }

    /// Becomes the executable that is now in this one's place. Returns only where that fails: then nothing has changed.
    fn become_new(&mut self, events: &Receiver<Event>) {
        self.reload = false;
        let heirs = Unit::ALL.into_iter().filter(|unit| *unit != Unit::Serve);
        let state = |unit| Some((unit, (self.supervisor.pid(unit)?, self.supervisor.answers(unit))));
        let heritage = Heritage { units: heirs.filter_map(state).collect() };
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

fn installed(unit: Unit) -> bool {
    match unit {
        Unit::Serve => true,
        Unit::Sshd => sshd::find().is_some(),
        Unit::Dockerd => dockerd::find().is_some(),
        Unit::Containerd => dockerd::find_containerd().is_some() && dockerd::Settings::read().leaves_containerd_to_us(),
    }
}

/// Starts a program in the folder / and with a PATH. Never waited for by its handle: PID 1 waits for everybody.
fn spawn(command: &mut Command) -> Result<Child, WorkerError> {
    if env::var_os("PATH").is_none() {
        command.env("PATH", DEFAULT_PATH);
    }
    command
        .current_dir("/")
        .spawn()
        .map_err(|source| WorkerError::Start { program: command.get_program().to_string_lossy().into_owned(), source })
}

fn pid_of(child: &Child) -> i32 {
    i32::try_from(child.id()).expect("process numbers are positive and fit")
}
