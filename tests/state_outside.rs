//! What is taken of an edit of `state.json` by somebody else.

mod state_common;

use std::collections::VecDeque;
use std::sync::Arc;

use perry::model::files::STATE;
use perry::model::workspace::Adopted;
use perry::model::{Run, State, Uid, Workspace};
use perry::store::document;
use perry::store::outside::{Merged, merge};
use perry::store::{Core, SimDisk};
use proptest::prelude::*;
use state_common::*;

fn one() -> State {
    let mut state = State { revision: 5, ..State::default() };
    insert(&mut state, workspace("a", 22000));
    state
}

/// The result of changing `a` by hand.
fn edited(change: impl FnOnce(&mut Workspace)) -> (Workspace, Vec<String>) {
    let mut new = one();
    change(Arc::make_mut(new.workspaces.get_mut("a").expect("a")));
    let Merged { state, notes } = merge(&one(), new, &VecDeque::new());
    ((*state.workspaces["a"]).clone(), notes)
}

#[test]
fn an_edit_of_spec_labels_restart_or_deletion_is_taken_and_counts_as_a_generation() {
    let changes: [fn(&mut Workspace); 4] = [
        |workspace| workspace.spec.run = Some(Run::Stopped),
        |workspace| drop(workspace.metadata.labels.insert("team".to_owned(), "web".to_owned())),
        |workspace| workspace.metadata.restarted_at = Some(now()),
        |workspace| workspace.metadata.deletion_timestamp = Some(now()),
    ];
    for change in changes {
        let (found, notes) = edited(change);
        let mut expected = workspace("a", 22000);
        change(&mut expected);
        expected.metadata.generation = 2;
        assert_eq!((found, notes), (expected, vec![]));
    }
}

#[test]
fn annotations_are_taken_without_a_generation_and_one_that_was_counted_by_hand_is_kept() {
    let annotate = |workspace: &mut Workspace| {
        workspace.metadata.annotations.insert("note".to_owned(), "x".to_owned());
    };
    let (found, _) = edited(annotate);
    assert_eq!((found.metadata.annotations.len(), found.metadata.generation), (1, 1));
    let (found, _) = edited(|workspace| {
        workspace.spec.run = Some(Run::Stopped);
        workspace.metadata.generation = 9;
    });
    assert_eq!(found.metadata.generation, 9);
    for wild in [0, 1, u64::MAX] {
        let (found, _) = edited(|workspace| {
            workspace.spec.run = Some(Run::Stopped);
            workspace.metadata.generation = wild;
        });
        assert_eq!(found.metadata.generation, 2);
    }
}

#[test]
fn what_perry_decided_is_kept_and_told() {
    let (found, notes) = edited(|workspace| {
        let metadata = &mut workspace.metadata;
        metadata.uid = Uid("stolen".to_owned());
        metadata.created = now();
        metadata.prefix = "other-".to_owned();
        metadata.host_ports.clear();
        let container = Some("somebody's".to_owned());
        metadata.adopted = Some(Adopted { container, volumes: Default::default(), pending: false, replace: true });
    });
    assert_eq!(found, workspace("a", 22000));
    assert_eq!(
        notes,
        ["workspace a: uid, created, prefix, hostPorts, adopted cannot be changed in state.json and stayed as it was"]
    );
}

#[test]
fn a_deletion_cannot_be_taken_back() {
    let mut old = one();
    Arc::make_mut(old.workspaces.get_mut("a").expect("a")).metadata.deletion_timestamp = Some(now());
    let merged = merge(&old, one(), &VecDeque::new());
    assert_eq!(merged.state.workspaces, old.workspaces);
    assert_eq!(merged.notes.len(), 1);
}

#[test]
fn a_missing_workspace_is_put_back_and_a_new_one_is_taken() {
    let mut new = State { revision: 5, ..State::default() };
    insert(&mut new, workspace("b", 0));
    let merged = merge(&one(), new, &VecDeque::new());
    assert_eq!(merged.state.workspaces.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(merged.notes[0].contains("to delete it: perry delete a"), "{:?}", merged.notes);
}

#[test]
fn an_editors_old_copy_is_told_of_and_brings_nothing_back_that_was_deleted() {
    let disk = SimDisk::new();
    let mut core: Core<SimDisk> = open(&disk);
    let delete = || vec![Change::Delete(0).edit()];
    commit(&mut core, vec![Change::Create(0).edit(), Change::Create(1).edit()]);
    let old_copy = disk.content(STATE).expect("written");
    commit(&mut core, delete()).pop().expect("one").expect("committed");
    commit(&mut core, vec![Change::Forget(0).edit()]).pop().expect("one").expect("committed");
    assert_eq!(names(&core), ["w1"]);
    disk.outside_write(STATE, &old_copy);
    core.look(now()).expect("read");
    assert_eq!(names(&core), ["w1"]);
    let messages: Vec<_> = core.warnings().into_iter().map(|warning| warning.message).collect();
    assert!(
        messages.iter().any(|message| message.contains("edited from revision 2, while 4 was the latest")),
        "{messages:?}"
    );
    assert!(messages.iter().any(|message| message.contains("w0 was deleted and does not come back")), "{messages:?}");
    assert_eq!(open(&disk).state().workspaces, core.state().workspaces, "it was written again");
    assert!(core.state().revision > 4);
}

#[test]
fn an_edit_that_needs_no_correction_is_not_written_again() {
    let disk = SimDisk::new();
    let mut core = open(&disk);
    commit(&mut core, vec![Change::Create(0).edit()]);
    let commits = core.stats().commits;
    let mut state = (**core.state()).clone();
    insert(&mut state, workspace("b", 0));
    let compact = serde_json::to_vec(&state).expect("it serialises");
    disk.outside_write(STATE, &compact);
    core.poll(now()).expect("read");
    assert_eq!(names(&core), ["b", "w0"]);
    assert_eq!(core.stats().commits, commits);
    assert_eq!(disk.content(STATE), Some(compact));
    core.poll(now()).expect("read");
    assert_eq!(core.warnings(), []);
}

proptest! {
    #[test]
    fn whatever_is_edited_nothing_is_removed_renumbered_or_turned_back(
        before in prop::collection::vec(any_change(), 0..8),
        ours in prop::collection::vec(any_change(), 0..8),
        theirs in prop::collection::vec(any_change(), 0..8),
    ) {
        let mut base = State { revision: 3, ..State::default() };
        before.iter().for_each(|change| change.apply(&mut base));
        let (mut old, mut new) = (base.clone(), base);
        ours.iter().for_each(|change| change.apply(&mut old));
        theirs.iter().for_each(|change| change.apply(&mut new));
        let merged = merge(&old, new.clone(), &VecDeque::new()).state;
        prop_assert_eq!(document::check_step(&old, &merged), Ok(()));
        for (name, workspace) in &old.workspaces {
            let found = &merged.workspaces[name];
            prop_assert_eq!(&found.metadata.uid, &workspace.metadata.uid);
            prop_assert!(found.spec == workspace.spec || found.metadata.generation > workspace.metadata.generation);
        }
        // And what it comes to is stable.
        let again = merge(&merged, merged.clone(), &VecDeque::new());
        prop_assert_eq!(again, Merged { state: merged, notes: vec![] });
    }
}
