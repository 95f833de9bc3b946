import { type ClientContext, type ClientLink, createORPCClient, ORPCError } from '@orpc/client'
import { RPCLink } from '@orpc/client/websocket'
import type { ContractRouterClient } from '@orpc/contract'

import { backoff } from './backoff.ts'
import { DisconnectedError } from './errors.ts'
import type { contract } from './generated/contract.ts'
import { Observable } from './observable.ts'

/** Every procedure of an agent, typed. */
export type PerryClient = ContractRouterClient<typeof contract>

export type ConnectionState =
  | { readonly status: 'connecting' }
  | { readonly status: 'open' }
  /** Until this moment (milliseconds since 1970) nothing is tried. */
  | { readonly status: 'waiting'; readonly until: number; readonly reason: string }
  /** The agent does not take the token. */
  | { readonly status: 'refused'; readonly reason: string }
  | { readonly status: 'closed' }

export interface ConnectOptions {
  /** The agent, such as `http://127.0.0.1:7391`. */
  readonly url: string
  /** What says who calls; asked for at each call, so that it may change. It is never in a URL. */
  readonly token: string | (() => string)
  /** How long a call waits for a connection, in milliseconds. */
  readonly patience?: number
  /** Left out: the platform's. */
  readonly WebSocket?: new (url: string) => WebSocket
  /** Of [0, 1), for tests. */
  readonly random?: () => number
}

/** `readyState` of a WebSocket; React Native has no constants for them. */
const CONNECTING = 0
const OPEN = 1
/** How long an agent has to say that it is there, in milliseconds. */
const PROBE_MS = 5_000

/** A socket to which nothing is sent any more once it is closed. The stock client tells the agent that a call is aborted
 * also then, and what that throws can be caught by nobody. Calls under way fail by the socket's `close`. */
function quiet(socket: WebSocket): ConstructorParameters<typeof RPCLink>[0]['websocket'] {
  return {
    addEventListener: socket.addEventListener.bind(socket),
    removeEventListener: socket.removeEventListener.bind(socket),
    get readyState() {
      return socket.readyState === CONNECTING ? CONNECTING : OPEN
    },
    send(data) {
      if (socket.readyState === OPEN) socket.send(data)
    },
  }
}

/** Connects to an agent, and again whenever that breaks, until it is closed. */
export function connect(options: ConnectOptions): Connection {
  return new Connection(options)
}

type Link = RPCLink<ClientContext>

/** One WebSocket to an agent, for all calls and streams. */
export class Connection {
  readonly client: PerryClient
  readonly state = new Observable<ConnectionState>({ status: 'connecting' })
  readonly #options: ConnectOptions
  #socket: WebSocket | undefined
  #link: Link | undefined
  #attempt = 0
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(options: ConnectOptions) {
    this.#options = options
    const link: ClientLink<ClientContext> = { call: (path, input, rest) => this.#call(path, input, rest) }
    this.client = createORPCClient<PerryClient>(link)
    this.#open()
  }

  /** Ends it for good. */
  close(): void {
    this.state.set({ status: 'closed' })
    this.#drop()
  }

  /** Tries again after `refused`, with another token. */
  retry(): void {
    if (this.state.get().status !== 'closed') this.#restart()
  }

  /** The device is awake or online again: does not wait any longer, and looks whether what seems open is. */
  async wake(): Promise<void> {
    const { status } = this.state.get()
    if (status === 'waiting') this.#restart()
    if (status === 'open') await this.#probe().catch(() => this.#broken(this.#socket, 'the agent does not answer'))
  }

  #restart(): void {
    this.#attempt = 0
    this.#drop()
    this.#open()
  }

  #open(): void {
    const { url, WebSocket: Socket = globalThis.WebSocket } = this.#options
    this.state.set({ status: 'connecting' })
    const socket = new Socket(`${url.replace(/^http/, 'ws').replace(/\/+$/, '')}/rpc`)
    this.#socket = socket
    this.#link = new RPCLink({ websocket: quiet(socket), headers: () => ({ authorization: `Bearer ${this.#token()}` }) })
    socket.addEventListener('open', () => this.#opened(socket))
    // What went wrong is told to nobody by browsers; the close that follows is enough.
    socket.addEventListener('error', () => {})
    socket.addEventListener('close', () => this.#broken(socket, 'the connection was cut'))
  }

  async #opened(socket: WebSocket): Promise<void> {
    try {
      // Says who we are; without that the agent closes the socket after a while.
      await this.#probe()
    } catch (error) {
      if (socket !== this.#socket) return
      if (error instanceof ORPCError && error.code === 'UNAUTHORIZED') this.#refused(error.message)
      else this.#broken(socket, error instanceof Error ? error.message : String(error))
      return
    }
    if (socket !== this.#socket) return
    this.#attempt = 0
    this.state.set({ status: 'open' })
  }

  async #probe(): Promise<void> {
    const link = this.#link
    if (link === undefined) throw new DisconnectedError('cut', 'there is no connection')
    await link.call(['agent', 'info'], undefined, { context: {}, signal: AbortSignal.timeout(PROBE_MS) })
  }

  #refused(reason: string): void {
    this.state.set({ status: 'refused', reason })
    this.#drop()
  }

  #broken(socket: WebSocket | undefined, reason: string): void {
    if (socket === undefined || socket !== this.#socket) return
    this.#drop()
    const delay = backoff(this.#attempt++, this.#options.random ?? Math.random)
    this.state.set({ status: 'waiting', until: Date.now() + delay, reason })
    this.#timer = setTimeout(() => this.#open(), delay)
  }

  #drop(): void {
    clearTimeout(this.#timer)
    const socket = this.#socket
    this.#socket = undefined
    this.#link = undefined
    socket?.close()
  }

  #token(): string {
    const { token } = this.#options
    return typeof token === 'string' ? token : token()
  }

  async #call(path: readonly string[], input: unknown, options: Parameters<Link['call']>[2]): Promise<unknown> {
    const link = await this.#ready(options.signal)
    const socket = this.#socket
    try {
      return await link.call(path, input, options)
    } catch (error) {
      if (error instanceof ORPCError || socket === this.#socket || options.signal?.aborted) throw error
      throw new DisconnectedError('cut', 'the connection was cut before the agent had answered', { cause: error })
    }
  }

  /** Waits until calls can be made. */
  #ready(signal: AbortSignal | undefined): Promise<Link> {
    const { patience = 10_000 } = this.#options
    return new Promise((resolve, reject) => {
      const settle = (done: () => void) => {
        clearTimeout(timer)
        unsubscribe()
        signal?.removeEventListener('abort', aborted)
        done()
      }
      const look = () => {
        const state = this.state.get()
        const fail = (reason: 'refused' | 'closed', message: string) => settle(() => reject(new DisconnectedError(reason, message)))
        if (state.status === 'open' && this.#link !== undefined) {
          const link = this.#link
          settle(() => resolve(link))
        } else if (state.status === 'refused') fail('refused', state.reason)
        else if (state.status === 'closed') fail('closed', 'the connection is closed')
      }
      const late = () => settle(() => reject(new DisconnectedError('timeout', `there is no connection to ${this.#options.url}`)))
      const aborted = () => settle(() => reject(signal?.reason))
      const timer = setTimeout(late, patience)
      const unsubscribe = this.state.subscribe(look)
      signal?.addEventListener('abort', aborted)
      if (signal?.aborted) aborted()
      else look()
    })
  }
}
