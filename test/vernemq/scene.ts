import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import {
  type AclRecord,
  type Authorizer,
  type AuthorizerOptions,
  createAuthorizer,
  createMemoryStore,
  type RecordStore,
} from '../../src/index.js'
import {
  createEndpointServer,
  createVernemqAdmin,
  createWebhookHandler,
  type EnforcementFault,
  type EnforcementOptions,
  type EnforcementPeers,
  enforceOnVernemq,
  type VernemqEnforcement,
  type WebhookHandler,
} from '../../src/vernemq/index.js'
import { eventually } from '../helpers/eventually.js'
import { FakeVernemq } from './fake-vernemq.js'
import { type Entries, keyOf, plainHasher, recordOf } from './support.js'

/** One webhook server with all that belongs to it. */
export interface WebhookServer {
  readonly authorizer: Authorizer
  readonly enforcement: VernemqEnforcement
  readonly handler: WebhookHandler
  readonly faults: EnforcementFault[]
  readonly url: string
  /** Ends it without finishing anything, and without telling anybody. */
  kill(): Promise<void>
}

export interface Scene {
  readonly store: RecordStore
  readonly cluster: FakeVernemq
  readonly servers: readonly WebhookServer[]
  /** The first server. */
  readonly server: WebhookServer
}

export interface SceneOptions {
  readonly servers?: number
  readonly nodes?: number
  readonly cacheSeconds?: number
  readonly authorizer?: Partial<AuthorizerOptions>
  /** The same for all servers, or made for each by its number. */
  readonly enforcement?: EnforcementOptions | ((server: number) => EnforcementOptions)
  readonly store?: RecordStore
  /** What a server sees of the store. */
  readonly viewOf?: (store: RecordStore, server: number) => RecordStore
  /** Runs on the cluster before the servers know of it. */
  readonly before?: (cluster: FakeVernemq) => void
  /** Whether to go on while what is done at the start is not yet done the second time. */
  readonly isStarting?: boolean
}

/** Long enough to be told from no time, short enough to be waited for. */
export const RESPONSE_TIMEOUT_MS = 150

/** A cluster of VerneMQ, served by webhook servers over one store. */
export async function play(entries: Entries, options: SceneOptions = {}): Promise<Scene> {
  const { servers: count = 1, nodes = 2 } = options
  const store = options.store ?? createMemoryStore(entries)
  const cluster = await FakeVernemq.start(Array(nodes).fill(''))
  onTestFinished(() => cluster.close())
  options.before?.(cluster)
  const servers: WebhookServer[] = []
  for (let number = 0; number < count; number++) {
    servers.push(await startServer(options.viewOf?.(store, number) ?? store, cluster, options, number))
  }
  for (const [index, node] of cluster.nodes.entries()) node.endpoint = servers[index % count]!.url
  await Promise.all(servers.map(({ enforcement }) => enforcement.ready()))
  if (options.isStarting !== true) {
    // Each of several servers clears once, and the one that looks at the sessions twice.
    const clearings = nodes * (count === 1 ? 2 : count + 2)
    await eventually(() => cluster.callsOf('webhooks/cache/clear').length >= clearings, 'the start is over')
    if (options.before === undefined) cluster.calls.length = 0
  }
  return { store, cluster, servers, server: servers[0]! }
}

async function startServer(
  store: RecordStore,
  cluster: FakeVernemq,
  options: SceneOptions,
  number: number,
): Promise<WebhookServer> {
  const authorizer = createAuthorizer({ hasher: plainHasher, refusalCapMs: 0, ...options.authorizer, store })
  authorizer.on('error', () => {})
  const admin = createVernemqAdmin({ nodes: cluster.origins, apiKey: `key-${number}` })
  const faults: EnforcementFault[] = []
  const enforcement = enforceOnVernemq(authorizer, admin, {
    responseTimeoutMs: RESPONSE_TIMEOUT_MS,
    onFault: fault => faults.push(fault),
    ...(typeof options.enforcement === 'function' ? options.enforcement(number) : options.enforcement),
  })
  const handler = createWebhookHandler(authorizer, { enforcement, cacheSeconds: options.cacheSeconds ?? 0 })
  const server = createEndpointServer(handler)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const kill = async () => {
    await enforcement.close()
    await authorizer.close()
    await stop(server)
  }
  onTestFinished(kill)
  return { authorizer, enforcement, handler, faults, url, kill }
}

async function stop(server: Server): Promise<void> {
  if (!server.listening) return
  server.closeAllConnections()
  await new Promise(resolve => server.close(resolve))
}

/** The rules as plain patterns, for publishing and subscribing alike. */
export function allows(patterns: readonly string[], more: Partial<AclRecord> = {}): AclRecord {
  const rules = patterns.map(pattern => ({ pattern }))
  return recordOf({ publishAcl: rules, subscribeAcl: rules, ...more })
}

export const C1 = { clientId: 'c1', username: 'u1' } as const
export const C2 = { clientId: 'c2', username: 'u1' } as const
export const K1 = keyOf('c1')

/** What servers share, in memory. */
export function memoryPeers(): EnforcementPeers {
  const values = new Map<string, { readonly value: string; readonly until: number }>()
  const live = (name: string) => {
    const held = values.get(name)
    return held !== undefined && performance.now() < held.until ? held.value : undefined
  }
  const put = (name: string, value: string, ttlMs: number) => {
    values.set(name, { value, until: performance.now() + ttlMs })
  }
  return {
    setIfAbsent: async (name, value, ttlMs) => {
      if (live(name) !== undefined) return false
      put(name, value, ttlMs)
      return true
    },
    set: async (name, value, ttlMs) => put(name, value, ttlMs),
    get: async name => live(name),
    join: async (id, ttlMs) => put(`server ${id}`, id, ttlMs),
    members: async () =>
      [...values.keys()].filter(name => name.startsWith('server ')).flatMap(name => live(name) ?? []),
  }
}
