import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  createFingerprint,
  createVerifiedPasswords,
  type VerifiedPasswords,
  type VerifiedPasswordsOptions,
} from '../../src/password/verified.js'

const key = '["","1528361231","101"]'
const passhash = '$2a$10$.UVQgAlmBYmHL4T0EGEq9u3poUrrCFQepee8IhrqqaQANNOtpree6'

/** A memory with the names of its own that what it is told is remembered by. */
function memory(options?: VerifiedPasswordsOptions) {
  const verified = createVerifiedPasswords(options)
  const nameOf = createFingerprint()
  return {
    has: (...of: Parameters<typeof nameOf>) => verified.find(nameOf(...of)) !== undefined,
    add: (...of: Parameters<typeof nameOf>) => verified.add(nameOf(...of)),
    clear: () => verified.clear(),
    get size() {
      return verified.size
    },
  }
}

describe('createVerifiedPasswords', () => {
  it('knows what was added, and nothing that differs in any part', () => {
    const verified = memory()
    expect(verified.has(key, passhash, 'secret')).toBe(false)
    verified.add(key, passhash, 'secret')
    expect(verified.has(key, passhash, 'secret')).toBe(true)
    expect(verified.has(key, passhash, 'Secret')).toBe(false)
    expect(verified.has(key, passhash.replace('2a', '2b'), 'secret')).toBe(false)
    expect(verified.has('["","*","101"]', passhash, 'secret')).toBe(false)
    expect(verified.size).toBe(1)
  })

  it('shares nothing with another one', () => {
    memory().add(key, passhash, 'secret')
    expect(memory().has(key, passhash, 'secret')).toBe(false)
  })

  it('never takes one list of texts for another, ill-formed text included', () => {
    const text = fc.string({ unit: fc.constantFrom('a', '1', ':', '\0', '\ud800', '\ufffd', '😀'), maxLength: 4 })
    const texts = fc.tuple(text, text, text)
    fc.assert(
      fc.property(texts, texts, (added, asked) => {
        const verified = memory({ max: 10 })
        verified.add(...added)
        expect(verified.has(...asked)).toBe(JSON.stringify(added) === JSON.stringify(asked))
      }),
      {
        numRuns: 500,
        examples: [
          [
            ['a', '', '\ud800'],
            ['a', '', '\ufffd'],
          ],
          [
            ['a', 'a', ''],
            ['aa', '', ''],
          ],
        ],
      },
    )
  })

  it('forgets after the time to live, counted from the proof and not from the last use', () => {
    let at = 0
    const verified = memory({ ttlMs: 1_000, now: () => at })
    verified.add(key, passhash, 'secret')
    at = 1_000
    expect(verified.has(key, passhash, 'secret')).toBe(true)
    at = 1_001
    expect(verified.has(key, passhash, 'secret')).toBe(false)
    expect(verified.size).toBe(0)
    verified.add(key, passhash, 'secret')
    expect(verified.has(key, passhash, 'secret')).toBe(true)
  })

  it('counts anew when a password is proven again', () => {
    let at = 0
    const verified = memory({ ttlMs: 1_000, now: () => at })
    verified.add(key, passhash, 'secret')
    at = 900
    verified.add(key, passhash, 'secret')
    at = 1_900
    expect(verified.has(key, passhash, 'secret')).toBe(true)
  })

  it('keeps no more than max, and drops what was unused for longest', () => {
    const verified = memory({ max: 2 })
    verified.add(key, passhash, 'one')
    verified.add(key, passhash, 'two')
    verified.has(key, passhash, 'one')
    verified.add(key, passhash, 'three')
    expect(verified.size).toBe(2)
    expect(['one', 'two', 'three'].map(password => verified.has(key, passhash, password))).toEqual([true, false, true])
  })

  describe('asked by what was found before', () => {
    it('knows it as long as it is remembered, and for no other password', () => {
      let at = 0
      const verified = createVerifiedPasswords({ ttlMs: 1_000, now: () => at })
      verified.add('one')
      const proof = verified.find('one')!
      at = 1_000
      expect(verified.holds(proof, 'one')).toBe(true)
      expect(verified.holds(proof, 'two')).toBe(false)
      expect(verified.holds(proof, 'one', 1_001)).toBe(false)
      at = 1_001
      expect(verified.holds(proof, 'one')).toBe(false)
    })

    it.each<[string, (verified: VerifiedPasswords) => void]>([
      ['evicted', verified => verified.add('two')],
      ['cleared', verified => verified.clear()],
      ['proven anew', verified => verified.add('one')],
    ])('knows nothing of what was %s', (_, act) => {
      const verified = createVerifiedPasswords({ max: 1 })
      verified.add('one')
      const proof = verified.find('one')!
      act(verified)
      expect(verified.holds(proof, 'one')).toBe(false)
    })

    it('counts that as a use when more than half of it is full', () => {
      const verified = createVerifiedPasswords({ max: 4 })
      for (const name of ['one', 'two', 'three']) verified.add(name)
      const proof = verified.find('one')!
      for (const name of ['two', 'three']) verified.find(name)
      expect(verified.holds(proof, 'one')).toBe(true)
      for (const name of ['four', 'five', 'six']) verified.add(name)
      const known = ['one', 'two', 'three'].map(name => verified.find(name) !== undefined)
      expect(known).toEqual([true, false, false])
    })
  })

  it('forgets everything when it is cleared', () => {
    const verified = memory()
    verified.add(key, passhash, 'secret')
    verified.clear()
    expect(verified.has(key, passhash, 'secret')).toBe(false)
    expect(verified.size).toBe(0)
  })

  it.each([{ max: 0 }, { ttlMs: 0 }])('remembers nothing with %j', options => {
    const verified = memory(options)
    verified.add(key, passhash, 'secret')
    expect(verified.has(key, passhash, 'secret')).toBe(false)
    expect(verified.size).toBe(0)
  })

  it.each([
    [{ max: -1 }, '"max" option must be an integer from 0 to 10000000'],
    [{ max: Number.POSITIVE_INFINITY }, '"max" option must be an integer from 0 to 10000000'],
    [{ ttlMs: 604_800_001 }, '"ttlMs" option must be an integer from 0 to 604800000'],
  ])('throws a TypeError for the options %j', (options, message) => {
    expect(() => createVerifiedPasswords(options)).toThrow(new TypeError(message))
  })

  it('keeps neither the password nor a digest that anyone could compute, as a dump of the memory shows', async () => {
    const script = fileURLToPath(new URL('./heap-dump.ts', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', script])
    expect(JSON.parse(stdout)).toEqual({ remembered: true, control: true, found: [] })
  })
})
