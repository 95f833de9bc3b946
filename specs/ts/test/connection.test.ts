import { afterEach, beforeEach, expect, test } from 'vitest'

import { backoff } from '../src/backoff.ts'
import { type Connection, connect, DisconnectedError } from '../src/index.ts'
import { FakeAgent, TOKEN } from './fake-agent.ts'
import { until } from './until.ts'

let agent: FakeAgent
let connection: Connection | undefined

beforeEach(async () => {
  agent = await new FakeAgent().start()
})

afterEach(async () => {
  connection?.close()
  await agent.stop()
})

const open = (more: { token?: () => string; patience?: number } = {}) => {
  connection = connect({ url: agent.url, token: TOKEN, random: () => 0, ...more })
  return connection
}

test('calls are answered, and made again by themselves after a cut', async () => {
  const { client, state } = open()
  expect((await client.agent.info()).version).toBe('fake')
  agent.cut()
  await until(state, ({ status }) => status === 'waiting')
  expect((await client.agent.info()).version).toBe('fake')
})

test('a call amid a cut says that its outcome is not known', async () => {
  const { client, state } = open()
  await until(state, ({ status }) => status === 'open')
  const call = client.workspaces.stop({ name: 'a' }).then(() => 'answered', (error) => error)
  while (agent.calls < 2) await new Promise((resolve) => setImmediate(resolve))
  agent.cut()
  const error = await call
  expect(error).toBeInstanceOf(DisconnectedError)
  expect(error.reason).toBe('cut')
})

test('a call waits for a connection, and not for ever', async () => {
  await agent.stop()
  const { client } = open({ patience: 200 })
  const error = await client.agent.info().catch((error) => error)
  expect([error.name, error.reason]).toEqual(['DisconnectedError', 'timeout'])
  await agent.start()
})

test('a token that is not taken is told, not tried again and again, and another one is', async () => {
  let token = 'wrong'
  const { client, state } = open({ token: () => token })
  const refused = await until(state, ({ status }) => status === 'refused')
  expect(refused).toEqual({ status: 'refused', reason: 'this token is wrong' })
  await expect(client.agent.info()).rejects.toMatchObject({ reason: 'refused' })
  expect(agent.calls).toBe(1)
  token = TOKEN
  connection?.retry()
  expect((await client.agent.info()).version).toBe('fake')
})

test('a device that wakes up does not wait any longer', async () => {
  const { state } = open()
  await until(state, ({ status }) => status === 'open')
  await agent.stop()
  await until(state, (now) => now.status === 'waiting' && now.until - Date.now() > 400)
  await agent.start()
  await connection?.wake()
  await until(state, ({ status }) => status === 'open')
})

test('nothing is left of a connection that was closed', async () => {
  const { client, state } = open()
  await until(state, ({ status }) => status === 'open')
  connection?.close()
  await expect(client.agent.info()).rejects.toMatchObject({ reason: 'closed' })
  while (agent.sockets > 0) await new Promise((resolve) => setImmediate(resolve))
  expect(state.get()).toEqual({ status: 'closed' })
})

test('tries come further and further apart, and never all at once', () => {
  expect([0, 1, 2, 20].map((attempt) => backoff(attempt, () => 1))).toEqual([250, 500, 1000, 15_000])
  expect(backoff(3, () => 0)).toBe(1000)
})
