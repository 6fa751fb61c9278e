import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis5'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { OutcomeUnknown, RecordConflict, RecordInvalid, StoreTimeout, StoreUnavailable } from '../../src/errors.js'
import { encodeRecordKey } from '../../src/record/index.js'
import type { RedisTarget } from '../../src/redis/index.js'
import type { RecordStore } from '../../src/store/types.js'
import { key, recordOf } from '../contract/record-store.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { startTcpProxy, type TcpProxy } from '../helpers/tcp-proxy.js'
import { Heard, Stores, splitTemplate, textOf } from './support.js'

const KEY = key('1528361231', '101')
const NAME = encodeRecordKey(KEY)

let server: RedisServer
let tool: Redis
let line: TcpProxy
const stores = new Stores()

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
async function failureOf(call: Promise<unknown>): Promise<{ error: unknown; tookMs: number }> {
  const began = performance.now()
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return { error, tookMs: performance.now() - began }
}

/** Commands of the given names that the server has carried out. */
async function callsOf(...names: string[]): Promise<number> {
  const stats = await tool.info('commandstats')
  return names.reduce((sum, name) => sum + Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0), 0)
}

describe('a write on a line that freezes', () => {
  it.each([
    ['ioredis 6', (): RedisTarget => ({ port: line.port, host: '127.0.0.1' })],
    // Its client resends what was not answered, if it is let.
    ['ioredis 6 with its own defaults', (): RedisTarget => new Redis({ port: line.port, lazyConnect: true })],
    ['ioredis 5 with its own defaults', (): RedisTarget => new Redis5({ port: line.port, lazyConnect: true })],
  ])('is given up as unknown and never arrives over a newer record, on %s', async (_, target) => {
    const store = stores.create(target())
    await store.put(KEY, recordOf('first'))
    line.freeze()
    const { error, tookMs } = await failureOf(store.put(KEY, recordOf('wide, sent before the revoke')))
    expect(error).toBeInstanceOf(OutcomeUnknown)
    expect(error).toMatchObject({ code: 'ERR_OUTCOME_UNKNOWN' })
    expect(tookMs).toBeGreaterThan(250)
    await tool.set(NAME, textOf('revoked'))
    const before = [await callsOf('set'), await callsOf('getrange')] as const
    line.resume()
    await eventually(
      () =>
        store.get(KEY).then(
          () => true,
          () => false,
        ),
      'the store is back',
    )
    expect(await tool.get(NAME)).toBe(textOf('revoked'))
    // Each read comes with a write of nothing.
    expect((await callsOf('set')) - before[0]).toBe((await callsOf('getrange')) - before[1])
  })

  it('may have been carried out, which its watchers are told', async () => {
    const other = await startTcpProxy(server.port)
    const store = stores.create(splitTemplate({ data: line.port, link: other.port }), { heartbeatMs: 60_000 })
    const heard = new Heard(store)
    await heard.live()
    line.watch('up', chunk => {
      if (chunk.includes('keepttl')) line.drop('down')
    })
    const from = heard.events.length
    const { error } = await failureOf(store.put(KEY, recordOf('a')))
    expect(error).toBeInstanceOf(OutcomeUnknown)
    expect(heard.changed(KEY, from)).toBe(true)
    expect(await tool.get(NAME)).toContain('"a"')
    await stores.close()
    await other.close()
  })

  it.each([
    ['delete', (store: RecordStore) => store.delete(KEY)],
    ['put with a condition', (store: RecordStore) => store.put(KEY, recordOf('a'), { ifMatch: null })],
  ])('is unknown for %s too', async (_, write) => {
    const store = stores.create({ port: line.port, host: '127.0.0.1' })
    await store.get(KEY)
    line.freeze()
    expect((await failureOf(write(store))).error).toBeInstanceOf(OutcomeUnknown)
  })

  it.each([
    ['put', (store: RecordStore) => store.put(KEY, recordOf('wide'))],
    ['put where there is none', (store: RecordStore) => store.put(key('new'), recordOf('wide'), { ifMatch: null })],
    [
      'put over a digest',
      async (store: RecordStore, digest: string) => store.put(KEY, recordOf('b'), { ifMatch: digest }),
    ],
    ['delete', (store: RecordStore) => store.delete(KEY)],
  ])('by %s is not even sent when the line was frozen before', async (_, write) => {
    const store = stores.create({ port: line.port, host: '127.0.0.1' })
    const { digest } = await store.put(KEY, recordOf('a'))
    line.freeze()
    const { error } = await failureOf(write(store, digest!))
    expect(error).toBeInstanceOf(OutcomeUnknown)
    expect(line.held('up').toString()).not.toMatch(/\r\n(set|del|eval)\r\n(?!\$\d+\r\nmqtt-warden:)/i)
  })

  it('reaches Redis once, or not at all, when the line freezes at any moment', async () => {
    const store = stores.create({ port: line.port, host: '127.0.0.1' }, { commandTimeoutMs: 100 })
    for (let round = 0; round < 10; round++) {
      await eventually(
        () =>
          store.get(KEY).then(
            () => true,
            () => false,
          ),
        'the store is back',
      )
      const written = failureOf(store.put(KEY, recordOf(`wide/${round}`)))
      // Lets a different number of messages through each time.
      for (let turn = 0; turn < round; turn++) await new Promise(setImmediate)
      line.freeze()
      const { error } = await written
      await tool.set(NAME, textOf('revoked'))
      line.resume()
      await eventually(
        () =>
          store.get(KEY).then(
            () => true,
            () => false,
          ),
        'the store is back',
      )
      if (error !== undefined) expect(error).toBeInstanceOf(OutcomeUnknown)
      expect(await tool.get(NAME)).toBe(textOf('revoked'))
    }
  })

  it('fails those that wait behind it as well', async () => {
    const store = stores.create({ port: line.port, host: '127.0.0.1' })
    await store.get(KEY)
    line.freeze()
    const first = store.put(KEY, recordOf('a'))
    await eventually(() => true, 'a turn has passed')
    const [put, read] = await Promise.all([failureOf(first), failureOf(store.get(KEY))])
    expect(put.error).toBeInstanceOf(OutcomeUnknown)
    expect([StoreUnavailable, StoreTimeout]).toContain((read.error as Error).constructor)
  })
})

describe('a read of a Redis store', () => {
  it('times out on a line that is frozen, and works again when a new one does', async () => {
    const store = stores.create({ port: line.port, host: '127.0.0.1' })
    await tool.set(NAME, textOf('a'))
    await store.get(KEY)
    line.freeze()
    const { error, tookMs } = await failureOf(store.get(KEY))
    expect(error).toBeInstanceOf(StoreTimeout)
    expect(error).toMatchObject({ timeoutMs: 300, message: 'redis did not answer within 300 ms' })
    expect(tookMs).toBeLessThan(2_000)
    line.resume()
    await eventually(
      () =>
        store.get(KEY).then(
          () => true,
          () => false,
        ),
      'the store is back',
    )
    expect((await store.get(KEY))?.publishAcl[0]?.pattern).toBe('a')
  })

  it('is not disturbed by a pause shorter than its timeout', async () => {
    const store = stores.create({ port: line.port, host: '127.0.0.1' }, { commandTimeoutMs: 5_000 })
    await tool.set(NAME, textOf('a'))
    await store.get(KEY)
    line.freeze()
    const read = store.get(KEY)
    await eventually(() => true, 'a turn has passed')
    line.resume()
    expect((await read)?.publishAcl[0]?.pattern).toBe('a')
  })

  it('gets its answer though this process was too busy to look for longer than the timeout', async () => {
    const store = stores.create(server.url)
    await store.get(KEY)
    const read = store.get(KEY)
    // The commands are handed to the socket within this turn of the event loop; their answer can come in the next.
    for (let n = 0; n < 100; n++) await null
    const until = performance.now() + 400
    while (performance.now() < until);
    expect(await read).toBeUndefined()
  })

  it('waits for a first connection no longer than for an answer', async () => {
    line.freeze()
    const store = stores.create({ port: line.port, host: '127.0.0.1' }, { connectTimeoutMs: 10_000 })
    const { error, tookMs } = await failureOf(store.get(KEY))
    expect(error).toBeInstanceOf(StoreUnavailable)
    expect(tookMs).toBeGreaterThan(250)
    expect(tookMs).toBeLessThan(2_000)
  })

  it('fails at once while Redis is known to be down, and works by itself when it is back', async () => {
    const own = await startRedisServer()
    const store = stores.create(own.url, { commandTimeoutMs: 20_000, connectTimeoutMs: 20_000 })
    await store.put(KEY, recordOf('a'))
    await own.kill()
    await eventually(
      () =>
        store.get(KEY).then(
          () => false,
          () => true,
        ),
      'the loss is noticed',
    )
    const { error, tookMs } = await failureOf(store.get(KEY))
    expect(error).toBeInstanceOf(StoreUnavailable)
    expect(error).toMatchObject({ code: 'ERR_STORE_UNAVAILABLE', cause: { kind: 'unsent' } })
    expect(tookMs).toBeLessThan(5_000)
    expect((await failureOf(store.put(KEY, recordOf('b')))).error).toBeInstanceOf(StoreUnavailable)
    expect((await failureOf(store.scan()[Symbol.asyncIterator]().next())).error).toBeInstanceOf(StoreUnavailable)
    await own.restart()
    await eventually(
      () =>
        store.get(KEY).then(
          () => true,
          () => false,
        ),
      'the store is back',
    )
    expect(await store.get(KEY)).toBeUndefined()
    await stores.close()
    await own.stop()
  })

  it('names the cause when nothing listens there', async () => {
    const own = await startRedisServer()
    await own.kill()
    const { error } = await failureOf(stores.create(own.url).get(KEY))
    expect(String(error)).toContain('ECONNREFUSED')
    await own.stop()
  })

  it('refuses a value that is no string', async () => {
    await tool.lpush(NAME, 'x')
    const store = stores.create(server.url)
    for (const call of [store.get(KEY), store.getStored(KEY), store.put(KEY, recordOf('a'))]) {
      const { error } = await failureOf(call)
      expect(error).toBeInstanceOf(RecordInvalid)
      expect(error).toMatchObject({ path: '', message: 'record: is not a string in redis' })
    }
    await store.delete(KEY)
    await store.put(KEY, recordOf('a'))
  })

  it.each([
    ['no JSON', 'nonsense'],
    ['bytes that are no UTF-8', Buffer.from([0x7b, 0xff, 0x7d])],
    ['nothing', ''],
  ])('refuses a value of %s', async (_, value) => {
    await tool.set(NAME, value)
    const { error } = await failureOf(stores.create(server.url).get(KEY))
    expect(error).toBeInstanceOf(RecordInvalid)
  })

  it('refuses a value, and a record to write, larger than allowed', async () => {
    const store = stores.create(server.url, { maxRecordBytes: 200 })
    await tool.set(NAME, textOf('a'.repeat(200)))
    expect((await failureOf(store.get(KEY))).error).toBeInstanceOf(RecordInvalid)
    expect((await failureOf(store.put(KEY, recordOf('a'.repeat(200))))).error).toBeInstanceOf(RecordInvalid)
    await store.put(KEY, recordOf('a'))
  })

  it('follows the semantics of the store', async () => {
    const text = textOf('a').replace('{"pattern":"a"}', '{"pattern":"a","max_qos":"0"}')
    await tool.set(NAME, text)
    expect((await failureOf(stores.create(server.url).get(KEY))).error).toBeInstanceOf(RecordInvalid)
    const lenient = stores.create(server.url, { semantics: 'vernemq' })
    expect(lenient.semantics).toBe('vernemq')
    expect((await lenient.get(KEY))?.publishAcl).toEqual([{ pattern: 'a' }])
  })

  it('tells when Redis will drop the record, in time of this machine and never too late', async () => {
    const store = stores.create(server.url)
    await tool.set(NAME, textOf('a'))
    expect(await store.getStored(KEY)).not.toHaveProperty('expiresAtMs')
    const before = Date.now()
    await tool.pexpire(NAME, 60_000)
    const stored = await store.getStored(KEY)
    expect(stored?.expiresAtMs).toBeGreaterThan(before + 50_000)
    expect(stored?.expiresAtMs).toBeLessThanOrEqual(Date.now() + 60_000)
  })

  it('counts the time that is left to a record from before it asked, however late the answer comes', async () => {
    const store = stores.create({ port: line.port, host: '127.0.0.1' }, { commandTimeoutMs: 30_000 })
    await tool.set(NAME, textOf('a'), 'PX', 60_000)
    await store.get(KEY)
    const clock = vi.spyOn(Date, 'now').mockReturnValue(1_000_000)
    line.freeze()
    const read = store.getStored(KEY)
    await eventually(() => line.held('up').includes('getrange'), 'it has asked')
    clock.mockReturnValue(1_030_000)
    line.resume()
    const stored = await read
    clock.mockRestore()
    expect(stored?.expiresAtMs).toBeGreaterThan(1_000_000)
    expect(stored?.expiresAtMs).toBeLessThanOrEqual(1_060_000)
  })

  it('gives the digest by which a record of another tool can be replaced', async () => {
    const store = stores.create(server.url)
    await tool.set(NAME, ` ${textOf('a')} `)
    const stored = await store.getStored(KEY)
    await tool.set(NAME, textOf('a'))
    await expect(store.put(KEY, recordOf('b'), { ifMatch: stored!.digest })).rejects.toThrow(RecordConflict)
    const now = await store.getStored(KEY)
    expect(await store.put(KEY, recordOf('b'), { ifMatch: now!.digest })).toMatchObject({ replaced: true })
  })
})

describe('a write of a Redis store', () => {
  it('is what VerneMQ reads: one string of JSON under the key of three', async () => {
    await stores.create(server.url).put(KEY, recordOf('plant/%c/#'))
    expect(await tool.keys('*')).toEqual(['["","1528361231","101"]'])
    expect(JSON.parse((await tool.get(NAME))!)).toMatchObject({ publish_acl: [{ pattern: 'plant/%c/#' }] })
  })

  it.each([
    ['put', {}],
    ['put with a condition', { ifMatch: true }],
  ])('by %s keeps the expiry that the key has', async (_, { ifMatch }: { ifMatch?: boolean }) => {
    const store = stores.create(server.url)
    await tool.set(NAME, textOf('a'), 'PX', 60_000)
    const stored = await store.getStored(KEY)
    await store.put(KEY, recordOf('b'), ifMatch ? { ifMatch: stored!.digest } : {})
    expect(await tool.pttl(NAME)).toBeGreaterThan(0)
  })

  it('needs no right to run scripts without a condition on the digest', async () => {
    await tool.call('ACL', 'SETUSER', 'plain', 'reset', 'on', '>p', '~*', '+@all', '-@scripting')
    const store = stores.create(`redis://plain:p@127.0.0.1:${server.port}`)
    await store.put(KEY, recordOf('a'), { ifMatch: null })
    const { digest } = await store.put(KEY, recordOf('b'))
    await expect(store.put(KEY, recordOf('c'), { ifMatch: digest! })).rejects.toThrow(/^redis answered "NOPERM /)
    expect(await tool.get(NAME)).toContain('"b"')
    await store.delete(KEY)
    await store.delete(KEY, { ifMatch: null })
  })

  it.each([
    ['READONLY', () => tool.replicaof('127.0.0.1', '1'), () => tool.replicaof('NO', 'ONE')],
    [
      'NOREPLICAS',
      () => tool.config('SET', 'min-replicas-to-write', '3'),
      () => tool.config('SET', 'min-replicas-to-write', '0'),
    ],
  ])('that Redis refuses with %s is unavailable, and surely not done', async (code, before, after) => {
    const store = stores.create(server.url)
    await store.get(KEY)
    await before()
    const { error } = await failureOf(store.put(KEY, recordOf('a')))
    await after()
    expect(error).toBeInstanceOf(StoreUnavailable)
    expect(String(error)).toContain(`redis answered "${code} `)
    expect(await tool.get(NAME)).toBeNull()
  })

  it('leaves no value in what it throws', async () => {
    await tool.call('ACL', 'SETUSER', 'reader', 'reset', 'on', '>p', '~*', '+@all', '-set')
    const { error } = await failureOf(
      stores.create(`redis://reader:p@127.0.0.1:${server.port}`).put(KEY, recordOf('secret/topic')),
    )
    expect(error).toBeInstanceOf(StoreUnavailable)
    for (let cause = error; cause instanceof Error; cause = cause.cause) {
      expect(JSON.stringify(cause, Object.getOwnPropertyNames(cause))).not.toMatch(/secret\/topic|\$2a\$/)
    }
  })

  it('does not leave the connection inside a transaction that may not end', async () => {
    const own = await startRedisServer(['--rename-command', 'EXEC', ''])
    const client = new Redis(own.port)
    const store = stores.create(own.url)
    await store.limiter('pair', { points: 1, windowMs: 1_000, blockMs: 1_000 }).isSpent('a')
    await eventually(
      () =>
        store.put(KEY, recordOf('a')).then(
          () => true,
          () => false,
        ),
      'a write goes through',
    )
    expect(await client.get(NAME)).toContain('"a"')
    client.disconnect()
    await stores.close()
    await own.stop()
  })
})

describe('a scan of a Redis store', () => {
  it('skips what is no record key, and keys outside the prefix', async () => {
    const store = stores.create(server.url, { keyPrefix: 'a?*[' })
    await store.put(KEY, recordOf('a'))
    for (const name of [NAME, `ab[${NAME}`, `a?*[x`, `a?*[["x"]`, `a?*[["", "c","u"]`]) await tool.set(name, 'x')
    const found = []
    for await (const each of store.scan()) found.push(each)
    expect(found).toEqual([KEY])
  })

  it('does not block Redis with one command for all keys', async () => {
    const batch = tool.pipeline()
    for (let n = 0; n < 3_000; n++) batch.set(encodeRecordKey(key(`c${n}`)), '{}')
    await batch.exec()
    const [before, keysBefore] = [await callsOf('scan'), await callsOf('keys')]
    const found = new Set()
    for await (const { clientId } of stores.create(server.url).scan()) found.add(clientId)
    expect(found.size).toBe(3_000)
    expect(await callsOf('scan')).toBeGreaterThan(before + 3)
    expect(await callsOf('keys')).toBe(keysBefore)
  })

  it('may be left early', async () => {
    const store = stores.create(server.url)
    for (let n = 0; n < 5; n++) await store.put(key(`c${n}`), recordOf('a'))
    for await (const each of store.scan()) {
      expect(each.username).toBe('u')
      break
    }
    expect(await store.get(key('c0'))).toBeDefined()
  })
})
