import { checkNames, hasFunctions, integerOption } from '../options.js'
import { type BcryptPrefix, isBcryptPrefix, MAX_NEW_COST, MIN_COST } from '../password/bcrypt.js'
import type { HashTarget } from '../password/types.js'
import type { AuthorizerOptions } from './options.js'

/** What new hashes are like. */
export interface RehashOptions {
  /** bcrypt cost. 4 to 15, and not above `maxCost`. */
  readonly cost: number
  /** Variant. VerneMQ reads no other than `$2a$`. @default '$2a$' */
  readonly prefix?: BcryptPrefix
}

const NAMES: ReadonlySet<string> = new Set(['cost', 'prefix'])

/**
 * Checks the option `rehash`; `undefined` when it is off.
 *
 * @throws TypeError that names the option.
 */
export function rehashOption(
  { rehash = false, hasher, store }: AuthorizerOptions,
  maxCost: number,
): HashTarget | undefined {
  if (rehash === false) return undefined
  if (typeof rehash !== 'object' || rehash === null) throw new TypeError('"rehash" option must be false or an object')
  checkNames(rehash, NAMES, 'createAuthorizer', 'rehash.')
  const max = Math.min(MAX_NEW_COST, maxCost)
  const cost = integerOption({ 'rehash.cost': rehash.cost }, 'rehash.cost', {
    fallback: Number.NaN,
    min: MIN_COST,
    max,
  })
  const { prefix = '$2a$' } = rehash
  // In the other mode hashes of other variants are refused, as VerneMQ does.
  const accepted = store.semantics === 'vernemq' ? prefix === '$2a$' : isBcryptPrefix(prefix)
  if (!accepted) throw new TypeError('"rehash.prefix" option must be a variant that the store\'s records may have')
  if (typeof hasher === 'object' && !hasFunctions(hasher, ['isOutdated', 'hash'])) {
    throw new TypeError('"rehash" option needs a hasher with isOutdated() and hash()')
  }
  if (!hasFunctions(store, ['getStored', 'put'])) {
    throw new TypeError('"rehash" option needs a store with getStored() and put()')
  }
  return { cost, prefix }
}
