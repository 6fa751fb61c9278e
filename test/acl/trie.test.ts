import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileAcl, type Principal, type PublishRule } from '../../src/acl/index.js'
import { publishVerdict, type ReferenceOptions, receiveVerdict, subscribeVerdict, type Verdict } from './reference.js'
import { nobody, publishing, subscribing } from './rules.js'

/*
 * What lists of rules look like inside must not show: levels that begin alike, that hide in each other, that differ in one
 * character or in one bit of it, many and few side by side, and requests that miss a rule by a character.
 */

/** A rule of either list. */
type Rule = Pick<PublishRule, 'pattern' | 'maxQos'>

const LONG = 'x'.repeat(40)
const levels = [
  ...['', 'a', 'ab', 'abc', 'b', 'A', 'é', '一', '丁', '😀', '😁', ' ', '*', '$x', '%', '%d', 'a%c'],
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length'],
  ...[LONG, `${LONG}1`, `${LONG}2`, 'twelve-chars', 'thirteen-char', 'thirteen-chas'],
  ...Array.from({ length: 24 }, (_, at) => `site${at}`),
]
const values = [...levels, 'a/b', '+', '#', 'a+', 'a\0', '\ud83d', '/', '%u']

const options: fc.Arbitrary<ReferenceOptions> = fc.record({
  semantics: fc.constantFrom('strict', 'vernemq'),
  maxLevels: fc.constantFrom(2, 4, 10),
  unknownFits: fc.boolean(),
})
const principal: fc.Arbitrary<Principal> = fc.record({
  mountpoint: fc.constantFrom(...values),
  clientId: fc.constantFrom(...values),
  username: fc.constantFrom(...values),
})
const pool = fc.uniqueArray(fc.constantFrom(...levels), { minLength: 1, maxLength: 24 })

/** Patterns from few levels, so that they share many, or from many, so that a node has many edges. */
function patterns(from: readonly string[], most: number): fc.Arbitrary<string[]> {
  const level = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...from) },
    { weight: 2, arbitrary: fc.constant('+') },
    { weight: 1, arbitrary: fc.constantFrom('%c', '%u', '%m') },
  )
  const pattern = fc
    .tuple(fc.array(level, { minLength: 1, maxLength: 5 }), fc.boolean())
    .map(([all, open]) => `${all.join('/')}${open ? '/#' : ''}`)
    .filter(text => text !== '')
  return fc.array(pattern, { minLength: 1, maxLength: most })
}

function ruleList(most: number): fc.Arbitrary<Rule[]> {
  const limits = fc.constantFrom<Omit<Rule, 'pattern'>>({}, {}, {}, { maxQos: 0 }, { maxQos: 1 })
  return pool
    .chain(from => patterns(from, most))
    .chain(all => fc.tuple(...all.map(pattern => limits.map(limit => ({ pattern, ...limit })))))
}

/** A request that some rule is near to, changed in one place. */
interface Near {
  readonly rule: number
  /** What stands for wildcards. */
  readonly fill: string
  readonly change: string
  readonly at: number
}

const near: fc.Arbitrary<Near> = fc.record({
  rule: fc.nat(100),
  fill: fc.constantFrom(...levels, ...levels, 'a+', '#', 'a\0', '\ud83d', `${LONG}${LONG}#`, 'b'.repeat(300)),
  change: fc.constantFrom(
    'none',
    'none',
    'cut',
    'add',
    'swap',
    'flip',
    'slash',
    'plus',
    'null',
    'half',
    'drop',
    'long',
  ),
  at: fc.nat(1_000),
})

function filled(rules: readonly Rule[], { rule, fill }: Near, who: Principal, wild: boolean): string {
  const known: Record<string, string> = { '%m': who.mountpoint, '%c': who.clientId, '%u': who.username }
  const all = rules[rule % rules.length]!.pattern.split('/')
  return all.map(level => known[level] ?? (!wild && /^[+#]$/.test(level) ? fill : level)).join('/')
}

function changed(text: string, { change, at }: Near): string {
  const place = at % (text.length + 1)
  const put = (piece: string, cut: number) => text.slice(0, place) + piece + text.slice(place + cut)
  const code = text.charCodeAt(place) || 0x61
  if (change === 'cut') return text.slice(0, -1)
  if (change === 'add') return `${text}a`
  if (change === 'swap') return put('b', 1)
  if (change === 'flip') return put(String.fromCharCode(code ^ (1 << (at % 16))), 1)
  if (change === 'slash') return put('/', 0)
  if (change === 'plus') return put('+', at % 2)
  if (change === 'null') return put('\0', 1)
  if (change === 'half') return put('\ud83d', 0)
  if (change === 'drop') return text.split('/').slice(1).join('/')
  return change === 'long' ? `${text}/${'long/'.repeat(60)}` : text
}

function compile(rules: readonly Rule[], { semantics, maxLevels, unknownFits }: ReferenceOptions) {
  const unknownPayloadSize = unknownFits ? 'allow' : 'refuse'
  return compileAcl({ publishAcl: rules, subscribeAcl: rules }, { semantics, maxLevels, unknownPayloadSize })
}

/** What a decision comes to, in the words of the reference. */
function verdictOf(decision: ReturnType<ReturnType<typeof compile>['authorizePublish']>, rules: readonly Rule[]) {
  const placeOf = (rule: object | undefined) => (rule === undefined ? undefined : rules.indexOf(rule as Rule))
  if (decision.allow) return { allow: true, rules: (decision.rules ?? [decision.rule]).map(rule => placeOf(rule)) }
  return { allow: false, reason: decision.reason, nearest: placeOf(decision.nearest), missed: decision.missed }
}

function plainVerdict(verdict: Verdict): object {
  return verdict.allow ? verdict : { nearest: undefined, missed: undefined, ...verdict }
}

/** As `toEqual`, for some ten thousand times. */
function expectSame(actual: object, expected: object): void {
  if (!isDeepStrictEqual(actual, expected)) expect(actual).toEqual(expected)
}

const requests = fc.array(fc.tuple(principal, near, fc.constantFrom(0, 1, 2)), { minLength: 12, maxLength: 12 })

describe('rules that share levels, and requests near to them', () => {
  it('are decided as by the slow reference, names', () => {
    let allowed = 0
    fc.assert(
      fc.property(ruleList(40), options, requests, (rules, reference, asked) => {
        const acl = compile(rules, reference)
        for (const [who, one, qos] of asked) {
          const topic = changed(filled(rules, one, who, false), one)
          const publish = publishVerdict(rules, who, topic, { qos }, reference)
          expectSame(verdictOf(acl.authorizePublish(who, topic, { qos }), rules), plainVerdict(publish))
          if (publish.allow) allowed++
          if (rules.some(({ pattern }) => pattern.startsWith('$share/'))) continue
          const receive = receiveVerdict(rules, who, topic, reference)
          expectSame(verdictOf(acl.authorizeReceive(who, topic), rules), plainVerdict(receive))
        }
      }),
      { numRuns: 800 },
    )
    expect(allowed).toBeGreaterThan(1_000)
  })

  it('are decided as by the slow reference, filters', () => {
    let allowed = 0
    fc.assert(
      fc.property(ruleList(6), options, requests, fc.boolean(), (rules, reference, asked, wild) => {
        const acl = compile(rules, reference)
        for (const [who, one, qos] of asked) {
          const filter = changed(filled(rules, one, who, wild), one)
          const verdict = subscribeVerdict(rules, who, filter, { qos }, reference)
          const decision = verdictOf(acl.authorizeSubscribe(who, filter, { qos }), rules)
          if (verdict.allow) allowed++
          // Where several limits are missed at once, any of the rules concerned may be named.
          if (!verdict.allow && verdict.missed !== undefined && verdict.nearest === undefined) {
            expect(decision).toMatchObject({ allow: false, missed: 'max_qos' })
          } else expectSame(decision, plainVerdict(verdict))
        }
      }),
      { numRuns: 800 },
    )
    expect(allowed).toBeGreaterThan(1_000)
  })
})

describe('rules of unusual shape', () => {
  it('are told apart in any bit of a character, at any distance', () => {
    for (const gap of [0, 1, 63, 64, 65, 300]) {
      const name = (bit: number) => `${'p'.repeat(gap)}${String.fromCharCode(0x4e00 ^ (1 << bit))}q`
      const names = Array.from({ length: 11 }, (_, bit) => name(bit))
      const acl = publishing(...names)
      for (const topic of names) expect(acl.authorizePublish(nobody, topic)).toMatchObject({ rule: { pattern: topic } })
      expect(acl.authorizePublish(nobody, `${'p'.repeat(gap)}\u4e00q`).allow).toBe(false)
    }
  })

  it('are found where each begins as the next one does', () => {
    const names = Array.from({ length: 300 }, (_, at) => `${'b'.repeat(at)}a`)
    const acl = publishing(...names, ...names.map(name => `${name}/c/d`))
    for (const topic of names) {
      expect(acl.authorizePublish(nobody, topic)).toMatchObject({ rule: { pattern: topic } })
      expect(acl.authorizePublish(nobody, `${topic}/c/d`)).toMatchObject({ rule: { pattern: `${topic}/c/d` } })
      expect(acl.authorizePublish(nobody, `${topic}/c`).allow).toBe(false)
    }
  })

  it('may have 1,024 levels of any sort', () => {
    const who = { ...nobody, clientId: 'b' }
    const deep = (level: (at: number) => string) => Array.from({ length: 1_024 }, (_, at) => level(at)).join('/')
    const patterns = ['+', 'b', '%c', ''].map(one => deep(at => (at % 3 === 2 ? one : at % 3 === 1 ? '+' : 'a')))
    const rules = patterns.map(pattern => ({ pattern }))
    const acl = compileAcl({ publishAcl: rules, subscribeAcl: rules }, { maxLevels: 1_024 })
    const topic = deep(at => (at % 3 === 0 ? 'a' : 'b'))
    expect(acl.authorizePublish(who, topic)).toEqual({ allow: true, rule: rules[0] })
    expect(acl.authorizePublish(who, `${topic.slice(0, -1)}c`).allow).toBe(false)
    expect(acl.authorizeSubscribe(who, patterns[0]!)).toEqual({ allow: true, rule: rules[0] })
    expect(acl.authorizeSubscribe(who, '#').allow).toBe(false)
  })

  it('do not let a name pass that is none, whatever sort of level it hides in', () => {
    const acl = publishing('lit/a', '+/x', '%c/y', 'tail/#', 'deep/+/+/#')
    for (const bad of ['+', '#', 'b+', '\0', 'b\0c', '\ud83d', '\udc00b', `${'b'.repeat(40)}\0`]) {
      const who = { ...nobody, clientId: bad }
      for (const topic of [`lit/a${bad}`, `${bad}/x`, `${bad}/y`, `tail/${bad}`, `deep/a/${bad}`, `deep/${bad}/a/b`]) {
        expect(acl.authorizePublish(who, topic)).toEqual({ allow: false, reason: 'topic_invalid' })
      }
    }
    for (const good of ['😀', 'b'.repeat(300), '\uffff']) {
      for (const topic of [`${good}/x`, `tail/${good}`, `deep/${good}/a/b`]) {
        expect(acl.authorizePublish(nobody, topic).allow).toBe(true)
      }
      expect(acl.authorizePublish({ ...nobody, clientId: good }, `${good}/y`).allow).toBe(true)
    }
  })

  it('answer by the first that matches, whether a closer look is needed or not', () => {
    const acl = publishing('a/#', 'a/😀', { pattern: 'b/+', maxQos: 0 }, 'b/#')
    expect(acl.authorizePublish(nobody, 'a/😀')).toMatchObject({ rule: { pattern: 'a/#' } })
    expect(acl.authorizePublish(nobody, 'b/😀', { qos: 0 })).toMatchObject({ rule: { pattern: 'b/+' } })
    expect(acl.authorizePublish(nobody, 'b/😀', { qos: 1 })).toMatchObject({ rule: { pattern: 'b/#' } })
    expect(acl.authorizePublish(nobody, 'b/c', { qos: 1 })).toMatchObject({ rule: { pattern: 'b/#' } })
    const own = publishing('c/%c/d', 'c/😀/d', 'c/+/d')
    expect(own.authorizePublish({ ...nobody, clientId: '😀' }, 'c/😀/d')).toMatchObject({ rule: { pattern: 'c/%c/d' } })
    expect(own.authorizePublish(nobody, 'c/😀/d')).toMatchObject({ rule: { pattern: 'c/😀/d' } })
  })

  it('name the nearest rule by what they share with it of several levels at once', () => {
    const acl = publishing('org/a/b/c', 'org/a/x/y', 'org/z/b', 'other')
    for (const [topic, nearest] of [
      ['org/a/b', 'org/a/b/c'],
      ['org/a/x/z', 'org/a/x/y'],
      ['org/z', 'org/z/b'],
      ['org/q', 'org/a/b/c'],
      ['orgs/a', 'org/a/b/c'],
      ['other/a', 'other'],
    ]) {
      expect(acl.authorizePublish(nobody, topic!)).toMatchObject({ allow: false, nearest: { pattern: nearest } })
    }
    const many = publishing(...Array.from({ length: 40 }, (_, at) => `org/site${at}/temp`))
    expect(many.authorizePublish(nobody, 'org/site39/hum')).toMatchObject({ nearest: { pattern: 'org/site39/temp' } })
    expect(many.authorizePublish(nobody, 'org/site40/temp')).toMatchObject({ nearest: { pattern: 'org/site0/temp' } })
  })

  it('answer alike before and after the other questions were asked', () => {
    const first = subscribing('a/+', 'a/#')
    const second = subscribing('a/+', 'a/#')
    expect(second.authorizeSubscribe(nobody, 'a/+')).toEqual(first.authorizeSubscribe(nobody, 'a/+'))
    const granted = first.authorizeSubscribe(nobody, 'a/+')
    expect(first.authorizeReceive(nobody, 'a/b')).toBe(granted)
    expect(first.authorizePublish(nobody, 'a/b')).toEqual({ allow: false, reason: 'no_matching_rule' })
  })
})
