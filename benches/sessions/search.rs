//! Search in 500 MB of what was said.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use perry::contract::sessions::{
    CodingAgent, Message, MessageRole, MessagesAsked, Session, SessionChange, SessionState,
};
use perry::model::Uid;
use perry::sessions::{Changes, Sessions, Workspace, Workspaces};

use super::common::{median, ms, tell};

const SESSIONS: u32 = 500;
const MESSAGES: u32 = 250;
/// Bytes of each message: 500 MB in all.
const TEXT: usize = 4000;
const ROUNDS: usize = 20;

/// A workspace full of sessions that are made when they are asked for.
struct Made;

const WORDS: [&str; 40] = [
    "the", "and", "file", "test", "error", "function", "return", "value", "build", "module", "commit", "branch",
    "server", "client", "request", "answer", "parser", "token", "string", "number", "thread", "lock", "queue", "cache",
    "index", "table", "query", "column", "format", "stream", "socket", "buffer", "frame", "socket", "signal",
    "process", "memory", "kernel", "driver", "network",
];

fn text(session: u32, index: u32) -> String {
    let mut text = format!("message{index} of session{session} ");
    let mut state = u64::from(session) * 1_000_003 + u64::from(index);
    while text.len() < TEXT {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = (state >> 33) as usize;
        // One word in ten is one of 100,000 that are rare.
        if draw.is_multiple_of(10) {
            text.push_str(&format!("rare{} ", draw / 10 % 100_000));
        } else {
            text.push_str(WORDS[draw / 10 % WORDS.len()]);
            text.push(' ');
        }
    }
    text
}

#[async_trait]
impl Workspaces for Made {
    fn list(&self) -> Vec<Workspace> {
        vec![Workspace { uid: Uid("u".to_owned()), name: "bench".parse().expect("a name"), running: true }]
    }

    async fn changed(&self) {
        std::future::pending().await
    }

    async fn follow(&self, _: &Uid) -> Result<Changes, String> {
        let session = |number: u32| Session {
            session_id: number.to_string(),
            agent: CodingAgent::Claude,
            title: format!("Session {number}"),
            message_count: MESSAGES,
            last_activity: Timestamp::from_second(1_795_000_000 + i64::from(number)).expect("a time"),
            project_path: None,
            state: SessionState::Idle,
            reason: String::new(),
            terminal: None,
            resume: Vec::new(),
            revision: "1".to_owned(),
        };
        let all =
            (0..SESSIONS).map(move |number| Ok(SessionChange::Upserted { session: session(number), news: Vec::new() }));
        Ok(stream::iter(all).chain(stream::pending()).boxed())
    }

    async fn messages(&self, _: &Uid, asked: &MessagesAsked) -> Result<Vec<Message>, String> {
        let session: u32 = asked.session.parse().expect("a number");
        let message = |index| Message {
            index,
            id: index.to_string(),
            role: MessageRole::User,
            text: text(session, index),
            thinking: None,
            tools: Vec::new(),
            is_error: false,
            truncated: false,
            timestamp: Timestamp::UNIX_EPOCH,
        };
        Ok((asked.from..asked.to.min(MESSAGES)).map(message).collect())
    }
}

pub(crate) async fn measure() {
    let folder = tempfile::tempdir().expect("a folder");
    let sessions = Sessions::open(&folder.path().join("sessions.db")).expect("an index");
    let began = Instant::now();
    let following = tokio::spawn(sessions.clone().run(Arc::new(Made)));
    let last = format!("\"message{} of session0\"", MESSAGES - 1);
    while sessions.search(&last, 1, |_| true).await.expect("searched").is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tell("search: 500 MB indexed", began.elapsed().as_secs_f64(), "s", None);
    for (what, query) in [
        ("a rare word", "rare4711"),
        ("two rare words", "rare4711 rare815"),
        ("a word that is everywhere", "error"),
        ("the beginning of a word", "rare47"),
        ("a phrase", "\"message7 of session42\""),
        ("three words that are everywhere", "server client request"),
    ] {
        let mut took = Vec::new();
        for _ in 0..ROUNDS {
            let began = Instant::now();
            sessions.search(query, 20, |_| true).await.expect("searched");
            took.push(ms(began.elapsed()));
        }
        tell(&format!("search: {what}"), median(&took), "ms", Some(100.0));
    }
    let began = Instant::now();
    for _ in 0..ROUNDS {
        assert_eq!(sessions.list().len(), SESSIONS as usize);
    }
    tell("search: the list of 500 sessions in the agent", ms(began.elapsed()) / ROUNDS as f64, "ms", None);
    following.abort();
}
