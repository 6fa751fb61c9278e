import { describe, expect, it } from 'vitest'
import { Tallies } from '../../src/redis/tallies.js'
import { deferred } from '../helpers/deferred.js'

const cut = (sessionsCut: number): Promise<object> => Promise.resolve({ sessionsCut })
const sum = (sessionsCut: number, subscriptionsDropped = 0): object => {
  return { sessionsCut, subscriptionsDropped, messagesDropped: 0 }
}

describe('what changes did here', () => {
  it('is told once, of the record asked for, and waited for while it goes on', async () => {
    const tallies = new Tallies()
    const running = deferred<object>()
    tallies.note('a', cut(1))
    tallies.note('a', running.promise)
    tallies.note('b', cut(4))
    const taken = tallies.take('a', performance.now())
    running.resolve({ subscriptionsDropped: 2, failed: 'then, not now' })
    expect(await taken).toEqual(sum(1, 2))
    expect(await tallies.take('a', performance.now())).toEqual(sum(0))
    expect(await tallies.take('b', performance.now())).toEqual(sum(4))
  })

  it('is told later where it takes long, without what failed then', async () => {
    const tallies = new Tallies()
    const [slow, after] = [deferred<object>(), deferred<object>()]
    tallies.note('a', slow.promise)
    const { later, ...now } = await tallies.take('a', performance.now())
    expect(now).toEqual({})
    slow.resolve({ sessionsCut: 1, failed: 'then', later: after.promise })
    after.resolve({ subscriptionsDropped: 2, failed: 'then as well' })
    expect(await later).toEqual(sum(1, 2))
    expect(await tallies.take('a', performance.now())).toEqual(sum(0))
  })

  it('is not told of a change that was long before the write', async () => {
    const tallies = new Tallies()
    tallies.note('a', cut(1))
    expect(await tallies.take('a', performance.now() + 60_000)).toEqual(sum(0))
  })

  it('is remembered of so many changes and records, the latest', async () => {
    const tallies = new Tallies()
    for (let n = 0; n < 100; n++) tallies.note('a', cut(1))
    expect(await tallies.take('a', performance.now())).toEqual(sum(16))
    for (let n = 0; n < 2_000; n++) tallies.note(String(n), cut(1))
    expect(await tallies.take('0', performance.now())).toEqual(sum(0))
    expect(await tallies.take('1999', performance.now())).toEqual(sum(1))
  })
})
