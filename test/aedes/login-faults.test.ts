import { once } from 'node:events'
import { type Authorizer, createMemoryStore, reasons, type Session } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { eventually } from '../helpers/eventually.js'
import { account, connectPacket, key, raw, rawClient, slowStore, stage } from './setup.js'

const records = [[key('sensor'), account(['t'], ['t'])]] as const

describe('a login', () => {
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
      store: slowStore(records, new Promise(() => {})),
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
    expect(denied[0]).toMatchObject({ action: 'connect', decision: { reason: 'deadline' } })
  })

  it.each([
    () => {
      throw new Error('no listener')
    },
    () => undefined as unknown as string,
  ])('whose mountpoint cannot be told is refused, and that is a fault', async mountpoint => {
    const { port, faults } = await stage({ records, options: { mountpoint } })
    const socket = await raw(port)
    socket.send(connectPacket('s1', 'sensor'))
    expect(await socket.next('connack')).toMatchObject({ returnCode: 3 })
    expect(faults).toMatchObject([{ place: 'authenticate' }])
  })
})

describe('a session of another authorizer that cannot be closed', () => {
  /** Makes the sessions of an authorizer throw when they are closed. */
  function spoil(authorizer: Authorizer): void {
    const spoiled = (session: Session): Session => {
      const close = session.close.bind(session)
      return Object.assign(session, {
        close() {
          close()
          throw new Error('cannot close')
        },
      })
    }
    const { authenticate, authenticateNow } = authorizer
    authorizer.authenticate = async request => {
      const login = await authenticate.call(authorizer, request)
      return login.allow ? { ...login, session: spoiled(login.session) } : login
    }
    authorizer.authenticateNow = request => {
      const login = authenticateNow.call(authorizer, request)
      return login && { ...login, session: spoiled(login.session) }
    }
  }

  const fault = { place: 'close', error: { message: 'cannot close' } }

  it.each([
    { title: 'with a password that has to be judged', isKnown: false },
    { title: 'with a password proven before', isKnown: true },
  ])('does not keep a client $title from its refusal', async ({ isKnown }) => {
    let isRefusing = false
    const authenticate = (_client: unknown, _name: unknown, _password: unknown, done: (e: null, ok: boolean) => void) =>
      void setImmediate(done, null, !isRefusing)
    const ground = await stage({ records, broker: { authenticate: authenticate as never } })
    if (isKnown) {
      const before = await rawClient(ground.port, 's1', 'sensor')
      before.send({ cmd: 'disconnect' })
      await eventually(() => ground.authorizer.stats().sessions === 0, 'the session is closed')
    }
    spoil(ground.authorizer)
    isRefusing = true
    const socket = await raw(ground.port)
    socket.send(connectPacket('s1', 'sensor'))
    expect(await socket.next('connack')).toMatchObject({ returnCode: 5 })
    expect(ground.faults).toMatchObject([fault])
  })

  it('gives up its client id all the same when its client leaves', async () => {
    const ground = await stage({ records: [...records, [key('other'), account()]] })
    spoil(ground.authorizer)
    const socket = await rawClient(ground.port, 's1', 'sensor')
    socket.send({ cmd: 'disconnect' })
    await eventually(() => ground.faults.length > 0, 'the fault is told')
    await rawClient(ground.port, 's1', 'other')
    expect(ground.faults).toMatchObject([fault])
  })
})
