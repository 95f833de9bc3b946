//! Which program must run now: pure state, `now` as an argument, no system call.
//!
//! Whoever holds a [`Supervisor`] asks [`Supervisor::next`] for steps until there are none, does them, and tells it what
//! came of them and which programs ended. Times are since an arbitrary start (see [`crate::clock::Clock::monotonic`]).

use std::time::Duration;

use crate::model::observed::Service;

/// The first pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Who answered and has run for this long has started well: the next failure is a first one.
const WELL: Duration = Duration::from_secs(10);
/// How long a program may take to end when it is turned off.
const GRACE: Duration = Duration::from_secs(10);
/// Failures of containerd, none of them after it had answered, after which dockerd must bring its own.
const GIVE_UP: u32 = 3;

/// A supervised program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Unit {
    /// `perry worker serve`.
    Serve,
    /// The SSH server, or the generator of its host key.
    Sshd,
    /// What dockerd runs containers with.
    Containerd,
    /// The Docker engine.
    Dockerd,
    /// `perry worker terminals`.
    Terminals,
}

impl Unit {
    /// All of them, in the order in which they are started.
    pub(super) const ALL: [Self; 5] = [Self::Serve, Self::Containerd, Self::Sshd, Self::Dockerd, Self::Terminals];

    /// What people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Terminals => "terminals",
            Self::Sshd => "sshd",
            Self::Containerd => "containerd",
            Self::Dockerd => "dockerd",
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Start it; answer by [`Supervisor::started`] or [`Supervisor::failed`].
    Start(Unit),
    /// Ask this process to end.
    Terminate(Unit, i32),
    /// End it.
    Kill(Unit, i32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Down,
    /// Failed; again at this time.
    Pausing(Duration),
    Up {
        pid: i32,
        since: Duration,
        answers: bool,
    },
    /// Asked to end; killed at this time, which is `None` once that is done.
    Ending {
        pid: i32,
        kill_at: Option<Duration>,
    },
}

/// One program's state.
#[derive(Debug, Clone)]
struct Slot {
    installed: bool,
    wanted: bool,
    phase: Phase,
    failures: u32,
    /// Why it is not there, from its end until it answers again.
    failure: Option<String>,
    /// It answered at least once.
    proven: bool,
}

/// The state of all programs.
#[derive(Debug, Clone)]
pub(super) struct Supervisor {
    slots: [Slot; Unit::ALL.len()],
}

impl Supervisor {
    /// Knows which programs the image has; none is wanted yet.
    pub(super) fn new(installed: impl Fn(Unit) -> bool) -> Self {
        let slot = |unit| Slot {
            installed: installed(unit),
            wanted: false,
            phase: Phase::Down,
            failures: 0,
            failure: None,
            proven: false,
        };
        // By number: `ALL` is in another order.
        let mut slots = Unit::ALL;
        slots.sort_unstable();
        Self { slots: slots.map(slot) }
    }

    fn slot(&self, unit: Unit) -> &Slot {
        &self.slots[unit as usize]
    }

    fn slot_mut(&mut self, unit: Unit) -> &mut Slot {
        &mut self.slots[unit as usize]
    }

    /// Sets whether it should run. For [`Unit::Containerd`] that follows from dockerd.
    pub(super) fn want(&mut self, unit: Unit, wanted: bool) {
        let slot = self.slot_mut(unit);
        if slot.wanted != wanted {
            slot.wanted = wanted;
            // A change is a new beginning: what was before does not count.
            (slot.failures, slot.failure) = (0, None);
            if let Phase::Pausing(_) = slot.phase {
                slot.phase = Phase::Down;
            }
        }
    }

    /// Whether dockerd is to be given our containerd.
    pub(super) fn has_containerd(&self) -> bool {
        self.slot(Unit::Containerd).installed
    }

    /// A process of before a reload goes on.
    pub(super) fn adopt(&mut self, unit: Unit, pid: i32, answers: bool, now: Duration) {
        let slot = self.slot_mut(unit);
        slot.phase = Phase::Up { pid, since: now, answers };
        slot.proven = answers;
    }

    /// The next thing to do, `None` when there is nothing before [`Supervisor::deadline`].
    pub(super) fn next(&mut self, now: Duration) -> Option<Step> {
        // containerd is there before dockerd and until after it.
        let docker = self.slot(Unit::Dockerd);
        let needed =
            (docker.wanted && docker.installed) || matches!(docker.phase, Phase::Up { .. } | Phase::Ending { .. });
        self.want(Unit::Containerd, needed);
        Unit::ALL.into_iter().find_map(|unit| self.step(unit, now))
    }

    fn step(&mut self, unit: Unit, now: Duration) -> Option<Step> {
        let may_start = self.may_start(unit);
        let slot = self.slot_mut(unit);
        let run = slot.wanted && slot.installed;
        match slot.phase {
            Phase::Down if may_start => Some(Step::Start(unit)),
            Phase::Pausing(until) if may_start && until <= now => {
                slot.phase = Phase::Down;
                Some(Step::Start(unit))
            }
            Phase::Up { pid, .. } if !run => {
                slot.phase = Phase::Ending { pid, kill_at: Some(now + GRACE) };
                Some(Step::Terminate(unit, pid))
            }
            Phase::Ending { pid, kill_at: Some(at) } if at <= now => {
                slot.phase = Phase::Ending { pid, kill_at: None };
                Some(Step::Kill(unit, pid))
            }
            _ => None,
        }
    }

    /// Whether only time can keep it from starting.
    fn may_start(&self, unit: Unit) -> bool {
        let slot = self.slot(unit);
        let ready = unit != Unit::Dockerd || !self.has_containerd() || self.answers(Unit::Containerd);
        slot.wanted && slot.installed && ready
    }

    /// It was started.
    pub(super) fn started(&mut self, unit: Unit, pid: i32, now: Duration) {
        self.slot_mut(unit).phase = Phase::Up { pid, since: now, answers: false };
    }

    /// It could not be started.
    pub(super) fn failed(&mut self, unit: Unit, message: String, now: Duration) {
        let slot = self.slot_mut(unit);
        slot.failures += 1;
        slot.failure = Some(message);
        slot.phase = Phase::Pausing(now + pause(slot.failures));
        let hopeless = unit == Unit::Containerd && !slot.proven && slot.failures >= GIVE_UP;
        if hopeless {
            slot.installed = false;
        }
    }

    /// How often it failed in a row.
    pub(super) fn failures(&self, unit: Unit) -> u32 {
        self.slot(unit).failures
    }

    /// Which program that process is.
    pub(super) fn unit_of(&self, process: i32) -> Option<Unit> {
        Unit::ALL.into_iter().find(|unit| self.pid(*unit) == Some(process))
    }

    /// Its process, if there is one.
    pub(super) fn pid(&self, unit: Unit) -> Option<i32> {
        match self.slot(unit).phase {
            Phase::Up { pid, .. } | Phase::Ending { pid, .. } => Some(pid),
            Phase::Down | Phase::Pausing(_) => None,
        }
    }

    /// Its process has ended; `message` says how.
    pub(super) fn exited(&mut self, unit: Unit, message: String, now: Duration) {
        let slot = self.slot_mut(unit);
        match slot.phase {
            Phase::Up { since, .. } if slot.wanted => {
                if slot.failure.is_none() && now.saturating_sub(since) >= WELL {
                    slot.failures = 0;
                }
                self.failed(unit, message, now);
            }
            _ => slot.phase = Phase::Down,
        }
    }

    /// Whether it answers, as a probe of that process found.
    pub(super) fn probed(&mut self, unit: Unit, process: i32, found: bool) {
        let slot = self.slot_mut(unit);
        if let Phase::Up { pid, answers, .. } = &mut slot.phase
            && *pid == process
        {
            *answers = found;
            if found {
                slot.proven = true;
                slot.failure = None;
            }
        }
    }

    /// Whether it runs and answered when it was asked last.
    pub(super) fn answers(&self, unit: Unit) -> bool {
        matches!(self.slot(unit).phase, Phase::Up { answers: true, .. })
    }

    /// Whether sshd and dockerd are up, as far as they will be: nothing that starts is slowed down by what comes after.
    pub(super) fn settled(&self) -> bool {
        self.service(Unit::Sshd) != Service::Starting && self.docker() != Service::Starting
    }

    /// When [`Supervisor::next`] has something to do next, if nothing happens before. Once `next` said that there is
    /// nothing, this is later than the time it was asked for: waiting for it is never a busy loop.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let at = |unit: Unit| match self.slot(unit).phase {
            Phase::Pausing(until) if self.may_start(unit) => Some(until),
            Phase::Ending { kill_at, .. } => kill_at,
            _ => None,
        };
        Unit::ALL.into_iter().filter_map(at).min()
    }

    /// What the agent is told of it.
    pub(super) fn service(&self, unit: Unit) -> Service {
        let slot = self.slot(unit);
        match slot {
            Slot { installed: false, .. } => Service::NotInImage,
            Slot { wanted: false, .. } => Service::Off,
            Slot { phase: Phase::Up { answers: true, .. }, .. } => Service::Running,
            Slot { failure: Some(message), .. } => Service::Failed { message: message.clone() },
            _ => Service::Starting,
        }
    }

    /// What the agent is told of Docker: dockerd, or what keeps it from starting.
    pub(super) fn docker(&self) -> Service {
        match (self.service(Unit::Dockerd), &self.slot(Unit::Containerd).failure) {
            (Service::Starting, Some(message)) if self.has_containerd() => {
                Service::Failed { message: format!("containerd: {message}") }
            }
            (service, _) => service,
        }
    }
}

/// The pause after the n-th failure in a row.
fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
