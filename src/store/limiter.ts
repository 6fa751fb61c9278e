import { type GrowingCache, growingCache } from '../growing-cache.js'

/** How often something may happen. */
export interface LimiterLimits {
  /** How often it may happen within the window before the key is blocked. */
  readonly points: number
  /** Milliseconds from the first time until the count begins anew. Counted in whole seconds, the last one in full. */
  readonly windowMs: number
  /** Milliseconds that a key stays blocked, from when its points were used up. Counted as `windowMs` is. */
  readonly blockMs: number
}

/**
 * Counts how often something happened, by key. Never rejects: where its place cannot be reached, it counts in the
 * memory of this process meanwhile.
 */
export interface Limiter {
  /** Counts one; resolves with how many that makes. */
  spend(key: string): Promise<number>
  /** Resolves with whether the points of a key are used up. */
  isSpent(key: string): Promise<boolean>
}

/** A limiter of whoever made it, who closes it. */
export interface OwnLimiter extends Limiter {
  close(): void
}

/** Keys that one memory counts at most; of more, the one counted longest ago is forgotten. About 150 bytes each. */
const MAX_KEYS = 50_000

/** Counts in the memory of this process: of so many keys at most that inventing more costs no more memory. */
export class MemoryLimiter implements OwnLimiter {
  readonly #points: number
  readonly #windowMs: number
  readonly #blockMs: number
  readonly #counts: GrowingCache<number>
  #isClosed = false

  constructor({ points, windowMs, blockMs }: LimiterLimits, maxKeys: number = MAX_KEYS) {
    this.#points = points
    this.#windowMs = inSeconds(windowMs) * 1_000
    this.#blockMs = inSeconds(blockMs) * 1_000
    // lru-cache reads a start time of 0 as "never expires", and may reuse one reading of the clock for a while unless
    // told.
    const perf = { now: () => performance.now() + 1 }
    this.#counts = growingCache({ max: maxKeys, ttl: this.#windowMs, ttlResolution: 0, perf })
  }

  async spend(key: string): Promise<number> {
    if (this.#isClosed) return 1
    const count = (this.#counts.get(key) ?? 0) + 1
    // The window begins with the first, and the block with what uses the points up.
    if (count === this.#points) this.#counts.set(key, count, { ttl: this.#blockMs })
    else this.#counts.set(key, count, { noUpdateTTL: true })
    return count
  }

  async isSpent(key: string): Promise<boolean> {
    return (this.#counts.get(key) ?? 0) >= this.#points
  }

  /** Forgets everything, and counts no more. */
  close(): void {
    this.#isClosed = true
    this.#counts.clear()
  }
}

/** Whole seconds that a time is counted in. */
export function inSeconds(ms: number): number {
  return Math.ceil(ms / 1_000)
}

/** Limiters by name and limits, so that all who count the same in one place share what they counted. */
export class Limiters {
  readonly #make: (name: string, limits: LimiterLimits) => OwnLimiter
  readonly #made: Map<string, OwnLimiter> = new Map()

  constructor(make: (name: string, limits: LimiterLimits) => OwnLimiter) {
    this.#make = make
  }

  get(name: string, { points, windowMs, blockMs }: LimiterLimits): Limiter {
    const text = [name, points, windowMs, blockMs].join(' ')
    const made = this.#made.get(text) ?? this.#make(name, { points, windowMs, blockMs })
    this.#made.set(text, made)
    return made
  }

  close(): void {
    for (const limiter of this.#made.values()) limiter.close()
  }
}
