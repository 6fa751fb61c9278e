import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { filterMatchesTopic } from '../../src/acl/index.js'
import { MATCHES } from '../vectors/topics.js'

describe('filterMatchesTopic', () => {
  for (const [filter, topic, matches, clause] of MATCHES) {
    const shown = topic.length > 40 ? `${topic.length} characters` : JSON.stringify(topic)
    it(`${matches ? 'matches' : 'does not match'} ${JSON.stringify(filter)} with ${shown} (${clause})`, () => {
      expect(filterMatchesTopic(filter, topic)).toBe(matches)
    })
  }

  /** Section 4.7 as a regular expression; nothing of it is used in the library. */
  function slowMatch(filter: string, topic: string): boolean {
    const valid = /^(?:(?:[^/+#]*|\+)\/)*(?:[^/+#]*|[+#])$/.test(filter) && filter !== ''
    if (!valid || topic === '' || /[+#]/.test(topic)) return false
    if (topic.startsWith('$') && /^[+#]/.test(filter)) return false
    const body = filter
      .replace(/[.*?^${}()|[\]\\]/g, '\\$&')
      .replaceAll('+', '[^/]*')
      .replace(/(^|\/)#$/, (_, slash) => (slash === '' ? '[^]*' : '(?:/[^]*)?'))
    return new RegExp(`^${body}$`).test(topic)
  }

  const level = fc.constantFrom('a', 'b', '', '$x', 'a.b', '__proto__', '😀', '*')
  const filterLevel = fc.oneof({ weight: 4, arbitrary: level }, fc.constantFrom('+', '+', '#', 'a+', '#b'))
  const filter = fc.array(filterLevel, { minLength: 1, maxLength: 5 })
  const names = fc.array(fc.oneof({ weight: 9, arbitrary: level }, fc.constantFrom('+', '#')), { maxLength: 3 })

  /** A filter, and a name that follows it up to the first `0` of `turns`. */
  const pair = fc
    .tuple(filter, names, fc.array(fc.nat(6), { minLength: 5, maxLength: 5 }))
    .map(([levels, rest, turns]) => {
      const stop = turns.indexOf(0)
      const followed = levels.slice(0, stop === -1 ? levels.length : stop).filter(one => one !== '#')
      const filled = followed.map((one, at) => (one === '+' ? (rest[at] ?? 'a') : one))
      const topic = stop === -1 && levels.at(-1) !== '#' ? filled : [...filled, ...rest]
      return [levels.join('/'), topic.join('/')] as const
    })

  it('agrees with section 4.7 written as a regular expression', () => {
    let matched = 0
    fc.assert(
      fc.property(pair, ([filter, topic]) => {
        const expected = slowMatch(filter, topic)
        if (expected) matched++
        expect(filterMatchesTopic(filter, topic)).toBe(expected)
      }),
      { numRuns: 20_000 },
    )
    expect(matched).toBeGreaterThan(2_000)
  })
})
