import { describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { allows, C1, K1, play } from './scene.js'
import { bodyOf, keyOf, open, watched } from './support.js'

describe('caching by VerneMQ', () => {
  const header = async (handler: { handle(hook: string, body: unknown): Promise<{ headers: object }> }, topic = 'a') =>
    ((await handler.handle('auth_on_publish', bodyOf.publish(topic))).headers as Record<string, string>)[
      'cache-control'
    ]

  it('is allowed for all three decisions, never for a refusal', async () => {
    const { server } = await play([[K1, allows(['a'])]], { cacheSeconds: 60 })
    const ask = async (hook: string, body: object) => (await server.handler.handle(hook, body)).headers
    const cached = { 'content-type': 'application/json', 'cache-control': 'max-age=60' }
    expect(await ask('auth_on_register', bodyOf.register())).toEqual(cached)
    expect(await ask('auth_on_publish', bodyOf.publish('a'))).toEqual(cached)
    expect(await ask('auth_on_subscribe', bodyOf.subscribe([['a', 0]]))).toEqual(cached)
    expect(await ask('auth_on_publish', bodyOf.publish('b'))).toEqual({ 'content-type': 'application/json' })
  })

  it('is left out for topics with a rule of a payload limit, whichever rule granted', async () => {
    const publishAcl = [{ pattern: '+' }, { pattern: '%c', maxPayloadSize: 9 }, { pattern: 'x', maxPayloadSize: 9 }]
    const { server } = await play([[K1, { ...allows([]), publishAcl }]], { cacheSeconds: 60 })
    expect(await header(server.handler, 'a')).toBe('max-age=60')
    expect(await header(server.handler, 'x')).toBeUndefined()
    expect(await header(server.handler, 'c1')).toBeUndefined()
  })

  it('ends with the record, and is left out in its last second', async () => {
    const now = Math.ceil(Date.now() / 1_000)
    const { server } = await play(
      [
        [K1, allows(['a'], { expiresAt: now + 30 })],
        [keyOf('c2'), allows(['a'], { expiresAt: now })],
      ],
      { cacheSeconds: 60 },
    )
    const seconds = Number((await header(server.handler))?.replace('max-age=', ''))
    expect(seconds).toBeGreaterThan(20)
    expect(seconds).toBeLessThanOrEqual(30)
    const body = bodyOf.publish('a', { client_id: 'c2' })
    expect((await server.handler.handle('auth_on_publish', body)).headers).not.toHaveProperty('cache-control')
  })

  it('is not allowed without a way to end it', async () => {
    const { handler } = open([[K1, allows(['a'])]])
    expect(await header(handler)).toBeUndefined()
  })

  it('is left out while a node is out of reach, which is reported, retried and counted', async () => {
    const { server, cluster, store } = await play([[K1, allows(['a', 'b'])]], { cacheSeconds: 60 })
    const [node1, node2] = cluster.nodes
    const healthy = server.enforcement.freshness()
    expect(healthy.nodes.map(({ state }) => state)).toEqual(['clear', 'clear'])
    await node1!.connect(C1)
    await node2!.publish(C1, 'a')
    await node2!.stop()
    await store.put(K1, allows(['b']))
    expect(await header(server.handler, 'b')).toBeUndefined()
    expect(server.faults[0]).toMatchObject({ what: 'cache', node: cluster.origins[1], tries: 1, isGivenUp: false })
    const failing = server.enforcement.freshness()
    expect(failing.nodes.map(({ state }) => state)).toEqual(['clear', 'failing'])
    expect(failing.boundMs).toBe(healthy.boundMs + 60_000)
    // The other node is served meanwhile, and this one as soon as it is back.
    expect(node1!.cache.size).toBe(0)
    await node2!.listen()
    await eventually(() => node2!.cache.size === 0, 'the cache is cleared')
    await eventually(() => server.enforcement.freshness().nodes[1]!.state === 'clear', 'the node counts again')
    expect(await header(server.handler, 'b')).toBe('max-age=60')
  })

  it('lets nobody stay who came in again by the cache of a node that is out of reach', async () => {
    const { cluster, store } = await play([[K1, allows(['a'])]], { cacheSeconds: 2 })
    const [, node2] = cluster.nodes
    await node2!.connect(C1)
    await node2!.stop()
    await store.delete(K1)
    const passes = () => cluster.callsOf('session/disconnect').length
    await eventually(() => passes() === 2, 'what was answered late is dealt with too')
    expect(cluster.isOnline('c1')).toBe(false)
    expect(await node2!.connect(C1)).toBe(true)
    await eventually(() => !cluster.isOnline('c1'), 'the client is cut once the cache has run out')
    expect(await node2!.connect(C1)).toBe(false)
  })

  it('is left out while changes are not heard, and what is cached is cleared', async () => {
    const { store, listeners } = watched([[K1, allows(['a'])]])
    const { server, cluster } = await play([], { store, cacheSeconds: 60 })
    await cluster.nodes[0]!.connect(C1)
    expect(cluster.nodes[0]!.cache.size).toBe(1)
    for (const listener of listeners) void listener({ type: 'link', state: 'blind', at: performance.now() })
    expect(await header(server.handler)).toBeUndefined()
    await eventually(() => cluster.nodes[0]!.cache.size === 0, 'the cache is cleared')
    cluster.nodes[0]!.store('late', '{"result":"ok"}', 60)
    await eventually(() => cluster.nodes[0]!.cache.size === 0, 'what came late is cleared too')
    for (const listener of listeners) void listener({ type: 'link', state: 'live', at: performance.now() })
    expect(await header(server.handler)).toBe('max-age=60')
  })

  it('is left out when the cluster has a node that the admin client was not told of', async () => {
    const options = { cacheSeconds: 60, enforcement: { probeMs: 1_000 } }
    const { server, cluster } = await play([[K1, allows(['a'])]], options)
    expect(await header(server.handler)).toBe('max-age=60')
    cluster.hiddenNodes = 1
    await eventually(async () => (await header(server.handler)) === undefined, 'nothing is cached')
    expect(server.faults.map(({ what, error }) => [what, String(error)])).toEqual([
      ['cluster', 'Error: VerneMQ has 3 nodes, and "nodes" of createVernemqAdmin names 2'],
    ])
    cluster.hiddenNodes = 0
    await eventually(async () => (await header(server.handler)) === 'max-age=60', 'it is cached again')
  })

  it('is left out when a node goes away unnoticed, from the next probe on', async () => {
    const options = { cacheSeconds: 60, enforcement: { probeMs: 1_000 } }
    const { server, cluster } = await play([[K1, allows(['a'])]], options)
    await cluster.nodes[0]!.stop()
    await eventually(async () => (await header(server.handler)) === undefined, 'nothing is cached')
  })
})
