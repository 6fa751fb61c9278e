import { type ConnectRequest, createAuthorizer, createMemoryStore, decodeRecordKey, parseRecord } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { authorizerOf, CACHES, connectOf, heard, keyOf, logIn, reasonOf, recordOf, SteppedStore } from './support.js'

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
