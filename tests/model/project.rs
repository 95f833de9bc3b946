//! What is said of a workspace, case by case.

use perry::model::condition::{ConditionStatus as Is, ConditionType as Type};
use perry::model::observed::{ContainerState, Isolation, Service};
use perry::model::view::{Startup, Step, StepState};
use perry::model::{Condition, Phase, Reason, Seen, View};
use perry::plan::{Failure, Look, Picture, Settings, desired, plan, project};

use crate::common::case::{Case, exited, unknown, volume};
use crate::common::fixture::{at, name};

/// Everything that a view is made of, to be changed.
pub(crate) struct Scene {
    case: Case,
    look: Option<Look>,
    failure: Option<Failure>,
    overdue: bool,
    before: Vec<Condition>,
    now: i64,
}

impl Scene {
    /// After a look at this case.
    pub(crate) fn of(case: Case) -> Self {
        let (observed, desired, plan) = (case.observed.clone(), case.desired(), case.plan());
        let look = Some(Look { observed, at: at(3_000), desired, plan });
        Self { case, look, failure: None, overdue: false, before: Vec::new(), now: 4_000 }
    }

    /// The same look, made by an agent with these settings.
    pub(crate) fn redirect(&mut self, settings: &Settings) {
        let Some(look) = &mut self.look else { return };
        look.desired = desired(&self.case.workspace, settings);
        look.plan = plan(&look.desired, &look.observed, &self.case.context);
    }

    fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The same, failed so often.
    fn failed(self, attempts: u32, parked: bool) -> Self {
        let reason = Reason::new("ActionFailed", "start container c1: no space").hint("free some");
        let next_try = (!parked).then(|| at(4_030));
        self.but(|scene| scene.failure = Some(Failure { reason, attempts, parked, next_try }))
    }

    pub(crate) fn view(&self) -> View {
        let observed_generation = self.look.as_ref().map_or(0, |look| look.desired.generation);
        project(&Picture {
            workspace: &self.case.workspace,
            image: "workspace-base",
            look: self.look.as_ref(),
            observed_generation,
            failure: self.failure.as_ref(),
            overdue: self.overdue,
            startup: None,
            before: &self.before,
            now: at(self.now),
        })
    }

    fn phase(&self) -> Phase {
        self.view().status
    }

    pub(crate) fn says(&self, kind: Type) -> (Is, String, String) {
        let view = self.view();
        let condition = view.condition(kind).unwrap_or_else(|| panic!("nothing said of {kind:?}"));
        (condition.status, condition.reason.clone(), condition.message.clone())
    }

    pub(crate) fn says_in_short(&self, kind: Type) -> (Is, String) {
        let (status, reason, _) = self.says(kind);
        (status, reason)
    }
}

pub(crate) fn short(status: Is, reason: &str) -> (Is, String) {
    (status, reason.to_owned())
}

#[test]
fn before_the_first_look_nothing_is_known_and_nothing_is_claimed() {
    let scene = Scene::of(Case::converged()).but(|scene| scene.look = None);
    let view = scene.view();
    assert_eq!((view.status, view.observed_generation), (Phase::Unknown, 0));
    assert_eq!((view.observed_at, view.container_id, view.worker), (None, None, None));
    let said: Vec<_> = view.conditions.iter().map(|condition| (condition.kind, condition.status)).collect();
    assert_eq!(said, [(Type::Ready, Is::Unknown), (Type::Reconciling, Is::True), (Type::Stalled, Is::False)]);
}

#[test]
fn each_phase_is_what_a_person_would_call_it() {
    let unlooked = |case: Case| Scene::of(case).but(|scene| scene.look = None);
    let cases = [
        ("nothing there yet", Scene::of(Case::absent()), Phase::Creating),
        ("to be started", Scene::of(Case::exited()), Phase::Creating),
        ("being replaced", Scene::of(Case::converged().but(|c| c.workspace.spec.docker = false)), Phase::Creating),
        ("worker not up", Scene::of(Case::converged().but(|c| c.observed.worker = Seen::Absent)), Phase::Creating),
        ("converged", Scene::of(Case::converged()), Phase::Running),
        ("stopping", Scene::of(Case::converged().down()), Phase::Stopping),
        ("paused", Scene::of(Case::container_is(ContainerState::Paused).down()), Phase::Stopping),
        ("stopped", Scene::of(Case::exited().down()), Phase::Stopped),
        ("stopped and absent", Scene::of(Case::absent().down()), Phase::Stopped),
        ("deleting", Scene::of(Case::converged().deleted()), Phase::Deleting),
        ("deleting, unseen", unlooked(Case::converged().deleted()), Phase::Deleting),
        ("deleting, failing", Scene::of(Case::converged().deleted()).failed(9, true), Phase::Deleting),
        ("blocked", Scene::of(Case::grounded().beside("x", |other| other.owner = None)), Phase::Error),
        ("failed once", Scene::of(Case::exited()).failed(1, false), Phase::Creating),
        ("failed twice", Scene::of(Case::exited()).failed(2, false), Phase::Error),
        ("parked at once", Scene::of(Case::exited()).failed(1, true), Phase::Error),
        ("engine away", Scene::of(Case::converged().but(|c| c.observed.engine = unknown())), Phase::Unknown),
        ("container unseen", Scene::of(Case::converged().but(|c| c.observed.containers = unknown())), Phase::Unknown),
        ("network unseen", Scene::of(Case::converged().but(|c| c.observed.network = unknown())), Phase::Unknown),
        (
            "engine away and parked",
            { Scene::of(Case::converged().but(|c| c.observed.engine = unknown())).failed(8, true) },
            Phase::Unknown,
        ),
    ];
    for (what, scene, phase) in cases {
        assert_eq!(scene.phase(), phase, "{what}");
    }
}

#[test]
fn what_waits_too_long_is_an_error_until_it_answers() {
    let waits = || Scene::of(Case::converged().but(|case| case.worker().ssh = Service::Starting));
    assert_eq!(waits().phase(), Phase::Creating);
    let overdue = waits().but(|scene| scene.overdue = true);
    assert_eq!(overdue.phase(), Phase::Error);
    assert_eq!(overdue.says_in_short(Type::Stalled), short(Is::True, "SshStarting"));
    assert_eq!(overdue.says_in_short(Type::Reconciling), short(Is::False, "Stalled"));
    assert_eq!(overdue.says_in_short(Type::Ready), short(Is::False, "SshStarting"));
    let answers = Scene::of(Case::converged()).but(|scene| scene.overdue = true);
    assert_eq!(answers.phase(), Phase::Running, "overdue means nothing to what does not wait");
}

#[test]
fn a_settled_workspace_is_ready_and_neither_reconciling_nor_stalled() {
    let scene = Scene::of(Case::converged());
    assert_eq!(scene.says_in_short(Type::Ready), short(Is::True, "Ready"));
    assert_eq!(scene.says_in_short(Type::Reconciling), short(Is::False, "Settled"));
    assert_eq!(scene.says_in_short(Type::Stalled), short(Is::False, "Progressing"));
    let view = scene.view();
    assert_eq!(view.observed_at, Some(at(3_000)));
    assert_eq!(view.container_id.as_deref(), Some("c1"));
    assert!(view.worker.is_some_and(|worker| worker.healthy && worker.version == "1"));
}

#[test]
fn a_stopped_workspace_is_not_ready_for_that_reason_and_settled() {
    let scene = Scene::of(Case::exited().down());
    assert_eq!(scene.says_in_short(Type::Ready), short(Is::False, "Stopped"));
    assert_eq!(scene.says_in_short(Type::Reconciling), short(Is::False, "Settled"));
}

#[test]
fn a_generation_that_nobody_looked_at_yet_is_pending_whatever_the_earlier_one_was() {
    let scene = Scene::of(Case::converged()).but(|scene| scene.case.workspace.metadata.generation = 2);
    assert_eq!(scene.says_in_short(Type::Ready), short(Is::Unknown, "NotObserved"));
    assert_eq!(scene.says_in_short(Type::Reconciling), short(Is::True, "Pending"));
    assert_eq!(scene.says_in_short(Type::Stalled), short(Is::False, "Progressing"));
    let view = scene.view();
    assert_eq!((view.generation, view.observed_generation), (2, 1));
    assert!(view.conditions.iter().all(|condition| condition.observed_generation == 1));
    assert!(!view.is_true(Type::Stalled) && !view.is_true(Type::Ready));
    assert!(!view.is_true(Type::ContainerRunning), "true of generation 1 only");
}

#[test]
fn a_look_at_an_earlier_incarnation_says_nothing_of_this_one() {
    let scene = Scene::of(Case::converged()).but(|scene| {
        scene.case.workspace.metadata.uid = perry::model::Uid("uid-of-a-new-one".to_owned());
    });
    assert_eq!(scene.says_in_short(Type::Ready), short(Is::Unknown, "NotObserved"));
}

#[test]
fn a_failure_says_how_often_it_was_tried_when_it_is_tried_again_and_what_to_do() {
    let scene = Scene::of(Case::exited()).failed(2, false);
    let (status, reason, message) = scene.says(Type::Reconciling);
    assert_eq!((status, reason.as_str()), (Is::True, "BackOff"));
    let expected = "try 2 failed: start container c1: no space; next try at 1970-01-01T01:07:10Z";
    assert_eq!(message, expected);
    let ready = (Is::False, "ActionFailed".to_owned(), "start container c1: no space; free some".to_owned());
    assert_eq!(scene.says(Type::Ready), ready);
}

#[test]
fn what_was_given_up_is_stalled_with_the_reason_and_not_reconciling() {
    let scene = Scene::of(Case::exited()).failed(8, true);
    assert_eq!(scene.says_in_short(Type::Stalled), short(Is::True, "ActionFailed"));
    assert_eq!(scene.says_in_short(Type::Reconciling), short(Is::False, "Stalled"));
}

#[test]
fn what_is_blocked_is_stalled_with_reason_and_hint() {
    let scene = Scene::of(Case::grounded().beside("x", |other| other.owner = None));
    let (status, reason, message) = scene.says(Type::Stalled);
    assert_eq!((status, reason.as_str()), (Is::True, "NameTaken"));
    assert!(message.ends_with("; docker rename or docker rm workspace-w"), "{message}");
    assert_eq!(scene.failed(1, false).says_in_short(Type::Reconciling), short(Is::False, "Stalled"));
}

#[test]
fn what_is_being_done_says_what_is_next() {
    let scene = Scene::of(Case::exited());
    let acting = (Is::True, "Acting".to_owned(), "start container c1".to_owned());
    assert_eq!(scene.says(Type::Reconciling), acting);
    assert_eq!(scene.says_in_short(Type::Ready), short(Is::False, "Reconciling"));
}

#[test]
fn image_volumes_and_container_are_said_as_they_were_seen() {
    type Seeing = (Case, Type, Is, &'static str, &'static str);
    let with = |change: fn(&mut Case)| Case::converged().but(change);
    let cases: Vec<Seeing> = vec![
        (with(|_| {}), Type::ImagePresent, Is::True, "Present", ""),
        (Case::absent(), Type::ImagePresent, Is::False, "Absent", "workspace-base is not on the engine"),
        (with(|c| c.observed.image = unknown()), Type::ImagePresent, Is::Unknown, "NotObserved", "no answer"),
        (with(|_| {}), Type::VolumesBound, Is::True, "Bound", ""),
        (Case::absent(), Type::VolumesBound, Is::False, "Absent", "not made yet: workspace-w-home, workspace-w-docker"),
        (with(|c| c.observed.volumes.clear()), Type::VolumesBound, Is::Unknown, "NotObserved", ""),
        (
            with(|c| {
                c.observed.volumes.insert("workspace-w-home".to_owned(), unknown());
            }),
            Type::VolumesBound,
            Is::Unknown,
            "NotObserved",
            "no answer",
        ),
        (
            with(|c| {
                c.observed.volumes.insert("workspace-w-home".to_owned(), Seen::Present(volume(None)));
            }),
            Type::VolumesBound,
            Is::False,
            "VolumeTaken",
            "workspace-w-home belongs to somebody else",
        ),
        (Case::adopted(), Type::VolumesBound, Is::True, "Bound", ""),
        (with(|_| {}), Type::ContainerRunning, Is::True, "Running", ""),
        (Case::grounded(), Type::ContainerRunning, Is::False, "Absent", ""),
        (Case::container_is(ContainerState::Paused), Type::ContainerRunning, Is::False, "Paused", ""),
        (Case::container_is(ContainerState::Created), Type::ContainerRunning, Is::False, "NotStarted", ""),
        (Case::container_is(ContainerState::Removing), Type::ContainerRunning, Is::False, "Removing", ""),
        (Case::container_is(exited(3)), Type::ContainerRunning, Is::False, "Exited", "exit code 3"),
        (
            Case::container_is(ContainerState::Exited { code: 137, oom: true, error: "killed".to_owned() }),
            Type::ContainerRunning,
            Is::False,
            "OutOfMemory",
            "exit code 137 killed",
        ),
        (with(|c| c.observed.containers = unknown()), Type::ContainerRunning, Is::Unknown, "NotObserved", "no answer"),
    ];
    for (case, kind, status, reason, message) in cases {
        let said = Scene::of(case).says(kind);
        assert_eq!(said, (status, reason.to_owned(), message.to_owned()), "{kind:?}");
    }
}

#[test]
fn worker_sshd_and_dockerd_are_said_as_they_answer() {
    let with = |ssh: Service, docker: Service| {
        Scene::of(Case::converged().but(|case| (case.worker().ssh, case.worker().docker) = (ssh, docker)))
    };
    let failed = Service::Failed { message: "last words".to_owned() };
    let scene = with(Service::NotInImage, failed);
    assert_eq!(scene.says_in_short(Type::WorkerReady), short(Is::True, "Healthy"));
    assert_eq!(scene.says_in_short(Type::SshReady), short(Is::False, "NotInImage"));
    assert_eq!(scene.says(Type::DockerReady), (Is::False, "Failed".to_owned(), "last words".to_owned()));
    let scene = with(Service::Running, Service::Off);
    assert_eq!(scene.says_in_short(Type::SshReady), short(Is::True, "Running"));
    assert_eq!(scene.says_in_short(Type::DockerReady), short(Is::False, "Off"));
    let silent = Scene::of(Case::converged().but(|case| case.observed.worker = Seen::Absent));
    assert_eq!(silent.says_in_short(Type::WorkerReady), short(Is::False, "NotAnswering"));
    assert!(silent.view().condition(Type::SshReady).is_none(), "nobody to ask");
    let unseen = Scene::of(Case::converged().but(|case| case.observed.worker = unknown()));
    assert_eq!(unseen.says_in_short(Type::WorkerReady), short(Is::Unknown, "NotObserved"));
}

#[test]
fn how_it_is_separated_from_the_host_is_said_once_there_is_a_container() {
    let isolation = |isolation| Scene::of(Case::converged().but(|case| case.container().isolation = isolation));
    assert_eq!(isolation(Isolation::Sysbox).says_in_short(Type::Isolated), short(Is::True, "Sysbox"));
    assert_eq!(isolation(Isolation::Unprivileged).says_in_short(Type::Isolated), short(Is::True, "Unprivileged"));
    let (status, reason, message) = isolation(Isolation::Privileged).says(Type::Isolated);
    assert_eq!((status, reason.as_str()), (Is::False, "Privileged"));
    assert!(message.contains("sysbox-runc") && message.contains("docker: false"), "{message}");
    assert!(Scene::of(Case::absent()).view().condition(Type::Isolated).is_none());
}

#[test]
fn a_condition_keeps_its_time_while_its_status_stays_and_gets_a_new_one_when_it_changes() {
    let first = Scene::of(Case::exited()).view();
    assert!(first.conditions.iter().all(|condition| condition.last_transition_time == at(4_000)));
    let second = Scene::of(Case::converged()).but(|scene| {
        (scene.before, scene.now) = (first.conditions.clone(), 5_000);
    });
    let since = |kind| second.view().condition(kind).map(|condition| condition.last_transition_time);
    assert_eq!(since(Type::ImagePresent), Some(at(4_000)), "was true before");
    assert_eq!(since(Type::Ready), Some(at(5_000)), "has become true");
    assert_eq!(since(Type::SshReady), Some(at(5_000)), "was not said before");
    assert_eq!(since(Type::Stalled), Some(at(4_000)));
}

#[test]
fn the_rest_of_a_view_is_intent_as_it_is() {
    let mut scene = Scene::of(Case::converged());
    scene.case.workspace.metadata.labels.insert("team".to_owned(), "web".to_owned());
    let view = scene.view();
    let metadata = &scene.case.workspace.metadata;
    assert_eq!((&view.name, &view.uid, view.created), (&metadata.name, &metadata.uid, metadata.created));
    assert_eq!((&view.labels, &view.spec), (&metadata.labels, &scene.case.workspace.spec));
    assert_eq!((view.image.as_str(), view.ports[&name("ssh")]), ("workspace-base", 22_000));
    scene.case.workspace.spec.image = Some("debian".to_owned());
    assert_eq!(scene.view().image, "debian");
}

#[test]
fn the_steps_of_the_start_are_shown_as_they_were_measured() {
    let scene = Scene::of(Case::converged());
    let step = Step {
        name: "start".to_owned(),
        state: StepState::Done,
        started_at: at(1),
        duration_ms: Some(7),
        message: None,
    };
    let startup = Startup { steps: vec![step] };
    let view = project(&Picture {
        workspace: &scene.case.workspace,
        image: "",
        look: None,
        observed_generation: 0,
        failure: None,
        overdue: false,
        startup: Some(&startup),
        before: &[],
        now: at(1),
    });
    assert_eq!(view.startup, Some(startup));
}
