import { getEventListeners } from 'node:events'
import {
  createAuthorizer,
  createMemoryStore,
  HashBusy,
  HashFailed,
  HashTimeout,
  hashPassword,
  type PasswordHasher,
} from 'mqtt-warden'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { deferred } from '../helpers/deferred.js'
import {
  authorizerOf,
  connectOf,
  drain,
  heard,
  idle,
  keyOf,
  logIn,
  plainHasher,
  reasonOf,
  recordOf,
  SteppedStore,
} from './support.js'

const TIMERS = ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] as const

const store = () => createMemoryStore([[keyOf('c'), recordOf()]])

/** As many accounts, each of which needs a hash of its own. */
function accounts(count: number, passhash: string) {
  const keys = Array.from({ length: count }, (_, index) => keyOf(`c${index}`))
  return createMemoryStore(keys.map(key => [key, recordOf([], { passhash })] as const))
}

/** A hasher that answers as the test says. */
function hasherOf(verify: PasswordHasher['verify']): PasswordHasher {
  return Object.assign(plainHasher(), { verify })
}

afterEach(() => {
  vi.useRealTimers()
})

describe('the queue of hashes', () => {
  it('of length 0 refuses at once whatever no thread is free for', async () => {
    const passhash = await hashPassword('pw', { cost: 10 })
    const records = accounts(30, passhash)
    await using authorizer = createAuthorizer({ store: records, hashQueue: 0, refusalCapMs: 0 })
    const order: string[] = []
    const logins = Array.from({ length: 30 }, async (_, index) => {
      order.push(reasonOf(await authorizer.authenticate(connectOf(`c${index}`))) ?? 'allowed')
    })
    await Promise.all(logins)
    const busy = order.indexOf('allowed')
    // There are at most eight threads. Every refusal came before the first of them was done.
    expect(busy).toBeGreaterThanOrEqual(30 - 8)
    expect(new Set(order.slice(0, busy))).toEqual(new Set(['busy']))
    expect(new Set(order.slice(busy))).toEqual(new Set(['allowed']))
  })

  it('of some length lets as many wait', async () => {
    const passhash = await hashPassword('pw', { cost: 6 })
    const records = accounts(30, passhash)
    await using authorizer = createAuthorizer({ store: records, hashQueue: 30, refusalCapMs: 0 })
    const logins = Array.from({ length: 30 }, (_, index) => authorizer.authenticate(connectOf(`c${index}`)))
    await idle()
    const { running, queued } = authorizer.stats().hashing
    expect(running + queued).toBe(30)
    for (const login of await Promise.all(logins)) expect(login.allow).toBe(true)
  })

  it('has no room for names that do not exist', async () => {
    const hasher = plainHasher()
    const authorizer = authorizerOf(store(), { hasher })
    for (let count = 0; count < 20; count++) await authorizer.authenticate(connectOf('c', { username: `no${count}` }))
    expect(hasher.verified).toBe(0)
  })
})

describe('a hasher', () => {
  it.each<[string, PasswordHasher['verify'], string]>([
    ['rejects with an error', () => Promise.reject(new Error('broken')), 'busy'],
    ['rejects with nothing', () => Promise.reject(undefined), 'busy'],
    ['rejects with something odd', () => Promise.reject(Object.create(null)), 'busy'],
    [
      'throws',
      () => {
        throw new Error('broken')
      },
      'busy',
    ],
    ['cannot start a thread', () => Promise.reject(new HashFailed('no thread')), 'busy'],
    ['answers a text', async () => 'yes' as never, 'bad_credentials'],
    ['answers a number', async () => 1 as never, 'bad_credentials'],
    ['answers an object', async () => ({}) as never, 'bad_credentials'],
    ['answers nothing', async () => undefined as never, 'bad_credentials'],
    ['returns nothing', () => undefined as never, 'bad_credentials'],
  ])('that %s lets nobody in', async (_, verify, reason) => {
    const authorizer = authorizerOf(store(), { hasher: hasherOf(verify) })
    const errors = heard(authorizer, 'error')
    expect(await authorizer.authenticate(connectOf('c'))).toEqual({ allow: false, reason })
    expect(errors.map(({ place }) => place)).toEqual(reason === 'busy' ? ['password hasher'] : [])
    expect(authorizer.stats()).toMatchObject({ sessions: 0, verifiedPasswords: 0 })
  })

  it.each([
    [new HashBusy('full'), 'busy', 'full'],
    [new HashTimeout('late'), 'deadline', 'late'],
  ])('that is overloaded is no fault: %s', async (error, reason, detail) => {
    const authorizer = authorizerOf(store(), { hasher: hasherOf(() => Promise.reject(error)) })
    const [errors, denials] = [heard(authorizer, 'error'), heard(authorizer, 'denied')]
    expect(reasonOf(await authorizer.authenticate(connectOf('c')))).toBe(reason)
    expect(denials[0]?.detail).toBe(detail)
    expect(errors).toEqual([])
  })

  it('that fails to look at the hash lets nobody in', async () => {
    const hasher = plainHasher()
    hasher.passhashProblem = () => {
      throw new Error('broken')
    }
    const authorizer = authorizerOf(store(), { hasher })
    const errors = heard(authorizer, 'error')
    expect(reasonOf(await authorizer.authenticate(connectOf('c')))).toBe('busy')
    expect(errors).toMatchObject([{ place: 'password hasher' }])
  })

  it('that hangs is given up at the deadline, is told so, and may not let in later', async () => {
    vi.useFakeTimers({ toFake: [...TIMERS] })
    const verdict = deferred<boolean>()
    const given: AbortSignal[] = []
    const hasher = hasherOf((_password, _passhash, { timeoutMs, signal }) => {
      expect(timeoutMs).toBe(500)
      given.push(signal!)
      return verdict.promise
    })
    const authorizer = authorizerOf(store(), { hasher, connectTimeoutMs: 500 })
    const denials = heard(authorizer, 'denied')
    let answer: unknown
    void authorizer.authenticate(connectOf('c')).then(outcome => {
      answer = outcome
    })
    await vi.advanceTimersByTimeAsync(499)
    expect([answer, given[0]?.aborted]).toEqual([undefined, false])
    await vi.advanceTimersByTimeAsync(1)
    expect([answer, given[0]?.aborted]).toEqual([{ allow: false, reason: 'deadline' }, true])
    verdict.resolve(true)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(authorizer.stats()).toMatchObject({ sessions: 0, verifiedPasswords: 0, logins: { allowed: 0, denied: 1 } })
    expect(denials).toMatchObject([{ detail: 'after 500 ms', action: 'connect' }])
  })

  it('is given what is left of the time after the record was read', async () => {
    vi.useFakeTimers({ toFake: [...TIMERS] })
    const records = new SteppedStore([[keyOf('c'), recordOf()]])
    records.isStepped = true
    const times: number[] = []
    const hasher = hasherOf(async (_password, _passhash, { timeoutMs }) => times.push(timeoutMs) > 0)
    const authorizer = authorizerOf(records, { hasher, connectTimeoutMs: 500 })
    const login = authorizer.authenticate(connectOf('c'))
    await vi.advanceTimersByTimeAsync(200)
    records.pending[0]!.answer()
    expect((await login).allow).toBe(true)
    expect(times).toEqual([300])
  })
})

describe('the deadline of a login', () => {
  it('holds for a store that hangs', async () => {
    const records = new SteppedStore()
    records.isStepped = true
    const authorizer = authorizerOf(records, { connectTimeoutMs: 100, readTimeoutMs: 60_000 })
    expect(reasonOf(await authorizer.authenticate(connectOf('c')))).toBe('deadline')
  })

  it('is later than that of one read, which says more', async () => {
    const records = new SteppedStore()
    records.isStepped = true
    const authorizer = authorizerOf(records, { readTimeoutMs: 10 })
    const [errors, denials] = [heard(authorizer, 'error'), heard(authorizer, 'denied')]
    expect(reasonOf(await authorizer.authenticate(connectOf('c')))).toBe('store_unavailable')
    const message = 'no answer for ["","c","u"] within 10 ms'
    expect(denials[0]?.detail).toBe(message)
    expect(errors).toMatchObject([
      { place: 'login of ["","c","u"]', error: { code: 'ERR_STORE_TIMEOUT', timeoutMs: 10, message } },
    ])
  })

  it('holds for refusals that are held back', async () => {
    vi.useFakeTimers({ toFake: [...TIMERS] })
    const verdict = deferred<boolean>()
    const hasher = hasherOf(() => verdict.promise)
    const authorizer = authorizerOf(store(), { hasher, connectTimeoutMs: 500, refusalCapMs: 60_000 })
    let begin = performance.now()
    const times: number[] = []
    for (const request of [connectOf('c'), connectOf('nobody')]) {
      begin = performance.now()
      const answer = authorizer.authenticate(request).then(outcome => {
        times.push(performance.now() - begin)
        return outcome
      })
      await vi.advanceTimersByTimeAsync(450)
      verdict.resolve(false)
      await vi.advanceTimersByTimeAsync(150)
      expect(reasonOf(await answer)).toBe('bad_credentials')
    }
    expect(times).toEqual([450, 450])
  })
})

describe('a client that hangs up', () => {
  it('before anything was looked at is judged by nobody', async () => {
    const records = new SteppedStore([[keyOf('c'), recordOf()]])
    const authorizer = authorizerOf(records)
    const denials = heard(authorizer, 'denied')
    const answer = await authorizer.authenticate(connectOf('c', { signal: AbortSignal.abort() }))
    expect(reasonOf(answer)).toBe('deadline')
    expect(denials).toMatchObject([{ detail: 'the client is gone' }])
    expect(records.sent).toEqual([])
  })

  it('while the record is read opens no session', async () => {
    const records = new SteppedStore([[keyOf('c'), recordOf()]])
    records.isStepped = true
    const hasher = plainHasher()
    const authorizer = authorizerOf(records, { hasher })
    const controller = new AbortController()
    const login = authorizer.authenticate(connectOf('c', { signal: controller.signal }))
    await idle()
    controller.abort()
    expect(reasonOf(await login)).toBe('deadline')
    records.pending[0]!.answer()
    await idle()
    expect(authorizer.stats().sessions).toBe(0)
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
  })

  it('while the record is read takes nothing over, its password being proven before or not', async () => {
    const records = new SteppedStore([[keyOf('c'), recordOf()]])
    const authorizer = authorizerOf(records)
    const holder = await logIn(authorizer, 'c')
    const takeovers = heard(authorizer, 'takeover')
    records.isStepped = true
    await records.tell({ type: 'unknown' })
    const controller = new AbortController()
    const login = authorizer.authenticate(connectOf('c', { signal: controller.signal }))
    await idle()
    controller.abort()
    await drain(records)
    expect(reasonOf(await login)).toBe('deadline')
    expect(takeovers).toEqual([])
    expect([...authorizer.sessions()]).toEqual([holder])
  })

  it('while the password is judged has its hash dropped, and opens no session', async () => {
    const verdict = deferred<boolean>()
    let given: AbortSignal | undefined
    const hasher = hasherOf((_password, _passhash, { signal }) => {
      given = signal
      return verdict.promise
    })
    const authorizer = authorizerOf(store(), { hasher })
    const controller = new AbortController()
    const login = authorizer.authenticate(connectOf('c', { signal: controller.signal }))
    await idle()
    controller.abort()
    expect(reasonOf(await login)).toBe('deadline')
    expect(given?.aborted).toBe(true)
    verdict.resolve(true)
    await idle()
    expect(authorizer.stats()).toMatchObject({ sessions: 0, verifiedPasswords: 0 })
  })

  it('while its refusal is held back is reported for what it was', async () => {
    const authorizer = authorizerOf(store(), { refusalCapMs: 60_000, connectTimeoutMs: 60_000 })
    const denials = heard(authorizer, 'denied')
    const controller = new AbortController()
    const login = authorizer.authenticate(connectOf('c', { password: 'x', signal: controller.signal }))
    await idle()
    controller.abort()
    expect(reasonOf(await login)).toBe('bad_credentials')
    expect(denials).toMatchObject([{ detail: 'wrong password' }])
  })

  it.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 25, 30])(
    'at whatever moment leaves no session that nobody knows of (%i microtasks on)',
    async microtasks => {
      const authorizer = authorizerOf(store())
      await authorizer.ready()
      const controller = new AbortController()
      const login = authorizer.authenticate(connectOf('c', { signal: controller.signal }))
      for (let count = 0; count < microtasks; count++) await undefined
      controller.abort()
      const outcome = await login
      await idle()
      const live = [...authorizer.sessions()]
      if (live.length > 0) expect(outcome).toEqual({ allow: true, session: live[0] })
    },
  )

  it('in answer to the takeover it causes leaves no session either', async () => {
    const authorizer = authorizerOf(store())
    const first = await logIn(authorizer, 'c')
    const controller = new AbortController()
    authorizer.on('takeover', () => controller.abort())
    const outcome = await authorizer.authenticate(connectOf('c', { signal: controller.signal }))
    expect(reasonOf(outcome)).toBe('deadline')
    expect([...authorizer.sessions()]).toEqual([first])
  })

  it('after its login does not end its session: that is for the broker to close', async () => {
    const authorizer = authorizerOf(store())
    const controller = new AbortController()
    const session = await logIn(authorizer, 'c', { signal: controller.signal })
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
    controller.abort()
    expect(session.authorizePublish('a').allow).toBe(true)
  })
})
