/** How much may be reported. */
export interface Pace {
  /** Reports made at once, before the rate counts. */
  readonly burst: number
  /** Milliseconds after which one more may be made. */
  readonly refillMs: number
}

/** The pace of one origin, e.g. one client. */
export const ORIGIN_PACE: Pace = { burst: 20, refillMs: 1_000 }

/** How many reports may still be made: what others can cause without end must not flood a log. */
export class Allowance {
  readonly #pace: Pace
  #left: number
  #refilledAt: number
  #suppressed = 0

  constructor(now: number, pace: Pace = ORIGIN_PACE) {
    this.#pace = pace
    this.#left = pace.burst
    this.#refilledAt = now
  }

  /** Takes one. Tells how many had to be left out since the last that was made; `undefined` if this is left out too. */
  take(now: number): number | undefined {
    const { burst, refillMs } = this.#pace
    const refill = Math.floor((now - this.#refilledAt) / refillMs)
    if (refill > 0) {
      this.#left = Math.min(burst, this.#left + refill)
      this.#refilledAt += refill * refillMs
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
