import { createMemoryStore } from 'mqtt-warden'
import { expect, it } from 'vitest'
import { Turns } from '../../src/authorizer/turns.js'
import { authorizerOf, connectOf, idle, keyOf, plainHasher, reasonOf, recordOf } from './support.js'

const nextTurn = () => new Promise(resolve => setImmediate(resolve))

it('lets so many begin in a turn, the others in those that follow, in their order', async () => {
  const turns = new Turns(2)
  const begun: number[] = []
  const begin = async (at: number) => {
    const place = turns.take()
    if (place !== undefined) await place
    begun.push(at)
  }
  for (let at = 0; at < 5; at++) void begin(at)
  expect(begun).toEqual([0, 1])
  await nextTurn()
  expect(begun).toEqual([0, 1, 2, 3])
  void begin(5)
  void begin(6)
  expect(begun).toEqual([0, 1, 2, 3])
  await nextTurn()
  expect(begun).toEqual([0, 1, 2, 3, 4, 5])
  await nextTurn()
  expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6])
  await nextTurn()
  void begin(7)
  expect(begun.at(-1)).toBe(7)
})

it('spreads logins that come all at once, and answers those that wait when the authorizer is closed', async () => {
  const ids = Array.from({ length: 100 }, (_, at) => `c${at}`)
  const hasher = plainHasher()
  const authorizer = authorizerOf(createMemoryStore(ids.map(id => [keyOf(id), recordOf()] as const)), { hasher })
  await authorizer.ready()
  const logins = ids.map(id => authorizer.authenticate(connectOf(id)))
  for (let microtasks = 0; microtasks < 100; microtasks++) await undefined
  const opened = authorizer.stats().sessions
  expect(opened).toBeGreaterThan(0)
  expect(opened).toBeLessThan(50)
  expect((await Promise.all(logins)).map(reasonOf)).toEqual(ids.map(() => undefined))
  const more = ids.map(id => authorizer.authenticate(connectOf(id, { password: 'x' })))
  await authorizer.close()
  expect((await Promise.all(more)).map(reasonOf)).toEqual(ids.map(() => 'closed'))
  await idle()
})
