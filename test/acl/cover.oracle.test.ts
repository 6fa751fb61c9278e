import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileAcl, filterCoversFilter, filtersCoverFilter, filtersOverlap } from '../../src/acl/index.js'

/*
 * Sets of names by brute force: every filter over a tiny alphabet is the set of all names it matches, of all names over
 * that alphabet and one level more. Nothing below uses the library to build the sets.
 */

const LITERALS = ['a', 'b', '', '$x']
const FRESH = 'z'
const MOST_LEVELS = 3

function sequences(alphabet: readonly string[], length: number): string[][] {
  if (length === 0) return [[]]
  return sequences(alphabet, length - 1).flatMap(head => alphabet.map(last => [...head, last]))
}

const filters: string[][] = []
for (let length = 0; length <= MOST_LEVELS; length++) {
  for (const levels of sequences([...LITERALS, '+'], length)) {
    if (levels.join('/') !== '') filters.push(levels)
    filters.push([...levels, '#'])
  }
}

const names: string[][] = []
for (let length = 1; length <= MOST_LEVELS + 2; length++) {
  names.push(...sequences([...LITERALS, FRESH], length).filter(levels => levels.join('/') !== ''))
}

function slowMatch(filter: readonly string[], name: readonly string[]): boolean {
  if (name[0]!.startsWith('$') && (filter[0] === '+' || filter[0] === '#')) return false
  for (const [at, level] of filter.entries()) {
    if (level === '#') return true
    if (at >= name.length || (level !== '+' && level !== name[at])) return false
  }
  return filter.length === name.length
}

/** One bit for each name. */
type NameSet = Uint32Array

const texts = filters.map(levels => levels.join('/'))
const sets = filters.map((filter): NameSet => {
  const set = new Uint32Array(Math.ceil(names.length / 32))
  for (const [at, name] of names.entries()) if (slowMatch(filter, name)) set[at >> 5]! |= 1 << (at & 31)
  return set
})

function contains(some: readonly NameSet[], inner: NameSet): boolean {
  for (let at = 0; at < inner.length; at++) {
    let left = inner[at]!
    for (const set of some) left &= ~set[at]!
    if (left !== 0) return false
  }
  return true
}

function meet(one: NameSet, other: NameSet): boolean {
  return one.some((bits, at) => (bits & other[at]!) !== 0)
}

/** Counts and shows the wrong answers of both sorts. */
class Tally {
  readonly unsafe: string[] = []
  readonly overCautious: string[] = []
  granted = 0

  add(what: string, answer: boolean, truth: boolean): void {
    if (truth) this.granted++
    if (answer && !truth) this.unsafe.push(what)
    if (!answer && truth) this.overCautious.push(what)
  }

  get wrong(): { unsafe: string[]; overCautious: string[] } {
    return { unsafe: this.unsafe.slice(0, 5), overCautious: this.overCautious.slice(0, 5) }
  }
}

const NONE = { unsafe: [], overCautious: [] }
const nobody = { mountpoint: '', clientId: '', username: '' }

describe('covering, against brute force', () => {
  it('has no unsafe and no over-cautious answer for any pair of filters of up to three levels', () => {
    const tally = new Tally()
    for (const [pattern, outer] of sets.entries()) {
      for (const [requested, inner] of sets.entries()) {
        const answer = filterCoversFilter(texts[pattern]!, texts[requested]!)
        tally.add(`${texts[pattern]} | ${texts[requested]}`, answer, contains([outer], inner))
      }
    }
    expect(tally.wrong).toEqual(NONE)
    expect(sets.length ** 2).toBeGreaterThan(90_000)
    expect(tally.granted).toBeGreaterThan(1_000)
  })

  it('has none for 100,000 lists of one to three filters, compiled or not', () => {
    const any = fc.nat(filters.length - 1)
    const wide = [...filters.keys()].filter(at => /^[^$]*#$/.test(texts[at]!))
    // Only a filter with `#` can need several others, and only from those with wildcards where it has them.
    const relatives = wide.map(at => {
      const requested = filters[at]!
      const near = [...filters.keys()].filter(one =>
        filters[one]!.every((level, depth) => level === '+' || level === '#' || level === requested[depth]),
      )
      return fc.tuple(fc.constant(at), fc.array(fc.constantFrom(...near), { minLength: 2, maxLength: 3 }))
    })
    const anything = fc.tuple(any, fc.array(any, { minLength: 1, maxLength: 3 }))
    const relative = fc.oneof(anything, { weight: 2, arbitrary: fc.oneof(...relatives) })
    const tally = new Tally()
    let unions = 0
    fc.assert(
      fc.property(fc.array(relative, { minLength: 100, maxLength: 100 }), batch => {
        for (const [requested, list] of batch) {
          const patterns = list.map(at => texts[at]!)
          const some = list.map(at => sets[at]!)
          const truth = contains(some, sets[requested]!)
          if (truth && !some.some(set => contains([set], sets[requested]!))) unions++
          const what = `${patterns.join(' and ')} | ${texts[requested]}`
          tally.add(what, filtersCoverFilter(patterns, texts[requested]!), truth)
          const acl = compileAcl({ publishAcl: [], subscribeAcl: patterns.map(pattern => ({ pattern })) })
          tally.add(`compiled ${what}`, acl.authorizeSubscribe(nobody, texts[requested]!).allow, truth)
        }
        expect(tally.wrong).toEqual(NONE)
      }),
      { numRuns: 1_000 },
    )
    expect(unions).toBeGreaterThan(100)
  })

  it('knows every union of up to three filters that covers where none does alone', () => {
    const tally = new Tally()
    const open = [...filters.keys()].filter(at => texts[at]!.endsWith('#') && !/[$b]/.test(texts[at]!))
    const small = [...filters.keys()].filter(at => !/[$b]/.test(texts[at]!) && filters[at]!.length <= 3)
    for (const requested of open.filter(at => filters[at]!.length <= 2)) {
      for (const one of small) {
        for (const two of small) {
          for (const three of open) {
            const list = [one, two, three]
            const patterns = list.map(at => texts[at]!)
            const truth = contains(
              list.map(at => sets[at]!),
              sets[requested]!,
            )
            const what = `${patterns.join(' and ')} | ${texts[requested]}`
            tally.add(what, filtersCoverFilter(patterns, texts[requested]!), truth)
          }
        }
      }
    }
    expect(tally.wrong).toEqual(NONE)
    expect(tally.granted).toBeGreaterThan(1_000)
  })
})

describe('overlap, against brute force', () => {
  it('is right for any pair of filters of up to three levels', () => {
    const tally = new Tally()
    for (const [one, left] of sets.entries()) {
      for (const [two, right] of sets.entries()) {
        tally.add(`${texts[one]} | ${texts[two]}`, filtersOverlap(texts[one]!, texts[two]!), meet(left, right))
      }
    }
    expect(tally.wrong).toEqual(NONE)
  })
})
