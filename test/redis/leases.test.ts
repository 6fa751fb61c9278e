import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Command } from '../../src/redis/client.js'
import { createKeySpace } from '../../src/redis/keys.js'
import { Leases } from '../../src/redis/leases.js'
import { resolveOptions } from '../../src/redis/options.js'
import type { Sender } from '../../src/redis/send.js'
import { createIdentity } from '../../src/store/identity.js'
import { VERSION } from '../../src/version.js'
import { eventually } from '../helpers/eventually.js'
import { type RedisServer, startRedisServer } from '../helpers/redis-server.js'
import { adminOf, stores } from './receipt-support.js'

const LIST = 'mqtt-warden:nodes'

let server: RedisServer
beforeAll(async () => {
  server = await startRedisServer()
})
beforeEach(async () => {
  await adminOf(server).flushall()
})
afterAll(() => server.stop())

const announced = async (): Promise<Record<string, unknown>[]> =>
  (await adminOf(server).zrange(LIST, '0', '-1')).map(member => JSON.parse(member))

describe('the list of nodes', () => {
  it('tells the version and the live sessions of each, as of its last sign of life', async () => {
    const store = stores.create(server.url, { nodeName: 'n1' })
    let sessions = 3
    const stop = store.watch(() => {}, { decidesForMs: 500, sessions: () => sessions })
    store.watch(() => {}, { decidesForMs: 500, sessions: () => 4 })
    await eventually(async () => (await store.nodes()).length === 1, 'the node is announced')
    sessions = 5
    await eventually(async () => (await store.nodes())[0]?.sessions === 9, 'the sessions of both are told anew')
    expect(await store.nodes()).toMatchObject([{ name: 'n1', version: VERSION, sessions: 9 }])
    expect(await announced()).toHaveLength(1)
    stop()
    await eventually(async () => (await store.nodes())[0]?.sessions === 4, 'those of the other are left')
    await store.close()
    await eventually(async () => (await announced()).length <= 1, 'nothing is left over')
  })

  it('is rid of nodes whose lease ran out by whoever gives the next sign of life', async () => {
    const admin = adminOf(server)
    await admin.zadd(LIST, Date.now() - 1, 'ran out', Date.now() + 60_000, 'lasts')
    const store = stores.create(server.url)
    store.watch(() => {}, { decidesForMs: 500 })
    await eventually(async () => (await store.nodes()).length === 1, 'the node is announced')
    expect((await admin.zrange(LIST, '0', '-1')).filter(member => !member.startsWith('{'))).toEqual(['lasts'])
  })

  it('leaves out what a node does not tell', async () => {
    const store = stores.create(server.url)
    store.watch(() => {}, { decidesForMs: 500 })
    await eventually(async () => (await store.nodes()).length === 1, 'the node is announced')
    expect((await store.nodes())[0]).not.toHaveProperty('sessions')
  })

  it('shows older and newer nodes, by what is known of them', async () => {
    const base = { name: 'gw', pid: 1, startedAt: 0, leaseMs: 60_000 }
    const members = [
      { ...base, id: 'gw.1.a' },
      { ...base, id: 'gw.1.b', version: '9.0.0-rc.1+x', sessions: 7, region: { of: 'the future' } },
      { ...base, id: 'gw.1.c', version: 'a\u001b[31m', sessions: -1 },
      { ...base, id: 'gw.1.d', startedAt: 8_640_000_000_000_001 },
    ]
    const admin = adminOf(server)
    for (const member of members) await admin.zadd(LIST, Date.now() + 60_000, JSON.stringify(member))
    const store = stores.create(server.url)
    const nodes = [...(await store.nodes())].sort((a, b) => a.id.localeCompare(b.id))
    expect(nodes.map(({ seenMs: _, ...node }) => node)).toEqual([
      members[0],
      { ...base, id: 'gw.1.b', version: '9.0.0-rc.1+x', sessions: 7 },
      { ...base, id: 'gw.1.c' },
    ])
  })

  it('shows one that is just saying something new once, by its last sign of life', async () => {
    const node = { id: 'gw.1.a', name: 'gw', pid: 1, startedAt: 0 }
    const admin = adminOf(server)
    const now = Date.now()
    // The later one has a shorter lease, and ends first.
    await admin.zadd(LIST, now + 55_000, JSON.stringify({ ...node, leaseMs: 60_000, sessions: 1 }))
    await admin.zadd(LIST, now + 9_000, JSON.stringify({ ...node, leaseMs: 10_000, sessions: 2 }))
    expect(await stores.create(server.url).nodes()).toMatchObject([{ id: 'gw.1.a', sessions: 2, leaseMs: 10_000 }])
  })
})

describe('a lease', () => {
  it('has at most two forms in the list, however often its writing is not answered', async () => {
    const sent: (readonly Command[])[] = []
    let isAnswered = true
    const send = async (_key: Buffer, commands: readonly Command[]): Promise<unknown[]> => {
      if (commands[0]![0] === 'time') return [['1', '0']]
      sent.push(commands)
      if (!isAnswered) throw new Error('lost')
      return commands.map(() => 1)
    }
    const listeners = { sessions: 0 }
    const leases = new Leases({
      sender: { send } as unknown as Sender,
      keys: createKeySpace(resolveOptions({}, ''), 'n'),
      identity: createIdentity('n'),
      listeners,
      failed: () => {},
    })
    const renew = async (sessions: number): Promise<readonly Command[]> => {
      listeners.sessions = sessions
      leases.renew()
      await leases.settled()
      return sent.at(-1)!
    }
    const told = (commands: readonly Command[]): unknown => JSON.parse(String(commands[0]![3])).sessions
    const removed = (commands: readonly Command[]): unknown[] =>
      commands
        .filter(([name]) => name === 'zrem')
        .flatMap(([, , ...members]) => members.map(each => JSON.parse(String(each)).sessions))

    leases.set(500)
    await leases.settled()
    expect(told(sent[0]!)).toBe(0)
    isAnswered = false
    for (const sessions of [1, 2, 3]) {
      const commands = await renew(sessions)
      expect([told(commands), removed(commands)]).toEqual([1, [0]])
    }
    isAnswered = true
    const again = await renew(4)
    expect([told(again), removed(again)]).toEqual([1, [0]])
    const next = await renew(5)
    expect([told(next), removed(next)]).toEqual([5, [1]])
    isAnswered = false
    await renew(6)
    leases.set(undefined)
    await leases.settled()
    expect(removed(sent.at(-1)!)).toEqual([5, 6])
    await renew(7)
    expect(sent.at(-1)![0]![0]).toBe('zrem')
  })
})
