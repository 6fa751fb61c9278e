import { describe, expect, it } from 'vitest'
import { Backoff } from '../../src/redis/time.js'

/** The next so many delays. */
const delaysOf = (backoff: Backoff, count: number): number[] => Array.from({ length: count }, () => backoff.next())

describe('the delays between attempts', () => {
  it('are none at first, then double up to the longest, each shortened by up to half', () => {
    const delays = Array.from({ length: 200 }, () => delaysOf(new Backoff(10, 100), 8))
    for (const [at, full] of [0, 10, 20, 40, 80, 100, 100, 100].entries()) {
      const all = delays.map(each => each[at]!)
      expect(Math.max(...all)).toBeLessThanOrEqual(full)
      expect(Math.min(...all)).toBeGreaterThanOrEqual(full / 2)
      // Nodes of a cluster do not return all at once.
      if (full > 0) expect(new Set(all).size).toBeGreaterThan(100)
    }
  })

  it('begin anew when things have gone well for as long as the longest of them, and not before', () => {
    const backoff = new Backoff(10, 100)
    delaysOf(backoff, 5)
    backoff.reset(99)
    expect(backoff.next()).toBeGreaterThanOrEqual(50)
    backoff.reset(100)
    expect(backoff.next()).toBe(0)
  })

  it('stay numbers after very many attempts', () => {
    const last = delaysOf(new Backoff(10, 100), 5_000).at(-1)!
    expect(last).toBeGreaterThanOrEqual(50)
    expect(last).toBeLessThanOrEqual(100)
  })
})
