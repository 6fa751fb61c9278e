import { type CompiledAcl, type CompileOptions, compileAcl } from '../acl/compile.js'
import type { Acl, Semantics } from '../acl/types.js'
import { TopicInvalid } from '../errors.js'
import { booleanOption, checkNames, hasFunctions, integerOption } from '../options.js'
import type { HashTarget, PasswordHasher } from '../password/types.js'
import type { RecordStore } from '../store/types.js'
import { type RehashOptions, rehashOption } from './rehash-options.js'
import { type Throttle, type ThrottleOptions, throttleOption } from './throttle-options.js'
import { watchWallClock } from './wall-clock.js'

/** Options of `createAuthorizer`. All times are in milliseconds and integers. */
export interface AuthorizerOptions {
  /** Where the records are. Stays the caller's: `authorizer.close()` leaves it open. */
  readonly store: RecordStore
  /** Follows the store; naming another is a TypeError, since the store has parsed the records by its own. */
  readonly semantics?: Semantics
  /**
   * Longest use of a record after the read that produced it was sent, whatever is heard in between: the bound for
   * changes that no store can report (Redis `SWAPDB`). Live sessions are re-read from half of it on. Without meaning
   * for a store that cannot become deaf, as the memory store. 1,000 to 86,400,000.
   *
   * @default 900_000
   */
  readonly maxAgeMs?: number
  /**
   * How long a record counts as fresh after the last moment up to which all changes are known to have been heard. Begun
   * at half of it, records of live sessions are read again. 100 to 3,600,000; should exceed the store's heartbeat.
   *
   * @default 15_000
   */
  readonly staleWindowMs?: number
  /**
   * How long decisions go on from what is known when the store cannot be read, counted as `staleWindowMs` is: of live
   * sessions, of those without a session, and logins whose password was proven before. Afterwards everything is refused
   * with `store_unavailable`. 0 to 86,400,000; with `0` the stale window (and one read time-out) is all there is.
   *
   * @default 60_000
   */
  readonly outageGraceMs?: number
  /**
   * Longest wait for one answer of the store; also how long a session may go on after its record was named by a change
   * and could not be read again. 10 to 60,000.
   *
   * @default 2_000
   */
  readonly readTimeoutMs?: number
  /**
   * Longest time from a CONNECT to its answer; then it is refused with `deadline`. 100 to 300,000.
   *
   * @default 10_000
   */
  readonly connectTimeoutMs?: number
  /**
   * Most records held; the least recently used one is dropped and read again when needed. Sessions keep theirs apart.
   * 1 to 10,000,000.
   *
   * @default 10_000
   */
  readonly maxRecords?: number
  /**
   * Most keys remembered as having no record; kept apart, so that invented names evict nobody. Keys of more than 1,024
   * characters are not remembered. 1 to 10,000,000.
   *
   * @default 10_000
   */
  readonly maxAbsent?: number
  /**
   * Most logins waiting for a hashing thread; beyond it they are refused with `busy` at once. 0 to 100,000.
   *
   * @default 1_000
   */
  readonly hashQueue?: number
  /**
   * Highest bcrypt cost a record may have; a higher one makes the record invalid, or it would be a way to stop the
   * broker. 4 to 31.
   *
   * @default 14
   */
  readonly maxCost?: number
  /**
   * How long a proven password spares the next hash, as long as the passhash is the same. 0 to 604,800,000; `0` hashes
   * at every login.
   *
   * @default 3_600_000
   */
  readonly verifiedTtlMs?: number
  /**
   * Most proven passwords remembered. 0 to 10,000,000.
   *
   * @default 100_000
   */
  readonly maxVerified?: number
  /**
   * Longest that a refusal is held back so that unknown users and wrong passwords are alike in time. 0 to 60,000.
   *
   * @default 1_000
   */
  readonly refusalCapMs?: number
  /** Most levels of a topic. 1 to 1,024. @default 128, or 10 with a store of `vernemq` semantics */
  readonly maxLevels?: number
  /** What a rule with a payload limit does when a caller tells no size. @default 'refuse' */
  readonly unknownPayloadSize?: 'refuse' | 'allow'
  /**
   * Whether a client without a record of its own is looked up under the client id `*` (VerneMQ ≥ 2.0 does).
   *
   * @default true
   */
  readonly wildcardClientId?: boolean
  /**
   * Who wins when an account connects with a client id that it holds already: the newest connection, as MQTT demands,
   * or the first, as long as it lasts. With `first` the newcomer is refused with `client_id_taken`: of an account that
   * is used twice one client works, but a client that lost its network is refused until the broker notices, after one
   * and a half times its keep-alive.
   *
   * @default 'newest'
   */
  readonly takeover?: 'newest' | 'first'
  /**
   * How often something comes again before it is a loop: a client id taken over by its own account, a request refused
   * in one session after the other. 2 to 1,000.
   *
   * @default 5
   */
  readonly loopThreshold?: number
  /**
   * Longest time between two of them for a loop to go on, and shortest between two reports of it. 1,000 to 3,600,000.
   *
   * @default 60_000
   */
  readonly loopWindowMs?: number
  /** What clients without a user name may do. Left out, they are refused. */
  readonly anonymous?: Acl
  /**
   * Judges passwords instead of the built-in bcrypt: `'native'` is the package `@node-rs/bcrypt`, which must be
   * installed, with the same limits; of a hasher of your own, `hashQueue` and `maxCost` are its own affair. Closed with
   * the authorizer. Its answer for the same password and hash must always be the same, since it is remembered.
   */
  readonly hasher?: PasswordHasher | 'native'
  /**
   * Limits for guessing passwords; `false` sets none. Failed logins are counted by all nodes together where the store
   * can do that, as that of Redis can.
   *
   * @default {}
   */
  readonly throttle?: ThrottleOptions | false
  /**
   * What hashes of records should be like. At a login with the right password, a record whose hash costs less, or is of
   * another variant, gets a new one, with a lower priority than any login; its sessions go on. The nodes must all know
   * of this: one of a version that does not revokes the session it has. `false` writes nothing.
   *
   * @default false
   */
  readonly rehash?: RehashOptions | false
  /**
   * Source of time: `now()` in milliseconds, never going back. For tests; with a store whose link reports moments of
   * `performance.now()`, as that of Redis does, it must be the same clock.
   *
   * @default performance
   */
  readonly clock?: { now(): number }
}

/** Every default and range; the README prints this table. */
export const AUTHORIZER_DEFAULTS = {
  maxAgeMs: { fallback: 900_000, min: 1_000, max: 86_400_000 },
  staleWindowMs: { fallback: 15_000, min: 100, max: 3_600_000 },
  outageGraceMs: { fallback: 60_000, min: 0, max: 86_400_000 },
  readTimeoutMs: { fallback: 2_000, min: 10, max: 60_000 },
  connectTimeoutMs: { fallback: 10_000, min: 100, max: 300_000 },
  maxRecords: { fallback: 10_000, min: 1, max: 10_000_000 },
  maxAbsent: { fallback: 10_000, min: 1, max: 10_000_000 },
  hashQueue: { fallback: 1_000, min: 0, max: 100_000 },
  maxCost: { fallback: 14, min: 4, max: 31 },
  verifiedTtlMs: { fallback: 3_600_000, min: 0, max: 604_800_000 },
  maxVerified: { fallback: 100_000, min: 0, max: 10_000_000 },
  refusalCapMs: { fallback: 1_000, min: 0, max: 60_000 },
  loopThreshold: { fallback: 5, min: 2, max: 1_000 },
  loopWindowMs: { fallback: 60_000, min: 1_000, max: 3_600_000 },
} as const

/** Options with every default filled in. */
export interface Settings extends Readonly<Record<keyof typeof AUTHORIZER_DEFAULTS, number>> {
  readonly store: RecordStore
  readonly semantics: Semantics
  readonly compile: CompileOptions
  readonly wildcardClientId: boolean
  readonly takeover: 'newest' | 'first'
  readonly anonymous: CompiledAcl | undefined
  readonly hasher: PasswordHasher | 'native' | undefined
  readonly throttle: Throttle | undefined
  readonly rehash: HashTarget | undefined
  readonly now: () => number
  /** Whether the clock of the system was set since this last said so. */
  readonly wasClockSet: () => boolean
}

const NAMES: ReadonlySet<string> = new Set([
  ...Object.keys(AUTHORIZER_DEFAULTS),
  ...[
    'store',
    'semantics',
    'maxLevels',
    'unknownPayloadSize',
    'wildcardClientId',
    'takeover',
    'anonymous',
    'hasher',
    'throttle',
    'rehash',
    'clock',
  ],
])

/**
 * Checks options and fills in defaults.
 *
 * @throws TypeError that names the option.
 */
export function resolveOptions(options: AuthorizerOptions): Settings {
  if (typeof options !== 'object' || options === null) throw new TypeError('"options" must be an object with a "store"')
  checkNames(options, NAMES, 'createAuthorizer')
  const { store, clock = performance, hasher } = options
  if (!hasFunctions(store, ['get', 'watch']) || !isSemantics(store.semantics)) {
    throw new TypeError('"store" option must be a record store')
  }
  if (options.semantics !== undefined && options.semantics !== store.semantics) {
    throw new TypeError(
      `"semantics" option must be left out or ${JSON.stringify(store.semantics)}, as the store has it`,
    )
  }
  if (!hasFunctions(clock, ['now'])) throw new TypeError('"clock" option must have a function now()')
  const isHasher = hasher === 'native' || hasFunctions(hasher, ['passhashProblem', 'verify', 'stats', 'close'])
  if (hasher !== undefined && !isHasher) throw new TypeError('"hasher" option must be "native" or a password hasher')
  const { takeover = 'newest' } = options
  if (takeover !== 'newest' && takeover !== 'first')
    throw new TypeError('"takeover" option must be "newest" or "first"')
  const numbers = Object.fromEntries(
    Object.entries(AUTHORIZER_DEFAULTS).map(([name, range]) => [name, integerOption(options, name, range)]),
  ) as Record<keyof typeof AUTHORIZER_DEFAULTS, number>
  const compile = compileOptions(options, store.semantics)
  return {
    ...numbers,
    store,
    semantics: store.semantics,
    compile,
    wildcardClientId: booleanOption(options, 'wildcardClientId', true),
    takeover,
    anonymous: anonymousOption(options.anonymous, compile),
    hasher,
    throttle: throttleOption(options.throttle),
    rehash: rehashOption(options, numbers.maxCost),
    now: () => clock.now(),
    // A clock of the caller's own need not go as that of the system does.
    wasClockSet: clock === performance ? watchWallClock(() => clock.now()) : () => false,
  }
}

/** How the rules of records, and of anonymous clients, are compiled. */
function compileOptions(options: AuthorizerOptions, semantics: Semantics): CompileOptions {
  const { maxLevels, unknownPayloadSize = 'refuse' } = options
  if (unknownPayloadSize !== 'refuse' && unknownPayloadSize !== 'allow') {
    throw new TypeError('"unknownPayloadSize" option must be "refuse" or "allow"')
  }
  if (maxLevels === undefined) return { semantics, unknownPayloadSize }
  const range = { fallback: maxLevels, min: 1, max: 1_024 }
  return { semantics, unknownPayloadSize, maxLevels: integerOption(options, 'maxLevels', range) }
}

function anonymousOption(acl: Acl | undefined, options: CompileOptions): CompiledAcl | undefined {
  if (acl === undefined) return undefined
  try {
    return compileAcl(acl, options)
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof TopicInvalid)) throw error
    throw new TypeError(`"anonymous" option cannot be used: ${error.message}`, { cause: error })
  }
}

function isSemantics(value: unknown): boolean {
  return value === 'strict' || value === 'vernemq'
}
