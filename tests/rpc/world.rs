//! A store in memory, a controller that does what it is told, and a door into workspaces, behind the real API.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use perry::api::{Api, Edit, Identity, Intents, Parts, Shutdown};
use perry::clock::{Clock, ManualClock};
use perry::contract::sessions::{Message, MessagesAsked, SessionChange};
use perry::contract::terminal::put_frame;
use perry::contract::terminals::{TerminalAnswer, TerminalInfo, TerminalRequest};
use perry::contract::usage::Measured;
use perry::contract::worker::{ExecRequest, ExecResponse};
use perry::contract::{Call, LogLine};
use perry::controller::{Handle, Preview, PruneError, Pruned, Stats};
use perry::model::observed::{EngineSeen, FileFault, Seen};
use perry::model::{Action, Caller, DiskUsage, Event, Name, Role, Shown, State, Uid, Variant, View, Workspace};
use perry::runtime::{Attach, Duplex, LogLines, LogsWanted, Orphans, RuntimeError, SessionChanges};
use perry::sessions::{self, Changes, Sessions, Workspaces};
use perry::store::tokens::Tokens;
use perry::store::{IntentError, SimDisk};
use perry::watch::Hub;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Notify, Semaphore, broadcast};

use crate::told;

type Looked = Box<dyn Fn(&Workspace) -> Preview + Send + Sync>;
type Synced = Box<dyn Fn(&Workspace) -> Result<Vec<FileFault>, String> + Send + Sync>;
type Ran = Box<dyn Fn(&ExecRequest) -> Result<ExecResponse, RuntimeError> + Send + Sync>;

pub(crate) struct World {
    pub(crate) state: Mutex<Arc<State>>,
    pub(crate) hub: Hub<Shown>,
    pub(crate) clock: ManualClock,
    /// Commits that changed something.
    pub(crate) commits: AtomicUsize,
    /// Why commits fail.
    pub(crate) broken: Mutex<Option<String>>,
    /// Commits wait for a permit.
    pub(crate) gate: Semaphore,
    /// What `changed` was called for.
    pub(crate) changed: Mutex<Vec<String>>,
    pub(crate) looks: AtomicUsize,
    pub(crate) look: Mutex<Looked>,
    /// A look never ends.
    pub(crate) silent: Mutex<bool>,
    /// Every changed intent needs another container.
    pub(crate) other_container: Mutex<bool>,
    pub(crate) past: Mutex<Vec<Event>>,
    pub(crate) news: broadcast::Sender<Event>,
    pub(crate) run: Mutex<Ran>,
    /// The log of every source; none where there is no container.
    pub(crate) log: Mutex<Option<Vec<String>>>,
    /// How often somebody was asked what it uses.
    pub(crate) usages: AtomicUsize,
    pub(crate) synced: Mutex<Synced>,
    pub(crate) listening: Mutex<BTreeSet<u16>>,
    /// Commands wait for a permit.
    pub(crate) commands: Semaphore,
    pub(crate) building: AtomicUsize,
    pub(crate) built: Notify,
    pub(crate) shutdown: Shutdown,
    pub(crate) disk: SimDisk,
    pub(crate) tokens: Arc<Tokens>,
    /// What each workspace that runs tells of sessions, from the beginning on.
    pub(crate) told: broadcast::Sender<SessionChange>,
    pub(crate) sessions: Sessions,
    /// A workspace came, went, or runs otherwise.
    pub(crate) moved: Notify,
    _folder: tempfile::TempDir,
    /// The engine gives Docker inside without privileges.
    pub(crate) isolates: AtomicBool,
}

/// A call of an admin's.
pub(crate) fn call() -> Call {
    Call::of(Arc::new(caller(Role::Admin)))
}

/// Somebody with a token of this role.
pub(crate) fn caller(role: Role) -> Caller {
    Caller { id: "a1".to_owned(), name: role.to_string(), role, workspaces: None, host: false }
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// The world and the API in it.
pub(crate) fn world() -> (Arc<World>, Api) {
    let ok = |request: &ExecRequest| {
        let stdout = request.command.join(" ");
        Ok(ExecResponse { stdout, stderr: String::new(), exit_code: 0, truncated: false })
    };
    let nothing = |_: &Workspace| Preview { actions: Vec::new(), blocked: None, replaces: Some(false) };
    let (disk, clock) = (SimDisk::new(), ManualClock::default());
    let tokens = Tokens::open(Box::new(disk.clone()), Arc::new(clock.clone())).expect("none yet");
    let folder = tempfile::tempdir().expect("a folder");
    let world = Arc::new(World {
        told: broadcast::Sender::new(64),
        sessions: Sessions::open(&folder.path().join("sessions.db")).expect("an index"),
        moved: Notify::new(),
        _folder: folder,
        disk,
        tokens: Arc::new(tokens),
        isolates: AtomicBool::new(false),
        state: Mutex::default(),
        hub: Hub::new("boot", perry::watch::Limits::default()).expect("a boot id"),
        clock,
        commits: AtomicUsize::new(0),
        broken: Mutex::default(),
        gate: Semaphore::new(Semaphore::MAX_PERMITS),
        changed: Mutex::default(),
        looks: AtomicUsize::new(0),
        look: Mutex::new(Box::new(nothing)),
        silent: Mutex::new(false),
        other_container: Mutex::new(false),
        past: Mutex::default(),
        news: broadcast::Sender::new(16),
        run: Mutex::new(Box::new(ok)),
        log: Mutex::default(),
        usages: AtomicUsize::new(0),
        synced: Mutex::new(Box::new(|_| Ok(Vec::new()))),
        listening: Mutex::default(),
        commands: Semaphore::new(Semaphore::MAX_PERMITS),
        building: AtomicUsize::new(0),
        built: Notify::new(),
        shutdown: Shutdown::new(),
    });
    let door = Door(world.clone());
    let api = Api::new(Parts {
        store: Arc::new(Door(world.clone())),
        hub: world.hub.clone(),
        controller: Arc::new(Door(world.clone())),
        attach: Arc::new(door),
        sessions: world.sessions.clone(),
        config: Arc::default(),
        identity: Identity {
            id: "agent".to_owned(),
            hostname: "devbox".to_owned(),
            started: world.clock.wall(),
            urls: vec!["http://127.0.0.1:7391".to_owned()],
        },
        clock: Arc::new(world.clock.clone()),
        shutdown: world.shutdown.clone(),
        tokens: world.tokens.clone(),
        disk: Arc::new(Mutex::new(Box::new(world.disk.clone()))),
    });
    (world, api)
}

impl World {
    pub(crate) fn intent(&self, text: &str) -> Option<Arc<Workspace>> {
        self.state.lock().expect("state").workspaces.get(&name(text)).cloned()
    }

    /// Has the index of sessions follow the workspaces.
    pub(crate) fn follow_sessions(self: &Arc<Self>) {
        tokio::spawn(self.sessions.clone().run(Arc::new(Door(self.clone()))));
    }

    pub(crate) fn commits(&self) -> usize {
        self.commits.load(Ordering::SeqCst)
    }

    pub(crate) fn looks(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }

    /// What the loop will say of a workspace whose container runs, or does not.
    pub(crate) fn show(&self, text: &str, running: bool) {
        let workspace = self.intent(text).expect("it is there");
        let status = if running { "True" } else { "False" };
        let condition = json!([{
            "type": "ContainerRunning", "status": status, "reason": "Seen", "message": "",
            "lastTransitionTime": "2025-01-10T15:30:00Z", "observedGeneration": workspace.metadata.generation,
        }]);
        self.hub.publish(view(&workspace, condition));
        self.moved.notify_one();
    }
}

fn view(workspace: &Workspace, conditions: serde_json::Value) -> View {
    let metadata = &workspace.metadata;
    let view = json!({
        "name": metadata.name, "status": "creating", "created": metadata.created, "image": workspace.spec.image,
        "ports": metadata.host_ports, "uid": metadata.uid, "labels": metadata.labels, "annotations": {},
        "generation": metadata.generation, "observedGeneration": 0, "resourceVersion": "", "spec": workspace.spec,
        "conditions": conditions,
    });
    serde_json::from_value(view).expect("a view")
}

struct Door(Arc<World>);

#[async_trait]
impl Intents for Door {
    fn snapshot(&self) -> Arc<State> {
        self.0.state.lock().expect("state").clone()
    }

    async fn commit(&self, edit: Edit) -> Result<(), IntentError> {
        self.0.gate.acquire().await.expect("open").forget();
        if let Some(why) = self.0.broken.lock().expect("broken").clone() {
            return Err(IntentError(why));
        }
        let mut state = self.0.state.lock().expect("state");
        let mut next = State::clone(&state);
        if edit(&mut next) {
            assert_ne!(next, **state, "a commit that changes nothing");
            *state = Arc::new(next);
            self.0.commits.fetch_add(1, Ordering::SeqCst);
            self.0.moved.notify_one();
        }
        Ok(())
    }
}

#[async_trait]
impl Handle for Door {
    fn changed(&self, name: &Name) {
        self.0.changed.lock().expect("changed").push(name.to_string());
        if let Some(workspace) = self.0.intent(name.as_str()) {
            self.0.hub.publish(view(&workspace, json!([])));
        }
    }

    async fn preview(&self, workspace: &Workspace) -> Preview {
        self.0.looks.fetch_add(1, Ordering::SeqCst);
        if *self.0.silent.lock().expect("silent") {
            std::future::pending::<()>().await;
        }
        (self.0.look.lock().expect("look"))(workspace)
    }

    fn may_replace(&self, _: &Workspace) -> bool {
        *self.0.other_container.lock().expect("other_container")
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }

    fn events(&self, name: Option<&Name>) -> Vec<Event> {
        let past = self.0.past.lock().expect("past");
        past.iter().filter(|event| name.is_none_or(|name| event.name == *name)).cloned().collect()
    }

    fn follow_events(&self) -> broadcast::Receiver<Event> {
        self.0.news.subscribe()
    }

    async fn engine(&self) -> Seen<EngineSeen> {
        if !self.0.isolates.load(Ordering::SeqCst) {
            return Seen::Unknown("connection refused".to_owned());
        }
        Seen::Present(EngineSeen {
            version: "29".to_owned(),
            api_version: "1.52".to_owned(),
            runtimes: vec!["sysbox-runc".to_owned()],
        })
    }

    async fn sync(&self, workspace: &Workspace) -> Result<Vec<FileFault>, String> {
        self.0.synced.lock().expect("synced")(workspace)
    }

    async fn ports_in_use(&self) -> BTreeSet<u16> {
        self.0.listening.lock().expect("listening").clone()
    }

    async fn disk(&self, _: &Workspace) -> Result<DiskUsage, String> {
        Err("counting took too long".to_owned())
    }

    async fn prune(&self, _: &BTreeSet<String>, _: bool) -> Result<Pruned, PruneError> {
        Err(PruneError::NoOrphan("none".to_owned()))
    }

    async fn orphans(&self) -> Result<Orphans, String> {
        Err("connection refused".to_owned())
    }

    async fn build_image(
        &self,
        _: Option<Variant>,
        progress: &(dyn for<'a> Fn(&'a str) + Send + Sync),
    ) -> Result<(), String> {
        struct Building<'a>(&'a AtomicUsize);
        impl Drop for Building<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.0.building.fetch_add(1, Ordering::SeqCst);
        let _building = Building(&self.0.building);
        progress("Step 1");
        self.0.built.notified().await;
        progress("Step 2\nof 2");
        Err("no space left".to_owned())
    }
}

#[async_trait]
impl Workspaces for Door {
    fn list(&self) -> Vec<sessions::Workspace> {
        let state = self.0.state.lock().expect("state").clone();
        let runs = |name: &Name| {
            let view = self.0.hub.get(name.as_str());
            view.is_some_and(|view| view.is_true(perry::model::ConditionType::ContainerRunning))
        };
        let each = state.workspaces.values().map(|workspace| &workspace.metadata);
        let each = each.map(|meta| sessions::Workspace {
            uid: meta.uid.clone(),
            name: meta.name.clone(),
            running: runs(&meta.name),
        });
        each.collect()
    }

    async fn changed(&self) {
        self.0.moved.notified().await;
    }

    async fn follow(&self, _: &Uid) -> Result<Changes, String> {
        let changes = self.0.told.subscribe();
        let next = |mut changes: broadcast::Receiver<SessionChange>| async {
            let change = changes.recv().await.ok()?;
            Some((Ok(change), changes))
        };
        Ok(stream::unfold(changes, next).boxed())
    }

    async fn messages(&self, _: &Uid, asked: &MessagesAsked) -> Result<Vec<Message>, String> {
        Ok(told::messages(asked, 4))
    }
}

#[async_trait]
impl Attach for Door {
    async fn logs(&self, _: &Uid, wanted: LogsWanted) -> Result<LogLines, RuntimeError> {
        let lines = self.0.log.lock().expect("log").clone().ok_or(RuntimeError::Changed("none".to_owned()))?;
        let source = wanted.source;
        let from = source.as_str().to_owned();
        let skip = lines.len().saturating_sub(wanted.tail as usize);
        let lines = lines.into_iter().skip(skip).map(move |line| Ok(LogLine { source, from: from.clone(), line }));
        let rest = if wanted.follow { stream::pending().boxed() } else { stream::empty().boxed() };
        Ok(stream::iter(lines).chain(rest).boxed())
    }

    async fn sessions(&self, _: &Uid) -> Result<SessionChanges, RuntimeError> {
        Err(RuntimeError::Failed("not here".to_owned()))
    }

    async fn messages(&self, _: &Uid, asked: &MessagesAsked) -> Result<Vec<Message>, RuntimeError> {
        match asked.session.as_str() {
            "gone" => Err(RuntimeError::Changed("gone".to_owned())),
            "odd" => Err(RuntimeError::Refused("no record in it is known".to_owned())),
            _ => Ok(told::messages(asked, 120)),
        }
    }

    async fn usage(&self, _: &Uid) -> Result<Measured, RuntimeError> {
        self.0.usages.fetch_add(1, Ordering::SeqCst);
        Ok(Measured { cpu_seconds: 2.0, memory: 42, ports: vec![22], ..Measured::default() })
    }

    async fn dial(&self, _: &Uid) -> Result<Box<dyn Duplex>, RuntimeError> {
        Err(RuntimeError::Failed("not here".to_owned()))
    }

    async fn terminals(&self, _: &Uid, request: TerminalRequest) -> Result<Box<dyn Duplex>, RuntimeError> {
        let info = |terminal: Name| TerminalInfo {
            terminal,
            id: "1".to_owned(),
            title: String::new(),
            command: Vec::new(),
            program: "sh".to_owned(),
            tty: "/dev/pts/0".to_owned(),
            cols: 80,
            rows: 24,
            viewers: 0,
            created: Timestamp::UNIX_EPOCH,
            last_activity: Timestamp::UNIX_EPOCH,
        };
        let answer = match request {
            TerminalRequest::Create { terminal, .. } => TerminalAnswer::One(info(terminal)),
            TerminalRequest::Rename { to, .. } => TerminalAnswer::One(info(to)),
            TerminalRequest::Close { .. } => TerminalAnswer::Closed,
            _ => TerminalAnswer::List(vec![info("main".parse().expect("a name"))]),
        };
        let mut frame = bytes::BytesMut::new();
        put_frame(&mut frame, &serde_json::to_vec(&answer).expect("JSON"));
        let (ours, mut theirs) = tokio::io::duplex(4096);
        theirs.write_all(&frame).await.expect("room");
        Ok(Box::new(ours))
    }

    async fn exec(&self, _: &Uid, request: ExecRequest) -> Result<ExecResponse, RuntimeError> {
        let permit = self.0.commands.acquire().await.expect("open");
        let result = (self.0.run.lock().expect("run"))(&request);
        drop(permit);
        result
    }
}

/// An action that ends something.
pub(crate) fn removal() -> Action {
    Action::RemoveContainer { id: "abc123def456789".to_owned() }
}

pub(crate) fn event(workspace: &str, message: &str, second: i64) -> Event {
    let at = jiff::Timestamp::from_second(second).expect("in range");
    let event = json!({
        "name": workspace, "uid": "u", "type": "Normal", "reason": "Told", "message": message, "at": at, "count": 1,
    });
    serde_json::from_value(event).expect("an event")
}

/// The host ports of all workspaces, with how often each is given out.
pub(crate) fn host_ports(state: &State) -> BTreeMap<u16, usize> {
    let mut ports = BTreeMap::new();
    for port in state.workspaces.values().flat_map(|workspace| workspace.metadata.host_ports.values()) {
        *ports.entry(*port).or_default() += 1;
    }
    ports
}
