import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createTextHmac } from '../../src/password/text-hmac.js'

const bytes = fc.uint8Array({ minLength: 64, maxLength: 64 })
const wellFormed = fc.oneof(fc.string(), fc.string({ unit: 'binary', maxLength: 300 }))
/** What node:crypto makes of the same. */
const reference = (key: Uint8Array, text: string) =>
  createHmac(
    'sha256',
    key.map(byte => byte & 0x7f),
  )
    .update(text, 'utf8')
    .digest('binary')

it('is the HMAC-SHA-256 of a text in UTF-8 as node:crypto makes it, under seven bits of each byte', () => {
  fc.assert(
    fc.property(bytes, fc.array(wellFormed, { minLength: 1 }), (key, texts) => {
      const hmac = createTextHmac(key)
      for (const text of texts) expect(hmac(text)).toBe(reference(key, text))
    }),
  )
})

it('is that of the JSON of a text with unpaired surrogates, so that no two of them are taken for the same', () => {
  const key = new Uint8Array(64).fill(7)
  const hmac = createTextHmac(key)
  for (const text of ['\ud800', 'a\udc00b', '\ud801']) expect(hmac(text)).toBe(reference(key, JSON.stringify(text)))
})
