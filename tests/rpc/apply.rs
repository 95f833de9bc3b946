//! `workspaces.apply` and `plan`: all or none, what would be done, and that no running work ends unasked.

use std::sync::Arc;

use perry::contract::*;
use perry::controller::Preview;
use perry::model::admission;
use perry::model::{Reason, Run};
use serde_json::json;

use crate::procedures::{conflict, create, document, issues, manifest, running};
use crate::world::{call, name, removal, world};

#[tokio::test]
async fn documents_are_applied_all_or_none() {
    let (world, api) = world();
    let text = [document("a", ""), document("b", "image: 'UPPER CASE'"), document("c", "tools: ['']")].join("---\n");
    let found = issues(api.apply_workspaces(&call(), manifest(&text)).await);
    assert!(found.iter().any(|(path, _)| path == "1.spec.image"), "{found:?}");
    assert!(found.iter().all(|(path, _)| !path.starts_with("0.")), "{found:?}");
    assert_eq!((world.commits(), api.list_workspaces(&call(), NoInput {}).await.expect("a list").len()), (0, 0));
    let text = [document("a", ""), document("b", "run: Stopped")].join("---\n");
    let results = api.apply_workspaces(&call(), manifest(&text)).await.expect("applied").results;
    let told: Vec<_> = results.iter().map(|it| (it.name.as_str(), it.change, it.workspace.is_some())).collect();
    assert_eq!(told, [("a", Change::Created, true), ("b", Change::Created, true)]);
    assert_eq!(world.commits(), 1, "one for all");
    let results = api.apply_workspaces(&call(), manifest(&text)).await.expect("applied").results;
    assert!(results.iter().all(|it| it.change == Change::Unchanged && it.workspace.is_some()));
    assert_eq!(
        (world.commits(), world.changed.lock().expect("changed").len()),
        (1, 2),
        "the same again writes nothing"
    );
}

#[tokio::test]
async fn what_is_applied_is_either_a_text_or_an_object() {
    let (_, api) = world();
    let workspace =
        json!({"apiVersion": "perry.dev/v1", "kind": "Workspace", "metadata": {"name": "a"}, "spec": {"imgae": "x"}});
    let object = ApplyInput { workspace: Some(workspace.clone()), ..ApplyInput::default() };
    let found = issues(api.apply_workspaces(&call(), object.clone()).await);
    assert_eq!(found[0].0, "workspace.spec");
    assert!(!found[0].1.contains("line") && found[0].1.contains("image"), "{found:?}");
    assert_eq!(issues(api.apply_workspaces(&call(), ApplyInput::default()).await).len(), 1);
    let both = ApplyInput { manifest: Some(document("a", "")), ..object };
    assert_eq!(issues(api.apply_workspaces(&call(), both).await).len(), 1);
    for odd in [json!([]), json!("a"), json!(null), json!([workspace.clone(), workspace])] {
        let input = ApplyInput { workspace: Some(odd.clone()), ..ApplyInput::default() };
        assert!(api.apply_workspaces(&call(), input).await.is_err(), "{odd}");
    }
    let found = issues(api.apply_workspaces(&call(), manifest("spec: {}")).await);
    assert!(found.iter().any(|(_, message)| message.contains("line 1")), "{found:?}");
}

#[tokio::test]
async fn a_dry_run_and_a_plan_say_what_would_be_done_and_do_nothing() {
    let (world, api) = world();
    running(&world, &api, "a").await;
    *world.look.lock().expect("look") =
        Box::new(|_| Preview { actions: vec![removal()], blocked: None, replaces: Some(true) });
    let text = [document("a", "image: other"), document("b", "")].join("---\n");
    let dry = ApplyInput { dry_run: true, ..manifest(&text) };
    for output in [api.apply_workspaces(&call(), dry).await, api.plan_workspaces(&call(), manifest(&text)).await] {
        let results = output.expect("answered").results;
        assert_eq!((results[0].change, results[0].replaces), (Change::Configured, Some(true)));
        assert_eq!(results[0].workspace.as_ref().map(|view| view.generation), Some(1), "as it is now");
        assert_eq!((results[1].change, results[1].workspace.is_none()), (Change::Created, true));
        let action = &results[0].actions[0];
        assert_eq!((action.step.as_str(), action.text.as_str()), ("remove", "remove container abc123def456"));
        assert!(action.disruptive);
    }
    assert_eq!((world.commits(), world.intent("b")), (1, None));
}

#[tokio::test]
async fn running_work_is_not_ended_unasked() {
    let (world, api) = world();
    running(&world, &api, "a").await;
    *world.look.lock().expect("look") = Box::new(|workspace| Preview {
        actions: vec![removal()],
        blocked: None,
        replaces: Some(workspace.metadata.name.as_str() == "a"),
    });
    let text = [document("b", ""), document("a", "image: other")].join("---\n");
    let refused = conflict(api.apply_workspaces(&call(), manifest(&text)).await);
    assert_eq!((refused.reason, refused.name.as_str(), refused.document), (ConflictReason::NeedsReplace, "a", Some(1)));
    assert_eq!(refused.actions, ["remove container abc123def456"]);
    assert!(refused.hint.is_some_and(|hint| hint.contains("--replace")));
    assert_eq!((world.commits(), world.intent("b")), (1, None), "nothing of it was done");
    let allowed = ApplyInput { allow_replace: true, ..manifest(&text) };
    let results = api.apply_workspaces(&call(), allowed).await.expect("allowed").results;
    assert_eq!((results[1].change, results[1].replaces), (Change::Configured, Some(true)));
    // What was admitted once is not asked about again while it is under way.
    let results = api.apply_workspaces(&call(), manifest(&text)).await.expect("so already").results;
    assert!(results.iter().all(|it| it.change == Change::Unchanged));
}

#[tokio::test]
async fn work_that_may_end_once_the_engine_answers_again_is_not_ended_unasked_either() {
    let (world, api) = world();
    running(&world, &api, "a").await;
    let reason = Reason::new("EngineUnreachable", "unix:///x: connection refused");
    *world.look.lock().expect("look") = Box::new(move |workspace| {
        let may_be = workspace.metadata.name.as_str() == "a" && workspace.spec.image.as_deref() == Some("other");
        Preview {
            actions: Vec::new(),
            blocked: Some(reason.clone()),
            replaces: if may_be { None } else { Some(false) },
        }
    });
    let text = [document("b", ""), document("a", "image: other")].join("---\n");
    let refused = conflict(api.apply_workspaces(&call(), manifest(&text)).await);
    assert_eq!((refused.reason, refused.name.as_str(), refused.document), (ConflictReason::NeedsReplace, "a", Some(1)));
    assert_eq!(
        refused.message,
        "this change needs a new container for a, and it is not known whether work in the present one would end: \
         the engine does not answer (unix:///x: connection refused)"
    );
    assert!(refused.actions.is_empty() && refused.hint.is_some_and(|hint| hint.contains("--replace")));
    assert_eq!((world.commits(), world.intent("b")), (1, None), "nothing of it was done");
    let dry = ApplyInput { dry_run: true, ..manifest(&text) };
    let planned = api.apply_workspaces(&call(), dry).await.expect("looked").results;
    assert_eq!((planned[0].replaces, planned[1].replaces), (Some(false), None));
    // What needs no other container is taken.
    let tools =
        api.apply_workspaces(&call(), manifest(&document("a", "tools: [claude]"))).await.expect("taken").results;
    assert_eq!((tools[0].change, tools[0].replaces), (Change::Configured, Some(false)));
    let allowed = ApplyInput { allow_replace: true, ..manifest(&text) };
    let results = api.apply_workspaces(&call(), allowed).await.expect("allowed").results;
    assert_eq!((results[1].change, results[1].replaces), (Change::Configured, None));
}

#[tokio::test(start_paused = true)]
async fn a_look_that_takes_too_long_is_as_good_as_none() {
    let (world, api) = world();
    running(&world, &api, "a").await;
    *world.silent.lock().expect("silent") = true;
    *world.other_container.lock().expect("other_container") = true;
    let refused = conflict(api.apply_workspaces(&call(), manifest(&document("a", "image: other"))).await);
    assert_eq!(refused.reason, ConflictReason::NeedsReplace);
    assert!(refused.message.ends_with("would end: the engine did not answer in time"), "{}", refused.message);
    *world.other_container.lock().expect("other_container") = false;
    api.apply_workspaces(&call(), manifest(&document("a", "image: other"))).await.expect("taken");
    assert_eq!(world.commits(), 2);
}

#[tokio::test]
async fn generations_guard_against_lost_updates() {
    let (world, api) = world();
    api.create_workspace(&call(), create("a")).await.expect("created");
    let at = |generation, text: &str| ApplyInput { if_generation: Some(generation), ..manifest(text) };
    let stale = conflict(api.apply_workspaces(&call(), at(7, &document("a", "image: x"))).await);
    assert_eq!((stale.reason, stale.generation), (ConflictReason::StaleGeneration, Some(1)));
    assert_eq!(conflict(api.apply_workspaces(&call(), at(0, &document("a", ""))).await).generation, Some(1));
    let results =
        api.apply_workspaces(&call(), at(1, &document("a", "image: x"))).await.expect("the right one").results;
    assert_eq!(results[0].workspace.as_ref().map(|view| view.generation), Some(2));
    let two = [document("a", ""), document("b", "")].join("---\n");
    assert_eq!(issues(api.apply_workspaces(&call(), at(2, &two)).await)[0].0, "ifGeneration");
    assert_eq!(world.commits(), 2);
}

#[tokio::test]
async fn a_change_between_look_and_commit_makes_an_apply_look_again() {
    let (world, api) = world();
    running(&world, &api, "a").await;
    let inner = world.clone();
    *world.look.lock().expect("look") = Box::new(move |_| {
        if inner.looks() == 1 {
            // Somebody else stops it just now.
            let mut state = inner.state.lock().expect("state");
            let next = Arc::make_mut(&mut state);
            admission::set_run(next, &name("a"), Run::Stopped, None).expect("accepted");
        }
        Preview { actions: Vec::new(), blocked: None, replaces: Some(inner.looks() == 1) }
    });
    let other = ApplyInput { allow_replace: true, ..manifest(&document("a", "image: other")) };
    let results = api.apply_workspaces(&call(), other).await.expect("applied").results;
    assert_eq!((world.looks(), results[0].replaces), (2, Some(false)), "the answer is about what was stored");
    let intent = world.intent("a").expect("stored");
    assert_eq!(
        (intent.metadata.generation, intent.spec.run, intent.spec.image.as_deref()),
        (3, Some(Run::Stopped), Some("other"))
    );
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_says_nothing_holds_no_intent_up() {
    let (world, api) = world();
    *world.silent.lock().expect("silent") = true;
    let results = api.apply_workspaces(&call(), manifest(&document("a", ""))).await.expect("accepted").results;
    assert_eq!(results[0].blocked.as_ref().map(|blocked| blocked.reason.as_str()), Some("EngineSilent"));
    assert_eq!(world.commits(), 1);
}

#[tokio::test]
async fn why_nothing_can_be_done_is_said() {
    let (world, api) = world();
    let reason = Reason::new("EngineUnreachable", "connection refused").hint("start Docker");
    *world.look.lock().expect("look") =
        Box::new(move |_| Preview { actions: Vec::new(), blocked: Some(reason.clone()), replaces: Some(false) });
    let results =
        api.apply_workspaces(&call(), manifest(&document("a", ""))).await.expect("accepted all the same").results;
    let blocked = results[0].blocked.as_ref().expect("said");
    assert_eq!((blocked.message.as_str(), blocked.hint.as_deref()), ("connection refused", Some("start Docker")));
}
