import { describe, expect, it } from 'vitest'
import type { AclRecord } from '../../src/record/index.js'
import { parseRecord, serializeRecord } from '../../src/record/index.js'
import { faultOf } from './fault.js'

const EMPTY: AclRecord = { passhash: 'h', publishAcl: [], subscribeAcl: [] }

describe('serializeRecord', () => {
  it('writes the record of the seed accounts', () => {
    const record: AclRecord = { publishAcl: [{ pattern: '#' }], subscribeAcl: [{ pattern: '#' }], passhash: '$2a$10$x' }
    expect(serializeRecord(record)).toBe(
      '{"passhash":"$2a$10$x","subscribe_acl":[{"pattern":"#"}],"publish_acl":[{"pattern":"#"}]}',
    )
  })

  it('writes both lists even when they are empty, and absent ones as empty', () => {
    const text = '{"passhash":"h","subscribe_acl":[],"publish_acl":[]}'
    expect(serializeRecord(EMPTY)).toBe(text)
    expect(serializeRecord({ passhash: 'h' } as AclRecord)).toBe(text)
  })

  it('writes every member in one order, whatever the order given', () => {
    const record = {
      extra: { z: null, a: { nested: [1] }, '7': true },
      expiresAt: 99,
      subscribeAcl: [
        { modifiers: [{ qos: 1, filter: 'b', retainHandling: 'send_retain', noLocal: true }], maxQos: 0, pattern: 'a' },
        { pattern: 'c', modifiers: [{ filter: 'd', qos: 128 }] },
      ],
      publishAcl: [
        {
          modifiers: {
            properties: {
              willDelayInterval: 1,
              userProperties: [
                ['k', 'v'],
                ['k', 'w'],
                ['__proto__', ''],
              ],
              payloadFormatIndicator: 'undefined',
            },
            throttle: 5,
            topic: 't',
          },
          allowedRetain: false,
          maxPayloadSize: 0,
          maxQos: 1,
          pattern: 'p',
        },
      ],
      passhash: 'h',
    } as const
    expect(serializeRecord(record)).toBe(
      '{"passhash":"h",' +
        '"subscribe_acl":[{"pattern":"a","max_qos":0,"modifiers":[["b",[1,{"no_local":true,"retain_handling":"send_retain"}]]]},' +
        '{"pattern":"c","modifiers":[["d",128]]}],' +
        '"publish_acl":[{"pattern":"p","max_qos":1,"max_payload_size":0,"allowed_retain":false,"modifiers":' +
        '{"topic":"t","throttle":5,"properties":{"p_user_property":[{"k":"v"},{"k":"w"},{"__proto__":""}],' +
        '"p_payload_format_indicator":"undefined","p_will_delay_interval":1}}}],' +
        '"expires_at":99,"7":true,"z":null,"a":{"nested":[1]}}',
    )
  })

  it('leaves out limits that limit nothing', () => {
    const rule = { pattern: 'a', maxQos: 2, maxPayloadSize: 268_435_456, allowedRetain: true, modifiers: {} } as const
    expect(serializeRecord({ ...EMPTY, publishAcl: [rule] })).toBe(
      '{"passhash":"h","subscribe_acl":[],"publish_acl":[{"pattern":"a"}]}',
    )
  })

  it.each([
    [{ ...EMPTY, publish_acl: [] }, 'publish_acl', 'publish_acl: use parseRecord() or publishAcl'],
    [
      { ...EMPTY, publishAcl: [{ pattern: 'a', maxQos: 3 }] },
      'publishAcl[0].maxQos',
      'publishAcl[0].maxQos: must be 0, 1 or 2',
    ],
    [{ ...EMPTY, passhash: null }, 'passhash', 'passhash: must be a string'],
  ])('refuses what validateRecord refuses: %j', (record, path, message) => {
    expect(faultOf(() => serializeRecord(record as never))).toEqual({ path, message })
  })

  it('writes no text that a reader with the same limits would refuse for its size', () => {
    const empty = serializeRecord({ ...EMPTY, extra: { n: '' } }).length
    const filled = (room: number) => ({ ...EMPTY, extra: { n: 'ü'.repeat(room) } })
    const maxBytes = 1_000
    const room = Math.floor((maxBytes - empty) / 2)
    expect(parseRecord(serializeRecord(filled(room), { maxBytes }), { maxBytes }).extra).toEqual(filled(room).extra)
    const fault = faultOf(() => serializeRecord(filled(room + 1), { maxBytes }))
    expect(fault).toEqual({ path: '', message: 'record: is larger than 1000 bytes' })
  })

  it('throws a TypeError for limits that are none', () => {
    const message = '"maxByte" is not an option of serializeRecord'
    expect(() => serializeRecord(EMPTY, { maxByte: 1 } as never)).toThrow(new TypeError(message))
  })

  it('writes members of extra named as parts of every object', () => {
    const text =
      '{"passhash":"h","subscribe_acl":[],"publish_acl":[],"__proto__":{"constructor":1},"toString":null,"constructor":[{"__proto__":2}]}'
    expect(serializeRecord(parseRecord(text))).toBe(text)
  })
})
