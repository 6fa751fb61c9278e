import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { encodeRecordKey } from '../../src/record/index.js'
import { key } from '../contract/record-store.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { startTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.js'
import { Stores } from './support.js'

export const KEY = key('1528361231', '101')
export const NAME = encodeRecordKey(KEY)

/** The file's server; each test's client of another tool, line to the server, and stores. */
export let server: RedisServer
export let tool: Redis
export let line: TcpProxy
export const stores = new Stores()

beforeAll(async () => {
  server = await startRedisServer()
})
beforeEach(async () => {
  tool = new Redis(server.port)
  line = await startTcpProxy(server.port)
})
afterEach(async () => {
  await stores.close()
  await line.close()
  await tool.flushall()
  tool.disconnect()
})
afterAll(async () => {
  await server.stop()
})

/** How long a call takes to fail, and with what. */
export async function failureOf(call: Promise<unknown>): Promise<{ error: unknown; tookMs: number }> {
  const began = performance.now()
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return { error, tookMs: performance.now() - began }
}

/** Commands of the given names that the server has carried out. */
export async function callsOf(...names: string[]): Promise<number> {
  const stats = await tool.info('commandstats')
  return names.reduce((sum, name) => sum + Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0), 0)
}
