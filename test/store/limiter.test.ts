import { afterEach, describe, expect, it, vi } from 'vitest'
import { Limiters, MemoryLimiter } from '../../src/store/limiter.js'
import { createMemoryStore } from '../../src/store/memory.js'

const limits = { points: 2, windowMs: 10_000, blockMs: 60_000 }

afterEach(() => {
  vi.useRealTimers()
})

describe('MemoryLimiter', () => {
  it('counts by key, and says when the points are used up', async () => {
    const limiter = new MemoryLimiter(limits)
    expect(await limiter.isSpent('a')).toBe(false)
    expect([await limiter.spend('a'), await limiter.isSpent('a')]).toEqual([1, false])
    expect([await limiter.spend('a'), await limiter.isSpent('a')]).toEqual([2, true])
    expect([await limiter.spend('a'), await limiter.isSpent('a')]).toEqual([3, true])
    expect(await limiter.isSpent('b')).toBe(false)
  })

  it('begins anew when the window is over, and once blocked when the block is', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const limiter = new MemoryLimiter(limits)
    await limiter.spend('a')
    vi.advanceTimersByTime(9_999)
    expect(await limiter.spend('b')).toBe(1)
    expect(await limiter.isSpent('a')).toBe(false)
    vi.advanceTimersByTime(2)
    expect(await limiter.spend('a')).toBe(1)
    await limiter.spend('a')
    vi.advanceTimersByTime(30_000)
    // What is tried meanwhile does not prolong it.
    expect([await limiter.spend('a'), await limiter.isSpent('b')]).toEqual([3, false])
    vi.advanceTimersByTime(29_999)
    expect(await limiter.isSpent('a')).toBe(true)
    vi.advanceTimersByTime(2)
    expect([await limiter.isSpent('a'), await limiter.spend('a')]).toEqual([false, 1])
  })

  it('counts within the window from the first, not from the last', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const limiter = new MemoryLimiter({ ...limits, points: 10 })
    await limiter.spend('a')
    vi.advanceTimersByTime(6_000)
    expect(await limiter.spend('a')).toBe(2)
    vi.advanceTimersByTime(6_000)
    expect(await limiter.spend('a')).toBe(1)
  })

  it('sets no timers, and counts no more when it is closed, alone or with its store', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const store = createMemoryStore()
    const [limiter, ofStore] = [new MemoryLimiter(limits), store.limiter!('pair', limits)]
    for (const one of [limiter, ofStore]) for (const key of ['a', 'b', 'b', 'b']) await one.spend(key)
    expect(vi.getTimerCount()).toBe(0)
    limiter.close()
    await store.close()
    expect([await limiter.spend('b'), await ofStore.spend('b'), await limiter.isSpent('b')]).toEqual([1, 1, false])
    expect(await limiter.spend('b')).toBe(1)
  })

  it('keeps no more keys than it may, and forgets those touched longest ago', async () => {
    const limiter = new MemoryLimiter({ ...limits, points: 1 }, 2)
    for (const key of ['a', 'b', 'c']) await limiter.spend(key)
    expect(await Promise.all(['a', 'b', 'c'].map(key => limiter.isSpent(key)))).toEqual([false, true, true])
    expect(await limiter.spend('a')).toBe(1)
  })
})

describe('Limiters', () => {
  it('are shared by all who name the same and mean the same limits', () => {
    const limiters = new Limiters((_, given) => new MemoryLimiter(given))
    expect(limiters.get('pair', limits)).toBe(limiters.get('pair', { ...limits }))
    expect(limiters.get('pair', limits)).not.toBe(limiters.get('account', limits))
    expect(limiters.get('pair', limits)).not.toBe(limiters.get('pair', { ...limits, points: 3 }))
  })
})
