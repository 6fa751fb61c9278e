import { createHmac, createSecretKey, randomBytes } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { LRUCache } from 'lru-cache'
import { integerOption } from '../options.js'

/** Options of {@link createVerifiedPasswords}. */
export interface VerifiedPasswordsOptions {
  /**
   * Most passwords remembered; at the limit the one unused for longest is forgotten. About 200 bytes each. Integer from 0
   * to 10000000; `0` remembers none.
   *
   * @default 100_000
   */
  readonly max?: number
  /**
   * How long a password is remembered, in milliseconds from when it was proven; use does not prolong it. Integer from 0 to
   * 604800000 (a week); `0` remembers none.
   *
   * @default 3_600_000
   */
  readonly ttlMs?: number
  /** Monotonic clock in milliseconds. `performance.now` by default. */
  readonly now?: () => number
}

/**
 * Remembers which passwords were proven, so that a client that comes back costs microseconds instead of a bcrypt hash.
 *
 * The hash is part of what is remembered, so a new one makes the proof of the old worthless by itself.
 */
export interface VerifiedPasswords {
  /** Tells whether this password was proven against this hash of this record. */
  has(recordKey: string, passhash: string, password: string): boolean
  /** Remembers that it was. */
  add(recordKey: string, passhash: string, password: string): void
  /** Number of passwords remembered, those included that have expired and were not asked for since. */
  readonly size: number
  clear(): void
}

/**
 * Creates the memory of proven passwords.
 *
 * Neither passwords nor anything they could be guessed from without the key is kept: only HMAC-SHA-256 values, under a
 * random key that exists nowhere else and ends with the process.
 *
 * @throws TypeError for a bad option.
 */
export function createVerifiedPasswords(options: VerifiedPasswordsOptions = {}): VerifiedPasswords {
  const max = integerOption(options, 'max', { fallback: 100_000, min: 0, max: 10_000_000 })
  const ttl = integerOption(options, 'ttlMs', { fallback: 3_600_000, min: 0, max: 604_800_000 })
  const { now = () => performance.now() } = options
  const key = createSecretKey(randomBytes(32))
  const off = max === 0 || ttl === 0
  // lru-cache reads a start time of 0 as "never expires", and may reuse one reading of the clock for a while unless told.
  const proven = new LRUCache<string, true>({
    max: off ? 1 : max,
    ttl,
    ttlResolution: 0,
    perf: { now: () => now() + 1 },
  })

  const fingerprint = (...parts: readonly string[]): string => {
    const hmac = createHmac('sha256', key)
    // Length first, so that no two lists run together; UTF-16, because it keeps ill-formed text apart as well.
    for (const part of parts) hmac.update(`${part.length}:`).update(part, 'utf16le')
    // One character a byte: the smallest string that holds all of it.
    return hmac.digest('binary')
  }

  return {
    has: (recordKey, passhash, password) => !off && proven.get(fingerprint(recordKey, passhash, password)) === true,
    add(recordKey, passhash, password) {
      if (!off) proven.set(fingerprint(recordKey, passhash, password), true)
    },
    get size() {
      return proven.size
    },
    clear: () => proven.clear(),
  }
}
