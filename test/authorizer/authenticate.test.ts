import {
  type AuthorizerOptions,
  type ConnectRequest,
  createAuthorizer,
  createBcryptHasher,
  createMemoryStore,
  decodeRecordKey,
  hashPassword,
  type PasswordHasher,
  parseRecord,
} from 'mqtt-warden'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type Deferred, deferred } from '../helpers/deferred.js'
import {
  authorizerOf,
  CACHES,
  connectOf,
  heard,
  keyOf,
  logIn,
  plainHasher,
  reasonOf,
  recordOf,
  SteppedStore,
} from './support.js'

const seed = [
  {
    key: '["","1528361231","101"]',
    passhash: '$2a$10$.UVQgAlmBYmHL4T0EGEq9u3poUrrCFQepee8IhrqqaQANNOtpree6',
    login: { clientId: '1528361231', username: '101', password: '38b3eff8baf56627478ec76a704e9b52' },
  },
  {
    key: '["","1528361747","102"]',
    passhash: '$2a$10$o2EnyzkqmHE532m3C.MREuyVNSKf0wIkHudKFjSk3OUFPlYLm8xBW',
    login: { clientId: '1528361747', username: '102', password: 'ec8956637a99787bd197eacd77acce5e' },
  },
]

const seedStore = (semantics: 'strict' | 'vernemq' = 'strict') =>
  createMemoryStore(
    seed.map(({ key, passhash }) => [
      decodeRecordKey(key),
      parseRecord(JSON.stringify({ passhash, subscribe_acl: [{ pattern: '#' }], publish_acl: [{ pattern: 'say' }] })),
    ]),
    { semantics },
  )

afterEach(() => {
  vi.useRealTimers()
})

describe.each(['strict', 'vernemq'] as const)('two accounts with bcrypt hashes, under %s semantics', semantics => {
  it('log in with their passwords, and their sessions decide by their own rules', async () => {
    await using authorizer = createAuthorizer({ store: seedStore(semantics), refusalCapMs: 0 })
    for (const { key, login } of seed) {
      const outcome = await authorizer.authenticate({ ...login, address: '10.0.0.1' })
      if (!outcome.allow) throw new Error(outcome.reason)
      const { session } = outcome
      expect(session.principal).toEqual(decodeRecordKey(key))
      expect(session.recordKey).toEqual(decodeRecordKey(key))
      expect(session.address).toBe('10.0.0.1')
      expect(session.authorizePublish('say').allow).toBe(true)
      expect(reasonOf(session.authorizePublish('hello'))).toBe('no_matching_rule')
      expect(session.authorizeSubscribe('any/#').allow).toBe(true)
      expect(session.authorizeReceive('any').allow).toBe(true)
    }
    expect(authorizer.stats()).toMatchObject({ sessions: 2, verifiedPasswords: 2, logins: { allowed: 2, denied: 0 } })
  })

  it('are refused alike for a wrong password, an unknown user and an unknown client; only the event tells them apart', async () => {
    await using authorizer = createAuthorizer({ store: seedStore(semantics), refusalCapMs: 0 })
    const denials = heard(authorizer, 'denied')
    const right = seed[0]!.login
    const answers = []
    for (const wrong of [{ password: 'x' }, { username: 'nobody' }, { clientId: '1528361747' }]) {
      answers.push(await authorizer.authenticate({ ...right, ...wrong }))
    }
    for (const answer of answers) expect(answer).toEqual({ allow: false, reason: 'bad_credentials' })
    expect(denials.map(({ detail }) => detail)).toEqual(['wrong password', 'no record', 'no record'])
    expect(denials.map(({ action, decision }) => [action, decision])).toEqual(answers.map(it => ['connect', it]))
    expect(authorizer.stats().logins).toEqual({ allowed: 0, denied: 3 })
  })

  it('are refused for the hash in place of the password', async () => {
    await using authorizer = createAuthorizer({ store: seedStore(semantics), refusalCapMs: 0 })
    const { login, passhash } = seed[0]!
    expect(reasonOf(await authorizer.authenticate({ ...login, password: passhash }))).toBe('bad_credentials')
  })
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

describe.each(CACHES)('the record that decides a login, %s', (_, cache) => {
  const shared = recordOf(['shared'])
  const own = recordOf(['own'])

  it('is the one of the client id, and without that the one for every client id', async () => {
    const authorizer = authorizerOf(
      createMemoryStore([
        [keyOf('*'), shared],
        [keyOf('c'), own],
      ]),
      cache,
    )
    const exact = await logIn(authorizer, 'c')
    const other = await logIn(authorizer, 'd')
    expect([exact.recordKey, other.recordKey]).toEqual([keyOf('c'), keyOf('*')])
    expect([exact.acl.publishAcl, other.acl.publishAcl]).toEqual([own.publishAcl, shared.publishAcl])
    expect(other.principal).toEqual(keyOf('d'))
  })

  it('is never the one for every client id when that is switched off', async () => {
    const store = new SteppedStore([
      [keyOf('*'), shared],
      [keyOf('c'), own],
    ])
    const authorizer = authorizerOf(store, { ...cache, wildcardClientId: false })
    expect(reasonOf(await authorizer.authenticate(connectOf('d')))).toBe('bad_credentials')
    expect((await logIn(authorizer, 'c')).acl.publishAcl).toEqual(own.publishAcl)
    expect(store.sent).toEqual(['d', 'c'])
  })

  it('hides the one for every client id, with a wrong password too', async () => {
    const store = createMemoryStore([
      [keyOf('*'), { ...shared, passhash: 'plain:other' }],
      [keyOf('c'), own],
    ])
    const authorizer = authorizerOf(store, cache)
    expect(reasonOf(await authorizer.authenticate(connectOf('c', { password: 'other' })))).toBe('bad_credentials')
    expect((await authorizer.authenticate(connectOf('d', { password: 'other' }))).allow).toBe(true)
  })

  it('bans one device where its lists are empty', async () => {
    const store = createMemoryStore([
      [keyOf('*'), shared],
      [keyOf('c'), recordOf([])],
    ])
    const session = await logIn(authorizerOf(store, cache), 'c')
    expect(reasonOf(session.authorizePublish('shared'))).toBe('no_matching_rule')
    expect(reasonOf(session.authorizeSubscribe('shared'))).toBe('no_matching_rule')
    expect(reasonOf(session.authorizeReceive('shared'))).toBe('no_matching_rule')
  })

  it('is of the same mountpoint and username, and of no other', async () => {
    const store = createMemoryStore([
      [keyOf('c', 'u', 'm'), own],
      [keyOf('*', 'v'), shared],
    ])
    const authorizer = authorizerOf(store, cache)
    expect((await authorizer.authenticate(connectOf('c', { mountpoint: 'm' }))).allow).toBe(true)
    for (const wrong of [{}, { mountpoint: 'n' }, { mountpoint: 'm', username: 'v' }]) {
      expect(reasonOf(await authorizer.authenticate(connectOf('c', wrong)))).toBe('bad_credentials')
    }
  })
})

describe('a client id chosen to be more than a name', () => {
  const store = () => new SteppedStore([[keyOf('*'), recordOf(['d/%c/x', '%c/y'])]])

  it.each<[string, string]>([
    // As much as MQTT can carry.
    ['65,535 slashes', '/'.repeat(65_535)],
    ...[
      '+',
      '#',
      'a/b',
      '/',
      '%c',
      '%u',
      '"',
      '","u"]',
      ' ',
      '\\',
      '$SYS',
      '$share',
      '__proto__',
      'constructor',
      'ü€😀',
      '\u2028',
      '\n',
      '**',
    ].map((clientId): [string, string] => [JSON.stringify(clientId), clientId]),
  ])('gets nothing that is not its own: %s', async (_, clientId) => {
    const session = await logIn(authorizerOf(store()), clientId)
    for (const topic of ['d/other/x', 'other/y', 'd/a/b/x', 'd/x', '$SYS/y', 'a/b/y']) {
      expect(session.authorizePublish(topic).allow).toBe(false)
      expect(session.authorizeReceive(topic).allow).toBe(false)
    }
    for (const filter of ['d/+/x', 'd/#', '+/y', '#', '+/+', '$share/g/d/+/x', '$SYS/#']) {
      expect(session.authorizeSubscribe(filter).allow).toBe(false)
    }
  })

  it.each([
    ['', 'client id is empty'],
    ['*', 'client id is *'],
    ['a\0', 'client id holds U+0000'],
    ['\ud800', 'client id holds an unpaired surrogate'],
    ['/'.repeat(65_536), 'client id is too long'],
    ['€'.repeat(21_846), 'client id is too long'],
    [undefined, 'client id is no text'],
    [null, 'client id is no text'],
    [7, 'client id is no text'],
    [{}, 'client id is no text'],
    [['c'], 'client id is no text'],
    [Object.create(null), 'client id is no text'],
    [Symbol('c'), 'client id is no text'],
    [() => 'c', 'client id is no text'],
  ])('is refused without asking the store when it is none (%#)', async (clientId, detail) => {
    const records = store()
    const authorizer = authorizerOf(records)
    const denials = heard(authorizer, 'denied')
    expect(await authorizer.authenticate(connectOf(clientId as string))).toEqual({
      allow: false,
      reason: 'client_id_refused',
    })
    expect(denials[0]?.detail).toBe(detail)
    const principal = keyOf(clientId as string)
    expect(reasonOf(await authorizer.authorizePublish(principal, 'a'))).toBe('client_id_refused')
    expect(reasonOf(await authorizer.authorizeSubscribe(principal, 'a'))).toBe('client_id_refused')
    expect(reasonOf(await authorizer.authorizeReceive(principal, 'a'))).toBe('client_id_refused')
    expect(records.sent).toEqual([])
  })

  it.each([
    ['username', 'u\0', 'username holds U+0000'],
    ['username', '\udfff', 'username holds an unpaired surrogate'],
    ['username', 'u'.repeat(65_536), 'username is too long'],
    ['username', null, 'username is no text'],
    ['username', 7, 'username is no text'],
    ['mountpoint', 'm\0', 'mountpoint holds U+0000'],
    ['mountpoint', null, 'mountpoint is no text'],
    ['address', null, 'address is no text'],
    ['address', 7, 'address is no text'],
  ])('is no better as %s (%#)', async (part, value, detail) => {
    const records = store()
    const authorizer = authorizerOf(records)
    const denials = heard(authorizer, 'denied')
    expect(reasonOf(await authorizer.authenticate(connectOf('c', { [part]: value })))).toBe('client_id_refused')
    expect(denials[0]?.detail).toBe(detail)
    expect(records.sent).toEqual([])
  })
})

describe('a CONNECT without a user name', () => {
  it('is refused', async () => {
    const authorizer = authorizerOf(createMemoryStore([[keyOf('c', ''), recordOf()]]))
    const { username, password, ...request } = connectOf('c')
    expect(reasonOf(await authorizer.authenticate(request))).toBe('anonymous_refused')
    expect(reasonOf(await authorizer.authenticate({ ...request, password: 'pw' }))).toBe('bad_credentials')
  })

  it('gets the rules for anonymous clients where there are some', async () => {
    const anonymous = { publishAcl: [], subscribeAcl: [{ pattern: 'public/#' }] }
    const authorizer = authorizerOf(createMemoryStore(), { anonymous })
    const login = await authorizer.authenticate({ clientId: 'c' })
    if (!login.allow) throw new Error(login.reason)
    expect(login.session.recordKey).toBeUndefined()
    expect(login.session.principal).toEqual(keyOf('c', ''))
    expect(login.session.authorizeSubscribe('public/x').allow).toBe(true)
    expect(reasonOf(login.session.authorizePublish('public/x'))).toBe('no_matching_rule')
    expect(reasonOf(await authorizer.authenticate({ clientId: 'c', password: 'pw' }))).toBe('bad_credentials')
  })

  it('has its will judged by those rules', async () => {
    const anonymous = { publishAcl: [{ pattern: 'public' }], subscribeAcl: [] }
    const authorizer = authorizerOf(createMemoryStore(), { anonymous })
    expect((await authorizer.authenticate({ clientId: 'c', will: { topic: 'public' } })).allow).toBe(true)
    const will = { topic: 'private' }
    expect(reasonOf(await authorizer.authenticate({ clientId: 'd', will }))).toBe('no_matching_rule')
    for (const none of [null, 7, 'public', {}]) {
      const request = { clientId: 'd', will: none as never }
      expect(reasonOf(await authorizer.authenticate(request))).toBe(none === null ? undefined : 'topic_invalid')
    }
  })

  it('is not a CONNECT with an empty user name, which is looked up', async () => {
    const authorizer = authorizerOf(createMemoryStore([[keyOf('c', ''), recordOf(['own'])]]), {
      anonymous: { publishAcl: [{ pattern: 'anonymous' }], subscribeAcl: [] },
    })
    const session = await logIn(authorizer, 'c', { username: '' })
    expect(session.recordKey).toEqual(keyOf('c', ''))
    expect(session.authorizePublish('own').allow).toBe(true)
    expect(session.authorizePublish('anonymous').allow).toBe(false)
    expect(reasonOf(await authorizer.authenticate({ clientId: 'c', username: '' }))).toBe('bad_credentials')
  })

  it('never comes to the rights of a record, whatever happens to that of the empty user name', async () => {
    const store = createMemoryStore()
    const authorizer = authorizerOf(store, { anonymous: { publishAcl: [{ pattern: 'public' }], subscribeAcl: [] } })
    const login = await authorizer.authenticate({ clientId: 'c' })
    if (!login.allow) throw new Error(login.reason)
    for (const clientId of ['c', '*']) {
      await store.put(keyOf(clientId, ''), recordOf(['secret']))
      expect(login.session.authorizePublish('secret').allow).toBe(false)
      expect(login.session.authorizePublish('public').allow).toBe(true)
      await store.delete(keyOf(clientId, ''))
      expect(login.session.authorizePublish('public').allow).toBe(true)
      expect(login.session.revoked.aborted).toBe(false)
    }
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

describe('a will', () => {
  const store = () =>
    createMemoryStore([[keyOf('c'), recordOf([], { publishAcl: [{ pattern: 'gone/%c', maxQos: 1 }] })]])

  it.each([{ topic: 'gone/c' }, { topic: 'gone/c', qos: 1, retain: true, payloadSize: 9 }] as const)(
    'is judged as the publish it may become, and allowed: %j',
    async will => {
      expect((await authorizerOf(store()).authenticate(connectOf('c', { will }))).allow).toBe(true)
    },
  )

  it('refuses the login with the reason of the publish, the nearest rule and what it missed', async () => {
    const authorizer = authorizerOf(store())
    const denials = heard(authorizer, 'denied')
    const answer = await authorizer.authenticate(connectOf('c', { will: { topic: 'gone/c', qos: 2 } }))
    expect(answer).toEqual({
      allow: false,
      reason: 'no_matching_rule',
      nearest: { pattern: 'gone/%c', maxQos: 1 },
      missed: 'max_qos',
    })
    expect(denials[0]).toMatchObject({ action: 'connect', topic: 'gone/c', decision: answer })
    expect(authorizer.stats().sessions).toBe(0)
  })

  it.each([
    ['gone/d', 'no_matching_rule'],
    ['gone/+', 'topic_invalid'],
    ['', 'topic_invalid'],
    ['/'.repeat(200), 'too_deep'],
    [undefined, 'topic_invalid'],
    [7, 'topic_invalid'],
    [Object.create(null), 'topic_invalid'],
  ])('to %j is refused', async (topic, reason) => {
    const answer = await authorizerOf(store()).authenticate(connectOf('c', { will: { topic: topic as string } }))
    expect(reasonOf(answer)).toBe(reason)
  })

  it('is looked at only when the password is right', async () => {
    const will = { topic: 'gone/d' }
    const answer = await authorizerOf(store()).authenticate(connectOf('c', { will, password: 'x' }))
    expect(reasonOf(answer)).toBe('bad_credentials')
  })
})

describe('a record that ends', () => {
  const soon = Math.floor(Date.now() / 1_000) + 3_600

  it('lets nobody in afterwards, and says so only to those who know the password', async () => {
    const authorizer = authorizerOf(createMemoryStore([[keyOf('c'), recordOf([], { expiresAt: 1_000 })]]))
    expect(reasonOf(await authorizer.authenticate(connectOf('c')))).toBe('expired')
    expect(reasonOf(await authorizer.authenticate(connectOf('c', { password: 'x' })))).toBe('bad_credentials')
    expect(reasonOf(await authorizer.authorizePublish(keyOf('c'), 'a'))).toBe('expired')
  })

  it('lets its client in before', async () => {
    const store = createMemoryStore([[keyOf('c'), recordOf(['a'], { expiresAt: soon })]])
    expect((await logIn(authorizerOf(store), 'c')).authorizePublish('a').allow).toBe(true)
  })

  it('still hides the record for every client id', async () => {
    const store = createMemoryStore([
      [keyOf('*'), recordOf()],
      [keyOf('c'), recordOf([], { expiresAt: 1_000 })],
    ])
    expect(reasonOf(await authorizerOf(store).authenticate(connectOf('c')))).toBe('expired')
  })

  it('ends with the record of the store where that is sooner', async () => {
    const store = new SteppedStore()
    const record = recordOf(['a'], { expiresAt: soon })
    const authorizer = authorizerOf(
      Object.assign(store, { getStored: async () => ({ record, digest: '', expiresAtMs: Date.now() - 1 }) }),
    )
    expect(reasonOf(await authorizer.authenticate(connectOf('c')))).toBe('expired')
  })
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

describe('a login that is judged within the turn', () => {
  it('is one whose record is held and whose password was proven, by the record that decides now', async () => {
    const store = createMemoryStore([[keyOf('c'), recordOf(['a'])]])
    const authorizer = authorizerOf(store)
    const now = (request: Partial<ConnectRequest> = {}) => authorizer.authenticateNow(connectOf('c', request))
    expect(now()).toBeUndefined()
    expect(authorizer.stats()).toMatchObject({ sessions: 0, logins: { allowed: 0, denied: 0 } })
    ;(await logIn(authorizer, 'c')).close()
    expect(now()?.session.authorizePublish('a').allow).toBe(true)
    expect(authorizer.stats()).toMatchObject({ sessions: 1, logins: { allowed: 2, denied: 0 } })
    await store.put(keyOf('c'), recordOf(['b'], { passhash: 'plain:new' }))
    expect([now(), now({ password: 'new' })]).toEqual([undefined, undefined])
    await logIn(authorizer, 'c', { password: 'new' })
    expect(now({ password: 'new' })?.session.authorizePublish('b').allow).toBe(true)
  })

  it('is none that would have to be refused, which is left to be refused like any other', async () => {
    const anonymous = { publishAcl: [], subscribeAcl: [] }
    const end = Math.floor(Date.now() / 1_000) - 1
    const store = createMemoryStore([
      [keyOf('c'), recordOf(['a'])],
      [keyOf('c', 'v'), recordOf(['a'])],
      [keyOf('over'), recordOf(['a'], { expiresAt: end })],
    ])
    const authorizer = authorizerOf(store, { anonymous })
    const denials = heard(authorizer, 'denied')
    await logIn(authorizer, 'c')
    for (const request of [
      { password: 'x' },
      { username: 'nobody' },
      { username: 'v' },
      { clientId: 'over' },
      { clientId: '' },
      { clientId: '*' },
      { will: { topic: 'other' } },
      { signal: AbortSignal.abort() },
    ]) {
      const given = connectOf('c', request as Partial<ConnectRequest>)
      // What it takes is known the second time.
      await authorizer.authenticate({ ...given, provisional: true })
      expect([request, authorizer.authenticateNow(given)]).toEqual([request, undefined])
    }
    expect(authorizer.authenticateNow({ clientId: 'd' })).toBeUndefined()
    expect(denials).toHaveLength(8)
    expect([...authorizer.sessions()]).toHaveLength(1)
    await authorizer.close()
    expect(authorizer.authenticateNow(connectOf('c'))).toBeUndefined()
  })

  it('is none of an account under attack, once as many passwords were tried as may be', async () => {
    const throttle = { perPair: { points: 1, windowMs: 60_000, blockMs: 60_000 }, proven: 1 }
    const authorizer = authorizerOf(createMemoryStore([[keyOf('c'), recordOf()]]), { throttle, refusalCapMs: 0 })
    const from = (password: string) => connectOf('c', { address: '10.0.0.1', password })
    await authorizer.authenticate(from('pw'))
    expect(authorizer.authenticateNow(from('pw'))?.allow).toBe(true)
    for (const password of ['x', 'y', 'z']) await authorizer.authenticate(from(password))
    expect(authorizer.authenticateNow(from('pw'))).toBeUndefined()
  })
})
