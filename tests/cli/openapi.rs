//! Calls that nobody thought of, made up by schemathesis from the OpenAPI document that the agent serves.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use perry::runtime::fake::Smooth;

use crate::agent::Agent;
use crate::perry;

/// The fewest calls that are to be made.
const CALLS: u64 = 2_000;
/// Left out: streams, which may have no end, and what ends the agent.
const LEFT_OUT: &str = "/(watch|usage|events|logs|build|kill)$";

#[test]
fn two_thousand_made_up_calls_of_the_document_meet_no_server_error() {
    let agent = Agent::start(Smooth);
    let seed = std::env::var("PERRY_SEED").unwrap_or_else(|_| "1".to_owned());
    println!("PERRY_SEED={seed}");
    let output = Command::new(schemathesis())
        .args(["run", &format!("http://{}/openapi.json", agent.address)])
        .args(["--header", &format!("Authorization: Bearer {}", agent.token)])
        .args(["--exclude-path-regex", LEFT_OUT, "--checks", "not_a_server_error", "--phases", "fuzzing"])
        .args(["--max-examples", "75", "--seed", &seed, "--generation-database", "none", "--no-color"])
        .current_dir(agent.folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    let made = made(&told).unwrap_or_else(|| panic!("no count: {told}"));
    assert!(made >= CALLS, "{told}");
    // With a token that one of the calls had revoked the others would have been refused, all of them.
    assert_eq!(perry(agent.folder.path(), &["token", "list"]).code, 0);
}

/// The number in "Test cases:\n  2345 generated, …".
fn made(told: &str) -> Option<u64> {
    let (_, counts) = told.split_once("Test cases:")?;
    counts.split_whitespace().next()?.parse().ok()
}

/// The program, installed under target/ unless it is there.
fn schemathesis() -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let wanted = project.join("tests/schemathesis/requirements.txt");
    let turn = File::open(&wanted).expect("it is there");
    turn.lock().expect("locked");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let (program, installed) = (folder.join("bin/schemathesis"), folder.join("installed.txt"));
    let list = std::fs::read(&wanted).expect("readable");
    if std::fs::read(&installed).ok().as_ref() != Some(&list) {
        run(Path::new("python3"), &["-m", "venv", &folder.display().to_string()]);
        run(&folder.join("bin/pip"), &["install", "--quiet", "--requirement", &wanted.display().to_string()]);
        std::fs::write(&installed, list).expect("writable");
    }
    program
}

fn run(program: &Path, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output
        .unwrap_or_else(|error| panic!("{}: {error}: this needs Python 3.10 or newer with venv", program.display()));
    let told = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{} {arguments:?}: {}", program.display(), String::from_utf8_lossy(&told));
}
