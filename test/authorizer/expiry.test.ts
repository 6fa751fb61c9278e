import { createMemoryStore } from 'mqtt-warden'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { authorizerOf, heard, keyOf, logIn, reasonOf, recordOf } from './support.js'

afterEach(() => {
  vi.useRealTimers()
})

const START = Date.UTC(2026, 0, 1)
const inSeconds = (seconds: number) => START / 1_000 + seconds

/** Timers, the wall clock and the monotonic one are stepped together. */
function freeze(): void {
  vi.useFakeTimers({
    now: START,
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
  })
}

describe('a record that ends by itself', () => {
  it('ends its sessions to the moment, one timer for all of them', async () => {
    freeze()
    const ends = [3, 2, 2, 90_000]
    const store = createMemoryStore(
      ends.map((end, at) => [keyOf(`c${at}`), recordOf(['a'], { expiresAt: inSeconds(end) })]),
    )
    const authorizer = authorizerOf(store)
    const revoked = heard(authorizer, 'revoked')
    const sessions = await Promise.all(ends.map((_, at) => logIn(authorizer, `c${at}`)))
    await vi.advanceTimersByTimeAsync(1_980)
    expect(revoked).toEqual([])
    await vi.advanceTimersByTimeAsync(40)
    expect(revoked.map(({ principal, cause }) => [principal.clientId, cause])).toEqual([
      ['c1', 'expired'],
      ['c2', 'expired'],
    ])
    await vi.advanceTimersByTimeAsync(1_000)
    expect(sessions.map(({ revokeCause }) => revokeCause)).toEqual(['expired', 'expired', 'expired', undefined])
    await vi.advanceTimersByTimeAsync(90_000_000)
    expect(sessions[3]!.revokeCause).toBe('expired')
  })

  it('lets its sessions go on when it is prolonged, and ends them sooner when it is cut short', async () => {
    freeze()
    const store = createMemoryStore([
      [keyOf('long'), recordOf(['a'], { expiresAt: inSeconds(2) })],
      [keyOf('short'), recordOf(['a'], { expiresAt: inSeconds(60) })],
    ])
    const authorizer = authorizerOf(store)
    const [long, short] = [await logIn(authorizer, 'long'), await logIn(authorizer, 'short')]
    await store.put(keyOf('long'), recordOf(['a'], { expiresAt: inSeconds(60) }))
    await store.put(keyOf('short'), recordOf(['a'], { expiresAt: inSeconds(5) }))
    await vi.advanceTimersByTimeAsync(4_900)
    expect([long.revokeCause, short.revokeCause]).toEqual([undefined, undefined])
    expect(Math.round(short.leftMs)).toBe(100)
    await vi.advanceTimersByTimeAsync(120)
    expect([long.revokeCause, short.revokeCause]).toEqual([undefined, 'expired'])
  })

  it('refuses every decision from its moment on, should no timer fire', async () => {
    let now = 0
    const authorizer = authorizerOf(
      createMemoryStore([[keyOf('c'), recordOf(['a'], { expiresAt: Math.floor(Date.now() / 1_000) + 60 })]]),
      { clock: { now: () => now } },
    )
    const session = await logIn(authorizer, 'c')
    expect(reasonOf(session.authorizePublish('a'))).toBeUndefined()
    now = 60_000
    expect(reasonOf(session.authorizePublish('a'))).toBe('expired')
  })

  it('counts by the clock of the system, also when that is set', async () => {
    freeze()
    const authorizer = authorizerOf(createMemoryStore([[keyOf('c'), recordOf(['a'], { expiresAt: inSeconds(3_600) })]]))
    const session = await logIn(authorizer, 'c')
    vi.setSystemTime(START + 3_600_000)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(session.revokeCause).toBe('expired')
  })

  it('leaves no timer behind', async () => {
    freeze()
    const store = createMemoryStore([[keyOf('c'), recordOf(['a'], { expiresAt: inSeconds(3_600) })]])
    const authorizer = authorizerOf(store)
    await logIn(authorizer, 'c')
    await authorizer.close()
    await store.close()
    // A cache keeps what it read of the clock for a millisecond.
    await vi.advanceTimersByTimeAsync(1)
    expect(vi.getTimerCount()).toBe(0)
  })
})
