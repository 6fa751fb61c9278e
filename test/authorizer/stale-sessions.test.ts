import { afterEach, describe, expect, it, vi } from 'vitest'
import { createClock } from '../helpers/clock.js'
import { LIMITS, live } from './live-session.js'
import { authorizerOf, drain, heard, idle, keyOf, logIn, reasonOf, recordOf, SteppedStore } from './support.js'

afterEach(() => {
  vi.useRealTimers()
})

describe('a session that nothing is heard for', () => {
  it('decides until outageGraceMs after the last moment up to which all was heard, then refuses', async () => {
    const { clock, beat, decide, lastsUntil } = await live()
    expect(lastsUntil()).toBe(15_000)
    clock.advance(3_000)
    await beat(12_500)
    expect(lastsUntil()).toBe(17_500)
    clock.set(17_501)
    expect(decide()).toBe('store_unavailable')
    await beat()
    expect(decide()).toBeUndefined()
  })

  it.each([
    [0, 11_200],
    [1_200, 11_200],
    [1_201, 11_201],
  ])('decides for the stale window and one read when outageGraceMs is %i', async (outageGraceMs, end) => {
    expect((await live({ outageGraceMs })).lastsUntil()).toBe(end)
  })

  it('is not helped by news that the link is lost, nor hurt by it', async () => {
    const { clock, store, lastsUntil } = await live()
    clock.advance(500)
    await store.tell({ type: 'link', state: 'blind', at: 10_000 })
    expect(lastsUntil()).toBe(15_000)
  })

  it('is not helped by beats of a later epoch before it was read again', async () => {
    const { clock, store, beat, lastsUntil } = await live()
    clock.advance(2_000)
    await beat(11_000)
    await store.tell({ type: 'unknown' })
    await beat()
    expect(lastsUntil()).toBe(16_000)
    await store.tell({ type: 'unknown' })
    await beat()
    expect(lastsUntil()).toBe(16_000)
    await drain(store)
    expect(lastsUntil()).toBe(17_000)
    clock.advance(1_000)
    await beat()
    expect(lastsUntil()).toBe(18_000)
  })

  it('believes no moment that has not come yet, and none that is no number', async () => {
    const { clock, store, beat, lastsUntil } = await live()
    await beat(99_000)
    expect(lastsUntil()).toBe(15_000)
    clock.advance(1_000)
    for (const at of [Number.NaN, undefined, null, '99000', {}]) {
      await store.tell({ type: 'link', state: 'live', at: at as number })
      expect(lastsUntil()).toBe(15_000)
    }
    await beat(9_000)
    expect(lastsUntil()).toBe(15_000)
    await beat(Number.NEGATIVE_INFINITY)
    expect(lastsUntil()).toBe(15_000)
  })

  it('refuses everything alike then', async () => {
    const { clock, session, authorizer } = await live()
    clock.advance(5_001)
    expect(reasonOf(session.authorizePublish('a'))).toBe('store_unavailable')
    expect(reasonOf(session.authorizeSubscribe('a'))).toBe('store_unavailable')
    expect(reasonOf(session.authorizeReceive('a'))).toBe('store_unavailable')
    expect(session.revoked.aborted).toBe(false)
    expect(authorizer.stats().sessions).toBe(1)
  })
})

describe('a session whose record was named by a change and cannot be read', () => {
  it('decides for readTimeoutMs, then refuses until it was read', async () => {
    const { clock, store, beat, decide, lastsUntil } = await live()
    clock.advance(100)
    void store.put(keyOf('c'), recordOf(['b']))
    expect(lastsUntil()).toBe(10_299)
    clock.advance(100)
    await beat()
    void store.tell({ type: 'changed', key: keyOf('c') })
    expect(lastsUntil()).toBe(10_299)
    clock.advance(200)
    expect(decide()).toBe('store_unavailable')
    await drain(store)
    expect(decide()).toBe('no_matching_rule')
  })

  it('is not revived by a beat that follows the news, where the change may be older than the bound', async () => {
    const { clock, store, beat, decide } = await live()
    clock.advance(5_001)
    expect(decide()).toBe('store_unavailable')
    void store.tell({ type: 'changed', key: keyOf('c') })
    await beat()
    expect(decide()).toBe('store_unavailable')
    await drain(store)
    expect(decide()).toBeUndefined()
  })

  it('is tried again by the sweep, a failed read notwithstanding', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const { clock, store, session, authorizer } = await live()
    const errors = heard(authorizer, 'error')
    await vi.advanceTimersByTimeAsync(1_000)
    void store.put(keyOf('c'), recordOf(['b']))
    await idle()
    store.pending[0]!.fail(new Error('connection lost'))
    await idle()
    expect(errors).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(store.pending).toEqual([])
    store.isStepped = false
    clock.advance(100)
    await vi.advanceTimersByTimeAsync(1_000)
    await idle()
    expect(session.authorizePublish('b').allow).toBe(true)
  })
})

describe('a session that lives long', () => {
  it('is not decided by a record read more than maxAgeMs ago, whatever is heard', async () => {
    const { clock, beat, decide } = await live({ maxAgeMs: 3_000 })
    clock.advance(3_000)
    await beat()
    expect(decide()).toBeUndefined()
    clock.advance(1)
    await beat()
    expect(decide()).toBe('store_unavailable')
  })

  it('is read again from half of maxAgeMs on, so that nobody waits', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const { clock, store, beat, decide } = await live({ maxAgeMs: 3_000 })
    clock.advance(1_500)
    await beat()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(store.pending).toEqual([])
    clock.advance(1)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(store.pending).toHaveLength(1)
    store.pending[0]!.answer()
    await idle()
    clock.advance(3_000)
    await beat()
    expect(decide()).toBeUndefined()
  })
})

describe('a session while the link is deaf and the store can be read', () => {
  it('is read again from half of the stale window on, and goes on from there', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const { clock, store, session, lastsUntil } = await live()
    clock.advance(500)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(store.pending).toEqual([])
    clock.advance(1)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(store.pending).toHaveLength(1)
    store.pending[0]!.answer()
    await idle()
    expect(lastsUntil()).toBe(15_501)
    store.set(keyOf('c'), recordOf(['b']))
    clock.advance(501)
    await vi.advanceTimersByTimeAsync(1_000)
    store.pending[0]!.answer()
    await idle()
    expect(session.authorizePublish('b').allow).toBe(true)
  })

  it('counts what was read from the moment it was asked for, not from the answer', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const { clock, store, lastsUntil } = await live()
    clock.advance(501)
    await vi.advanceTimersByTimeAsync(1_000)
    clock.advance(150)
    store.pending[0]!.answer()
    await idle()
    expect(lastsUntil()).toBe(15_501)
  })

  it('shares one read with all sessions of a record', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const clock = createClock(10_000)
    const store = new SteppedStore([[keyOf('*'), recordOf(['a'])]])
    const authorizer = authorizerOf(store, { ...LIMITS, clock })
    await store.tell({ type: 'link', state: 'live', at: clock.now() })
    for (let count = 0; count < 100; count++) await logIn(authorizer, `c${count}`)
    store.sent.length = 0
    clock.advance(751)
    await vi.advanceTimersByTimeAsync(1_000)
    await idle()
    expect(store.sent.filter(clientId => clientId === '*')).toHaveLength(1)
    expect(store.sent).toHaveLength(101)
  })

  it('does not read for all sessions at once, but for one after the other from half of the window to three quarters', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const { clock, store, authorizer } = await live()
    store.isStepped = false
    for (let count = 0; count < 200; count++) store.set(keyOf(`c${count}`), recordOf())
    for (let count = 0; count < 200; count++) await logIn(authorizer, `c${count}`)
    store.sent.length = 0
    const read: number[] = []
    for (const advanceMs of [500, 63, 63, 63, 63]) {
      clock.advance(advanceMs)
      await vi.advanceTimersByTimeAsync(1_000)
      await idle()
      read.push(store.sent.length)
    }
    expect(read[0]).toBe(0)
    for (const quarter of [1, 2, 3, 4]) {
      expect(read[quarter]! / 201).toBeGreaterThan(quarter / 4 - 0.1)
      expect(read[quarter]! / 201).toBeLessThanOrEqual(quarter / 4 + 0.1)
    }
    expect(read[4]).toBe(201)
  })

  it('reads a few at a time', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const { clock, store, authorizer } = await live({ readTimeoutMs: 10_000 })
    store.isStepped = false
    for (let count = 0; count < 200; count++) store.set(keyOf(`c${count}`), recordOf())
    for (let count = 0; count < 200; count++) await logIn(authorizer, `c${count}`)
    store.isStepped = true
    clock.advance(751)
    await vi.advanceTimersByTimeAsync(3_000)
    expect(store.pending.length).toBeGreaterThan(0)
    expect(store.pending.length).toBeLessThanOrEqual(50)
    const { length } = store.sent
    while (store.pending.length > 0) {
      store.pending[0]!.answer()
      await idle()
    }
    expect(store.sent.length).toBeGreaterThan(length)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(store.pending).toEqual([])
  })

  it('reads two hundred at a time of the records that are changed at once, and each once', async () => {
    const { store, authorizer } = await live({ readTimeoutMs: 10_000 })
    store.isStepped = false
    const clients = Array.from({ length: 500 }, (_, count) => `c${count}`)
    for (const client of clients) store.set(keyOf(client), recordOf())
    for (const client of clients) await logIn(authorizer, client)
    store.isStepped = true
    store.sent.length = 0
    for (const client of clients) store.set(keyOf(client), recordOf(['b']))
    const told = [...clients, ...clients.slice(300)].map(client => store.tell({ type: 'changed', key: keyOf(client) }))
    await idle()
    expect(store.pending).toHaveLength(200)
    while (store.pending.length > 0) {
      store.pending[0]!.answer()
      await idle()
      // Fifty more are those of the sweep, which finds sessions that are not up to date yet.
      expect(store.pending.length).toBeLessThanOrEqual(250)
    }
    await Promise.all(told)
    expect(store.sent).toHaveLength(500)
    for (const session of authorizer.sessions()) {
      if (session.principal.clientId !== 'c') expect(session.authorizePublish('b').allow).toBe(true)
    }
  })
})
