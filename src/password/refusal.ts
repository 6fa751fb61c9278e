import { performance } from 'node:perf_hooks'
import { integerOption } from '../options.js'

/**
 * What a bcrypt hash of the usual cost 10 takes, rounded up, in milliseconds. Stands in until something was measured,
 * so that the very first refusals do not tell unknown users apart either.
 */
const GUESS_MS = 100

/** Measurements after which the older ones begin to be forgotten. */
const GENERATION = 64

/** Options of {@link createRefusalClock}. */
export interface RefusalClockOptions {
  /**
   * The longest a refusal is held back, in milliseconds after the CONNECT arrived. Integer from 0 to 60000; `0` never
   * holds one back. Verifications that take longer, as in a storm of logins, are told apart by their time.
   *
   * @default 1_000
   */
  readonly capMs?: number
  /** Monotonic clock in milliseconds. `performance.now` by default. */
  readonly now?: () => number
}

/** Says when a refusal may be given, so that its time does not tell why. */
export interface RefusalClock {
  /** Takes note of how long a verification took, in milliseconds from the CONNECT to its outcome. */
  observe(durationMs: number): void
  /** Milliseconds still to wait before refusing the CONNECT that arrived at this moment of the clock; `0` or more. */
  delayFor(startedAtMs: number): number
}

/**
 * Creates the common moment for refusals: as long after the CONNECT as the slowest verification among the last 64 to
 * 128.
 *
 * An unknown user, a missing record and a wrong password are refused at the same moment, without computing a hash for
 * those that have none: that would let invented usernames fill the queue, and still show records of another cost. Old
 * measurements are forgotten by the arrival of new ones and not by time, or a quiet night would make the moment shorter
 * than the next hash.
 *
 * @throws TypeError for a bad option.
 */
export function createRefusalClock(options: RefusalClockOptions = {}): RefusalClock {
  const capMs = integerOption(options, 'capMs', { fallback: 1_000, min: 0, max: 60_000 })
  const { now = () => performance.now() } = options
  let slowestBefore = GUESS_MS
  let slowest = 0
  let count = 0

  return {
    observe(durationMs) {
      slowest = Math.max(slowest, durationMs)
      count += 1
      if (count < GENERATION) return
      slowestBefore = slowest
      slowest = 0
      count = 0
    },
    delayFor: startedAtMs => Math.max(0, startedAtMs + Math.min(capMs, Math.max(slowestBefore, slowest)) - now()),
  }
}
