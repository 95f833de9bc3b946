import type { Size } from '../generated/types.ts'

/** What shows a terminal. xterm.js is one almost as it is. */
export interface Screen {
  /** Shows bytes, after all that was given before, and calls back once it has. */
  write(bytes: Uint8Array, rendered: () => void): void
  /** Takes this size, at once. */
  resize(size: Size): void
}

/** Full reset (RIS): in the stream, so that it comes after what is still being shown. */
const RESET = new TextEncoder().encode('\x1bc')

type Step = { readonly bytes: Uint8Array; readonly sequence: number } | { readonly size: Size }

/** Hands a screen bytes and sizes in their order: a size is taken when everything before it is shown. */
export class Renderer {
  /** Everything before this byte is shown. */
  rendered = 0
  readonly #screen: Screen
  readonly #acknowledge: () => void
  readonly #steps: Step[] = []
  #showing = 0
  #going = false
  #size: Size | undefined

  constructor(screen: Screen, acknowledge: () => void) {
    this.#screen = screen
    this.#acknowledge = acknowledge
  }

  /** Output; `sequence` is the number after its last byte. */
  data(bytes: Uint8Array, sequence: number): void {
    this.#steps.push({ bytes, sequence })
    this.#go()
  }

  /** What rebuilds everything. */
  snapshot(bytes: Uint8Array, size: Size, sequence: number): void {
    const all = new Uint8Array(RESET.length + bytes.length)
    all.set(RESET)
    all.set(bytes, RESET.length)
    this.size(size)
    this.data(all, sequence)
  }

  size({ cols, rows }: Size): void {
    if (this.#size?.cols === cols && this.#size.rows === rows) return
    this.#size = { cols, rows }
    this.#steps.push({ size: { cols, rows } })
    this.#go()
  }

  #go(): void {
    // A screen may call back at once, from within.
    if (this.#going) return
    this.#going = true
    try {
      this.#take()
    } finally {
      this.#going = false
    }
  }

  #take(): void {
    for (let step = this.#steps[0]; step !== undefined; step = this.#steps[0]) {
      if ('size' in step && this.#showing > 0) break
      this.#steps.shift()
      if ('size' in step) this.#screen.resize(step.size)
      else this.#show(step)
    }
  }

  #show({ bytes, sequence }: { readonly bytes: Uint8Array; readonly sequence: number }): void {
    this.#showing++
    this.#screen.write(bytes, () => {
      this.#showing--
      this.rendered = sequence
      this.#acknowledge()
      if (this.#showing === 0) this.#go()
    })
  }
}
