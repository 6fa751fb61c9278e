import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { NotDurable } from '../../src/index.js'
import { encodeRecordKey } from '../../src/record/index.js'
import type { RedisStore } from '../../src/redis/index.js'
import type { ChangeEffects } from '../../src/store/types.js'
import { deferred } from '../helpers/deferred.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { startTcpProxy } from '../helpers/tcp-proxy.js'
import { adminOf, namesOf, present, recordOf, SHARED, stores } from './receipt-support.js'
import { Heard, splitTemplate } from './support.js'

let server: RedisServer
beforeAll(async () => {
  server = await startRedisServer()
})
beforeEach(async () => {
  await adminOf(server).flushall()
})
afterAll(() => server.stop())

/** A store in this process that counts as a node. */
async function startLocal(create: () => RedisStore): Promise<{ store: RedisStore; heard: Heard }> {
  const store = create()
  const heard = new Heard(store)
  store.watch(() => {}, { decidesForMs: 500 })
  await heard.live()
  return { store, heard }
}

/** What was reported about receipts. */
const troubles = ({ events }: Heard): unknown[] =>
  events.flatMap(event => (event.type === 'error' && event.place === 'receipts' ? [event.error] : []))

describe('a node', () => {
  it('stays silent while it is deaf', async () => {
    const proxy = await startTcpProxy(server.port)
    const writer = stores.create(server.url)
    const template = splitTemplate({ data: server.port, link: proxy.port })
    await startLocal(() => stores.create(template, { nodeName: 'deaf', heartbeatTimeoutMs: 30_000 }))
    await present(writer, 'deaf')
    proxy.freeze()
    const { receipt } = await writer.put(SHARED, recordOf('a'), { receipt: { timeoutMs: 300 } })
    expect(receipt).toMatchObject({ confirmed: false, rows: [] })
    expect(namesOf(receipt!.silent)).toEqual(['deaf'])
    await proxy.close()
  })

  it('survives questions that no store has asked, drops them, and answers the next', async () => {
    const admin = adminOf(server)
    const writer = stores.create(server.url)
    const { store } = await startLocal(() => stores.create(server.url, { nodeName: 'n1' }))
    await present(writer, 'n1')
    const id = (n: number): string => `00000000-0000-0000-0000-${String(n).padStart(12, '0')}`
    const hostile = [
      '',
      '{',
      'null',
      '[]',
      '{"key":1,"sinceMs":0}',
      '{"key":"[\\"a\\"]","sinceMs":0}',
      `{"key":${JSON.stringify(encodeRecordKey(SHARED))},"sinceMs":-1}`,
      `{"key":${JSON.stringify(encodeRecordKey(SHARED))},"sinceMs":1e999}`,
      'x'.repeat(3_000_000),
    ]
    for (const [n, text] of hostile.entries()) await admin.set(`mqtt-warden:ask:{${id(n)}}`, text)
    await admin.rpush(`mqtt-warden:ask:{${id(100)}}`, 'a list')
    await admin.set('mqtt-warden:ask:{x}', '{}')
    await admin.set('mqtt-warden:ask:', '{}')
    // All but the empty one, which is taken for over, and the two whose names are no questions.
    await eventually(() => store.stats().droppedAsks === hostile.length, 'the questions are dropped')
    const burst = admin.pipeline()
    for (let n = 1_000; n < 2_000; n++) burst.set(`mqtt-warden:ask:{${id(n)}}`, '?')
    await burst.exec()
    await eventually(() => store.stats().droppedAsks === hostile.length + 1_000, 'the burst is dropped')
    const { receipt } = await writer.put(SHARED, recordOf('a'), { receipt: { timeoutMs: 5_000 } })
    expect(receipt).toMatchObject({ confirmed: true })
    expect(store.stats().answeredAsks).toBe(1)
  })

  it('says so when it cannot read the record', async () => {
    const admin = adminOf(server)
    const { store } = await startLocal(() => stores.create(server.url, { nodeName: 'n1' }))
    await admin.rpush(encodeRecordKey(SHARED), 'a list')
    const [info] = await store.nodes()
    const id = '00000000-0000-0000-0000-000000000001'
    await admin.set(`mqtt-warden:ask:{${id}}`, JSON.stringify({ key: encodeRecordKey(SHARED), sinceMs: 0 }))
    const row = `mqtt-warden:row:{${id}}:${info!.id}`
    await eventually(async () => (await admin.exists(row)) === 1, 'it has answered')
    expect(JSON.parse((await admin.get(row))!)).toMatchObject({
      digest: null,
      failed: 'record: is not a string in redis',
    })
    expect(await admin.pttl(row)).toBeGreaterThan(0)
  })

  it('confirms nothing by an answer that cannot be read, or by another record', async () => {
    const admin = adminOf(server)
    const writer = stores.create(server.url)
    const node = { name: 'odd', pid: 1, startedAt: 0, leaseMs: 60_000 }
    const ids = ['odd.1.000000000001', 'odd.1.000000000002']
    for (const id of ids) await admin.zadd('mqtt-warden:nodes', Date.now() + 60_000, JSON.stringify({ id, ...node }))
    await admin.zadd('mqtt-warden:nodes', Date.now() + 60_000, 'no node', Date.now() + 60_000, '{"id":"a b"}')
    await admin.zadd('mqtt-warden:nodes', Date.now() - 1, JSON.stringify({ id: 'over.1.000000000003', ...node }))
    const written = writer.put(SHARED, recordOf('a'), { receipt: { timeoutMs: 10_000 } })
    let asks: string[] = []
    await eventually(async () => {
      asks = await admin.keys('mqtt-warden:ask:*')
      return asks.length > 0
    }, 'the nodes are asked')
    const row = asks[0]!.replace('ask:', 'row:')
    await admin.set(`${row}:${ids[0]}`, '{"digest":"x"}')
    const stale = { digest: 'a'.repeat(64), sessionsCut: 1, subscriptionsDropped: 0 }
    await admin.set(`${row}:${ids[1]}`, JSON.stringify(stale))
    const { receipt } = await written
    expect(receipt).toMatchObject({ confirmed: false, silent: [] })
    expect(receipt!.rows.map(({ node: id, digest, failed }) => [id, digest, failed]).sort()).toEqual([
      [ids[0], null, 'the answer cannot be read'],
      [ids[1], 'a'.repeat(64), undefined],
    ])
  })

  it('is read in the form of older versions, and completes its own answer when it has more to tell', async () => {
    const admin = adminOf(server)
    const writer = stores.create(server.url)
    const ids = ['old.1.000000000001', 'new.1.000000000002', 'gone.1.000000000003']
    const members = ids.map(id => JSON.stringify({ id, name: 'odd', pid: 1, startedAt: 0, leaseMs: 60_000 }))
    for (const member of members) await admin.zadd('mqtt-warden:nodes', Date.now() + 60_000, member)
    const written = writer.put(SHARED, recordOf('a'), { receipt: { timeoutMs: 20_000 } })
    let row = ''
    await eventually(async () => {
      const [ask = ''] = await admin.keys('mqtt-warden:ask:*')
      row = ask.replace('ask:', 'row:')
      return ask !== ''
    }, 'the nodes are asked')
    const { digest } = (await writer.getStored(SHARED))!
    const old = { digest, sessionsCut: 1, subscriptionsDropped: 2 }
    await admin.set(`${row}:${ids[0]}`, JSON.stringify(old))
    await admin.set(`${row}:${ids[1]}`, JSON.stringify({ ...old, messagesDropped: 3, pending: true, later: 'more' }))
    await admin.set(`${row}:${ids[2]}`, JSON.stringify({ ...old, pending: true }))
    // It answers no more, and nobody waits for it.
    await admin.zrem('mqtt-warden:nodes', members[2]!)
    await eventually(async () => (await admin.ttl(`${row}:${ids[1]}`)) === -1, 'it stays')
    await admin.set(`${row}:${ids[1]}`, JSON.stringify({ ...old, subscriptionsDropped: 5, messagesDropped: 7 }))
    const { receipt } = await written
    expect(receipt).toMatchObject({ confirmed: true, silent: [] })
    const rows = Object.fromEntries(receipt!.rows.map(({ node, ms: _, ...rest }) => [node, rest]))
    expect(rows).toEqual({
      [ids[0]!]: { ...old, messagesDropped: 0 },
      [ids[1]!]: { ...old, subscriptionsDropped: 5, messagesDropped: 7 },
      [ids[2]!]: { ...old, messagesDropped: 0, pending: true },
    })
  })

  it('writes what it does in force at once, and anew when all is done', async () => {
    const admin = adminOf(server)
    const { store } = await startLocal(() => stores.create(server.url, { nodeName: 'n1' }))
    await present(store, 'n1')
    const work = deferred<ChangeEffects>()
    store.watch(event => (event.type === 'changed' ? { subscriptionsDropped: 1, later: work.promise } : {}))
    const [info] = await store.nodes()
    const id = '00000000-0000-0000-0000-000000000001'
    await admin.set(`mqtt-warden:ask:{${id}}`, JSON.stringify({ key: encodeRecordKey(SHARED), sinceMs: 0 }))
    const row = `mqtt-warden:row:{${id}}:${info!.id}`
    await eventually(async () => (await admin.exists(row)) === 1, 'it has answered')
    const first = { digest: null, sessionsCut: 0, subscriptionsDropped: 1, messagesDropped: 0 }
    expect(JSON.parse((await admin.get(row))!)).toEqual({ ...first, pending: true })
    work.resolve({ messagesDropped: 2 })
    await eventually(async () => !(await admin.get(row))!.includes('pending'), 'it has completed its answer')
    expect(JSON.parse((await admin.get(row))!)).toEqual({ ...first, messagesDropped: 2 })
  })

  it('counts as silent in its own receipt while its own watchers are not done', async () => {
    const store = stores.create(server.url, { nodeName: 'n1', invalidation: 'none' })
    const held = deferred()
    let told = 0
    // They are told by the write, and once more for its receipt.
    store.watch(event => (event.type === 'changed' && ++told === 2 ? held.promise : undefined), { decidesForMs: 500 })
    await present(store, 'n1')
    const { receipt } = await store.put(SHARED, recordOf('a'), { receipt: { timeoutMs: 200 } })
    held.resolve()
    expect(receipt).toMatchObject({ confirmed: false, rows: [] })
    expect(namesOf(receipt!.silent)).toEqual(['n1'])
  })

  it('announces itself again at once when everything was flushed', async () => {
    const { store } = await startLocal(() => stores.create(server.url, { nodeName: 'n1' }))
    await present(store, 'n1')
    await adminOf(server).flushall()
    await present(store, 'n1')
  })

  it('is believed to be one of all only when the list of nodes was not lost of late', async () => {
    const admin = adminOf(server)
    await startLocal(() => stores.create(server.url, { nodeName: 'n1' }))
    const writer = stores.create(server.url)
    await present(writer, 'n1')
    await admin.flushall()
    await present(writer, 'n1')
    const { receipt } = await writer.put(SHARED, recordOf('a'), { receipt: { timeoutMs: 5_000 } })
    expect(receipt).toMatchObject({ confirmed: false, rows: [{ digest: expect.any(String) }], silent: [] })
    expect(receipt!.failed).toMatch(/^the list of nodes was lost \d s ago: some may be missing$/)
    // Those that are missing have ceased to decide by what they knew.
    await eventually(async () => {
      const again = await writer.put(SHARED, recordOf('b'), { receipt: { timeoutMs: 5_000 } })
      return again.receipt?.confirmed === true
    }, 'all that decide are back')
  })

  it('takes part through the channel as well, where tracking is refused', async () => {
    const writer = stores.create(server.url, { invalidation: 'channel' })
    await startLocal(() => stores.create(server.url, { nodeName: 'n1', invalidation: 'channel' }))
    await present(writer, 'n1')
    const { receipt } = await writer.put(SHARED, recordOf('a'), { receipt: { timeoutMs: 5_000 } })
    expect(receipt).toMatchObject({ confirmed: true, silent: [] })
  })

  it('needs no more rights than the documented ones', async () => {
    const admin = adminOf(server)
    const read = ['~\\["*', '&mqtt-warden:#', '+ping', '+getrange', '+pttl', '+client|id', '+client|tracking']
    const beat = ['+subscribe', '~mqtt-warden:beat:*', '+set', '~mqtt-warden:nodes', '+time', '+zadd', '+zrem']
    const take = ['+zremrangebyscore', '+pexpire', '~mqtt-warden:ask:*', '~mqtt-warden:row:*', '+getrange']
    await admin.call('ACL', 'SETUSER', 'node', 'reset', 'on', '>pw', ...read, ...beat, ...take)
    await admin.call(
      'ACL',
      'SETUSER',
      'writer',
      'reset',
      'on',
      '>pw',
      ...read,
      ...beat,
      ...take,
      '+zrangebyscore',
      '+wait',
    )
    const url = (user: string): string => `redis://${user}:pw@127.0.0.1:${server.port}`
    const { heard } = await startLocal(() => stores.create(url('node'), { nodeName: 'n1' }))
    const writer = stores.create(url('writer'))
    await present(writer, 'n1')
    const written = writer.put(SHARED, recordOf('a'), { receipt: { timeoutMs: 5_000 }, minReplicas: 1 })
    await expect(written).rejects.toMatchObject({ result: { replicas: 0, receipt: { confirmed: true } } })
    expect(troubles(heard)).toEqual([])
  })

  it('says once that it may not announce itself', async () => {
    const admin = adminOf(server)
    await admin.call('ACL', 'SETUSER', 'reader', 'reset', 'on', '>pw', '~*', '&*', '+@all', '-zadd')
    const { heard, store } = await startLocal(() => stores.create(`redis://reader:pw@127.0.0.1:${server.port}`))
    await eventually(() => troubles(heard).length === 1, 'it is said')
    expect(troubles(heard)[0]).toMatchObject({
      message: expect.stringMatching(/^receipts cannot know of this process: redis answered "NOPERM/),
    })
    expect(await store.nodes()).toEqual([])
  })

  it('has a name that can stand in a list', () => {
    expect(() => stores.create(server.url, { nodeName: 'a b' })).toThrow(TypeError)
    expect(() => stores.create(server.url, { nodeName: '' })).toThrow(TypeError)
    expect(() => stores.create(server.url, { nodeName: 'x'.repeat(65) })).toThrow(TypeError)
  })
})

describe('a writer', () => {
  it('asks nobody when the condition does not hold', async () => {
    const admin = adminOf(server)
    const { store } = await startLocal(() => stores.create(server.url))
    const { digest } = await store.put(SHARED, recordOf('a'))
    const options = { receipt: { timeoutMs: 5_000 }, ifMatch: 'b'.repeat(64) }
    await expect(store.put(SHARED, recordOf('b'), options)).rejects.toMatchObject({ code: 'ERR_RECORD_CONFLICT' })
    expect(await admin.keys('mqtt-warden:ask:*')).toEqual([])
    const changed = await store.put(SHARED, recordOf('b'), { ...options, ifMatch: digest! })
    expect(changed.receipt).toMatchObject({ confirmed: true })
  })

  it('has written although the nodes cannot be asked', async () => {
    const admin = adminOf(server)
    await admin.set('mqtt-warden:nodes', 'no list')
    const writer = stores.create(server.url)
    const { receipt } = await writer.put(SHARED, recordOf('a'), { receipt: { timeoutMs: 5_000 } })
    expect(receipt).toMatchObject({ confirmed: false, rows: [], silent: [] })
    expect(receipt!.failed).toMatch(/^the nodes cannot be asked: redis answered "WRONGTYPE/)
    expect(await writer.get(SHARED)).toEqual(recordOf('a'))
  })

  it('is told how many replicas have the write, and that others go on meanwhile', async () => {
    const replica = await startRedisServer(['--replicaof', '127.0.0.1', String(server.port)])
    try {
      const writer = stores.create(server.url, { commandTimeoutMs: 3_000 })
      const admin = adminOf(server)
      await eventually(async () => (await admin.info('replication')).includes('state=online'), 'the replica follows')
      const written = await writer.put(SHARED, recordOf('a'), { minReplicas: 1 })
      expect(written).toMatchObject({ replicas: 1, replaced: false })
      const { digest } = await writer.put(SHARED, recordOf('b'), { minReplicas: 1, ifMatch: written.digest! })
      expect(await writer.delete(SHARED, { minReplicas: 1, ifMatch: digest! })).toMatchObject({ replicas: 1 })

      replica.freeze()
      let isOver = false
      const put = writer.put(SHARED, recordOf('c'), { minReplicas: 1 })
      const settled = put.catch(() => {}).finally(() => (isOver = true))
      await eventually(async () => (await writer.get(SHARED)) !== undefined, 'the write is done')
      // Reads were answered while the replica was waited for.
      expect(isOver).toBe(false)
      const error = await put.catch((reason: unknown) => reason)
      await settled
      expect(error).toBeInstanceOf(NotDurable)
      expect(error).toMatchObject({
        message: 'not_durable: written, but 0 of 1 demanded replicas have it',
        result: { replicas: 0, replaced: false, digest: expect.any(String) },
      })
      expect(await writer.get(SHARED)).toEqual(recordOf('c'))
    } finally {
      await replica.stop()
    }
  })

  it('leaves nothing open when it is closed while it waits', async () => {
    const writer = stores.create(server.url, { commandTimeoutMs: 10_000 })
    const admin = adminOf(server)
    const put = writer.put(SHARED, recordOf('a'), { minReplicas: 1 })
    await eventually(async () => String(await admin.client('LIST')).includes('cmd=wait'), 'replicas are waited for')
    const before = performance.now()
    await writer.close()
    await expect(put).rejects.toBeInstanceOf(NotDurable)
    expect(performance.now() - before).toBeLessThan(5_000)
  })
})
