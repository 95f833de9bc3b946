//! Tools that the manifest asks for: installed into the home once the workspace is ready, from a registry of the test's
//! own.

use std::process::Command;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use perry::model::View;
use perry::model::condition::{ConditionStatus as Is, ConditionType};

use crate::agent::{Agent, is_ready};
use crate::{BASE, FULL, tasks};

const PACKAGE: &str = "@earendil-works/pi-coding-agent";

/// A registry with one package in two versions, as npm asks for it.
async fn registry(gateway: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.expect("a port");
    let url = format!("http://{gateway}:{}", listener.local_addr().expect("an address").port());
    let mut versions = serde_json::Map::new();
    for version in ["1.0.0", "2.0.0"] {
        let package = folder.path().join(version).join("package");
        std::fs::create_dir_all(&package).expect("made");
        let about = serde_json::json!({ "name": PACKAGE, "version": version, "bin": { "pi": "pi.js" } });
        std::fs::write(package.join("package.json"), about.to_string()).expect("written");
        let program = format!("#!/usr/bin/env node\nconsole.log('pi {version}')\n");
        std::fs::write(package.join("pi.js"), program).expect("written");
        let tar = folder.path().join(format!("{version}.tgz"));
        let mut pack = Command::new("tar");
        pack.arg("-czf").arg(&tar).arg("-C").arg(folder.path().join(version)).arg("package");
        assert!(pack.status().expect("tar").success());
        let mut about = about;
        about["dist"] = serde_json::json!({ "tarball": format!("{url}/{version}.tgz") });
        versions.insert(version.to_owned(), about);
    }
    let index = serde_json::json!({ "name": PACKAGE, "dist-tags": { "latest": "2.0.0" }, "versions": versions });
    std::fs::write(folder.path().join("index.json"), index.to_string()).expect("written");
    let router = Router::new().fallback(answer).with_state(std::sync::Arc::new(folder));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
    url
}

async fn answer(State(folder): State<std::sync::Arc<tempfile::TempDir>>, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    let file = if path.ends_with(".tgz") { path } else { "index.json" };
    let known = path.ends_with(".tgz") || path.replace("%2f", "/") == PACKAGE;
    let content = std::fs::read(folder.path().join(file)).ok().filter(|_| known);
    content.map_or(StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response)
}

fn tools(view: &View) -> Option<(Is, &str, &str)> {
    let condition = view.condition(ConditionType::ToolsInstalled)?;
    Some((condition.status, &condition.reason, &condition.message))
}

#[tokio::test]
async fn tools_are_installed_at_home_once_it_is_ready_in_the_wanted_version_and_kept() {
    let (agent, gateway) = tasks::agent_with_network(serde_json::json!({})).await;
    let url = registry(&gateway).await;
    let spec = |tools: &str, more: &str| {
        format!("image: {FULL}\nenv: {{ NPM_CONFIG_REGISTRY: \"{url}\"{more} }}\ntools: [ {tools} ]")
    };
    agent.apply("a", &spec("pi@1.0.0", "")).await;
    let installed = |view: &View| is_ready(view) && tools(view).is_some_and(|(is, ..)| is == Is::True);
    agent.until("a", "it is installed", installed).await;
    let run = async || agent.ok(&["exec", "a", "--", "pi"]).await;
    assert_eq!(run().await, "pi 1.0.0\n");
    assert_eq!(agent.ok(&["exec", "a", "--", "sh", "-c", "command -v pi"]).await, "/home/workspace/.local/bin/pi\n");
    // A change is followed in the workspace that runs, and a new container has it still.
    agent.apply("a", &spec("pi@latest", "")).await;
    agent.until("a", "nothing is missing", installed).await;
    assert_eq!(run().await, "pi 1.0.0\n", "any version will do");
    agent.apply("a", &spec("pi@2.0.0", "")).await;
    let mut seen = agent.watch("a").await;
    let log = async || agent.ok(&["logs", "a", "--source", "hooks"]).await;
    while !log().await.contains("installing pi (1 of 1)\n") || !run().await.contains("2.0.0") {
        seen.next().await;
    }
    let file = agent.folder.path().join("a.yaml");
    std::fs::write(&file, agent.manifest("a", &spec("pi@2.0.0", ", OTHER: container"))).expect("written");
    agent.ok(&["apply", "--replace", "--wait", "-f", file.to_str().expect("text")]).await;
    agent.until("a", "it is there", installed).await;
    assert_eq!(run().await, "pi 2.0.0\n");
}

#[tokio::test]
async fn a_tool_that_cannot_be_installed_is_a_condition_of_a_workspace_that_is_ready() {
    let agent = Agent::start().await;
    agent.apply("a", &format!("image: {BASE}\ntools: [ claude, codex ]")).await;
    let failed = |view: &View| is_ready(view) && tools(view).is_some_and(|(is, ..)| is == Is::False);
    let view = agent.until("a", "there is no npm", failed).await;
    let (_, reason, message) = tools(&view).expect("said");
    assert_eq!(reason, "ToolsFailed");
    assert!(message.contains("claude: npm is not in the image; codex: npm is not in the image"), "{message}");
    assert!(message.contains("is tried again"), "{message}");
}
