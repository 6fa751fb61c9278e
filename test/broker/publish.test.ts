import type { PublishModifiers, Qos } from 'mqtt-warden'
import type { BrokerAdapterOptions, MessageProperties, PublishPacket } from 'mqtt-warden/broker'
import { describe, expect, it } from 'vitest'
import { CODES, connected, connectedAndRefused, onTheWire, publishPacket, REASONS, VERSIONS } from './fixture.js'

const QOS = [0, 1, 2] as const
const everything = { publishAcl: [{ pattern: '#' }] }
const ACKS = [undefined, 'puback', 'pubrec'] as const

describe('a PUBLISH that is allowed', () => {
  it.each(VERSIONS.flatMap(version => QOS.map(qos => ({ version, qos }))))(
    'is delivered and acknowledged as MQTT $version wants it at QoS $qos',
    async ({ version, qos }) => {
      const { adapter, session } = await connected(version, everything)
      const packet = publishPacket({ qos })
      const verdict = adapter.publish(session, packet)
      expect(verdict).toMatchObject({ action: 'deliver', close: false })
      expect(verdict.action === 'deliver' && verdict.packet).toBe(packet)
      const ack = qos === 0 ? undefined : { cmd: ACKS[qos], messageId: 7, ...(version === 5 && { reasonCode: 0 }) }
      expect(verdict.send).toEqual(ack)
      if (verdict.send !== undefined) expect(onTheWire(verdict.send, version)).toMatchObject({ messageId: 7 })
    },
  )
})

/** What a refusal must become, read from the texts: one row for each version, QoS and option. */
function expected(
  version: 3 | 4 | 5,
  qos: Qos,
  reason: (typeof REASONS)[number],
  options: BrokerAdapterOptions,
): { action: string; send: unknown } {
  const { ack5, disconnect5 } = CODES[reason]
  const disconnect = {
    action: 'disconnect',
    send: version === 5 ? { cmd: 'disconnect', reasonCode: disconnect5 } : undefined,
  }
  const ack = qos === 0 ? undefined : { cmd: ACKS[qos], messageId: 7 }
  if (reason === 'revoked' || reason === 'closed') return disconnect
  if (version === 5) {
    if (qos === 0 && options.onDeniedQos0 === 'disconnect') return disconnect
    return { action: 'drop', send: ack && { ...ack, reasonCode: ack5 } }
  }
  const closes = options.onDeniedPublish === 'close' || (options.onDeniedPublish === undefined && version === 4)
  return closes || reason === 'topic_invalid' ? disconnect : { action: 'drop', send: ack }
}

describe('a PUBLISH that is refused', () => {
  const settings: readonly BrokerAdapterOptions[] = [
    {},
    { onDeniedPublish: 'close' },
    { onDeniedPublish: 'drop' },
    { onDeniedQos0: 'drop' },
    { onDeniedQos0: 'disconnect' },
  ]
  const rows = REASONS.flatMap(reason => VERSIONS.map(version => ({ reason, version })))

  it.each(rows)(
    'for $reason is answered as MQTT $version can, at every QoS and option',
    async ({ reason, version }) => {
      for (const options of settings) {
        const { adapter, session } = await connectedAndRefused(version, reason, options)
        for (const qos of QOS) {
          const verdict = adapter.publish(session, publishPacket({ qos }))
          const { action, send } = expected(version, qos, reason, options)
          expect(verdict, JSON.stringify({ options, qos })).toEqual({
            action,
            send,
            close: action === 'disconnect',
            reason,
          })
          if (verdict.send !== undefined) expect(onTheWire(verdict.send, version)).toMatchObject(send as object)
        }
      }
    },
  )

  it('is seen as a denial with topic, reason and nearest rule', async () => {
    const { adapter, session, denials } = await connected(5, { publishAcl: [{ pattern: 'hello' }] })
    const { send } = adapter.publish(session, publishPacket({ topic: 'say', qos: 1 }))
    expect(send).toEqual({ cmd: 'puback', messageId: 7, reasonCode: 0x87 })
    expect(denials).toMatchObject([{ action: 'publish', topic: 'say', decision: { reason: 'no_matching_rule' } }])
  })

  it.each([
    ['QoS', { qos: 1 }],
    ['retain flag', { retain: true }],
    ['payload', { payload: Buffer.alloc(5) }],
    ['payload counted in bytes', { payload: 'ééé' }],
  ] as const)('for its %s misses the limit of the rule', async (_what, change) => {
    const publishAcl = [{ pattern: 't', maxQos: 0 as const, maxPayloadSize: 4, allowedRetain: false }]
    const { adapter, session } = await connected(5, { publishAcl })
    expect(adapter.publish(session, publishPacket()).action).toBe('deliver')
    expect(adapter.publish(session, publishPacket(change)).action).toBe('drop')
  })

  it.each(['a/#', '+', 'a\0b', '\ud800'])(
    'for the topic name %j has 0x90 in MQTT 5, and closes older versions',
    async topic => {
      const five = await connected(5, everything)
      expect(five.adapter.publish(five.session, publishPacket({ topic, qos: 1 })).send).toMatchObject({
        reasonCode: 0x90,
      })
      for (const version of [3, 4] as const) {
        const { adapter, session } = await connected(version, everything, { onDeniedPublish: 'drop' })
        expect(adapter.publish(session, publishPacket({ topic }))).toMatchObject({
          action: 'disconnect',
          send: undefined,
        })
      }
    },
  )

  it('says why in words where that is wanted', async () => {
    const { adapter, session } = await connected(5, {}, { reasonStrings: true })
    const { send } = adapter.publish(session, publishPacket({ qos: 2 }))
    const properties = { reasonString: 'refused: no rule allows it' }
    expect(send).toEqual({ cmd: 'pubrec', messageId: 7, reasonCode: 0x87, properties })
    expect(onTheWire(send!, 5)).toMatchObject({ properties })
  })

  it('closes the connection of a session that is over', async () => {
    const { adapter, session } = await connected(5, everything)
    session.close()
    expect(session.isOver).toBe(true)
    expect(adapter.publish(session, publishPacket())).toMatchObject({ action: 'disconnect', reason: 'closed' })
  })
})

describe('a PUBLISH against the protocol', () => {
  const properties = (value: unknown) => ({ properties: value as MessageProperties })
  const rows: [string, Partial<PublishPacket>, number][] = [
    ['without a packet id', { qos: 1, messageId: -1 }, 0x81],
    ['with packet id 0', { qos: 2, messageId: 0 }, 0x81],
    ['with a packet id beyond two bytes', { qos: 1, messageId: 65_536 }, 0x81],
    ['of QoS 3', { qos: 3 as 2, messageId: 1 }, 0x81],
    ['without topic name or alias', { topic: '' }, 0x82],
    ['whose topic is no text', { topic: undefined as unknown as string }, 0x81],
    ['without a payload', { payload: undefined as unknown as string }, 0x81],
    ['whose properties are null', properties(null), 0x81],
    ['that names a subscription', properties({ subscriptionIdentifier: 1 }), 0x82],
    ['that says its content type twice', properties({ contentType: ['a', 'b'] }), 0x82],
    ['that wants answers on a wildcard', properties({ responseTopic: 'a/+' }), 0x82],
    ['that wants answers nowhere', properties({ responseTopic: '' }), 0x82],
    ['with a property of other packets', properties({ sessionExpiryInterval: 10 }), 0x81],
    ['with a property of wills', properties({ willDelayInterval: 5 }), 0x81],
    ['with a property named as what objects inherit', properties({ constructor: 'a' }), 0x81],
    ['whose properties are a list', properties(['a']), 0x81],
    ['whose content type is no text', properties({ contentType: 1 }), 0x81],
    ['whose correlation data are no bytes', properties({ correlationData: true }), 0x81],
    ['whose payload format is no flag', properties({ payloadFormatIndicator: 'utf8' }), 0x81],
    ['that expires after more than four bytes can say', properties({ messageExpiryInterval: 2 ** 32 }), 0x81],
    ['whose user properties are a list', properties({ userProperties: ['a'] }), 0x81],
    ['whose user properties are null', properties({ userProperties: null }), 0x81],
    ['with a property cut short', properties({ contentType: null }), 0x81],
    ['with a number cut short', properties({ messageExpiryInterval: -1 }), 0x81],
    ['with U+0000 in its content type', properties({ contentType: 'a\0' }), 0x81],
    ['with a user property cut short', properties({ userProperties: { a: null } }), 0x81],
    ['with U+0000 in the name of a user property', properties({ userProperties: { 'a\0': 'b' } }), 0x81],
    ['with U+0000 in one of several user properties', properties({ userProperties: { a: ['b', '\0'] } }), 0x81],
  ]

  it.each(rows)('%s ends the connection of an MQTT 5 client', async (_what, change, reasonCode) => {
    const { adapter, session, denials } = await connected(5, everything)
    const verdict = adapter.publish(session, publishPacket(change))
    expect(verdict).toMatchObject({ action: 'disconnect', close: true, send: { cmd: 'disconnect', reasonCode } })
    expect(denials).toEqual([])
  })

  it('ends the connection of an older client without a word', async () => {
    for (const version of [3, 4] as const) {
      const { adapter, session } = await connected(version, everything, { onDeniedPublish: 'drop' })
      const verdict = adapter.publish(session, publishPacket({ qos: 1, messageId: -1 }))
      expect(verdict).toEqual({ action: 'disconnect', send: undefined, close: true, reason: 'malformed_packet' })
    }
  })

  it('leaves properties alone that can be sent on', async () => {
    const { adapter, session } = await connected(5, everything)
    const sound: MessageProperties = {
      payloadFormatIndicator: true,
      messageExpiryInterval: 0,
      responseTopic: 'a/b',
      correlationData: Buffer.from([0, 255]),
      userProperties: { a: ['b', 'c'], __proto__: 'd' },
      contentType: '',
    }
    const packet = publishPacket({ properties: sound })
    expect(adapter.publish(session, packet)).toMatchObject({ action: 'deliver', packet: { properties: sound } })
  })
})

describe('a topic alias', () => {
  const options = { topicAliasMaximum: 2 }
  const aliased = (topic: string, topicAlias: number) =>
    publishPacket({ topic, properties: { topicAlias, contentType: 'text/plain' } })

  it('stands for the topic name it was defined with, and does not travel with the message', async () => {
    const { adapter, session } = await connected(5, { publishAcl: [{ pattern: 'a' }] }, options)
    const first = adapter.publish(session, aliased('a', 1))
    const second = adapter.publish(session, aliased('', 1))
    for (const verdict of [first, second]) {
      expect(verdict).toMatchObject({ action: 'deliver' })
      const packet = verdict.action === 'deliver' ? verdict.packet : undefined
      expect(packet).toMatchObject({ topic: 'a', properties: { contentType: 'text/plain' } })
      expect(packet?.properties).not.toHaveProperty('topicAlias')
    }
  })

  it('is decided by the topic name it stands for, and can be defined anew', async () => {
    const { adapter, session, denials } = await connected(5, { publishAcl: [{ pattern: 'a' }] }, options)
    expect(adapter.publish(session, aliased('a', 1)).action).toBe('deliver')
    expect(adapter.publish(session, aliased('b', 1)).action).toBe('drop')
    expect(adapter.publish(session, aliased('', 1)).action).toBe('drop')
    expect(denials.map(({ topic }) => topic)).toEqual(['b', 'b'])
  })

  it('is known to its own connection only', async () => {
    const { adapter, authorizer, session } = await connected(5, everything, options)
    const other = await connected(5, everything, options)
    expect(adapter.publish(session, aliased('a', 1)).action).toBe('deliver')
    expect(other.adapter.publish(other.session, aliased('', 1))).toMatchObject({ reason: 'protocol_error' })
    await authorizer.close()
  })

  it.each([
    ['that was not defined', aliased('', 2), 0x82],
    ['of 0', aliased('a', 0), 0x94],
    ['above the maximum', aliased('a', 3), 0x94],
    ['that is given twice', aliased('a', [1, 2] as unknown as number), 0x82],
  ])('%s ends the connection', async (_what, packet, reasonCode) => {
    const { adapter, session } = await connected(5, everything, options)
    expect(adapter.publish(session, packet)).toMatchObject({ action: 'disconnect', send: { reasonCode } })
  })

  it('ends the connection where the broker has none', async () => {
    const { adapter, session } = await connected(5, everything)
    expect(adapter.publish(session, aliased('a', 1))).toMatchObject({ reason: 'topic_alias_invalid' })
  })
})

describe('publish modifiers', () => {
  const publishWith = async (modifiers: PublishModifiers, packet: Partial<PublishPacket> = {}, options = {}) => {
    const { adapter, session, denials } = await connected(5, { publishAcl: [{ pattern: 't', modifiers }] }, options)
    return { verdict: adapter.publish(session, publishPacket(packet)), denials }
  }

  it('replace topic, payload, QoS and retain flag; what came is acknowledged by the QoS it had', async () => {
    const modifiers = { topic: 'x/y', payload: 'é', qos: 0, retain: true } as const
    const { verdict } = await publishWith(modifiers, { qos: 1 })
    expect(verdict).toMatchObject({
      action: 'deliver',
      send: { cmd: 'puback', messageId: 7, reasonCode: 0 },
      packet: { topic: 'x/y', payload: Buffer.from('é'), qos: 0, retain: true },
    })
  })

  it('replace properties, and leave those they do not name', async () => {
    const properties = {
      userProperties: [
        ['a', '1'],
        ['b', '2'],
        ['a', '3'],
        ['__proto__', '4'],
      ],
      messageExpiryInterval: 60,
      contentType: 'text/html',
      payloadFormatIndicator: 'utf8',
      responseTopic: 'r',
      correlationData: 'id',
    } as const
    const given = { userProperties: { z: '0' }, contentType: 'text/plain', responseTopic: 'q' }
    const { verdict } = await publishWith({ properties }, { properties: given })
    const packet = verdict.action === 'deliver' ? verdict.packet : undefined
    const read = onTheWire(packet!, 5) as unknown as PublishPacket
    expect(read.properties).toMatchObject({
      messageExpiryInterval: 60,
      contentType: 'text/html',
      payloadFormatIndicator: true,
      responseTopic: 'r',
      correlationData: Buffer.from('id'),
    })
    expect(Object.entries(read.properties?.userProperties ?? {})).toEqual([
      ['a', ['1', '3']],
      ['b', '2'],
      ['__proto__', '4'],
    ])
    const { verdict: other } = await publishWith(
      { properties: { payloadFormatIndicator: 'undefined' } },
      { properties: given },
    )
    expect(other).toMatchObject({ packet: { properties: { ...given, payloadFormatIndicator: false } } })
  })

  it('leave the packet that came as it was', async () => {
    const packet = publishPacket({ properties: { contentType: 'a' } })
    const before = structuredClone({ ...packet, payload: packet.payload.toString() })
    await publishWith({ topic: 'x', payload: 'y', properties: { contentType: 'b' } }, packet)
    expect({ ...packet, payload: packet.payload.toString() }).toEqual(before)
  })

  it.each<[string, PublishModifiers]>([
    ['another mountpoint', { mountpoint: 'm2' }],
    ['throttling', { throttle: 100 }],
    ['the delay of a will', { properties: { willDelayInterval: 1 } }],
    ['what this version does not know', { colour: 'red' } as PublishModifiers],
  ])('that want %s are refused, never left out', async (_what, modifiers) => {
    const { verdict, denials } = await publishWith({ topic: 'x', ...modifiers }, { qos: 1 })
    expect(verdict).toEqual({
      action: 'drop',
      send: { cmd: 'puback', messageId: 7, reasonCode: 0x83 },
      close: false,
      reason: 'modifiers_unsupported',
    })
    expect(denials).toMatchObject([{ action: 'publish', topic: 't', decision: { reason: 'modifiers_unsupported' } }])
  })

  it('can throttle where the broker says it does', async () => {
    const { verdict } = await publishWith({ throttle: 100 }, {}, { throttling: true })
    expect(verdict).toMatchObject({ action: 'deliver', throttleMs: 100, packet: { topic: 't' } })
  })
})
