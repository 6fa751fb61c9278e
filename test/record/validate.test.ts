import { describe, expect, it } from 'vitest'
import { RecordInvalid } from '../../src/errors.js'
import { parseRecord, validateRecord } from '../../src/record/index.js'
import { faultOf, objectsIn } from './fault.js'

const publish = (rule: unknown) => ({ passhash: 'h', publishAcl: [rule] })
const subscribe = (rule: unknown) => ({ passhash: 'h', subscribeAcl: [rule] })
const modified = (modifiers: unknown) => publish({ pattern: 'a', modifiers })
const retargeted = (modifiers: unknown) => subscribe({ pattern: 'a', modifiers })

describe('validateRecord', () => {
  it('gives a frozen copy that shares nothing with what it was given', () => {
    const record = {
      passhash: 'h',
      publishAcl: [
        {
          pattern: 'plant/%c/#',
          maxQos: 1,
          maxPayloadSize: 0,
          allowedRetain: false,
          modifiers: { topic: 't', properties: { userProperties: [['k', 'v']], willDelayInterval: 5 } },
        },
      ],
      subscribeAcl: [
        { pattern: '#', modifiers: [{ filter: 'b', qos: 2, noLocal: false, retainHandling: 'dont_send' }] },
      ],
      expiresAt: 0,
      extra: { note: { by: ['hand'] } },
    }
    const copy = validateRecord(record)
    expect(copy).toStrictEqual(record)
    const given = new Set(objectsIn(record))
    for (const object of objectsIn(copy)) {
      expect(Object.isFrozen(object)).toBe(true)
      expect(given.has(object)).toBe(false)
    }
    for (const object of given) expect(Object.isFrozen(object)).toBe(false)
  })

  it.each([
    ['absent lists', { passhash: 'h' }],
    ['members that are undefined', { passhash: 'h', publishAcl: undefined, expiresAt: undefined, extra: undefined }],
    ['an empty extra', { passhash: 'h', extra: {} }],
    ['an object without prototype', Object.assign(Object.create(null), { passhash: 'h' })],
    ['undefined inside extra', { passhash: 'h', extra: { note: undefined } }],
  ])('accepts %s', (_, record) => {
    expect(validateRecord(record)).toStrictEqual({ passhash: 'h', publishAcl: [], subscribeAcl: [] })
  })

  it('leaves out limits that limit nothing, members that are undefined and empty modifiers', () => {
    const rule = {
      pattern: 'a',
      maxQos: 2,
      maxPayloadSize: 268_435_456,
      allowedRetain: true,
      modifiers: { qos: undefined },
    }
    expect(validateRecord(publish(rule)).publishAcl).toStrictEqual([{ pattern: 'a' }])
  })

  it('gives an equal record for its own result and for what parseRecord gives', () => {
    const record = parseRecord('{"passhash":"h","publish_acl":[{"pattern":"a","max_qos":0}],"expires_at":1,"x":[1]}')
    expect(validateRecord(record)).toStrictEqual(record)
  })

  it.each([
    ['no object', undefined, '', 'record: must be an object'],
    ['an array', [], '', 'record: must be an object'],
    ['JSON text', '{"passhash":"h"}', '', 'record: must be an object'],
    ['no passhash', {}, 'passhash', 'passhash: is missing'],
    ['an inherited passhash', Object.create({ passhash: 'h' }), 'passhash', 'passhash: is missing'],
    ['an empty passhash', { passhash: '' }, 'passhash', 'passhash: must not be empty'],
    ['publish_acl', { passhash: 'h', publish_acl: [] }, 'publish_acl', 'publish_acl: use parseRecord() or publishAcl'],
    [
      'subscribe_acl',
      { passhash: 'h', subscribe_acl: [] },
      'subscribe_acl',
      'subscribe_acl: use parseRecord() or subscribeAcl',
    ],
    ['expires_at', { passhash: 'h', expires_at: 1 }, 'expires_at', 'expires_at: use parseRecord() or expiresAt'],
    [
      'a misspelt list',
      { passhash: 'h', publishACLs: [] },
      'publishACLs',
      'publishACLs: unknown member (did you mean publishAcl?); put members of your own into extra',
    ],
    [
      'a member of its own',
      { passhash: 'h', note: 1 },
      'note',
      'note: unknown member; put members of your own into extra',
    ],
    [
      'a date for expiresAt',
      { passhash: 'h', expiresAt: new Date(0) },
      'expiresAt',
      'expiresAt: must be an integer from 0 to 8640000000000',
    ],
    [
      'milliseconds with a fraction',
      { passhash: 'h', expiresAt: 0.5 },
      'expiresAt',
      'expiresAt: must be an integer from 0 to 8640000000000',
    ],
    [
      'NaN',
      { passhash: 'h', expiresAt: Number.NaN },
      'expiresAt',
      'expiresAt: must be an integer from 0 to 8640000000000',
    ],
    ['a set of rules', { passhash: 'h', publishAcl: new Set() }, 'publishAcl', 'publishAcl: must be an array'],
    ['null for a list', { passhash: 'h', publishAcl: null }, 'publishAcl', 'publishAcl: must be an array'],
    [
      'a hole among the rules',
      { passhash: 'h', publishAcl: Array(1) },
      'publishAcl[0]',
      'publishAcl[0]: must be an object',
    ],
    ['max_qos', publish({ pattern: 'a', max_qos: 1 }), 'publishAcl[0].max_qos', 'publishAcl[0].max_qos: use maxQos'],
    [
      'a misspelt limit',
      publish({ pattern: 'a', maxqos: 1 }),
      'publishAcl[0].maxqos',
      'publishAcl[0].maxqos: unknown member (did you mean maxQos?)',
    ],
    [
      'a limit out of range',
      publish({ pattern: 'a', maxQos: 3 }),
      'publishAcl[0].maxQos',
      'publishAcl[0].maxQos: must be 0, 1 or 2',
    ],
    [
      'a big integer',
      publish({ pattern: 'a', maxPayloadSize: 1n }),
      'publishAcl[0].maxPayloadSize',
      'publishAcl[0].maxPayloadSize: must be an integer from 0 to 268435456',
    ],
    [
      'an invalid pattern',
      subscribe({ pattern: 'a#' }),
      'subscribeAcl[0].pattern',
      "subscribeAcl[0].pattern: '+' and '#' must fill a whole level",
    ],
    ['no pattern', subscribe({ maxQos: 1 }), 'subscribeAcl[0].pattern', 'subscribeAcl[0].pattern: is missing'],
    [
      'an unknown modifier',
      modified({ topics: 'a' }),
      'publishAcl[0].modifiers.topics',
      'publishAcl[0].modifiers.topics: unknown member (did you mean topic?)',
    ],
    [
      'a property of JSON',
      modified({ properties: { p_content_type: 'a' } }),
      'publishAcl[0].modifiers.properties.p_content_type',
      'publishAcl[0].modifiers.properties.p_content_type: use contentType',
    ],
    [
      'user properties as objects',
      modified({ properties: { userProperties: [{ a: 'b' }] } }),
      'publishAcl[0].modifiers.properties.userProperties[0]',
      'publishAcl[0].modifiers.properties.userProperties[0]: must be an array',
    ],
    [
      'user properties of three',
      modified({ properties: { userProperties: [['a', 'b', 'c']] } }),
      'publishAcl[0].modifiers.properties.userProperties[0]',
      'publishAcl[0].modifiers.properties.userProperties[0]: must be a pair of name and value',
    ],
    [
      'no target',
      retargeted([]),
      'subscribeAcl[0].modifiers',
      "subscribeAcl[0].modifiers: must hold exactly one filter, since VerneMQ's SUBACK gets one code for each",
    ],
    [
      'a target as a pair',
      retargeted([['a', 1]]),
      'subscribeAcl[0].modifiers[0]',
      'subscribeAcl[0].modifiers[0]: must be an object',
    ],
    [
      'a target without QoS',
      retargeted([{ filter: 'a' }]),
      'subscribeAcl[0].modifiers[0].qos',
      'subscribeAcl[0].modifiers[0].qos: is missing',
    ],
    [
      'a target without filter',
      retargeted([{ qos: 1 }]),
      'subscribeAcl[0].modifiers[0].filter',
      'subscribeAcl[0].modifiers[0].filter: is missing',
    ],
    [
      'an option of JSON',
      retargeted([{ filter: 'a', qos: 1, rap: true }]),
      'subscribeAcl[0].modifiers[0].rap',
      'subscribeAcl[0].modifiers[0].rap: use retainAsPublished',
    ],
    [
      'a refusal with options',
      retargeted([{ filter: 'a', qos: 128, noLocal: true }]),
      'subscribeAcl[0].modifiers[0]',
      'subscribeAcl[0].modifiers[0]: has options beside a refusal (128)',
    ],
    ['a map for extra', { passhash: 'h', extra: new Map([['note', 1]]) }, 'extra', 'extra: is no plain object'],
    ['a text for extra', { passhash: 'h', extra: 'note' }, 'extra', 'extra: must be an object'],
    ['null for extra', { passhash: 'h', extra: null }, 'extra', 'extra: must be an object'],
    ['an extra of another kind', { passhash: 'h', extra: [] }, 'extra', 'extra: must be an object'],
    [
      'a list inside extra',
      { passhash: 'h', extra: { publish_acl: [] } },
      'extra.publish_acl',
      'extra.publish_acl: use publishAcl of the record',
    ],
    [
      'a list inside extra under its own name',
      { passhash: 'h', extra: { publishAcl: [] } },
      'extra.publishAcl',
      'extra.publishAcl: use publishAcl of the record',
    ],
    ['a function inside extra', { passhash: 'h', extra: { f: () => 1 } }, 'extra.f', 'extra.f: is no value of JSON'],
    [
      'a date inside extra',
      { passhash: 'h', extra: { d: [new Date(0)] } },
      'extra.d[0]',
      'extra.d[0]: is no plain object',
    ],
    ['a hole inside extra', { passhash: 'h', extra: { d: Array(1) } }, 'extra.d[0]', 'extra.d[0]: is no value of JSON'],
    [
      'an infinite number inside extra',
      { passhash: 'h', extra: { n: -Infinity } },
      'extra.n',
      'extra.n: is a number out of range',
    ],
  ])('refuses %s', (_, record, path, message) => {
    expect(faultOf(() => validateRecord(record))).toEqual({ path, message })
  })

  it.each([
    [{ maxRules: 0 }, '"maxRules" option must be an integer from 1 to 1000000'],
    [{ maxBytes: null }, '"maxBytes" option must be an integer from 1 to 67108864'],
    [{ maxByte: 1 }, '"maxByte" is not an option of validateRecord'],
    [{ semantics: 'vernemq' }, '"semantics" is not an option of validateRecord'],
    [null, '"options" must be an object'],
  ])('throws a TypeError for the limits %j', (limits, message) => {
    expect(() => validateRecord({ passhash: 'h' }, limits as never)).toThrow(new TypeError(message))
  })
})

describe('validateRecord, given hostile objects', () => {
  const trap = (handler: ProxyHandler<object>, target: object = {}) => new Proxy(target, handler)
  const raise = (error: unknown = new Error('trap')): never => {
    throw error
  }
  const getter = (get: () => unknown) =>
    Object.defineProperty({ passhash: 'h' }, 'publishAcl', { get, enumerable: true })
  const revoked = () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    return proxy
  }
  const ofLength = (length: unknown) =>
    trap({ get: (target, name) => (name === 'length' ? length : Reflect.get(target, name)) }, [])

  // Factories, not values: a test runner that prints such a value falls into the trap itself.
  it.each<[string, () => unknown]>([
    ['a getter that throws', () => getter(raise)],
    ['a getter that throws an error of ours', () => getter(() => raise(new RecordInvalid('x', 'y')))],
    ['a getter that throws null', () => getter(() => raise(null))],
    ['a thrown proxy that throws when looked at', () => getter(() => raise(trap({ getPrototypeOf: () => raise() })))],
    ['a proxy that throws on every access', () => trap({ ownKeys: () => raise(), get: () => raise() })],
    ['a revoked proxy', revoked],
    ['a revoked proxy for a list', () => ({ passhash: 'h', publishAcl: revoked() })],
  ])('turns %s into RecordInvalid', (_, make) => {
    const record = make()
    expect(faultOf(() => validateRecord(record))).toEqual({ path: '', message: 'record: cannot be read' })
  })

  it.each<[string, () => unknown, string]>([
    ['a cycle', cycle, 'is nested deeper than 32 levels'],
    ['two to the 29 strings', doubled, 'is larger than 1048576 bytes'],
    ['an endless array', () => ofLength(1e15), 'is larger than 1048576 bytes'],
    ['an array of negative length', () => ofLength(-1e15), 'is larger than 1048576 bytes'],
    ['an array whose length is no number', () => ofLength({}), 'is larger than 1048576 bytes'],
  ])('refuses %s in extra', (_, make, problem) => {
    const value = make()
    expect(faultOf(() => validateRecord({ passhash: 'h', extra: { value } })).message).toContain(`: ${problem}`)
  })

  it.each([1e15, -1e15, Number.NaN, 'many'])('refuses a list that says its length is %s', length => {
    const publishAcl = ofLength(length)
    const fault = faultOf(() => validateRecord({ passhash: 'h', publishAcl }))
    expect(fault).toEqual({ path: 'publishAcl', message: 'publishAcl: is larger than 1048576 bytes' })
  })

  it('reads each member once, so that what was judged is what is returned', () => {
    let reads = 0
    const rule = {
      pattern: 'a',
      get maxQos() {
        return reads++ === 0 ? 0 : 2
      },
    }
    expect(validateRecord(publish(rule)).publishAcl).toStrictEqual([{ pattern: 'a', maxQos: 0 }])
    expect(reads).toBe(1)
  })

  it('counts text that is shared by many rules as often as it is written', () => {
    const pattern = 'a'.repeat(65_000)
    const publishAcl = Array.from({ length: 10_000 }, () => ({ pattern }))
    const fault = faultOf(() => validateRecord({ passhash: 'h', publishAcl }))
    expect(fault.message).toBe('publishAcl[15].pattern: is larger than 1048576 bytes')
  })
})

function cycle(): unknown {
  const value: { self?: unknown } = {}
  value.self = value
  return value
}

function doubled(): unknown {
  let value: unknown = 'x'
  for (let level = 0; level < 29; level++) value = [value, value]
  return value
}
