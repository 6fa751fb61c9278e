import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Expiries } from '../../src/authorizer/expiries.js'
import type { LiveSession } from '../../src/authorizer/session.js'

/** Nothing of a session matters here but which it is. */
const sessionOf = (): LiveSession => ({}) as LiveSession

beforeEach(() => {
  vi.useFakeTimers({ now: 0, toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('expiries', () => {
  it('end each session once, never early and at most 10 ms late, whatever was expected of it before', async () => {
    const steps = fc.array(
      fc.record({
        session: fc.nat({ max: 9 }),
        inMs: fc.oneof(
          fc.nat({ max: 300_000 }).map(us => us / 1_000),
          fc.constant(Number.POSITIVE_INFINITY),
        ),
        waitMs: fc.nat({ max: 40 }),
      }),
      { maxLength: 60 },
    )
    await fc.assert(
      fc.asyncProperty(steps, async given => {
        const now = () => performance.now()
        const sessions = Array.from({ length: 10 }, sessionOf)
        const expected = new Map<LiveSession, number>()
        const expiries = new Expiries(now, session => {
          const endsAt = expected.get(session)!
          expect(now()).toBeGreaterThanOrEqual(endsAt)
          // Timers here count whole milliseconds.
          expect(now() - endsAt).toBeLessThanOrEqual(11)
          expected.delete(session)
        })
        for (const { session, inMs, waitMs } of given) {
          const endsAt = now() + inMs
          expiries.expect(sessions[session]!, endsAt)
          if (Number.isFinite(endsAt)) expected.set(sessions[session]!, endsAt)
          else expected.delete(sessions[session]!)
          await vi.advanceTimersByTimeAsync(waitMs)
        }
        await vi.advanceTimersByTimeAsync(400)
        expect(expected.size).toBe(0)
        expect(vi.getTimerCount()).toBe(0)
      }),
      { numRuns: 200 },
    )
  })

  it('look at none of 100,000 sessions before its moment', async () => {
    let ended = 0
    const expiries = new Expiries(
      () => performance.now(),
      () => ended++,
    )
    const visited = vi.spyOn(Map.prototype, 'get')
    for (let at = 1; at <= 100_000; at++) expiries.expect(sessionOf(), at * 10)
    visited.mockClear()
    await vi.advanceTimersByTimeAsync(1_000)
    const lookUps = visited.mock.calls.length
    visited.mockRestore()
    expiries.close()
    expect(ended).toBe(100)
    expect(lookUps).toBeLessThan(2_000)
  })
})
