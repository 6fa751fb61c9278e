import { createMemoryStore, type RecordStore, type StoreEvent, type StoreListener } from 'mqtt-warden'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { persistences, withRedisServer } from './persistences.js'
import { account, client, collect, connectPacket, key, onEnd, raw, rawClient, type Stage, stage } from './setup.js'

const records = [
  [key('sensor'), account([], ['a', 'b', 'c'])],
  [key('talker'), account(['#'])],
] as const

async function fallAsleep({ port, broker }: Stage, clientId: string): Promise<void> {
  const socket = await rawClient(port, clientId, 'sensor', { clean: false })
  const subscriptions = ['a', 'b', 'c'].map(topic => ({ topic, qos: 1 }))
  socket.send({ cmd: 'subscribe', messageId: 1, subscriptions })
  await socket.next('suback')
  socket.send({ cmd: 'disconnect' })
  await eventually(() => broker.clients[clientId] === undefined, 'the client is gone')
}

async function queueOf({ broker }: Stage, clientId: string): Promise<string[]> {
  return (await collect(broker.persistence.outgoingStream({ id: clientId }))).map(({ topic }) => topic)
}

async function storedOf({ broker }: Stage, clientId: string): Promise<string[]> {
  return (await broker.persistence.subscriptionsByClient({ id: clientId })).map(({ topic }) => topic).sort()
}

withRedisServer()

describe.each(persistences)('a session in $kind whose client is away', ({ options }) => {
  async function asleep(...clientIds: string[]): Promise<Stage> {
    return asleepOn(createMemoryStore(records), ...clientIds)
  }

  async function asleepOn(store: RecordStore, ...clientIds: string[]): Promise<Stage> {
    const ground = await stage({ store, broker: await options() })
    for (const clientId of clientIds) await fallAsleep(ground, clientId)
    const talker = await client(ground.port, 'talker')
    for (const topic of ['a', 'b', 'c', 'a', 'b', 'c']) await talker.publishAsync(topic, '', { qos: 1 })
    for (const clientId of clientIds) {
      await eventually(async () => (await queueOf(ground, clientId)).length === 6, 'all messages are queued')
    }
    return ground
  }

  it('loses the subscriptions and messages that its rules cease to cover, and keeps the others', async () => {
    const ground = await asleep('s1', 's2')
    // A message that was sent and never acknowledged has a packet id already.
    const { persistence } = ground.broker
    const sent = (await collect(persistence.outgoingStream({ id: 's1' }))).find(({ topic }) => topic === 'b')!
    await persistence.outgoingUpdate({ id: 's1' }, { ...sent, messageId: 2 })
    await ground.store.put(key('sensor'), account([], ['b']))
    for (const clientId of ['s1', 's2']) {
      await eventually(async () => (await storedOf(ground, clientId)).join() === 'b', 'the subscriptions are removed')
      expect(await queueOf(ground, clientId)).toEqual(['b', 'b'])
    }
    const socket = await rawClient(ground.port, 's1', 'sensor', { clean: false })
    for (const _ of [1, 2]) expect(await socket.next('publish')).toMatchObject({ topic: 'b' })
    expect(ground.faults).toEqual([])
  })

  it('goes with its account', async () => {
    const ground = await asleep('s1')
    await ground.store.delete(key('sensor'))
    await eventually(async () => (await storedOf(ground, 's1')).length === 0, 'the subscriptions are removed')
    await eventually(async () => (await queueOf(ground, 's1')).length === 0, 'the queue is empty')
    expect(ground.faults).toEqual([])
  })

  it('goes with the record of its client id, although its account goes on by a * record', async () => {
    const own = key('sensor', 's1')
    const ground = await asleepOn(createMemoryStore([...records, [own, account([], ['a', 'b', 'c'])]]), 's1')
    await ground.store.delete(own)
    await eventually(async () => (await storedOf(ground, 's1')).length === 0, 'the subscriptions are removed')
    await eventually(async () => (await queueOf(ground, 's1')).length === 0, 'the queue is empty')
    expect(ground.faults).toEqual([])
  })

  it('goes when its account ends because the clock of the system is set', async () => {
    const expiresAt = Math.ceil(Date.now() / 1_000) + 7_200
    const ending = [[key('sensor'), { ...account([], ['a', 'b', 'c']), expiresAt }], records[1]] as const
    const ground = await asleepOn(createMemoryStore(ending), 's1')
    const { now } = Date
    const clock = vi.spyOn(Date, 'now').mockImplementation(() => now.call(Date) + 7_200_000)
    onTestFinished(() => clock.mockRestore())
    await eventually(async () => (await storedOf(ground, 's1')).length === 0, 'the subscriptions are removed')
    await eventually(async () => (await queueOf(ground, 's1')).length === 0, 'the queue is empty')
  })

  it('is told of in the receipt of the change, with what was taken away', async () => {
    const ground = await asleep('s1', 's2')
    const receipt = { timeoutMs: 20_000 }
    const narrowed = await ground.store.put(key('sensor'), account([], ['b']), { receipt })
    expect(narrowed.receipt!.rows).toMatchObject([{ subscriptionsDropped: 4, messagesDropped: 8, sessionsCut: 0 }])
    const awake = await rawClient(ground.port, 's1', 'sensor', { clean: false })
    const gone = await ground.store.delete(key('sensor'), { receipt })
    expect(gone.receipt!.rows).toMatchObject([{ subscriptionsDropped: 2, sessionsCut: 1 }])
    expect(gone.receipt!.rows[0]!.messagesDropped).toBeGreaterThanOrEqual(2)
    await awake.closed()
    for (const clientId of ['s1', 's2']) {
      expect([await storedOf(ground, clientId), await queueOf(ground, clientId)]).toEqual([[], []])
    }
    expect(ground.faults).toEqual([])
  })

  it('is not gone through again for a change that it was tidied for', async () => {
    const ground = await asleep('s1')
    await ground.store.put(key('sensor'), account([], ['b']), { receipt: { timeoutMs: 20_000 } })
    const { persistence } = ground.broker
    const { outgoingStream } = persistence
    let looked = 0
    persistence.outgoingStream = of => {
      looked++
      return outgoingStream.call(persistence, of)
    }
    const again = { ...account([], ['b']) }
    await ground.store.put(key('sensor'), again, { receipt: { timeoutMs: 20_000 } })
    expect(looked).toBe(0)
    await ground.store.put(key('sensor'), account(), { receipt: { timeoutMs: 20_000 } })
    expect(looked).toBeGreaterThan(0)
  })

  it('is left alone by changes of other accounts and other clients', async () => {
    const ground = await asleep('s1')
    await ground.store.put(key('sensor', 's2'), account())
    await ground.store.put(key('talker'), account())
    await ground.store.put(key('sensor', '*', 'elsewhere'), account())
    await ground.store.put(key('sensor', 's1'), account([], ['a', 'b', 'c']))
    expect(await storedOf(ground, 's1')).toEqual(['a', 'b', 'c'])
    expect(await queueOf(ground, 's1')).toHaveLength(6)
  })

  it('is gone through when changes are heard again after anything may have changed', async () => {
    const memory = createMemoryStore(records)
    const tell = new Set<StoreListener>()
    const quiet: RecordStore = {
      semantics: memory.semantics,
      get: of => memory.get(of),
      put: (of, record) => memory.put(of, record),
      delete: of => memory.delete(of),
      scan: () => memory.scan(),
      watch(listener) {
        tell.add(listener)
        listener({ type: 'link', state: 'live', at: performance.now() })
        return () => tell.delete(listener)
      },
      close: () => memory.close(),
      [Symbol.asyncDispose]: () => memory.close(),
    }
    const say = (event: StoreEvent): void => {
      for (const listener of tell) listener(event)
    }
    const beats = setInterval(() => isHeard && say({ type: 'link', state: 'live', at: performance.now() }), 50)
    onEnd(() => clearInterval(beats))
    let isHeard = true
    const ground = await asleepOn(quiet, 's1', 's2')
    isHeard = false
    say({ type: 'link', state: 'blind', at: performance.now() })
    await memory.put(key('sensor', 's1'), account([], ['b']))
    await memory.put(key('sensor', 's2'), account([], ['a', 'b', 'c']))
    await memory.delete(key('sensor'))
    say({ type: 'unknown' })
    isHeard = true
    await eventually(async () => (await storedOf(ground, 's1')).join() === 'b', 'the subscriptions are removed')
    expect(await queueOf(ground, 's1')).toEqual(['b', 'b'])
    await memory.delete(key('sensor', 's1'))
    say({ type: 'unknown' })
    await eventually(async () => (await storedOf(ground, 's1')).length === 0, 'it is wiped')
    expect(await queueOf(ground, 's1')).toEqual([])
    expect(await storedOf(ground, 's2')).toEqual(['a', 'b', 'c'])
    expect(await queueOf(ground, 's2')).toHaveLength(6)
    expect(ground.faults).toEqual([])
  })

  it('is left alone while the store cannot tell', async () => {
    const ground = await asleep('s1')
    const { authorizer, store } = ground
    const failed = new Promise(resolve => authorizer.on('error', resolve))
    Object.assign(store, { get: async () => Promise.reject(new Error('down')), getStored: undefined })
    await store.put(key('sensor'), account())
    await failed
    expect(await storedOf(ground, 's1')).toEqual(['a', 'b', 'c'])
    expect(await queueOf(ground, 's1')).toHaveLength(6)
  })
})

it('is no longer followed beyond the limit, and judged at its next login all the same', async () => {
  const ground = await stage({ records, options: { maxOwners: 1 } })
  await fallAsleep(ground, 's1')
  await fallAsleep(ground, 's2')
  await ground.store.put(key('sensor'), account([], ['b']))
  await eventually(async () => (await storedOf(ground, 's2')).join() === 'b', 'the later one is tidied')
  expect(await storedOf(ground, 's1')).toEqual(['a', 'b', 'c'])
  await rawClient(ground.port, 's1', 'sensor', { clean: false })
  expect(await storedOf(ground, 's1')).toEqual(['b'])
})

it('is no longer followed once its client is back', async () => {
  const ground = await stage({ records })
  await fallAsleep(ground, 's1')
  await fallAsleep(ground, 's2')
  await rawClient(ground.port, 's1', 'sensor', { clean: false })
  const { outgoingStream } = ground.broker.persistence
  const tidied: string[] = []
  ground.broker.persistence.outgoingStream = of => {
    tidied.push(of.id)
    return outgoingStream.call(ground.broker.persistence, of)
  }
  await ground.store.put(key('sensor'), account([], ['b']))
  await eventually(async () => (await storedOf(ground, 's2')).join() === 'b', 'the other session is tidied')
  expect(tidied).not.toContain('s1')
  expect(await storedOf(ground, 's1')).toEqual(['b'])
})

it('of an anonymous client is not taken for that of the user without a name', async () => {
  const ground = await stage({ records: [[key(''), account()]], authorizer: { anonymous: account([], ['a']) } })
  const socket = await raw(ground.port)
  socket.send(connectPacket('s1', undefined, { clean: false }))
  socket.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 1 }] }, { cmd: 'disconnect' })
  await socket.closed()
  await eventually(() => ground.authorizer.stats().sessions === 0, 'the session is closed')
  await ground.store.delete(key(''))
  const again = await raw(ground.port)
  again.send(connectPacket('s1', undefined, { clean: false }))
  expect(await again.next('connack')).toMatchObject({ returnCode: 0, sessionPresent: true })
})
