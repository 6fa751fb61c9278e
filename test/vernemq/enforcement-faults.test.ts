import { describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { allows, C1, K1, play, RESPONSE_TIMEOUT_MS } from './scene.js'
import { keyOf } from './support.js'

describe('what fails', () => {
  it('is tried again: disconnecting', async () => {
    const { store, cluster, server } = await play([[K1, allows(['a'])]])
    await cluster.nodes[0]!.connect(C1)
    let failures = 4
    for (const node of cluster.nodes) {
      node.intercept = ({ path }) => (path.includes('session/disconnect') && failures-- > 0 ? 'fail' : undefined)
    }
    await store.delete(K1)
    expect(cluster.isOnline('c1')).toBe(true)
    expect(server.enforcement.freshness().pending).toBe(1)
    expect(server.faults[0]).toMatchObject({
      what: 'disconnect',
      client: { mountpoint: '', clientId: 'c1' },
      tries: 1,
      isGivenUp: false,
    })
    await eventually(() => !cluster.isOnline('c1'), 'the client is cut')
    await eventually(() => server.enforcement.freshness().pending === 0, 'nothing is pending')
  })

  it('is tried again: listing sessions', async () => {
    const { store, cluster, server } = await play([[keyOf('*'), allows(['a'])]])
    await cluster.nodes[0]!.connect(C1)
    let failures = 2
    for (const node of cluster.nodes) {
      node.intercept = ({ path }) => (path.includes('session/show') && failures-- > 0 ? 'fail' : undefined)
    }
    await store.delete(keyOf('*'))
    expect(server.faults[0]).toMatchObject({ what: 'sessions', tries: 1, isGivenUp: false })
    await eventually(() => !cluster.isOnline('c1'), 'the client is cut')
  })

  it('is tried again: reading the record', async () => {
    const { store, cluster, server } = await play([[K1, allows(['a'])]])
    await cluster.nodes[0]!.connect(C1)
    const getStored = store.getStored!.bind(store)
    let failures = 2
    Object.assign(store, {
      getStored: (key: typeof K1) => (failures-- > 0 ? Promise.reject(new Error('down')) : getStored(key)),
    })
    await store.delete(K1)
    expect(cluster.isOnline('c1')).toBe(false)
    expect(server.faults.map(({ what, tries }) => [what, tries])).toEqual([
      ['record', 1],
      ['record', 2],
    ])
  })

  it('keeps nobody waiting: a client is cut while the cache of a node that is away waits for its next try', async () => {
    const { store, cluster, server } = await play([[K1, allows(['a'])]])
    const [node1, node2] = cluster.nodes
    await node1!.connect(C1)
    await node2!.stop()
    const tries = () => server.faults.filter(({ what }) => what === 'cache').length
    // The sixth failure is followed by a pause of 1.6 s at least; after an hour it would be 15 s to 30 s.
    await store.put(keyOf('other'), allows([]))
    await eventually(() => tries() === 6, 'the node was tried six times')
    await store.delete(K1)
    expect([cluster.isOnline('c1'), tries()]).toEqual([false, 6])
    expect(server.enforcement.freshness().nodes[1]!.state).toBe('failing')
    await node2!.listen()
    await eventually(() => server.enforcement.freshness().nodes[1]!.state === 'clear', 'the node is cleared at last')
  })

  it('makes the bound infinite when no node answers', async () => {
    const { store, cluster, server } = await play([[K1, allows(['a'])]])
    expect(server.enforcement.freshness()).toMatchObject({
      boundMs: RESPONSE_TIMEOUT_MS + 15_000,
      terms: {
        hearMs: 0,
        confirmMs: 0,
        takeoverMs: 0,
        responseTimeoutMs: RESPONSE_TIMEOUT_MS,
        adminMs: 15_000,
        cacheMs: 0,
      },
    })
    for (const node of cluster.nodes) await node.stop()
    await store.delete(K1)
    expect(server.enforcement.freshness().boundMs).toBe(Number.POSITIVE_INFINITY)
  })

  it('is given up and said when VerneMQ cannot name the client; what cannot be reauthorized is cut', async () => {
    const odd = { clientId: 'a"b', username: 'u1' }
    const onMountpoint = { ...odd, mountpoint: 'mp' }
    const { store, cluster, server } = await play([
      [keyOf('a"b'), allows(['a', 'b'])],
      [keyOf('a"b', 'u1', 'mp'), allows(['a'])],
    ])
    await cluster.nodes[0]!.connect(odd)
    await cluster.nodes[0]!.connect(onMountpoint)
    await store.put(keyOf('a"b'), allows(['b']))
    expect(cluster.isOnline('a"b')).toBe(false)
    expect(server.faults).toEqual([])
    await store.delete(keyOf('a"b', 'u1', 'mp'))
    expect(server.faults[0]).toMatchObject({ what: 'disconnect', isGivenUp: true })
    // The second pass over the first record may just be under way.
    await eventually(() => server.enforcement.freshness().pending === 0, 'nothing is pending')
  })

  it('never grows without bound: too many changes become one look at all sessions', async () => {
    const { store, cluster, server } = await play([[K1, allows(['a'])]], {
      enforcement: { maxChanges: 1, responseTimeoutMs: 60_000 },
      isStarting: true,
    })
    await cluster.nodes[0]!.connect(C1)
    await store.delete(keyOf('x'))
    await store.delete(K1)
    await eventually(() => !cluster.isOnline('c1'), 'the client is cut')
    expect(server.faults).toMatchObject([{ what: 'overflow', isGivenUp: true }])
  })
})
