import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { LiveSession } from '../../src/authorizer/session.js'
import { SessionIndex } from '../../src/authorizer/session-index.js'
import type { RecordKey } from '../../src/record/types.js'
import { keyOf } from './support.js'

/** As much of a session as the index looks at. */
function sessionOf(principal: RecordKey, isAnonymous: boolean): LiveSession {
  const recordKey = isAnonymous ? undefined : principal
  return { principal, recordKey, older: undefined, isProvisional: true } as LiveSession
}

const text = fc.constantFrom('', 'a', 'b', '__proto__', '["",""]')
const step = fc.record({
  act: fc.constantFrom('add', 'hold', 'remove'),
  index: fc.nat(20),
  principal: fc.record({ mountpoint: text, clientId: text, username: text }),
  isAnonymous: fc.boolean(),
})

it.each([true, false])('finds what a search through all sessions finds, with shared records: %s', wildcard => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), steps => {
      const index = new SessionIndex(wildcard)
      const open: LiveSession[] = []
      /** Those that hold their client ids, in the order in which they came to. */
      let holders: LiveSession[] = []
      for (const { act, index: place, principal, isAnonymous } of steps) {
        const [chosen] = open.slice(place)
        if (act === 'add') {
          const session = sessionOf(principal, isAnonymous)
          index.add(session)
          open.push(session)
        } else if (chosen !== undefined) {
          holders = holders.filter(session => session !== chosen)
          if (act === 'hold') {
            index.hold(chosen)
            holders.push(chosen)
          } else {
            index.remove(chosen)
            open.splice(place, 1)
          }
        }

        const { mountpoint, clientId, username } = principal
        const ofUser = open.filter(
          ({ principal: own, recordKey }) =>
            own.mountpoint === mountpoint && own.username === username && recordKey !== undefined,
        )
        const ofKey = ofUser.filter(session => session.principal.clientId === clientId)
        const ofClientId = holders.filter(
          ({ principal: own }) => own.mountpoint === mountpoint && own.clientId === clientId,
        )
        expect(new Set(index.of(principal))).toEqual(new Set(ofKey))
        expect(new Set(index.of({ ...principal, clientId: '*' }))).toEqual(new Set(wildcard ? ofUser : []))
        expect(index.holder(principal)).toBe(ofClientId.at(-1))
        expect(open.filter(session => !session.isProvisional).length).toBe(holders.length)
        expect(new Set(index.values())).toEqual(new Set(open))
        expect(index.size).toBe(open.length)
      }
    }),
  )
})

it('goes on through what is left when sessions end while it is gone through', () => {
  const index = new SessionIndex(true)
  const sessions = ['a', 'b', 'b', 'c'].map(clientId => sessionOf(keyOf(clientId), false))
  for (const session of sessions) index.add(session)
  const seen: string[] = []
  for (const session of index.values()) {
    seen.push(session.principal.clientId)
    index.remove(session)
  }
  expect(seen).toEqual(['a', 'b', 'b', 'c'])
  expect([...index.values()]).toEqual([])
})
