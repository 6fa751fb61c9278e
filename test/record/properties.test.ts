import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileAcl } from '../../src/acl/index.js'
import { RecordInvalid } from '../../src/errors.js'
import { type AclRecord, parseRecord, serializeRecord, validateRecord } from '../../src/record/index.js'
import { objectsIn } from './fault.js'

const WIRE_NAMES = [
  ...['passhash', 'publish_acl', 'subscribe_acl', 'expires_at', 'publishAcl'],
  ...['pattern', 'max_qos', 'max_payload_size', 'allowed_retain', 'modifiers', 'maxQos'],
  ...['topic', 'payload', 'qos', 'retain', 'mountpoint', 'throttle', 'properties'],
  ...['p_user_property', 'p_message_expiry_interval', 'p_content_type', 'p_payload_format_indicator'],
  ...['p_response_topic', 'p_correlation_data', 'p_will_delay_interval', 'no_local', 'rap', 'retain_handling'],
  ...['__proto__', 'constructor', 'toString', '1', ''],
]

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.string({ unit: fc.constantFrom('a', '+', '#', '/', '$', '%c', '\0', '\ud800', '\udc00', '\u2028') }),
  fc.constantFrom('utf8', 'undefined', 'dont_send', '$share/g', '$share/g/a'),
)

const scalar = fc.oneof(
  text,
  fc.constantFrom(null, true, false, 0, -0, 1, 2, 3, 128, 135, 0.5, 1.9, -1, 268_435_456, 2 ** 53, 1e300),
)

/** JSON that has much in common with records, and is rarely one. */
const json = fc.letrec<{ value: unknown }>(tie => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    scalar,
    fc.array(tie('value'), { maxLength: 3 }),
    fc
      .array(fc.tuple(fc.oneof(fc.constantFrom(...WIRE_NAMES), text), tie('value')), { maxLength: 5 })
      .map(entries => Object.fromEntries(entries)),
  ),
})).value

const object = (members: Record<string, fc.Arbitrary<unknown>>) => fc.record(members, { requiredKeys: [] })
const topic = fc.constantFrom('a', 'a/b', '/', '$x', 'ü/😀')
const properties = object({
  p_user_property: fc.oneof(
    fc.array(
      fc.tuple(topic, topic).map(([name, value]) => ({ [name]: value })),
      { maxLength: 3 },
    ),
    fc.dictionary(topic, topic),
  ),
  p_message_expiry_interval: fc.nat(),
  p_content_type: topic,
  p_payload_format_indicator: fc.constantFrom('utf8', 'undefined'),
  p_response_topic: topic,
  p_correlation_data: fc.constantFrom('', '\0', 'x'),
  p_will_delay_interval: fc.nat(),
})
const modifiers = object({
  topic,
  payload: fc.constantFrom('', 'p', '\u2028"\\'),
  qos: fc.nat(2),
  retain: fc.boolean(),
  mountpoint: topic,
  throttle: fc.nat(),
  properties,
})
const options = object({ no_local: fc.boolean(), rap: fc.boolean(), retain_handling: fc.constant('dont_send') })
const target = fc.oneof(fc.tuple(topic, fc.constantFrom(0, 1, 2, 128)), fc.tuple(topic, fc.tuple(fc.nat(2), options)))
const pattern = fc.constantFrom('a', '#', '+/#', '%c/%u', '$share/#')
const maxQos = fc.nat(2)
const publishRule = fc.record(
  { pattern, max_qos: maxQos, max_payload_size: fc.nat(268_435_456), allowed_retain: fc.boolean(), modifiers },
  { requiredKeys: ['pattern'] },
)
const subscribeRule = fc.record(
  { pattern, max_qos: maxQos, modifiers: fc.tuple(target) },
  { requiredKeys: ['pattern'] },
)

/** JSON texts of records that are good by every rule. */
const goodText = fc
  .tuple(
    fc.record(
      {
        passhash: fc.string({ minLength: 1 }),
        publish_acl: fc.array(publishRule, { maxLength: 4 }),
        subscribe_acl: fc.array(subscribeRule, { maxLength: 4 }),
        expires_at: fc.nat(),
      },
      { requiredKeys: ['passhash'] },
    ),
    fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('__proto__', 'toString', '7')), fc.jsonValue(), { maxKeys: 3 }),
  )
  .map(([record, extra]) => JSON.stringify({ ...extra, ...record }))

function parseOrRefuse(value: string, semantics: 'strict' | 'vernemq'): AclRecord | undefined {
  try {
    return parseRecord(value, { semantics })
  } catch (error) {
    expect(error).toBeInstanceOf(RecordInvalid)
    return undefined
  }
}

function expectSound(record: AclRecord, semantics: 'strict' | 'vernemq'): void {
  for (const part of objectsIn(record)) expect(Object.isFrozen(part)).toBe(true)
  expect(Object.values(record)).not.toContain(undefined)
  compileAcl(record, { semantics })
}

describe.each(['strict', 'vernemq'] as const)('parseRecord, %s', semantics => {
  it('answers any JSON with a sound record or RecordInvalid', () => {
    const nearly = fc.tuple(json, json, json).map(([publish_acl, subscribe_acl, more]) => ({
      ...(typeof more === 'object' ? more : {}),
      ...{ passhash: 'h', publish_acl, subscribe_acl },
    }))
    const rules = fc.tuple(fc.array(json, { maxLength: 3 }), json).map(([entries, value]) => ({
      passhash: 'h',
      publish_acl: entries.map(entry => ({ ...(entry as object), pattern: 'a' })),
      subscribe_acl: [{ pattern: 'a', modifiers: value }],
    }))
    fc.assert(
      fc.property(fc.oneof(json, nearly, rules), value => {
        const record = parseOrRefuse(JSON.stringify(value), semantics)
        if (record !== undefined) expectSound(record, semantics)
      }),
      { numRuns: 500 },
    )
  })

  it('answers any text with a record or RecordInvalid', () => {
    const damaged = fc.tuple(goodText, fc.nat(), fc.string({ maxLength: 2 })).map(([good, at, patch]) => {
      const place = at % good.length
      return good.slice(0, place) + patch + good.slice(place + 1)
    })
    fc.assert(
      fc.property(fc.oneof(text, damaged), value => void parseOrRefuse(value, semantics)),
      { numRuns: 500 },
    )
  })

  it('reads back exactly the record that serializeRecord wrote', () => {
    fc.assert(
      fc.property(goodText, value => {
        const record = parseRecord(value, { semantics })
        const written = serializeRecord(record)
        expect(parseRecord(written, { semantics })).toStrictEqual(record)
        expect(serializeRecord(parseRecord(written))).toBe(written)
      }),
    )
  })

  it('reads a strictly good record as the other semantics do', () => {
    fc.assert(
      fc.property(goodText, value => {
        expect(parseRecord(value, { semantics })).toStrictEqual(parseRecord(value))
      }),
    )
  })
})

describe('validateRecord', () => {
  it('accepts what parseRecord gives, unchanged', () => {
    fc.assert(
      fc.property(goodText, value => {
        const record = parseRecord(value)
        expect(validateRecord(record)).toStrictEqual(record)
      }),
    )
  })

  it('answers any value with a sound record or RecordInvalid', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withSparseArray: true,
    })
    const nearly = fc.tuple(anything, anything, anything).map(([publishAcl, extra, maxQos]) => ({
      ...{ passhash: 'h', publishAcl, extra, subscribeAcl: [{ pattern: 'a', maxQos }] },
    }))
    fc.assert(
      fc.property(fc.oneof(anything, nearly, json), value => {
        try {
          const record = validateRecord(value)
          expectSound(record, 'strict')
          expect(parseRecord(serializeRecord(record))).toStrictEqual(record)
        } catch (error) {
          expect(error).toBeInstanceOf(RecordInvalid)
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('the search for duplicate members', () => {
  type Node = { name: string; value: Node[] | string }
  const name = fc.constantFrom('a', 'b', 'c', '"', '\\', '{', '[,]', '\u00e9')
  const members = fc.letrec<{ members: Node[] }>(tie => ({
    members: fc.array(fc.record({ name, value: fc.oneof({ maxDepth: 3 }, name, tie('members')) }), { maxLength: 4 }),
  })).members
  const escaped = (literal: string) =>
    `"${[...literal].map(letter => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"`
  const print = (nodes: readonly Node[]): string =>
    `{ ${nodes.map(({ name, value }, index) => `${index % 2 ? escaped(name) : JSON.stringify(name)} : ${typeof value === 'string' ? `[ ${JSON.stringify(value)}, {} ]` : `[1,${print(value)}]`}`).join(' , ')} }`
  const hasDuplicate = (nodes: readonly Node[]): boolean =>
    new Set(nodes.map(node => node.name)).size < nodes.length ||
    nodes.some(({ value }) => typeof value !== 'string' && hasDuplicate(value))

  it('agrees with a walk over the tree the text was made of', () => {
    fc.assert(
      fc.property(members, nodes => {
        const value = `{"passhash":"h","x":${print(nodes)}}`
        JSON.parse(value)
        let message = ''
        try {
          parseRecord(value)
        } catch (error) {
          message = (error as Error).message
        }
        expect(message.endsWith('duplicate member')).toBe(hasDuplicate(nodes))
      }),
      { numRuns: 500 },
    )
  })
})
