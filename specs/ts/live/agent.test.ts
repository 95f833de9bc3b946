// Against a real agent: PERRY_URL and PERRY_TOKEN say which. `cargo test --test rpc` starts one and runs this.
import { connect as dial, createServer, type Socket } from 'node:net'

import { ORPCError } from '@orpc/client'
import { expect, test } from 'vitest'
import { WebSocket as NodeSocket } from 'ws'

import { connect, WorkspacesStore } from '../src/index.ts'
import { seeded, seeds } from '../test/random.ts'
import { until } from '../test/until.ts'

const url = new URL(process.env['PERRY_URL'] ?? 'http://127.0.0.1:7391')
const token = process.env['PERRY_TOKEN'] ?? ''

/** Behind the proxy the agent is still called by its own name, as it answers to no other. */
class Direct extends NodeSocket {
  constructor(address: string) {
    super(address, { headers: { host: url.host } })
  }
}
const WebSocket = Direct as unknown as new (url: string) => globalThis.WebSocket

/** A proxy that cuts each connection after so many bytes from the agent. */
async function proxy(bytes: () => number) {
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = dial(Number(url.port), url.hostname)
    let left = bytes()
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => [near, far].forEach((one) => one.destroy()))
    }
    near.on('data', (data) => far.write(data))
    far.on('data', (data) => {
      near.write(data.subarray(0, left))
      left -= data.length
      if (left < 0) near.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const close = () => {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
  return { url: `http://127.0.0.1:${address.port}`, close }
}

test('calls are typed, and so are errors', async () => {
  const connection = connect({ url: url.origin, token, WebSocket })
  expect((await connection.client.workspaces.get({ name: 'alpha' })).name).toBe('alpha')
  const missing = await connection.client.workspaces.get({ name: 'ghost' }).catch((error) => error)
  expect(missing).toBeInstanceOf(ORPCError)
  expect([missing.code, missing.defined, missing.data]).toEqual(['NOT_FOUND', true, { name: 'ghost' }])
  connection.close()
})

test('a wrong token is refused', async () => {
  const connection = connect({ url: url.origin, token: 'perry_00000001_00', WebSocket })
  await until(connection.state, ({ status }) => status === 'refused')
  connection.close()
})

// One after the other: they share the agent.
test.for(seeds(Number(process.env['PERRY_SEEDS'] ?? 200)))('a store behind a proxy that cuts ends up as the list: PERRY_SEED=%i', async (seed) => {
  const random = seeded(seed)
  const below = (n: number) => Math.floor(random() * n)
  const direct = connect({ url: url.origin, token, WebSocket })
  let calm = false
  const { url: through, close } = await proxy(() => (calm ? Number.POSITIVE_INFINITY : 200 + below(4_000)))
  const connection = connect({ url: through, token, WebSocket, random: () => 0 })
  const store = new WorkspacesStore(connection.client, () => 0)
  const stop = store.start()
  const { client } = direct
  for (let step = 0; step < 25; step++) {
    const name = `w${below(4)}`
    const work = [client.workspaces.create, client.workspaces.stop, client.workspaces.start, client.workspaces.delete][below(4)]
    // It may not exist, or exist already.
    await work?.({ name }).catch((error) => expect(error).toBeInstanceOf(ORPCError))
  }
  calm = true
  const wanted = JSON.stringify(await client.workspaces.list())
  const { workspaces } = await until(store.snapshot, (now) => now.status === 'live' && JSON.stringify(now.workspaces) === wanted)
  expect(workspaces.length).toBeGreaterThan(0)
  stop()
  connection.close()
  direct.close()
  close()
})
