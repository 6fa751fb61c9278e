import { createAuthorizer, createMemoryStore, hashPassword, type RecordStore } from 'mqtt-warden'
import {
  type BrokerAdapter,
  type BrokerAdapterOptions,
  type BrokerSession,
  createBrokerAdapter,
  type Grant,
  type ProtocolVersion,
  type Revocation,
  type Will,
} from 'mqtt-warden/broker'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connected, connectPacket, onTheWire, publishPacket, VERSIONS } from './fixture.js'

const key = { mountpoint: '', clientId: 'c1', username: 'u1' }
const wildcardKey = { ...key, clientId: '*' }
const everything = { publishAcl: [{ pattern: '#' }], subscribeAcl: [{ pattern: '#' }] }
let passhash: string
let store: RecordStore
let authorizer: ReturnType<typeof createAuthorizer>

beforeAll(async () => {
  passhash = await hashPassword('correct horse', { cost: 4 })
})
beforeEach(() => {
  store = createMemoryStore([[key, { passhash, ...everything }]])
  authorizer = createAuthorizer({ store })
})
afterEach(() => authorizer.close())

interface Login {
  readonly adapter: BrokerAdapter
  readonly session: BrokerSession
}

async function logIn(version: ProtocolVersion, will?: Will, options?: BrokerAdapterOptions): Promise<Login> {
  const adapter = createBrokerAdapter(authorizer, options)
  const account = { username: 'u1', password: Buffer.from('correct horse') }
  const { session } = await adapter.connect(connectPacket(version, { ...account, ...(will && { will }) }))
  return { adapter, session: session! }
}

describe('deliver', () => {
  it('decides by the subscribe rules of the moment', async () => {
    const { adapter, session } = await logIn(4)
    expect(adapter.deliver(session, publishPacket({ topic: 'a' })).allow).toBe(true)
    expect(adapter.deliver(session, publishPacket({ topic: '$SYS/load' })).allow).toBe(false)
    await store.put(key, { passhash, ...everything, subscribeAcl: [{ pattern: 'b' }] })
    expect(adapter.deliver(session, publishPacket({ topic: 'a' }))).toMatchObject({ reason: 'no_matching_rule' })
    await store.delete(key)
    expect(adapter.deliver(session, publishPacket({ topic: 'b' }))).toMatchObject({ reason: 'revoked' })
  })
})

describe('a revoked session', () => {
  it.each([
    { cause: 'deleted', revoke: () => store.delete(key) },
    {
      cause: 'password',
      revoke: async () => store.put(key, { passhash: await hashPassword('new', { cost: 4 }), ...everything }),
    },
  ])('is told when its record is gone or has a new password: $cause', async ({ cause, revoke }) => {
    for (const version of VERSIONS) {
      await store.put(key, { passhash, ...everything })
      const { adapter, session } = await logIn(version)
      const told: Revocation[] = []
      adapter.onRevoked(session, revocation => told.push(revocation))
      await revoke()
      const send = version === 5 ? { cmd: 'disconnect', reasonCode: 0x87 } : undefined
      expect(told).toEqual([{ send, close: true, cause }])
      expect(session.isOver).toBe(true)
      expect(adapter.publish(session, publishPacket())).toMatchObject({ action: 'disconnect', reason: 'revoked', send })
      expect(adapter.subscribe(session, { messageId: 1, subscriptions: [{ topic: 'a', qos: 0 }] })).toMatchObject({
        close: true,
        send,
      })
    }
  })

  it('is told 0x8E where another account takes the client id', async () => {
    await store.delete(key)
    await store.put(wildcardKey, { passhash, ...everything })
    const { adapter, session } = await logIn(5)
    const told: Revocation[] = []
    adapter.onRevoked(session, revocation => told.push(revocation))
    const exact = { ...key, username: 'u2' }
    await store.put(exact, { passhash, ...everything })
    const { session: other } = await adapter.connect(connectPacket(5, { username: 'u2', password: 'correct horse' }))
    expect(other).toBeDefined()
    expect(told).toEqual([{ send: { cmd: 'disconnect', reasonCode: 0x8e }, close: true, cause: 'client_id_taken' }])
  })

  it('is told at once where it was over before, and not where the listener was taken back', async () => {
    const { adapter, session } = await logIn(5)
    const told: Revocation[] = []
    adapter.onRevoked(session, () => expect.unreachable('taken back'))()
    await store.delete(key)
    adapter.onRevoked(session, revocation => told.push(revocation))
    expect(told).toHaveLength(1)
  })

  it('is told why in words where the option is on', async () => {
    const { adapter, session } = await logIn(5, undefined, { reasonStrings: true })
    const told: Revocation[] = []
    adapter.onRevoked(session, revocation => told.push(revocation))
    await store.delete(key)
    expect(told[0]?.send?.properties).toEqual({ reasonString: 'refused: the session was revoked' })
  })

  it('is not what a session is that the broker closed', async () => {
    const { adapter, session } = await logIn(5)
    adapter.onRevoked(session, () => expect.unreachable('closed, not revoked'))
    session.close()
    session.close()
    await store.delete(key)
    expect(authorizer.stats().sessions).toBe(0)
  })
})

describe('disconnect', () => {
  it.each([
    ['session_taken_over', 0x8e],
    ['server_shutting_down', 0x8b],
    ['protocol_error', 0x82],
    ['malformed_packet', 0x81],
    ['client_id_taken', 0x8e],
    ['busy', 0x83],
    ['unsupported_protocol_version', 0x80],
  ] as const)('gives MQTT 5 the code for %s, and older versions nothing', async (reason, reasonCode) => {
    const { adapter, session } = await connected(5, {})
    const packet = adapter.disconnect(session, reason)
    expect(packet).toEqual({ cmd: 'disconnect', reasonCode })
    expect(onTheWire(packet!, 5)).toMatchObject({ reasonCode })
    for (const version of [3, 4] as const) {
      const older = await connected(version, {})
      expect(older.adapter.disconnect(older.session, reason)).toBeUndefined()
    }
  })
})

describe('recheck', () => {
  const request = (topic: string, qos: 0 | 1 | 2 = 1) => ({ topic, qos })

  async function subscribed(version: ProtocolVersion, options?: BrokerAdapterOptions, ...topics: string[]) {
    const { adapter, session } = await logIn(version, undefined, options)
    const packet = { messageId: 1, subscriptions: topics.map(topic => request(topic)) }
    const { granted } = adapter.subscribe(session, packet)
    expect(granted).toHaveLength(topics.length)
    // As a broker would store them.
    const stored = JSON.parse(JSON.stringify(granted)) as Grant[]
    const lost = () => adapter.recheck(session, stored).map(({ requested }) => requested)
    return { adapter, session, lost }
  }

  it('finds exactly the filters that the new rules do not cover', async () => {
    const { session, lost } = await subscribed(4, {}, 'a', 'a/#', 'a/+', 'b')
    expect(lost()).toEqual([])
    const seen: string[][] = []
    session.rights.onChange(() => void seen.push(lost()))
    await store.put(key, { passhash, ...everything, subscribeAcl: [{ pattern: 'a/+' }, { pattern: 'b', maxQos: 0 }] })
    expect(seen).toEqual([['a', 'a/#', 'b']])
  })

  const sharing = { sharedSubscriptions: true }

  it('finds those that a rule rewrites otherwise by now, or with a lower QoS', async () => {
    const rewriting = (filter: string, qos: 0 | 1) => ({
      passhash,
      publishAcl: [],
      subscribeAcl: [{ pattern: 'a', modifiers: [{ filter, qos }] }],
    })
    await store.put(key, rewriting('x', 1))
    const { lost } = await subscribed(5, sharing, 'a')
    expect(lost()).toEqual([])
    await store.put(key, rewriting('$share/g/x', 1))
    expect(lost()).toEqual(['a'])
    await store.put(key, rewriting('y', 1))
    expect(lost()).toEqual(['a'])
    await store.put(key, rewriting('x', 0))
    expect(lost()).toEqual(['a'])
    await store.put(key, rewriting('x', 1))
    expect(lost()).toEqual([])
  })

  it('finds shared subscriptions that the version of a client does not know', async () => {
    const { adapter, lost, session } = await subscribed(5, sharing, '$share/g/a')
    expect(lost()).toEqual([])
    const { granted } = adapter.subscribe(session, { messageId: 1, subscriptions: [request('$share/g/a')] })
    const older = await logIn(4, undefined, sharing)
    expect(older.adapter.recheck(older.session, granted)).toEqual(granted)
  })

  it('finds nothing lost while the session is over, or the record cannot be used', async () => {
    const { lost, session } = await subscribed(4, {}, 'a')
    await store.delete(key)
    expect(lost()).toEqual([])
    session.close()
    expect(lost()).toEqual([])
  })
})

describe('will', () => {
  const will: Will = {
    topic: 'bye',
    payload: Buffer.from('gone'),
    qos: 1,
    retain: true,
    properties: { willDelayInterval: 30, contentType: 'text/plain' },
  }

  it.each(VERSIONS)('of MQTT %i is published where the rules allow it', async version => {
    const { properties, ...older } = will
    const { adapter, session } = await logIn(version, version === 5 ? will : older)
    const packet = await adapter.will(session)
    const message = { cmd: 'publish', topic: 'bye', payload: will.payload, qos: 1, retain: true, dup: false }
    expect(packet).toEqual(version === 5 ? { ...message, properties: { contentType: 'text/plain' } } : message)
  })

  it('has QoS 0 and no retain flag where the CONNECT says nothing', async () => {
    const { adapter, session } = await logIn(4, { topic: 'bye', payload: '' })
    expect(await adapter.will(session)).toMatchObject({ qos: 0, retain: false })
  })

  it('is nothing where the client left none', async () => {
    const { adapter, session } = await logIn(5)
    expect(await adapter.will(session)).toBeUndefined()
  })

  it('is judged by the rules of the moment at which it is due', async () => {
    const { adapter, session } = await logIn(5, will)
    await store.put(key, { passhash, publishAcl: [{ pattern: 'other' }], subscribeAcl: [] })
    expect(await adapter.will(session)).toBeUndefined()
    await store.put(key, { passhash, publishAcl: [{ pattern: 'bye', allowedRetain: false }], subscribeAcl: [] })
    expect(await adapter.will(session)).toBeUndefined()
    await store.put(key, { passhash, publishAcl: [{ pattern: 'bye' }], subscribeAcl: [] })
    expect(await adapter.will(session)).toBeDefined()
  })

  it('of a session that is over is judged by what its account may do now', async () => {
    const closed = await logIn(5, will)
    closed.session.close()
    expect(await closed.adapter.will(closed.session)).toMatchObject({ topic: 'bye' })
    const { adapter, session } = await logIn(5, will)
    await store.put(key, { passhash: await hashPassword('new', { cost: 4 }), ...everything })
    expect(session.isOver).toBe(true)
    expect(await adapter.will(session)).toMatchObject({ topic: 'bye' })
    await store.delete(key)
    expect(await adapter.will(session)).toBeUndefined()
  })

  it('of an anonymous session is published until that is closed', async () => {
    const { adapter, session } = await connected(5, everything, {}, { will })
    expect(await adapter.will(session)).toMatchObject({ topic: 'bye' })
    session.close()
    expect(await adapter.will(session)).toBeUndefined()
  })

  it('is rewritten as the rule says, and refused where that cannot be done', async () => {
    const { adapter, session } = await logIn(5, will)
    const rewriting = (modifiers: object) => ({
      passhash,
      publishAcl: [{ pattern: 'bye', modifiers }],
      subscribeAcl: [],
    })
    await store.put(key, rewriting({ topic: 'wills/c1', retain: false }))
    expect(await adapter.will(session)).toMatchObject({ topic: 'wills/c1', retain: false, payload: will.payload })
    const denied: unknown[] = []
    authorizer.on('denied', ({ decision }) => denied.push(decision.reason))
    await store.put(key, rewriting({ mountpoint: 'm2' }))
    expect(await adapter.will(session)).toBeUndefined()
    expect(denied).toEqual(['modifiers_unsupported'])
  })
})
