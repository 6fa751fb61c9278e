import type { SubscribeRule } from 'mqtt-warden'
import type { BrokerAdapterOptions, SubscribePacket, SubscriptionRequest } from 'mqtt-warden/broker'
import { describe, expect, it, vi } from 'vitest'
import { CODES, connected, connectedAndRefused, onTheWire, REASONS, VERSIONS } from './fixture.js'

const OPTIONS = { noLocal: false, retainAsPublished: false, retainHandling: 'send_retain' } as const

const subscribe = (...subscriptions: SubscriptionRequest[]): SubscribePacket => ({ messageId: 9, subscriptions })

async function subscribed(
  version: 3 | 4 | 5,
  subscribeAcl: readonly SubscribeRule[],
  subscriptions: SubscriptionRequest[],
  options: BrokerAdapterOptions = {},
) {
  const { adapter, session, denials } = await connected(version, { subscribeAcl }, options)
  return { ...adapter.subscribe(session, subscribe(...subscriptions)), adapter, session, denials }
}

describe('SUBACK', () => {
  it.each(REASONS.flatMap(reason => VERSIONS.map(version => ({ reason, version }))))(
    'has the code of MQTT $version for $reason',
    async ({ reason, version }) => {
      const { adapter, session } = await connectedAndRefused(version, reason)
      const verdict = adapter.subscribe(session, subscribe({ topic: 'a', qos: 0 }))
      const { suback5, disconnect5 } = CODES[reason]
      if (reason === 'revoked' || reason === 'closed') {
        const send = version === 5 ? { cmd: 'disconnect', reasonCode: disconnect5 } : undefined
        expect(verdict).toEqual({ send, close: true, granted: [], denied: [], reason })
        return
      }
      const granted = [version === 5 ? suback5 : 0x80]
      const send = { cmd: 'suback', messageId: 9, granted }
      expect(verdict).toEqual({ send, close: false, granted: [], denied: [{ filter: 'a', reason }] })
      expect(onTheWire(verdict.send!, version)).toMatchObject({ granted })
    },
  )

  it.each(VERSIONS)('of MQTT %i has one code for each filter, in order, repeated ones included', async version => {
    const subscribeAcl = [{ pattern: 'a/+', maxQos: 1 as const }, { pattern: 'b' }]
    const { send, granted, denied, denials } = await subscribed(version, subscribeAcl, [
      { topic: 'b', qos: 2 },
      { topic: 'a/#', qos: 0 },
      { topic: 'a/1', qos: 1 },
      { topic: 'a/1', qos: 2 },
      { topic: 'b', qos: 0 },
      { topic: 'a#', qos: 0 },
    ])
    const refused = version === 5 ? [0x87, 0x87, 0x8f] : [0x80, 0x80, 0x80]
    expect(send).toEqual({ cmd: 'suback', messageId: 9, granted: [2, refused[0], 1, refused[1], 0, refused[2]] })
    expect(granted.map(({ filter, qos }) => [filter, qos])).toEqual([
      ['b', 2],
      ['a/1', 1],
      ['b', 0],
    ])
    expect(denied).toEqual([
      { filter: 'a/#', reason: 'no_matching_rule' },
      { filter: 'a/1', reason: 'no_matching_rule' },
      { filter: 'a#', reason: 'filter_invalid' },
    ])
    expect(denials.map(({ filter }) => filter)).toEqual(['a/#', 'a/1', 'a#'])
    expect(onTheWire(send!, version)).toMatchObject({ granted: (send as { granted: number[] }).granted })
  })

  it('says in words why the first filter was refused, where that is wanted and fits', async () => {
    const rows = [{ topic: 'a', qos: 0 } as const, { topic: 'b#', qos: 0 } as const]
    const options = { reasonStrings: true }
    const wanted = await subscribed(5, [], rows, options)
    expect(wanted.send?.properties).toEqual({ reasonString: 'refused: no rule allows it' })
    const granted = await subscribed(5, [{ pattern: '#' }], [{ topic: 'a', qos: 0 }], options)
    expect(granted.send?.properties).toBeUndefined()
    const older = await subscribed(4, [], rows, options)
    expect(older.send).toEqual({ cmd: 'suback', messageId: 9, granted: [0x80, 0x80] })
    const { adapter, session } = await connected(5, {}, options, { properties: { maximumPacketSize: 100 } })
    const many = Array.from({ length: 60 }, () => ({ topic: 'a', qos: 0 }) as const)
    expect(adapter.subscribe(session, subscribe(...many)).send?.properties).toBeUndefined()
  })
})

describe('a SUBSCRIBE of many filters', () => {
  const filters = (count: number) => Array.from({ length: count }, (_, at) => ({ topic: `a/${at}`, qos: 0 }) as const)

  it.each(VERSIONS)('is refused as a whole beyond maxFilters, and the connection stays, in MQTT %i', async version => {
    const options = { maxFilters: 3, reasonStrings: true }
    const { adapter, session, denials } = await connected(version, { subscribeAcl: [{ pattern: '#' }] }, options)
    const { send, ...verdict } = adapter.subscribe(session, subscribe(...filters(4)))
    const granted = Array(4).fill(version === 5 ? 0x97 : 0x80)
    const properties = { reasonString: 'refused: the packet has too many topic filters' }
    expect(send).toEqual({ cmd: 'suback', messageId: 9, granted, ...(version === 5 && { properties }) })
    expect(verdict).toEqual({ close: false, granted: [], denied: [], reason: 'quota_exceeded' })
    expect(onTheWire(send!, version)).toMatchObject({ granted })
    expect(denials).toEqual([])
    const next = adapter.subscribe(session, subscribe(...filters(3)))
    expect(next.granted).toHaveLength(3)
    expect(next).not.toHaveProperty('reason')
  })

  it('may have 10,000 of them unless told otherwise, and of a hundred thousand none is judged', async () => {
    const { adapter, session } = await connected(5, { subscribeAcl: [{ pattern: '#' }] })
    expect(adapter.subscribe(session, subscribe(...filters(10_000))).granted).toHaveLength(10_000)
    const looks = vi.spyOn(session.rights, 'authorizeSubscribe')
    const { send, reason } = adapter.subscribe(session, subscribe(...filters(100_000)))
    expect(reason).toBe('quota_exceeded')
    expect((send as { granted: number[] }).granted).toHaveLength(100_000)
    expect(looks).not.toHaveBeenCalled()
  })

  it('ends the connection of a session that is over, however many they are', async () => {
    const { adapter, session } = await connected(5, { subscribeAcl: [{ pattern: '#' }] }, { maxFilters: 3 })
    session.close()
    expect(adapter.subscribe(session, subscribe(...filters(4)))).toMatchObject({ close: true, reason: 'closed' })
  })

  it('closes the connection where it cannot be answered, however many they are', async () => {
    const { adapter, session } = await connected(5, {}, { maxFilters: 1 })
    const verdict = adapter.subscribe(session, { messageId: 0, subscriptions: filters(2) })
    expect(verdict).toMatchObject({ close: true, reason: 'malformed_packet' })
  })
})

describe('a grant', () => {
  it('keeps what was asked for, and with which options', async () => {
    const { granted } = await subscribed(
      5,
      [{ pattern: '#' }],
      [
        { topic: 'a', qos: 1 },
        { topic: 'b', qos: 0, nl: true, rap: true, rh: 2 },
        { topic: 'c', qos: 0, nl: false, rap: false, rh: 1 },
      ],
    )
    expect(granted).toEqual([
      { requested: 'a', requestedQos: 1, filter: 'a', qos: 1, options: OPTIONS },
      {
        requested: 'b',
        requestedQos: 0,
        filter: 'b',
        qos: 0,
        options: { noLocal: true, retainAsPublished: true, retainHandling: 'dont_send' },
      },
      {
        requested: 'c',
        requestedQos: 0,
        filter: 'c',
        qos: 0,
        options: { noLocal: false, retainAsPublished: false, retainHandling: 'send_if_new_sub' },
      },
    ])
  })

  it.each(VERSIONS)('of a rule that rewrites has its filter, QoS and options, in MQTT %i', async version => {
    const rewritten = { filter: 'x/#', qos: 1, noLocal: true, retainAsPublished: false } as const
    const modifiers = [{ ...rewritten, retainHandling: 'dont_send' }] as const
    const { send, granted } = await subscribed(
      version,
      [{ pattern: 'a', modifiers }],
      [{ topic: 'a', qos: 2, rap: true }],
    )
    expect(granted).toEqual([
      {
        requested: 'a',
        requestedQos: 2,
        filter: 'x/#',
        qos: 1,
        options: { noLocal: true, retainAsPublished: false, retainHandling: 'dont_send' },
      },
    ])
    expect(send).toMatchObject({ granted: [1] })
  })

  it('of a rule that rewrites has the options of the request where the rule names none', async () => {
    const modifiers = [{ filter: 'x', qos: 0 }] as const
    const request = { topic: 'a', qos: 0, nl: true, rap: true, rh: 1 } as const
    const { granted } = await subscribed(5, [{ pattern: 'a', modifiers }], [request])
    const options = { noLocal: true, retainAsPublished: true, retainHandling: 'send_if_new_sub' }
    expect(granted).toMatchObject([{ filter: 'x', options }])
  })

  it('of a rule that rewrites lets the client receive what the new filter matches', async () => {
    const modifiers = [{ filter: 'x/#', qos: 0 }] as const
    const { adapter, session } = await subscribed(5, [{ pattern: 'a', modifiers }], [{ topic: 'a', qos: 0 }])
    expect(adapter.deliver(session, { topic: 'x/1' }).allow).toBe(true)
    expect(adapter.deliver(session, { topic: 'y' }).allow).toBe(false)
  })

  it('is not made by a rule that rewrites to a refusal', async () => {
    const modifiers = [{ filter: 'x', qos: 128 }] as const
    const { send, granted, denials } = await subscribed(5, [{ pattern: 'a', modifiers }], [{ topic: 'a', qos: 0 }])
    expect(granted).toEqual([])
    expect(send).toMatchObject({ granted: [0x87] })
    expect(denials).toMatchObject([{ filter: 'a', decision: { reason: 'no_matching_rule' } }])
  })

  it.each([
    ['no filter', []],
    [
      'two filters',
      [
        { filter: 'x', qos: 0 },
        { filter: 'y', qos: 0 },
      ],
    ],
    ['a filter that is none', [{ filter: 'x#', qos: 0 }]],
    ['a shared one that the broker does not have', [{ filter: '$share/g/x', qos: 0 }]],
  ] as const)('is not made by a rule that rewrites to %s', async (_what, modifiers) => {
    const { send, denied } = await subscribed(5, [{ pattern: 'a', modifiers }], [{ topic: 'a', qos: 0 }])
    expect(denied).toEqual([{ filter: 'a', reason: 'modifiers_unsupported' }])
    expect(send).toMatchObject({ granted: [0x83] })
  })
})

describe('a shared subscription', () => {
  const subscribeAcl = [{ pattern: 'jobs/#' }]
  const shared = { topic: '$share/workers/jobs/+', qos: 1 } as const

  it('is granted to MQTT 5 where the broker has it, and judged by its filter', async () => {
    const options = { sharedSubscriptions: true }
    const { granted, send } = await subscribed(5, subscribeAcl, [shared, { topic: '$share/w/other', qos: 0 }], options)
    expect(granted).toEqual([
      { requested: shared.topic, requestedQos: 1, shareName: 'workers', filter: 'jobs/+', qos: 1, options: OPTIONS },
    ])
    expect(send).toMatchObject({ granted: [1, 0x87] })
  })

  it('may be what a rule rewrites to', async () => {
    const modifiers = [{ filter: shared.topic, qos: 0 }] as const
    const rules = [{ pattern: 'jobs', modifiers }]
    const { granted } = await subscribed(5, rules, [{ topic: 'jobs', qos: 0 }], { sharedSubscriptions: true })
    expect(granted).toMatchObject([{ requested: 'jobs', shareName: 'workers', filter: 'jobs/+' }])
  })

  it.each([
    { version: 3, sharedSubscriptions: true, code: 0x80 },
    { version: 4, sharedSubscriptions: true, code: 0x80 },
    { version: 5, sharedSubscriptions: false, code: 0x9e },
  ] as const)('is refused in MQTT $version with sharedSubscriptions: $sharedSubscriptions', async row => {
    const { version, sharedSubscriptions, code } = row
    const { send, denied } = await subscribed(version, [{ pattern: '#' }], [shared], { sharedSubscriptions })
    expect(send).toMatchObject({ granted: [code] })
    expect(denied).toEqual([{ filter: shared.topic, reason: 'shared_subscription_unsupported' }])
  })

  it.each(['$share/', '$share/g', '$share//a', '$share/g/', '$share/+/a', '$share/g/a#'])(
    'is invalid as %s',
    async topic => {
      const options = { sharedSubscriptions: true }
      const { denied } = await subscribed(5, [{ pattern: '#' }], [{ topic, qos: 0 }], options)
      expect(denied).toEqual([{ filter: topic, reason: 'filter_invalid' }])
    },
  )

  it('with No Local ends the connection [MQTT-3.8.3-4]', async () => {
    const options = { sharedSubscriptions: true }
    const { send, close } = await subscribed(5, subscribeAcl, [{ ...shared, nl: true }], options)
    expect(send).toEqual({ cmd: 'disconnect', reasonCode: 0x82 })
    expect(close).toBe(true)
  })
})

describe('a SUBSCRIBE against the protocol', () => {
  it.each([
    ['without a filter', { messageId: 9, subscriptions: [] }, 'protocol_error', 0x82],
    ['with packet id 0', { messageId: 0, subscriptions: [{ topic: 'a', qos: 0 }] }, 'malformed_packet', 0x81],
    ['without packet id', { subscriptions: [{ topic: 'a', qos: 0 }] }, 'malformed_packet', 0x81],
    ['without subscriptions', { messageId: 9 }, 'malformed_packet', 0x81],
    ['with a filter that is null', { messageId: 9, subscriptions: [null] }, 'malformed_packet', 0x81],
    ['with a filter that is no text', { messageId: 9, subscriptions: [{ qos: 0 }] }, 'malformed_packet', 0x81],
    ['without QoS', { messageId: 9, subscriptions: [{ topic: 'a' }] }, 'malformed_packet', 0x81],
    [
      'with Retain Handling 3',
      { messageId: 9, subscriptions: [{ topic: 'a', qos: 0, rh: 3 }] },
      'protocol_error',
      0x82,
    ],
    ['with another', { messageId: 9, subscriptions: [{ topic: 'a', qos: 0, rh: {} }] }, 'protocol_error', 0x82],
    ['of QoS 3', { messageId: 9, subscriptions: [{ topic: 'a', qos: 3 }] }, 'malformed_packet', 0x81],
  ] as const)('%s ends the connection', async (_what, packet, reason, reasonCode) => {
    for (const version of VERSIONS) {
      const { adapter, session } = await connected(version, { subscribeAcl: [{ pattern: '#' }] })
      const send = version === 5 ? { cmd: 'disconnect', reasonCode } : undefined
      expect(adapter.subscribe(session, packet as unknown as SubscribePacket)).toEqual({
        send,
        close: true,
        granted: [],
        denied: [],
        reason,
      })
    }
  })
})
