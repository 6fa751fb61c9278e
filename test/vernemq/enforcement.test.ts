import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createMemoryStore } from '../../src/index.js'
import { type EnforcementOptions, enforceOnVernemq } from '../../src/vernemq/index.js'
import { eventually } from '../helpers/eventually.js'
import { allows, C1, C2, K1, play, RESPONSE_TIMEOUT_MS } from './scene.js'
import { keyOf, open, watched } from './support.js'

describe('a change of a record', () => {
  it('has cut the client by the time a write in this process is done, when the record is deleted', async () => {
    const { store, cluster } = await play([[K1, allows(['a'])]])
    expect(await cluster.nodes[0]!.connect(C1)).toBe(true)
    await store.delete(K1)
    expect(cluster.isOnline('c1')).toBe(false)
    expect(await cluster.nodes[0]!.connect(C1)).toBe(false)
  })

  it('ends cached grants on every node before the write is done', async () => {
    const { store, cluster } = await play([[K1, allows(['a', 'b'])]], { cacheSeconds: 60 })
    const [node1, node2] = cluster.nodes
    await node1!.connect(C1)
    expect(await node1!.publish(C1, 'a')).toBe(true)
    expect(await node2!.publish(C1, 'a')).toBe(true)
    expect([node1!.cache.size, node2!.cache.size]).toEqual([2, 1])
    await store.put(K1, allows(['b']))
    expect([node1!.cache.size, node2!.cache.size]).toEqual([0, 0])
    expect(await node1!.publish(C1, 'a')).toBe(false)
    expect(await node1!.publish(C1, 'b')).toBe(true)
  })

  it('is done again after the longest time an older answer can take to arrive, and not more often', async () => {
    const { store, cluster } = await play([[K1, allows(['a'])]], { cacheSeconds: 60 })
    const [node] = cluster.nodes
    await node!.connect(C1)
    cluster.calls.length = 0
    const changedAt = performance.now()
    await store.delete(K1)
    expect(cluster.callsOf('session/disconnect')).toHaveLength(1)
    // An answer given by the record that is gone, on its way since before.
    node!.store('late', '{"result":"ok"}', 60)
    await eventually(() => node!.cache.size === 0, 'the late answer is gone')
    expect(performance.now() - changedAt).toBeGreaterThanOrEqual(RESPONSE_TIMEOUT_MS)
    await eventually(() => cluster.callsOf('session/disconnect').length === 2, 'it was disconnected again')
    expect(cluster.callsOf('webhooks/cache/clear')).toHaveLength(4)
  })

  it('drops the subscriptions it takes away and leaves the others, when it narrows', async () => {
    const { store, cluster } = await play([[K1, allows(['a', 'b'])]])
    const [node] = cluster.nodes
    await node!.connect(C1)
    await node!.subscribe(C1, 'a')
    await node!.subscribe(C1, 'b')
    await store.put(K1, allows(['b']))
    expect([...cluster.session('c1')!.subscriptions]).toEqual(['b'])
    expect(cluster.isOnline('c1')).toBe(true)
    expect(cluster.callsOf('session/disconnect')).toEqual([])
  })

  it('cuts the client when it narrows, if told so, once; what it kept is judged anew', async () => {
    const { store, cluster } = await play([[K1, allows(['a', 'b'])]], { enforcement: { onNarrowed: 'disconnect' } })
    const [node] = cluster.nodes
    await node!.connect(C1, 'p1', true)
    await node!.subscribe(C1, 'a')
    cluster.calls.length = 0
    await store.put(K1, allows(['b']))
    expect(cluster.isOnline('c1')).toBe(false)
    await node!.connect(C1, 'p1', true)
    await eventually(() => cluster.session('c1')!.subscriptions.size === 0, 'the stored subscription is gone')
    await eventually(() => cluster.callsOf('webhooks/cache/clear').length === 4, 'the second pass is done')
    await eventually(() => cluster.callsOf('session/reauthorize').length >= 2, 'subscriptions were judged twice')
    expect(cluster.isOnline('c1')).toBe(true)
    expect(cluster.callsOf('session/disconnect')).toHaveLength(1)
  })

  it.each([
    ['another password', allows(['a'], { passhash: 'plain:p2' })],
    ['a record that is no record', undefined],
  ])('cuts the client for %s', async (_name, record) => {
    const store = createMemoryStore([[K1, allows(['a'])]])
    const { cluster } = await play([], { store })
    await cluster.nodes[0]!.connect(C1)
    if (record === undefined) {
      const getStored = async () => ({ record: { passhash: 1 } as never, digest: 'x' })
      Object.assign(store, { getStored })
    }
    await store.put(K1, record ?? allows(['b']))
    expect(cluster.isOnline('c1')).toBe(false)
  })

  it('cuts the client of a record that nobody remembers', async () => {
    const { store, cluster } = await play([[K1, allows(['a'])]], { enforcement: { maxKnown: 1 } })
    const [node] = cluster.nodes
    await node!.connect(C1)
    await store.put(keyOf('x'), allows(['a']))
    expect(cluster.isOnline('c1')).toBe(true)
    await store.put(K1, allows(['a', 'b']))
    expect(cluster.isOnline('c1')).toBe(false)
  })

  it.each([
    ['is written again as it is', allows(['a']), 0],
    ['gains rules', allows(['a', 'b']), 4],
  ])('leaves clients alone when the record %s', async (_name, record, clearings) => {
    const { store, cluster } = await play([[K1, allows(['a'])]])
    await cluster.nodes[0]!.connect(C1)
    await cluster.nodes[0]!.subscribe(C1, 'a')
    cluster.calls.length = 0
    await store.put(K1, record)
    // A later change of another record goes through the same two passes.
    await store.delete(keyOf('x'))
    await eventually(() => cluster.callsOf('session/disconnect').length === 2, 'the other change is done')
    expect(cluster.callsOf('session/disconnect').every(({ path }) => path.includes('client-id=x'))).toBe(true)
    expect(cluster.callsOf('session/reauthorize')).toEqual([])
    expect(cluster.isOnline('c1')).toBe(true)
    expect(cluster.callsOf('webhooks/cache/clear').length).toBeGreaterThanOrEqual(clearings)
  })

  it('deletes what is stored for the client, if told so', async () => {
    const { store, cluster } = await play([[K1, allows(['a'])]], { enforcement: { cleanup: true } })
    await cluster.nodes[0]!.connect(C1, 'p1', true)
    await store.delete(K1)
    expect(cluster.session('c1')).toBeUndefined()
  })

  it('reaches the client of another mountpoint, and no other', async () => {
    const key = keyOf('c1', 'u1', 'mp1')
    const { store, cluster } = await play([
      [K1, allows(['a'])],
      [key, allows(['a'])],
    ])
    const [node] = cluster.nodes
    await node!.connect(C1)
    await node!.connect({ ...C1, mountpoint: 'mp1' })
    await store.delete(key)
    expect(cluster.session('c1', 'mp1')).toBeUndefined()
    expect(cluster.isOnline('c1')).toBe(true)
  })

  it('made while another is carried out is carried out as well, and what it restores stays', async () => {
    const { store, cluster } = await play([[K1, allows(['a', 'b'])]], { cacheSeconds: 60 })
    const [node] = cluster.nodes
    await node!.connect(C1)
    await store.put(K1, allows(['b']))
    await store.put(K1, allows(['a', 'b']))
    expect(await node!.publish(C1, 'a')).toBe(true)
    await store.put(K1, allows(['b']))
    expect(await node!.publish(C1, 'a')).toBe(false)
    expect(cluster.isOnline('c1')).toBe(true)
    expect(cluster.callsOf('session/disconnect')).toEqual([])
  })
})

describe('the record for every client id', () => {
  const shared = keyOf('*')

  it('finds its connected clients by user name, and spares those with a record of their own', async () => {
    const { store, cluster } = await play([
      [shared, allows(['a'])],
      [keyOf('c2'), allows(['a'])],
      [keyOf('*', 'u2'), allows(['a'])],
    ])
    const [node] = cluster.nodes
    await node!.connect(C1)
    await node!.connect(C2)
    await node!.connect({ clientId: 'c3', username: 'u2' })
    await store.delete(shared)
    expect(['c1', 'c2', 'c3'].filter(id => cluster.isOnline(id))).toEqual(['c2', 'c3'])
  })

  it('narrows the subscriptions of its clients', async () => {
    const { store, cluster } = await play([[shared, allows(['a', 'b'])]])
    const [node] = cluster.nodes
    await node!.connect(C1)
    await node!.subscribe(C1, 'a')
    await store.put(shared, allows(['b']))
    expect(cluster.session('c1')!.subscriptions.size).toBe(0)
    expect(cluster.isOnline('c1')).toBe(true)
  })

  it('gives way to a record of the client: its login is judged anew', async () => {
    const { store, cluster } = await play([[shared, allows(['a'])]])
    await cluster.nodes[0]!.connect(C1)
    await store.put(K1, allows([]))
    expect(cluster.isOnline('c1')).toBe(false)
  })

  it('reaches those who were away when it changed as they come back', async () => {
    const { store, cluster } = await play([[shared, allows(['a', 'b'])]])
    const [node] = cluster.nodes
    await node!.connect(C1, 'p1', true)
    await node!.subscribe(C1, 'a')
    await node!.subscribe(C1, 'b')
    cluster.cut(cluster.session('c1')!, false)
    await store.put(shared, allows(['b']))
    expect([...cluster.session('c1')!.subscriptions]).toEqual(['a', 'b'])
    await node!.connect(C1, 'p1', true)
    await eventually(() => cluster.session('c1')!.subscriptions.size === 1, 'the subscription is dropped')
  })
})

describe('a client that comes back to stored subscriptions', () => {
  it('is verified once for as long as its rights are the same', async () => {
    const { cluster } = await play([[K1, allows(['a'])]])
    const [node] = cluster.nodes
    await node!.connect(C1, 'p1', true)
    await eventually(() => cluster.callsOf('session/reauthorize').length === 1, 'it was verified')
    await node!.connect(C1, 'p1', true)
    await node!.connect(C2, 'p1', true)
    await node!.connect(C1)
    await node!.connect(C1, 'p1', true)
    expect(cluster.callsOf('session/reauthorize')).toHaveLength(1)
  })

  it('is left alone if told so', async () => {
    const { cluster } = await play([[K1, allows(['a'])]], { enforcement: { verifyOnLogin: false } })
    await cluster.nodes[0]!.connect(C1, 'p1', true)
    await cluster.nodes[0]!.publish(C1, 'a')
    expect(cluster.callsOf('session/reauthorize')).toEqual([])
  })
})

describe('the start', () => {
  const session = (clientId: string, username: string, filters: readonly string[]) => ({
    ...{ mountpoint: '', clientId, username, isPersistent: true, isOnline: true },
    subscriptions: new Set(filters),
  })
  const before = (cluster: { sessions: Map<string, unknown>; nodes: readonly unknown[] }) => {
    for (const found of [session('c1', 'u1', ['a', 'b']), session('c2', 'gone', ['a'])]) {
      cluster.sessions.set(JSON.stringify(['', found.clientId]), { ...found, node: cluster.nodes[0] })
    }
  }

  it('counts every session as unverified', async () => {
    const { cluster, server } = await play([[K1, allows(['b'])]], { before: before as never })
    await eventually(() => !cluster.isOnline('c2'), 'the client without a record is cut')
    // Its subscriptions are judged by the endpoint, which the fake knows only now.
    expect(cluster.isOnline('c1')).toBe(true)
    expect(cluster.callsOf('session/reauthorize')).toHaveLength(1)
    expect(server.enforcement.freshness().pending).toBe(0)
  })

  it('can be told to leave sessions alone; caches are cleared all the same', async () => {
    const { cluster } = await play([[K1, allows(['b'])]], {
      before: before as never,
      enforcement: { verifyAtStart: false },
    })
    expect(cluster.isOnline('c2')).toBe(true)
    expect(cluster.callsOf('session/show')).toEqual([])
    expect(cluster.callsOf('webhooks/cache/clear').length).toBeGreaterThanOrEqual(2)
  })

  it('is repeated when changes may have been missed', async () => {
    const { store, listeners } = watched([[K1, allows(['a'])]])
    const { cluster } = await play([], { store })
    await cluster.nodes[0]!.connect(C1)
    Object.assign(store, { getStored: async () => undefined })
    for (const listener of listeners) void listener({ type: 'unknown' })
    await eventually(() => !cluster.isOnline('c1'), 'the client is cut')
  })
})

describe('a record that ends by itself', () => {
  it('has its client cut at that moment', async () => {
    const expiresAt = Math.ceil(Date.now() / 1_000) + 1
    const { cluster } = await play([[K1, allows(['a'], { expiresAt })]])
    await cluster.nodes[0]!.connect(C1)
    await eventually(() => !cluster.isOnline('c1'), 'the client is cut')
    expect(Date.now()).toBeGreaterThanOrEqual(expiresAt * 1_000)
  })

  it('has its client cut also when the clock of the system is set', async () => {
    const expiresAt = Math.ceil(Date.now() / 1_000) + 7_200
    const { cluster } = await play([[K1, allows(['a'], { expiresAt })]], { enforcement: { probeMs: 1_000 } })
    await cluster.nodes[0]!.connect(C1)
    const { now } = Date
    const clock = vi.spyOn(Date, 'now').mockImplementation(() => now.call(Date) + 7_200_000)
    onTestFinished(() => clock.mockRestore())
    await eventually(() => !cluster.isOnline('c1'), 'the client is cut')
  })
})

describe('closing', () => {
  it('stops everything, may be repeated, and settles who waits', async () => {
    const { store, cluster, server } = await play([[K1, allows(['a'])]])
    await cluster.nodes[0]!.connect(C1)
    await server.enforcement[Symbol.asyncDispose]()
    await server.enforcement.close()
    await server.enforcement.ready()
    cluster.calls.length = 0
    await store.delete(K1)
    expect(cluster.calls).toEqual([])
    expect(server.enforcement.mayCache(1)).toBe(false)
  })
})

describe('options of enforceOnVernemq', () => {
  it.each<[object, string]>([
    [{ responseTimeoutMs: 1 }, '"responseTimeoutMs" option must be an integer from 100 to 60000'],
    [{ onNarrowed: 'nothing' }, '"onNarrowed" option must be "reauthorize" or "disconnect"'],
    [{ cleanup: 1 }, '"cleanup" option must be true or false'],
    [{ verifyAtStart: 1 }, '"verifyAtStart" option must be true or false'],
    [{ verifyOnLogin: 1 }, '"verifyOnLogin" option must be true or false'],
    [{ peers: {} }, '"peers" option must be EnforcementPeers, e.g. of createRedisPeers'],
    [{ onFault: 1 }, '"onFault" option must be a function'],
    [{ fault: 1 }, '"fault" is not an option of enforceOnVernemq'],
  ])('refuses %j', (options, message) => {
    const { authorizer } = open([])
    const watch = vi.spyOn(authorizer.store, 'watch')
    expect(() => enforceOnVernemq(authorizer, {} as never, options as EnforcementOptions)).toThrow(
      new TypeError(message),
    )
    expect(watch).not.toHaveBeenCalled()
  })
})
