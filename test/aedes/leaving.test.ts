import type { Client } from 'aedes'
import { describe, expect, it } from 'vitest'
import { deferred } from '../helpers/deferred.js'
import { eventually } from '../helpers/eventually.js'
import { account, connectPacket, key, type OpenBroker, raw, rawClient, slowStore, stage } from './setup.js'

/*
 * What aedes tells of a client that goes depends on how far it has come; its session ends all the same, long before the
 * look through all that comes with the deadline of 30 seconds.
 */

const AT_ONCE_MS = 5_000

const records = [[key('sensor'), account(['t'], ['t'])]] as const

/** The clients aedes makes, from their first packet on. */
function trackClients(broker: OpenBroker): { clients: Client[] } {
  const clients: Client[] = []
  broker.preConnect = (client, _packet, done) => {
    clients.push(client)
    done(null, true)
  }
  return { clients }
}

/** Holds up what aedes awaits last before it registers a client, when stored subscriptions are live. */
function holdUpRegistering(broker: OpenBroker): { isAsked(): boolean; release(): void } {
  const gate = deferred()
  const persistence = broker.persistence as unknown as { delWill(of: object): Promise<unknown> }
  const { delWill } = persistence
  let isAsked = false
  persistence.delWill = async of => {
    isAsked = true
    await gate.promise
    return delWill.call(persistence, of)
  }
  return { isAsked: () => isAsked, release: () => gate.resolve() }
}

describe('a client that leaves', () => {
  it('during its login leaves no session behind', async () => {
    const gate = deferred()
    const { port, broker, authorizer } = await stage({
      store: slowStore(records, gate.promise),
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

  it('before its login is judged is judged no more', async () => {
    const { port, broker, authorizer, denied } = await stage({ records })
    const asked: string[] = []
    const { authenticateNow } = authorizer
    authorizer.authenticateNow = request => {
      asked.push(request.clientId)
      return authenticateNow.call(authorizer, request)
    }
    broker.preConnect = (client, { clientId }, done) => {
      // aedes logs a client in a turn later.
      done(null, true)
      if (clientId === 's1') setImmediate(() => client.close())
    }
    const { closed, send } = await raw(port)
    send(connectPacket('s1', 'sensor'))
    await closed()
    await rawClient(port, 's2', 'sensor')
    expect(asked).toEqual(['s2'])
    expect(authorizer.stats().sessions).toBe(1)
    expect(denied).toEqual([])
  })

  it('while its stored session is being restored leaves no session behind, and may come back at once', async () => {
    const { port, broker, authorizer } = await stage({ records })
    await broker.persistence.addSubscriptions({ id: 's1' }, [{ topic: 't', qos: 1 }])
    const { isAsked, release } = holdUpRegistering(broker)
    // As with a message emitter that is far away, the subscription is down only after the connection is closed.
    const { mq } = broker as unknown as { mq: { removeListener(topic: string, func: unknown, done: () => void): void } }
    const { removeListener } = mq
    const emitter = deferred()
    mq.removeListener = (topic, func, done) => {
      void emitter.promise.then(() => removeListener.call(mq, topic, func, done))
    }
    const { clients } = trackClients(broker)
    const { socket, send } = await raw(port)
    send(connectPacket('s1', 'sensor', { clean: false }))
    await eventually(isAsked, 'the stored subscription is live')
    expect(authorizer.stats().sessions).toBe(1)
    socket.resetAndDestroy()
    await eventually(() => clients[0]!.conn.destroyed, 'the connection is closed')
    await new Promise(resolve => setImmediate(resolve))
    expect(authorizer.stats().sessions).toBe(1)
    emitter.resolve()
    await eventually(() => authorizer.stats().sessions === 0, 'the session is closed')
    release()
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

it('A client that leaves while aedes is about to register it leaves no session behind, and may come back', async () => {
  const { port, broker, authorizer } = await stage({ records })
  const { isAsked, release } = holdUpRegistering(broker)
  const { socket, send } = await raw(port)
  send(connectPacket('s1', 'sensor'))
  await eventually(isAsked, 'the client is about to be registered')
  expect(authorizer.stats().sessions).toBe(1)
  socket.resetAndDestroy()
  await eventually(() => authorizer.stats().sessions === 0, 'the session is closed', AT_ONCE_MS)
  release()
  const again = await rawClient(port, 's1', 'sensor')
  again.send({ cmd: 'pingreq' })
  await again.next('pingresp')
  expect(authorizer.stats().sessions).toBe(1)
})

it('A client that leaves and is unregistered by another node meanwhile leaves no session behind', async () => {
  const { port, broker, authorizer } = await stage({ records })
  const { mq } = broker as unknown as { mq: { removeListener(topic: string, func: unknown, done: () => void): void } }
  const { removeListener } = mq
  const { socket, send, next } = await rawClient(port, 's1', 'sensor')
  send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't', qos: 0 }] })
  await next('suback')
  const emitter = deferred()
  mq.removeListener = (topic, func, done) => {
    void emitter.promise.then(() => removeListener.call(mq, topic, func, done))
  }
  socket.resetAndDestroy()
  await eventually(() => broker.clients.s1?.closed === true, 'the client is being taken down')
  // As another node says of a client that it has registered.
  const packet = { cmd: 'publish', topic: '$SYS/other/new/clients', payload: Buffer.from('s1'), qos: 0, retain: false }
  broker.publish(packet as never, () => {})
  await eventually(() => broker.clients.s1 === undefined, 'the client is unregistered')
  emitter.resolve()
  await eventually(() => authorizer.stats().sessions === 0, 'the session is closed', AT_ONCE_MS)
})

it('A client that leaves while a hook found in place is silent leaves no session behind, and may come back at once', async () => {
  let asked = 0
  const authenticate = (_client: unknown, _name: unknown, _password: unknown, done: (e: null, ok: boolean) => void) => {
    if (++asked > 1) done(null, true)
  }
  const { port, authorizer } = await stage({ records, broker: { authenticate: authenticate as never } })
  const { socket, send } = await raw(port)
  send(connectPacket('s1', 'sensor'))
  await eventually(() => asked === 1, 'the hook is asked')
  expect(authorizer.stats().sessions).toBe(1)
  socket.resetAndDestroy()
  await eventually(() => authorizer.stats().sessions === 0, 'the session is closed', AT_ONCE_MS)
  await rawClient(port, 's1', 'sensor')
  expect(authorizer.stats().sessions).toBe(1)
})

it('A client that is cut since the persistence fails before it is registered leaves no session behind, and may come back at once', async () => {
  const { port, broker, authorizer } = await stage({ records })
  broker.on('clientError', () => {})
  const persistence = broker.persistence as unknown as { cleanSubscriptions(of: object): Promise<unknown> }
  const { cleanSubscriptions } = persistence
  persistence.cleanSubscriptions = async () => {
    persistence.cleanSubscriptions = cleanSubscriptions
    throw new Error('gone for a moment')
  }
  const { socket, send } = await raw(port)
  const closed = new Promise(resolve => socket.once('close', resolve))
  send(connectPacket('s1', 'sensor'))
  await closed
  await eventually(() => authorizer.stats().sessions === 0, 'the session is closed', AT_ONCE_MS)
  await rawClient(port, 's1', 'sensor')
  expect(authorizer.stats().sessions).toBe(1)
})
