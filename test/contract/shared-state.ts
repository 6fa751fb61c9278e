import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { StoreUnavailable } from '../../src/errors.js'
import type { SharedState } from '../../src/store/shared.js'
import type { RecordStore, StoreEvent } from '../../src/store/types.js'
import { eventually } from '../helpers/eventually.js'
import { key, recordOf, type StoreSubject } from './record-store.js'

/** Names and values that would break one built, matched, split or escaped carelessly. */
const ODD = ['a', '=', '*', '["","c","u"]', '\\', '?[x]*', 'ü€😀', '\u2028', '{tag}', '\n', '\0', "'", 'x'.repeat(512)]

/** Every promise of the shared state of a store that has one. */
export function describeSharedState(name: string, subject: StoreSubject): void {
  describe(`the shared state of ${name}`, () => {
    let store: RecordStore
    let shared: SharedState

    beforeAll(async () => {
      await subject.setUp?.()
    })
    beforeEach(async () => {
      store = await subject.create()
      shared = store.shared!
    })
    afterEach(async () => {
      await store.close()
      await subject.clean?.()
    })
    afterAll(async () => {
      await subject.tearDown?.()
    })

    it('has nothing under a name that was not given a value', async () => {
      expect(await shared.get('a')).toBeUndefined()
    })

    it('takes a first value only where there is none', async () => {
      expect(await shared.swap('a', undefined, '1')).toEqual({ swapped: true })
      expect(await shared.swap('a', undefined, '2')).toEqual({ swapped: false, current: '1' })
      expect(await shared.get('a')).toBe('1')
    })

    it('replaces the value that is expected, and tells which is there instead', async () => {
      await shared.swap('a', undefined, '1')
      expect(await shared.swap('a', '2', '3')).toEqual({ swapped: false, current: '1' })
      expect(await shared.swap('a', '1', '3')).toEqual({ swapped: true })
      expect(await shared.get('a')).toBe('3')
      expect(await shared.swap('b', '1', '3')).toEqual({ swapped: false, current: undefined })
    })

    it('removes the value that is expected, and no other', async () => {
      await shared.swap('a', undefined, '1')
      expect(await shared.swap('a', '2', undefined)).toEqual({ swapped: false, current: '1' })
      expect(await shared.swap('a', '1', undefined)).toEqual({ swapped: true })
      expect(await shared.get('a')).toBeUndefined()
      expect(await shared.swap('a', undefined, undefined)).toEqual({ swapped: true })
    })

    it('tells the empty text from nothing', async () => {
      await shared.swap('a', undefined, '')
      expect(await shared.swap('a', undefined, '1')).toEqual({ swapped: false, current: '' })
      expect(await shared.get('a')).toBe('')
      expect(await shared.swap('a', '', '1')).toEqual({ swapped: true })
    })

    it('keeps any text under any name', async () => {
      for (const [at, odd] of ODD.entries()) {
        expect(await shared.swap(odd, undefined, ODD.at(-at)!)).toEqual({ swapped: true })
      }
      for (const [at, odd] of ODD.entries()) {
        expect(await shared.get(odd)).toBe(ODD.at(-at)!)
        expect(await shared.swap(odd, ODD.at(-at)!, `${odd}!`)).toEqual({ swapped: true })
      }
      await shared.swap('long', undefined, 'é'.repeat(65_536))
      expect(await shared.get('long')).toBe('é'.repeat(65_536))
    })

    it('lets a value go when its time is over', async () => {
      await shared.swap('a', undefined, '1', { ttlMs: 20 })
      await shared.swap('b', undefined, '1')
      await shared.swap('b', '1', '2', { ttlMs: 20 })
      await eventually(async () => (await shared.get('a')) === undefined, 'the first is gone')
      await eventually(async () => (await shared.get('b')) === undefined, 'the second is gone')
      expect(await shared.swap('a', undefined, '2')).toEqual({ swapped: true })
    })

    it('forgets the time of a value with the value', async () => {
      await shared.swap('a', undefined, '1', { ttlMs: 300 })
      await shared.swap('a', '1', '2')
      await shared.swap('b', undefined, '1', { ttlMs: 400 })
      await eventually(async () => (await shared.get('b')) === undefined, 'a later one is gone')
      expect(await shared.get('a')).toBe('2')
    })

    it('has one winner among many who expect the same', async () => {
      await shared.swap('a', undefined, 'start')
      const tries = Array.from({ length: 20 }, (_, at) => shared.swap('a', 'start', String(at)))
      const outcomes = await Promise.all(tries)
      const winner = outcomes.findIndex(({ swapped }) => swapped)
      expect(outcomes.filter(({ swapped }) => swapped)).toHaveLength(1)
      expect(await shared.get('a')).toBe(String(winner))
    })

    it('is apart from the records: neither read, nor listed, nor reported as one', async () => {
      const events: StoreEvent[] = []
      store.watch(event => void events.push(event))
      await eventually(() => events.some(event => event.type === 'link' && event.state === 'live'), 'live')
      await shared.swap('["","c","u"]', undefined, '1')
      await store.put(key('d'), recordOf('a'))
      expect(await store.get(key('c'))).toBeUndefined()
      for await (const found of store.scan()) expect(found).toEqual(key('d'))
      expect(events.filter(({ type }) => type === 'changed')).toEqual(
        expect.arrayContaining([{ type: 'changed', key: key('d') }]),
      )
      expect(events.some(event => event.type === 'changed' && event.key.clientId === 'c')).toBe(false)
      expect(await shared.get('["","d","u"]')).toBeUndefined()
    })

    it.each([{ bad: '' }, { bad: 'x'.repeat(513) }, { bad: '\ud800' }, { bad: 7 }])(
      'refuses $bad for a name',
      async ({ bad }) => {
        const message = '"name" argument must be text of 1 to 512 characters'
        await expect(shared.get(bad as string)).rejects.toThrow(new TypeError(message))
        await expect(shared.swap(bad as string, undefined, 'a')).rejects.toThrow(new TypeError(message))
      },
    )

    it('refuses values and times that cannot be meant', async () => {
      const value = '"expected" and "value" arguments must be text of at most 65536 characters, or undefined'
      for (const bad of ['x'.repeat(65_537), '\udfff', null, 7]) {
        await expect(shared.swap('a', undefined, bad as string)).rejects.toThrow(new TypeError(value))
        await expect(shared.swap('a', bad as string, 'a')).rejects.toThrow(new TypeError(value))
      }
      const time = '"ttlMs" option must be an integer from 1 to 31536000000'
      for (const ttlMs of [0, -1, 1.5, 31_536_000_001, '5' as never]) {
        await expect(shared.swap('a', undefined, 'a', { ttlMs })).rejects.toThrow(new TypeError(time))
      }
      expect(await shared.get('a')).toBeUndefined()
    })

    it('is closed with its store', async () => {
      await store.close()
      await expect(shared.get('a')).rejects.toThrow(StoreUnavailable)
      await expect(shared.swap('a', undefined, '1')).rejects.toThrow(StoreUnavailable)
    })
  })
}
