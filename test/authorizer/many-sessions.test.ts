import { createMemoryStore, type Session } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { createClock } from '../helpers/clock.js'
import { authorizerOf, idle, keyOf, logIn, reasonOf, recordOf, SteppedStore } from './support.js'

const SESSIONS = 20_000

/** Most sessions one turn of the event loop may bring up to date. */
const TURN = 1_000

describe('many thousand sessions of one shared record', () => {
  it('follow it a few at a time, so that everything else goes on meanwhile', async () => {
    const store = createMemoryStore([[keyOf('*'), recordOf(['a'])]])
    const authorizer = authorizerOf(store)
    const sessions: Session[] = []
    for (let at = 0; at < SESSIONS; at++) sessions.push(await logIn(authorizer, `c${at}`))

    let followed = 0
    authorizer.on('changed', () => void followed++)
    let isWritten = false
    const written = store.put(keyOf('*'), recordOf(['b'])).then(() => {
      isWritten = true
    })
    const perTurn: number[] = []
    while (!isWritten) {
      const before = followed
      await new Promise(resolve => setImmediate(resolve))
      perTurn.push(followed - before)
    }
    await written
    expect(followed).toBe(SESSIONS)
    expect(Math.max(...perTurn)).toBeLessThanOrEqual(TURN)
    const late = sessions.filter(session => !session.authorizePublish('b').allow || session.authorizePublish('a').allow)
    expect(late).toEqual([])
  })

  it('have the time to read again from the moment the change was told, whenever each of them heard of it', async () => {
    const clock = createClock(1_000)
    const store = new SteppedStore([[keyOf('*'), recordOf(['a'])]])
    const authorizer = authorizerOf(store, { clock, readTimeoutMs: 1_000 })
    await store.tell({ type: 'link', state: 'live', at: 1_000 })
    const sessions: Session[] = []
    for (let at = 0; at < 12_000; at++) sessions.push(await logIn(authorizer, `c${at}`))
    store.isStepped = true
    const sent = store.sent.length
    const written = store.put(keyOf('*'), recordOf(['b']))
    // The first of them know at once, and their record is asked for.
    clock.advance(400)
    await idle()
    await store.tell({ type: 'link', state: 'live', at: clock.now() })
    expect(store.sent.slice(sent)).toEqual(['*'])
    clock.advance(599)
    expect(sessions.filter(session => !session.authorizePublish('a').allow)).toEqual([])
    clock.advance(1)
    const reasons = sessions.map(session => reasonOf(session.authorizePublish('a')))
    expect(new Set(reasons)).toEqual(new Set(['store_unavailable']))
    store.pending[0]!.answer()
    await written
    expect(sessions.filter(session => !session.authorizePublish('b').allow)).toEqual([])
  })

  it('end a few at a time when their record ends, and decide nothing from then on', async () => {
    const store = createMemoryStore([[keyOf('*'), recordOf(['a'])]])
    const authorizer = authorizerOf(store)
    const sessions: Session[] = []
    for (let at = 0; at < 3_000; at++) sessions.push(await logIn(authorizer, `c${at}`))
    await store.put(keyOf('*'), recordOf(['a'], { expiresAt: Math.floor(Date.now() / 1_000) + 2 }))
    let ended = 0
    let most = 0
    const count = (before: number): void => {
      most = Math.max(most, ended - before)
      if (ended < sessions.length) setImmediate(count, ended)
    }
    setImmediate(count, 0)
    await new Promise<void>(resolve => {
      authorizer.on('revoked', () => {
        if (ended === 0) for (const session of sessions) expect(session.authorizePublish('a').allow).toBe(false)
        if (++ended === sessions.length) resolve()
      })
    })
    await idle()
    expect(most).toBeLessThanOrEqual(TURN)
    expect(authorizer.stats().sessions).toBe(0)
  })
})
