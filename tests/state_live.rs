//! The store as the agent runs it: real files, threads and processes.

mod state_common;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use jiff::Timestamp;
use perry::clock::SystemClock;
use perry::model::files::{AgentLock, STATE, STATE_PREVIOUS};
use perry::model::{Issues, Name, State};
use perry::store::lock::HeldLock;
use perry::store::sim_disk::Fault;
use perry::store::{Core, EditError, Intent, OsDisk, SimDisk, Store, StoreError};
use state_common::*;

/// Far beyond anything that should happen, so that a slow machine fails no test.
const PATIENCE: Duration = Duration::from_secs(20);

fn store(folder: &Path) -> Store {
    Store::open(folder, admit_all(), Arc::new(SystemClock::new())).expect("it opens")
}

async fn add(store: &Store, name: &str) -> Result<(), EditError<Infallible>> {
    let workspace = workspace(name, 0);
    let edit = move |state: &mut State| {
        insert(state, workspace);
        Ok(())
    };
    store.edit(edit).await
}

fn on_disk(folder: &Path) -> State {
    serde_json::from_slice(&fs::read(folder.join(STATE)).expect("it is there")).expect("it parses")
}

/// Somebody else edits the text, as an editor does that replaces the file.
fn replace(folder: &Path, change: impl FnOnce(String) -> String) {
    let text = change(fs::read_to_string(folder.join(STATE)).expect("it is there"));
    fs::write(folder.join("edited"), text).expect("written");
    fs::rename(folder.join("edited"), folder.join(STATE)).expect("renamed");
}

async fn next_change(changes: &mut (impl futures::Stream<Item = Name> + Unpin)) -> String {
    tokio::time::timeout(PATIENCE, changes.next()).await.expect("a change").expect("without end").to_string()
}

#[tokio::test]
async fn a_thousand_edits_at_once_are_few_commits_and_all_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path());
    let before = store.stats();
    let names: Vec<String> = (0..1000).map(|index| format!("w{index}")).collect();
    let results = join_all(names.iter().map(|name| add(&store, name))).await;
    assert!(results.iter().all(Result::is_ok));
    let (stats, state) = (store.stats(), store.snapshot());
    assert!(stats.commits - before.commits < 50, "{stats:?}");
    assert!(stats.syncs - before.syncs < 100, "{stats:?}");
    assert_eq!(stats.edits, 1000);
    assert_eq!(state.workspaces.len(), 1000);
    assert_eq!(on_disk(folder.path()), *state);
}

#[tokio::test]
async fn what_an_edit_says_comes_back_and_a_rejected_one_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path());
    assert_eq!(store.edit(|state| Ok::<_, Infallible>(state.revision)).await.expect("accepted"), 1);
    let rejected = store.edit(|state| {
        insert(state, workspace("a", 0));
        Err::<(), _>("no")
    });
    assert!(matches!(rejected.await, Err(EditError::Rejected("no"))));
    let panicked = store.edit(|_| -> Result<(), Infallible> { panic!("on purpose") });
    assert!(matches!(panicked.await, Err(EditError::Panicked)));
    let invalid = store.edit(|state| {
        insert(state, workspace("a", 0));
        let twin = workspace("a", 0);
        state.workspaces.insert("b".parse().expect("a name"), Arc::new(twin));
        Ok::<_, Infallible>(())
    });
    assert!(matches!(invalid.await, Err(EditError::Invalid(_))));
    assert!(store.snapshot().workspaces.is_empty());
    add(&store, "a").await.expect("the thread is alive");
}

#[tokio::test]
async fn the_files_are_private_and_a_restart_finds_what_was_committed() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = store(folder.path());
    add(&first, "a").await.expect("committed");
    add(&first, "b").await.expect("committed");
    drop(first);
    for entry in fs::read_dir(folder.path()).expect("a folder") {
        let entry = entry.expect("an entry");
        assert_eq!(entry.metadata().expect("there").permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
    assert_eq!(store(folder.path()).snapshot().workspaces.len(), 2);
    let previous = fs::read_to_string(folder.path().join(STATE_PREVIOUS)).expect("kept");
    assert!(!previous.contains("\"b\""));
}

#[tokio::test]
async fn edits_that_wait_when_the_store_is_dropped_are_committed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path());
    for name in ["a", "b", "c"] {
        // Polled once, it waits in line; then nobody is interested any more.
        let added = add(&store, name);
        tokio::select! { biased; _ = added => {}, () = std::future::ready(()) => {} }
    }
    drop(store);
    assert_eq!(on_disk(folder.path()).workspaces.len(), 3);
}

#[tokio::test]
async fn changes_are_told_by_name_and_a_finished_deletion_is_forgotten_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path());
    let mut changes = store.changes();
    add(&store, "a").await.expect("committed");
    assert_eq!(next_change(&mut changes).await, "a");
    let name: Name = "a".parse().expect("a name");
    let uid = store.get(&name).expect("there").metadata.uid.clone();
    store.forget(&name, &uid).await.expect("nothing happens");
    assert!(store.get(&name).is_some(), "it is not being deleted");
    let delete = Change::Delete(0);
    add(&store, "w0").await.expect("committed");
    let delete = move |state: &mut State| {
        delete.apply(state);
        Ok::<_, Infallible>(())
    };
    store.edit(delete).await.expect("committed");
    assert_eq!(next_change(&mut changes).await, "w0");
    let name: Name = "w0".parse().expect("a name");
    let uid = store.get(&name).expect("there").metadata.uid.clone();
    store.forget(&name, &perry::model::Uid("another".to_owned())).await.expect("nothing happens");
    assert_eq!(store.list().len(), 2);
    store.forget(&name, &uid).await.expect("forgotten");
    assert_eq!(next_change(&mut changes).await, "w0");
    assert_eq!(store.list().len(), 1);
}

#[tokio::test]
async fn an_outside_edit_is_honoured_within_a_second_and_written_with_its_new_generation() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path());
    let mut changes = store.changes();
    add(&store, "a").await.expect("committed");
    assert_eq!(next_change(&mut changes).await, "a");
    for round in 0..3 {
        let started = std::time::Instant::now();
        let change = |text: String| {
            let mut document: serde_json::Value = serde_json::from_str(&text).expect("it parses");
            document["workspaces"]["a"]["spec"]["image"] = format!("i{round}").into();
            document.to_string()
        };
        match round {
            0 => replace(folder.path(), change),
            _ => fs::write(
                folder.path().join(STATE),
                change(fs::read_to_string(folder.path().join(STATE)).expect("there")),
            )
            .expect("written in place"),
        }
        assert_eq!(next_change(&mut changes).await, "a");
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        let found = store.get(&"a".parse().expect("a name")).expect("there");
        assert_eq!(found.spec.image, Some(format!("i{round}")));
        assert_eq!(found.metadata.generation, 2 + round);
        assert_eq!(on_disk(folder.path()), *store.snapshot());
    }
    assert_eq!(store.warnings(), []);
}

#[tokio::test]
async fn an_outside_edit_is_noticed_without_a_watch_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = OsDisk::new(folder.path());
    let store = Store::with_disk(disk, admit_all(), Arc::new(SystemClock::new())).expect("it opens");
    let mut changes = store.changes();
    let other = workspace("by-hand", 0);
    replace(folder.path(), |text| {
        let mut state: State = serde_json::from_str(&text).expect("it parses");
        insert(&mut state, other);
        serde_json::to_string(&state).expect("it serialises")
    });
    assert_eq!(next_change(&mut changes).await, "by-hand");
}

#[tokio::test]
async fn a_broken_outside_edit_keeps_the_last_intent_and_is_set_aside_before_the_next_commit() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path());
    add(&store, "a").await.expect("committed");
    let broken = "{ \"schemaVersion\": 1,";
    replace(folder.path(), |_| broken.to_owned());
    tokio::time::timeout(PATIENCE, async {
        while store.warnings().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("a warning");
    assert!(store.untrusted().is_some());
    assert_eq!(store.snapshot().workspaces.len(), 1);
    assert_eq!(fs::read_to_string(folder.path().join(STATE)).expect("there"), broken);
    add(&store, "b").await.expect("committed");
    assert_eq!((store.snapshot().workspaces.len(), store.untrusted()), (2, None));
    let aside = fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry").path());
    let aside: Vec<_> = aside.filter(|path| path.to_string_lossy().contains("state.json.broken-20")).collect();
    assert_eq!(aside.len(), 1);
    assert_eq!(fs::read_to_string(&aside[0]).expect("there"), broken);
}

#[tokio::test]
async fn an_edit_that_admission_refuses_is_a_warning_with_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let admit = Box::new(|_: &State, new: State| {
        let mut issues = Issues::default();
        if new.workspaces.contains_key("bad") {
            issues.push("workspaces.bad", "is not wanted");
        }
        issues.into_result(new)
    });
    let store = Store::open(folder.path(), admit, Arc::new(SystemClock::new())).expect("it opens");
    add(&store, "a").await.expect("committed");
    replace(folder.path(), |text| {
        let mut state: State = serde_json::from_str(&text).expect("it parses");
        insert(&mut state, workspace("bad", 0));
        serde_json::to_string(&state).expect("it serialises")
    });
    add(&store, "b").await.expect("committed");
    assert_eq!(store.list().keys().map(Name::as_str).collect::<Vec<_>>(), ["a", "b"]);
    tokio::time::timeout(PATIENCE, async {
        while !store.warnings().iter().any(|warning| warning.message.contains("set aside")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("a warning");
}

#[tokio::test]
async fn a_failing_disk_fails_the_edits_of_that_commit_alone() {
    let disk = SimDisk::new();
    let store = Store::with_disk(disk.clone(), admit_all(), Arc::new(SystemClock::new())).expect("it opens");
    // Whatever steps come next; polling takes some of them.
    (0..60).for_each(|step| disk.fault_at(disk.steps() + step, Fault::Fail(std::io::ErrorKind::StorageFull)));
    let error = add(&store, "a").await.expect_err("the disk is full");
    assert!(matches!(
        &error,
        EditError::Failed(StoreError::Lock { .. } | StoreError::Write { .. } | StoreError::Read { .. })
    ));
    disk.clear_faults();
    add(&store, "b").await.expect("the disk is well again");
    assert_eq!(store.list().keys().map(Name::as_str).collect::<Vec<_>>(), ["b"]);
}

const CHILD_FOLDER: &str = "PERRY_TEST_STORE_FOLDER";
const CHILD_NUMBER: &str = "PERRY_TEST_STORE_NUMBER";
const WRITERS: usize = 8;
const EDITS: usize = 125;

/// Runs one test of this very program in a process of its own.
fn child(test: &str, folder: &Path, number: usize) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD_FOLDER, folder)
        .env(CHILD_NUMBER, number.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts")
}

/// Not a test but the other side of the next one: does nothing unless that one started it.
#[test]
fn child_that_writes() {
    let (Ok(folder), Ok(number)) = (std::env::var(CHILD_FOLDER), std::env::var(CHILD_NUMBER)) else { return };
    let mut core = Core::open(OsDisk::new(Path::new(&folder)), admit_all(), now()).expect("it opens");
    for index in 0..EDITS {
        let own = workspace(&format!("p{number}-{index}"), 0);
        // Each adds one workspace of its own and counts in one of all.
        let both = edit(move |state| {
            insert(state, own);
            let shared = Arc::make_mut(state.workspaces.get_mut("shared").expect("made before"));
            let count: usize = shared.metadata.labels.get("count").map_or(0, |count| count.parse().expect("a number"));
            shared.metadata.labels.insert("count".to_owned(), (count + 1).to_string());
            shared.metadata.generation += 1;
        });
        commit(&mut core, vec![both]).pop().expect("one").expect("committed");
    }
    assert_eq!(core.warnings(), []);
}

#[test]
fn eight_processes_write_a_thousand_edits_and_none_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut core = Core::open(OsDisk::new(folder.path()), admit_all(), now()).expect("it opens");
    commit(&mut core, vec![create("shared")]).pop().expect("one").expect("committed");
    let children: Vec<_> = (0..WRITERS).map(|number| child("child_that_writes", folder.path(), number)).collect();
    for child in children {
        let output = child.wait_with_output().expect("it ran");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "the child's test has another name?");
    }
    core.look(now()).expect("read");
    let names: BTreeSet<_> = names(&core).into_iter().collect();
    let expected = (0..WRITERS).flat_map(|number| (0..EDITS).map(move |index| format!("p{number}-{index}")));
    assert_eq!(names, expected.chain(["shared".to_owned()]).collect());
    let shared = &core.state().workspaces["shared"].metadata;
    assert_eq!((shared.labels["count"].as_str(), shared.generation), ("1000", 1001));
    assert_eq!(core.state().revision, 1002);
    assert_eq!(core.warnings(), []);
}

fn agent(pid: u32) -> AgentLock {
    let address = Some(format!("127.0.0.1:{}", 40000 + pid % 10000));
    AgentLock { pid, address, version: "0.1.0".to_owned(), started_at: Timestamp::UNIX_EPOCH }
}

/// Not a test but the other side of the next one: an agent that holds the folder until it is killed.
#[test]
fn child_that_holds_the_folder() {
    let Ok(folder) = std::env::var(CHILD_FOLDER) else { return };
    let _lock = HeldLock::take(Path::new(&folder), agent(std::process::id())).expect("free");
    fs::write(Path::new(&folder).join("taken"), "").expect("written");
    // Ends with the parent at the latest.
    std::io::read_to_string(std::io::stdin()).expect("a pipe");
}

#[test]
fn a_second_agent_on_a_folder_is_refused_and_told_of_the_first_until_that_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = child("child_that_holds_the_folder", folder.path(), 0);
    let deadline = std::time::Instant::now() + PATIENCE;
    while !folder.path().join("taken").exists() {
        assert!(std::time::Instant::now() < deadline, "the child did not take the lock");
        std::thread::sleep(Duration::from_millis(5));
    }
    let error = HeldLock::take(folder.path(), agent(1)).expect_err("taken").to_string();
    let held = agent(first.id());
    let named = format!("process {} (at {}", held.pid, held.address.expect("set"));
    assert!(error.contains(&named), "{error}");
    first.kill().expect("SIGKILL");
    first.wait().expect("gone");
    HeldLock::take(folder.path(), agent(1)).expect("free again");
}
