// A webhook server for VerneMQ: decides from the records, and carries their changes to live sessions and caches.
// Configured by environment variables; see README.md beside this file. Ends gracefully on SIGTERM and SIGINT.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Redis } from 'ioredis'
import { createAuthorizer, createMemoryStore, describeDenial, type RecordStore } from 'mqtt-warden'
import { createRedisStore } from 'mqtt-warden/redis'
import {
  createEndpointServer,
  createRedisPeers,
  createVernemqAdmin,
  createWebhookHandler,
  enforceOnVernemq,
  type VernemqEnforcement,
} from 'mqtt-warden/vernemq'

const {
  REDIS_URL,
  WEBHOOK_SECRET,
  HOST = '127.0.0.1',
  PORT = '8081',
  VERNEMQ_NODES = '',
  VERNEMQ_API_KEY = '',
  CACHE_SECONDS = '0',
} = process.env

/** Without Redis: the two accounts of the story, to try the server with curl. */
const demoRecords = [
  ['1528361231', '101', '$2a$10$.UVQgAlmBYmHL4T0EGEq9u3poUrrCFQepee8IhrqqaQANNOtpree6', 'say'],
  ['1528361747', '102', '$2a$10$o2EnyzkqmHE532m3C.MREuyVNSKf0wIkHudKFjSk3OUFPlYLm8xBW', 'hello'],
] as const

const store: RecordStore =
  REDIS_URL === undefined
    ? createMemoryStore(
        demoRecords.map(([clientId, username, passhash, pattern]) => [
          { mountpoint: '', clientId, username },
          { passhash, publishAcl: [{ pattern }], subscribeAcl: [{ pattern: '#' }] },
        ]),
      )
    : createRedisStore(REDIS_URL)

const authorizer = createAuthorizer({ store })
authorizer.on('denied', event => console.warn(describeDenial(event)))
authorizer.on('error', ({ place, error }) => console.error(place, error))
authorizer.on('link', ({ state }) => console.log(`changes of records are ${state === 'live' ? '' : 'not '}heard`))

const nodes = VERNEMQ_NODES.split(',').filter(node => node !== '')
const redis = nodes.length > 0 && REDIS_URL !== undefined ? new Redis(REDIS_URL) : undefined
let enforcement: VernemqEnforcement | undefined
if (nodes.length > 0) {
  const admin = createVernemqAdmin({ nodes, apiKey: VERNEMQ_API_KEY })
  enforcement = enforceOnVernemq(authorizer, admin, {
    ...(redis !== undefined && { peers: createRedisPeers(redis) }),
    onFault: ({ what, node, client, error, tries, isGivenUp }) =>
      console.error(`${what}${isGivenUp ? ' given up' : ''} after ${tries}`, node ?? client?.clientId ?? '', error),
  })
}

const webhooks = createWebhookHandler(authorizer, {
  ...(WEBHOOK_SECRET !== undefined && { pathSecret: WEBHOOK_SECRET }),
  ...(enforcement !== undefined && { enforcement, cacheSeconds: Number(CACHE_SECONDS) }),
  onError: error => console.error(error instanceof Error ? error.message : error),
})

await authorizer.ready()
const server = createEndpointServer(webhooks).listen(Number(PORT), HOST)
await once(server, 'listening')
console.log(`webhooks on http://${HOST}:${(server.address() as AddressInfo).port}`)
if (enforcement !== undefined) {
  await enforcement.ready()
  console.log(`a revoked right lives at most ${enforcement.freshness().boundMs} ms longer`)
}

async function stop(): Promise<void> {
  await new Promise(resolve => server.close(resolve))
  await enforcement?.close()
  await authorizer.close()
  await store.close()
  redis?.disconnect()
}

process.once('SIGTERM', () => void stop())
process.once('SIGINT', () => void stop())
