import type { AddressInfo } from 'node:net'

import { type WebSocket, WebSocketServer } from 'ws'

import type { Workspace } from '../src/index.ts'

export const TOKEN = 'perry_00000001_ab'

export function workspace(name: string, generation = 1): Workspace {
  return {
    name, generation, status: 'running', created: '2025-01-10T15:30:00Z', image: 'i', ports: {}, uid: `uid-${name}`,
    labels: {}, annotations: {}, observedGeneration: generation, resourceVersion: '', spec: {}, conditions: [],
  }
}

interface Change {
  readonly type: 'added' | 'modified' | 'deleted'
  readonly workspace: Workspace
}

/** An agent that speaks the WebSocket transport of oRPC by hand: a list, a journal of its changes, watches that resume.
 * Its sockets can be cut, and it can be restarted. */
export class FakeAgent {
  readonly workspaces = new Map<string, Workspace>()
  calls = 0
  /** After so many frames more each socket is cut amid what it is sending. */
  fuse = Number.POSITIVE_INFINITY
  #boot = 'a'
  #journal: Change[] = []
  #server!: WebSocketServer
  readonly #watchers = new Map<WebSocket, Set<(n: number) => void>>()
  port = 0

  async start(): Promise<this> {
    this.#server = new WebSocketServer({ port: this.port, host: '127.0.0.1', path: '/rpc' })
    this.#server.on('connection', (socket) => this.#serve(socket))
    await new Promise((resolve) => this.#server.once('listening', resolve))
    this.port = (this.#server.address() as AddressInfo).port
    return this
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get sockets(): number {
    return this.#server.clients.size
  }

  cut(): void {
    for (const socket of this.#server.clients) socket.terminate()
  }

  async stop(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  /** Forgets its journal, as an agent does that starts anew. */
  reboot(): void {
    this.#boot = String.fromCharCode(this.#boot.charCodeAt(0) + 1)
    this.#journal = []
    this.cut()
  }

  put(workspace: Workspace): void {
    this.#change({ type: this.workspaces.has(workspace.name) ? 'modified' : 'added', workspace })
    this.workspaces.set(workspace.name, workspace)
  }

  remove(name: string): void {
    const workspace = this.workspaces.get(name)
    if (workspace === undefined) return
    this.workspaces.delete(name)
    this.#change({ type: 'deleted', workspace })
  }

  #change(change: Change): void {
    this.#journal.push(change)
    for (const watchers of this.#watchers.values()) for (const watcher of watchers) watcher(this.#journal.length)
  }

  #serve(socket: WebSocket): void {
    this.#watchers.set(socket, new Set())
    socket.on('close', () => this.#watchers.delete(socket))
    socket.on('error', () => {})
    socket.on('message', (data) => {
      const { i, p } = JSON.parse(String(data))
      if (p === undefined) return
      this.calls++
      if (p.h?.authorization !== `Bearer ${TOKEN}`) return this.#send(socket, { i, p: { s: 401, b: { json: unauthorized } } })
      if (p.u === '/agent/info') return this.#send(socket, { i, p: { b: { json: { version: 'fake' } } } })
      if (p.u === '/workspaces/watch') return this.#watch(socket, i, p.h?.['last-event-id'])
      // Every other call is never answered.
    })
  }

  #send(socket: WebSocket, frame: unknown): void {
    if (this.fuse-- <= 0) {
      this.fuse = Number.POSITIVE_INFINITY
      socket.terminate()
    }
    socket.send(JSON.stringify(frame), () => {})
  }

  #watch(socket: WebSocket, i: string, cursor: string | undefined): void {
    this.#send(socket, { i, p: { h: { 'content-type': 'text/event-stream' } } })
    const event = (n: number | undefined, json: unknown) =>
      this.#send(socket, { i, t: 3, p: { e: 'message', d: { json }, m: n === undefined ? {} : { id: `${this.#boot}-${n}` } } })
    const [boot, number] = cursor?.split('-') ?? []
    let at = boot === this.#boot ? Number(number) : undefined
    if (at === undefined) {
      at = this.#journal.length
      event(undefined, { type: 'reset' })
      for (const workspace of this.workspaces.values()) event(undefined, { type: 'added', workspace })
      event(at, { type: 'bookmark' })
    }
    const follow = (end: number) => {
      for (let n = at as number; n < end; n++) event(n + 1, this.#journal[n])
      at = end
    }
    follow(this.#journal.length)
    this.#watchers.get(socket)?.add(follow)
  }
}

const unauthorized = { defined: false, code: 'UNAUTHORIZED', status: 401, message: 'this token is wrong' }
