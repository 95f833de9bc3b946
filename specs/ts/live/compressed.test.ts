// Against a real agent, whose worker is scripted: PERRY_SHA256 says what it prints. `cargo test --test rpc` starts one.
import { createHash } from 'node:crypto'

import { Decompress } from 'fzstd'
import { expect, test } from 'vitest'
import { WebSocket as NodeSocket } from 'ws'

import { openTerminal } from '../src/index.ts'
import { until } from '../test/until.ts'

/** What undoes the zstd of one connection. */
function decompressor(): (piece: Uint8Array) => Uint8Array {
  let parts: Uint8Array[] = []
  const stream = new Decompress((part) => parts.push(part.slice()))
  return (piece) => {
    parts = []
    stream.push(piece)
    return Buffer.concat(parts)
  }
}

test('what comes compressed is what was printed', async () => {
  const hash = createHash('sha256')
  let pieces = 0
  const terminal = openTerminal({
    url: process.env['PERRY_URL'] ?? '',
    token: process.env['PERRY_TOKEN'] ?? '',
    workspace: 'alpha',
    size: { cols: 80, rows: 24 },
    screen: {
      write: (bytes, rendered) => {
        hash.update(bytes)
        rendered()
      },
      resize: () => {},
    },
    decompressor: () => {
      const undo = decompressor()
      return (piece) => {
        pieces += 1
        return undo(piece)
      }
    },
    WebSocket: NodeSocket as unknown as new (url: string, protocol: string) => globalThis.WebSocket,
  })
  const state = await until(terminal.state, ({ status }) => status === 'exited')
  expect(state).toMatchObject({ status: 'exited', exit: { code: 0 } })
  expect(pieces).toBeGreaterThan(50)
  expect(hash.digest('hex')).toBe(process.env['PERRY_SHA256'])
})
