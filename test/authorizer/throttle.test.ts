import { type ConnectRequest, createMemoryStore, type PasswordHasher } from 'mqtt-warden'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { networkOf } from '../../src/authorizer/network.js'
import { type Deferred, deferred } from '../helpers/deferred.js'
import {
  authorizerOf,
  connectOf,
  heard,
  idle,
  keyOf,
  logIn,
  plainHasher,
  reasonOf,
  recordOf,
  SteppedStore,
} from './support.js'

const HOME = '192.0.2.1'
const AWAY = '198.51.100.7'
const LIMITS = { points: 3, windowMs: 60_000, blockMs: 60_000 }
const PAIR = { perPair: LIMITS, perAccount: false } as const

const accounts = (...ids: readonly string[]) => createMemoryStore(ids.map(id => [keyOf(id), recordOf()] as const))

afterEach(() => {
  vi.useRealTimers()
})

/** Logs in with passwords that were never tried before, and gives why each was refused. */
function guesser(authorizer: ReturnType<typeof authorizerOf>) {
  let tried = 0
  return async (count: number, more: Partial<ConnectRequest> = {}, clientId = 'c') => {
    const reasons: (string | undefined)[] = []
    for (let n = 0; n < count; n++) {
      const request = connectOf(clientId, { password: `guess ${tried++}`, address: AWAY, ...more })
      reasons.push(reasonOf(await authorizer.authenticate(request)))
    }
    return reasons
  }
}

const wrong = (count: number) => Array<string>(count).fill('bad_credentials')
const throttled = (count: number) => Array<string>(count).fill('throttled')

describe('logins whose address is not known', () => {
  const guess = (authorizer: ReturnType<typeof authorizerOf>, count: number) =>
    Promise.all(
      Array.from({ length: count }, async (_, n) => {
        return reasonOf(await authorizer.authenticate(connectOf('c', { password: `guess ${n}` })))
      }),
    )

  it('are not taken for logins from one place', async () => {
    const authorizer = authorizerOf(accounts('c'), { throttle: { ...PAIR, perAddress: LIMITS } })
    await logIn(authorizer, 'c')
    expect(await guess(authorizer, 10)).toEqual(wrong(10))
  })

  it('count for the account, which no right password makes known', async () => {
    const authorizer = authorizerOf(accounts('c'), { throttle: { perPair: false, perAccount: LIMITS } })
    await logIn(authorizer, 'c')
    expect((await guess(authorizer, 5)).sort()).toEqual([...wrong(3), ...throttled(2)])
    expect(reasonOf(await authorizer.authenticate(connectOf('c')))).toBeUndefined()
  })
})

describe('guessing one account from one address', () => {
  it('is refused unheard after so many wrong passwords, the right one included', async () => {
    const hasher = plainHasher()
    const authorizer = authorizerOf(accounts('c'), { hasher, throttle: PAIR })
    const guess = guesser(authorizer)
    expect(await guess(5)).toEqual([...wrong(3), ...throttled(2)])
    expect(await guess(1, { password: 'pw' })).toEqual(throttled(1))
    expect(hasher.verified).toBe(3)
    expect(authorizer.stats()).toMatchObject({ throttled: 3, logins: { allowed: 0, denied: 6 } })
  })

  it('says so in its event, and of the password nothing', async () => {
    const authorizer = authorizerOf(accounts('c'), { throttle: { ...PAIR, perPair: { ...LIMITS, points: 1 } } })
    const denials = heard(authorizer, 'denied')
    await guesser(authorizer)(2)
    expect(denials.map(({ decision, detail, address }) => [decision.reason, detail, address])).toEqual([
      ['bad_credentials', 'wrong password', AWAY],
      ['throttled', 'password not judged', AWAY],
    ])
  })

  it.each([
    ['an account that does not exist', { username: 'nobody' }, 'c'],
    ['a client id that does not exist', {}, 'nobody'],
  ])('looks the same for %s', async (_, more, clientId) => {
    const authorizer = authorizerOf(accounts('c'), { throttle: PAIR })
    expect(await guesser(authorizer)(5, more, clientId)).toEqual([...wrong(3), ...throttled(2)])
  })

  it('looks the same for all when the guesses come at once', async () => {
    const authorizer = authorizerOf(accounts('c'), { throttle: PAIR })
    const answers = async (username: string) => {
      const logins = Array.from({ length: 10 }, (_, n) =>
        authorizer.authenticate(connectOf('c', { username, password: `guess ${n}`, address: AWAY })),
      )
      return (await Promise.all(logins)).map(reasonOf).sort()
    }
    expect(await answers('u')).toEqual([...wrong(3), ...throttled(7)])
    expect(await answers('nobody')).toEqual([...wrong(3), ...throttled(7)])
  })

  it('is not evaded by inventing client ids', async () => {
    const authorizer = authorizerOf(createMemoryStore([[keyOf('*'), recordOf()]]), { throttle: PAIR })
    const guess = guesser(authorizer)
    const reasons = [...(await guess(2, {}, 'one')), ...(await guess(2, {}, 'two'))]
    expect(reasons).toEqual([...wrong(3), ...throttled(1)])
  })

  it('is held back like a wrong password while it is refused', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    const throttle = { ...PAIR, perPair: { ...LIMITS, points: 1 } }
    const authorizer = authorizerOf(accounts('c'), { throttle, refusalCapMs: 1_000 })
    const guess = guesser(authorizer)
    for (const [password, reason] of [
      ['one', 'bad_credentials'],
      ['two', 'throttled'],
    ]) {
      let answer: readonly (string | undefined)[] | undefined
      void guess(1, { password: password! }).then(reasons => {
        answer = reasons
      })
      await vi.advanceTimersByTimeAsync(99)
      expect(answer).toBeUndefined()
      await vi.advanceTimersByTimeAsync(1)
      expect(answer).toEqual([reason])
    }
  })

  it('is let try again when the time is over', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] })
    const authorizer = authorizerOf(accounts('c'), { throttle: PAIR })
    const guess = guesser(authorizer)
    expect(await guess(4)).toEqual([...wrong(3), ...throttled(1)])
    await vi.advanceTimersByTimeAsync(60_001)
    expect(await guess(1, { password: 'pw' })).toEqual([undefined])
  })

  it('has what waits for a hash refused as soon as the points are used up', async () => {
    const verdicts: Deferred<boolean>[] = []
    const verify: PasswordHasher['verify'] = () => {
      verdicts.push(deferred())
      return verdicts.at(-1)!.promise
    }
    const authorizer = authorizerOf(accounts('c'), { hasher: { ...plainHasher(), verify }, throttle: PAIR })
    const logins = Array.from({ length: 10 }, (_, n) =>
      authorizer.authenticate(connectOf('c', { password: `guess ${n}`, address: AWAY })),
    )
    await idle()
    expect(verdicts.length).toBe(10)
    for (const verdict of verdicts.slice(0, 3)) verdict.resolve(false)
    expect((await Promise.all(logins)).map(reasonOf)).toEqual([...wrong(3), ...throttled(7)])
  })
})

describe('a device that repeats a wrong password', () => {
  it('guesses nothing: it costs one hash and one point, however often it tries', async () => {
    const hasher = plainHasher()
    const authorizer = authorizerOf(accounts('c'), { hasher, throttle: PAIR })
    const guess = guesser(authorizer)
    expect(await guess(20, { password: 'old' })).toEqual(wrong(20))
    expect(hasher.verified).toBe(1)
    expect(await guess(1, { password: 'pw' })).toEqual([undefined])
  })

  it('is let in with the same password as soon as the record has it', async () => {
    const store = accounts('c')
    const authorizer = authorizerOf(store, { throttle: PAIR })
    const guess = guesser(authorizer)
    expect(await guess(2, { password: 'new' })).toEqual(wrong(2))
    await store.put(keyOf('c'), recordOf([], { passhash: 'plain:new' }))
    expect(await guess(1, { password: 'new' })).toEqual([undefined])
  })

  it('is let in as soon as there is a record at all', async () => {
    const store = accounts()
    const authorizer = authorizerOf(store, { throttle: PAIR })
    const guess = guesser(authorizer)
    expect(await guess(2, { password: 'pw' })).toEqual(wrong(2))
    await store.put(keyOf('c'), recordOf())
    expect(await guess(1, { password: 'pw' })).toEqual([undefined])
  })
})

describe('the rightful owner', () => {
  it('passes with a password proven before, though others guess from the same address', async () => {
    const authorizer = authorizerOf(accounts('c'), { throttle: PAIR })
    await logIn(authorizer, 'c', { address: HOME })
    const guess = guesser(authorizer)
    expect(await guess(6, { address: HOME })).toEqual([...wrong(3), ...throttled(3)])
    expect(await guess(1, { address: HOME, password: 'pw' })).toEqual([undefined])
  })

  it('passes from an address known before although the password is not remembered', async () => {
    const hasher = plainHasher()
    const authorizer = authorizerOf(accounts('c'), {
      hasher,
      verifiedTtlMs: 0,
      throttle: { perPair: LIMITS, perAccount: LIMITS, perAddress: LIMITS },
    })
    await logIn(authorizer, 'c', { address: HOME })
    const guess = guesser(authorizer)
    await guess(10)
    await guess(10, { address: HOME, username: 'nobody' })
    expect(await guess(1, { password: 'pw' })).toEqual(throttled(1))
    expect(await guess(1, { address: HOME, password: 'pw' })).toEqual([undefined])
  })

  it('is asked for no more than the memory when the password was proven', async () => {
    const store = accounts('c')
    const asked: string[] = []
    const limiter = store.limiter!.bind(store)
    store.limiter = (name, limits) => {
      const real = limiter(name, limits)
      const noted = (call: 'spend' | 'isSpent') => (key: string) => {
        asked.push(`${call} ${name}`)
        return real[call](key) as Promise<never>
      }
      return { spend: noted('spend'), isSpent: noted('isSpent') }
    }
    const authorizer = authorizerOf(store, { throttle: PAIR })
    await logIn(authorizer, 'c', { address: HOME })
    expect(asked.sort()).toEqual(['isSpent known', 'isSpent own', 'isSpent pair', 'spend known'])
    asked.length = 0
    await logIn(authorizer, 'c', { address: HOME })
    expect(asked).toEqual([])
  })

  it('does not make guessing against the memory free: after so many tries that is shut as well', async () => {
    const authorizer = authorizerOf(accounts('c'), { throttle: { ...PAIR, proven: 2 } })
    await logIn(authorizer, 'c', { address: HOME })
    const guess = guesser(authorizer)
    await guess(3 + 1, { address: HOME })
    expect(await guess(1, { address: HOME, password: 'pw' })).toEqual([undefined])
    await guess(1, { address: HOME })
    expect(await guess(1, { address: HOME, password: 'pw' })).toEqual(throttled(1))
    // Nobody has guessed from there.
    expect(await guess(1, { address: AWAY, password: 'pw' })).toEqual([undefined])
  })

  it('keeps the session, whatever is guessed', async () => {
    const authorizer = authorizerOf(accounts('c'), { throttle: PAIR })
    const session = await logIn(authorizer, 'c', { address: HOME })
    await guesser(authorizer)(10, { address: HOME })
    expect(session.authorizePublish('a').allow).toBe(true)
  })
})

describe('limits over many', () => {
  it('refuse an account that is guessed from many addresses', async () => {
    const authorizer = authorizerOf(accounts('c', 'd'), { throttle: { perPair: false, perAccount: LIMITS } })
    const guess = guesser(authorizer)
    for (let n = 0; n < 3; n++) expect(await guess(1, { address: `203.0.113.${n}` })).toEqual(wrong(1))
    expect(await guess(1, { address: '203.0.113.9' })).toEqual(throttled(1))
    expect(await guess(1, { username: 'other' })).toEqual(wrong(1))
  })

  it('refuse an address that guesses many accounts, existing or not', async () => {
    const authorizer = authorizerOf(accounts('c'), { throttle: { perPair: false, perAddress: LIMITS } })
    const guess = guesser(authorizer)
    for (let n = 0; n < 3; n++) expect(await guess(1, { username: `no ${n}` })).toEqual(wrong(1))
    expect(await guess(1, { password: 'pw' })).toEqual(throttled(1))
    expect(await guess(1, { password: 'pw', address: HOME })).toEqual([undefined])
  })

  it('are counted by all authorizers over one store together', async () => {
    const store = accounts('c')
    const guesses = [1, 2].map(() => guesser(authorizerOf(store, { throttle: PAIR })))
    expect(await guesses[0]!(2)).toEqual(wrong(2))
    expect(await guesses[1]!(2, { address: AWAY })).toEqual([...wrong(1), ...throttled(1)])
  })

  it('are counted in the memory of the process where the store has no counters', async () => {
    const authorizer = authorizerOf(new SteppedStore([[keyOf('c'), recordOf()]]), { throttle: PAIR })
    expect(await guesser(authorizer)(4)).toEqual([...wrong(3), ...throttled(1)])
  })

  it('are none with false', async () => {
    const authorizer = authorizerOf(accounts('c'), { throttle: false })
    expect(await guesser(authorizer)(50)).toEqual(wrong(50))
    const some = authorizerOf(accounts('c'), { throttle: { perPair: false, perAccount: false } })
    expect(await guesser(some)(50)).toEqual(wrong(50))
  })
})

describe('the part of an address that counts', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1:50123', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:192.0.2.1', '192.0.2.1'],
    ['2001:db8:0:7::1', '2001:db8:0:7::/64'],
    ['2001:0db8:0000:0007:1:2:3:4', '2001:db8:0:7::/64'],
    ['[2001:db8::1]:1883', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '::1'],
    ['::ffff:c000:201', '::ffff:c000:201'],
    ['0:0:0:0:0:FFFF:192.0.2.1', '0:0:0:0:0:ffff:192.0.2.1'],
    ['64:ff9b::192.0.2.1', '64:ff9b::192.0.2.1'],
    ['not an address', 'not an address'],
    ['', ''],
  ])('of %s is %s', (address, network) => {
    expect(networkOf(address)).toBe(network)
  })
})
