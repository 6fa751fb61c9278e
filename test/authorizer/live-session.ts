import type { AuthorizerOptions } from 'mqtt-warden'
import { createClock } from '../helpers/clock.js'
import { authorizerOf, keyOf, logIn, reasonOf, recordOf, SteppedStore } from './support.js'

/** The times of {@link live}. */
export const LIMITS = { staleWindowMs: 1_000, readTimeoutMs: 200, outageGraceMs: 5_000, maxAgeMs: 100_000 }

/** A live session at moment 10,000, everything heard up to there; from then on nothing is read unless the test says so. */
export async function live(options: Partial<AuthorizerOptions> = {}) {
  const clock = createClock(10_000)
  const store = new SteppedStore([[keyOf('c'), recordOf(['a'])]])
  const authorizer = authorizerOf(store, { ...LIMITS, clock, ...options })
  const beat = (at = clock.now()) => store.tell({ type: 'link', state: 'live', at })
  await beat()
  const session = await logIn(authorizer, 'c')
  store.isStepped = true
  const decide = () => reasonOf(session.authorizePublish('a'))
  /** The last moment at which the session decides, if nothing happens from now on. */
  const lastsUntil = () => {
    const begin = clock.now()
    while (decide() === undefined && clock.now() < begin + 1_000_000) clock.advance(1)
    const end = clock.now() - 1
    clock.set(begin)
    return end
  }
  return { clock, store, authorizer, session, beat, decide, lastsUntil }
}
