import { describe, expect, it } from 'vitest'
import {
  type CompiledAcl,
  compileAcl,
  type Principal,
  type PublishRule,
  type SubscribeRule,
} from '../../src/acl/index.js'
import { VERNEMQ_ROWS } from '../vectors/vernemq-acl.js'

const nobody: Principal = { mountpoint: '', clientId: 'c', username: 'u' }

function compile(publishAcl: readonly PublishRule[], subscribeAcl: readonly SubscribeRule[] = []): CompiledAcl {
  return compileAcl({ publishAcl, subscribeAcl }, { semantics: 'vernemq' })
}

function subscribable(...patterns: string[]): CompiledAcl {
  return compile(
    [],
    patterns.map(pattern => ({ pattern })),
  )
}

describe("VerneMQ's own answers", () => {
  for (const [row, asks, pattern, text, allowed] of VERNEMQ_ROWS) {
    it(`${allowed ? 'allows' : 'refuses'} ${asks} ${text} under ${pattern} (row ${row})`, () => {
      const acl = compile([{ pattern }], [{ pattern }])
      const decision = asks === 'publish' ? acl.authorizePublish(nobody, text) : acl.authorizeSubscribe(nobody, text)
      expect(decision.allow).toBe(allowed)
    })
  }

  it('counts 76', () => {
    expect(VERNEMQ_ROWS.map(([row]) => row)).toEqual(Array.from({ length: 76 }, (_, at) => at + 1))
  })
})

describe('patterns that VerneMQ cannot use', () => {
  const eleven = 'a/b/c/d/e/f/g/h/i/j/k'
  for (const pattern of [
    '',
    'a#',
    'a/#/b',
    '+a',
    '$share',
    '$share/#',
    '$share/g',
    'a\0',
    eleven,
    'a/b/c/d/e/f/g/h/i/j/#',
  ]) {
    it(`match nothing and hide nothing: ${JSON.stringify(pattern)}`, () => {
      const acl = compile([{ pattern }, { pattern: '#', maxQos: 0 }], [{ pattern }])
      expect(acl.authorizePublish(nobody, 'a')).toEqual({ allow: true, rule: { pattern: '#', maxQos: 0 } })
      expect(acl.authorizePublish(nobody, 'a', { qos: 1 })).toMatchObject({
        nearest: { pattern: '#' },
        missed: 'max_qos',
      })
      for (const filter of ['a', '#', '$share/g/a', '$share/g']) {
        expect(acl.authorizeSubscribe(nobody, filter).allow).toBe(false)
      }
    })
  }

  it('are those of more levels than maxLevels, which is 10 as in topic_max_depth', () => {
    const acl = subscribable('#', eleven)
    expect(acl.maxLevels).toBe(10)
    expect(acl.authorizeSubscribe(nobody, 'a/b/c/d/e/f/g/h/i/j').allow).toBe(true)
    expect(acl.authorizeSubscribe(nobody, eleven)).toEqual({ allow: false, reason: 'too_deep' })
    expect(acl.authorizeReceive(nobody, eleven)).toEqual({ allow: false, reason: 'too_deep' })
    const deeper = compileAcl(
      { publishAcl: [], subscribeAcl: [{ pattern: eleven }] },
      { semantics: 'vernemq', maxLevels: 11 },
    )
    expect(deeper.authorizeSubscribe(nobody, eleven).allow).toBe(true)
  })
})

describe('variables under vernemq', () => {
  it('count where they are the whole level', () => {
    const acl = compile([{ pattern: 'dev/%c' }, { pattern: 'at-%c' }, { pattern: '%m/m' }, { pattern: 'u/%u/#' }])
    expect(acl.authorizePublish(nobody, 'dev/c').allow).toBe(true)
    expect(acl.authorizePublish(nobody, 'dev/x').allow).toBe(false)
    expect(acl.authorizePublish(nobody, 'dev/%c').allow).toBe(false)
    expect(acl.authorizePublish(nobody, 'at-c').allow).toBe(false)
    expect(acl.authorizePublish(nobody, 'at-%c').allow).toBe(true)
    expect(acl.authorizePublish(nobody, 'u/u/x').allow).toBe(true)
  })

  it('give an empty level for an empty mountpoint', () => {
    const acl = compile([{ pattern: '%m/m' }], [{ pattern: '%m/m' }])
    expect(acl.authorizePublish(nobody, '/m').allow).toBe(true)
    expect(acl.authorizeSubscribe(nobody, '/m').allow).toBe(true)
    expect(acl.authorizeReceive(nobody, '/m').allow).toBe(true)
    expect(acl.authorizePublish({ ...nobody, mountpoint: 'mp' }, '/m').allow).toBe(false)
  })

  it('never act as wildcards, unlike in VerneMQ', () => {
    const acl = compile([{ pattern: 'dev/%c' }], [{ pattern: 'dev/%c' }, { pattern: '%u/#' }])
    for (const clientId of ['+', '#']) {
      const who = { ...nobody, clientId, username: clientId }
      expect(acl.authorizePublish(who, 'dev/victim').allow).toBe(false)
      for (const filter of ['dev/victim', 'dev/+', 'dev/#', '#', '+/#', '+/victim']) {
        expect(acl.authorizeSubscribe(who, filter).allow).toBe(false)
      }
      expect(acl.authorizeReceive(who, 'dev/victim').allow).toBe(false)
    }
  })

  it('never span levels', () => {
    const acl = compile([{ pattern: 'dev/%c' }, { pattern: 'dev/%c/#' }])
    expect(acl.authorizePublish({ ...nobody, clientId: 'a/b' }, 'dev/a/b').allow).toBe(false)
  })
})

describe('several entries under vernemq', () => {
  it('are tried in array order, limits being part of the match', () => {
    const publishAcl: PublishRule[] = [
      { pattern: 'a', maxQos: 0 },
      { pattern: 'a', maxQos: 2, maxPayloadSize: 3 },
    ]
    const acl = compile(publishAcl)
    expect(acl.authorizePublish(nobody, 'a', { qos: 1, payloadSize: 3 })).toEqual({ allow: true, rule: publishAcl[1] })
    expect(acl.authorizePublish(nobody, 'a', { qos: 0, payloadSize: 9 })).toEqual({ allow: true, rule: publishAcl[0] })
    expect(acl.authorizePublish(nobody, 'a', { qos: 1, payloadSize: 4 })).toEqual({
      allow: false,
      reason: 'no_matching_rule',
      nearest: publishAcl[0],
      missed: 'max_qos',
    })
  })

  it('refuse a QoS that is too high on SUBSCRIBE, and do not lower it', () => {
    const acl = compile([], [{ pattern: 'a/+', maxQos: 1 }])
    expect(acl.authorizeSubscribe(nobody, 'a/+', { qos: 1 }).allow).toBe(true)
    expect(acl.authorizeSubscribe(nobody, 'a/+', { qos: 2 })).toMatchObject({ allow: false, missed: 'max_qos' })
  })

  it('refuse the retain flag where it is not allowed', () => {
    const acl = compile([{ pattern: 'a', allowedRetain: false }])
    expect(acl.authorizePublish(nobody, 'a', { retain: false }).allow).toBe(true)
    expect(acl.authorizePublish(nobody, 'a', { retain: true })).toMatchObject({ allow: false, missed: 'retain' })
  })

  it('are not added up: no union decides', () => {
    expect(subscribable('a', 'a/+/#').authorizeSubscribe(nobody, 'a/#')).toEqual({
      allow: true,
      rule: { pattern: 'a/+/#' },
    })
    expect(subscribable('a', 'a/b/#').authorizeSubscribe(nobody, 'a/#').allow).toBe(false)
  })
})

describe('$ under vernemq', () => {
  it('drops a PUBLISH to $… before any rule is asked', () => {
    const acl = compile([{ pattern: '$SYS/#' }, { pattern: '#' }])
    expect(acl.authorizePublish(nobody, '$SYS/x')).toEqual({ allow: false, reason: 'no_matching_rule' })
    expect(acl.authorizePublish(nobody, 'a/$SYS').allow).toBe(true)
  })

  it('keeps $… names from wildcards on delivery, although it lets them be subscribed', () => {
    for (const pattern of ['#', '+/#', '+/x']) {
      const acl = subscribable(pattern)
      expect(acl.authorizeSubscribe(nobody, '$SYS/x').allow).toBe(true)
      expect(acl.authorizeReceive(nobody, '$SYS/x').allow).toBe(false)
      expect(acl.authorizeReceive(nobody, 'a/x').allow).toBe(true)
    }
    expect(subscribable('$SYS/#').authorizeReceive(nobody, '$SYS/x').allow).toBe(true)
  })

  it('lets a value begin with $, as substituted text does', () => {
    const acl = compile([{ pattern: '%c/#' }], [{ pattern: '%c/#' }])
    const who = { ...nobody, clientId: '$dev' }
    expect(acl.authorizeSubscribe(who, '$dev/x').allow).toBe(true)
    expect(acl.authorizeReceive(who, '$dev/x').allow).toBe(true)
    expect(acl.authorizePublish(who, '$dev/x').allow).toBe(false)
    expect(acl.authorizeReceive(nobody, '$dev/x').allow).toBe(false)
  })

  it('delivers by the inner filter what a pattern grants with its $share prefix spelt out', () => {
    const acl = subscribable('$share/g/a/#', '$share/+/b', '$share/g/$SYS/+')
    expect(acl.authorizeSubscribe(nobody, '$share/g/a/b').allow).toBe(true)
    expect(acl.authorizeSubscribe(nobody, 'a/b').allow).toBe(false)
    expect(acl.authorizeReceive(nobody, 'a/b').allow).toBe(true)
    expect(acl.authorizeReceive(nobody, 'b').allow).toBe(true)
    expect(acl.authorizeReceive(nobody, '$SYS/x').allow).toBe(true)
    expect(acl.authorizeReceive(nobody, '$share/g/a/b').allow).toBe(false)
    expect(acl.authorizeReceive(nobody, 'c').allow).toBe(false)
  })
})
