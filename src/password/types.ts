import type { BcryptPrefix } from './bcrypt.js'

/** Load of a hasher at this moment. */
export interface HasherStats {
  /** Hashes being computed. */
  readonly running: number
  /** Hashes waiting for a thread. */
  readonly queued: number
}

/** Who wants a hash. Each address, and each account, gets its turn, however many hashes another one asks for. */
export interface HashOrigin {
  /**
   * Where the client is, as text that is only compared: its IPv4 address, or the first 64 bits of its IPv6 address.
   * Hashes without one count as of one place.
   */
  readonly address?: string | undefined
  /** Name of the account, e.g. mountpoint and username. Hashes without one count as of one account. */
  readonly account?: string | undefined
}

/** Limits of one call of a hasher. */
export interface HasherLimits {
  /** Deadline in milliseconds, counted from the call. */
  readonly timeoutMs: number
  /** Aborted when nobody waits for the outcome any more. */
  readonly signal?: AbortSignal | undefined
  readonly origin?: HashOrigin | undefined
}

/** What a new hash should be like. */
export interface HashTarget {
  /** bcrypt cost, 4 to 15. */
  readonly cost: number
  readonly prefix: BcryptPrefix
}

/**
 * Judges passwords for the authorizer. The built-in ones know bcrypt (`$2a$`, `$2b$`, `$2y$`) and work in threads;
 * another can be handed in for hashes of other kinds.
 *
 * `examples/custom-hasher.ts` has one for the hashes of mosquitto's password files.
 */
export interface PasswordHasher {
  /**
   * Tells what is wrong with a stored hash, or `undefined` when `verify` can judge it. Called for every login before
   * anything is queued, so that a hash that is malformed, or too costly to compute, ends as `record_invalid` at once.
   */
  passhashProblem(passhash: string): string | undefined
  /**
   * Resolves with whether the password belongs to the hash. Must not occupy the main thread, and must bound what waits.
   * The authorizer asks once for all logins that bring the same password for the same record at the same time.
   *
   * @throws HashBusy when the queue is full, at once; HashTimeout after `timeoutMs`; HashFailed when no thread works;
   * the signal's reason when it is aborted.
   */
  verify(password: string, passhash: string, limits: HasherLimits): Promise<boolean>
  /**
   * Tells whether a hash falls short of what new ones should be like. Needed, like {@link hash}, for the option
   * `rehash` of the authorizer only.
   */
  isOutdated?(passhash: string, target: HashTarget): boolean
  /**
   * Resolves with a new hash, computed when no login waits; with `undefined` for a password that it cannot be of.
   *
   * @throws as {@link verify} does.
   */
  hash?(password: string, target: HashTarget, limits: HasherLimits): Promise<string | undefined>
  stats(): HasherStats
  /** Ends the threads; hashes under way are answered with `HashFailed`. */
  close(): Promise<void>
}
