const FIRST_MS = 250
const LONGEST_MS = 15_000

/** How long to wait before try number `attempt`, from 0, in milliseconds: twice as long each time, less a random part so
 * that a thousand clients of an agent that was restarted do not come at once. */
export function backoff(attempt: number, random: () => number): number {
  const longest = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 10))
  return longest * (0.5 + random() / 2)
}
