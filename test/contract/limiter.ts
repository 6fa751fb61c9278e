import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { RecordStore } from '../../src/store/types.js'
import type { StoreSubject } from './record-store.js'

const limits = { points: 3, windowMs: 60_000, blockMs: 60_000 }

/** What every store promises that counts for all nodes. Two stores made alike must mean the same place. */
export function describeLimiter(name: string, subject: StoreSubject): void {
  describe(`${name}: counters`, () => {
    const stores: RecordStore[] = []
    const limiter = async (of: string, given = limits) => {
      stores.push(await subject.create())
      return stores.at(-1)!.limiter!(of, given)
    }

    beforeAll(() => subject.setUp?.())
    afterEach(async () => {
      await Promise.all(stores.splice(0).map(store => store.close()))
      await subject.clean?.()
    })
    afterAll(() => subject.tearDown?.())

    it('count for all who use the same place, however many count at once', async () => {
      const many = { ...limits, points: 20 }
      const [one, two] = [await limiter('pair', many), await limiter('pair', many)]
      const counts = await Promise.all(Array.from({ length: 20 }, (_, n) => (n % 2 ? one : two).spend('key')))
      expect(counts.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n + 1))
      expect([await one.isSpent('key'), await two.isSpent('key')]).toEqual([true, true])
    })

    it('keep keys and names apart', async () => {
      const [pair, account] = [await limiter('pair'), await limiter('account')]
      for (let n = 0; n < 3; n++) await pair.spend('key')
      expect(await pair.isSpent('key')).toBe(true)
      expect(await pair.isSpent('other')).toBe(false)
      expect(await account.isSpent('key')).toBe(false)
    })

    it('go on counting what is blocked', async () => {
      const counter = await limiter('pair')
      const counts: number[] = []
      for (let n = 0; n < 5; n++) counts.push(await counter.spend('key'))
      expect(counts).toEqual([1, 2, 3, 4, 5])
    })
  })
}
