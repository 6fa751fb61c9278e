import { describe, expect, it } from 'vitest'
import { deferred } from '../helpers/deferred.js'
import { eventually } from '../helpers/eventually.js'
import { persistences, withRedisServer } from './persistences.js'
import { account, client, collect, key, type OpenBroker, otherPasshash, rawClient, type Stage, stage } from './setup.js'

const rules = ['a/#', 'b/+', 'c', 'd']

function filtersOf(broker: OpenBroker, clientId = 's1'): string[] {
  return Object.keys(broker.clients[clientId]?.subscriptions ?? {}).sort()
}

async function storedOf(broker: OpenBroker, clientId = 's1'): Promise<string[]> {
  return (await broker.persistence.subscriptionsByClient({ id: clientId })).map(({ topic }) => topic).sort()
}

async function subscribed({ port }: Stage, filters: readonly string[], more: object = {}) {
  const socket = await rawClient(port, 's1', 'sensor', more)
  socket.send({ cmd: 'subscribe', messageId: 1, subscriptions: filters.map(topic => ({ topic, qos: 1 })) })
  await socket.next('suback')
  return socket
}

withRedisServer()

describe.each(persistences)('a change of the rules, sessions in $kind', ({ options }) => {
  it.each([{ clean: true }, { clean: false }])(
    'drops exactly the subscriptions no longer covered before the write resolves (clean: $clean)',
    async ({ clean }) => {
      const ground = await stage({ records: [[key('sensor'), account([], rules)]], broker: await options() })
      const { broker, store } = ground
      const socket = await subscribed(ground, ['a/1/2', 'a/+', 'b/1', 'c', 'd'], { clean })
      const narrowed = account([], ['a/+', 'b/+', { pattern: 'c', maxQos: 0 }, 'd'])
      const { receipt } = await store.put(key('sensor'), narrowed, { receipt: { timeoutMs: 5_000 } })
      expect(receipt?.rows).toMatchObject([{ sessionsCut: 0, subscriptionsDropped: 2 }])
      expect(filtersOf(broker)).toEqual(['a/+', 'b/1', 'd'])
      expect(ground.denied.map(({ filter }) => filter)).toEqual(['a/1/2', 'c'])
      expect(await storedOf(broker)).toEqual(clean ? [] : ['a/+', 'b/1', 'd'])
      socket.send({ cmd: 'pingreq' })
      await socket.next('pingresp')
      expect(socket.received).toEqual([])
    },
  )

  it('reaches a subscription that is being stored at that moment', async () => {
    const ground = await stage({ records: [[key('sensor'), account([], rules)]], broker: await options() })
    const { broker, store } = ground
    const gate = deferred()
    const { addSubscriptions } = broker.persistence
    let isStoring = false
    broker.persistence.addSubscriptions = async (...args) => {
      isStoring = true
      await gate.promise
      return addSubscriptions.apply(broker.persistence, args)
    }
    const socket = await rawClient(ground.port, 's1', 'sensor', { clean: false })
    // Somebody else may stand before the persistence too, and let the answer through a little later.
    const { addSubscriptions: guarded } = broker.persistence
    broker.persistence.addSubscriptions = async (...args) => {
      const result = await guarded(...args)
      for (let turn = 0; turn < 10; turn++) await undefined
      return result
    }
    const subscriptions = ['c', 'd'].map(topic => ({ topic, qos: 1 }))
    socket.send({ cmd: 'subscribe', messageId: 1, subscriptions })
    await eventually(() => isStoring, 'the subscriptions are being stored')
    const written = store.put(key('sensor'), account([], ['d']))
    gate.resolve()
    await written
    await socket.next('suback')
    expect(filtersOf(broker)).toEqual(['d'])
    expect(await storedOf(broker)).toEqual(['d'])
  })

  it.each([
    { title: 'deleted', change: ({ store }: Stage) => store.delete(key('sensor')), kept: [] },
    {
      title: 'given another password',
      change: ({ store }: Stage) => store.put(key('sensor'), { ...account([], rules), passhash: otherPasshash }),
      kept: ['c'],
    },
  ])('cuts the client when its account is $title, and keeps $kept of what was stored', async ({ change, kept }) => {
    const ground = await stage({ records: [[key('sensor'), account([], rules)]], broker: await options() })
    const { broker, faults, authorizer } = ground
    const socket = await subscribed(ground, ['c'], { clean: false })
    await change(ground)
    await socket.closed()
    await eventually(async () => (await storedOf(broker)).join() === kept.join(), 'the stored session is dealt with')
    await eventually(() => authorizer.stats().sessions === 0, 'the session is closed')
    expect(broker.clients.s1).toBeUndefined()
    expect(faults).toEqual([])
  })
})

describe('a change of the rules', () => {
  it('that leaves a client its subscriptions leaves it alone', async () => {
    const ground = await stage({ records: [[key('sensor'), account([], rules)]] })
    const socket = await subscribed(ground, ['a/#', 'c'])
    const before = ground.broker.clients.s1!.subscriptions.c
    await ground.store.put(key('sensor'), account(['new'], ['#']))
    expect(ground.broker.clients.s1!.subscriptions.c).toBe(before)
    socket.send({ cmd: 'publish', topic: 'new', payload: '', qos: 1, messageId: 5 })
    await socket.next('puback')
  })

  it('reaches every client of the record', async () => {
    const { port, broker, store } = await stage({ records: [[key('sensor'), account([], ['a', 'b'])]] })
    const clients = await Promise.all(['s1', 's2', 's3'].map(clientId => client(port, 'sensor', { clientId })))
    await Promise.all(clients.map(each => each.subscribeAsync(['a', 'b'])))
    await store.put(key('sensor'), account([], ['b']))
    for (const clientId of ['s1', 's2', 's3']) expect(filtersOf(broker, clientId)).toEqual(['b'])
  })

  it('cuts a client under the * record when it gets a record of its own', async () => {
    const ground = await stage({ records: [[key('sensor'), account([], rules)]] })
    const socket = await subscribed(ground, ['c'])
    await ground.store.put(key('sensor', 's1'), account())
    await socket.closed()
  })

  it('is answered for by a fault when the persistence fails, with nothing delivered in the meantime', async () => {
    const ground = await stage({ records: [[key('sensor'), account([], rules)]] })
    const { broker, store, faults } = ground
    await subscribed(ground, ['c', 'd'], { clean: false })
    Object.assign(broker.persistence, { subscriptionsByClient: async () => Promise.reject(new Error('disk full')) })
    await store.put(key('sensor'), account([], ['d']))
    expect(faults).toMatchObject([{ place: 'persistence', error: { message: 'disk full' } }])
    expect(filtersOf(broker)).toEqual(['d'])
  })

  it('does not keep the writer waiting for a persistence that hangs', async () => {
    const ground = await stage({
      records: [[key('sensor'), account([], rules)]],
      options: { deadlineMs: 100 },
    })
    const { broker, store, faults } = ground
    await subscribed(ground, ['c', 'd'], { clean: false })
    Object.assign(broker.persistence, { subscriptionsByClient: () => new Promise(() => {}) })
    await store.put(key('sensor'), account([], ['d']))
    await eventually(() => faults.length > 0, 'the fault is reported')
    expect(filtersOf(broker)).toEqual(['d'])
  })

  it('is published as UNSUBSCRIBE would be, for whoever follows the events of the broker', async () => {
    const ground = await stage({ records: [[key('sensor'), account([], rules)]] })
    const dropped: string[] = []
    ground.broker.on('unsubscribe', filters => dropped.push(...filters))
    await subscribed(ground, ['c', 'd'])
    await ground.store.put(key('sensor'), account([], ['d']))
    expect(dropped).toEqual(['c'])
    expect(await collect(ground.broker.persistence.outgoingStream({ id: 's1' }))).toEqual([])
  })
})
