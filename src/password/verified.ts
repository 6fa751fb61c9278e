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

/** That a password was judged; who keeps it need not look it up. */
export interface Proof {
  readonly fingerprint: string
  /** When, by the clock of its memory. */
  readonly at: number
  /** Whether its memory has let go of it. */
  isForgotten: boolean
}

/**
 * Remembers which passwords were judged alike, by their fingerprints: proven, so that a client that comes back costs
 * microseconds instead of a bcrypt hash, or refuted.
 *
 * The hash is part of a fingerprint, so a new one makes what is known of the old worthless by itself.
 */
export interface VerifiedPasswords {
  /**
   * What is remembered of a password, if anything is.
   *
   * @param at The time, for who has looked at the clock.
   */
  find(fingerprint: string, at?: number): Proof | undefined
  /**
   * Whether what was found before is of this password, and remembered still. Counts as a use of it from when the memory is
   * half full: before that nothing is near to being forgotten, and to look it up takes longer than all the rest.
   *
   * @param at The time, for who has looked at the clock.
   */
  holds(proof: Proof, fingerprint: string, at?: number): boolean
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
  const remembered = growingCache<Proof>({
    max: off ? 1 : max,
    dispose: proof => {
      proof.isForgotten = true
    },
  })
  const isAlive = (proof: Proof, at: number) => at - proof.at <= ttl
  return {
    find(fingerprint, at = now()) {
      const proof = remembered.get(fingerprint)
      if (proof === undefined || isAlive(proof, at)) return proof
      remembered.delete(fingerprint)
      return undefined
    },
    holds(proof, fingerprint, at = now()) {
      if (proof.isForgotten || proof.fingerprint !== fingerprint || !isAlive(proof, at)) return false
      if (remembered.size > max / 2) remembered.get(fingerprint)
      return true
    },
    add(fingerprint) {
      if (!off) remembered.set(fingerprint, { fingerprint, at: now(), isForgotten: false })
    },
    get size() {
      return remembered.size
    },
    clear: () => remembered.clear(),
  }
}
