import { once } from 'node:events'
import { Aedes, type AedesOptions } from 'aedes'
import { createAuthorizer, createMemoryStore } from 'mqtt-warden'
import { protect } from 'mqtt-warden/aedes'
import { describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import {
  account,
  client,
  closeBroker,
  connectPacket,
  delivered,
  inbox,
  key,
  listen,
  onEnd,
  PASSWORD,
  raw,
  rawClient,
  stage,
} from './setup.js'

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
      options: { deadlineMs: 100 },
    })
    const socket = await rawClient(port, 's1', 'sensor', { clean: false })
    socket.send(subscribe(...topics))
    const { granted } = await socket.next<{ granted: number[] }>('suback')
    expect(granted).toEqual([128, 128, 128, 128, 128, 128, 1])
    expect(Object.keys(broker.clients.s1!.subscriptions)).toEqual(['fine'])
    expect(await broker.persistence.subscriptionsByClient({ id: 's1' })).toMatchObject([{ topic: 'fine', qos: 1 }])
  })

  it('authorizeSubscribe that takes its time is not overtaken by a change of the rules', async () => {
    let answer = () => {}
    const authorizeSubscribe: AedesOptions['authorizeSubscribe'] = (_client, subscription, done) => {
      answer = () => done(null, subscription)
    }
    const { port, broker, store } = await stage({ records, broker: { authorizeSubscribe } })
    const socket = await rawClient(port, 's1', 'sensor', { clean: false })
    socket.send(subscribe('a'))
    await eventually(() => answer.length === 0 && answer.toString().includes('done'), 'the hook is asked')
    await store.put(key('sensor'), account())
    answer()
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

describe('a hook assigned after protect', () => {
  it('does not undo the protection, is asked after it, and is reported as a fault', async () => {
    const { port, broker, faults } = await stage({ records })
    const asked: string[] = []
    broker.authorizePublish = (_client, packet, done) => {
      asked.push(packet.topic)
      done(packet.topic === 'b' ? new Error('not b') : null)
    }
    broker.authenticate = (_client, _username, _password, done) => done(null, true)
    broker.authorizeSubscribe = (_client, subscription, done) => done(null, subscription)
    broker.authorizeForward = (_client, packet) => packet
    expect(faults.map(({ place }) => place)).toEqual([
      'authorizePublish',
      'authenticate',
      'authorizeSubscribe',
      'authorizeForward',
    ])
    const intruder = await raw(port)
    intruder.send(connectPacket('s9', 'nobody'))
    expect(await intruder.next('connack')).toMatchObject({ returnCode: 4 })
    const socket = await rawClient(port, 's1', 'sensor')
    socket.send(subscribe('secret'), publish('a'))
    expect(await socket.next('suback')).toMatchObject({ granted: [128] })
    await socket.next('puback')
    socket.send(publish('b'))
    await socket.closed()
    const second = await rawClient(port, 's1', 'sensor')
    second.send(publish('secret'))
    await second.closed()
    expect(asked).toEqual(['a', 'b'])
  })

  it('may call the hook it replaced, as wrappers do', async () => {
    const { port, broker } = await stage({ records })
    const seen: string[] = []
    const { authenticate, authorizePublish, authorizeSubscribe, authorizeForward, preConnect } = broker
    broker.preConnect = (of, packet, done) => preConnect.call(broker, of, packet, done)
    broker.authenticate = (of, username, password, done) => authenticate.call(broker, of, username, password, done)
    broker.authorizePublish = (of, packet, done) => {
      seen.push(packet.topic)
      authorizePublish.call(broker, of, packet, done)
    }
    broker.authorizeSubscribe = (of, subscription, done) => authorizeSubscribe.call(broker, of, subscription, done)
    broker.authorizeForward = (of, packet) => authorizeForward.call(broker, of, packet)
    const sensor = await client(port, 'sensor')
    const messages = inbox(sensor)
    await sensor.subscribeAsync(['a', 'marker'])
    await sensor.publishAsync('a', 'x', { qos: 1 })
    await eventually(() => messages.length > 0, 'the message arrives')
    expect(messages).toEqual(['a=x'])
    expect(seen).toEqual(['a'])
    // Back to none.
    broker.authorizePublish = authorizePublish
    await sensor.publishAsync('a', 'y', { qos: 1 })
    await eventually(() => messages.length > 1, 'the message arrives')
    expect(seen).toEqual(['a'])
  })
})

describe('protect', () => {
  it('closes the clients that are connected already', async () => {
    const broker = await Aedes.createBroker()
    const { port, server } = await listen(broker)
    const socket = await raw(port)
    socket.send(connectPacket('s1'))
    await socket.next('connack')
    const authorizer = createAuthorizer({ store: createMemoryStore() })
    const protection = protect(broker, authorizer, { onFault: () => {} })
    await socket.closed()
    onEnd(async () => {
      server.close()
      await protection.close()
      await closeBroker(broker)
      await authorizer.close()
    })
  })

  it('closes a client whose login the hooks of before grant afterwards', async () => {
    let grant = () => {}
    const broker = await Aedes.createBroker({
      authenticate: (_client, _username, _password, done) => {
        grant = () => done(null, true)
      },
    })
    const { port, server } = await listen(broker)
    const socket = await raw(port)
    socket.send(connectPacket('s1'))
    await eventually(() => grant.toString().includes('done'), 'the old hook is asked')
    const authorizer = createAuthorizer({ store: createMemoryStore() })
    const protection = protect(broker, authorizer)
    grant()
    await socket.closed()
    onEnd(async () => {
      server.close()
      await protection.close()
      await closeBroker(broker)
      await authorizer.close()
    })
  })

  it('works on a broker that does not listen yet', async () => {
    const broker = new Aedes()
    const authorizer = createAuthorizer({ store: createMemoryStore(records) })
    const protection = protect(broker, authorizer)
    await (broker as unknown as { listen(): Promise<void> }).listen()
    const { port, server } = await listen(broker)
    onEnd(async () => {
      server.close()
      await protection.close()
      await closeBroker(broker)
      await authorizer.close()
    })
    const socket = await rawClient(port, 's1', 'sensor', { clean: false })
    socket.send(subscribe('a', 'secret'))
    expect(await socket.next('suback')).toMatchObject({ granted: [1, 128] })
  })

  it('refuses a broker that is protected already', async () => {
    const { broker, authorizer, protection } = await stage()
    expect(() => protect(broker, authorizer)).toThrow(new TypeError('the broker is protected already'))
    await protection.close()
    expect(() => protect(broker, authorizer)).toThrow(TypeError)
  })

  it.each([
    { options: { mountpoint: 1 }, message: '"mountpoint" option must be a string or a function' },
    { options: { onDeniedPublish: 'ignore' }, message: '"onDeniedPublish" option must be "close" or "drop"' },
    { options: { deadlineMs: 99 }, message: '"deadlineMs" option must be an integer from 100 to 600000' },
    { options: { deadlineMs: 1e9 }, message: '"deadlineMs" option must be an integer from 100 to 600000' },
    { options: { maxOwners: 0 }, message: '"maxOwners" option must be an integer from 1 to 10000000' },
    { options: { owners: {} }, message: '"owners" option must have functions get(), set() and delete()' },
    { options: { onFault: true }, message: '"onFault" option must be a function' },
    { options: { deadline: 1 }, message: '"deadline" is not an option of protect' },
    { options: null, message: '"options" must be an object' },
  ])('refuses $options', async ({ options, message }) => {
    const { authorizer } = await stage()
    const broker = new Aedes()
    expect(() => protect(broker, authorizer, options as never)).toThrow(new TypeError(message))
    expect(() => protect({} as never, authorizer)).toThrow(new TypeError('"broker" must be a broker of aedes 1.x'))
    expect(() => protect(broker, {} as never)).toThrow(new TypeError('"authorizer" must be an authorizer'))
  })

  it('warns once of faults that nobody listens for, and survives a listener that throws', async () => {
    const warnings: string[] = []
    const onWarning = (warning: Error) => void warnings.push(warning.message)
    process.on('warning', onWarning)
    onEnd(() => process.off('warning', onWarning))
    const authorizer = createAuthorizer({ store: createMemoryStore() })
    onEnd(() => authorizer.close())
    const silent = new Aedes()
    protect(silent, authorizer)
    silent.authenticate = () => {}
    silent.authorizeForward = packet => packet as never
    const throwing = new Aedes()
    protect(throwing, authorizer, {
      onFault: () => {
        throw new Error('no')
      },
    })
    throwing.authenticate = () => {}
    await eventually(() => warnings.length >= 2, 'the warnings are emitted')
    expect(warnings).toEqual([
      'aedes: authenticate: assigned after protect(): it runs after the check, and can only refuse (no "onFault" option; reported once)',
      'aedes: "onFault" option threw: no',
    ])
  })
})

describe('close', () => {
  it('cuts the clients and has every hook refuse', async () => {
    const { port, broker, protection, authorizer } = await stage({ records })
    const socket = await rawClient(port, 's1', 'sensor')
    const { s1 } = broker.clients
    await protection.close()
    await socket.closed()
    expect(authorizer.stats().sessions).toBe(0)
    const late = await raw(port)
    late.send(connectPacket('s1', 'sensor'))
    expect(await late.next('connack')).toMatchObject({ returnCode: 3 })
    const packet = { ...publish('a'), retain: false, dup: false } as never
    broker.authorizePublish(s1!, packet, error => expect(error).toMatchObject({ reason: 'closed' }))
    broker.authorizeSubscribe(s1!, { topic: 'a', qos: 0 }, (error, granted) =>
      expect([error, granted]).toEqual([null, null]),
    )
    expect(broker.authorizeForward(s1!, packet)).toBeNull()
    expect.assertions(5)
    await protection.close()
  })

  it('with restore puts the hooks of before back, and the broker can be protected anew', async () => {
    const authorizePublish: AedesOptions['authorizePublish'] = (_client, _packet, done) => done(null)
    const { port, broker, protection, authorizer } = await stage({ records, broker: { authorizePublish } })
    await rawClient(port, 's1', 'sensor')
    await protection.close({ restore: true })
    expect(broker.authorizePublish).toBe(authorizePublish)
    expect(Object.getOwnPropertyDescriptor(broker, 'authenticate')).toMatchObject({ writable: true, enumerable: true })
    expect(broker.authenticate).toBe(new Aedes().authenticate)
    for (const event of ['client', 'clientDisconnect', 'closed']) expect(broker.listenerCount(event)).toBe(0)
    const open = await raw(port)
    open.send(connectPacket('anybody'))
    expect(await open.next('connack')).toMatchObject({ returnCode: 0 })
    const again = protect(broker, authorizer, { onFault: () => {} })
    await open.closed()
    const socket = await raw(port)
    socket.send(connectPacket('s1', 'nobody'))
    expect(await socket.next('connack')).toMatchObject({ returnCode: 4 })
    await again[Symbol.asyncDispose]()
  })
})

it('keeps no listeners and no timers of clients that are gone', async () => {
  const { port, broker, authorizer } = await stage({ records })
  const counts = () =>
    ['client', 'clientDisconnect', 'closed', 'publish', 'subscribe'].map(name => broker.listenerCount(name))
  const before = counts()
  for (let round = 0; round < 20; round++) {
    const socket = await rawClient(port, `s${round}`, 'sensor', { clean: round % 2 === 0 })
    socket.send(subscribe('a', 'secret'), { cmd: 'disconnect' })
    await socket.closed()
  }
  await eventually(() => authorizer.stats().sessions === 0, 'all sessions are closed')
  expect(counts()).toEqual(before)
})
