import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRefusalClock } from '../../src/password/refusal.js'

function withClock(options: { capMs?: number } = {}) {
  const clock = { at: 5_000 }
  return { clock, refusals: createRefusalClock({ ...options, now: () => clock.at }) }
}

describe('createRefusalClock', () => {
  it('holds refusals back for 100 ms before anything was measured', () => {
    const { refusals } = withClock()
    expect(refusals.delayFor(5_000)).toBe(100)
  })

  it('holds refusals back until the slowest verification measured', () => {
    const { clock, refusals } = withClock()
    refusals.observe(250)
    refusals.observe(180)
    expect(refusals.delayFor(5_000)).toBe(250)
    clock.at = 5_240
    expect(refusals.delayFor(5_000)).toBe(10)
    clock.at = 5_251
    expect(refusals.delayFor(5_000)).toBe(0)
  })

  it('refuses a wrong password at the moment of an unknown user that came with it', () => {
    const { clock, refusals } = withClock()
    refusals.observe(120)
    const unknownUser = clock.at + refusals.delayFor(5_000)
    clock.at = 5_090
    refusals.observe(90)
    expect(clock.at + refusals.delayFor(5_000)).toBe(unknownUser)
  })

  it('never holds one back beyond the cap', () => {
    const { refusals } = withClock({ capMs: 300 })
    refusals.observe(60_000)
    expect(refusals.delayFor(5_000)).toBe(300)
  })

  it('never holds one back with a cap of 0', () => {
    const { refusals } = withClock({ capMs: 0 })
    refusals.observe(200)
    expect(refusals.delayFor(5_000)).toBe(0)
  })

  it('forgets a slow verification after at least 64 and at most 128 others, and not by time', () => {
    const { clock, refusals } = withClock()
    refusals.observe(800)
    clock.at = 86_400_000
    expect(refusals.delayFor(clock.at)).toBe(800)
    for (let n = 0; n < 64; n++) refusals.observe(75)
    expect(refusals.delayFor(clock.at)).toBe(800)
    for (let n = 0; n < 64; n++) refusals.observe(75)
    expect(refusals.delayFor(clock.at)).toBe(75)
  })

  it('waits for the slowest of the last 64 at least, whatever they were', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 1_000 }), { minLength: 1, maxLength: 300 }), durations => {
        const { refusals } = withClock()
        for (const duration of durations) refusals.observe(duration)
        const delay = refusals.delayFor(5_000)
        expect(delay).toBeGreaterThanOrEqual(Math.max(...durations.slice(-64)))
        expect(delay).toBeLessThanOrEqual(Math.max(100, ...durations.slice(-128)))
      }),
    )
  })

  it.each([
    [{ capMs: -1 }, '"capMs" option must be an integer from 0 to 60000'],
    [{ capMs: 60_001 }, '"capMs" option must be an integer from 0 to 60000'],
  ])('throws a TypeError for the options %j', (options, message) => {
    expect(() => createRefusalClock(options)).toThrow(new TypeError(message))
  })
})
