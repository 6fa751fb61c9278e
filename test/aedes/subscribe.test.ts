import { describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { persistences, withRedisServer } from './persistences.js'
import { account, client, connectPacket, inbox, key, raw, rawClient, stage } from './setup.js'

interface Suback {
  granted: number[]
}

function subscribe(...filters: (string | { topic: string; qos: number })[]): object {
  const subscriptions = filters.map(filter => (typeof filter === 'string' ? { topic: filter, qos: 1 } : filter))
  return { cmd: 'subscribe', messageId: 9, subscriptions }
}

describe('a SUBSCRIBE', () => {
  it('is decided filter by filter, in its order', async () => {
    const records = [[key('sensor'), account([], ['a/+', 'b/#', { pattern: 'low', maxQos: 0 }])]] as const
    const { port, broker, denied } = await stage({ records })
    const socket = await rawClient(port, 's1', 'sensor')
    const filters = ['a/1', 'secret', 'a/+', 'a/#', 'b/#', '#', 'low', { topic: 'b/2', qos: 2 }, '$SYS/#', '+/1']
    socket.send(subscribe(...filters))
    const { granted } = await socket.next<Suback>('suback')
    expect(granted).toEqual([1, 128, 1, 128, 1, 128, 128, 2, 128, 128])
    expect(Object.keys(broker.clients.s1!.subscriptions)).toEqual(['a/1', 'a/+', 'b/#', 'b/2'])
    expect(denied.map(({ action, filter, decision }) => [action, filter, decision.reason])).toEqual(
      ['secret', 'a/#', '#', 'low', '$SYS/#', '+/1'].map(filter => ['subscribe', filter, 'no_matching_rule']),
    )
  })

  it.each([
    { filter: 'a#', reason: 'filter_invalid' },
    { filter: '+a', reason: 'filter_invalid' },
    { filter: 'a+', reason: 'filter_invalid' },
    { filter: 'a+b', reason: 'filter_invalid' },
    { filter: '$share/g/t', reason: 'shared_subscription_unsupported' },
    { filter: '$share/g/#', reason: 'shared_subscription_unsupported' },
    { filter: '$share//t', reason: 'filter_invalid' },
    { filter: '$share/g', reason: 'filter_invalid' },
    { filter: '$warden/#', reason: 'no_matching_rule' },
    { filter: 'rewritten', reason: 'modifiers_unsupported' },
  ])(
    'for $filter, which aedes would take, is refused as $reason and leaves the connection open',
    async ({ filter, reason }) => {
      const modifiers = [{ filter: 'elsewhere', qos: 1 as const }]
      const records = [
        [key('sensor'), account([], [{ pattern: 'rewritten', modifiers }, '#', '$share/#', '$warden/#'])],
      ] as const
      const { port, broker, denied } = await stage({ records })
      const socket = await rawClient(port, 's1', 'sensor')
      socket.send(subscribe(filter))
      expect((await socket.next<Suback>('suback')).granted).toEqual([128])
      expect(Object.keys(broker.clients.s1!.subscriptions)).toEqual([])
      expect(denied).toMatchObject([{ action: 'subscribe', filter, decision: { reason } }])
      socket.send({ cmd: 'pingreq' })
      await socket.next('pingresp')
    },
  )

  it('with the same filter twice is decided once, by the last of them, and grants no more than the rules', async () => {
    const { port, broker } = await stage({
      records: [[key('sensor'), account([], [{ pattern: 'a', maxQos: 1 }])]],
    })
    const socket = await rawClient(port, 's1', 'sensor')
    socket.send(subscribe('secret', 'secret', { topic: 'a', qos: 0 }, 'a'))
    // aedes answers with one code for each distinct filter.
    expect((await socket.next<Suback>('suback')).granted).toEqual([128, 1])
    socket.send(subscribe('a', { topic: 'a', qos: 2 }))
    expect((await socket.next<Suback>('suback')).granted).toEqual([128])
    expect(broker.clients.s1!.subscriptions).toMatchObject({ a: { qos: 1 } })
    expect(Object.keys(broker.clients.s1!.subscriptions)).toEqual(['a'])
  })

  it('of the server for a client obeys the same rules', async () => {
    const { port, broker } = await stage({ records: [[key('sensor'), account([], ['a'])]] })
    await rawClient(port, 's1', 'sensor')
    const topics = ['a', 'secret'].map(topic => ({ topic, qos: 1 as const }))
    await new Promise<void>(resolve => broker.clients.s1!.subscribe(topics, () => resolve()))
    expect(Object.keys(broker.clients.s1!.subscriptions)).toEqual(['a'])
  })
})

describe.each(persistences)('subscriptions stored in $kind', ({ options }) => {
  withRedisServer()
  const records = [
    [key('sensor'), account([], ['a/#', 'b', 'c'])],
    [key('talker'), account(['#'])],
  ] as const

  it('are the granted ones only, each answered', async () => {
    const { port, broker } = await stage({ records, broker: await options() })
    const socket = await rawClient(port, 's1', 'sensor', { clean: false })
    socket.send(subscribe('a/1', 'secret', 'b', '$share/g/a/1', 'c'))
    expect((await socket.next<Suback>('suback')).granted).toEqual([1, 128, 1, 128, 1])
    const stored = await broker.persistence.subscriptionsByClient({ id: 's1' })
    expect(stored.map(({ topic }) => topic).sort()).toEqual(['a/1', 'b', 'c'])
  })

  it('never lead to a message of a refused filter, asleep or awake', async () => {
    const { port, broker } = await stage({ records, broker: await options() })
    const first = await client(port, 'sensor', { clientId: 's1', clean: false })
    await expect(first.subscribeAsync(['b', 'secret'], { qos: 1 })).rejects.toThrow()
    const awake = inbox(first)
    const talker = await client(port, 'talker')
    await talker.publishAsync('secret', 'awake', { qos: 1 })
    await talker.publishAsync('b', 'awake', { qos: 1 })
    await eventually(() => awake.length > 0, 'the granted message arrives')
    await first.endAsync()
    await talker.publishAsync('secret', 'asleep', { qos: 1 })
    await talker.publishAsync('b', 'asleep', { qos: 1 })
    const queued: string[] = []
    await eventually(async () => {
      queued.length = 0
      for await (const { topic } of broker.persistence.outgoingStream({ id: 's1' })) queued.push(topic)
      return queued.length > 0
    }, 'the granted message is queued')
    expect(queued).toEqual(['b'])
    const second = await rawClient(port, 's1', 'sensor', { clean: false })
    expect(await second.next('publish')).toMatchObject({ topic: 'b' })
    second.send({ cmd: 'pingreq' })
    await second.next('pingresp')
    expect(second.received).toEqual([])
    expect(awake).toEqual(['b=awake'])
  })

  it('do not come back when the UNSUBSCRIBE follows at once', async () => {
    const { port, broker } = await stage({ records, broker: await options() })
    const socket = await rawClient(port, 's1', 'sensor', { clean: false })
    socket.send(subscribe('b', 'c'), { cmd: 'unsubscribe', messageId: 10, unsubscriptions: ['b'] })
    await socket.next('suback')
    await socket.next('unsuback')
    expect(Object.keys(broker.clients.s1!.subscriptions)).toEqual(['c'])
    const stored = await broker.persistence.subscriptionsByClient({ id: 's1' })
    expect(stored.map(({ topic }) => topic)).toEqual(['c'])
  })

  it('are judged again when the session resumes, and those now refused are gone for good', async () => {
    const { port, broker, store, denied } = await stage({ records, broker: await options() })
    const first = await rawClient(port, 's1', 'sensor', { clean: false })
    first.send(subscribe('a/1', 'b', 'c'))
    await first.next('suback')
    first.socket.end()
    await first.closed()
    await eventually(() => broker.clients.s1 === undefined, 'the client is gone')
    await store.put(key('sensor'), account([], ['c']))
    await broker.persistence.addSubscriptions({ id: 's1' }, [{ topic: 'a#', qos: 1 }])
    const second = await rawClient(port, 's1', 'sensor', { clean: false })
    expect(Object.keys(broker.clients.s1!.subscriptions)).toEqual(['c'])
    const stored = await broker.persistence.subscriptionsByClient({ id: 's1' })
    expect(stored.map(({ topic }) => topic)).toEqual(['c'])
    expect(new Set(denied.map(({ filter, decision }) => `${filter}: ${decision.reason}`))).toEqual(
      new Set(['a#: filter_invalid', 'a/1: no_matching_rule', 'b: no_matching_rule']),
    )
    second.send({ cmd: 'pingreq' })
    await second.next('pingresp')
  })

  it.each(['secret', 'a/b#', 'a/much/too/deep/x'])('do not keep a client from logging in: %s', async topic => {
    const { port, broker } = await stage({ records, broker: { ...(await options()), maxTopicLevels: 4 } })
    await broker.persistence.addSubscriptions({ id: 's1' }, [{ topic, qos: 1 }])
    const socket = await raw(port)
    socket.send(connectPacket('s1', 'sensor', { clean: false }))
    expect(await socket.next('connack')).toMatchObject({ returnCode: 0, sessionPresent: false })
    socket.send({ cmd: 'pingreq' })
    await socket.next('pingresp')
    expect(await broker.persistence.subscriptionsByClient({ id: 's1' })).toEqual([])
  })
})

describe('the queue of a session', () => {
  withRedisServer()

  it.each(persistences)('in $kind is delivered only as far as the rules allow by then', async ({ options }) => {
    const records = [
      [key('sensor'), account([], ['a', 'b'])],
      [key('talker'), account(['#'])],
    ] as const
    const { port, broker, store } = await stage({ records, broker: await options() })
    const first = await rawClient(port, 's1', 'sensor', { clean: false })
    first.send(subscribe('a', 'b'))
    await first.next('suback')
    first.socket.end()
    await eventually(() => broker.clients.s1 === undefined, 'the client is gone')
    const talker = await client(port, 'talker')
    for (const topic of ['a', 'b', 'a', 'b']) await talker.publishAsync(topic, '', { qos: 1 })
    await store.put(key('sensor'), account([], ['b']))
    const second = await rawClient(port, 's1', 'sensor', { clean: false })
    for (const _ of [1, 2]) {
      const { topic, messageId } = await second.next<{ topic: string; messageId: number }>('publish')
      expect(topic).toBe('b')
      second.send({ cmd: 'puback', messageId })
    }
    await eventually(async () => {
      for await (const _ of broker.persistence.outgoingStream({ id: 's1' })) return false
      return true
    }, 'the queue is empty')
    expect(second.received).toEqual([])
  })
})

it('leaves the persistence as it was found', async () => {
  const { broker, protection, port } = await stage({ records: [[key('sensor'), account()]] })
  const { addSubscriptions } = Object.getPrototypeOf(broker.persistence)
  await rawClient(port, 's1', 'sensor', { clean: false })
  expect(broker.persistence.addSubscriptions).not.toBe(addSubscriptions)
  await protection.close()
  expect(broker.persistence.addSubscriptions).toBe(addSubscriptions)
  expect(Object.hasOwn(broker.persistence, 'addSubscriptions')).toBe(false)
})

describe('a subscription', () => {
  it('delivers what its rule matches and nothing beyond, retained messages included', async () => {
    const records = [
      [key('sensor'), account([], ['a/+'])],
      [key('talker'), account(['#'])],
    ] as const
    const { port } = await stage({ records })
    const talker = await client(port, 'talker')
    await talker.publishAsync('a/1', 'kept', { retain: true, qos: 1 })
    const sensor = await client(port, 'sensor')
    const messages = inbox(sensor)
    await sensor.subscribeAsync('a/+')
    await talker.publishAsync('a/2', 'live')
    await eventually(() => messages.length === 2, 'both arrive')
    expect(messages.sort()).toEqual(['a/1=kept', 'a/2=live'])
  })
})
