// A node as a process of its own, on the Redis at REDIS_URL: `tsx examples/node-process.ts A`. Its messages go to the
// other nodes through mqemitter-redis; sessions are kept by aedes-persistence-redis; records come from the same Redis.
import { createRequire } from 'node:module'
import type { AedesOptions } from 'aedes'
import { Redis } from 'ioredis'
import { describeDenial, describeLoop } from 'mqtt-warden'
import { createRedisStore } from 'mqtt-warden/redis'
import { startNode } from './node.js'

// Both are CommonJS without types that TypeScript could follow.
const require = createRequire(import.meta.url)
const connectEmitter = require('mqemitter-redis') as (
  options: Record<'pubConn' | 'subConn', Redis>,
) => AedesOptions['mq']
const connectPersistence = require('aedes-persistence-redis') as (options: {
  conn: Redis
}) => AedesOptions['persistence']

const url = process.env.REDIS_URL
if (url === undefined) throw new Error('REDIS_URL is not set')

await using store = createRedisStore(url)
// Both companions were written for RESP2. The connection of the persistence is ours, since aedes does not close it; that
// for subscriptions must not be checked while it subscribes already.
const connection = new Redis(url, { protocol: 2 })
const mq = connectEmitter({
  pubConn: new Redis(url, { protocol: 2 }),
  subConn: new Redis(url, { protocol: 2, enableReadyCheck: false }),
})
const node = await startNode(store, {
  id: process.argv[2] ?? 'A',
  mq,
  persistence: connectPersistence({ conn: connection }),
})
node.authorizer.on('denied', event => tell({ type: 'denied', line: describeDenial(event) }))
node.authorizer.on('loop', event => tell({ type: 'loop', line: describeLoop(event) }))
node.authorizer.on('revoked', ({ principal, cause }) =>
  tell({ type: 'revoked', line: `${principal.clientId}: ${cause}` }),
)
tell({ type: 'listening', port: node.port })

/** What a node tells the process that started it; without one, it is printed. */
export type NodeNews =
  | { readonly type: 'listening'; readonly port: number }
  | { readonly type: 'denied' | 'loop' | 'revoked'; readonly line: string }

function tell(news: NodeNews): void {
  if (process.send !== undefined) process.send(news)
  else console.log(news)
}

await new Promise<void>(resolve => {
  process.once('SIGTERM', resolve).once('SIGINT', resolve).once('disconnect', resolve)
})
await node.close()
connection.disconnect()
if (process.connected) process.disconnect()
