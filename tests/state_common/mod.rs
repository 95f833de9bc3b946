//! What the tests of the store share.
#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use perry::model::{Metadata, Name, Run, Spec, State, Uid, Workspace};
use perry::store::core::Results;
use perry::store::{Admit, Core, Disk, Edit, Rejected, SimDisk};
use proptest::prelude::*;

pub fn now() -> Timestamp {
    "2026-11-23T00:25:11Z".parse().expect("a time")
}

/// [`now`] as it is in the names of files.
pub fn dated() -> &'static str {
    "2026-11-23T00-25-11Z"
}

pub fn admit_all() -> Admit {
    Box::new(|_, new| Ok(new))
}

pub fn open(disk: &SimDisk) -> Core<SimDisk> {
    Core::open(disk.clone(), admit_all(), now()).expect("it opens")
}

pub fn commit<D: Disk>(core: &mut Core<D>, edits: Vec<Edit>) -> Results {
    core.commit(edits, now())
}

pub fn names<D: Disk>(core: &Core<D>) -> Vec<String> {
    core.state().workspaces.keys().map(|name| name.to_string()).collect()
}

/// A workspace whose ssh is at host port `port`, where that is not 0.
pub fn workspace(name: &str, port: u16) -> Workspace {
    let ssh: Name = "ssh".parse().expect("a name");
    let metadata = Metadata {
        name: name.parse().expect("a name"),
        uid: Uid(format!("uid-of-{name}")),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        generation: 1,
        created: Timestamp::UNIX_EPOCH,
        deletion_timestamp: None,
        restarted_at: None,
        upgraded_at: None,
        prefix: "workspace-".to_owned(),
        host_ports: if port == 0 { BTreeMap::new() } else { [(ssh, port)].into() },
        adopted: None,
    };
    Workspace { metadata, spec: Spec { run: Some(Run::Running), ..Spec::default() } }
}

pub fn insert(state: &mut State, workspace: Workspace) {
    state.workspaces.insert(workspace.metadata.name.clone(), Arc::new(workspace));
}

pub fn edit(change: impl FnOnce(&mut State) + Send + 'static) -> Edit {
    Box::new(|state| {
        change(state);
        Ok(())
    })
}

pub fn create(name: &str) -> Edit {
    let workspace = workspace(name, 0);
    edit(move |state| insert(state, workspace))
}

pub fn reject() -> Edit {
    Box::new(|state| {
        state.workspaces.clear();
        Err(Rejected)
    })
}

/// One of the things that clients and the controller do to intent.
#[derive(Debug, Clone)]
pub enum Change {
    Create(u8),
    Label(u8, u8),
    Stop(u8),
    Delete(u8),
    Forget(u8),
}

pub fn any_change() -> impl Strategy<Value = Change> {
    let which = 0..5_u8;
    prop_oneof![
        which.clone().prop_map(Change::Create),
        (which.clone(), any::<u8>()).prop_map(|(which, label)| Change::Label(which, label)),
        which.clone().prop_map(Change::Stop),
        which.clone().prop_map(Change::Delete),
        which.prop_map(Change::Forget),
    ]
}

impl Change {
    pub fn edit(&self) -> Edit {
        let change = self.clone();
        edit(move |state| change.apply(state))
    }

    pub fn apply(&self, state: &mut State) {
        let (Self::Create(which)
        | Self::Label(which, _)
        | Self::Stop(which)
        | Self::Delete(which)
        | Self::Forget(which)) = self;
        let name = format!("w{which}");
        let Some(found) = state.workspaces.get_mut(name.as_str()) else {
            if let Self::Create(_) = self {
                insert(state, workspace(&name, 22000 + u16::from(*which)));
            }
            return;
        };
        let Workspace { metadata, spec } = Arc::make_mut(found);
        match self {
            Self::Create(_) => return,
            Self::Label(_, label) => drop(metadata.labels.insert("l".to_owned(), label.to_string())),
            Self::Stop(_) => spec.run = Some(Run::Stopped),
            Self::Delete(_) => {
                metadata.deletion_timestamp.get_or_insert(now());
            }
            Self::Forget(_) => {
                if metadata.deletion_timestamp.is_some() {
                    state.workspaces.remove(name.as_str());
                }
                return;
            }
        }
        metadata.generation += 1;
    }
}
