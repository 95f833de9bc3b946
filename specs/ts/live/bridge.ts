import { connect as dial, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'

import { type WebSocket, WebSocketServer } from 'ws'

/** What an agent does for terminals, in short: frames between WebSockets and a worker's socket. Connections can be cut. */
export class Bridge {
  readonly #worker: string
  readonly #secret: string
  readonly #pairs = new Set<readonly [WebSocket, Socket]>()
  #server!: WebSocketServer
  connections = 0

  constructor(worker: string, secret: string) {
    this.#worker = worker
    this.#secret = secret
  }

  async start(): Promise<string> {
    this.#server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: (offered) => [...offered][0] ?? false })
    this.#server.on('connection', (socket) => socket.once('message', (first: Buffer) => this.#attach(socket, first)))
    await new Promise((resolve) => this.#server.once('listening', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Everything ends at once, amid whatever it is doing. */
  cut(): void {
    for (const [socket, worker] of this.#pairs) {
      socket.terminate()
      worker.destroy()
    }
    this.#pairs.clear()
  }

  stop(): void {
    this.cut()
    this.#server.close()
  }

  #attach(socket: WebSocket, first: Buffer): void {
    this.connections++
    const { token, ...hello } = JSON.parse(first.subarray(1).toString())
    if (token !== 'token') return socket.close(4001, 'this token is wrong')
    const worker = dial(this.#worker)
    this.#pairs.add([socket, worker])
    const send = (frame: Buffer) => {
      const length = Buffer.alloc(4)
      length.writeUInt32LE(frame.length)
      worker.write(Buffer.concat([length, frame]))
    }
    send(Buffer.from(JSON.stringify({ secret: this.#secret, request: { Attach: { hello, read_only: false } } })))
    socket.on('message', (frame: Buffer) => send(frame))
    socket.on('close', () => worker.destroy())
    worker.on('error', () => {})
    worker.on('close', () => socket.close(1001))
    let rest = Buffer.alloc(0)
    worker.on('data', (data) => {
      rest = Buffer.concat([rest, data])
      while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32LE()) {
        const end = 4 + rest.readUInt32LE()
        socket.send(rest.subarray(4, end))
        rest = rest.subarray(end)
      }
    })
  }
}
