import { describe, expect, it } from 'vitest'
import {
  type Acl,
  type CompiledAcl,
  type CompileOptions,
  compileAcl,
  type Principal,
  type PublishRule,
  type SubscribeRule,
} from '../../src/acl/index.js'
import { TopicInvalid } from '../../src/errors.js'

const nobody: Principal = { mountpoint: '', clientId: 'c7', username: 'u' }

function publishing(...rules: (PublishRule | string)[]): CompiledAcl {
  return compileAcl({ publishAcl: rules.map(asRule), subscribeAcl: [] })
}

function subscribing(...rules: (SubscribeRule | string)[]): CompiledAcl {
  return compileAcl({ publishAcl: [], subscribeAcl: rules.map(asRule) })
}

function asRule<R extends { pattern: string }>(rule: R | string): R | { pattern: string } {
  return typeof rule === 'string' ? { pattern: rule } : rule
}

describe('PUBLISH', () => {
  it('is allowed by the first rule in array order that matches and whose limits fit', () => {
    const rules: PublishRule[] = [
      { pattern: 'a/#', maxQos: 0 },
      { pattern: 'a/b', maxQos: 1 },
      { pattern: '+/b' },
      { pattern: 'a/+' },
    ]
    const acl = publishing(...rules)
    for (const [qos, index] of [
      [0, 0],
      [1, 1],
      [2, 2],
    ] as const) {
      expect(acl.authorizePublish(nobody, 'a/b', { qos })).toEqual({ allow: true, rule: rules[index] })
    }
    expect(acl.authorizePublish(nobody, 'a/c', { qos: 2 })).toEqual({ allow: true, rule: rules[3] })
  })

  const limits: [PublishRule, object, string | undefined][] = [
    [{ pattern: 'a' }, {}, undefined],
    [{ pattern: 'a' }, { qos: 2, retain: true, payloadSize: 268_435_456 }, undefined],
    [{ pattern: 'a', maxQos: 0 }, {}, undefined],
    [{ pattern: 'a', maxQos: 0 }, { qos: 1 }, 'max_qos'],
    [{ pattern: 'a', maxQos: 1 }, { qos: 1 }, undefined],
    [{ pattern: 'a', maxPayloadSize: 10 }, { payloadSize: 10 }, undefined],
    [{ pattern: 'a', maxPayloadSize: 10 }, { payloadSize: 11 }, 'max_payload_size'],
    [{ pattern: 'a', maxPayloadSize: 0 }, { payloadSize: 0 }, undefined],
    [{ pattern: 'a', maxPayloadSize: 10 }, {}, 'payload_size_unknown'],
    [{ pattern: 'a', maxPayloadSize: 268_435_456 }, {}, 'payload_size_unknown'],
    [{ pattern: 'a', allowedRetain: false }, {}, undefined],
    [{ pattern: 'a', allowedRetain: false }, { retain: true }, 'retain'],
    [{ pattern: 'a', allowedRetain: true }, { retain: true }, undefined],
    [{ pattern: 'a', maxQos: 0, maxPayloadSize: 1, allowedRetain: false }, { qos: 1, retain: true }, 'max_qos'],
    [{ pattern: 'a', maxPayloadSize: 1, allowedRetain: false }, { payloadSize: 2, retain: true }, 'max_payload_size'],
  ]
  for (const [rule, facts, missed] of limits) {
    it(`${missed === undefined ? 'fits' : `misses ${missed} of`} ${JSON.stringify(rule)} with ${JSON.stringify(facts)}`, () => {
      expect(publishing(rule).authorizePublish(nobody, 'a', facts)).toEqual(
        missed === undefined
          ? { allow: true, rule }
          : { allow: false, reason: 'no_matching_rule', nearest: rule, missed },
      )
    })
  }

  it('fits a size limit without a known size where the caller asks for that', () => {
    const rule = { pattern: 'a', maxPayloadSize: 10 }
    const acl = compileAcl({ publishAcl: [rule], subscribeAcl: [] }, { unknownPayloadSize: 'allow' })
    expect(acl.authorizePublish(nobody, 'a').allow).toBe(true)
    expect(acl.authorizePublish(nobody, 'a', { payloadSize: 11 })).toMatchObject({ missed: 'max_payload_size' })
    expect(acl.authorizePublish(nobody, 'a', { payloadSize: Number.NaN })).toMatchObject({ missed: 'max_payload_size' })
  })

  it('names as nearest the first rule whose pattern fits, else the one that agrees with most leading levels', () => {
    const acl = publishing('x', { pattern: 'a/b/c', maxQos: 0 }, { pattern: 'a/b/+', maxQos: 1 }, 'a/b/d/e/f')
    expect(acl.authorizePublish(nobody, 'a/b/c', { qos: 2 })).toMatchObject({
      nearest: { pattern: 'a/b/c' },
      missed: 'max_qos',
    })
    const far = acl.authorizePublish(nobody, 'a/b/d/e/x')
    expect(far).toEqual({ allow: false, reason: 'no_matching_rule', nearest: { pattern: 'a/b/d/e/f' } })
    expect(acl.authorizePublish(nobody, 'z')).toMatchObject({ nearest: { pattern: 'x' } })
    expect(publishing().authorizePublish(nobody, 'z')).toEqual({ allow: false, reason: 'no_matching_rule' })
  })

  it('to a name that begins with $ needs a rule that says so literally', () => {
    const who = { mountpoint: '$SYS', clientId: '$SYS', username: '$SYS' }
    const wide = publishing('#', '+/#', '+/x', '%c/#', '%u/x', '%m/+')
    expect(wide.authorizePublish(who, '$SYS/x').allow).toBe(false)
    expect(wide.authorizeReceive(who, '$SYS/x').allow).toBe(false)
    for (const pattern of ['$SYS/#', '$SYS/x', '$SYS/+', '$SYS/%c']) {
      expect(publishing('#', pattern).authorizePublish({ ...who, clientId: 'x' }, '$SYS/x')).toMatchObject({
        rule: { pattern },
      })
    }
    expect(publishing('a/%c').authorizePublish(who, 'a/$SYS').allow).toBe(true)
    expect(publishing('$SYS').authorizePublish(nobody, '$SYS').allow).toBe(true)
    expect(publishing('#').authorizePublish(nobody, '$').allow).toBe(false)
  })
})

describe('SUBSCRIBE', () => {
  it('is allowed by the first single rule that covers, before several together', () => {
    const acl = subscribing('a', 'a/+/#', 'a/#', '#')
    expect(acl.authorizeSubscribe(nobody, 'a/#')).toEqual({ allow: true, rule: { pattern: 'a/#' } })
  })

  it('is allowed by several rules that only together cover, all of which are named in array order', () => {
    const rules = ['x/#', 'a/+/+/#', 'a/b', '+/+', 'a/+', 'a'].map(pattern => ({ pattern }))
    const acl = subscribing(...rules)
    const decision = acl.authorizeSubscribe(nobody, 'a/#')
    expect(decision).toEqual({ allow: true, rule: rules[1], rules: [rules[1], rules[3], rules[5]] })
    expect(Object.isFrozen(decision)).toBe(true)
    expect(Object.isFrozen(decision.allow && decision.rules)).toBe(true)
  })

  it('lets a rule with modifiers grant the whole request, but no part of it', () => {
    const modifiers = [{ filter: 'b', qos: 0 as const }]
    const parts: SubscribeRule[] = [{ pattern: 'a', modifiers }, { pattern: 'a/+/#' }]
    expect(subscribing(...parts).authorizeSubscribe(nobody, 'a/#').allow).toBe(false)
    const whole = { pattern: 'a/#', modifiers }
    expect(subscribing(...parts, whole).authorizeSubscribe(nobody, 'a/#')).toEqual({ allow: true, rule: whole })
    expect(subscribing(...parts, { pattern: 'a' }).authorizeSubscribe(nobody, 'a/#')).toMatchObject({
      rules: [{ pattern: 'a/+/#' }, { pattern: 'a' }],
    })
  })

  it('with too high a QoS is refused, not lowered, and the rule concerned is named', () => {
    const low = { pattern: 'a/#', maxQos: 0 } as const
    const acl = subscribing('a', low)
    expect(acl.authorizeSubscribe(nobody, 'a/b', { qos: 1 })).toEqual({
      allow: false,
      reason: 'no_matching_rule',
      nearest: low,
      missed: 'max_qos',
    })
    const part = { pattern: 'a/+/#', maxQos: 1 } as const
    expect(subscribing('a', part).authorizeSubscribe(nobody, 'a/#', { qos: 2 })).toMatchObject({
      nearest: part,
      missed: 'max_qos',
    })
    const twice = subscribing({ pattern: 'a', maxQos: 0 }, 'a', part)
    expect(twice.authorizeSubscribe(nobody, 'a/#', { qos: 2 })).toMatchObject({ nearest: part, missed: 'max_qos' })
  })

  it('names as nearest, where no pattern covers, the one that agrees with most leading levels', () => {
    const acl = subscribing('+/x/y', 'a/b/c', 'a/b/d')
    expect(acl.authorizeSubscribe(nobody, 'a/b/+')).toEqual({
      allow: false,
      reason: 'no_matching_rule',
      nearest: { pattern: 'a/b/c' },
    })
    expect(acl.authorizeSubscribe(nobody, 'z/x/#')).toMatchObject({ nearest: { pattern: '+/x/y' } })
    expect(subscribing('b/+', '+/c').authorizeSubscribe(nobody, '$SYS/#')).toMatchObject({
      nearest: { pattern: 'b/+' },
    })
  })

  it('breaks a tie between nearest rules by array order, whatever sort of level they agree by', () => {
    for (const patterns of [
      ['+/x', 'c7/y', '%c/z'],
      ['%c/z', '+/x', 'c7/y'],
      ['c7/y', '%c/z', '+/x'],
    ]) {
      const acl = compileAcl({ publishAcl: patterns.map(asRule), subscribeAcl: patterns.map(asRule) })
      const expected = { allow: false, reason: 'no_matching_rule', nearest: { pattern: patterns[0] } }
      expect(acl.authorizeSubscribe(nobody, 'c7/q')).toEqual(expected)
      expect(acl.authorizePublish(nobody, 'c7/q')).toEqual(expected)
      expect(acl.authorizeReceive(nobody, 'c7/q')).toEqual(expected)
    }
  })

  it('of a shared subscription is decided by the inner filter', () => {
    const acl = subscribing('a/+')
    expect(acl.authorizeSubscribe(nobody, '$share/g/a/+').allow).toBe(true)
    expect(acl.authorizeSubscribe(nobody, '$share/g/a/#').allow).toBe(false)
    expect(subscribing('#').authorizeSubscribe(nobody, '$share/g/$SYS/#').allow).toBe(false)
    for (const filter of ['$share/g', '$share//a/b', '$share/+/a/b', '$share/g/', '$share/']) {
      expect(subscribing('#', 'a/b', '$share/#').authorizeSubscribe(nobody, filter)).toEqual({
        allow: false,
        reason: 'filter_invalid',
      })
    }
  })
})

describe('receiving', () => {
  it('asks whether a subscribe rule matches, whatever its QoS limit', () => {
    const acl = subscribing({ pattern: 'a/+', maxQos: 0 })
    expect(acl.authorizeReceive(nobody, 'a/b').allow).toBe(true)
    expect(acl.authorizeReceive(nobody, 'a').allow).toBe(false)
    expect(publishing('a/+').authorizeReceive(nobody, 'a/b')).toEqual({ allow: false, reason: 'no_matching_rule' })
  })

  it('keeps names that begin with $ from wildcards', () => {
    expect(subscribing('#', '+/x').authorizeReceive(nobody, '$SYS/x').allow).toBe(false)
    expect(subscribing('$SYS/#').authorizeReceive(nobody, '$SYS/x').allow).toBe(true)
  })
})

describe('variables', () => {
  it('stand for mountpoint, client id and username where they fill a level', () => {
    const who = { mountpoint: 'mp', clientId: 'ci', username: 'un' }
    const acl = publishing('%m/%c/%u', 'x-%c', '%c%c')
    expect(acl.authorizePublish(who, 'mp/ci/un').allow).toBe(true)
    for (const topic of ['mp/ci/ci', '%m/%c/%u', 'x-ci', 'cici'])
      expect(acl.authorizePublish(who, topic).allow).toBe(false)
    expect(acl.authorizePublish(who, 'x-%c').allow).toBe(true)
    expect(acl.authorizePublish(who, '%c%c').allow).toBe(true)
  })

  for (const clientId of ['+', '#', 'a/b', '', '/', 'a\0', '\ud83d', '+/b']) {
    it(`make a rule match nothing for the client id ${JSON.stringify(clientId)}`, () => {
      const rules = ['dev/%c', 'dev/%c/#', '%c/#', '%c'].map(asRule)
      const acl = compileAcl({ publishAcl: rules, subscribeAcl: rules })
      const who = { ...nobody, clientId }
      for (const topic of ['dev/x', 'dev/a/b', 'dev/', 'dev//', '/', 'a/b', 'x', `dev/${clientId}`, `${clientId}/x`]) {
        expect(acl.authorizePublish(who, topic).allow).toBe(false)
        expect(acl.authorizeReceive(who, topic).allow).toBe(false)
        expect(acl.authorizeSubscribe(who, topic).allow).toBe(false)
      }
      for (const filter of ['dev/+', 'dev/#', '#', '+', '+/#', '/#', '/+']) {
        expect(acl.authorizeSubscribe(who, filter).allow).toBe(false)
      }
    })
  }

  it('are not substituted again', () => {
    const acl = publishing('dev/%c')
    const who = { mountpoint: '', clientId: '%u', username: 'root' }
    expect(acl.authorizePublish(who, 'dev/root').allow).toBe(false)
    expect(acl.authorizePublish(who, 'dev/%u').allow).toBe(true)
  })

  it('take ordinary text as it is', () => {
    const acl = publishing('dev/%c')
    for (const clientId of ['*', '__proto__', 'constructor', '😀', ' ', 'a.b[c]', '$SYS']) {
      expect(acl.authorizePublish({ ...nobody, clientId }, `dev/${clientId}`).allow).toBe(true)
      expect(acl.authorizePublish({ ...nobody, clientId }, 'dev/other').allow).toBe(false)
    }
  })

  it('match nothing where a principal lacks the text', () => {
    const acl = publishing('dev/%c', 'dev/%u', 'dev/%m')
    for (const topic of ['dev/undefined', 'dev/null', 'dev/']) {
      expect(acl.authorizePublish({ clientId: null } as never, topic).allow).toBe(false)
    }
  })
})

describe('decisions', () => {
  it('of one rule are one frozen object', () => {
    const acl = publishing({ pattern: 'a/#', maxQos: 1 }, 'b')
    const allowed = acl.authorizePublish(nobody, 'a/b')
    expect(acl.authorizePublish({ ...nobody, clientId: 'x' }, 'a/c/d', { qos: 1 })).toBe(allowed)
    const missed = acl.authorizePublish(nobody, 'a/b', { qos: 2 })
    expect(acl.authorizePublish(nobody, 'a', { qos: 2 })).toBe(missed)
    const far = acl.authorizePublish(nobody, 'z')
    expect(acl.authorizePublish(nobody, 'y')).toBe(far)
    for (const decision of [allowed, missed, far]) expect(Object.isFrozen(decision)).toBe(true)
    const subscribes = subscribing('a/#')
    const granted = subscribes.authorizeSubscribe(nobody, 'a/+')
    expect(subscribes.authorizeSubscribe(nobody, '$share/g/a/b')).toBe(granted)
    expect(subscribes.authorizeReceive(nobody, 'a/b')).toBe(granted)
    expect(Object.isFrozen(granted)).toBe(true)
  })

  it('without a rule are one frozen object for each reason, shared by all ACLs', () => {
    const none = publishing()
    const other = subscribing('a')
    for (const [one, two] of [
      [none.authorizePublish(nobody, 'a'), publishing().authorizePublish(nobody, 'b')],
      [none.authorizePublish(nobody, '#'), other.authorizeReceive(nobody, '')],
      [none.authorizeSubscribe(nobody, 'a#'), other.authorizeSubscribe(nobody, '')],
      [none.authorizePublish(nobody, '/'.repeat(200)), other.authorizeSubscribe(nobody, '/'.repeat(128))],
    ] as const) {
      expect(one).toBe(two)
      expect(Object.isFrozen(one)).toBe(true)
      expect(one.allow).toBe(false)
    }
  })

  it('of one call do not depend on the call before', () => {
    const acl = publishing({ pattern: 'a', maxQos: 0 }, 'b/%c')
    expect(acl.authorizePublish(nobody, 'a', { qos: 2 })).toMatchObject({ missed: 'max_qos' })
    expect(acl.authorizePublish(nobody, 'z')).toEqual({
      allow: false,
      reason: 'no_matching_rule',
      nearest: { pattern: 'a', maxQos: 0 },
    })
    expect(() => acl.authorizePublish(null as never, 'b/c7')).toThrow(TypeError)
    expect(acl.authorizePublish(nobody, 'b/c7').allow).toBe(true)
    expect(acl.authorizePublish(nobody, 'a').allow).toBe(true)
  })
})

describe('hostile requests', () => {
  const all = ['#', '/#', '+/#', '$SYS/#', '__proto__/#', 'constructor/toString', '%c/#'].map(asRule)
  const acl = compileAcl({ publishAcl: all, subscribeAcl: all })

  it('with names that are none are refused as topic_invalid', () => {
    for (const topic of [
      '',
      'a/+',
      '#',
      'a\0',
      '\ud83d',
      'x'.repeat(65_536),
      undefined,
      null,
      7,
      ['a'],
      { length: 1 },
      Symbol('a'),
    ]) {
      const refused = { allow: false, reason: 'topic_invalid' }
      expect(acl.authorizePublish(nobody, topic as never)).toEqual(refused)
      expect(acl.authorizeReceive(nobody, topic as never)).toEqual(refused)
    }
  })

  it('with filters that are none are refused as filter_invalid', () => {
    for (const filter of [
      '',
      'a#',
      'a/#/b',
      '+a',
      'a\0',
      '\ud83d',
      'x'.repeat(65_536),
      undefined,
      null,
      7,
      ['a'],
      { startsWith: 1 },
    ]) {
      expect(acl.authorizeSubscribe(nobody, filter as never)).toEqual({ allow: false, reason: 'filter_invalid' })
    }
  })

  it('of 65,535 slashes are refused as too deep', () => {
    const slashes = '/'.repeat(65_535)
    const refused = { allow: false, reason: 'too_deep' }
    expect(acl.authorizePublish(nobody, slashes)).toEqual(refused)
    expect(acl.authorizeReceive(nobody, slashes)).toEqual(refused)
    expect(acl.authorizeSubscribe(nobody, slashes)).toEqual(refused)
    expect(acl.authorizeSubscribe(nobody, `${slashes.slice(1)}#`)).toEqual(refused)
    expect(acl.authorizeSubscribe(nobody, `$share/g/${slashes.slice(9)}`)).toEqual(refused)
  })

  it('may have 128 levels, those of the inner filter counted', () => {
    const deepest = Array(128).fill('a').join('/')
    expect(acl.authorizePublish(nobody, deepest).allow).toBe(true)
    expect(acl.authorizePublish(nobody, `${deepest}/a`)).toEqual({ allow: false, reason: 'too_deep' })
    expect(acl.authorizeSubscribe(nobody, `$share/g/${deepest}`).allow).toBe(true)
    expect(acl.authorizeSubscribe(nobody, `$share/g/${deepest}/a`)).toEqual({ allow: false, reason: 'too_deep' })
    const shallow = compileAcl({ publishAcl: all, subscribeAcl: all }, { maxLevels: 2 })
    expect(shallow.authorizePublish(nobody, 'a/b').allow).toBe(true)
    expect(shallow.authorizePublish(nobody, 'a/b/c')).toEqual({ allow: false, reason: 'too_deep' })
  })

  it('with names of Object.prototype are ordinary text', () => {
    const plain = publishing('a', 'b')
    for (const topic of ['__proto__', 'constructor', 'toString', 'hasOwnProperty/x', '__proto__/__proto__']) {
      expect(plain.authorizePublish(nobody, topic).allow).toBe(false)
      expect(acl.authorizePublish(nobody, topic).allow).toBe(true)
    }
    expect(publishing('constructor/toString').authorizePublish(nobody, 'constructor/toString').allow).toBe(true)
    expect(publishing('constructor/toString', '__proto__').authorizePublish(nobody, 'constructor/valueOf').allow).toBe(
      false,
    )
  })

  it('with limits that are none fit no rule', () => {
    const open = publishing('a')
    for (const qos of [3, -1, 0.5, '0', '1', null, Number.NaN, true, {}]) {
      expect(open.authorizePublish(nobody, 'a', { qos: qos as never })).toMatchObject({
        allow: false,
        missed: 'max_qos',
      })
      expect(subscribing('a').authorizeSubscribe(nobody, 'a', { qos: qos as never })).toMatchObject({
        missed: 'max_qos',
      })
    }
    for (const size of [-1, Number.NaN, Number.POSITIVE_INFINITY, '3', null, [1], 3n]) {
      expect(open.authorizePublish(nobody, 'a', { payloadSize: size as never })).toMatchObject({
        missed: 'max_payload_size',
      })
    }
    const unretained = publishing({ pattern: 'a', allowedRetain: false })
    for (const retain of [true, 1, 'false', null, 0]) {
      expect(unretained.authorizePublish(nobody, 'a', { retain: retain as never })).toMatchObject({ missed: 'retain' })
    }
  })

  it('are decided under 10,000 rules, in array order', () => {
    const rules = Array.from({ length: 10_000 }, (_, at) => ({ pattern: `org/site${at}/+/temp/#` }))
    const many = compileAcl({ publishAcl: [...rules, { pattern: 'org/#' }], subscribeAcl: rules })
    expect(many.authorizePublish(nobody, 'org/site9999/d/temp/x')).toEqual({ allow: true, rule: rules[9_999] })
    expect(many.authorizePublish(nobody, 'org/site9999/d/hum')).toEqual({ allow: true, rule: { pattern: 'org/#' } })
    expect(many.authorizeSubscribe(nobody, 'org/site500/+/temp/+')).toEqual({ allow: true, rule: rules[500] })
    expect(many.authorizeSubscribe(nobody, 'org/+/+/temp/#').allow).toBe(false)
    expect(many.authorizeReceive(nobody, 'org/nowhere')).toMatchObject({ nearest: rules[0] })
  })

  it('meet equal patterns in any number', () => {
    const rules: PublishRule[] = Array.from({ length: 5_000 }, (_, at) => ({
      pattern: 'a/+',
      maxQos: at < 4_999 ? 0 : 1,
    }))
    expect(publishing(...rules).authorizePublish(nobody, 'a/b', { qos: 1 })).toMatchObject({ rule: { maxQos: 1 } })
    expect(publishing(...rules).authorizePublish(nobody, 'a/b', { qos: 2 })).toMatchObject({ missed: 'max_qos' })
  })

  it('meet patterns deeper than any name without harm', () => {
    const acl = subscribing('/'.repeat(65_535), 'a', `${'+/'.repeat(32_000)}#`)
    expect(acl.authorizeSubscribe(nobody, '#').allow).toBe(false)
    expect(acl.authorizeReceive(nobody, 'a').allow).toBe(true)
  })
})

describe('compileAcl', () => {
  it('keeps what it was made from', () => {
    const acl: Acl = { publishAcl: [{ pattern: 'a' }], subscribeAcl: [] }
    expect(compileAcl(acl)).toMatchObject({ acl, semantics: 'strict', maxLevels: 128 })
    expect(compileAcl(acl).acl).toBe(acl)
    expect(compileAcl(acl, { semantics: 'vernemq', maxLevels: 12 })).toMatchObject({
      semantics: 'vernemq',
      maxLevels: 12,
    })
  })

  it('denies everything where lists are absent', () => {
    const acl = compileAcl({} as Acl)
    expect(acl.authorizePublish(nobody, 'a')).toEqual({ allow: false, reason: 'no_matching_rule' })
    expect(acl.authorizeSubscribe(nobody, 'a')).toEqual({ allow: false, reason: 'no_matching_rule' })
    expect(acl.authorizeReceive(nobody, 'a')).toEqual({ allow: false, reason: 'no_matching_rule' })
  })

  const patterns = [
    ['', 'empty', 'must not be empty'],
    ['a#', 'wildcard_not_alone', "'+' and '#' must fill a whole level"],
    ['a/#/b', 'hash_not_last', "'#' must be the last level"],
    ['a\0', 'null_character', 'must not contain U+0000'],
    ['\ud83d', 'lone_surrogate', 'must not contain an unpaired surrogate'],
    ['x'.repeat(65_536), 'too_long', 'must not be longer than 65,535 bytes of UTF-8'],
  ] as const
  for (const [pattern, problem, text] of patterns) {
    it(`refuses a pattern that is ${problem}, and says where`, () => {
      const bad = [{ pattern: 'a' }, { pattern }]
      for (const [place, acl] of [
        ['publishAcl', { publishAcl: bad, subscribeAcl: [] }],
        ['subscribeAcl', { publishAcl: [], subscribeAcl: bad }],
      ] as const) {
        const error = thrown(() => compileAcl(acl))
        expect(error).toBeInstanceOf(TopicInvalid)
        expect(error).toMatchObject({
          code: 'ERR_TOPIC_INVALID',
          problem,
          kind: 'filter',
          message: `${place}[1].pattern: ${text}`,
        })
      }
    })
  }

  const shapes: [acl: unknown, message: string][] = [
    [undefined, 'acl: must be an object'],
    [null, 'acl: must be an object'],
    ['#', 'acl: must be an object'],
    [{ publish_acl: [] }, 'publish_acl: use parseRecord() or publishAcl'],
    [{ subscribe_acl: [] }, 'subscribe_acl: use parseRecord() or subscribeAcl'],
    [{ publishAcl: {} }, 'publishAcl: must be an array'],
    [{ publishAcl: null }, 'publishAcl: must be an array'],
    [{ subscribeAcl: 'a' }, 'subscribeAcl: must be an array'],
    [{ publishAcl: ['a'] }, 'publishAcl[0]: must be an object'],
    [{ publishAcl: [null] }, 'publishAcl[0]: must be an object'],
    [{ publishAcl: Array(1) }, 'publishAcl[0]: must be an object'],
    [{ subscribeAcl: [{ pattern: 'a' }, {}] }, 'subscribeAcl[1].pattern: must be a string'],
    [{ publishAcl: [{ pattern: 7 }] }, 'publishAcl[0].pattern: must be a string'],
    [{ publishAcl: [{ pattern: 'a', maxQos: 3 }] }, 'publishAcl[0].maxQos: must be 0, 1 or 2'],
    [{ publishAcl: [{ pattern: 'a', maxQos: '1' }] }, 'publishAcl[0].maxQos: must be 0, 1 or 2'],
    [{ subscribeAcl: [{ pattern: 'a', maxQos: 1.5 }] }, 'subscribeAcl[0].maxQos: must be 0, 1 or 2'],
    [{ publishAcl: [{ pattern: 'a', maxQos: null }] }, 'publishAcl[0].maxQos: must be 0, 1 or 2'],
    [{ publishAcl: [{ pattern: 'a', max_qos: 1 }] }, 'publishAcl[0].max_qos: use maxQos'],
    [{ publishAcl: [{ pattern: 'a', allowed_retain: true }] }, 'publishAcl[0].allowed_retain: use allowedRetain'],
    [{ publishAcl: [{ pattern: 'a', maxqos: 1 }] }, 'publishAcl[0].maxqos: unknown member'],
    [{ publishAcl: [{ pattern: 'a', ['__proto__']: 1 }] }, 'publishAcl[0].__proto__: unknown member'],
    [{ publishAcl: [{ pattern: 'a', 'x\n"y"': 1 }] }, 'publishAcl[0]["x\\n\\"y\\""]: unknown member'],
    [{ subscribeAcl: [{ pattern: 'a', maxPayloadSize: 1 }] }, 'subscribeAcl[0].maxPayloadSize: unknown member'],
    [{ subscribeAcl: [{ pattern: 'a', allowedRetain: true }] }, 'subscribeAcl[0].allowedRetain: unknown member'],
    ...[-1, 0.5, Number.NaN, '1', null, 268_435_457].map((maxPayloadSize): [unknown, string] => [
      { publishAcl: [{ pattern: 'a', maxPayloadSize }] },
      'publishAcl[0].maxPayloadSize: must be an integer from 0 to 268435456',
    ]),
    [{ publishAcl: [{ pattern: 'a', allowedRetain: 'false' }] }, 'publishAcl[0].allowedRetain: must be true or false'],
    [{ publishAcl: [{ pattern: 'a', modifiers: null }] }, 'publishAcl[0].modifiers: must be an object'],
    [{ publishAcl: [{ pattern: 'a', modifiers: [] }] }, 'publishAcl[0].modifiers: must be an object'],
    [{ publishAcl: [{ pattern: 'a', modifiers: 'x' }] }, 'publishAcl[0].modifiers: must be an object'],
    [{ subscribeAcl: [{ pattern: 'a', modifiers: {} }] }, 'subscribeAcl[0].modifiers: must be an array'],
    [{ subscribeAcl: [{ pattern: 'a', modifiers: null }] }, 'subscribeAcl[0].modifiers: must be an array'],
  ]
  for (const [acl, message] of shapes) {
    it(`throws a TypeError: ${JSON.stringify(message)}`, () => {
      for (const semantics of ['strict', 'vernemq'] as const) {
        const error = thrown(() => compileAcl(acl as Acl, { semantics }))
        expect(error).toBeInstanceOf(TypeError)
        expect((error as Error).message).toBe(message)
      }
    })
  }

  const options: [options: object, message: string][] = [
    [{ semantics: 'lax' }, "\"semantics\" option must be 'strict' or 'vernemq'"],
    [{ semantics: null }, "\"semantics\" option must be 'strict' or 'vernemq'"],
    ...[0, -1, 1_025, 1.5, '10', Number.NaN, Number.POSITIVE_INFINITY].map((maxLevels): [object, string] => [
      { maxLevels },
      '"maxLevels" option must be an integer from 1 to 1024',
    ]),
    [{ unknownPayloadSize: 'maybe' }, "\"unknownPayloadSize\" option must be 'refuse' or 'allow'"],
  ]
  for (const [option, message] of options) {
    it(`throws a TypeError for ${JSON.stringify(option)}`, () => {
      const error = thrown(() => compileAcl({ publishAcl: [], subscribeAcl: [] }, option as CompileOptions))
      expect(error).toBeInstanceOf(TypeError)
      expect((error as Error).message).toBe(message)
    })
  }
})

function thrown(run: () => unknown): unknown {
  try {
    run()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
