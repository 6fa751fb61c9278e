import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { RecordStore, StoreListener } from '../../src/index.js'
import { createRedisPeers, type EnforcementPeers } from '../../src/vernemq/index.js'
import { deferred } from '../helpers/deferred.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { allows, C1, C2, K1, memoryPeers, play, RESPONSE_TIMEOUT_MS } from './scene.js'
import { keyOf } from './support.js'

const TAKEOVER_MS = 400

/** Two servers that share `peers`; the first serves node 1, the second node 2. */
const two = (peers: EnforcementPeers | ((server: number) => EnforcementPeers), takeoverMs = TAKEOVER_MS) => ({
  servers: 2,
  enforcement: (server: number) => ({
    peers: typeof peers === 'function' ? peers(server) : peers,
    takeoverMs,
  }),
})

describe('two webhook servers over one VerneMQ', () => {
  it('carry each change out once, not once each', async () => {
    // Nobody takes over from a server that is slow on a busy machine.
    const { store, cluster } = await play([[K1, allows(['a'])]], two(memoryPeers(), 3_000))
    await cluster.nodes[0]!.connect(C1)
    await store.delete(K1)
    await eventually(() => !cluster.isOnline('c1'), 'the client is cut')
    await eventually(() => cluster.callsOf('session/disconnect').length === 2, 'it was done again')
    // Another change has gone through all its passes: whatever the first still caused has happened.
    await store.delete(keyOf('x'))
    await eventually(() => cluster.calls.filter(({ path }) => path.includes('=x')).length === 2, 'the other is done')
    const acts = cluster.callsOf('session/disconnect').filter(({ path }) => path.includes('=c1'))
    expect(acts).toHaveLength(2)
    expect(new Set(acts.map(({ key }) => key)).size).toBe(1)
    expect(cluster.callsOf('webhooks/cache/clear')).toHaveLength(8)
  })

  it.each([0, 1])('leave the work to the one that remembers what was before: server %i', async server => {
    const { store, cluster } = await play([[K1, allows(['a', 'b'])]], two(memoryPeers()))
    await cluster.nodes[server]!.connect(C1)
    await cluster.nodes[server]!.subscribe(C1, 'a')
    await store.put(K1, allows(['b']))
    await eventually(() => cluster.session('c1')!.subscriptions.size === 0, 'the subscription is dropped')
    await eventually(() => cluster.callsOf('session/reauthorize').length === 2, 'it was done again')
    expect(cluster.isOnline('c1')).toBe(true)
    expect(cluster.callsOf('session/disconnect')).toEqual([])
    expect(cluster.callsOf('session/reauthorize').every(({ key }) => key === `key-${server}`)).toBe(true)
  })

  it('see through a change that one of them was killed over', async () => {
    const { store, cluster, servers } = await play([[K1, allows(['a'])]], two(memoryPeers()))
    const [node1, node2] = cluster.nodes
    await node1!.connect(C1)
    const begun = deferred()
    // Whoever acts for server 1 gets nowhere with it.
    for (const node of cluster.nodes) {
      node.intercept = ({ key, path }) => {
        if (key !== 'key-0' || !path.includes('cache/clear')) return undefined
        begun.resolve()
        return 'hang'
      }
    }
    void store.delete(K1)
    await begun.promise
    expect(cluster.callsOf('session/disconnect')).toEqual([])
    await servers[0]!.kill()
    node1!.endpoint = servers[1]!.url
    await eventually(() => !cluster.isOnline('c1'), 'the other server has cut the client')
    await eventually(() => cluster.callsOf('session/disconnect').length === 2, 'it was done again')
    expect(cluster.callsOf('session/disconnect').every(({ key }) => key === 'key-1')).toBe(true)
    expect(await node2!.connect(C1)).toBe(false)
  })

  it('clear no cache before both have dropped the record', async () => {
    const hold = deferred()
    const late = (store: RecordStore): RecordStore => {
      const watch = store.watch.bind(store)
      return Object.assign(Object.create(store) as RecordStore, {
        semantics: store.semantics,
        getStored: store.getStored!.bind(store),
        get: store.get.bind(store),
        limiter: store.limiter!.bind(store),
        watch: (listener: StoreListener) =>
          watch(event => {
            if (event.type === 'changed') void hold.promise.then(() => listener(event))
            else void listener(event)
          }),
      })
    }
    const { store, cluster } = await play([[K1, allows(['a', 'b'])]], {
      ...two(memoryPeers()),
      cacheSeconds: 60,
      viewOf: (store, server) => (server === 1 ? late(store) : store),
    })
    const [node1, node2] = cluster.nodes
    await node1!.connect(C1)
    await node1!.publish(C1, 'a')
    await node2!.publish(C1, 'a')
    const written = store.put(K1, allows(['b']))
    // The second server has not heard of it yet, and goes on granting by what it knows.
    await expect.poll(() => node2!.publish(C1, 'a')).toBe(true)
    expect(cluster.callsOf('webhooks/cache/clear')).toEqual([])
    hold.resolve()
    await written
    expect(await node2!.publish(C1, 'a')).toBe(false)
    expect(await node1!.publish(C1, 'a')).toBe(false)
  })

  it('do not wait for one that is silent, report it, and clear once more when it can know nothing older', async () => {
    const peers = memoryPeers()
    await peers.join('silent', 60_000)
    const { store, cluster, servers } = await play([[K1, allows(['a'])]], {
      servers: 2,
      enforcement: () => ({ peers, takeoverMs: TAKEOVER_MS, confirmTimeoutMs: 1_000 }),
    })
    await cluster.nodes[0]!.connect(C1)
    await store.delete(K1)
    await eventually(() => cluster.callsOf('webhooks/cache/clear').length === 6, 'three passes are done')
    await eventually(() => cluster.callsOf('session/disconnect').length === 3, 'the last of them has cut the client')
    const faults = servers.flatMap(({ faults }) => faults)
    expect(faults.map(({ what, error }) => [what, String(error)])).toEqual([
      ['peer', 'Error: webhook server silent did not confirm'],
    ])
  })

  it('count the hand-over in the bound', async () => {
    const { server } = await play([], two(memoryPeers()))
    expect(server.enforcement.freshness()).toMatchObject({
      terms: { confirmMs: 1_000, takeoverMs: TAKEOVER_MS },
      boundMs: 1_000 + TAKEOVER_MS + RESPONSE_TIMEOUT_MS + 15_000,
    })
  })

  it('act on the same change when it happens anew', async () => {
    const { store, cluster } = await play([[K1, allows(['a', 'b'])]], two(memoryPeers()))
    const [node] = cluster.nodes
    await node!.connect(C1)
    for (let round = 0; round < 3; round++) {
      await node!.subscribe(C1, 'a')
      expect(cluster.session('c1')!.subscriptions.size).toBe(1)
      await store.put(K1, allows(['b']))
      await eventually(() => cluster.session('c1')!.subscriptions.size === 0, `the subscription is dropped (${round})`)
      await store.put(K1, allows(['a', 'b']))
    }
    expect(cluster.isOnline('c1')).toBe(true)
  })

  it.each<[string, () => Promise<never>]>([
    ['fails', () => Promise.reject(new Error('down'))],
    [
      'throws',
      () => {
        throw new Error('down')
      },
    ],
    ['never answers', () => new Promise(() => {})],
  ])('each do the work when what they share %s, and say so', async (_how, broken) => {
    const peers = { setIfAbsent: broken, set: broken, get: broken, join: broken, members: broken }
    const { store, cluster, servers } = await play([[K1, allows(['a'])]], two(peers))
    await cluster.nodes[0]!.connect(C1)
    await store.delete(K1)
    await eventually(() => !cluster.isOnline('c1'), 'the client is cut')
    for (const { faults } of servers) expect(faults[0]).toMatchObject({ what: 'peers', isGivenUp: false })
  })

  it('both let grants be cached, whichever of them looked at the sessions at the start', async () => {
    const { cluster, servers } = await play([[K1, allows(['a'])]], { ...two(memoryPeers()), cacheSeconds: 60 })
    await eventually(() => servers.every(({ enforcement }) => enforcement.mayCache(60)), 'both know that they may')
    for (const node of cluster.nodes) {
      await node.connect(C1)
      expect(node.cache.size).toBe(1)
    }
  })

  it('share the look at all sessions at the start', async () => {
    const { cluster } = await play([[K1, allows(['a'])]], {
      ...two(memoryPeers()),
      before: cluster => {
        for (const { clientId } of [C1, C2]) {
          const node = cluster.nodes[0]!
          const session = { node, mountpoint: '', clientId, username: 'gone', isPersistent: true, isOnline: true }
          cluster.sessions.set(JSON.stringify(['', clientId]), { ...session, subscriptions: new Set<string>() })
        }
      },
    })
    await eventually(() => !cluster.isOnline('c1') && !cluster.isOnline('c2'), 'both clients are cut')
    expect(cluster.callsOf('session/show')).toHaveLength(1)
    expect(cluster.callsOf('session/disconnect')).toHaveLength(2)
  })
})

describe('what servers share', () => {
  let redis: RedisServer
  let client: Redis

  beforeAll(async () => {
    redis = await startRedisServer()
    client = new Redis(redis.url)
  })

  afterAll(async () => {
    client.disconnect()
    await redis.stop()
  })

  const kinds: readonly [string, () => EnforcementPeers][] = [
    ['in Redis', () => createRedisPeers(client, `test:${Math.random()}:`)],
    ['in memory', memoryPeers],
  ]

  it.each(kinds)('is set once, read, overwritten, and ends: %s', async (_kind, make) => {
    const peers = make()
    expect(await peers.get('a')).toBeUndefined()
    expect(await peers.setIfAbsent('a', '1', 60_000)).toBe(true)
    expect(await peers.setIfAbsent('a', '2', 60_000)).toBe(false)
    expect(await peers.get('a')).toBe('1')
    await peers.set('a', '3', 50)
    expect(await peers.get('a')).toBe('3')
    await eventually(async () => (await peers.get('a')) === undefined, 'it has ended')
    expect(await peers.setIfAbsent('a', '4', 60_000)).toBe(true)
  })

  it.each(kinds)('names the servers that are there: %s', async (_kind, make) => {
    const peers = make()
    expect(await peers.members()).toEqual([])
    await peers.join('a', 60_000)
    await peers.join('b', 50)
    await peers.join('a', 60_000)
    expect([...(await peers.members())].sort()).toEqual(['a', 'b'])
    await eventually(async () => (await peers.members()).length === 1, 'the second is gone')
    expect(await peers.members()).toEqual(['a'])
  })

  it('stays out of the way of records', () => {
    const message = '"prefix" argument must be text that does not begin with "["'
    expect(() => createRedisPeers(client, '["')).toThrow(new TypeError(message))
    expect(() => createRedisPeers(client, '')).toThrow(new TypeError(message))
    expect(() => createRedisPeers({} as never)).toThrow(new TypeError('"client" argument must be a Redis client'))
  })
})
