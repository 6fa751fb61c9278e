import { describe, expect, it } from 'vitest'
import { describeTopicProblem, parseSubscription, topicFilterProblem, topicNameProblem } from '../../src/acl/index.js'
import { isTooDeep, MAX_TOPIC_BYTES } from '../../src/acl/topic.js'
import { FILTERS, NAMES, textOfBytes, type ValidityRow } from '../vectors/topics.js'

function title([text, problem, clause]: ValidityRow): string {
  const shown = text.length > 40 ? `${text.slice(0, 20)}… of ${text.length} characters` : text
  return `judges ${JSON.stringify(shown)} ${problem ?? 'valid'} (${clause})`
}

describe('topicNameProblem', () => {
  for (const row of NAMES) {
    it(title(row), () => {
      expect(topicNameProblem(row[0])).toBe(row[1])
    })
  }
})

describe('topicFilterProblem', () => {
  for (const row of FILTERS) {
    it(title(row), () => {
      expect(topicFilterProblem(row[0])).toBe(row[1])
    })
  }
})

describe('topic problems', () => {
  it('counts bytes of UTF-8 exactly at the limit, whatever the width of the characters', () => {
    for (const width of [1, 2, 3, 4] as const) {
      expect(Buffer.byteLength(textOfBytes(MAX_TOPIC_BYTES, width))).toBe(65_535)
      for (const extra of ['x', 'é', '€', '😀']) {
        const room = 65_535 - Buffer.byteLength(extra)
        expect(topicNameProblem(textOfBytes(room, width) + extra)).toBeUndefined()
        expect(topicNameProblem(textOfBytes(room + 1, width) + extra)).toBe('too_long')
      }
    }
  })

  it('takes anything that is no string for empty, so that it matches nothing', () => {
    for (const odd of [undefined, null, 42, ['a'], { length: 1 }, Symbol('a')]) {
      expect(topicNameProblem(odd as never)).toBe('empty')
      expect(topicFilterProblem(odd as never)).toBe('empty')
    }
  })

  it('have a text each', () => {
    const problems = new Set([...NAMES, ...FILTERS].map(([, problem]) => problem))
    problems.delete(undefined)
    expect(problems.size).toBe(8)
    for (const problem of problems) expect(describeTopicProblem(problem!)).toMatch(/must/)
  })
})

describe('parseSubscription', () => {
  const rows = [
    ['a/b', { filter: 'a/b' }],
    ['#', { filter: '#' }],
    ['', { filter: '' }],
    ['$share/g/a/#', { shareName: 'g', filter: 'a/#' }],
    ['$share/g//a', { shareName: 'g', filter: '/a' }],
    ['$share/g/', { shareName: 'g', filter: '' }],
    ['$share/g/$share/h/a', { shareName: 'g', filter: '$share/h/a' }],
    ['$share/g', { filter: '$share/g' }],
    ['$share//a', { filter: '$share//a' }],
    ['$share', { filter: '$share' }],
    ['$Share/g/a', { filter: '$Share/g/a' }],
    ['x/$share/g/a', { filter: 'x/$share/g/a' }],
  ] as const
  for (const [text, parsed] of rows) {
    it(`splits ${JSON.stringify(text)} as MQTT 5 section 4.8.2 does`, () => {
      expect(parseSubscription(text)).toEqual(parsed)
    })
  }
})

describe('isTooDeep', () => {
  it('counts levels, empty ones included', () => {
    for (const levels of [1, 2, 10, 128, 1_024]) {
      const empty = '/'.repeat(levels - 1)
      expect([isTooDeep(empty, levels), isTooDeep(`${empty}/`, levels)]).toEqual([false, true])
      const named = Array(levels).fill('level').join('/')
      expect([isTooDeep(named, levels), isTooDeep(`${named}/level`, levels)]).toEqual([false, true])
    }
  })
})
