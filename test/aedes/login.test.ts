import { once } from 'node:events'
import type { Client } from 'aedes'
import { createMemoryStore, type RecordStore, reasons } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { deferred } from '../helpers/deferred.js'
import { eventually } from '../helpers/eventually.js'
import {
  account,
  client,
  closeBroker,
  connectPacket,
  key,
  type OpenBroker,
  PASSWORD,
  raw,
  rawClient,
  stage,
} from './setup.js'

const records = [[key('sensor'), account(['t'], ['t'])]] as const

/** A memory store whose reads wait for the test. */
function slowStore(gate: Promise<void>): RecordStore {
  const store = createMemoryStore(records)
  const get = store.get.bind(store)
  return Object.assign(store, {
    getStored: undefined,
    get: async (...args: Parameters<RecordStore['get']>) => {
      await gate
      return get(...args)
    },
  })
}

/** The clients aedes makes, from their first packet on. */
function trackClients(broker: OpenBroker): { clients: Client[] } {
  const clients: Client[] = []
  broker.preConnect = (client, _packet, done) => {
    clients.push(client)
    done(null, true)
  }
  return { clients }
}

describe('a login', () => {
  it('is granted by the record', async () => {
    const { port, authorizer } = await stage({ records })
    const sensor = await client(port, 'sensor', { clientId: 's1' })
    expect(sensor.connected).toBe(true)
    expect([...authorizer.sessions()].map(({ principal, address }) => ({ principal, address }))).toEqual([
      { principal: { mountpoint: '', clientId: 's1', username: 'sensor' }, address: '127.0.0.1' },
    ])
  })

  it.each([
    { title: 'a wrong password', connect: connectPacket('s1', 'sensor', { password: Buffer.from('wrong') }), code: 4 },
    { title: 'an unknown user', connect: connectPacket('s1', 'nobody'), code: 4 },
    {
      title: 'a password that is not UTF-8',
      connect: connectPacket('s1', 'sensor', { password: Buffer.from([0xff]) }),
      code: 4,
    },
    { title: 'no user name', connect: connectPacket('s1'), code: 4 },
    { title: 'the client id *', connect: connectPacket('*', 'sensor'), code: 2 },
    { title: 'a record whose hash is none', connect: connectPacket('s1', 'broken'), code: 5 },
    { title: 'an expired record', connect: connectPacket('s1', 'expired'), code: 5 },
    {
      title: 'a will no rule allows',
      connect: connectPacket('s1', 'sensor', { will: { topic: 'x', payload: '' } }),
      code: 5,
    },
  ])('is refused for $title with return code $code', async ({ connect, code }) => {
    const { port, broker, authorizer } = await stage({
      records: [
        ...records,
        [key('broken'), { ...account(), passhash: 'plain' }],
        [key('expired'), { ...account(), expiresAt: 1 }],
      ],
    })
    const failed = once(broker, 'clientError')
    const socket = await raw(port)
    socket.send(connect)
    expect(await socket.next('connack')).toMatchObject({ returnCode: code, sessionPresent: false })
    await socket.closed()
    const [, error] = await failed
    expect(Object.values(reasons).map(({ text }) => `refused: ${text}`)).toContain(error.message)
    expect(authorizer.stats().sessions).toBe(0)
  })

  it('is refused with "server unavailable", and nothing of the cause, when the store fails', async () => {
    const store = createMemoryStore(records)
    Object.assign(store, { get: async () => Promise.reject(new Error('redis://secret')), getStored: undefined })
    const { port, broker } = await stage({ store })
    const failed = once(broker, 'clientError')
    const socket = await raw(port)
    socket.send(connectPacket('s1', 'sensor'))
    expect(await socket.next('connack')).toMatchObject({ returnCode: 3 })
    const [, error] = await failed
    expect(error).toMatchObject({ reason: 'store_unavailable', message: `refused: ${reasons.store_unavailable.text}` })
  })

  it('is refused with "server unavailable" when the store hangs', async () => {
    const { port } = await stage({
      store: slowStore(new Promise(() => {})),
      authorizer: { connectTimeoutMs: 100, readTimeoutMs: 60_000 },
    })
    const socket = await raw(port)
    socket.send(connectPacket('s1', 'sensor'))
    expect(await socket.next('connack')).toMatchObject({ returnCode: 3 })
  })

  it('is refused at the deadline when a hook found in place stays silent', async () => {
    const { port, authorizer, denied } = await stage({
      records,
      options: { deadlineMs: 100 },
      broker: { authenticate: () => {} },
    })
    const socket = await raw(port)
    socket.send(connectPacket('s1', 'sensor'))
    expect(await socket.next('connack')).toMatchObject({ returnCode: 3 })
    await eventually(() => authorizer.stats().sessions === 0, 'the session is closed')
    expect(denied).toMatchObject([{ action: 'connect', decision: { reason: 'deadline' } }])
  })

  it('of an anonymous client follows the rules for anonymous clients', async () => {
    const { port, authorizer } = await stage({ authorizer: { anonymous: account(['open']) } })
    const socket = await raw(port)
    socket.send(connectPacket('s1'))
    expect(await socket.next('connack')).toMatchObject({ returnCode: 0 })
    expect([...authorizer.sessions()][0]?.recordKey).toBeUndefined()
    socket.send({ cmd: 'publish', topic: 'closed', payload: '', qos: 0 })
    await socket.closed()
  })

  it('that fails does not disturb the client that holds the id', async () => {
    const { port } = await stage({ records })
    const holder = await rawClient(port, 's1', 'sensor')
    const intruder = await raw(port)
    intruder.send(connectPacket('s1', 'sensor', { password: Buffer.from('wrong') }))
    await intruder.next('connack')
    await intruder.closed()
    holder.send({ cmd: 'pingreq' })
    await holder.next('pingresp')
  })

  it('lets packets sent along with the CONNECT wait for it', async () => {
    const { port } = await stage({ records })
    const socket = await raw(port)
    socket.send(connectPacket('s1', 'sensor'), { cmd: 'publish', topic: 't', payload: '', qos: 1, messageId: 3 })
    expect(await socket.next('connack')).toMatchObject({ returnCode: 0 })
    expect(await socket.next('puback')).toMatchObject({ messageId: 3 })
  })

  it('of the same account takes the client id over', async () => {
    const { port, authorizer } = await stage({ records })
    const first = await rawClient(port, 's1', 'sensor')
    const takeover = new Promise(resolve => authorizer.once('takeover', resolve))
    const second = await rawClient(port, 's1', 'sensor')
    await first.closed()
    await takeover
    second.send({ cmd: 'pingreq' })
    await second.next('pingresp')
    expect(authorizer.stats().sessions).toBe(1)
  })
})

describe('the mountpoint', () => {
  it.each([
    { title: 'one for the broker', mountpoint: 'north' },
    { title: 'a function of the client', mountpoint: (of: { id: string }) => (of.id === 's1' ? 'north' : 'south') },
  ])('is $title', async ({ mountpoint }) => {
    const { port, authorizer } = await stage({
      records: [[key('sensor', '*', 'north'), account()]],
      options: { mountpoint },
    })
    await client(port, 'sensor', { clientId: 's1' })
    expect([...authorizer.sessions()][0]?.principal.mountpoint).toBe('north')
  })

  it.each([
    () => {
      throw new Error('no listener')
    },
    () => undefined as unknown as string,
  ])('that cannot be told refuses the login, and is a fault', async mountpoint => {
    const { port, faults } = await stage({ records, options: { mountpoint } })
    const socket = await raw(port)
    socket.send(connectPacket('s1', 'sensor'))
    expect(await socket.next('connack')).toMatchObject({ returnCode: 3 })
    expect(faults).toMatchObject([{ place: 'authenticate' }])
  })
})

describe('a client that leaves', () => {
  it('during its login leaves no session behind', async () => {
    const gate = deferred()
    const { port, broker, authorizer } = await stage({
      store: slowStore(gate.promise),
      authorizer: { readTimeoutMs: 60_000, connectTimeoutMs: 60_000 },
    })
    const { socket, ...packets } = await raw(port)
    const aborted = new Promise<void>(resolve => {
      const { authenticate } = authorizer
      authorizer.authenticate = request => {
        request.signal?.addEventListener('abort', () => resolve())
        return authenticate.call(authorizer, request)
      }
    })
    packets.send(connectPacket('s1', 'sensor'))
    await eventually(() => authorizer.stats().loading > 0, 'the record is being read')
    socket.end()
    await aborted
    gate.resolve()
    await eventually(() => authorizer.stats().loading === 0, 'the record is read')
    expect(authorizer.stats().sessions).toBe(0)
    expect(Object.keys(broker.clients)).toEqual([])
  })

  it('while its stored session is being restored leaves no session behind, and may come back at once', async () => {
    const { port, broker, authorizer } = await stage({ records })
    await broker.persistence.addSubscriptions({ id: 's1' }, [{ topic: 't', qos: 1 }])
    const gate = deferred()
    const persistence = broker.persistence as unknown as { delWill(of: object): Promise<unknown> }
    const { delWill } = persistence
    // As with a message emitter that is far away, the subscription is down only after the connection is closed.
    const { mq } = broker as unknown as { mq: { removeListener(topic: string, func: unknown, done: () => void): void } }
    const { removeListener } = mq
    const emitter = deferred()
    mq.removeListener = (topic, func, done) => {
      void emitter.promise.then(() => removeListener.call(mq, topic, func, done))
    }
    const { clients } = trackClients(broker)
    let isRestored = false
    persistence.delWill = async of => {
      isRestored = true
      await gate.promise
      return delWill.call(persistence, of)
    }
    const { socket, send } = await raw(port)
    send(connectPacket('s1', 'sensor', { clean: false }))
    await eventually(() => isRestored, 'the stored subscription is live')
    expect(authorizer.stats().sessions).toBe(1)
    socket.resetAndDestroy()
    await eventually(() => clients[0]!.conn.destroyed, 'the connection is closed')
    await new Promise(resolve => setImmediate(resolve))
    expect(authorizer.stats().sessions).toBe(1)
    emitter.resolve()
    await eventually(() => authorizer.stats().sessions === 0, 'the session is closed')
    gate.resolve()
    const again = await rawClient(port, 's1', 'sensor', { clean: false })
    again.send({ cmd: 'pingreq' })
    await again.next('pingresp')
    expect(Object.keys(broker.clients.s1!.subscriptions)).toEqual(['t'])
  })

  it.each([
    { title: 'with DISCONNECT', leave: (of: Awaited<ReturnType<typeof rawClient>>) => of.send({ cmd: 'disconnect' }) },
    { title: 'without', leave: (of: Awaited<ReturnType<typeof rawClient>>) => of.socket.destroy() },
    { title: 'by a reset', leave: (of: Awaited<ReturnType<typeof rawClient>>) => of.socket.resetAndDestroy() },
  ])('$title ends its session, subscriptions or not', async ({ leave }) => {
    const { port, authorizer } = await stage({ records })
    const plain = await rawClient(port, 's1', 'sensor')
    const subscribed = await rawClient(port, 's2', 'sensor', { will: { topic: 't', payload: 'gone' } })
    subscribed.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't', qos: 0 }] })
    await subscribed.next('suback')
    expect(authorizer.stats().sessions).toBe(2)
    leave(plain)
    leave(subscribed)
    await eventually(() => authorizer.stats().sessions === 0, 'both sessions are closed')
  })

  it('ends its session after a time, although the message emitter hangs, and may come back', async () => {
    const { port, broker, authorizer } = await stage({ records, options: { deadlineMs: 100 } })
    const { mq } = broker as unknown as { mq: { removeListener(): void } }
    mq.removeListener = () => {}
    const first = await rawClient(port, 's1', 'sensor')
    first.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't', qos: 0 }] })
    await first.next('suback')
    const [session] = authorizer.sessions()
    first.socket.destroy()
    await eventually(() => authorizer.stats().sessions === 0, 'the session is closed')
    expect(session?.authorizePublish('t')).toMatchObject({ allow: false, reason: 'closed' })
    const again = await rawClient(port, 's1', 'sensor')
    again.send({ cmd: 'pingreq' })
    await again.next('pingresp')
  })
})

describe('a broker that closes', () => {
  it('during a login refuses it and closes its connection', async () => {
    const gate = deferred()
    const { port, broker, authorizer } = await stage({ store: slowStore(gate.promise) })
    const socket = await raw(port)
    socket.send(connectPacket('s1', 'sensor'))
    await eventually(() => authorizer.stats().loading > 0, 'the record is being read')
    await closeBroker(broker)
    gate.resolve()
    await socket.closed()
    expect(authorizer.stats().sessions).toBe(0)
  })

  it('ends the sessions and takes the protection with it', async () => {
    const { port, broker, authorizer } = await stage({ records })
    const socket = await rawClient(port, 's1', 'sensor')
    await closeBroker(broker)
    await socket.closed()
    await eventually(() => authorizer.stats().sessions === 0, 'the session is closed')
    for (const event of ['client', 'clientDisconnect', 'closed']) {
      expect(broker.listenerCount(event)).toBe(event === 'client' ? 1 : 0)
    }
  })
})

it('takes the password as the bytes that were sent', async () => {
  const { port } = await stage({ records })
  const socket = await raw(port)
  socket.send(connectPacket('s1', 'sensor', { password: Buffer.from(PASSWORD, 'utf8') }))
  expect(await socket.next('connack')).toMatchObject({ returnCode: 0 })
})
