import { Buffer, isUtf8 } from 'node:buffer'
import { timingSafeEqual } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { genSaltSync } from 'bcryptjs'
import { PasswordInvalid, quote } from '../errors.js'
import { checkNames, integerOption } from '../options.js'
import { HashPool } from './pool.js'
import type { HashLimits } from './queue.js'
import type { HashTarget } from './types.js'

/** Identifier of a bcrypt variant. All three compute the same for what {@link hashPassword} accepts. */
export type BcryptPrefix = '$2a$' | '$2b$' | '$2y$'

/** What the text of a bcrypt hash says about itself. */
export interface BcryptHash {
  readonly prefix: BcryptPrefix
  /** Binary logarithm of the number of rounds, 4 to 31. */
  readonly cost: number
}

/** Limits common to {@link hashPassword} and {@link verifyPassword}. */
export interface HashingOptions {
  /**
   * Deadline in milliseconds, counted from the call, waiting for a thread included. Integer from 1 to 86400000.
   *
   * @default 60_000
   */
  readonly timeoutMs?: number
  /** Aborting it rejects the call with the signal's reason, and drops the hash if no thread has begun it. */
  readonly signal?: AbortSignal
}

/** Options of {@link hashPassword}. */
export interface HashPasswordOptions extends HashingOptions {
  /**
   * Binary logarithm of the number of rounds; one more doubles the time. Integer from 4, the least bcrypt knows, to 15,
   * which takes seconds. Records of more than 14 are refused unless their reader raises `maxCost`.
   *
   * @default 10
   */
  readonly cost?: number
  /**
   * Variant that the hash claims to be. VerneMQ reads no other than `$2a$`.
   *
   * @default '$2a$'
   */
  readonly prefix?: BcryptPrefix
}

/** Options of {@link verifyPassword}. */
export interface VerifyPasswordOptions extends HashingOptions {
  /**
   * Highest cost that is computed; a hash of more answers `false`, or whoever can write hashes could stop the threads.
   * Integer from 4 to 31.
   *
   * @default 14
   */
  readonly maxCost?: number
}

export const BCRYPT_PREFIXES: readonly BcryptPrefix[] = ['$2a$', '$2b$', '$2y$']
export const MIN_COST = 4
export const MAX_COST = 31
/** Highest cost of new hashes. */
export const MAX_NEW_COST = 15
export const DEFAULT_MAX_COST = 14
export const DEFAULT_QUEUE = 1_000
/** One for each core up to 8: beyond that it is the broker that needs the cores. */
export const DEFAULT_THREADS: number = Math.min(availableParallelism(), 8)

const HASHING_NAMES: ReadonlySet<string> = new Set(['cost', 'prefix', 'timeoutMs', 'signal'])
const VERIFYING_NAMES: ReadonlySet<string> = new Set(['maxCost', 'timeoutMs', 'signal'])

/** bcrypt reads no more of a password. */
const MAX_PASSWORD_BYTES = 72

/** Characters of a bcrypt hash up to and including the salt. */
const SALT_END = 29

const BCRYPT_HASH = /^(\$2[a-z]?\$)(\d\d)\$[./A-Za-z0-9]{53}$/

/**
 * Reads variant and cost from the text of a bcrypt hash.
 *
 * @returns The two, or `problem`, worded to follow the name of the field, when the text is no `$2a$`, `$2b$` or `$2y$`
 * hash of cost 4 to 31. Nothing is trimmed: a trailing newline is a problem, as it is to VerneMQ.
 */
export function parseBcryptHash(passhash: string): BcryptHash | { readonly problem: string } {
  const [, prefix = '', digits] = BCRYPT_HASH.exec(passhash) ?? []
  if (digits === undefined) return { problem: 'must be a bcrypt hash of 60 characters' }
  if (!isBcryptPrefix(prefix)) return { problem: `begins with ${quote(prefix)}, must be "$2a$", "$2b$" or "$2y$"` }
  const cost = Number(digits)
  if (cost < MIN_COST || cost > MAX_COST) return { problem: `has cost ${cost}, must be ${MIN_COST} to ${MAX_COST}` }
  return { prefix, cost }
}

/**
 * Turns a password into text.
 *
 * @returns `undefined` for what has no exact UTF-8 form (bytes that are not UTF-8, lone surrogates), since replacing
 * the offending part would make different passwords equal, and for what holds U+0000, at which most bcrypt
 * implementations stop reading.
 */
export function decodePassword(password: string | Uint8Array): string | undefined {
  const text = typeof password === 'string' ? password : decodeUtf8(password)
  return text === undefined || passwordProblem(text) !== undefined ? undefined : text
}

/**
 * Resolves with the bcrypt hash of a password, under a new random salt.
 *
 * Computed in a thread; calls share the threads and the queue (1,000 waiting) with {@link verifyPassword}. What bcrypt
 * would silently cut is refused. The empty password is hashed: devices that carry a token as username send one, and
 * VerneMQ accepts it. Check for it where a password is chosen.
 *
 * @example
 * ```ts
 * await hashPassword('38b3eff8baf56627478ec76a704e9b52') // '$2a$10$…'
 * ```
 *
 * @param password Text, or its UTF-8 bytes: at most 72 bytes, no U+0000, no lone surrogate.
 *
 * @throws PasswordInvalid (`ERR_PASSWORD_INVALID`) when the password is not as above.
 * @throws HashBusy (`ERR_HASH_BUSY`), HashTimeout (`ERR_HASH_TIMEOUT`), HashFailed (`ERR_HASH_FAILED`).
 * @throws TypeError for a bad option.
 */
export async function hashPassword(password: string | Uint8Array, options: HashPasswordOptions = {}): Promise<string> {
  checkNames(options, HASHING_NAMES, 'hashPassword')
  const cost = integerOption(options, 'cost', { fallback: 10, min: MIN_COST, max: MAX_NEW_COST })
  const prefix = options.prefix ?? '$2a$'
  if (!isBcryptPrefix(prefix)) throw new TypeError('"prefix" option must be "$2a$", "$2b$" or "$2y$"')
  const limits = hashLimits(options)
  assertPasswordType(password)

  const text = typeof password === 'string' ? password : decodeUtf8(password)
  if (text === undefined) throw new PasswordInvalid('password is not UTF-8')
  const problem = passwordProblem(text) ?? lengthProblem(text)
  if (problem !== undefined) throw new PasswordInvalid(`password ${problem}`)
  return hashIn(sharedPool(), text, { cost, prefix }, limits)
}

/**
 * Resolves with whether a password belongs to a bcrypt hash (`$2a$`, `$2b$` or `$2y$`).
 *
 * `false` for everything that cannot be: a malformed hash, another variant, a cost outside 4 to `maxCost`, bytes that
 * are not UTF-8, U+0000, a lone surrogate. Only the first 72 bytes of the password count, as always with bcrypt, so
 * that hashes made elsewhere of longer ones go on working.
 *
 * Computed in a thread; calls share the threads and the queue (1,000 waiting) with {@link hashPassword}.
 *
 * @throws HashBusy (`ERR_HASH_BUSY`), HashTimeout (`ERR_HASH_TIMEOUT`), HashFailed (`ERR_HASH_FAILED`): the password
 * was not judged.
 * @throws TypeError for a bad option, or an argument of another type.
 */
export async function verifyPassword(
  password: string | Uint8Array,
  passhash: string,
  options: VerifyPasswordOptions = {},
): Promise<boolean> {
  checkNames(options, VERIFYING_NAMES, 'verifyPassword')
  const maxCost = integerOption(options, 'maxCost', { fallback: DEFAULT_MAX_COST, min: MIN_COST, max: MAX_COST })
  const limits = hashLimits(options)
  assertPasswordType(password)
  if (typeof passhash !== 'string') throw new TypeError('"passhash" argument must be a string')

  const hash = parseBcryptHash(passhash)
  if ('problem' in hash || hash.cost > maxCost) return false
  return verifyIn(sharedPool(), { password, passhash }, limits)
}

/** Compares a password with a hash that is known to be well-formed. */
export async function verifyIn(
  pool: HashPool,
  { password, passhash }: { readonly password: string | Uint8Array; readonly passhash: string },
  limits: HashLimits,
): Promise<boolean> {
  const text = decodePassword(password)
  if (text === undefined) return false
  const computed = await pool.run({ password: text, salt: passhash.slice(0, SALT_END) }, limits)
  return timingSafeEqual(Buffer.from(computed), Buffer.from(passhash))
}

/** Hashes a password that bcrypt reads whole. */
export function hashIn(
  pool: HashPool,
  password: string,
  { cost, prefix }: HashTarget,
  limits: HashLimits,
): Promise<string> {
  // The variants differ in their names only, for passwords that get this far.
  return pool.run({ password, salt: withPrefix(genSaltSync(cost), prefix) }, limits)
}

/** Whether bcrypt reads all of a password, and nothing else reads it otherwise. */
export function isHashable(password: string): boolean {
  return passwordProblem(password) === undefined && lengthProblem(password) === undefined
}

/** A hash, or the salt it begins with, under the name of another variant. */
export function withPrefix(hash: string, prefix: BcryptPrefix): string {
  return prefix + hash.slice(prefix.length)
}

export function isBcryptPrefix(text: string): text is BcryptPrefix {
  return (BCRYPT_PREFIXES as readonly string[]).includes(text)
}

function passwordProblem(text: string): string | undefined {
  if (text.includes('\0')) return 'holds U+0000, where bcrypt stops reading'
  if (!text.isWellFormed()) return 'holds a lone surrogate, which has no bytes in UTF-8'
  return undefined
}

function lengthProblem(text: string): string | undefined {
  const bytes = Buffer.byteLength(text)
  if (bytes <= MAX_PASSWORD_BYTES) return undefined
  return `has ${bytes} bytes of UTF-8, bcrypt reads only ${MAX_PASSWORD_BYTES}`
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  const view = bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const text = view.toString()
  // Bytes that are not UTF-8 become U+FFFD.
  return text.includes('\ufffd') && !isUtf8(bytes) ? undefined : text
}

function assertPasswordType(password: unknown): void {
  if (typeof password !== 'string' && !(password instanceof Uint8Array)) {
    throw new TypeError('"password" argument must be a string or a Uint8Array')
  }
}

function hashLimits(options: HashingOptions): HashLimits {
  const timeoutMs = integerOption(options, 'timeoutMs', { fallback: 60_000, min: 1, max: 86_400_000 })
  return { timeoutMs, signal: options.signal }
}

let shared: HashPool | undefined

/** Never closed: its threads end when they are idle. */
function sharedPool(): HashPool {
  shared ??= new HashPool({ threads: DEFAULT_THREADS, queue: DEFAULT_QUEUE })
  return shared
}
