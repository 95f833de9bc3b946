// Made from the table of procedures in src/contract/table.rs: change it there, then run
// UPDATE_GOLDEN=1 cargo test --test rpc typescript

/**
 * What the agent says of itself.
 */
export type AgentInfo = {
/**
 * Its id, a UUID made once.
 */
id: string,
/**
 * Its version.
 */
version: string,
/**
 * The machine's name.
 */
hostname: string,
/**
 * Its process id.
 */
pid: number,
/**
 * When it started.
 */
started: string,
/**
 * For how long it has run, in seconds.
 */
uptime: number,
/**
 * How many workspaces it has.
 */
workspacesCount: number,
/**
 * The image of workspaces that name none.
 */
image: string,
/**
 * The engine; absent when it does not answer.
 */
docker?: EngineSeen,
/**
 * Why it does not answer.
 */
dockerError?: string,
/**
 * How many containers and volumes bear this agent's id and belong to no workspace; absent where nobody could look.
 */
orphans?: number,
/**
 * What a person should know of the agent's files, such as a `state.json` that does not parse.
 */
warnings?: Array<AgentWarning>, };

/**
 * Something that a person should know.
 */
export type AgentWarning = {
/**
 * Since when.
 */
since: string,
/**
 * What, and what to do about it.
 */
message: string, };

/**
 * The version of a manifest's form.
 */
export type ApiVersion = "perry.dev/v1";

/**
 * What became, or would become, of one document.
 */
export type Applied = {
/**
 * The workspace's name.
 */
name: Name,
/**
 * What happened to the intent.
 */
change: Change,
/**
 * What is done now to get there; more may follow once these are done.
 */
actions: Array<PlannedAction>,
/**
 * Why nothing can be done at present, where that is so.
 */
blocked?: Blocked,
/**
 * A running container is replaced: work in it ends. Left out where that may be so and cannot be told now.
 */
replaces?: boolean,
/**
 * The workspace afterwards; with `dryRun` as it is now, absent where it does not exist.
 */
workspace?: Workspace,
/**
 * What was accepted but may not be meant.
 */
warnings: Array<string>, };

/**
 * What to apply or to plan: `manifest` or `workspace`, not both.
 */
export type ApplyInput = {
/**
 * Manifests as text, YAML or JSON; several documents are applied all or none.
 */
manifest?: string,
/**
 * One manifest as an object.
 */
workspace?: Document,
/**
 * Say what would be done, and change nothing.
 */
dryRun?: boolean,
/**
 * Refuse (CONFLICT `staleGeneration`) unless the workspace has this generation; 0: unless it does not exist.
 */
ifGeneration?: number,
/**
 * Accept that a running container is replaced and work in it ends.
 */
allowReplace?: boolean, };

/**
 * What became, or would become, of each document.
 */
export type ApplyOutput = {
/**
 * In the order of the documents.
 */
results: Array<Applied>, };

/**
 * What is wrong with an input, as `data` of a BAD_REQUEST; a request that could not be read has none.
 */
export type BadRequest = {
/**
 * Every fault that was found.
 */
issues: Issues, };

/**
 * Why nothing can be done.
 */
export type Blocked = {
/**
 * One CamelCase word for programs.
 */
reason: string,
/**
 * For people.
 */
message: string,
/**
 * What to do about it, where that is known.
 */
hint?: string, };

/**
 * Which image to build.
 */
export type BuildInput = {
/**
 * The variant; left out: what `imageTag` is.
 */
variant?: Variant, };

/**
 * A line of a build's progress.
 */
export type BuildProgress = {
/**
 * Without line break.
 */
line: string, };

/**
 * A number of bytes, written as in Kubernetes: `512Mi`, `4Gi`, `2G` or plain bytes.
 */
export type Bytes = string | number;

/**
 * What happened to the intent of a workspace.
 */
export type Change = "created" | "configured" | "unchanged";

/**
 * What was looked at, and how it is.
 */
export type Check = {
/**
 * One word.
 */
name: string,
/**
 * How it is.
 */
status: CheckStatus,
/**
 * What was seen.
 */
message: string,
/**
 * What to do about it.
 */
hint?: string, };

/**
 * How something is.
 */
export type CheckStatus = "ok" | "warning" | "failed";

/**
 * A code to trade for a token.
 */
export type ClaimInput = {
/**
 * The code; dashes, blanks and small letters do not matter.
 */
code: Secret, };

/**
 * A repository by its URL alone or in full.
 */
export type CloneInput = string | CloneSpec;

/**
 * A git repository to clone.
 */
export type CloneSpec = {
/**
 * Where from.
 */
url: string,
/**
 * Branch or tag; left out: the repository's default.
 */
branch?: string,
/**
 * Where to; left out: the repository's name in the home folder.
 */
path?: string, };

/**
 * A terminal to end.
 */
export type CloseTerminalInput = {
/**
 * In which workspace.
 */
name: Name,
/**
 * What it is called.
 */
terminal: Name, };

/**
 * An agent whose sessions are known.
 */
export type CodingAgent = "claude" | "codex" | "opencode" | "gemini" | "pi" | "goose" | "copilot";

/**
 * One thing that is, or is not, true of a workspace.
 */
export type Condition = {
/**
 * What it is about.
 */
type: ConditionType,
/**
 * Whether it holds.
 */
status: ConditionStatus,
/**
 * Why, as one CamelCase word for programs.
 */
reason: string,
/**
 * Why, for people; may be empty.
 */
message: string,
/**
 * When `status` last changed.
 */
lastTransitionTime: string,
/**
 * The generation that it was judged for.
 */
observedGeneration: number, };

/**
 * Whether a condition holds.
 */
export type ConditionStatus = "True" | "False" | "Unknown";

/**
 * What a condition is about.
 */
export type ConditionType = "Ready" | "Reconciling" | "Stalled" | "ImagePresent" | "VolumesBound" | "ContainerRunning" | "WorkerReady" | "SshReady" | "DockerReady" | "HooksSucceeded" | "ToolsInstalled" | "FilesSynced" | "DiskPressure" | "Isolated";

/**
 * The agent's settings, and which agent the clients of its folder talk to.
 */
export type ConfigShown = {
/**
 * `worker` of `client.json`; absent: this agent.
 */
worker?: string,
/**
 * The port of the API; 0 takes a free one.
 */
port: number,
/**
 * The addresses of the API.
 */
bind: Array<string>,
/**
 * Speak TLS.
 */
tls?: TlsConfig,
/**
 * Speak without TLS also on addresses that the whole internet reaches.
 */
allowPlainHttp?: boolean,
/**
 * What comes before a workspace's name in the names of its container and volumes.
 */
workspacePrefix: string,
/**
 * The image of workspaces that name none.
 */
imageTag: string,
/**
 * Host ports for ssh.
 */
sshPorts: PortRange,
/**
 * Host ports for everything else.
 */
publishedPorts: PortRange,
/**
 * The engine.
 */
docker: DockerConfig,
/**
 * ssh of all workspaces.
 */
ssh: SshConfig,
/**
 * Origins of web pages that may use the API besides its own.
 */
allowedOrigins: Array<string>,
/**
 * What is brought into every workspace.
 */
sync: SyncConfig, };

/**
 * What is in the way, as `data` of a CONFLICT.
 */
export type Conflict = {
/**
 * For programs.
 */
reason: ConflictReason,
/**
 * The workspace.
 */
name: Name,
/**
 * What to do about it, where that is known.
 */
hint?: string,
/**
 * The field of the document, as in an issue.
 */
path?: Array<string>,
/**
 * Which of several documents, from 0.
 */
document?: number,
/**
 * `staleGeneration`: the generation that it has now.
 */
generation?: number,
/**
 * `needsReplace`: what would be done, the end of running work among it.
 */
actions?: Array<string>, };

/**
 * Kinds of `Conflict`.
 */
export type ConflictReason = "exists" | "deleting" | "staleGeneration" | "needsReplace" | "portTaken" | "differs";

/**
 * A share of the processors in thousandths of one, written as a number: `2` or `0.5`.
 */
export type Cpus = number;

/**
 * What a new terminal runs.
 */
export type Create = {
/**
 * Program and arguments; empty: the user's shell.
 */
command?: Array<string>,
/**
 * The folder to begin in; left out: the home.
 */
cwd?: string, };

/**
 * A new workspace, in short.
 */
export type CreateInput = {
/**
 * Its name, unique on this agent.
 */
name: Name,
/**
 * A git repository to clone: its URL, or URL, branch and path.
 */
clone?: CloneInput,
/**
 * The container image; left out: the agent's `imageTag`.
 */
image?: string,
/**
 * Environment of everything inside.
 */
env?: { [key in string]: string },
/**
 * Ports that are reached from the host, besides ssh.
 */
ports?: Array<PortSpec>, };

/**
 * A terminal to begin.
 */
export type CreateTerminalInput = {
/**
 * In which workspace.
 */
name: Name,
/**
 * What to call it.
 */
terminal: Name,
/**
 * Program and arguments; left out: the user's shell.
 */
command?: Array<string>,
/**
 * The folder to begin in; left out: the home.
 */
cwd?: string,
/**
 * Columns; left out: 80.
 */
cols?: number,
/**
 * Rows; left out: 24.
 */
rows?: number, };

/**
 * A token to make, at once or by pairing.
 */
export type CreateTokenInput = {
/**
 * What its owner calls it, such as the device that it is for. No two tokens share one.
 */
name: Name,
/**
 * What it may do.
 */
role: Role,
/**
 * The only workspaces that there are for it; left out: all. No boundary where workspaces are privileged.
 */
workspaces?: Array<Name>,
/**
 * After how many seconds it is worthless, 60 to 315360000; left out: never.
 */
expiresIn?: number,
/**
 * With role `user`: it may have what reaches the host, that is privileged workspaces and ports beyond loopback.
 */
allowHost?: boolean, };

/**
 * The deletion was accepted; watch for its end.
 */
export type DeleteOutput = {
/**
 * Always true: failure is an error.
 */
success: boolean, };

/**
 * Bytes on disk; absent until they were counted.
 */
export type Disk = {
/**
 * The home folder.
 */
home?: number,
/**
 * What the inner Docker keeps.
 */
docker?: number, };

/**
 * What a workspace occupies on the engine's disk.
 */
export type DiskUsage = {
/**
 * Its volumes, those that are there.
 */
volumes: Array<VolumeUsage>,
/**
 * Bytes written in the container and in no volume: a new container begins without them. Absent where there is no
 * container.
 */
container?: number, };

/**
 * The engine and what is shared on it.
 */
export type DockerConfig = {
/**
 * Where it listens; left out: `DOCKER_HOST`, else the local socket.
 */
host?: string,
/**
 * The bridge network of all workspaces.
 */
network: string, };

/**
 * What a look at everything showed.
 */
export type DoctorReport = {
/**
 * One for each thing that was looked at.
 */
checks: Array<Check>, };

/**
 * A workspace as people write it.
 */
export type Document = {
/**
 * The version of this form.
 */
apiVersion: ApiVersion,
/**
 * What is described.
 */
kind: Kind,
/**
 * Who it is.
 */
metadata: DocumentMetadata,
/**
 * What it should be.
 */
spec?: Spec, };

/**
 * Who a workspace is.
 */
export type DocumentMetadata = {
/**
 * Its name, unique on an agent.
 */
name: Name,
/**
 * For selecting: `perry get -l team=web`.
 */
labels?: { [key in string]: string },
/**
 * For people and programs; Perry does not read them.
 */
annotations?: { [key in string]: string }, };

/**
 * What an engine says of itself.
 */
export type EngineSeen = {
/**
 * The engine's version.
 */
version: string,
/**
 * The API version that was agreed on.
 */
apiVersion: string,
/**
 * The names of the registered runtimes.
 */
runtimes: Array<string>, };

/**
 * An error on the wire: these five keys and never a sixth, which would make stock clients lose all of them.
 */
export type ErrorBody = {
/**
 * The code is declared by the procedure, and `data` has the declared type.
 */
defined: boolean,
/**
 * Such as `NOT_FOUND`.
 */
code: string,
/**
 * The HTTP status, 400 to 599.
 */
status: number,
/**
 * For people.
 */
message: string,
/**
 * By code: `issues` of BAD_REQUEST, the conflict of CONFLICT, `name` of NOT_FOUND and PRECONDITION_FAILED.
 */
data?: unknown, };

/**
 * Something that happened to a workspace. Equal ones in a row are counted, not listed.
 */
export type Event = {
/**
 * The workspace.
 */
name: Name,
/**
 * Its incarnation.
 */
uid: Uid,
/**
 * News or trouble.
 */
type: Severity,
/**
 * One CamelCase word for programs.
 */
reason: string,
/**
 * For people.
 */
message: string,
/**
 * When it last happened.
 */
at: string,
/**
 * How often in a row.
 */
count: number, };

/**
 * Which events.
 */
export type EventsInput = {
/**
 * Of one workspace; left out: of all.
 */
name?: Name,
/**
 * Go on with new ones as they happen, without end.
 */
follow?: boolean, };

/**
 * A command without a terminal.
 */
export type Exec = {
/**
 * Program and arguments; not empty.
 */
command: Array<string>,
/**
 * Seconds after which it and its children are killed.
 */
timeout?: number, };

/**
 * A command to run in a workspace, without a terminal.
 */
export type ExecInput = {
/**
 * The workspace.
 */
name: Name,
/**
 * Program and arguments; not empty.
 */
command: Array<string>,
/**
 * Seconds after which it and its children are killed, 1 to 86400; left out: never.
 */
timeout?: number, };

/**
 * How a command ended.
 */
export type ExecResponse = {
/**
 * What it wrote, invalid UTF-8 replaced: of the first 1 MiB (the rest is dropped and `truncated` set).
 */
stdout: string,
/**
 * The same for its errors.
 */
stderr: string,
/**
 * Its code; 128 + n where signal n ended it; 124 where the timeout did; 127 where there is no such program, 126
 * where it cannot be run.
 */
exitCode: number,
/**
 * Output was dropped.
 */
truncated?: boolean, };

/**
 * How a terminal ended. Nothing comes after it, and there is nothing to come back to.
 */
export type Exit = {
/**
 * The exit code; 128 + n where signal n ended it; absent where nobody knows.
 */
code?: number,
/**
 * The signal that ended it.
 */
signal?: number,
/**
 * For people.
 */
reason: string, };

/**
 * A file of the agent's host that is kept in sync into the workspace.
 */
export type FileSpec = {
/**
 * On the agent's host; must match `sync.allow`.
 */
from: string,
/**
 * In the workspace.
 */
to: string, };

/**
 * What a client says first.
 */
export type Hello = {
/**
 * Who calls, where no header could say so.
 */
token?: Secret,
/**
 * What this client calls itself, the same over all its connections: 1 to 64 letters, digits and dashes, at random. Input is applied once for each.
 */
client: string,
/**
 * Which terminal; left out: `main`.
 */
terminal?: Name,
/**
 * Which one of that name, as `Info::id` told it: one that has ended is not begun anew then.
 */
id?: string,
/**
 * The sequence number after the last byte that this client has, of that terminal.
 */
have?: number,
/**
 * Columns of the client's window.
 */
cols: number,
/**
 * Rows of it.
 */
rows: number,
/**
 * What to run where there is no such terminal yet; left out: the user's shell.
 */
create?: Create,
/**
 * A command to run without a terminal, in the place of one: it ends with the connection.
 */
exec?: Exec,
/**
 * Data may come compressed by zstd.
 */
compress?: boolean, };

/**
 * Commands run by the worker.
 */
export type Hooks = {
/**
 * Once, after the first start.
 */
onCreate?: string,
/**
 * At each start.
 */
onStart?: string, };

/**
 * What a viewer is told of its terminal, at first and at each change.
 */
export type Info = {
/**
 * Its name.
 */
terminal: Name,
/**
 * Which one of that name.
 */
id: string,
/**
 * What its program calls it.
 */
title: string,
/**
 * What runs in the foreground.
 */
program: string,
/**
 * Columns.
 */
cols: number,
/**
 * Rows.
 */
rows: number,
/**
 * How many look at it.
 */
viewers: number,
/**
 * This viewer may not type.
 */
readOnly: boolean, };

/**
 * One fault in an input.
 */
export type Issue = {
/**
 * What was wrong and what would be right.
 */
message: string,
/**
 * The field: keys and, for list items, their index as text.
 */
path: Array<string>, };

/**
 * All faults of one input; never empty where it is an error.
 */
export type Issues = Array<Issue>;

/**
 * What a manifest describes.
 */
export type Kind = "Workspace";

/**
 * A line of a log.
 */
export type LogLine = {
/**
 * Where it comes from.
 */
source: LogSource,
/**
 * The program or file: `boot`, `hooks`, `tools`, `dockerd`, `sshd` …
 */
from: string,
/**
 * Without its line break; what is no UTF-8 is replaced.
 */
line: string, };

/**
 * Where lines come from.
 */
export type LogSource = "boot" | "hooks" | "docker" | "worker";

/**
 * Which lines of a workspace's log.
 */
export type LogsInput = {
/**
 * The workspace.
 */
name: Name,
/**
 * Where from; left out: from everywhere, one after the other.
 */
source?: LogSource,
/**
 * So many lines from the end of each program's log, at most 10000; left out: 200.
 */
tail?: number,
/**
 * Go on with new ones as they come, until the container ends.
 */
follow?: boolean, };

/**
 * A message of a session.
 */
export type Message = {
/**
 * Its place in the session, from 0.
 */
index: number,
/**
 * The agent's id of it; unique in its session where the agent keeps it so.
 */
id: string,
/**
 * Who said it.
 */
role: MessageRole,
/**
 * What was said; may be empty. Written by whoever the agent talked to: not to be trusted as HTML or for a terminal.
 */
text: string,
/**
 * What the agent thought before.
 */
thinking?: string,
/**
 * The tools that it called, in order.
 */
tools: Array<ToolCall>,
/**
 * It is no answer but a failure.
 */
isError?: boolean,
/**
 * Some of it was too long to be given.
 */
truncated?: boolean,
/**
 * When its first part was written down.
 */
timestamp: string, };

/**
 * A place among the messages of a session.
 */
export type MessageRef = {
/**
 * The workspace.
 */
workspaceName: Name,
/**
 * The agent.
 */
agent: CodingAgent,
/**
 * The id.
 */
sessionId: string,
/**
 * The place.
 */
index: number, };

/**
 * Who said something.
 */
export type MessageRole = "user" | "assistant";

/**
 * Which messages are wanted.
 */
export type MessagesInput = {
/**
 * The workspace.
 */
workspaceName: Name,
/**
 * The session.
 */
sessionId: string,
/**
 * Its agent, where two have a session of that id.
 */
agent?: CodingAgent,
/**
 * The last ones before this index; left out: the last ones there are.
 */
before?: number,
/**
 * The first ones from this index on, instead.
 */
from?: number,
/**
 * How many at most; left out: 50. At most 500; fewer come where they are long.
 */
limit?: number,
/**
 * What of tools is wanted; left out: their names, and how they went.
 */
tools?: ToolDetail, };

/**
 * A name by `NAME_PATTERN`: lower-case letters, digits and inner dashes, at most 40 bytes. It fits into a host name, a
 * container name and a file name as it is.
 */
export type Name = string;

/**
 * Which workspace.
 */
export type NameInput = {
/**
 * Its name.
 */
name: Name, };

/**
 * A token that was just made.
 */
export type NewToken = {
/**
 * The token itself: `authorization: Bearer <token>`. Only its hash is kept.
 */
token: Secret,
/**
 * What is known of it.
 */
info: TokenInfo,
/**
 * The id of the agent that it is for.
 */
agent: string, };

/**
 * No input. Left out or `{}`.
 */
export type NoInput = Record<symbol, never>;

/**
 * Containers and volumes that bear this agent's id and belong to no workspace.
 */
export type Orphans = {
/**
 * Names of containers.
 */
containers: Array<string>,
/**
 * Names of volumes.
 */
volumes: Array<string>, };

/**
 * A pairing code that waits for being claimed.
 */
export type PairOffer = {
/**
 * The code; it works once.
 */
code: Secret,
/**
 * From when on it does not work any more.
 */
expires: string,
/**
 * The id of the agent.
 */
agent: string,
/**
 * Where the agent can be reached, best first: `http://127.0.0.1:7391`.
 */
addresses: Array<string>, };

/**
 * One word for what a workspace is doing, for lists.
 */
export type Phase = "unknown" | "creating" | "running" | "stopping" | "stopped" | "deleting" | "error";

/**
 * One step of a plan, for people and for scripts.
 */
export type PlannedAction = {
/**
 * One word, as in `startup.steps`.
 */
step: string,
/**
 * In words, such as `create volume workspace-a-home`.
 */
text: string,
/**
 * It ends something that a person may be using, or keeps.
 */
disruptive: boolean, };

/**
 * Ports `first` to `last`, both included; written `22000-22999`.
 */
export type PortRange = string;

/**
 * A port that is reached from the host.
 */
export type PortSpec = {
/**
 * What it is called.
 */
name: Name,
/**
 * The port inside, 1 to 65535.
 */
port: number,
/**
 * The port on the host; left out: allocated from `publishedPorts` and kept.
 */
hostPort?: number,
/**
 * The host's address; left out: 127.0.0.1.
 */
bind?: string, };

/**
 * What to remove.
 */
export type PruneInput = {
/**
 * Orphaned volumes, by name, whose content is to be lost.
 */
volumes?: Array<string>,
/**
 * Say what would be removed, and remove nothing.
 */
dryRun?: boolean, };

/**
 * What was removed, or would be.
 */
export type PruneOutput = {
/**
 * These.
 */
removed: Orphans,
/**
 * Orphaned volumes that were not named, and stay.
 */
kept: Array<string>, };

/**
 * A terminal to call something else. Who looks at it goes on.
 */
export type RenameTerminalInput = {
/**
 * In which workspace.
 */
name: Name,
/**
 * What it is called.
 */
terminal: Name,
/**
 * What it is to be called.
 */
to: Name, };

/**
 * Limits of a workspace; what is left out is not limited.
 */
export type Resources = {
/**
 * Processors, such as 2 or 0.5.
 */
cpus?: Cpus,
/**
 * Memory, such as 4Gi; at least 64Mi.
 */
memory?: Bytes,
/**
 * Processes and threads.
 */
pids?: number,
/**
 * Size of /dev/shm, such as 256Mi.
 */
shm?: Bytes, };

/**
 * A workspace to restart.
 */
export type RestartInput = {
/**
 * Its name.
 */
name: Name,
/**
 * Make its container anew, of the newest image and with the newest worker. What is in no volume is lost.
 */
upgrade?: boolean, };

/**
 * Which token.
 */
export type RevokeTokenInput = {
/**
 * Its name.
 */
name: Name, };

/**
 * What somebody may do; each may do all that those before it may.
 */
export type Role = "viewer" | "user" | "admin";

/**
 * Whether the container should be up.
 */
export type Run = "Running" | "Stopped";

/**
 * A message that was found.
 */
export type SearchHit = {
/**
 * The session that it is in.
 */
session: SessionInfo,
/**
 * Its place there.
 */
index: number,
/**
 * What is around of what was found.
 */
snippet: Array<SnippetPart>, };

/**
 * What is looked for.
 */
export type SearchInput = {
/**
 * Words that must all be there, or "a phrase" in quotes; the last word may be the beginning of one.
 */
query: string,
/**
 * In this workspace; left out: in all.
 */
workspaceName?: Name,
/**
 * In sessions of this agent.
 */
agent?: CodingAgent,
/**
 * How many at most; left out: 20. At most 100.
 */
limit?: number, };

/**
 * A text that nobody should read in a log: `Debug` shows nothing of it.
 */
export type Secret = string;

/**
 * What changes about sessions.
 */
export type SessionFrame = { "type": "reset" } | { "type": "upserted",
/**
 * As it is now.
 */
session: SessionInfo, } | { "type": "gone" } & SessionRef | { "type": "appended" } & MessageRef | { "type": "replaced" } & MessageRef | { "type": "truncated" } & MessageRef | { "type": "bookmark" };

/**
 * A session of a workspace.
 */
export type SessionInfo = {
/**
 * The workspace that it is in. A session is known by workspace, agent and id together: a home that was copied has the
 * same ids.
 */
workspaceName: Name,
/**
 * What was known last: the workspace does not run, or cannot be reached.
 */
stale?: boolean,
/**
 * The agent's id of it: what its own option to resume takes.
 */
sessionId: string,
/**
 * Whose it is.
 */
agent: CodingAgent,
/**
 * What it was called, else what its agent calls it, else its first prompt, in one line.
 */
title: string,
/**
 * Messages in it.
 */
messageCount: number,
/**
 * When its latest message, tool call or tool result was written down.
 */
lastActivity: string,
/**
 * The folder it works in.
 */
projectPath?: string,
/**
 * What it does.
 */
state: SessionState,
/**
 * Why that is said of it.
 */
reason: string,
/**
 * The name of the terminal that its process runs in.
 */
terminal?: string,
/**
 * The command that goes on with it, in `projectPath`.
 */
resume: Array<string>,
/**
 * Another text where any message differs; empty as long as they are counted and not read.
 */
revision: string, };

/**
 * A place in the list of sessions, which has those first that went on last.
 */
export type SessionPlace = {
/**
 * `lastActivity` of the session there.
 */
lastActivity: string,
/**
 * Its id.
 */
sessionId: string, };

/**
 * A session, by what it is known by.
 */
export type SessionRef = {
/**
 * The workspace.
 */
workspaceName: Name,
/**
 * The agent.
 */
agent: CodingAgent,
/**
 * The id.
 */
sessionId: string, };

/**
 * What a session does.
 */
export type SessionState = "working" | "waiting" | "idle" | "unreadable";

/**
 * Which sessions are wanted.
 */
export type SessionsInput = {
/**
 * Of this workspace; left out: of all.
 */
workspaceName?: Name,
/**
 * Of this agent.
 */
agent?: CodingAgent,
/**
 * In this state.
 */
state?: SessionState,
/**
 * Those that come after this place: the last one of the page before.
 */
after?: SessionPlace,
/**
 * How many at most; left out: 1000, which is the most.
 */
limit?: number, };

/**
 * Which agent clients talk to.
 */
export type SetWorkerInput = {
/**
 * As `host:port`; empty: the agent of the folder.
 */
worker: string, };

/**
 * Whether an event is news or trouble.
 */
export type Severity = "Normal" | "Warning";

/**
 * Columns and rows.
 */
export type Size = {
/**
 * Columns.
 */
cols: number,
/**
 * Rows.
 */
rows: number, };

/**
 * A piece of a text that was found.
 */
export type SnippetPart = {
/**
 * The text.
 */
text: string,
/**
 * It is what was looked for.
 */
isMatch: boolean, };

/**
 * What a workspace should be. Every field is optional.
 */
export type Spec = {
/**
 * `Running` or `Stopped`. Left out: as it is now; `Running` for a new workspace.
 */
run?: Run,
/**
 * The container image. Left out: the agent's `imageTag`.
 */
image?: string,
/**
 * A git repository, cloned once after the first start.
 */
clone?: CloneSpec,
/**
 * Environment of everything inside.
 */
env?: { [key in string]: string },
/**
 * Ports that are reached from the host; `ssh` (22) is always there.
 */
ports?: Array<PortSpec>,
/**
 * Volumes beside home and docker.
 */
volumes?: Array<VolumeSpec>,
/**
 * Limits.
 */
resources?: Resources,
/**
 * Docker inside the workspace. Without it the container is unprivileged.
 */
docker?: boolean,
/**
 * Who may come in by ssh, and where it listens.
 */
ssh?: SshSpec,
/**
 * Files of the agent's host, kept in sync into the workspace.
 */
files?: Array<FileSpec>,
/**
 * Tools installed after start.
 */
tools?: Array<string>,
/**
 * Commands run by the worker.
 */
hooks?: Hooks, };

/**
 * ssh of all workspaces.
 */
export type SshConfig = {
/**
 * Public keys that may enter every workspace.
 */
authorizedKeys: Array<string>,
/**
 * The host's address of ssh ports.
 */
bind: string,
/**
 * Lend the ssh agent of this machine (`SSH_AUTH_SOCK` of the agent) to `spec.clone`, as long as it runs.
 */
forwardAgent: boolean, };

/**
 * Who may come in by ssh, and where it listens.
 */
export type SshSpec = {
/**
 * Public keys, as in an `authorized_keys` file.
 */
authorizedKeys?: Array<string>,
/**
 * The host's address; left out: the agent's `ssh.bind`.
 */
bind?: string, };

/**
 * A workspace to start; what is given besides `name` must be so already, or is so where it is created.
 */
export type StartInput = {
/**
 * Its name.
 */
name: Name,
/**
 * Create it where it does not exist.
 */
create?: boolean,
/**
 * A git repository to clone.
 */
clone?: CloneInput,
/**
 * The container image.
 */
image?: string,
/**
 * Environment of everything inside.
 */
env?: { [key in string]: string },
/**
 * Ports that are reached from the host.
 */
ports?: Array<PortSpec>, };

/**
 * The steps of a start.
 */
export type Startup = {
/**
 * In the order in which they began.
 */
steps: Array<Step>, };

/**
 * One step of a start.
 */
export type Step = {
/**
 * What: image, network, volumes, create, install-worker, limits, start, worker, ssh, docker, sync-files.
 */
name: string,
/**
 * How far it is.
 */
state: StepState,
/**
 * When it began.
 */
startedAt: string,
/**
 * How long it took, in milliseconds; absent while it runs.
 */
durationMs?: number,
/**
 * Progress or the error.
 */
message?: string, };

/**
 * How far a step is.
 */
export type StepState = "running" | "done" | "failed";

/**
 * What is brought into every workspace.
 */
export type SyncConfig = {
/**
 * Environment.
 */
env: { [key in string]: string },
/**
 * Files.
 */
files: Array<FileSpec>,
/**
 * Which files of the host a workspace may ask for.
 */
allow: Array<string>, };

/**
 * What is run for a spec.
 */
export type TaskName = "clone" | "onCreate" | "onStart" | "tools";

/**
 * What the worker says of a task.
 */
export type TaskSeen = {
/**
 * Which one.
 */
name: TaskName,
/**
 * How far it is.
 */
state: TaskState,
/**
 * How its process ended: 128 + n where signal n ended it; absent where it has not ended, or never began.
 */
exitCode?: number,
/**
 * Its last words, or what it waits for; may be empty.
 */
message?: string,
/**
 * When it began.
 */
startedAt?: string,
/**
 * When it ended.
 */
endedAt?: string, };

/**
 * How far a task is.
 */
export type TaskState = "waiting" | "running" | "succeeded" | "retrying" | "failed";

/**
 * A terminal of a workspace.
 */
export type TerminalInfo = {
/**
 * Its name, unique in its workspace.
 */
terminal: Name,
/**
 * Which one of that name.
 */
id: string,
/**
 * What its program calls it; may be empty.
 */
title: string,
/**
 * What it was begun with; empty: the user's shell.
 */
command: Array<string>,
/**
 * What runs in the foreground.
 */
program: string,
/**
 * The device within the workspace, such as `/dev/pts/3`.
 */
tty: string,
/**
 * Columns.
 */
cols: number,
/**
 * Rows.
 */
rows: number,
/**
 * How many look at it.
 */
viewers: number,
/**
 * When it was begun.
 */
created: string,
/**
 * When something was last typed or printed.
 */
lastActivity: string, };

/**
 * What TLS needs: files in PEM, read when the agent starts.
 */
export type TlsConfig = {
/**
 * The certificate, and those that it stands on.
 */
cert: string,
/**
 * Its private key.
 */
key: string, };

/**
 * What is known of a token; nothing of it is secret.
 */
export type TokenInfo = {
/**
 * The part of the token that is no secret.
 */
id: string,
/**
 * What its owner calls it.
 */
name: Name,
/**
 * What it may do.
 */
role: Role,
/**
 * The only workspaces that there are for it; absent: all.
 */
workspaces?: Array<Name>,
/**
 * With role `user`: it may have what reaches the host.
 */
allowHost?: boolean,
/**
 * When it was made.
 */
created: string,
/**
 * From when on it is worthless; absent: never.
 */
expires?: string,
/**
 * When it was last shown, to the hour; absent: never.
 */
lastUsed?: string, };

/**
 * A tool that an agent called.
 */
export type ToolCall = {
/**
 * The agent's id of the call.
 */
id: string,
/**
 * The tool.
 */
name: string,
/**
 * How it went.
 */
status: ToolStatus,
/**
 * What it was given, as the agent wrote it down (mostly JSON); only where it is asked for.
 */
input?: string,
/**
 * What it answered; only where it is asked for.
 */
output?: string, };

/**
 * What of tools is wanted with messages.
 */
export type ToolDetail = "none" | "input" | "whole";

/**
 * How a tool call went.
 */
export type ToolStatus = "ok" | "error" | "pending";

/**
 * One incarnation of a name: deleting a workspace and creating one of the same name gives another uid.
 */
export type Uid = string;

/**
 * What a workspace uses at a moment.
 */
export type Usage = {
/**
 * The workspace.
 */
name: Name,
/**
 * Processors in use since the figure before; absent in the first one.
 */
cpu?: number,
/**
 * Bytes of memory, without what the kernel would give back at once.
 */
memory: number,
/**
 * Bytes of memory that may be used, where that is limited.
 */
memoryLimit?: number,
/**
 * Bytes on disk, counted about once a minute while somebody asks.
 */
disk: Disk,
/**
 * TCP ports that servers inside listen on, ssh among them.
 */
ports: Array<number>, };

/**
 * A variant of the agent's own image, built from the files inside this program.
 */
export type Variant = "full" | "slim";

/**
 * A volume of the workspace's own.
 */
export type VolumeSpec = {
/**
 * What it is called; `home` and `docker` are taken.
 */
name: Name,
/**
 * Where it is mounted, an absolute path.
 */
path: string, };

/**
 * What one volume occupies.
 */
export type VolumeUsage = {
/**
 * Its name on the engine.
 */
name: string,
/**
 * Where it is mounted.
 */
path: string,
/**
 * Bytes; absent where the volume's driver does not say.
 */
bytes?: number, };

/**
 * One frame of a watch. Its event id, where it has one, is the cursor to resume from.
 */
export type WatchFrame = {
/**
 * What it says.
 */
type: WatchKind,
/**
 * The whole workspace; absent for `reset` and `bookmark`.
 */
workspace?: Workspace, };

/**
 * What a `WatchFrame` says.
 */
export type WatchKind = "reset" | "added" | "modified" | "deleted" | "bookmark";

/**
 * What is watched.
 */
export type WatchSessionsInput = {
/**
 * Sessions of this workspace; left out: of all.
 */
workspaceName?: Name, };

/**
 * The worker inside a workspace.
 */
export type WorkerView = {
/**
 * Its version.
 */
version: string,
/**
 * Whether it answered when last asked.
 */
healthy: boolean,
/**
 * What it runs for the spec.
 */
tasks?: Array<TaskSeen>, };

/**
 * What clients see of a workspace.
 */
export type Workspace = {
/**
 * Its name.
 */
name: Name,
/**
 * One word for lists.
 */
status: Phase,
/**
 * When the engine was last looked at for it; absent before the first look.
 */
observedAt?: string,
/**
 * Its container, where there is one.
 */
containerId?: string,
/**
 * When the name was first applied.
 */
created: string,
/**
 * Its image.
 */
image: string,
/**
 * The host port of each port.
 */
ports: { [key in Name]: number },
/**
 * Its incarnation.
 */
uid: Uid,
/**
 * For selecting.
 */
labels: { [key in string]: string },
/**
 * For people and programs.
 */
annotations: { [key in string]: string },
/**
 * The generation of intent.
 */
generation: number,
/**
 * The newest generation that a look at the engine was made for; 0 before the first.
 */
observedGeneration: number,
/**
 * The watch cursor of its last change.
 */
resourceVersion: string,
/**
 * What it should be.
 */
spec: Spec,
/**
 * What is true of it.
 */
conditions: Array<Condition>,
/**
 * The steps of its latest start.
 */
startup?: Startup,
/**
 * The worker inside.
 */
worker?: WorkerView, };
