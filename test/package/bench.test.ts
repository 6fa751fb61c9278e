import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { plot } from '../../bench/plot.js'
import { BENCHES, PAGES, RESULTS, readResults, withSection } from '../../bench/report.js'
import { atLeast, atMost, ratio, show, spread } from '../../bench/stats.js'

const ROOT = new URL('../../', import.meta.url)
const results = readResults()
const page = (path: string) => readFileSync(new URL(path, ROOT), 'utf8')

describe('pages with figures', () => {
  it.each(Object.keys(PAGES))('%s shows what the benches have recorded: npm run bench:readme', path => {
    expect(page(path)).toBe(PAGES[path]!(page(path), results))
  })

  it.each(Object.keys(PAGES))('%s would be found out of date if a figure had changed', path => {
    for (const at of results.keys()) {
      const other = structuredClone(results) as (typeof results)[number][]
      const [, result] = other[at]!
      Object.assign(result, {
        cases: result.cases.map(one => ({ ...one, median: one.median * 3 + 1 })),
        budgets: result.budgets.map(one => ({ ...one, measured: 'another' })),
      })
      expect(PAGES[path]!(page(path), other)).not.toBe(page(path))
    }
  })

  it('link to every plot that was drawn, and to no other', () => {
    const drawn = readdirSync(RESULTS).filter(name => name.endsWith('.svg'))
    const linked = (path: string) => [...page(path).matchAll(/results\/([\w-]+\.svg)/g)].map(match => match[1]!)
    for (const path of Object.keys(PAGES)) expect(linked(path).sort()).toEqual(drawn.sort())
  })

  it('come from all results there are', () => {
    // Figures of the faults are no timings against others: they have a table, a script and a test of their own.
    const recorded = readdirSync(RESULTS).filter(name => name.endsWith('.json') && name !== 'faults.json')
    expect(recorded.sort()).toEqual(BENCHES.map(name => `${name}.json`).sort())
  })

  it('are refused without the marks between which figures stand', () => {
    expect(() => withSection('text', 'match', 'figures')).toThrow('no marks <!-- figures of match -->')
  })
})

describe('recorded budgets', () => {
  it('name every figure once, and say of each that is missed where the rest goes', () => {
    const all = results.flatMap(([, { budgets }]) => budgets)
    expect(new Set(all.map(({ what }) => what)).size).toBe(all.length)
    for (const { what, isWithin, whenMissed } of all)
      expect([what, isWithin !== false || whenMissed !== '']).toEqual([what, true])
  })

  it('are judged by the median', () => {
    const measured = { low: 1, median: 2, high: 9 }
    const limit = { what: 'time', measured, unit: 'ns', whenMissed: 'elsewhere' } as const
    expect(atMost(2, limit)).toMatchObject({ isWithin: true, budget: '≤ 2 ns', measured: '2 ns (1 ns to 9 ns)' })
    expect(atMost(1, limit).isWithin).toBe(false)
    expect(atLeast(2, limit).isWithin).toBe(true)
    expect(atLeast(3, limit).isWithin).toBe(false)
    const unknown = { ...limit, measured: spread([]) }
    expect([atMost(2, unknown).isWithin, atLeast(2, unknown).isWithin]).toEqual([false, false])
  })
})

describe('figures', () => {
  it('are quartiles of the rounds there were', () => {
    expect(spread([5, 1, 4, 2, 3])).toEqual({ low: 2, median: 3, high: 4 })
    // A round that a slow case was spared leaves a hole.
    const holed: number[] = []
    holed[2] = 7
    expect(spread(holed)).toEqual({ low: 7, median: 7, high: 7 })
  })

  it('are compared within rounds', () => {
    const of = { scenario: '', column: '', subject: '', unit: 'ns' } as const
    const compared = ratio({ of, rounds: [10, 100, 1_000] }, { of, rounds: [5, 25, 1_000, 9] })
    expect(compared).toEqual({ low: 2, median: 2, high: 4 })
  })

  it.each([
    [149.6, 'ns', '150 ns'],
    [1_500, 'ns', '1.5 µs'],
    [25e6, 'ns', '25 ms'],
    [15.4e9, 'ns', '15.4 s'],
    [0.97, '×', '0.97×'],
    [2_398.4, '×', '2,398×'],
    [1_786, '/s', '1,790 /s'],
    [344.2, 'B', '344 B'],
    [15_120, 'B', '15.1 KB'],
    [0, 'count', '0'],
    [Number.NaN, 'ns', '-'],
  ] as const)('%d %s reads %s', (value, unit, text) => {
    expect(show(value, unit)).toBe(text)
  })
})

describe('plots', () => {
  const axis = { label: 'a < b', scale: 'log', show: String } as const
  const linear = { ...axis, scale: 'linear' } as const

  it('put larger values further right and further up, and leave out what has no place', () => {
    const line = {
      name: 'R&D',
      points: [
        [1, 10],
        [10, 100],
        [100, 1_000],
        [0, 5],
        [5, Number.NaN],
      ] as const,
    }
    const svg = plot('a & b', [{ title: 't', x: axis, y: axis, lines: [line] }])
    const [, points] = /<polyline[^>]* points="([^"]*)"/.exec(svg)!
    const places = points!.split(' ').map(place => place.split(',').map(Number))
    expect(places).toHaveLength(3)
    const [first, second, third] = places as [number[], number[], number[]]
    expect(second[0]! - first[0]!).toBeCloseTo(third[0]! - second[0]!, 0)
    expect(second[1]! - first[1]!).toBeCloseTo(third[1]! - second[1]!, 0)
    expect(third[0]! > first[0]! && third[1]! < first[1]!).toBe(true)
    expect(svg).not.toContain('NaN')
  })

  it('write text as text, and follow the colours of the page', () => {
    const svg = plot('a & b', [{ title: '<t>', x: axis, y: linear, lines: [{ name: 'R&D', points: [[1, 1]] }] }])
    expect(svg).toContain('<title>a &amp; b</title>')
    expect(svg).toContain('&lt;t&gt;')
    expect(svg).toContain('R&amp;D')
    expect(svg).toContain('a &lt; b')
    expect(svg).toContain('prefers-color-scheme:dark')
  })

  it('have axes also where there is nothing to show', () => {
    expect(plot('none', [{ title: 't', x: linear, y: axis, lines: [{ name: 'n', points: [] }] }])).not.toContain('NaN')
  })
})
