import { Redis, type RedisOptions } from 'ioredis'
import { type ClusterClient, isClusterClient, isNodeClient, type NodeClient } from './client.js'
import { Connection } from './connection.js'
import type { RedisSettings } from './options.js'
import { readUrl } from './url.js'

/** Where a server listens. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** `host:port`, to compare addresses by. */
export function placeOf({ host, port }: Address): string {
  return `${host}:${port}`
}

/** Address that a `natMap` puts in place of the one that servers know. */
export function mapAddress({ natMap }: { readonly natMap?: unknown }, address: Address): Address {
  const place = placeOf(address)
  const mapped =
    typeof natMap === 'function' ? natMap(place) : (natMap as { [place: string]: Address } | undefined)?.[place]
  return mapped ?? address
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
  if (typeof target === 'string') return readText(target)
  if (typeof target === 'object' && target !== null && !Array.isArray(target)) {
    return { kind: 'single', client: createTemplate(target) }
  }
  throw new TypeError('"target" argument must be the URL of a Redis, ioredis options, or an ioredis client')
}

function readText(text: string): Template {
  const address = readUrl(text)
  if (address.kind === 'single') return { kind: 'single', client: createTemplate(address.options) }
  const { nodes, options } = address
  return { kind: 'cluster', cluster: { isCluster: true, startupNodes: nodes, options: { redisOptions: options } } }
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
  /** Where to, if not to the template's own address. Needed for one that lists sentinels. */
  readonly address?: Address
}

/** The sentinels of a template, and what they watch. */
export interface SentinelTemplate {
  readonly name: string
  readonly sentinels: readonly NodeClient[]
  map(address: Address): Address
}

/** What a template says of sentinels, if it does. */
export function readSentinels({ options }: NodeClient): SentinelTemplate | undefined {
  const { sentinels, name = '', role = 'master', ...rest } = options as RedisOptions
  if (!Array.isArray(sentinels)) return undefined
  if (role !== 'master') throw new TypeError('"target" argument must ask the sentinels for a master: replicas lag')
  const { sentinelUsername, sentinelPassword, sentinelTLS, family } = rest
  const listed = sentinels.map(({ host = 'localhost', port = 26_379, family: own = family ?? 0 }) => {
    return { host, port, family: own }
  })
  // One that is listed twice has one vote.
  const distinct = new Map(listed.map(sentinel => [placeOf(sentinel), sentinel]))
  return {
    name,
    sentinels: [...distinct.values()].map(sentinel =>
      createTemplate({
        ...sentinel,
        ...(sentinelUsername && { username: sentinelUsername }),
        ...(sentinelPassword && { password: sentinelPassword }),
        ...(sentinelTLS && { tls: sentinelTLS }),
      }),
    ),
    map: address => mapAddress(rest, address),
  }
}

/** Where a template leads, without what may be secret. */
export function addressText({ options }: NodeClient): string {
  const { path, host = 'localhost', port = 6379 } = options as RedisOptions
  return path ?? placeOf({ host, port })
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
  try {
    const client = typeof target === 'object' ? new Redis({ ...target, ...lazy }) : new Redis(target as string, lazy)
    return client as unknown as NodeClient
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : 'ioredis refuses it'
    throw new TypeError(`"target" argument cannot be used: ${problem}`, { cause })
  }
}

/** What our connections have in common, whatever the template says. */
function connectionOptions({ options }: NodeClient, settings: RedisSettings): object {
  const { sentinels, enableTLSForSentinelMode, tls } = options as RedisOptions
  return {
    lazyConnect: true,
    // They are asked by us.
    ...(Array.isArray(sentinels) && { sentinels: null, tls: enableTLSForSentinelMode ? tls : undefined }),
    // RESP3 would put invalidations into a form that ioredis throws away.
    protocol: 2,
    replyMapping: 'legacy',
    keyPrefix: '',
    // One socket per client, nothing queued, nothing sent twice: a write must never come back after its caller gave up.
    retryStrategy: null,
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
    // Needs a right of its own, INFO. A server that still loads refuses the first command.
    enableReadyCheck: false,
    readOnly: false,
    monitor: false,
    stringNumbers: false,
    himportFieldsets: undefined,
    scripts: undefined,
  }
}
