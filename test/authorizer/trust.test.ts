import { expect, it } from 'vitest'
import { Trust } from '../../src/authorizer/trust.js'
import { createClock } from '../helpers/clock.js'

it('a beat after a change was told of gives no session more time, however late it hears of the change', () => {
  const clock = createClock(1_000)
  const limits = { maxAgeMs: 60_000, staleWindowMs: 200, outageGraceMs: 0, readTimeoutMs: 1_000 }
  const trust = new Trust(limits, clock.now)
  trust.hear('live', 1_000)
  const { epoch } = trust
  clock.advance(500)
  const notice = trust.notice()
  // The last beat before is what counts: staleWindowMs and readTimeoutMs after it, though a read may take until 2,500.
  expect(trust.unreadFrom(900, epoch, notice)).toBe(2_200)
  clock.advance(500)
  trust.hear('live', 2_000)
  expect(trust.unreadFrom(900, epoch, notice)).toBe(2_200)
  // What was read before this epoch is vouched for as it was at its end.
  trust.renew()
  expect(trust.unreadFrom(900, { heardUntil: 950 }, notice)).toBe(2_150)
})
