import { createMemoryStore, type SharedState } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'
import type { Ownership } from '../../src/aedes/owners.js'
import { OwnerRegistry, type Ruling } from '../../src/aedes/registry.js'
import { onlyTexts } from './setup.js'

const options = { cluster: '', leaseMs: 1_000, nodeId: undefined, max: 100 }

const owned = (username: string): Ownership => ({
  owner: { mountpoint: '', username, kind: 'exact' },
  isStored: true,
  isForeign: false,
  holders: JSON.parse('{"__proto__":"address"}'),
})

it('keeps client ids of any text apart, and what is known of each as it is', async () => {
  const ids = [
    ...['', 'a', '"', '\\', '\u2028', '\0', '{hash}', '{hash}a', '__proto__', 'constructor', '../a', 'a\n'],
    ...['\ud800', '\ud801', '\ufffd', '\ud800'.repeat(300), '\ud801'.repeat(300)],
    ...['x'.repeat(256), 'x'.repeat(257), 'x'.repeat(65_535), `${'x'.repeat(65_534)}y`],
  ]
  const shared = createMemoryStore().shared!
  const registries = ['', 'b'].map(cluster => new OwnerRegistry(shared, { ...options, cluster }))
  for (const [at, registry] of registries.entries()) {
    for (const [index, id] of ids.entries()) {
      await registry.update(id, held => {
        expect(held).toBeUndefined()
        return { outcome: undefined, entry: owned(`${at} ${index} ${id.slice(0, 9).toWellFormed()}`) }
      })
    }
  }
  for (const [at, registry] of registries.entries()) {
    for (const [index, id] of ids.entries()) {
      expect(await registry.read(id)).toEqual(owned(`${at} ${index} ${id.slice(0, 9).toWellFormed()}`))
    }
  }
})

describe.each([
  { title: 'values of any kind', share: (shared: SharedState) => shared },
  { title: 'texts', share: onlyTexts },
])('over a state that shares $title', ({ share }) => {
  const put = (entry: Ruling<unknown>['entry']) => () => ({ outcome: undefined, entry })

  it('what holds a client id is told as the ownership that it makes', async () => {
    const shared = share(createMemoryStore().shared!)
    const [here, there] = [new OwnerRegistry(shared, options), new OwnerRegistry(shared, options)]
    await here.update('c1', put({ ownership: owned('a') }))
    const told: unknown[] = []
    for (const registry of [here, there]) {
      await registry.update('c1', held => {
        told.push(held)
        return { outcome: undefined, entry: 'kept' }
      })
    }
    expect(told).toEqual([owned('a'), ...(share === onlyTexts ? [undefined] : []), owned('a')])
    await here.update('c1', put(owned('b')))
    expect([await here.read('c1'), await there.read('c1')]).toEqual([owned('b'), owned('b')])
  })

  it('what held a client id before another node took it is not kept', async () => {
    const shared = share(createMemoryStore().shared!)
    const [here, there] = [new OwnerRegistry(shared, options), new OwnerRegistry(shared, options)]
    await here.update('c1', put({ ownership: owned('a') }))
    await there.update('c1', put(owned('b')))
    await here.update('c1', put('kept'))
    expect(here.remembered('c1')).toEqual(share === onlyTexts ? owned('b') : undefined)
    await here.update('c1', put('removed'))
    expect([here.remembered('c1'), await there.read('c1')]).toEqual([undefined, undefined])
  })
})

it('asks a rule that takes time ten times at most, where something else is there whenever it has decided', async () => {
  const { local } = createMemoryStore().shared!
  const registry = new OwnerRegistry({ local } as SharedState, options)
  let asked = 0
  const updated = registry.update('a', async () => {
    // Somebody else is quicker.
    void registry.update('a', () => ({ outcome: undefined, entry: owned(`rival ${asked}`) }))
    asked++
    return { outcome: undefined, entry: owned('slow') }
  })
  await expect(updated).rejects.toThrow('who owns client id "a" changed again and again')
  expect([asked, (await registry.read('a'))?.owner.username]).toEqual([10, 'rival 9'])
})
