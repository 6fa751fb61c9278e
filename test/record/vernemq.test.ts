import { describe, expect, it } from 'vitest'
import { parseRecord } from '../../src/record/index.js'
import { faultOf } from './fault.js'

const parse = (text: string | Uint8Array) => parseRecord(text, { semantics: 'vernemq' })
const publish = (rule: string) => parse(`{"passhash":"h","publish_acl":[${rule}]}`).publishAcl
const subscribe = (rule: string) => parse(`{"passhash":"h","subscribe_acl":[${rule}]}`).subscribeAcl
const publishModified = (modifiers: string) => publish(`{"pattern":"a","modifiers":${modifiers}}`)
const subscribeModified = (modifiers: string) => subscribe(`{"pattern":"a","modifiers":${modifiers}}`)

describe('parseRecord, vernemq: the record', () => {
  it.each([
    ['nothing for no rules', '{"passhash":"h"}'],
    ['{} for no rules', '{"passhash":"h","publish_acl":{},"subscribe_acl":{}}'],
    ['the last of a name that stands there twice', '{"passhash":"g","publish_acl":7,"passhash":"h","publish_acl":[]}'],
    ['text behind a byte order mark', '\ufeff{"passhash":"h"}'],
    ['expires_at null for never', '{"passhash":"h","expires_at":null}'],
  ])('takes %s', (_, text) => {
    expect(parse(text)).toStrictEqual({ passhash: 'h', publishAcl: [], subscribeAcl: [] })
    expect(parse(new TextEncoder().encode(text))).toStrictEqual(parse(text))
  })

  it('takes bytes that are not UTF-8 for U+FFFD', () => {
    const text = '{"passhash":"h","publish_acl":[{"pattern":"?"}]}'
    const bytes = new TextEncoder().encode(text).map(byte => (byte === 0x3f ? 0xff : byte))
    expect(parse(bytes).publishAcl).toStrictEqual([{ pattern: '\ufffd' }])
  })

  it('keeps members it does not know, names of this package among them', () => {
    const record = parse('{"passhash":"h","publishAcl":[{"pattern":"#"}],"note":null}')
    expect(record.publishAcl).toStrictEqual([])
    expect(record.extra).toStrictEqual({ publishAcl: [{ pattern: '#' }], note: null })
  })

  it('heeds expires_at, since whoever wrote it relies on it', () => {
    expect(parse('{"passhash":"h","expires_at":7}').expiresAt).toBe(7)
    const fault = faultOf(() => parse('{"passhash":"h","expires_at":"tomorrow"}'))
    expect(fault).toEqual({ path: 'expires_at', message: 'expires_at: must be an integer from 0 to 8640000000000' })
  })

  it.each([
    ['', '', 'record: is not JSON'],
    ['[]', '', 'record: must be an object'],
    ['{}', 'passhash', 'passhash: is missing'],
    ['{"passhash":null}', 'passhash', 'passhash: must be a string'],
    ['{"passhash":7}', 'passhash', 'passhash: must be a string'],
    ['{"passhash":"h","publish_acl":null}', 'publish_acl', 'publish_acl: must be an array'],
    ['{"passhash":"h","publish_acl":"#"}', 'publish_acl', 'publish_acl: must be an array'],
    ['{"passhash":"h","subscribe_acl":{"pattern":"#"}}', 'subscribe_acl', 'subscribe_acl: must be an array'],
    ['{"passhash":"h","subscribe_acl":["#"]}', 'subscribe_acl[0]', 'subscribe_acl[0]: must be an object'],
    ['{"passhash":"h","subscribe_acl":[["#"]]}', 'subscribe_acl[0]', 'subscribe_acl[0]: must be an object'],
    ['{"passhash":"h","publish_acl":[{"pattern":"a"},null]}', 'publish_acl[1]', 'publish_acl[1]: must be an object'],
    ['{"passhash":"h","x":1e999}', 'x', 'x: is a number out of range'],
  ])('refuses what fails the script or the parse: %s', (text, path, message) => {
    expect(faultOf(() => parse(text))).toEqual({ path, message })
  })
})

describe('parseRecord, vernemq: rules', () => {
  it.each([
    ['pattern absent', '{"max_qos":1}', []],
    ['an empty entry', '{}', []],
    ['an empty array, the same to Lua', '[]', []],
    ['pattern a number', '{"pattern":7}', []],
    ['pattern a boolean', '{"pattern":true}', []],
    ['pattern null, which becomes a text', '{"pattern":null}', [{ pattern: 'null' }]],
    ['pattern an invalid filter, kept and never matched', '{"pattern":"a/#/b"}', [{ pattern: 'a/#/b' }]],
    ['an unpaired surrogate, which becomes U+FFFD', '{"pattern":"\\ud800"}', [{ pattern: '\ufffd' }]],
    ['max_qos 3', '{"pattern":"a","max_qos":3}', [{ pattern: 'a' }]],
    ['max_qos -1', '{"pattern":"a","max_qos":-1}', [{ pattern: 'a' }]],
    ['max_qos a string', '{"pattern":"a","max_qos":"0"}', [{ pattern: 'a' }]],
    ['max_qos null', '{"pattern":"a","max_qos":null}', [{ pattern: 'a' }]],
    ['max_qos 2.1', '{"pattern":"a","max_qos":2.1}', [{ pattern: 'a' }]],
    ['max_qos 1.9, cut to 1', '{"pattern":"a","max_qos":1.9}', [{ pattern: 'a', maxQos: 1 }]],
    ['max_qos 0.9, cut to 0', '{"pattern":"a","max_qos":0.9}', [{ pattern: 'a', maxQos: 0 }]],
    ['max_qos -0', '{"pattern":"a","max_qos":-0}', [{ pattern: 'a', maxQos: 0 }]],
    ['max_payload_size too large', '{"pattern":"a","max_payload_size":268435457}', [{ pattern: 'a' }]],
    ['max_payload_size negative', '{"pattern":"a","max_payload_size":-1}', [{ pattern: 'a' }]],
    ['max_payload_size a string', '{"pattern":"a","max_payload_size":"5"}', [{ pattern: 'a' }]],
    ['max_payload_size 5.9, cut to 5', '{"pattern":"a","max_payload_size":5.9}', [{ pattern: 'a', maxPayloadSize: 5 }]],
    ['allowed_retain a string', '{"pattern":"a","allowed_retain":"false"}', [{ pattern: 'a' }]],
    ['allowed_retain 0', '{"pattern":"a","allowed_retain":0}', [{ pattern: 'a' }]],
    ['allowed_retain false', '{"pattern":"a","allowed_retain":false}', [{ pattern: 'a', allowedRetain: false }]],
    ['scalars it does not know', '{"pattern":"a","x":1,"y":"s","z":true,"n":null}', [{ pattern: 'a' }]],
    ['the last of a limit written twice', '{"pattern":"a","max_qos":0,"max_qos":1}', [{ pattern: 'a', maxQos: 1 }]],
  ])('takes %s', (_, rule, expected) => {
    expect(publish(rule)).toStrictEqual(expected)
  })

  it('knows no limits of publishing in a subscribe rule', () => {
    const rule = '{"pattern":"a","max_qos":1,"max_payload_size":5,"allowed_retain":false}'
    expect(subscribe(rule)).toStrictEqual([{ pattern: 'a', maxQos: 1 }])
  })

  it('drops a rule without a pattern and keeps the others in order', () => {
    expect(publish('{"pattern":"b"},{},{"pattern":"a"}')).toStrictEqual([{ pattern: 'b' }, { pattern: 'a' }])
  })

  it.each([
    ['{"pattern":["a"]}', 'pattern'],
    ['{"pattern":"a","x":{}}', 'x'],
    ['{"pattern":"a","x":[]}', 'x'],
    ['{"pattern":"a","max_qos":[]}', 'max_qos'],
    ['{"pattern":"a","max_payload_size":{}}', 'max_payload_size'],
  ])('refuses an array or object where it expects a scalar: %s', (rule, name) => {
    for (const [list, read] of [
      ['publish_acl', publish],
      ['subscribe_acl', subscribe],
    ] as const) {
      const path = `${list}[0].${name}`
      expect(faultOf(() => read(rule))).toEqual({ path, message: `${path}: must not be an array or object` })
    }
  })

  it('refuses a number that Erlang cannot hold', () => {
    const fault = faultOf(() => publish('{"pattern":"a","max_qos":1e999}'))
    expect(fault.message).toBe('publish_acl[0].max_qos: is a number out of range')
  })
})

describe('parseRecord, vernemq: publish modifiers', () => {
  it.each([
    ['{"topic":"b","payload":"p","mountpoint":"m"}', { topic: 'b', payload: 'p', mountpoint: 'm' }],
    ['{"qos":1.5,"retain":true,"throttle":99.6}', { qos: 2, retain: true, throttle: 100 }],
    ['{"topic":null}', { topic: 'null' }],
    ['{"payload":"p","properties":{}}', { payload: 'p' }],
    [
      '{"properties":{"p_user_property":[{"a":"1"},{"a":null}]}}',
      {
        properties: {
          userProperties: [
            ['a', '1'],
            ['a', 'null'],
          ],
        },
      },
    ],
    [
      '{"properties":{"p_user_property":{"a":"1","b":{"c":"2"}}}}',
      {
        properties: {
          userProperties: [
            ['a', '1'],
            ['c', '2'],
          ],
        },
      },
    ],
    [
      '{"properties":{"p_message_expiry_interval":1.4,"p_payload_format_indicator":"undefined"}}',
      { properties: { messageExpiryInterval: 1, payloadFormatIndicator: 'undefined' } },
    ],
  ])('reads %s', (modifiers, expected) => {
    expect(publishModified(modifiers)).toStrictEqual([{ pattern: 'a', modifiers: expected }])
  })

  it.each([
    '{}',
    '[]',
    '["topic"]',
    '{"topic":"b","colour":"red"}',
    '{"topic":"b/+"}',
    '{"topic":7,"payload":"p"}',
    '{"payload":"p","qos":3}',
    '{"payload":"p","qos":"1"}',
    '{"payload":"p","retain":null}',
    '{"payload":{"x":1}}',
    '{"payload":"p","throttle":"1"}',
    '{"payload":"p","properties":"x"}',
    '{"payload":"p","properties":["x"]}',
    '{"payload":"p","properties":{"p_subscription_id":1}}',
    '{"payload":"p","properties":{"p_response_topic":"#"}}',
    '{"payload":"p","properties":{"p_user_property":"x"}}',
    '{"payload":"p","properties":{"p_user_property":["x"]}}',
    '{"payload":"p","properties":{"p_user_property":[["a","1"]]}}',
    '{"payload":"p","properties":{"p_user_property":[["a"]]}}',
    '{"payload":"p","properties":{"p_user_property":[{"a":"1","b":"2"}]}}',
    '{"payload":"p","properties":{"p_user_property":[{}]}}',
    '{"payload":"p","properties":{"p_user_property":{"a":1}}}',
    '{"payload":"p","properties":{"p_payload_format_indicator":1}}',
  ])('drops the whole set, and still grants, for %s', modifiers => {
    expect(publishModified(modifiers)).toStrictEqual([{ pattern: 'a' }])
  })

  it.each(['null', '"x"', '7', 'true'])('refuses %s, which fails the script', modifiers => {
    const path = 'publish_acl[0].modifiers'
    expect(faultOf(() => publishModified(modifiers))).toEqual({ path, message: `${path}: must be an object` })
  })
})

describe('parseRecord, vernemq: subscribe modifiers', () => {
  it.each([
    ['[]', []],
    ['{}', []],
    ['[["b",1]]', [{ filter: 'b', qos: 1 }]],
    [
      '[["b",1],["c",128]]',
      [
        { filter: 'b', qos: 1 },
        { filter: 'c', qos: 128 },
      ],
    ],
    ['[["b",135]]', [{ filter: 'b', qos: 128 }]],
    ['[["b",3]]', [{ filter: 'b', qos: 128 }]],
    ['[[null,0]]', [{ filter: 'null', qos: 0 }]],
    ['[["$share/g/b",0]]', [{ filter: '$share/g/b', qos: 0 }]],
    ['[["b",[1,{}]]]', [{ filter: 'b', qos: 1 }]],
    [
      '[["b",[1,{"no_local":true,"rap":"x","other":1,"retain_handling":"dont_send"}]]]',
      [{ filter: 'b', qos: 1, noLocal: true, retainHandling: 'dont_send' }],
    ],
  ])('reads %s', (modifiers, expected) => {
    expect(subscribeModified(modifiers)).toStrictEqual([{ pattern: 'a', modifiers: expected }])
  })

  it.each(['[["b#",1]]', '[["$share/g",1]]', '[[7,1]]', '[["b","1"]]', '[["b",null]]', '[["b",1],["c",[1]]]'])(
    'drops all of them, and still grants, for %s',
    modifiers => {
      expect(subscribeModified(modifiers)).toStrictEqual([{ pattern: 'a' }])
    },
  )

  it.each([
    ['null', '', 'must be an array'],
    ['"b"', '', 'must be an array'],
    ['{"topic":"b"}', '', 'must be an array'],
    ['["b"]', '[0]', 'must be [filter, qos]'],
    ['[["b",1],["c"]]', '[1]', 'must be [filter, qos]'],
    ['[[7,1],["c"]]', '[1]', 'must be [filter, qos]'],
    ['[["b",1.5]]', '[0][1]', 'must be an integer'],
    ['[["b",[1,"x"]]]', '[0][1][1]', 'must be an object'],
  ])('refuses %s, which fails the script', (modifiers, place, problem) => {
    const path = `subscribe_acl[0].modifiers${place}`
    expect(faultOf(() => subscribeModified(modifiers))).toEqual({ path, message: `${path}: ${problem}` })
  })
})
