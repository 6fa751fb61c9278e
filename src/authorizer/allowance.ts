/** Reports made at once, before the rate counts. */
const BURST = 20
/** Milliseconds after which one more may be made. */
const REFILL_MS = 1_000

/** How many reports of one origin may still be made: what others can cause without end must not flood a log. */
export class Allowance {
  #left = BURST
  #refilledAt: number
  #suppressed = 0

  constructor(now: number) {
    this.#refilledAt = now
  }

  /** Takes one. Tells how many had to be left out since the last that was made; `undefined` if this is left out too. */
  take(now: number): number | undefined {
    const refill = Math.floor((now - this.#refilledAt) / REFILL_MS)
    if (refill > 0) {
      this.#left = Math.min(BURST, this.#left + refill)
      this.#refilledAt += refill * REFILL_MS
    }
    if (this.#left === 0) {
      this.#suppressed++
      return undefined
    }
    this.#left--
    const suppressed = this.#suppressed
    this.#suppressed = 0
    return suppressed
  }
}
