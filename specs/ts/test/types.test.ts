import { expectTypeOf, test } from 'vitest'

import type { PerryClient, Workspace } from '../src/index.ts'

// Never run: `tsc` is the test.
async function calls(client: PerryClient) {
  expectTypeOf(await client.workspaces.list()).toEqualTypeOf<Workspace[]>()
  expectTypeOf(await client.workspaces.sync({ name: 'a' })).toEqualTypeOf<void>()
  await client.workspaces.create({ name: 'a', clone: 'https://example.com/a.git', ports: [{ name: 'web', port: 80 }] })
  await client.workspaces.apply({ workspace: { apiVersion: 'perry.dev/v1', kind: 'Workspace', metadata: { name: 'a' } } })
  for await (const frame of await client.workspaces.watch()) expectTypeOf(frame.workspace).toEqualTypeOf<Workspace | undefined>()
  // @ts-expect-error a wrong field
  await client.workspaces.create({ name: 'a', imgae: 'x' })
  // @ts-expect-error a field of another type
  await client.workspaces.exec({ name: 'a', command: 'ls' })
  // @ts-expect-error a field that is needed
  await client.workspaces.get({})
  // @ts-expect-error no such procedure
  await client.workspaces.explode({ name: 'a' })
  // @ts-expect-error no such field in an answer
  ;(await client.agent.info()).nope
  // @ts-expect-error a role that no token has
  await client.tokens.create({ name: 'a', role: 'public' })
}

test('the client has the types of the table of procedures', () => {
  expectTypeOf(calls).toBeFunction()
})
