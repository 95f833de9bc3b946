//! The main job: a workspace with Docker inside, used as a person does.

use std::time::Instant;

use perry::model::ConditionType;

use crate::BASE;
use crate::agent::Agent;

/// Makes an image of a shell inside the workspace, so that nothing is pulled.
const TINY: &str = "cd / && tar -ch bin/bash $(ldd /bin/bash | grep -o '/[^ ]*' | cut -c2-) | docker import - tiny";

#[tokio::test]
async fn a_workspace_with_docker_inside_runs_a_container_and_is_listed_and_described_and_deleted() {
    let agent = Agent::start().await;
    let image = agent.engine.client().inspect_image(BASE).await;
    assert!(image.is_ok(), "there is no image {BASE}: `make test` builds it, or `make image`");
    let began = Instant::now();
    let manifest = agent.folder.path().join("full.yaml");
    let text = "apiVersion: perry.dev/v1\nkind: Workspace\nmetadata: { name: full, labels: { team: web } }\n\
        spec:\n  image: workspace-base:slim\n  env: { GREETING: hello }\n  ports: [ { name: http, port: 3000 } ]\n";
    std::fs::write(&manifest, text).expect("written");
    let file = manifest.to_str().expect("text");
    assert_eq!(agent.ok(&["apply", "-f", file, "--wait"]).await, "full created\n");
    eprintln!("apply --wait took {:?}", began.elapsed());
    assert_eq!(agent.ok(&["apply", "-f", file, "--wait"]).await, "full unchanged\n");

    // What is inside.
    let sh = async |script: &str| agent.ok(&["exec", "full", "--", "sh", "-c", script]).await;
    assert_eq!(sh("echo $GREETING; whoami").await, "hello\nworkspace\n");
    sh(TINY).await;
    assert_eq!(sh("docker run --rm --network none tiny /bin/bash -c 'echo nested $((6 * 7))'").await, "nested 42\n");
    let said = agent.perry(&["exec", "full", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]).await;
    assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (Some(7), "out\n", "err\n"));

    // What is said of it.
    let listed = agent.ok(&["get", "-l", "team=web"]).await;
    assert!(listed.lines().count() == 2 && listed.contains("full") && listed.contains("running"), "{listed}");
    let view = agent.client().get_workspace(&crate::agent::of("full")).await.expect("a view");
    for kind in [ConditionType::SshReady, ConditionType::DockerReady, ConditionType::WorkerReady] {
        assert!(view.is_true(kind), "{kind:?}");
    }
    let described = agent.ok(&["describe", "full"]).await;
    let disk = described.split_once("\nDisk:\n").expect("bytes on disk").1;
    assert!(["/home/workspace", "/var/lib/docker"].iter().all(|path| disk.contains(path)), "{disk}");
    assert!(!disk.contains("not known"), "{disk}");
    for word in ["http", "DockerReady", "Isolated", "start", "create", "worker"] {
        assert!(described.contains(word), "no {word} in:\n{described}");
    }
    assert!(agent.ok(&["why", "full"]).await.contains("full"));
    let events = agent.ok(&["events", "full"]).await;
    assert!(events.contains("Ready"), "{events}");
    assert!(agent.ok(&["agent", "info"]).await.contains("Orphans:    0"));

    assert_eq!(agent.ok(&["delete", "full", "--wait"]).await.lines().count(), 1);
    let left = agent.engine.objects().await;
    assert!(left.containers.is_empty() && left.volumes.is_empty(), "{left:?}");
    agent.fails(3, &["describe", "full"]).await;
}
