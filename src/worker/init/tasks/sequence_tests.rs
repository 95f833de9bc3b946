use proptest::prelude::*;

use super::*;
use crate::model::workspace::{CloneSpec, Hooks};

const S: Duration = Duration::from_secs(1);

struct Done(&'static [TaskName]);

impl Past for Done {
    fn succeeded(&self, name: TaskName) -> bool {
        self.0.contains(&name)
    }
}

const NOTHING: Done = Done(&[]);

fn plan() -> WorkerPlan {
    let clone = CloneSpec { url: "https://example.com/app".to_owned(), branch: None, path: None };
    let hooks = Hooks { on_create: Some("make".to_owned()), on_start: Some("serve &".to_owned()) };
    WorkerPlan { clone: Some(clone), hooks, tools: vec!["claude".to_owned()], ..WorkerPlan::default() }
}

fn opened(plan: &WorkerPlan, past: &Done) -> Sequence {
    let mut sequence = Sequence::default();
    sequence.follow(plan, past);
    sequence.open();
    sequence
}

/// Starts everything that may be started; which that was.
fn start(sequence: &mut Sequence, now: Duration) -> Vec<TaskName> {
    let mut started = Vec::new();
    while let Some(step) = sequence.next(now) {
        let Step::Start(name) = step else { panic!("{step:?}") };
        sequence.started(name, name as i32 + 100, now);
        started.push(name);
    }
    started
}

fn state(sequence: &Sequence, name: TaskName) -> Option<TaskState> {
    sequence.states().find(|(one, ..)| *one == name).map(|(_, state, _)| state)
}

#[test]
fn tasks_are_run_one_after_another_and_tools_beside_them() {
    let mut sequence = Sequence::default();
    sequence.follow(&plan(), &NOTHING);
    assert_eq!(sequence.next(S), None, "nothing before everything is there");
    sequence.open();
    assert_eq!(start(&mut sequence, S), [TaskName::Clone, TaskName::Tools]);
    for (name, next) in [(TaskName::Clone, TaskName::OnCreate), (TaskName::OnCreate, TaskName::OnStart)] {
        assert_eq!(start(&mut sequence, S), []);
        sequence.ended(name, true, S);
        assert_eq!(start(&mut sequence, S), [next]);
    }
    sequence.ended(TaskName::OnStart, true, S);
    sequence.ended(TaskName::Tools, true, S);
    assert!(sequence.states().all(|(_, state, blocker)| state == TaskState::Succeeded && blocker.is_none()));
    assert_eq!((sequence.next(1000 * S), sequence.deadline()), (None, None));
}

#[test]
fn what_has_succeeded_in_an_earlier_start_is_not_done_again_but_on_start_is() {
    let mut sequence = opened(&plan(), &Done(&TaskName::ALL));
    assert_eq!(start(&mut sequence, S), [TaskName::OnStart, TaskName::Tools]);
}

#[test]
fn a_failed_clone_is_tried_again_at_growing_intervals_and_then_given_up() {
    let mut sequence = opened(&WorkerPlan { tools: Vec::new(), ..plan() }, &NOTHING);
    let mut now = S;
    for pause in PAUSES {
        assert_eq!(start(&mut sequence, now), [TaskName::Clone]);
        sequence.ended(TaskName::Clone, false, now);
        assert_eq!(state(&sequence, TaskName::Clone), Some(TaskState::Retrying));
        assert_eq!(sequence.deadline(), Some(now + pause));
        assert_eq!(sequence.next(now + pause - S), None);
        now += pause;
    }
    assert_eq!(start(&mut sequence, now), [TaskName::Clone]);
    sequence.ended(TaskName::Clone, false, now);
    assert_eq!(state(&sequence, TaskName::Clone), Some(TaskState::Failed));
    assert_eq!((sequence.next(now + 10_000 * S), sequence.deadline()), (None, None));
    let waiting: Vec<_> = sequence.states().map(|(_, _, blocker)| blocker).collect();
    assert_eq!(waiting, [None, Some(TaskName::Clone), Some(TaskName::Clone)]);
}

#[test]
fn a_failed_hook_is_not_tried_again_by_itself_but_when_it_is_changed() {
    let hooks = |text: &str| Hooks { on_create: Some(text.to_owned()), on_start: None };
    let mut sequence = opened(&WorkerPlan { hooks: hooks("a"), ..WorkerPlan::default() }, &NOTHING);
    start(&mut sequence, S);
    sequence.ended(TaskName::OnCreate, false, S);
    assert_eq!((state(&sequence, TaskName::OnCreate), sequence.deadline()), (Some(TaskState::Failed), None));
    sequence.follow(&WorkerPlan { hooks: hooks("a"), ..WorkerPlan::default() }, &NOTHING);
    assert_eq!(start(&mut sequence, S), []);
    sequence.follow(&WorkerPlan { hooks: hooks("b"), ..WorkerPlan::default() }, &NOTHING);
    assert_eq!(start(&mut sequence, S), [TaskName::OnCreate]);
    sequence.ended(TaskName::OnCreate, true, S);
    sequence.follow(&WorkerPlan { hooks: hooks("c"), ..WorkerPlan::default() }, &NOTHING);
    assert_eq!(start(&mut sequence, S), [], "once");
}

#[test]
fn tools_that_change_are_installed_again_also_when_they_change_meanwhile() {
    let tools = |names: &[&str]| WorkerPlan {
        tools: names.iter().map(|name| (*name).to_owned()).collect(),
        ..WorkerPlan::default()
    };
    let mut sequence = opened(&tools(&["a"]), &NOTHING);
    start(&mut sequence, S);
    sequence.follow(&tools(&["a", "b"]), &NOTHING);
    sequence.ended(TaskName::Tools, true, S);
    assert_eq!(start(&mut sequence, S), [TaskName::Tools]);
    sequence.ended(TaskName::Tools, true, S);
    sequence.follow(&tools(&["b"]), &NOTHING);
    assert_eq!(start(&mut sequence, S), [TaskName::Tools]);
    sequence.follow(&tools(&[]), &NOTHING);
    sequence.ended(TaskName::Tools, false, S);
    assert_eq!((sequence.states().count(), sequence.deadline()), (0, None), "nobody wants it any more");
}

#[test]
fn what_goes_on_for_too_long_is_ended_but_not_what_is_started_at_each_start() {
    let mut sequence = opened(&plan(), &Done(&[TaskName::Clone]));
    start(&mut sequence, S);
    let late = S + LIMIT;
    assert_eq!(sequence.next(late - S), None);
    let pid = |sequence: &Sequence, name| sequence.pid(name).expect("it runs");
    let (create, tools) = (pid(&sequence, TaskName::OnCreate), pid(&sequence, TaskName::Tools));
    let steps = |sequence: &mut Sequence, now| [sequence.next(now), sequence.next(now), sequence.next(now)];
    assert_eq!(steps(&mut sequence, late), [Some(Step::Terminate(create)), Some(Step::Terminate(tools)), None]);
    assert_eq!(sequence.deadline(), Some(late + GRACE));
    assert_eq!(steps(&mut sequence, late + GRACE), [Some(Step::Kill(create)), Some(Step::Kill(tools)), None]);
    sequence.ended(TaskName::OnCreate, true, late);
    sequence.ended(TaskName::Tools, true, late);
    assert_eq!(start(&mut sequence, late), [TaskName::OnStart]);
    assert_eq!((sequence.next(late + 100 * LIMIT), sequence.deadline()), (None, None));
}

proptest! {
    /// Whatever is wanted and whatever fails: nothing runs twice at once or before what it needs, nothing that succeeded
    /// once is begun again, and it comes to rest.
    #[test]
    fn any_run_keeps_the_order_and_comes_to_rest(
        wanted in prop::array::uniform4(any::<bool>()),
        ends in prop::collection::vec(prop::bool::weighted(0.6), 0..40),
    ) {
        let mut plan = plan();
        if !wanted[0] { plan.clone = None; }
        if !wanted[1] { plan.hooks.on_create = None; }
        if !wanted[2] { plan.hooks.on_start = None; }
        if !wanted[3] { plan.tools.clear(); }
        let mut sequence = opened(&plan, &NOTHING);
        let (mut now, mut ends) = (S, ends.into_iter());
        let mut succeeded = Vec::new();
        loop {
            for name in start(&mut sequence, now) {
                prop_assert!(!succeeded.contains(&name));
                prop_assert!(name == TaskName::Tools || plan.clone.is_none() || name == TaskName::Clone || succeeded.contains(&TaskName::Clone));
                prop_assert!(name != TaskName::OnStart || plan.hooks.on_create.is_none() || succeeded.contains(&TaskName::OnCreate));
            }
            let running = TaskName::ALL.into_iter().find(|name| sequence.pid(*name).is_some());
            match (running, sequence.deadline()) {
                (Some(name), _) => {
                    let well = ends.next().unwrap_or(true);
                    sequence.ended(name, well, now);
                    if well { succeeded.push(name); }
                }
                (None, Some(at)) => { prop_assert!(at > now); now = at; }
                (None, None) => break,
            }
        }
        prop_assert!(sequence.states().all(|(_, state, _)| !matches!(state, TaskState::Running | TaskState::Retrying)));
    }
}
