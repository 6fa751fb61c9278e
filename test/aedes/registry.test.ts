import { createMemoryStore } from 'mqtt-warden'
import { expect, it } from 'vitest'
import type { Ownership } from '../../src/aedes/owners.js'
import { OwnerRegistry } from '../../src/aedes/registry.js'

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
  const registries = ['', 'b'].map(
    cluster => new OwnerRegistry(shared, { cluster, leaseMs: 1_000, nodeId: undefined, max: 100 }),
  )
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
