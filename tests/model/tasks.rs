//! What is run and brought for a spec: it is said in conditions of its own and hides no workspace.

use perry::model::condition::{ConditionStatus as Is, ConditionType as Type};
use perry::model::observed::FileFault;
use perry::model::workspace::CloneSpec;
use perry::model::{FileSpec, TaskName, TaskSeen, TaskState, Verdict};
use perry::plan::{Settings, desired};

use crate::common::case::{Case, exited};
use crate::common::fixture::{self, at};
use crate::project::{Scene, short};

fn task(name: TaskName, state: TaskState) -> TaskSeen {
    let (exit_code, message) = (None, String::new());
    TaskSeen { name, state, exit_code, message, started_at: Some(at(2_000)), ended_at: None }
}

/// Clone, both hooks and a tool are asked for; the worker says this of them.
fn asks(tasks: Vec<TaskSeen>) -> Case {
    let case = Case::converged().but(|case| {
        let spec = &mut case.workspace.spec;
        spec.clone = Some(CloneSpec { url: "https://example.com/app".to_owned(), branch: None, path: None });
        spec.hooks.on_create = Some("make".to_owned());
        spec.hooks.on_start = Some("serve".to_owned());
        spec.tools = vec!["claude".to_owned()];
    });
    let config = case.desired().worker.hash.clone();
    case.but(|case| {
        case.worker().config = config;
        case.worker().tasks = tasks;
    })
}

#[test]
fn nothing_is_said_where_the_spec_asks_for_nothing() {
    let view = Scene::of(Case::converged()).view();
    for kind in [Type::HooksSucceeded, Type::ToolsInstalled, Type::FilesSynced] {
        assert!(view.condition(kind).is_none(), "{kind:?}");
    }
}

#[test]
fn a_task_that_fails_is_a_condition_with_its_code_and_last_words_and_the_workspace_is_ready() {
    let failed = TaskSeen {
        exit_code: Some(3),
        message: "npm: no such script".to_owned(),
        ..task(TaskName::OnCreate, TaskState::Failed)
    };
    let waiting = TaskSeen { message: "waits for onCreate".to_owned(), ..task(TaskName::OnStart, TaskState::Waiting) };
    let scene = Scene::of(asks(vec![task(TaskName::Clone, TaskState::Succeeded), failed, waiting]));
    let (status, reason, message) = scene.says(Type::HooksSucceeded);
    assert_eq!((status, reason.as_str()), (Is::False, "OnCreateFailed"));
    assert_eq!(message, "onCreate ended with exit code 3: npm: no such script; a restart of the workspace tries again");
    assert_eq!(scene.says_in_short(Type::Ready), short(Is::True, "Ready"));
    assert_eq!(scene.view().worker.expect("a worker").tasks.len(), 3);
}

#[test]
fn the_first_task_that_is_not_done_tells_and_tools_have_a_condition_of_their_own() {
    use TaskName::{Clone, OnCreate, OnStart, Tools};
    use TaskState::{Failed, Retrying, Running, Succeeded, Waiting};
    let said = |tasks: &[(TaskName, TaskState)], kind| {
        Scene::of(asks(tasks.iter().map(|(name, state)| task(*name, *state)).collect())).says_in_short(kind)
    };
    let hooks = |tasks: &[(TaskName, TaskState)]| said(tasks, Type::HooksSucceeded);
    assert_eq!(hooks(&[]), short(Is::Unknown, "NotObserved"));
    assert_eq!(hooks(&[(Clone, Waiting), (OnCreate, Waiting)]), short(Is::Unknown, "CloneWaiting"));
    assert_eq!(hooks(&[(Clone, Running), (OnCreate, Waiting)]), short(Is::Unknown, "CloneRunning"));
    assert_eq!(hooks(&[(Clone, Retrying)]), short(Is::False, "CloneFailed"));
    assert_eq!(
        hooks(&[(Clone, Succeeded), (OnCreate, Succeeded), (OnStart, Running)]),
        short(Is::Unknown, "OnStartRunning")
    );
    let done = [(Clone, Succeeded), (OnCreate, Succeeded), (OnStart, Succeeded), (Tools, Failed)];
    assert_eq!(hooks(&done), short(Is::True, "Succeeded"));
    assert_eq!(said(&done, Type::ToolsInstalled), short(Is::False, "ToolsFailed"));
    let down = Scene::of(asks(Vec::new()).but(|case| case.observed.worker = perry::model::Seen::Absent));
    assert_eq!(down.says_in_short(Type::ToolsInstalled), short(Is::Unknown, "NotObserved"));
}

/// One file is to be brought, and one is not allowed any more.
fn with_files(hash: &str) -> (Case, Settings) {
    let file = |from: &str| FileSpec { from: from.to_owned(), to: format!("~/{}", from.trim_start_matches("~/")) };
    let mut settings = fixture::settings();
    settings.config.sync.allow = vec!["~/a".to_owned()];
    let case = Case::converged().but(|case| {
        case.workspace.spec.files = vec![file("~/a"), file("~/b")];
        case.observed.sources.hash = hash.to_owned();
    });
    let config = desired(&case.workspace, &settings).worker.hash;
    (case.but(|case| case.worker().config = config), settings)
}

fn steps((case, settings): &(Case, Settings)) -> Vec<String> {
    let desired = desired(&case.workspace, settings);
    let plan = perry::plan::plan(&desired, &case.observed, &case.context);
    assert!(!plan.actions.is_empty() || plan.verdict == Verdict::Converged, "{:?}", plan.verdict);
    plan.actions.iter().map(ToString::to_string).collect()
}

#[test]
fn files_are_brought_when_what_the_worker_has_differs_from_what_is_there_and_only_what_is_allowed() {
    let (case, settings) = with_files("f1");
    assert_eq!(steps(&(case.clone(), settings.clone())), ["bring 1 file into container c1"]);
    let brought = case.but(|case| case.worker().files.hash = "f1".to_owned());
    assert_eq!(steps(&(brought, settings)), [""; 0]);
}

#[test]
fn files_that_cannot_be_read_written_or_are_not_allowed_are_a_condition() {
    let (case, settings) = with_files("f1");
    let fault = |path: &str, message: &str| FileFault { path: path.to_owned(), message: message.to_owned() };
    let case = case.but(|case| {
        case.worker().files.hash = "f1".to_owned();
        case.worker().files.faults = vec![fault("/home/workspace/a", "is a symbolic link inside")];
        case.observed.sources.faults = vec![fault("~/a", "is not there")];
    });
    let mut scene = Scene::of(case);
    scene.redirect(&settings);
    let (status, reason, message) = scene.says(Type::FilesSynced);
    assert_eq!((status, reason.as_str()), (Is::False, "NotBrought"));
    for part in ["~/b is not allowed", "~/a is not there", "/home/workspace/a is a symbolic link"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(scene.says_in_short(Type::Ready), short(Is::True, "Ready"));
}

#[test]
fn a_start_brings_the_present_plan_before_it_so_that_no_outdated_hook_is_run() {
    let case = Case::exited().but(|case| case.workspace.spec.hooks.on_start = Some("new".to_owned()));
    assert_eq!(case.steps(), ["install the worker into container c1", "start container c1"]);
    assert_eq!(Case::exited().but(|case| case.container().state = exited(1)).steps(), ["start container c1"]);
}
