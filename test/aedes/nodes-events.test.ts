import type { Socket } from 'node:net'
import { createAuthorizer, describeTakeover, type LoopEvent, type RecordStore, type TakeoverEvent } from 'mqtt-warden'
import { createRedisStore } from 'mqtt-warden/redis'
import { describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { node, records, store } from './node-scene.js'
import { redisOptions, redisUrl, withRedisServer } from './persistences.js'
import { account, client, connectPacket, key, onEnd, raw, rawClient, type Stage, stage } from './setup.js'

withRedisServer()

describe('a client id that changes hands', () => {
  async function redisNode(id: string): Promise<Stage & { takeovers: TakeoverEvent[] }> {
    const nodeStore = createRedisStore(redisUrl(), { nodeName: id })
    onEnd(() => nodeStore.close())
    const ground = await stage({ store: nodeStore, broker: { id, ...(await redisOptions()) } })
    const takeovers: TakeoverEvent[] = []
    ground.authorizer.on('takeover', event => takeovers.push(event))
    return { ...ground, takeovers }
  }

  it('is told once, by the node it goes to, with both addresses and nodes, on one node and across two over Redis', async () => {
    const [one, two] = [await redisNode('one'), await redisNode('two')]
    for (const [recordKey, record] of records) await one.store.put(recordKey, record)
    const addresses = [1, 2].map(() => expect.stringContaining('127.0.0.1'))
    const at = (from: RecordStore, to: RecordStore) => [from.nodeId, to.nodeId]

    const first = await rawClient(one.port, 'c1', 'fleet')
    const second = await rawClient(one.port, 'c1', 'fleet')
    await first.closed()
    expect(one.takeovers).toMatchObject([{ from: { principal: { clientId: 'c1' } }, nodes: at(one.store, one.store) }])

    const third = await rawClient(two.port, 'c1', 'fleet')
    await second.closed()
    const former = { mountpoint: '', clientId: 'c1', username: 'fleet' }
    expect(two.takeovers).toMatchObject([{ principal: former, former, addresses, nodes: at(one.store, two.store) }])
    expect(two.takeovers[0]).not.toHaveProperty('from')
    expect(describeTakeover(two.takeovers[0]!)).toMatch(
      /^client "c1" \(user "fleet"\) from ".*127.0.0.1" on node "two\..*" took over from ".*127.0.0.1" on node "one\..*"$/,
    )

    await eventually(async () => {
      const held = JSON.parse((await one.store.shared!.get('owner:c1'))!)
      return Object.keys(held.holders).length === 1
    }, 'the first node has let go')
    const own = await rawClient(one.port, 'c1', 'own')
    await third.closed()
    expect(one.takeovers.slice(1)).toMatchObject([
      { principal: { username: 'own' }, former, addresses, nodes: at(two.store, one.store) },
    ])
    own.send({ cmd: 'disconnect' })
    await own.closed()
    await eventually(async () => (await one.store.shared!.get('owner:c1')) === undefined, 'it is free')
    await rawClient(two.port, 'c1', 'fleet')
    expect([one.takeovers.length, two.takeovers.length]).toEqual([2, 1])
  })

  it('is told once where two brokers have one authorizer', async () => {
    const authorizer = createAuthorizer({ store, refusalCapMs: 0 })
    onEnd(() => authorizer.close())
    const [one, two] = [await node('one', { authorizer }), await node('two', { authorizer })]
    const takeovers: TakeoverEvent[] = []
    authorizer.on('takeover', event => takeovers.push(event))
    await rawClient(one.port, 'c1', 'fleet')
    await rawClient(two.port, 'c1', 'fleet')
    expect(takeovers).toHaveLength(1)
  })

  it('is told where its account was under another mountpoint', async () => {
    await store.put(key('own', 'c1', 'm'), account())
    const one = await node('one', {
      options: { mountpoint: of => ((of.conn as Socket).remotePort === port ? 'm' : '') },
    })
    let port = 0
    const takeovers: TakeoverEvent[] = []
    one.authorizer.on('takeover', event => takeovers.push(event))
    const holder = await rawClient(one.port, 'c1', 'fleet')
    const socket = await raw(one.port)
    port = socket.socket.localPort!
    socket.send(connectPacket('c1', 'own'))
    expect(await socket.next('connack')).toMatchObject({ returnCode: 0 })
    await holder.closed()
    expect(takeovers).toMatchObject([
      { principal: { mountpoint: 'm', username: 'own' }, former: { mountpoint: '', username: 'fleet' } },
    ])
  })
})

describe('the same account on two nodes', () => {
  it('is recognised as a loop and told once, with both addresses, by one of the nodes', async () => {
    const loops: LoopEvent[] = []
    const options = { loopThreshold: 4 }
    const nodes = [await node('one', { authorizer: options }), await node('two', { authorizer: options })]
    for (const { authorizer } of nodes) authorizer.on('loop', event => loops.push(event))
    const twins = nodes.map(({ port }) => client(port, 'fleet', { clientId: 'c1', reconnectPeriod: 20 }))
    const clients = await Promise.all(twins)
    let closes = 0
    for (const twin of clients) twin.on('close', () => closes++)
    await eventually(() => loops.length > 0 && closes >= 10, 'it is told, and goes on')
    expect(loops).toMatchObject([{ kind: 'takeover', principal: { clientId: 'c1', username: 'fleet' } }])
    expect(loops[0]!.addresses).toEqual([expect.stringContaining('127.0.0.1')])
    for (const twin of clients) await twin.endAsync(true)
  })
})
