//! Intent in the simulation, and the two lenses that break a fencing rule on the controller's side of it.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::channel::mpsc;
use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;
use perry::clock::{Clock, ManualClock};
use perry::model::admission::{NOT_KNOWN, Settings, admit_outside};
use perry::model::{Config, Name, State, Uid, Workspace};
use perry::store::{Admit, Core, Edit, Intent, IntentError, SimDisk};

use super::ablation::Ablation;
use super::oracle::Oracle;

/// The agent's folder, and the store of the agent that lives.
#[derive(Clone)]
pub struct Desk {
    inner: Arc<Mutex<Inner>>,
    oracle: Oracle,
    clock: ManualClock,
    pub disk: SimDisk,
}

struct Inner {
    core: Option<Core<SimDisk>>,
    /// What the store said last.
    state: Arc<State>,
    /// What the disk may hold: the latest commit that succeeded, and every one since that the disk failed.
    possible: Vec<Arc<State>>,
    /// Somebody wrote into the folder by hand since the last commit: what a crash leaves is not foreseen.
    touched: bool,
    listeners: Vec<mpsc::UnboundedSender<Name>>,
}

impl Desk {
    pub fn new(oracle: &Oracle, clock: &ManualClock) -> Self {
        let possible = vec![Arc::default()];
        let inner = Inner { core: None, state: Arc::default(), possible, touched: false, listeners: Vec::new() };
        let inner = Arc::new(Mutex::new(inner));
        Self { inner, oracle: oracle.clone(), clock: clock.clone(), disk: SimDisk::new() }
    }

    /// What the store says is committed.
    pub fn state(&self) -> Arc<State> {
        self.inner.lock().unwrap().state.clone()
    }

    /// A new life opens the folder: S4. Fails while the disk does.
    pub fn open(&self) -> bool {
        let mut inner = self.inner.lock().unwrap();
        let config = Config::default();
        let uids = Arc::new(AtomicU64::new(self.disk.steps() << 20));
        let clock = self.clock.clone();
        let admit: Admit = Box::new(move |old, new| {
            let uid = || Uid(format!("{:032x}", uids.fetch_add(1, Ordering::Relaxed)));
            let settings = Settings {
                config: &config,
                now: clock.wall(),
                uid: uid(),
                allow_replace: true,
                if_generation: None,
                in_use: &NOT_KNOWN,
            };
            admit_outside(old, new, &settings).map(|outside| outside.state)
        });
        let Ok(core) = Core::open(self.disk.clone(), admit, self.clock.wall()) else { return false };
        let found = core.state().clone();
        let is_expected = inner.possible.iter().any(|state| state.workspaces == found.workspaces);
        if !inner.touched && !is_expected {
            self.oracle.violation("S4: state.json is neither the old nor the new document after a crash");
        }
        inner.possible.push(found);
        inner.core = Some(core);
        drop(inner);
        self.publish();
        true
    }

    /// Commits an edit and tells the agent.
    pub fn edit(&self, edit: impl FnOnce(&mut State) + Send + 'static) -> bool {
        let ok = {
            let mut inner = self.inner.lock().unwrap();
            let (tell, told) = std::sync::mpsc::channel();
            let edit: Edit = Box::new(move |state| {
                edit(state);
                let _ = tell.send(Arc::new(state.clone()));
                Ok(())
            });
            let now = self.clock.wall();
            let Some(core) = inner.core.as_mut() else { return false };
            let results = core.commit(vec![edit], now);
            let ok = results.into_iter().all(|result| result.is_ok());
            let found = core.state().clone();
            if ok {
                // What somebody wrote by hand was not synced by them; a document of ours is.
                inner.touched &= found.revision == inner.state.revision;
                inner.possible.clear();
            }
            inner.possible.extend(told.try_recv().ok());
            inner.possible.push(found);
            ok
        };
        self.publish();
        ok
    }

    /// Looks whether somebody wrote into the folder.
    pub fn poll(&self) {
        let now = self.clock.wall();
        let mut inner = self.inner.lock().unwrap();
        if let Some(core) = &mut inner.core {
            let _ = core.poll(now);
            let found = core.state().clone();
            inner.possible.push(found);
        }
        drop(inner);
        self.publish();
    }

    /// Somebody writes into the folder, or removes the file.
    pub fn touch(&self, content: Option<&[u8]>) {
        self.inner.lock().unwrap().touched = true;
        match content {
            Some(content) => self.disk.outside_write("state.json", content),
            None => self.disk.outside_remove("state.json"),
        }
    }

    /// The folder's intent is lost, with the copy of it.
    pub fn lose(&self) {
        self.inner.lock().unwrap().touched = true;
        ["state.json", "state.json.1"].iter().for_each(|name| self.disk.outside_remove(name));
    }

    fn publish(&self) {
        let mut inner = self.inner.lock().unwrap();
        let Some(core) = &inner.core else { return };
        let state = core.state().clone();
        let before = std::mem::replace(&mut inner.state, state);
        if Arc::ptr_eq(&before, &inner.state) {
            return;
        }
        self.oracle.committed(inner.state.clone());
        let names: BTreeSet<Name> = before.workspaces.keys().chain(inner.state.workspaces.keys()).cloned().collect();
        for name in names {
            if before.workspaces.get(&name) != inner.state.workspaces.get(&name) {
                inner.listeners.retain(|listener| listener.unbounded_send(name.clone()).is_ok());
            }
        }
    }

    pub fn agents_died(&self) {
        let mut inner = self.inner.lock().unwrap();
        inner.listeners.clear();
        inner.core = None;
    }

    pub fn listen(&self) -> Pin<Box<dyn Stream<Item = Name> + Send>> {
        let (sender, receiver) = mpsc::unbounded();
        self.inner.lock().unwrap().listeners.push(sender);
        Box::pin(receiver.chain(stream::pending()))
    }

    pub fn forget(&self, name: &Name, uid: &Uid) -> Result<(), IntentError> {
        let (wanted, mine) = (name.clone(), uid.clone());
        let forget = move |state: &mut State| {
            perry::store::forget(state, &wanted, &mine);
        };
        if !self.edit(forget) {
            return Err(IntentError("the disk did not take it".to_owned()));
        }
        let gone = self.state().workspaces.get(name).is_none_or(|stored| stored.metadata.uid != *uid);
        if gone {
            self.oracle.deletion_finished(uid);
        }
        Ok(())
    }
}

/// What the controller is given: the desk, seen through what is broken.
pub struct Lens {
    pub desk: Desk,
    pub ablation: Ablation,
    /// What each name was when a look at it began: `NoRecheck` shows this from then on.
    pub frozen: Arc<Mutex<BTreeMap<Name, Arc<Workspace>>>>,
    /// Everything that was ever there: `AbsenceDeletes` tears down what has vanished.
    pub remembered: Arc<Mutex<BTreeMap<Name, Arc<Workspace>>>>,
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
        self.desk.forget(name, uid)
    }

    fn changes(&self) -> Pin<Box<dyn Stream<Item = Name> + Send>> {
        self.desk.listen()
    }
}
