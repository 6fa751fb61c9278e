import { createAuthorizer, createMemoryStore, type DeniedEvent, hashPassword } from 'mqtt-warden'
import { type BrokerAdapter, type ConnectPacket, createBrokerAdapter, type Will } from 'mqtt-warden/broker'
import { beforeAll, describe, expect, it } from 'vitest'
import { CODES, connectPacket, onTheWire, REASONS, refusing, VERSIONS } from './fixture.js'

const everything = { publishAcl: [{ pattern: '#' }], subscribeAcl: [{ pattern: '#' }] }
const anonymous = createAuthorizer({ store: createMemoryStore(), anonymous: everything })

describe('CONNACK', () => {
  it.each(REASONS.flatMap(reason => VERSIONS.map(version => ({ reason, version }))))(
    'has the code of MQTT $version for $reason, and ends the connection',
    async ({ reason, version }) => {
      const adapter = createBrokerAdapter(refusing(reason))
      const verdict = await adapter.connect(connectPacket(version))
      const { connack3, connack5 } = CODES[reason]
      const code = version === 5 ? { reasonCode: connack5 } : { returnCode: connack3 }
      expect(verdict).toEqual({
        session: undefined,
        send: { cmd: 'connack', sessionPresent: false, ...code },
        close: true,
        reason,
      })
      expect(onTheWire(verdict.send, version)).toMatchObject(code)
    },
  )

  it.each(VERSIONS)('tells a client of MQTT %i that it is connected', async version => {
    const adapter = createBrokerAdapter(anonymous)
    const { session, send, close } = await adapter.connect(connectPacket(version))
    const code = version === 5 ? { reasonCode: 0 } : { returnCode: 0 }
    expect(onTheWire(send, version)).toMatchObject({ sessionPresent: false, ...code })
    expect(close).toBe(false)
    expect(session?.protocolVersion).toBe(version)
    expect(session?.principal).toEqual({ mountpoint: '', clientId: 'c1', username: '' })
    session?.close()
  })

  it('tells an MQTT 5 client what the broker lacks and allows', async () => {
    const bare = await createBrokerAdapter(anonymous).connect(connectPacket(5))
    expect(bare.send.properties).toEqual({ sharedSubscriptionAvailable: false })
    bare.session?.close()
    const adapter = createBrokerAdapter(anonymous, { sharedSubscriptions: true, topicAliasMaximum: 5 })
    const rich = await adapter.connect(connectPacket(5))
    expect(rich.send.properties).toEqual({ topicAliasMaximum: 5 })
    rich.session?.close()
  })

  it.each([
    ['MQTT', 3],
    ['MQIsdp', 4],
    ['MQTT', 6],
    ['MQTT', 0],
    ['MQTT', undefined],
    ['HTTP', 4],
  ])('refuses the protocol %s version %s with return code 1', async (protocolId, protocolVersion) => {
    const packet = { protocolId, protocolVersion, clientId: 'c1' } as ConnectPacket
    const verdict = await createBrokerAdapter(anonymous).connect(packet)
    expect(verdict).toEqual({
      session: undefined,
      send: { cmd: 'connack', sessionPresent: false, returnCode: 1 },
      close: true,
      reason: 'unsupported_protocol_version',
    })
  })

  it('refuses MQTT 3.1 that says it is version 5 so that a packet of version 5 can be written', async () => {
    const packet = connectPacket(5, { protocolId: 'MQIsdp' })
    const { session, send, close } = await createBrokerAdapter(anonymous).connect(packet)
    expect({ session, close }).toEqual({ session: undefined, close: true })
    expect(onTheWire(send, 5)).toMatchObject({ reasonCode: 0x84 })
  })

  it('refuses enhanced authentication of MQTT 5, whatever the rest says', async () => {
    const packet = connectPacket(5, { properties: { authenticationMethod: 'SCRAM-SHA-1' } })
    const { session, send } = await createBrokerAdapter(anonymous).connect(packet)
    expect(session).toBeUndefined()
    expect(send.reasonCode).toBe(0x8c)
  })
})

describe('client id', () => {
  const nameless = (version: 3 | 4 | 5, clean: boolean) => connectPacket(version, { clientId: '', clean })

  it.each([
    { version: 3, clean: true },
    { version: 3, clean: false },
    { version: 4, clean: false },
  ] as const)('must not be empty in MQTT $version with clean $clean [MQTT-3.1.3-8]', async ({ version, clean }) => {
    const adapter = createBrokerAdapter(anonymous, { assignClientId: () => 'assigned' })
    const { session, send } = await adapter.connect(nameless(version, clean))
    expect(session).toBeUndefined()
    expect(send.returnCode).toBe(2)
  })

  it.each([
    { version: 4, clean: true, told: undefined },
    { version: 5, clean: true, told: 'assigned' },
    { version: 5, clean: false, told: 'assigned' },
  ] as const)('is assigned in MQTT $version with clean $clean where it is empty', async ({ version, clean, told }) => {
    const adapter = createBrokerAdapter(anonymous, { assignClientId: () => 'assigned' })
    const { session, send } = await adapter.connect(nameless(version, clean))
    expect(session?.principal.clientId).toBe('assigned')
    expect(send.properties?.assignedClientIdentifier).toBe(told)
    session?.close()
  })

  it.each([
    { version: 4, code: { returnCode: 2 } },
    { version: 5, code: { reasonCode: 0x85 } },
  ] as const)('is refused in MQTT $version where it is empty and nobody assigns one', async ({ version, code }) => {
    for (const options of [{}, { assignClientId: () => '' }]) {
      const { session, send } = await createBrokerAdapter(anonymous, options).connect(nameless(version, true))
      expect(session).toBeUndefined()
      expect(send).toMatchObject(code)
    }
  })

  it('is not told where the client sent it', async () => {
    const adapter = createBrokerAdapter(anonymous, { assignClientId: () => 'assigned' })
    const { session, send } = await adapter.connect(connectPacket(5))
    expect(send.properties?.assignedClientIdentifier).toBeUndefined()
    session?.close()
  })

  it.each(['*', 'a\0b', '\ud800', 'x'.repeat(70_000)])(
    'is refused where it could be taken for something else',
    async clientId => {
      const { send } = await createBrokerAdapter(anonymous).connect(connectPacket(4, { clientId }))
      expect(send.returnCode).toBe(2)
    },
  )

  it.each(['+', '#', 'a/b', '$SYS', '__proto__', '\n'])('is plain text, as %j', async clientId => {
    const { session } = await createBrokerAdapter(anonymous).connect(connectPacket(4, { clientId }))
    expect(session?.principal.clientId).toBe(clientId)
    session?.close()
  })
})

describe('login by record', () => {
  const denials: DeniedEvent[] = []
  let adapter: BrokerAdapter

  beforeAll(async () => {
    const passhash = await hashPassword('correct horse', { cost: 4 })
    const key = { mountpoint: 'm1', clientId: 'c1', username: 'u1' }
    const publishAcl = [{ pattern: 'say', maxQos: 1 as const, maxPayloadSize: 4, allowedRetain: false }]
    const authorizer = createAuthorizer({
      store: createMemoryStore([[key, { passhash, publishAcl, subscribeAcl: [] }]]),
    })
    authorizer.on('denied', event => denials.push(event))
    adapter = createBrokerAdapter(authorizer)
  })

  const login = (packet: Partial<ConnectPacket>, mountpoint = 'm1') =>
    adapter.connect(connectPacket(4, { username: 'u1', password: Buffer.from('correct horse'), ...packet }), {
      mountpoint,
      address: '192.0.2.7',
    })

  it('takes the password as bytes and as text', async () => {
    for (const password of [Buffer.from('correct horse'), 'correct horse']) {
      const { session } = await login({ password })
      expect(session?.principal).toEqual({ mountpoint: 'm1', clientId: 'c1', username: 'u1' })
      expect(session?.rights.address).toBe('192.0.2.7')
      session?.close()
    }
  })

  it.each([
    ['a wrong password', { password: Buffer.from('wrong') }, 'm1'],
    ['bytes that are not UTF-8', { password: Buffer.from([0xff, 0xfe]) }, 'm1'],
    ['an unknown user', { username: 'u2' }, 'm1'],
    ['another client id', { clientId: 'c2' }, 'm1'],
    ['another mountpoint', {}, ''],
  ] as const)('answers 4 to %s', async (_what, packet, mountpoint) => {
    const { session, send } = await login(packet, mountpoint)
    expect(session).toBeUndefined()
    expect(send.returnCode).toBe(4)
  })

  it('answers 4 to a client without a user name', async () => {
    const { send } = await adapter.connect(connectPacket(4))
    expect(send.returnCode).toBe(4)
  })

  const will: Will = { topic: 'say', payload: Buffer.from('bye'), qos: 1, retain: false }

  it('accepts a will that may be published', async () => {
    const { session } = await login({ will })
    expect(session?.will).toBe(will)
    session?.close()
  })

  it.each([
    ['on another topic', { topic: 'shout' }, 5, 0x87],
    ['of too high a QoS', { qos: 2 }, 5, 0x87],
    ['of a QoS that there is not', { qos: 3 as 2 }, 5, 0x87],
    ['that is too large', { payload: 'bye bye' }, 5, 0x87],
    ['that is retained', { retain: true }, 5, 0x87],
    ['on a topic name with a wildcard', { topic: 'say/#' }, 5, 0x90],
    ['on an empty topic name', { topic: '' }, 5, 0x90],
  ] as const)('refuses a will %s', async (_what, change, returnCode, reasonCode) => {
    const old = await login({ will: { ...will, ...change } })
    expect(old.session).toBeUndefined()
    expect(old.send.returnCode).toBe(returnCode)
    const account = { username: 'u1', password: 'correct horse' }
    const packet = connectPacket(5, { ...account, will: { ...will, ...change } })
    const { send } = await adapter.connect(packet, { mountpoint: 'm1' })
    expect(send.reasonCode).toBe(reasonCode)
    expect(denials.at(-1)).toMatchObject({ action: 'connect', principal: { clientId: 'c1' } })
  })

  it.each([
    ['without topic', { ...will, topic: undefined }],
    ['without payload', { ...will, payload: undefined }],
    ['that is null', null],
  ])('refuses a CONNECT with a will %s, before the password is looked at', async (_what, broken) => {
    const { session, send } = await adapter.connect(connectPacket(5, { will: broken as unknown as Will }))
    expect(session).toBeUndefined()
    expect(send.reasonCode).toBe(0x81)
  })

  it('drops the login of a client that has hung up', async () => {
    const { session } = await adapter.connect(connectPacket(4, { username: 'u1', password: 'correct horse' }), {
      mountpoint: 'm1',
      signal: AbortSignal.abort(),
    })
    expect(session).toBeUndefined()
  })
})

describe('will of MQTT 5', () => {
  const will: Will = { topic: 'say', payload: 'bye', properties: { willDelayInterval: 5, contentType: 'text/plain' } }

  it('is refused where the broker cannot apply the modifiers of its rule', async () => {
    const acl = { publishAcl: [{ pattern: 'say', modifiers: { mountpoint: 'm2' } }], subscribeAcl: [] }
    const authorizer = createAuthorizer({ store: createMemoryStore(), anonymous: acl })
    const denials: DeniedEvent[] = []
    authorizer.on('denied', event => denials.push(event))
    const { session, send } = await createBrokerAdapter(authorizer).connect(connectPacket(5, { will }))
    expect(session).toBeUndefined()
    expect(send.reasonCode).toBe(0x83)
    expect(denials).toMatchObject([{ action: 'connect', topic: 'say', decision: { reason: 'modifiers_unsupported' } }])
    expect(authorizer.stats().sessions).toBe(0)
  })

  it.each([
    [{ contentType: ['a', 'b'] }, 0x82],
    [{ contentType: null }, 0x81],
    [{ responseTopic: 'a/#' }, 0x82],
    [{ userProperties: { a: 'b\0' } }, 0x81],
    [{ topicAlias: 1 }, 0x81],
    [{ subscriptionIdentifier: 1 }, 0x81],
    [{ sessionExpiryInterval: 1 }, 0x81],
  ])('is refused with properties that nobody could send on: %j', async (properties, reasonCode) => {
    const packet = connectPacket(5, { will: { ...will, properties: properties as NonNullable<Will['properties']> } })
    const { session, send } = await createBrokerAdapter(anonymous).connect(packet)
    expect(session).toBeUndefined()
    expect(send.reasonCode).toBe(reasonCode)
  })
})

describe('reason string', () => {
  const adapter = createBrokerAdapter(refusing('bad_credentials'), { reasonStrings: true })
  const said = { reasonString: 'refused: user name, client id or password is wrong' }

  it.each([
    ['is sent where the option is on', 5, undefined, said],
    ['is sent where it is asked for', 5, { requestProblemInformation: true }, said],
    ['is not sent where it is not wanted', 5, { requestProblemInformation: false }, undefined],
    ['is not sent where it does not fit', 5, { maximumPacketSize: 60 }, undefined],
    ['is sent where it just fits', 5, { maximumPacketSize: 75 }, said],
    ['does not exist in MQTT 3.1.1', 4, undefined, undefined],
  ] as const)('%s', async (_what, version, properties, expected) => {
    const { send } = await adapter.connect(connectPacket(version, properties && { properties }))
    expect(send.properties).toEqual(expected)
  })

  it('is not sent by default', async () => {
    const { send } = await createBrokerAdapter(refusing('bad_credentials')).connect(connectPacket(5))
    expect(send.properties).toBeUndefined()
  })

  it('is not sent to a client whose properties make no sense', async () => {
    const properties = { maximumPacketSize: [500, 600] as unknown as number }
    const { send } = await adapter.connect(connectPacket(5, { properties }))
    expect(send.properties).toBeUndefined()
  })
})
