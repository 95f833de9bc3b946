//! What the procedures do: the real server behind the table.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::pairing::Offers;
use super::usage::Collector;
use super::{Intents, Shutdown};
use crate::clock::Clock;
use crate::contract::worker::ExecResponse;
use crate::contract::*;
use crate::controller::Handle;
use crate::model::observed::Seen;
use crate::model::{DiskUsage, Event, LiveConfig, Shown};
use crate::runtime::Attach;
use crate::sessions::Sessions;
use crate::store::Disk;
use crate::store::tokens::Tokens;
use crate::watch::Hub;

/// How many commands may run at once, in all workspaces; each holds a connection and a process.
const EXECS: usize = 64;

/// How many counts of disk usage may run at once.
const COUNTS: usize = 4;

/// What the API is made of.
#[derive(Clone)]
pub struct Parts {
    /// Intent: read and written.
    pub store: Arc<dyn Intents>,
    /// What clients see.
    pub hub: Hub<Shown>,
    /// Previews, events, jobs.
    pub controller: Arc<dyn Handle>,
    /// Commands in workspaces.
    pub attach: Arc<dyn Attach>,
    /// Sessions of coding agents.
    pub sessions: Sessions,
    /// The agent's settings.
    pub config: Arc<LiveConfig>,
    /// Who the agent is.
    pub identity: Identity,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Begun by `agent.kill`.
    pub shutdown: Shutdown,
    /// Who may call.
    pub tokens: Arc<Tokens>,
    /// The agent's folder.
    pub disk: Arc<Mutex<Box<dyn Disk>>>,
}

/// Who the agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its id, a UUID made once.
    pub id: String,
    /// The machine's name.
    pub hostname: String,
    /// When it started.
    pub started: Timestamp,
    /// Where it can be reached, best first, such as `http://127.0.0.1:7391`.
    pub urls: Vec<String>,
}

/// When it was looked which host ports are in use, and which were.
type Looked = (Duration, Arc<BTreeSet<u16>>);

/// The real server.
#[derive(Clone)]
pub struct Api {
    pub(super) parts: Parts,
    pub(super) execs: Arc<Semaphore>,
    pub(super) builds: Arc<Semaphore>,
    pub(super) counts: Arc<Semaphore>,
    pub(super) usage: Arc<Collector>,
    pub(super) ports: Arc<Mutex<Option<Looked>>>,
    pub(super) offers: Arc<Offers>,
}

impl Api {
    /// A server made of these parts.
    pub fn new(parts: Parts) -> Self {
        let permits = |count| Arc::new(Semaphore::new(count));
        Self {
            offers: Arc::new(Offers::new(parts.clock.clone())),
            parts,
            execs: permits(EXECS),
            builds: permits(1),
            counts: permits(COUNTS),
            usage: Arc::default(),
            ports: Arc::default(),
        }
    }

    async fn info(&self) -> AgentInfo {
        let Identity { id, hostname, started, .. } = self.parts.identity.clone();
        let (engine, orphans) = futures::join!(self.parts.controller.engine(), self.parts.controller.orphans());
        let (docker, docker_error) = match engine {
            Seen::Present(engine) => (Some(engine), None),
            Seen::Unknown(why) => (None, Some(why)),
            Seen::Absent => (None, Some("there is no engine".to_owned())),
        };
        let uptime = self.parts.clock.wall().duration_since(started).as_secs_f64().max(0.0);
        let workspaces_count = self.parts.store.snapshot().workspaces.len() as u64;
        let (version, pid) = (env!("CARGO_PKG_VERSION").to_owned(), std::process::id());
        let orphans = orphans.ok().map(|all| (all.containers.len() + all.volumes.len()) as u64);
        AgentInfo {
            id,
            version,
            hostname,
            pid,
            started,
            uptime,
            workspaces_count,
            image: self.parts.config.get().image_tag.clone(),
            docker,
            docker_error,
            orphans,
            warnings: self.parts.store.warnings(),
        }
    }
}

#[async_trait]
impl Procedures for Api {
    async fn list_workspaces(&self, _: &Call, _: NoInput) -> Result<Vec<Arc<Shown>>, ApiError> {
        Ok(self.parts.hub.list().0)
    }

    async fn get_workspace(&self, _: &Call, input: NameInput) -> Result<Arc<Shown>, ApiError> {
        self.get(&input.name)
    }

    async fn create_workspace(&self, call: &Call, input: CreateInput) -> Result<Arc<Shown>, ApiError> {
        self.create(call, input).await
    }

    async fn delete_workspace(&self, _: &Call, input: NameInput) -> Result<DeleteOutput, ApiError> {
        self.delete(input.name).await
    }

    async fn start_workspace(&self, call: &Call, input: StartInput) -> Result<Arc<Shown>, ApiError> {
        self.start(call, input).await
    }

    async fn stop_workspace(&self, _: &Call, input: NameInput) -> Result<Arc<Shown>, ApiError> {
        self.stop(input.name).await
    }

    async fn restart_workspace(&self, _: &Call, input: RestartInput) -> Result<Arc<Shown>, ApiError> {
        self.restart(input).await
    }

    async fn apply_workspaces(&self, call: &Call, input: ApplyInput) -> Result<ApplyOutput, ApiError> {
        self.apply(call, input).await
    }

    async fn plan_workspaces(&self, call: &Call, input: ApplyInput) -> Result<ApplyOutput, ApiError> {
        self.apply(call, ApplyInput { dry_run: true, ..input }).await
    }

    async fn sync_workspace(&self, _: &Call, input: NameInput) -> Result<(), ApiError> {
        self.sync(input.name).await
    }

    async fn exec_workspace(&self, call: &Call, input: ExecInput) -> Result<ExecResponse, ApiError> {
        self.exec(call, input).await
    }

    async fn list_terminals(&self, _: &Call, input: NameInput) -> Result<Vec<TerminalInfo>, ApiError> {
        self.terminals_of(&input.name).await
    }

    async fn create_terminal(&self, call: &Call, input: CreateTerminalInput) -> Result<TerminalInfo, ApiError> {
        self.begin_terminal(call, input).await
    }

    async fn rename_terminal(&self, _: &Call, input: RenameTerminalInput) -> Result<TerminalInfo, ApiError> {
        self.name_terminal(input).await
    }

    async fn close_terminal(&self, _: &Call, input: CloseTerminalInput) -> Result<(), ApiError> {
        self.end_terminal(input).await
    }

    async fn list_sessions(&self, call: &Call, input: SessionsInput) -> Result<Vec<SessionInfo>, ApiError> {
        self.sessions(call, input)
    }

    async fn session_messages(&self, _: &Call, input: MessagesInput) -> Result<Vec<Message>, ApiError> {
        self.messages(input).await
    }

    async fn search_sessions(&self, call: &Call, input: SearchInput) -> Result<Vec<SearchHit>, ApiError> {
        self.search(call, input).await
    }

    async fn watch_sessions(&self, _: &Call, input: WatchSessionsInput) -> Result<Events<SessionFrame>, ApiError> {
        self.watch_all_sessions(input)
    }

    async fn disk_usage(&self, _: &Call, input: NameInput) -> Result<DiskUsage, ApiError> {
        self.disk(&input.name).await
    }

    async fn agent_info(&self, _: &Call, _: NoInput) -> Result<AgentInfo, ApiError> {
        Ok(self.info().await)
    }

    async fn kill_agent(&self, _: &Call, _: NoInput) -> Result<(), ApiError> {
        tracing::info!("asked to end");
        // Answers under way are finished first, this one among them.
        self.parts.shutdown.begin();
        Ok(())
    }

    async fn list_orphans(&self, _: &Call, _: NoInput) -> Result<Orphans, ApiError> {
        self.orphans().await
    }

    async fn prune_orphans(&self, _: &Call, input: PruneInput) -> Result<PruneOutput, ApiError> {
        self.prune(&input).await
    }

    async fn check_agent(&self, _: &Call, _: NoInput) -> Result<DoctorReport, ApiError> {
        Ok(self.doctor().await)
    }

    async fn get_config(&self, _: &Call, _: NoInput) -> Result<ConfigShown, ApiError> {
        self.config().await
    }

    async fn set_worker(&self, _: &Call, input: SetWorkerInput) -> Result<ConfigShown, ApiError> {
        self.set_worker(input.worker).await
    }

    async fn create_token(&self, _: &Call, input: CreateTokenInput) -> Result<NewToken, ApiError> {
        self.create_token(input).await
    }

    async fn list_tokens(&self, _: &Call, _: NoInput) -> Result<Vec<TokenInfo>, ApiError> {
        Ok(self.tokens())
    }

    async fn revoke_token(&self, _: &Call, input: RevokeTokenInput) -> Result<TokenInfo, ApiError> {
        self.revoke_token(input.name).await
    }

    async fn offer_pairing(&self, _: &Call, input: CreateTokenInput) -> Result<PairOffer, ApiError> {
        self.offer(input)
    }

    async fn claim_pairing(&self, call: &Call, input: ClaimInput) -> Result<NewToken, ApiError> {
        self.claim(call, &input.code).await
    }

    async fn watch_workspaces(&self, call: &Call, _: NoInput) -> Result<Events<WatchFrame>, ApiError> {
        Ok(self.watch(call.resume.as_deref()))
    }

    async fn workspace_events(&self, call: &Call, input: EventsInput) -> Result<Events<Event>, ApiError> {
        self.events(input, call.resume.as_deref())
    }

    async fn workspace_logs(&self, _: &Call, input: LogsInput) -> Result<Events<LogLine>, ApiError> {
        self.logs(input).await
    }

    async fn workspace_usage(&self, _: &Call, _: NoInput) -> Result<Events<Usage>, ApiError> {
        Ok(self.usage())
    }

    async fn build_image(&self, _: &Call, input: BuildInput) -> Result<Events<BuildProgress>, ApiError> {
        self.build(input.variant)
    }
}
