import { expect, test } from 'vitest'

import { after, type Known, NOTHING } from '../src/frames.ts'
import type { WatchFrame } from '../src/index.ts'
import { workspace } from './fake-agent.ts'

const fold = (known: Known, ...frames: [WatchFrame, string?][]) => frames.reduce((all, [frame, id]) => after(all, frame, id), known)
const names = (known: Known) => [...known.workspaces.keys()].sort()

test('a list counts once it is complete, and until then the old one stands', () => {
  const first = fold(NOTHING, [{ type: 'reset' }], [{ type: 'added', workspace: workspace('a') }], [{ type: 'bookmark' }, 'x-1'])
  expect([names(first), first.cursor]).toEqual([['a'], 'x-1'])
  const amid = fold(first, [{ type: 'reset' }], [{ type: 'added', workspace: workspace('b') }])
  expect([names(amid), amid.cursor]).toEqual([['a'], undefined])
  const second = fold(amid, [{ type: 'bookmark' }, 'y-7'])
  expect([names(second), second.cursor]).toEqual([['b'], 'y-7'])
})

test('changes move the cursor, and a workspace that has not changed stays the same object over a new list', () => {
  const list: [WatchFrame, string?][] = [
    [{ type: 'reset' }], [{ type: 'added', workspace: workspace('a') }], [{ type: 'added', workspace: workspace('b') }],
    [{ type: 'bookmark' }, 'x-1'],
  ]
  const first = fold(NOTHING, ...list)
  const changed = fold(first, [{ type: 'modified', workspace: workspace('a', 2) }, 'x-2'], [{ type: 'deleted', workspace: workspace('b') }, 'x-3'])
  expect([names(changed), changed.cursor, changed.workspaces.get('a')?.generation]).toEqual([['a'], 'x-3', 2])
  const again = fold(first, ...list)
  expect(again.workspaces.get('a')).toBe(first.workspaces.get('a'))
})

test('frames of a kind that is not known yet change nothing', () => {
  const known = fold(NOTHING, [{ type: 'reset' }], [{ type: 'bookmark' }, 'x-1'])
  expect(after(known, { type: 'sparkle' } as unknown as WatchFrame, 'x-2')).toBe(known)
})
