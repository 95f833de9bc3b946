//! Sessions as a worker tells of them, for tests of what comes after it.

#![allow(dead_code, reason = "each test binary uses some of it")]

use jiff::Timestamp;
use perry::contract::sessions::{
    CodingAgent, Message, MessageNews, MessageRole, MessagesAsked, Session, SessionChange, SessionState, ToolCall,
    ToolDetail, ToolStatus,
};

/// A session with so many messages.
pub(crate) fn session(agent: CodingAgent, id: &str, count: u32) -> Session {
    Session {
        session_id: id.to_owned(),
        agent,
        title: format!("About {id}"),
        message_count: count,
        last_activity: Timestamp::from_second(1_795_000_000 + i64::from(count)).expect("a time"),
        project_path: Some("/home/workspace/demo".to_owned()),
        state: SessionState::Waiting,
        reason: "its turn has ended".to_owned(),
        terminal: None,
        resume: agent.resume(id),
        revision: format!("{id}-{count}"),
    }
}

pub(crate) fn upserted(session: Session, news: Vec<MessageNews>) -> SessionChange {
    SessionChange::Upserted { session, news }
}

/// The messages of a session of that id: prompts and answers in turn.
pub(crate) fn messages(asked: &MessagesAsked, count: u32) -> Vec<Message> {
    let message = |index: u32| {
        let is_prompt = index.is_multiple_of(2);
        let given = |text: &str| (asked.tools >= ToolDetail::Input).then(|| text.to_owned());
        let tool = ToolCall {
            id: format!("call{index}"),
            name: "Bash".to_owned(),
            status: ToolStatus::Ok,
            input: given(r#"{"command":"ls"}"#),
            output: (asked.tools == ToolDetail::Whole).then(|| "notes.md\n".to_owned()),
        };
        Message {
            index,
            id: format!("m{index}"),
            role: if is_prompt { MessageRole::User } else { MessageRole::Assistant },
            text: format!("{} {index} in **{}**\u{1b}[2J", if is_prompt { "prompt" } else { "answer" }, asked.session),
            thinking: None,
            tools: if is_prompt { Vec::new() } else { vec![tool] },
            is_error: false,
            truncated: false,
            timestamp: Timestamp::from_second(1_795_000_000 + i64::from(index)).expect("a time"),
        }
    };
    (asked.from.min(count)..asked.to.min(count)).map(message).collect()
}
