import { describe, expect, it } from 'vitest'
import { compileAcl, type PublishRule } from '../../src/acl/index.js'
import { asRule, nobody, publishing, subscribing } from './rules.js'

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
