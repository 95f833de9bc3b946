//! The stock TypeScript client, unchanged, under node.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::agent::Agent;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/orpc-client")
}

async fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).current_dir(folder()).stdin(Stdio::null()).output().await;
    let output =
        output.map_err(|error| format!("{program} cannot be run ({error}): this test needs node 20 and npm"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = text(&output.stdout) + &text(&output.stderr);
    if output.status.success() { Ok(all) } else { Err(format!("{program} {arguments:?}: {all}")) }
}

/// The exact packages of the lock file, unless they are there already.
async fn install() -> Result<(), String> {
    let installed = folder().join("node_modules/.package-lock.json");
    let modified = |path: &Path| std::fs::metadata(path).and_then(|it| it.modified()).ok();
    if modified(&installed) >= modified(&folder().join("package-lock.json")) {
        return Ok(());
    }
    run("npm", &["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).await.map(drop)
}

#[tokio::test]
async fn the_stock_orpc_client_works_unchanged() {
    install().await.unwrap_or_else(|error| panic!("{error}"));
    let agent = Agent::start().await;
    let url = format!("http://{}", agent.address);
    let output = run("node", &["client.mjs", &url, &agent.token]).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(output.contains("all checks passed"), "{output}");
    agent.producers(0).await;
}
