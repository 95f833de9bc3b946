//! Sessions of coding agents, as clients of the API see them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use perry::contract::sessions::{
    CodingAgent, MessageNews, Session, SessionChange, SessionFrame, SessionPlace, SessionState,
};
use perry::contract::*;
use perry::model::{Caller, Role};

use crate::procedures::{code, running};
use crate::told::{session, upserted};
use crate::world::{World, call, caller, name, world};

fn sessions() -> SessionsInput {
    SessionsInput::default()
}

fn messages(id: &str) -> MessagesInput {
    let session_id = id.to_owned();
    MessagesInput {
        workspace_name: name("a"),
        session_id,
        agent: None,
        before: None,
        from: None,
        limit: None,
        tools: None,
    }
}

fn search(query: &str) -> SearchInput {
    SearchInput { query: query.to_owned(), workspace_name: None, agent: None, limit: None }
}

/// Somebody whose token is for workspace `b` alone.
fn of_b() -> Call {
    let workspaces = Some(BTreeSet::from([name("b")]));
    Call::of(Arc::new(Caller { workspaces, ..caller(Role::Viewer) }))
}

/// Waits until this is so.
async fn until(what: impl AsyncFn() -> bool) {
    let waiting = async {
        while !what().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it comes to be so");
}

pub(crate) fn tell(world: &World, changes: impl IntoIterator<Item = SessionChange>) {
    for change in changes {
        world.told.send(change).expect("somebody follows");
    }
}

/// Two workspaces that tell of the same two sessions each.
pub(crate) async fn two(world: &Arc<World>, api: &perry::api::Api) {
    running(world, api, "a").await;
    running(world, api, "b").await;
    world.follow_sessions();
    until(async || world.told.receiver_count() == 2).await;
    let each = [session(CodingAgent::Claude, "one", 4), session(CodingAgent::Codex, "two", 2)];
    let each = each.map(|session| upserted(session, Vec::new()));
    tell(world, [SessionChange::Reset].into_iter().chain(each).chain([SessionChange::Bookmark]));
    until(async || api.list_sessions(&call(), sessions()).await.expect("a list").len() == 4).await;
}

#[tokio::test]
async fn the_same_ids_in_two_workspaces_are_two_sessions_and_a_page_follows_another() {
    let (world, api) = world();
    two(&world, &api).await;
    let listed = async |call: Call, input| {
        let all = api.list_sessions(&call, input).await.expect("a list");
        all.iter().map(|info| format!("{} {}", info.workspace_name, info.session.session_id)).collect::<Vec<_>>()
    };
    assert_eq!(listed(call(), sessions()).await, ["a one", "b one", "a two", "b two"]);
    assert_eq!(listed(of_b(), sessions()).await, ["b one", "b two"], "what a token is not for is not seen");
    let of_a = SessionsInput { workspace_name: Some(name("a")), ..sessions() };
    assert_eq!(listed(call(), of_a.clone()).await, ["a one", "a two"]);
    let codex = SessionsInput { agent: Some(CodingAgent::Codex), ..sessions() };
    assert_eq!(listed(call(), codex).await, ["a two", "b two"]);
    let idle = SessionsInput { state: Some(SessionState::Idle), ..sessions() };
    assert!(listed(call(), idle).await.is_empty());
    let first = api.list_sessions(&call(), SessionsInput { limit: Some(1), ..of_a.clone() }).await.expect("a page");
    let (last_activity, session_id) = (first[0].session.last_activity, first[0].session.session_id.clone());
    let after = Some(SessionPlace { last_activity, session_id });
    assert_eq!(listed(call(), SessionsInput { after, ..of_a }).await, ["a two"]);
    let none = SessionsInput { workspace_name: Some(name("c")), ..sessions() };
    assert_eq!(code(api.list_sessions(&call(), none).await), Code::NotFound);
    for limit in [0, 1001] {
        let wrong = SessionsInput { limit: Some(limit), ..sessions() };
        assert_eq!(code(api.list_sessions(&call(), wrong).await), Code::BadRequest);
    }
}

#[tokio::test]
async fn sessions_of_a_workspace_that_stops_stay_as_last_known_and_go_with_it() {
    let (world, api) = world();
    two(&world, &api).await;
    let stale = async |text: &str| {
        let all = api.list_sessions(&call(), SessionsInput { workspace_name: Some(name(text)), ..sessions() }).await;
        all.expect("a list").iter().map(|info| (info.stale, info.session.state)).collect::<Vec<_>>()
    };
    assert_eq!(stale("a").await, [(false, SessionState::Waiting); 2]);
    world.show("a", false);
    until(async || stale("a").await == [(true, SessionState::Idle); 2]).await;
    assert_eq!(stale("b").await, [(false, SessionState::Waiting); 2]);
    assert_eq!(code(api.session_messages(&call(), messages("one")).await), Code::PreconditionFailed);
    world.show("a", true);
    until(async || world.told.receiver_count() == 2).await;
    // It tells of one: the other is gone.
    let one = upserted(session(CodingAgent::Claude, "one", 5), Vec::new());
    tell(&world, [SessionChange::Reset, one, SessionChange::Bookmark]);
    until(async || stale("a").await == [(false, SessionState::Waiting)]).await;
    Arc::make_mut(&mut world.state.lock().expect("state")).workspaces.remove(&name("a"));
    world.moved.notify_one();
    until(async || api.list_sessions(&call(), sessions()).await.expect("a list").len() == 1).await;
}

#[tokio::test]
async fn messages_come_from_the_end_or_from_a_place_and_refusals_say_why() {
    let (world, api) = world();
    running(&world, &api, "a").await;
    world.follow_sessions();
    until(async || world.told.receiver_count() == 1).await;
    let all = [("one", 120), ("gone", 1), ("odd", 1), ("both", 1)];
    let all = all.map(|(id, count)| upserted(session(CodingAgent::Claude, id, count), Vec::new()));
    let other = upserted(session(CodingAgent::Pi, "both", 1), Vec::new());
    tell(&world, all.into_iter().chain([other, SessionChange::Bookmark]));
    until(async || api.list_sessions(&call(), sessions()).await.expect("a list").len() == 5).await;
    let read = async |input: MessagesInput| {
        let all = api.session_messages(&call(), input).await?;
        Ok::<_, ApiError>((all.first().map(|message| message.index), all.len()))
    };
    let with = |change: fn(&mut MessagesInput)| {
        let mut input = messages("one");
        change(&mut input);
        input
    };
    assert_eq!(read(messages("one")).await.expect("the last"), (Some(70), 50));
    assert_eq!(read(with(|input| input.before = Some(70))).await.expect("those before"), (Some(20), 50));
    assert_eq!(read(with(|input| input.before = Some(3))).await.expect("the first"), (Some(0), 3));
    assert_eq!(read(with(|input| input.from = Some(119))).await.expect("from a place"), (Some(119), 1));
    assert_eq!(read(with(|input| input.limit = Some(500))).await.expect("all"), (Some(0), 120));
    for wrong in [with(|input| input.limit = Some(501)), with(|input| (input.from, input.before) = (Some(1), Some(2)))]
    {
        assert_eq!(code(read(wrong).await), Code::BadRequest);
    }
    assert_eq!(code(read(messages("none")).await), Code::NotFound);
    assert_eq!(code(read(messages("gone")).await), Code::NotFound);
    let odd = read(messages("odd")).await.expect_err("unreadable");
    assert!(odd.to_string().contains("no record in it is known"), "{odd}");
    assert_eq!(code(read(messages("both")).await), Code::BadRequest, "of which agent?");
    let both = MessagesInput { agent: Some(CodingAgent::Pi), ..messages("both") };
    read(both).await.expect("said of which");
    let tools =
        api.session_messages(&call(), MessagesInput { tools: Some(ToolDetail::Whole), ..messages("one") }).await;
    assert!(tools.expect("messages").iter().flat_map(|message| &message.tools).all(|tool| tool.output.is_some()));
}

#[tokio::test]
async fn what_was_said_is_found_ranked_and_only_by_those_who_may_see_it() {
    let (world, api) = world();
    two(&world, &api).await;
    let found = async |call: &Call, input: SearchInput| {
        let hits = api.search_sessions(call, input).await.expect("searched");
        hits.iter()
            .map(|hit| format!("{} {} {}", hit.session.workspace_name, hit.session.session.session_id, hit.index))
            .collect::<BTreeSet<_>>()
    };
    until(async || found(&call(), search("answer one")).await.len() == 4).await;
    let expected: BTreeSet<String> = ["b one 1", "b one 3"].map(str::to_owned).into();
    assert_eq!(found(&of_b(), search("answer one")).await, expected);
    let of_a = SearchInput { workspace_name: Some(name("a")), ..search("\"prompt 2\"") };
    until(async || found(&call(), of_a.clone()).await.len() == 2).await;
    // What tools were given is found too, and words begin.
    until(async || !found(&call(), search("comm")).await.is_empty()).await;
    let hits = api.search_sessions(&call(), search("prompt")).await.expect("searched");
    let marked: Vec<&str> =
        hits[0].snippet.iter().filter(|part| part.is_match).map(|part| part.text.as_str()).collect();
    assert_eq!(marked, ["prompt"]);
    assert!(found(&call(), search("nowhere")).await.is_empty());
    for wrong in ["", "  \"", &"x".repeat(1001)] {
        assert_eq!(code(api.search_sessions(&call(), search(wrong)).await), Code::BadRequest, "{wrong}");
    }
}

#[tokio::test]
async fn a_session_that_is_only_counted_is_listed_and_never_takes_the_place_of_one_that_was_read() {
    let (world, api) = world();
    two(&world, &api).await;
    let counted =
        |id: &str| Session { revision: String::new(), message_count: 99, ..session(CodingAgent::Claude, id, 4) };
    tell(&world, [SessionChange::Reset, upserted(counted("one"), Vec::new()), upserted(counted("three"), Vec::new())]);
    let counts = async || {
        let all = api.list_sessions(&call(), SessionsInput { workspace_name: Some(name("a")), ..sessions() }).await;
        let all = all.expect("a list").into_iter().map(|info| (info.session.session_id, info.session.message_count));
        all.collect::<std::collections::BTreeMap<_, _>>()
    };
    let is = |expected: &[(&str, u32)]| expected.iter().map(|(id, count)| ((*id).to_owned(), *count)).collect();
    until(async || counts().await == is(&[("one", 4), ("two", 2), ("three", 99)])).await;
    // Its messages are not asked for before they are read.
    let found = async |words: &str| api.search_sessions(&call(), search(words)).await.expect("searched").len();
    until(async || found("answer one").await == 4).await;
    let read = |id, count| upserted(session(CodingAgent::Claude, id, count), Vec::new());
    assert_eq!(found("answer three").await, 0);
    tell(&world, [read("one", 4), read("three", 4), SessionChange::Bookmark]);
    until(async || counts().await == is(&[("one", 4), ("three", 4)])).await;
    until(async || found("answer three").await == 4).await;
}

#[test]
fn the_index_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let _sessions = perry::sessions::Sessions::open(&folder.path().join("sessions.db")).expect("an index");
    for file in std::fs::read_dir(folder.path()).expect("a folder") {
        let file = file.expect("an entry");
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().expect("there").permissions());
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[tokio::test]
async fn a_watcher_hears_of_each_change_in_order_and_only_of_what_it_asked_for() {
    let (world, api) = world();
    two(&world, &api).await;
    let input = WatchSessionsInput { workspace_name: Some(name("a")) };
    let mut frames = api.watch_sessions(&call(), input).await.expect("a stream");
    let mut next = async || {
        let frame = tokio::time::timeout(Duration::from_secs(10), frames.next()).await.expect("in time");
        frame.expect("a frame").expect("good").value
    };
    let mut opening = Vec::new();
    loop {
        let frame = next().await;
        opening.push(frame.clone());
        if frame == SessionFrame::Bookmark {
            break;
        }
    }
    assert_eq!((opening.len(), &opening[0]), (4, &SessionFrame::Reset), "{opening:?}");
    let news =
        vec![MessageNews::Truncated { to: 2 }, MessageNews::Replaced { index: 1 }, MessageNews::Appended { from: 2 }];
    tell(&world, [upserted(session(CodingAgent::Claude, "one", 5), news)]);
    let mut heard = Vec::new();
    for _ in 0..4 {
        let frame = next().await;
        assert_eq!(frame.workspace(), Some(&name("a")));
        heard.push(match frame {
            SessionFrame::Upserted { session } => format!("upserted {}", session.session.message_count),
            SessionFrame::Truncated(place) => format!("truncated {}", place.index),
            SessionFrame::Replaced(place) => format!("replaced {}", place.index),
            SessionFrame::Appended(place) => format!("appended {}", place.index),
            other => format!("{other:?}"),
        });
    }
    assert_eq!(heard, ["upserted 5", "truncated 2", "replaced 1", "appended 2"]);
    tell(&world, [SessionChange::Gone { agent: CodingAgent::Codex, session_id: "two".to_owned() }]);
    assert!(matches!(next().await, SessionFrame::Gone(gone) if gone.session_id == "two"));
}
