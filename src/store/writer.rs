//! The thread that owns [`Core`]: whatever edits wait become one commit, and outside edits are noticed.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::changes::Changes;
use super::core::{Core, Edit, Stats};
use super::disk::Disk;
use super::document;
use super::error::{CommitError, StoreError, Warning};
use crate::clock::Clock;
use crate::model::State;
use crate::model::files::STATE;

/// How many edits wait at most, and how many become one commit.
pub(super) const WAITING_MAX: usize = 1024;
/// How long an outside edit is left alone after its first sign: editors write in several steps.
const SETTLE: Duration = Duration::from_millis(50);
/// How often the file is looked at without a sign, for folders that give none (network file systems, no inotify watch left).
const POLL: Duration = Duration::from_millis(500);

/// What the thread is asked for.
pub(super) enum Command {
    /// Commit an edit. The permit bounds how many wait.
    Edit(Edit, oneshot::Sender<Result<(), CommitError>>, OwnedSemaphorePermit),
    /// The file may have been changed by somebody else.
    Look,
    /// A person says that intent is whole.
    Trust(oneshot::Sender<Result<(), StoreError>>),
    /// Answer what was asked before and end.
    Close,
}

/// What the thread publishes.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) state: RwLock<Arc<State>>,
    pub(super) report: RwLock<Report>,
    pub(super) changes: Changes,
    /// A `Look` is on its way or waits to settle: more signs add nothing.
    looking: AtomicBool,
}

/// The state of the files, beside their content.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    pub(super) warnings: Vec<Warning>,
    pub(super) untrusted: Option<String>,
    pub(super) stats: Stats,
}

impl Shared {
    /// The first publication: not a change.
    pub(super) fn new<D: Disk>(core: &Core<D>) -> Self {
        let shared = Self { state: RwLock::new(core.state().clone()), ..Self::default() };
        shared.report(core);
        shared
    }

    pub(super) fn state(&self) -> Arc<State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn current_report(&self) -> Report {
        self.report.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn publish<D: Disk>(&self, core: &Core<D>) {
        self.report(core);
        let (old, new) = (self.state(), core.state());
        if Arc::ptr_eq(&old, new) {
            return;
        }
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = new.clone();
        self.changes.push(document::differences(&old, new).into_iter().map(|(name, ..)| name.clone()));
    }

    fn report<D: Disk>(&self, core: &Core<D>) {
        let report =
            Report { warnings: core.warnings(), untrusted: core.untrusted().map(str::to_owned), stats: core.stats() };
        let mut published = self.report.write().unwrap_or_else(PoisonError::into_inner);
        for warning in report.warnings.iter().filter(|warning| !published.warnings.contains(warning)) {
            tracing::warn!("{}", warning.message);
        }
        *published = report;
    }
}

/// The thread's whole life.
pub(super) fn run<D: Disk>(mut core: Core<D>, commands: &Receiver<Command>, shared: &Shared, clock: &dyn Clock) {
    let mut settling = false;
    loop {
        let first = match commands.recv_timeout(if settling { SETTLE } else { POLL }) {
            Ok(command) => Some(command),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let Some(first) = first else {
            look(&mut core, settling, shared, clock);
            settling = false;
            continue;
        };
        let mut batch = Batch::collect(first, commands);
        settling |= batch.look;
        if !batch.edits.is_empty() {
            // A commit reads the file anew, so it is a look as well.
            shared.looking.store(false, Ordering::SeqCst);
            settling = false;
            batch.commit(&mut core, shared, clock);
        }
        if let Some(reply) = batch.trust {
            let result = core.trust();
            shared.publish(&core);
            // Nobody waits any more: nothing to tell.
            let _ = reply.send(result);
        }
        if batch.close {
            return;
        }
    }
}

/// Looks after a sign, or polls.
fn look<D: Disk>(core: &mut Core<D>, sign: bool, shared: &Shared, clock: &dyn Clock) {
    // First, so that a change after this look gives a new sign.
    shared.looking.store(false, Ordering::SeqCst);
    let looked = if sign { core.look(clock.wall()) } else { core.poll(clock.wall()) };
    if let Err(error) = looked {
        core.note(error.chain(), clock.wall());
    }
    shared.publish(core);
}

#[derive(Default)]
struct Batch {
    edits: Vec<Edit>,
    replies: Vec<oneshot::Sender<Result<(), CommitError>>>,
    look: bool,
    trust: Option<oneshot::Sender<Result<(), StoreError>>>,
    close: bool,
}

impl Batch {
    /// Everything that waits, up to a limit and to whatever has to come after the edits.
    fn collect(first: Command, commands: &Receiver<Command>) -> Self {
        let mut batch = Self::default();
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Edit(edit, reply, _permit) => {
                    batch.edits.push(edit);
                    batch.replies.push(reply);
                }
                Command::Look => batch.look = true,
                Command::Trust(reply) => batch.trust = Some(reply),
                Command::Close => batch.close = true,
            }
            let is_full = batch.edits.len() >= WAITING_MAX || batch.trust.is_some() || batch.close;
            next = if is_full { None } else { commands.try_recv().ok() };
        }
        batch
    }

    /// Commits the edits; they are visible before their callers hear of it.
    fn commit<D: Disk>(&mut self, core: &mut Core<D>, shared: &Shared, clock: &dyn Clock) {
        let results = core.commit(std::mem::take(&mut self.edits), clock.wall());
        shared.publish(core);
        for (reply, result) in self.replies.drain(..).zip(results) {
            // Nobody waits any more: the edit is in force all the same.
            let _ = reply.send(result);
        }
    }
}

/// Watches the folder, never the file: a watch on the file would follow the inode that the first rename replaces.
///
/// # Errors
/// The system gives no watch (limits, file system): polling alone has to do.
pub(super) fn watch(
    folder: &Path,
    shared: Arc<Shared>,
    commands: Sender<Command>,
) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let concerns = event.as_ref().map_or(true, concerns_state);
        if concerns && !shared.looking.swap(true, Ordering::SeqCst) {
            // The thread has ended: nobody wants to know.
            let _ = commands.send(Command::Look);
        }
    })?;
    watcher.watch(folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// Whether an event may mean another content of `state.json`; reading it, as we do, means none.
fn concerns_state(event: &Event) -> bool {
    let is_read = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    };
    let is_named = event.paths.iter().any(|path| path.file_name().is_some_and(|name| name == STATE));
    event.need_rescan() || (is_named && !is_read)
}
