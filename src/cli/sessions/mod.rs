//! `perry sessions`.

mod watch;

use std::io::{self, IsTerminal};

use crate::client::Client;
use crate::contract::sessions::{PAGE_MAX, SnippetPart};
use crate::contract::{
    CodingAgent, Message, MessagesInput, SearchHit, SearchInput, SessionInfo, SessionState, SessionsInput, ToolDetail,
};
use crate::model::Name;
use crate::shown;
use crate::shown::transcript::{self, Style};

use super::context::Context;
use super::failure::{DONE, Failure, NOT_FOUND, Outcome};
use super::format;
use super::{shell, values};

/// Messages that `show` prints where it is not said how many.
const SHOWN: u32 = 20;
/// Letters of an id that a terminal is named by.
const NAMED: usize = 8;

/// See, search and resume the sessions of coding agents in workspaces
#[derive(Debug, clap::Subcommand)]
pub(super) enum Sessions {
    /// List sessions, those that went on last first
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        which: Which,
        /// Only those in this state.
        #[arg(long, value_parser = values::one_of(&SessionState::ALL, SessionState::name))]
        state: Option<SessionState>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what was said in a session: the last messages
    Show {
        /// The session's id, or its beginning.
        id: String,
        #[command(flatten)]
        which: Which,
        /// How many messages from the end; 0: all.
        #[arg(long, value_name = "N", default_value_t = SHOWN)]
        tail: u32,
        /// Show what tools were given and answered too.
        #[arg(long)]
        tools: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what is said as it happens: in one session, or in all
    Watch {
        /// Sessions of this workspace; left out: of all.
        #[arg(value_parser = values::name)]
        name: Option<Name>,
        /// Only this session: its id, or its beginning.
        #[arg(long, value_name = "ID")]
        session: Option<String>,
        /// Print each change as JSON, one a line.
        #[arg(long)]
        json: bool,
    },
    /// Find messages in all sessions
    Search {
        /// Words that must all be there, or "a phrase" in quotes.
        #[arg(required = true)]
        query: Vec<String>,
        /// Only in this workspace.
        #[arg(short, long, value_name = "NAME", value_parser = values::name)]
        workspace: Option<Name>,
        /// Only in sessions of this agent.
        #[arg(long, value_parser = values::one_of(&CodingAgent::ALL, CodingAgent::name))]
        agent: Option<CodingAgent>,
        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Go on with a session, in a terminal that survives
    ///
    /// Where its agent runs in a terminal of the workspace already, that terminal is shown.
    Resume {
        /// The session's id, or its beginning.
        id: String,
        #[command(flatten)]
        which: Which,
        /// The terminal to begin; left out: one named by agent and id.
        #[arg(short, long, value_name = "TERMINAL")]
        terminal: Option<Name>,
    },
}

/// Whose sessions.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Which {
    /// Only in this workspace; left out: in all.
    #[arg(value_parser = values::name)]
    name: Option<Name>,
    /// Only of this agent.
    #[arg(long, value_parser = values::one_of(&CodingAgent::ALL, CodingAgent::name))]
    agent: Option<CodingAgent>,
}

impl Sessions {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let client = context.client()?;
        match self {
            Self::List { which, state, json } => list(context, &client, which, state, json).await,
            Self::Show { id, which, tail, tools, json } => {
                let session = find(context, &client, &which, &id).await?;
                let tools = if tools { ToolDetail::Whole } else { ToolDetail::None };
                show(context, &client, &session, tail, tools, json).await
            }
            Self::Watch { name, session, json } => watch::watch(context, &client, name, session, json).await,
            Self::Search { query, workspace, agent, limit, json } => {
                let input =
                    SearchInput { query: query.join(" "), workspace_name: workspace, agent, limit: Some(limit) };
                search(context, &client, &input, json).await
            }
            Self::Resume { id, which, terminal } => {
                let session = find(context, &client, &which, &id).await?;
                resume(context, client, session, terminal).await
            }
        }
    }
}

async fn list(context: &Context, client: &Client, which: Which, state: Option<SessionState>, json: bool) -> Outcome {
    let sessions = every(client, &which, state).await?;
    context.print(&match json {
        true => format::json(&sessions)?,
        false => transcript::list(&sessions, context.now()),
    })?;
    if sessions.is_empty() && !json {
        context.note("no coding agent has left a session there yet");
    }
    Ok(DONE)
}

/// All sessions, page by page.
async fn every(client: &Client, which: &Which, state: Option<SessionState>) -> Result<Vec<SessionInfo>, Failure> {
    let mut all: Vec<SessionInfo> = Vec::new();
    loop {
        let after = all.last().map(|last| crate::contract::sessions::SessionPlace {
            last_activity: last.session.last_activity,
            session_id: last.session.session_id.clone(),
        });
        let input = SessionsInput { workspace_name: which.name.clone(), agent: which.agent, state, after, limit: None };
        let page = client.list_sessions(&input).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// The one session that an id, or the beginning of one, means.
async fn find(context: &Context, client: &Client, which: &Which, id: &str) -> Result<SessionInfo, Failure> {
    let mut found = every(client, which, None).await?;
    found.retain(|info| info.session.session_id.starts_with(id));
    if let Some(exact) = found.iter().position(|info| info.session.session_id == id)
        && found.iter().filter(|info| info.session.session_id == id).count() == 1
    {
        return Ok(found.swap_remove(exact));
    }
    match found.len() {
        0 => {
            Err(Failure::new(NOT_FOUND, format!("there is no session {}", shown::line(id))).hint("perry sessions list"))
        }
        1 => Ok(found.swap_remove(0)),
        _ => {
            context.note(transcript::list(&found, context.now()).trim_end());
            Err(Failure::usage(format!("{} may be any of these sessions", shown::line(id)))
                .hint("say more of its id, its workspace or --agent"))
        }
    }
}

fn style() -> Style {
    if io::stdout().is_terminal() && crate::shown::colors() { Style::Colored } else { Style::Plain }
}

async fn show(
    context: &Context,
    client: &Client,
    info: &SessionInfo,
    tail: u32,
    tools: ToolDetail,
    json: bool,
) -> Outcome {
    let count = info.session.message_count;
    let mut from = if tail == 0 { 0 } else { count.saturating_sub(tail) };
    if !json {
        context.note(&headline(info));
        if from > 0 {
            let messages = if from == 1 { "message" } else { "messages" };
            context.note(&format!("({from} {messages} before these: --tail 0 shows all)"));
        }
    }
    let mut all = Vec::new();
    while from < count {
        let page = page(client, info, from, count - from, tools).await?;
        let Some(last) = page.last() else { break };
        from = last.index + 1;
        match json {
            true => all.extend(page),
            false => context.print(&(transcript::messages(&page, style()) + "\n"))?,
        }
    }
    if json {
        context.print(&format::json(&all)?)?;
    }
    Ok(DONE)
}

async fn page(
    client: &Client,
    info: &SessionInfo,
    from: u32,
    count: u32,
    tools: ToolDetail,
) -> Result<Vec<Message>, Failure> {
    let input = MessagesInput {
        workspace_name: info.workspace_name.clone(),
        session_id: info.session.session_id.clone(),
        agent: Some(info.session.agent),
        before: None,
        from: Some(from),
        limit: Some(count.clamp(1, PAGE_MAX)),
        tools: Some(tools),
    };
    Ok(client.session_messages(&input).await?)
}

fn headline(info: &SessionInfo) -> String {
    let session = &info.session;
    let terminal = session.terminal.as_ref().map(|name| format!(", in terminal {}", shown::line(name)));
    format!(
        "{} · {} in {} · {} ({}){}",
        shown::line(&session.title),
        session.agent.name(),
        info.workspace_name,
        session.state.name(),
        shown::line(&session.reason),
        terminal.unwrap_or_default(),
    )
}

async fn search(context: &Context, client: &Client, input: &SearchInput, json: bool) -> Outcome {
    let hits = client.search_sessions(input).await?;
    let colored = style() == Style::Colored;
    context.print(&match json {
        true => format::json(&hits)?,
        false => hits.iter().map(|hit| found(hit, colored)).collect::<Vec<_>>().join("\n"),
    })?;
    if hits.is_empty() && !json {
        context.note("nothing was found");
    }
    Ok(DONE)
}

fn found(hit: &SearchHit, colored: bool) -> String {
    let (info, session) = (&hit.session, &hit.session.session);
    let marked = |part: &SnippetPart| match part.is_match && colored {
        true => format!("\x1b[1;33m{}\x1b[0m", shown::line(&part.text)),
        false => shown::line(&part.text),
    };
    let snippet: String = hit.snippet.iter().map(marked).collect();
    let title = shown::line(&session.title);
    let place = format!("{} {} {} #{}", info.workspace_name, session.agent.name(), session.session_id, hit.index);
    let place = if colored { format!("\x1b[2m{place}\x1b[0m") } else { place };
    format!("{title}\n{place}\n  {}\n", snippet.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Shows the terminal that a session is in, else begins one that goes on with it.
async fn resume(context: &Context, client: Client, info: SessionInfo, terminal: Option<Name>) -> Outcome {
    let session = info.session;
    if session.state == SessionState::Unreadable {
        return Err(Failure::failed(format!("session {} is not understood: {}", session.session_id, session.reason)));
    }
    let there = session.terminal.as_ref().and_then(|name| name.parse::<Name>().ok());
    if let (Some(there), None) = (there, &terminal) {
        return shell::show(context, client, info.workspace_name, shell::Wanted::known(there)).await;
    }
    if matches!(session.state, SessionState::Working | SessionState::Waiting) {
        let what = format!("session {} is open already, and in no terminal of the workspace", session.session_id);
        return Err(Failure::failed(what).hint("end its process first: two that go on with one session spoil it"));
    }
    let letters = session.session_id.chars().filter(char::is_ascii_alphanumeric);
    // The ends of ids differ where their beginnings are a time.
    let letters: Vec<char> = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    let ending: String = letters[letters.len().saturating_sub(NAMED)..].iter().collect();
    let named = format!("{}-{ending}", session.agent.name()).trim_end_matches('-').parse();
    let terminal = terminal
        .or(named.ok())
        .ok_or_else(|| Failure::usage("no terminal can be named by that id").hint("--terminal NAME"))?;
    let wanted = shell::Wanted { terminal, command: session.resume, cwd: session.project_path };
    shell::show(context, client, info.workspace_name, wanted).await
}
