//! The store: every file of the agent. Intent is in `state.json`; the controller knows it only by [`Intent`].
//!
//! [`Core`] is the whole logic without threads or clock, [`Store`] the same behind a thread that makes one commit of
//! however many edits wait. An agent starts with [`folder::prepare`], [`lock::HeldLock::take`], [`config::load`],
//! [`Store::open`] and then [`identity::load`], in this order: a folder without `agent.id` is a new one.

pub mod audit;
mod changes;
pub mod client;
mod commit;
pub mod config;
pub mod core;
pub mod disk;
pub mod document;
mod error;
pub mod folder;
pub mod identity;
mod intent;
pub mod lock;
pub mod migrate;
pub mod outside;
pub mod random;
pub mod sim_disk;
pub mod sources;
pub mod tokens;
mod writer;

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use futures::Stream;
use tokio::sync::{Semaphore, oneshot};

pub use core::{Core, Edit};
pub use disk::{Disk, OsDisk};
pub use error::{CommitError, EditError, Rejected, StoreError, Warning};
pub use intent::{Intent, IntentError};
pub use outside::Admit;
pub use sim_disk::SimDisk;

use crate::clock::Clock;
use crate::model::{Name, State, Uid, Workspace};
use writer::{Command, Shared};

/// Intent, for everybody: reads never wait for the disk, edits are grouped into commits.
pub struct Store {
    shared: Arc<Shared>,
    commands: Sender<Command>,
    permits: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
    /// Ends the watch when dropped; `None` where the system gave none.
    watcher: Option<notify::RecommendedWatcher>,
}

impl Store {
    /// Opens the intent of a folder, which must exist, and watches it for outside edits. Reads files: call it before
    /// serving anybody.
    ///
    /// # Errors
    /// As for [`Core::open`], or there is no thread to be had.
    pub fn open(folder: &Path, admit: Admit, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let mut store = Self::with_disk(OsDisk::new(folder), admit, clock)?;
        match writer::watch(folder, store.shared.clone(), store.commands.clone()) {
            Ok(watcher) => store.watcher = Some(watcher),
            Err(error) => tracing::warn!("outside edits of state.json are noticed by polling only: {error}"),
        }
        Ok(store)
    }

    /// The same on any disk, without a watch: outside edits are noticed by polling.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub fn with_disk<D: Disk + 'static>(disk: D, admit: Admit, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let core = Core::open(disk, admit, clock.wall())?;
        let shared = Arc::new(Shared::new(&core));
        let (commands, receiver) = mpsc::channel();
        let publish = shared.clone();
        let thread = std::thread::Builder::new()
            .name("perry-store".to_owned())
            .spawn(move || writer::run(core, &receiver, &publish, &*clock))
            .map_err(|error| StoreError::Thread { source: error.into() })?;
        let permits = Arc::new(Semaphore::new(writer::WAITING_MAX));
        Ok(Self { shared, commands, permits, thread: Some(thread), watcher: None })
    }

    /// The latest committed intent.
    pub fn snapshot(&self) -> Arc<State> {
        self.shared.state()
    }

    /// What a person should know of the files: what is the matter now first, then what happened, oldest first.
    pub fn warnings(&self) -> Vec<Warning> {
        self.shared.current_report().warnings
    }

    /// Why it is not certain that intent is whole, so that nothing may be pruned; `None` where it is.
    pub fn untrusted(&self) -> Option<String> {
        self.shared.current_report().untrusted
    }

    /// What was written since the store was opened.
    pub fn stats(&self) -> core::Stats {
        self.shared.current_report().stats
    }

    /// Changes intent: `edit` gets a copy and, where it returns `Ok` and the commit succeeds, that copy is intent. It is
    /// visible to [`Store::snapshot`] when this returns. It runs on the store's thread: it must not block.
    ///
    /// Dropping the future before its edit has begun to wait in line drops the edit; later, it is committed all the same.
    ///
    /// # Errors
    /// What `edit` said, a rule that it broke, or why the disk did not take it; then intent is what it was, except for
    /// [`StoreError::Unsynced`].
    pub async fn edit<T, E>(
        &self,
        edit: impl FnOnce(&mut State) -> Result<T, E> + Send + 'static,
    ) -> Result<T, EditError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        // What the edit said comes back beside the answer of the commit, which knows no types.
        let slot = Arc::new(Mutex::new(None));
        let said = slot.clone();
        let boxed: Edit = Box::new(move |state| {
            let result = edit(state);
            let rejected = result.is_err();
            *said.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            if rejected { Err(Rejected) } else { Ok(()) }
        });
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Edit(boxed, reply, permit)).map_err(|_| StoreError::Closed)?;
        let committed = answer.await.map_err(|_| StoreError::Closed)?;
        let said = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (committed, said) {
            (Ok(()), Some(Ok(value))) => Ok(value),
            (_, Some(Err(error))) => Err(EditError::Rejected(error)),
            (Err(CommitError::Invalid(issues)), _) => Err(EditError::Invalid(issues)),
            (Err(CommitError::Failed(error)), _) => Err(EditError::Failed(error)),
            (Err(CommitError::Panicked | CommitError::Rejected) | Ok(()), _) => Err(EditError::Panicked),
        }
    }

    /// A person says that intent is whole again, after a fall-back or a recovery: pruning is allowed.
    ///
    /// # Errors
    /// The mark could not be removed.
    pub async fn trust(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Trust(reply)).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Store {
    /// Commits what waits, then ends the thread.
    fn drop(&mut self) {
        self.watcher = None;
        // It has ended by itself: nothing to wait for.
        let _ = self.commands.send(Command::Close);
        if let Some(thread) = self.thread.take() {
            // Its panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl Intent for Store {
    fn get(&self, name: &Name) -> Option<Arc<Workspace>> {
        self.shared.state().workspaces.get(name).cloned()
    }

    fn list(&self) -> BTreeMap<Name, Arc<Workspace>> {
        self.shared.state().workspaces.clone()
    }

    async fn forget(&self, name: &Name, uid: &Uid) -> Result<(), IntentError> {
        let (name, uid) = (name.clone(), uid.clone());
        let edit = move |state: &mut State| {
            forget(state, &name, &uid);
            Ok::<_, std::convert::Infallible>(())
        };
        self.edit(edit).await.map_err(|error| match error {
            EditError::Failed(error) => IntentError(error.chain()),
            other => IntentError(format!("state.json was not written: {other}")),
        })
    }

    fn changes(&self) -> Pin<Box<dyn Stream<Item = Name> + Send>> {
        let next = |shared: Arc<Shared>| async move { Some((shared.changes.next().await, shared)) };
        Box::pin(futures::stream::unfold(self.shared.clone(), next))
    }
}

/// Removes a workspace whose deletion is finished; says whether there was one of this name and uid being deleted.
pub fn forget(state: &mut State, name: &Name, uid: &Uid) -> bool {
    let is_it = |found: &Arc<Workspace>| found.metadata.uid == *uid && found.metadata.deletion_timestamp.is_some();
    let found = state.workspaces.get(name).is_some_and(is_it);
    if found {
        state.workspaces.remove(name);
    }
    found
}
