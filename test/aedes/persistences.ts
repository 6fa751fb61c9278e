import { createRequire } from 'node:module'
import type { AedesOptions } from 'aedes'
import { Redis } from 'ioredis5'
import emitter from 'mqemitter-redis'
import { afterAll, beforeAll } from 'vitest'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { onEnd } from './setup.js'

// It has no types.
const persistence = createRequire(import.meta.url)('aedes-persistence-redis') as (options: { conn: Redis }) => {
  destroy(): Promise<void>
}

let server: RedisServer | undefined

/** Gives a file its own Redis server. */
export function withRedisServer(): void {
  beforeAll(async () => {
    server = await startRedisServer()
  })
  afterAll(() => server?.stop())
}

/** The file's Redis server. */
export function redisUrl(): string {
  return server!.url
}

/** Where brokers keep sessions: each gives the options of a broker that starts empty. */
export const persistences: readonly { readonly kind: string; options(): Promise<AedesOptions> }[] = [
  { kind: 'memory', options: async () => ({}) },
  {
    kind: 'redis',
    async options() {
      const { port } = server!
      const redis = await connection(port)
      await redis.flushall()
      redis.disconnect()
      return redisOptions(port)
    },
  },
]

/** Options of one more broker on the same Redis. */
export async function redisOptions(port: number = server!.port): Promise<AedesOptions> {
  // mqemitter-redis fails when it subscribes while its connection is still being checked.
  const [subConn, pubConn, conn] = await Promise.all([connection(port), connection(port), connection(port)])
  const store = persistence({ conn })
  onEnd(() => store.destroy())
  return { persistence: store, mq: emitter({ subConn, pubConn }) }
}

async function connection(port: number): Promise<Redis> {
  const redis = new Redis(port)
  await redis.ping()
  return redis
}
