import { createMemoryStore } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { createClock } from '../helpers/clock.js'
import { eventually } from '../helpers/eventually.js'
import { authorizerOf, connectOf, heard, keyOf, logIn, reasonOf, recordOf } from './support.js'

const HOME = '192.0.2.1'
const AWAY = '198.51.100.7'

const store = () => createMemoryStore([[keyOf('c'), recordOf()]])

/** Tells an address, and counts how often it was asked for it. */
function source(tell: () => string | undefined) {
  const asked = {
    times: 0,
    address: () => {
      asked.times++
      return tell()
    },
  }
  return asked
}

const LIMITS = { points: 1, windowMs: 60_000, blockMs: 60_000 }

describe('an address that is a function', () => {
  it('is asked for at once where a password has to be judged, and told like any other', async () => {
    const authorizer = authorizerOf(store())
    const denied = heard(authorizer, 'denied')
    for (const password of ['wrong', 'wrong', 'right of nobody']) {
      // It can tell only in the turn of the CONNECT, like a socket whose client hangs up at once.
      let isThere = true
      const place = source(() => (isThere ? AWAY : undefined))
      const username = password === 'wrong' ? 'u' : 'nobody'
      const refused = authorizer.authenticate(connectOf('c', { username, password, address: place.address }))
      expect(place.times).toBe(1)
      isThere = false
      expect(reasonOf(await refused)).toBe('bad_credentials')
    }
    expect(denied.map(({ address }) => address)).toEqual([AWAY, AWAY, AWAY])
    const session = await logIn(authorizer, 'c', { address: () => AWAY })
    expect(session.address).toBe(AWAY)
  })

  it('is asked for when the session ends, and not kept beyond', async () => {
    const authorizer = authorizerOf(store())
    await logIn(authorizer, 'c')
    const place = source(() => AWAY)
    const login = authorizer.authenticateNow(connectOf('c', { address: place.address }))
    login?.session.close()
    expect(place.times).toBe(1)
    expect(login?.session.address).toBe(AWAY)
    expect(place.times).toBe(1)
  })

  it('is asked for although nothing is counted', async () => {
    const authorizer = authorizerOf(store(), { throttle: false, staleWindowMs: 100 })
    await logIn(authorizer, 'c')
    const place = source(() => AWAY)
    authorizer.authenticateNow(connectOf('c', { address: place.address }))
    await eventually(() => place.times > 0, 'the address was asked for')
  })

  it('is asked for at once while others guess, and no longer when that is over', async () => {
    const clock = createClock()
    const limits = { ...LIMITS, blockMs: 1_000 }
    const authorizer = authorizerOf(store(), { clock, throttle: { perPair: limits, perAccount: false } })
    const before = await logIn(authorizer, 'c', { address: HOME })
    before.close()
    const ask = async () => {
      const place = source(() => HOME)
      const login = authorizer.authenticateNow(connectOf('c', { address: place.address }))
      const { times } = place
      login?.session.close()
      return times
    }
    expect(await ask()).toBe(0)
    for (const password of ['a', 'b', 'd']) await authorizer.authenticate(connectOf('c', { password, address: AWAY }))
    expect(await ask()).toBeGreaterThan(0)
    clock.advance(1_001)
    expect(await ask()).toBe(0)
  })

  it('is not asked for while a client is let in whose password was proven before, but about a second later', async () => {
    const authorizer = authorizerOf(store(), { staleWindowMs: 100 })
    const before = await logIn(authorizer, 'c')
    before.close()
    const place = source(() => AWAY)
    const login = authorizer.authenticateNow(connectOf('c', { address: place.address }))
    expect(login?.allow).toBe(true)
    expect(place.times).toBe(0)
    await eventually(() => place.times > 0, 'the address was asked for')
    expect(login?.session.address).toBe(AWAY)
    expect(place.times).toBe(1)
  })

  it('is asked for earlier where somebody wants to know it', async () => {
    const authorizer = authorizerOf(store())
    await logIn(authorizer, 'c')
    const place = source(() => AWAY)
    const login = authorizer.authenticateNow(connectOf('c', { address: place.address }))
    expect(login?.session.address).toBe(AWAY)
    expect(login?.session.address).toBe(AWAY)
    expect(place.times).toBe(1)
  })

  it('makes its client known there: it logs in although others have guessed until all strangers are refused', async () => {
    const authorizer = authorizerOf(store(), {
      staleWindowMs: 100,
      verifiedTtlMs: 200,
      throttle: { perPair: LIMITS, perAccount: LIMITS, proven: 1 },
    })
    await logIn(authorizer, 'c', { address: HOME })
    const place = source(() => AWAY)
    await logIn(authorizer, 'c', { address: place.address })
    await eventually(() => place.times > 0, 'the address was asked for')
    const guess = (n: number) =>
      authorizer.authenticate(connectOf('c', { password: `guess ${n}`, address: '203.0.113.9' }))
    await guess(1)
    expect(reasonOf(await guess(2))).toBe('throttled')
    await eventually(() => {
      return authorizer.authenticateNow(connectOf('c', { address: AWAY })) === undefined
    }, 'the password was forgotten')
    expect(reasonOf(await authorizer.authenticate(connectOf('c', { address: '203.0.113.10' })))).toBe('throttled')
    expect(reasonOf(await authorizer.authenticate(connectOf('c', { address: AWAY })))).toBeUndefined()
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('no socket')
      },
    ],
    ['knows none any more', () => undefined],
    ['answers what is no text', () => 17 as unknown as string],
  ])('keeps nobody out when it %s', async (_, tell) => {
    const authorizer = authorizerOf(store())
    const first = await logIn(authorizer, 'c', { address: tell })
    const again = authorizer.authenticateNow(connectOf('c', { address: tell }))
    expect([first.address, again?.session.address]).toEqual([undefined, undefined])
  })
})

it('an address that is text makes its client known at once', async () => {
  const memory = store()
  const spent: string[] = []
  const limiter = memory.limiter!.bind(memory)
  memory.limiter = (name, limits) => {
    const real = limiter(name, limits)
    const spend = (key: string) => {
      spent.push(name)
      return real.spend(key)
    }
    return { isSpent: key => real.isSpent(key), spend }
  }
  const authorizer = authorizerOf(memory, { throttle: { perPair: LIMITS } })
  await logIn(authorizer, 'c', { address: HOME })
  authorizer.authenticateNow(connectOf('c', { address: AWAY }))
  expect(spent).toEqual(['known', 'known'])
})

it('a limiter that throws keeps nobody out, and ends nothing', async () => {
  const memory = store()
  memory.limiter = name => ({
    isSpent: async () => false,
    spend: () => {
      if (name === 'known') throw new Error('no such thing')
      return Promise.resolve(1)
    },
  })
  const authorizer = authorizerOf(memory, { staleWindowMs: 100 })
  await logIn(authorizer, 'c', { address: HOME })
  const place = source(() => AWAY)
  expect(authorizer.authenticateNow(connectOf('c', { address: place.address }))?.allow).toBe(true)
  await eventually(() => place.times > 0, 'the address was asked for')
  expect(authorizer.authenticateNow(connectOf('c', { address: AWAY }))?.allow).toBe(true)
})

it('an address that is neither is refused', async () => {
  const login = await authorizerOf(store()).authenticate(connectOf('c', { address: 17 as unknown as string }))
  expect(reasonOf(login)).toBe('client_id_refused')
})
