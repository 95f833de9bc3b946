import { getEventMeta, ORPCError } from '@orpc/client'

import { backoff } from './backoff.ts'
import type { PerryClient } from './connection.ts'
import { DisconnectedError } from './errors.ts'
import { after, type Known, NOTHING } from './frames.ts'
import type { Workspace } from './generated/types.ts'
import { Observable } from './observable.ts'

export interface WorkspacesSnapshot {
  /** `stale`: what is shown is from `staleSince`, and the agent is being looked for. `error`: it refuses. */
  readonly status: 'loading' | 'live' | 'stale' | 'error'
  /** By name. */
  readonly workspaces: readonly Workspace[]
  readonly error?: Error
  /** Milliseconds since 1970. */
  readonly staleSince?: number
}

/** All workspaces of an agent as they are now, by a watch that goes on over cuts and restarts of the agent: no change is
 * missed, none comes twice. */
export class WorkspacesStore {
  readonly snapshot = new Observable<WorkspacesSnapshot>({ status: 'loading', workspaces: [] })
  readonly #client: PerryClient
  readonly #random: () => number
  #known: Known = NOTHING
  #stop: AbortController | undefined

  constructor(client: PerryClient, random: () => number = Math.random) {
    this.#client = client
    this.#random = random
  }

  /** Begins to watch; returns what ends it. */
  start(): () => void {
    const stop = new AbortController()
    this.#stop?.abort()
    this.#stop = stop
    void this.#run(stop.signal)
    return () => stop.abort()
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        // A watch has no end of its own: one that ends was cut.
        if (await this.#watch(signal)) attempt = 0
        this.#stale(undefined)
      } catch (error) {
        if (signal.aborted) return
        if (isFinal(error)) return this.#failed(error as Error)
        this.#stale(error)
        // The connection has waited already, and tells as soon as it is there again.
        if (error instanceof DisconnectedError) continue
      }
      await sleep(backoff(attempt, this.#random), signal)
    }
  }

  /** Follows one stream to its end; whether anything came. */
  async #watch(signal: AbortSignal): Promise<boolean> {
    const { cursor } = this.#known
    const options = cursor === undefined ? { signal } : { signal, lastEventId: cursor }
    const frames = await this.#client.workspaces.watch(undefined, options)
    let came = false
    for await (const frame of frames) {
      if (signal.aborted) break
      came = true
      const before = this.#known
      this.#known = after(before, frame, getEventMeta(frame)?.id)
      const { coming, workspaces } = this.#known
      if (coming === undefined && (workspaces !== before.workspaces || this.snapshot.get().status !== 'live')) this.#live()
    }
    return came
  }

  #live(): void {
    this.snapshot.set({ status: 'live', workspaces: this.#sorted() })
  }

  #stale(error: unknown): void {
    const { status, staleSince = Date.now() } = this.snapshot.get()
    if (status === 'loading') return
    const cause = error instanceof Error ? { error } : {}
    this.snapshot.set({ status: 'stale', workspaces: this.snapshot.get().workspaces, staleSince, ...cause })
  }

  #failed(error: Error): void {
    this.snapshot.set({ status: 'error', workspaces: this.snapshot.get().workspaces, error })
  }

  #sorted(): Workspace[] {
    return [...this.#known.workspaces.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }
}

/** Whether trying again is of no use until somebody does something. */
function isFinal(error: unknown): boolean {
  if (error instanceof DisconnectedError) return error.reason === 'refused' || error.reason === 'closed'
  return error instanceof ORPCError && (error.code === 'UNAUTHORIZED' || error.code === 'FORBIDDEN')
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
    if (signal.aborted) done()
  })
}
