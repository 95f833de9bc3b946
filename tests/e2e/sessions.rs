//! Real coding agents in a real workspace, against a stand-in for a model: their sessions appear, grow, wait, are killed,
//! resumed, taken back and found, and stay known when the workspace and the agent do not run.

use std::process::{Command, Stdio};

use perry::client::{Client, EventStream};
use perry::contract::sessions::{CodingAgent, SessionFrame, SessionState};
use perry::contract::{
    CreateTerminalInput, MessagesInput, SearchInput, SessionInfo, SessionsInput, WatchSessionsInput,
};
use tokio::time::timeout;

use crate::agent::{Agent, parse};
use crate::node::Package;
use crate::{FULL, PATIENCE};

/// What the model does when it is told to wait: it thinks, runs a tool for a while, and is done.
const SCRIPT: &str = r#"[{"match":"Wait for it","title":"Waiting","steps":[
    {"sleep":1000,"text":"Looking for lighthouses.","calls":[{"run":"sleep 3"}]},{"sleep":1000,"text":"All done."}]},
    {"match":"Hang","title":"Hanging","steps":[{"text":"Hanging.","calls":[{"run":"sleep 1000"}]}]}]"#;

const CODEX: &str = r#"model = "stub-1"
model_provider = "stub"
check_for_update_on_startup = false
approval_policy = "never"
sandbox_mode = "danger-full-access"
[analytics]
enabled = false
[projects."/home/workspace/demo"]
trust_level = "trusted"
[model_providers.stub]
name = "Stub"
base_url = "http://127.0.0.1:4010/v1"
env_key = "STUB_API_KEY"
wire_api = "responses"
"#;

const OPENCODE: &str = r#"{ "autoupdate": false, "share": "disabled", "model": "stub/stub-1", "small_model": "stub/stub-1",
  "provider": { "stub": { "npm": "@ai-sdk/openai-compatible", "name": "Stub",
    "options": { "baseURL": "http://127.0.0.1:4010/v1", "apiKey": "x" },
    "models": { "stub-1": { "name": "Stub One", "limit": { "context": 200000, "output": 8192 } } } } },
  "permission": { "edit": "allow", "bash": "allow", "external_directory": "allow" } }"#;

/// Runs as the workspace's user in the folder `demo`, where the agents are found.
const ENTER: &str = "export STUB_API_KEY=x OPENCODE_DISABLE_AUTOUPDATE=1 OPENCODE_DISABLE_MODELS_FETCH=1 \
    OPENCODE_DISABLE_LSP_DOWNLOAD=1; cd ~/demo || exit 1";

async fn sh(agent: &Agent, script: &str) -> String {
    agent.ok(&["exec", "a", "--", "bash", "-c", &format!("{ENTER}; {script}")]).await
}

/// Begins a command there and does not wait for it.
async fn begin(agent: &Agent, script: &str) {
    let script = script.replace('\'', "'\\''");
    sh(agent, &format!("(setsid bash -c '{script}' </dev/null >>~/out.log 2>&1 &)")).await;
}

/// Puts a file into the workspace.
async fn put(agent: &Agent, path: &str, content: &[u8]) {
    let mut child =
        agent.command(&["exec", "-i", "a", "--", "sh", "-c", &format!("mkdir -p $(dirname {path}) && cat >{path}")]);
    let mut child = child.stdin(Stdio::piped()).spawn().expect("started");
    let mut stdin = child.stdin.take().expect("a pipe");
    tokio::io::AsyncWriteExt::write_all(&mut stdin, content).await.expect("written");
    drop(stdin);
    assert!(child.wait().await.expect("it ends").success(), "{path}");
}

/// A workspace `a` with codex and opencode in it, and a model for them.
async fn equip(agent: &Agent) {
    let package = Package::install("tests/agents").await;
    agent.ready("a", &format!("image: {FULL}")).await;
    let vendor = "node_modules/@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl";
    let mut tar = Command::new("tar");
    tar.args(["-C", package.path(), "-chf", "-", "--transform", "s,.*/,,"]);
    tar.args([&format!("{vendor}/bin/codex"), "node_modules/opencode-linux-x64/bin/opencode"]);
    let mut tar = tar.stdout(Stdio::piped()).spawn().expect("tar");
    let take = "mkdir -p ~/.local/bin ~/demo && tar -C ~/.local/bin -xf - && git init -q ~/demo";
    let mut child = agent.command(&["exec", "-i", "a", "--", "sh", "-c", take]);
    let mut child = child.stdin(Stdio::from(tar.stdout.take().expect("a pipe"))).spawn().expect("started");
    assert!(child.wait().await.expect("it ends").success() && tar.wait().expect("it ends").success());
    let model = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sessions/stub-model.mjs")).expect("read");
    put(agent, "~/stub-model.mjs", &model).await;
    put(agent, "~/script.json", SCRIPT.as_bytes()).await;
    put(agent, "~/.codex/config.toml", CODEX.as_bytes()).await;
    put(agent, "~/.config/opencode/opencode.json", OPENCODE.as_bytes()).await;
    begin(agent, "exec node ~/stub-model.mjs --port 4010 --quiet --script ~/script.json").await;
    sh(agent, "until curl -sf http://127.0.0.1:4010/healthz; do sleep 0.1; done").await;
}

/// One who watches.
struct Seeing {
    frames: EventStream<SessionFrame>,
    sessions: Vec<SessionInfo>,
    /// What was told of messages, by session.
    told: Vec<(String, String)>,
}

impl Seeing {
    async fn begin(client: &Client) -> Self {
        let frames = client.watch_sessions(&WatchSessionsInput::default(), None).await.expect("a stream");
        Self { frames, sessions: Vec::new(), told: Vec::new() }
    }

    /// Waits until a session is so.
    async fn until(&mut self, what: &str, is: impl Fn(&SessionInfo) -> bool) -> SessionInfo {
        let seen = async {
            loop {
                if let Some(session) = self.sessions.iter().find(|session| is(session)) {
                    return session.clone();
                }
                let frame = self.frames.next().await.expect("a frame").expect("no end").value;
                self.take(frame);
            }
        };
        let seen = timeout(PATIENCE, seen).await;
        seen.unwrap_or_else(|_| panic!("{what}: {:#?}\n{:?}", self.sessions, self.told))
    }

    /// Waits until something is told of the messages of a session.
    async fn until_told(&mut self, id: &str, what: &str) {
        let told = async {
            while !self.told.contains(&(id.to_owned(), what.to_owned())) {
                let frame = self.frames.next().await.expect("a frame").expect("no end").value;
                self.take(frame);
            }
        };
        timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("{what} of {id}"));
    }

    fn take(&mut self, frame: SessionFrame) {
        let mut tell = |id: String, what: String| self.told.push((id, what));
        match frame {
            SessionFrame::Reset => self.sessions.clear(),
            SessionFrame::Upserted { session } => {
                let is_same = |known: &SessionInfo| {
                    (known.session.agent, &known.session.session_id)
                        == (session.session.agent, &session.session.session_id)
                };
                self.sessions.retain(|known| !is_same(known));
                self.sessions.push(session);
            }
            SessionFrame::Gone(gone) => {
                self.sessions.retain(|known| known.session.session_id != gone.session_id);
                tell(gone.session_id, "gone".to_owned());
            }
            SessionFrame::Appended(place) => tell(place.session_id, format!("appended {}", place.index)),
            SessionFrame::Replaced(place) => tell(place.session_id, format!("replaced {}", place.index)),
            SessionFrame::Truncated(place) => tell(place.session_id, format!("truncated {}", place.index)),
            SessionFrame::Bookmark => {}
        }
    }
}

fn is(agent: CodingAgent, state: SessionState, count: u32) -> impl Fn(&SessionInfo) -> bool {
    move |info| (info.session.agent, info.session.state, info.session.message_count) == (agent, state, count)
}

async fn texts(client: &Client, info: &SessionInfo) -> Vec<String> {
    let input = MessagesInput {
        workspace_name: parse("a"),
        session_id: info.session.session_id.clone(),
        agent: Some(info.session.agent),
        before: None,
        from: None,
        limit: Some(100),
        tools: None,
    };
    let messages = client.session_messages(&input).await.expect("messages");
    messages.into_iter().map(|message| message.text).collect()
}

#[tokio::test]
async fn sessions_of_real_agents_are_followed_from_their_first_prompt_on() {
    use CodingAgent::{Codex, Opencode};
    use SessionState::{Idle, Waiting, Working};
    let mut agent = Agent::start().await;
    equip(&agent).await;
    let mut seeing = Seeing::begin(agent.client()).await;

    // Two at once: each is asked, works, runs a tool, answers and ends.
    begin(&agent, &format!("{ENTER}; codex exec --json \"Wait for it.\"")).await;
    begin(&agent, &format!("{ENTER}; printf \"Wait for it.\" | opencode run --format json")).await;
    for kind in [Codex, Opencode] {
        seeing.until("it is asked", |info| info.session.agent == kind && info.session.state == Working).await;
        let runs = |info: &SessionInfo| is(kind, Working, 2)(info) && info.session.reason == "a tool runs";
        seeing.until("a tool runs", runs).await;
        let done = seeing.until("it is done", is(kind, Idle, 3)).await;
        assert_eq!(done.session.project_path.as_deref(), Some("/home/workspace/demo"));
        assert_eq!(texts(agent.client(), &done).await, ["Wait for it.", "Looking for lighthouses.", "All done."]);
    }

    // Killed in the middle, and resumed by another process.
    begin(&agent, &format!("{ENTER}; codex exec --json Hang")).await;
    let hanging =
        seeing.until("it hangs", |info| is(Codex, Working, 2)(info) && info.session.reason == "a tool runs").await;
    sh(&agent, "pkill -KILL -x codex; pkill -f '[s]leep 1000' || true").await;
    let id = hanging.session.session_id.clone();
    seeing.until("it is gone", |info| info.session.session_id == id && info.session.state == Idle).await;
    begin(&agent, &format!("{ENTER}; codex exec resume {id} --json \"Say hello.\"")).await;
    let resumed =
        seeing.until("it goes on", |info| info.session.session_id == id && info.session.message_count == 4).await;
    assert!(texts(agent.client(), &resumed).await[2..] == ["Say hello.", "Stub reply to: Say hello."], "{resumed:?}");

    // Taken back, through the program's own server.
    let done = seeing.until("it is known", is(Opencode, Idle, 3)).await;
    let id = done.session.session_id.clone();
    begin(&agent, &format!("{ENTER}; printf Again. | opencode run --format json -s {id}")).await;
    seeing.until("it is asked again", |info| info.session.session_id == id && info.session.message_count == 5).await;
    begin(&agent, &format!("{ENTER}; exec opencode serve --port 4096")).await;
    let revert = format!(
        "until curl -sf -m 5 http://127.0.0.1:4096/session/{id}/message >~/messages.json; do sleep 0.2; done; \
         message=$(node -e 'const all = JSON.parse(require(\"fs\").readFileSync(process.env.HOME + \"/messages.json\")); \
         console.log(all.filter((one) => one.info.role === \"user\")[1].info.id)'); \
         curl -sf -m 30 -X POST -H 'content-type: application/json' -d \"{{\\\"messageID\\\":\\\"$message\\\"}}\" \
         http://127.0.0.1:4096/session/{id}/revert >/dev/null"
    );
    sh(&agent, &revert).await;
    seeing.until("it is taken back", |info| info.session.session_id == id && info.session.message_count == 3).await;
    seeing.until_told(&id, "truncated 3").await;
    // A server that has ended its turn waits for its person.
    begin(&agent, &format!("{ENTER}; printf Again. | opencode run --attach http://127.0.0.1:4096 -s {id}")).await;
    let waits = |info: &SessionInfo| info.session.session_id == id && is(Opencode, Waiting, 5)(info);
    seeing.until("it waits", waits).await;
    sh(&agent, "pkill -f '[o]pencode serve'").await;
    seeing.until("it is gone", |info| info.session.session_id == id && info.session.state == Idle).await;

    // The terminal that a session is in is named, whatever it is called by then.
    let script = format!("{ENTER}; exec codex exec --json Hang");
    let command = ["bash", "-c", &script].map(str::to_owned).to_vec();
    let (name, terminal) = (parse("a"), parse("talk"));
    let input = CreateTerminalInput { name, terminal, command, cwd: None, cols: None, rows: None };
    agent.client().create_terminal(&input).await.expect("begun");
    let talks = |info: &SessionInfo| info.session.state == Working && info.session.terminal.as_deref() == Some("talk");
    let talking = seeing.until("it is in a terminal", talks).await;
    agent.ok(&["terminals", "rename", "a", "talk", "chat"]).await;
    let renamed = |info: &SessionInfo| info.session.terminal.as_deref() == Some("chat");
    seeing.until("its terminal is called otherwise", renamed).await;
    agent.ok(&["terminals", "close", "a", "chat"]).await;
    let id = talking.session.session_id;
    seeing.until("it is gone", |info| info.session.session_id == id && info.session.state == Idle).await;

    // Inside the same is said.
    let inside = sh(&agent, "/.perry/perry worker sessions list --json").await;
    let inside: serde_json::Value = serde_json::from_str(&inside).expect("JSON");
    let listed = agent.client().list_sessions(&SessionsInput::default()).await.expect("a list");
    let ids = |all: &[SessionInfo]| all.iter().map(|info| info.session.session_id.clone()).collect::<Vec<_>>();
    let told: Vec<&str> = inside.as_array().expect("a list").iter().filter_map(|it| it["sessionId"].as_str()).collect();
    assert_eq!(told, ids(&listed));

    // What was said is found, and stays known while neither workspace nor agent run.
    let search = SearchInput { query: "lighthouses".to_owned(), workspace_name: None, agent: None, limit: None };
    let found = async |client: &Client| client.search_sessions(&search).await.expect("searched").len();
    let indexed = async {
        while found(agent.client()).await < 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, indexed).await.expect("it is indexed");
    agent.ok(&["stop", "a", "--wait"]).await;
    seeing.until("all are last known", |info| info.stale && info.session.state == Idle).await;
    agent.sigkill().await;
    agent.resume().await;
    let known = agent.client().list_sessions(&SessionsInput::default()).await.expect("a list");
    assert!(known.iter().all(|info| info.stale) && ids(&known) == ids(&listed), "{known:#?}");
    assert_eq!(found(agent.client()).await, 2);
    let said = agent.fails(1, &["sessions", "show", &known[0].session.session_id]).await;
    assert!(said.contains("perry start a"), "{said}");
    agent.ok(&["start", "a"]).await;
    let mut seeing = Seeing::begin(agent.client()).await;
    seeing.until("they are told anew", |info| !info.stale).await;
    // With the workspace they go.
    agent.delete("a").await;
    let gone = async {
        while !agent.client().list_sessions(&SessionsInput::default()).await.expect("a list").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("they go with it");
}
