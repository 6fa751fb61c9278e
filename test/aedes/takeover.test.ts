import type { AedesOptions } from 'aedes'
import { createMemoryStore, type SharedState, StoreUnavailable } from 'mqtt-warden'
import type { ProtectOptions } from 'mqtt-warden/aedes'
import { describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { persistences, redisOptions, withRedisServer } from './persistences.js'
import {
  account,
  client,
  collect,
  connectPacket,
  delivered,
  inbox,
  key,
  onlyTexts,
  raw,
  rawClient,
  type Stage,
  stage,
} from './setup.js'

const rules = [['last/%c'], ['mail/#']] as const
const exact = key('own', 'c1')
const records = [
  [exact, account(...rules)],
  [key('fleet'), account(...rules)],
  [key('other'), account(...rules)],
  [key('talker'), account(['#'], ['#'])],
] as const

const persistent = { clean: false }

async function ground(broker: AedesOptions, options?: ProtectOptions): Promise<Stage> {
  return stage({ records, broker, ...(options && { options }) })
}

/** Leaves a stored session with a subscription and two queued messages behind. */
async function leaveSession({ port, broker }: Stage, username: string): Promise<void> {
  const socket = await rawClient(port, 'c1', username, persistent)
  socket.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'mail/#', qos: 1 }] })
  await socket.next('suback')
  socket.send({ cmd: 'disconnect' })
  await eventually(() => broker.clients.c1 === undefined, 'the client is gone')
  const talker = await client(port, 'talker')
  await talker.publishAsync('mail/1', 'private', { qos: 1 })
  await talker.publishAsync('mail/2', 'private', { qos: 2 })
  await talker.endAsync()
  await eventually(async () => (await queue({ broker })).length === 2, 'the messages are queued')
}

async function queue({ broker }: Pick<Stage, 'broker'>): Promise<string[]> {
  return (await collect(broker.persistence.outgoingStream({ id: 'c1' }))).map(({ topic }) => topic)
}

async function stored({ broker }: Stage): Promise<string[]> {
  return (await broker.persistence.subscriptionsByClient({ id: 'c1' })).map(({ topic }) => topic)
}

async function login({ port }: Stage, username: string, more: object = persistent) {
  const socket = await raw(port)
  socket.send(connectPacket('c1', username, more))
  const { returnCode, sessionPresent } = await socket.next<{ returnCode: number; sessionPresent: boolean }>('connack')
  return { returnCode, sessionPresent, socket }
}

withRedisServer()

describe.each(persistences)('a stored session in $kind', ({ options }) => {
  it.each([
    { owner: 'fleet', newcomer: 'fleet' },
    { owner: 'own', newcomer: 'own' },
  ])('of $owner waits for $newcomer, queue and all', async ({ owner, newcomer }) => {
    const stage = await ground(await options())
    await leaveSession(stage, owner)
    const { returnCode, sessionPresent, socket } = await login(stage, newcomer)
    expect({ returnCode, sessionPresent }).toEqual({ returnCode: 0, sessionPresent: true })
    expect(await socket.next('publish')).toMatchObject({ topic: 'mail/1' })
  })

  it.each([
    { owner: 'own', newcomer: 'fleet', clean: false },
    { owner: 'own', newcomer: 'fleet', clean: true },
    { owner: 'fleet', newcomer: 'other', clean: false },
    { owner: 'fleet', newcomer: 'other', clean: true },
  ])(
    'of $owner is neither given to $newcomer nor lost by its attempt (clean: $clean)',
    async ({ owner, newcomer, clean }) => {
      const stage = await ground(await options())
      await leaveSession(stage, owner)
      expect(await login(stage, newcomer, { clean })).toMatchObject({ returnCode: 2 })
      expect(stage.denied).toMatchObject([
        { principal: { clientId: 'c1', username: newcomer }, decision: { reason: 'client_id_taken' } },
      ])
      const { socket } = await login(stage, owner)
      expect(await socket.next('publish')).toMatchObject({ topic: 'mail/1' })
    },
  )

  it('of a * record is wiped before a record of the client id gets in', async () => {
    const stage = await ground(await options())
    await leaveSession(stage, 'fleet')
    const will = { topic: 'last/c1', payload: Buffer.from('old'), qos: 0, retain: false }
    await stage.broker.persistence.putWill({ id: 'c1' }, { ...will })
    const { returnCode, sessionPresent, socket } = await login(stage, 'own')
    expect({ returnCode, sessionPresent }).toEqual({ returnCode: 0, sessionPresent: false })
    socket.send({ cmd: 'pingreq' })
    await socket.next('pingresp')
    expect(socket.received).toEqual([])
    expect(await stored(stage)).toEqual([])
    expect(await queue(stage)).toEqual([])
    expect(await collect(stage.broker.persistence.streamWill({}))).toEqual([])
    expect(stage.faults).toEqual([])
  })

  it('of an account that is no more is wiped, and its client id is free', async () => {
    const stage = await ground(await options())
    await leaveSession(stage, 'own')
    await stage.store.delete(exact)
    const { returnCode, sessionPresent, socket } = await login(stage, 'other')
    expect({ returnCode, sessionPresent }).toEqual({ returnCode: 0, sessionPresent: false })
    socket.send({ cmd: 'pingreq' })
    await socket.next('pingresp')
    expect(socket.received).toEqual([])
    expect(await queue(stage)).toEqual([])
  })

  it('of an account that fell back to its * record is wiped', async () => {
    const stage = await ground(await options())
    await leaveSession(stage, 'own')
    await stage.store.put(key('own'), account(...rules))
    await stage.store.delete(exact)
    expect(await login(stage, 'own')).toMatchObject({ returnCode: 0, sessionPresent: false })
    expect(await queue(stage)).toEqual([])
  })

  it('that its owner ended with a clean session leaves the client id free', async () => {
    const stage = await ground(await options())
    await leaveSession(stage, 'fleet')
    const { socket } = await login(stage, 'fleet', { clean: true })
    socket.send({ cmd: 'disconnect' })
    await eventually(() => stage.authorizer.stats().sessions === 0, 'the session is closed')
    expect(await login(stage, 'other')).toMatchObject({ returnCode: 0, sessionPresent: false })
  })
})

describe('a live session', () => {
  it('of a * record yields to a record of the client id, with all it has stored', async () => {
    const stage = await ground({})
    const old = await rawClient(stage.port, 'c1', 'fleet', persistent)
    old.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'mail/#', qos: 1 }] })
    await old.next('suback')
    expect(await login(stage, 'own')).toMatchObject({ returnCode: 0, sessionPresent: false })
    await old.closed()
    expect(await stored(stage)).toEqual([])
    expect(stage.broker.clients.c1?.subscriptions).toEqual({})
  })

  it('that is evicted has its will judged by its own account', async () => {
    const stage = await ground({})
    const listener = await client(stage.port, 'talker')
    const messages = inbox(listener)
    await listener.subscribeAsync('#')
    await rawClient(stage.port, 'c1', 'fleet', { will: { topic: 'last/c1', payload: 'fleet', qos: 0, retain: false } })
    await login(stage, 'own')
    await eventually(() => messages.length > 0, 'the will arrives')
    expect(messages).toEqual(['last/c1=fleet'])
    await stage.store.put(key('fleet'), account())
    expect(await delivered(stage.broker, messages)).toEqual(['last/c1=fleet'])
  })

  it('of another mountpoint, which aedes does not tell apart, is not taken over', async () => {
    const both = [
      [key('north', '*', 'n'), account()],
      [key('south', '*', 's'), account()],
    ] as const
    let mountpoint = 'n'
    const { port } = await stage({ records: both, options: { mountpoint: () => mountpoint } })
    const holder = await rawClient(port, 'c1', 'north')
    mountpoint = 's'
    const newcomer = await raw(port)
    newcomer.send(connectPacket('c1', 'south'))
    expect(await newcomer.next('connack')).toMatchObject({ returnCode: 2 })
    holder.send({ cmd: 'pingreq' })
    await holder.next('pingresp')
  })

  it('of another mountpoint is evicted by a record of the client id', async () => {
    const both = [
      [key('north', '*', 'n'), account()],
      [key('south', 'c1', 's'), account()],
    ] as const
    let mountpoint = 'n'
    const { port } = await stage({ records: both, options: { mountpoint: () => mountpoint } })
    const holder = await rawClient(port, 'c1', 'north')
    mountpoint = 's'
    await rawClient(port, 'c1', 'south')
    await holder.closed()
  })

  it('has one winner when two accounts ask for a client id at once', async () => {
    const stage = await ground({})
    const outcomes = await Promise.all(
      ['fleet', 'other', 'fleet', 'other'].map(async username => {
        const socket = await raw(stage.port)
        socket.send(connectPacket('c1', username, persistent))
        // Of two logins of one account the first may be closed before its answer is out.
        await eventually(() => socket.socket.closed || socket.received.length > 0, 'it is answered, or closed')
        const [connack] = socket.received as { returnCode?: number }[]
        return { username, returnCode: connack?.returnCode }
      }),
    )
    const admitted = new Set(outcomes.filter(({ returnCode }) => returnCode === 0).map(({ username }) => username))
    expect(admitted.size).toBe(1)
    expect(outcomes.filter(({ returnCode }) => returnCode === 2)).toHaveLength(2)
  })
})

describe('owners of client ids', () => {
  it('are settled by one swap when two nodes ask at the same time', async () => {
    const { shared } = createMemoryStore()
    const slowly: SharedState = {
      get: name => shared!.get(name),
      async swap(name, expected, value, options) {
        if (!name.startsWith('owner:') || expected !== undefined) return shared!.swap(name, expected, value, options)
        asking++
        await eventually(() => asking >= 2, 'both have read that nobody owns it')
        return shared!.swap(name, expected, value, options)
      },
    }
    let asking = 0
    const [one, two] = [await ground({}, { owners: slowly }), await ground({}, { owners: slowly })]
    const answers = await Promise.all([login(one, 'fleet'), login(two, 'other')])
    expect(answers.map(({ returnCode }) => returnCode).sort()).toEqual([0, 2])
  })

  it('may be kept elsewhere, and outlive the broker there', async () => {
    const { shared: owners } = createMemoryStore()
    const first = await ground({}, { owners: owners! })
    await leaveSession(first, 'own')
    await first.protection.close()
    const second = await ground({}, { owners: owners! })
    expect(await login(second, 'fleet')).toMatchObject({ returnCode: 2 })
    const { returnCode, socket } = await login(second, 'own')
    expect(returnCode).toBe(0)
    socket.send({ cmd: 'disconnect' })
    await second.protection.close()
    const third = await stage({ records: [[key('other'), account()]], options: { owners: owners! } })
    expect(await login(third, 'other')).toMatchObject({ returnCode: 0 })
  })

  it('are apart for clusters of other names', async () => {
    const { shared: owners } = createMemoryStore()
    const first = await ground({}, { owners: owners!, cluster: 'one' })
    await leaveSession(first, 'own')
    const second = await ground({}, { owners: owners!, cluster: 'two' })
    expect(await login(second, 'fleet')).toMatchObject({ returnCode: 0 })
  })

  it('that cannot be asked refuse the login', async () => {
    const down = async () => Promise.reject(new StoreUnavailable('down'))
    const stage = await ground({}, { owners: { get: down, swap: down } })
    expect(await login(stage, 'own')).toMatchObject({ returnCode: 3 })
    expect(stage.faults).toMatchObject([{ place: 'authenticate', error: { message: 'down' } }])
    await eventually(() => stage.authorizer.stats().sessions === 0, 'the session is closed')
  })

  it('that make no sense refuse the login, and are left as they are', async () => {
    const { shared: owners } = createMemoryStore()
    await owners!.swap('owner:c1', undefined, '{"owner":{"mountpoint":"","username":"own","kind":"root"}}')
    const stage = await ground({}, { owners: onlyTexts(owners!) })
    expect(await login(stage, 'own')).toMatchObject({ returnCode: 3 })
    expect(stage.faults).toMatchObject([{ place: 'authenticate', error: { message: expect.stringContaining('"c1"') } }])
    expect(await login(stage, 'fleet', { clean: true, clientId: 'c2' })).toMatchObject({ returnCode: 0 })
  })

  it('are forgotten beyond the limit of a memory store; whoever comes next receives what its own rules allow', async () => {
    const stage = await ground({}, { owners: createMemoryStore([], { maxShared: 1 }).shared! })
    await leaveSession(stage, 'own')
    const distraction = await rawClient(stage.port, 'c2', 'fleet', persistent)
    distraction.send({ cmd: 'disconnect' })
    await stage.store.put(key('other'), account([], ['mail/2']))
    const { returnCode, socket } = await login(stage, 'other')
    expect(returnCode).toBe(0)
    expect(await socket.next('publish')).toMatchObject({ topic: 'mail/2' })
    expect(await stored(stage)).toEqual([])
  })

  it('are wiped for only when the persistence can do it: else the newcomer waits outside', async () => {
    const stage = await ground({})
    await leaveSession(stage, 'fleet')
    Object.assign(stage.broker.persistence, {
      outgoingStream: () => {
        throw new Error('disk full')
      },
    })
    expect(await login(stage, 'own')).toMatchObject({ returnCode: 3 })
    expect(await stored(stage)).toEqual(['mail/#'])
  })
})

describe('brokers that share an authorizer', () => {
  it('share the rule that a client id has one account at a time', async () => {
    const options = await redisOptions()
    const first = await stage({ store: createMemoryStore(records), broker: { ...options, id: 'one' } })
    const second = await stage({
      store: first.store,
      authorizer: first.authorizer,
      broker: { ...(await redisOptions()), id: 'two' },
    })
    const holder = await rawClient(first.port, 'c1', 'fleet')
    expect(await login(second, 'other')).toMatchObject({ returnCode: 2 })
    holder.send({ cmd: 'pingreq' })
    await holder.next('pingresp')
    expect(await login(second, 'fleet')).toMatchObject({ returnCode: 0 })
    await holder.closed()
    expect(await login(first, 'own')).toMatchObject({ returnCode: 0 })
    await eventually(() => second.broker.clients.c1 === undefined, 'the other broker cuts its client')
  })
})
