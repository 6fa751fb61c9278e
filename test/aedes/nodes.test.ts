import type { Socket } from 'node:net'
import type { AedesOptions } from 'aedes'
import mqemitter from 'mqemitter'
import {
  createAuthorizer,
  createMemoryStore,
  describeTakeover,
  type LoopEvent,
  OutcomeUnknown,
  type RecordStore,
  type SharedState,
  StoreUnavailable,
  type TakeoverEvent,
} from 'mqtt-warden'
import { createRedisStore } from 'mqtt-warden/redis'
import { beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { redisOptions, redisUrl, withRedisServer } from './persistences.js'
import {
  account,
  client,
  collect,
  connectPacket,
  key,
  onEnd,
  onlyTexts,
  type RawClient,
  raw,
  rawClient,
  type Stage,
  type StageOptions,
  stage,
} from './setup.js'

const records = [
  [key('own', 'c1'), account(['last/%c'], ['mail/#'])],
  [key('fleet'), account(['last/%c'], ['mail/#'])],
  [key('other'), account([], ['mail/#'])],
  [key('talker'), account(['#'])],
] as const

const persistent = { clean: false }

let store: RecordStore
let mq: AedesOptions['mq']

beforeEach(() => {
  store = createMemoryStore(records)
  mq = mqemitter({ matchEmptyLevels: true }) as AedesOptions['mq']
})

/** A node with an authorizer of its own; messages go to the others over one emitter, who owns what as text. */
const node = (id: string, given: StageOptions = {}): Promise<Stage> => {
  const options = { owners: onlyTexts(store.shared!), ...given.options }
  return stage({ store, ...given, broker: { id, mq: mq!, ...given.broker }, options })
}

async function login({ port }: Stage, username: string, more: object = {}) {
  const socket = await raw(port)
  socket.send(connectPacket('c1', username, more))
  const { returnCode, sessionPresent } = await socket.next<{ returnCode: number; sessionPresent: boolean }>('connack')
  return { returnCode, sessionPresent, socket }
}

async function isAlive(socket: RawClient): Promise<boolean> {
  socket.send({ cmd: 'pingreq' })
  await socket.next('pingresp')
  return true
}

const ownership = async () => JSON.parse((await store.shared!.get('owner:c1')) ?? 'null')

describe('a client id that is held on another node of the same process', () => {
  const near = (id: string, given: StageOptions = {}) => node(id, { ...given, options: { owners: store.shared! } })
  const owned = () => store.shared!.local!.get('owner', 'c1')

  it('is refused to another account, and is free as soon as its client is gone', async () => {
    const [one, two] = [await near('one'), await near('two')]
    const holder = await rawClient(one.port, 'c1', 'fleet')
    expect(await login(two, 'other')).toMatchObject({ returnCode: 2 })
    expect(await isAlive(holder)).toBe(true)
    holder.send({ cmd: 'disconnect' })
    await eventually(() => owned() === undefined, 'it is free')
    expect(await login(two, 'other')).toMatchObject({ returnCode: 0 })
    expect([...one.faults, ...two.faults]).toEqual([])
  })

  it('goes with its own account to the other node, and is taken by a record of the client id', async () => {
    const [one, two] = [await near('one'), await near('two')]
    const first = await rawClient(one.port, 'c1', 'fleet')
    const second = await login(two, 'fleet')
    expect(second).toMatchObject({ returnCode: 0 })
    await first.closed()
    expect(await login(one, 'own')).toMatchObject({ returnCode: 0 })
    await second.socket.closed()
    expect(owned()).toMatchObject({ owner: { username: 'own', kind: 'exact' }, isForeign: false })
    expect([...one.faults, ...two.faults]).toEqual([])
  })

  it('has one winner when two accounts ask two nodes at once', async () => {
    const nodes = [await near('one'), await near('two')]
    // Known passwords are judged at once.
    for (const username of ['fleet', 'other']) {
      const { socket } = await login(nodes[0]!, username, { clientId: username })
      const again = await login(nodes[1]!, username, { clientId: username })
      for (const { send } of [socket, again.socket]) send({ cmd: 'disconnect' })
    }
    const outcomes = await Promise.all(['fleet', 'other'].map((username, at) => login(nodes[at]!, username)))
    expect(outcomes.map(({ returnCode }) => returnCode).sort()).toEqual([0, 2])
  })
})

describe('a client id that is held on another node', () => {
  it('is refused to another account before its client is disturbed', async () => {
    const [one, two] = [await node('one'), await node('two')]
    const holder = await rawClient(one.port, 'c1', 'fleet')
    expect(await login(two, 'other')).toMatchObject({ returnCode: 2 })
    expect(two.denied).toMatchObject([{ action: 'connect', decision: { reason: 'client_id_taken' } }])
    expect(await isAlive(holder)).toBe(true)
    holder.send({ cmd: 'disconnect' })
    await eventually(async () => (await ownership()) === null, 'it is free')
    expect(await login(two, 'other')).toMatchObject({ returnCode: 0 })
    expect([...one.faults, ...two.faults]).toEqual([])
  })

  it('goes with its own account to the other node', async () => {
    const [one, two] = [await node('one'), await node('two')]
    const holder = await rawClient(one.port, 'c1', 'fleet')
    expect(await login(two, 'fleet')).toMatchObject({ returnCode: 0 })
    await holder.closed()
    await eventually(async () => Object.keys((await ownership()).holders).length === 1, 'one node holds it')
    expect(await login(one, 'other')).toMatchObject({ returnCode: 2 })
  })

  it('is taken from a * record by a record of the client id, once its client is gone and what it stored is wiped', async () => {
    const [one, two] = [
      await node('one', { broker: await redisOptions() }),
      await node('two', { broker: await redisOptions() }),
    ]
    const holder = await rawClient(one.port, 'c1', 'fleet', persistent)
    holder.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'mail/#', qos: 1 }] })
    await holder.next('suback')
    const { returnCode, sessionPresent } = await login(two, 'own', persistent)
    expect({ returnCode, sessionPresent }).toEqual({ returnCode: 0, sessionPresent: false })
    await holder.closed()
    expect(await two.broker.persistence.subscriptionsByClient({ id: 'c1' })).toEqual([])
    expect(await ownership()).toMatchObject({ owner: { username: 'own', kind: 'exact' }, isForeign: false })
    expect(await login(one, 'fleet')).toMatchObject({ returnCode: 2 })
    expect([...one.faults, ...two.faults]).toEqual([])
  })

  it('has one winner when two accounts ask two nodes at once', async () => {
    const nodes = [await node('one'), await node('two')]
    const codes = await Promise.all(
      ['fleet', 'other', 'fleet', 'other'].map(async (username, at) => {
        const socket = await raw(nodes[at % 2]!.port)
        socket.send(connectPacket('c1', username))
        // One that its own account overtakes before it is in is closed without an answer.
        await eventually(() => socket.received.length > 0 || socket.socket.closed, 'it is decided')
        return (socket.received[0] as { returnCode?: number } | undefined)?.returnCode
      }),
    )
    expect(codes[0] === 0 || codes[2] === 0).not.toBe(codes[1] === 0 || codes[3] === 0)
  })

  it('stays with its first client where the authorizer keeps the first', async () => {
    const first = { takeover: 'first' } as const
    const [one, two] = [await node('one', { authorizer: first }), await node('two', { authorizer: first })]
    const holder = await rawClient(one.port, 'c1', 'fleet')
    expect(await login(two, 'fleet')).toMatchObject({ returnCode: 2 })
    expect(await isAlive(holder)).toBe(true)
    holder.send({ cmd: 'disconnect' })
    await eventually(async () => (await ownership()) === null, 'it is free')
    expect(await login(two, 'fleet')).toMatchObject({ returnCode: 0 })
  })
})

describe('a node that is gone', () => {
  const entry = { owner: { mountpoint: '', username: 'fleet', kind: 'wildcard' }, isForeign: false }

  it('holds a client id for as long as its lease', async () => {
    const held = JSON.stringify({ ...entry, isStored: false, holders: { ghost: '' } })
    await store.shared!.swap('owner:c1', undefined, held)
    await store.shared!.swap('node:ghost', undefined, 'alive')
    const one = await node('one')
    expect(await login(one, 'other')).toMatchObject({ returnCode: 2 })
    await store.shared!.swap('node:ghost', 'alive', undefined)
    expect(await login(one, 'other')).toMatchObject({ returnCode: 0 })
  })

  it('keeps nobody waiting for the session that it was tidying or wiping', async () => {
    const held = JSON.stringify({ ...entry, isStored: true, keeper: 'ghost', holders: {} })
    await store.shared!.swap('owner:c1', undefined, held)
    await store.shared!.swap('node:ghost', undefined, 'alive')
    const one = await node('one')
    const waiting = login(one, 'fleet', persistent)
    await eventually(() => one.authorizer.stats().sessions === 1, 'the password is proven')
    await store.shared!.swap('node:ghost', 'alive', undefined)
    expect(await waiting).toMatchObject({ returnCode: 0 })
  })

  it('leaves what it did not finish wiping to the next login', async () => {
    const one = await node('one')
    await one.broker.persistence.addSubscriptions({ id: 'c1' }, [{ topic: 'mail/#', qos: 1 }])
    const held = JSON.stringify({ ...entry, isStored: true, isForeign: true, keeper: 'ghost', holders: {} })
    await store.shared!.swap('owner:c1', undefined, held)
    expect(await login(one, 'fleet', persistent)).toMatchObject({ returnCode: 0, sessionPresent: false })
    expect(await one.broker.persistence.subscriptionsByClient({ id: 'c1' })).toEqual([])
    expect(await ownership()).toMatchObject({ isForeign: false, isStored: true })
  })
})

/** Shared state that can be cut off. */
function cuttable(shared: SharedState): SharedState & { isDown: boolean } {
  const check = () => {
    if (state.isDown) throw new StoreUnavailable('down')
  }
  const state = {
    isDown: false,
    async get(name: string) {
      check()
      return shared.get(name)
    },
    async swap(...given: Parameters<SharedState['swap']>) {
      check()
      return shared.swap(...given)
    },
  }
  return state
}

describe('while the shared state cannot be reached', () => {
  const quick = { nodeLeaseMs: 1_000 }

  it('only an account that is known here to own the client id gets in, and is confirmed afterwards', async () => {
    const owners = cuttable(store.shared!)
    const one = await node('one', { options: { owners, ...quick } })
    const before = await rawClient(one.port, 'c1', 'fleet')
    owners.isDown = true
    const two = await node('two', { options: { owners, ...quick } })
    for (const username of ['fleet', 'other', 'own'])
      expect(await login(two, username)).toMatchObject({ returnCode: 3 })
    expect(await login(one, 'own')).toMatchObject({ returnCode: 3 })
    const { returnCode, socket } = await login(one, 'fleet')
    expect(returnCode).toBe(0)
    await before.closed()
    socket.send({ cmd: 'disconnect' })
    await socket.closed()
    owners.isDown = false
    await eventually(async () => (await ownership()) === null, 'the other nodes hear that it is free')
  })

  it('a record of the client id that is refused for it has cut nobody, and evicts when it is back', async () => {
    const owners = cuttable(store.shared!)
    const one = await node('one', { options: { owners, ...quick } })
    const told: string[] = []
    for (const event of ['revoked', 'takeover'] as const) one.authorizer.on(event, () => told.push(event))
    const holder = await rawClient(one.port, 'c1', 'fleet')
    owners.isDown = true
    expect(await login(one, 'own')).toMatchObject({ returnCode: 3 })
    expect(await isAlive(holder)).toBe(true)
    expect(told).toEqual([])
    expect([...one.authorizer.sessions()].map(({ principal }) => principal.username)).toEqual(['fleet'])
    owners.isDown = false
    expect(await login(one, 'own')).toMatchObject({ returnCode: 0 })
    await holder.closed()
    expect(told).toEqual(['takeover', 'revoked'])
  })

  it('changes elsewhere are found out afterwards: who owns the client id no longer is cut', async () => {
    const owners = cuttable(store.shared!)
    const one = await node('one', { options: { owners, ...quick } })
    const socket = await rawClient(one.port, 'c1', 'fleet')
    owners.isDown = true
    const again = await login(one, 'fleet')
    expect(again.returnCode).toBe(0)
    await socket.closed()
    const taken = { owner: { mountpoint: '', username: 'own', kind: 'exact' }, isForeign: false, isStored: true }
    const text = (await store.shared!.get('owner:c1'))!
    await store.shared!.swap('owner:c1', text, JSON.stringify({ ...taken, holders: {} }))
    owners.isDown = false
    await again.socket.closed()
    expect(one.denied.at(-1)).toMatchObject({
      principal: { username: 'fleet' },
      decision: { reason: 'client_id_taken' },
    })
  })

  it('a lease that ran out is taken again, and what the node holds with it', async () => {
    const owners = cuttable(store.shared!)
    const one = await node('one', { options: { owners, ...quick } })
    await rawClient(one.port, 'c1', 'fleet')
    const [id] = Object.keys((await ownership()).holders)
    await store.shared!.swap(`node:${id}`, await store.shared!.get(`node:${id}`), undefined)
    await store.shared!.swap('owner:c1', await store.shared!.get('owner:c1'), undefined)
    await eventually(async () => Object.keys((await ownership())?.holders ?? {})[0] === id, 'it is held again')
  })
})

describe('shared state that was flushed', () => {
  it('does not hand what a connected client has stored to whoever evicts it', async () => {
    const one = await node('one')
    const holder = await rawClient(one.port, 'c1', 'fleet', persistent)
    holder.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'mail/#', qos: 1 }] })
    await holder.next('suback')
    await store.shared!.swap('owner:c1', await store.shared!.get('owner:c1'), undefined)
    expect(await login(one, 'own', persistent)).toMatchObject({ returnCode: 0, sessionPresent: false })
    expect(await one.broker.persistence.subscriptionsByClient({ id: 'c1' })).toEqual([])
    await holder.closed()
  })
})

describe('the lease of a node', () => {
  it('is prolonged where the answer to the first try was lost', async () => {
    const shared = store.shared!
    const ttls: (number | undefined)[] = []
    let isLost = true
    const owners: SharedState = {
      get: name => shared.get(name),
      async swap(name, expected, value, options) {
        const swapped = await shared.swap(name, expected, value, options)
        if (name.startsWith('node:') && swapped.swapped) ttls.push(options?.ttlMs)
        if (name.startsWith('node:') && isLost) {
          isLost = false
          throw new OutcomeUnknown('lost')
        }
        return swapped
      },
    }
    const one = await node('one', { options: { owners, nodeLeaseMs: 600_000 } })
    for (const username of ['fleet', 'fleet']) expect(await login(one, username)).toMatchObject({ returnCode: 0 })
    expect(ttls).toEqual([600_000, 600_000])
  })
})

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

withRedisServer()

describe('a stored session in Redis', () => {
  async function sleep(one: Stage): Promise<void> {
    const socket = await rawClient(one.port, 'c1', 'own', persistent)
    const subscriptions = ['mail/a', 'mail/b'].map(topic => ({ topic, qos: 1 }))
    socket.send({ cmd: 'subscribe', messageId: 1, subscriptions })
    await socket.next('suback')
    socket.send({ cmd: 'disconnect' })
    await eventually(() => one.broker.clients.c1 === undefined, 'the client is gone')
    const talker = await client(one.port, 'talker')
    for (const topic of ['mail/a', 'mail/b']) await talker.publishAsync(topic, 'private', { qos: 1 })
    await talker.endAsync()
  }

  it('is its owner’s after a restart of the node, and nobody else’s', async () => {
    const one = await node('one', { broker: await redisOptions() })
    await sleep(one)
    await one.protection.close()
    const restarted = await node('one', { broker: await redisOptions() })
    expect(await login(restarted, 'fleet', persistent)).toMatchObject({ returnCode: 2 })
    const { returnCode, sessionPresent, socket } = await login(restarted, 'own', persistent)
    expect({ returnCode, sessionPresent }).toEqual({ returnCode: 0, sessionPresent: true })
    expect(await socket.next('publish')).toMatchObject({ topic: 'mail/a' })
  })

  it('whose account was deleted while the node was down is handed to nobody', async () => {
    const one = await node('one', { broker: await redisOptions() })
    await sleep(one)
    await one.protection.close()
    await store.delete(key('own', 'c1'))
    const restarted = await node('one', { broker: await redisOptions() })
    const { returnCode, sessionPresent, socket } = await login(restarted, 'fleet', persistent)
    expect({ returnCode, sessionPresent }).toEqual({ returnCode: 0, sessionPresent: false })
    expect(await isAlive(socket)).toBe(true)
    expect(socket.received).toEqual([])
    expect(await collect(restarted.broker.persistence.outgoingStream({ id: 'c1' }))).toEqual([])
  })

  it('is checked at the next login, queue and all, when rights tightened while the node was down', async () => {
    const one = await node('one', { broker: await redisOptions() })
    await sleep(one)
    await one.protection.close()
    await store.put(key('own', 'c1'), account([], ['mail/b']))
    const restarted = await node('two', { broker: await redisOptions() })
    const { sessionPresent, socket } = await login(restarted, 'own', persistent)
    expect(sessionPresent).toBe(true)
    expect(await socket.next('publish')).toMatchObject({ topic: 'mail/b' })
    expect(await isAlive(socket)).toBe(true)
    expect(socket.received).toEqual([])
    const left = await restarted.broker.persistence.subscriptionsByClient({ id: 'c1' })
    expect(left.map(({ topic }) => topic)).toEqual(['mail/b'])
  })

  it('is tidied by the node its client left, and left alone by it once the client is on another', async () => {
    const [one, two] = [
      await node('one', { broker: await redisOptions() }),
      await node('two', { broker: await redisOptions() }),
    ]
    await sleep(one)
    await store.put(key('own', 'c1'), account([], ['mail/b']))
    const topics = async () =>
      (await two.broker.persistence.subscriptionsByClient({ id: 'c1' })).map(({ topic }) => topic).join()
    await eventually(async () => (await topics()) === 'mail/b', 'it is tidied')
    await rawClient(two.port, 'c1', 'own', persistent)
    const { outgoingStream } = one.broker.persistence
    let isTouched = false
    one.broker.persistence.outgoingStream = of => {
      isTouched ||= of.id === 'c1'
      return outgoingStream.call(one.broker.persistence, of)
    }
    await store.put(key('own', 'c1'), account([], ['mail/c']))
    await eventually(async () => (await topics()) === '', 'the other node drops the subscription')
    expect(isTouched).toBe(false)
    expect([...one.faults, ...two.faults]).toEqual([])
  })

  it('goes when its record ends by itself', async () => {
    const one = await node('one', { broker: await redisOptions() })
    await sleep(one)
    const soon = Math.floor(Date.now() / 1_000) + 1
    await store.put(key('own', 'c1'), { ...account([], ['mail/#']), expiresAt: soon })
    await eventually(async () => (await ownership()) === null, 'nobody owns it')
    expect(await one.broker.persistence.subscriptionsByClient({ id: 'c1' })).toEqual([])
    expect(await collect(one.broker.persistence.outgoingStream({ id: 'c1' }))).toEqual([])
  })
})
