//! How PID 1 starts each program.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::pid1::Init;
use super::probe::{self, Probe};
use super::serving::Link;
use super::supervisor::Unit;
use super::{Event, dockerd, say, sshd};
use crate::clock::Clock;
use crate::worker::WorkerError;
use crate::worker::enter::DEFAULT_PATH;

impl Init {
    /// Starts a program, and tells the supervisor what came of it.
    pub(super) fn start(&mut self, unit: Unit) {
        let started = match unit {
            Unit::Serve => self.start_serve(),
            Unit::Terminals => self.start_terminals(),
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
        command.stderr(self.logs.writer(Unit::Serve.name())?);
        let mut child = spawn(&mut command)?;
        let pid = pid_of(&child);
        self.link = Some(Link::open(&mut child, pid, self.events.clone())?);
        Ok(pid)
    }

    fn start_terminals(&mut self) -> Result<i32, WorkerError> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("perry").args(["worker", "terminals"]);
        Ok(pid_of(&self.spawn_logged(Unit::Terminals, &mut command)?))
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
        sshd::write_settings(&self.bootstrap.plan.env)?;
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
        let output = self.logs.writer(unit.name())?;
        let errors = output.try_clone().map_err(WorkerError::system("duplicate a pipe"))?;
        spawn(command.stdin(Stdio::null()).stdout(output).stderr(errors))
    }

    /// Asks whether it answers, from now on.
    pub(super) fn ask(&mut self, unit: Unit, pid: i32) {
        let question: fn() -> std::io::Result<()> = match unit {
            Unit::Sshd => || probe::ssh(22),
            Unit::Containerd => || probe::listens(Path::new(dockerd::CONTAINERD_SOCKET)),
            Unit::Dockerd => || probe::docker(Path::new(probe::DOCKER_SOCKET)),
            // The one says so itself; the other is asked by those who come.
            Unit::Serve | Unit::Terminals => return,
        };
        let events = self.events.clone();
        let tell = move |answers| events.send(Event::Probed(unit, pid, answers)).is_ok();
        match Probe::start(unit, question, tell) {
            Ok(probe) => drop(self.probes.insert(unit, probe)),
            Err(error) => say(&format!("cannot ask {} whether it answers: {error}", unit.name())),
        }
    }

    /// Starts sshd in the place of the generator of its key, which has ended well.
    pub(super) fn start_with_new_key(&mut self) {
        let started = sshd::publish_key(&self.key_folder).and_then(|()| self.start_sshd_proper());
        let now = self.clock.monotonic();
        match started {
            Ok(pid) => self.supervisor.started(Unit::Sshd, pid, now),
            Err(error) => self.failed(Unit::Sshd, error.chain(), now),
        }
    }
}

/// Whether the image has it.
pub(super) fn installed(unit: Unit) -> bool {
    match unit {
        Unit::Serve | Unit::Terminals => true,
        Unit::Sshd => sshd::find().is_some(),
        Unit::Dockerd => dockerd::find().is_some(),
        Unit::Containerd => dockerd::find_containerd().is_some() && dockerd::Settings::read().leaves_containerd_to_us(),
    }
}

/// Starts a program in the folder / and with a PATH. Never waited for by its handle: PID 1 waits for everybody.
pub(super) fn spawn(command: &mut Command) -> Result<Child, WorkerError> {
    if env::var_os("PATH").is_none() {
        command.env("PATH", DEFAULT_PATH);
    }
    command
        .current_dir("/")
        .spawn()
        .map_err(|source| WorkerError::Start { program: command.get_program().to_string_lossy().into_owned(), source })
}

/// The process number of a child.
pub(super) fn pid_of(child: &Child) -> i32 {
    i32::try_from(child.id()).expect("process numbers are positive and fit")
}
