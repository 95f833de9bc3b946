//! What the procedures do to intent, and what they answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;
use perry::api::{Api, Intents};
use perry::contract::*;
use perry::controller::Preview;
use perry::model::admission;
use perry::model::observed::FileFault;
use perry::model::{Issues, Reason, Run, Shown};
use perry::runtime::RuntimeError;
use perry::store::sim_disk::Fault;
use perry::store::{SimDisk, Store};
use serde_json::json;

use crate::raw::PATIENCE;
use crate::world::{World, call, event, host_ports, name, removal, world};

fn create(text: &str) -> CreateInput {
    CreateInput { name: name(text), clone: None, image: None, env: Default::default(), ports: Vec::new() }
}

fn start(text: &str) -> StartInput {
    StartInput::of(name(text))
}

fn named(text: &str) -> NameInput {
    NameInput { name: name(text) }
}

fn exec(text: &str) -> ExecInput {
    ExecInput { name: name(text), command: vec!["echo".to_owned(), "hi".to_owned()], timeout: None }
}

fn manifest(text: &str) -> ApplyInput {
    ApplyInput { manifest: Some(text.to_owned()), ..ApplyInput::default() }
}

fn document(name: &str, spec: &str) -> String {
    format!("apiVersion: perry.dev/v1\nkind: Workspace\nmetadata: {{ name: {name} }}\nspec: {{ {spec} }}\n")
}

fn conflict<T>(result: Result<T, ApiError>) -> Conflict {
    match result {
        Err(ApiError::Conflict(conflict)) => *conflict,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was accepted"),
    }
}

fn issues<T>(result: Result<T, ApiError>) -> Vec<(String, String)> {
    match result {
        Err(ApiError::BadRequest(Issues(issues))) => {
            issues.into_iter().map(|issue| (issue.path.join("."), issue.message)).collect()
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was accepted"),
    }
}

fn code<T>(result: Result<T, ApiError>) -> Code {
    result.map(drop).expect_err("an error").code()
}

/// Makes a workspace whose container is seen running.
async fn running(world: &World, api: &Api, text: &str) -> Arc<Shown> {
    api.create_workspace(&call(), create(text)).await.expect("created");
    world.show(text, true);
    world.hub.get(text).expect("shown")
}

#[tokio::test]
async fn what_was_created_is_stored_shown_and_listed_at_once() {
    let (world, api) = world();
    let view = api.create_workspace(&call(), create("a")).await.expect("created");
    assert_eq!((view.name.as_str(), view.generation, view.ports.len()), ("a", 1, 1));
    assert_eq!(api.list_workspaces(&call(), NoInput {}).await.expect("a list"), std::slice::from_ref(&view));
    assert_eq!(api.get_workspace(&call(), named("a")).await.expect("there"), view);
    assert_eq!(world.intent("a").expect("stored").metadata.uid, view.uid);
    assert_eq!(*world.changed.lock().expect("changed"), ["a"]);
    assert_eq!(code(api.get_workspace(&call(), named("b")).await), Code::NotFound);
}

#[tokio::test]
async fn a_name_cannot_be_created_twice_nor_while_it_is_being_deleted() {
    let (world, api) = world();
    api.create_workspace(&call(), create("a")).await.expect("created");
    let taken = conflict(api.create_workspace(&call(), create("a")).await);
    assert_eq!((taken.reason, taken.name.as_str()), (ConflictReason::Exists, "a"));
    assert!(taken.hint.is_some());
    api.delete_workspace(&call(), named("a")).await.expect("accepted");
    assert_eq!(conflict(api.create_workspace(&call(), create("a")).await).reason, ConflictReason::Deleting);
    assert_eq!(conflict(api.start_workspace(&call(), start("a")).await).reason, ConflictReason::Deleting);
    assert_eq!(
        conflict(api.apply_workspaces(&call(), manifest(&document("a", ""))).await).reason,
        ConflictReason::Deleting
    );
    assert_eq!(world.commits(), 2);
}

#[tokio::test]
async fn faults_of_a_creation_are_at_the_fields_of_its_input() {
    let (world, api) = world();
    let image = Some("UPPER CASE".to_owned());
    let found = issues(api.create_workspace(&call(), CreateInput { image, ..create("a") }).await);
    assert_eq!(found[0].0, "image", "{found:?}");
    assert_eq!(world.commits(), 0);
}

#[tokio::test]
async fn disk_usage_that_cannot_be_counted_is_an_error_that_says_why() {
    let (_world, api) = world();
    assert_eq!(code(api.disk_usage(&call(), named("a")).await), Code::NotFound);
    api.create_workspace(&call(), create("a")).await.expect("created");
    let error = api.disk_usage(&call(), named("a")).await.expect_err("not counted");
    assert_eq!((error.code(), error.to_string().as_str()), (Code::ServiceUnavailable, "counting took too long"));
}

#[tokio::test]
async fn logs_are_those_of_one_source_or_of_all_and_none_where_there_is_no_container() {
    let (world, api) = world();
    let wanted = |source, tail| LogsInput { name: named("a").name, source, tail, follow: false };
    let read = async |input| {
        let lines = api.workspace_logs(&call(), input).await.map(|lines| lines.map(|item| item.expect("a line").value));
        match lines {
            Ok(lines) => Ok(lines.map(|line| format!("{} {}", line.from, line.line)).collect::<Vec<_>>().await),
            Err(error) => Err(error.code()),
        }
    };
    assert_eq!(read(wanted(None, None)).await, Err(Code::NotFound));
    api.create_workspace(&call(), create("a")).await.expect("created");
    assert_eq!(read(wanted(None, None)).await, Err(Code::PreconditionFailed));
    assert_eq!(read(wanted(None, Some(10_001))).await, Err(Code::BadRequest));
    *world.log.lock().expect("log") = Some(vec!["1".to_owned(), "2".to_owned()]);
    assert_eq!(read(wanted(Some(LogSource::Hooks), None)).await.expect("lines"), ["hooks 1", "hooks 2"]);
    assert_eq!(read(wanted(None, Some(1))).await.expect("lines"), ["boot 2", "hooks 2", "docker 2", "worker 2"]);
}

#[tokio::test]
async fn usage_is_asked_for_once_for_all_who_listen_and_not_at_all_where_nobody_does() {
    let (world, api) = world();
    api.create_workspace(&call(), create("a")).await.expect("created");
    world.show("a", true);
    let asked = || world.usages.load(Ordering::SeqCst);
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let idle = tasks();
    let mut first = api.workspace_usage(&call(), NoInput {}).await.expect("a stream");
    let mut second = api.workspace_usage(&call(), NoInput {}).await.expect("a stream");
    for values in [&mut first, &mut second] {
        let value = values.next().await.expect("a value").expect("good").value;
        assert_eq!((value.name.as_str(), value.memory, value.cpu), ("a", 42, None));
    }
    assert_eq!(asked(), 1);
    assert_eq!(tasks() - idle, 1, "both are told by one");
    drop((first, second));
    world.clock.advance(Duration::from_secs(60));
    let ended = async {
        while tasks() > idle {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("nobody is asked where nobody listens");
    assert_eq!(asked(), 1);
    let mut third = api.workspace_usage(&call(), NoInput {}).await.expect("a stream");
    assert!(third.next().await.is_some());
}

#[tokio::test]
async fn files_that_cannot_be_brought_are_an_error_that_names_each() {
    let (world, api) = world();
    assert_eq!(code(api.sync_workspace(&call(), named("a")).await), Code::NotFound);
    api.create_workspace(&call(), create("a")).await.expect("created");
    assert_eq!(code(api.sync_workspace(&call(), named("a")).await), Code::PreconditionFailed, "it does not run yet");
    world.show("a", true);
    api.sync_workspace(&call(), named("a")).await.expect("brought");
    let fault = |path: &str| FileFault { path: path.to_owned(), message: "is not there".to_owned() };
    *world.synced.lock().expect("synced") = Box::new(move |_| Ok(vec![fault("~/a"), fault("~/b")]));
    let error = api.sync_workspace(&call(), named("a")).await.expect_err("not all");
    assert_eq!(error.code(), Code::PreconditionFailed);
    assert!(error.to_string().ends_with("~/a is not there; ~/b is not there"), "{error}");
    *world.synced.lock().expect("synced") = Box::new(|_| Err("the worker does not answer".to_owned()));
    assert_eq!(code(api.sync_workspace(&call(), named("a")).await), Code::ServiceUnavailable);
}

#[tokio::test]
async fn start_stop_and_restart_write_only_what_changes() {
    let (world, api) = world();
    assert_eq!(code(api.start_workspace(&call(), start("a")).await), Code::NotFound);
    let made = api.start_workspace(&call(), StartInput { create: true, ..start("a") }).await.expect("created");
    assert_eq!(made.generation, 1);
    assert_eq!(api.start_workspace(&call(), start("a")).await.expect("so already").generation, 1);
    assert_eq!(world.commits(), 1);
    for _ in 0..2 {
        let stopped = api.stop_workspace(&call(), named("a")).await.expect("accepted");
        assert_eq!((stopped.generation, stopped.spec.run), (2, Some(Run::Stopped)));
    }
    assert_eq!(world.commits(), 2);
    for generation in [3, 4] {
        let input = RestartInput { name: named("a").name, upgrade: false };
        let again = api.restart_workspace(&call(), input).await.expect("accepted");
        assert_eq!((again.generation, again.spec.run), (generation, Some(Run::Running)), "each is another try");
    }
    let image = Some("other".to_owned());
    let differs = conflict(api.start_workspace(&call(), StartInput { image, create: true, ..start("a") }).await);
    assert_eq!(differs.reason, ConflictReason::Differs);
    assert_eq!(code(api.stop_workspace(&call(), named("b")).await), Code::NotFound);
    let absent = RestartInput { name: named("b").name, upgrade: true };
    assert_eq!(code(api.restart_workspace(&call(), absent).await), Code::NotFound);
}

#[tokio::test]
async fn delete_may_be_repeated_and_an_absent_one_is_not_found() {
    let (world, api) = world();
    api.create_workspace(&call(), create("a")).await.expect("created");
    for _ in 0..3 {
        assert_eq!(api.delete_workspace(&call(), named("a")).await, Ok(DeleteOutput { success: true }));
    }
    assert_eq!(world.commits(), 2);
    assert!(api.stop_workspace(&call(), named("a")).await.is_ok(), "it stops anyway");
    assert_eq!(code(api.delete_workspace(&call(), named("b")).await), Code::NotFound);
}

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

#[tokio::test]
async fn a_failed_commit_is_an_error_and_shows_nothing() {
    let (world, api) = world();
    *world.broken.lock().expect("broken") = Some("no space left on device".to_owned());
    let error = api.create_workspace(&call(), create("a")).await.expect_err("not stored");
    assert_eq!((error.code(), error.to_string().contains("no space left")), (Code::ServiceUnavailable, true));
    assert_eq!((world.hub.list().0.len(), world.changed.lock().expect("changed").len()), (0, 0));
    assert!(api.apply_workspaces(&call(), manifest(&document("a", ""))).await.is_err());
}

#[tokio::test]
async fn the_real_store_is_written_when_an_edit_says_so_and_tells_why_where_it_is_not() {
    let disk = SimDisk::new();
    let clock = Arc::new(perry::clock::SystemClock::new());
    let store = Store::with_disk(disk.clone(), Box::new(|_, new| Ok(new)), clock).expect("opened");
    let add = |text: &'static str, write: bool| -> perry::api::Edit {
        let config = perry::model::Config::default();
        let (now, uid) = (jiff::Timestamp::UNIX_EPOCH, perry::model::Uid(text.to_owned()));
        Box::new(move |state| {
            let settings = admission::Settings {
                config: &config,
                now,
                uid,
                if_generation: None,
                allow_replace: false,
                in_use: &admission::NOT_KNOWN,
            };
            admission::create(state, &name(text), &admission::Flags::default(), &settings).expect("admitted");
            write
        })
    };
    let names = || Intents::snapshot(&store).workspaces.keys().map(ToString::to_string).collect::<Vec<_>>();
    let commits = store.stats().commits;
    store.commit(add("no", false)).await.expect("fine, too");
    assert_eq!((names().len(), store.stats().commits), (0, commits));
    store.commit(add("a", true)).await.expect("written");
    assert_eq!((names(), store.stats().commits), (vec!["a".to_owned()], commits + 1));
    let next = disk.steps();
    (next..next + 500).for_each(|step| disk.fault_at(step, Fault::Fail(std::io::ErrorKind::StorageFull)));
    let error = store.commit(add("b", true)).await.expect_err("the disk is full").to_string();
    assert!(error.ends_with("state.json was neither read nor written: no storage space"), "{error}");
    assert_eq!(names(), ["a"]);
}

#[tokio::test]
async fn an_edit_is_finished_when_its_client_has_gone() {
    let (world, api) = world();
    world.gate.forget_permits(tokio::sync::Semaphore::MAX_PERMITS);
    let admin = call();
    let creating = api.create_workspace(&admin, create("a"));
    assert!(tokio::time::timeout(Duration::from_millis(50), creating).await.is_err(), "dropped amid its commit");
    let mut shown = world.hub.subscribe(None);
    world.gate.add_permits(1);
    let shown = async { while shown.next().await.expect("open").object.is_none() {} };
    tokio::time::timeout(PATIENCE, shown).await.expect("it is stored and shown");
    assert_eq!(world.commits(), 1);
}

#[tokio::test]
async fn many_creations_at_once_share_no_host_port() {
    let (world, api) = world();
    let all = (0..40).map(|n| {
        let api = api.clone();
        tokio::spawn(async move { api.create_workspace(&call(), create(&format!("w{n}"))).await.map(drop) })
    });
    for done in futures::future::join_all(all).await {
        done.expect("ran").expect("created");
    }
    let ports = host_ports(&world.state.lock().expect("state"));
    assert_eq!((ports.len(), ports.values().max()), (40, Some(&1)));
}

#[tokio::test]
async fn commands_run_only_where_something_runs() {
    let (world, api) = world();
    assert_eq!(code(api.exec_workspace(&call(), exec("a")).await), Code::NotFound);
    api.create_workspace(&call(), create("a")).await.expect("created");
    assert_eq!(code(api.exec_workspace(&call(), exec("a")).await), Code::PreconditionFailed);
    world.show("a", true);
    assert_eq!(api.exec_workspace(&call(), exec("a")).await.expect("ran").stdout, "echo hi");
    for (error, expected) in [
        (RuntimeError::Refused("too long".to_owned()), Code::BadRequest),
        (RuntimeError::Failed("the worker does not listen".to_owned()), Code::PreconditionFailed),
        (RuntimeError::Unreachable("refused".to_owned()), Code::ServiceUnavailable),
        (RuntimeError::Timeout(10), Code::ServiceUnavailable),
    ] {
        *world.run.lock().expect("run") = Box::new(move |_| Err(error.clone()));
        assert_eq!(code(api.exec_workspace(&call(), exec("a")).await), expected);
    }
    world.show("a", false);
    let stopped = api.exec_workspace(&call(), exec("a")).await.expect_err("down").to_string();
    assert!(stopped.contains("perry start a"), "{stopped}");
}

#[tokio::test]
async fn commands_are_checked_and_bounded() {
    let (world, api) = world();
    running(&world, &api, "a").await;
    for (command, timeout, path) in [
        (vec![], None, "command"),
        (vec![""], None, "command"),
        (vec!["a", "b\0c"], None, "command.1"),
        (vec!["a"], Some(0), "timeout"),
        (vec!["a"], Some(86_401), "timeout"),
    ] {
        let command = command.into_iter().map(str::to_owned).collect();
        let found = issues(api.exec_workspace(&call(), ExecInput { name: name("a"), command, timeout }).await);
        assert_eq!(found[0].0, path);
    }
    world.commands.forget_permits(tokio::sync::Semaphore::MAX_PERMITS);
    let admin = call();
    let mut all: futures::stream::FuturesUnordered<_> =
        (0..65).map(|_| api.exec_workspace(&admin, exec("a"))).collect();
    let first = tokio::time::timeout(PATIENCE, all.next()).await.expect("one is refused at once");
    assert_eq!(code(first.expect("one")), Code::TooManyRequests);
    world.commands.add_permits(64);
    assert!(all.all(|result| async move { result.is_ok() }).await, "the others run");
}

#[tokio::test]
async fn events_are_listed_followed_and_resumed_without_doubles() {
    let (world, api) = world();
    running(&world, &api, "a").await;
    *world.past.lock().expect("past") = vec![event("a", "one", 1), event("b", "two", 2), event("a", "three", 3)];
    let of = |text: Option<&str>, follow| EventsInput { name: text.map(name), follow };
    let listed: Vec<_> = api.workspace_events(&call(), of(Some("a"), false)).await.expect("a stream").collect().await;
    let listed: Vec<_> = listed.into_iter().map(|item| item.expect("an event")).collect();
    assert_eq!(listed.iter().map(|item| item.value.message.as_str()).collect::<Vec<_>>(), ["one", "three"]);
    assert_eq!(code(api.workspace_events(&call(), of(Some("ghost"), true)).await), Code::NotFound);
    let resume = listed[0].id.clone();
    let resumed = Call { resume, ..call() };
    let mut followed = api.workspace_events(&resumed, of(Some("a"), true)).await.expect("a stream");
    for news in [event("a", "three", 3), event("b", "four", 4), event("a", "five", 5)] {
        world.news.send(news).expect("somebody listens");
    }
    for expected in ["three", "five"] {
        let next = tokio::time::timeout(PATIENCE, followed.next()).await.expect("in time").expect("open");
        assert_eq!(next.expect("an event").value.message, expected);
    }
}

#[tokio::test]
async fn a_build_shows_its_lines_then_its_failure_and_ends_with_its_reader() {
    let (world, api) = world();
    let mut build = api.build_image(&call(), BuildInput::default()).await.expect("a stream");
    assert_eq!(build.next().await.expect("open").expect("a line").value.line, "Step 1");
    assert_eq!(code(api.build_image(&call(), BuildInput::default()).await.map(drop)), Code::TooManyRequests);
    world.built.notify_one();
    assert_eq!(build.next().await.expect("open").expect("a line").value.line, "Step 2 of 2");
    let failed = build.next().await.expect("open").expect_err("it failed");
    assert!(failed.to_string().contains("no space left"), "{failed}");
    assert!(build.next().await.is_none());
    drop(build);
    let mut build = api.build_image(&call(), BuildInput::default()).await.expect("another one");
    build.next().await.expect("open").expect("a line");
    assert_eq!(world.building.load(Ordering::SeqCst), 1);
    drop(build);
    assert_eq!(world.building.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_agent_says_who_it_is_and_what_it_cannot_see() {
    let (world, api) = world();
    api.create_workspace(&call(), create("a")).await.expect("created");
    world.clock.advance(Duration::from_millis(12_500));
    let info = api.agent_info(&call(), NoInput {}).await.expect("an answer");
    assert_eq!((info.hostname.as_str(), info.uptime, info.workspaces_count), ("devbox", 12.5, 1));
    assert_eq!((info.docker, info.docker_error.as_deref(), info.orphans), (None, Some("connection refused"), None));
    api.kill_agent(&call(), NoInput {}).await.expect("accepted");
    tokio::time::timeout(PATIENCE, world.shutdown.begun()).await.expect("the end has begun");
}

/// A call by a user whose token does, or does not, allow what reaches the host.
fn user(host: bool) -> Call {
    Call::of(Arc::new(perry::model::Caller { host, ..crate::world::caller(perry::model::Role::User) }))
}

/// What a row with [`Reach::Host`] is asked to do in a privileged workspace.
fn reaching(row: &Descriptor, workspace: &str) -> serde_json::Value {
    match row.path {
        "workspaces/create" => json!({ "name": workspace }),
        "workspaces/start" => json!({ "name": workspace, "create": true }),
        "workspaces/apply" => json!({ "manifest": document(workspace, "") }),
        "workspaces/exec" => json!({ "name": "running", "command": ["id"] }),
        other => panic!("{other} can reach the host: say here how"),
    }
}

#[tokio::test]
async fn every_procedure_that_can_reach_the_host_asks_whether_its_caller_may() {
    let (world, api) = world();
    running(&world, &api, "running").await;
    let server: Arc<dyn Procedures> = Arc::new(api.clone());
    let ask = |row: &'static Descriptor, call: Call, input: serde_json::Value| {
        let server = server.clone();
        async move {
            let raw = serde_json::value::to_raw_value(&input).expect("JSON");
            dispatch(&*server, row, &call, Some(&raw)).await.map(drop).map_err(|error| error.code())
        }
    };
    let rows: Vec<_> = PROCEDURES.iter().filter(|row| row.reach == Reach::Host).collect();
    assert!(rows.len() >= 4, "{rows:?}");
    for (index, row) in rows.into_iter().enumerate() {
        let name = format!("w{index}");
        let refused = ask(row, user(false), reaching(row, &name)).await;
        assert_eq!(refused, Err(Code::Forbidden), "{}", row.path);
        assert!(world.intent(&name).is_none(), "{}: nothing was written", row.path);
        assert_eq!(ask(row, user(true), reaching(row, &name)).await, Ok(()), "{}", row.path);
        world.isolates.store(true, Ordering::SeqCst);
        assert_eq!(ask(row, user(false), reaching(row, &format!("safe{index}"))).await, Ok(()), "{}", row.path);
        world.isolates.store(false, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_port_or_ssh_beyond_loopback_reaches_the_host_and_a_plain_workspace_does_not() {
    let (_, api) = world();
    for (spec, allowed) in [
        ("docker: false", true),
        ("docker: false, ports: [{ name: a, port: 1, bind: 127.0.0.1 }]", true),
        ("docker: false, ports: [{ name: a, port: 1, bind: 0.0.0.0 }]", false),
        ("docker: false, ssh: { bind: 0.0.0.0 }", false),
        ("docker: false, ssh: { bind: '::1' }", true),
        ("docker: true", false),
    ] {
        let input = manifest(&document("a", spec));
        let dry = ApplyInput { dry_run: true, ..input.clone() };
        assert!(api.apply_workspaces(&user(false), dry).await.is_ok(), "{spec}: looking is allowed");
        let applied = api.apply_workspaces(&user(false), input).await;
        assert_eq!(applied.is_ok(), allowed, "{spec}: {applied:?}");
    }
}

#[tokio::test]
async fn a_pairing_code_gives_the_token_that_was_offered_once() {
    let (world, api) = world();
    let wish = |name: &str| CreateTokenInput {
        name: crate::world::name(name),
        role: perry::model::Role::Viewer,
        workspaces: None,
        expires_in: Some(3600),
        allow_host: false,
    };
    let offer = api.offer_pairing(&call(), wish("phone")).await.expect("an offer");
    assert_eq!((offer.agent.as_str(), offer.addresses.len()), ("agent", 1));
    assert!(!format!("{offer:?}").contains(&offer.code.0), "it is not printed by mistake");
    let nobody = Call::of(Arc::new(perry::model::Caller::anybody()));
    let claim = |code: &str| ClaimInput { code: perry::model::Secret(code.to_owned()) };
    let made = api.claim_pairing(&nobody, claim(&offer.code.0)).await.expect("a token");
    assert_eq!((made.info.name.as_str(), made.info.expires.is_some()), ("phone", true));
    assert!(world.tokens.verify(&made.token.0).is_some());
    assert_eq!(code(api.claim_pairing(&nobody, claim(&offer.code.0)).await), Code::Forbidden);
    assert_eq!(code(api.offer_pairing(&call(), wish("phone")).await), Code::Conflict, "the name is taken");
    let offer = api.offer_pairing(&call(), wish("tablet")).await.expect("an offer");
    world.clock.advance(Duration::from_secs(300));
    assert_eq!(code(api.claim_pairing(&nobody, claim(&offer.code.0)).await), Code::Forbidden, "too late");
}
