import { Redis, type RedisOptions } from 'ioredis'
import { type ClusterClient, isClusterClient, isNodeClient, type NodeClient } from './client.js'
import { Connection } from './connection.js'
import type { RedisSettings } from './options.js'

/** Where a server listens. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** What was handed in to say which Redis is meant. */
export type Template =
  | { readonly kind: 'single'; readonly client: NodeClient }
  | { readonly kind: 'cluster'; readonly cluster: ClusterClient }

/** Recognises a URL, options, a client or a Cluster. Connects nowhere. */
export function readTarget(target: unknown): Template {
  if (isClusterClient(target)) {
    if (!Array.isArray(target.startupNodes) || target.startupNodes.length === 0) {
      throw new TypeError('"target" argument must be a Cluster that knows at least one node')
    }
    return { kind: 'cluster', cluster: target }
  }
  if (isNodeClient(target)) return { kind: 'single', client: target }
  if (typeof target === 'string') return { kind: 'single', client: readUrl(target) }
  if (typeof target === 'object' && target !== null && !Array.isArray(target)) {
    return { kind: 'single', client: createTemplate(target) }
  }
  throw new TypeError('"target" argument must be a redis:// or rediss:// URL, ioredis options, or an ioredis client')
}

/** Anything in the URL may be secret, so errors do not quote it. */
function readUrl(target: string): NodeClient {
  const url = URL.canParse(target) ? new URL(target) : undefined
  if (url === undefined || !/^rediss?:$/.test(url.protocol)) {
    throw new TypeError('"target" argument must be a valid redis:// or rediss:// URL')
  }
  // ioredis would take anything else for database 0.
  if (!/^\/?\d*$/.test(url.pathname)) throw new TypeError('"target" argument must name its database by number')
  try {
    return createTemplate(target)
  } catch {
    throw new TypeError('"target" argument must be a URL with escaped user name and password')
  }
}

/** Key prefix that the template would have used itself. */
export function templatePrefix(template: Template): unknown {
  if (template.kind === 'single') return (template.client.options as { keyPrefix?: unknown }).keyPrefix
  const { keyPrefix, redisOptions } = template.cluster.options
  return keyPrefix ?? (redisOptions as { keyPrefix?: unknown } | undefined)?.keyPrefix
}

/** What sets one connection apart from others of the same template. */
export interface ConnectionDetails {
  /** Shown by CLIENT LIST, after `mqtt-warden:`. */
  readonly name: string
  /** Ends the attempt, and a connection that came of it meanwhile. */
  readonly signal: AbortSignal
  /** Where to, if not to the template's own address. */
  readonly address?: Address
}

/** Opens a connection like the template's. */
export function openLike(
  template: NodeClient,
  settings: RedisSettings,
  details: ConnectionDetails,
): Promise<Connection> {
  const { name, signal, address } = details
  const options = { ...connectionOptions(template, settings), connectionName: `mqtt-warden:${name}`, ...address }
  return Connection.open(template.duplicate(options), settings.connectTimeoutMs, signal)
}

/** A client that is never used: it only holds the options for a node of a Cluster. */
export function nodeTemplate({ options }: ClusterClient, node: unknown): NodeClient {
  const parsed = createTemplate(node).options as RedisOptions
  return createTemplate({ ...parsed, ...options.redisOptions, host: parsed.host, port: parsed.port })
}

/** Has ioredis read a URL, a port or options. What a URL says would win here, so our options come with `duplicate`. */
function createTemplate(target: unknown): NodeClient {
  const lazy = { lazyConnect: true }
  const client = typeof target === 'object' ? new Redis({ ...target, ...lazy }) : new Redis(target as string, lazy)
  return client as unknown as NodeClient
}

/** What our connections have in common, whatever the template says. */
function connectionOptions({ options }: NodeClient, settings: RedisSettings): object {
  const hasSentinels = 'sentinels' in options && Array.isArray(options.sentinels)
  return {
    lazyConnect: true,
    // RESP3 would put invalidations into a form that ioredis throws away.
    protocol: 2,
    replyMapping: 'legacy',
    keyPrefix: '',
    // One socket per client, nothing queued, nothing sent twice: a write must never come back after its caller gave up.
    retryStrategy: null,
    sentinelRetryStrategy: null,
    reconnectOnError: null,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    enableAutoPipelining: false,
    // Times are measured by `Connection`, which destroys the socket as well.
    connectTimeout: settings.connectTimeoutMs,
    commandTimeout: undefined,
    blockingTimeout: undefined,
    socketTimeout: undefined,
    // INFO, which needs a right of its own, is only needed to tell a master from a replica that a sentinel named.
    enableReadyCheck: hasSentinels,
    // Sentinels turn the old master into a replica some ten seconds after they have named another.
    failoverDetector: hasSentinels,
    maxLoadingRetryTime: 500,
    readOnly: false,
    monitor: false,
    stringNumbers: false,
    himportFieldsets: undefined,
    scripts: undefined,
  }
}
