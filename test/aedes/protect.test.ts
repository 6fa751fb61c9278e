import { Aedes, type AedesOptions } from 'aedes'
import { createAuthorizer, createMemoryStore } from 'mqtt-warden'
import { protect } from 'mqtt-warden/aedes'
import { describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { account, closeBroker, connectPacket, key, listen, onEnd, raw, rawClient, stage } from './setup.js'

const records = [[key('sensor'), account(['a'], ['a'])]] as const

const subscribe = (...topics: string[]) => ({
  cmd: 'subscribe',
  messageId: 1,
  subscriptions: topics.map(topic => ({ topic, qos: 1 })),
})

const publish = (topic: string) => ({ cmd: 'publish', topic, payload: 'x', qos: 1, messageId: 1 })

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
    const grants: (() => void)[] = []
    const broker = await Aedes.createBroker({
      authenticate: (_client, _username, _password, done) => {
        grants.push(() => done(null, true))
      },
    })
    const { port, server } = await listen(broker)
    const socket = await raw(port)
    socket.send(connectPacket('s1'))
    await eventually(() => grants.length === 1, 'the old hook is asked')
    const authorizer = createAuthorizer({ store: createMemoryStore() })
    const protection = protect(broker, authorizer)
    grants[0]!()
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

  it('lets listeners of before subscribe the client to something, as far as the rules allow', async () => {
    const { port, broker } = await stage({
      records,
      prepare: of =>
        of.on('client', joined => {
          for (const topic of ['a', 'secret']) joined.subscribe({ topic, qos: 1 }, () => {})
        }),
    })
    await rawClient(port, 's1', 'sensor', { clean: false })
    const stored = () => broker.persistence.subscriptionsByClient({ id: 's1' })
    await eventually(async () => (await stored()).length > 0, 'the subscription is stored')
    expect(Object.keys(broker.clients.s1!.subscriptions)).toEqual(['a'])
    expect(await stored()).toMatchObject([{ topic: 'a' }])
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
    { options: { owners: {} }, message: '"owners" option must have functions get() and swap()' },
    { options: { cluster: 'a/b' }, message: '"cluster" option must be up to 64 letters, digits, ".", "_" and "-"' },
    { options: { nodeLeaseMs: 1 }, message: '"nodeLeaseMs" option must be an integer from 1000 to 600000' },
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

  it('warns once for each place of faults that nobody listens for, and survives a listener that throws', async () => {
    const warnings: string[] = []
    const onWarning = (warning: Error) => void warnings.push(warning.message)
    process.on('warning', onWarning)
    onEnd(() => process.off('warning', onWarning))
    const authorizer = createAuthorizer({ store: createMemoryStore() })
    onEnd(() => authorizer.close())
    const silent = new Aedes()
    protect(silent, authorizer)
    silent.authenticate = () => {}
    silent.authenticate = () => {}
    silent.authorizeForward = packet => packet as never
    const throwing = new Aedes()
    protect(throwing, authorizer, {
      onFault: () => {
        throw new Error('no')
      },
    })
    throwing.authenticate = () => {}
    await eventually(() => warnings.length >= 3, 'the warnings are emitted')
    expect(warnings).toEqual([
      'aedes: authenticate: assigned after protect(): it runs after the check, and can only refuse (no "onFault" option; reported once)',
      'aedes: authorizeForward: assigned after protect(): it runs after the check, and can only refuse (no "onFault" option; reported once)',
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
