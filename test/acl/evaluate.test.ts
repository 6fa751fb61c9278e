import { describe, expect, it } from 'vitest'
import { compileAcl, type PublishRule, type SubscribeRule } from '../../src/acl/index.js'
import { asRule, nobody, publishing, subscribing } from './rules.js'

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

  it('takes the end of a name for no empty level when it looks for the nearest rule', () => {
    const acl = publishing('a/d/e', 'a//c')
    expect(acl.authorizePublish(nobody, 'a')).toMatchObject({ nearest: { pattern: 'a/d/e' } })
    expect(acl.authorizePublish(nobody, 'a/')).toMatchObject({ nearest: { pattern: 'a//c' } })
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
