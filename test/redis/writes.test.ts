import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis5'
import { describe, expect, it } from 'vitest'
import { OutcomeUnknown, StoreTimeout, StoreUnavailable } from '../../src/errors.js'
import type { RedisTarget } from '../../src/redis/index.js'
import type { RecordStore } from '../../src/store/types.js'
import { key, recordOf } from '../contract/record-store.js'
import { eventually } from '../helpers/eventually.js'
import { startRedisServer } from '../helpers/redis-server.js'
import { startTcpProxy } from '../helpers/tcp-proxy.js'
import { callsOf, failureOf, KEY, line, NAME, server, stores, tool } from './one-server.js'
import { Heard, splitTemplate, textOf } from './support.js'

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
