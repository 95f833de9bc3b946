// Frames of `perry.terminal.v1`: one byte for the type, then the body; integers are little-endian (specs/terminal.md).
import type { Exit, Hello, Info, Size } from '../generated/types.ts'

/** What a client asks for as a WebSocket subprotocol. */
export const SUBPROTOCOL = 'perry.terminal.v1'

/** What comes from the agent. Sequence numbers count the bytes of output since the terminal was begun. */
export type ServerFrame =
  | { readonly type: 'data'; readonly sequence: number; readonly bytes: Uint8Array; readonly compressed: boolean }
  | { readonly type: 'snapshot'; readonly sequence: number; readonly size: Size; readonly bytes: Uint8Array }
  | { readonly type: 'exit'; readonly exit: Exit }
  | { readonly type: 'info'; readonly info: Info }
  | { readonly type: 'applied'; readonly id: number }

/** A frame that cannot be read: the other side speaks something else. */
export class FrameError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'FrameError'
  }
}

const HIGH = 2 ** 32

/** Numbers stay below 2^53: that many bytes no terminal prints. Not by BigInt, which not every engine for phones has. */
function u64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * HIGH
}

function numbered(type: number, number: number, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(9 + bytes.length)
  const view = new DataView(frame.buffer)
  frame[0] = type
  view.setUint32(1, number % HIGH, true)
  view.setUint32(5, Math.floor(number / HIGH), true)
  frame.set(bytes, 9)
  return frame
}

export const encode = {
  hello(hello: Hello): Uint8Array<ArrayBuffer> {
    const json = new TextEncoder().encode(JSON.stringify(hello))
    const frame = new Uint8Array(1 + json.length)
    frame[0] = 0x14
    frame.set(json, 1)
    return frame
  },
  input: (id: number, bytes: Uint8Array) => numbered(0x11, id, bytes),
  ack: (sequence: number) => numbered(0x13, sequence, new Uint8Array()),
  resize({ cols, rows }: Size): Uint8Array<ArrayBuffer> {
    const frame = new Uint8Array(5)
    const view = new DataView(frame.buffer)
    frame[0] = 0x12
    view.setUint16(1, cols, true)
    view.setUint16(3, rows, true)
    return frame
  },
}

/** Reads a frame; `undefined` where its type is not known yet. */
export function decode(frame: Uint8Array): ServerFrame | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  const type = frame[0]
  const head = { 0x01: 9, 0x81: 9, 0x02: 13, 0x05: 9 }[type ?? 0] ?? 1
  if (frame.length < head) throw new FrameError(`a frame of type ${type} has ${frame.length} bytes, not ${head}`)
  switch (type) {
    case 0x01:
    case 0x81:
      return { type: 'data', sequence: u64(view, 1), bytes: frame.subarray(9), compressed: type === 0x81 }
    case 0x02: {
      const size = { cols: view.getUint16(9, true), rows: view.getUint16(11, true) }
      return { type: 'snapshot', sequence: u64(view, 1), size, bytes: frame.subarray(13) }
    }
    case 0x03:
      return { type: 'exit', exit: json(frame) }
    case 0x04:
      return { type: 'info', info: json(frame) }
    case 0x05:
      return { type: 'applied', id: u64(view, 1) }
    default:
      return undefined
  }
}

function json<T>(frame: Uint8Array): T {
  try {
    return JSON.parse(new TextDecoder().decode(frame.subarray(1)))
  } catch (error) {
    throw new FrameError(`a frame of type ${frame[0]} is no JSON: ${error}`)
  }
}
