import { randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { growingCache } from '../growing-cache.js'
import { integerOption } from '../options.js'
import { createTextHmac } from './text-hmac.js'

/** Options of {@link createVerifiedPasswords}. */
export interface VerifiedPasswordsOptions {
  /**
   * Most passwords remembered; at the limit the one unused for longest is forgotten. About 200 bytes each. Integer from
   * 0 to 10000000; `0` remembers none.
   *
   * @default 100_000
   */
  readonly max?: number
  /**
   * How long a password is remembered, in milliseconds from when it was proven; use does not prolong it. Integer from 0
   * to 604800000 (a week); `0` remembers none.
   *
   * @default 3_600_000
   */
  readonly ttlMs?: number
  /** Monotonic clock in milliseconds. `performance.now` by default. */
  readonly now?: () => number
}

/**
 * Remembers which passwords were judged alike, by their fingerprints: proven, so that a client that comes back costs
 * microseconds instead of a bcrypt hash, or refuted.
 *
 * The hash is part of a fingerprint, so a new one makes what is known of the old worthless by itself.
 */
export interface VerifiedPasswords {
  /** @param at The time, for who has looked at the clock. */
  has(fingerprint: string, at?: number): boolean
  add(fingerprint: string): void
  /** Number of passwords remembered, those included that have expired and were not asked for since. */
  readonly size: number
  clear(): void
}

/**
 * Makes a function that names a password brought for a hash of a record by an HMAC-SHA-256 value under a random key that
 * exists nowhere else and ends with the process: nothing can be guessed from it without that.
 */
export function createFingerprint(): (record: string, passhash: string, password: string) => string {
  const hmac = createTextHmac(randomBytes(64))
  return (record, passhash, password) => {
    // Lengths first, so that the end of one text and the beginning of the next are not taken for each other, nor this for
    // the JSON of a text.
    return hmac(`${record.length} ${passhash.length}:${record}${passhash}${password}`)
  }
}

/**
 * Creates a memory of passwords.
 *
 * @throws TypeError for a bad option.
 */
export function createVerifiedPasswords(options: VerifiedPasswordsOptions = {}): VerifiedPasswords {
  const max = integerOption(options, 'max', { fallback: 100_000, min: 0, max: 10_000_000 })
  const ttl = integerOption(options, 'ttlMs', { fallback: 3_600_000, min: 0, max: 604_800_000 })
  const { now = () => performance.now() } = options
  const off = max === 0 || ttl === 0
  /** The moments at which they were proven. */
  const remembered = growingCache<number>({ max: off ? 1 : max })
  return {
    has(fingerprint, at = now()) {
      const provenAt = remembered.get(fingerprint)
      if (provenAt === undefined) return false
      if (at - provenAt <= ttl) return true
      remembered.delete(fingerprint)
      return false
    },
    add(fingerprint) {
      if (!off) remembered.set(fingerprint, now())
    },
    get size() {
      return remembered.size
    },
    clear: () => remembered.clear(),
  }
}
