import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { RecordInvalid, StoreUnavailable } from '../../src/errors.js'
import { encodeRecordKey } from '../../src/record/index.js'
import type { RecordKey } from '../../src/record/types.js'
import { CommandFailure } from '../../src/redis/failure.js'
import type { Nodes } from '../../src/redis/nodes.js'
import { Reads } from '../../src/redis/reads.js'
import type { Sender } from '../../src/redis/send.js'
import { key } from '../contract/record-store.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { startTcpProxy } from '../helpers/tcp-proxy.js'
import { Stores, textOf } from './support.js'

const KEYS: readonly RecordKey[] = Array.from({ length: 300 }, (_, at) => key(`c${at}`))
const nameOf = (at: number): string => encodeRecordKey(KEYS[at]!)

let server: RedisServer
let tool: Redis
const stores = new Stores({ commandTimeoutMs: 10_000 })

beforeAll(async () => {
  server = await startRedisServer()
  tool = new Redis(server.port)
})
beforeEach(() => tool.flushall())
afterEach(() => stores.close())
afterAll(async () => {
  tool.disconnect()
  await server.stop()
})

/** How often Redis has carried out a command. */
async function callsOf(command: string): Promise<number> {
  const stats = await tool.info('commandstats')
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0)
}

describe('records that are read in the same turn', () => {
  it('are asked for in few pieces, each behind one write of nothing', async () => {
    await tool.mset(Object.fromEntries(KEYS.map((_, at) => [nameOf(at), textOf(`t${at}`)])))
    const store = stores.create(server.url)
    await store.get(KEYS[0]!)
    const before = { set: await callsOf('set'), getrange: await callsOf('getrange') }
    const records = await Promise.all(KEYS.map(each => store.get(each)))
    expect(records.map(record => record?.publishAcl[0]?.pattern)).toEqual(KEYS.map((_, at) => `t${at}`))
    expect((await callsOf('getrange')) - before.getrange).toBe(300)
    expect((await callsOf('set')) - before.set).toBe(3)
  })

  it('fail each for itself', async () => {
    const store = stores.create(server.url, { maxRecordBytes: 500 })
    await tool.set(nameOf(0), textOf('good'))
    await tool.rpush(nameOf(1), 'a list')
    await tool.set(nameOf(2), `${textOf('large')}${' '.repeat(1_000)}`)
    await tool.set(nameOf(3), 'no JSON')
    await tool.set(nameOf(4), '')
    await tool.set(nameOf(5), textOf('brief'), 'PX', 50_000)
    const reads = await Promise.allSettled(KEYS.slice(0, 7).map(each => store.getStored(each)))
    expect(reads.map(({ status }) => status === 'fulfilled')).toEqual([true, false, false, false, false, true, true])
    for (const read of reads) if (read.status === 'rejected') expect(read.reason).toBeInstanceOf(RecordInvalid)
    const [good, brief, absent] = [0, 5, 6].map(at => (reads[at] as { value?: unknown }).value)
    expect(good).toMatchObject({ record: { publishAcl: [{ pattern: 'good' }] } })
    expect(good).not.toHaveProperty('expiresAtMs')
    expect((brief as { expiresAtMs: number }).expiresAtMs).toBeGreaterThan(Date.now())
    expect((brief as { expiresAtMs: number }).expiresAtMs).toBeLessThanOrEqual(Date.now() + 50_000)
    expect(absent).toBeUndefined()
  })

  it.each([1, 5])(
    'are all refused by a server that is the master no more, which is left for the next: %d',
    async count => {
      const [former, next] = [await startRedisServer(), await startRedisServer()]
      const line = await startTcpProxy(former.port)
      const store = stores.create({ port: line.port, host: '127.0.0.1' })
      await store.get(KEYS[0]!)
      const admin = new Redis(former.port)
      await admin.replicaof('127.0.0.1', '1')
      line.retarget(next.port)
      const ask = () => Promise.allSettled(KEYS.slice(0, count).map(each => store.get(each)))
      for (const read of await ask()) {
        expect(read).toMatchObject({ status: 'rejected', reason: expect.any(StoreUnavailable) })
      }
      await eventually(async () => (await ask()).every(({ status }) => status === 'fulfilled'), 'the next is asked')
      admin.disconnect()
      await stores.close()
      await line.close()
      await Promise.all([former.stop(), next.stop()])
    },
  )

  it('bring no more of a value than shows that it is too large', async () => {
    const line = await startTcpProxy(server.port)
    let bytes = 0
    line.watch('down', chunk => {
      bytes += chunk.length
    })
    const store = stores.create(`redis://127.0.0.1:${line.port}`, { maxRecordBytes: 1_000 })
    for (let at = 0; at < 3; at++) await tool.set(nameOf(at), 'x'.repeat(1_000_000))
    const reads = await Promise.allSettled(KEYS.slice(0, 3).map(each => store.get(each)))
    expect(reads.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    expect(bytes).toBeLessThan(10_000)
    await stores.close()
    await line.close()
  })
})

describe('a server that does not come to say that it is no master any more, since the user may not write', () => {
  it.each<[string, () => Promise<unknown>, () => Promise<unknown>]>([
    ['has become a replica', () => tool.replicaof('127.0.0.1', '1'), () => tool.replicaof('NO', 'ONE')],
    [
      'was left by its replicas',
      () => tool.config('SET', 'min-replicas-to-write', '1'),
      () => tool.config('SET', 'min-replicas-to-write', '0'),
    ],
  ])('is not believed what it reads when it %s', async (_, begin, end) => {
    const rights = ['~\\["*', '+ping', '+getrange', '+pttl', '+info']
    await tool.call('ACL', 'SETUSER', 'reader', 'reset', 'on', '>pw', ...rights)
    await tool.set(nameOf(0), textOf('t'))
    const store = stores.create(`redis://reader:pw@127.0.0.1:${server.port}`)
    const patternOf = async () => (await store.get(KEYS[0]!))?.publishAcl[0]?.pattern
    expect(await patternOf()).toBe('t')
    await begin()
    try {
      for (const count of [1, 2]) {
        for (const read of await Promise.allSettled(KEYS.slice(0, count).map(each => store.get(each)))) {
          expect(read).toMatchObject({ status: 'rejected', reason: { code: 'ERR_STORE_UNAVAILABLE' } })
        }
      }
    } finally {
      await end()
    }
    await eventually(async () => (await patternOf().catch(() => undefined)) === 't', 'it is believed again')
  })
})

describe('how many reads may be under way for sessions that are due', () => {
  it('falls with the size of the records, and rises again', async () => {
    const store = stores.create(server.url)
    const usual = store.readsAtOnce
    await tool.set(nameOf(0), 'x'.repeat(1_000_000))
    await store.get(KEYS[0]!).catch(() => {})
    expect(store.readsAtOnce).toBeLessThan(usual / 10)
    // Others may be as large, though the next is not.
    await store.get(KEYS[1]!)
    expect(store.readsAtOnce).toBeLessThan(usual / 10)
    for (let turn = 0; turn < 10; turn++) await Promise.all(KEYS.slice(1).map(each => store.get(each)))
    expect(store.readsAtOnce).toBe(usual)
  })

  it('falls when answers do not come in time, since they may have been too large for that', async () => {
    const line = await startTcpProxy(server.port)
    const store = stores.create(`redis://127.0.0.1:${line.port}`, { commandTimeoutMs: 100 })
    await store.get(KEYS[0]!)
    const usual = store.readsAtOnce
    line.freeze()
    await Promise.allSettled(KEYS.map(each => store.get(each)))
    expect(store.readsAtOnce).toBeLessThan(usual)
    await stores.close()
    await line.close()
  })
})

const NAME = Buffer.from(nameOf(0))
const MOVED = new CommandFailure('refused', 'moved', { code: 'MOVED', movedTo: '127.0.0.1:1' })

/** Reads over servers that do what the test says. */
function readsOver(
  parts: { send?: unknown; sendTo?: unknown; laneOf?: unknown; redirected?: unknown },
  maxBytes = 1_000,
) {
  const lane = {}
  const nodes = { laneOf: async () => lane, redirected: async () => 'owner', ...parts } as unknown as Nodes
  return new Reads(nodes, parts as unknown as Sender, maxBytes)
}

/** Reads whose answers are given by a table: for each time that they are asked for, what the two commands answer. */
function readsOf(...answers: readonly (readonly [text: string, ttlMs: number])[]): Reads {
  let asked = 0
  const send = async () => {
    const [text, ttlMs] = answers[Math.min(asked++, answers.length - 1)]!
    return [Buffer.from(text), ttlMs]
  }
  return readsOver({ send })
}

describe('how many reads may be under way at most', () => {
  it('is never so few that sessions would wait for each other', async () => {
    const reads = readsOver({ send: async () => [Buffer.alloc(8_000_000), -1] })
    await reads.read(NAME)
    expect(reads.atOnce).toBe(16)
  })

  it('falls no further by late answers than the largest value that is read would have it', async () => {
    const late = async () => Promise.reject(new CommandFailure('timeout', 'late'))
    const reads = readsOver({ send: late }, 65_536)
    for (let n = 0; n < 20; n++) await expect(reads.read(NAME)).rejects.toThrow('late')
    expect(reads.atOnce).toBe(16_777_216 / 65_536)
  })
})

describe('a record that changes between the two commands that read it', () => {
  it('is read again when it came to be', async () => {
    const value = await readsOf(['', 5_000], ['text', 4_000]).read(NAME)
    expect(value).toEqual({ bytes: Buffer.from('text'), ttlMs: 4_000 })
  })

  it('is absent when it is gone', async () => {
    expect(await readsOf(['text', -2]).read(NAME)).toBeUndefined()
  })

  it('is empty when it is found so again and again, and never taken for absent', async () => {
    expect(await readsOf(['', -1]).read(NAME)).toEqual({ bytes: Buffer.alloc(0), ttlMs: -1 })
  })
})

describe('a record that another server has than the one that is asked', () => {
  const read = [Buffer.from('text'), -1] as const

  it('is asked for where that server sends to, whose advice is taken once for all', async () => {
    let advised = 0
    const reads = readsOver({
      sendTo: async () => [MOVED, MOVED, MOVED, MOVED, ...read],
      redirected: async () => advised++,
      send: async () => read,
    })
    const values = await Promise.all([1, 2, 3].map(() => reads.read(NAME)))
    expect(values.map(value => String(value?.bytes))).toEqual(['text', 'text', 'text'])
    expect(advised).toBe(1)
  })

  it('is asked for by itself where the advice leads nowhere', async () => {
    const reads = readsOver({
      sendTo: async () => [MOVED, MOVED, ...read],
      redirected: async () => Promise.reject(new CommandFailure('unsent', 'nowhere')),
      send: async () => read,
    })
    const values = await Promise.all([1, 2].map(() => reads.read(NAME)))
    expect(values.map(value => String(value?.bytes))).toEqual(['text', 'text'])
  })

  it('fails by itself where nobody has it', async () => {
    const lane = {}
    const laneOf = async (name: Buffer) => {
      if (name === NAME) throw new CommandFailure('unsent', 'no cluster node owns it')
      return lane
    }
    const reads = readsOver({ laneOf, send: async () => read })
    const [lost, found] = await Promise.allSettled([reads.read(NAME), reads.read(Buffer.from(nameOf(1)))])
    expect(lost).toMatchObject({ status: 'rejected', reason: { message: 'no cluster node owns it' } })
    expect(found).toMatchObject({ status: 'fulfilled' })
  })
})
