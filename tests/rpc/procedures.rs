//! What the procedures do to intent, and what they answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;
use perry::api::{Api, Intents};
use perry::contract::*;
use perry::model::admission;
use perry::model::observed::FileFault;
use perry::model::{Issues, Run, Shown};
use perry::runtime::RuntimeError;
use perry::store::sim_disk::Fault;
use perry::store::{SimDisk, Store};

use crate::raw::PATIENCE;
use crate::world::{World, call, event, host_ports, name, world};

pub(crate) fn create(text: &str) -> CreateInput {
    CreateInput { name: name(text), clone: None, image: None, env: Default::default(), ports: Vec::new() }
}

pub(crate) fn start(text: &str) -> StartInput {
    StartInput::of(name(text))
}

pub(crate) fn named(text: &str) -> NameInput {
    NameInput { name: name(text) }
}

pub(crate) fn exec(text: &str) -> ExecInput {
    ExecInput { name: name(text), command: vec!["echo".to_owned(), "hi".to_owned()], timeout: None }
}

pub(crate) fn manifest(text: &str) -> ApplyInput {
    ApplyInput { manifest: Some(text.to_owned()), ..ApplyInput::default() }
}

pub(crate) fn document(name: &str, spec: &str) -> String {
    format!("apiVersion: perry.dev/v1\nkind: Workspace\nmetadata: {{ name: {name} }}\nspec: {{ {spec} }}\n")
}

pub(crate) fn conflict<T>(result: Result<T, ApiError>) -> Conflict {
    match result {
        Err(ApiError::Conflict(conflict)) => *conflict,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was accepted"),
    }
}

pub(crate) fn issues<T>(result: Result<T, ApiError>) -> Vec<(String, String)> {
    match result {
        Err(ApiError::BadRequest(Issues(issues))) => {
            issues.into_iter().map(|issue| (issue.path.join("."), issue.message)).collect()
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was accepted"),
    }
}

pub(crate) fn code<T>(result: Result<T, ApiError>) -> Code {
    result.map(drop).expect_err("an error").code()
}

/// Makes a workspace whose container is seen running.
pub(crate) async fn running(world: &World, api: &Api, text: &str) -> Arc<Shown> {
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
