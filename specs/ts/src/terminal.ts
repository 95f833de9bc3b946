import { backoff } from './backoff.ts'
import type { Create, Exit, Hello, Info, Size } from './generated/types.ts'
import { Observable } from './observable.ts'
import { decode, encode, FrameError, type ServerFrame, SUBPROTOCOL } from './terminal/frames.ts'
import { InputQueue } from './terminal/input.ts'
import { Renderer, type Screen } from './terminal/render.ts'

export type TerminalState =
  | { readonly status: 'connecting' }
  | { readonly status: 'open' }
  /** Until this moment (milliseconds since 1970) nothing is tried. */
  | { readonly status: 'waiting'; readonly until: number; readonly reason: string }
  /** The agent does not let this token in: `retry()` tries again. */
  | { readonly status: 'refused'; readonly reason: string }
  /** It has ended, with its workspace or by itself, and there is nothing to come back to. */
  | { readonly status: 'exited'; readonly exit: Exit }
  /** It cannot be shown: `retry()` tries again. */
  | { readonly status: 'failed'; readonly reason: string }
  | { readonly status: 'closed' }

export interface TerminalOptions {
  /** The agent, such as `http://127.0.0.1:7391`. */
  readonly url: string
  /** What says who calls; asked for at each connection. It is never in a URL. */
  readonly token: string | (() => string)
  readonly workspace: string
  /** Which of its terminals; left out: `main`. */
  readonly terminal?: string
  /** What to run where there is no such terminal yet; left out: the user's shell. */
  readonly create?: Create
  /** The size of the window. */
  readonly size: Size
  readonly screen: Screen
  /** Makes what undoes zstd for one connection: given the pieces in order, it gives what is in them. Left out: output comes
   * as it is. */
  readonly decompressor?: () => (piece: Uint8Array) => Uint8Array
  /** Left out: the platform's. */
  readonly WebSocket?: new (url: string, protocol: string) => WebSocket
  /** Of [0, 1), for tests. */
  readonly random?: () => number
}

/** After so many bytes what was rendered is acknowledged. */
const ACK_EVERY = 16 << 10
/** `readyState` of a WebSocket; React Native has no constants for them. */
const OPEN = 1
const UNAUTHORIZED = 4001
const FORBIDDEN = 4003
const NOT_FOUND = 4404
const FAILED = 1011

/** Shows a terminal, and goes on over cuts and restarts of the agent until it has ended or is closed. */
export function openTerminal(options: TerminalOptions): Terminal {
  return new Terminal(options)
}

/** A terminal of a workspace. */
export class Terminal {
  readonly state = new Observable<TerminalState>({ status: 'connecting' })
  /** Its title, program, viewers; none before the first connection. */
  readonly info = new Observable<Info | undefined>(undefined)
  readonly #options: TerminalOptions
  readonly #client: string
  readonly #input = new InputQueue()
  readonly #renderer: Renderer
  #size: Size
  #socket: WebSocket | undefined
  #decompress: ((piece: Uint8Array) => Uint8Array) | undefined
  /** The number after the last byte that came. */
  #have: number | undefined
  #acknowledged = 0
  #attempt = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #exit: Exit | undefined

  constructor(options: TerminalOptions) {
    this.#options = options
    this.#size = options.size
    const random = options.random ?? Math.random
    this.#client = Array.from({ length: 32 }, () => Math.floor(random() * 36).toString(36)).join('')
    this.#renderer = new Renderer(options.screen, () => this.#acknowledge())
    this.#open()
  }

  /** Types. What cannot be sent now is sent as soon as it can be; false where too much waits already. */
  input(what: string | Uint8Array): boolean {
    const taken = this.#input.push(typeof what === 'string' ? new TextEncoder().encode(what) : what)
    this.#type()
    return taken
  }

  /** The window has another size. Whose size the terminal takes is up to the agent: who typed last. */
  resize(size: Size): void {
    this.#size = size
    this.#send(encode.resize(size))
  }

  /** Leaves; the terminal goes on. */
  close(): void {
    this.state.set({ status: 'closed' })
    this.#drop()
  }

  /** Tries again after `refused` or `failed`. */
  retry(): void {
    const { status } = this.state.get()
    if (status === 'refused' || status === 'failed') this.#restart()
  }

  /** The device is awake or online again: a connection that seems open may not be, and another costs only what was missed. */
  wake(): void {
    const { status } = this.state.get()
    if (status === 'waiting' || status === 'open') this.#restart()
  }

  #restart(): void {
    this.#attempt = 0
    this.#drop()
    this.#open()
  }

  #open(): void {
    const { url, workspace, WebSocket: Socket = globalThis.WebSocket } = this.#options
    this.state.set({ status: 'connecting' })
    const path = `terminal/${encodeURIComponent(workspace)}`
    const socket = new Socket(`${url.replace(/^http/, 'ws').replace(/\/+$/, '')}/${path}`, SUBPROTOCOL)
    socket.binaryType = 'arraybuffer'
    this.#socket = socket
    this.#decompress = this.#options.decompressor?.()
    socket.addEventListener('open', () => this.#greet(socket))
    socket.addEventListener('message', ({ data }) => {
      if (socket === this.#socket) this.#heard(data)
    })
    // What went wrong is told to nobody by browsers; the close that follows is enough.
    socket.addEventListener('error', () => {})
    socket.addEventListener('close', ({ code, reason }) => {
      if (socket === this.#socket) this.#closed(code, reason)
    })
  }

  #greet(socket: WebSocket): void {
    if (socket !== this.#socket) return
    const { token, terminal, create } = this.#options
    const id = this.info.get()?.id
    const hello: Hello = {
      token: typeof token === 'string' ? token : token(),
      client: this.#client,
      ...this.#size,
      ...(terminal !== undefined && { terminal }),
      ...(id !== undefined && { id }),
      ...(this.#have !== undefined && { have: this.#have }),
      ...(create !== undefined && id === undefined && { create }),
      ...(this.#decompress !== undefined && { compress: true }),
    }
    socket.send(encode.hello(hello))
    this.#acknowledged = this.#have ?? 0
    this.#input.again()
    this.#type()
  }

  #heard(data: unknown): void {
    try {
      const frame = data instanceof ArrayBuffer ? decode(new Uint8Array(data)) : undefined
      if (frame === undefined) return
      if (this.state.get().status !== 'open') {
        this.#attempt = 0
        this.state.set({ status: 'open' })
      }
      this.#take(frame)
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      this.#end({ status: 'failed', reason: error.message })
    }
  }

  #take(frame: ServerFrame): void {
    switch (frame.type) {
      case 'data': {
        const bytes = frame.compressed ? this.#decompressed(frame.bytes) : frame.bytes
        this.#have = frame.sequence + bytes.length
        return this.#renderer.data(bytes, this.#have)
      }
      case 'snapshot':
        this.#have = frame.sequence
        this.#acknowledged = frame.sequence
        return this.#renderer.snapshot(frame.bytes, frame.size, frame.sequence)
      case 'info':
        this.info.set(frame.info)
        return this.#renderer.size(frame.info)
      case 'applied':
        this.#input.applied(frame.id)
        return this.#type()
      case 'exit':
        this.#exit = frame.exit
    }
  }

  #decompressed(bytes: Uint8Array): Uint8Array {
    if (this.#decompress === undefined) throw new FrameError('what comes is compressed, which was not asked for')
    try {
      return this.#decompress(bytes)
    } catch (error) {
      throw new FrameError(`what comes compressed cannot be undone: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  #closed(code: number, reason: string): void {
    if (this.#exit !== undefined) return this.#end({ status: 'exited', exit: this.#exit })
    if (code === UNAUTHORIZED || code === FORBIDDEN) return this.#end({ status: 'refused', reason })
    if (code === FAILED || code === NOT_FOUND) return this.#end({ status: 'failed', reason })
    this.#drop()
    const delay = backoff(this.#attempt++, this.#options.random ?? Math.random)
    this.state.set({ status: 'waiting', until: Date.now() + delay, reason: reason || 'the connection was cut' })
    this.#timer = setTimeout(() => this.#open(), delay)
  }

  #end(state: TerminalState): void {
    this.#drop()
    this.state.set(state)
  }

  #drop(): void {
    clearTimeout(this.#timer)
    const socket = this.#socket
    this.#socket = undefined
    socket?.close()
  }

  #type(): void {
    if (this.#socket?.readyState !== OPEN) return
    for (let piece = this.#input.next(); piece !== undefined; piece = this.#input.next()) {
      this.#send(encode.input(piece.id, piece.bytes))
    }
  }

  #acknowledge(): void {
    const { rendered } = this.#renderer
    if (rendered - this.#acknowledged < ACK_EVERY) return
    this.#acknowledged = rendered
    this.#send(encode.ack(rendered))
  }

  #send(frame: Uint8Array<ArrayBuffer>): void {
    if (this.#socket?.readyState === OPEN) this.#socket.send(frame)
  }
}
