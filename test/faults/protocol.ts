import type { AclRecord, AuthorizerOptions, Freshness, PasswordHasher, RecordKey } from '../../src/index.js'
import type { RedisStoreOptions } from '../../src/redis/index.js'

/** Milliseconds of the system's monotonic clock, which all processes of a machine share. */
export const sharedNow = (): number => Number(process.hrtime.bigint()) / 1e6

/** Times short enough for a whole outage to pass within a test. */
export const LIMITS = {
  staleWindowMs: 600,
  outageGraceMs: 1_500,
  readTimeoutMs: 300,
  maxAgeMs: 3_000,
  connectTimeoutMs: 1_000,
} as const satisfies Partial<AuthorizerOptions>

export const TIMES: RedisStoreOptions = {
  heartbeatMs: 100,
  heartbeatTimeoutMs: 200,
  commandTimeoutMs: 300,
  connectTimeoutMs: 300,
  reconnectMinMs: 20,
  reconnectMaxMs: 200,
}

/** Passwords are not what is tested: a hash is the password behind `plain:`. */
export const PLAIN_HASHER: PasswordHasher = {
  passhashProblem: passhash => (passhash.startsWith('plain:') ? undefined : 'is not plain'),
  verify: async (password, passhash) => passhash === `plain:${password}`,
  stats: () => ({ running: 0, queued: 0 }),
  close: async () => {},
}

/** The right that is revoked, and the one that is given when all is well again. */
export const RIGHT = 'right'
export const FRESH = 'fresh'

/** An account whose record decides for a client of each kind: one narrowed, one deleted, one of a role. */
export interface Client {
  readonly clientId: string
  readonly username: string
  /** Where its record is. */
  readonly key: RecordKey
}

const client = (clientId: string, username: string, keyId: string = clientId): Client => ({
  clientId,
  username,
  key: { mountpoint: '', clientId: keyId, username },
})

export const NARROWED: Client = client('narrowed', 'device')
export const DELETED: Client = client('deleted', 'device')
export const ROLE: Client = client('member', 'role', '*')
export const CLIENTS: readonly Client[] = [NARROWED, DELETED, ROLE]

/** A record that allows these topics. */
export function recordOf(...topics: readonly string[]): AclRecord {
  const rules = topics.map(pattern => ({ pattern }))
  return { passhash: 'plain:pw', publishAcl: rules, subscribeAcl: rules }
}

/** A Cluster, by ports to begin with; and by the ports that its servers name, those to take instead. */
export interface ClusterPlace {
  readonly cluster: readonly number[]
  readonly instead?: Readonly<Record<number, number>>
}

/** Where a node finds Redis: one server, reached by a port for data and one for tracking; or a Cluster. */
export type Place = { readonly data: number; readonly link: number } | ClusterPlace

/** One way of asking for the right, and how it was answered up to now. */
export interface Seen {
  readonly path: string
  readonly grants: number
  /** When it was granted last, on the shared clock; 0 for never. */
  readonly grantedAt: number
  /** What the latest answer was. */
  readonly isGranted: boolean
}

/** What a node has seen. */
export interface Report {
  readonly seen: readonly Seen[]
  readonly freshness: Freshness
  /** From when on the fresh right was granted on every path, with the link live; `undefined` while it is not. */
  readonly recoveredAt: number | undefined
  /** Longest wait for an answer of the authorizer, in milliseconds. */
  readonly slowestMs: number
  /** Everything that nobody caught. */
  readonly crashes: readonly string[]
}

/** What a node can be asked to do. */
export interface NodeCalls {
  open(place: Place): Promise<void>
  report(): Promise<Report>
  /** Resolves with the name of the error where the record was not written. */
  put(key: RecordKey, record: AclRecord): Promise<string>
  close(): Promise<void>
}
