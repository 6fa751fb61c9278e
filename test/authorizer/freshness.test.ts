import { createMemoryStore } from 'mqtt-warden'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createClock } from '../helpers/clock.js'
import { LIMITS, live } from './live-session.js'
import { authorizerOf, connectOf, heard, idle, keyOf, logIn, reasonOf, recordOf, SteppedStore } from './support.js'

afterEach(() => {
  vi.useRealTimers()
})

describe('freshness', () => {
  it.each([
    [{}, 5_000],
    [{ outageGraceMs: 0 }, 1_200],
    [{ outageGraceMs: 60_000, maxAgeMs: 30_000 }, 30_000],
  ])('tells the longest that a revoked right can survive: %j', async (options, boundMs) => {
    const { authorizer } = await live(options)
    expect(authorizer.freshness()).toEqual({
      state: 'live',
      boundMs,
      terms: { ...LIMITS, ...options },
      ageMs: 0,
      hears: 'everything',
      links: [],
    })
  })

  it('counts on nothing but the age of records where the store hears only of its own writes', async () => {
    const { store, authorizer } = await live({ maxAgeMs: 600_000 })
    store.hears = 'own writes'
    expect(authorizer.freshness()).toMatchObject({ state: 'live', boundMs: 600_000, hears: 'own writes' })
  })

  it('is ready at once with a store that hears of nothing, and bounds by when records were read', async () => {
    const store = new SteppedStore()
    store.hears = 'nothing'
    const authorizer = authorizerOf(store, LIMITS)
    await authorizer.ready()
    expect(authorizer.freshness()).toMatchObject({ state: 'blind', boundMs: 5_000, hears: 'nothing' })
  })

  it('tells the age of each link of the store', async () => {
    const { clock, store, authorizer } = await live()
    store.links = () => [
      { server: 'a:1', state: 'live', at: clock.now() - 40 },
      { server: 'b:2', state: 'blind', at: Number.NEGATIVE_INFINITY },
    ]
    expect(authorizer.freshness().links).toEqual([
      { server: 'a:1', state: 'live', ageMs: 40 },
      { server: 'b:2', state: 'blind', ageMs: Number.POSITIVE_INFINITY },
    ])
  })

  it('tells how long ago the last moment was up to which all was heard', async () => {
    const { clock, store, authorizer, beat } = await live()
    const links = heard(authorizer, 'link')
    clock.advance(300)
    expect(authorizer.freshness()).toMatchObject({ state: 'live', ageMs: 300 })
    await beat(10_200)
    expect(authorizer.freshness().ageMs).toBe(100)
    await store.tell({ type: 'link', state: 'blind', at: 10_200 })
    await store.tell({ type: 'link', state: 'blind', at: 10_200 })
    expect(authorizer.freshness()).toMatchObject({ state: 'blind', ageMs: 100, boundMs: 5_000 })
    await beat()
    expect(links.map(({ state }) => state)).toEqual(['blind', 'live'])
  })

  it('is blind and without an age before anything was heard', async () => {
    const authorizer = authorizerOf(new SteppedStore(), LIMITS)
    expect(authorizer.freshness()).toMatchObject({ state: 'blind', ageMs: Number.POSITIVE_INFINITY, boundMs: 5_000 })
  })
})

describe('a store that cannot become deaf', () => {
  it('is never stale, however much time passes', async () => {
    const clock = createClock(10_000)
    const store = createMemoryStore([[keyOf('c'), recordOf(['a'])]])
    const authorizer = authorizerOf(store, { ...LIMITS, clock })
    await authorizer.ready()
    const session = await logIn(authorizer, 'c')
    const { misses } = authorizer.stats()
    clock.advance(1e9)
    expect(session.authorizePublish('a').allow).toBe(true)
    expect((await authorizer.authorizePublish(keyOf('c'), 'a')).allow).toBe(true)
    expect(authorizer.stats().misses).toBe(misses)
    expect(authorizer.freshness()).toMatchObject({ state: 'live', boundMs: 0, ageMs: 0 })
  })

  it('becomes stale like any other once it is closed', async () => {
    const clock = createClock(performance.now())
    const store = createMemoryStore([[keyOf('c'), recordOf(['a'])]])
    const authorizer = authorizerOf(store, { ...LIMITS, clock })
    await authorizer.ready()
    const session = await logIn(authorizer, 'c')
    await store.close()
    expect(authorizer.freshness()).toMatchObject({ state: 'blind', boundMs: 5_000 })
    expect(session.authorizePublish('a').allow).toBe(true)
    clock.advance(5_001)
    expect(reasonOf(session.authorizePublish('a'))).toBe('store_unavailable')
    expect(reasonOf(await authorizer.authenticate(connectOf('c')))).toBe('store_unavailable')
  })

  it('vouches for nothing before an unknown change', async () => {
    const { clock, store, decide, lastsUntil } = await live()
    await store.tell({ type: 'link', state: 'live', at: Number.POSITIVE_INFINITY })
    clock.advance(90_000)
    expect(decide()).toBeUndefined()
    await store.tell({ type: 'unknown' })
    expect(lastsUntil()).toBe(clock.now() + 5_000)
  })

  it('is not believed to be deaf for ever and never deaf at once', async () => {
    const { clock, store, authorizer, decide } = await live()
    await store.tell({ type: 'link', state: 'live', at: Number.POSITIVE_INFINITY })
    await store.tell({ type: 'link', state: 'blind', at: Number.POSITIVE_INFINITY })
    clock.advance(5_001)
    expect(decide()).toBe('store_unavailable')
    expect(authorizer.freshness().boundMs).toBe(5_000)
  })
})

describe('a login while the store cannot be read', () => {
  const failAll = async (store: SteppedStore) => {
    await idle()
    for (const read of [...store.pending]) read.fail(new Error('connection lost'))
  }
  async function attempt({ store, authorizer }: Awaited<ReturnType<typeof live>>, password: string) {
    const login = authorizer.authenticate(connectOf('c', { password }))
    await failAll(store)
    return reasonOf(await login)
  }

  it('is granted within the stale window, from the cache', async () => {
    const outage = await live()
    outage.clock.advance(1_000)
    expect(await attempt(outage, 'pw')).toBeUndefined()
    expect(await attempt(outage, 'wrong')).toBe('bad_credentials')
  })

  it('is granted later to passwords proven before, as long as the record is trusted', async () => {
    const outage = await live()
    outage.clock.advance(1_001)
    expect(await attempt(outage, 'pw')).toBeUndefined()
    expect(await attempt(outage, 'wrong')).toBe('store_unavailable')
    outage.clock.advance(3_999)
    expect(await attempt(outage, 'pw')).toBeUndefined()
    outage.clock.advance(1)
    expect(await attempt(outage, 'pw')).toBe('store_unavailable')
  })

  it('opens a session that ends to decide when the others do', async () => {
    const { store, clock, authorizer } = await live()
    clock.advance(4_000)
    const login = authorizer.authenticate(connectOf('c'))
    await failAll(store)
    const outcome = await login
    if (!outcome.allow) throw new Error(outcome.reason)
    clock.advance(1_000)
    expect(outcome.session.authorizePublish('a').allow).toBe(true)
    clock.advance(1)
    expect(reasonOf(outcome.session.authorizePublish('a'))).toBe('store_unavailable')
  })

  it('is refused when the record was named by a change', async () => {
    const outage = await live()
    outage.clock.advance(1_001)
    void outage.store.tell({ type: 'changed', key: keyOf('c') })
    expect(await attempt(outage, 'pw')).toBe('store_unavailable')
  })

  it('is refused when anything may have changed', async () => {
    const outage = await live()
    await outage.store.tell({ type: 'unknown' })
    expect(await attempt(outage, 'pw')).toBe('store_unavailable')
  })

  it('is refused where nothing is known of the account', async () => {
    const { store, authorizer } = await live()
    const login = authorizer.authenticate(connectOf('d'))
    await failAll(store)
    expect(reasonOf(await login)).toBe('store_unavailable')
  })
})

describe('a decision without a session while the store cannot be read', () => {
  it('is made by the record known last, for as long as that of a session', async () => {
    const { store, clock, authorizer } = await live()
    const ask = async (clientId = 'c', topic = 'a') => {
      const answer = authorizer.authorizePublish(keyOf(clientId), topic)
      await idle()
      for (const read of [...store.pending]) read.fail(new Error('connection lost'))
      return reasonOf(await answer)
    }
    clock.advance(5_000)
    expect(await ask()).toBeUndefined()
    expect(await ask('c', 'b')).toBe('no_matching_rule')
    expect(await ask('d')).toBe('store_unavailable')
    clock.advance(1)
    expect(await ask()).toBe('store_unavailable')
  })

  it('is refused at once when the record was named by a change', async () => {
    const { store, clock, authorizer } = await live()
    clock.advance(2_000)
    void store.tell({ type: 'changed', key: keyOf('c') })
    const answer = authorizer.authorizePublish(keyOf('c'), 'a')
    await idle()
    for (const read of [...store.pending]) read.fail(new Error('connection lost'))
    expect(reasonOf(await answer)).toBe('store_unavailable')
  })
})
