import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { HashFailed } from '../errors.js'
import { checkNames, integerOption } from '../options.js'
import { decodePassword, withPrefix } from './bcrypt.js'
import { type BcryptHasherOptions, HASHER_NAMES, hasherOver, queueOption } from './hasher.js'
import { HashQueue } from './queue.js'
import type { PasswordHasher } from './types.js'

/** What is used of the package `@node-rs/bcrypt`. */
export interface NativeBcrypt {
  verify(password: string, passhash: string): Promise<boolean>
  hash(password: string, cost: number): Promise<string>
}

/** Options of {@link createNativeHasher}. */
export interface NativeHasherOptions extends Omit<BcryptHasherOptions, 'threads'> {
  /** The package `@node-rs/bcrypt`, as imported. Left out, it is looked for beside this package. */
  readonly bcrypt?: NativeBcrypt
  /**
   * Most hashes under way at the same time. They run in libuv's threads (`UV_THREADPOOL_SIZE`, 4 by default), which
   * look up host names and read files as well. Integer from 1 to 64. The default is one for each core, but leaves one
   * of libuv's threads free.
   */
  readonly threads?: number
}

const NAMES: ReadonlySet<string> = new Set([...HASHER_NAMES, 'bcrypt'])

/** Threads of libuv, unless the environment says otherwise. */
const UV_THREADS = 4

/**
 * Creates a hasher over `@node-rs/bcrypt`, which takes about half as long as the built-in one. Queue, turns, deadlines
 * and limits are those of `createBcryptHasher`; `hasher: 'native'` is short for it.
 *
 * Exported from `mqtt-warden`.
 *
 * @throws TypeError for a bad option, or when the package is not installed.
 */
export function createNativeHasher(options: NativeHasherOptions = {}): PasswordHasher {
  checkNames(options, NAMES, 'createNativeHasher')
  const bcrypt = options.bcrypt ?? loadBcrypt()
  if (typeof bcrypt?.verify !== 'function' || typeof bcrypt.hash !== 'function') {
    throw new TypeError('"bcrypt" option must be the package @node-rs/bcrypt')
  }
  const queue = new HashQueue(
    integerOption(options, 'threads', { fallback: defaultThreads(), min: 1, max: 64 }),
    queueOption(options),
  )
  return hasherOver(options, {
    async verify(password, passhash, limits) {
      const text = decodePassword(password)
      return text !== undefined && queue.run(() => judged(bcrypt.verify(text, passhash)), limits)
    },
    hash: (password, { cost, prefix }, limits) =>
      queue.run(async () => withPrefix(await judged(bcrypt.hash(password, cost)), prefix), limits),
    stats: () => queue.stats(),
    close: async () => queue.close(new HashFailed('hasher was closed')),
  })
}

function loadBcrypt(): NativeBcrypt {
  try {
    return createRequire(import.meta.url)('@node-rs/bcrypt') as NativeBcrypt
  } catch (cause) {
    throw new TypeError('the native hasher needs the package @node-rs/bcrypt: npm install @node-rs/bcrypt', { cause })
  }
}

function defaultThreads(): number {
  const { UV_THREADPOOL_SIZE } = process.env
  const uvThreads = Number(UV_THREADPOOL_SIZE) || UV_THREADS
  return Math.min(64, Math.max(1, Math.min(availableParallelism(), uvThreads - 1)))
}

async function judged<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (cause) {
    throw new HashFailed('native bcrypt failed', { cause })
  }
}
