import { checkNames, integerOption } from '../options.js'
import {
  BCRYPT_PREFIXES,
  type BcryptPrefix,
  DEFAULT_MAX_COST,
  DEFAULT_QUEUE,
  DEFAULT_THREADS,
  hashIn,
  isBcryptPrefix,
  isHashable,
  MAX_COST,
  MIN_COST,
  parseBcryptHash,
  verifyIn,
} from './bcrypt.js'
import { HashPool } from './pool.js'
import type { HashLimits } from './queue.js'
import type { HasherStats, HashTarget, PasswordHasher } from './types.js'

/** Options of {@link createBcryptHasher}. */
export interface BcryptHasherOptions {
  /**
   * Most threads that hash at the same time. They start with the first hash and end after five idle seconds. Integer
   * from 1 to 64. The default is one for each core, 8 at most.
   */
  readonly threads?: number
  /**
   * Most hashes that may wait for a thread. When they do, a newcomer takes the place of one from whichever address or
   * account has more of them waiting; where none has, it is refused with `HashBusy`. `0` refuses whatever no thread is
   * free for. Integer from 0 to 1000000.
   *
   * @default 1_000
   */
  readonly queue?: number
  /**
   * Highest cost that is computed; a hash of more is malformed. One more doubles the time of the slowest hash. Integer
   * from 4 to 31.
   *
   * @default 14
   */
  readonly maxCost?: number
  /**
   * Variants that are computed; others are malformed. `['$2a$']` is what VerneMQ does.
   *
   * @default ['$2a$', '$2b$', '$2y$']
   */
  readonly acceptedPrefixes?: readonly BcryptPrefix[]
}

/** Options that every bcrypt hasher has. */
export const HASHER_NAMES: ReadonlySet<string> = new Set(['threads', 'queue', 'maxCost', 'acceptedPrefixes'])

/** What computes hashes for a hasher. The passwords and hashes it is given are well-formed. */
export interface BcryptEngine {
  verify(password: string, passhash: string, limits: HashLimits): Promise<boolean>
  hash(password: string, target: HashTarget, limits: HashLimits): Promise<string>
  stats(): HasherStats
  close(): Promise<void>
}

/**
 * Creates the hasher that an authorizer uses unless another is handed in: bcrypt in threads and a queue of its own.
 *
 * Judges as `verifyPassword` does. A deadline or an abort settles `verify` at once; a hash that no thread has begun is
 * then dropped, one that is under way keeps its thread until it is finished. Threads take turns among the addresses,
 * and among the accounts, that hashes are asked for; those that have asked for least of late go first.
 *
 * Exported from `mqtt-warden`.
 *
 * @throws TypeError for a bad option.
 */
export function createBcryptHasher(options: BcryptHasherOptions = {}): PasswordHasher {
  checkNames(options, HASHER_NAMES, 'createBcryptHasher')
  const pool = new HashPool({
    threads: integerOption(options, 'threads', { fallback: DEFAULT_THREADS, min: 1, max: 64 }),
    queue: queueOption(options),
  })
  return hasherOver(options, {
    verify: (password, passhash, limits) => verifyIn(pool, { password, passhash }, limits),
    hash: (password, target, limits) => hashIn(pool, password, target, limits),
    stats: () => pool.stats(),
    close: () => pool.close(),
  })
}

/** Checks the option `queue`. */
export function queueOption(options: { readonly queue?: number }): number {
  return integerOption(options, 'queue', { fallback: DEFAULT_QUEUE, min: 0, max: 1_000_000 })
}

/** Puts what every bcrypt hasher has in common around an engine: which hashes and passwords it is given. */
export function hasherOver(options: BcryptHasherOptions, engine: BcryptEngine): PasswordHasher {
  const maxCost = integerOption(options, 'maxCost', { fallback: DEFAULT_MAX_COST, min: MIN_COST, max: MAX_COST })
  const acceptedPrefixes = options.acceptedPrefixes ?? BCRYPT_PREFIXES
  if (!Array.isArray(acceptedPrefixes) || !acceptedPrefixes.length || !acceptedPrefixes.every(isBcryptPrefix)) {
    throw new TypeError('"acceptedPrefixes" option must list at least one of "$2a$", "$2b$" and "$2y$", and no other')
  }
  const accepted: ReadonlySet<BcryptPrefix> = new Set(acceptedPrefixes)

  const passhashProblem = (passhash: string): string | undefined => {
    const hash = parseBcryptHash(passhash)
    if ('problem' in hash) return hash.problem
    if (!accepted.has(hash.prefix)) return `begins with "${hash.prefix}", accepted is ${[...accepted].join(', ')}`
    if (hash.cost > maxCost) return `has cost ${hash.cost}, more than the highest accepted, ${maxCost}`
    return undefined
  }

  return {
    passhashProblem,
    verify: async (password, passhash, limits) =>
      passhashProblem(passhash) === undefined && engine.verify(password, passhash, limits),
    isOutdated(passhash, { cost, prefix }) {
      const hash = parseBcryptHash(passhash)
      return 'problem' in hash || hash.cost < cost || hash.prefix !== prefix
    },
    hash: async (password, target, limits) =>
      isHashable(password) ? engine.hash(password, target, { ...limits, isBackground: true }) : undefined,
    stats: () => engine.stats(),
    close: () => engine.close(),
  }
}
