import type { RateLimiterRes } from 'rate-limiter-flexible'
import RateLimiterMemory from 'rate-limiter-flexible/lib/RateLimiterMemory.js'
import { LateCache } from '../late-cache.js'

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

/** Keys that one memory counts at most; of more, the one touched longest ago is forgotten. About 300 bytes each. */
const MAX_KEYS = 50_000

/**
 * Options of a limiter of `rate-limiter-flexible`. It blocks what exceeds its points, and ours is what uses them up:
 * one fewer there.
 */
export function limiterOptions({ points, windowMs, blockMs }: LimiterLimits): {
  points: number
  duration: number
  blockDuration: number
} {
  return { points: points - 1, duration: Math.ceil(windowMs / 1_000), blockDuration: Math.ceil(blockMs / 1_000) }
}

/** Counts one with a limiter of `rate-limiter-flexible`, which rejects with the count when there are too many. */
export async function consume(limiter: Pick<RateLimiterMemory, 'consume'>, key: string): Promise<RateLimiterRes> {
  try {
    return await limiter.consume(key)
  } catch (outcome) {
    if (outcome instanceof Error) throw outcome
    return outcome as RateLimiterRes
  }
}

/** Counts in the memory of this process: of so many keys at most that inventing more costs no more memory. */
export class MemoryLimiter implements OwnLimiter {
  readonly #limiter: RateLimiterMemory
  readonly #points: number
  readonly #keys: LateCache<true>
  #isClosed = false

  constructor(limits: LimiterLimits, maxKeys: number = MAX_KEYS) {
    this.#points = limits.points
    this.#limiter = new RateLimiterMemory(limiterOptions(limits))
    this.#keys = new LateCache({
      max: maxKeys,
      dispose: (_, key, reason) => {
        if (reason === 'evict') void this.#limiter.delete(key)
      },
    })
  }

  async spend(key: string): Promise<number> {
    if (this.#isClosed) return 1
    this.#keys.set(key, true)
    return (await consume(this.#limiter, key)).consumedPoints
  }

  async isSpent(key: string): Promise<boolean> {
    if (!this.#keys.has(key)) return false
    const counted = await this.#limiter.get(key)
    return counted !== null && counted.consumedPoints >= this.#points
  }

  /** Forgets everything, with the timer of each key, and counts no more. */
  close(): void {
    this.#isClosed = true
    for (const key of this.#keys.keys()) void this.#limiter.delete(key)
    this.#keys.clear()
  }
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
