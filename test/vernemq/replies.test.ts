import { describe, expect, it } from 'vitest'
import { createMemoryStore, type PublishModifiers, type SubscribeTarget } from '../../src/index.js'
import { HOOKS } from '../../src/vernemq/hooks.js'
import { bodyOf, keyOf, open, recordOf } from './support.js'

const JSON_HEADERS = { 'content-type': 'application/json' }
const CLIENT = { mountpoint: '', client_id: 'c1' }
const USER = { username: 'u1', ...CLIENT }
const MESSAGE = { qos: 1, topic: 't', payload: 'bQ==', retain: false }
const PEER = { peer_addr: '127.0.0.1', peer_port: 1, ...USER }

const rules = { publishAcl: [{ pattern: 'yes' }], subscribeAcl: [{ pattern: 'yes' }] }

/** Each hook with the bytes VerneMQ 2.1 and 2.2 take for it. */
const FIXTURES: readonly (readonly [hook: string, body: object, reply: string])[] = [
  ['auth_on_register', bodyOf.register(), '{"result":"ok"}'],
  ['auth_on_register', bodyOf.register({ password: 'x' }), '{"result":{"error":"bad_credentials"}}'],
  ['auth_on_register_m5', bodyOf.registerV5(), '{"result":"ok"}'],
  ['auth_on_register_m5', bodyOf.registerV5({ username: 'nobody' }), '{"result":{"error":"bad_credentials"}}'],
  ['auth_on_publish', bodyOf.publish('yes'), '{"result":"ok"}'],
  ['auth_on_publish', bodyOf.publish('no'), '{"result":{"error":"no_matching_rule"}}'],
  ['auth_on_publish_m5', bodyOf.publishV5('yes'), '{"result":"ok"}'],
  ['auth_on_publish_m5', bodyOf.publishV5('no'), '{"result":{"error":"no_matching_rule"}}'],
  ['auth_on_subscribe', bodyOf.subscribe([['yes', 1]]), '{"result":"ok"}'],
  ['auth_on_subscribe', bodyOf.subscribe([['no', 1]]), '{"result":{"error":"no_matching_rule"}}'],
  [
    'auth_on_subscribe',
    bodyOf.subscribe([
      ['no', 2],
      ['yes', 1],
    ]),
    '{"result":"ok","topics":[{"topic":"no","qos":128},{"topic":"yes","qos":1}]}',
  ],
  ['auth_on_subscribe_m5', bodyOf.subscribeV5([['yes', 1]]), '{"result":"ok"}'],
  ['auth_on_subscribe_m5', bodyOf.subscribeV5([['no', 1]]), '{"result":{"error":"no_matching_rule"}}'],
  [
    'auth_on_subscribe_m5',
    bodyOf.subscribeV5([
      ['no', 2],
      ['yes', 1],
    ]),
    '{"result":{"error":"no_matching_rule"}}',
  ],
  ['on_unsubscribe', bodyOf.unsubscribe(['no', 'yes']), '{"result":"ok"}'],
  ['on_unsubscribe_m5', bodyOf.unsubscribe(['no'], { properties: {} }), '{"result":"ok"}'],
  ['on_deliver', { ...USER, ...MESSAGE, properties: {} }, '{"result":"ok"}'],
  ['on_deliver_m5', { ...USER, ...MESSAGE, properties: {} }, '{"result":"ok"}'],
  [
    'on_auth_m5',
    { ...USER, client_id: 'undefined', properties: { p_authentication_method: 'm', p_authentication_data: 'AA==' } },
    '{"result":{"error":"bad_credentials"}}',
  ],
  ['on_register', PEER, '{}'],
  ['on_register_m5', { ...PEER, properties: {} }, '{}'],
  ['on_publish', { ...USER, ...MESSAGE }, '{}'],
  ['on_publish_m5', { ...USER, ...MESSAGE, properties: {} }, '{}'],
  ['on_subscribe', { ...USER, topics: [{ topic: 'no', qos: 128 }] }, '{}'],
  ['on_subscribe_m5', { ...USER, topics: [{ topic: 'no', qos: 128 }], properties: {} }, '{}'],
  ['on_offline_message', { ...CLIENT, ...MESSAGE }, '{}'],
  ['on_client_wakeup', CLIENT, '{}'],
  ['on_client_offline', CLIENT, '{}'],
  ['on_client_gone', CLIENT, '{}'],
  ['on_session_expired', CLIENT, '{}'],
]

describe('answers to the hooks', () => {
  it.each(FIXTURES)('%s %j -> %s', async (hook, body, reply) => {
    const { handler } = open([[keyOf('c1'), recordOf(rules)]])
    expect(await handler.handle(hook, body)).toEqual({ status: 200, headers: JSON_HEADERS, body: reply })
  })

  it('cover all 22 hooks', () => {
    expect(HOOKS.size).toBe(22)
    expect(new Set(FIXTURES.map(([hook]) => hook))).toEqual(new Set(HOOKS.keys()))
  })

  it('refuse single filters of MQTT 5 where the operator says that the cluster can', async () => {
    const { ask } = open([[keyOf('c1'), recordOf(rules)]], { perTopicDenial: 'v2.2' })
    const body = bodyOf.subscribeV5([
      ['no', 2],
      ['yes', 1, { no_local: true, rap: true, retain_handling: 'dont_send' }],
    ])
    expect(await ask('auth_on_subscribe_m5', body)).toBe(
      '{"result":"ok","modifiers":{"topics":[{"topic":"no","qos":128},' +
        '{"topic":"yes","qos":1,"no_local":true,"rap":true,"retain_handling":"dont_send"}]}}',
    )
    // A list of nothing but refusals is given as a whole: reauthorization drops a subscription for an error only.
    expect(await ask('auth_on_subscribe_m5', bodyOf.subscribeV5([['no', 2]]))).toBe(
      '{"result":{"error":"no_matching_rule"}}',
    )
  })
})

describe('modifiers of publish rules', () => {
  const all: PublishModifiers = {
    topic: 'new/töpic',
    payload: 'grüße',
    qos: 0,
    retain: false,
    mountpoint: 'mp',
    throttle: 10,
    properties: {
      userProperties: [
        ['k', 'v'],
        ['ü', ''],
      ],
      messageExpiryInterval: 60,
      contentType: 'text/plain',
      payloadFormatIndicator: 'utf8',
      responseTopic: 'r',
      correlationData: 'c',
      willDelayInterval: 5,
    },
  }
  const plain = '"topic":"new/töpic","payload":"Z3LDvMOfZQ==","qos":0,"retain":false,"mountpoint":"mp","throttle":10'
  const properties =
    '"properties":{"p_user_property":[{"key":"aw==","val":"dg=="},{"key":"w7w=","val":""}],' +
    '"p_message_expiry_interval":60,"p_content_type":"text/plain","p_payload_format_indicator":"utf8",' +
    '"p_response_topic":"r","p_correlation_data":"c","p_will_delay_interval":5}'

  const cases: readonly (readonly [string, PublishModifiers, string, string])[] = [
    [
      'every one',
      all,
      `{"result":"ok","modifiers":{${plain}}}`,
      `{"result":"ok","modifiers":{${plain},${properties}}}`,
    ],
    ['none', {}, '{"result":"ok"}', '{"result":"ok"}'],
    [
      'properties only',
      { properties: { contentType: 'x' } },
      '{"result":"ok"}',
      '{"result":"ok","modifiers":{"properties":{"p_content_type":"x"}}}',
    ],
    ['empty properties', { properties: {} }, '{"result":"ok"}', '{"result":"ok"}'],
    ['no user property', { properties: { userProperties: [] } }, '{"result":"ok"}', '{"result":"ok"}'],
  ]

  it.each(cases)('%s become what each version takes', async (_name, modifiers, v3, v5) => {
    const { ask } = open([[keyOf('c1'), recordOf({ publishAcl: [{ pattern: 't', modifiers }] })]])
    for (let again = 0; again < 2; again++) {
      expect(await ask('auth_on_publish', bodyOf.publish('t'))).toBe(v3)
      expect(await ask('auth_on_publish_m5', bodyOf.publishV5('t'))).toBe(v5)
    }
  })

  it('leave the payload as text where the endpoint has no base64', async () => {
    const record = recordOf({ publishAcl: [{ pattern: 't', modifiers: { payload: 'grüße' } }] })
    const { ask } = open([[keyOf('c1'), record]], { base64encode: false })
    const reply = await ask('auth_on_publish', bodyOf.publish('t', { payload: 'x' }))
    expect(reply).toBe('{"result":"ok","modifiers":{"payload":"grüße"}}')
  })
})

describe('modifiers of subscribe rules', () => {
  const withTargets = (modifiers: readonly SubscribeTarget[]) =>
    recordOf({ subscribeAcl: [{ pattern: 'old/+', modifiers }, { pattern: 'plain' }] })

  it('replace the filter in its place, and keep what else was asked', async () => {
    const { ask } = open([[keyOf('c1'), withTargets([{ filter: 'new/a', qos: 1 }])]])
    expect(
      await ask(
        'auth_on_subscribe',
        bodyOf.subscribe([
          ['plain', 2],
          ['old/a', 0],
        ]),
      ),
    ).toBe('{"result":"ok","topics":[{"topic":"plain","qos":2},{"topic":"new/a","qos":1}]}')
    expect(await ask('auth_on_subscribe_m5', bodyOf.subscribeV5([['old/a', 0, { no_local: true }]]))).toBe(
      '{"result":"ok","modifiers":{"topics":[' +
        '{"topic":"new/a","qos":1,"no_local":true,"rap":false,"retain_handling":"send_retain"}]}}',
    )
  })

  it('may set the options of MQTT 5', async () => {
    const target: SubscribeTarget = {
      filter: 'new/a',
      qos: 1,
      noLocal: false,
      retainAsPublished: true,
      retainHandling: 'send_if_new_sub',
    }
    const { ask } = open([[keyOf('c1'), withTargets([target])]])
    expect(await ask('auth_on_subscribe_m5', bodyOf.subscribeV5([['old/a', 0, { no_local: true }]]))).toBe(
      '{"result":"ok","modifiers":{"topics":[' +
        '{"topic":"new/a","qos":1,"no_local":false,"rap":true,"retain_handling":"send_if_new_sub"}]}}',
    )
  })

  it('refuse the filter with the QoS 128', async () => {
    const { ask, denied } = open([[keyOf('c1'), withTargets([{ filter: 'old/a', qos: 128 }])]])
    expect(
      await ask(
        'auth_on_subscribe',
        bodyOf.subscribe([
          ['old/a', 0],
          ['plain', 0],
        ]),
      ),
    ).toBe('{"result":"ok","topics":[{"topic":"old/a","qos":128},{"topic":"plain","qos":0}]}')
    expect(denied).toMatchObject([{ filter: 'old/a', decision: { reason: 'no_matching_rule' } }])
  })

  it.each([
    ['none', []],
    ['two', [{ filter: 'a', qos: 0 } as const, { filter: 'b', qos: 0 } as const]],
  ])('are refused with %s filters in place of one, since the SUBACK would be malformed', async (_name, targets) => {
    // No record of ours says that; VerneMQ's own reading of one does.
    const getStored = async () => ({ record: withTargets(targets), digest: '' })
    const { ask } = open([], {}, { store: Object.assign(createMemoryStore(), { getStored }) })
    expect(await ask('auth_on_subscribe', bodyOf.subscribe([['old/a', 0]]))).toBe(
      '{"result":{"error":"modifiers_unsupported"}}',
    )
  })

  it('rewrite the UNSUBSCRIBE too, quietly', async () => {
    const { ask, denied } = open([[keyOf('c1'), withTargets([{ filter: 'new/a', qos: 1 }])]])
    const topics = ['other', 'old/a', 'plain']
    expect(await ask('on_unsubscribe', bodyOf.unsubscribe(topics))).toBe(
      '{"result":"ok","topics":["other","new/a","plain"]}',
    )
    expect(await ask('on_unsubscribe_m5', bodyOf.unsubscribe(topics, { properties: {} }))).toBe(
      '{"result":"ok","modifiers":{"topics":["other","new/a","plain"]}}',
    )
    expect(await ask('on_unsubscribe', bodyOf.unsubscribe(topics, { username: 'nobody' }))).toBe('{"result":"ok"}')
    expect(denied).toEqual([])
  })
})
