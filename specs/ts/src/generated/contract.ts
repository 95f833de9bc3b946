// Made from the table of procedures in src/contract/table.rs: change it there, then run
// UPDATE_GOLDEN=1 cargo test --test rpc typescript

import { eventIterator, oc, type } from '@orpc/contract'

import type {
  AgentInfo,
  ApplyInput,
  ApplyOutput,
  BuildInput,
  BuildProgress,
  ClaimInput,
  CloseTerminalInput,
  ConfigShown,
  Conflict,
  CreateInput,
  CreateTerminalInput,
  CreateTokenInput,
  DeleteOutput,
  DiskUsage,
  DoctorReport,
  Event,
  EventsInput,
  ExecInput,
  ExecResponse,
  LogLine,
  LogsInput,
  Message,
  MessagesInput,
  NameInput,
  NewToken,
  NoInput,
  Orphans,
  PairOffer,
  PruneInput,
  PruneOutput,
  RenameTerminalInput,
  RestartInput,
  RevokeTokenInput,
  SearchHit,
  SearchInput,
  SessionFrame,
  SessionInfo,
  SessionsInput,
  SetWorkerInput,
  StartInput,
  TerminalInfo,
  TokenInfo,
  Usage,
  WatchFrame,
  WatchSessionsInput,
  Workspace,
} from './types.ts'

/** Every procedure of an agent. */
export const contract = {
  agent: {
    /** What the agent says of itself. Role viewer, reach workspaces. */
    info: oc.input(type<NoInput | undefined>()).output(type<AgentInfo>()),
    /** Whether all that the agent needs is as it should be, and what to do where it is not. Role admin, reach agent. */
    doctor: oc.input(type<NoInput | undefined>()).output(type<DoctorReport>()),
    /** Ends the agent. Workspaces go on running. Role admin, reach agent. */
    kill: oc.input(type<NoInput | undefined>()).output(type<void>()),
  },
  config: {
    /** The agent's settings. Role admin, reach agent. */
    get: oc.input(type<NoInput | undefined>()).output(type<ConfigShown>()),
    /** Which agent the clients of this one's folder talk to: `worker` of its `client.json`. Role admin, reach agent. */
    setWorker: oc.errors({ SERVICE_UNAVAILABLE: { status: 503 } }).input(type<SetWorkerInput>()).output(type<ConfigShown>()),
  },
  images: {
    /** Builds the agent's own image, also when there is one. Role user, reach agent. */
    build: oc.errors({ SERVICE_UNAVAILABLE: { status: 503 } }).input(type<BuildInput | undefined>()).output(eventIterator(type<BuildProgress>())),
  },
  orphans: {
    /** Containers and volumes that bear this agent's id and belong to no workspace. Role admin, reach agent. */
    list: oc.errors({ SERVICE_UNAVAILABLE: { status: 503 } }).input(type<NoInput | undefined>()).output(type<Orphans>()),
    /** Removes orphaned containers, and those orphaned volumes that are named. Refused while it is not sure which workspaces there are. Role admin, reach agent. */
    prune: oc.errors({ SERVICE_UNAVAILABLE: { status: 503 } }).input(type<PruneInput | undefined>()).output(type<PruneOutput>()),
  },
  pair: {
    /** Makes a code that another device trades for a token of its own, once and within five minutes. Role admin, reach agent. */
    offer: oc.errors({ CONFLICT: { status: 409, data: type<Conflict>() } }).input(type<CreateTokenInput>()).output(type<PairOffer>()),
    /** Trades a pairing code for a token. Needs no token. */
    claim: oc.errors({ FORBIDDEN: { status: 403 }, SERVICE_UNAVAILABLE: { status: 503 } }).input(type<ClaimInput>()).output(type<NewToken>()),
  },
  sessions: {
    /** Sessions of coding agents in all workspaces, those that went on last first; of workspaces that do not run as they were known last. Role viewer, reach workspaces. */
    list: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() } }).input(type<SessionsInput | undefined>()).output(type<Array<SessionInfo>>()),
    /** Messages of a session of a running workspace, in order; without a place the last ones. What they hold was written by programs inside, and by whoever these talked to. Role viewer, reach workspaces. */
    messages: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() }, PRECONDITION_FAILED: { status: 412, data: type<{ name: string }>() }, SERVICE_UNAVAILABLE: { status: 503 } }).input(type<MessagesInput>()).output(type<Array<Message>>()),
    /** Messages of all sessions that hold what is looked for, the best first. Role viewer, reach workspaces. */
    search: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() }, SERVICE_UNAVAILABLE: { status: 503 } }).input(type<SearchInput>()).output(type<Array<SearchHit>>()),
    /** Every session of a coding agent, and then every change: a `reset`, each session as `upserted`, a `bookmark`, and what follows. A reader who is too slow is cut off and begins anew. Role viewer, reach workspaces. */
    watch: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() }, SERVICE_UNAVAILABLE: { status: 503 } }).input(type<WatchSessionsInput | undefined>()).output(eventIterator(type<SessionFrame>())),
  },
  terminals: {
    /** The terminals of a running workspace, by name. Role viewer, reach workspaces. */
    list: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() }, PRECONDITION_FAILED: { status: 412, data: type<{ name: string }>() }, SERVICE_UNAVAILABLE: { status: 503 } }).input(type<NameInput>()).output(type<Array<TerminalInfo>>()),
    /** Begins a terminal in a running workspace. Attaching to one that there is not begins it too. Role user, reach host. */
    create: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() }, CONFLICT: { status: 409, data: type<Conflict>() }, PRECONDITION_FAILED: { status: 412, data: type<{ name: string }>() }, SERVICE_UNAVAILABLE: { status: 503 } }).input(type<CreateTerminalInput>()).output(type<TerminalInfo>()),
    /** Calls a terminal something else. Who looks at it goes on. Role user, reach workspaces. */
    rename: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() }, CONFLICT: { status: 409, data: type<Conflict>() }, PRECONDITION_FAILED: { status: 412, data: type<{ name: string }>() }, SERVICE_UNAVAILABLE: { status: 503 } }).input(type<RenameTerminalInput>()).output(type<TerminalInfo>()),
    /** Ends a terminal and what runs in it, as closing its window would. Role user, reach workspaces. */
    close: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() }, PRECONDITION_FAILED: { status: 412, data: type<{ name: string }>() }, SERVICE_UNAVAILABLE: { status: 503 } }).input(type<CloseTerminalInput>()).output(type<void>()),
  },
  tokens: {
    /** Makes an access token. It is shown here and never again. Role admin, reach agent. */
    create: oc.errors({ CONFLICT: { status: 409, data: type<Conflict>() }, SERVICE_UNAVAILABLE: { status: 503 } }).input(type<CreateTokenInput>()).output(type<NewToken>()),
    /** Every access token, without what is secret of it. Role admin, reach agent. */
    list: oc.input(type<NoInput | undefined>()).output(type<Array<TokenInfo>>()),
    /** Makes an access token worthless at once; streams that were opened with it end. Role admin, reach agent. */
    revoke: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() }, SERVICE_UNAVAILABLE: { status: 503 } }).input(type<RevokeTokenInput>()).output(type<TokenInfo>()),
  },
  workspaces: {
    /** Every workspace, by name. Role viewer, reach workspaces. */
    list: oc.input(type<NoInput | undefined>()).output(type<Array<Workspace>>()),
    /** One workspace. Role viewer, reach workspaces. */
    get: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() } }).input(type<NameInput>()).output(type<Workspace>()),
    /** Makes a workspace and starts it. Answers once the intent is stored; watch for the rest. Role user, reach host. */
    create: oc.errors({ CONFLICT: { status: 409, data: type<Conflict>() } }).input(type<CreateInput>()).output(type<Workspace>()),
    /** Deletes a workspace with its volumes. Accepted in every state, and again while it is under way. Role user, reach workspaces. */
    delete: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() } }).input(type<NameInput>()).output(type<DeleteOutput>()),
    /** Starts a workspace; with `create` makes it where it does not exist. Role user, reach host. */
    start: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() }, CONFLICT: { status: 409, data: type<Conflict>() } }).input(type<StartInput>()).output(type<Workspace>()),
    /** Stops a workspace; everything in it is kept. Role user, reach workspaces. */
    stop: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() }, CONFLICT: { status: 409, data: type<Conflict>() } }).input(type<NameInput>()).output(type<Workspace>()),
    /** Restarts a workspace, with `upgrade` in a new container of the newest image; for a stalled one this is another try. Role user, reach workspaces. */
    restart: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() }, CONFLICT: { status: 409, data: type<Conflict>() } }).input(type<RestartInput>()).output(type<Workspace>()),
    /** Makes workspaces what their manifests say: all of them or, where one is refused, none. Role user, reach host. */
    apply: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() }, CONFLICT: { status: 409, data: type<Conflict>() } }).input(type<ApplyInput | undefined>()).output(type<ApplyOutput>()),
    /** What `apply` would do; changes nothing. Role viewer, reach workspaces. */
    plan: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() }, CONFLICT: { status: 409, data: type<Conflict>() } }).input(type<ApplyInput | undefined>()).output(type<ApplyOutput>()),
    /** Brings the files of the agent's host into a running workspace now (`sync.files`, `spec.files`), also where nothing seems to have changed. Refused where one of them cannot be brought; the others are. Role user, reach workspaces. */
    sync: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() }, PRECONDITION_FAILED: { status: 412, data: type<{ name: string }>() }, SERVICE_UNAVAILABLE: { status: 503 } }).input(type<NameInput>()).output(type<void>()),
    /** Runs a command in a running workspace and waits for its end. Role user, reach host. */
    exec: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() }, PRECONDITION_FAILED: { status: 412, data: type<{ name: string }>() }, SERVICE_UNAVAILABLE: { status: 503 } }).input(type<ExecInput>()).output(type<ExecResponse>()),
    /** What a workspace occupies on disk, counted now: with many files it takes a while. Role viewer, reach workspaces. */
    disk: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() }, SERVICE_UNAVAILABLE: { status: 503 } }).input(type<NameInput>()).output(type<DiskUsage>()),
    /** Every workspace, and then every change. `last-event-id` resumes; where that place is no longer known, `reset` and the whole list come first. Role viewer, reach workspaces. */
    watch: oc.errors({ SERVICE_UNAVAILABLE: { status: 503 } }).input(type<NoInput | undefined>()).output(eventIterator(type<WatchFrame>())),
    /** What happened to workspaces, oldest first; with `follow` also what happens from now on. Role viewer, reach workspaces. */
    events: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() }, SERVICE_UNAVAILABLE: { status: 503 } }).input(type<EventsInput | undefined>()).output(eventIterator(type<Event>())),
    /** Lines of a workspace's log, also of one that does not run. They may hold what a viewer is not to see: a hook prints what it likes. Role user, reach workspaces. */
    logs: oc.errors({ NOT_FOUND: { status: 404, data: type<{ name: string }>() }, PRECONDITION_FAILED: { status: 412, data: type<{ name: string }>() }, SERVICE_UNAVAILABLE: { status: 503 } }).input(type<LogsInput>()).output(eventIterator(type<LogLine>())),
    /** What each running workspace uses: every few seconds one value for each, without end. Role viewer, reach workspaces. */
    usage: oc.errors({ SERVICE_UNAVAILABLE: { status: 503 } }).input(type<NoInput | undefined>()).output(eventIterator(type<Usage>())),
  },
}
