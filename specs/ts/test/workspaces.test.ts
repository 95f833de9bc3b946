import { expect, test } from 'vitest'

import { connect, WorkspacesStore } from '../src/index.ts'
import { FakeAgent, TOKEN, workspace } from './fake-agent.ts'
import { seeded, seeds } from './random.ts'
import { until } from './until.ts'

const names = (all: readonly { name: string }[]) => all.map(({ name }) => name)

test('the list is live, stale while the agent is away, and live again', async () => {
  const agent = await new FakeAgent().start()
  agent.put(workspace('b'))
  agent.put(workspace('a'))
  const connection = connect({ url: agent.url, token: TOKEN, random: () => 0 })
  const store = new WorkspacesStore(connection.client, () => 0)
  const stop = store.start()
  const live = await until(store.snapshot, ({ status }) => status === 'live')
  expect(names(live.workspaces)).toEqual(['a', 'b'])
  await agent.stop()
  const stale = await until(store.snapshot, ({ status }) => status === 'stale')
  expect(names(stale.workspaces)).toEqual(['a', 'b'])
  expect(stale.staleSince).toBeGreaterThan(Date.now() - 60_000)
  agent.remove('b')
  await agent.start()
  const again = await until(store.snapshot, ({ status, workspaces }) => status === 'live' && workspaces.length === 1)
  expect(again.workspaces[0]).toBe(live.workspaces[0])
  stop()
  connection.close()
  await agent.stop()
})

test('a token that is refused is an error, not an empty list', async () => {
  const agent = await new FakeAgent().start()
  const connection = connect({ url: agent.url, token: 'wrong' })
  const store = new WorkspacesStore(connection.client)
  store.start()
  const failed = await until(store.snapshot, ({ status }) => status === 'error')
  expect(failed.error?.message).toBe('this token is wrong')
  connection.close()
  await agent.stop()
})

test.concurrent.for(seeds(200))('what is shown ends up as the agent has it, whatever is cut: PERRY_SEED=%i', async (seed, { expect }) => {
  const random = seeded(seed)
  const below = (n: number) => Math.floor(random() * n)
  const agent = await new FakeAgent().start()
  const connection = connect({ url: agent.url, token: TOKEN, random: () => 0 })
  const store = new WorkspacesStore(connection.client, () => 0)
  const stop = store.start()
  for (let step = 0; step < 40; step++) {
    const name = `w${below(6)}`
    const what = below(12)
    if (what < 7) agent.put(workspace(name, step + 2))
    else if (what < 9) agent.remove(name)
    else if (what === 9) agent.fuse = below(8)
    else if (what === 10) agent.cut()
    else if (below(3) === 0) agent.reboot()
    if (below(3) === 0) await new Promise((resolve) => setTimeout(resolve, below(20)))
  }
  const wanted = [...agent.workspaces.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  const all = JSON.stringify(wanted)
  await until(store.snapshot, ({ status, workspaces }) => status === 'live' && JSON.stringify(workspaces) === all)
  expect(store.snapshot.get().workspaces).toEqual(wanted)
  stop()
  connection.close()
  await agent.stop()
})
