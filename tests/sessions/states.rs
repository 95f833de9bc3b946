//! What sessions do, by what was recorded of real agents while they did it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use perry::contract::sessions::{CodingAgent, SessionState};
use perry::worker::sessions::processes::Process;
use perry::worker::sessions::state::{self, Claims};
use perry::worker::sessions::store::{Summary, Turn};
use serde::Deserialize;

/// A moment of a recording: what there was, and what is to be said of it.
#[derive(Deserialize)]
struct Moment {
    at: i64,
    session: Summary,
    processes: BTreeMap<i32, Process>,
    claims: BTreeMap<String, i32>,
    state: SessionState,
    reason: String,
}

fn recorded(agent: CodingAgent) -> Vec<Moment> {
    let file = format!("tests/sessions/states/{}.json", agent.name());
    let text = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("a recording");
    serde_json::from_slice(&text).expect("JSON")
}

fn verdict(agent: CodingAgent, moment: &Moment, session: &Summary, at: i64) -> state::Verdict {
    let claims = Claims(moment.claims.clone());
    let owners = state::owners(agent, &[session], &moment.processes, &claims);
    state::judge(agent, session, owners.get(&session.id).copied(), &moment.processes, at)
}

const TRIED: [CodingAgent; 5] =
    [CodingAgent::Claude, CodingAgent::Codex, CodingAgent::Opencode, CodingAgent::Gemini, CodingAgent::Pi];

#[test]
fn each_agent_answers_runs_a_tool_waits_and_is_gone() {
    for agent in TRIED {
        let moments = recorded(agent);
        let states: Vec<SessionState> = moments.iter().map(|moment| moment.state).collect();
        let (working, waiting) = (SessionState::Working, SessionState::Waiting);
        assert_eq!(states, [working, working, waiting, SessionState::Idle], "{agent:?}");
        for moment in &moments {
            let verdict = verdict(agent, moment, &moment.session, moment.at);
            assert_eq!((verdict.state, &verdict.reason), (moment.state, &moment.reason), "{agent:?}");
            let lives = moment.state != SessionState::Idle;
            assert_eq!(verdict.tty.is_some(), lives, "{agent:?} was run on a terminal: {verdict:?}");
        }
    }
}

#[test]
fn a_tool_call_that_is_open_without_a_process_of_its_own_waits_for_a_person_after_ten_seconds() {
    for agent in TRIED {
        let moment = recorded(agent).swap_remove(2);
        let session = Summary { turn: Turn::Calling, ..moment.session.clone() };
        let after = |seconds: i64| verdict(agent, &moment, &session, session.last + seconds * 1000);
        assert_eq!(after(9).state, SessionState::Working, "{agent:?}");
        assert_eq!(
            (after(11).state, after(11).reason.as_str()),
            (SessionState::Waiting, "a tool call waits for a person")
        );
    }
}

#[test]
fn a_tool_that_runs_is_no_waiting_however_long_it_takes() {
    for agent in TRIED {
        let moment = recorded(agent).swap_remove(1);
        let later = verdict(agent, &moment, &moment.session, moment.at + 3_600_000);
        assert_eq!((later.state, later.reason.as_str()), (SessionState::Working, "a tool runs"), "{agent:?}");
    }
}

#[test]
fn the_session_of_another_folder_or_of_another_time_has_no_process() {
    for agent in [CodingAgent::Opencode, CodingAgent::Gemini, CodingAgent::Pi] {
        let moment = recorded(agent).swap_remove(2);
        let elsewhere = Summary { cwd: Some("/home/workspace/other".to_owned()), ..moment.session.clone() };
        assert_eq!(verdict(agent, &moment, &elsewhere, moment.at).state, SessionState::Idle, "{agent:?}");
        let before = Summary { last: moment.session.last - 86_400_000, ..moment.session.clone() };
        assert_eq!(verdict(agent, &moment, &before, moment.at).state, SessionState::Idle, "{agent:?}");
    }
}
