import { Redis as Redis6 } from 'ioredis'
import { Redis as Redis5 } from 'ioredis5'
import { createRedisStore, type RedisStoreOptions, type RedisTarget } from '../../src/redis/index.js'
import { describeLimiter } from '../contract/limiter.js'
import { describeRecordStore, type StoreSubject } from '../contract/record-store.js'
import { describeSharedState } from '../contract/shared-state.js'
import { ENGINE, type RedisServer, startRedisServer } from '../helpers/redis-server.js'

interface Variant {
  /** The target, and what ends it. */
  target(server: RedisServer): [RedisTarget, () => void]
  options?: RedisStoreOptions
}

const none = (): void => {}

const variants: Record<string, Variant> = {
  'a Redis store on a URL': { target: ({ url }) => [url, none] },
  'a Redis store on options of ioredis': { target: ({ port }) => [{ host: '127.0.0.1', port }, none] },
  "a Redis store on a caller's ioredis 6 client": {
    target: ({ port }) => {
      const client = new Redis6(port)
      return [client, () => client.disconnect()]
    },
  },
  "a Redis store on a caller's ioredis 5 client": {
    target: ({ port }) => {
      const client = new Redis5(port)
      return [client, () => client.disconnect()]
    },
  },
  'a Redis store with a key prefix, in database 3': {
    target: ({ url }) => [`${url}/3`, none],
    options: { keyPrefix: 'z*[x]:' },
  },
}

// That a server is reached in each of these ways does not depend on which it is.
const tried = Object.entries(variants).slice(0, ENGINE === 'redis' ? undefined : 1)

for (const [name, { target, options }] of tried) {
  let server: RedisServer
  let admin: Redis6
  const endings: (() => void)[] = []
  const subject: StoreSubject = {
    async setUp() {
      server = await startRedisServer()
      admin = new Redis6(server.port)
    },
    create() {
      const [given, end] = target(server)
      endings.push(end)
      return createRedisStore(given, { heartbeatMs: 50, reconnectMinMs: 5, ...options })
    },
    async clean() {
      for (const end of endings.splice(0)) end()
      await admin.flushall()
    },
    async tearDown() {
      admin.disconnect()
      await server.stop()
    },
  }
  describeRecordStore(name, subject)
  describeSharedState(name, subject)
  describeLimiter(name, subject)
}
