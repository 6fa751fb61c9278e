import { describe, expect, it } from 'vitest'
import { compileAcl, filterCoversFilter, filtersCoverFilter, filtersOverlap } from '../../src/acl/index.js'
import { COVERS } from '../vectors/covers.js'

const nobody = { mountpoint: '', clientId: '', username: '' }

describe('filtersCoverFilter', () => {
  for (const [patterns, requested, covered] of COVERS) {
    it(`${covered ? 'grants' : 'refuses'} ${requested} under ${patterns.join(' and ') || 'nothing'}`, () => {
      expect(filtersCoverFilter(patterns, requested)).toBe(covered)
      if (patterns.length === 1) expect(filterCoversFilter(patterns[0]!, requested)).toBe(covered)
    })
  }

  it('takes what is no string for uncovered', () => {
    expect(filtersCoverFilter(['#'], undefined as never)).toBe(false)
    expect(filtersCoverFilter([7 as never], 'a')).toBe(false)
  })

  it('judges filters of 65,535 levels', () => {
    const deep = '/'.repeat(65_534)
    expect(filtersCoverFilter(['#'], deep)).toBe(true)
    expect(filtersCoverFilter([deep], '#')).toBe(false)
    expect(filtersCoverFilter([deep], deep)).toBe(true)
    expect(filtersOverlap(deep, '+/#')).toBe(true)
  })
})

describe('compileAcl', () => {
  const plain = COVERS.filter(([patterns]) => !patterns.some(pattern => /%|#\/|a#/.test(pattern)))
  for (const [patterns, requested, covered] of plain) {
    it(`${covered ? 'grants' : 'refuses'} SUBSCRIBE ${requested} under ${patterns.join(' and ') || 'nothing'}`, () => {
      const acl = compileAcl({ publishAcl: [], subscribeAcl: patterns.map(pattern => ({ pattern })) })
      expect(acl.authorizeSubscribe(nobody, requested).allow).toBe(covered)
    })
  }
})

describe('filtersOverlap', () => {
  const rows = [
    ['a/+', '+/b', true],
    ['a/b', 'a/b', true],
    ['a/b', 'a/c', false],
    ['a/#', 'a', true],
    ['a/#', 'b/#', false],
    ['a/#', '+/+/c', true],
    ['a/+', 'a', false],
    ['#', '$SYS/#', false],
    ['+/x', '$SYS/x', false],
    ['$SYS/#', '$SYS/+', true],
    ['+', '/#', false], // only the empty name, which does not exist
    ['+', '+/#', true],
    ['/#', '#', true],
    ['$share/g/a', 'a', true],
    ['a/#/b', 'a/x', false],
    ['', '#', false],
  ] as const
  for (const [a, b, overlap] of rows) {
    it(`finds ${overlap ? 'a name' : 'no name'} common to ${a} and ${b}`, () => {
      expect([filtersOverlap(a, b), filtersOverlap(b, a)]).toEqual([overlap, overlap])
    })
  }
})
