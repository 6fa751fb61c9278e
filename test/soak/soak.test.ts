import { expect, it } from 'vitest'
import { soak } from './soak.js'

const SOAK_MS = 30_000

/** Heap that may come and go between two weighings of a node, in bytes. */
const HEAP_SLACK = 4 * 2 ** 20

it('half a minute of random trouble leaves no right beyond its bound, nothing uncaught, and nothing behind', {
  timeout: 4 * SOAK_MS,
}, async () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  const { wrong, burdens, longestMs, boundMs, troubles, writes } = await soak({ ms: SOAK_MS, seed })
  expect(wrong, `seed ${seed}`).toEqual([])
  expect(longestMs).toBeLessThanOrEqual(boundMs)
  expect(Math.min(troubles, writes), 'something happened').toBeGreaterThan(5)
  for (const burden of burdens) {
    // At first code is still being compiled, and on a busy machine for longer.
    const halfway = burden[Math.floor(burden.length / 2)]!
    const last = burden.at(-1)!
    expect(last.heapBytes).toBeLessThan(halfway.heapBytes + HEAP_SLACK)
    expect(last.handles).toBeLessThan(60)
  }
})
