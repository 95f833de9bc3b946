//! Changes of a spec.

use perry::client::{Goal, Wait};
use perry::contract::types::ApplyInput;
use perry::contract::{Code, ConflictReason};
use perry::model::ConditionType;

use crate::agent::{Agent, is_ready};

const ENVIRONMENT: [&str; 6] = ["exec", "a", "--", "sh", "-c", "echo $VERSION"];

#[tokio::test]
async fn a_spec_that_changes_while_it_is_created_converges_to_the_newest() {
    let agent = Agent::start().await;
    let mut newest = agent.apply("a", "env: { VERSION: v0 }").await;
    for version in 1..6 {
        // Each at another moment of the work on the one before.
        agent.until("a", "seen", |view| view.startup.as_ref().is_some_and(|it| it.steps.len() >= version)).await;
        let input = ApplyInput {
            manifest: Some(agent.manifest("a", &format!("env: {{ VERSION: v{version} }}"))),
            allow_replace: true,
            ..ApplyInput::default()
        };
        let mut output = agent.client().apply_workspaces(&input).await.expect("accepted");
        newest = output.results.remove(0).workspace.expect("a workspace");
    }
    let ready = agent.reach(Wait::since(&newest, Goal::Ready)).await.expect("a workspace");
    assert_eq!((ready.generation, ready.observed_generation), (newest.generation, newest.generation));
    assert_eq!(agent.ok(&ENVIRONMENT).await, "v5\n");
    let objects = agent.engine.objects().await;
    assert_eq!((objects.containers.len(), objects.volumes.len()), (1, 1));
}

#[tokio::test]
async fn a_running_workspace_is_replaced_only_when_asked_and_keeps_its_home() {
    let agent = Agent::start().await;
    let before = agent.ready("a", "env: { VERSION: v1 }").await;
    agent.ok(&["exec", "a", "--", "sh", "-c", "echo kept > /home/workspace/note"]).await;
    let manifest = agent.manifest("a", "env: { VERSION: v2 }");
    let input = ApplyInput { manifest: Some(manifest.clone()), ..ApplyInput::default() };
    let error = agent.client().apply_workspaces(&input).await.expect_err("refused");
    assert!(error.is(Code::Conflict), "{error}");
    let conflict = error.refusal().and_then(perry::contract::ErrorBody::conflict).expect("a conflict");
    assert_eq!(conflict.reason, ConflictReason::NeedsReplace);
    assert!(!conflict.actions.is_empty(), "{conflict:?}");

    let file = agent.folder.path().join("a.yaml");
    std::fs::write(&file, manifest).expect("written");
    let file = file.to_str().expect("text");
    let told = agent.fails(4, &["apply", "-f", file]).await;
    assert!(told.lines().any(|line| line.starts_with("hint:") && line.contains("--replace")), "{told}");
    let planned = agent.ok(&["apply", "-f", file, "--dry-run", "--replace"]).await;
    assert!(planned.contains("configured (dry run)") && planned.contains("remove container"), "{planned}");
    let same = agent.until("a", "ready", is_ready).await;
    assert_eq!((&same.container_id, same.generation), (&before.container_id, before.generation), "nothing happened");

    agent.ok(&["apply", "-f", file, "--replace", "--wait"]).await;
    let after = agent.until("a", "ready", is_ready).await;
    assert_ne!(after.container_id, before.container_id);
    assert_eq!(after.ports, before.ports);
    assert_eq!(agent.ok(&ENVIRONMENT).await, "v2\n");
    assert_eq!(agent.ok(&["exec", "a", "--", "sh", "-c", "read -r x < /home/workspace/note; echo $x"]).await, "kept\n");
    assert_eq!(agent.engine.objects().await.containers.len(), 1);
}

#[tokio::test]
async fn an_image_that_is_not_there_is_said_and_the_right_one_is_taken_at_once() {
    let agent = Agent::start().await;
    agent.apply("a", "image: perry-test.invalid/none:none").await;
    let view = agent
        .until("a", "trouble", |view| {
            let reconciling = view.condition(ConditionType::Reconciling);
            reconciling.is_some_and(|it| it.reason == "BackOff") || view.is_true(ConditionType::Stalled)
        })
        .await;
    let ready = view.condition(ConditionType::Ready).expect("judged");
    assert!(ready.message.contains("perry-test.invalid/none"), "{ready:?}");
    agent.ready("a", "").await;
}
