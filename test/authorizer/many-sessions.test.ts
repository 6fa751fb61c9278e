import { createMemoryStore, type Session } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import { authorizerOf, keyOf, logIn, recordOf } from './support.js'

const SESSIONS = 100_000

/** Most sessions one turn of the event loop may bring up to date. */
const TURN = 1_000

describe('a hundred thousand sessions of one shared record', () => {
  it('follow it a few at a time, so that everything else goes on meanwhile', { timeout: 60_000 }, async () => {
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
})
