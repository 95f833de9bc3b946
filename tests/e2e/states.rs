//! Stop and delete in every state.

use perry::client::{ClientError, Goal, Wait};
use perry::contract::Code;
use perry::contract::types::StartInput;
use perry::model::{ConditionType, Phase, View};

use crate::agent::{Agent, is_ready, of, parse};

/// Where a workspace is brought before something is asked of it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// Just applied, nobody has looked yet.
    Applied,
    /// Its image is looked for, where there is none.
    WithoutImage,
    /// Its container runs, and the worker does not answer yet.
    Starting,
    Running,
    /// A process inside does not want to end.
    Stopping,
    Stopped,
    /// A volume of somebody else's is in the way.
    Blocked,
    /// The same stubborn process, while it is being deleted.
    Deleting,
}

const STATES: [State; 8] = [
    State::Applied,
    State::WithoutImage,
    State::Starting,
    State::Running,
    State::Stopping,
    State::Stopped,
    State::Blocked,
    State::Deleting,
];

/// Ignores what asks it to end, so that a stop takes the grace period.
const STUBBORN: &str = "trap '' TERM HUP INT; (while :; do sleep 1; done) >/dev/null 2>&1 &";

fn name(state: State) -> String {
    format!("{state:?}").to_lowercase()
}

fn container_runs(view: &View) -> bool {
    view.is_true(ConditionType::ContainerRunning)
}

async fn bring(agent: &Agent, state: State, strangers: &crate::engine::Engine) {
    let name = &name(state);
    match state {
        State::Applied => drop(agent.apply(name, "").await),
        State::WithoutImage => {
            agent.apply(name, "image: perry-test.invalid/none:none").await;
            agent.until(name, "without image", |view| view.observed_generation > 0 && !is_ready(view)).await;
        }
        State::Starting => {
            agent.apply(name, "").await;
            // Seen or not: it is a moment. Ready is what follows.
            agent.until(name, "starting", container_runs).await;
        }
        State::Running => drop(agent.ready(name, "").await),
        State::Stopping | State::Deleting => {
            agent.ready(name, "").await;
            agent.ok(&["exec", name, "--", "sh", "-c", STUBBORN]).await;
            if state == State::Stopping {
                agent.client().stop_workspace(&of(name)).await.expect("accepted");
                agent.until(name, "stopping", |view| view.status == Phase::Stopping).await;
            } else {
                agent.client().delete_workspace(&of(name)).await.expect("accepted");
                agent.until(name, "deleting", |view| view.status == Phase::Deleting).await;
            }
        }
        State::Stopped => {
            let view = agent.apply(name, "run: Stopped").await;
            agent.reach(Wait::since(&view, Goal::Stopped)).await;
        }
        State::Blocked => {
            strangers.make_volume(&format!("{}{name}-home", agent.prefix)).await;
            agent.apply(name, "").await;
            agent.until(name, "blocked", |view| view.is_true(ConditionType::Stalled)).await;
        }
    }
}

fn strangers(agent: &Agent) -> crate::engine::Engine {
    crate::engine::Engine::labelled(format!("dev.perry.e2e={}", agent.prefix))
}

#[tokio::test]
async fn a_stop_is_accepted_in_every_state_and_may_be_repeated_and_a_start_undoes_it() {
    let agent = Agent::start().await;
    let strangers = strangers(&agent);
    let mut stopped = Vec::new();
    for state in STATES {
        bring(&agent, state, &strangers).await;
        let name = name(state);
        let first =
            agent.client().stop_workspace(&of(&name)).await.unwrap_or_else(|error| panic!("{state:?}: {error}"));
        let again =
            agent.client().stop_workspace(&of(&name)).await.unwrap_or_else(|error| panic!("{state:?}: {error}"));
        assert_eq!(first.generation, again.generation, "{state:?}: the second changes nothing");
        stopped.push((state, again));
    }
    for (state, view) in stopped {
        if state == State::Deleting {
            agent.reach(Wait::since(&view, Goal::Deleted)).await;
            continue;
        }
        let view = agent.reach(Wait::since(&view, Goal::Stopped)).await.expect("a workspace");
        assert!(!container_runs(&view), "{state:?}");
        if let State::Stopped | State::Stopping | State::Applied = state {
            let view = agent.client().start_workspace(&StartInput::of(view.name.clone())).await.expect("accepted");
            agent.reach(Wait::since(&view, Goal::Ready)).await;
        }
    }
    let blocked = strangers.objects().await;
    assert_eq!(blocked.volumes, [format!("{}blocked-home", agent.prefix)], "the stranger's volume is still there");
    strangers.clean(None).await.expect("cleaned");
}

#[tokio::test]
async fn a_deletion_is_accepted_in_every_state_and_may_be_repeated_and_leaves_nothing() {
    let agent = Agent::start().await;
    let strangers = strangers(&agent);
    for state in STATES {
        bring(&agent, state, &strangers).await;
        let name = name(state);
        agent.client().delete_workspace(&of(&name)).await.unwrap_or_else(|error| panic!("{state:?}: {error}"));
        match agent.client().delete_workspace(&of(&name)).await {
            // It may be over already.
            Err(error) => assert!(error.is(Code::NotFound), "{state:?}: {error}"),
            Ok(output) => assert!(output.success),
        }
        let start = agent.client().start_workspace(&StartInput::of(parse(&name))).await;
        let refused = |error: &ClientError| error.is(Code::Conflict) || error.is(Code::NotFound);
        assert!(start.as_ref().is_err_and(refused), "{state:?}: {start:?}");
    }
    for state in STATES {
        agent.reach(Wait::new(parse(&name(state)), Goal::Deleted)).await;
    }
    let left = agent.engine.objects().await;
    assert!(left.containers.is_empty() && left.volumes.is_empty(), "{left:?}");
    assert_eq!(strangers.objects().await.volumes.len(), 1, "the stranger's volume is still there");
    strangers.clean(None).await.expect("cleaned");
    // The name is free again.
    agent.ready("blocked", "").await;
}
