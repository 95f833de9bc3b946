// What web and mobile do, with the stock client: node client.mjs http://127.0.0.1:PORT TOKEN http|websocket
import assert from 'node:assert/strict'
import net from 'node:net'
import { createORPCClient, isDefinedError, ORPCError } from '@orpc/client'
import { RPCLink } from '@orpc/client/fetch'
import { RPCLink as SocketLink } from '@orpc/client/websocket'
import { ClientRetryPlugin } from '@orpc/client/plugins'
import { getEventMeta } from '@orpc/client'
import { WebSocket } from 'ws'

const agent = new URL(process.argv[2])
const headers = { authorization: `Bearer ${process.argv[3]}` }

const overSocket = process.argv[4] === 'websocket'

function connect(url, options = {}) {
  const plugins = [new ClientRetryPlugin()]
  if (overSocket) {
    // The agent answers to its own name only, also behind a proxy.
    const websocket = new WebSocket(`${url}rpc`.replace(/^http/, 'ws'), { headers: { host: agent.host } })
    return createORPCClient(new SocketLink({ websocket, plugins, headers, ...options }))
  }
  return createORPCClient(new RPCLink({ url: `${url}rpc`, plugins, headers, ...options }))
}

async function failure(promise) {
  return promise.then(() => assert.fail('no error'), (error) => {
    assert.ok(error instanceof ORPCError, `${error}`)
    return error
  })
}

// A proxy whose connections can be cut. It puts in the agent's Host, as the guard knows no other.
async function cuttable() {
  const sockets = new Set()
  const server = net.createServer((near) => {
    const far = net.connect(Number(agent.port), agent.hostname)
    sockets.add(near).add(far)
    near.on('data', (bytes) => far.write(bytes.toString('latin1').replace(/\r\nhost: [^\r]*/i, `\r\nhost: ${agent.host}`), 'latin1'))
    far.pipe(near)
    for (const socket of [near, far]) {
      socket.on('error', () => {})
      socket.on('close', () => { near.destroy(); far.destroy() })
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: new URL(`http://127.0.0.1:${server.address().port}`),
    cut() { for (const socket of sockets) socket.destroy(); sockets.clear() },
    close() { this.cut(); server.close() },
  }
}

const client = connect(agent)

// Calls.
const [alpha] = await client.workspaces.list()
assert.equal(alpha.name, 'alpha')
assert.deepEqual(await client.workspaces.get({ name: 'alpha' }), alpha)
assert.equal((await client.workspaces.stop({ name: 'alpha' })).status, 'stopped')
const info = await client.agent.info()
assert.equal(info.workspacesCount, 1)
assert.equal((await client.config.get()).port, 7391)
const exec = await client.workspaces.exec({ name: 'alpha', command: ['echo', 'ä\n"'] })
assert.deepEqual(exec, { stdout: 'echo ä\n"', stderr: '', exitCode: 0 })

// Reads by GET, which frames have not.
if (!overSocket) {
  const reader = connect(agent, { method: 'GET' })
  assert.equal((await reader.workspaces.get({ name: 'alpha' })).name, 'alpha')
  assert.equal((await failure(reader.workspaces.stop({ name: 'alpha' }))).code, 'METHOD_NOT_SUPPORTED')
}

// Apply.
const workspace = { apiVersion: 'perry.dev/v1', kind: 'Workspace', metadata: { name: 'beta' }, spec: {} }
const planned = await client.workspaces.plan({ workspace })
assert.equal(planned.results[0].change, 'created')
assert.equal(planned.results[0].workspace, undefined)
const applied = await client.workspaces.apply({ workspace })
assert.equal(applied.results[0].workspace.name, 'beta')
assert.equal((await client.workspaces.list()).length, 2)

// Typed errors.
const missing = await failure(client.workspaces.get({ name: 'ghost' }))
assert.ok(isDefinedError(missing))
assert.deepEqual([missing.code, missing.status, missing.data], ['NOT_FOUND', 404, { name: 'ghost' }])
const taken = await failure(client.workspaces.create({ name: 'alpha' }))
assert.deepEqual([taken.code, taken.data.reason], ['CONFLICT', 'exists'])
const invalid = await failure(client.workspaces.create({ name: 'Bad Name!' }))
assert.deepEqual([invalid.code, invalid.defined, invalid.data.issues[0].path], ['BAD_REQUEST', false, ['name']])
const unknown = await failure(client.workspaces.nope({}))
assert.deepEqual([unknown.code, unknown.status], ['NOT_FOUND', 404])
// A frame as large as that would end the socket.
if (!overSocket) {
  const large = await failure(client.workspaces.apply({ manifest: 'x'.repeat(3 << 20) }))
  assert.deepEqual([large.code, large.status], ['PAYLOAD_TOO_LARGE', 413])
}

// Streams that end.
const events = []
for await (const event of await client.workspaces.events({ name: 'alpha' })) events.push(event.reason)
assert.deepEqual(events, ['Started'])
const lines = []
const build = await (async () => {
  for await (const { line } of await client.images.build()) lines.push(line)
})().catch((error) => error)
assert.deepEqual([lines, build.code, build.status], [['Step 1'], 'SERVICE_UNAVAILABLE', 503])

// A watch that is cut and resumes by itself: no gap, no double. A socket that is cut takes its link with it.
const proxy = await cuttable()
const context = { retry: Number.POSITIVE_INFINITY, retryDelay: 20 }
const watch = await connect(proxy.url).workspaces.watch(undefined, { context })
const frames = []
let cursor
for await (const frame of watch) {
  const id = getEventMeta(frame)?.id
  cursor = id ?? cursor
  frames.push(`${frame.type} ${frame.workspace?.name ?? ''} ${frame.workspace?.status ?? ''}`.trim())
  if (frame.type === 'bookmark' && frames.length === 4) {
    if (!overSocket) proxy.cut()
    await client.workspaces.start({ name: 'alpha' })
  }
  if (frame.type === 'modified') {
    // Stopping: the agent must notice it.
    break
  }
}
assert.deepEqual(frames, ['reset', 'added alpha stopped', 'added beta running', 'bookmark', 'modified alpha running'])
proxy.close()

// Resuming by hand.
await client.workspaces.delete({ name: 'beta' })
const resumed = await client.workspaces.watch(undefined, { lastEventId: cursor })
const { value } = await resumed.next()
assert.deepEqual([value.type, value.workspace.name], ['deleted', 'beta'])
await resumed.return()

// Stopping by signal.
const stop = new AbortController()
const stopped = await client.workspaces.watch(undefined, { signal: stop.signal })
await stopped.next()
stop.abort()
await assert.rejects(async () => { for await (const _ of stopped); })

console.log('all checks passed')
process.exit(0)
