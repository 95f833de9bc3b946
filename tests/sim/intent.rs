//! Intent in the simulation, and the two lenses that break a fencing rule on the controller's side of it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::channel::mpsc;
use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;
use perry::model::{Name, State, Uid, Workspace};
use perry::store::{Intent, IntentError};

use super::ablation::Ablation;
use super::oracle::Oracle;

/// The committed intent; outlives the agents.
#[derive(Clone)]
pub struct Desk {
    inner: Arc<Mutex<Inner>>,
    oracle: Oracle,
}

struct Inner {
    state: Arc<State>,
    listeners: Vec<mpsc::UnboundedSender<Name>>,
}

impl Desk {
    pub fn new(oracle: &Oracle) -> Self {
        let inner = Inner { state: Arc::default(), listeners: Vec::new() };
        Self { inner: Arc::new(Mutex::new(inner)), oracle: oracle.clone() }
    }

    pub fn state(&self) -> Arc<State> {
        self.inner.lock().unwrap().state.clone()
    }

    /// Commits an edit and tells the agent.
    pub fn edit(&self, edit: impl FnOnce(&mut State)) {
        let mut inner = self.inner.lock().unwrap();
        let mut state = State::clone(&inner.state);
        edit(&mut state);
        if state == *inner.state {
            return;
        }
        state.revision += 1;
        let before = std::mem::replace(&mut inner.state, Arc::new(state));
        self.oracle.committed(inner.state.clone());
        let names: Vec<Name> = before.workspaces.keys().chain(inner.state.workspaces.keys()).cloned().collect();
        for name in names {
            if before.workspaces.get(&name) != inner.state.workspaces.get(&name) {
                inner.listeners.retain(|listener| listener.unbounded_send(name.clone()).is_ok());
            }
        }
    }

    pub fn agents_died(&self) {
        self.inner.lock().unwrap().listeners.clear();
    }

    pub fn listen(&self) -> Pin<Box<dyn Stream<Item = Name> + Send>> {
        let (sender, receiver) = mpsc::unbounded();
        self.inner.lock().unwrap().listeners.push(sender);
        Box::pin(receiver.chain(stream::pending()))
    }

    pub fn forget(&self, name: &Name, uid: &Uid) {
        let mut gone = false;
        self.edit(|state| {
            let deleting = |w: &Arc<Workspace>| w.metadata.uid == *uid && w.metadata.deletion_timestamp.is_some();
            if state.workspaces.get(name).is_some_and(deleting) {
                state.workspaces.remove(name);
                gone = true;
            }
        });
        if gone {
            self.oracle.deletion_finished(uid);
        }
    }
}

/// What the controller is given: the desk, seen through what is broken.
pub struct Lens {
    pub desk: Desk,
    pub ablation: Ablation,
    /// What each name was when a look at it began: `NoRecheck` shows this from then on.
    pub frozen: Arc<Mutex<BTreeMap<Name, Arc<Workspace>>>>,
    /// Everything that was ever there: `AbsenceDeletes` tears down what has vanished.
    pub remembered: Mutex<BTreeMap<Name, Arc<Workspace>>>,
}

#[async_trait]
impl Intent for Lens {
    fn get(&self, name: &Name) -> Option<Arc<Workspace>> {
        let stored = self.desk.state().workspaces.get(name).cloned();
        match self.ablation {
            Ablation::NoRecheck => {
                self.frozen.lock().unwrap().get(name).cloned().filter(|_| stored.is_some()).or(stored)
            }
            Ablation::AbsenceDeletes => {
                let mut remembered = self.remembered.lock().unwrap();
                if let Some(stored) = stored {
                    remembered.insert(name.clone(), stored.clone());
                    return Some(stored);
                }
                let mut vanished = Workspace::clone(remembered.get(name)?);
                vanished.metadata.deletion_timestamp = Some(Timestamp::UNIX_EPOCH);
                Some(Arc::new(vanished))
            }
            _ => stored,
        }
    }

    fn list(&self) -> BTreeMap<Name, Arc<Workspace>> {
        self.desk.state().workspaces.clone()
    }

    async fn forget(&self, name: &Name, uid: &Uid) -> Result<(), IntentError> {
        self.remembered.lock().unwrap().remove(name);
        self.desk.forget(name, uid);
        Ok(())
    }

    fn changes(&self) -> Pin<Box<dyn Stream<Item = Name> + Send>> {
        self.desk.listen()
    }
}
