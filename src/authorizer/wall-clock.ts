/** How far the clock may wander before it counts as set anew, in milliseconds. */
const TOLERANCE_MS = 1_000

/**
 * Notices when the clock of the system was set, or the machine slept: moments that were computed from it, as those at
 * which records end, are then wrong.
 *
 * @param now The monotonic clock.
 * @returns Tells whether it was set since it last told so.
 */
export function watchWallClock(now: () => number): () => boolean {
  let known = Date.now() - now()
  return () => {
    const offset = Date.now() - now()
    if (Math.abs(offset - known) < TOLERANCE_MS) return false
    known = offset
    return true
  }
}
