/** Numbers of [0, 1) that are the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

/** PERRY_SEED replays one; otherwise `count` of them. */
export function seeds(count: number): number[] {
  const one = process.env['PERRY_SEED']
  return one === undefined ? Array.from({ length: count }, (_, seed) => seed) : [Number(one)]
}
