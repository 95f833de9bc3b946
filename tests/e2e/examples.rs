//! Every example becomes what it says.

use perry::client::{Goal, Wait};
use perry::contract::types::ApplyInput;
use perry::model::{ConditionType, Run};

use crate::agent::{Agent, Options, is_ready};

#[tokio::test]
async fn every_example_becomes_ready_and_those_that_are_not_to_run_are_stopped() {
    let home = tempfile::tempdir().expect("a folder");
    std::fs::write(home.path().join(".gitconfig"), "[user]\n\tname = me\n").expect("written");
    let settings = serde_json::json!({
        // The examples name no image: with this tag it is the slim variant.
        "imageTag": "workspace-base:slim",
        "sync": { "allow": ["~/.gitconfig"] },
    });
    let env = vec![("HOME", home.path().to_owned())];
    let agent = Agent::start_with(Options { settings, env, ..Options::default() }).await;
    let mut views = Vec::new();
    for entry in std::fs::read_dir("examples").expect("examples") {
        let path = entry.expect("an entry").path();
        let manifest = std::fs::read_to_string(&path).expect("text");
        // A port of its own choice may be somebody else's on this machine.
        let manifest = manifest.replace("hostPort: 28080", "hostPort: 21080");
        let input = ApplyInput { manifest: Some(manifest), ..ApplyInput::default() };
        let applied = agent.client().apply_workspaces(&input).await.unwrap_or_else(|error| panic!("{path:?}: {error}"));
        views.extend(applied.results.into_iter().map(|result| result.workspace.expect("a workspace")));
    }
    assert!(views.len() >= 7, "only {}", views.len());
    for view in views {
        if view.spec.run == Some(Run::Stopped) {
            agent.reach(Wait::since(&view, Goal::Stopped)).await;
            continue;
        }
        let said = [ConditionType::HooksSucceeded, ConditionType::FilesSynced];
        agent
            .until(view.name.as_str(), "ready, and what it asks for is done", |view| {
                // The network of the test has no repositories: a clone that fails hides nothing.
                let files = view.condition(said[1]).is_none_or(|_| view.is_true(said[1]));
                is_ready(view) && files
            })
            .await;
    }
}
