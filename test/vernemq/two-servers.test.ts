import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { encodeRecordKey, hashPassword, serializeRecord } from 'mqtt-warden'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { FakeVernemq } from './fake-vernemq.js'

const SERVER = fileURLToPath(new URL('../../examples/vernemq/server.ts', import.meta.url))
const CLIENT = { clientId: 'c1', username: 'u1' } as const
const KEY = encodeRecordKey(CLIENT)

describe('two webhook servers as processes, on one Redis and over one VerneMQ', () => {
  let redis: RedisServer
  let writer: Redis
  let passhash: string

  beforeAll(async () => {
    redis = await startRedisServer()
    writer = new Redis(redis.url)
    passhash = await hashPassword('p1', { cost: 4 })
  })

  afterAll(async () => {
    writer.disconnect()
    await redis.stop()
  })

  async function start(cluster: FakeVernemq, number: number): Promise<{ child: ChildProcess; url: string }> {
    const child = spawn(process.execPath, ['--import', 'tsx', SERVER], {
      env: {
        ...process.env,
        PORT: '0',
        REDIS_URL: redis.url,
        VERNEMQ_NODES: cluster.origins.join(),
        VERNEMQ_API_KEY: `key-${number}`,
        CACHE_SECONDS: '60',
      },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    const lines: string[] = []
    createInterface({ input: child.stdout! }).on('line', line => lines.push(line))
    await eventually(() => lines.some(line => line.startsWith('a revoked right')), `server ${number} is up`, 60_000)
    const url = lines.find(line => line.startsWith('webhooks on '))!.slice('webhooks on '.length)
    return { child, url }
  }

  it('end a right that somebody takes away in Redis, although the one that was at it is killed', async () => {
    const cluster = await FakeVernemq.start(['', ''])
    onTestFinished(() => cluster.close())
    const rules = [{ pattern: 'say' }]
    await writer.set(KEY, serializeRecord({ passhash, publishAcl: rules, subscribeAcl: rules }))
    const servers = await Promise.all([start(cluster, 0), start(cluster, 1)])
    for (const [index, node] of cluster.nodes.entries()) node.endpoint = servers[index]!.url
    const [node1, node2] = cluster.nodes
    expect(await node1!.connect(CLIENT)).toBe(true)
    expect(await node1!.publish(CLIENT, 'say')).toBe(true)
    expect(await node2!.publish(CLIENT, 'say')).toBe(true)
    expect([node1!.cache.size, node2!.cache.size]).toEqual([2, 1])

    // Whichever server takes the change up gets no answer from VerneMQ, and dies waiting for it.
    let taker: string | undefined
    for (const node of cluster.nodes) {
      node.intercept = ({ key, path }) => {
        if (!path.includes('cache/clear')) return undefined
        taker ??= key
        return key === taker ? 'hang' : undefined
      }
    }
    await writer.del(KEY)
    await eventually(() => taker !== undefined, 'the change is taken up')
    expect(cluster.isOnline('c1')).toBe(true)
    const [killed, left] = taker === 'key-0' ? servers : [servers[1], servers[0]]
    killed!.child.kill('SIGKILL')
    for (const node of cluster.nodes) node.endpoint = left!.url

    await eventually(() => !cluster.isOnline('c1'), 'the other server has cut the client', 30_000)
    expect([node1!.cache.size, node2!.cache.size]).toEqual([0, 0])
    expect(await node2!.connect(CLIENT)).toBe(false)
    expect(cluster.callsOf('session/disconnect').every(({ key }) => key !== taker)).toBe(true)
  }, 120_000)
})
