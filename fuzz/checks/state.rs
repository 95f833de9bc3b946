//! What must hold for any bytes as `state.json`. Shared by the fuzz target and the test that replays its corpus.

use jiff::Timestamp;
use perry::model::State;
use perry::model::files::{AGENT_ID, STATE};
use perry::store::document::{self, Document};
use perry::store::{Core, Edit, SimDisk, migrate};

/// Panics where something does not hold.
pub fn check(data: &[u8]) {
    check_document(data);
    check_start(data);
    check_outside_edit(data);
}

/// Whatever is read is whole, and is read again as it was after it was written.
fn check_document(data: &[u8]) {
    let state = match document::parse(data) {
        Ok(Document::Current(state)) => state,
        Ok(Document::Original(migrated)) => {
            assert!(migrate::pending(&migrated.state).len() <= migrated.state.workspaces.len());
            migrated.state
        }
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert_eq!(document::check(&state), Ok(()));
    let text = document::render(&state).expect("the input was smaller than the limit");
    assert_eq!(document::parse(&text), Ok(Document::Current(state)));
}

/// A start on it and a change after it lose neither the change nor the text.
fn check_start(data: &[u8]) {
    let disk = SimDisk::new();
    disk.outside_write(AGENT_ID, b"an id");
    disk.outside_write(STATE, data);
    let Ok(mut core) = open(&disk) else {
        return assert_eq!(disk.content(STATE).as_deref(), Some(data), "refused, so left alone");
    };
    let before = core.state().clone();
    assert!(core.untrusted().is_some() || document::parse(data).is_ok());
    let added = core.commit(vec![touch()], Timestamp::UNIX_EPOCH).pop().expect("one answer");
    if added.is_ok() && core.state().workspaces != before.workspaces {
        let kept = disk.names().iter().any(|name| disk.content(name).as_deref() == Some(data));
        assert!(kept, "the text is gone; left are {:?}", disk.names());
    }
    assert_eq!(open(&disk).expect("it was written by us").state().workspaces, core.state().workspaces);
}

/// As somebody's edit it removes nothing.
fn check_outside_edit(data: &[u8]) {
    let disk = SimDisk::new();
    let mut core = open(&disk).expect("a new folder");
    disk.outside_write(STATE, SETTLED);
    core.look(Timestamp::UNIX_EPOCH).expect("the disk is well");
    let before = core.state().clone();
    disk.outside_write(STATE, data);
    core.look(Timestamp::UNIX_EPOCH).expect("the disk is well");
    for (name, old) in &before.workspaces {
        let new = &core.state().workspaces[name].metadata;
        assert_eq!((&new.uid, &new.host_ports), (&old.metadata.uid, &old.metadata.host_ports));
        assert!(new.generation >= old.metadata.generation);
    }
    assert_eq!(document::check(core.state()), Ok(()));
}

const SETTLED: &[u8] =
    br#"{"schemaVersion":1,"revision":3,"workspaces":{"a":{"metadata":{"name":"a","uid":"u","generation":2,
"created":"2025-01-10T15:30:00Z","prefix":"workspace-","hostPorts":{"ssh":22000}}}}}"#;

fn open(disk: &SimDisk) -> Result<Core<SimDisk>, perry::store::StoreError> {
    Core::open(disk.clone(), Box::new(|_, new| Ok(new)), Timestamp::UNIX_EPOCH)
}

/// Marks every workspace for deletion, which is allowed in every state.
fn touch() -> Edit {
    Box::new(|state: &mut State| {
        for workspace in state.workspaces.values_mut() {
            std::sync::Arc::make_mut(workspace).metadata.deletion_timestamp.get_or_insert(Timestamp::UNIX_EPOCH);
        }
        Ok(())
    })
}
