import { describe, expect, it } from 'vitest'
import { parseRecord } from '../../src/record/index.js'
import { faultOf, objectsIn } from './fault.js'

const publish = (rule: string) => `{"passhash":"h","publish_acl":[${rule}]}`
const subscribe = (rule: string) => `{"passhash":"h","subscribe_acl":[${rule}]}`
const modified = (modifiers: string) => publish(`{"pattern":"a","modifiers":${modifiers}}`)
const retargeted = (modifiers: string) => subscribe(`{"pattern":"a","modifiers":${modifiers}}`)

describe('parseRecord, strict', () => {
  it('reads the record of the seed accounts', () => {
    const passhash = '$2a$10$.UVQgAlmBYmHL4T0EGEq9u3poUrrCFQepee8IhrqqaQANNOtpree6'
    const text = `{"passhash":"${passhash}","subscribe_acl":[{"pattern":"#"}],"publish_acl":[{"pattern":"#"}]}`
    const record = { passhash, subscribeAcl: [{ pattern: '#' }], publishAcl: [{ pattern: '#' }] }
    expect(parseRecord(text)).toStrictEqual(record)
    expect(parseRecord(new TextEncoder().encode(text))).toStrictEqual(record)
    expect(parseRecord(Buffer.from(text))).toStrictEqual(record)
  })

  it('reads every member of a record', () => {
    const record = parseRecord(`{
      "passhash": "h",
      "publish_acl": [{
        "pattern": "plant/%c/#", "max_qos": 1, "max_payload_size": 128, "allowed_retain": false,
        "modifiers": {
          "topic": "new/topic", "payload": "p", "qos": 0, "retain": false, "mountpoint": "m", "throttle": 4294967295,
          "properties": {
            "p_user_property": [{"k": "v1"}, {"k": "v2"}, {"__proto__": ""}], "p_message_expiry_interval": 60,
            "p_content_type": "text/plain", "p_payload_format_indicator": "utf8", "p_response_topic": "re/ply",
            "p_correlation_data": "\\u0000", "p_will_delay_interval": 0
          }
        }
      }],
      "subscribe_acl": [
        {"pattern": "a", "max_qos": 0, "modifiers": [["b/+", 128]]},
        {"pattern": "c", "modifiers": [["$share/g/d", [2, {"no_local": true, "rap": false, "retain_handling": "dont_send"}]]]}
      ],
      "expires_at": 8640000000000,
      "note": {"by": ["hand", 1, null, true]}
    }`)
    expect(record).toStrictEqual({
      passhash: 'h',
      publishAcl: [
        {
          pattern: 'plant/%c/#',
          maxQos: 1,
          maxPayloadSize: 128,
          allowedRetain: false,
          modifiers: {
            topic: 'new/topic',
            payload: 'p',
            qos: 0,
            retain: false,
            mountpoint: 'm',
            throttle: 4_294_967_295,
            properties: {
              userProperties: [
                ['k', 'v1'],
                ['k', 'v2'],
                ['__proto__', ''],
              ],
              messageExpiryInterval: 60,
              contentType: 'text/plain',
              payloadFormatIndicator: 'utf8',
              responseTopic: 're/ply',
              correlationData: '\0',
              willDelayInterval: 0,
            },
          },
        },
      ],
      subscribeAcl: [
        { pattern: 'a', maxQos: 0, modifiers: [{ filter: 'b/+', qos: 128 }] },
        {
          pattern: 'c',
          modifiers: [
            { filter: '$share/g/d', qos: 2, noLocal: true, retainAsPublished: false, retainHandling: 'dont_send' },
          ],
        },
      ],
      expiresAt: 8_640_000_000_000,
      extra: { note: { by: ['hand', 1, null, true] } },
    })
    for (const object of objectsIn(record)) expect(Object.isFrozen(object)).toBe(true)
  })

  it.each([
    ['lists that are absent are empty', '{"passhash":"h"}'],
    ['empty lists are empty', '{"publish_acl":[],"subscribe_acl":[],"passhash":"h"}'],
  ])('gives one canonical form: %s', (_, text) => {
    expect(parseRecord(text)).toStrictEqual({ passhash: 'h', publishAcl: [], subscribeAcl: [] })
  })

  it.each([
    ['limits that limit nothing', '{"pattern":"a","max_qos":2,"max_payload_size":268435456,"allowed_retain":true}'],
    ['empty modifiers', '{"pattern":"a","modifiers":{}}'],
    ['empty properties', '{"pattern":"a","modifiers":{"properties":{}}}'],
    ['no user properties', '{"pattern":"a","modifiers":{"properties":{"p_user_property":[]}}}'],
  ])('leaves out %s', (_, rule) => {
    expect(parseRecord(publish(rule)).publishAcl).toStrictEqual([{ pattern: 'a' }])
  })

  it.each([
    ['1.0', 1],
    ['-0', 0],
    ['1e0', 1],
  ])('takes max_qos %s for %d', (text, maxQos) => {
    expect(parseRecord(publish(`{"pattern":"a","max_qos":${text}}`)).publishAcl).toStrictEqual([
      { pattern: 'a', maxQos },
    ])
  })

  it('reads user properties written as one object', () => {
    const record = parseRecord(modified('{"properties":{"p_user_property":{"a":"1","b":"2"}}}'))
    expect(record.publishAcl[0]?.modifiers?.properties?.userProperties).toStrictEqual([
      ['a', '1'],
      ['b', '2'],
    ])
  })

  it('takes $share in a pattern for plain text, as ACLs see filters without it', () => {
    expect(parseRecord(subscribe('{"pattern":"$share/#"}')).subscribeAcl).toStrictEqual([{ pattern: '$share/#' }])
  })

  it.each([
    // The text.
    ['', '', 'record: is not JSON'],
    ['{', '', 'record: is not JSON'],
    ['{"passhash":"$2a$10$secret"x}', '', 'record: is not JSON'],
    ['\ufeff{"passhash":"h"}', '', 'record: is not JSON'],
    ['{"passhash":"h",}', '', 'record: is not JSON'],
    ['{"passhash":"\ud800"}', '', 'record: is not UTF-8: it holds an unpaired surrogate'],
    ['[]', '', 'record: must be an object'],
    ['null', '', 'record: must be an object'],
    ['"x"', '', 'record: must be an object'],
    // The record.
    ['{}', 'passhash', 'passhash: is missing'],
    ['{"passhash":""}', 'passhash', 'passhash: must not be empty'],
    ['{"passhash":null}', 'passhash', 'passhash: must be a string'],
    ['{"passhash":"h","publish_acl":{}}', 'publish_acl', 'publish_acl: must be an array'],
    ['{"passhash":"h","publish_acl":null}', 'publish_acl', 'publish_acl: must be an array'],
    ['{"passhash":"h","publishAcl":[]}', 'publishAcl', 'publishAcl: use publish_acl in JSON'],
    ['{"passhash":"h","subscribeAcl":[]}', 'subscribeAcl', 'subscribeAcl: use subscribe_acl in JSON'],
    ['{"passhash":"h","expiresAt":1}', 'expiresAt', 'expiresAt: use expires_at in JSON'],
    ['{"passhash":"h","expires_at":-1}', 'expires_at', 'expires_at: must be an integer from 0 to 8640000000000'],
    ['{"passhash":"h","expires_at":1.5}', 'expires_at', 'expires_at: must be an integer from 0 to 8640000000000'],
    [
      '{"passhash":"h","expires_at":8640000000001}',
      'expires_at',
      'expires_at: must be an integer from 0 to 8640000000000',
    ],
    ['{"passhash":"h","expires_at":"1"}', 'expires_at', 'expires_at: must be an integer from 0 to 8640000000000'],
    ['{"passhash":"h","expires_at":null}', 'expires_at', 'expires_at: must be an integer from 0 to 8640000000000'],
    ['{"passhash":"h","n":{"a b":[1e999]}}', 'n["a b"][0]', 'n["a b"][0]: is a number out of range'],
    // Names that stand there twice, at any depth and in any spelling.
    ['{"passhash":"h","passhash":"i"}', 'passhash', 'passhash: duplicate member'],
    [
      publish('{"pattern":"a","max_qos":0,"max_qos":2}'),
      'publish_acl[0].max_qos',
      'publish_acl[0].max_qos: duplicate member',
    ],
    [
      publish('{"pattern":"a"},{"pattern":"b","p\\u0061ttern":"#"}'),
      'publish_acl[1].pattern',
      'publish_acl[1].pattern: duplicate member',
    ],
    ['{"passhash":"h","x":[{},[1,{"y z":1,"y z":1}]]}', 'x[1][1]["y z"]', 'x[1][1]["y z"]: duplicate member'],
    ['{"passhash":"h","x":{"__proto__":1,"__proto__":1}}', 'x.__proto__', 'x.__proto__: duplicate member'],
    // Rules.
    [publish('"a"'), 'publish_acl[0]', 'publish_acl[0]: must be an object'],
    [publish('["a"]'), 'publish_acl[0]', 'publish_acl[0]: must be an object'],
    [publish('{"pattern":"a"},null'), 'publish_acl[1]', 'publish_acl[1]: must be an object'],
    [publish('{}'), 'publish_acl[0].pattern', 'publish_acl[0].pattern: is missing'],
    [publish('{"pattern":7}'), 'publish_acl[0].pattern', 'publish_acl[0].pattern: must be a string'],
    [publish('{"pattern":""}'), 'publish_acl[0].pattern', 'publish_acl[0].pattern: must not be empty'],
    [publish('{"pattern":"a/#/b"}'), 'publish_acl[0].pattern', "publish_acl[0].pattern: '#' must be the last level"],
    [
      subscribe('{"pattern":"a+"}'),
      'subscribe_acl[0].pattern',
      "subscribe_acl[0].pattern: '+' and '#' must fill a whole level",
    ],
    [
      publish('{"pattern":"\\ud800"}'),
      'publish_acl[0].pattern',
      'publish_acl[0].pattern: must not contain an unpaired surrogate',
    ],
    [publish('{"pattern":"a\\u0000"}'), 'publish_acl[0].pattern', 'publish_acl[0].pattern: must not contain U+0000'],
    [
      publish(`{"pattern":"${'a'.repeat(65_536)}"}`),
      'publish_acl[0].pattern',
      'publish_acl[0].pattern: must not be longer than 65,535 bytes of UTF-8',
    ],
    [publish('{"pattern":"a","max_qos":3}'), 'publish_acl[0].max_qos', 'publish_acl[0].max_qos: must be 0, 1 or 2'],
    [
      subscribe('{"pattern":"a","max_qos":1.5}'),
      'subscribe_acl[0].max_qos',
      'subscribe_acl[0].max_qos: must be 0, 1 or 2',
    ],
    [publish('{"pattern":"a","max_qos":"1"}'), 'publish_acl[0].max_qos', 'publish_acl[0].max_qos: must be 0, 1 or 2'],
    [publish('{"pattern":"a","max_qos":null}'), 'publish_acl[0].max_qos', 'publish_acl[0].max_qos: must be 0, 1 or 2'],
    [
      publish('{"pattern":"a","max_payload_size":268435457}'),
      'publish_acl[0].max_payload_size',
      'publish_acl[0].max_payload_size: must be an integer from 0 to 268435456',
    ],
    [
      publish('{"pattern":"a","max_payload_size":-1}'),
      'publish_acl[0].max_payload_size',
      'publish_acl[0].max_payload_size: must be an integer from 0 to 268435456',
    ],
    [
      publish('{"pattern":"a","allowed_retain":"false"}'),
      'publish_acl[0].allowed_retain',
      'publish_acl[0].allowed_retain: must be true or false',
    ],
    [
      publish('{"pattern":"a","max_qoss":1}'),
      'publish_acl[0].max_qoss',
      'publish_acl[0].max_qoss: unknown member (did you mean max_qos?)',
    ],
    [
      publish('{"pattern":"a","Max_Payload_Size":1}'),
      'publish_acl[0].Max_Payload_Size',
      'publish_acl[0].Max_Payload_Size: unknown member (did you mean max_payload_size?)',
    ],
    [publish('{"pattern":"a","maxQos":1}'), 'publish_acl[0].maxQos', 'publish_acl[0].maxQos: use max_qos in JSON'],
    [publish('{"pattern":"a","colour":1}'), 'publish_acl[0].colour', 'publish_acl[0].colour: unknown member'],
    [
      publish('{"pattern":"a","__proto__":{"max_qos":0}}'),
      'publish_acl[0].__proto__',
      'publish_acl[0].__proto__: unknown member',
    ],
    [
      subscribe('{"pattern":"a","allowed_retain":true}'),
      'subscribe_acl[0].allowed_retain',
      'subscribe_acl[0].allowed_retain: unknown member',
    ],
    [
      subscribe('{"pattern":"a","max_payload_size":1}'),
      'subscribe_acl[0].max_payload_size',
      'subscribe_acl[0].max_payload_size: unknown member',
    ],
  ])('refuses %s', (text, path, message) => {
    expect(faultOf(() => parseRecord(text))).toEqual({ path, message })
  })

  it.each([
    ['null', '', 'must be an object'],
    ['[]', '', 'must be an object'],
    ['{"topik":"a"}', '.topik', 'unknown member (did you mean topic?)'],
    ['{"topic":"a/+"}', '.topic', "must not contain '+' or '#'"],
    ['{"topic":""}', '.topic', 'must not be empty'],
    ['{"payload":1}', '.payload', 'must be a string'],
    ['{"payload":"\\udc00"}', '.payload', 'must not contain an unpaired surrogate'],
    ['{"qos":3}', '.qos', 'must be 0, 1 or 2'],
    ['{"qos":128}', '.qos', 'must be 0, 1 or 2'],
    ['{"retain":0}', '.retain', 'must be true or false'],
    ['{"mountpoint":null}', '.mountpoint', 'must be a string'],
    ['{"throttle":4294967296}', '.throttle', 'must be an integer from 0 to 4294967295'],
    ['{"throttle":-1}', '.throttle', 'must be an integer from 0 to 4294967295'],
    ['{"properties":[]}', '.properties', 'must be an object'],
    ['{"properties":{"p_subscription_id":1}}', '.properties.p_subscription_id', 'unknown member'],
    ['{"properties":{"contentType":"a"}}', '.properties.contentType', 'use p_content_type in JSON'],
    ['{"properties":{"p_content_type":"\\u0000"}}', '.properties.p_content_type', 'must not contain U+0000'],
    [
      `{"properties":{"p_content_type":"${'ü'.repeat(32_768)}"}}`,
      '.properties.p_content_type',
      'must not be longer than 65,535 bytes of UTF-8',
    ],
    ['{"properties":{"p_correlation_data":7}}', '.properties.p_correlation_data', 'must be a string'],
    [
      '{"properties":{"p_payload_format_indicator":1}}',
      '.properties.p_payload_format_indicator',
      'must be "utf8" or "undefined"',
    ],
    ['{"properties":{"p_response_topic":"#"}}', '.properties.p_response_topic', "must not contain '+' or '#'"],
    [
      '{"properties":{"p_message_expiry_interval":1.5}}',
      '.properties.p_message_expiry_interval',
      'must be an integer from 0 to 4294967295',
    ],
    ['{"properties":{"p_user_property":"x"}}', '.properties.p_user_property', 'must be an object'],
    ['{"properties":{"p_user_property":{"a":1}}}', '.properties.p_user_property.a', 'must be a string'],
    [
      '{"properties":{"p_user_property":[["a","1"]]}}',
      '.properties.p_user_property[0]',
      'must be an object of one name and its value, such as {"name":"value"}',
    ],
    [
      '{"properties":{"p_user_property":[{"a":"1"},{"a":"1","b":"2"}]}}',
      '.properties.p_user_property[1]',
      'must be an object of one name and its value, such as {"name":"value"}',
    ],
    [
      '{"properties":{"p_user_property":[{"a":"\\u0000"}]}}',
      '.properties.p_user_property[0].a',
      'must not contain U+0000',
    ],
  ])('refuses the publish modifiers %s', (modifiers, place, problem) => {
    const path = `publish_acl[0].modifiers${place}`
    expect(faultOf(() => parseRecord(modified(modifiers)))).toEqual({ path, message: `${path}: ${problem}` })
  })

  it.each([
    ['{}', '', 'must be an array'],
    ['[]', '', "must hold exactly one filter, since VerneMQ's SUBACK gets one code for each"],
    ['[["a",1],["b",1]]', '', "must hold exactly one filter, since VerneMQ's SUBACK gets one code for each"],
    ['["a"]', '[0]', 'must be [filter, qos]'],
    ['[["a"]]', '[0]', 'must be [filter, qos]'],
    ['[["a",1,{}]]', '[0]', 'must be [filter, qos]'],
    ['[{"filter":"a","qos":1}]', '[0]', 'must be [filter, qos]'],
    ['[["a#",1]]', '[0][0]', "'+' and '#' must fill a whole level"],
    ['[["$share/g",1]]', '[0][0]', "'$share/' must be followed by a name without '+' and '#', then '/' and a filter"],
    ['[[7,1]]', '[0][0]', 'must be a string'],
    ['[["a",3]]', '[0][1]', 'must be 0, 1, 2 or 128'],
    ['[["a","1"]]', '[0][1]', 'must be 0, 1, 2 or 128'],
    ['[["a",[1]]]', '[0][1]', 'must be [qos, options]'],
    ['[["a",[135,{}]]]', '[0][1][0]', 'must be 0, 1, 2 or 128'],
    ['[["a",[1,[]]]]', '[0][1][1]', 'must be an object'],
    ['[["a",[1,{"rap":1}]]]', '[0][1][1].rap', 'must be true or false'],
    [
      '[["a",[1,{"retain_handling":0}]]]',
      '[0][1][1].retain_handling',
      'must be "send_retain" or "send_if_new_sub" or "dont_send"',
    ],
    ['[["a",[1,{"noLocal":true}]]]', '[0][1][1].noLocal', 'use no_local in JSON'],
    ['[["a",[128,{"rap":true}]]]', '[0]', 'has options beside a refusal (128)'],
  ])('refuses the subscribe modifiers %s', (modifiers, place, problem) => {
    const path = `subscribe_acl[0].modifiers${place}`
    expect(faultOf(() => parseRecord(retargeted(modifiers)))).toEqual({ path, message: `${path}: ${problem}` })
  })

  it('keeps no -0, which JSON could not give back', () => {
    expect(Object.is(parseRecord('{"passhash":"h","x":-0}').extra?.x, 0)).toBe(true)
  })

  it('refuses bytes that begin with a byte order mark', () => {
    const fault = faultOf(() => parseRecord(new TextEncoder().encode('\ufeff{"passhash":"h"}')))
    expect(fault).toEqual({ path: '', message: 'record: is not JSON' })
  })

  it('refuses bytes that are not UTF-8', () => {
    const bytes = Uint8Array.from([...new TextEncoder().encode('{"passhash":"'), 0xff, 0x22, 0x7d])
    expect(faultOf(() => parseRecord(bytes))).toEqual({ path: '', message: 'record: is not UTF-8' })
  })

  it.each([
    [{ semantics: 'lax' }, `"semantics" option must be 'strict' or 'vernemq'`],
    [{ maxBytes: 0 }, '"maxBytes" option must be an integer from 1 to 67108864'],
    [{ maxBytes: Number.POSITIVE_INFINITY }, '"maxBytes" option must be an integer from 1 to 67108864'],
    [{ maxRules: 1.5 }, '"maxRules" option must be an integer from 1 to 1000000'],
    [{ maxByte: 1 }, '"maxByte" is not an option of parseRecord'],
    [null, '"options" must be an object'],
  ])('throws a TypeError for the options %j', (options, message) => {
    expect(() => parseRecord('{"passhash":"h"}', options as never)).toThrow(new TypeError(message))
  })

  it('throws a TypeError for a value that is neither text nor bytes', () => {
    expect(() => parseRecord(null as never)).toThrow(new TypeError('"value" must be a string or a Uint8Array'))
  })
})
