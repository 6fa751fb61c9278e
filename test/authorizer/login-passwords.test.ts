import {
  type AuthorizerOptions,
  type ConnectRequest,
  createAuthorizer,
  createBcryptHasher,
  createMemoryStore,
  hashPassword,
  type PasswordHasher,
} from 'mqtt-warden'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type Deferred, deferred } from '../helpers/deferred.js'
import { authorizerOf, connectOf, heard, keyOf, logIn, plainHasher, reasonOf, recordOf } from './support.js'

afterEach(() => {
  vi.useRealTimers()
})

describe('the moment of a refusal', () => {
  /** Milliseconds from the CONNECT to its answer, when verifying takes `verifyMs`. */
  async function answerTimes(verifyMs: number, options: Partial<AuthorizerOptions> = {}) {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] })
    const hasher = plainHasher()
    const { verify } = hasher
    let begun: { readonly at: number; readonly done: Deferred<void> } | undefined
    hasher.verify = async (...args) => {
      begun = { at: performance.now(), done: deferred() }
      await begun.done.promise
      return verify.apply(hasher, args)
    }
    const store = createMemoryStore([[keyOf('c'), recordOf()]])
    const authorizer = authorizerOf(store, { hasher, refusalCapMs: 1_000, ...options })
    /** Lets one millisecond go by. */
    const step = async (): Promise<void> => {
      await vi.advanceTimersByTimeAsync(1)
      if (begun !== undefined && performance.now() - begun.at >= verifyMs) begun.done.resolve()
    }
    const time = async (request: Partial<ConnectRequest>): Promise<number> => {
      const begin = performance.now()
      let end: number | undefined
      void authorizer.authenticate(connectOf('c', request)).then(() => {
        end = performance.now()
      })
      while (end === undefined) await step()
      return Math.round(end - begin)
    }
    return {
      first: await time({ username: 'nobody' }),
      wrong: await time({ password: 'x' }),
      unknownUser: await time({ username: 'nobody' }),
      unknownClient: await time({ clientId: 'd' }),
      noPassword: await time({ password: undefined as never }),
      invalidId: await time({ clientId: '' }),
      right: await time({}),
    }
  }

  it('is the same whether a hash was computed or not', async () => {
    const times = await answerTimes(300)
    expect(times.wrong).toBe(300)
    expect(times.unknownUser).toBe(300)
    expect(times.unknownClient).toBe(300)
    expect(times.noPassword).toBe(300)
    expect(times.right).toBe(300)
  })

  it('is held back before anything was measured, too', async () => {
    const { first } = await answerTimes(300)
    expect(first).toBeGreaterThanOrEqual(100)
  })

  it('comes at once where the reason itself tells what is wrong', async () => {
    const { invalidId } = await answerTimes(300)
    expect(invalidId).toBe(0)
  })

  it('is held back no longer than refusalCapMs', async () => {
    const times = await answerTimes(300, { refusalCapMs: 200 })
    expect(times.wrong).toBe(300)
    expect(times.unknownUser).toBe(200)
  })
})

describe('a password', () => {
  const bytes = (...values: (string | number)[]): Buffer =>
    Buffer.concat(values.map(value => (typeof value === 'string' ? Buffer.from(value) : Buffer.of(value))))

  // One for all, and closed by none: starting threads takes longer than hashing.
  const hasher: PasswordHasher = { ...createBcryptHasher(), close: async () => {} }

  async function verdict(
    password: unknown,
    { of = 'pässword', semantics = 'strict' }: { of?: string; semantics?: 'strict' | 'vernemq' } = {},
  ): Promise<string> {
    const passhash = await hashPassword(of, { cost: 4 })
    const store = createMemoryStore([[keyOf('c'), recordOf([], { passhash })]], { semantics })
    const authorizer = authorizerOf(store, { hasher })
    return reasonOf(await authorizer.authenticate(connectOf('c', { password: password as string }))) ?? 'allowed'
  }

  it.each<[string, unknown]>([
    ['text', 'pässword'],
    ['bytes', Buffer.from('pässword')],
    ['bytes that are no Buffer', new TextEncoder().encode('pässword')],
    ['a view into a larger buffer', bytes('xx', 'pässword', 'yy').subarray(2, 11)],
  ])('is taken as %s', async (_, password) => {
    expect(await verdict(password)).toBe('allowed')
  })

  it.each<[string, unknown]>([
    ['other text', 'password'],
    ['text with a space behind', 'pässword '],
    ['the same letters composed otherwise', 'pa\u0308ssword'],
    ['bytes of Latin-1', Buffer.from('pässword', 'latin1')],
    ['bytes that are not UTF-8', bytes('p', 0xff)],
    ['a lone surrogate', 'p\ud800'],
    ['U+0000 behind it', 'pässword\0'],
    ['U+0000 and more', 'pässword\0x'],
    ['nothing', ''],
    ['no password', undefined],
    ['null', null],
    ['a number', 7],
    ['an array of bytes', [...Buffer.from('pässword')]],
  ])('is refused as %s', async (_, password) => {
    expect(await verdict(password)).toBe('bad_credentials')
  })

  it('may be empty where the hash is of the empty password', async () => {
    expect(await verdict('', { of: '' })).toBe('allowed')
    expect(await verdict(undefined, { of: '' })).toBe('bad_credentials')
  })

  it('is known by its first 72 bytes, as bcrypt does', async () => {
    const of = 'x'.repeat(72)
    expect(await verdict(`${of}y`, { of })).toBe('allowed')
    expect(await verdict(of.slice(1), { of })).toBe('bad_credentials')
  })

  it('ends at U+0000 for VerneMQ, and so it does under its semantics', async () => {
    const as = { of: 'pw', semantics: 'vernemq' } as const
    expect(await verdict('pw\0x', as)).toBe('allowed')
    expect(await verdict(bytes('pw', 0, 0xff), as)).toBe('allowed')
    expect(await verdict(bytes('pw', 0xff), as)).toBe('bad_credentials')
    expect(await verdict('\0', as)).toBe('bad_credentials')
    expect(await verdict('\0x', { ...as, of: '' })).toBe('allowed')
  })
})

describe('a hash', () => {
  async function verdict(passhash: string, options: Partial<AuthorizerOptions>, semantics?: 'strict' | 'vernemq') {
    const store = createMemoryStore([[keyOf('c'), recordOf([], { passhash })]], semantics && { semantics })
    await using authorizer = createAuthorizer({ store, refusalCapMs: 0, ...options })
    const denials = heard(authorizer, 'denied')
    const outcome = await authorizer.authenticate(connectOf('c'))
    return [reasonOf(outcome) ?? 'allowed', denials[0]?.detail]
  }

  it.each(['$2a$', '$2b$', '$2y$'] as const)('of variant %s is read under strict semantics', async prefix => {
    expect(await verdict(await hashPassword('pw', { cost: 4, prefix }), {})).toEqual(['allowed', undefined])
  })

  it.each(['$2b$', '$2y$'] as const)('of variant %s is no hash to VerneMQ', async prefix => {
    const passhash = await hashPassword('pw', { cost: 4, prefix })
    expect(await verdict(passhash, {}, 'vernemq')).toEqual([
      'record_invalid',
      `passhash: begins with "${prefix}", accepted is $2a$`,
    ])
  })

  it('of a cost above maxCost makes the record invalid before anything is computed', async () => {
    const passhash = await hashPassword('pw', { cost: 5 })
    expect(await verdict(passhash, { maxCost: 5 })).toEqual(['allowed', undefined])
    expect(await verdict(passhash, { maxCost: 4 })).toEqual([
      'record_invalid',
      'passhash: has cost 5, more than the highest accepted, 4',
    ])
    const [reason] = await verdict(passhash.replace('$05$', '$31$'), {})
    expect(reason).toBe('record_invalid')
  })

  it.each([' ', 'secret', '$2a$10$', '$1$abc', `$2a$04$${'x'.repeat(53)}\n`])(
    'that is none is refused: %j',
    async text => {
      const [reason, detail] = await verdict(text, {})
      expect(reason).toBe('record_invalid')
      expect(detail).toMatch(/^passhash: /)
    },
  )
})

describe('passwords proven before', () => {
  it('spare the hash until the passhash changes', async () => {
    const store = createMemoryStore([[keyOf('c'), recordOf(['a'])]])
    const hasher = plainHasher()
    const authorizer = authorizerOf(store, { hasher })
    await logIn(authorizer, 'c')
    await store.put(keyOf('c'), recordOf(['b']))
    await logIn(authorizer, 'c')
    expect(hasher.verified).toBe(1)
    await store.put(keyOf('c'), recordOf(['b'], { passhash: 'plain:new' }))
    expect(reasonOf(await authorizer.authenticate(connectOf('c')))).toBe('bad_credentials')
    await logIn(authorizer, 'c', { password: 'new' })
    expect(hasher.verified).toBe(3)
  })

  it('spare it for every client of a shared record', async () => {
    const hasher = plainHasher()
    const authorizer = authorizerOf(createMemoryStore([[keyOf('*'), recordOf()]]), { hasher })
    for (const clientId of ['a', 'b', 'c']) await logIn(authorizer, clientId)
    expect(hasher.verified).toBe(1)
  })

  it('are forgotten after verifiedTtlMs, and not remembered at all when that is 0', async () => {
    let now = 1_000
    const hasher = plainHasher()
    const store = createMemoryStore([[keyOf('c'), recordOf()]])
    const authorizer = authorizerOf(store, { hasher, verifiedTtlMs: 50, clock: { now: () => now } })
    await logIn(authorizer, 'c')
    now += 49
    await logIn(authorizer, 'c')
    expect(hasher.verified).toBe(1)
    now += 2
    await logIn(authorizer, 'c')
    expect(hasher.verified).toBe(2)
    const forgetful = authorizerOf(store, { hasher, verifiedTtlMs: 0 })
    await logIn(forgetful, 'c')
    await logIn(forgetful, 'c')
    expect(hasher.verified).toBe(4)
  })
})
