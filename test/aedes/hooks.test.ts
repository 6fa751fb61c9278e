import { once } from 'node:events'
import type { AedesOptions } from 'aedes'
import { describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { account, client, connectPacket, delivered, inbox, key, PASSWORD, raw, rawClient, stage } from './setup.js'

const records = [
  [key('sensor'), account(['a', 'b'], ['a', 'b', 'marker'])],
  [key('talker'), account(['#'])],
] as const

const subscribe = (...topics: string[]) => ({
  cmd: 'subscribe',
  messageId: 1,
  subscriptions: topics.map(topic => ({ topic, qos: 1 })),
})

type Done = (error: Error | null, ok?: boolean) => void

const publish = (topic: string, messageId = 1) => ({ cmd: 'publish', topic, payload: 'x', qos: 1, messageId })

describe('a hook found in place', () => {
  it('authenticate is asked after the record, and can only refuse', async () => {
    const asked: unknown[] = []
    const authenticate: AedesOptions['authenticate'] = (of, username, password, done) => {
      asked.push([of.id, username, String(password)])
      if (of.id === 's1') done(Object.assign(new Error('full'), { returnCode: 3 }), false)
      else done(null, of.id === 's2')
    }
    const { port, authorizer } = await stage({ records, broker: { authenticate } })
    const codes = []
    for (const [clientId, username] of [
      ['s1', 'sensor'],
      ['s2', 'sensor'],
      ['s3', 'sensor'],
      ['s2', 'nobody'],
    ] as const) {
      const socket = await raw(port)
      socket.send(connectPacket(clientId, username))
      codes.push((await socket.next<{ returnCode: number }>('connack')).returnCode)
    }
    expect(codes).toEqual([3, 0, 5, 4])
    expect(asked).toEqual(['s1', 's2', 's3'].map(id => [id, 'sensor', PASSWORD]))
    expect(authorizer.stats().sessions).toBe(1)
  })

  it('authorizePublish is asked after the rules, and can only refuse', async () => {
    const asked: string[] = []
    const authorizePublish: AedesOptions['authorizePublish'] = (_client, packet, done) => {
      asked.push(packet.topic)
      const { topic } = packet
      packet.topic = 'hijacked'
      done(topic === 'b' ? new Error('not b') : null)
    }
    const { port, broker } = await stage({ records, broker: { authorizePublish } })
    const topics: string[] = []
    broker.on('publish', packet => topics.push(packet.topic))
    const socket = await rawClient(port, 's1', 'sensor')
    socket.send(publish('a'))
    await socket.next('puback')
    const failed = once(broker, 'clientError')
    socket.send(publish('b'))
    expect((await failed)[1]).toMatchObject({ message: 'not b' })
    await socket.closed()
    const other = await rawClient(port, 's2', 'sensor')
    other.send(publish('secret'))
    await other.closed()
    expect(asked).toEqual(['a', 'b'])
    expect(topics).toContain('a')
    expect(topics).not.toContain('hijacked')
  })

  it('authorizeSubscribe is asked after the rules, and can only refuse; its errors refuse too', async () => {
    const authorizeSubscribe: AedesOptions['authorizeSubscribe'] = (_client, subscription, done) => {
      const { topic } = subscription
      if (topic === 'none') done(null, null)
      else if (topic === 'error') done(new Error('no'))
      else if (topic === 'qos 128') done(null, Object.assign(subscription, { qos: 128 }))
      else if (topic === 'throw') throw new Error('no')
      else if (topic === 'reject') return Promise.reject(new Error('no')) as never
      else if (topic === 'silent') return
      else done(null, Object.assign(subscription, { topic: 'hijacked', qos: 2 }))
    }
    const topics = ['none', 'error', 'qos 128', 'throw', 'reject', 'silent', 'fine']
    const { port, broker } = await stage({
      records: [[key('sensor'), account([], topics)]],
      broker: { authorizeSubscribe },
      options: { deadlineMs: 2_000 },
    })
    const socket = await rawClient(port, 's1', 'sensor', { clean: false })
    socket.send(subscribe(...topics))
    const { granted } = await socket.next<{ granted: number[] }>('suback')
    expect(granted).toEqual([128, 128, 128, 128, 128, 128, 1])
    expect(Object.keys(broker.clients.s1!.subscriptions)).toEqual(['fine'])
    expect(await broker.persistence.subscriptionsByClient({ id: 's1' })).toMatchObject([{ topic: 'fine', qos: 1 }])
  })

  it.each([
    { title: 'refuses', error: null, kept: ['a'], open: true },
    { title: 'fails on', error: new Error('no'), kept: ['a', 'b'], open: false },
  ])('authorizeSubscribe that $title a stored filter leaves $kept stored', async ({ error, kept, open }) => {
    let isRefusing = false
    const authorizeSubscribe: AedesOptions['authorizeSubscribe'] = (_client, subscription, done) => {
      if (isRefusing && subscription.topic === 'b') done(error, null)
      else done(null, subscription)
    }
    const { port, broker } = await stage({ records, broker: { authorizeSubscribe } })
    const first = await rawClient(port, 's1', 'sensor', { clean: false })
    first.send(subscribe('a', 'b'), { cmd: 'disconnect' })
    await first.closed()
    await eventually(() => broker.clients.s1 === undefined, 'the client is gone')
    isRefusing = true
    const second = await raw(port)
    second.send(connectPacket('s1', 'sensor', { clean: false }))
    if (open) expect(await second.next('connack')).toMatchObject({ returnCode: 0, sessionPresent: true })
    else await second.closed()
    const stored = async () => (await broker.persistence.subscriptionsByClient({ id: 's1' })).map(({ topic }) => topic)
    await eventually(async () => (await stored()).join() === kept.join(), 'the stored session is dealt with')
  })

  it('authorizeSubscribe that takes its time is not overtaken by a change of the rules', async () => {
    const answers: (() => void)[] = []
    const authorizeSubscribe: AedesOptions['authorizeSubscribe'] = (_client, subscription, done) => {
      answers.push(() => done(null, subscription))
    }
    const { port, broker, store } = await stage({ records, broker: { authorizeSubscribe } })
    const socket = await rawClient(port, 's1', 'sensor', { clean: false })
    socket.send(subscribe('a'))
    await eventually(() => answers.length === 1, 'the hook is asked')
    await store.put(key('sensor'), account())
    answers[0]!()
    expect(await socket.next('suback')).toMatchObject({ granted: [128] })
    expect(Object.keys(broker.clients.s1!.subscriptions)).toEqual([])
    expect(await broker.persistence.subscriptionsByClient({ id: 's1' })).toEqual([])
  })

  it.each([
    { title: 'null', forward: () => null, faults: [] },
    {
      title: 'a promise',
      forward: () => Promise.resolve({}) as never,
      faults: [{ place: 'authorizeForward', error: { message: 'the hook returned a promise, and cannot wait' } }],
    },
    {
      title: 'an exception',
      forward: () => {
        throw new Error('no')
      },
      faults: [{ place: 'authorizeForward', error: { message: 'no' } }],
    },
  ])(
    'authorizeForward that answers with $title stops the delivery and harms nobody',
    async ({ forward, faults: expected }) => {
      const ground = await stage({
        records,
        broker: { authorizeForward: (_client, packet) => (packet.topic === 'a' ? forward() : packet) },
      })
      const sensor = await client(ground.port, 'sensor')
      const messages = inbox(sensor)
      await sensor.subscribeAsync(['a', 'b', 'marker'])
      const talker = await client(ground.port, 'talker')
      for (const topic of ['a', 'b']) await talker.publishAsync(topic, 'x', { qos: 1 })
      expect(await delivered(ground.broker, messages)).toEqual(['b=x'])
      expect(ground.faults).toMatchObject(expected)
      expect(sensor.connected).toBe(true)
    },
  )

  it('authorizeForward may replace the packet, of an allowed delivery only', async () => {
    const { port, broker } = await stage({
      records,
      broker: { authorizeForward: (_client, packet) => ({ ...packet, payload: Buffer.from('replaced') }) },
    })
    const sensor = await client(port, 'sensor', { clientId: 's1' })
    const messages = inbox(sensor)
    await sensor.subscribeAsync(['a'])
    for (const topic of ['secret', 'a']) {
      const message = { cmd: 'publish', topic, payload: 'x', qos: 0, retain: false, dup: false } as const
      await new Promise<void>(resolve => broker.clients.s1!.publish(message, () => resolve()))
    }
    await eventually(() => messages.length > 0, 'the message arrives')
    expect(messages).toEqual(['a=replaced'])
  })

  it.each([
    {
      title: 'throws',
      hook: () => {
        throw new Error('no')
      },
    },
    {
      title: 'rejects',
      hook: async () => {
        throw new Error('no')
      },
    },
    { title: 'stays silent', hook: () => {} },
  ])('that $title refuses what it was asked, without an unhandled error', async ({ hook }) => {
    const { port } = await stage({
      records,
      options: { deadlineMs: 100, onDeniedPublish: 'drop' },
      broker: { authorizePublish: hook as never },
    })
    const socket = await rawClient(port, 's1', 'sensor')
    socket.send(publish('a'))
    await socket.next('puback')
    socket.send({ cmd: 'pingreq' })
    await socket.next('pingresp')
  })

  it.each([
    { title: 'refuses', preConnect: (_client: unknown, _packet: unknown, done: Done) => done(null, false) },
    { title: 'fails', preConnect: (_client: unknown, _packet: unknown, done: Done) => done(new Error('no'), true) },
    {
      title: 'throws',
      preConnect: () => {
        throw new Error('no')
      },
    },
    { title: 'stays silent', preConnect: () => {} },
  ])('preConnect that $title leaves no connection open', async ({ preConnect }) => {
    const { port, broker } = await stage({
      records,
      options: { deadlineMs: 100 },
      broker: { preConnect: preConnect as never },
    })
    const failed = once(broker, 'connectionError')
    const socket = await raw(port)
    socket.send(connectPacket('s1', 'sensor'))
    await socket.closed()
    expect((await failed)[1]).toBeInstanceOf(Error)
    expect(socket.received).toEqual([])
  })

  it('preConnect sees the CONNECT first, and may change its will', async () => {
    const { port, broker } = await stage({
      records,
      broker: {
        preConnect: (_client, packet, done) => {
          delete packet.will
          done(null, true)
        },
      },
    })
    await rawClient(port, 's1', 'sensor', { will: { topic: 'secret', payload: '' } })
    expect(broker.clients.s1?.will ?? null).toBeNull()
  })

  it('published stays as it is', async () => {
    const seen: string[] = []
    const published: AedesOptions['published'] = (packet, _client, done) => {
      seen.push(packet.topic)
      done()
    }
    const { port, broker } = await stage({ records, broker: { published } })
    expect(broker.published).toBe(published)
    const socket = await rawClient(port, 's1', 'sensor')
    socket.send(publish('a'))
    await socket.next('puback')
    await eventually(() => seen.includes('a'), 'the hook is called')
  })
})
