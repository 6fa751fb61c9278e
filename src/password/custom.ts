import { availableParallelism } from 'node:os'
import { HashFailed, WardenError } from '../errors.js'
import { integerOption } from '../options.js'
import { queueOption } from './hasher.js'
import { HashQueue } from './queue.js'
import type { HashTarget, PasswordHasher } from './types.js'

/** What {@link createHasher} makes a hasher of. */
export interface HasherParts {
  /** As in {@link PasswordHasher}. Refuse what would take too long, too. */
  passhashProblem(passhash: string): string | undefined
  /**
   * Resolves with whether the password belongs to the hash, which `passhashProblem` found no fault with. A call that is
   * not settled after two minutes is given up, and others get its place; whoever waited for it was refused long before.
   */
  verify(password: string, passhash: string): Promise<boolean>
  /** As in {@link PasswordHasher}. Left out, every hash is good enough. */
  isOutdated?(passhash: string, target: HashTarget): boolean
  /** Resolves with a new hash, or with `undefined` for a password that it cannot be of. */
  hash?(password: string, target: HashTarget): Promise<string | undefined>
  /** Releases what the functions use. */
  close?(): Promise<void>
  /** Most calls of the functions under way at the same time. 1 to 64; the default is one for each core. */
  readonly threads?: number
  /** Most that wait, as in `BcryptHasherOptions`. @default 1_000 */
  readonly queue?: number
}

/**
 * Makes a hasher for hashes of any kind, with the queue of the built-in one around it: bounded, in turns by address and
 * by account, with deadlines. The functions must not occupy the main thread: use `crypto.pbkdf2`, `crypto.scrypt`, a
 * native package, or threads of your own. What they throw is told as `HashFailed`, and lets nobody in.
 *
 * Exported from `mqtt-warden`.
 *
 * @throws TypeError for a part that is missing or out of range.
 */
export function createHasher(parts: HasherParts): PasswordHasher {
  if (typeof parts?.passhashProblem !== 'function' || typeof parts.verify !== 'function') {
    throw new TypeError('"parts" argument must have functions passhashProblem() and verify()')
  }
  const fallback = Math.min(64, availableParallelism())
  const queue = new HashQueue(integerOption(parts, 'threads', { fallback, min: 1, max: 64 }), queueOption(parts))
  const { isOutdated = () => false } = parts
  return {
    passhashProblem: passhash => parts.passhashProblem(passhash),
    verify: async (password, passhash, limits) =>
      parts.passhashProblem(passhash) === undefined &&
      (await queue.run(() => guarded(() => parts.verify(password, passhash)), limits)) === true,
    isOutdated: (passhash, target) => isOutdated(passhash, target),
    hash: async (password, target, limits) =>
      queue.run(() => guarded(async () => parts.hash?.(password, target)), { ...limits, isBackground: true }),
    stats: () => queue.stats(),
    async close() {
      queue.close(new HashFailed('hasher was closed'))
      await parts.close?.()
    },
  }
}

async function guarded<T>(compute: () => Promise<T>): Promise<T> {
  try {
    return await compute()
  } catch (cause) {
    throw cause instanceof WardenError ? cause : new HashFailed('password was not judged', { cause })
  }
}
