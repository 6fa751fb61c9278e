import type { Semantics } from '../acl/types.js'
import { checkNames, integerOption } from '../options.js'
import { checkSemantics } from '../store/options.js'

/** How a Redis store hears of changes; see {@link RedisStoreOptions.invalidation}. */
export type Invalidation = 'tracking' | 'channel' | 'none'

/** Options of `createRedisStore`. Times are whole milliseconds. */
export interface RedisStoreOptions {
  /**
   * How records are read: by the rules of MQTT, or as a VerneMQ node reads them. The authorizer follows the store.
   *
   * @default 'strict'
   */
  readonly semantics?: Semantics

  /**
   * Text before every key, of records and of our own alike. VerneMQ knows no prefix: its records are at `''`. The
   * `keyPrefix` of an ioredis client, or of options for one, is taken over where this is left out. Up to 256
   * characters; without `{` on a Cluster, where it would bind all records to one master.
   *
   * @default ''
   */
  readonly keyPrefix?: string

  /**
   * What this process is called in receipts and by `nodes()`; a number is put behind it that tells it from others. 1 to
   * 64 letters, digits, `_`, `.` and `-`.
   *
   * @default the name of the host
   */
  readonly nodeName?: string

  /**
   * Text, after `keyPrefix`, before the keys and the channel that the store itself uses. Must sort after `["`, the
   * first characters of a record key, since Redis reports changes by prefix in that order and a beat must come last. 1
   * to 64 printable ASCII characters, without `{`.
   *
   * @default 'mqtt-warden:'
   */
  readonly ownPrefix?: string

  /**
   * How changes are heard.
   *
   * - `'tracking'`: Redis reports the changes that anybody makes (`CLIENT TRACKING`).
   * - `'channel'`, where a server, a proxy or a provider refuses tracking: stores with this option tell each other what
   *   they write, over a channel under `ownPrefix`; all of one Redis must have it. What others write (another tool, an
   *   expiry, a flush) counts only when the record is next read, within `maxAgeMs` of the authorizer, which is then the
   *   bound that `freshness()` states: set it as short as a revoked right may survive.
   * - `'none'`, where nothing can be subscribed to: the watch is blind for ever, and the authorizer reads a record
   *   again once it is older than half of `staleWindowMs`.
   *
   * @default 'tracking'
   */
  readonly invalidation?: Invalidation

  /**
   * Time from one beat to the next. A beat proves that changes are heard; each costs Redis one small `SET` per node (in
   * a Cluster, per node and master). A shorter time lets sessions decide from memory with a shorter stale window.
   * 50 to 60,000.
   *
   * @default 1_000
   */
  readonly heartbeatMs?: number

  /**
   * Longest wait for a beat to be answered, and then to come back. After it the link counts as deaf: it is cut, and set
   * up again. 50 to 60,000.
   *
   * @default 2_000
   */
  readonly heartbeatTimeoutMs?: number

  /**
   * Longest wait for an answer of Redis. After it a read fails with `StoreTimeout`, a write with `OutcomeUnknown`, and
   * the connection is cut. Also the longest wait for a first connection, before that. 10 to 60,000.
   *
   * @default 2_000
   */
  readonly commandTimeoutMs?: number

  /**
   * Longest time for one attempt to connect, TLS and authentication included. 10 to 60,000.
   *
   * @default 5_000
   */
  readonly connectTimeoutMs?: number

  /**
   * Shortest time between two attempts to connect; it doubles with each failure. A connection that had worked is tried
   * again at once. Each wait is shortened at random by up to half. 1 to 60,000.
   *
   * @default 100
   */
  readonly reconnectMinMs?: number

  /**
   * Longest time between two attempts to connect. Not below `reconnectMinMs`; up to 600,000.
   *
   * @default 5_000
   */
  readonly reconnectMaxMs?: number

  /**
   * Largest value that is read or written as a record, in bytes. Of a larger one, which is `RecordInvalid`, Redis sends
   * no more. 64 to 67,108,864.
   *
   * @default 1_048_576
   */
  readonly maxRecordBytes?: number
}

/** Options that were checked, each with its value. */
export type RedisSettings = Required<Omit<RedisStoreOptions, 'nodeName'>>

/** Every default and range of a number; the README prints this table. */
export const REDIS_STORE_DEFAULTS = {
  heartbeatMs: { fallback: 1_000, min: 50, max: 60_000 },
  heartbeatTimeoutMs: { fallback: 2_000, min: 50, max: 60_000 },
  commandTimeoutMs: { fallback: 2_000, min: 10, max: 60_000 },
  connectTimeoutMs: { fallback: 5_000, min: 10, max: 60_000 },
  reconnectMinMs: { fallback: 100, min: 1, max: 60_000 },
  reconnectMaxMs: { fallback: 5_000, min: 1, max: 600_000 },
  maxRecordBytes: { fallback: 1_048_576, min: 64, max: 67_108_864 },
} as const

const NAMES: ReadonlySet<string> = new Set([
  ...Object.keys(REDIS_STORE_DEFAULTS),
  ...['semantics', 'keyPrefix', 'ownPrefix', 'invalidation', 'nodeName'],
])

const INVALIDATIONS: readonly unknown[] = ['tracking', 'channel', 'none'] satisfies readonly Invalidation[]

/** Start of every record key. */
const RECORD_KEY_START = '["'

/** Checks options and fills in defaults; `templatePrefix` is the key prefix of the client that was handed in. */
export function resolveOptions(options: RedisStoreOptions, templatePrefix: unknown): RedisSettings {
  checkNames(options, NAMES, 'createRedisStore')
  const numbers = Object.fromEntries(
    Object.entries(REDIS_STORE_DEFAULTS).map(([name, range]) => [name, integerOption(options, name, range)]),
  ) as Record<keyof typeof REDIS_STORE_DEFAULTS, number>
  if (numbers.reconnectMaxMs < numbers.reconnectMinMs) {
    throw new TypeError('"reconnectMaxMs" option must not be below "reconnectMinMs"')
  }
  return {
    semantics: checkSemantics(options.semantics),
    keyPrefix: keyPrefix(options.keyPrefix ?? templatePrefix ?? ''),
    ownPrefix: ownPrefix(options.ownPrefix ?? 'mqtt-warden:'),
    invalidation: invalidation(options.invalidation ?? 'tracking'),
    ...numbers,
  }
}

function keyPrefix(value: unknown): string {
  if (typeof value !== 'string' || value.length > 256 || !value.isWellFormed()) {
    throw new TypeError('"keyPrefix" option must be a string of at most 256 characters')
  }
  return value
}

function invalidation(value: unknown): Invalidation {
  if (!INVALIDATIONS.includes(value)) {
    throw new TypeError('"invalidation" option must be "tracking", "channel" or "none"')
  }
  return value as Invalidation
}

function ownPrefix(value: unknown): string {
  if (typeof value !== 'string' || !/^[!-z|}~]{1,64}$/.test(value)) {
    throw new TypeError('"ownPrefix" option must be 1 to 64 printable ASCII characters without "{"')
  }
  if (value.startsWith(RECORD_KEY_START) || `${value}beat:` < RECORD_KEY_START) {
    throw new TypeError(`"ownPrefix" option must sort after ${RECORD_KEY_START} and not begin with it`)
  }
  return value
}
