import { createMemoryStore } from 'mqtt-warden'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { ALLOWED, all, answers, authorizerOf, heard, keyOf, logIn, recordOf, SteppedStore } from './support.js'

afterEach(() => {
  vi.useRealTimers()
})

describe('a session whose record ends by itself', () => {
  it('refuses from that millisecond on, and is revoked within a second', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance', 'Date'], now: 1_000_000_000_000 })
    const store = createMemoryStore([[keyOf('c'), recordOf(['a'], { expiresAt: 1_000_000_003 })]])
    const authorizer = authorizerOf(store)
    const revoked = heard(authorizer, 'revoked')
    const session = await logIn(authorizer, 'c')
    // The first sweep is due a second after the authorizer was made.
    await vi.advanceTimersByTimeAsync(2_500)
    expect(answers(session, 'a')).toEqual(ALLOWED)
    vi.advanceTimersByTime(499)
    expect(answers(session, 'a')).toEqual(ALLOWED)
    await store.put(keyOf('c'), recordOf(['a'], { expiresAt: 1_000_000_004 }))
    await vi.advanceTimersByTimeAsync(1_000)
    expect(answers(session, 'a')).toEqual(ALLOWED)
    expect(session.revoked.aborted).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(answers(session, 'a')[0]).toMatch(/^(expired|revoked)$/)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(answers(session, 'a')).toEqual(all('revoked'))
    expect(session.revoked.reason).toBe('expired')
    expect(revoked).toMatchObject([{ cause: 'expired' }])
  })

  it('is revoked in time when that was set, or set earlier, while it lived', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance', 'Date'], now: 1_000_000_000_000 })
    const store = createMemoryStore([
      [keyOf('c'), recordOf(['a'])],
      [keyOf('d'), recordOf(['a'], { expiresAt: 1_000_009_000 })],
      [keyOf('e'), recordOf(['a'], { expiresAt: 1_000_000_010 })],
    ])
    const authorizer = authorizerOf(store)
    const sessions = [await logIn(authorizer, 'c'), await logIn(authorizer, 'd')]
    await vi.advanceTimersByTimeAsync(5_000)
    sessions.push(await logIn(authorizer, 'e'))
    for (const clientId of ['c', 'd']) await store.put(keyOf(clientId), recordOf(['a'], { expiresAt: 1_000_000_010 }))
    await vi.advanceTimersByTimeAsync(4_000)
    expect(sessions.map(({ revokeCause }) => revokeCause)).toEqual([undefined, undefined, undefined])
    await vi.advanceTimersByTimeAsync(2_000)
    expect(sessions.map(({ revokeCause }) => revokeCause)).toEqual(['expired', 'expired', 'expired'])
  })

  it('is revoked in time when it was opened after a sweep that found nothing due', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance', 'Date'], now: 1_000_000_000_000 })
    const store = createMemoryStore([[keyOf('c'), recordOf(['a'], { expiresAt: 1_000_000_010 })]])
    const authorizer = authorizerOf(store)
    await vi.advanceTimersByTimeAsync(5_000)
    const session = await logIn(authorizer, 'c')
    await vi.advanceTimersByTimeAsync(7_000)
    expect(session.revokeCause).toBe('expired')
  })

  it('is revoked in time although the store does not answer for others', async () => {
    vi.useFakeTimers({
      toFake: ['setInterval', 'clearInterval', 'setTimeout', 'clearTimeout', 'performance', 'Date'],
      now: 1_000_000_000_000,
    })
    const store = new SteppedStore([
      [keyOf('*'), recordOf(['a'])],
      [keyOf('c'), recordOf(['a'], { expiresAt: 1_000_000_040 })],
    ])
    const authorizer = authorizerOf(store)
    heard(authorizer, 'error')
    const session = await logIn(authorizer, 'c')
    for (let count = 0; count < 1_500; count++) await logIn(authorizer, `other${count}`)
    store.isStepped = true
    await vi.advanceTimersByTimeAsync(41_000)
    expect(session.revoked.reason).toBe('expired')
  })
})

describe('the signal of a session', () => {
  it('is the same whenever it is read, before the end and after', async () => {
    const store = createMemoryStore([[keyOf('*'), recordOf(['a'])]])
    const authorizer = authorizerOf(store)
    const [early, late] = [await logIn(authorizer, 'a'), await logIn(authorizer, 'b')]
    const { revoked } = early
    expect(revoked.aborted).toBe(false)
    await store.delete(keyOf('*'))
    expect(early.revoked).toBe(revoked)
    expect(late.revoked).toBe(late.revoked)
    for (const session of [early, late]) {
      expect([session.revoked.aborted, session.revoked.reason]).toEqual([true, 'deleted'])
      session.close()
      expect([session.revoked.aborted, session.revoked.reason]).toEqual([true, 'deleted'])
    }
  })

  it('stays quiet when the session is closed, whatever becomes of the record', async () => {
    const store = createMemoryStore([[keyOf('c'), recordOf(['a'])]])
    const authorizer = authorizerOf(store)
    const events = [heard(authorizer, 'revoked'), heard(authorizer, 'changed')]
    const session = await logIn(authorizer, 'c')
    const { revoked } = session
    session.close()
    session.close()
    await store.put(keyOf('c'), recordOf(['b']))
    await store.delete(keyOf('c'))
    expect(revoked.aborted).toBe(false)
    expect(answers(session, 'a')).toEqual(all('closed'))
    expect(events).toEqual([[], []])
    expect(authorizer.stats().sessions).toBe(0)
  })
})

describe('a listener for the end of a session', () => {
  it('hears the cause once, before or after the signal was made', async () => {
    const store = createMemoryStore([[keyOf('*'), recordOf(['a'])]])
    const authorizer = authorizerOf(store)
    const session = await logIn(authorizer, 'c')
    const [first, second, off] = [vi.fn(), vi.fn(), vi.fn()]
    session.onRevoked(first)
    const { revoked } = session
    session.onRevoked(second)
    const stop = session.onRevoked(off)
    session.onRevoked(off)
    stop()
    stop()
    expect(session.revokeCause).toBeUndefined()
    await store.delete(keyOf('*'))
    expect([revoked.reason, session.revokeCause]).toEqual(['deleted', 'deleted'])
    for (const listener of [first, second, off]) expect(listener.mock.calls).toEqual([['deleted', session]])
  })

  it('hears it at once when that is over already', async () => {
    const store = createMemoryStore([[keyOf('c'), recordOf(['a'])]])
    const session = await logIn(authorizerOf(store), 'c')
    await store.delete(keyOf('c'))
    const listener = vi.fn()
    session.onRevoked(listener)()
    expect(listener.mock.calls).toEqual([['deleted', session]])
    session.close()
    session.onRevoked(listener)
    expect(listener).toHaveBeenCalledTimes(2)
  })

  it('hears nothing when the session is closed', async () => {
    const store = createMemoryStore([[keyOf('c'), recordOf(['a'])]])
    const session = await logIn(authorizerOf(store), 'c')
    const listener = vi.fn()
    session.onRevoked(listener)
    session.close()
    session.onRevoked(listener)
    await store.delete(keyOf('c'))
    expect(listener).not.toHaveBeenCalled()
    expect(session.revokeCause).toBeUndefined()
  })

  it('that throws is reported, and keeps nobody from hearing', async () => {
    const store = createMemoryStore([[keyOf('c'), recordOf(['a'])]])
    const authorizer = authorizerOf(store)
    const errors = heard(authorizer, 'error')
    const session = await logIn(authorizer, 'c')
    const other = vi.fn()
    session.onRevoked(() => {
      throw new Error('listener failed')
    })
    session.onRevoked(other)
    await store.delete(keyOf('c'))
    expect(other).toHaveBeenCalledTimes(1)
    expect(errors).toMatchObject([{ place: 'listener of onRevoked' }])
  })
})
