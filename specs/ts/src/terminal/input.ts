/** The most bytes that may be on their way and not applied. */
const WINDOW = 64 << 10
/** The most bytes in one frame. */
const PIECE = 16 << 10
/** The most bytes that wait to be sent, of a large paste or while there is no connection. */
const WAITING_MAX = 8 << 20

interface Piece {
  readonly id: number
  readonly bytes: Uint8Array
}

/** What was typed, until the program has it: sent again after a cut, applied once by its number. */
export class InputQueue {
  #last = 0
  /** Sent and not applied, then not sent yet. */
  readonly #pieces: Piece[] = []
  #sent = 0
  #onTheWay = 0
  #waiting = 0

  /** Takes what was typed; false where too much waits already, and nothing of it is taken. */
  push(bytes: Uint8Array): boolean {
    if (this.#waiting + bytes.length > WAITING_MAX) return false
    for (let at = 0; at < bytes.length; at += PIECE) this.#pieces.push({ id: ++this.#last, bytes: bytes.slice(at, at + PIECE) })
    this.#waiting += bytes.length
    return true
  }

  /** The next piece that may be sent now. */
  next(): Piece | undefined {
    const piece = this.#pieces[this.#sent]
    if (piece === undefined || (this.#sent > 0 && this.#onTheWay + piece.bytes.length > WINDOW)) return undefined
    this.#sent++
    this.#onTheWay += piece.bytes.length
    return piece
  }

  /** The program has everything up to this number. */
  applied(id: number): void {
    while (this.#pieces[0] !== undefined && this.#pieces[0].id <= id) {
      const { length } = (this.#pieces.shift() as Piece).bytes
      this.#waiting -= length
      if (this.#sent === 0) continue
      this.#sent--
      this.#onTheWay -= length
    }
  }

  /** There is a new connection: everything that was not applied is sent again. */
  again(): void {
    this.#sent = 0
    this.#onTheWay = 0
  }
}
