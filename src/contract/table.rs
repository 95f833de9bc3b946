//! The table of procedures, and what is made of it here: the trait of a server and the descriptors.
//!
//! A row reads `method(Input) -> Output, "group/procedure", effect, who may call, reach, [declared errors];`. BAD_REQUEST,
//! UNAUTHORIZED, a FORBIDDEN for want of a right and the errors of the transport can always happen and are not declared. `procedures!` hands all rows to another macro,
//! so that each room makes of them what it needs.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use futures::stream::BoxStream;
use schemars::{Schema, SchemaGenerator};

use super::access::{ClaimInput, CreateTokenInput, NewToken, PairOffer, RevokeTokenInput, TokenInfo};
use super::error::{ApiError, Code};
use super::logs::LogLine;
use super::sessions::{
    Message, MessagesInput, SearchHit, SearchInput, SessionFrame, SessionInfo, SessionsInput, WatchSessionsInput,
};
use super::terminals::{CloseTerminalInput, CreateTerminalInput, RenameTerminalInput, TerminalInfo};
use super::types::*;
use super::typescript::Declarations;
use super::upkeep::{ConfigShown, DoctorReport, Orphans, PruneInput, PruneOutput, SetWorkerInput};
use super::usage::Usage;
use super::worker::ExecResponse;
use crate::model::{Caller, DiskUsage, Event, Name, Role, Shown};

/// Hands every row to the macro named: first `calls`, which answer once, then `streams`, whose answer is an event
/// iterator of the type after the arrow.
macro_rules! procedures {
    ($with:ident) => {
        $with! {
            calls {
                /// Every workspace, by name.
                list_workspaces(NoInput) -> Vec<Arc<Shown>>, "workspaces/list", Read, Viewer, Workspaces, [];
                /// One workspace.
                get_workspace(NameInput) -> Arc<Shown>, "workspaces/get", Read, Viewer, Workspaces, [NotFound];
                /// Makes a workspace and starts it. Answers once the intent is stored; watch for the rest.
                create_workspace(CreateInput) -> Arc<Shown>, "workspaces/create", Write, User, Host, [Conflict];
                /// Deletes a workspace with its volumes. Accepted in every state, and again while it is under way.
                delete_workspace(NameInput) -> DeleteOutput, "workspaces/delete", Write, User, Workspaces, [NotFound];
                /// Starts a workspace; with `create` makes it where it does not exist.
                start_workspace(StartInput) -> Arc<Shown>, "workspaces/start", Write, User, Host, [NotFound, Conflict];
                /// Stops a workspace; everything in it is kept.
                stop_workspace(NameInput) -> Arc<Shown>, "workspaces/stop", Write, User, Workspaces, [NotFound, Conflict];
                /// Restarts a workspace, with `upgrade` in a new container of the newest image; for a stalled one this is
                /// another try.
                restart_workspace(RestartInput) -> Arc<Shown>, "workspaces/restart", Write, User, Workspaces,
                    [NotFound, Conflict];
                /// Makes workspaces what their manifests say: all of them or, where one is refused, none.
                apply_workspaces(ApplyInput) -> ApplyOutput, "workspaces/apply", Write, User, Host, [NotFound, Conflict];
                /// What `apply` would do; changes nothing.
                plan_workspaces(ApplyInput) -> ApplyOutput, "workspaces/plan", Read, Viewer, Workspaces,
                    [NotFound, Conflict];
                /// Brings the files of the agent's host into a running workspace now (`sync.files`, `spec.files`), also where
                /// nothing seems to have changed. Refused where one of them cannot be brought; the others are.
                sync_workspace(NameInput) -> (), "workspaces/sync", Write, User, Workspaces,
                    [NotFound, PreconditionFailed, ServiceUnavailable];
                /// Runs a command in a running workspace and waits for its end.
                exec_workspace(ExecInput) -> ExecResponse, "workspaces/exec", Write, User, Host,
                    [NotFound, PreconditionFailed, ServiceUnavailable];
                /// The terminals of a running workspace, by name.
                list_terminals(NameInput) -> Vec<TerminalInfo>, "terminals/list", Read, Viewer, Workspaces,
                    [NotFound, PreconditionFailed, ServiceUnavailable];
                /// Begins a terminal in a running workspace. Attaching to one that there is not begins it too.
                create_terminal(CreateTerminalInput) -> TerminalInfo, "terminals/create", Write, User, Host,
                    [NotFound, Conflict, PreconditionFailed, ServiceUnavailable];
                /// Calls a terminal something else. Who looks at it goes on.
                rename_terminal(RenameTerminalInput) -> TerminalInfo, "terminals/rename", Write, User, Workspaces,
                    [NotFound, Conflict, PreconditionFailed, ServiceUnavailable];
                /// Ends a terminal and what runs in it, as closing its window would.
                close_terminal(CloseTerminalInput) -> (), "terminals/close", Write, User, Workspaces,
                    [NotFound, PreconditionFailed, ServiceUnavailable];
                /// Sessions of coding agents in all workspaces, those that went on last first; of workspaces that do not run as they
                /// were known last.
                list_sessions(SessionsInput) -> Vec<SessionInfo>, "sessions/list", Read, Viewer, Workspaces, [NotFound];
                /// Messages of a session of a running workspace, in order; without a place the last ones. What they hold was
                /// written by programs inside, and by whoever these talked to.
                session_messages(MessagesInput) -> Vec<Message>, "sessions/messages", Read, Viewer, Workspaces,
                    [NotFound, PreconditionFailed, ServiceUnavailable];
                /// Messages of all sessions that hold what is looked for, the best first.
                search_sessions(SearchInput) -> Vec<SearchHit>, "sessions/search", Read, Viewer, Workspaces,
                    [NotFound, ServiceUnavailable];
                /// What a workspace occupies on disk, counted now: with many files it takes a while.
                disk_usage(NameInput) -> DiskUsage, "workspaces/disk", Read, Viewer, Workspaces,
                    [NotFound, ServiceUnavailable];
                /// Containers and volumes that bear this agent's id and belong to no workspace.
                list_orphans(NoInput) -> Orphans, "orphans/list", Read, Admin, Agent, [ServiceUnavailable];
                /// Removes orphaned containers, and those orphaned volumes that are named. Refused while it is not sure which
                /// workspaces there are.
                prune_orphans(PruneInput) -> PruneOutput, "orphans/prune", Write, Admin, Agent, [ServiceUnavailable];
                /// What the agent says of itself.
                agent_info(NoInput) -> AgentInfo, "agent/info", Read, Viewer, Workspaces, [];
                /// Whether all that the agent needs is as it should be, and what to do where it is not.
                check_agent(NoInput) -> DoctorReport, "agent/doctor", Read, Admin, Agent, [];
                /// Ends the agent. Workspaces go on running.
                kill_agent(NoInput) -> (), "agent/kill", Write, Admin, Agent, [];
                /// The agent's settings.
                get_config(NoInput) -> ConfigShown, "config/get", Read, Admin, Agent, [];
                /// Which agent the clients of this one's folder talk to: `worker` of its `client.json`.
                set_worker(SetWorkerInput) -> ConfigShown, "config/setWorker", Write, Admin, Agent, [ServiceUnavailable];
                /// Makes an access token. It is shown here and never again.
                create_token(CreateTokenInput) -> NewToken, "tokens/create", Write, Admin, Agent,
                    [Conflict, ServiceUnavailable];
                /// Every access token, without what is secret of it.
                list_tokens(NoInput) -> Vec<TokenInfo>, "tokens/list", Read, Admin, Agent, [];
                /// Makes an access token worthless at once; streams that were opened with it end.
                revoke_token(RevokeTokenInput) -> TokenInfo, "tokens/revoke", Write, Admin, Agent,
                    [NotFound, ServiceUnavailable];
                /// Makes a code that another device trades for a token of its own, once and within five minutes.
                offer_pairing(CreateTokenInput) -> PairOffer, "pair/offer", Write, Admin, Agent, [Conflict];
                /// Trades a pairing code for a token.
                claim_pairing(ClaimInput) -> NewToken, "pair/claim", Write, Public, Agent,
                    [Forbidden, ServiceUnavailable];
            }
            streams {
                /// Every workspace, and then every change. `last-event-id` resumes; where that place is no longer
                /// known, `reset` and the whole list come first.
                watch_workspaces(NoInput) -> WatchFrame, "workspaces/watch", Read, Viewer, Workspaces, [ServiceUnavailable];
                /// What happened to workspaces, oldest first; with `follow` also what happens from now on.
                workspace_events(EventsInput) -> Event, "workspaces/events", Read, Viewer, Workspaces,
                    [NotFound, ServiceUnavailable];
                /// Lines of a workspace's log, also of one that does not run. They may hold what a viewer is not to see: a hook
                /// prints what it likes.
                workspace_logs(LogsInput) -> LogLine, "workspaces/logs", Read, User, Workspaces,
                    [NotFound, PreconditionFailed, ServiceUnavailable];
                /// What each running workspace uses: every few seconds one value for each, without end.
                workspace_usage(NoInput) -> Usage, "workspaces/usage", Read, Viewer, Workspaces, [ServiceUnavailable];
                /// Every session of a coding agent, and then every change: a `reset`, each session as `upserted`, a `bookmark`, and
                /// what follows. A reader who is too slow is cut off and begins anew.
                watch_sessions(WatchSessionsInput) -> SessionFrame, "sessions/watch", Read, Viewer, Workspaces,
                    [NotFound, ServiceUnavailable];
                /// Builds the agent's own image, also when there is one.
                build_image(BuildInput) -> BuildProgress, "images/build", Write, User, Agent, [ServiceUnavailable];
            }
        }
    };
}
pub(crate) use procedures;

/// Whether a procedure changes anything. Only reads may be called with GET.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing.
    Read,
    /// Changes something.
    Write,
}

/// How far a call can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Workspaces that it names, or those that its caller may see.
    Workspaces,
    /// As that, and through a workspace the host: what is privileged or bound beyond loopback is for admins, and for
    /// users whose token says so.
    Host,
    /// The agent as a whole. Not for tokens of some workspaces.
    Agent,
}

/// How a procedure answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Once.
    Call,
    /// With an event iterator.
    Stream,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Descriptor {
    /// `group/procedure`.
    pub path: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Whether it changes anything.
    pub effect: Effect,
    /// Who may call it, at the least.
    pub role: Role,
    /// How far it can reach.
    pub reach: Reach,
    /// How it answers.
    pub shape: Shape,
    /// The codes that are sent with `defined: true`.
    pub errors: &'static [Code],
    /// The schema of its input.
    pub input: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of its output, or of one value of its stream.
    pub output: fn(&mut SchemaGenerator) -> Schema,
    /// The names of both in TypeScript, whose declarations are added.
    pub types: fn(&mut Declarations) -> (String, String),
}

impl Descriptor {
    /// The row with exactly this path.
    pub fn find(path: &str) -> Option<&'static Self> {
        PROCEDURES.iter().find(|row| row.path == path)
    }
}

/// A call besides its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Who calls.
    pub caller: Arc<Caller>,
    /// From where, where that is known.
    pub peer: Option<IpAddr>,
    /// The `last-event-id` of a client that resumes a stream.
    pub resume: Option<String>,
    /// What it turned out to be about, once its input was read: workspaces or tokens by name.
    pub about: OnceLock<Vec<Name>>,
}

impl Call {
    /// A call of which only the caller is known.
    pub fn of(caller: Arc<Caller>) -> Self {
        Self { caller, peer: None, resume: None, about: OnceLock::new() }
    }
}

/// One value of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Item<T> {
    /// Where to resume after it; a text without line breaks.
    pub id: Option<String>,
    /// The value.
    pub value: T,
}

/// The values of a stream. When it ends so does the answer; an error is sent as the last event. Dropped as soon as
/// the client goes away.
pub type Events<T> = BoxStream<'static, Result<Item<T>, ApiError>>;

macro_rules! server_trait {
    (
        calls { $($(#[doc = $doc:literal])+ $call:ident($input:ty) -> $output:ty, $path:literal, $effect:ident,
            $role:ident, $reach:ident, [$($error:ident),*];)* }
        streams { $($(#[doc = $sdoc:literal])+ $stream:ident($sinput:ty) -> $item:ty, $spath:literal, $seffect:ident,
            $srole:ident, $sreach:ident, [$($serror:ident),*];)* }
    ) => {
        /// What a server of the API does: one method a row of the table. Whoever calls one may do so; what is left to the
        /// method is whether the caller may have what reaches the host.
        #[async_trait]
        pub trait Procedures: Send + Sync {
            $($(#[doc = $doc])+
            async fn $call(&self, call: &Call, input: $input) -> Result<$output, ApiError>;)*
            $($(#[doc = $sdoc])+
            async fn $stream(&self, call: &Call, input: $sinput) -> Result<Events<$item>, ApiError>;)*
        }

        /// Every procedure.
        pub const PROCEDURES: &[Descriptor] = &[
            $(Descriptor {
                path: $path,
                doc: concat!($($doc),+),
                effect: Effect::$effect,
                role: Role::$role,
                reach: Reach::$reach,
                shape: Shape::Call,
                errors: &[$(Code::$error),*],
                input: |generator| generator.subschema_for::<$input>(),
                output: |generator| generator.subschema_for::<$output>(),
                types: |all| (all.name::<$input>(), all.name::<$output>()),
            },)*
            $(Descriptor {
                path: $spath,
                doc: concat!($($sdoc),+),
                effect: Effect::$seffect,
                role: Role::$srole,
                reach: Reach::$sreach,
                shape: Shape::Stream,
                errors: &[$(Code::$serror),*],
                input: |generator| generator.subschema_for::<$sinput>(),
                output: |generator| generator.subschema_for::<$item>(),
                types: |all| (all.name::<$sinput>(), all.name::<$item>()),
            },)*
        ];
    };
}
procedures!(server_trait);
