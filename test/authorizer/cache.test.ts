import { describe, expect, it } from 'vitest'
import { createClock } from '../helpers/clock.js'
import { authorizerOf, connectOf, keyOf, logIn, reasonOf, recordOf, SteppedStore } from './support.js'

const LIVE = { type: 'link', state: 'live', at: Number.POSITIVE_INFINITY } as const

async function live(entries: ConstructorParameters<typeof SteppedStore>[0], options: object = {}) {
  const store = new SteppedStore(entries)
  const authorizer = authorizerOf(store, options)
  await store.tell(LIVE)
  return { store, authorizer }
}

describe('the cache of records', () => {
  it('reads a record once for any number of requests', async () => {
    const { store, authorizer } = await live([[keyOf('c'), recordOf(['a'])]])
    for (let count = 0; count < 5; count++) await authorizer.authorizePublish(keyOf('c'), 'a')
    expect(authorizer.stats()).toMatchObject({ records: 1, absent: 0, hits: 4, misses: 1 })
    // Looks once before its password is proven, and once more when it is.
    await logIn(authorizer, 'c')
    expect(authorizer.stats()).toMatchObject({ hits: 6, misses: 1 })
    await logIn(authorizer, 'c')
    expect(authorizer.stats()).toMatchObject({ hits: 7, misses: 1 })
    expect(store.sent).toEqual(['c'])
  })

  it('remembers absence as well', async () => {
    const { store, authorizer } = await live([])
    for (let count = 0; count < 5; count++) await authorizer.authorizePublish(keyOf('c'), 'a')
    expect(store.sent).toEqual(['c', '*'])
    expect(authorizer.stats()).toMatchObject({ records: 0, absent: 2 })
  })

  it('remembers unusable records as well', async () => {
    const { store, authorizer } = await live([[keyOf('c'), {} as never]])
    for (let count = 0; count < 5; count++) {
      expect(reasonOf(await authorizer.authorizePublish(keyOf('c'), 'a'))).toBe('record_invalid')
    }
    expect(store.sent).toEqual(['c'])
  })

  it('keeps absent keys apart, so that invented names evict nobody', async () => {
    const { store, authorizer } = await live([[keyOf('c'), recordOf()]], { maxRecords: 2, maxAbsent: 10 })
    await logIn(authorizer, 'c')
    for (let count = 0; count < 100; count++) {
      await authorizer.authenticate(connectOf('x', { username: `invented${count}` }))
    }
    expect(authorizer.stats()).toMatchObject({ records: 1, absent: 10 })
    const { length } = store.sent
    await logIn(authorizer, 'c')
    expect(store.sent).toHaveLength(length)
  })

  it('does not keep the absence of long names, which would fill the memory', async () => {
    const { authorizer } = await live([])
    const long = 'x'.repeat(60_000)
    for (let count = 0; count < 20; count++) await authorizer.authenticate(connectOf(`${long}${count}`))
    expect(authorizer.stats().absent).toBeLessThanOrEqual(1)
  })

  it('decides rightly when it can hold one record only', async () => {
    const { store, authorizer } = await live(
      [
        [keyOf('a'), recordOf(['a'])],
        [keyOf('b'), recordOf(['b'])],
        [keyOf('*'), recordOf(['shared'])],
      ],
      { maxRecords: 1, maxAbsent: 1 },
    )
    for (let count = 0; count < 3; count++) {
      for (const [clientId, topic] of [
        ['a', 'a'],
        ['b', 'b'],
        ['c', 'shared'],
        ['d', 'shared'],
      ] as const) {
        expect((await authorizer.authorizePublish(keyOf(clientId), topic)).allow).toBe(true)
        expect((await authorizer.authorizePublish(keyOf(clientId), 'other')).allow).toBe(false)
      }
    }
    expect(authorizer.stats()).toMatchObject({ records: 1, absent: 1 })
    await store.put(keyOf('a'), recordOf(['new']))
    expect((await authorizer.authorizePublish(keyOf('a'), 'a')).allow).toBe(false)
    await store.put(keyOf('c'), recordOf(['own']))
    expect((await authorizer.authorizePublish(keyOf('c'), 'shared')).allow).toBe(false)
  })

  it('forgets one key on a change of it, and all on an unknown change', async () => {
    const { store, authorizer } = await live([
      [keyOf('a'), recordOf(['a'])],
      [keyOf('b'), recordOf(['b'])],
    ])
    const ask = () => Promise.all(['a', 'b', 'c'].map(clientId => authorizer.authorizePublish(keyOf(clientId), 'a')))
    await ask()
    expect(store.sent.splice(0)).toEqual(['a', 'b', 'c', '*'])
    await store.tell({ type: 'changed', key: keyOf('b') })
    await store.tell({ type: 'changed', key: keyOf('c') })
    await ask()
    expect(store.sent.splice(0)).toEqual(['b', 'c'])
    await store.tell({ type: 'unknown' })
    expect(authorizer.stats()).toMatchObject({ records: 0, absent: 0 })
    await ask()
    expect(store.sent.splice(0)).toEqual(['a', 'b', 'c', '*'])
  })

  it('turns a key over from absent to present and back', async () => {
    const { store, authorizer } = await live([])
    expect((await authorizer.authorizePublish(keyOf('c'), 'a')).allow).toBe(false)
    await store.put(keyOf('c'), recordOf(['a']))
    expect((await authorizer.authorizePublish(keyOf('c'), 'a')).allow).toBe(true)
    expect(authorizer.stats()).toMatchObject({ records: 1, absent: 1 })
    await store.delete(keyOf('c'))
    expect((await authorizer.authorizePublish(keyOf('c'), 'a')).allow).toBe(false)
    expect(authorizer.stats()).toMatchObject({ records: 0, absent: 2 })
  })

  it('reads a record that has ended again, for it may have been prolonged', async () => {
    const { store, authorizer } = await live([[keyOf('c'), recordOf(['a'], { expiresAt: 1 })]])
    await authorizer.authorizePublish(keyOf('c'), 'a')
    await authorizer.authorizePublish(keyOf('c'), 'a')
    expect(store.sent).toEqual(['c', 'c'])
  })

  it('shares the compiled rules among accounts that have the same', async () => {
    const { authorizer } = await live([
      [keyOf('a'), recordOf(['a/%c'])],
      [keyOf('b'), recordOf(['a/%c'], { passhash: 'plain:pw', extra: { other: 1 } })],
    ])
    const [one, other] = [await logIn(authorizer, 'a'), await logIn(authorizer, 'b')]
    expect(one.acl).toBe(other.acl)
    expect([one.authorizePublish('a/a').allow, one.authorizePublish('a/b').allow]).toEqual([true, false])
    expect([other.authorizePublish('a/a').allow, other.authorizePublish('a/b').allow]).toEqual([false, true])
  })

  it('does not ask for the shared record at all where that is switched off', async () => {
    const { store, authorizer } = await live(
      [
        [keyOf('*'), recordOf(['a'])],
        [keyOf('c'), recordOf(['a'])],
      ],
      { wildcardClientId: false },
    )
    const session = await logIn(authorizer, 'c')
    expect(reasonOf(await authorizer.authorizePublish(keyOf('d'), 'a'))).toBe('bad_credentials')
    await store.put(keyOf('*'), recordOf(['b']))
    await store.delete(keyOf('c'))
    expect(session.revoked.reason).toBe('deleted')
    expect(store.sent).not.toContain('*')
  })
})

describe('decisions without a session', () => {
  it.each([
    ['authorizePublish', 'a', 'b'],
    ['authorizeSubscribe', 'a', '#'],
    ['authorizeReceive', 'a', 'b'],
  ] as const)('by %s follow the record, and report refusals', async (method, allowed, refused) => {
    const { store, authorizer } = await live([[keyOf('*'), recordOf(['a'])]])
    const denials: unknown[] = []
    authorizer.on('denied', ({ action, topic, filter, decision }) => denials.push([action, topic ?? filter, decision]))
    expect(await authorizer[method](keyOf('c'), allowed)).toEqual({ allow: true, rule: { pattern: 'a' } })
    const answer = await authorizer[method](keyOf('c'), refused)
    expect(reasonOf(answer)).toBe('no_matching_rule')
    await store.put(keyOf('c'), recordOf([]))
    expect(reasonOf(await authorizer[method](keyOf('c'), allowed))).toBe('no_matching_rule')
    const action = method.slice('authorize'.length).toLowerCase()
    expect(denials[0]).toEqual([action, refused, answer])
    expect(denials).toHaveLength(2)
  })

  it('take the limits of rules into account', async () => {
    const rule = { pattern: 'a', maxQos: 1, maxPayloadSize: 10, allowedRetain: false } as const
    const entries = [[keyOf('c'), recordOf([], { publishAcl: [rule] })]] as const
    const { authorizer } = await live(entries)
    const missed = async (facts?: object) => {
      const decision = await authorizer.authorizePublish(keyOf('c'), 'a', facts)
      return decision.allow ? undefined : decision.missed
    }
    expect(await missed({ qos: 1, payloadSize: 10 })).toBeUndefined()
    expect(await missed({ qos: 2, payloadSize: 10 })).toBe('max_qos')
    expect(await missed({ payloadSize: 11 })).toBe('max_payload_size')
    expect(await missed({ payloadSize: 1, retain: true })).toBe('retain')
    expect(await missed()).toBe('payload_size_unknown')
    const lax = (await live(entries, { unknownPayloadSize: 'allow' })).authorizer
    expect((await lax.authorizePublish(keyOf('c'), 'a')).allow).toBe(true)
  })

  it('go no deeper than maxLevels', async () => {
    const { authorizer } = await live([[keyOf('c'), recordOf(['#'])]], { maxLevels: 3 })
    expect((await authorizer.authorizePublish(keyOf('c'), 'a/b/c')).allow).toBe(true)
    expect(reasonOf(await authorizer.authorizePublish(keyOf('c'), 'a/b/c/d'))).toBe('too_deep')
  })

  it('do not open a session', async () => {
    const { authorizer } = await live([[keyOf('c'), recordOf()]])
    await authorizer.authorizePublish(keyOf('c'), 'a')
    expect([...authorizer.sessions()]).toEqual([])
  })
})

describe('maxAgeMs', () => {
  it('has a record read again even while every change is heard', async () => {
    const clock = createClock(1_000)
    const store = new SteppedStore([[keyOf('c'), recordOf()]])
    const authorizer = authorizerOf(store, { clock, maxAgeMs: 10_000 })
    const ask = async () => {
      await store.tell({ type: 'link', state: 'live', at: clock.now() })
      await authorizer.authorizePublish(keyOf('c'), 'a')
      return store.sent.length
    }
    expect(await ask()).toBe(1)
    clock.advance(10_000)
    expect(await ask()).toBe(1)
    clock.advance(1)
    expect(await ask()).toBe(2)
  })
})
