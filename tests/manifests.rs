//! What a user sees for a bad manifest: one file each in `tests/manifests`, with the text beside it.
//!
//! `UPDATE_GOLDEN=1 cargo test --test manifests` writes the texts anew; read every change.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use perry::model::admission::{self, Batch, NOT_KNOWN, Rejection, Settings, admit_all};
use perry::model::manifest;
use perry::model::workspace::PortSpec;
use perry::model::{Config, Document, Issues, Spec, State, Uid};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/manifests");

fn settings(config: &Config) -> Settings<'_> {
    let now = Timestamp::from_second(1_800_000_000).expect("in range");
    Settings { config, now, uid: Uid("u".to_owned()), if_generation: None, allow_replace: false, in_use: &NOT_KNOWN }
}

/// One workspace with a fixed port and one that is being deleted.
fn state(config: &Config) -> State {
    let port = PortSpec { name: "http".parse().expect("a name"), port: 80, host_port: Some(28080), bind: None };
    let shop = Document::new("shop".parse().expect("a name"), Spec { ports: vec![port], ..Spec::default() });
    let leaving = Document::new("leaving".parse().expect("a name"), Spec::default());
    let mut count = 0;
    let uids = || {
        count += 1;
        Uid(format!("u{count}"))
    };
    let mut state = admit_all(&State::default(), &[shop, leaving], &settings(config), uids).expect("admitted").state;
    let now = settings(config).now;
    admission::delete(&mut state, &"leaving".parse().expect("a name"), now, None).expect("deleted");
    state
}

/// Applies a text to a state as the agent does, and says what the user is told.
fn apply(file: &str, bytes: &[u8], state: &mut State, config: &Config) -> Result<(), String> {
    let located = manifest::parse(file, bytes).map_err(|bad| lines(&bad.faults))?;
    let documents: Vec<Document> = located.iter().map(|one| one.document.clone()).collect();
    match admit_all(state, &documents, &settings(config), || Uid("new".to_owned())) {
        Ok(Batch { state: next, .. }) => {
            *state = next;
            Ok(())
        }
        Err(rejected) => Err(rejected
            .into_iter()
            .map(|(index, rejection)| match rejection {
                Rejection::Invalid(issues) => lines(&located[index].blame(&issues).faults),
                Rejection::Conflict(conflict) => {
                    let hint = conflict.hint.as_ref().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
                    let issues = Issues(vec![conflict.issue()]);
                    format!("{}{hint}", lines(&located[index].blame(&issues).faults))
                }
                Rejection::NotFound(name) => format!("error: there is no workspace {name}\n"),
            })
            .collect()),
    }
}

fn lines(faults: &[manifest::Fault]) -> String {
    faults.iter().map(|fault| format!("error: {fault}\n")).collect()
}

fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(FOLDER)
        .expect("tests/manifests")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}

fn file_name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn a_bad_manifest_is_told_in_full_and_changes_nothing() {
    let config = Config::default();
    let before = state(&config);
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    let files = files();
    assert!(files.len() >= 60, "only {} bad manifests", files.len());
    for path in &files {
        let mut after = before.clone();
        let file = file_name(path);
        let told = match apply(&file, &fs::read(path).expect("readable"), &mut after, &config) {
            Err(told) => told,
            Ok(()) => panic!("{file} was admitted"),
        };
        assert_eq!(after, before, "{file} changed the state");
        let golden = path.with_extension("txt");
        if update {
            fs::write(&golden, &told).expect("written");
        } else if fs::read_to_string(&golden).unwrap_or_default() != told {
            wrong.push(format!("{file} is now told as\n{told}"));
        }
    }
    assert!(wrong.is_empty(), "{}\n(UPDATE_GOLDEN=1 takes them over)", wrong.join("\n"));
}

#[test]
fn every_message_names_the_file_and_what_would_be_right_and_hides_secrets() {
    for path in files() {
        let golden = fs::read_to_string(path.with_extension("txt")).expect("a golden text");
        let file = file_name(&path);
        for line in golden.lines().filter(|line| line.starts_with("error: ")) {
            assert!(line.starts_with(&format!("error: {file}")), "{line}");
        }
        for secret in ["b3BlbnNzaC1rZXk", "postgres://"] {
            assert!(!golden.contains(secret), "{file} shows {secret}");
        }
        assert!(golden.chars().all(|c| c == '\n' || !c.is_control()), "{file} has control characters");
    }
}

#[test]
fn every_example_is_admitted_without_a_warning() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    // What the example's own text asks of the settings.
    let mut config = Config::default();
    config.sync.allow = vec!["~/.gitconfig".to_owned()];
    let mut state = State::default();
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("examples") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let file = file_name(&path);
        apply(&file, &fs::read(&path).expect("readable"), &mut state, &config).unwrap_or_else(|told| panic!("{told}"));
        let again = state.clone();
        apply(&file, &fs::read(&path).expect("readable"), &mut state, &config).expect("admitted again");
        assert_eq!(state, again, "{file} twice is not the same as once");
        count += 1;
    }
    assert!(count >= 3, "only {count} examples");
    assert!(state.workspaces.len() >= count);
}
