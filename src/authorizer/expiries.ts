import { MinHeap } from './heap.js'
import type { LiveSession } from './session.js'
import { TURN } from './turn.js'

/** Sessions that end within so many milliseconds of each other are ended together, none of them early. */
const STEP_MS = 10

/** Moments without sessions that stay in the heap whatever its size. */
const SLACK = 1_000

/** Longest time that a timer of Node can take. */
const MAX_DELAY_MS = 2_147_483_647

/** When the records of live sessions end by themselves: one timer, for the next of them. */
export class Expiries {
  readonly #now: () => number
  readonly #end: (session: LiveSession) => void
  readonly #byMoment: Map<number, Set<LiveSession>> = new Map()
  readonly #moments: Map<LiveSession, number> = new Map()
  /** The moments of the sessions, and some that nothing is expected at any more. */
  readonly #heap: MinHeap = new MinHeap()
  #next = Number.POSITIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  /** @param end Called with each session whose moment has come. It is no longer expected then. */
  constructor(now: () => number, end: (session: LiveSession) => void) {
    this.#now = now
    this.#end = end
  }

  /** Expects the end of a session at that moment of the monotonic clock, and no other; `Infinity` for none. */
  expect(session: LiveSession, endsAt: number): void {
    const moment = Math.ceil(endsAt / STEP_MS) * STEP_MS
    if (this.#moments.get(session) === moment) return
    this.forget(session)
    if (!Number.isFinite(moment)) return
    this.#moments.set(session, moment)
    const together = this.#byMoment.get(moment)
    if (together !== undefined) together.add(session)
    else {
      this.#byMoment.set(moment, new Set([session]))
      this.#heap.push(moment)
      if (this.#heap.size > 2 * this.#byMoment.size + SLACK) this.#heap.refill(this.#byMoment.keys())
    }
    if (moment < this.#next) this.#arm(moment)
  }

  forget(session: LiveSession): void {
    const moment = this.#moments.get(session)
    if (moment === undefined) return
    this.#moments.delete(session)
    const together = this.#byMoment.get(moment)
    together?.delete(session)
    // The timer stays: it finds nothing, and is set for the next.
    if (together?.size === 0) this.#byMoment.delete(moment)
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#byMoment.clear()
    this.#moments.clear()
    this.#heap.refill([])
  }

  #arm(moment: number): void {
    clearTimeout(this.#timer)
    this.#next = moment
    if (moment === Number.POSITIVE_INFINITY) return
    const delayMs = Math.min(Math.max(0, Math.ceil(moment - this.#now())), MAX_DELAY_MS)
    this.#timer = setTimeout(() => this.#look(), delayMs).unref()
  }

  #look(): void {
    const now = this.#now()
    // Those of one record end together, and may be very many.
    let left = TURN
    let next = this.#heap.first
    while (next !== undefined && (next <= now || !this.#byMoment.has(next))) {
      for (const session of this.#byMoment.get(next) ?? []) {
        if (left-- === 0) {
          setImmediate(() => this.#look())
          return
        }
        this.forget(session)
        this.#end(session)
      }
      this.#heap.shift()
      next = this.#heap.first
    }
    this.#arm(next ?? Number.POSITIVE_INFINITY)
  }
}
