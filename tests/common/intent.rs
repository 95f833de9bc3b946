//! Intent in memory, as the controller knows the store.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::Stream;
use futures::channel::mpsc;
use perry::model::{Name, Uid, Workspace};
use perry::store::{Intent, IntentError};

/// A store that never touches a disk.
#[derive(Default)]
pub(crate) struct MemoryIntent {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    workspaces: BTreeMap<Name, Arc<Workspace>>,
    listeners: Vec<mpsc::UnboundedSender<Name>>,
    /// So many commits will fail.
    refusals: u32,
}

impl MemoryIntent {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a workspace as it is.
    pub(crate) fn put(&self, workspace: Workspace) {
        let mut inner = self.lock();
        let name = workspace.metadata.name.clone();
        inner.workspaces.insert(name.clone(), Arc::new(workspace));
        inner.tell(&name);
    }

    /// Changes a workspace, which gives it a new generation.
    pub(crate) fn edit(&self, name: &str, change: impl FnOnce(&mut Workspace)) {
        let name = super::fixture::name(name);
        let mut workspace = Workspace::clone(&self.get(&name).expect("it is stored"));
        workspace.metadata.generation += 1;
        change(&mut workspace);
        self.put(workspace);
    }

    /// Lets so many commits fail.
    pub(crate) fn refuse(&self, commits: u32) {
        self.lock().refusals = commits;
    }
}

impl Inner {
    fn tell(&mut self, name: &Name) {
        self.listeners.retain(|listener| listener.unbounded_send(name.clone()).is_ok());
    }
}

#[async_trait]
impl Intent for MemoryIntent {
    fn get(&self, name: &Name) -> Option<Arc<Workspace>> {
        self.lock().workspaces.get(name).cloned()
    }

    fn list(&self) -> BTreeMap<Name, Arc<Workspace>> {
        self.lock().workspaces.clone()
    }

    async fn forget(&self, name: &Name, uid: &Uid) -> Result<(), IntentError> {
        let mut inner = self.lock();
        if inner.refusals > 0 {
            inner.refusals -= 1;
            return Err(IntentError("state.json could not be written: the disk is full".to_owned()));
        }
        let may_go =
            |stored: &Arc<Workspace>| stored.metadata.uid == *uid && stored.metadata.deletion_timestamp.is_some();
        if inner.workspaces.get(name).is_some_and(may_go) {
            inner.workspaces.remove(name);
            inner.tell(name);
        }
        Ok(())
    }

    fn changes(&self) -> Pin<Box<dyn Stream<Item = Name> + Send>> {
        let (sender, receiver) = mpsc::unbounded();
        self.lock().listeners.push(sender);
        Box::pin(receiver)
    }
}
