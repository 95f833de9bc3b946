import { expect, test } from 'vitest'

import { decode, encode, FrameError } from '../src/terminal/frames.ts'
import { InputQueue } from '../src/terminal/input.ts'
import { Renderer, type Screen } from '../src/terminal/render.ts'
import { seeded, seeds } from './random.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (all: Uint8Array) => new TextDecoder().decode(all)

test('frames of the server are read, and numbers beyond 32 bits too', () => {
  const head = [0x01, 0x02, 0, 0, 0, 0x01, 0, 0, 0]
  expect(decode(Uint8Array.of(...head, 0x61))).toEqual({ type: 'data', sequence: 2 ** 32 + 2, bytes: bytes('a'), compressed: false })
  const snapshot = decode(Uint8Array.of(0x02, 9, 0, 0, 0, 0, 0, 0, 0, 80, 0, 24, 0, 0x62))
  expect(snapshot).toEqual({ type: 'snapshot', sequence: 9, size: { cols: 80, rows: 24 }, bytes: bytes('b') })
  const exit = { code: 3, reason: 'Process exited with code 3' }
  expect(decode(Uint8Array.of(0x03, ...bytes(JSON.stringify(exit))))).toEqual({ type: 'exit', exit })
  expect(decode(Uint8Array.of(0x05, 7, 0, 0, 0, 0, 0, 0, 0))).toEqual({ type: 'applied', id: 7 })
})

test('a frame of a kind that is not known is nothing, and a wrong one says what is wrong', () => {
  expect(decode(Uint8Array.of(0x70, 1, 2))).toBeUndefined()
  expect(() => decode(Uint8Array.of(0x01, 1))).toThrow('a frame of type 1 has 2 bytes, not 9')
  expect(() => decode(Uint8Array.of(0x03, 0x7b))).toThrow(FrameError)
})

test('frames of the client are as the protocol has them', () => {
  expect([...encode.input(2 ** 32 + 5, bytes('x'))]).toEqual([0x11, 5, 0, 0, 0, 1, 0, 0, 0, 0x78])
  expect([...encode.resize({ cols: 300, rows: 24 })]).toEqual([0x12, 0x2c, 1, 24, 0])
  expect([...encode.ack(1)]).toEqual([0x13, 1, 0, 0, 0, 0, 0, 0, 0])
  const hello = encode.hello({ client: 'c', cols: 80, rows: 24 })
  expect([hello[0], text(hello.subarray(1))]).toEqual([0x14, '{"client":"c","cols":80,"rows":24}'])
})

test('too much input is refused whole', () => {
  const queue = new InputQueue()
  expect(queue.push(new Uint8Array(8 << 20))).toBe(true)
  expect(queue.push(new Uint8Array(1))).toBe(false)
})

test.for(seeds(200))('input is applied once and in order over any cuts: PERRY_SEED=%i', (seed) => {
  const random = seeded(seed)
  const below = (n: number) => Math.floor(random() * n)
  const queue = new InputQueue()
  const typed: Uint8Array[] = []
  const applied: Uint8Array[] = []
  /** What is on its way to the program, and what it had last. */
  let wire: { id: number; bytes: Uint8Array }[] = []
  let last = 0
  const send = () => {
    for (let piece = queue.next(); piece !== undefined; piece = queue.next()) wire.push(piece)
    // What comes a second time is not counted by the worker.
    const onTheWay = wire.reduce((sum, piece) => sum + (piece.id > last ? piece.bytes.length : 0), 0)
    if (onTheWay > 64 << 10) throw new Error(`${onTheWay} bytes are on their way`)
  }
  const arrive = () => {
    const piece = wire.shift()
    if (piece === undefined || piece.id <= last) return
    last = piece.id
    applied.push(piece.bytes)
  }
  for (let step = 0; step < 60; step++) {
    const what = below(10)
    if (what < 3) {
      const more = new Uint8Array(below(3) === 0 ? below(50_000) : below(20)).fill(below(256))
      queue.push(more)
      typed.push(more)
    } else if (what < 7) arrive()
    else if (what < 9) queue.applied(last)
    else {
      // Some of what was on its way is lost.
      wire = []
      queue.again()
    }
    send()
  }
  for (let rest = 0; rest < 200; rest++) {
    arrive()
    queue.applied(last)
    send()
  }
  expect(Buffer.concat(applied).equals(Buffer.concat(typed))).toBe(true)
})

test('a size is taken when everything before it is shown, and a snapshot begins anew', () => {
  const log: string[] = []
  const shown: (() => void)[] = []
  const screen: Screen = {
    write: (all, rendered) => {
      log.push(JSON.stringify(text(all)))
      shown.push(rendered)
    },
    resize: ({ cols, rows }) => log.push(`${cols}x${rows}`),
  }
  let acks = 0
  const renderer = new Renderer(screen, () => acks++)
  renderer.snapshot(bytes('screen'), { cols: 80, rows: 24 }, 100)
  renderer.data(bytes('abc'), 103)
  renderer.size({ cols: 80, rows: 24 })
  renderer.size({ cols: 40, rows: 10 })
  renderer.data(bytes('narrow'), 109)
  expect(log).toEqual(['80x24', '"\\u001bcscreen"', '"abc"'])
  shown.shift()?.()
  expect([renderer.rendered, log.length]).toEqual([100, 3])
  shown.shift()?.()
  expect(log.slice(3)).toEqual(['40x10', '"narrow"'])
  shown.shift()?.()
  expect([renderer.rendered, acks]).toEqual([109, 3])
})

test('a screen that shows at once is given everything once and in order', () => {
  const seen: string[] = []
  let acks = 0
  const screen: Screen = {
    write: (bytes, rendered) => {
      seen.push(new TextDecoder().decode(bytes))
      rendered()
    },
    resize: ({ cols, rows }) => seen.push(`${cols}×${rows}`),
  }
  const renderer = new Renderer(screen, () => acks++)
  renderer.data(new TextEncoder().encode('one'), 3)
  renderer.size({ cols: 40, rows: 10 })
  renderer.data(new TextEncoder().encode('two'), 6)
  expect([seen, acks, renderer.rendered]).toEqual([['one', '40×10', 'two'], 2, 6])
})
