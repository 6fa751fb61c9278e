import { hashSync as hashInThisThread } from 'bcryptjs'
import fc from 'fast-check'
import { hashPassword, verifyPassword } from 'mqtt-warden'
import { describe, expect, it } from 'vitest'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const body = '.UVQgAlmBYmHL4T0EGEq9u3poUrrCFQepee8IhrqqaQANNOtpree6'

describe('published hashes', () => {
  it.each([
    ['38b3eff8baf56627478ec76a704e9b52', '$2a$10$.UVQgAlmBYmHL4T0EGEq9u3poUrrCFQepee8IhrqqaQANNOtpree6'],
    ['ec8956637a99787bd197eacd77acce5e', '$2a$10$o2EnyzkqmHE532m3C.MREuyVNSKf0wIkHudKFjSk3OUFPlYLm8xBW'],
  ])('belong to the password %s, and to no other', async (password, passhash) => {
    expect(await verifyPassword(password, passhash)).toBe(true)
    expect(await verifyPassword(utf8(password), passhash)).toBe(true)
    expect(await verifyPassword(`${password}x`, passhash)).toBe(false)
    expect(await verifyPassword('', passhash)).toBe(false)
  })
})

describe('hashPassword', () => {
  it('makes hashes of variant 2a and cost 10 unless told otherwise, because VerneMQ reads no other variant', async () => {
    const passhash = await hashPassword('secret')
    expect(passhash).toMatch(/^\$2a\$10\$[./A-Za-z0-9]{53}$/)
    expect(await verifyPassword('secret', passhash)).toBe(true)
  })

  it.each(['$2a$', '$2b$', '$2y$'] as const)('makes hashes of variant %s that it verifies', async prefix => {
    const passhash = await hashPassword('secret', { cost: 4, prefix })
    expect(passhash.slice(0, 7)).toBe(`${prefix}04$`)
    expect(await verifyPassword('secret', passhash)).toBe(true)
    expect(await verifyPassword('Secret', passhash)).toBe(false)
  })

  it('uses another salt every time', async () => {
    const [one, other] = await Promise.all([hashPassword('secret', { cost: 4 }), hashPassword('secret', { cost: 4 })])
    expect(one).not.toBe(other)
  })

  it('makes the same body for all variants, so that the name of one may be replaced by another', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'binary', maxLength: 18 }).filter(text => !text.includes('\0')),
        async password => {
          const passhash = await hashPassword(password, { cost: 4, prefix: '$2b$' })
          for (const prefix of ['$2a$', '$2y$']) {
            expect(await verifyPassword(password, prefix + passhash.slice(4))).toBe(true)
          }
          expect(await verifyPassword(`${password}!`, passhash)).toBe(false)
        },
      ),
      { numRuns: 25 },
    )
  })

  it.each([
    ['72 bytes', 'x'.repeat(72)],
    ['72 bytes of emoji', '😀'.repeat(18)],
    ['nothing', ''],
  ])('takes a password of %s', async (_, password) => {
    const passhash = await hashPassword(password, { cost: 4 })
    expect(await verifyPassword(password, passhash)).toBe(true)
    expect(await verifyPassword(utf8(password), passhash)).toBe(true)
  })

  it.each([
    ['73 bytes', 'x'.repeat(73), 'password has 73 bytes of UTF-8, bcrypt reads only 72'],
    ['73 bytes in 70 characters', `${'x'.repeat(69)}😀`, 'password has 73 bytes of UTF-8, bcrypt reads only 72'],
    ['73 bytes given as bytes', utf8('x'.repeat(73)), 'password has 73 bytes of UTF-8, bcrypt reads only 72'],
    ['U+0000', 'a\0b', 'password holds U+0000, where bcrypt stops reading'],
    ['U+0000 among bytes', Uint8Array.of(0x61, 0), 'password holds U+0000, where bcrypt stops reading'],
    ['a lone surrogate', 'a\udc00b', 'password holds a lone surrogate, which has no bytes in UTF-8'],
    ['bytes that are not UTF-8', Uint8Array.of(0xff, 0xfe, 0x80, 0x41), 'password is not UTF-8'],
  ])('refuses a password of %s', async (_, password, message) => {
    await expect(hashPassword(password)).rejects.toMatchObject({
      name: 'PasswordInvalid',
      code: 'ERR_PASSWORD_INVALID',
      message,
    })
  })

  it.each([
    [{ cost: 3 }, '"cost" option must be an integer from 4 to 15'],
    [{ cost: 16 }, '"cost" option must be an integer from 4 to 15'],
    [{ cost: 10.5 }, '"cost" option must be an integer from 4 to 15'],
    [{ cost: '10' as unknown as number }, '"cost" option must be an integer from 4 to 15'],
    [{ prefix: '$2x$' as '$2a$' }, '"prefix" option must be "$2a$", "$2b$" or "$2y$"'],
    [{ timeoutMs: 0 }, '"timeoutMs" option must be an integer from 1 to 86400000'],
  ])('rejects the options %j with a TypeError', async (options, message) => {
    await expect(hashPassword('secret', options)).rejects.toThrow(new TypeError(message))
  })

  it('rejects a password of another type with a TypeError', async () => {
    await expect(hashPassword(101 as unknown as string)).rejects.toThrow(
      new TypeError('"password" argument must be a string or a Uint8Array'),
    )
  })

  it('ends at its deadline', async () => {
    const hashing = hashPassword('secret', { cost: 13, timeoutMs: 1 })
    await expect(hashing).rejects.toMatchObject({
      code: 'ERR_HASH_TIMEOUT',
      message: 'hash was not finished within 1 ms',
    })
  })

  it("ends with the signal's reason", async () => {
    const reason = new Error('client left')
    await expect(hashPassword('secret', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })
})

describe('verifyPassword', () => {
  it.each([
    ['the empty text', ''],
    ['the plain password', 'secret'],
    ['a hash cut short', `$2a$10$${body.slice(1)}`],
    ['a hash with a trailing newline', `$2a$10$${body}\n`],
    ['cost 03', `$2a$03$${body}`],
    ['cost 00', `$2a$00$${body}`],
    ['cost 32', `$2a$32$${body}`],
    ['cost 31, which would take days', `$2a$31$${body}`],
    ['cost 15', `$2a$15$${body}`],
    ['variant 2x', `$2x$10$${body}`],
    ['variant 2', `$2$10$${body}`],
    ['an unknown variant', `$2z$10$${body}`],
  ])('answers false for %s', async (_, passhash) => {
    expect(await verifyPassword('secret', passhash)).toBe(false)
  })

  it('answers false and never throws, whatever the strings are', async () => {
    const text = fc.string({ unit: 'binary' })
    const nearlyHash = fc
      .tuple(
        fc.constantFrom('$2a$', '$2b$', '$2y$', '$2x$', '$2$', '2a$', ''),
        fc.constantFrom('04', '05', '03', '00', '32', '99', '4', '-4', '0x', ''),
        fc.constantFrom('$', ''),
        fc.constantFrom(body, body.slice(1), `${body}\n`, `${body.slice(1)}\ud800`, ''),
      )
      .map(parts => parts.join(''))
    await fc.assert(
      fc.asyncProperty(text, fc.oneof(text, nearlyHash), async (password, passhash) => {
        expect(await verifyPassword(password, passhash)).toBe(false)
      }),
      { numRuns: 300 },
    )
  })

  it('refuses a cost above maxCost, and none below', async () => {
    const passhash = await hashPassword('secret', { cost: 6 })
    expect(await verifyPassword('secret', passhash, { maxCost: 5 })).toBe(false)
    expect(await verifyPassword('secret', passhash, { maxCost: 6 })).toBe(true)
  })

  it('reads 72 bytes of a longer password, so that old hashes of such go on working', async () => {
    const passhash = hashInThisThread('x'.repeat(80), 4)
    expect(await verifyPassword('x'.repeat(80), passhash)).toBe(true)
    expect(await verifyPassword(`${'x'.repeat(72)}anything`, passhash)).toBe(true)
    expect(await verifyPassword('x'.repeat(71), passhash)).toBe(false)
  })

  it('tells binary passwords apart by refusing what is not UTF-8', async () => {
    const passhash = hashInThisThread('\ufffd\ufffd\ufffdA', 4)
    expect(await verifyPassword('\ufffd\ufffd\ufffdA', passhash)).toBe(true)
    expect(await verifyPassword(Uint8Array.of(0xff, 0xfe, 0x80, 0x41), passhash)).toBe(false)
    expect(await verifyPassword(Uint8Array.of(0xff, 0xfe, 0x81, 0x41), passhash)).toBe(false)
  })

  it.each([
    ['U+0000', 'a\0'],
    ['a lone surrogate', 'a\ud800'],
  ])('matches nothing with a password that holds %s, even where other programs hashed one', async (_, password) => {
    expect(await verifyPassword(password, hashInThisThread(password, 4))).toBe(false)
  })

  it('judges the empty password like any other', async () => {
    expect(await verifyPassword('', hashInThisThread('', 4))).toBe(true)
    expect(await verifyPassword('', hashInThisThread('x', 4))).toBe(false)
  })

  it.each([
    [{ maxCost: 3 }, '"maxCost" option must be an integer from 4 to 31'],
    [{ maxCost: 32 }, '"maxCost" option must be an integer from 4 to 31'],
    [{ timeoutMs: 1.5 }, '"timeoutMs" option must be an integer from 1 to 86400000'],
  ])('rejects the options %j with a TypeError', async (options, message) => {
    await expect(verifyPassword('secret', '', options)).rejects.toThrow(new TypeError(message))
  })

  it('rejects arguments of another type with a TypeError', async () => {
    await expect(verifyPassword(undefined as unknown as string, '')).rejects.toThrow(TypeError)
    await expect(verifyPassword('secret', null as unknown as string)).rejects.toThrow(
      new TypeError('"passhash" argument must be a string'),
    )
  })
})
