import { describe, expect, it } from 'vitest'
import { RecordInvalid, RecordKeyInvalid, StoreUnavailable, WardenError } from '../../src/errors.js'
import { createMemoryStore } from '../../src/store/index.js'
import { Listeners } from '../../src/store/listeners.js'
import type { RecordStore, StoreEvent } from '../../src/store/types.js'
import { describeRecordStore, key, recordOf } from '../contract/record-store.js'
import { describeSharedState } from '../contract/shared-state.js'

describeRecordStore('the memory store', { create: () => createMemoryStore() })
describeSharedState('the memory store', { create: () => createMemoryStore() })

describe('createMemoryStore', () => {
  it('starts with the entries it is given, the later of two with one key', async () => {
    const store = createMemoryStore([
      [key('a'), recordOf('1')],
      [key('b'), recordOf('2')],
      [key('a'), recordOf('3')],
    ])
    expect(await store.get(key('a'))).toEqual(recordOf('3'))
    expect(await store.get(key('b'))).toEqual(recordOf('2'))
  })

  it('takes entries from any iterable', async () => {
    const store = createMemoryStore(new Map([[key('a'), recordOf('1')]]))
    expect(await store.get(key('a'))).toEqual(recordOf('1'))
  })

  it('names the entry whose record is invalid', () => {
    const bad = { ...recordOf('a'), publishAcl: [{ pattern: 'a', maxQos: 3 as never }] }
    const create = (): RecordStore =>
      createMemoryStore([
        [key('a'), recordOf('a')],
        [key('b'), bad],
      ])
    expect(create).toThrow(RecordInvalid)
    expect(create).toThrow(/^entries\[1\]\.publishAcl\[0\]\.maxQos: /)
  })

  it('names the entry whose key is invalid', () => {
    const create = (): RecordStore => createMemoryStore([[{ clientId: 1 } as never, recordOf('a')]])
    expect(create).toThrow(RecordKeyInvalid)
    expect(create).toThrow(/^entries\[0\]: /)
  })

  it.each([
    [7, '"entries" argument must be an iterable of [key, record] pairs'],
    [null, '"entries" argument must be an iterable of [key, record] pairs'],
    [{}, '"entries" argument must be an iterable of [key, record] pairs'],
    [[[key('a')]], '"entries" argument must hold [key, record] pairs: entries[0] is none'],
    [[7], '"entries" argument must hold [key, record] pairs: entries[0] is none'],
  ])('refuses %j as entries', (entries, message) => {
    expect(() => createMemoryStore(entries as never)).toThrow(new TypeError(message))
  })

  it('refuses unknown semantics', () => {
    const message = '"semantics" option must be "strict" or "vernemq"'
    expect(() => createMemoryStore([], { semantics: 'loose' as never })).toThrow(new TypeError(message))
    expect(createMemoryStore([], { semantics: 'vernemq' }).semantics).toBe('vernemq')
    expect(createMemoryStore().semantics).toBe('strict')
  })

  it('forgets the shared value used longest ago beyond the limit', async () => {
    const { shared } = createMemoryStore([], { maxShared: 2 })
    for (const name of ['a', 'b']) await shared!.swap(name, undefined, name)
    await shared!.get('a')
    await shared!.swap('c', undefined, 'c')
    expect([await shared!.get('a'), await shared!.get('b'), await shared!.get('c')]).toEqual(['a', undefined, 'c'])
    const message = '"maxShared" option must be an integer from 1 to 10000000'
    expect(() => createMemoryStore([], { maxShared: 0 })).toThrow(new TypeError(message))
  })

  it('says live once, for ever, in the first microtask after the watch began', async () => {
    const store = createMemoryStore()
    const events: StoreEvent[] = []
    store.watch(event => void events.push(event))
    expect(events).toEqual([])
    await Promise.resolve()
    expect(events).toEqual([{ type: 'link', state: 'live', at: Infinity }])
  })

  it('tells nothing to a listener that stopped before the first microtask', async () => {
    const store = createMemoryStore()
    const events: StoreEvent[] = []
    store.watch(event => void events.push(event))()
    await store.put(key('a'), recordOf('a'))
    expect(events).toEqual([])
  })

  it('ends a scan that is under way when it is closed', async () => {
    const store = createMemoryStore([
      [key('a'), recordOf('1')],
      [key('b'), recordOf('2')],
    ])
    const scan = store.scan()[Symbol.asyncIterator]()
    await scan.next()
    await store.close()
    await expect(scan.next()).rejects.toThrow('store is closed')
  })
})

describe('the listeners of a store', () => {
  it('are waited for no longer than the longest wait, and the one that hangs is reported', async () => {
    const listeners = new Listeners(20)
    const events: StoreEvent[] = []
    listeners.add(
      event => {
        events.push(event)
        return event.type === 'changed' ? new Promise<void>(() => {}) : undefined
      },
      () => {},
    )
    await listeners.dispatch({ type: 'changed', key: key('a') })
    const error = events.find(event => event.type === 'error')?.error
    expect(error).toBeInstanceOf(WardenError)
    expect(error).toMatchObject({ message: 'a watcher did not finish with "changed" within 20 ms' })
  })

  it('may fail on being told of a failure without an end of failures', async () => {
    const listeners = new Listeners()
    let calls = 0
    listeners.add(
      () => {
        calls++
        throw new Error('always')
      },
      () => {},
    )
    await listeners.dispatch({ type: 'changed', key: key('a') })
    expect(calls).toBe(2)
  })
})

it('shares values of any kind within the process, of each space as many as it shares texts, until it is closed', async () => {
  const store = createMemoryStore([], { maxShared: 2 })
  const { local } = store.shared!
  const value = { any: 'kind' }
  const get = (name: string) => local!.get('one', name)
  local!.set('one', 'a', value)
  await store.shared!.swap('a', undefined, 'text')
  expect([get('a'), await store.shared!.get('a'), get('__proto__')]).toEqual([value, 'text', undefined])
  expect([local!.get('other', 'a'), local!.get('__proto__', 'a')]).toEqual([undefined, undefined])
  local!.set('one', 'b', 1)
  local!.set('other', 'b', 9)
  // What is written again is the latest.
  local!.set('one', 'a', 2)
  local!.set('one', 'c', 3)
  expect(['a', 'b', 'c'].map(get)).toEqual([2, undefined, 3])
  expect(local!.get('other', 'b')).toBe(9)
  local!.set('one', 'a', undefined)
  expect(get('a')).toBeUndefined()
  await store.close()
  expect(() => get('c')).toThrow(StoreUnavailable)
  expect(() => local!.set('one', 'c', 4)).toThrow(StoreUnavailable)
})
