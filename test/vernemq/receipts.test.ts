import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createRedisStore, type RedisStore } from '../../src/redis/index.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { allows, C1, C2, K1, memoryPeers, play } from './scene.js'
import { keyOf } from './support.js'

const receipt = { timeoutMs: 4_000 }
const shared = keyOf('*')

describe('a receipt counts what VerneMQ was made to do', () => {
  it('for a client whose record is gone: it was disconnected', async () => {
    const { store, cluster } = await play([[K1, allows(['a'])]])
    await cluster.nodes[0]!.connect(C1)
    const written = await store.delete(K1, { receipt })
    expect(written.receipt).toMatchObject({ confirmed: true, rows: [{ sessionsCut: 1 }] })
    expect(written.receipt!.rows[0]).not.toHaveProperty('sessionsReauthorized')
  })

  it('for all clients of a record: their subscriptions were judged anew', async () => {
    const { store, cluster } = await play([[shared, allows(['a', 'b'])]])
    for (const client of [C1, C2]) await cluster.nodes[0]!.connect(client)
    const narrowed = await store.put(shared, allows(['b']), { receipt })
    expect(narrowed.receipt).toMatchObject({ confirmed: true, rows: [{ sessionsCut: 0, sessionsReauthorized: 2 }] })
    const widened = await store.put(shared, allows(['b', 'c']), { receipt })
    expect(widened.receipt).toMatchObject({ confirmed: true, rows: [{ sessionsCut: 0 }] })
    expect(widened.receipt!.rows[0]).not.toHaveProperty('sessionsReauthorized')
  })

  it('each change for itself, also one that comes while another is carried out', async () => {
    const { store, cluster } = await play([[K1, allows(['a', 'b', 'c'])]])
    await cluster.nodes[0]!.connect(C1)
    const first = await store.put(K1, allows(['a', 'b']), { receipt })
    expect(first.receipt!.rows[0]).toMatchObject({ sessionsCut: 0, sessionsReauthorized: 1 })
    const second = await store.delete(K1, { receipt })
    expect(second.receipt!.rows[0]).toMatchObject({ sessionsCut: 1 })
  })

  it('once, of several writes that wait for the same work', async () => {
    const { store, cluster } = await play([[K1, allows(['a', 'b'])]])
    await cluster.nodes[0]!.connect(C1)
    const narrowed = store.put(K1, allows(['a']), { receipt })
    const deleted = await Promise.all([store.delete(K1, { receipt }), store.delete(K1, { receipt }), narrowed])
    expect(deleted.map(written => written.receipt!.rows[0]!.sessionsCut).sort()).toEqual([0, 0, 1])
  })

  it('and confirms nothing that VerneMQ could not be told', async () => {
    const { store, cluster } = await play([
      [K1, allows(['a'])],
      [shared, allows(['a'])],
    ])
    for (const client of [C1, C2]) await cluster.nodes[0]!.connect(client)
    let failures = 4
    for (const node of cluster.nodes) {
      node.intercept = ({ path }) => (/session\/(disconnect|show)/.test(path) && failures-- > 0 ? 'fail' : undefined)
    }
    const one = await store.delete(K1, { receipt })
    expect(one.receipt).toMatchObject({ confirmed: false, rows: [{ sessionsCut: 0 }] })
    expect(one.receipt!.rows[0]!.failed).toBe('VerneMQ could not be told of every client')
    const all = await store.delete(shared, { receipt })
    expect(all.receipt).toMatchObject({ confirmed: false, rows: [{ sessionsCut: 0 }] })
    expect(all.receipt!.rows[0]!.failed).toBe('VerneMQ could not list its sessions')
    await eventually(() => !cluster.isOnline('c1') && !cluster.isOnline('c2'), 'both are cut in the end')
  })

  it('and confirms nothing while a grant may still be repeated somewhere', async () => {
    const { store, cluster } = await play([[K1, allows(['a'])]], { cacheSeconds: 60 })
    await cluster.nodes[0]!.connect(C1)
    cluster.nodes[1]!.intercept = ({ path }) => (path.includes('cache/clear') ? 'fail' : undefined)
    const written = await store.delete(K1, { receipt })
    expect(written.receipt).toMatchObject({ confirmed: false, rows: [{ sessionsCut: 1 }] })
    expect(written.receipt!.rows[0]!.failed).toBe('not every webhook cache could be cleared')
  })
})

describe('a receipt from webhook servers over one Redis', () => {
  let redis: RedisServer

  beforeAll(async () => {
    redis = await startRedisServer()
  })

  afterAll(() => redis.stop())

  function open(): RedisStore {
    const store = createRedisStore(redis.url)
    onTestFinished(() => store.close())
    return store
  }

  it('counts every client once, whichever of them carries the change out', async () => {
    const writer = open()
    await writer.put(K1, allows(['a', 'b']))
    const peers = memoryPeers()
    const { cluster, servers } = await play([], {
      servers: 2,
      store: writer,
      viewOf: () => open(),
      enforcement: { peers },
    })
    await Promise.all(servers.map(({ authorizer }) => authorizer.ready()))
    await eventually(async () => (await writer.nodes()).length === 2, 'both are announced')
    await cluster.nodes[0]!.connect(C1)
    const narrowed = await writer.put(K1, allows(['b']), { receipt })
    expect(narrowed.receipt).toMatchObject({ confirmed: true })
    expect(narrowed.receipt!.rows.reduce((sum, { sessionsReauthorized = 0 }) => sum + sessionsReauthorized, 0)).toBe(1)
    const deleted = await writer.delete(K1, { receipt })
    expect(deleted.receipt).toMatchObject({ confirmed: true })
    expect(deleted.receipt!.rows.map(({ sessionsCut }) => sessionsCut).sort()).toEqual([0, 1])
  })
})
