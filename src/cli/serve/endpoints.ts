import { once } from 'node:events'
import type { Authorizer } from '../../authorizer/index.js'
import type { Endpoint, EndpointAccess } from '../../endpoint/index.js'
import { createEmqxHandler, createGoAuthHandler, createNanomqHandler, createRabbitmqHandler } from '../../http/index.js'
import {
  createRedisPeers,
  createVernemqAdmin,
  createWebhookHandler,
  enforceOnVernemq,
  type VernemqEnforcement,
} from '../../vernemq/index.js'
import { asFault, openClient } from '../redis.js'
import type { Log } from './log.js'
import type { Metrics } from './metrics.js'
import type { ServerOptions } from './server.js'

/** Longest wait for the Redis that webhook servers share, before the server starts without it, in milliseconds. */
const CONNECT_MS = 2_000

/** Where each broker asks, by the first part of the path. */
export function createEndpoints(
  authorizer: Authorizer,
  options: ServerOptions,
  log: Log,
  enforcement: VernemqEnforcement | undefined,
): ReadonlyMap<string, Pick<Endpoint, 'node'>> {
  const { unknownFacts, goAuthMode, cacheSeconds, secret, tlsClientCa } = options
  const access: EndpointAccess = {
    ...(secret !== undefined && { pathSecret: secret }),
    clientCertificate: tlsClientCa !== undefined,
  }
  const shared = { ...access, onError: (error: unknown, place: string) => log.error(error, place) }
  const http = { ...shared, unknownFacts }
  return new Map<string, Pick<Endpoint, 'node'>>([
    ['vernemq', createWebhookHandler(authorizer, { ...shared, ...(enforcement && { enforcement, cacheSeconds }) })],
    ['emqx', createEmqxHandler(authorizer, http)],
    ['rabbitmq', createRabbitmqHandler(authorizer, http)],
    ['mosquitto', createGoAuthHandler(authorizer, { ...http, responseMode: goAuthMode })],
    ['nanomq', createNanomqHandler(authorizer, http)],
  ])
}

/** What carries changes to a VerneMQ cluster, as long as the server runs. */
interface Enforced extends AsyncDisposable {
  readonly enforcement: VernemqEnforcement
}

/** Carries changes to the nodes of a VerneMQ cluster; what several such servers share is kept in the same Redis. */
export async function enforce(
  authorizer: Authorizer,
  options: ServerOptions,
  log: Log,
  metrics: Metrics,
): Promise<Enforced | undefined> {
  const { vernemq } = options
  if (vernemq === undefined) return undefined
  const names = { nodes: '--vernemq-node', apiKey: `--vernemq-key-env: ${options.vernemqKeyEnv}` }
  const admin = asFault(() => createVernemqAdmin(vernemq), names)
  const redis = await openClient(options)
  redis.on('error', error => log.error(error, 'vernemq peers'))
  // What is asked before would fail, and be told as a fault. A Redis that is away holds up nothing for long.
  await once(redis, 'ready', { signal: AbortSignal.timeout(CONNECT_MS) }).catch(() => {})
  const enforcement = enforceOnVernemq(authorizer, admin, {
    peers: createRedisPeers(redis),
    onFault: ({ error, what, node, isGivenUp }) =>
      log.error(error, ['vernemq', what, node, isGivenUp ? 'given up' : ''].filter(Boolean).join(' ')),
  })
  metrics.gauge('vernemq_revocation_bound_seconds', 'Longest a revoked right can survive on VerneMQ.', () => {
    return enforcement.freshness().boundMs / 1_000
  })
  metrics.gauge('vernemq_pending', 'Clients that still have to be disconnected or judged anew.', () => {
    return enforcement.freshness().pending
  })
  return {
    enforcement,
    async [Symbol.asyncDispose]() {
      await enforcement.close()
      redis.disconnect()
    },
  }
}
