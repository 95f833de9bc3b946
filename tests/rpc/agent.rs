//! An agent without engine, store and loop: it keeps views in a hub, and behaves as a name says that it should.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use perry::api::{self, Auth, Door, Guard, Limits, Shutdown};
use perry::clock::{Clock, SystemClock};
use perry::contract::worker::ExecResponse;
use perry::contract::*;
use perry::model::files::TOKENS;
use perry::model::{Config, DiskUsage, Event, Name, Phase, Role, Shown, View};
use perry::store::SimDisk;
use perry::store::audit::{Record, Records};
use perry::store::tokens::{Entry, Tokens, Wanted};
use perry::watch::{Cursor, FrameKind, Hub};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::raw::{self, Answer, Open};
use crate::terminal::Scripted;

/// Which agent it is.
pub(crate) const ID: &str = "6d2f9f2c-27a6-4a9b-a3d4-51a7b1b2f001";

/// A running API; it ends when dropped.
pub(crate) struct Agent {
    pub(crate) address: SocketAddr,
    pub(crate) hub: Hub<Shown>,
    pub(crate) shutdown: Shutdown,
    /// Streams whose producer is alive.
    pub(crate) producers: Arc<AtomicUsize>,
    pub(crate) served: tokio::task::JoinHandle<()>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) records: Arc<Kept>,
    /// An admin's.
    pub(crate) token: String,
    pub(crate) terminals: Arc<Scripted>,
}

/// Records as lines of JSON.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Vec<serde_json::Value>>);

impl Records for Kept {
    fn record(&self, record: &Record<'_>) {
        self.0.lock().expect("records").push(serde_json::to_value(record).expect("JSON"));
    }
}

impl Kept {
    pub(crate) fn all(&self) -> Vec<serde_json::Value> {
        self.0.lock().expect("records").clone()
    }
}

/// What every agent has, whatever it serves.
struct Common {
    hub: Hub<Shown>,
    tokens: Arc<Tokens>,
    token: String,
    shutdown: Shutdown,
    producers: Arc<AtomicUsize>,
    clock: Arc<dyn Clock>,
}

impl Common {
    fn new(hub: Hub<Shown>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let disk = SimDisk::new();
        let token = known(&disk);
        let tokens = Arc::new(Tokens::open(Box::new(disk), clock.clone()).expect("they open"));
        Self { hub, tokens, token, shutdown: Shutdown::new(), producers: Arc::default(), clock }
    }

    async fn serve(self, service: Arc<dyn Service>, limits: Limits, config: Config) -> Agent {
        let Self { hub, tokens, token, shutdown, producers, clock } = self;
        let listening = api::listen(&config).await.expect("a free port");
        let address = listening.addresses()[0];
        let records = Arc::new(Kept::default());
        let terminals = Arc::<Scripted>::default();
        let router = api::router(Door {
            terminals: terminals.clone(),
            service,
            guard: Guard::new(ID, "devbox", listening.addresses(), &config.allowed_origins).expect("good origins"),
            auth: Auth::new(tokens.clone(), clock.clone()),
            records: records.clone(),
            clock,
            metrics: Arc::default(),
            limits,
            shutdown: shutdown.clone(),
        });
        let served = tokio::spawn(api::serve(listening, router, limits, shutdown.clone()));
        Agent { address, hub, shutdown, producers, served, tokens, records, terminals, token }
    }
}

/// Has agents on a new disk know an admin's token, the same all the time.
fn known(disk: &SimDisk) -> String {
    let secret = "ab".repeat(32);
    let hash: String = Sha256::digest(&secret).iter().map(|byte| format!("{byte:02x}")).collect();
    let entry = json!({
        "id": "00000001", "name": "admin", "role": "admin", "created": "2025-01-10T15:30:00Z", "hash": hash,
    });
    let document = json!({ "schemaVersion": 1, "tokens": [entry] });
    disk.outside_write(TOKENS, document.to_string().as_bytes());
    format!("perry_00000001_{secret}")
}

/// A token to make.
pub(crate) fn wanted(name: &str, role: Role) -> Wanted {
    let name = name.parse().expect("a name");
    Wanted { name, role, workspaces: None, allow_host: false, expires_in: None }
}

impl Agent {
    /// With the workspace `alpha` of the recordings.
    pub(crate) async fn start() -> Self {
        let agent = Self::with(Limits::default(), Config { port: 0, ..Config::default() }).await;
        agent.hub.publish(view("alpha", 1));
        agent
    }

    pub(crate) async fn with(limits: Limits, config: Config) -> Self {
        let hub = Hub::new(&uuid::Uuid::new_v4().to_string(), perry::watch::Limits::default()).expect("a boot id");
        let parts = Common::new(hub);
        let server = Fake {
            tokens: parts.tokens.clone(),
            hub: parts.hub.clone(),
            shutdown: parts.shutdown.clone(),
            producers: parts.producers.clone(),
        };
        parts.serve(Arc::new(Table(Arc::new(server))), limits, config).await
    }

    /// One that serves another table; its hub is empty.
    pub(crate) async fn serving(service: Arc<dyn Service>, limits: Limits, config: Config) -> Self {
        let hub = Hub::new("boot", perry::watch::Limits::default()).expect("a boot id");
        Common::new(hub).serve(service, limits, config).await
    }

    /// Makes a token.
    pub(crate) fn token(&self, wanted: Wanted) -> String {
        self.tokens.create(wanted).expect("made").0.0
    }

    /// What says that an admin calls.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// Sends a request as an admin, unless the headers say who calls.
    pub(crate) async fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let bearer = self.bearer();
        let mut headers = headers.to_vec();
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
            headers.push(("authorization", &bearer));
        }
        raw::send(self.address, method, target, &headers, body).await
    }

    /// Posts JSON to a procedure, as an admin.
    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", &format!("/rpc/{path}"), &[("content-type", "application/json")], body.as_bytes()).await
    }

    /// Opens a stream, as an admin.
    pub(crate) async fn open(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Open {
        let bearer = self.bearer();
        let headers: Vec<_> = headers.iter().copied().chain([("authorization", bearer.as_str())]).collect();
        Open::post(self.address, path, &headers, body).await
    }

    /// Waits until so many producers are alive.
    pub(crate) async fn producers(&self, count: usize) {
        let reached = async {
            while self.producers.load(Ordering::SeqCst) != count {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(crate::raw::PATIENCE, reached).await.expect("producers come and go");
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

/// A view with the fields of the recordings.
pub(crate) fn view(name: &str, generation: u64) -> View {
    let view = json!({
        "name": name, "status": "running", "containerId": "abc123def456", "created": "2025-01-10T15:30:00Z",
        "image": "workspace-base", "ports": {"ssh": 22001}, "uid": format!("uid-{name}"), "labels": {},
        "annotations": {}, "generation": generation, "observedGeneration": generation, "resourceVersion": "",
        "spec": {}, "conditions": [],
    });
    serde_json::from_value(view).expect("a view")
}

fn info(entry: Entry) -> TokenInfo {
    let Entry { id, name, role, workspaces, allow_host, created, expires, last_used, .. } = entry;
    TokenInfo { id, name, role, workspaces, allow_host, created, expires, last_used }
}

struct Fake {
    tokens: Arc<Tokens>,
    hub: Hub<Shown>,
    shutdown: Shutdown,
    producers: Arc<AtomicUsize>,
}

/// Counts a producer for as long as it lives.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Fake {
    fn get(&self, name: &Name) -> Result<Arc<Shown>, ApiError> {
        match name.as_str() {
            "panic" => panic!("asked to"),
            "internal" => Err(ApiError::Internal("a secret detail".to_owned())),
            other => self.hub.get(other).ok_or_else(|| ApiError::NotFound(name.clone())),
        }
    }

    fn set(&self, name: &Name, status: Phase) -> Result<Arc<Shown>, ApiError> {
        let view = View { status, ..View::clone(&*self.get(name)?) };
        self.hub.publish(view);
        self.get(name)
    }
}

#[async_trait]
impl Procedures for Fake {
    async fn list_terminals(&self, _: &Call, input: NameInput) -> Result<Vec<TerminalInfo>, ApiError> {
        self.get(&input.name).map(|_| Vec::new())
    }

    async fn create_terminal(&self, _: &Call, input: CreateTerminalInput) -> Result<TerminalInfo, ApiError> {
        Err(ApiError::NoTerminal { name: input.name, terminal: input.terminal })
    }

    async fn rename_terminal(&self, _: &Call, input: RenameTerminalInput) -> Result<TerminalInfo, ApiError> {
        Err(ApiError::NoTerminal { name: input.name, terminal: input.terminal })
    }

    async fn close_terminal(&self, _: &Call, input: CloseTerminalInput) -> Result<(), ApiError> {
        Err(ApiError::NoTerminal { name: input.name, terminal: input.terminal })
    }

    async fn list_sessions(&self, _: &Call, _: SessionsInput) -> Result<Vec<SessionInfo>, ApiError> {
        Ok(Vec::new())
    }

    async fn session_messages(&self, _: &Call, input: MessagesInput) -> Result<Vec<Message>, ApiError> {
        Err(ApiError::NoSession { name: input.workspace_name, session: input.session_id })
    }

    async fn search_sessions(&self, _: &Call, _: SearchInput) -> Result<Vec<SearchHit>, ApiError> {
        Ok(Vec::new())
    }

    async fn watch_sessions(&self, _: &Call, _: WatchSessionsInput) -> Result<Events<SessionFrame>, ApiError> {
        let frames = [SessionFrame::Reset, SessionFrame::Bookmark].map(|value| Ok(Item { id: None, value }));
        Ok(stream::iter(frames).boxed())
    }

    async fn list_workspaces(&self, _: &Call, _: NoInput) -> Result<Vec<Arc<Shown>>, ApiError> {
        Ok(self.hub.list().0)
    }

    async fn get_workspace(&self, _: &Call, input: NameInput) -> Result<Arc<Shown>, ApiError> {
        self.get(&input.name)
    }

    async fn create_workspace(&self, _: &Call, input: CreateInput) -> Result<Arc<Shown>, ApiError> {
        if self.hub.get(input.name.as_str()).is_some() {
            let message = format!("Workspace {} already exists", input.name);
            return Err(Conflict::new(ConflictReason::Exists, &input.name, message).into());
        }
        self.hub.publish(view(input.name.as_str(), 1));
        self.get(&input.name)
    }

    async fn delete_workspace(&self, _: &Call, input: NameInput) -> Result<DeleteOutput, ApiError> {
        self.get(&input.name)?;
        self.hub.remove(input.name.as_str());
        Ok(DeleteOutput { success: true })
    }

    async fn start_workspace(&self, _: &Call, input: StartInput) -> Result<Arc<Shown>, ApiError> {
        self.set(&input.name, Phase::Running)
    }

    async fn stop_workspace(&self, _: &Call, input: NameInput) -> Result<Arc<Shown>, ApiError> {
        self.set(&input.name, Phase::Stopped)
    }

    async fn restart_workspace(&self, _: &Call, input: RestartInput) -> Result<Arc<Shown>, ApiError> {
        self.set(&input.name, Phase::Running)
    }

    async fn apply_workspaces(&self, _: &Call, input: ApplyInput) -> Result<ApplyOutput, ApiError> {
        let name = input.workspace.as_ref().and_then(|it| it["metadata"]["name"].as_str()?.parse::<Name>().ok());
        let name = name.ok_or_else(|| ApiError::bad_request("workspace.metadata.name", "it has no name"))?;
        let existed = self.hub.get(name.as_str()).is_some();
        if !input.dry_run {
            self.hub.publish(view(name.as_str(), 1));
        }
        let change = if existed { Change::Unchanged } else { Change::Created };
        let workspace = self.hub.get(name.as_str());
        let action =
            PlannedAction { step: "create".to_owned(), text: "create container".to_owned(), disruptive: false };
        let (actions, warnings) = (vec![action], Vec::new());
        Ok(ApplyOutput {
            results: vec![Applied { name, change, actions, blocked: None, replaces: Some(false), workspace, warnings }],
        })
    }

    async fn plan_workspaces(&self, call: &Call, input: ApplyInput) -> Result<ApplyOutput, ApiError> {
        self.apply_workspaces(call, ApplyInput { dry_run: true, ..input }).await
    }

    async fn exec_workspace(&self, _: &Call, input: ExecInput) -> Result<ExecResponse, ApiError> {
        let stdout = input.command.join(" ");
        Ok(ExecResponse { stdout, stderr: String::new(), exit_code: 0, truncated: false })
    }

    async fn sync_workspace(&self, _: &Call, input: NameInput) -> Result<(), ApiError> {
        self.get(&input.name).map(drop)
    }

    async fn disk_usage(&self, _: &Call, input: NameInput) -> Result<DiskUsage, ApiError> {
        self.get(&input.name)?;
        Ok(DiskUsage { volumes: Vec::new(), container: Some(1) })
    }

    async fn agent_info(&self, _: &Call, _: NoInput) -> Result<AgentInfo, ApiError> {
        let info = json!({
            "id": "0", "version": "0.1.0", "hostname": "devbox", "pid": 1, "started": "2025-01-10T15:30:00Z",
            "uptime": 12.5, "workspacesCount": 1, "image": "workspace-base",
        });
        Ok(serde_json::from_value(info).expect("an agent info"))
    }

    async fn kill_agent(&self, _: &Call, _: NoInput) -> Result<(), ApiError> {
        self.shutdown.begin();
        Ok(())
    }

    async fn get_config(&self, _: &Call, _: NoInput) -> Result<ConfigShown, ApiError> {
        Ok(ConfigShown::default())
    }

    async fn set_worker(&self, _: &Call, input: SetWorkerInput) -> Result<ConfigShown, ApiError> {
        Ok(ConfigShown { worker: Some(input.worker), ..ConfigShown::default() })
    }

    async fn list_orphans(&self, _: &Call, _: NoInput) -> Result<Orphans, ApiError> {
        Ok(Orphans::default())
    }

    async fn prune_orphans(&self, _: &Call, _: PruneInput) -> Result<PruneOutput, ApiError> {
        Ok(PruneOutput::default())
    }

    async fn check_agent(&self, _: &Call, _: NoInput) -> Result<DoctorReport, ApiError> {
        Ok(DoctorReport::default())
    }

    async fn create_token(&self, _: &Call, input: CreateTokenInput) -> Result<NewToken, ApiError> {
        let wanted = Wanted {
            name: input.name,
            role: input.role,
            workspaces: input.workspaces,
            allow_host: input.allow_host,
            expires_in: None,
        };
        let (token, entry) = self.tokens.create(wanted).map_err(|error| ApiError::Unavailable(error.to_string()))?;
        Ok(NewToken { token, info: info(entry), agent: ID.to_owned() })
    }

    async fn list_tokens(&self, _: &Call, _: NoInput) -> Result<Vec<TokenInfo>, ApiError> {
        Ok(self.tokens.list().into_iter().map(info).collect())
    }

    async fn revoke_token(&self, _: &Call, input: RevokeTokenInput) -> Result<TokenInfo, ApiError> {
        self.tokens.revoke(&input.name).map(info).map_err(|_| ApiError::NoToken(input.name))
    }

    async fn offer_pairing(&self, _: &Call, _: CreateTokenInput) -> Result<PairOffer, ApiError> {
        Err(ApiError::Unavailable("not here".to_owned()))
    }

    async fn claim_pairing(&self, _: &Call, _: ClaimInput) -> Result<NewToken, ApiError> {
        Err(ApiError::Forbidden("not here".to_owned()))
    }

    async fn watch_workspaces(&self, call: &Call, _: NoInput) -> Result<Events<WatchFrame>, ApiError> {
        let cursor = call.resume.clone().and_then(|text| text.parse::<Cursor>().ok());
        let state = (self.hub.subscribe(cursor.as_ref()), Alive::new(&self.producers));
        let frames = stream::unfold(state, |(mut subscription, alive)| async {
            let item = subscription.next().await.map_err(|error| ApiError::Unavailable(error.to_string()));
            let item = item.map(|frame| Item {
                id: frame.cursor.map(|cursor| cursor.to_string()),
                value: WatchFrame { kind: kind(frame.kind), workspace: frame.object },
            });
            Some((item, (subscription, alive)))
        });
        Ok(frames.boxed())
    }

    async fn workspace_events(&self, _: &Call, input: EventsInput) -> Result<Events<Event>, ApiError> {
        let name = input.name.unwrap_or_else(|| "alpha".parse().expect("a name"));
        let view = self.get(&name)?;
        let event = json!({
            "name": name, "uid": view.uid, "type": "Normal", "reason": "Started", "message": "line\nbreak",
            "at": "2025-01-10T15:30:00Z", "count": 1,
        });
        let event: Event = serde_json::from_value(event).expect("an event");
        Ok(stream::iter([Ok(Item { id: None, value: event })]).boxed())
    }

    async fn workspace_logs(&self, _: &Call, input: LogsInput) -> Result<Events<LogLine>, ApiError> {
        self.get(&input.name)?;
        Ok(stream::empty().boxed())
    }

    async fn workspace_usage(&self, _: &Call, _: NoInput) -> Result<Events<Usage>, ApiError> {
        Ok(stream::empty().boxed())
    }

    async fn build_image(&self, _: &Call, _: BuildInput) -> Result<Events<BuildProgress>, ApiError> {
        let line = Ok(Item { id: None, value: BuildProgress { line: "Step 1".to_owned() } });
        let failure = Err(ApiError::Unavailable("Docker does not answer".to_owned()));
        Ok(stream::iter([line, failure]).boxed())
    }
}

fn kind(kind: FrameKind) -> WatchKind {
    match kind {
        FrameKind::Reset => WatchKind::Reset,
        FrameKind::Added => WatchKind::Added,
        FrameKind::Modified => WatchKind::Modified,
        FrameKind::Deleted => WatchKind::Deleted,
        FrameKind::Bookmark => WatchKind::Bookmark,
    }
}
