//! `state.json` on a disk that forgets and fails: whatever happens, it is the old or the new document (S4).

mod state_common;

use std::io::ErrorKind;

use perry::model::State;
use perry::model::files::{AGENT_ID, STATE, STATE_ORIGINAL, STATE_PREVIOUS};
use perry::store::document::{self, Document};
use perry::store::sim_disk::{Fault, Reboot};
use perry::store::{CommitError, Core, SimDisk, StoreError};
use proptest::prelude::*;
use state_common::*;

/// A disk with one agent and the workspace `a`, and its owner.
fn settled() -> (SimDisk, Core<SimDisk>) {
    let disk = SimDisk::new();
    let mut core = open(&disk);
    disk.outside_write(AGENT_ID, b"an id");
    commit(&mut core, vec![create("a")]).pop().expect("one").expect("committed");
    (disk, core)
}

#[test]
fn an_edit_is_there_after_a_restart_and_the_document_before_it_is_kept() {
    let (disk, mut core) = settled();
    let before = disk.content(STATE);
    commit(&mut core, vec![create("b")]).pop().expect("one").expect("committed");
    assert_eq!(disk.content(STATE_PREVIOUS), before);
    assert_eq!(open(&disk).state(), core.state());
    assert_eq!(names(&core), ["a", "b"]);
    assert_eq!(core.warnings(), []);
    assert_eq!(core.untrusted(), None);
}

#[test]
fn an_edit_that_changes_nothing_writes_nothing() {
    let (disk, mut core) = settled();
    let (stats, syncs) = (core.stats(), disk.syncs());
    assert!(commit(&mut core, vec![Box::new(|_| Ok(())), create("a")]).iter().all(Result::is_ok));
    assert_eq!(core.stats().commits, stats.commits);
    assert_eq!(disk.syncs(), syncs);
}

#[test]
fn a_rejected_an_invalid_and_a_panicking_edit_touch_nothing_and_hinder_nobody() {
    let (disk, mut core) = settled();
    let remove = edit(|state| state.workspaces.clear());
    let panicking = edit(|state| {
        state.workspaces.clear();
        panic!("on purpose");
    });
    let same_port = edit(|state| insert(state, workspace("p", 1)));
    let results = commit(&mut core, vec![create("b"), reject(), remove, panicking, create("c"), same_port]);
    let kinds: Vec<_> = results
        .iter()
        .map(|result| match result {
            Ok(()) => "ok",
            Err(CommitError::Rejected) => "rejected",
            Err(CommitError::Invalid(_)) => "invalid",
            Err(CommitError::Panicked) => "panicked",
            Err(CommitError::Failed(_)) => "failed",
        })
        .collect();
    assert_eq!(kinds, ["ok", "rejected", "invalid", "panicked", "ok", "ok"]);
    assert_eq!(names(&open(&disk)), ["a", "b", "c", "p"]);
    let taken = edit(|state| {
        let mut workspace = workspace("q", 1);
        workspace.metadata.uid.0 = "other".to_owned();
        insert(state, workspace);
    });
    let error = commit(&mut core, vec![taken]).pop().expect("one").expect_err("the port is taken");
    let CommitError::Invalid(issues) = error else { panic!("{error:?}") };
    assert_eq!(
        issues.to_string(),
        "workspaces.q.metadata.hostPorts: host port 1 belongs to p; every host port is given once"
    );
}

/// Runs `edits` over a fresh disk with a fault at `step`; says what was committed before and what was asked for.
fn crash_at(step: u64, groups: &[Vec<Change>], reboot: Reboot) -> Option<()> {
    let (disk, mut core) = settled();
    disk.fault_at(disk.steps() + step, Fault::Crash);
    let (mut old, mut new) = ((**core.state()).clone(), None);
    for group in groups {
        let mut wanted = old.clone();
        group.iter().for_each(|change| change.apply(&mut wanted));
        let results = commit(&mut core, group.iter().map(Change::edit).collect());
        if disk.is_crashed() {
            new = Some(wanted);
            break;
        }
        assert!(results.iter().all(|result| result.is_ok()), "nothing but the crash goes wrong");
        old = (**core.state()).clone();
        assert_eq!(old.workspaces, wanted.workspaces);
    }
    let new = new?;
    disk.reboot(reboot);
    let text = disk.content(STATE).expect("state.json is never gone");
    let Ok(Document::Current(raw)) = document::parse(&text) else {
        panic!("torn: {:?}", String::from_utf8_lossy(&text))
    };
    assert!(raw.workspaces == old.workspaces || raw.workspaces == new.workspaces, "neither old nor new: {raw:?}");
    let core = open(&disk);
    assert_eq!(core.state().workspaces, raw.workspaces);
    assert_eq!((core.warnings(), core.untrusted()), (vec![], None));
    let left: Vec<_> = disk.names().into_iter().filter(|name| name.ends_with(".tmp")).collect();
    assert!(left.is_empty(), "leftovers: {left:?}");
    Some(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn at_every_crash_point_the_document_is_the_old_or_the_new(
        groups in prop::collection::vec(prop::collection::vec(any_change(), 1..4), 1..4),
        seed: u64,
    ) {
        for step in 0.. {
            let process = crash_at(step, &groups, Reboot::Process);
            let machine = crash_at(step, &groups, Reboot::Machine(seed.wrapping_add(step)));
            prop_assert_eq!(process, machine);
            if process.is_none() {
                break;
            }
        }
    }
}

#[test]
fn what_was_acknowledged_outlasts_a_crash_of_the_machine() {
    for seed in 0..200 {
        let (disk, mut core) = settled();
        commit(&mut core, vec![create("b")]).pop().expect("one").expect("committed");
        disk.reboot(Reboot::Machine(seed));
        assert_eq!(names(&open(&disk)), ["a", "b"], "seed {seed}");
    }
}

#[test]
fn when_any_step_fails_the_edit_fails_or_is_in_force_and_the_next_one_succeeds() {
    for fault in [Fault::Fail(ErrorKind::StorageFull), Fault::FailAfter(ErrorKind::Other)] {
        for step in 0.. {
            let (disk, mut core) = settled();
            let before = core.state().clone();
            let first = disk.steps() + step;
            disk.fault_at(first, fault);
            let result = commit(&mut core, vec![create("b")]).pop().expect("one");
            let struck = disk.steps() > first;
            disk.clear_faults();
            match &result {
                Err(CommitError::Failed(StoreError::Unsynced { .. })) => assert_eq!(names(&core), ["a", "b"]),
                Err(CommitError::Failed(_)) => {
                    assert_eq!(*core.state(), before, "{fault:?} at {step}");
                    assert_eq!(names(&open(&disk)), ["a"], "{fault:?} at {step}");
                }
                Ok(()) => assert_eq!(names(&open(&disk)), ["a", "b"]),
                Err(error) => panic!("{error:?}"),
            }
            commit(&mut core, vec![create("c")]).pop().expect("one").expect("the disk is well again");
            assert_eq!(names(&open(&disk)), names(&core));
            if !struck {
                break;
            }
        }
    }
}

#[test]
fn a_full_disk_is_a_clear_error_and_intent_stays() {
    let (disk, mut core) = settled();
    // Lock, signature, read, name; then the content.
    for step in 0..8 {
        disk.fault_at(disk.steps() + 4 + step * 100, Fault::Fail(ErrorKind::StorageFull));
    }
    let error = commit(&mut core, vec![create("b")]).pop().expect("one").expect_err("the disk is full");
    let CommitError::Failed(error) = error else { panic!("{error:?}") };
    assert_eq!(error.chain(), "state.json could not be written and is as it was: no storage space");
    assert_eq!(names(&core), ["a"]);
    assert!(!disk.names().iter().any(|name| name.ends_with(".tmp")), "{:?}", disk.names());
}

#[test]
fn truncated_at_every_byte_it_keeps_the_last_intent_and_the_text() {
    let (disk, core) = settled();
    let (text, state) = (disk.content(STATE).expect("written"), core.state().clone());
    for length in 0..text.len() - 1 {
        let (disk, mut core) = settled();
        disk.outside_write(STATE, &text[..length]);
        core.poll(now()).expect("it was read");
        assert_eq!(*core.state(), state, "truncated at {length}");
        assert_eq!(core.warnings().len(), 1);
        assert!(core.untrusted().is_some());
        assert_eq!(disk.content(STATE).as_deref(), Some(&text[..length]), "it is not overwritten unasked");
        // A restart before the next change: nothing is lost, though the last document but one was in state.json.1.
        assert_eq!(open(&disk).state().workspaces, state.workspaces, "truncated at {length}");
        commit(&mut core, vec![create("b")]).pop().expect("one").expect("committed");
        assert_eq!(names(&open(&disk)), ["a", "b"]);
        assert_eq!(disk.content(&format!("{STATE}.broken-{}", dated())).as_deref(), Some(&text[..length]));
        assert_eq!(core.warnings().len(), 1, "that it was set aside");
    }
}

#[test]
fn garbage_and_wrong_types_are_never_read_as_empty() {
    let valid = String::from_utf8(settled().0.content(STATE).expect("written")).expect("text");
    let broken = [
        ("\0\0\0\0".to_owned(), "does not begin with {"),
        ("[1, 0, {}]".to_owned(), "does not begin with {"),
        ("{}".to_owned(), "missing field `schemaVersion`"),
        ("null".to_owned(), "does not begin with {"),
        ("{\"schemaVersion\":1,\"revision\":1}".to_owned(), "missing field `workspaces`"),
        ("{\"schemaVersion\":1,\"revision\":1,\"workspaces\":null}".to_owned(), "workspaces: invalid type: null"),
        (format!("{valid}}}"), "trailing characters"),
        (valid.replace("\"schemaVersion\": 1", "\"schemaVersion\": 0"), "schemaVersion: must be 1, not 0"),
        (valid.replace("\"schemaVersion\": 1", "\"schemaVersion\": 2"), "newer than 1"),
        (valid.replace("\"schemaVersion\": 1", "\"schemaVersion\": \"1\""), "schemaVersion: invalid type"),
        (valid.replace("\"generation\": 1", "\"generation\": \"1\""), "workspaces.a.metadata.generation: invalid type"),
        (valid.replace("\"generation\": 1", "\"generation\": 0"), "workspaces.a.metadata.generation: counts from 1"),
        (valid.replace("\"generation\"", "\"genration\""), "unknown field `genration`"),
        (valid.replace("\"name\": \"a\"", "\"name\": \"b\""), "workspaces.a.metadata.name: must be a, as its key"),
        (valid.replace("\"a\": {", "\"A\": {"), "a name has only a-z"),
        (valid.replace("\"docker\": true", "\"docker\": 1"), "workspaces.a.spec.docker: invalid type"),
        ("{\"workspaces\": {}}".to_owned(), "migrated only at a start"),
        ("[".repeat(100_000), "does not begin with {"),
        (format!("{{\"a\":{}", "[".repeat(100_000)), "EOF while parsing"),
    ];
    for (text, message) in broken {
        let (disk, mut core) = settled();
        disk.outside_write(STATE, text.as_bytes());
        core.look(now()).expect("it was read");
        assert_eq!(names(&core), ["a"], "{text:.60}");
        let warnings = core.warnings();
        assert!(warnings[0].message.contains(message), "{text:.60}: {warnings:?}");
    }
}

#[test]
fn a_workspace_that_is_there_twice_is_an_error_and_not_the_last_one() {
    let (disk, mut core) = settled();
    let text = String::from_utf8(disk.content(STATE).expect("written")).expect("text");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let entry = value["workspaces"]["a"].to_string();
    let twice = format!("{{\"schemaVersion\":1,\"revision\":9,\"workspaces\":{{\"a\":{entry},\"a\":{entry}}}}}");
    disk.outside_write(STATE, twice.as_bytes());
    core.look(now()).expect("it was read");
    assert!(core.warnings()[0].message.contains("a is there twice"), "{:?}", core.warnings());
}

#[test]
fn a_missing_file_is_no_instruction_and_comes_back_with_the_next_change() {
    let (disk, mut core) = settled();
    disk.outside_remove(STATE);
    core.poll(now()).expect("it was looked at");
    assert_eq!(names(&core), ["a"]);
    assert!(core.untrusted().is_some_and(|why| why.contains("missing")));
    assert_eq!(names(&open(&disk)), ["a"], "a restart finds the last intent");
    commit(&mut core, vec![create("b")]).pop().expect("one").expect("committed");
    assert_eq!((names(&open(&disk)), core.untrusted()), (vec!["a".to_owned(), "b".to_owned()], None));
}

#[test]
fn a_new_folder_begins_empty_and_trusted_and_an_old_one_without_state_is_not_trusted() {
    let disk = SimDisk::new();
    assert_eq!(open(&disk).untrusted(), None);
    disk.outside_write(AGENT_ID, b"an id");
    assert_eq!(open(&disk).untrusted(), None, "it was written at once");
    disk.outside_remove(STATE);
    disk.outside_remove(STATE_PREVIOUS);
    let mut core = open(&disk);
    assert!(core.untrusted().is_some_and(|why| why.contains("no workspace is known")));
    commit(&mut core, vec![create("b")]).pop().expect("one").expect("committed");
    assert!(core.untrusted().is_some(), "a change does not make it whole");
    let mut core = open(&disk);
    assert!(core.untrusted().is_some(), "nor does a restart");
    core.trust().expect("removed");
    assert_eq!((core.untrusted(), open(&disk).untrusted()), (None, None));
}

#[test]
fn broken_at_a_start_it_falls_back_to_the_document_before_and_sets_the_text_aside() {
    let (disk, mut core) = settled();
    commit(&mut core, vec![create("b")]).pop().expect("one").expect("committed");
    drop(core);
    disk.outside_write(STATE, b"{ torn");
    let mut core = open(&disk);
    assert_eq!(names(&core), ["a"]);
    assert!(core.untrusted().is_some_and(|why| why.contains("state.json.1")));
    core.poll(now()).expect("looked at");
    assert_eq!(core.warnings().len(), 2);
    commit(&mut core, vec![create("c")]).pop().expect("one").expect("committed");
    assert_eq!(disk.content(&format!("{STATE}.broken-{}", dated())).as_deref(), Some(&b"{ torn"[..]));
    assert_eq!(names(&open(&disk)), ["a", "c"]);
}

#[test]
fn with_both_documents_broken_it_begins_empty_untrusted_and_loses_neither_text() {
    let (disk, core) = settled();
    drop(core);
    disk.outside_write(STATE, b"{ torn");
    disk.outside_write(STATE_PREVIOUS, b"garbage");
    let mut core = open(&disk);
    assert!(names(&core).is_empty());
    assert!(core.untrusted().is_some());
    assert_eq!(disk.content(STATE).as_deref(), Some(&b"{ torn"[..]), "not before the first change");
    commit(&mut core, vec![create("b")]).pop().expect("one").expect("committed");
    assert_eq!(disk.content(&format!("{STATE}.broken-{}", dated())).as_deref(), Some(&b"{ torn"[..]));
    assert_eq!(disk.content(&format!("{STATE_PREVIOUS}.broken-{}", dated())).as_deref(), Some(&b"garbage"[..]));
}

#[test]
fn however_often_it_is_broken_every_text_is_kept_up_to_a_limit() {
    let (disk, mut core) = settled();
    for round in 0..40 {
        disk.outside_write(STATE, format!("broken {round}").as_bytes());
        commit(&mut core, vec![create(&format!("w{round}"))]).pop().expect("one").expect("committed");
    }
    let aside: Vec<_> = disk.names().into_iter().filter(|name| name.contains(".broken-")).collect();
    assert_eq!(aside.len(), 32);
    assert!(aside.iter().any(|name| disk.content(name).as_deref() == Some(&b"broken 39"[..])));
    assert!(core.warnings().len() <= 34);
}

#[test]
fn a_document_of_a_newer_perry_is_refused_and_left_alone() {
    let (disk, _) = settled();
    let newer = String::from_utf8(disk.content(STATE).expect("written"))
        .expect("text")
        .replace("n\": 1,\n  \"r", "n\": 7,\n  \"r");
    disk.outside_write(STATE, newer.as_bytes());
    let error = Core::open(disk.clone(), admit_all(), now()).err().expect("refused");
    assert!(error.to_string().contains("schemaVersion 7"), "{error}");
    assert_eq!(disk.content(STATE).as_deref(), Some(newer.as_bytes()));
}

#[test]
fn an_original_perrys_file_is_migrated_once_at_every_crash_point() {
    let text = include_str!("data/original-state.json");
    for step in 0.. {
        let disk = SimDisk::new();
        disk.outside_write(STATE, text.as_bytes());
        disk.outside_write(AGENT_ID, b"an id");
        disk.fault_at(step, Fault::Crash);
        let done = Core::open(disk.clone(), admit_all(), now()).is_ok();
        disk.reboot(if step % 2 == 0 { Reboot::Process } else { Reboot::Machine(step) });
        if disk.content(STATE).is_none() {
            // The foreign file itself was never synced, and this machine went down.
            continue;
        }
        let Ok(core) = Core::open(disk.clone(), admit_all(), now()) else { continue };
        if core.untrusted().is_none() {
            assert_eq!(names(&core), ["myproject", "other"], "step {step}");
            assert_eq!(disk.content(STATE_ORIGINAL).as_deref(), Some(text.as_bytes()));
        }
        if done {
            break;
        }
    }
}

#[test]
fn an_original_perrys_file_with_faults_is_refused_with_their_names_and_left_alone() {
    let disk = SimDisk::new();
    let text = include_str!("data/original-state.json").replace("22002", "22001");
    disk.outside_write(STATE, text.as_bytes());
    let error = Core::open(disk.clone(), admit_all(), now()).err().expect("refused");
    assert!(
        error.chain().contains("workspaces.other.ports.ssh: host port 22001 belongs to myproject"),
        "{}",
        error.chain()
    );
    assert_eq!(disk.content(STATE).as_deref(), Some(text.as_bytes()));
}

#[test]
fn two_owners_on_one_disk_lose_nothing_of_each_other() {
    let (disk, mut one) = settled();
    let mut two = open(&disk);
    for round in 0..20 {
        let owner = if round % 2 == 0 { &mut one } else { &mut two };
        commit(owner, vec![create(&format!("w{round}"))]).pop().expect("one").expect("committed");
    }
    one.look(now()).expect("read");
    assert_eq!(one.state(), two.state());
    assert_eq!(one.state().workspaces.len(), 21);
    assert_eq!((one.warnings(), two.warnings()), (vec![], vec![]));
    assert_eq!(one.state().revision, 22);
}

#[test]
fn an_empty_state_is_what_serde_says_it_is() {
    let text = document::render(&State::default()).expect("small");
    assert_eq!(document::parse(&text), Ok(Document::Current(State::default())));
}
