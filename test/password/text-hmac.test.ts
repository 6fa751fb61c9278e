import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createTextHmac } from '../../src/password/text-hmac.js'

const reference = (key: Uint8Array, text: string) => createHmac('sha256', key).update(text, 'utf16le').digest('binary')

it('computes what createHmac computes, for keys and texts of any kind', () => {
  const key = fc.uint8Array({ maxLength: 64 })
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.array(fc.integer({ min: 0, max: 0xffff })).map(units => String.fromCharCode(...units)),
    fc.nat(2_000).map(length => 'ü'.repeat(length)),
  )
  fc.assert(
    fc.property(key, fc.array(text), (key, texts) => {
      const hmac = createTextHmac(key)
      // One after the other, so that nothing of a longer text may be left when a shorter one comes.
      for (const text of texts) expect(hmac(text)).toBe(reference(key, text))
    }),
  )
})

it.each([0, 511, 512, 513, 65_535])('computes it for a text of %i characters', length => {
  const key = new Uint8Array(32).fill(7)
  expect(createTextHmac(key)('x'.repeat(length))).toBe(reference(key, 'x'.repeat(length)))
})
