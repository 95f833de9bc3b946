// Against a real worker: PERRY_TERMINALS is its socket, PERRY_SECRET its secret. `cargo test --test terminals` starts one.
import { createHash, randomBytes } from 'node:crypto'

import headless from '@xterm/headless'
import { expect, test } from 'vitest'
import { WebSocket as NodeSocket } from 'ws'

import { openTerminal, type Screen, type Terminal } from '../src/index.ts'
import { seeded, seeds } from '../test/random.ts'
import { until } from '../test/until.ts'
import { Bridge } from './bridge.ts'

const SIZE = { cols: 80, rows: 24 }
const WebSocket = NodeSocket as unknown as new (url: string, protocol: string) => globalThis.WebSocket

/** Keeps what it is shown. */
class Paper implements Screen {
  all = Buffer.alloc(0)
  readonly snapshots: Buffer[] = []
  write(bytes: Uint8Array, rendered: () => void): void {
    if (bytes[0] === 0x1b && bytes[1] === 0x63) this.snapshots.push(Buffer.from(bytes))
    else this.all = Buffer.concat([this.all, bytes])
    setImmediate(rendered)
  }
  resize(): void {}
  async until(what: (all: Buffer) => boolean): Promise<void> {
    while (!what(this.all)) await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

async function bridge() {
  const between = new Bridge(process.env['PERRY_TERMINALS'] ?? '', process.env['PERRY_SECRET'] ?? '')
  const url = await between.start()
  const open = (terminal: string, screen: Screen, script: string): Terminal =>
    openTerminal({
      url, token: 'token', workspace: 'demo', terminal, screen, size: SIZE, WebSocket, random: () => 0,
      create: { command: ['sh', '-c', script] },
    })
  return { between, open }
}

test.for(seeds(3))('what is typed and printed over forty cuts is neither lost nor doubled: PERRY_SEED=%i', async (seed) => {
  const random = seeded(seed)
  const { between, open } = await bridge()
  const paper = new Paper()
  const terminal = open(`bytes-${seed % 2 ** 30}`, paper, 'stty raw -echo; printf go; exec cat')
  // What echoes and changes what is typed is off once this is shown.
  await paper.until((all) => Buffer.concat([...paper.snapshots, all]).includes('go'))
  terminal.input('<begin>')
  await paper.until((all) => all.includes('<begin>'))
  const begin = paper.all.length
  // Letters: a terminal answers some sequences, and the worker does while nobody looks.
  const typed = Buffer.from(randomBytes(500_000).toString('hex'))
  terminal.input(typed)
  for (let cut = 1; cut <= 40; cut++) {
    const at = begin + (cut * typed.length) / 41 - random() * 10_000
    await paper.until((all) => all.length >= at)
    await until(terminal.state, ({ status }) => status === 'open')
    between.cut()
    await until(terminal.state, ({ status }) => status !== 'open')
  }
  await paper.until((all) => all.length >= begin + typed.length)
  const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
  expect(hash(paper.all.subarray(begin))).toBe(hash(typed))
  expect([paper.snapshots.length, between.connections > 35]).toEqual([1, true])
  terminal.close()
  between.stop()
})

test('a screen that comes later shows what one shows that was there, and follows its size', async () => {
  const { between, open } = await bridge()
  const xterm = () => {
    const shown = new headless.Terminal({ ...SIZE, allowProposedApi: true })
    const screen: Screen = {
      write: (bytes, rendered) => shown.write(bytes, rendered),
      resize: ({ cols, rows }) => shown.resize(cols, rows),
    }
    const rows = () => Array.from({ length: shown.buffer.active.length }, (_, at) => shown.buffer.active.getLine(at)?.translateToString(true))
    return { shown, screen, rows }
  }
  const first = xterm()
  const terminal = open('screen', first.screen, "seq 100; printf '\\033[31mred\\033[m中文 '; exec cat")
  const has = async (screen: ReturnType<typeof xterm>, text: string) => {
    while (!screen.rows().some((row) => row?.includes(text))) await new Promise((resolve) => setTimeout(resolve, 2))
  }
  await has(first, '中文')
  terminal.input('x')
  await has(first, '中文 x')
  const second = xterm()
  const other = open('screen', second.screen, 'exit 1')
  await has(second, '中文 x')
  expect(second.rows()).toEqual(first.rows())
  terminal.resize({ cols: 40, rows: 10 })
  terminal.input('\r')
  while (second.shown.cols !== 40) await new Promise((resolve) => setTimeout(resolve, 2))
  terminal.input('narrow\r')
  await has(second, 'narrow')
  expect(first.shown.cols).toBe(40)
  terminal.input('\x04')
  const { exit } = (await until(terminal.state, ({ status }) => status === 'exited')) as { exit: { code: number } }
  expect(exit.code).toBe(0)
  await until(other.state, ({ status }) => status === 'exited')
  between.stop()
})

test('a wrong token is refused, and a dead connection is replaced when the device wakes', async () => {
  const { between, open } = await bridge()
  const url = await between.start()
  const refused = openTerminal({ url, token: 'wrong', workspace: 'demo', screen: new Paper(), size: SIZE, WebSocket })
  await until(refused.state, ({ status }) => status === 'refused')
  const paper = new Paper()
  const terminal = open('wakes', paper, 'stty -echo; exec cat')
  await until(terminal.state, ({ status }) => status === 'open')
  const before = between.connections
  terminal.wake()
  await until(terminal.state, ({ status }) => status === 'open')
  terminal.input('still here\r')
  await paper.until((all) => all.includes('still here'))
  expect(between.connections).toBe(before + 1)
  terminal.close()
  between.stop()
})
