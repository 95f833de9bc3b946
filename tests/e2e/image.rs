//! The image that people work in: everything that it promises answers, in each way in.

use std::process::Stdio;

use perry::model::ConditionType;

use crate::FULL;
use crate::agent::{Agent, is_ready, of};

/// What must be found, each with a word that shows that it runs.
const TOOLS: &str = "node --version; npm --version; pnpm --version; bun --version; python3 --version; pip --version; \
    pipx --version; uv --version; go version; gcc --version; make --version; cmake --version; gdb --version; \
    git --version; git lfs version; gh --version; rg --version; fd --version; jq --version; fzf --version; tmux -V; \
    vim --version; nano --version; sqlite3 --version; shellcheck --version; curl --version; wget --version; \
    rsync --version; ssh -V; docker --version; docker compose version; strace --version; lsof -v; ip -V";

#[tokio::test]
async fn the_full_image_has_every_tool_in_each_way_in_and_what_is_installed_lands_at_home() {
    let agent = Agent::start().await;
    let key = agent.folder.path().join("key");
    let text = key.to_str().expect("text");
    let made = std::process::Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", text]).status();
    assert!(made.expect("ssh-keygen").success());
    let public = std::fs::read_to_string(key.with_extension("pub")).expect("a key");
    let manifest = agent.folder.path().join("full.yaml");
    let spec = format!("image: {FULL}\n  ssh: {{ authorizedKeys: [ {:?} ] }}", public.trim());
    let document = format!("apiVersion: perry.dev/v1\nkind: Workspace\nmetadata: {{ name: a }}\nspec:\n  {spec}\n");
    std::fs::write(&manifest, document).expect("written");
    agent.ok(&["apply", "--wait", "-f", manifest.to_str().expect("text")]).await;
    let view = agent.client().get_workspace(&of("a")).await.expect("a view");
    assert!(is_ready(&view) && view.is_true(ConditionType::DockerReady) && view.is_true(ConditionType::SshReady));

    let sh = async |script: &str| agent.perry(&["exec", "a", "--", "sh", "-c", script]).await;
    let port = view.ports["ssh"].to_string();
    let ssh = async |script: &str| {
        let options = ["BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"];
        let options = options.iter().flat_map(|option| ["-o", option]);
        let words = options.chain(["-F", "/dev/null", "-i", text, "-p", &port, "workspace@127.0.0.1", script]);
        let output = tokio::process::Command::new("ssh").args(words).stdin(Stdio::null()).output().await.expect("ssh");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    for tool in TOOLS.split(';').map(str::trim) {
        let said = sh(tool).await;
        assert_eq!(said.code, Some(0), "{tool}: {} {}", said.stdout, said.stderr);
        let (code, said) = ssh(tool).await;
        assert_eq!(code, Some(0), "over ssh: {tool}: {said}");
    }

    // What is installed by whom: into the home, and found.
    let prefixes =
        "npm prefix -g; go env GOPATH; python3 -m site --user-base; sudo -n id -un; printenv PATH | cut -d: -f1";
    let wanted =
        "/home/workspace/.local\n/home/workspace/go\n/home/workspace/.local\nroot\n/home/workspace/.local/bin\n";
    assert_eq!(sh(prefixes).await.stdout, wanted);
    assert_eq!(ssh(prefixes).await.1, wanted);
    assert_eq!(
        ssh("mkdir -p .local/bin && printf '#!/bin/sh\\necho mine' >.local/bin/mine && chmod +x .local/bin/mine; mine")
            .await
            .1,
        "mine\n"
    );
    assert_eq!(sh("mine").await.stdout, "mine\n");
    assert_eq!(ssh("bash -lc mine").await.1, "mine\n");

    // Nothing that everybody would have, and nothing that is only in the way.
    let leftovers = "ls /etc/ssh/ssh_host_* /var/lib/apt/lists/*_* /root/.npm /root/.cache 2>/dev/null | wc -l";
    assert_eq!(sh(&format!("sudo sh -c '{leftovers}'")).await.stdout, "0\n");
    assert_eq!(sh("docker info --format '{{.Driver}}'").await.code, Some(0));
}
